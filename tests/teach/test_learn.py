"""Exercises: right solutions pass, wrong ones are named and never falsely, and every bad file is answered in words."""

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from more_solutions import MORE
from solutions import RIGHT, WRONG, changed
from typer.testing import CliRunner

from reference.cli import app
from reference.teach import alone, by_engine, by_hand, judging, learn
from reference.teach.exercise import find, known, read
from reference.teach.judgement import CONVENTION, ERROR, LATE, UNFINISHED, Judgement


def solution(name: str, code: str) -> ModuleType:
    """The stub with this code below it, as a module."""
    module = ModuleType("solution")
    exec(compile(f"{known()[name].stub}\n{code}", "solution.py", "exec"), module.__dict__)
    return module


def judged(name: str, code: str, judge=by_engine) -> Judgement:
    module = solution(name, code)
    for check, given in known()[name].checks.items():
        functions = {k: getattr(module, v) if isinstance(v, str) else v for k, v in given.items()}
        found = judge.judged(check, functions)
        if not found.good:
            return found
    return found


def names(found: Judgement, wanted: str) -> bool:
    """Is the first mistake named one of these: an id of the catalogue, or words of the sentence?"""
    (m,) = found.mistakes
    ids = {m.id, (m.id or "").split(".")[0]}
    told = (m.text + m.relation).lower()
    return any(w in ids if w[0].isupper() else w in told for w in wanted.split("|") if w)


def run(*arguments: str):
    return CliRunner().invoke(app, ["learn", *arguments])


def test_there_are_thirty_each_with_text_hints_and_a_stub():
    exercises = known()
    assert len(exercises) == 30
    assert list(exercises) == list(RIGHT)
    for e in exercises.values():
        assert len(e.hints) >= 3
        assert len(e.text) > 40
        assert max(map(len, e.sheet("x.py").splitlines())) <= 140
        compile(e.sheet(f"{e.name}.py"), e.name, "exec")


@pytest.mark.parametrize("judge", [by_engine, by_hand])
@pytest.mark.parametrize("name", RIGHT)
def test_a_right_solution_is_right(name, judge):
    assert judged(name, RIGHT[name], judge) == Judgement("right")


ALL = [*WRONG, *MORE]


def test_wrong_solutions_get_their_name_and_no_false_one():
    found = [(name, code, wanted, judged(name, code)) for name, code, wanted in ALL]
    assert len(ALL) >= 150
    assert [name for name, *_, j in found if j.outcome not in ("wrong", CONVENTION)] == []
    named = [(name, wanted, j) for name, _, wanted, j in found if j.mistakes]
    false = [(name, wanted, j.mistakes) for name, wanted, j in named if not names(j, wanted)]
    assert false == []
    told = [learn.told(find(name), j, learn.Progress(tries=1)) for name, _, _, j in found]
    assert all("\n  Hint" in text for text in told)
    assert sum("for this mistake" in text for text in told) >= 0.8 * len(ALL)
    assert [(name, wanted) for name, _, wanted, j in found[len(WRONG) :] if not j.mistakes and wanted] == []
    assert len(named) >= 0.9 * len(ALL)


def test_wrong_solutions_are_seen_by_hand_alone_and_a_name_given_is_right():
    found = [(name, wanted, judged(name, code, by_hand)) for name, code, wanted in ALL]
    assert [name for name, _, j in found if j.good] == []
    named = [(name, wanted, j) for name, wanted, j in found if j.mistakes]
    assert [(name, wanted, j.mistakes) for name, wanted, j in named if not names(j, wanted)] == []
    assert len(named) >= 0.45 * len(ALL)  # those of the catalogue that are made in one layer


def test_the_wrong_forward_is_told_from_the_wrong_backward():
    forward = RIGHT["affine"].replace("x @ W.T + b,", "x @ W.T - b,")
    assert judged("affine", forward).side == "both"  # the gradient of b is that of + b
    assert judged("affine", forward, by_hand).side == "output"
    only = RIGHT["softmax"].replace("dy - (y * dy)", "dy + (y * dy)")
    assert judged("softmax", only).side == judged("softmax", only, by_hand).side == "backward"


