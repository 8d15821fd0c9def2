"""Update rules that compute in a shorter format: right but for its rounding, or with a mistake behind that."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from manualbp.base import Array

from ..compare.bound import EPS, distance, largest
from ..sides.formats import UNIT, rounded
from ..sides.steps import History
from .evidence import Suspect
from .update_wrong import Wrong
from .updates import mistakes

FLOAT32 = 2.0**-23
SHORT = ("bfloat16", "float16", "float32")  # the shorter first
NEARER = 0.8  # of the right one's error: what a mistake may leave that stands behind the rounding


def of_format(w: Wrong) -> Iterator[Suspect]:
    """A format in which yours computes, after the mistake that it makes beside."""
    format = next((name for name in SHORT if _held(w, name)), None)
    mistake = _behind(w, format) if format else None
    if mistake is not None:
        yield mistake
    if format and (mistake is not None or _within(w, w.right, format)):
        yield _suspect(format, "all numbers of the first step are of this format")
    elif format is None and in_float32(w):
        yield _suspect("float32", "all entries agree to float32's digits")


def _suspect(name: str, evidence: str) -> Suspect:
    digits = {"float32": 7, "float16": 3, "bfloat16": 2}[name]
    return Suspect(
        None, f"It computes in {name}, or keeps its state in it.", f"yours = right to about {digits} digits",
        "keep the dtype of the parameters: np.zeros_like(p)", "", evidence, 0.9, rounding=True,
    )  # fmt: skip


def _held(w: Wrong, name: str) -> bool:
    """Are your parameters after the first step of this format, and the right ones are not?"""
    yours, right = _flat(w.yours[0]), _flat(w.right[0])
    return bool(np.isfinite(yours).all()) and _is(yours, name) and not _is(right, name)


def _is(a: Array, name: str) -> bool:
    return np.array_equal(rounded(a, name), a)


def _flat(of: dict[str, Array]) -> Array:
    return np.concatenate([a.ravel() for a in of.values()])


def _within(w: Wrong, told: History, name: str) -> bool:
    """Are these your numbers but for what so many steps of this format round?"""
    size = {n: largest(p) for n, p in w.steps.params.items()}
    for k, (a, b) in enumerate(zip(w.yours, told)):
        size = {n: max(s, largest(b[n])) for n, s in size.items()}
        if any(not distance(a[n], b[n]) <= 2 * (k + 2) * UNIT[name] * s for n, s in size.items()):
            return False
    return True


def _behind(w: Wrong, name: str) -> Suspect | None:
    """The mistake that is clearly nearer to your numbers than the right rule is, the nearest of all."""
    best, least = None, NEARER * _off(w, w.right)
    for mistake in mistakes(w):
        try:
            with np.errstate(all="ignore"):
                told = mistake.made()
                off = _off(w, told)
                near = off < least and not mistake.rounds and _within(w, told, name)
        except Exception:  # a mistake may end in an error
            continue
        if near:
            best, least = mistake, 0.999 * off  # of those that are as near the first
    if best is None:
        return None
    evidence = f"made in the right rule it gives your numbers but for the rounding of {name}"
    return Suspect(None, best.text, best.relation, best.remedy, "", evidence, 0.92)


def _off(w: Wrong, told: History) -> float:
    """By how much yours differs at all steps, in the mean square."""
    squares = [np.mean(np.square(_flat(a) - _flat({n: b[n] for n in a}))) for a, b in zip(w.yours, told)]
    return float(np.sqrt(np.mean(squares)))


def in_float32(w: Wrong) -> bool:
    """Are the changes right to about seven digits and not to more?"""
    p, yours, right = (
        np.concatenate([a[n].ravel() for n in w.steps.params]) for a in (w.steps.params, w.yours[0], w.right[0])
    )
    if not np.isfinite(yours).all() or not all(map(partial(_to_seven_digits, w), range(len(w.yours)))):
        return False
    off, change = np.abs(yours - right), np.abs(right - p)
    digits = off <= 8 * FLOAT32 * change + 8 * EPS["float64"] * np.abs(right)
    return bool(digits.all()) and float(np.ptp((yours - right)[change > 0] / change[change > 0])) > FLOAT32 / 64


def _to_seven_digits(w: Wrong, k: int) -> bool:
    """Are the parameters right to float32's digits after step k + 1?"""
    yours, right, start = w.yours[k], w.right[k], w.steps.params
    return all(distance(yours[n], right[n]) <= 64 * FLOAT32 * max(largest(start[n]), largest(right[n])) for n in start)
