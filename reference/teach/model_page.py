"""A model of the user as one page that needs nothing else: `manualbp explain FILE.py:model --html page.html`.

Its steps folded by module, each with its formulas, the gradient that comes back by hand and by PyTorch, and where
gradients meet. It unfolds without JavaScript.
"""

import functools
import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from markupsafe import Markup

from manualbp.graph import leaves_of

from .. import picture
from ..chain import Chain, ChainStep, figure, gives, lengths, norm, ratio, size, takes
from ..folding import FoldedModule
from ..sides.run import GRADIENT
from . import source
from .mathml import typeset
from .render import rendered


def write(path: str, chain: Chain) -> None:
    """The page into this file."""
    Path(path).write_text(page(chain), encoding="utf-8")


def page(chain: Chain) -> str:
    """Everything on it was computed when the page was made."""
    places = {line.name: f"step-{i}" for i, line in enumerate(chain.lines)}
    parameters = {n: k for line in chain.lines for n, k in line.params.items()}
    return rendered(
        "model.html", title=chain.report.title, report=chain.report, steps=len(chain.lines), places=places,
        count=sum(parameters.values()), rows=[row(chain, part, "", places) for part in chain.parts],
        meets=[*chain.met_at_inputs.items(), *((line.name, line.meets) for line in chain.lines if line.meets)],
        gradients=list(gradients(chain)),
        drawing=drawing(chain), wrong=[line.name for line in chain.lines if line.found and line.found.wrong],
    )  # fmt: skip


def drawing(chain: Chain) -> Markup:
    """The picture, where graphviz is installed."""
    if not importlib.util.find_spec("pygraphviz"):
        return Markup("")
    return Markup(picture.svg(chain).replace("<svg", '<svg role="img" aria-label="The model, drawn"', 1))


def row(chain: Chain, part: Any, path: str, places: dict[str, str]) -> dict[str, Any]:
    """A step, or a module with its rows inside."""
    folds = isinstance(part, FoldedModule)
    lines = part.lines if folds else [part]
    known = {n: k for line in lines for n, k in line.params.items()}
    by_hand, by_torch = map(figure, lengths(chain, part))
    given = gives(chain, part)
    shown = {
        "name": part.name, "short": part.name.removeprefix(f"{path}." if path else ""),
        "parameters": sum(known.values()), "by_hand": by_hand, "by_torch": by_torch, "ratio": ratio(part),
        "wrong": any(x.found and x.found.wrong for x in lines), "shape": ", ".join(x.shape for x in given),
        "meets": [x for x in given if x.meets],
    }  # fmt: skip
    if folds:
        inside = [row(chain, p, part.path, places) for p in part.inside]
        what = f"{chain.modules.get(part.path, '')}, {len(lines)} steps".strip(", ")
        return shown | {"what": what, "takes": takes(part), "inside": inside}
    taken = list(dict.fromkeys(leaves_of(part.node.inputs)))
    return shown | {
        "what": str(part.node.layer), "cls": type(part.node.layer).__name__, "takes": taken, "id": places[part.name],
        "formulas": formulas(type(part.node.layer)), "tensors": list(tensors(part)),
    }  # fmt: skip


@functools.cache
def formulas(cls: type) -> list[tuple[str, list[Markup]]]:
    """The derivation of a class and its families by headings, typeset; once for all its steps."""
    found: dict[str, list[Markup]] = {}
    for step in source.steps(cls):
        of = "" if step.of == cls.__name__ else f" of its family, {step.of.strip('_')}"
        indent = Markup('<span class="in"></span>') if step.indent else Markup("")
        number = Markup(f'<span class="soft">{step.number}</span> ' if step.number else "")
        found.setdefault(f"{step.heading}{of}", []).append(indent + number + Markup(typeset(step.text)))
    return list(found.items())


def tensors(line: ChainStep) -> Iterator[dict[str, str]]:
    """Every array of a step alone, on both sides."""
    for t in line.found.tensors if line.found else ():
        if t.hand is not None:  # an index has no gradient
            yield numbers(t)


def gradients(chain: Chain) -> Iterable[dict[str, str]]:
    """Of every parameter and input of the whole model."""
    return (numbers(t) for t in chain.report.tensors if t.of.role == GRADIENT)


def numbers(t: Any) -> dict[str, Any]:
    by_hand, by_torch = (figure(norm(a)) for a in (t.hand, t.torch))
    worst = "identical" if t.identical else f"{t.ratio:.2g}"
    return {"name": t.name, "shape": size(t.hand), "by_hand": by_hand, "by_torch": by_torch, "ratio": worst, "ok": t.ok}
