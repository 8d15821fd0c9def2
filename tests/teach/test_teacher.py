"""What a teacher does: write an exercise, and grade a class."""

import json
import re
import time
from pathlib import Path
from threading import Event, Timer
from xml.etree import ElementTree

import pytest
from rich.console import Console
from solutions import RIGHT
from typer.testing import CliRunner

from reference.cli import app
from reference.report import terminal
from reference.teach import alone, judging
from reference.teach.exercise import known, read
from reference.teach.judgement import Judgement

OWN = '''"""Doubling

y = 2x.
"""

HINTS = ("Think of x + x.",)
STUB = """
def backward(dy, cache):
    ...


def forward(x):
    return 2 * x, ()
"""
CHECKS = {"double": {"forward": "forward", "backward": "backward", "truth": lambda x: 2 * x, "inputs": {"x": ("N",)}}}
'''


def run(*arguments: str):
    return CliRunner().invoke(app, ["learn", *arguments])


def handed_in(files: dict[str, str], root: Path = Path("class")) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")


@pytest.mark.usefixtures("_in_this_process")
def test_a_teacher_writes_an_exercise_and_grades_a_class(tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "doubling.py").write_text(OWN, encoding="utf-8")
    right = "def forward(x): return 2 * x, ()\ndef backward(dy, cache): return 2 * dy\n"
    handed_in({
        "ada/doubling.py": right, "ada/tanh.py": known()["tanh"].stub + RIGHT["tanh"],
        "ben/doubling.py": right.replace("return 2 * dy", "return dy"), "ben/notes.py": "x = 1",
    })  # fmt: skip
    (tmp_path / "class" / "eve").mkdir()
    out = run("--grade", "class", "--exercises", "own", "--json", "g.json", "--junit", "g.xml")
    assert out.exit_code == 1, out.output
    assert "notes.py is left out: no exercise has this name" in out.output
    assert "2 of 6 right" in out.output
    assert "2/2" in next(line for line in out.output.splitlines() if "ada" in line)
    assert "nothing handed in" in next(line for line in out.output.splitlines() if "eve" in line)
    grades = json.loads(Path("g.json").read_text(encoding="utf-8"))
    assert [(g["learner"], g["exercise"], g["outcome"]) for g in grades] == [
        ("ada", "tanh", "right"), ("ada", "doubling", "right"), ("ben", "tanh", "missing"),
        ("ben", "doubling", "wrong"), ("eve", "tanh", "missing"), ("eve", "doubling", "missing"),
    ]  # fmt: skip
    suites = ElementTree.parse("g.xml").getroot()
    assert [(s.get("name"), s.get("tests"), s.get("failures")) for s in suites] == [
        ("ada", "2", "0"),
        ("ben", "2", "2"),
        ("eve", "2", "2"),
    ]
    assert suites[1][0][0].get("message") == "not handed in"
    assert "Think of x + x" in (suites[1][1][0].text or "")
    assert "doubling" in run("--exercises", "own").output
    assert "2 of 6 right" in run("--grade", "own/../class", "--exercises", "own").output


@pytest.fixture
def _by_its_text(monkeypatch):
    """A solution is judged as it says itself, and not at once."""

    def judged(exercise, path, *_):
        time.sleep(0.05)
        outcome, _, side = path.read_text(encoding="utf-8").partition(" ")
        return Judgement(outcome, side or None)

    monkeypatch.setattr(alone, "judged", judged)


@pytest.mark.usefixtures("_by_its_text")
def test_a_whole_class_is_read_on_eighty_columns(monkeypatch):
    monkeypatch.setattr(terminal, "console", lambda: Console(width=80, highlight=False))
    outcomes = ("right", "wrong backward", "wrong both", "unfinished", "borrowed", "error", "late", "convention")
    names = list(known())
    for k, who in enumerate(("ada", "ben", "Carl-Friedrich Gauß")):
        handed_in({f"{who}/{name}.py": outcomes[(k + 3 * i) % 8] for i, name in enumerate(names) if i % 7 != k})
    out = run("--grade", "class").output
    assert max(map(len, out.splitlines())) <= 80
    assert all(name in out for name in names)
    assert re.findall(r"^(\S.*?) +\d+/30 ", out, re.MULTILINE) == ["Carl-Friedrich Gauß", "ada", "ben"]
    for mark in "✗~…=!∞–":
        assert re.search(rf"^ {re.escape(mark)} +\d+ +[a-z]", out, re.MULTILINE), mark


@pytest.mark.usefixtures("_by_its_text")
def test_more_processes_give_the_same_table_sooner():
    handed_in({f"{who}/{name}.py": "right" for who in ("ada", "ben") for name in list(known())[:8]})
    took, said = [], []
    for jobs in ("1", "8"):
        start = time.monotonic()
        said.append(run("--grade", "class", "--jobs", jobs).output)
        took.append(time.monotonic() - start)
    assert said[0] == said[1]
    assert "16 of 16 right" in said[0]
    assert took[1] < took[0] - 0.2


