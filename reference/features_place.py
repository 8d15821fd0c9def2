"""Right numbers at wrong places: transposed, flipped, shifted, permuted, in another tensor."""

import itertools
import math

import numpy as np

from manualbp.base import Array

from .features import Finding, Found, Seen

MOST = 5  # axes whose permutations are tried


def permuted_axes(s: Seen) -> Found:
    """A transpose taken for a reshape, or another order of the entries."""
    if not s.comparable or not 2 <= s.right.ndim <= MOST:
        return
    shape = s.right.shape
    yield from _reshaped(s)
    for p in list(itertools.permutations(range(s.right.ndim)))[1:]:
        order = ", ".join(map(str, p))
        back = tuple(np.argsort(p))
        if s.alike(s.right.transpose(p).reshape(shape)):
            yield _order(s, p, f"yours = right.transpose({order}).reshape(shape)")
        if s.alike(s.right.reshape([shape[i] for i in p]).transpose(back)):
            yield _order(s, p, f"yours = right.reshape(its shape in the order {order}), transposed back")
        if shape == tuple(shape[i] for i in p) and s.alike(s.right.transpose(p)) and p == p[::-1]:
            text = "The gradient is transposed."
            yield Finding("yours = rightᵀ", None, 0.8, "", text, "transpose it", "a shape that is not square")


def _reshaped(s: Seen) -> Found:
    """yours and right are both dy in another order of axes."""
    dy = s.dy
    if dy is None or dy.size != s.right.size or dy.ndim > MOST or dy.ndim < 2 or dy.shape == s.right.shape:
        return
    orders = {p: dy.transpose(p).reshape(s.right.shape) for p in itertools.permutations(range(dy.ndim))}
    right = next((p for p, a in orders.items() if s.is_right(a)), None)
    for p, a in orders.items():
        if right is not None and s.alike(a):
            yours, told = ("dy.reshape(shape)" if q == tuple(range(dy.ndim)) else f"dy.transpose{q}.reshape(shape)" for q in (p, right))
            yield Finding(f"yours = {yours}, right = {told}", "F09", 0.94)


def _order(s: Seen, p: tuple[int, ...], relation: str) -> Finding:
    """E11: channels and kernel of a convolution's weight; F10: columns first; F09: every other order."""
    weight = s.own is not None and s.own.ndim > 2 and any(
        n != s.name and a.ndim >= s.own.ndim - 1 and a.size > 1 for n, a in s.inputs.items()
    )  # fmt: skip
    if weight and s.dy is not None and s.dy.size != s.right.size and p[0] == 0:
        return Finding(relation, "E11", 0.95)
    shape = s.right.shape
    if s.dy is not None and s.dy.size == s.right.size:
        c, f = s.dy.reshape(shape), s.dy.reshape(shape, order="F")
        columns = (s.is_right(c) and s.alike(f)) or (s.is_right(f) and s.alike(c))
    else:
        columns = "transposed back" in relation and p[1:] == tuple(range(len(p) - 1, 0, -1))
    return Finding(relation, "F10" if columns else "F09", 0.93)


def flipped(s: Seen) -> Found:
    if not s.comparable:
        return
    long = [i for i, n in enumerate(s.right.shape) if n > 1]
    for axes in (k for r in range(1, len(long) + 1) for k in itertools.combinations(long, r)):
        if s.alike(np.flip(s.right, axes)):
            relation = f"yours = right flipped along axes {', '.join(map(str, axes))}"
            kernel = s.right.ndim > 2 and min(axes) >= 2
            text = "" if kernel else "The gradient runs backwards along an axis."
            yield Finding(relation, "E02" if kernel else None, 0.95 if kernel else 0.85, "", text, "" if kernel else "flip it")


def shifted(s: Seen) -> Found:
    """Rolled round, or moved with other entries at the border."""
    if not s.comparable:
        return
    for axis, n in enumerate(s.right.shape):
        if n < 2:
            continue
        for by in [k for k in range(-n + 1, n) if k]:
            rolled = s.alike(np.roll(s.right, by, axis)) and 2 * abs(by) <= n
            a, b = (np.take(q, range(*r), axis) for q, r in ((s.yours, _kept(by, n)), (s.right, _kept(-by, n))))
            moved = a.size > max(3, 0.4 * s.right.size) and s.informative(b) and s.constant(a, b) == _one(s.constant(a, b))
            if rolled or moved:
                yield _shift(s, axis, by)


def _one(c: float | None) -> float | None:
    return c if c is not None and abs(c - 1) < 1e-9 else math.nan


def _kept(by: int, n: int) -> tuple[int, int]:
    return (by, n) if by > 0 else (0, n + by)


def _shift(s: Seen, axis: int, by: int) -> Finding:
    relation = f"yours[i] = right[i − {by}]" if by > 0 else f"yours[i] = right[i + {-by}]"
    relation += f" along axis {axis}"
    like_pooling = len([a for a in s.inputs.values() if a.ndim > 2]) == 1
    if s.own is not None and s.own.ndim > 2:
        return Finding(relation, "E15" if like_pooling else "E04", 0.88)
    text = "The gradient is shifted along an axis."
    return Finding(relation, None, 0.8, "", text, "look for an index that is off by as much", "a gradient that is not constant")