IN_PLACE = {
    "dropout": (("return dy * mask / 0.75", "dy *= mask / 0.75\n    return dy"), "backward changes dy in place"),
    "log_softmax": (
        ("return dy - np", "dy -= np.exp(y) * dy.sum(axis=-1, keepdims=True)\n    return dy #"),
        "changes dy",
    ),
    "affine": (
        ("x, W = cache", "x, W = cache\n    x *= 1.5; dx = dy @ W; dW = dy.T @ x / 1.5"),
        "changes the input x in",
    ),
    "softmax": (("e = np.exp(x - x.max", "x -= 1.0\n    e = np.exp(x - x.max"), "forward changes its input x in place"),
}


@pytest.mark.parametrize("judge", [by_engine, by_hand])
@pytest.mark.parametrize("name", IN_PLACE)
def test_what_is_written_in_place_is_said_where_the_numbers_are_right(name, judge):
    change, text = IN_PLACE[name]
    code = changed(name, change).replace("dy @ W, dy.T @ x,", "dx, dW,")
    found = judged(name, code, judge)
    assert (found.outcome, found.side, found.where) == ("wrong", "contract", "")
    assert text in found.said[0]
    assert "Hint" not in learn.told(find(name), found, learn.Progress(tries=1))


def test_another_choice_at_a_tie_is_no_mistake_but_said():
    last = RIGHT["maxpool"].replace("w.argmax(-1)", "(1 - w[..., ::-1].argmax(-1))")
    assert judged("maxpool", last).outcome in ("right", CONVENTION)
    assert judged("maxpool", last, by_hand).outcome == CONVENTION


@pytest.mark.parametrize("judge", [by_engine, by_hand])
def test_a_gradient_that_is_no_number_is_wrong(judge):
    assert (
        judged("tanh", "def df(x): return (1 - np.tanh(x) ** 2) * np.where(x > 1, np.nan, 1)", judge).outcome == "wrong"
    )


def in_file(tmp_path: Path, name: str, code: str) -> Path:
    path = tmp_path / f"{name}.py"
    path.write_text(f"{known()[name].stub}\n{code}", encoding="utf-8")
    return path


def test_a_solution_is_judged_in_a_process_of_its_own(tmp_path):
    path = in_file(tmp_path, "tanh", "print('hello')\nprint('again')\ndef df(x): return 1 - np.tanh(x)")
    found = alone.judged(find("tanh"), path)
    assert (found.outcome, found.side, found.mistakes[0].id) == ("wrong", "backward", "C04")
    assert found.said == ("It prints: hello … (2 lines in all)",)
    assert found.where.startswith("dx[")


BAD = [
    ("tanh", "while True: pass", LATE, "did not end within 2 seconds"),
    ("tanh", "import os\nos._exit(3)", ERROR, "ended with code 3"),
    ("tanh", "for _ in range(10**9): print('x' * 1000)", LATE, "prints more than 10 million letters"),
]


@pytest.mark.parametrize(("name", "code", "outcome", "text"), BAD)
def test_what_only_a_process_can_bear(tmp_path, name, code, outcome, text):
    found = alone.judged(find(name), in_file(tmp_path, name, code), limit=2.0 if "while" in code else 60)
    assert found.outcome == outcome
    assert text in found.said[0]


UNUSABLE = [
    ("tanh", "", UNFINISHED, "df returns nothing: is it filled in"),
    (
        "tanh",
        "def df(x): raise NotImplementedError",
        UNFINISHED,
        "df is still to be written: it raises NotImplementedE",
    ),
    ("tanh", "def df(x): return 1 / 0", ERROR, "df raises ZeroDivisionError: division by zero, line 12: def df(x)"),
    ("tanh", "raise SystemExit(1)", ERROR, "reading the file raises SystemExit"),
    ("tanh", "def df(x: return", ERROR, "is not Python: line 12"),
    ("tanh", "del df", UNFINISHED, "defines no function df"),
    (
        "tanh",
        "def df(x): return x[0]",
        ERROR,
        "df must give an array of x's shape (2, 3)",
    ),
    ("tanh", "def df(x): return None", UNFINISHED, "df returns nothing"),
    ("tanh", "def df(): return 1", ERROR, "df raises TypeError"),
    ("affine", "def forward(x, W, b): return x @ W.T + b", ERROR, "forward must return two things, y and the cache"),
    (
        "affine",
        RIGHT["affine"].replace(", dy.sum(axis=0)", ""),
        ERROR,
        "backward must return dx, dW, db",
    ),
    ("affine", RIGHT["affine"].replace("dy.sum(axis=0)", "None"), UNFINISHED, "gives None for db"),
    ("adam", "def step(p, g, state): return p", ERROR, "step must return two things"),
    ("adam", "", UNFINISHED, "step returns nothing"),
    ("lstm_cell", "", UNFINISHED, "backward returns nothing"),
]


