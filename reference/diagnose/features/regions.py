"""Parts of a tensor that have a name: by the values of other arrays, by indices and masks, by their place."""

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from manualbp.base import Array

from .residual import onehot, targets
from .seen import Seen, spread

LARGE = 5.0  # from where on an activation may have another branch
FEWEST = 2  # entries that tell a bound
LIKELY = 100  # ways to choose so many entries, below which they are beyond a bound by chance
THRESHOLD = 20.0  # torch's for softplus


class Region(NamedTuple):
    """Entries that something is special about. `kind` says for which mistakes that matters."""

    name: str
    kind: str
    mask: Array


def regions(s: Seen) -> Iterator[Region]:
    """Every part of the tensor that can be named."""
    yield from _by_value(s)
    yield from _by_index(s)
    yield from _by_mask(s)
    yield from _by_place(s)
    yield from _by_bound(s)  # last: a few numbers are beyond a bound by chance


def covers(s: Seen, region: Region) -> bool:
    """Are the wrong entries in the region, and (nearly) all of its entries wrong that can be?"""
    if (s.wrong & ~region.mask).any() or region.mask.all():
        return False
    could = region.mask & (s.dy != 0) if s.dy is not None and s.dy.shape == s.right.shape else region.mask
    return bool(s.wrong.sum() >= (0.9 if s.is_real else 0.6) * could.sum())


def _by_value(s: Seen) -> Iterator[Region]:
    alike = {n: a for n, a in s.known.items() if a.shape == s.right.shape and not n.startswith("dy")}
    for n, a in alike.items():
        yield Region(f"{n} = 0", "zero", a == 0)
        yield Region(f"{n} < 0", "negative", a < 0)
        yield Region(f"{n} ≤ 0", "negative", a <= 0)
        yield Region(f"{n} > 0", "positive", a > 0)
        kinks = _single(s, a)
        if kinks.size and all(_bends(s, a, v) for v in kinks):
            yield Region(f"{n} is on a kink", "kink", np.isin(a, kinks))
        for least in (THRESHOLD, float(a[s.wrong].min(initial=np.inf))):
            if LARGE < least < np.inf:
                yield Region(f"{n} is large", "large", a >= least)
        if n != s.name and np.isin(a, (0, 1)).all():
            yield Region(f"{n} = 0", "target", a == 0)
            yield Region(f"{n} = 1", "target", a == 1)
    for n, m, d in _pairs(s):
        yield Region(f"{n} = {m}", "zero", d == 0)


def _pairs(s: Seen) -> Iterator[tuple[str, str, Array]]:
    """Differences of inputs."""
    inputs = ((n, a) for n, a in s.inputs.items() if a.shape == s.right.shape and not n.startswith("dy"))
    yield from ((n, m, a - b) for (n, a), (m, b) in itertools.combinations(inputs, 2))


def _single(s: Seen, a: Array) -> Array:
    """The one or two values, other than 0 alone, that small integers have wherever it is wrong."""
    values = np.unique(a[s.wrong])
    return values if values.any() and values.size <= 2 and not s.is_real else values[:0]


def _by_bound(s: Seen) -> Iterator[Region]:
    for n, a in s.inputs.items():
        values = _single(s, a) if a.shape == s.right.shape and not n.startswith("dy") else np.zeros(0)
        if values.size:
            yield Region(f"{n} is {' or '.join(f'{v:g}' for v in values)}", "point", np.isin(a, values))
    for n, a in s.known.items():
        if a.shape == s.right.shape and not n.startswith("dy"):
            yield from _beyond(s, n, a)
    for n, m, d in _pairs(s):
        yield from _beyond(s, f"{n} − {m}", d)


def _bends(s: Seen, a: Array, at: float) -> bool:
    """Is right 0 on one side of this value, and not on the other, as on two pieces that meet there?"""
    if s.dy is not None and s.dy.shape == a.shape:
        a, right = a[s.dy != 0], s.right[s.dy != 0]
    else:
        right = s.right.reshape(a.shape)
    below, above = a[a < at], a[a > at]
    if not below.size or not above.size:
        return False
    return bool(right[a == below.max()].any()) != bool(right[a == above.min()].any())


