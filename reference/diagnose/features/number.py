"""yours = c · right: a constant, what it equals, and which mistake makes it. Also one for every row or column."""

import functools
import math
from collections.abc import Callable, Iterator

import numpy as np

from manualbp.base import Array

from ...faults import KNOWN
from ...sides.run import of_output
from .expressions import Expression, equal, is_option, numbers, shown, spelled
from .seen import Finding, Found, Seen, spread

OF_SIZES = ("A01", "A02", "A03", "A06", "B04", "D10")  # mistakes whose factor is a size
MEANS = ("A03", "B04", "D10")  # a mean in place of a sum; the last two over the batch
CHANCE = 0.6  # their score where the factor is a plain number, too
OF_ANY = {  # what mistakes of a loss or a normalisation are in any other function
    "A01": "A sum stands where a mean should.",
    "D10": "A mean over the batch stands where a sum should.",
}

Equals = Callable[..., bool]


def constant_factor(s: Seen) -> Found:
    """yours = c · right for all entries."""
    if (c := s.multiple) is None:
        return
    known, named, what = spelled(s, c), list(meanings(s, c)), "The output" if s.e.forward else "The gradient"
    if s.scale not in (0, 1) and equal(s, c, 1 / s.scale):
        yield Finding("yours = right / dy", "A07", 0.98, f"dy = {s.scale:.6g}")
    plain = any(not form.uses for form in known)  # a 2 or ½ is a size by chance more often than not
    for fault, score in named:
        for form in known or [Expression(f"{c:.6g}", 4)]:
            if plain and fault in OF_SIZES:
                if not form.uses:
                    continue
                score = min(score, CHANCE)
            yield _called(s, c, fault, form, score)
    for form in known:
        text, remedy = _plainly(s, c, form.symbol, what)
        if form.uses and plain and is_option(s, form):
            same = next(f.symbol for f in known if not f.uses)
            remedy += f"; {form.symbol} is {same} here, so it may be a plain {same}"
        score = 0.75 - 0.04 * form.cost - 0.2 * any(not plain or f not in OF_SIZES for f, _ in named)
        score += 0.15 * equal(s, c, -1)  # nothing is plainer
        yield Finding(f"yours = {form.symbol} · right", None, score, shown(s, form), text, remedy,
                      chance=form.cost > 1)  # fmt: skip
    if s.informative(s.right) and not equal(s, c, 1.0) and not any(not f.uses for f in known):
        near_one = f"1 {'+' if c > 1 else '−'} {abs(c - 1):.2g}" if abs(c - 1) < 1e-4 else f"{c:.6g}"
        text, remedy = f"{what} is {near_one} times what it should be.", "look for one constant factor"
        yield Finding(f"yours = {c:.6g} · right", None, 0.5, "", text, remedy)


def _called(s: Seen, c: float, fault: str, form: Expression, score: float) -> Finding:
    """The mistake that this factor is."""
    text, remedy, shown_by = in_words(s, c, fault, form), "", ""
    if not s.loss and fault in MEANS:
        remedy, shown_by = KNOWN["D10"].remedy, f"{form.uses[0]} > 1" if form.cost == 1 else ""
    return Finding(f"yours = {form.symbol} · right", fault, score - 0.02 * form.cost, shown(s, form), text, remedy,
                   shown_by, everywhere=fault in MEANS[1:], chance=form.cost > 1)  # fmt: skip


def in_words(s: Seen, c: float, fault: str, form: Expression) -> str:
    """What is said of a mistake in place of what the catalogue says, where that claims too much."""
    if fault == "A06":  # what the loss divides by is not known
        as_where = "as where a mean over all places of a sample is taken for one over the batch"
        return f"The gradient is {form.symbol} times what it should be, {as_where}."
    if s.loss and fault == "A03":  # how often the loss divides is not known: never, if it is a sum
        return "The gradient is divided by the number of samples once more often than the loss is."
    if s.loss:
        total, batch, *_ = sizes(s)
        of_batch = fault == "A01" and batch != total and equal(s, c, batch)
        return "The number of samples is not divided by, as the mean does." if of_batch else ""
    of_one = form.uses[:1] if form.cost == 1 else ()
    if fault in ("B04", "D10") and of_one:
        return OF_ANY.get(fault, "")
    if fault in MEANS:
        over = f" over {of_one[0]}" if of_one and of_one[0] in s.e.numbers else ""
        return f"A mean{over} stands where a sum should."
    return OF_ANY.get(fault, "")


