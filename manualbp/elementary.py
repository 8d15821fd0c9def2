"""Formulas that several layers share, written so that nothing overflows and no digits are lost.

Each runs on float32 (and stays there), float64, longdouble, and on complex numbers near the real axis; branches
look at the real part, for the complex step. The slopes are what the layers' backward passes need.
"""

import functools
import math
from fractions import Fraction

import numpy as np
from numpy.polynomial import chebyshev

from .base import Array

Axis = int | tuple[int, ...] | None


def p_norm(x: Array, p: float, axis: Axis = -1) -> Array:
    """‖x‖ₚ = (Σ|x|ᵖ)^(1/p) over axes that stay;  p = ±∞: max |x|, min |x|;  p = 0: the number of entries ≠ 0."""
    if p == 0:
        return (x != 0).astype(x.dtype).sum(axis, keepdims=True)
    r = magnitude(x)
    axes = range(r.ndim) if axis is None else np.atleast_1d(axis)
    if p == 1 or all(r.shape[a] == 1 for a in axes):  # of one entry it is |x|, whose square may overflow
        return r.sum(axis, keepdims=True)
    if math.isinf(p):
        return r.max(axis, keepdims=True) if p > 0 else r.min(axis, keepdims=True)
    if p == 2:
        return np.sqrt((r * r).sum(axis, keepdims=True))
    return (r**p).sum(axis, keepdims=True) ** (1 / p)


def p_norm_slope(x: Array, y: Array, p: float, axis: Axis = -1) -> Array:
    """∂y/∂xᵢ of y = ‖x‖ₚ:  sgn(xᵢ) (|xᵢ|/y)^(p−1), 0 where xᵢ = 0;  p = ±∞: sgn(xᵢ)/k where |xᵢ| = y, for k such."""
    if p in (0, 1):
        return p * np.sign(x)
    if math.isinf(p):
        reached = (np.abs(x) == y).astype(x.dtype)
        return np.sign(x) * (reached / np.maximum(reached.sum(axis, keepdims=True), 1))  # none is if y is NaN
    if p == 2:
        return x / np.where(y == 0, 1, y)
    r = np.where(x == 0, 1, np.abs(x) / np.where(y == 0, 1, y))  # sgn 0 = 0, but 0^(p − 1) is ∞ for p < 1
    return np.sign(x) * r ** (p - 1)


def sigmoid(x: Array) -> Array:
    """σ(x) = 1/(1 + e⁻ˣ).  Where e⁻ˣ overflows, with e = e^(−|x|) ≤ 1:  1/(1 + e) for x ≥ 0,  e/(1 + e) for x < 0.

    Slope σ(x)(1 − σ(x)) = σ(x) σ(−x).
    """
    if x.dtype.kind == "f":
        try:
            with np.errstate(over="raise"):
                return 1 / (1 + np.exp(-x))
        except FloatingPointError:
            pass
    e = np.exp(-magnitude(x))
    return np.where(np.real(x) < 0, e, np.ones_like(e)) / (1 + e)


def softplus(x: Array) -> Array:
    """log(1 + eˣ) = max(x, 0) + log(1 + e^(−|x|)).  Slope σ(x)."""
    return np.where(np.real(x) > 0, x, 0) + np.log1p(np.exp(-magnitude(x)))


def log_sigmoid(x: Array) -> Array:
    """log σ(x) = −log(1 + e⁻ˣ).  Slope σ(−x)."""
    return -softplus(-x)


def magnitude(x: Array) -> Array:
    """|x|, continued off the real axis as ±x, which is what a slope needs; abs would drop the imaginary part."""
    return np.abs(x) if x.dtype.kind == "f" else np.where(np.real(x) < 0, -x, x)


def weighed(slope: Array, dy: Array) -> Array:
    """dy · slope, and 0 where the slope is 0, whatever dy is there: as where f is constant, so that y takes no part in
    what goes on. A product would be NaN where dy is infinite, as that of √y at y = 0 is."""
    with np.errstate(invalid="ignore"):
        dx = dy * slope
    return np.where(np.equal(slope, 0), 0, dx) if np.not_equal(dx, dx).any() else dx


def logsumexp(x: Array, axis: Axis = -1, keepdims: bool = False) -> Array:
    """log Σ eˣ = m + log Σ e^(x − m) for any m; with m = max x no exponential exceeds 1.  Slope softmax(x).

    Over −∞ alone it is −∞; an infinite m is replaced by 0, since ∞ − ∞ has no value.
    """
    m = x.max(axis, keepdims=True, initial=-math.inf)
    m = np.where(np.isfinite(m), m, 0)
    with np.errstate(over="ignore", divide="ignore"):  # e^x beside x = ∞, log 0 over −∞ alone
        y = m + np.log(np.exp(x - m).sum(axis, keepdims=True))
    return y if keepdims else y.squeeze(axis)


