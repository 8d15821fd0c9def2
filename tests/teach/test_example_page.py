"""The worked example as a page: its numbers are those of Python, in the text and in a real browser."""

import json
import re

import numpy as np
import pytest
import torch
from browser import ACCESSIBILITY, AXE, needs_browser, on_phone, visit
from typer.testing import CliRunner
from wellformed import read

from manualbp.loss import MSELoss
from reference import explain
from reference.cli import app
from reference.teach import example, example_page
from reference.teach.example import MISTAKES, PARAMETERS
from reference.teach.formula import Formula, spoken
from reference.teach.render import plain, power

NAMES = list(example.FORMULAS)


@pytest.fixture(scope="module")
def page():
    return example_page.page()


def random_values(seed: int) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    values = {name: float(v) for name, v in zip(example.start(), rng.uniform(-2, 2, 13))}
    return values | {"Y": float(rng.uniform(0, 1)), "α": float(rng.uniform(0, 5))}


def by_layers(values: dict[str, float]) -> dict[str, float]:
    """The same step by manualbp's layers, under the names of the page."""
    x, y = np.array([values["X1"], values["X2"]]), np.array([values["Y"]])
    params = explain.start()
    for symbol, (path, index) in explain.PLACES.items():
        child, name = path.split(".")
        params[child][name][index] = values[symbol]
    outs, caches, grads, flow = [], {}, {}, x
    for name, layer in explain.NET.children().items():
        flow, caches[name] = layer.forward(params.get(name, {}), flow)
        outs.append(flow)
    loss, cache = MSELoss().forward({}, (flow, y))
    (d, _), _ = MSELoss().backward({}, cache, np.array(0.5))
    douts = [d]
    for name, layer in reversed(explain.NET.children().items()):
        d, grads[name] = layer.backward(params.get(name, {}), caches[name], d)
        douts.insert(0, d)
    grads = {path: grads[path.split(".")[0]][path.split(".")[1]] for path, _ in explain.PLACES.values()}
    old = {path: params[path.split(".")[0]][path.split(".")[1]] for path in grads}
    new = {path: old[path] - values["α"] * g for path, g in grads.items()}
    found = explain._named(outs, 0.5 * loss, douts, grads, new)
    return {name: found[spoken(name)] for name in NAMES}


def by_autograd(values: dict[str, float]) -> dict[str, float]:
    """Every gradient of the step from autograd, run through the same formulas as tensors of one number."""
    v = {n: torch.tensor(x, dtype=torch.float64, requires_grad=True) for n, x in values.items()}
    for j, (a, b) in {"h1": ("W11", "W21"), "h2": ("W12", "W22")}.items():
        v[f"Z_{j}"] = v["X1"] * v[a] + v["X2"] * v[b] + v["B" + j[1]]
        v[f"A_{j}"] = torch.sigmoid(v[f"Z_{j}"])
    v["Z_o1"] = v["A_h1"] * v["W31"] + v["A_h2"] * v["W41"] + v["B3"]
    v["A_o1"] = torch.sigmoid(v["Z_o1"])
    for name in ("Z_h1", "A_h1", "Z_h2", "A_h2", "Z_o1", "A_o1"):
        v[name].retain_grad()
    (0.5 * (v["Y"] - v["A_o1"]) ** 2).backward()
    return {n: float(v["Z" + n[1:] if n[0] == "δ" else n[1:]].grad) for n in NAMES if n[0] in "δd"}


def test_the_lines_are_those_of_explain_to_the_last_bit():
    rows = {row.quantity: row for row in explain.first_step()}
    found = example.step(example.start())
    assert example.rows() == list(rows)
    assert {n: found[n] for n in NAMES} == {n: rows[spoken(n)].by_hand for n in NAMES}


@pytest.mark.parametrize("seed", range(5))
def test_random_values_by_formula_by_layers_and_by_autograd(seed):
    values = random_values(seed)
    found, layers, autograd = example.step(values), by_layers(values), by_autograd(values)
    assert found == pytest.approx(values | layers, rel=1e-13, abs=1e-17)
    assert {n: found[n] for n in autograd} == pytest.approx(autograd, rel=1e-12, abs=1e-17)


def test_the_losses_are_those_of_explain():
    both = [at.by_hand for at in explain.losses(30)]
    assert list(example.losses(example.start(), updates=30)) == pytest.approx(both, rel=1e-13)


def test_a_formula_is_written_with_the_parentheses_that_it_needs():
    assert Formula("a*(1 - (b - c))").filled == "{a} · (1 − ({b} − {c}))"
    assert Formula("-(Y - A)").filled == "−({Y} − {A})"
    assert Formula("0.5*(Y - A)**2").filled == "½ · ({Y} − {A})²"
    assert Formula("a/(b*c) + sigmoid(-z)").filled == "{a} / ({b} · {c}) + σ(−{z})"
    assert Formula("sigmoid(A_o1)*2").script == "sigmoid(v.A_o1) * 2"
    with pytest.raises(ValueError, match="no a"):
        _ = Formula("a[0]").filled


