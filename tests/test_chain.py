"""The chain rule of a model, written out: as a table folded by module, as a picture, as a page; and what it costs."""

import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from browser import ACCESSIBILITY, AXE, ROOTS, needs_browser, on_phone, visit
from models import samples
from torch import nn
from typer.testing import CliRunner
from wellformed import read

from reference import check_model, cost, models, picture
from reference.chain import cells, chain_of, chain_rule, explain_model
from reference.cli import app
from reference.folding import FoldedModule, folded, parts_of
from reference.models import prepared
from reference.teach.model_page import page
from reference.teach.source import steps

NAMES = [*samples()]


class Attending(nn.Module):
    """Attention to itself: one value is query, key and value."""

    def __init__(self):
        super().__init__()
        self.inner, self.attention = nn.Linear(4, 4), nn.MultiheadAttention(4, 2)

    def forward(self, x):
        h = self.inner(x)
        return self.attention(h, h, h, need_weights=False)[0]


def chain(name, only="*"):
    model, sample = samples()[name]
    return chain_of(prepared(model, sample, {}), only)


@pytest.mark.parametrize("name", NAMES)
def test_every_gradient_that_comes_back_is_torchs(name):
    found = chain(name)
    for line in found.lines:
        if line.torch is not None:
            assert line.hand is not None, line.name
            assert np.isclose(line.hand, line.torch, rtol=1e-9, atol=1e-13), line.name
    assert sum(line.torch is not None for line in found.lines) >= len(found.lines) / 3