def _beyond(s: Seen, n: str, a: Array) -> Iterator[Region]:
    """Where an array is beyond a bound, which the wrong entries tell: on either side of 0, or on one."""
    wrong = a[s.wrong]
    if (
        s.wrong.sum() < FEWEST
        or math.comb(s.wrong.size, int(s.wrong.sum())) < LIKELY
        or not np.isfinite(wrong).all()
        or s.wrong.all()
        or not wrong.all()
    ):
        return
    if (wrong < 0).all():
        yield Region(f"{n} ≤ {wrong.max():.3g}", "below", a <= wrong.max())
    elif (wrong > 0).all():
        yield Region(f"{n} ≥ {wrong.min():.3g}", "over", a >= wrong.min())
    least, most = np.abs(wrong).min(), np.abs(wrong).max()
    yield Region(f"|{n}| ≥ {least:.3g}", "far", np.abs(a) >= least)
    yield Region(f"|{n}| ≤ {most:.3g}", "near", np.abs(a) <= most)


def _by_index(s: Seen) -> Iterator[Region]:
    shape = s.right.shape
    for n, t, axis in targets(s):
        ignored = np.expand_dims((t < 0) | (t == s.e.numbers.get("ignore_index", -100)), axis)
        hot = onehot(t, axis, shape) > 0
        yield Region(f"{n} is ignored", "ignored", np.broadcast_to(ignored, shape))
        yield Region(f"the class is {n}", "class", hot)
        yield Region(f"the class is not {n}", "class", ~hot)
    for n, t in s.whole.items():
        if shape and t.dtype.kind in "iu" and t.size and t.min() >= 0 and t.max() < shape[0]:
            count = np.bincount(t.ravel(), minlength=shape[0]).reshape(-1, *[1] * (len(shape) - 1))
            yield Region(f"the row occurs in {n} more than once", "repeated", np.broadcast_to(count > 1, shape))
    rows = np.flatnonzero(s.wrong.reshape(shape[0], -1).any(1)) if shape else np.zeros(0)
    padded = rows.size == 1 and s.e.numbers.get("padding_idx", rows[0]) == rows[0] and not s.right[rows[0]].any()
    if padded and any(_looked_up(s, t) for t in s.whole.values()):
        yield Region("the row is that of padding_idx", "padding", np.indices(shape)[0] == rows[0])


def _looked_up(s: Seen, t: Array) -> bool:
    """Are rows of it taken by the index t, each as a row of the output, or into sums of these?"""
    size, width = s.right.shape[0], s.right.shape[-1:]
    return t.dtype.kind in "iu" and bool(t.size) and s.y is not None and s.y.shape[-1:] == width and t.max() < size


def _by_mask(s: Seen) -> Iterator[Region]:
    for n, m in (s.whole | s.inputs).items():
        blocked = np.isneginf(m) if m.dtype.kind == "f" else np.zeros(m.shape, bool)
        if n != s.name and m.size and (blocked.any() or np.isin(m, (0, 1)).all()):
            for u in spread(blocked if blocked.any() else m == 0, s.right.shape):
                yield Region(f"{n} hides", "masked", np.broadcast_to(u, s.right.shape))
                yield Region(f"{n} shows", "masked", np.broadcast_to(~u, s.right.shape))


def _by_place(s: Seen) -> Iterator[Region]:
    index = np.indices(s.right.shape)
    for axis, n in enumerate(s.right.shape):
        wrong = np.flatnonzero(np.moveaxis(s.wrong, axis, 0).reshape(n, -1).any(1))
        inner = np.setdiff1d(np.arange(n), wrong)
        if n < 3 or not wrong.size or not inner.size:
            continue
        if wrong[0] > 0:
            yield Region(f"at the end of axis {axis}", "tail", index[axis] >= wrong[0])
        elif wrong[-1] < n - 1:
            yield Region(f"at the beginning of axis {axis}", "head", index[axis] <= wrong[-1])
        else:
            inside = (index[axis] >= inner[0]) & (index[axis] <= inner[-1])
            yield Region(f"at the border along axis {axis}", "border", ~inside)
    if s.right.ndim > 1:
        i, j = index[-2:]
        for name, band in (
            ("on", j == i),
            ("next above", j == i + 1),
            ("above", j > i),
            ("below", j < i),
            ("off", j != i),
        ):
            yield Region(f"{name} the diagonal", "diagonal", band)
