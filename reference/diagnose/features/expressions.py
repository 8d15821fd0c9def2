"""What a constant may equal: expressions of the numbers given, and of plain ones."""

import functools
import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from manualbp.base import Array

from .seen import Seen

COEFFICIENTS = {"": 1.0, "−": -1.0, "2": 2.0, "−2": -2.0, "½": 0.5, "−½": -0.5, "4": 4.0, "¼": 0.25}
PLAIN = {"1/ln 2": 1 / math.log(2), "ln 2": math.log(2), "√2": 2**0.5, "1/√2": 0.5**0.5, "3": 3.0, "π": math.pi}
PLAIN |= {"ln 10": math.log(10), "1/ln 10": 1 / math.log(10)}
SINGLE = {"{}": 1, "1/{}": -1, "√{}": 0.5, "1/√{}": -0.5, "{}²": 2, "1/{}²": -2}
DOUBLE = {"{}·{}": (1, 1), "{}/{}": (1, -1), "1/({}·{})": (-1, -1), "√({}/{})": (0.5, -0.5)}
MOST = 40  # expressions that are considered


class Expression(NamedTuple):
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
    if s.y is not None and s.y.size:
        found |= {"y.size": float(s.y.size)} if s.y.size > 1 else {"y": float(s.y.reshape(()))}
        found |= {f"y.shape[{i}]": float(n) for i, n in enumerate(s.y.shape) if i > 1}
    return found


def _sums_of_weights(s: Seen, t: Array) -> Iterator[tuple[str, float]]:
    for n, w in s.inputs.items():
        if w.ndim == 1 and t.size and t.max() < w.size and n != s.name:
            yield n, float(w[t].sum())


@functools.lru_cache(maxsize=64)
def forms(given: tuple[tuple[str, float], ...]) -> tuple[tuple[Expression, ...], Array]:
    """All expressions of at most two of the numbers given, with their values."""
    base: dict[str, tuple[float, int, str]] = {n: (v, 1, n) for n, v in given if v not in (0, 1)}
    base |= {f"(1 − {n})": (1 - v, 2, n) for n, v in given if 0 < v < 1}
    base |= {f"({n} − 1)": (v - 1, 2, n) for n, v in given if v > 2 and v == int(v)}
    base |= {f"({n} + 1)": (v + 1, 2, n) for n, v in given if v > 1 and v == int(v)}
    plain = {n: v for n, v in (COEFFICIENTS | PLAIN).items() if n not in ("", "−")}
    found = [*((Expression(n, 1), v) for n, v in plain.items()), (Expression("−1", 1), -1.0)]
    for sign, k in COEFFICIENTS.items():
        for n, (v, cost, name) in base.items():
            for pattern, e in SINGLE.items():
                if v > 0 or e == int(e):
                    symbol = _signed(sign, pattern.format(n))
                    found.append((Expression(symbol, cost + bool(sign) + (abs(e) != 1), (name,)), k * v**e))
        for (n, (v, c, a)), (m, (w, d, b)) in itertools.permutations(base.items(), 2):
            for pattern, (e, f) in DOUBLE.items():
                if (n < m or e != f) and (v != w or e == f):  # equal numbers cancel
                    symbol = _signed(sign, pattern.format(n, m))
                    found.append((Expression(symbol, c + d + bool(sign), (a, b)), k * v**e * w**f))
    return tuple(f for f, _ in found), np.array([v for _, v in found])


def _signed(sign: str, symbol: str) -> str:
    if sign in ("", "−"):
        return sign + symbol
    return symbol.replace("1/", sign + "/", 1) if symbol.startswith("1/") else f"{sign}·{symbol}"


def spelled(s: Seen, c: float) -> list[Expression]:
    """The simplest expressions that a constant equals; none of 1, which n/n is, too, where n happens to be."""
    if equal(s, c, 1.0):
        return []
    known, values = forms(tuple(sorted(numbers(s).items())))
    hits = [known[i] for i in np.flatnonzero(np.abs(values - c) <= s.slack * abs(c))]
    plain = any(not f.uses for f in hits)  # then only a size itself may be meant instead
    kept = [f for f in hits if not plain or f.cost == 1]
    return sorted(kept, key=lambda f: (f.cost, not is_option(s, f)))[:MOST]


def is_option(s: Seen, form: Expression) -> bool:
    """Is it made of numbers that were chosen? Lengths of axes are not, and equal a number by chance."""
    lengths = {n for a in (*s.known.values(), *s.whole.values()) for n in (*a.shape, a.size)}
    return bool(form.uses) and all(n in s.e.numbers and s.e.numbers[n] not in lengths for n in form.uses)


def shown(s: Seen, form: Expression) -> str:
    """The values of the symbols in an expression."""
    values = numbers(s)
    return ", ".join(f"{n} = {values[n]:g}" for n in dict.fromkeys(form.uses) if n in values)


def equal(s: Seen, c: float, *values: float) -> bool:
    """Is c one of these, but for rounding?"""
    return any(abs(c - v) <= s.slack * abs(c) for v in values if math.isfinite(v))