@pytest.mark.usefixtures("_by_its_text")
def test_what_was_set_is_counted_also_where_nobody_handed_it_in():
    handed_in({"ada/tanh.py": "right", "ada/relu.py": "right"})
    out = run("--grade", "class")
    assert out.exit_code == 0
    assert "Not counted, as nobody handed it in: chain_rule, " in out.output
    out = run("--grade", "class", "--asked", "tanh", "--asked", "log-softmax")
    assert out.exit_code == 1
    assert "1 of 2 right" in out.output
    assert "– log_softmax" in out.output
    assert "Not counted" not in out.output
    assert "did you mean tanh" in str(run("--grade", "class", "--asked", "tan").exception)


@pytest.mark.usefixtures("_by_its_text")
def test_whose_a_file_is():
    handed_in({
        "ada/week 1/tanh.py": "right", "ada/week 2/relu.py": "right",  # folders within a learner's
        "group/ben/tanh.py": "right", "group/eve/tanh.py": "wrong", "group/eve/.venv/tanh.py": "wrong",  # a group's
        "leaky/leaky_relu.py": "right", "leaky/leaky-relu.py": "wrong",  # one exercise twice
    })  # fmt: skip
    Path("class/group/fay").mkdir()
    out = run("--grade", "class", "--json", "g.json").output
    found = {(g["learner"], g["exercise"]): g["outcome"] for g in json.loads(Path("g.json").read_text())}
    assert list(dict.fromkeys(who for who, _ in found)) == ["ada", "group/ben", "group/eve", "group/fay", "leaky"]
    assert found["ada", "tanh"] == found["ada", "relu"] == found["group/ben", "tanh"] == "right"
    assert (found["group/eve", "tanh"], found["group/fay", "tanh"]) == ("wrong", "missing")
    assert found["leaky", "leaky_relu"] == "wrong"
    assert "leaky_relu.py is left out: leaky-relu.py is the same exercise" in out


def test_what_goes_with_grade_alone_is_said():
    for arguments, text in {
        ("tanh", "--grade", "class"): "manualbp learn --grade class --asked tanh",
        ("tanh", "--json", "g.json"): "--json goes with --grade",
        ("--asked", "tanh"): "--asked goes with --grade: manualbp learn --grade class/ --asked",
    }.items():
        out = run(*arguments)
        assert out.exit_code != 0
        assert text in str(out.exception)


def test_what_runs_is_ended_where_nobody_waits_for_it():
    handed_in({"tanh.py": known()["tanh"].stub + "\nwhile True: pass"})
    stop, start = Event(), time.monotonic()
    Timer(4, stop.set).start()
    alone.judged(known()["tanh"], Path("class/tanh.py"), 300, stop)
    assert time.monotonic() - start < 60


def test_a_folder_without_exercises_is_said(tmp_path):
    (tmp_path / "empty").mkdir()
    out = run("--grade", "empty")
    assert "holds no exercise: a file is called as its exercise" in str(out.exception)


@pytest.mark.parametrize(
    ("text", "said"),
    {
        "x = ": "cannot be read: SyntaxError",
        "x = 1": "has no text at its beginning, HINTS, STUB, CHECKS. What an exercise is",
        "'text'\nHINTS = STUB = 'h'\nCHECKS = [1]": "CHECKS is [1], and no dict by name",
        OWN.replace(
            "STUB", "FITTING = {'B04': 2}\nSTUB"
        ): "FITTING has 2; it takes a hint in quotes, or the number of one",
        OWN.replace('"forward": "forward", ', ""): "check 'double' has backward, truth, inputs; it needs f and df",
    }.items(),
)
def test_an_exercise_that_is_none_is_said(tmp_path, text, said):
    path = tmp_path / "own.py"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="the exercise") as e:
        read(path)
    assert said in str(e.value)


def test_the_exercise_that_is_shown_is_one(tmp_path):
    for arguments in (("--new", "own/doubling.py"), ("own/doubling.py",)):
        assert run(*arguments).exit_code == 0
    assert "manualbp learn own/doubling.py doubling.py" in Path("doubling.py").read_text(encoding="utf-8")
    assert run("own/doubling.py", "doubling.py").exit_code == 3
    sheet = Path("doubling.py").read_text(encoding="utf-8")
    for given, code in (("dy", 1), ("2 * dy", 0)):
        text = sheet.replace('"""The gradient of x."""', f"return {given}")
        Path("doubling.py").write_text(text, encoding="utf-8")
        assert run("own/doubling.py", "doubling.py").exit_code == code
    assert "is there already" in str(run("--new", "own/doubling.py").exception)
    assert "is no .py" in str(run("--new", "other").exception)
    (tmp_path / "tanh.py").write_text(Path("own/doubling.py").read_text(encoding="utf-8"), encoding="utf-8")
    assert "tanh.py is the exercise itself" in str(run("tanh.py").exception)


