"""The main job: what it prints, what it writes, how it ends, and that it finds and shrinks what is wrong."""

import json
import sys
from xml.etree import ElementTree

import pytest

import manualbp as m
from reference import cli, verify
from reference.draw import goals
from reference.draw.architectures import Drawn
from reference.draw.case import Case
from reference.draw.expression import parse
from reference.plan import Plan, classes_of
from reference.report import screen
from reference.tally import Tally
from reference.twin import modules
from reference.verify import chunk, draw_case


def ran(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["manualbp", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    out = capsys.readouterr()
    return end.value.code, out.out, out.err


def test_a_run_ends_with_a_table_and_one_summary_line(monkeypatch, capsys, tmp_path):
    files = tmp_path / "a.json", tmp_path / "a.xml"
    code, out, _ = ran(
        monkeypatch, capsys, "verify", "--cases", 40, "--jobs", 1, "--json", files[0], "--junit", files[1], "--seed", 3
    )
    assert code == 0
    assert "Layers" in out
    assert "40 networks, no mismatch" in out.splitlines()[-1]
    assert json.loads(files[0].read_text())["cases"] == 40
    assert ElementTree.parse(files[1]).getroot().get("failures") == "0"


def test_quiet_prints_the_summary_alone(monkeypatch, capsys):
    code, out, _ = ran(monkeypatch, capsys, "verify", "--cases", 5, "--jobs", 1, "--quiet", "--layer", "Linear")
    assert code == 0
    assert len(out.splitlines()) == 1


@pytest.mark.parametrize("regime", ["exact", "real"])
def test_a_regime_can_be_chosen(regime):
    found = chunk(Plan(30, layers=("Linear",), regime=regime), 0)
    assert not found.failures
    assert bool(found.total.certified) == (regime == "exact")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--layer", "LayrNorm"], "did you mean LayerNorm"),
        (["--regime", "exactly"], "did you mean exact"),
        (["--dtype", "float16"], "float64"),
        (["--device", "nonsense"], "nonsense"),
        (["--case", "Case(Liner(2, 3), (4, 2))"], "Linear"),
        (["--case", "Linear(2, 3)"], "Case(Linear"),
        (["--cases", "0"], "--cases"),
        (["--case", "Case(Linear(2, 3), (4, 5))"], "in_features = 2"),
    ],
)
def test_a_usage_error_is_one_paragraph_and_code_2(monkeypatch, capsys, arguments, told):
    code, _, err = ran(monkeypatch, capsys, "verify", *arguments)
    assert code == 2
    assert told in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("no/a.json", "there is no folder"),
        (".", "is a directory"),
        ("link", "no such file"),  # a link to nowhere looks as if it could be written
    ],
)
def test_a_file_that_cannot_be_written_is_told_before_the_work(monkeypatch, capsys, tmp_path, path, told):
    (tmp_path / "link").symlink_to(tmp_path / "no" / "where")
    monkeypatch.setattr(verify, "check", None)  # whatever is compared fails
    code, out, err = ran(monkeypatch, capsys, "verify", "--cases", 5, "--jobs", 1, "--json", tmp_path / path)
    assert code == 2
    assert "cannot be written" in err
    assert told in err
    assert not out
    assert [f.name for f in tmp_path.iterdir()] == ["link"]


def test_every_figure_is_explained_in_the_help(monkeypatch, capsys):
    _, out, _ = ran(monkeypatch, capsys, "verify", "--help")
    assert all(f"- {word}:" in out for word in ("err/bound", "power", "blind", "vacuous"))


def test_one_case_is_shown_tensor_by_tensor(monkeypatch, capsys):
    code, out, _ = ran(monkeypatch, capsys, "verify", "--case", repr(Case(m.Linear(2, 3), (4, 2), seed=5)))
    assert code == 0
    assert "dweight" in out


def test_nothing_to_see_is_vacuous(monkeypatch, capsys):
    code, _, _ = ran(monkeypatch, capsys, "verify", "--case", repr(Case(m.Softmax(-1), (4, 1), seed=5)))
    assert code == 3


def test_a_mistake_is_found_shrunk_and_reproduced_by_its_command(monkeypatch, capsys):
    right = m.Linear.backward

    def forgot_the_bias_of_all_rows_but_the_last(self, params, cache, dy):
        dx, grads = right(self, params, cache, dy)
        return dx, grads | ({"bias": dy.reshape(-1, self.out_features)[-1]} if self.bias else {})

    monkeypatch.setattr(m.Linear, "backward", forgot_the_bias_of_all_rows_but_the_last)
    code, out, _ = ran(monkeypatch, capsys, "verify", "--cases", 200, "--jobs", 1, "--layer", "Linear")
    assert code == 1
    assert "bias" in out
    command = next(line for line in out.splitlines() if "--case" in line)
    case = parse(command.split("--case ")[1].strip("' "))
    assert len(repr(case)) < 200
    (wrong,) = verify.check(case).wrong
    assert "bias" in wrong.name  # "dbias" of a layer alone, "model.0.bias.grad" inside a network


