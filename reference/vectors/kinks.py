"""Where a gradient depends on a convention: at a kink or a tie it is another one on every side.

The data are moved by 2⁻⁴⁰ in several directions. Where a function is smooth its gradient moves as little; where an
entry of it jumps, the data lie on a kink, and the limits from all sides span what other conventions may give: the slope
of ReLU at 0, the share of each of two equal maxima.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from manualbp.base import Array, tree_map_with_path
from manualbp.tree import spelt

from ..compare.bound import largest
from ..draw.trial import Trial
from ..sides.run import GRADIENT, OUTPUT, Name, Run, of_role
from ..sides.side import Side

STEP = 2.0**-40
JUMP = 2.0**-20  # of the largest gradient: more than any smooth function of such small cases moves
GRID = 2.0**20  # what no operation rounds is a multiple of 1/GRID
DIRECTIONS = 8  # at random, beside all upwards and all downwards

Ends = dict[Name, tuple[Array, Array]]


def ends(side: Side, trial: Trial, run: Run, exact: bool = False) -> Ends:
    """Between which numbers the limits of each gradient lie, for those that have others than its own; so for indices
    among the outputs, as of equal maxima. `exact`: nothing rounds, so that limits are multiples of 1/GRID."""
    top = max((largest(a) for a in of_role(run, GRADIENT).values()), default=0.0)
    found: Ends = {}
    for near in _neighbours(trial, run):
        try:
            moved = side.run(near)
        except ValueError:  # outside of where the function is defined
            continue
        for name, a in run.items():
            if (limit := _limit(name, a, moved.get(name), top, exact)) is not None:
                low, high = found.get(name, (a, a))
                found[name] = np.minimum(low, limit[0]), np.maximum(high, limit[1])  # type: ignore[arg-type]
    return found


def _limit(name: Name, a: Array | None, b: Array | None, top: float, exact: bool) -> tuple[Array, Array] | None:
    """Where b jumps away from a, a little less and more than b: its limit; None where it does not jump."""
    if a is None or b is None or a.shape != b.shape:
        return None
    if name.role == OUTPUT and a.dtype.kind == "i":
        return None if np.array_equal(a, b) else (b, b)
    if name.role != GRADIENT or a.dtype.kind != "f":
        return None
    with np.errstate(invalid="ignore"):
        jumps = np.isfinite(b) & (np.abs(a - b) > JUMP * top)
    if not jumps.any():
        return None
    b = np.where(jumps, np.round(b * GRID) / GRID if exact else b, a)
    room = np.where(jumps & (not exact), 2.0**10 * STEP * top, 0.0)
    return b - room, b + room


def _neighbours(trial: Trial, run: Run) -> Iterator[Trial]:
    rng = np.random.default_rng(trial.seed)
    learned = {path for path, g in of_role(run, GRADIENT).items() if g.any()} | {"x", "x[0]"}
    for signs in ((1,), (-1,), *((-1, 1),) * DIRECTIONS):
        move = partial(_moved, rng, np.array(signs), learned)
        x = tree_map_with_path(lambda path, a, move=move: move(spelt(path, "x"), a), trial.x)
        params = tree_map_with_path(lambda path, a, move=move: move(spelt(path), a), trial.params)
        yield Trial(x, trial.sizes, trial.integers, trial.seed, params=params, buffers=trial.buffers, dy=trial.dy)


def _moved(rng: np.random.Generator, signs: Array, learned: set[str], name: str, a: Any) -> Any:
    """Whole numbers without a gradient stay: they may be labels, and one that is moved is a label no more."""
    if not isinstance(a, (np.ndarray, np.generic)) or a.dtype.kind != "f":
        return a
    if name not in learned and np.array_equal(a, np.round(a)):
        return a
    return np.asarray(a + STEP * rng.choice(signs, a.shape) * rng.integers(1, 9, a.shape) / 8, dtype=a.dtype)
