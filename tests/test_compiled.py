"""torch as a compiler runs it: mistakes in the backward graph are found and blamed on the compiler, right ones pass,
and what a compiler does not do is an outcome of its own."""

import json
import sys
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from compilers import MISTAKES, name_of
from torch import nn

import manualbp as m
from reference import check_function, check_layer, check_model, cli, verify
from reference.draw.case import Case
from reference.draw.expression import parse
from reference.models import examine_model
from reference.plan import Plan
from reference.report import screen
from reference.sides.compiled import NotCompiledError
from reference.sides.side import Side
from reference.torches import Torches
from reference.verify import chunk


@pytest.fixture
def ran(monkeypatch, capsys):
    def called(*arguments):
        monkeypatch.setattr(sys, "argv", ["manualbp", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out = capsys.readouterr()
        return end.value.code, out.out, out.err

    return called


def compared(case, torches):
    sides = torches.sides(case)
    return verify.check(case, sides), sides


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_of_a_compiler_is_found_and_is_its_own(mistake):
    case = parse(MISTAKES[mistake].case)
    assert not compared(case, Torches("faithful"))[0].wrong
    torches = Torches(name_of(mistake))
    found, _ = compared(case, torches)
    assert found.wrong
    assert not any(t.of.role == "output" for t in found.wrong)
    assert torches.blamed(case, found).wrong_side == "compiled"


@pytest.mark.parametrize("mistake", ["a mask of the other sign", "silu of a permuted input"])
def test_beside_torch_as_it_is_the_side_by_hand_is_the_judge(mistake):
    case, torches = parse(MISTAKES[mistake].case), Torches(name_of(mistake), "eager")
    found, _ = compared(case, torches)
    assert found.wrong
    told = "\n".join(screen.explanation(verify.judged(case, found, torches).report))
    assert "What the compiler made is wrong" in told
    assert "in eager torch it agrees with the side by hand" in told


@dataclass(frozen=True)
class Doubled(Side):
    """Another side, all of whose numbers are twice what they are."""

    of: Side

    def run(self, trial):
        return {n: 2 * a for n, a in self.of.run(trial).items()}


def test_torch_as_it_is_is_blamed_where_what_is_compiled_is_right(monkeypatch):
    right = Torches.side

    def side(torches, case, way, *rest):
        found = right(torches, case, way, *rest)
        return Doubled(found) if way == "eager" else found

    monkeypatch.setattr(Torches, "side", side)
    case, torches = Case(m.Tanh(), (3, 4), seed=1), Torches("faithful", "eager")
    found, _ = compared(case, torches)
    assert torches.blamed(case, found).wrong_side == "eager"


def test_verify_finds_a_mistake_shrinks_it_and_says_how_to_see_it_again(monkeypatch):
    monkeypatch.setattr(verify, "FEW", 3)
    way = name_of("a mask of the other sign")
    found = chunk(Plan(20, layers=("ReLU",), torch=way), 0)
    (failure,) = found.failures
    assert failure.report.wrong_side == "compiled"
    assert failure.command.endswith(f"--torch '{way}'")
    assert not chunk(Plan(3, layers=("ReLU",), torch="faithful"), 0).failures


def test_what_a_compiler_makes_of_a_network_is_counted():
    def outcome(layer, shape):
        found, sides = compared(Case(layer, shape, seed=1), Torches("aot_eager"))
        assert not found.wrong
        return sides[0].outcome

    assert outcome(m.Sequential(m.Linear(3, 4), m.BatchNorm1d(4), m.Tanh()), (5, 3)).kind == "whole"
    parts = outcome(m.BatchNorm1d(3, momentum=None), (5, 3))
    assert parts.kind == "in parts"
    assert any("item" in reason for reason in parts.breaks)
    assert outcome(m.Identity(), (2, 3)).kind == "not at all"


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (m.Dropout(0.4), (3, 4)), (m.RReLU(), (3, 4)),
        (m.Sequential(m.Linear(2, 3), m.FeatureAlphaDropout(0.4)), (4, 2)),
        (m.MultiheadAttention(4, 2, dropout=0.3), (5, 3, 4)),
    ],
    ids=repr,
)  # fmt: skip
def test_random_numbers_are_those_of_the_side_by_hand(layer, shape):
    found, sides = compared(Case(layer, shape, seed=3), Torches("aot_eager"))
    assert found.verdict in ("identical", "rounding")
    assert sides[0].outcome.kind == "whole"


