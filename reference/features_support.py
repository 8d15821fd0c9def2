"""Wrong at some entries only, and what is special about them; and where the sum of all entries stays the same."""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from manualbp.base import Array
from manualbp.elementary import softmax

from .features import Finding, Found, Seen, spread
from .features_number import shown, spelled


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


def _by_value(s: Seen) -> Iterator[Region]:
    shape = s.right.shape
    named = {n: a for n, a in s.known.items() if a.shape == shape and not n.startswith("dy")}
    for n, a in named.items():
        yield Region(f"{n} = 0", "zero", a == 0)
        yield Region(f"{n} < 0", "negative", a < 0)
        yield Region(f"{n} > 0", "positive", a > 0)
        yield Region(f"{n} ≤ 0", "negative", a <= 0)
        kinks = np.unique(a[s.wrong])
        if 1 <= kinks.size <= 2 and kinks.any():
            yield Region(f"{n} on a kink", "kink", np.isin(a, kinks))
        for above in (20.0, float(a[s.wrong].min(initial=np.inf))):
            if np.isfinite(above) and above > 5:
                yield Region(f"{n} large", "large", a >= above)
    inputs = [(n, a) for n, a in named.items() if n in s.inputs]
    for (n, a), (m, b) in itertools.combinations(inputs, 2):
        yield Region(f"{n} = {m}", "equal", a == b)
    for n, t in (s.inputs | s.whole).items():
        if n != s.name and t.shape == shape and np.isin(t, (0, 1)).all():
            yield Region(f"{n} = 0", "target 0", t == 0)
            yield Region(f"{n} = 1", "target 1", t == 1)


def _by_index(s: Seen) -> Iterator[Region]:
    shape = s.right.shape
    for n, t in s.whole.items():
        if t.dtype.kind not in "iu" or not t.ndim:
            continue
        ignore = s.e.numbers.get("ignore_index", -100)
        ignored = (t < 0) | (t == ignore)
        for axis in {1 if len(shape) > 1 else 0, -1}:
            if len(shape) == t.ndim + 1 and np.delete(shape, axis).tolist() == list(t.shape):
                yield Region(f"{n} is ignored", "ignored", np.broadcast_to(np.expand_dims(ignored, axis), shape))
                along = np.arange(shape[axis]).reshape([-1 if i == axis % len(shape) else 1 for i in range(len(shape))])
                hot = np.expand_dims(t, axis) == along
                yield Region(f"the entries at {n}", "target", hot)
                yield Region(f"the entries not at {n}", "other", ~hot)
        if t.size and t.min() >= 0 and t.max() < shape[0] and t.ndim < 3:
            count = np.bincount(t.ravel(), minlength=shape[0]).reshape(-1, *[1] * (len(shape) - 1))
            yield Region(f"rows that occur in {n} more than once", "repeated", np.broadcast_to(count > 1, shape))
            padding = s.e.numbers.get("padding_idx")
            rows = np.flatnonzero(s.wrong.reshape(shape[0], -1).any(1))
            if rows.size == 1 and padding in (None, float(rows[0])) and not s.right[rows[0]].any():
                row = np.zeros(shape, bool)
                row[rows[0]] = True
                yield Region("the row of padding_idx", "padding", row)


def _by_mask(s: Seen) -> Iterator[Region]:
    for n, m in (s.whole | s.inputs).items():
        binary = m.dtype.kind == "b" or (m.size and np.isin(m, (0, 1)).all()) or np.isneginf(np.asarray(m, float)).any()
        if not binary or n == s.name:
            continue
        hidden = np.isneginf(m) if np.asarray(m).dtype.kind == "f" and np.isneginf(m).any() else np.asarray(m) == 0
        for u in spread(hidden, s.right.shape):
            yield Region(f"{n} hides", "masked", np.broadcast_to(u, s.right.shape))
            yield Region(f"{n} shows", "masked", np.broadcast_to(~u, s.right.shape))


