"""yours = c · right: a constant, what it equals, and which mistake makes it. Also a constant for every row or column."""

import functools
import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from manualbp.base import Array

from .features import Finding, Found, Seen, spread

COEFFICIENTS = {"": 1.0, "−": -1.0, "2": 2.0, "−2": -2.0, "½": 0.5, "−½": -0.5, "4": 4.0, "¼": 0.25}
PLAIN = {"3": 3.0, "√2": math.sqrt(2), "1/√2": math.sqrt(0.5), "π": math.pi, "ln 2": math.log(2), "1/ln 2": 1 / math.log(2)}
SINGLE = {"{}": 1, "1/{}": -1, "√{}": 0.5, "1/√{}": -0.5, "{}²": 2, "1/{}²": -2}
DOUBLE = {"{}·{}": (1, 1), "{}/{}": (1, -1), "1/({}·{})": (-1, -1)}


class Form(NamedTuple):
    """An expression that a constant may equal; `cost` is small for a simple one."""

    symbol: str
    cost: int
    uses: tuple[str, ...] = ()


def numbers(s: Seen) -> dict[str, float]:
    """What a constant may be made of: the numbers given, and counts that follow from indices, weights and masks."""
    found = {n: float(v) for n, v in s.e.numbers.items() if math.isfinite(v)}
    ignore = found.pop("ignore_index", -100.0)
    for n, t in s.whole.items():
        if t.dtype.kind == "b":
            found[f"Σ{n}"] = float(t.sum())
        elif t.ndim:
            counts = (t >= 0) & (t != ignore)
            if not counts.all():
                found["N_valid"] = float(counts.sum())
            found[f"{n}.size"] = float(t.size)
            found |= {f"Σ{w}[{n}]": v for w, v in _sums_of_weights(s, t[counts])}
    found |= {n: float(a) for n, a in s.inputs.items() if a.ndim == 0}
    if s.y is not None and s.y.size > 1:
        found["y.size"] = float(s.y.size)
    return found


def _sums_of_weights(s: Seen, t: Array) -> Iterator[tuple[str, float]]:
    for n, w in s.inputs.items():
        if w.ndim == 1 and t.size and t.max() < w.size and n != s.name:
            yield n, float(w[t].sum())


@functools.lru_cache(maxsize=64)
def forms(given: tuple[tuple[str, float], ...]) -> tuple[tuple[Form, ...], Array]:
    """All expressions of at most two of the numbers given, with their values."""
    base: dict[str, tuple[float, int, str]] = {n: (v, 1, n) for n, v in given if v not in (0, 1)}
    base |= {f"(1 − {n})": (1 - v, 2, n) for n, v in given if 0 < v < 1}
    base |= {f"({n} − 1)": (v - 1, 2, n) for n, v in given if v > 2 and v == int(v)}
    base |= {f"({n} + 1)": (v + 1, 2, n) for n, v in given if v > 1 and v == int(v)}
    found = [(Form(n or "1", bool(n)), v) for n, v in (COEFFICIENTS | PLAIN).items() if n]
    for sign, k in COEFFICIENTS.items():
        for n, (v, cost, name) in base.items():
            for pattern, e in SINGLE.items():
                if v > 0 or e in (1, -1, 2, -2):
                    symbol = _signed(sign, pattern.format(n))
                    found.append((Form(symbol, cost + bool(sign) + (abs(e) != 1), (name,)), k * v**e))
        for (n, (v, c, a)), (m, (w, d, b)) in itertools.permutations(base.items(), 2):
            for pattern, (e, f) in DOUBLE.items():
                if n < m or e != f:
                    symbol = _signed(sign, pattern.format(n, m))
                    found.append((Form(symbol, c + d + bool(sign), (a, b)), k * v**e * w**f))
    return tuple(f for f, _ in found), np.array([v for _, v in found])


def _signed(sign: str, symbol: str) -> str:
    if sign in ("", "−"):
        return sign + symbol
    return symbol.replace("1/", sign + "/", 1) if symbol.startswith("1/") else f"{sign}·{symbol}"


def spelled(s: Seen, c: float, most: int = 8) -> list[Form]:
    """The simplest expressions that a constant equals."""
    known, values = forms(tuple(sorted(numbers(s).items())))
    hits = np.flatnonzero(np.abs(values - c) <= 2**12 * s.eps * abs(c))
    return sorted((known[i] for i in hits), key=lambda f: f.cost)[:most]


def shown(s: Seen, form: Form) -> str:
    """The values of the symbols in an expression."""
    values = numbers(s)
    return ", ".join(f"{n} = {values[n]:g}" for n in dict.fromkeys(form.uses) if n in values)