@pytest.mark.parametrize("way", ["aot_eager", "export"])
def test_weights_of_attention_are_dropped_as_by_hand(way):
    found, sides = compared(Case(m.MultiheadAttention(4, 2, dropout=0.3), (2, 3, 4), seed=1), Torches(way))
    assert found.verdict in ("identical", "rounding")
    assert sides[0].outcome.graphs


@pytest.mark.parametrize("way", ["aot_eager", "export"])
def test_buffers_and_both_precisions(way):
    layer = m.Sequential(m.Linear(3, 4), m.BatchNorm1d(4), m.Softmax(-1))
    for dtype in ("float64", "float32"):
        found, _ = compared(Case(layer, (5, 3), seed=2, dtype=dtype), Torches(way))
        assert found.verdict == "rounding"
        assert "1.running_var" in {t.name for t in found.tensors}


def test_a_network_that_was_compiled_takes_other_numbers():
    case, other = (Case(m.Linear(3, 2), (4, 3), seed=seed) for seed in (1, 2))
    side, _ = Torches("aot_eager").sides(case)
    first, second, again = (side.run(c.trial()) for c in (case, other, case))
    assert len(side.networks) == 1
    assert all(np.array_equal(first[n], again[n]) for n in first)
    assert not all(np.array_equal(first[n], second[n]) for n in first)


def test_a_crash_of_a_backend_is_no_mismatch():
    found = chunk(Plan(3, layers=("Linear",), torch="refuses"), 0)
    assert not found.failures
    assert not found.errors
    assert found.compiled.outcomes["crash"] == 3
    ((message, (times, case)),) = found.compiled.failures.items()
    assert "this backend has no such operation" in message
    assert times == 3
    assert "Linear" in case
    assert found.verdict == "vacuous"
    assert any("Not compiled, 3 networks" in line for line in screen.compilations(found.compiled))


def test_an_error_of_torch_as_it_is_is_no_crash_of_a_backend():
    case = Case(m.Linear(3, 2), (4, 3), seed=1)
    side, _ = Torches("refuses").sides(case)
    with pytest.raises(NotCompiledError):
        side.run(case.trial())
    wrong = Case(m.Linear(5, 2), (4, 5), seed=1).trial()
    with pytest.raises(RuntimeError, match="size mismatch"):
        side.run(wrong)


def test_time_is_limited():
    found = chunk(Plan(1, layers=("Linear",), torch="never_ends", limit=0.5), 0)
    assert found.compiled.outcomes["too slow"] == 1
    assert not found.failures


def test_a_run_shows_and_writes_what_became_of_the_networks(ran, tmp_path):
    file = tmp_path / "a.json"
    code, out, _ = ran(
        "verify", "--torch", "aot_eager", "--layer", "MultiLabelMarginLoss", "--cases", 4, "--jobs", 1, "--json", file
    )
    assert code in (0, 3)
    told = json.loads(file.read_text())
    assert sum(told["compiled"]["outcomes"].values()) == 4
    assert told["plan"]["torch"] == "aot_eager"
    assert "compiled " in out.splitlines()[-1]
    if torch.__version__ < "2.14":
        assert "Known to be wrong in this torch" in out
        assert sum(told["compiled"]["known"].values()) > 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--torch", "aot_eagre"], "did you mean aot_eager"),
        (["--torch", "tvm"], "cannot be used here"),
        (["--against", "nonsense"], "--against takes eager"),
        (["--torch", "eager", "--against", "eager"], "with itself"),
        (["--torch", "hand"], "--torch takes eager"),
        (["--torch", "aot_eager", "--dtype", "float16"], "float64"),
        (["--torch", "aot_eager", "--device", "nonsense"], "nonsense"),
    ],
)
def test_a_usage_error_is_one_paragraph_and_code_2(ran, arguments, told):
    code, _, err = ran("verify", *arguments)
    assert code == 2
    assert told in err
    assert "Traceback" not in err