def _by_place(s: Seen) -> Iterator[Region]:
    index = np.indices(s.right.shape)
    for axis, n in enumerate(s.right.shape):
        if n > 2:
            wrong = np.flatnonzero(np.moveaxis(s.wrong, axis, 0).reshape(n, -1).any(1))
            if wrong[0] > 0:
                yield Region(f"the end of axis {axis}", "tail", index[axis] >= wrong[0])
            elif wrong[-1] < n - 1:
                yield Region(f"the beginning of axis {axis}", "head", index[axis] <= wrong[-1])
            inner = [i for i in range(n) if i not in wrong]
            if inner and 0 in wrong and n - 1 in wrong:
                inside = (index[axis] >= inner[0]) & (index[axis] <= inner[-1])
                yield Region(f"the border along axis {axis}", "border", ~inside)
    if s.right.ndim > 1:
        i, j = index[-2], index[-1]
        for name, band in (("on", j == i), ("next above", j == i + 1), ("above", j > i), ("below", j < i)):
            yield Region(f"{name} the diagonal", "diagonal", band)


def covers(s: Seen, region: Array) -> bool:
    """Are the wrong entries in the region, and (nearly) all of its entries wrong that can be?"""
    if region.shape != s.wrong.shape or (s.wrong & ~region).any() or region.all():
        return False
    could = region & (s.dy != 0) if s.dy is not None and s.dy.shape == region.shape else region
    return bool(s.wrong.sum() >= (0.9 if s.is_real else 0.6) * could.sum())


def support(s: Seen) -> Found:
    """Wrong in a region only, where yours is 0, dy, or a multiple of right."""
    if not s.comparable or s.wrong.all() or not s.wrong.any():
        return
    for region in regions(s):
        if covers(s, region.mask):
            yield from RULES.get(region.kind, _any)(s, region)


def _at(s: Seen) -> tuple[Array, Array, Array | None]:
    """Yours, right and dy at the wrong entries."""
    dy = s.dy[s.wrong] if s.dy is not None and s.dy.shape == s.right.shape else None
    return s.yours[s.wrong], s.right[s.wrong], dy


def _zero(s: Seen, r: Region) -> Found:
    """One of both is 0 there, the other dy (or as large as all that is not 0, where dy is one number)."""
    yours, right, dy = _at(s)
    other = yours if not right.any() else right if not yours.any() else None
    if other is None:
        return
    whole = dy if dy is not None else np.full(other.shape, np.abs(s.right).max() or np.abs(s.yours).max())
    if s.constant(np.abs(other), np.abs(whole)) is None:
        return
    distance = s.loss or any(a.shape == s.right.shape and n != s.name for n, a in s.inputs.items())
    told = "dy" if dy is not None else "as large as elsewhere"
    which, rest = ("yours", "right") if other is yours else ("right", "yours")
    relation = f"where {r.name}, {which} is {told} and {rest} is 0; equal elsewhere"
    yield Finding(relation, "C18" if distance or ((other < 0).any() and dy is None) else "C05", 0.94)


def _kink(s: Seen, r: Region) -> Found:
    yours, right, dy = _at(s)
    if s.is_real and s.wrong.sum() < 2:
        return
    for a, b in ((yours, right), (right, yours)) if dy is not None else ():
        if not a.any() and (c := s.constant(b, dy)):
            slope = "dy" if abs(c - 1) < 1e-9 else f"{c:.6g} · dy"
            yield Finding(
                f"yours differs where {r.name}: one of yours and right is {slope} there, the other 0", "C17", 0.94
            )


def _half(s: Seen, r: Region) -> Found:
    """One side of 0."""
    yours, right, dy = _at(s)
    if not yours.any():
        yield Finding(f"yours = 0 where {r.name}, right is not", "C07" if r.kind == "negative" else None, 0.92, "",
                      "" if r.kind == "negative" else "One side of 0 gets no gradient.")  # fmt: skip
        return
    c = s.constant(yours - right, dy) if dy is not None and s.right[~r.mask].any() else None
    if c is not None and (s.wrong.sum() > 1 or abs(c + 1) < 1e-9):
        yield Finding(f"yours − right = {c:.6g} · dy where {r.name}", "C08", 0.92)
    yield from _any(s, r)


