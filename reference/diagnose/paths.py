"""Which entries of dy reach which entries of dx, and with what weight: what is wrong along one axis, in words.

The gradient is linear in dy, so one pass for every entry of dy gives the whole matrix, on both sides. It is looked at
where all paths run along one axis, as those of a running mean, a filter or a recurrence do.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from manualbp.base import Array

from ..draw.trial import Trial
from ..sides.run import GRADIENT, of_role
from ..sides.side import Side

MOST = 48  # entries of dy, for each of which there are two passes
SAME = 1e-9  # relative: equal weights
WHERE = {  # by whether dy is earlier (−1), at the same place, or later
    (-1,): "{} earlier places",
    (0,): "the same place",
    (1,): "{} later places",
    (-1, 0): "the same and {} earlier places",
    (0, 1): "the same and {} later places",
    (-1, 1): "{} other places",
    (-1, 0, 1): "{} places",
}
SHOWN = 6  # weights that are listed


class Weights(NamedTuple):
    """Of dy[j] in dx[i] along an axis, as [line, j, i]: one line for every place on the other axes."""

    axis: int
    yours: Array
    right: Array

    @property
    def later(self) -> Array:
        """j − i: by how many places dy is later than dx."""
        places = np.arange(self.right.shape[-1])
        return np.subtract.outer(places, places)

    @property
    def paths(self) -> tuple[Array, Array]:
        """Where yours, and where right, has a weight on any line."""
        return (self.yours != 0).any(0), (self.right != 0).any(0)


def of_paths(hand: Side, torch: Side | None, failed: Sequence[tuple[Trial, Sequence[str]]]) -> tuple[str, ...]:
    """Sentences on gradients that are wrong, from the first trial of real numbers; none where paths leave one axis.

    failed: trials, with the names of the inputs whose gradients are wrong in each
    """
    real = [of for of in failed if not of[0].integers and isinstance(of[0].x, dict)]
    if torch is None or not real:
        return ()
    trial, names = real[0]
    try:
        with np.errstate(all="ignore"):
            each = ((n, _along(trial, *(_matrix(side, trial, n) for side in (hand, torch)))) for n in names)
            return tuple(told for n, w in each if w is not None for told in _told(w, n))
    except Exception:  # no more passes are taken: then there is no such fact
        return ()


def _matrix(side: Side, trial: Trial, name: str) -> Array | None:
    """[entry of dy, entry of dx]; None where the two are not of one shape, or of too many entries."""
    dy = trial.dy
    if isinstance(dy, tuple) or np.shape(dy) != np.shape(trial.arrays[name]) or not 2 < np.size(dy) <= MOST:
        return None
    each = np.eye(np.size(dy)).reshape(-1, *np.shape(dy))
    return np.stack([of_role(side.run(replace(trial, dy=one)), GRADIENT)[name].ravel() for one in each])


def _along(trial: Trial, yours: Array | None, right: Array | None) -> Weights | None:
    """The weights, if on both sides no path leaves the lines along some axis."""
    if yours is None or right is None or not (np.isfinite(yours).all() and np.isfinite(right).all()):
        return None
    index = np.arange(len(right)).reshape(np.shape(trial.dy))
    for axis, n in enumerate(index.shape):
        lines = np.moveaxis(index, axis, -1).reshape(-1, n)
        inside = np.zeros(right.shape, bool)
        for line in lines:
            inside[np.ix_(line, line)] = True
        if n > 2 and not yours[~inside].any() and not right[~inside].any():
            return Weights(axis, *(np.stack([m[np.ix_(k, k)] for k in lines]) for m in (yours, right)))
    return None


def _told(w: Weights, name: str) -> Iterator[str]:
    yours, right = w.paths
    if not w.later[yours | right].any():
        return  # entry by entry: other facts say it all
    lost, more = "does not reach {}, as it should", "reaches {}, as it should not"
    for there, other, told in ((right, yours, lost), (yours, right, more)):
        if (only := there & ~other).any():
            side = np.sign(w.later[only])
            count = "some" if (yours & right & np.isin(np.sign(w.later), side)).any() else "all"
            which = WHERE[tuple(np.unique(side).tolist())].format(count)
            yield f"dy at {which} along axis {w.axis} {told.format(f'd{name}')}"
    if np.array_equal(yours, right):
        yield from _of_weights(w, right, name)


def _of_weights(w: Weights, there: Array, name: str) -> Iterator[str]:
    """The same paths, of other weights."""
    steps, places = ([f(m, there, w.later) for m in (w.yours, w.right)] for f in (_step, _place))
    along = f"along axis {w.axis}"
    if None not in steps and abs(steps[0] - steps[1]) > SAME:
        yield f"{along} your d{name} takes {steps[0]:.6g} of what comes from one place later, right is {steps[1]:.6g}"
    if told := _factors(w, there, name):
        yield f"{along} the weight {told} times the right one"
    elif None not in places and places[0] != places[1]:
        yield f"{along} your weights depend on the place of {places[0]} alone, the right ones on that of {places[1]}"
    else:
        off = np.abs(w.yours - w.right)
        line, j, i = np.argwhere(off == off.max()).tolist()[0]
        a, b = w.yours[line, j, i], w.right[line, j, i]
        yield f"{along} dy at {j} has the weight {a:.6g} in your d{name} at {i}, right is {b:.6g}"


def _factors(w: Weights, there: Array, name: str) -> str:
    """By what the weights are off, if that depends on where dy is, on where dx is, or on how far it is between."""
    ratio = np.where(there, w.yours / w.right, np.nan)
    places = np.indices(there.shape)
    kinds = (places[0], "of dy at {}"), (places[1], f"in d{name} at {{}}"), (w.later, "of dy {} places later")
    for label, what in kinds:
        each = {int(k): ratio[:, there & (label == k)] for k in np.unique(label[there])}
        if all(np.ptp(r) <= SAME * np.abs(r).max() for r in each.values()):
            shown = dict(list(each.items())[:SHOWN])
            where, times = ", ".join(map(str, shown)), ", ".join(f"{r.mean():.4g}" for r in shown.values())
            return f"{what.format(where)} is {times}"
    return ""


def _step(m: Array, there: Array, later: Array) -> float | None:
    """The constant by which a weight changes from one place of dy to the next, where there is one."""
    pairs = there[1:] & there[:-1] & (later[:-1] >= 0)
    q = (m[:, 1:] / m[:, :-1])[:, pairs]
    return float(q.mean()) if q.size > 2 and np.ptp(q) <= SAME * np.abs(q).max() else None


def _place(m: Array, there: Array, later: Array) -> str | None:
    """Of which side the place decides the weight: "dy" if it is the same for all entries of dx that it leads to."""
    kept, room = np.where(there, m, np.nan), SAME * np.abs(m).max()
    for what, axis in (("dy", -1), ("dx", -2)):
        if not (np.nanmax(kept, axis) - np.nanmin(kept, axis) > room).any():
            return what
    return None
