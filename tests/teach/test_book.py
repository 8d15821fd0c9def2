"""The book: every class has a page, no link leads nowhere, nothing is lost in typesetting, examples are run."""

import html
import re
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from browser import ACCESSIBILITY, AXE, ROOTS, needs_browser, on_phone, visit
from typer.testing import CliRunner
from wellformed import read

import manualbp
from manualbp.base import flatten, registry
from manualbp.optim.base import Optimizer
from reference.cli import app
from reference.draw.case import Case
from reference.faults import faults
from reference.sides.run import GRADIENT, OUTPUT, leaves, named
from reference.teach import book, choice, docstring, executed, mathml, picture, source
from reference.teach.questions import QUESTIONS

CLASSES = {**registry(), **registry(Optimizer)}
TORCH_ROUNDS = {"ASGD": 1e-9, "NAdam": 1e-9, "Muon": 1e-3}  # it keeps numbers in float32, or computes in bfloat16
MATH = re.compile(r"[\s^√()`]")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    begin = time.monotonic()
    out = CliRunner().invoke(app, ["book", "-o", str(folder)])
    assert out.exit_code == 0, out.exception
    assert f"{len(list(folder.glob('*.html'))) - 1} pages and their contents" in out.output
    assert time.monotonic() - begin < 120
    return folder


@pytest.fixture(scope="module")
def texts(site):
    return {path.name: path.read_text(encoding="utf-8") for path in site.glob("*.html")}


def test_every_class_and_every_question_has_a_page(texts):
    wanted = {f"{name}.html" for name in [*CLASSES, *QUESTIONS, "index"]}
    assert set(texts) == wanted
    assert len(QUESTIONS) == 10
    assert f"{len(texts) - 1} pages, made from the code itself" in texts["index.html"]


def test_pages_are_wellformed_and_no_link_leads_nowhere(texts, site):
    found = {name: read(text) for name, text in texts.items()}
    for name, page in found.items():
        assert set(page.outside) == {"book.css", "index.js", "book.js"}
        for link in page.links:
            if link.startswith("https://"):
                assert re.match(r"https://(docs\.pytorch\.org/docs/stable/|arxiv\.org/abs/)", link)
                continue
            file, _, anchor = link.partition("#")
            assert (site / (file or name)).exists(), f"{name} links to {link}"
            assert not anchor or anchor in found[file or name].ids, f"{name} links to {link}"


def test_previous_and_next_go_through_all_pages(texts):
    at, seen = next(n for n, t in texts.items() if 'rel="next"' in t and 'rel="prev"' not in t), []
    while at:
        seen.append(at)
        match = re.search(r'rel="next" href="([^"]+)"', texts[at])
        at = match[1] if match else ""
    assert sorted([*seen, "index.html"]) == sorted(texts)


def test_tables_have_headings_and_mathematics_is_text(texts):
    for text in texts.values():
        assert text.count("<table") == text.count("<thead>")
        assert "<img" not in text  # mathematics is never an image


@pytest.mark.parametrize("name", CLASSES)
def test_typesetting_adds_nothing_and_loses_nothing(name):
    for section in docstring.read(CLASSES[name]).sections:
        for line in section.lines:
            shown = html.unescape(re.sub(r"<[^>]+>", "", mathml.typeset(line.text)))
            assert MATH.sub("", shown) == mathml.plain(line.text)


def tied(cls: str) -> dict[str, str]:
    """Lines of code with the text of the step that each is tied to."""
    text = {s.key: s.text for s in source.steps(CLASSES[cls])}
    return {line.text.strip(): text[line.ties[0]] for part in source.listings(CLASSES[cls]) for line in part.lines
            if line.ties}  # fmt: skip


@pytest.mark.parametrize(
    ("cls", "code", "step"),
    [
        ("Linear", 'grads = {"weight": rows_dy.T @ rows(x)}', "dW = dyᵀ x"),
        ("Linear", 'return grads | ({"bias": rows_dy.sum(0)} if self.bias else {})', "db = Σₙ dy"),
        ("Linear", 'y = rows(x) @ params["weight"].T', "y = xWᵀ + b"),
        ("Conv2d", "z = pad(x, sides, self.padding_mode)  # (0)", "z = x padded"),
        ("LSTM", "dc = add(dc, du * o * (1 - r * r))", "dcₜ ← dcₜ + du ∂u/∂cₜ"),
        ("Softmax", "return y * (dy - (y * dy).sum(axis, keepdims=True))", "dx = y(dy − Σ y dy)"),
    ],
)
def test_code_is_tied_to_its_line_of_the_derivation(cls, code, step):
    assert step in tied(cls)[code]