def _large(s: Seen, r: Region) -> Found:
    low = float(np.min(np.concatenate([a[s.wrong] for n, a in s.known.items() if r.name.startswith(f"{n} ")])))
    if low > 5:
        yield Finding(f"yours differs where {r.name} only", "C11", 0.93, f"from {low:.3g} on")


def _ignored(s: Seen, r: Region) -> Found:
    _yours, right, _ = _at(s)
    if right.any():
        return
    axis = 1 if s.yours.ndim > 1 else 0
    at = np.where(s.wrong, s.yours, 0)
    even = np.ones_like(at), softmax(s.own, axis) - 1 / s.own.shape[axis] if s.own is not None else np.ones_like(at)
    uniform = any(_proportional(at, np.where(s.wrong, u, 0), axis) for u in even)
    yield Finding(f"yours is not 0 where {r.name}", "A16" if uniform else "A15", 0.95 if uniform else 0.93)


def _proportional(a: Array, b: Array, axis: int) -> bool:
    """Is a a multiple of b, of its own along each line?"""
    c = (a * b).sum(axis, keepdims=True) / np.maximum((b * b).sum(axis, keepdims=True), 1e-300)
    return bool(np.allclose(a, c * b, rtol=0, atol=1e-9 * np.abs(a).max()))


def _of_target(s: Seen, r: Region) -> Found:
    yours, right, _ = _at(s)
    if not s.right[~r.mask].any():
        return
    c = s.constant(yours, right)
    for n, w in s.inputs.items():
        with np.errstate(all="ignore"):
            for u in spread(w, s.right.shape):
                if n != s.name and w.size and s.alike(np.where(r.mask, s.right * u, s.right)):
                    yield Finding(f"yours = {n} · right where {r.name}", "A22", 0.96)
    for form in spelled(s, c)[:3] if c is not None else ():
        yield Finding(f"yours = {form.symbol} · right where {r.name}", "A22", 0.9, shown(s, form))
    if c is not None:
        yield Finding(f"yours = {c:.6g} · right where {r.name}", "A22", 0.8)


def _repeated(s: Seen, r: Region) -> Found:
    if s.dy is None or s.dy.shape[-1] != s.right.shape[-1]:
        yield Finding(f"yours differs in {r.name} only", "F01", 0.8)
        return
    rows, dy = np.flatnonzero(s.wrong.any(-1)), s.dy.reshape(-1, s.dy.shape[-1])
    one = all(any(np.allclose(s.yours[i], d) for d in dy) for i in rows)
    yield Finding(
        f"yours differs in {r.name} only" + (": each is one row of dy" if one else ""), "F01", 0.96 if one else 0.85
    )


def _padding(s: Seen, r: Region) -> Found:
    yield Finding("yours is not 0 in the row of padding_idx", "F02", 0.95)


def _masked(s: Seen, r: Region) -> Found:
    _yours, right, _ = _at(s)
    if not right.any():
        yield Finding(f"yours is not 0 where {r.name}", "G14", 0.85)


def _tail(s: Seen, r: Region) -> Found:
    yours, right, _ = _at(s)
    if s.wrong.sum() < 2:
        return
    if not yours.any() and s.right.ndim > 2:
        yield Finding(f"yours = 0 at {r.name}", "E10", 0.8)
    c = s.constant(yours, right)
    if c and s.own is not None and s.own.ndim > 2 and s.wrong.sum() > 2 and s.informative(right):
        yield Finding(f"yours = {c:.6g} · right at {r.name}", "E16" if r.kind != "tail" else "E17", 0.85)
    elif s.wrong.sum() > 2 and not yours.any():
        text = f"{r.name[0].upper()}{r.name[1:]} gets no gradient."
        yield Finding(f"yours = 0 at {r.name}", None, 0.7, "", text, "look for a loop or a slice that ends too early")


