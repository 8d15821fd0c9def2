"""A choice at a kink or tie, where no derivative is: between the gradients that there are on all sides of it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from manualbp.base import Array, tree_map

from ..draw.trial import Trial
from ..sides.side import Side
from .bound import difference
from .tensor import Tensor

NEAR, AROUND = 1e-6, 48  # how far beside a kink torch's gradients are looked at, and how often
KINK = 1e-3  # by how much of themselves gradients on its sides differ at least; or they still do closer to it
CLOSER, KEPT = 2.0**-6, 0.125  # times as near, where what is smooth differs by as little, and a step is kept
SEVERAL = 2  # steps between gradients beside it, from which on more than one kink is met at once
WAYS = ("each", "each", "all", "scaled")  # how one goes beside it


def is_between(torch: Side, trial: Trial, wrong: Sequence[Tensor], room: float) -> bool:
    """Do these gradients lie between those that torch gives beside the kink?

    Off the kink, on all sides of it, torch's gradients are undisputed; a choice at the kink is between them, entry by
    entry and in sum. What is off where they all agree is no choice. room: relative, for how far beside it one looks.
    """
    near = _around(torch, trial, wrong, NEAR)
    each = [(t.hand, around) for t, around in zip(wrong, near)]
    if not all(_between(*of, room) for of in [*each, *_together(each)]):
        return False
    if all(_off_at_kinks(t, around) for t, around in zip(wrong, near)):
        return True
    closer = _around(torch, trial, wrong, NEAR * CLOSER)
    return all(_off_at_kinks(t, *of) for t, *of in zip(wrong, near, closer))


def _around(torch: Side, trial: Trial, wrong: Sequence[Tensor], far: float) -> list[list[Array | None]]:
    """Torch's gradients beside a trial, for each of the wrong tensors."""
    rng = np.random.default_rng(trial.seed + 3)
    near = [torch.run(beside(rng, trial, WAYS[i % len(WAYS)], far)) for i in range(AROUND)]
    return [[run.get(t.of) for run in near] for t in wrong]


def _off_at_kinks(t: Tensor, around: Sequence[Array | None], closer: Sequence[Array | None] = ()) -> bool:
    """Do the gradients beside every entry that is off differ by more than a smooth function's do?"""
    each = np.stack([a for a in around if a is not None])
    apart, size = np.ptp(each, axis=0), np.abs(each).max(0)
    off = difference(np.asarray(t.hand), np.asarray(t.torch)) > t.bound
    steps = apart > KINK * size
    if len(closer):
        steps |= np.ptp(np.stack([a for a in closer if a is not None]), axis=0) > KEPT * apart
    return bool(steps[off].all())


def _together(each: Sequence[tuple[Array | None, list[Array | None]]]) -> list[tuple[Array, list[Array]]]:
    """The gradients by several inputs as one: of two equal operands of a maximum one has all, or both have a share."""
    if len(each) < 2 or any(a is None for yours, around in each for a in (yours, *around)):
        return []
    runs = zip(*((yours, *around) for yours, around in each))
    yours, *around = (np.concatenate([np.ravel(a) for a in run]) for run in runs)
    return [(yours, around)]


def beside(rng: np.random.Generator, trial: Trial, way: str, far: float = NEAR) -> Trial:
    """Near a trial, where no two entries are equal any more.

    way: every entry of an array is moved by itself, all by as much, or all by as much of themselves; far: how far
    """

    def off(a: Any) -> Array:
        a = np.asarray(a)
        if a.dtype.kind != "f":
            return a
        drawn = far * rng.standard_normal(a.shape if way == "each" else ()).astype(a.dtype)
        return (a + drawn * a if way == "scaled" else a + drawn).astype(a.dtype)

    return replace(trial, x=tree_map(off, trial.x), params=tree_map(off, trial.params))


def _between(yours: Array | None, around: list[Array | None], room: float) -> bool:
    if yours is None or around[0] is None or yours.shape != around[0].shape:
        return False
    each = np.stack([a for a in around if a is not None])
    room = room * (1 + np.abs(each).max(0))  # of every entry: one beside a pole lends the others none
    sums = each.reshape(len(each), -1).sum(1)
    more = 1.0 if np.count_nonzero(np.diff(np.sort(sums)) > room.sum()) >= SEVERAL else 0.0  # not all choices are seen
    return _within(yours, each, room, more) and _within(yours.sum(), sums, room.sum(), more)


def _within(yours: Any, each: Array, room: Any, more: float) -> bool:
    """Between the least and the largest, `more` times as far apart as these on either side."""
    low, high = each.min(0), each.max(0)
    room = room + more * (high - low)
    return bool(((yours >= low - room) & (yours <= high + room)).all())
