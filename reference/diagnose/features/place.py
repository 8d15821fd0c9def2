"""Right numbers at wrong places: transposed, flipped, shifted, permuted, in another tensor."""

import itertools

import numpy as np

from manualbp.base import Array

from .number import is_bias
from .seen import Finding, Found, Seen

MOST = 5  # axes whose permutations are tried
LONG = 64  # slices whose order is looked for


def permuted_axes(s: Seen) -> Found:
    """A transpose taken for a reshape, or another order of the entries."""
    if not s.comparable or not 2 <= s.right.ndim <= MOST:
        return
    shape = s.right.shape
    yield from _reshaped(s)
    for p in itertools.islice(itertools.permutations(range(s.right.ndim)), 1, None):
        order = ", ".join(map(str, p))
        if s.alike(s.right.transpose(p).reshape(shape)):
            yield _order(s, p, f"yours = right.transpose({order}).reshape(shape)")
        if s.alike(s.right.reshape([shape[i] for i in p]).transpose(np.argsort(p))):
            yield _order(s, p, f"yours = right.reshape(its shape in the order {order}), transposed back")
    if shape == shape[::-1] and s.alike(s.right.T):
        yield transposed()


def transposed() -> Finding:
    text = "The gradient is right but transposed: it lies as the other layout of this matrix would."
    return Finding(
        "yours = rightᵀ", None, 0.94, "", text, "transpose it: dL/dW has W's own shape", "a W that is not square"
    )


def _reshaped(s: Seen) -> Found:
    """yours and right are both dy in another order of axes."""
    dy = s.dy
    if dy is None or dy.size != s.right.size or not 2 <= dy.ndim <= MOST or dy.shape == s.right.shape:
        return
    orders = {
        "dy" + f".transpose{p}" * (p != tuple(sorted(p))) + ".reshape(shape)": dy.transpose(p).reshape(s.right.shape)
        for p in itertools.permutations(range(dy.ndim))
    }
    right = next((told for told, a in orders.items() if s.is_right(a)), None)
    for told, a in orders.items():
        if right is not None and s.alike(a):
            yield Finding(f"yours = {told}, right = {right}", "F09", 0.94)


def _order(s: Seen, p: tuple[int, ...], relation: str) -> Finding:
    """E11: channels and kernel of a convolution's weight; F10: columns first; F09: every other order."""
    others = [a for n, a in s.inputs.items() if n != s.name and a.size > 1]
    weight = s.own is not None and s.own.ndim > 2 and any(a.ndim >= s.own.ndim - 1 for a in others)
    if weight and s.dy is not None and s.dy.size != s.right.size and p[0] == 0 and p[1] != 1:
        return Finding(relation, "E11", 0.95)
    if s.dy is not None and s.dy.size == s.right.size:
        c, f = s.dy.reshape(s.right.shape), s.dy.reshape(s.right.shape, order="F")
        columns = (s.is_right(c) and s.alike(f)) or (s.is_right(f) and s.alike(c))
    else:
        columns = "transposed back" in relation and p[1:] == tuple(range(len(p) - 1, 0, -1))
    moved = [i for i, k in enumerate(p) if i != k]
    axes = f"{', '.join(map(str, moved[:-1]))} and {moved[-1]}"
    text = "" if columns else f"A transpose is mistaken for a reshape: axes {axes} of d{s.name} change places."
    return Finding(relation, "F10" if columns else "F09", 0.93, "", text)


def flipped(s: Seen) -> Found:
    """Backwards along some axes."""
    long = [i for i, n in enumerate(s.right.shape) if n > 1] if s.comparable else []
    for axes in (k for r in range(1, len(long) + 1) for k in itertools.combinations(long, r)):
        if s.alike(np.flip(s.right, axes)):
            relation = f"yours = right flipped along axes {', '.join(map(str, axes))}"
            if min(axes) >= 2 and s.convolved and any(s.right.shape[i] > 2 for i in axes):
                yield Finding(relation, "E02", 0.95)
            elif len(axes) == 1 and s.right.shape[axes[0]] == 2:
                text = f"The two entries along axis {axes[0]} change places."
                yield Finding(relation, None, 0.85, "", text, "look at which of both each formula belongs to")
            else:
                yield Finding(relation, None, 0.85, "", "The gradient runs backwards along an axis.", "flip it")


