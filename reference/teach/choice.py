"""Which random example of a layer its page shows: one of few numbers, in which happens what the layer is there for."""

import math
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np

from manualbp.base import Layer, expression, flatten, options_of, tree_map
from manualbp.container import Container
from manualbp.loss import Loss
from manualbp.normalization import Normalization

from ..draw.architectures import Drawn, case_of
from ..draw.case import Case
from ..draw.trial import Trial
from ..sides.hand import Hand
from ..sides.run import GRADIENT, OUTPUT, leaves, of_role

TRIES, ROUND = 400, 200  # examples drawn at most, and at once: of these the one nearest to a dozen numbers comes first
DOZEN, MOST, LEAST = 14, 30, 4  # numbers that are easily read; more than which are not; in x at least
LONG = "many numbers"  # of all that an example may lack what matters least
SMALL = 1e-3  # beside dy: what is left of a gradient whose terms cancel
IDLE = {"Identity", "To", "Detach"}
WINDOWS = ("kernel_size", "size")
PARTS = ("bias", "affine", "elementwise_affine", "track_running_stats")  # options without which something is missing


@cache
def small_case(cls: type[Layer]) -> Case | None:
    """A drawn example of few numbers that lacks nothing, or as little as is found."""
    found: list[tuple[int, float, int, Case]] = []
    for first in range(0, TRIES, ROUND):
        for far, i, case in sorted(drawn(cls, range(first, first + ROUND))):
            missing = lacking(case)
            if not missing:
                return case
            found.append((2 * len(missing) - (LONG in missing), far, i, case))
    return min(found)[-1] if found else None


def drawn(cls: type[Layer], numbers: range) -> Iterator[tuple[float, int, Case]]:
    """Examples, each with how far it is from what is easily read."""
    for i in numbers:
        case = case_of(Drawn((7, i)), cls)
        if case is None:
            continue
        case = Case(case.layer, case.shape, case.seed)
        shapes = [np.shape(a) for tree in case.data()[:2] for a in arrays(tree)]
        size = sum(int(np.prod(shape)) for shape in shapes)
        defaults = sum(v == f for v, f in zip(options_of(case.layer).values(), defaults_of(cls)))
        flat = sum(1 in shape for shape in shapes)
        long = 0.02 * len(expression(case.layer))
        yield abs(np.log((size + 1) / DOZEN)) - 0.6 * defaults + 0.4 * flat + long, i, case


def lacking(case: Case) -> list[str]:
    """Why an example shows less than it could."""
    trial = numbers_of(case)
    run = Hand(case.layer, seed_of(case.layer)).run(trial)
    x, out = of_inputs(trial), of_role(run, OUTPUT)
    gradients = {n: a for n, a in of_role(run, GRADIENT).items() if a.dtype.kind in "fc"}
    above = max([float(np.max(np.abs(a), initial=0)) for a in arrays(trial.dy)], default=0.0)
    found = {
        "few numbers": max(a.size for a in x.values()) < LEAST,
        "dy is small": 0 < above < 0.1,
        LONG: sum(a.size for a in [*x.values(), *flatten(trial.params).values()]) > MOST,
        "an output is an input": any(same(a, b) for a in x.values() for b in out.values()),
        "every gradient is dy times a number": handed_on({n: a for n, a in gradients.items() if n in x}, trial.dy),
        "a gradient is 0": any(np.max(np.abs(a), initial=0) <= SMALL * above for a in gradients.values()),
        "a window of one entry": any(np.prod(getattr(case.layer, n, 0)) == 1 for n in WINDOWS),
        "a part is left out": any(default_of(case.layer, n) and not getattr(case.layer, n) for n in PARTS),
        "little inside": isinstance(case.layer, Container) and little(case.layer, trial),
        "evaluation": any(not getattr(part, "training", True) for _, part in case.layer.walk()),
        "nothing is summed over the batch": one_sample(case.layer, trial)
        or any(handed_on({n: a}, trial.dy) for n, a in gradients.items() if n not in x),
        "not finite": not all(np.all(np.isfinite(a)) for a in [*out.values(), *gradients.values()]),
        "empty": any(a.size == 0 for a in [*x.values(), *out.values()]),
    }  # fmt: skip
    return [reason for reason, so in found.items() if so]


def of_inputs(trial: Trial) -> dict[str, Any]:
    return {n: np.asarray(a) for n, a in leaves(trial.x, "x").items() if a is not None}


def same(a: Any, b: Any) -> bool:
    return np.shape(a) == np.shape(b) and np.size(a) > 0 and bool(np.all(a == b))


def handed_on(gradients: Mapping[str, Any], dy: Any) -> bool:
    """Is each of these gradients an upstream one, but for a factor?"""
    above = [np.asarray(a) for a in arrays(dy)]
    return bool(gradients) and all(any(multiple(a, d) for d in above) for a in gradients.values())


def multiple(a: Any, d: Any) -> bool:
    if np.shape(a) != np.shape(d) or np.size(a) < 2 or not np.any(d):
        return False
    factor = np.vdot(d, a) / np.vdot(d, d)
    return bool(np.allclose(a, factor * d, rtol=1e-9, atol=0))


def little(layer: Layer, trial: Trial) -> bool:
    """Has a container nothing to learn, one layer where it could have several, or one that does nothing?"""
    parts = [part for _, part in layer.walk()][1:]
    alone = len(parts) < 2 and "body" not in options_of(layer)
    return not trial.params or alone or any(type(part).__name__ in IDLE for part in parts)


def one_sample(layer: Layer, trial: Trial) -> bool:
    """Is the batch too small for what sums over it: a loss, the gradients of parameters, the mean of a batch?"""
    shape = np.shape(next(iter(arrays(trial.x))))
    if isinstance(layer, Normalization) and (len(shape) == 2 or hasattr(layer, "sizes")):
        return shape[0] < 3 or math.prod(getattr(layer, "sizes", (3,))) < 3  # of two numbers x̂ is ±1
    return (isinstance(layer, Loss) or bool(trial.params)) and (len(shape) < 2 - layer.integer or 1 in shape[:2])


def numbers_of(case: Case) -> Trial:
    """The numbers of an example, as a page prints them."""
    return case.trial().map(short)


def seed_of(layer: Layer) -> int | None:
    """Of the numbers that it draws itself."""
    return 0 if layer.random else None


def defaults_of(cls: type) -> list[Any]:
    return [f.default for f in cls.__dataclass_fields__.values()]


def default_of(layer: Layer, name: str) -> Any:
    """Of one option; None if the layer has no such option."""
    return f.default if (f := type(layer).__dataclass_fields__.get(name)) else None


def arrays(tree: Any) -> Iterator[Any]:
    if isinstance(tree, dict):
        for value in tree.values():
            yield from arrays(value)
    elif isinstance(tree, tuple):
        for value in tree:
            yield from arrays(value)
    elif tree is not None:
        yield tree


def short(tree: Any) -> Any:
    """Real numbers cut to two decimals, so that they can be typed."""

    def cut(a: Any) -> Any:
        a = np.asarray(a)
        return np.round(a, 2) if a.dtype.kind in "fc" else a

    return tree_map(cut, tree)
