"""How far apart two correct gradients can be: a bound derived from the arithmetic, never a chosen tolerance.

For one tensor, with h by hand, t by torch, the number of bits as subscript and ε = 2⁻⁵²:

    bound = 16 · ( |h64 − h80|  +  2⁻²⁹ (|h32 − h64| + |t32 − t64|)  +  ε S  +  η/ε )

    |h64 − h80|       the rounding error of the hand-written code, measured: the same code on longdouble
    2⁻²⁹ |·32 − ·64|  the rounding error of either side, measured in float32 and scaled by the ratio of the precisions
    ε S               S the tensor's largest entry: the last bit of what is stored
    η/ε               η = 2⁻¹⁰²² the smallest normal number: below 10⁻²⁹² a factor that underflows is no smaller than
                      the last bit of what it goes into (torch's sigmoid is 0 from −710 on, e⁻⁷¹⁰ is not)

All are the largest entries of the tensor. A wrong formula does not loosen the bound, since every precision shares the
mistake. In float32 the terms are |h32 − h64|, |t32 − t64|, 2⁻²³ S and η/ε = 2⁻¹⁰³.

Where that bound is exceeded, a *second look* decides: data, parameters and dy are moved by a few units of their last
place, several times, and how far either side's gradient moves is what no comparison can resolve (at a kink, a tie, or
where terms cancel that were not zero). A wrong but smooth formula moves by its conditioning only, some 10⁻¹⁵.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from manualbp.base import Array

FACTOR = 16.0
RATIO = 2.0**-29  # of float64's precision to float32's
EPS = {"float64": 2.0**-52, "float32": 2.0**-23}
LEAST = {dtype: float(np.finfo(dtype).tiny) / eps for dtype, eps in EPS.items()}
WIDE = bool(np.finfo(np.longdouble).eps < np.finfo(np.float64).eps)  # on some platforms longdouble is double


@dataclass(frozen=True)
class Runs:
    """One tensor in every precision: by hand in float32, float64, longdouble; by torch in float32 and float64."""

    h32: Array
    h64: Array
    h80: Array
    t32: Array
    t64: Array

    def bound(self, dtype: str) -> float:
        """The derived bound of |by hand − by torch| in this dtype, for every entry of the tensor."""
        s = largest(self.h64)
        own = distance(self.h32, self.h64) + distance(self.t32, self.t64)
        if dtype == "float32":
            return FACTOR * (own + EPS["float32"] * s + LEAST["float32"])
        return FACTOR * (distance(self.h64, self.h80) + RATIO * own + EPS["float64"] * s + LEAST["float64"])


def largest(a: Array) -> float:
    """The largest finite magnitude, 0 where there is none."""
    a = np.abs(a)
    top = float(a.max(initial=0))
    return top if np.isfinite(top) else float(a[np.isfinite(a)].max(initial=0))


def difference(a: Array, b: Array) -> Array:
    """|a − b|, in float64 at least; in longdouble where that overflows."""
    with np.errstate(invalid="ignore", over="ignore"):
        d = np.abs(np.subtract(a, b, dtype=np.result_type(a, b, np.float64)))
        return d if np.isfinite(d.max(initial=0)) else np.abs(a.astype(np.longdouble) - b.astype(np.longdouble))


def distance(a: Array, b: Array) -> float:
    """The largest |a − b| over the entries that are finite in both."""
    return 0.0 if a is b or a.shape != b.shape else largest(difference(a, b))


def moved(rng: np.random.Generator, a: Any, gradient: bool = True) -> Array:
    """Every entry of a moved by up to two units of its last place; integers and masks stay.

    Whole numbers without a gradient stay, too: they may be labels, ±1, and one that is moved is a label no more.
    """
    a = np.asarray(a)
    if a.dtype.kind != "f" or (not gradient and np.array_equal(a, np.round(a))):
        return a
    return np.asarray(a * (1 + rng.integers(-2, 3, a.shape) * np.finfo(a.dtype).eps), dtype=a.dtype)