def test_most_classes_have_code_tied_to_their_derivation():
    without = [name for name, c in CLASSES.items() if source.steps(c) and not tied(name)]
    assert len(without) < 0.25 * len(CLASSES), without


@pytest.mark.parametrize("name", CLASSES)
def test_a_line_of_a_derivation_has_one_label_and_no_other_line_has_it(name):
    derivation = source.steps(CLASSES[name])
    labels = book.labels(derivation)
    assert len(set(labels.values())) == len(derivation)
    for step in derivation:
        assert not step.number or labels[step.key] == step.number
        assert source.parted(step.text) == ("", step.text)
        assert step.text not in [s.text for s in derivation if s is not step and s.heading == step.heading]


def places(x, name="dx", place="x"):
    """The names of gradients of inputs, and of the tensors in the code for PyTorch."""
    if isinstance(x, tuple):
        for i, part in enumerate(x):
            yield from places(part, f"{name}[{i}]", f"{place}_{i}")
    else:
        yield name, place


# What torch has no function or module for; the twin makes it.
OWN_WORDS = {
    "Concat", "Eigh", "Graph", "Objective", "Orthogonal", "Parallel", "Repeat", "Residual", "Select", "Sequential",
    "SetItem", "SpectralNorm", "Sum", "Svd", "To", "WeightNorm",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(registry()))
def test_the_example_of_a_page_can_be_typed_and_gives_its_numbers(name):
    example = executed.of_layer(registry()[name])
    assert example is not None
    space: dict = {}
    exec(example.code, space)
    found = named(OUTPUT, leaves(space["y"], "y")) | named(GRADIENT, leaves(space["dx"], "x"))
    found |= named(GRADIENT, flatten(space["grads"]))
    shown = {str(n): executed.shown(np.asarray(a)) for n, a in found.items() if a is not None}
    told = {n.name: n.by_hand for n in example.numbers}
    assert {n: text for n, text in told.items() if n in shown} == shown
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, about what it will do in another version
        exec(example.torch_code, space)
    assert ("reference" in example.torch_code) == (name in OWN_WORDS)
    for gradient in re.findall(r"module\.\w+\.grad", example.torch_code):
        assert eval(gradient, space) is not None, gradient  # of a parameter, and not of a buffer
    if not space["layer"].random:
        shown = {n.name: n.pytorch for n in example.numbers}
        inputs = {str(n): place for n, place in places(space["x"] if isinstance(space["x"], tuple) else "x")}
        for name, place in inputs.items():
            t = space.get(place)
            if isinstance(t, torch.Tensor) and t.grad is not None:
                assert executed.shown(t.grad.numpy(force=True)) == shown[name]
    for number in example.numbers:
        assert number.pytorch == "–" or number.difference == "0" or float(number.difference) < 1e-9


# What no example of a class can show, since there the class does nothing, or nothing else.
CONSTANT = {
    "AllOf", "AnyOf", "Argmax", "Argmin", "Argsort", "Ceil", "Eq", "Floor", "FloorDivide", "Ge", "Gt", "IsInf", "IsNan",
    "Le", "LogicalAnd", "LogicalOr", "LogicalXor", "Lt", "Ne", "Round", "Sign", "Trunc",
}  # fmt: skip
HANDS_ON = {"Detach", "Identity", "Select", "To"}
UNSHOWN = {
    "an output is an input": HANDS_ON | {"AsComplex"},
    "every gradient is dy times a number": HANDS_ON | CONSTANT | {"Neg", "Real", "Imag"},
    "a gradient is 0": CONSTANT | {"Detach", "Select", "CosineEmbeddingLoss", "HingeEmbeddingLoss"},  # of their labels
}


@pytest.mark.parametrize("name", sorted(registry()))
def test_the_example_of_a_page_shows_what_its_class_does(name):
    case = choice.small_case(registry()[name])
    assert case is not None
    assert all(name in UNSHOWN.get(reason, ()) for reason in choice.lacking(case) if reason != choice.LONG)