CLASHES = [
    ("matmul", ("dY @ B.T", "dY @ B"), "backward", "In dY @ B a factor has to be transposed"),
    ("matmul", ("dY @ B.T, A.T @ dY", "dY @ B, A @ dY"), "backward", "In dY @ B a factor has to be transposed"),
    ("matmul", ("dY @ B.T", "B @ dY"), "backward", "In B @ dY the order of the factors is wrong, and so is what is tr"),
    ("matmul", ("dY @ B.T", "dY.dot(B)"), "backward", "In dY.dot(B) a factor has to be transposed"),
    ("matmul", ("A.T @ dY", "A @ dY.T"), "backward", "In A @ dY.T the wrong factor is transposed"),
    ("affine", ("x @ W.T", "x @ W"), None, "In x @ W a factor has to be transposed"),
    (
        "affine",
        ("dy @ W,", "np.matmul(dy, W.T),"),
        "backward",
        "In np.matmul(dy, W.T) a factor is transposed that must",
    ),
    ("rnn", ("dz.T @ x[t]", "dz @ x[t]"), "backward", "In dz @ x[t] a factor has to be transposed"),
    ("layernorm", ("d.mean(-1, keepdims=True)", "d.mean(-1)"), "backward", "d.mean(-1) loses the axis"),
    ("attention", ("dS.T @ Q, P.T @ dY", "dS @ Q, -P.T @ dY"), "backward", None),  # not right with a transpose alone
    ("mean", ("np.ones_like(x) * dy", "dy.reshape(x.shape)"), "backward", None),
    ("conv1d", ("dy.sum((0, 2))", "dy.sum((0, 3))"), "backward", None),
]


@pytest.mark.parametrize(("name", "change", "side", "text"), CLASHES)
def test_shapes_that_do_not_fit_are_wrong_and_named_where_the_rest_is_right(tmp_path, name, change, side, text):
    path = in_file(tmp_path, name, changed(name, change))
    found = judging.judge(find(name), path)
    assert (found.outcome, found.side) == ("wrong", side)
    assert ", line " in found.where
    assert [m.text[: len(text or "")] for m in found.mistakes] == ([text] if text else [])
    assert learn.told(find(name), found, learn.Progress(tries=1)).count("Hint") == 1


def test_sizes_of_some_trials_alone_may_clash(tmp_path):
    code = RIGHT["matmul"].replace("A, B = cache", "A, B = cache\n    if len(A) == 6: return dY @ B, A")
    found = judging.judge(find("matmul"), in_file(tmp_path, "matmul", code))
    assert found.outcome == "wrong"
    assert "dY @ B does not fit together" in found.where


def test_a_softmax_that_overflows_is_told_to_subtract_the_maximum(tmp_path):
    naive = changed("softmax", ("x - x.max(axis=-1, keepdims=True)", "x"))
    found = judging.judge(find("softmax"), in_file(tmp_path, "softmax", naive))
    assert (found.outcome, found.side) == ("wrong", "forward")
    assert "yours nan" in found.where
    assert "Subtract the maximum" in learn.told(find("softmax"), found, learn.Progress())
    assert judging.judge(find("softmax"), in_file(tmp_path, "softmax", RIGHT["softmax"])).good


@pytest.mark.parametrize(("name", "code", "outcome", "text"), UNUSABLE)
def test_what_cannot_be_checked_is_said_in_a_sentence(tmp_path, name, code, outcome, text):
    found = judging.judge(find(name), in_file(tmp_path, name, code))
    assert found.outcome == outcome
    assert text in found.said[0]


def test_a_file_that_begins_with_a_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "bias.py"
    path.write_bytes(b"\xef\xbb\xbfx = 1\n")
    assert judging.loaded(path).x == 1


def test_a_solution_without_the_name_of_its_exercise_is_told_how_it_is_judged(tmp_path):
    path = tmp_path / "bias.py"
    path.write_text('"""Bias."""\n\n\ndef forward(x, b):\n    return x + b\n')
    with pytest.raises(ValueError, match=r"has no HINTS, STUB, CHECKS\. A solution is judged by: manualbp learn bias "):
        read(path)