def _plainly(s: Seen, c: float, symbol: str, what: str) -> tuple[str, str]:
    """What is said of a factor by itself, and the remedy."""
    remedy = _where_to_look(s, c, symbol)
    if not equal(s, c, -1):
        return f"{what} is {symbol} times what it should be.", remedy
    if s.own is not None and s.y is not None and s.is_right_of(s.y, s.own):
        remedy = "if a gradient reversal is intended, say so: against=lambda x: 2 * x.detach() - x"
        return "The gradient is reversed: forward hands x on as it is.", remedy
    of_one = s.loss and _others_are_right(s)
    return (f"The gradient of {s.name} has the wrong sign." if of_one else "The sign is wrong."), remedy


def _where_to_look(s: Seen, c: float, symbol: str) -> str:
    if s.loss and not s.e.forward and c < 1 and equal(s, c, 1 / sizes(s)[3]):
        return "is it divided by the number of all entries, x.size, where the loss is a mean over the batch only?"
    if s.loss and not s.e.forward and c < 1 and equal(s, c, 1 / sizes(s)[2]):
        return "is it divided by the number of steps or places, too, where the loss is by that of samples only?"
    return f"look for a factor {symbol} too many, or for its inverse that is missing"


def meanings(s: Seen, c: float) -> Iterator[tuple[str, float]]:
    """Mistakes of which this is the factor, with a score each."""
    equals = functools.partial(equal, s, c)
    if equals(-1) and s.loss and not _others_are_right(s):
        yield "A05", 0.95
    for v in s.e.numbers.values():
        if 0 < v < 1 and equals(1 - v) and _dropped(s):
            yield "G18", 0.96
        if 0 < v < 1 and equals(1 / (1 - v)) and _dropped(s):
            yield "G18.twice", 0.96
        if v > 0 and equals(v, 1 / v) and _is_cut_off(s, v):
            yield "A18", 0.96
        if v > 1 and v == int(v) and equals(math.sqrt(v), 1 / math.sqrt(v)) and _of_attention(s):
            yield "G12", 0.93
    yield from _of_a_loss(s, equals) if s.loss else _of_a_layer(s, equals)


def _dropped(s: Seen) -> bool:
    """Is a mask among what is known, or does it show: no gradient, and no output, where there is an input?"""
    masks = [a for n, a in (s.whole | s.inputs).items() if n != s.name and a.size > 1]
    if any(np.isin(m, (0, 1)).all() and np.ptp(m.astype(float)) for m in masks):
        return True
    if s.own is None or s.y is None or s.y.shape != s.right.shape:
        return False
    return bool(((s.y == 0) & (s.right == 0) & (s.own != 0)).any())


def _differences(s: Seen) -> Iterator[Array]:
    """x − t for every other input of the shape of x."""
    if s.own is not None:
        yield from (s.own - a for n, a in s.inputs.items() if n != s.name and a.shape == s.own.shape)


def _is_cut_off(s: Seen, v: float) -> bool:
    """Is right proportional to a difference that is cut off at ±v, as the slope of Huber's loss is?"""
    dy = s.dy if s.dy is not None and s.dy.shape == s.right.shape else 1.0
    cut = [np.clip(d, -v, v) for d in _differences(s) if (np.abs(d) > v).any()]
    return any(s.constant(s.right, dy * d) is not None for d in cut)


def _others_are_right(s: Seen) -> bool:
    """Is another gradient, which is not 0, as it should be? Then not the whole of it has the other sign."""
    others = {n: g for n, g in s.grads.items() if n != s.name and n in s.given and g.any()}
    return any(s.is_right_of(s.given[n], g) for n, g in others.items())


def _of_attention(s: Seen) -> bool:
    """Queries, keys and values: three matrices, the gradient by one of which is not concerned."""
    matrices = [n for n, a in s.inputs.items() if a.ndim > 1 and n in s.grads]
    return len(matrices) > 2 and any(n in s.given and s.is_right_of(s.given[n], s.grads[n]) for n in matrices)


