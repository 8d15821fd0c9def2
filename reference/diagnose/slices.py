"""In few bits: by how much one row or column is off, where all others are right.

An entry has two or three digits, so its own ratio to the right one tells little. A slice along an axis has one factor,
c = Σ yours · right / Σ right², whose error falls with the number of its entries.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from manualbp.base import Array

from ..sides.formats import UNIT
from .features.seen import Seen

FAR, NEAR = 6.0, 5.0  # standard errors: a factor that is not 1, and one that may be


class Factor(NamedTuple):
    """By how much a slice is too large, and the standard error of that."""

    c: float
    error: float

    def may_be(self, other: float) -> bool:
        return abs(self.c - other) <= NEAR * self.error


def of_slices(trials: Sequence[Seen]) -> str:
    """A sentence on the one slice that is off by the same factor in all trials; "" where there is none."""
    shapes = {s.right.ndim for s in trials}
    if len(shapes) > 1 or not all(s.e.format in UNIT and s.comparable for s in trials):
        return ""
    return next((told for axis in range(shapes.pop()) for told in _along(trials, axis)), "")


def _along(trials: Sequence[Seen], axis: int) -> Iterator[str]:
    each = [_factors(s, axis) for s in trials]
    most = max(each, key=len)
    if len(most) < 2:
        return
    worst = max(range(len(most)), key=lambda k: abs(most[k].c - 1) / most[k].error)
    for place, where in ((worst, f"{worst}"), (worst - len(most), f"{worst - len(most)} (from the end)")):
        if not all(-len(of) <= place < len(of) for of in each) or not _alone(each, place):
            continue
        found = _mean([of[place] for of in each])
        if abs(found.c - 1) > FAR * found.error and all(of[place].may_be(found.c) for of in each):
            yield (
                f"what is at {where} along axis {axis} is {found.c:.4g} times right (± {found.error:.1g}), in all "
                "trials that show it; no other along that axis is off as a whole"
            )
            return


def _alone(each: Sequence[Sequence[Factor]], place: int) -> bool:
    """May all others be right?"""
    return all(f.may_be(1.0) for of in each for i, f in enumerate(of) if i != place % len(of))


def _factors(s: Seen, axis: int) -> list[Factor]:
    rows = [np.moveaxis(a, axis, 0).reshape(a.shape[axis], -1) for a in (s.yours, s.right)]
    return [_factor(y, g, UNIT[s.e.format or ""]) for y, g in zip(*rows)]


def _factor(yours: Array, right: Array, unit: float) -> Factor:
    """The error is that of the scatter within the slice, and at least that of rounding every entry once."""
    square = float(right @ right)
    if not square:
        return Factor(1.0, np.inf)
    c = float(yours @ right) / square
    once = unit * float(np.sqrt(np.square(right) @ np.square(right))) / square
    return Factor(c, max(float(np.sqrt(np.square(yours - c * right) @ np.square(right))) / square, once))


def _mean(factors: Sequence[Factor]) -> Factor:
    weights = np.array([f.error**-2.0 for f in factors])
    return Factor(float(weights @ [f.c for f in factors]) / float(weights.sum()), float(weights.sum()) ** -0.5)