def test_the_stub_of_every_exercise_is_unfinished(tmp_path):
    for name, exercise in known().items():
        path = tmp_path / f"{name}.py"
        path.write_text(exercise.sheet(path.name), encoding="utf-8")
        assert judging.judge(exercise, path).outcome == UNFINISHED


def test_an_endless_loop_on_call_ends_at_the_limit(tmp_path):
    path = in_file(tmp_path, "tanh", "def df(x):\n    while True: pass")
    assert "without an end" in alone.judged(find("tanh"), path, limit=3.0).said[0]


def test_it_runs_where_torch_is_not_installed(tmp_path):
    script = tmp_path / "blocked.py"
    script.write_text(
        "import sys\nsys.modules['torch'] = None\n"
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda n, *a: None if n == 'torch' else find(n, *a)\n"
        "from reference.teach.judging import main\nmain(*sys.argv[1:])\n"
    )
    for code, outcome in ((RIGHT["tanh"], "right"), ("def df(x): return 1 - np.tanh(x)", "wrong")):
        path, answer = in_file(tmp_path, "tanh", code), tmp_path / "answer.json"
        command = [sys.executable, str(script), str(find("tanh").path), str(path), str(answer)]
        subprocess.run(command, check=True, env={"PYTHONPATH": str(Path(learn.__file__).parents[2])}, timeout=60)
        told = json.loads(answer.read_text())
        assert told["outcome"] == outcome
    assert told["mistakes"][0]["id"] == "C04"


@pytest.mark.usefixtures("_in_this_process")
def test_a_session_of_a_learner(tmp_path):
    out = run("tanh")
    assert out.exit_code == 0
    sheet = Path("tanh.py")
    assert "manualbp learn tanh tanh.py" in sheet.read_text(encoding="utf-8")
    again = run("tanh")
    assert isinstance(again.exception, ValueError)
    assert "is there already" in str(again.exception)
    hints, fitting = known()["tanh"].hints, known()["tanh"].fitting
    told = {
        "x * 0": f"Hint 1 of 3: {hints[0]}",
        "1 - np.tanh(x)": f"Hint 3 of 3, for this mistake: {hints[2]}",
        "1 - x**2": f"Hint, for this mistake: {fitting['C02']}",
        "x * 0 ": f"Hint 3 of 3: {hints[2]}",
    }
    for code, hint in told.items():
        in_file(tmp_path, "tanh", f"def df(x): return {code}")
        out = run("tanh", "tanh.py")
        assert out.exit_code == 1
        assert hint in out.output
        assert "1 − y²" not in out.output  # never the solution
    in_file(tmp_path, "tanh", RIGHT["tanh"])
    out = run("tanh", "tanh.py")
    assert out.exit_code == 0
    assert "✓ tanh: right" in out.output
    assert "Next: manualbp learn chain_rule" in out.output
    listed = run().output
    assert "1 of 30 solved" in listed
    assert "✓" in listed
    assert " 5" in next(line for line in listed.splitlines() if " tanh " in line)


def test_progress_that_cannot_be_read_or_kept_does_no_harm(tmp_path, monkeypatch):
    kept = learn.progress_file()
    kept.parent.mkdir()
    for broken in ("not json", "[]", '{"tanh": 1}', '{"tanh": {"solved": true}}'):
        kept.write_text(broken)
        assert learn.progress() == {}
    assert "0 of 30 solved" in run().output
    monkeypatch.setenv("MANUALBP_PROGRESS", str(kept / "below a file"))
    in_file(tmp_path, "tanh", RIGHT["tanh"])
    out = run("tanh", "tanh.py")
    assert out.exit_code == 0
    assert "could not be kept" in out.output


def test_names_and_files_that_are_not_there():
    for arguments, text in {
        ("tanhh",): "no exercise is called tanhh; did you mean tanh",
        ("tanh", "none.py"): "there is no file none.py",
        ("none.py",): "there is no exercise file none.py",
        ("--grade", "nowhere"): "--grade takes a folder; nowhere is none",
        ("--exercises", "nowhere"): "--exercises takes a folder",
    }.items():
        out = run(*arguments)
        assert out.exit_code != 0
        assert text in str(out.exception)