def _of_a_loss(s: Seen, equals: Equals) -> Iterator[tuple[str, float]]:
    total, batch, places, each = sizes(s)
    given = numbers(s)
    if equals(0.5) and _is_square(s):
        yield "A04", 0.94
    if equals(2) and _of_difference(s) and any(_is_cut_off(s, v) for v in (1.0, *s.e.numbers.values()) if v > 0):
        yield "A04.double", 0.94
    if any(equals(v / total, total / v) for n, v in given.items() if n.startswith("Σ") and "[" in n):
        yield "A12", 0.97
    valid = given.get("N_valid", total)
    if valid not in (0, total) and equals(valid / total, total / valid):
        yield "A14", 0.97
    for fault, score, n, values in (
        ("A01", 0.95, total, (total, valid)),
        ("A01", 0.91, batch, (batch,)),
        ("A02", 0.93, each, (each,)),
        ("A06", 0.94, places, (places,)),
        ("A03", 0.93, total, (1 / total, 1 / batch)),
    ):
        if n > 1 and equals(*values):
            yield fault, score
    for n in _counts(s) - {1}:
        yield from ((f, 0.9) for f, values in (("A01", (n,)), ("A03", (1 / n,))) if equals(*values))


def _counts(s: Seen) -> set[int]:
    """How many samples there may be: the length of any input, of integers too, and the number of all indices."""
    each = [a for a in (*s.inputs.values(), *s.whole.values()) if a.ndim and a.size]
    return {len(a) for a in each} | {a.size for a in s.whole.values() if a.ndim}


def _of_difference(s: Seen) -> bool:
    """Is the loss one of x − t, so that the gradient by t is the other way round, or none?"""
    other = [n for n, a in s.inputs.items() if n != s.name and s.own is not None and a.shape == s.own.shape]
    grads = [s.grads.get(n, np.zeros(0)) for n in other]
    return any(not g.any() or s.is_right(-g) for g in grads)


def _is_square(s: Seen) -> bool:
    """Is right 2(x − t), or that divided by how many there are, so that the loss has no ½?"""
    factors = [c / s.scale for d in _differences(s) if (c := s.constant(s.right, d)) is not None]
    counts = {1, s.right.size, *sizes(s), *s.right.shape}
    return any(equal(s, c, *(2 / n for n in counts)) for c in factors)


def sizes(s: Seen) -> tuple[int, int, int, int]:
    """Of a loss: the number of all targets, of samples, of places (or steps) of a sample, of entries of a sample."""
    arrays = [a for a in s.inputs.values() if a.size and a.ndim]
    for t in (a for a in s.whole.values() if a.dtype.kind in "iu" and a.size and a.ndim):
        if any(a.ndim == t.ndim + 1 and len(a) == len(t) for a in arrays):
            return t.size, len(t), t.size // len(t), 1
    shapes = [a.shape for a in arrays]
    twice = [shape for shape in shapes if shapes.count(shape) > 1] or shapes or [(1,)]
    shape = max(twice, key=math.prod)
    return math.prod(shape), shape[0], shape[1] if len(shape) > 2 else 1, math.prod(shape[1:])