def constant_factor(s: Seen) -> Found:
    """yours = c · right for all entries."""
    if (c := s.multiple) is None:
        return
    known = spelled(s, c)
    named = list(meanings(s, c))
    if s.scale not in (0, 1) and equal(s, c, 1 / s.scale):
        yield Finding("yours = right / dy", "A07", 0.98, f"dy = {s.scale:.6g}")
    for fault, score in named:
        for form in known or [Form(f"{c:.6g}", 4)]:
            yield Finding(f"yours = {form.symbol} · right", fault, score - 0.02 * form.cost, shown(s, form))
    for form in known[:4] if not named else ():
        text = f"The gradient is {form.symbol} times what it should be."
        remedy = f"look for a factor {form.symbol} too many, or for its inverse that is missing"
        yield Finding(f"yours = {form.symbol} · right", None, 0.75 - 0.04 * form.cost, shown(s, form), text, remedy)
    if s.informative(s.right):
        text = f"The gradient is {c:.6g} times what it should be."
        yield Finding(f"yours = {c:.6g} · right", None, 0.5, "", text, "look for one constant factor too many or too few")


def equal(s: Seen, c: float, *values: float) -> bool:
    """Is c one of these, but for rounding?"""
    return any(abs(c - v) <= 2**12 * s.eps * abs(c) for v in values if math.isfinite(v))


def meanings(s: Seen, c: float) -> Iterator[tuple[str, float]]:
    """Mistakes of which this is the factor, with a score each."""

    equals = functools.partial(equal, s, c)
    if equals(-1):
        yield "A05", 0.95
    for n, v in s.e.numbers.items():
        word = n.lower()
        if 0 < v < 1 and equals(1 - v, 1 / (1 - v)) and not re_size(word):
            yield "G18", 0.96
        if v > 0 and re_any(word, "delta", "δ", "beta", "β") and equals(v, 1 / v):
            yield "A18", 0.96
        if v > 1 and v == int(v) and math.sqrt(v) % 1 + 1 and equals(math.sqrt(v), 1 / math.sqrt(v)):
            yield "G12", 0.93 if not s.loss else 0.8
    yield from _of_a_loss(s, equals) if s.loss else _of_a_layer(s, equals)


def re_any(word: str, *parts: str) -> bool:
    return any(p in word for p in parts)


def re_size(word: str) -> bool:
    return word.endswith(("size", "]"))


def _of_a_loss(s: Seen, equals) -> Iterator[tuple[str, float]]:
    if equals(2, 0.5):
        yield "A04", 0.94
    total, batch, places, each = sizes(s)
    yield from (("A12", 0.97) for n, v in numbers(s).items() if n.startswith("Σ") and "[" in n and equals(v / total, total / v))
    if (valid := numbers(s).get("N_valid")) and equals(valid / total, total / valid):
        yield "A14", 0.97
    if total > 1 and equals(total, valid or total):
        yield "A01", 0.95
    if batch > 1 and equals(batch):
        yield "A01", 0.91
    if each > 1 and equals(each, 1 / each):
        yield "A02", 0.93
    if places > 1 and equals(places, 1 / places):
        yield "A06", 0.94
    if total > 1 and equals(1 / total, 1 / batch):
        yield "A03", 0.93
    if equals(2):
        yield from (("F12", 0.8), ("B08", 0.7))


def sizes(s: Seen) -> tuple[int, int, int, int]:
    """Of a loss: the number of all targets, of samples, of places (or steps) of a sample, of entries of a sample."""
    arrays = [a for a in s.inputs.values() if a.ndim]
    for t in s.whole.values():
        if t.dtype.kind in "iu" and t.ndim and any(a.ndim == t.ndim + 1 and len(a) == len(t) for a in arrays):
            return t.size, len(t), t.size // max(len(t), 1), 1
    shapes = [a.shape for a in arrays]
    twice = [sh for sh in shapes if shapes.count(sh) > 1] or shapes or [(1,)]
    shape = max(twice, key=math.prod)
    total, batch = math.prod(shape), shape[0]
    return total, batch, shape[1] if len(shape) > 2 else 1, total // max(batch, 1)


