"""How far apart two correct arrays can be: a bound derived from the arithmetic, never a chosen tolerance.

For one tensor, with h by hand, t by torch, the number of bits as subscript and ε = 2⁻⁵²:

    strict    16 · ( ε S + η/ε )
    with own  16 · ( ε S + η/ε  +  |h64 − h80| )
    measured  16 · ( ε S + η/ε  +  2⁻²⁹ |t32 − t64|  +  own ),   own = |h64 − h80| + 2⁻²⁹ |h32 − h64|

    ε S               S the tensor's largest entry: the last bit of what is stored
    η/ε               η = 2⁻¹⁰²² the smallest normal number: below 10⁻²⁹² a factor that underflows is no smaller than
                      the last bit of what it goes into (torch's sigmoid is 0 from −710 on, e⁻⁷¹⁰ is not)
    2⁻²⁹ |t32 − t64|  the rounding of torch, measured in float32 and scaled by the ratio of the precisions
    own               the rounding of the side that is judged, measured: the same code on longdouble and float32

In float32 the terms are 2⁻²³ S, η/ε = 2⁻¹⁰³, |t32 − t64| and |h32 − h64|, with own |h32 − h80|.

All are the largest entries of the tensor. The strict bound is a part of every other, so what stays within it passes
whatever more runs would say; they are made only where it is exceeded. A wrong formula does not loosen the bound, since
every precision shares the mistake. So where longdouble is as near to torch as its bits promise, what float64 leaves is
rounding, whatever its size, as that of log(1 − h) near h = 1. Else what the judged side does in another precision
counts at most √ε S, half of the digits (2⁻¹⁶ S in float32), or CAP times what torch's rounding and the strict bound
come to (`capped`), so that code which is bad in a precision that it was not made for gets no more room for it, nor what
TF32 leaves of float32.
"""

import numpy as np

from manualbp.base import Array

FACTOR = 16.0
RATIO = 2.0**-29  # of float64's precision to float32's
EPS = {"float64": 2.0**-52, "float32": 2.0**-23}
HALF = {"float64": 2.0**-26, "float32": 2.0**-16}  # of the largest entry, and
CAP = {"float64": 64.0, "float32": 16.0}  # times torch's rounding: in float32 both stay below what TF32 rounds, 2⁻¹¹
SHRUNK = 2.0**-8  # of an error in float64, at most what rounding leaves of it in longdouble; 2⁻¹¹ is what is expected
LEAST = {dtype: float(np.finfo(dtype).tiny) / eps for dtype, eps in EPS.items()}
WIDE = bool(np.finfo(np.longdouble).eps < np.finfo(np.float64).eps)  # on some platforms longdouble is double


def strict(s: float, dtype: str) -> float:
    """The bound where the largest entry is s."""
    return FACTOR * (EPS[dtype] * s + LEAST[dtype])


def with_own(s: float, dtype: str, h64: Array, h80: Array) -> float:
    """The bound with what longdouble alone shows of the judged side's rounding."""
    least = EPS[dtype] * s + LEAST[dtype]
    return FACTOR * (least + min(distance(h64, h80), most(s, least, dtype)))


def measured(
    s: float, dtype: str, h32: Array, h64: Array, h80: Array, t32: Array, t64: Array, capped: bool = True
) -> float:
    """The bound with the rounding of both sides, each of which has run in several precisions."""
    if dtype == "float32":
        theirs, own = distance(t32, t64), distance(h32, h64)
    else:
        theirs, own = RATIO * distance(t32, t64), distance(h64, h80) + RATIO * distance(h32, h64)
    least = EPS[dtype] * s + LEAST[dtype] + theirs
    bound = FACTOR * (least + (min(own, most(s, least, dtype)) if capped else own))
    if dtype == "float64" and distance(h80, t64) <= max(FACTOR * least, SHRUNK * distance(h64, t64)):
        return max(bound, FACTOR * least + 2 * distance(h64, h80))
    return bound


def most(s: float, least: float, dtype: str) -> float:
    """How much of the judged side's own rounding counts, where torch's and the last bits come to `least`."""
    return HALF[dtype] * s / FACTOR + CAP[dtype] * least


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
