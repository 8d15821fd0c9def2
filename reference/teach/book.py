"""The book: a page for every layer, loss and optimizer, and the question pages. `manualbp book -o site/`."""

import functools
import html
import inspect
import itertools
import json
import re
import string
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from manualbp.activation import Elementwise
from manualbp.base import Layer, expression, registry
from manualbp.optim.base import Optimizer

from ..faults import Fault, faults
from . import executed, picture, source
from .choice import small_case
from .docstring import Doc
from .mathml import prose, typeset
from .questions import QUESTIONS, question
from .render import environment, rendered

TITLES = {
    "linear": "Linear layers", "activation": "Activations", "activation_piecewise": "Activations of straight pieces",
    "softmax": "Softmax", "loss": "Losses", "loss_class": "Losses of classes", "loss_margin": "Losses with a margin",
    "loss_ctc": "CTC", "adaptive": "Adaptive softmax", "container": "Containers", "conv": "Convolutions",
    "padding": "Padding", "pooling": "Pooling", "normalization": "Normalization", "batchnorm": "Batch norm",
    "instancenorm": "Instance norm", "dropout": "Dropout", "sparse": "Embeddings", "rnn": "Recurrent layers",
    "rnn_cell": "Recurrent cells", "attention": "Attention", "distance": "Distances", "flatten": "Shapes",
    "upsampling": "Upsampling", "unpooling": "Unpooling", "fold": "Fold", "transformer": "Transformer",
    "graph": "Graphs", "transformer_layer": "Transformer layers", "optim": "Optimizers",
}  # fmt: skip
MOST = 4.0  # of a function and its slope, on both sides of 0: as far as the plot is wide
NAMES = {"torch", "eps", "dim", "lr", "momentum", "reduction", "weight"}  # written as they are called
TORCH = "https://docs.pytorch.org/docs/stable/generated/{}.html"
NAMED = re.compile(r"\btorch(?:\.(?:nn\.functional|nn|optim|Tensor|linalg))?\.[A-Za-z_]\w*")


@dataclass(frozen=True)
class Page:
    """One page of the book. `words`: what search finds it by."""

    file: str
    title: str
    group: str
    summary: str
    words: str
    template: str
    values: dict[str, Any] = field(default_factory=dict)


def write(folder: str) -> int:
    """The book into this folder; the number of pages beside the contents."""
    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    found = pages()
    groups: dict[str, list[Page]] = {}
    for page in found:
        groups.setdefault(page.group, []).append(page)
    for i, page in enumerate(found):
        around = {"before": found[i - 1] if i else None, "after": found[i + 1] if i + 1 < len(found) else None}
        text = rendered(page.template, page=page, groups=groups, **around, **page.values)
        (root / page.file).write_text(text, encoding="utf-8")
    (root / "index.html").write_text(rendered("index.html", groups=groups, count=len(found)), encoding="utf-8")
    for name in ("book.css", "book.js"):
        (root / name).write_text(environment().get_template(name).render(), encoding="utf-8")
    index = [{"t": p.title, "f": p.file, "g": p.group, "s": p.summary, "w": p.words} for p in found]
    (root / "index.js").write_text(f"const INDEX = {json.dumps(index, ensure_ascii=False)};\n", encoding="utf-8")
    return len(found)


def pages() -> list[Page]:
    """In the order of the book: questions, then the layers by family, then the optimizers."""
    asked = [question_page(name, title) for name, title in QUESTIONS.items()]
    order = list(TITLES.values())
    layers = sorted(
        registry().values(), key=lambda c: (order.index(g) if (g := group_of(c)) in order else 99, g, c.__name__)
    )
    return [*asked, *map(class_page, layers), *map(class_page, registry(Optimizer).values())]


def question_page(name: str, title: str) -> Page:
    made = question(name)
    return Page(f"{name}.html", title, "Questions", made.answer, made.words, f"questions/{name}.html", made.values)


def group_of(cls: type) -> str:
    place = cls.__module__.removeprefix("manualbp.")
    own, inner = place.split(".")[0], place.split(".")[-1]
    return f"Operations: {title(inner).lower()}" if own == "operations" else TITLES.get(own, title(own))


def title(place: str) -> str:
    """A file's name as a heading."""
    return place.replace("_", " ").capitalize()


def class_page(cls: type) -> Page:
    """The page of a layer, a loss, or an optimizer."""
    doc, derivation = source.docs(cls)[0][1], source.steps(cls)
    example, reason = example_of(cls)
    values = {
        "doc": doc, "families": [(c.__name__, d) for c, d in source.docs(cls)[1:]], "labels": labels(derivation),
        "steps": [vars(s) | {"math": typeset(s.text)} for s in derivation], "listings": source.listings(cls),
        "example": example, "reason": reason, "figure": figure(cls, example), "mistakes": mistakes(cls),
        "conventions": conventions(cls), "options": options(cls), "sections": sections(cls), "sources": links(cls, doc),
        "signature": signature(cls), "file_of": f"{cls.__module__.replace('.', '/')}.py",
    }  # fmt: skip
    words = " ".join(
        [cls.__name__, doc.summary, *(s.text for s in derivation), *(m["text"] for m in values["mistakes"])]
    )
    return Page(f"{cls.__name__}.html", cls.__name__, group_of(cls), doc.summary, words, "class.html", values)