@pytest.mark.parametrize(
    ("layer", "shape", "reason"),
    [
        ("Identity()", (4, 3), "an output is an input"),
        ("Residual(Identity())", (4, 3), "every gradient is dy times a number"),
        ("MaxPool2d(1)", (2, 3, 3), "a window of one entry"),
        ("Dropout(training=False)", (4, 3), "evaluation"),
        ("Sequential(BatchNorm1d(3, training=False))", (4, 3), "evaluation"),
        ("Linear(3, 2)", (3,), "nothing is summed over the batch"),
        ("LayerNorm((4, 3))", (4, 3), "nothing is summed over the batch"),
        ("BatchNorm1d(3)", (2, 3), "nothing is summed over the batch"),
        ("BatchNorm1d(3, affine=False)", (4, 3), "a part is left out"),
        ("Threshold(9.0, 1.0)", (4, 3), "a gradient is 0"),
        ("Tanh()", (1,), "few numbers"),
        ("Sequential(Linear(3, 2))", (4, 3), "little inside"),
        ("Sequential(Linear(3, 2), Identity())", (4, 3), "little inside"),
    ],
)
def test_what_an_example_lacks_is_seen(layer, shape, reason):
    made = eval(layer, vars(manualbp).copy())
    assert reason in choice.lacking(Case(made, shape))


def test_examples_are_missing_only_where_the_page_says_why(texts):
    missing = [name for name, text in texts.items() if "There is no example here" in text]
    assert sorted(missing) == sorted(f"{name}.html" for name in executed.NO_STEP)
    for name in registry(Optimizer):
        if name not in executed.NO_STEP:
            example = executed.of_optimizer(registry(Optimizer)[name])
            assert example is not None
            off = max(float(n.difference) for n in example.numbers)
            assert off < TORCH_ROUNDS.get(name, 1e-12)


@pytest.mark.parametrize("name", sorted(set(registry(Optimizer)) - set(executed.NO_STEP)))
def test_the_code_of_an_optimizer_can_be_typed_and_gives_its_numbers(name):
    example = executed.of_optimizer(registry(Optimizer)[name])
    assert example is not None
    space: dict = {}
    exec(example.code, space)
    exec(example.torch_code, space)
    assert executed.shown(space["params"]["weight"]) == example.numbers[-1].by_hand
    assert executed.shown(space["weight"].detach().numpy()) == example.numbers[-1].pytorch


def test_mistakes_of_the_catalogue_stand_where_they_can_be_made(texts):
    for name in ("Linear", "Softmax", "Adam", "LSTM"):
        ids = set(read(texts[f"{name}.html"]).ids)
        assert set(faults(name)) <= ids


def outside_of_code(text: str) -> str:
    """What a page says where it shows no code."""
    return html.unescape(re.sub(r"<[^>]+>", " ", re.sub(r"<pre.*?</pre>", "", text, flags=re.DOTALL)))


def test_no_page_speaks_to_those_who_write_a_layer(texts):
    for name, text in texts.items():
        said = outside_of_code(text)
        assert "subclass" not in said, name
        assert not re.search(r"(?<![\w.])_[A-Z]\w+", said), name


@pytest.mark.parametrize("name", CLASSES)
def test_a_summary_is_a_whole_sentence(name):
    for _, doc in source.docs(CLASSES[name]):
        assert doc.summary.endswith((".", "?")), doc.summary


def test_every_root_is_of_something_whole(texts):
    for name, text in texts.items():
        assert ">√<" not in text, name
        for under in re.findall("<msqrt>(.*?)</msqrt>", text):
            said = re.sub("<[^>]+>", "", under)
            assert said, name
            assert said.count("(") == said.count(")"), name
            assert said.count("⟨") == said.count("⟩"), name


def test_examples_and_texts_need_nothing_from_inside(texts):
    for name, text in texts.items():
        assert "reference.sides" not in text, name
        assert "`" not in text, name


def test_plots_show_function_and_slope(texts):
    assert texts["GELU.html"].count('class="curve c') >= 4
    assert "<svg" in texts["Linear.html"]


def drawn_points(text: str) -> list[tuple[float, float]]:
    found = re.findall(r'<polyline class="curve[^"]*" points="([^"]*)"', text)
    return [(float(x), float(y)) for part in found for x, y in (p.split(",") for p in part.split())]


def test_the_curves_of_a_question_stay_in_their_area(texts):
    found = {name: drawn_points(texts[f"{name}.html"]) for name in QUESTIONS}
    assert sum(map(bool, found.values())) >= 5
    for name, points in found.items():
        assert all(picture.LEFT <= x <= picture.RIGHT and picture.TOP <= y <= picture.BOTTOM for x, y in points), name


def test_questions_answer_with_a_derivation_a_figure_and_something_run(texts):
    for name in QUESTIONS:
        text = texts[f"{name}.html"]
        assert 'class="eq"' in text
        assert "<svg" in text
        assert 'class="out"' in text
        assert "Traceback" not in text
        assert len(read(text).text.split()) > 200


