"""Which vectors a class gets: few and small ones that show as many mistakes, kinks and options as many would."""

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from manualbp.base import Layer
from manualbp.optim.base import Optimizer

from ..draw.architectures import Drawn, case_of, dyadic_only
from ..draw.case import Case
from ..draw.steps import in_two_groups
from ..faults import KNOWN
from . import of_layers, of_updates
from .of_layers import UnboundedError
from .of_updates import Update
from .read import Vector

DRAWN, BATCHES = 24, 4  # candidates of a class at a time, and how often where a mistake is not shown yet
MOST = 6  # vectors of a class
LARGE, LARGE_UPDATE = 200, 200  # numbers that go in, of a layer, and those that an optimizer moves
FEW = 2  # candidates where all are larger
SHARP = 2.0**-26  # a bound above this share of its tensor shows little
WEIGHTS = {"flag": 8.0, "regime": 8.0, "goal": 4.0, "option": 1.0}


@dataclass(frozen=True)
class VectorCandidate:
    """What a vector can be made of, and the items (kind, name) that it would bring."""

    make: Callable[[str], Vector]
    items: frozenset[tuple[str, str]]
    size: int


def vectors(cls: type, seed: int = 0) -> list[Vector]:
    """The vectors of a class, always the same for a seed; by greed: what brings most that is new, then the smaller."""
    left, made, covered, weak = enough(cls, seed), list[Vector](), set[tuple[str, str]](), list[Vector]()
    while left and len(made) < MOST:
        best = max(left, key=lambda c: (gain(c, covered), -c.size))
        left.remove(best)
        if made and gain(best, covered) == 0:
            break
        try:
            found = best.make(f"{cls.__name__}-{len(made) + 1}")
        except UnboundedError:
            continue
        if not sharp(found):
            weak.append(found)
            continue
        made.append(found)
        covered |= best.items
    if not made and not weak:
        raise RuntimeError(f"no case of {cls.__name__} can be made a vector")
    return made or [replace(weak[0], id=f"{cls.__name__}-1")]


def gain(candidate: VectorCandidate, covered: set[tuple[str, str]]) -> float:
    return sum(WEIGHTS[kind] for kind, _ in candidate.items - covered)


def sharp(vector: Vector) -> bool:
    """Is no tensor's bound, in float64, more than a small part of it? Of an optimizer's, which has states as small as
    g², no parameter's."""
    entries = [e for section, _, e in vector.expected() if not section.endswith("/state") and e.array.any()]
    return all(e.bounds and e.bounds[0] is not None and e.bounds[0] <= SHARP * _top(e.array) for e in entries)


def _top(a: np.ndarray) -> float:
    return float(np.abs(a, dtype=float).max(initial=0))


def enough(cls: type, seed: int) -> list[VectorCandidate]:
    """Candidates until all mistakes that can be made in the class are shown, or it was tried often enough."""
    wanted = {("flag", f.id) for f in KNOWN.values() if f.applies(cls)}
    found: list[VectorCandidate] = []
    for batch in range(BATCHES):
        found += candidates(cls, seed, range(batch * DRAWN, (batch + 1) * DRAWN))
        if wanted <= {item for c in found for item in c.items}:
            break
    return found


def candidates(cls: type, seed: int, numbers: range) -> Iterator[VectorCandidate]:
    """Those of few numbers that are defined everywhere, each with what it shows."""
    updating = issubclass(cls, Optimizer)
    kind, drawn, most = (of_updates, updates, LARGE_UPDATE) if updating else (of_layers, cases, LARGE)
    by_size = sorted(((each, kind.size(each)) for each in drawn(cls, seed, numbers)), key=lambda pair: pair[1])
    for each, size in [pair for pair in by_size if pair[1] <= most] or by_size[:FEW]:
        try:
            shown = kind.sketch(each)
        except ValueError:  # outside of where the function is defined
            continue
        if all(np.isfinite(e.array).all() for _, _, e in shown.expected()):
            met = kind.met(each)
            yield VectorCandidate(partial(kind.vector, each), frozenset(items(shown, each.exact, met)), size)


def items(shown: Vector, integers: bool, met: Iterable[str]) -> Iterator[tuple[str, str]]:
    yield from (("flag", id) for id in shown.flags)
    yield "regime", "exact" if shown.exact else "integers" if integers else "reals"
    yield "regime", shown.result
    yield from (("goal", goal) for goal in met)
    yield from (("option", f"{n}={v}") for n, v in shown.options.items())


def cases(cls: type[Layer], seed: int, numbers: range) -> Iterator[Case]:
    """Small integers and real numbers in turn; and the data that some mistakes need to be seen."""
    special = [f for f in KNOWN.values() if f.applies(cls) and f.on in (None, cls.__name__)]
    for i in numbers:
        case = case_of(_draw(cls, seed, i), cls, exact=i % 2 == 0)
        if case is None:
            continue
        case = replace(case, exact=i % 2 == 0, scale=min(case.scale, 1.0))
        yield case
        yield from {repr(other): other for f in special if (other := f.at(case)) != case}.values()


def updates(cls: type[Optimizer], seed: int, numbers: range) -> Iterator[Update]:
    """Small integers, where the rule can be exact on them, and gradients of many sizes."""
    for i in numbers[::4]:
        exact = cls.dyadic and i % 8 == 0
        choose = _draw(cls, seed, i)
        yield Update(in_two_groups(cls.example(dyadic_only(choose) if exact else choose)), seed + i, exact)


def _draw(cls: type, seed: int, i: int) -> Drawn:
    return Drawn([seed, zlib.crc32(cls.__name__.encode()), i])