def test_what_interrupts_keeps_what_was_covered(monkeypatch, capsys):
    def interrupted(plan, jobs, progress, tally):
        tally.merge(chunk(Plan(10, layers=("Linear",)), 0))
        raise KeyboardInterrupt

    monkeypatch.setattr(verify, "verify", interrupted)
    code, out, _ = ran(monkeypatch, capsys, "verify", "--quiet")
    assert code == 130
    assert "Interrupted: that is what 10 of 2000 networks gave" in out
    assert "10 networks, no mismatch" in out


def test_one_case_is_no_campaign(monkeypatch, capsys, tmp_path):
    case, folder = repr(Case(m.Linear(2, 3), (4, 2), seed=5)), tmp_path / "run"
    code, _, err = ran(monkeypatch, capsys, "verify", "--case", case, "--resume", folder)
    assert code == 2
    assert "is one comparison, no campaign" in err
    assert not folder.exists()


def test_two_processes_cover_what_one_does():
    plan = Plan(60, layers=("Linear", "Tanh"))
    one, two = (verify.verify(plan, jobs, tally=Tally()) for jobs in (1, 2))
    assert one.total.cases == two.total.cases == 60
    assert {n: r.cases for n, r in one.rows.items()} == {n: r.cases for n, r in two.rows.items()}


def test_every_class_has_its_turn():
    plan = Plan()
    classes = classes_of(plan)
    cases = [draw_case(plan, classes, i, Drawn((1, i))) for i in range(8 * len(classes))]
    drawn = {type(part).__name__ for case in cases for part in parts(case)}
    assert {c.__name__ for c in classes} - drawn == set()


def parts(case):
    from reference.sides.record import walk

    return [*walk(case.layer), case.optimizer] if case else []


def test_coverage_goals_are_reached_by_a_run_of_modest_length():
    classes = classes_of(Plan())
    plan, tally = Plan(16 * len(classes), seed=5), Tally()
    for i in range(plan.cases):
        if (case := draw_case(plan, classes, i, Drawn((5, i)))) is not None:
            tally.goals.update(goals.reached(case)[1])
    assert tally.missing(plan) == []


def test_goals_of_graphs_see_their_structure():
    node, add = m.graph.Node, m.operations.Add()
    chain = m.Graph(node("a", m.Tanh(), "x"), node("b", m.ReLU(), "a"))
    apart = node("b", m.ReLU(), "a"), node("c", m.Tanh(), "a")
    diamond = m.Graph(node("a", m.Tanh(), "x"), *apart, node("d", add, ("b", "c")))
    again = m.Graph(node("a", m.Linear(2, 2), "x"), node("b", m.Linear(2, 2), "a", "a"), node("c", add, ("b", "b")))
    found = [{name for name, has in goals.GRAPHS.items() if has(graph)} for graph in (chain, diamond, again)]
    assert found[0] == set()
    assert found[1] == {"a step that several others take", "paths that part and meet again"}
    assert found[2] == {"a module used again", "one value twice into one step"}


def test_a_mismatch_says_which_side_is_wrong(monkeypatch):
    case = Case(m.Sequential(m.InstanceNorm2d(4), m.GRU(1, 2, batch_first=True), m.Select()), (4, 4, 1))
    assert not verify.check(case).wrong
    monkeypatch.setattr(modules, "in_plain_strides", lambda module: module)  # as torch is: see test_torch_limits.py
    assert "PyTorch's gradient is wrong" in told(case)
    right = m.BatchNorm2d.backward
    monkeypatch.setattr(m.BatchNorm2d, "backward", lambda *given: (2 * right(*given)[0], right(*given)[1]))
    assert "by hand is wrong" in told(Case(m.BatchNorm2d(4), (2, 4, 3, 3)))


def told(case):
    return "\n".join(screen.explanation(verify.judged(case, verify.check(case)).report))


@pytest.mark.parametrize("layer", [m.Threshold(100.0, 1.0), m.operations.Floor(), m.operations.LogicalAnd()], ids=str)
def test_what_has_no_gradient_is_seen_beside_what_has_one(layer, monkeypatch):
    case = Case(layer, (3, 4), seed=3)
    assert verify.check(case).verdict == "vacuous"
    seen = verify.beside(case)
    assert verify.check(seen).verdict in ("identical", "rounding")
    if not isinstance(layer, m.operations.LogicalAnd):
        right = type(layer).backward
        monkeypatch.setattr(type(layer), "backward", lambda *given: (right(*given)[0] + 1e-9, {}))
        assert verify.check(seen).verdict == "wrong"
