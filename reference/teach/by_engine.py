"""A solution judged by the checks of `reference`, with torch's twin of the hand-written layer as what is meant."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from manualbp.base import flatten, options_of, tree_map

from ..check import check_function, check_optimizer, check_pointwise
from ..compare.tensor import Tensor
from ..report.report import Report
from ..twin import modules
from ..twin.layers import to_torch
from .by_hand import leaves
from .judgement import CONVENTION, ERROR, RIGHT, WRONG, Judgement, Mistake
from .judging import RIGHT_SLOPE, SURE, apart
from .shapes import Shape, likely, of_gradient

PARAMETER = "0.weight"  # of the model that an optimizer is tried on
OUTCOMES = {"identical": RIGHT, "rounding": RIGHT, "wrong": WRONG, "coarse": WRONG, "convention": CONVENTION}


def judged(name: str, given: Mapping[str, Any]) -> Judgement:
    """The judgement of one check of an exercise."""
    functions = {
        k: in_dtype(f) if k in ("f", "df", "forward", "backward") else f for k, f in given.items() if k != "large"
    }
    return of_report(report(name, functions))


def in_dtype(f: Callable) -> Callable:
    """f with its real results in the precision of its inputs: whether float32 stays float32 is no question here."""

    @functools.wraps(f)
    def kept(*inputs: Any, **named: Any) -> Any:
        found = f(*inputs, **named)
        real = next(
            (a.dtype for a in leaves((*inputs, *named.values())) if getattr(a, "dtype", np.dtype(int)).kind == "f"),
            None,
        )
        if not isinstance(found, tuple) or len(found) != 2 or f.__name__ != "forward":
            return cast_to(found, real)
        return cast_to(found[0], real), found[1]

    return kept


def cast_to(found: Any, real: Any) -> Any:
    """Arrays in lists and tuples, too; what is no real array stays."""
    if isinstance(found, list):
        found = tuple(found)
    return tree_map(lambda a: a.astype(real) if real is not None and is_number(a) else a, found)


def is_number(a: Any) -> bool:
    """Counts, too, are what a gradient may be made of."""
    return isinstance(a, (np.ndarray, np.generic)) and a.dtype.kind in "fiub"


def report(name: str, given: dict[str, Any]) -> Report:
    layer, truth = given.pop("layer", None), given.pop("truth", None)
    if "step" in given:
        optimizer = given["optimizer"]
        options = {n: v for n, v in options_of(optimizer).items() if n != "groups"}
        return check_optimizer(given["step"], against=getattr(torch.optim, type(optimizer).__name__), **options)
    if "df" in given:
        return check_pointwise(given["f"], given["df"], against=truth or to_torch(layer), title=name)
    return check_function(against=truth or twin(layer), title=name, **given)


def twin(of: Callable) -> Callable:
    """The torch function of the layer that `of` gives for these inputs."""

    def truth(*tensors: torch.Tensor) -> Any:
        layer, params, x = of(*tensors)
        real = next(t.dtype for t in tensors if t.is_floating_point())
        state = {f"inner.{n}": t for n, t in flatten(params).items()}
        return torch.func.functional_call(Called(to_torch(layer).to(real)), state, (x,))

    return truth


class Called(torch.nn.Module):
    """A module that takes its inputs as a layer does: a tuple of several."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Any) -> Any:
        return modules.call(self.inner, x)


def of_report(found: Report) -> Judgement:
    """What a learner is told of a report: never the remedy, nor what the slope is, which is the solution."""
    mistakes = tuple(Mistake(s.fault, plain(s.text), s.relation) for s in found.suspects if s.score >= SURE)
    outcome = OUTCOMES.get(found.verdict, ERROR)
    said = tuple(text for text in found.contracts if not any(text == m.text for m in mistakes))
    return Judgement(
        outcome, found.wrong_side, "" if outcome == RIGHT else where(found), (mistakes or of_shape(found))[:1], said
    )


def plain(text: str) -> str:
    """The name of a mistake without what should stand there, and without what the exercise is compared with."""
    return text.split(RIGHT_SLOPE)[0].replace("torch's ", "")


def where(found: Report) -> str:
    """The first wrong tensor, and its worst entry."""
    t = culprit(found)
    if t is None:
        return found.culprit or ""
    if shapes := shapes_of(t):
        return of_gradient(t.name, *shapes, found.shown)
    if t.what or (worst := t.worst()) is None:
        return f"{t.name}: {t.what or 'not the numbers intended'} ({found.shown})"
    place, *numbers = worst
    index = f"[{', '.join(map(str, place))}]" if place else ""
    yours, right = apart(*numbers)
    name = t.name.replace(PARAMETER, "p")  # as the sheet calls it
    return f"{name}{index}: yours {yours}, right {right} ({found.shown})"


def culprit(found: Report) -> Tensor | None:
    return next((t for t in found.tensors if t.name == found.culprit and not t.ok), None)


def shapes_of(t: Tensor) -> tuple[Shape, Shape] | None:
    """Its shape, and the one wanted, where they differ."""
    if t.hand is None or t.torch is None or t.hand.shape == t.torch.shape:
        return None
    return t.hand.shape, t.torch.shape


def of_shape(found: Report) -> tuple[Mistake, ...]:
    """What a wrong shape comes from, probably."""
    t = culprit(found)
    told = likely(t.name, *shapes) if t and (shapes := shapes_of(t)) else None
    return (Mistake(None, told),) if told else ()