def softmax(x: Array, axis: Axis = -1) -> Array:
    """yᵢ = eˣⁱ/Σⱼ eˣʲ, the same for x − max x.  ∂yᵢ/∂xⱼ = yᵢ(δᵢⱼ − yⱼ), so  dx = y(dy − Σ y dy).

    As in torch, NaN over −∞ alone, or beside x = ∞.
    """
    with np.errstate(invalid="ignore"):
        e = np.exp(x - x.max(axis, keepdims=True, initial=-math.inf))
    return e / e.sum(axis, keepdims=True)


def log_softmax(x: Array, axis: int = -1) -> Array:
    """yᵢ = xᵢ − log Σⱼ eˣʲ.  ∂yᵢ/∂xⱼ = δᵢⱼ − e^yⱼ, so  dx = dy − e^y Σdy.

    With m = max x, the largest term of the sum is 1 and is split off, log Σ = m + log(1 + Σ of the others' e^(x − m)),
    so that the logarithm of a probability near 1 keeps its digits; torch's does not. NaN where softmax is.
    """
    with np.errstate(invalid="ignore"):
        z = x - x.max(axis, keepdims=True, initial=-math.inf)
    if not z.ndim or not z.size:
        return z
    place = np.arange(z.shape[axis]).reshape([-1 if i == axis % z.ndim else 1 for i in range(z.ndim)])
    others = np.where(place == z.argmax(axis, keepdims=True), z, np.exp(z))  # z: 0, or NaN where there is no maximum
    return z - np.log1p(others.sum(axis, keepdims=True))


def erf(x: Array) -> Array:
    """(2/√π) ∫₀ˣ e^(−s²) ds.  Slope (2/√π) e^(−x²).

    For z = |x| let q(z) = (1 − e^(z²) erfc z)/z. Then  erf z = 1 − e^(−z²)(1 − z q) = (1 − e^(−z²)) + e^(−z²) z q,  a
    sum of positive terms, so nothing cancels at any z; and erf is odd. Beyond z = 200 the result is 1 in every dtype.
    """
    z = _bounded(magnitude(x))
    y = np.exp(-z * z) * _zq(z) - np.expm1(-z * z)
    return np.where(np.real(x) < 0, -y, y)


def normal_cdf(x: Array) -> Array:
    """Φ(x) = ½(1 + erf(x/√2)), the probability that a standard normal number is smaller.  Slope e^(−x²/2)/√(2π).

    With z = |x|/√2 and q as in `erf`, the tail beyond |x| is  ½ erfc z = ½ e^(−z²)(1 − z q), which keeps its digits
    where 1 + erf has none left. Φ is the tail for x < 0, and 1 − tail otherwise: |[x ≥ 0] − tail|.
    """
    z = _bounded(magnitude(x) * math.sqrt(0.5))
    tail = np.exp(-z * z) * (1 - _zq(z)) / 2
    return magnitude((np.real(x) >= 0) - tail)


def erfcx(x: Array) -> Array:
    """e^(x²) erfc x, where erfc x = 1 − erf x = (2/√π) ∫ₓ^∞ e^(−s²) ds; it falls as 1/(x√π).  Slope 2x erfcx x − 2/√π.

    With q as in `erf` it is 1 − z q(z) at z = |x|. From z = 10 on that cancels, and the series of erfc in 1/z does not:
    z√π erfcx z = 1 − 1/(2z²)(1 − 3/(2z²)(1 − 5/(2z²)(…))).  For x < 0, erfc x = 2 − erfc z:  2e^(x²) − erfcx z.
    """
    z = magnitude(x)
    far = np.real(z) > 10
    w = 1 / np.where(far, z * z * 2, 200)
    tail = np.ones_like(w)
    for k in range(39, 0, -2):
        tail = 1 - k * w * tail
    right = np.where(far, tail / (np.where(far, z, 1) * root_pi(x.dtype)), 1 - _zq(np.where(far, 10, z)))
    with np.errstate(over="ignore"):
        return np.where(np.real(x) < 0, 2 * np.exp(z * z) - right, right)


def erfc(x: Array) -> Array:
    """1 − erf x, with all its digits where that cancels.  Slope −(2/√π) e^(−x²).

    It is e^(−x²) erfcx x, and for x < 0, where erf x = −erf |x|, 2 − erfc |x|.
    """
    z = magnitude(x)
    tail = np.exp(-z * z) * erfcx(z)
    return np.where(np.real(x) < 0, 2 - tail, tail)


