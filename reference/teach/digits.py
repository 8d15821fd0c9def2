"""To how many digits a solution is right: what is right to few was not computed from the formula."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..compare.bound import largest
from .by_hand import Off, as_pair, compared
from .judging import trials

FEW = 1e-3  # of the largest entry: what is further off is wrong


@dataclass(frozen=True)
class Rough:
    """All gradients are nearly right. digits: how many of them are; float32: they are float32's numbers;
    everywhere: most entries are off, as noise is, and not only those in which a formula loses digits."""

    digits: int
    float32: bool
    everywhere: bool


def rough(given: Mapping[str, Any]) -> Rough | None:
    """What is off on real numbers if it is off by little, else None: a forward that is off is no matter of digits."""
    check = as_pair(given) if "df" in given else given
    off = [o for t in trials(check["inputs"]) if not t.integers and (o := compared(check, t))]
    pairs = [(o, o.yours.get(n), o.right[n]) for o in off for n in o.wrong]
    if not pairs or any(n[0] != "d" for o in off for n in o.wrong):
        return None
    if any(g is None or g.shape != r.shape or not np.isfinite(g).all() for _, g, r in pairs):
        return None
    share = max(float(np.abs(g - r).max(initial=0.0)) / (largest(r) or 1.0) for _, g, r in pairs if g is not None)
    if not 0 < share < FEW:
        return None
    single = all(np.array_equal(g, np.float32(g)) for _, g, _ in pairs if g is not None)
    return Rough(int(-np.log10(share)), single, all(spread(o) for o in off))


def spread(off: Off) -> bool:
    """Are most entries of its worst gradient off by more than a rounding of the largest?"""
    return any(
        np.mean(np.abs(off.yours[n] - off.right[n]) > 8 * np.finfo(float).eps * largest(off.right[n])) > 0.5
        for n in off.wrong
    )