def blocks(s: Seen) -> Found:
    """Equal blocks along an axis in another order."""
    if not s.comparable:
        return
    for axis, n in enumerate(s.right.shape):
        for parts in (k for k in range(2, 7) if n % k == 0):
            order = _matched(s, np.split(s.yours, parts, axis), np.split(s.right, parts, axis))
            if order is not None:
                told = ", ".join(map(str, order))
                yield from _of_blocks(s, axis, parts, f"the {parts} blocks of yours along axis {axis} are right's {told}")
                break
        else:
            yield from _slices(s, axis, n)


def _matched(s: Seen, yours: list[Array], right: list[Array]) -> tuple[int, ...] | None:
    """Which part of `right` each part of `yours` is, if each is one and not all are their own."""
    order = []
    for a in yours:
        hits = [i for i, b in enumerate(right) if np.abs(a - b).max(initial=0) <= s.room(s.yours)]
        if len(hits) != 1:
            return None
        order += hits
    return tuple(order) if sorted(order) == list(range(len(order))) != order else None


def _of_blocks(s: Seen, axis: int, parts: int, relation: str) -> Found:
    half = s.y is not None and s.own is not None and s.y.ndim == s.own.ndim and 2 * s.y.shape[axis] == s.own.shape[axis]
    outputs = [a for n, a in s.known.items() if n.startswith("dy[")]
    joined = s.dy is not None and sum(a.shape == s.right.shape for a in s.inputs.values()) > 1
    if parts == 2:
        yield Finding(relation, "C19", 0.95 if half else 0.7)
        yield Finding(relation, "F08", 0.95 if outputs or (joined and not half) else 0.72)
    if s.right.shape[axis] > parts:
        yield Finding(relation, "G01", 0.95 if parts in (3, 4) else 0.75)


def _slices(s: Seen, axis: int, n: int) -> Found:
    """Single rows or columns in another order."""
    if n > 64 or n < 3:
        return
    yours, right = (list(np.moveaxis(a, axis, 0)) for a in (s.yours, s.right))
    if (order := _matched(s, yours, right)) is not None:
        strides = [k for k in range(2, n) if n % k == 0 and order in (_stride(n, k), _stride(n, n // k))]
        told = "interleaved in another way" if strides else "permuted"
        text = f"The slices along axis {axis} are right but {told}."
        yield Finding(f"the slices of yours along axis {axis} are right's, {told}", None, 0.75,
                      f"order {', '.join(map(str, order[:12]))}", text, "look for a reshape or an index in another order")  # fmt: skip


def _stride(n: int, k: int) -> tuple[int, ...]:
    return tuple(np.arange(n).reshape(k, n // k).T.ravel().tolist())


def swapped(s: Seen) -> Found:
    """The gradient of another input."""
    if not s.comparable:
        return
    for n, g in s.grads.items():
        if n == s.name or g.shape != s.yours.shape or not s.alike(g):
            continue
        relation = f"your d{s.name} = right d{n}"
        vectors = s.right.ndim == 1 and any(a.ndim > 1 for a in s.inputs.values())
        peers = [a for a in s.inputs.values() if a.ndim > 1]
        if vectors:
            yield Finding(relation, "D09", 0.95)
        elif s.y is not None and _joins(s, n):
            yield Finding(relation, "F08", 0.95)
        elif len(peers) > 2 and not s.loss:
            yield Finding(relation, "G13", 0.9)
        text = f"The gradients of {s.name} and {n} change places."
        yield Finding(relation, None, 0.8, "", text, "return gradients in the order of the inputs", "inputs of different shapes")


def _joins(s: Seen, other: str) -> bool:
    """Is the output what joins both inputs?"""
    a, b = s.inputs.get(s.name), s.inputs.get(other)
    if a is None or b is None or s.y is None or a.ndim != s.y.ndim:
        return False
    return any(
        s.y.shape == c.shape and np.allclose(s.y, c)
        for axis in range(a.ndim)
        for pair in ((a, b), (b, a))
        if (c := _concatenated(pair, axis)) is not None
    )


def _concatenated(pair: tuple[Array, Array], axis: int) -> Array | None:
    a, b = (np.delete(q.shape, axis).tolist() for q in pair)
    return np.concatenate(pair, axis) if a == b else None


def rearranged(s: Seen) -> Found:
    """The same numbers, wherever they stand."""
    if not s.comparable or s.right.size < 4 or np.unique(s.right).size < 0.9 * s.right.size:
        return
    if s.alike_sorted():
        text = "The numbers are right, but they stand at other places."
        yield Finding("yours holds the numbers of right in another order", None, 0.6, "", text, "look for a reshape, a "
                      "transpose or an index that backward undoes in another way than forward does it")  # fmt: skip


FEATURES = (permuted_axes, flipped, shifted, blocks, swapped, rearranged)
