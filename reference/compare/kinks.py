"""A choice at a kink or tie, where no derivative is: between the gradients that there are on all sides of it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from manualbp.base import Array, tree_map

from ..draw.trial import Trial
from ..sides.run import Name
from ..sides.side import Side

NEAR, AROUND = 1e-6, 48  # how far beside a kink torch's gradients are looked at, and how often
WAYS = ("each", "each", "all", "scaled")  # how one goes beside it


def is_between(torch: Side, trial: Trial, yours: Mapping[Name, Array | None], room: float) -> bool:
    """Do these gradients lie between those that torch gives beside the kink?

    Off the kink, on all sides of it, torch's gradients are undisputed; a choice at the kink is between them, entry by
    entry and in sum. room: relative, for how far beside it one looks.
    """
    rng = np.random.default_rng(trial.seed + 3)
    near = [torch.run(_beside(rng, trial, WAYS[i % len(WAYS)])) for i in range(AROUND)]
    each = [(a, [run.get(name) for run in near]) for name, a in yours.items()]
    return all(_between(*of, room) for of in [*each, *_together(each)])


def _together(each: Sequence[tuple[Array | None, list[Array | None]]]) -> list[tuple[Array, list[Array]]]:
    """The gradients by several inputs as one: of two equal operands of a maximum one has all, or both have a share."""
    if len(each) < 2 or any(a is None for yours, around in each for a in (yours, *around)):
        return []
    runs = zip(*((yours, *around) for yours, around in each))
    yours, *around = (np.concatenate([np.ravel(a) for a in run]) for run in runs)
    return [(yours, around)]


def _beside(rng: np.random.Generator, trial: Trial, way: str) -> Trial:
    """way: every entry of an array is moved by itself, all by as much, or all by as much of themselves."""

    def off(a: Any) -> Array:
        a = np.asarray(a)
        if a.dtype.kind != "f":
            return a
        drawn = NEAR * rng.standard_normal(a.shape if way == "each" else ()).astype(a.dtype)
        return (a + drawn * a if way == "scaled" else a + drawn).astype(a.dtype)

    return replace(trial, x=tree_map(off, trial.x), params=tree_map(off, trial.params))


def _between(yours: Array | None, around: list[Array | None], room: float) -> bool:
    if yours is None or around[0] is None or yours.shape != around[0].shape:
        return False
    each = np.stack([a for a in around if a is not None])
    room = room * (1 + np.abs(each).max(0))  # of every entry: one beside a pole lends the others none
    low, high, sums = each.min(0) - room, each.max(0) + room, each.reshape(len(each), -1).sum(1)
    total = float(yours.sum())
    inside = bool(((yours >= low) & (yours <= high)).all())
    return inside and bool(sums.min() - room.sum() <= total <= sums.max() + room.sum())
