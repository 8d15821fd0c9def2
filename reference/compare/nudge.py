"""What no comparison can resolve: how far a side's arrays move when the data do by their last bits.

A bound is exceeded by right code at a kink or tie that rounding shifts, and where terms cancel that were not zero. So
data, parameters and dy are moved by a few units of their last place, several times, and both sides are run on them:

    room of an entry  its own jump, as at a kink, and the largest move of the tensor that is no jump

A wrong but smooth formula moves by its conditioning only, some 10⁻¹⁵. Of the judged side's moves there count no more
than of its rounding (`bound.most`). On small integers that nothing rounds, jumps count nothing: there a choice at
a kink is made, not met by accident.

What is rounded inside a network moved data need not show: where two paths cancel, either side leaves last bits of its
own. So the results of every layer by hand are moved by their last bits, too. What cancels inside a layer leaves more:
the gradient of LayerNorm over one entry is 0 by hand and |γ dy| ε/√ε in torch. A layer says so of itself (`cancels`),
and its noise is put in at its place. Where nothing can be looked into, the last bits of the largest input (under an
output) and of the largest gradient (under a gradient) are the floor of a tensor that is so small beside them that it
may be nothing but noise.
"""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from manualbp.base import Array, tree_map
from manualbp.tree import Path, spelt, tree_map_with_path

from ..draw.trial import Trial
from ..sides.run import GRADIENT, Name, Run, flat
from ..sides.side import Side
from .bound import EPS, difference, largest, most

FACTOR = 8.0  # by how much more than the largest move seen
LOOKS, MORE = 8, 32  # runs on moved data; further ones where so few may have met no kink by luck
LUCK = 2.0**14  # how many times its room a tensor may be off for that
FAINT = {dtype: eps**-0.4 for dtype, eps in EPS.items()}  # units of the floor that a tensor may have and be noise

Room = dict[Name, Any]


def room(hand: Side | None, torch: Side, trial: Trial, start: tuple[Run, Run], looks: int, jumps: bool = True) -> Room:
    """For every tensor, what each of its entries may be off beside its bound. `jumps`: do kinks count? hand: None for
    the most that any judged side may have"""
    rng = np.random.default_rng(trial.seed)
    smooth = {n.path for run in start for n, g in run.items() if n.role == GRADIENT and g is not None and np.any(g)}
    noise = floors(trial, start[1], EPS[trial.dtype])
    mine: dict[Name, Array | float] = {} if hand else dict.fromkeys(start[1], np.inf)
    theirs: dict[Name, Array | float] = {}
    with np.errstate(all="ignore"):
        for _ in range(0 if trial.large else looks):
            near = moved_trial(rng, trial, smooth)
            for side, before, spread in ((hand, start[0], mine), (torch, start[1], theirs)):
                if side is None:
                    continue
                _widen(spread, side.run(near), before, noise, jumps)
                if (inside := side.noise(near, rng)) is not None:
                    _widen(theirs, inside, before, noise, jumps)
    alike = {n: a for n, a in start[1].items() if a is not None and a.dtype.kind == "f" and _fits(start[0].get(n), a)}
    return {n: FACTOR * _joined(mine.get(n, 0.0), theirs.get(n, 0.0), a, noise[n.role == GRADIENT], trial.dtype)
            for n, a in alike.items()}  # fmt: skip


def _fits(a: Array | None, b: Array) -> bool:
    """Has it the shape in which it can be compared?"""
    return a is not None and a.shape == b.shape


def floors(trial: Trial, right: Run, eps: float) -> tuple[float, float]:
    """The last bits of the largest input, and of the largest gradient: of their size is what cancels inside."""
    gradients = [a for n, a in right.items() if n.role == GRADIENT]
    about = [largest(np.asarray(a)) for a in (*gradients, *flat(trial.dy)) if a is not None]
    return eps * max(map(largest, trial.real), default=0.0), eps * max(about, default=0.0)


def _widen(spread: Room, run: Run, before: Run, noise: tuple[float, float], jumps: bool) -> None:
    for n, a in run.items():
        b = before.get(n)
        if a is not None and b is not None and a.dtype.kind == "f" and a.shape == b.shape:
            top = noise[1] / EPS[a.dtype.name] if a.dtype.name in EPS else 0.0
            spread[n] = np.maximum(spread.get(n, 0.0), _moves(a, b, top, jumps))


def _moves(a: Array, b: Array, top: float, jumps: bool) -> Array:
    """|a − b|: for every entry its own jump, as at a kink, and for all of them the largest move that is no jump."""
    d = difference(a, b)
    d = np.where(np.isfinite(d), d, 0)
    calm = d[d <= np.finfo(a.dtype).eps ** 0.5 * top].max(initial=0)
    return np.maximum(d, calm) if jumps else np.full(d.shape, calm)


def _joined(mine: Any, theirs: Any, right: Array, floor: float, dtype: str) -> Any:
    s = largest(right)
    under = floor if s <= FAINT[dtype] * floor else 0.0
    return np.maximum(np.minimum(mine, most(s, theirs + EPS[dtype] * s + under, dtype)), theirs) + under


def moved_trial(rng: np.random.Generator, trial: Trial, smooth: set[str]) -> Trial:
    """Inputs, parameters and dy moved by their last bits. `smooth`: the paths whose gradients are not 0."""

    def changed(path: Path, a: Any, root: str = "") -> Any:
        arrays = isinstance(a, (np.ndarray, np.generic))
        return moved(rng, a, spelt(path, root) in smooth) if arrays else a

    params, dy = tree_map_with_path(changed, trial.params), tree_map(partial(moved, rng), trial.dy)
    root = "" if isinstance(trial.x, dict) else "x"
    return replace(trial, x=tree_map_with_path(partial(changed, root=root), trial.x), params=params, dy=dy)


def moved(rng: np.random.Generator, a: Any, gradient: bool = True) -> Array:
    """Every entry of a moved by up to two units of its last place; integers and masks stay.

    Whole numbers without a gradient stay, too: they may be labels, ±1, and one that is moved is a label no more.
    """
    a = np.asarray(a)
    if a.dtype.kind != "f" or (not gradient and np.array_equal(a, np.round(a))):
        return a
    return np.asarray(a * (1 + rng.integers(-2, 3, a.shape) * np.finfo(a.dtype).eps), dtype=a.dtype)