def scanned(s: Seen) -> Found:
    """A running sum of dy, in one direction or the other."""
    if not s.comparable or s.dy is None or s.dy.shape != s.right.shape:
        return
    for axis in range(s.right.ndim):
        forth, back = np.cumsum(s.dy, axis), np.flip(np.cumsum(np.flip(s.dy, axis), axis), axis)
        for yours, right, told in ((forth, back, "to"), (back, forth, "from")):
            if s.right.shape[axis] > 1 and s.alike(yours):
                known = f", right = Σ dy {'from' if told == 'to' else 'to'} each entry" if s.is_right(right) else ""
                text = f"The gradient is the sum of dy {told} each entry along axis {axis}."
                remedy = "what is summed forwards passes its gradient backwards: flip, sum, flip" if known else ""
                yield Finding(f"yours = Σ dy {told} each entry{known}", None, 0.9, "", text, remedy)


def shifted(s: Seen) -> Found:
    """Rolled round, or moved with other entries at the border."""
    for axis, n in enumerate(s.right.shape if s.comparable else ()):
        for by in (k for k in range(1 - n, n) if k and _changes(s.right, axis)):
            rolled = n > 2 and 2 * abs(by) <= n and s.alike(np.roll(s.right, by, axis))
            yours, right = (_part(a, k, axis) for a, k in ((s.yours, by), (s.right, -by)))
            if rolled or (yours.size > max(3, 0.4 * s.right.size) and s.informative(right) and _same(s, yours, right)):
                yield _shift(s, axis, by)


def _changes(a: Array, axis: int) -> bool:
    """Are neighbours along the axis mostly different, so that a shift would be seen?"""
    return bool(np.mean(np.diff(a, axis=axis) != 0) > 0.5)


def _part(a: Array, by: int, axis: int) -> Array:
    """Without the first `by` slices, or the last −by."""
    n = a.shape[axis]
    return np.take(a, range(by, n) if by > 0 else range(n + by), axis)


def _same(s: Seen, a: Array, b: Array) -> bool:
    c = s.constant(a, b)
    return c is not None and abs(c - 1) < 1e-9


def _shift(s: Seen, axis: int, by: int) -> Finding:
    relation = f"yours[i] = right[i {'−' if by > 0 else '+'} {abs(by)}] along axis {axis}"
    if s.pooled or s.convolved:
        n, end = "one entry" if abs(by) == 1 else f"{abs(by)} entries", "end" if by > 0 else "beginning"
        text = f"dx is shifted by {n} along axis {axis}, to the {end}."
        return Finding(relation, "E15" if s.pooled else "E04", 0.88, "", text)
    text = "The gradient is shifted along an axis."
    return Finding(relation, None, 0.8, "", text, f"look for an index that is off by {abs(by)}")


def blocks(s: Seen) -> Found:
    """Equal blocks along an axis, or single slices, in another order."""
    for axis, n in enumerate(s.right.shape if s.comparable else ()):
        for parts in (k for k in range(2, 7) if n % k == 0):
            order = _matched(s, np.split(s.yours, parts, axis), np.split(s.right, parts, axis))
            if order is not None:
                yield from _of_blocks(s, axis, order)
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