def test_numbers_are_written_out():
    assert plain(-0.0000507990) == "−0.000050799"
    assert power(0.00125) == "1.25·10⁻³"
    assert power(0.0) == "0"


@pytest.mark.parametrize("m", MISTAKES, ids=lambda m: m.id)
def test_every_mistake_changes_something_and_says_the_truth(m):
    start = example.start()
    right, wrong = example.step(start), example.step(start, m)
    assert any(right[n] != wrong[n] for n in NAMES)
    losses = list(example.losses(start, m, 1000))
    assert ("the loss grows" in m.shows) == (losses[-1] > losses[0])


def test_there_are_mistakes_that_train_and_some_that_do_not():
    ends = [list(example.losses(example.start(), m, 1000))[-1] for m in MISTAKES]
    assert len(MISTAKES) >= 10
    assert sum(end < 1e-4 for end in ends) >= 10
    assert any(end > 0.1 for end in ends)


def test_every_line_says_why():
    found = {line.quantity: line.why for line in example.lines()}
    assert found["dX1"] != found["dW11"] != found["dW31"]
    assert "X feeds" not in found["Z_h1"]
    assert "bias" in found["dB3"]


def test_the_page_reads_as_a_text_with_all_numbers_without_javascript(page):
    found = read(page)
    rows = explain.first_step()
    for row in rows:
        for value in (row.by_hand, row.pytorch):
            assert plain(value) in found.text
        assert row.text.replace("-", "−") in found.text
    for m in MISTAKES:
        assert m.title in found.text
        assert m.shows in found.text
    assert "= 0.05 · 0.15 + 0.1 · 0.2 + 0.3364653772" in found.text
    assert "= (−0.0105) · 0.59" in found.text
    assert "(out, in)" in found.text
    assert found.outside == []  # no network


def test_the_command_writes_it(tmp_path):
    path = tmp_path / "example.html"
    assert CliRunner().invoke(app, ["explain", "--html", str(path)]).exit_code == 0
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")


NUMBERS = """
const out = {};
for (const [i, values] of CASES.entries()) out[i] = [compute(values, ""), losses(values, "", 20)];
for (const id of Object.keys(WRONG)) out[id] = [compute(DATA.start, id), losses(DATA.start, id, 20)];
return out;
"""


@needs_browser
def test_the_numbers_of_the_browser_are_those_of_python(page, tmp_path):
    cases = [random_values(seed) for seed in range(20)]
    found = visit(page, NUMBERS.replace("CASES", json.dumps(cases)), tmp_path)
    for i, values in enumerate(cases):
        step, losses = found[str(i)]
        assert step == pytest.approx(values | by_layers(values), rel=1e-11, abs=1e-15)
        assert losses == pytest.approx(list(example.losses(values, updates=20)), rel=1e-10, abs=1e-15)
    for m in MISTAKES:
        step, losses = found[m.id]
        assert step == pytest.approx(example.step(example.start(), m), rel=1e-12, abs=1e-15)
        assert losses == pytest.approx(list(example.losses(example.start(), m, 20)), rel=1e-11, abs=1e-15)


CONTROLS = """
const text = (id) => document.getElementById(id).textContent;
const send = (element, event) => element.dispatchEvent(event);
const press = (key) => send(document.body, new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
const type = (element, value) => { element.value = value; send(element, new Event("input", { bubbles: true })); };
const row = (name) => document.querySelector(`tr[data-name="${name}"]`);
const out = { hidden: document.querySelector("#list").checkVisibility(), start: text("where"), steps: [] };
for (let i = 0; i < 33; i++) {
  $("next").click();
  out.steps.push([text("formula"), text("filled"), text("by-hand"), text("by-torch"), text("by-text"), text("why")]);
}
out.end = [$("next").disabled, $("last").disabled, $("back").disabled, text("where")];
$("back").click(); out.back = text("where");
$("first").click(); out.first = [text("where"), $("first").disabled];
$("last").click(); out.last = text("where");
press("Home"); press("ArrowRight"); press("ArrowRight"); press("ArrowLeft"); out.keys = text("where");
press("End"); out.endKey = text("where");
row("dW11").click(); out.row = [text("where"), row("dW11").className, row("δ_h1").className];
out.marks = document.querySelectorAll("#net .now").length;
$("first").click(); $("play").click();
await new Promise((done) => setTimeout(done, 2600));
out.played = [text("where"), text("play")];
$("play").click(); out.paused = [text("play"), $("play").getAttribute("aria-pressed")];
for (const input of all("input[type=range]")) {
  const twin = document.querySelector(`input[type=number][data-input="${input.dataset.input}"]`);
  type(input, 0.5);
  if (twin.value !== "0.5" || state.values[input.dataset.input] !== 0.5) out.broken = input.dataset.input;
}
out.stale = [text("stale"), row("L").querySelector(".hand").textContent, $("dots").style.display];
$("last").click(); out.torchNote = text("by-torch");
type(document.querySelector("input[type=number][data-input=X1]"), "");
out.emptyIgnored = state.values.X1;
$("reset").click();
out.reset = [text("stale"), row("L").querySelector(".hand").textContent, $("dots").style.display,
  all("input[type=range]")[0].value];
out.mistakes = {};
for (const radio of all("[name=mistake]")) {
  radio.click();
  out.mistakes[radio.value] = [text("shows"), text("changed"), text("trains"), all("tr.changed").length,
    all("tr.rewritten").length, $("curve-wrong").getAttribute("points").length];
}
return out;
"""