def _of_a_layer(s: Seen, equals: Equals) -> Iterator[tuple[str, float]]:
    arrays = [a for a in (*s.inputs.values(), s.y, s.dy) if a is not None and a.size]
    counts = {n for a in arrays for n in (*a.shape, a.size, *(a.size // k for k in a.shape))}
    for n in counts - {1}:
        if _kept(s, n):
            continue
        if equals(1 / n):
            if of_batch := _of_batch(s, n):
                yield ("B04", 0.95) if is_bias(s) else ("D10", 0.93)
            yield "A03", 0.85 if of_batch or s.right.ndim != 1 else 0.93
        elif equals(n):
            yield "A01", 0.85


def _kept(s: Seen, n: int) -> bool:
    """Has right an axis of this length, and the output, too, so that neither pass sums over it? A bias is summed over
    all axes but one."""
    if is_bias(s) and s.dy is not None:
        return s.dy.size // s.right.size % n != 0
    return s.y is not None and s.right.shape.count(n) == s.y.shape.count(n) == 1


def _of_batch(s: Seen, n: int) -> bool:
    """Is right a vector, and n the length of the first axis, or what all axes are but that of the vector?"""
    dys = [s.dy] if s.dy is not None else [a for n, a in s.known.items() if of_output(n.removeprefix("d"))]
    return s.right.ndim == 1 and any(a.ndim and n in (len(a), a.size // s.right.size) for a in dys)


def is_bias(s: Seen) -> bool:
    """Is right the sum of dy over all axes but one?"""
    if s.dy is None or s.right.ndim != 1:
        return False
    return any(s.is_right(np.moveaxis(s.dy, i, -1).reshape(-1, n).sum(0)) for i, n in enumerate(s.dy.shape) if n)


def factor_by_row(s: Seen) -> Found:
    """yours = v · right with a vector v along one axis, and what v equals."""
    if not s.comparable or s.right.size < 3 or s.multiple is not None:
        return
    for axis in range(s.right.ndim):
        v = _along(s, axis)
        for told, fault, score in _vectors(s, v) if v is not None and v.size > 1 else ():
            which = f"Along axis {axis} every slice" if s.right.ndim > 1 else "Every entry"
            text = "" if fault else f"{which} has a factor of its own, {told}."
            remedy = "" if fault else f"look for {told} where it does not belong, or its inverse that is missing"
            score -= 0.1 * (s.right.ndim < 2 and not fault)  # `slope.factor_by_entry` says it better
            yield Finding(f"yours = {told} · right", fault, score, "", text, remedy)


def _along(s: Seen, axis: int) -> Array | None:
    """The factors of the slices along an axis, NaN where a slice is 0; None unless each slice has one."""
    yours, right = (np.moveaxis(a, axis, -1) for a in (s.yours, s.right))
    others = tuple(range(s.right.ndim - 1))
    v = (yours * right).sum(others) / (right * right).sum(others)
    return v if s.alike(np.moveaxis(np.nan_to_num(v) * right, -1, axis)) else None


def _vectors(s: Seen, v: Array) -> Iterator[tuple[str, str | None, float]]:
    """Known vectors that the factors equal, with the mistake and a score."""
    seen = np.isfinite(v)

    def equals(w: Array) -> bool:
        same = w.shape == v.shape and np.allclose(v[seen], w[seen], rtol=4 * s.slack, atol=0)
        return bool(same and np.unique(v[seen]).size > 1)

    for n, w in (s.inputs if s.y is None else {**s.inputs, "y": s.y}).items():
        each = {n: w, f"1/{n}": 1 / w, f"{n}²": w * w, f"1/{n}²": 1 / w**2, f"1 − {n}": 1 - w}
        yield from ((f, None, 0.8) for f, u in each.items() if equals(u))
        for m, t in _indices(s, v.size, w.size if w.ndim == 1 else 0):
            yield from ((f, None, 0.85) for f, u in ((f"{n}[{m}]", w[t]), (f"1/{n}[{m}]", 1 / w[t])) if equals(u))
    if s.dy is not None and any(u.ndim and equals(1 / u.reshape(-1)) for u in spread(s.dy, s.right.shape)):
        yield "1/dy", "A07", 0.97
    for m, t in s.whole.items():
        if t.dtype.kind in "iu" and t.size and t.min() >= 0 and t.max() < v.size:
            count = np.bincount(t.ravel(), minlength=v.size).astype(float)
            seen = seen & (count > 0)
            yield from (
                (f, None, 0.85) for f, u in ((f"1/count of {m}", 1 / count), (f"count of {m}", count)) if equals(u)
            )


def _indices(s: Seen, size: int, below: int) -> Iterator[tuple[str, Array]]:
    """Vectors of indices of this size, all below a number."""
    for m, t in s.whole.items():
        if t.dtype.kind in "iu" and t.shape == (size,) and t.min() >= 0 and t.max() < below:
            yield m, t


def displacement(s: Seen) -> Found:
    """What was moved, a statistic or a parameter, went c times as far as it should."""
    before = s.known.get(s.name) if s.e.forward and s.comparable else None
    if before is None or before.shape != s.right.shape:
        return
    c = s.constant(s.yours - before, s.right - before)
    for form in spelled(s, c) if c else ():
        reversed_momentum = any(0 < v < 1 and equal(s, c, (1 - v) / v) for v in s.e.numbers.values())
        relation = f"yours − before = {form.symbol} · (right − before)"
        text = "" if reversed_momentum else f"{s.name} is moved {form.symbol} times as far as it should be."
        yield Finding(relation, *(("D13", 0.95) if reversed_momentum else (None, 0.8)), shown(s, form), text)


FEATURES = (constant_factor, factor_by_row, displacement)