def test_the_loss_that_gradients_are_those_of_is_said():
    """A model that ends in a loss has one as its output, too, times a drawn factor: its reader would expect 1."""
    model, x = nn.Sequential(nn.Linear(3, 2), nn.Flatten(0), nn.Tanh()), torch.ones(2, 3)
    assert "The loss is Σ y dy" in explain_model(model, x)

    class WithLoss(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model

        def forward(self, x):
            return self.inner(x).square().mean()

    given = prepared(WithLoss(), (x,), {}, 0)
    assert f"the loss is {float(given.trial.dy):.4g} times it" in explain_model(WithLoss(), x)


def test_a_long_model_is_folded_by_module_and_unfolds():
    found = chain("gpt")
    text = chain_rule(found)
    assert "▸ blocks.0.attn  CausalAttention, 23 steps  ln_1" in text
    assert "  blocks.0.attn.softmax" not in text
    assert "--only 'blocks.0.attn.*' shows them" in text
    model, sample = samples()["gpt"]
    for option in ({"only": "blocks.0.attn.*"}, {"node": "blocks.0.attn"}):
        unfolded = explain_model(model, *sample, **option)
        assert "▸" not in unfolded
        assert "  blocks.0.attn.softmax" in unfolded
        assert "blocks.1" not in unfolded


def test_a_folded_module_says_what_is_in_it():
    found = chain("gpt")
    part = next(p for p in folded(found.parts) if isinstance(p, FoldedModule) and p.path == "blocks.1.mlp")
    _, what, of, shape, parameters, by_hand, by_torch, *_ = cells(found, part)
    assert (what, of, shape) == ("Sequential, 3 steps", "ln_2", "2×6×8")
    assert parameters == str(8 * 16 + 16 + 16 * 8 + 8)
    assert by_hand == by_torch == f"{found.line('blocks.1.mlp.2').hand:.4g}"


def test_steps_are_folded_as_deep_as_lines_allow():
    lines = [SimpleNamespace(name=n) for n in ("a", "m.x.1", "m.x.2", "m.y.1", "m.y.2", "b")]
    parts = parts_of(lines)
    assert [p.name for p in folded(parts, 3)] == ["a", "m", "b"]
    assert [p.name for p in folded(parts, 4)] == ["a", "m.x", "m.y", "b"]
    assert [p.name for p in folded(parts, 6)] == [line.name for line in lines]


def test_tied_weights_count_once():
    found = chain("gpt")
    total = {n: k for line in found.lines for n, k in line.params.items()}
    assert sum(total.values()) == sum(p.numel() for p in samples()["gpt"][0].parameters())


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_has_every_step_and_every_path(name):
    found = chain(name)
    text = picture.dot(found, list(found.lines))
    for line in found.lines:
        assert f'"{line.name}" [label=<' in text
    joined = set(re.findall(r'"([^"]+)" -> "([^"]+)"', text))
    for line in found.lines:
        for user in line.meets:
            assert user == "the loss" or (line.name, user) in joined
    assert text.count("{") == text.count("}")


def test_a_picture_is_laid_out_by_graphviz():
    pytest.importorskip("pygraphviz")
    drawn = picture.svg(chain("resnet"))
    assert drawn.startswith("<svg")
    assert "prefers-color-scheme: dark" in drawn
    for shown in ("blocks.0", "Conv2d(4, 4, 3, padding=1, bias=False)", "gradients meet"):
        assert shown in drawn


def test_a_picture_without_the_library(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    with pytest.raises(ValueError, match=r"pip install 'manualbp\[picture\]'"):
        picture.svg(chain("skip"))


NET = """
import torch
model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
sample = torch.randn(5, 3)
"""


def test_a_page_and_a_picture_from_the_terminal(tmp_path):
    net, made = tmp_path / "net.py", tmp_path / "page.html"
    net.write_text(NET)
    result = CliRunner().invoke(app, ["explain", f"{net}:model", "--html", str(made)])
    assert result.exit_code == 0, result.output
    assert "3 steps as a page" in result.output
    assert "back-propagated by hand" in made.read_text()
    assert CliRunner().invoke(app, ["explain", "--picture", "graph.svg"]).exit_code == 2


@pytest.fixture(scope="module", params=["gpt", "resnet"])
def made(request):
    found = chain(request.param)
    return found, page(found)


def test_a_page_is_one_file_that_reads_without_a_script(made):
    found, text = made
    html = read(text)
    assert html.outside == []
    for line in found.lines:
        assert line.name.rpartition(".")[2] in html.text
        assert str(line.node.layer) in html.text
    assert html.text.count("Backward") >= len(found.lines)
    assert {u[1:] for u in html.links if u.startswith("#step")} <= set(html.ids)
    for t in found.report.tensors:
        assert t.name in html.text or t.of.role != "gradient"


@needs_browser
def test_a_page_unfolds_in_a_browser(made, tmp_path):
    _, text = made
    script = """
    const shut = document.querySelectorAll("details[open]").length;
    document.getElementById("unfold").click();
    const modules = document.querySelectorAll("details.module[open]").length;
    document.getElementById("fold").click();
    location.hash = "#step-12";
    await new Promise((done) => setTimeout(done, 200));
    return [shut, modules, document.querySelectorAll("details.module").length, document.getElementById("step-12").open,
            document.documentElement.scrollWidth <= innerWidth];
    """
    for width in (1280, 420):
        shut, opened, modules, reached, fits = visit(text, script, tmp_path, width=width)
        assert (shut, opened, reached, fits) == (0, modules, True, True)


def test_a_step_that_takes_a_value_several_times_is_said_once():
    text = read(page(chain_of(prepared(Attending(), (torch.randn(3, 2, 4),), {}), "*"))).text
    assert "inner : from attention (3 times)" in text


@needs_browser
def test_roots_have_their_sign_and_a_wide_picture_is_first_seen_at_the_input(made, tmp_path):
    found, text = made
    opened = 'document.querySelectorAll("details").forEach((d) => { d.open = true; });'
    if any("√" in step.text for line in found.lines for step in steps(type(line.node.layer))):
        assert min(visit(text, opened + ROOTS, tmp_path)) > 3
    if "<svg" in text:
        seen = """
        const box = document.querySelector(".picture").getBoundingClientRect();
        const at = [...document.querySelectorAll(".picture .given")].map((g) => g.getBoundingClientRect());
        const input = at.reduce((a, b) => (b.top < a.top ? b : a));
        return [input.left >= box.left && input.right <= box.right];
        """
        assert on_phone(text, seen, tmp_path) == [True]


def test_lines_of_a_box_stand_in_its_middle():
    pytest.importorskip("pygraphviz")
    drawn = picture.svg(chain("resnet"))
    boxes = [match[0] for match in picture.BOX.finditer(drawn) if "<path" in match[0]]
    assert boxes
    for box in boxes:
        assert 'text-anchor="start"' not in box
        assert len(set(re.findall(r'text-anchor="middle" x="([^"]+)"', box))) == 1


@needs_browser
@pytest.mark.skipif(AXE is None, reason="AXE_JS names no axe-core")
def test_a_page_is_accessible(made, tmp_path):
    script = 'document.querySelectorAll("details").forEach((d) => { d.open = true; });' + ACCESSIBILITY
    assert visit(made[1], script, tmp_path, axe=True) == []


# What it costs


def test_a_large_model_says_what_it_costs_before_it_starts(monkeypatch, capsys):
    model, x = nn.Sequential(nn.Linear(4, 3), nn.Tanh()), torch.randn(2, 4)
    check_model(model, x)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(cost, "LONG", 0.0)
    check_model(model, x)
    assert re.match(
        r"Sequential: 2 steps, 15 parameters; about \d+ s, and .* GB for a pass by hand", capsys.readouterr().err
    )


def test_memory_by_hand_is_near_what_a_pass_takes():
    import tracemalloc

    from reference.sides.model import Graphed

    net = nn.Sequential(nn.Conv2d(8, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.Flatten(), nn.Linear(2304, 64))
    given = prepared(net, (torch.randn(8, 8, 16, 16),), {})
    expected = cost.cost_of(given.reads["float64"], 0, 1.0, 0.0).memory
    side = Graphed(given.reads, 0)
    side.run(given.trial)
    tracemalloc.start()
    side.run(given.trial)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.4 < expected / taken < 1.5


def test_who_stops_it_keeps_the_nodes_that_were_compared(monkeypatch):
    whole = models.each_alone

    def stopped(*args):
        for i, each in enumerate(whole(*args)):
            if i == 4:
                raise KeyboardInterrupt
            yield each

    monkeypatch.setattr(models, "each_alone", stopped)
    model, sample = samples()["resnet"]
    report = check_model(model, *sample, by_layer=True)
    assert len(report.nodes) == 4
    assert "interrupted: 4 of 19 nodes were compared alone" in report.notes


def test_progress_tells_every_node():
    model, sample = samples()["skip"]
    seen = []
    models.examine(prepared(model, sample, {}), True, "*", lambda *told: seen.append(told))
    assert seen == [("the whole model", 0, 1), ("up", 1, 4), ("act", 2, 4), ("down", 3, 4), ("add", 4, 4)]


def test_gradients_meet_at_an_input_that_several_steps_use():
    class Block(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = torch.nn.Linear(4, 4)

        def forward(self, x):
            return x + torch.relu(self.inner(x))

    chain = chain_of(prepared(Block(), (torch.randn(3, 4),), {}))
    assert chain.met_at_inputs == {"x": ("inner", "add")}
    assert "this model is a chain" not in page(chain)
    assert "the input x : from inner and add" in read(page(chain)).text