def labels(derivation: list[source.Step]) -> dict[str, str]:
    """What each step is called on the page, by its key: as the docstring numbers it, and where it numbers some only,
    the others by letters, so that no number stands for two."""
    own = any(s.number for s in derivation)
    rest = iter(string.ascii_lowercase) if own else (f"{i}." for i in itertools.count(1))
    return {s.key: s.number or next(rest) for s in derivation}


def example_of(cls: type) -> tuple[executed.Example | None, str]:
    """The example, or why there is none."""
    if issubclass(cls, Layer):
        return executed.of_layer(cls), "no small random example of it can be drawn"
    return executed.of_optimizer(cls), executed.NO_STEP.get(cls.__name__, "")


def figure(cls: type, example: executed.Example | None) -> str:
    """A plot of function and slope where there are such, else what flows through."""
    if issubclass(cls, Elementwise):
        return plot(cls)
    if not issubclass(cls, Layer):
        return ""
    if example is None:
        return ""
    return picture.flow(cls.__name__, example.into, example.out, example.back)


def plot(cls: type[Elementwise]) -> str:
    """y and dy/dx of an activation, by its own forward and backward."""
    case = small_case(cls)
    assert case is not None
    layer: Any = case.layer.eval()
    x = np.linspace(-4, 4, 401)
    params = {n: p[:1] if n == "weight" else p for n, p in case.data()[0].items()}
    y, cache = layer.forward(params, x)
    slope, _ = layer.backward(params, cache, np.ones_like(x))
    caption = f"<code>{html.escape(expression(layer))}</code>"
    return picture.curves(
        f"{cls.__name__} and its slope", x.tolist(), {"y": y.tolist(), "dy/dx": slope.tolist()}, caption, most=MOST
    )


def mistakes(cls: type) -> list[dict[str, str]]:
    """The catalogue's mistakes that can be made in this class."""
    return [told(f) for f in faults(cls.__name__).values()]


def told(f: Fault) -> dict[str, str]:
    shown = {"relation": f.relation, "remedy": f.remedy, "needs": f.needs}
    return {"id": f.id, "text": f.text, "math": typeset(f.text)} | {
        n: typeset(t) if t.strip("– ") else "" for n, t in shown.items()
    }


def conventions(cls: type) -> list[str]:
    """What is chosen where mathematics leaves a choice."""
    return [typeset(sentence(s.text)) for _, doc in source.docs(cls) if (s := doc.get("Caveat"))]


def sentence(text: str) -> str:
    """With a capital letter, where it begins with a word and not with a name of code or a letter of a formula."""
    word = re.match(r"(a|[a-z]{2,})(?= [^=←≥≤<>])", text)
    return text if not word or word[0] in NAMES else text[0].upper() + text[1:]


def sections(cls: type) -> list[tuple[str, str]]:
    """Shapes and errors."""
    doc = source.docs(cls)[0][1]
    return [(s.heading, typeset(s.text)) for s in doc.sections if s.heading in ("Shapes", "Errors")]


def options(cls: type) -> list[tuple[str, str]]:
    """The fields with their defaults."""
    fields = inspect.signature(cls).parameters.values()
    return [(p.name, "" if p.default is p.empty else expression(p.default)) for p in fields]


def signature(cls: type) -> str:
    """How it is called, with its defaults, none of which is broken at the end of a line."""
    given = [f"{name}={default}" if default else name for name, default in options(cls)]
    ended = [*(f"{text}," for text in given[:-1]), *given[-1:]]
    shown = [f'<span class="whole">{html.escape(text)}</span>' for text in ended]
    return f"{cls.__name__}({' '.join(shown)})"


def links(cls: type, doc: Doc) -> str:
    """The sources, with papers and PyTorch's own page as links."""
    texts = [s.text for _, d in source.docs(cls) if (s := d.get("Source"))]
    text = prose("; ".join(dict.fromkeys(texts)))
    text = re.sub(r"arXiv:(\d{4}\.\d{4,5})", r'<a href="https://arxiv.org/abs/\1">arXiv:\1</a>', text)

    return NAMED.sub(lambda match: link(match[0]), text)


def link(name: str) -> str:
    """A function or class of torch with the page on it."""
    *path, last = name.split(".")[1:]
    place = functools.reduce(getattr, path, torch)
    return f'<a href="{TORCH.format(name)}">{name}</a>' if callable(getattr(place, last, None)) else name
