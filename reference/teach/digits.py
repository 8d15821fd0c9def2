"""To how many digits a solution is right: what is right to few was not computed from the formula."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..compare.bound import largest
from ..draw.trial import Trial
from .by_hand import Numbers, Off, as_pair, compared, meant, of_solution
from .judging import trials

FEW = 1e-3  # of the largest entry: what is further off is wrong
EPS = float(np.finfo(float).eps)
DRAWS, FAR = 8, 100
NOISE = 100 * EPS  # of the largest entry; a step of 0.001 leaves several times as much, a formula a few EPS


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


def noisy(given: Mapping[str, Any]) -> bool:
    """Do gradients jump where the inputs move by their last digits, as quotients do, which divide rounding errors by a
    small step? Those of a formula do not, right or wrong."""
    check = as_pair(given) if "df" in given else given
    jumps = [jump(check, t) for t in trials(check["inputs"]) if not t.integers]
    return bool(jumps) and float(np.median(jumps)) > NOISE


def jump(check: Mapping[str, Any], trial: Trial) -> float:
    """By what part of their largest entry gradients change otherwise than they should, and far more, for changes in the
    last digits: where those that are right change much, rounding does as well."""
    rng = np.random.default_rng(trial.seed)
    yours, right = both(check, trial)
    names = [n for n in right if n[0] == "d" and n in yours]
    most = 0.0
    for _ in range(DRAWS):
        near = {n: beside(a, rng) for n, a in trial.arrays.items()}
        moved, wanted = both(check, Trial(near, trial.sizes, seed=trial.seed))
        for n in names:
            change = float(np.abs(wanted[n] - right[n]).max(initial=0.0))
            off = float(np.abs((moved[n] - yours[n]) - (wanted[n] - right[n])).max(initial=0.0))
            most = max(most, (off - FAR * change) / (largest(right[n]) or 1.0))
    return most


def both(check: Mapping[str, Any], trial: Trial) -> tuple[Numbers, Numbers]:
    """Outputs and gradients of the solution, and as they should be."""
    return of_solution(check, trial), meant(check, trial.arrays, trial.seed)[0]


def beside(a: Any, rng: np.random.Generator) -> Any:
    """Real numbers moved by their last digits."""
    a = np.asarray(a)
    return a * (1 + EPS * rng.integers(-3, 4, a.shape)) if a.dtype.kind == "f" else a


def spread(off: Off) -> bool:
    """Are most entries of its worst gradient off by more than a rounding of the largest?"""
    return any(np.mean(np.abs(off.yours[n] - off.right[n]) > 8 * EPS * largest(off.right[n])) > 0.5 for n in off.wrong)
