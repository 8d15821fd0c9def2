"""Where a gradient depends on a convention: at a kink or a tie it is another one on every side.

The data are moved by little in several directions, and by a 64th of it. Where a function is smooth its gradient moves
as little, and 64 times less; where an entry of it jumps either way, the data lie on a kink, and the limits from all
sides span what other conventions may give: the slope of ReLU at 0, the share of each of two equal maxima.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from manualbp.base import Array, tree_map_with_path
from manualbp.tree import spelt

from ..compare.bound import largest
from ..draw.trial import Trial
from ..sides.run import GRADIENT, OUTPUT, Name, Run, leaves, of_role
from ..sides.side import Side

STEPS = 2.0**-36, 2.0**-42
JUMP = 2.0**-20  # of the largest gradient: what is less is not looked at
GRID = 2.0**20  # what no operation rounds is a multiple of 1/GRID
ROOM = 2.0**-30  # of the largest gradient: how near to a limit the smaller step leads
AT_RANDOM = 8  # directions

Ends = dict[Name, tuple[Array, Array]]
Direction = dict[str, Array]  # what is added to each array, but for the step


def ends(side: Side, trial: Trial, run: Run, exact: bool = False) -> Ends:
    """Between which numbers the limits of each gradient lie, for those that have others than its own; so for indices
    among the outputs, as of equal maxima. `exact`: nothing rounds, so that limits are multiples of 1/GRID."""
    upstream = [a for a in leaves(trial.dy, "y").values() if a is not None]
    top = max(map(largest, (*of_role(run, GRADIENT).values(), *upstream)), default=0.0)
    learned = {path for path, g in of_role(run, GRADIENT).items() if g.any()} | {"x", "x[0]"}
    found: Ends = {}
    _widen(found, side, trial, run, (top, exact), _directions(trial, learned))
    if found:
        _widen(found, side, trial, run, (top, exact), _single(trial, learned))
    return found


def _widen(
    found: Ends, side: Side, trial: Trial, run: Run, facts: tuple[float, bool], directions: Iterable[Direction]
) -> None:
    """The limits along these directions, too."""
    top, exact = facts
    for direction in directions:
        try:
            moved = side.run(_moved(trial, direction, STEPS[0]))
            if all(_jump(n, a, moved.get(n), top) is None for n, a in run.items()):
                continue
            again = side.run(_moved(trial, direction, STEPS[1]))
        except ValueError:  # outside of where the function is defined
            continue
        for name, a in run.items():
            if (limit := _limit(name, a, moved.get(name), again.get(name), top, exact)) is not None:
                low, high = found.get(name, (a, a))
                found[name] = np.minimum(low, limit[0]), np.maximum(high, limit[1])


def _jump(name: Name, a: Array | None, b: Array | None, top: float) -> Array | None:
    """Where b jumps away from a; None where it does not."""
    if a is None or b is None or a.shape != b.shape or a.dtype.kind != {GRADIENT: "f", OUTPUT: "i"}.get(name.role):
        return None
    with np.errstate(invalid="ignore"):
        jumps = (np.abs(a - b) > JUMP * top) & np.isfinite(b) if name.role == GRADIENT else a != b
    return jumps if jumps.any() else None


def _limit(
    name: Name, a: Array | None, b: Array | None, c: Array | None, top: float, exact: bool
) -> tuple[Array, Array] | None:
    """The limit that b and c lead to, c by the smaller step, where both jump away from a; a little less and more, for
    what the step is not 0."""
    jumps, still = _jump(name, a, b, top), _jump(name, a, c, top)
    if a is None or b is None or c is None or jumps is None or still is None:
        return None
    if name.role == OUTPUT:
        return c, c
    jumps &= still & (np.abs(a - c) > np.abs(a - b) / 2)
    c = np.where(jumps, np.round(c * GRID) / GRID if exact else c, a)
    room = np.where(jumps & (not exact), ROOM * top, 0.0)
    return (c - room, c + room) if np.any(jumps) else None


def _directions(trial: Trial, learned: set[str]) -> Iterator[Direction]:
    """All upwards, all downwards, and some at random."""
    rng, arrays = np.random.default_rng(trial.seed), _free(trial, learned)
    for signs in ((1,), (-1,), *((-1, 1),) * AT_RANDOM):
        yield {n: rng.choice(signs, a.shape) * rng.integers(1, 9, a.shape) / 8 for n, a in arrays.items()}


def _single(trial: Trial, learned: set[str]) -> Iterator[Direction]:
    """Every entry alone, upwards and downwards: of several equal maxima each is the largest once."""
    for name, a in _free(trial, learned).items():
        for i, sign in itertools.product(range(a.size), (1.0, -1.0)):
            direction = np.zeros(a.shape)
            direction.flat[i] = sign
            yield {name: direction}


def _free(trial: Trial, learned: set[str]) -> dict[str, Array]:
    """What may be moved. Whole numbers without a gradient may be labels, and one that is moved is a label no more."""
    arrays = {n: np.asarray(a) for n, a in trial.arrays.items()}
    return {
        n: a for n, a in arrays.items() if a.dtype.kind == "f" and (n in learned or not np.array_equal(a, np.round(a)))
    }


def _moved(trial: Trial, direction: Direction, step: float) -> Trial:
    def move(name: str, a: Any) -> Any:
        return np.asarray(a + step * direction[name]) if name in direction else a

    x = tree_map_with_path(lambda path, a: move(spelt(path, "x"), a), trial.x)
    return replace(trial, x=x, params=tree_map_with_path(lambda path, a: move(spelt(path), a), trial.params))