def inlined(site: Path, name: str) -> str:
    """A page with its files in it, so that it can be visited elsewhere."""
    text = (site / name).read_text(encoding="utf-8")
    text = text.replace('<link rel="stylesheet" href="book.css">', f"<style>{(site / 'book.css').read_text()}</style>")
    for file in ("index.js", "book.js"):
        script = (site / file).read_text(encoding="utf-8").replace("</", "<\\/")
        text = text.replace(f'<script src="{file}"></script>', f"<script>{script}</script>")
    return text


HOVER = """
const line = document.querySelector(".line[data-ties]");
const step = document.getElementById(line.dataset.ties.split(" ")[0]);
const out = [step.classList.contains("tied")];
line.dispatchEvent(new MouseEvent("mouseenter"));
out.push(step.classList.contains("tied"), line.classList.contains("tied"));
line.dispatchEvent(new MouseEvent("mouseleave"));
out.push(step.classList.contains("tied"));
step.dispatchEvent(new MouseEvent("mouseenter"));
out.push(line.classList.contains("tied"));
const query = document.getElementById("query");
const search = (text) => {
  query.value = text;
  query.dispatchEvent(new Event("input", { bubbles: true }));
  return [...document.querySelectorAll("#hits li")].map((hit) => hit.textContent);
};
out.push(search("transpose"), search("layernorm"), search("qqqq"), search(""), document.getElementById("hits").hidden);
return out;
"""


@needs_browser
def test_hovering_and_searching(site, tmp_path):
    found = visit(inlined(site, "Linear.html"), HOVER, tmp_path)
    assert found[:5] == [False, True, True, False, True]
    transpose, layernorm, nothing, empty, hidden = found[5:]
    assert transpose[0].startswith("Why the transpose?")
    assert layernorm[0].startswith("LayerNorm")
    assert nothing == ["Nothing found."]
    assert empty == []
    assert hidden is True


OUTSIDE = """
return [...document.querySelectorAll("svg.flow, svg.plot")].flatMap((svg) => {
  const box = svg.getBoundingClientRect();
  const parts = [...svg.querySelectorAll("text")].map((text) => [text.textContent, text.getBoundingClientRect()]);
  return parts.filter(([, at]) => at.left < box.left - 1 || at.right > box.right + 1).map(([text]) => text);
});
"""


@needs_browser
@pytest.mark.parametrize("name", ["MultiheadAttention", "BatchNorm1d", "GELU", "why-a-wrong-gradient-may-still-train"])
def test_no_word_of_a_picture_is_cut(site, name, tmp_path):
    assert visit(inlined(site, f"{name}.html"), OUTSIDE, tmp_path) == []


@needs_browser
@pytest.mark.parametrize("name", ["index", "Linear", "LSTM", "why-p-minus-t", "GELU", "Adam"])
def test_no_complaint_and_nothing_wider_than_the_window(site, name, tmp_path):
    script = "return document.documentElement.scrollWidth <= innerWidth"
    assert visit(inlined(site, f"{name}.html"), script, tmp_path) is True


PHONES = ["Linear", "LSTM", "BatchNorm1d", "TransformerDecoderLayer", "GELU", "why-the-transpose", "rounding-or-bug"]
LETTERS = """
const svgs = [...document.querySelectorAll("figure > svg")];
const size = (text) => parseFloat(window.getComputedStyle(text).fontSize) * text.getScreenCTM().a;
const sizes = svgs.flatMap((svg) => [...svg.querySelectorAll("text")].map(size));
return [document.documentElement.scrollWidth, svgs.length, ...sizes];
"""


@needs_browser
@pytest.mark.parametrize("name", PHONES)
def test_on_a_phone_letters_of_pictures_can_be_read_and_the_page_is_not_wider(site, name, tmp_path):
    width, pictures, *sizes = on_phone(inlined(site, f"{name}.html"), LETTERS, tmp_path)
    assert width <= 390
    assert pictures
    assert min(sizes) > 11


@needs_browser
@pytest.mark.parametrize("name", ["Adam", "MultiheadAttention", "GELU"])
def test_every_root_has_its_sign(site, name, tmp_path):
    found = visit(inlined(site, f"{name}.html"), ROOTS, tmp_path)
    assert found
    assert min(found) > 3


@needs_browser
@pytest.mark.skipif(AXE is None, reason="AXE_JS does not say where axe-core is")
@pytest.mark.parametrize("name", ["index", "Linear", "why-p-minus-t", "GELU", "CrossEntropyLoss"])
def test_accessibility(site, name, tmp_path):
    assert visit(inlined(site, f"{name}.html"), ACCESSIBILITY, tmp_path, axe=True) == []