def test_inductor_wants_a_compiler(ran, monkeypatch):
    from torch._inductor import cpp_builder

    def none():
        raise RuntimeError("No working C++ compiler found")

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", none)
    code, _, err = ran("verify", "--torch", "inductor", "--cases", 1)
    assert code == 2
    assert "needs a C++ compiler" in err


def test_one_case_says_who_is_wrong(ran):
    mistake = "a mean in the place of a sum"
    code, out, _ = ran("verify", "--case", MISTAKES[mistake].case, "--torch", name_of(mistake))
    assert code == 1
    assert "What the compiler made is wrong" in out
    assert "compiled: whole" in out


class Net(nn.Module):
    """A model with a forward of its own."""

    def __init__(self, last=nn.Tanh):
        super().__init__()
        self.fc, self.norm, self.drop, self.last = nn.Linear(4, 4), nn.LayerNorm(4), nn.Dropout(0.3), last()

    def forward(self, x):
        return self.last(x + self.drop(self.norm(self.fc(x))))


@pytest.mark.parametrize("way", ["aot_eager", "export"])
def test_a_model_is_right_compiled(way):
    report = check_model(Net(), torch.randn(3, 4), by_layer=True, torch=way)
    assert report, str(report)
    assert report.names[0] != "by hand"


def test_the_node_of_a_model_that_a_compiler_makes_wrong_is_named():
    report = check_model(Net(), torch.randn(3, 4), torch=name_of("statistics of another row"))
    assert not report
    assert report.verdict == "wrong"
    assert report.wrong_side == "compiled"
    assert report.culprit == "norm, its dx"
    assert [n for n, c in report.nodes.items() if c.wrong] == ["norm"]
    assert "First to differ: norm, its dx" in str(report)


def test_what_a_compiler_makes_wrong_of_several_nodes_together_is_told():
    report = check_model(nn.Sequential(nn.Linear(3, 4), nn.Sigmoid()), torch.randn(5, 3), torch="wrong_together")
    assert report.wrong_side == "compiled"
    assert not any(c.wrong for c in report.nodes.values())
    assert any("several together" in note for note in report.notes)


def test_why_no_node_is_judged_exported_is_told():
    report = check_model(Net(), torch.randn(3, 4), torch="export")
    assert any("torch.export takes a whole module" in note and "aot_eager" in note for note in report.notes)
    assert not report.nodes


def test_float32_inside_a_compiled_model_is_coarse():
    report = check_model(nn.Sequential(nn.Linear(3, 4), nn.Hardsigmoid()), torch.randn(5, 3), torch="aot_eager")
    assert report.verdict == "coarse"
    assert report.culprit == "1, its dx"
    assert report.digits in (6, 7, 8)


def test_a_model_that_a_backend_refuses_is_a_sentence():
    with pytest.raises(ValueError, match=r"this backend has no such operation.*agrees with the side by hand"):
        examine_model(nn.Sequential(nn.Linear(3, 4)), (torch.randn(5, 3),), {}, ways=Torches("refuses"))
    with pytest.raises(ValueError, match="did you mean aot_eager"):
        check_model(nn.Linear(3, 4), torch.randn(5, 3), torch="aot_eagr")


def test_a_layer_or_function_of_yours_beside_torch_compiled():
    assert check_layer(m.GELU(), examples=2, torch="aot_eager")
    assert (
        check_layer(m.GELU(), examples=2, torch=name_of("an approximation in the place of a slope")).wrong_side
        == "against"
    )

    def forward(x):
        return np.maximum(x, 0), x

    def backward(dy, x):
        return dy * (x > 0)

    asked = {"against": torch.relu, "inputs": {"x": ("N", "D")}}
    assert check_function(forward, backward, **asked, torch="aot_eager")
    report = check_function(forward, backward, **asked, torch=name_of("a mask of the other sign"))
    assert report.wrong_side == "against"