def _of_a_layer(s: Seen, equals) -> Iterator[tuple[str, float]]:
    counts = {float(n) for a in (*s.inputs.values(), *((s.y,) if s.y is not None else ())) for n in (*a.shape, a.size)}
    counts |= {float(a.size // n) for a in (*s.inputs.values(), *((s.dy,) if s.dy is not None else ())) for n in a.shape if n}
    if equals(2):
        yield from (("F12", 0.85), ("B08", 0.75), ("A04", 0.7))
    elif equals(0.5):
        yield "A04", 0.8
    for n in counts - {0.0, 1.0}:
        if equals(1 / n):
            yield from _divided(s, n)
        if equals(n):
            yield from (("A01", 0.85), ("F12", 0.7))


def _divided(s: Seen, n: float) -> Iterator[tuple[str, float]]:
    """A layer's gradient divided by n: a mean where a sum is right."""
    if is_bias(s):
        yield "B04", 0.95
    elif s.right.ndim == 1:
        yield "D10", 0.93
    yield "A03", 0.85


def is_bias(s: Seen) -> bool:
    """Is right the sum of dy over all axes but one?"""
    dy = s.dy
    return dy is not None and s.right.ndim == 1 and any(
        s.is_right(np.moveaxis(dy, i, -1).reshape(-1, n).sum(0)) for i, n in enumerate(dy.shape)
    )  # fmt: skip


def factor_by_row(s: Seen) -> Found:
    """yours = v · right with a vector v along one axis, and what v equals."""
    if not s.comparable or s.right.ndim < 1 or s.right.size < 3 or s.multiple is not None:
        return
    for axis in range(s.right.ndim):
        v = _along(s, axis)
        if v is None or v.size < 2:
            continue
        for told, fault, score in _vectors(s, v, axis):
            text = f"Along axis {axis} every entry has a factor of its own, {told}."
            yield Finding(f"yours = {told} · right", fault, score, "", text if fault is None else "", f"look at {told}")


def _along(s: Seen, axis: int) -> Array | None:
    """The factors of the slices along an axis, NaN where a slice is 0; None unless each slice has one."""
    yours, right = (np.moveaxis(a, axis, 0).reshape(a.shape[axis], -1) for a in (s.yours, s.right))
    square = (right * right).sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        v = (yours * right).sum(1) / square
    told = np.where(square > 0, v, 0)[:, None] * right
    return v if s.alike(np.moveaxis(told.reshape(np.moveaxis(s.right, axis, 0).shape), 0, axis)) else None


def _vectors(s: Seen, v: Array, axis: int) -> Iterator[tuple[str, str | None, float]]:
    """Known vectors that the factors equal: an input, its inverse, weights looked up by index, counts of an index."""
    seen = np.isfinite(v)

    def equals(w: Array) -> bool:
        return w.shape == v.shape and bool(np.allclose(v[seen], w[seen], rtol=2**14 * s.eps, atol=0)) and seen.sum() > 1

    with np.errstate(all="ignore"):
        for n, w in s.inputs.items():
            if w.ndim == 1:
                for form, told in {n: w, f"1/{n}": 1 / w, f"{n}²": w * w, f"1/{n}²": 1 / w**2, f"1 − {n}": 1 - w}.items():
                    if equals(told):
                        yield form, "D07" if form == f"1/{n}" and s.own is not None and s.own.ndim > 1 else None, 0.8
                for m, t in s.whole.items():
                    if t.ndim == 1 and t.dtype.kind in "iu" and t.size == v.size and t.min() >= 0 and t.max() < w.size:
                        yield from ((f, None, 0.85) for f, u in ((f"{n}[{m}]", w[t]), (f"1/{n}[{m}]", 1 / w[t])) if equals(u))
        for n, w in s.known.items():
            if n.startswith("dy") and any(np.size(u) > 1 and equals(1 / u.reshape(-1)) for u in spread(w, s.right.shape)):
                yield "1/dy", "A07", 0.97
        for m, t in s.whole.items():
            if t.dtype.kind in "iu" and t.size and t.min() >= 0 and t.max() < v.size:
                count = np.bincount(t.ravel(), minlength=v.size).astype(float)
                seen &= count > 0
                if equals(1 / count):
                    yield f"1/count of {m}", None, 0.85
                if equals(count):
                    yield f"count of {m}", None, 0.85


def displacement(s: Seen) -> Found:
    """What was moved, a statistic or a parameter, went c times as far as it should."""
    before = s.known.get(s.name) if s.e.forward and s.comparable else None
    if before is None or before.shape != s.right.shape:
        return
    c = s.constant(s.yours - before, s.right - before)
    for form in spelled(s, c) if c else ():
        m = [v for v in s.e.numbers.values() if 0 < v < 1 and equal(s, c, (1 - v) / v)]
        relation = f"yours − before = {form.symbol} · (right − before)"
        text = "" if m else f"{s.name} is moved {form.symbol} times as far as it should be."
        yield Finding(relation, "D13" if m else None, 0.95 if m else 0.8, shown(s, form), text)


FEATURES = (constant_factor, factor_by_row, displacement)