@pytest.fixture(scope="module")
def driven(page, tmp_path_factory):
    return visit(page, CONTROLS, tmp_path_factory.mktemp("page"))


@needs_browser
def test_stepping_by_button_key_row_and_time(driven):
    rows = explain.first_step()
    assert driven["hidden"] is False
    assert driven["start"] == "Start: 33 steps to go"
    for row, (formula, filled, hand, autograd, text, why) in zip(rows, driven["steps"], strict=True):
        assert hand == plain(row.by_hand)
        assert autograd == plain(row.pytorch)
        assert text.removeprefix("~ ") == (row.text.replace("-", "−") or "–")
        assert " = " in formula
        assert filled.startswith("= ")
        assert why
    assert driven["end"] == [True, True, False, "Step 33 of 33 · Input: gradients"]
    assert driven["back"].startswith("Step 32 of 33")
    assert driven["first"] == ["Start: 33 steps to go", True]
    assert driven["last"].startswith("Step 33")
    assert driven["keys"].startswith("Step 1 ")
    assert driven["endKey"].startswith("Step 33")
    assert driven["row"][0] == "Step 20 of 33 · Hidden: gradients"
    assert driven["row"][1:] == ["now", "used"]
    assert driven["marks"] >= 1
    assert driven["played"] == ["Step 2 of 33 · Forward", "Pause"]
    assert driven["paused"] == ["Play", "false"]


@needs_browser
def test_sliders_recompute_and_pytorch_holds_for_the_original_numbers(driven):
    values = dict.fromkeys(example.start(), 0.5)
    assert "broken" not in driven
    assert "original numbers only" in driven["stale"][0]
    assert driven["stale"][1] == plain(example.step(values)["L"])
    assert driven["stale"][2] == "none"
    assert driven["torchNote"].endswith("(for the original numbers)")
    assert driven["emptyIgnored"] == 0.5
    assert driven["reset"] == ["", "0.00125", "", "0.05"]


@needs_browser
def test_each_mistake_is_shown(driven):
    start = example.start()
    right = example.step(start)
    for m in MISTAKES:
        shows, changed, trains, marked, rewritten, points = driven["mistakes"][m.id]
        wrong = example.step(start, m)
        count = sum(wrong[n] != right[n] for n in NAMES)
        last = list(example.losses(start, m, 1000))[-1]
        assert shows == m.shows
        assert changed == f"It changes {count} of the 33 numbers."
        assert (marked, rewritten) == (count, len(m.changes))
        assert trains.endswith("all the same." if last < 0.1 * right["L"] else "does not train.")
        assert points > 1000
    assert driven["mistakes"][""][0] == "No mistake is switched on."
    assert driven["mistakes"][""][3] == 0


@needs_browser
@pytest.mark.parametrize("width", [360, 768])
def test_nothing_is_wider_than_a_phone(page, width, tmp_path):
    assert on_phone(page, "return document.documentElement.scrollWidth;", tmp_path, width=width) <= width


UPRIGHT = """
const seen = (id) => document.getElementById(id).getBoundingClientRect();
const boxes = [...document.querySelectorAll("input[type=number]")].filter((box) => box.scrollWidth > box.clientWidth);
const within = (id) => [...document.querySelectorAll(`#${id} text`)].every((text) => {
  const box = text.getBoundingClientRect(), whole = seen(id);
  return box.left >= whole.left && box.right <= whole.right && box.top >= whole.top && box.bottom <= whole.bottom;
});
return [seen("net").width, seen("net-upright").width > 300, boxes.length, within("net-upright"), within("curve")];
"""


@needs_browser
def test_on_a_phone_the_network_stands_upright_and_nothing_is_cut(page, tmp_path):
    stepped = page.replace("</body>", "<script>go(33);</script></body>")
    assert on_phone(stepped, UPRIGHT, tmp_path) == [0, True, 0, True, True]


def test_notes_are_set_as_the_page_sets_numbers(page):
    text = page[page.index("Where the text simplifies") : page.index("<script")]
    assert "<var>δ</var><sub>h1</sub> ≈ −0.00101 is −0.00101598" in text
    assert "<code>nn.MSELoss</code>" in text
    assert not re.search(r"-0\.\d|W\d\d|_h1", text)


@needs_browser
@pytest.mark.skipif(AXE is None, reason="AXE_JS does not say where axe-core is")
@pytest.mark.parametrize("mistake", ["", "sign"])
def test_accessibility(page, mistake, tmp_path):
    switched = f"$('next').click(); document.querySelector('[value=\"{mistake}\"]').click();"
    assert visit(page, switched + ACCESSIBILITY, tmp_path, axe=True) == []


def test_parameters_are_those_of_the_example():
    assert set(PARAMETERS) == set(explain.PLACES)