def _of_blocks(s: Seen, axis: int, order: tuple[int, ...]) -> Found:
    """C19: halves of a gated unit; F08: what was joined or split."""
    x, y, parts = s.own, s.y, len(order)
    relation = f"the {parts} blocks of yours along axis {axis} are right's {', '.join(map(str, order))}"
    halved = x is not None and y is not None and x.ndim == y.ndim and x.shape[axis] == 2 * y.shape[axis]
    joined = s.dy is None or sum(a.shape == s.right.shape for a in s.inputs.values()) > 1
    if parts == 2 and halved:
        yield Finding(relation, "C19", 0.95)
    elif parts == 2 and joined:
        yield Finding(relation, "F08", 0.95)
    elif parts == 2:
        text = f"The two halves along axis {axis} change places."
        yield Finding(relation, None, 0.75, "", text, "look at which of both each formula belongs to")
    if 2 < parts <= 4 and s.right.shape[axis] > parts:
        moved = [i for i, k in enumerate(order) if i != k]
        pair = f"Blocks {moved[0]} and {moved[1]} of the {parts}" if len(moved) == 2 else f"The {parts} blocks"
        text, remedy = (
            f"{pair} along axis {axis} change places.",
            "put them together in the order in which they are split",
        )
        yield Finding(relation, None, 0.9, "", text, remedy)


def _slices(s: Seen, axis: int, n: int) -> Found:
    """Single rows or columns in another order."""
    if not 3 <= n <= LONG:
        return
    yours, right = (list(np.moveaxis(a, axis, 0)) for a in (s.yours, s.right))
    if (order := _matched(s, yours, right)) is not None:
        strides = {tuple(np.arange(n).reshape(k, -1).T.ravel().tolist()) for k in range(2, n) if n % k == 0}
        told = "interleaved in another way" if order in strides else "permuted"
        text = f"The slices along axis {axis} are right but {told}."
        relation, note = f"the slices of yours along axis {axis} are right's, {told}", ", ".join(map(str, order[:12]))
        yield Finding(relation, None, 0.75, f"order {note}", text, "look for a reshape or an index in another order")


def swapped(s: Seen) -> Found:
    """The gradient of another input."""
    for n, g in s.grads.items() if s.comparable else ():
        if n == s.name or g.shape != s.yours.shape or not g.any() or not s.alike(g):
            continue
        relation = f"your d{s.name} = right d{n}"
        if n in s.given and not s.is_right_of(s.given[n], s.right):
            text = f"The gradient of {s.name} is computed as that of {n}."
            yield Finding(
                relation, None, 0.85, "", text, f"derive that of {s.name} from where it stands in the forward"
            )
            continue
        a, b = sorted((s.name, n))
        relation = f"your d{a} = right d{b}, your d{b} = right d{a}"  # of either, so that it is told once
        text = f"The gradients of {a} and {b} change places."
        yield Finding(relation, None, 0.85, "", text, "return gradients in the order of the inputs")
        matrices = sum(a.ndim > 1 for a in s.inputs.values())
        if s.right.ndim == 1 and (is_bias(s) or any(s.is_right_of(g, a) for a in _column_sums(s))):
            yield Finding(relation, "D09", 0.95)
        elif _joins(s, n):
            yield Finding(relation, "F08", 0.95)
        elif matrices > 2 and not s.loss:
            yield Finding(relation, "G13", 0.9)


def _column_sums(s: Seen) -> list[Array]:
    """dy summed over all axes but one."""
    dy = s.dy if s.dy is not None else np.zeros(0)
    return [np.moveaxis(dy, i, -1).reshape(-1, n).sum(0) for i, n in enumerate(dy.shape) if n]


def _joins(s: Seen, other: str) -> bool:
    """Is the output what joins both inputs?"""
    a, b = s.inputs.get(s.name), s.inputs.get(other)
    if a is None or b is None or s.y is None or a.shape != b.shape:
        return False
    each = (np.concatenate(pair, axis) for axis in range(a.ndim) for pair in ((a, b), (b, a)))
    return any(s.is_right_of(s.y, joined) for joined in each)


def rearranged(s: Seen) -> Found:
    """The same numbers, wherever they stand."""
    told = s.right[s.right != 0]
    if s.comparable and told.size > 3 and np.unique(told).size >= 0.9 * told.size and s.alike_sorted():
        text = "The numbers are right, but they stand at other places."
        remedy = "look for a reshape, a transpose or an index that backward undoes in another way than forward does it"
        yield Finding("yours holds the numbers of right in another order", None, 0.6, "", text, remedy)


FEATURES = (scanned, permuted_axes, flipped, shifted, blocks, swapped, rearranged)
