"""When must two implementations agree bit for bit? When no operation of either can round.

The hand-written code is run once more on numbers that carry, beside their value, a bound of the magnitudes that were
added up to make them and the smallest power of two that they are a multiple of. While  magnitude / quantum < 2⁵³,
every partial sum, in whatever order it is taken, is a float64 without rounding; so whoever adds the same products
gets the same bits. What cannot be followed so (a division by 3, an exponential) is not certified.
"""

import math
from typing import Any, ClassVar

import numpy as np

from manualbp.base import Tree, tree_map

FREE = 10_000  # the quantum of 0: a multiple of everything


class Rounds(ArithmeticError):  # noqa: N818  (it tells what happens, it is no failure)
    """An operation that may round, so the certificate cannot be given."""


class Dyadic:
    """value, bound of the sum of |terms|, and exponent of a quantum. Arithmetic raises `Rounds` where float64 might."""

    __slots__ = ("m", "q", "v")
    limit: ClassVar[float] = 2.0**53

    def __init__(self, v: float, m: float, q: int) -> None:
        if m > 0 and m >= math.ldexp(self.limit, q):
            raise Rounds(f"magnitude {m:g} in units of 2^{q} needs more than {math.log2(self.limit):.0f} bits")
        self.v, self.m, self.q = v, m, q

    @classmethod
    def of(cls, number: Any) -> "Dyadic":
        if isinstance(number, Dyadic):
            return number
        v = float(number)
        if not math.isfinite(v):
            raise Rounds(f"{v} is no dyadic number")
        numerator, denominator = v.as_integer_ratio()
        low = numerator & -numerator  # the lowest bit that is set
        return cls(v, abs(v), (low.bit_length() - 1) - (denominator.bit_length() - 1) if numerator else FREE)

    def __add__(self, other: Any) -> "Dyadic":
        o = self.of(other)
        return type(self)(self.v + o.v, self.m + o.m, min(self.q, o.q))

    def __sub__(self, other: Any) -> "Dyadic":
        o = self.of(other)
        return type(self)(self.v - o.v, self.m + o.m, min(self.q, o.q))

    def __rsub__(self, other: Any) -> "Dyadic":
        return self.of(other) - self

    def __mul__(self, other: Any) -> "Dyadic":
        o = self.of(other)
        return type(self)(self.v * o.v, self.m * o.m, min(self.q + o.q, FREE))

    def __truediv__(self, other: Any) -> "Dyadic":
        o = self.of(other)
        mantissa, exponent = math.frexp(o.v)
        if abs(mantissa) != 0.5:
            raise Rounds(f"division by {o.v:g}, no power of two")
        return type(self)(self.v / o.v, self.m / abs(o.v), self.q - exponent + 1 if self.q < FREE else FREE)

    def __rtruediv__(self, other: Any) -> "Dyadic":
        return self.of(other) / self

    def __pow__(self, n: int) -> "Dyadic":
        return math.prod([self] * n, start=self.of(1)) if n in range(5) else NotImplemented

    def __neg__(self) -> "Dyadic":
        return type(self)(-self.v, self.m, self.q)

    def __abs__(self) -> "Dyadic":
        return type(self)(abs(self.v), self.m, self.q)

    __radd__, __rmul__ = __add__, __mul__

    def __lt__(self, other: Any) -> bool:
        return self.v < float(other)

    def __le__(self, other: Any) -> bool:
        return self.v <= float(other)

    def __gt__(self, other: Any) -> bool:
        return self.v > float(other)

    def __ge__(self, other: Any) -> bool:
        return self.v >= float(other)

    def __eq__(self, other: object) -> bool:
        return self.v == float(other)

    def __hash__(self) -> int:
        return hash(self.v)

    def __bool__(self) -> bool:
        return self.v != 0

    def __float__(self) -> float:
        return self.v

    def conjugate(self) -> "Dyadic":
        return self

    def __repr__(self) -> str:
        return f"{self.v:g}"


def coarse_grained(value: Any) -> bool:
    """Are all numbers among options multiples of 2⁻²⁰, or infinite?"""
    if isinstance(value, (tuple, dict)):
        return all(map(coarse_grained, value.values() if isinstance(value, dict) else value))
    return not isinstance(value, float) or not math.isfinite(value) or value.as_integer_ratio()[1] <= 2**20


class Dyadic32(Dyadic):
    """The same for float32: 2²⁴."""

    __slots__ = ()
    limit: ClassVar[float] = 2.0**24


def dyadic(tree: Tree, dtype: str = "float64") -> Tree:
    """Arrays of real numbers as arrays of such numbers; everything else as it is."""
    kind = Dyadic if dtype == "float64" else Dyadic32
    lift = np.frompyfunc(kind.of, 1, 1)

    def convert(a: Any) -> Any:
        a = np.asarray(a)
        if a.dtype.kind != "f":
            return a
        values, which = np.unique(a, return_inverse=True)  # few, since they are small integers
        return np.asarray(lift(values), dtype=object)[which.ravel()].reshape(a.shape)

    return tree_map(convert, tree)


def plain(tree: Tree) -> Tree:
    """The values of such arrays as float64."""

    def convert(a: Any) -> Any:
        a = np.asarray(a)
        return a.astype(float) if a.dtype == object else a

    return tree_map(convert, tree)