TWO = """'Text'
import manualbp as m

HINTS = ("Think.",)
STUB = '''
import numpy as np


def forward(x, w):
    return np.exp(w) * x, (x, w)


def backward(dy, cache):
    ...


def step(p, g, state):
    ...
'''
E = 2.718281828459045
CHECKS = {
    "two": {"forward": "forward", "backward": "backward", "truth": lambda x, w: x * E**w,
            "inputs": {"x": ("N", "D"), "w": ("D",)}},
}
"""
SOLVED = """
import numpy as np
def forward(x, w): return np.exp(w) * x, (x, w)
def backward(dy, cache): return dy * np.exp(cache[1]), (dy * np.exp(cache[1]) * cache[0]).sum(0)
def step(p, g, state): return p, 0
"""
TRUTH = '"truth": lambda x, w: x * E**w'
FAULTS = {
    "import": ("import numpy", "import nompy", "the STUB raises ModuleNotFoundError"),
    "no Python": ("def backward(dy, cache)", "def backward(dy", "the STUB raises SyntaxError"),
    "a name": ("def backward", "def back", "CHECKS['two'] asks for backward, which the STUB does not define"),
    "arguments": (TRUTH, '"truth": lambda x: x', "the truth of CHECKS['two'] raises TypeError: <lambda>() takes 1"),
    "an error": (TRUTH, '"truth": lambda x, w: x.foo()', "raises AttributeError: 'numpy.ndarray' object has no attr"),
    "numbers": (TRUTH, '"truth": lambda x, w: x * w', "gives another y than the forward pass in the STUB (N = 3"),
    "a shape": (TRUTH, '"truth": lambda x, w: x @ w', "gives another y than the forward pass in the STUB (N = 3"),
    "infinite": (TRUTH, '"truth": lambda x, w: x / (w - w)', "that is infinite or NaN on the numbers drawn"),
    "inputs": ('("D",)', '("D + ",)', "inputs of CHECKS['two'] raises ValueError"),
    "a layer": (TRUTH, '"layer": lambda x, w: (m.Tanh(), {}, x)', "the layer of CHECKS['two'] does not use w"),
    "parameters": (TRUTH, '"layer": lambda x, w: (m.Linear(2, 3), {}, x)', "the layer of CHECKS['two'] raises"),
    "a step": (
        '"two": {',
        '"s": {"step": "step", "optimizer": m.Tanh()}, "two": {',
        "CHECKS['s']: optimizer is Tanh()",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_with_an_exercise_is_no_mistake_of_a_learner(tmp_path, fault):
    old, new, text = FAULTS[fault]
    assert TWO.count(old) == 1
    for name, code in {"two.py": TWO.replace(old, new), "solution.py": SOLVED, "good.py": TWO}.items():
        (tmp_path / name).write_text(code, encoding="utf-8")
    assert judging.judge(read(tmp_path / "good.py"), tmp_path / "solution.py") == Judgement("right")
    found = judging.judge(read(tmp_path / "two.py"), tmp_path / "solution.py")
    assert found.outcome == "faulty", found
    assert text in found.said[0]


@pytest.mark.usefixtures("_in_this_process")
def test_the_fault_of_an_exercise_is_told_once_in_the_grades():
    handed_in({"ours/two.py": TWO.replace(TRUTH, '"truth": lambda x, w: x * w')}, Path())
    handed_in({"ada/two.py": SOLVED, "ben/two.py": SOLVED})
    out = run("--grade", "class", "--exercises", "ours")
    assert out.exit_code == 2
    assert "0 of 0 right" in out.output
    assert out.output.count("gives another y than the forward pass in the STUB") == 1
    out = run("ours/two.py", "class/ada/two.py")
    assert out.exit_code == 2
    assert "the fault is the exercise's" in out.output
    assert f"Tell who wrote it: {Path('ours/two.py')}" in out.output


def test_a_stub_that_is_to_be_mended_may_be_wrong(tmp_path):
    broken = TWO.replace("    ...", "    return 0 * dy, 0 * dy[0]", 1).replace("np.exp(w) * x,", "np.exp(w) + x,")
    for name, code in {"two.py": broken, "solution.py": SOLVED}.items():
        (tmp_path / name).write_text(code, encoding="utf-8")
    assert judging.judge(read(tmp_path / "two.py"), tmp_path / "solution.py").good


@pytest.mark.usefixtures("_in_this_process")
@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (TRUTH, '"truth": lambda x, w: x * w', "is not handed out: .* gives another y"),
        ('"truth"', '"truht"', "has truht, none of f, df"),
        ("HINTS = (", "HINTS = str(", "HINTS is one text"),
    ],
)
def test_an_exercise_that_is_not_in_order_is_not_handed_out(old, new, says):
    handed_in({"ours/two.py": TWO.replace(old, new)}, Path())
    out = run("ours/two.py")
    assert isinstance(out.exception, ValueError)
    assert re.search(says, str(out.exception))
    assert not Path("two.py").exists()


@pytest.mark.usefixtures("_in_this_process")
def test_a_solution_beside_the_learners_folders_is_nobodys():
    handed_in({"tanh.py": SOLVED, "ada/tanh.py": SOLVED})
    out = run("--grade", "class")
    assert "class/tanh.py is left out: it is in no learner's folder" in out.output
    assert "of 1 right" in out.output