def _diagonal(s: Seen, r: Region) -> Found:
    yours, right, _ = _at(s)
    if s.wrong.sum() > 2 and (not right.any() or not yours.any()):
        yield Finding(f"yours is {'not ' if yours.any() else ''}0 {r.name}", "G15", 0.85)


def _any(s: Seen, r: Region) -> Found:
    """No rule: a constant there, or nothing that could be said."""
    yours, right, _ = _at(s)
    c = s.constant(yours, right)
    if c is not None and s.informative(right):
        for form in spelled(s, c)[:2]:
            text = f"Where {r.name} the gradient is {form.symbol} times what it should be, elsewhere it is right."
            yield Finding(f"yours = {form.symbol} · right where {r.name}", None, 0.7, shown(s, form), text)


RULES = {
    "zero": _zero, "equal": _zero, "kink": _kink, "negative": _half, "positive": _half, "large": _large,
    "ignored": _ignored, "target 0": _of_target, "target 1": _of_target, "repeated": _repeated, "padding": _padding,
    "masked": _masked, "tail": _tail, "head": _tail, "border": _tail, "diagonal": _diagonal,
}  # fmt: skip


def dropped(s: Seen) -> Found:
    """yours and right are both dy times a mask and one factor, but the masks differ."""
    if not s.comparable or s.dy is None or s.dy.shape != s.right.shape or (s.dy == 0).any() or not s.wrong.any():
        return
    yours, right = s.yours / s.dy, s.right / s.dy
    values = [np.unique(np.round(q[q != 0], 9)) for q in (yours, right)]
    masks = [q != 0 for q in (yours, right)]
    if any(v.size != 1 for v in values) or all(m.all() for m in masks) or values[1][0] == 1:
        return
    s_yours, s_right = (float(v[0]) for v in values)
    if s.own is not None and _is_interval(s.own, masks[1]):
        return
    if not np.array_equal(*masks) and s_yours == s_right:
        yield Finding("yours is 0 at other places than right", "G19", 0.95, f"{(masks[0] != masks[1]).sum()} places")
    elif np.array_equal(*masks) and (abs(s_yours - 1) < 1e-9 or abs(s_yours - s_right**2) < 1e-9):
        twice = abs(s_yours - 1) >= 1e-9
        relation = "yours = right / (1 − p)" if twice else "yours = (1 − p) · right"
        yield Finding(relation, "G18.twice" if twice else "G18", 0.95, f"1/(1 − p) = {s_right:.6g}")


def _is_interval(x: Array, mask: Array) -> bool:
    """Does the size of x decide what is kept, as in an activation?"""
    inside = x[mask]
    return bool(mask.all() or not mask.any() or not ((x >= inside.min()) & (x <= inside.max()) & ~mask).any())


def ties(s: Seen) -> Found:
    """A maximum that occurs several times: who gets the gradient?"""
    if not s.comparable or s.own is None or s.y is None or s.dy is None or s.y.size >= s.own.size or s.y.size < 1:
        return
    if s.wrong.all() or not np.isin(s.y, s.own).all() or not np.isin(s.own[s.right != 0], s.y).all():
        return
    repeated = np.isin(s.own, [v for v, k in zip(*np.unique(s.own, return_counts=True), strict=True) if k > 1])
    if (s.wrong & ~repeated).any():
        return
    same = abs(s.residual.sum()) <= 1e-9 * np.abs(s.right).sum()
    yours, right, _ = _at(s)
    if not right.any() and np.isin(yours, s.dy).all():
        yield Finding("among equal entries several get all of dy, so that Σ yours ≠ Σ right", "E12", 0.85)
    elif same:
        yield Finding("Σ yours = Σ right, but at other places among equal entries", "E13", 0.85)


FEATURES = (support, dropped, ties)