def erfinv(x: Array) -> Array:
    """The y with erf y = x.  Slope ½√π e^(y²).

    With r = 1 − |x|, the y > 0 is sought with  h(y) = log erfc y − log r = 0, since log erfc y bends little. Its slope
    is −2e^(−y²)/(√π erfc y) = −2/(√π erfcx y), so Newton's step is  y + ½√π h(y) erfcx y,  from √(−log r) on. For
    |x| < ½  h(y) = |x| − erf y  keeps the digits of x, and the step is  y + ½√π h(y) e^(y²),  from ½√π |x| on.
    """
    z = magnitude(x)
    inside = np.real(z) < 1
    z = np.where(inside, z, 0)
    half, log_r = root_pi(x.dtype) / 2, np.log1p(-z)
    y = np.where(np.real(z) < 0.5, half * z, np.sqrt(-log_r))
    for _ in range(7):
        far = half * (np.log(erfcx(y)) - y * y - log_r) * erfcx(y)
        y = y + np.where(np.real(z) < 0.5, half * (z - erf(y)) * np.exp(y * y), far)
    y = np.where(inside, y, np.where(np.real(magnitude(x)) == 1, math.inf, math.nan)).astype(x.dtype)
    return np.where(np.real(x) < 0, -y, y)


def log_normal_cdf(x: Array) -> Array:
    """log Φ(x).  Slope e^(−x²/2)/(√(2π) Φ(x)).

    Φ(x) = ½ erfc(−x/√2), so below −1 it is  log(½ erfcx(−x/√2)) − x²/2,  and above, where Φ is near 1,
    log(1 − ½ erfc(x/√2)).
    """
    z = x * np.sqrt(np.asarray(0.5, np.real(x).dtype))
    low = np.real(x) < -1
    with np.errstate(divide="ignore"):  # log 0 = −∞
        left = np.log(erfcx(np.where(low, -z, 1)) / 2) - np.where(low, z * z, 0)
    return np.where(low, left, np.log1p(-erfc(np.where(low, 1, z)) / 2))


def root_pi(dtype: np.dtype) -> np.floating:
    """√π in all digits of a dtype."""
    return np.sqrt(np.arccos(np.finfo(dtype).dtype.type(-1)))


def _bounded(z: Array) -> Array:
    return np.minimum(z, 200) if z.dtype.kind == "f" else np.where(np.real(z) > 200, 200, z)


def _zq(z: Array) -> Array:
    """z q(z) for 0 ≤ z ≤ 200. q falls from 2/√π to 0 as 1/z, so (z + 1) q(z) is smooth up to z = ∞;
    t = (z − 4)/(z + 4) maps z ≥ 0 to [−1, 1), and there a polynomial in t gives it to 2⁻⁶⁴."""
    t = (z - 4) / (z + 4)
    p, *rest = coefficients(np.real(z).dtype)
    p = np.full_like(t, p)
    for c in rest:  # Horner, in place: this is where GELU spends its time
        p *= t
        p += c
    return z * p / (z + 1)


@functools.cache
def coefficients(dtype: np.dtype) -> tuple:
    """The polynomial of `erf` in this dtype, highest power first: without the last terms of its Chebyshev series, as
    many as are less than ε/64 together (of 28, 13 are left in float32, 24 in float64)."""
    series = chebyshev.poly2cheb(np.array([Fraction(c) for c in POLYNOMIAL]))
    left_out = np.abs(series[::-1]).cumsum() < Fraction(float(np.finfo(dtype).eps)) / 64
    if not left_out.any():
        return tuple(dtype.type(c) for c in reversed(POLYNOMIAL))
    return tuple(dtype.type(float(c)) for c in reversed(chebyshev.cheb2poly(series[: -left_out.sum()])))


# Lowest power first; as text, since a Python float has too few digits for longdouble. Made by interpolating
# (z + 1) q(z), as a function of t, in 80 Chebyshev points with 100 digits (mpmath; for z > 60 from the asymptotic
# series of erfc), leaving out what exceeds degree 27 in its Chebyshev series, each term below 2⁻⁶⁵, and expanding the
# rest in powers of t. tests/test_elementary.py does it again.
# fmt: off
POLYNOMIAL = (
    "1.07875067796867326263699", "-0.107665210237254757193133", "0.0285666481595523728522215",
    "0.0127158635233854406008101", "-0.0257264727490351716396632", "0.0228888592495253635131482",
    "-0.0146818181680719630984565", "7.26245831828882617794921e-3", "-2.70482832489177197315374e-3",
    "6.58539123093609753886257e-4", "-3.19918586731567492975361e-5", "-5.04158140777381529912939e-5",
    "1.93734581724877825313105e-5", "-7.75155267302268280892498e-8", "-2.17573386841910253062793e-6",
    "4.78619172856034491994073e-7", "1.83099255442440358439936e-7", "-9.11143586437540448042014e-8",
    "-1.30325434086541014258842e-8", "1.41646454715670221065298e-8", "7.61988921233910333917217e-10",
    "-2.14578118684527102280625e-9", "-3.46303650683433065498034e-11", "3.18623563428129012433406e-10",
    "2.05095492986376128813569e-12", "-4.05770905565916215972981e-11", "-2.22898643244382408767159e-13",
    "3.08472870712395167236128e-12",
)
# fmt: on
