"""The logarithm of the gamma function and its slope, in any precision, as the formulas of elementary.py.

Γ(x) = ∫₀^∞ s^(x−1) e⁻ˢ ds continues the factorials, Γ(n + 1) = n!, and Γ(x + 1) = x Γ(x).
"""

import numpy as np

from .base import Array
from .elementary import magnitude

NEAR, FAR = 2.5, 8.5  # between them, steps of 1 lead down to 1.5 … 2.5


def log_gamma(x: Array) -> Array:
    """log |Γ(x)|.  Slope ψ(x), see `digamma`.

    1.5 < x ≤ 2.5    with z = x − 2 the Taylor series of log Γ(2 + z):  (1 − γ)z + Σₖ (−1)ᵏ (ζ(k) − 1) zᵏ/k, k = 2, 3, …
    2.5 < x ≤ 8.5    log Γ(x) = log Γ(x − n) + log((x − 1)(x − 2)⋯(x − n)),  n steps down to 1.5 … 2.5
    8.5 < x          Stirling's series:  (x − ½) log x − x + ½ log 2π + Σₖ B₂ₖ/(2k(2k − 1)x^(2k−1))
    ½ ≤ x ≤ 1.5      log Γ(x + 1) − log x, with z = x − 1
    x < ½            from Γ(x)Γ(1 − x) = π/sin πx:  log(π/|sin πx|) − log Γ(1 − x);  ∞ at 0, −1, −2, …
    """
    right, left = _right(x), np.real(x) < 0.5
    low, high = np.real(right) <= 1.5, np.real(right) > FAR
    y, factor = np.where(high, 2, right), 1
    for _ in range(6):
        step = np.real(y) > NEAR
        y = np.where(step, y - 1, y)
        factor = np.where(step, factor * y, factor)
    z = np.where(low, y - 1, y - 2)
    steps = np.where(low, -np.log1p(z), np.log(factor))
    value = np.where(high, _stirling(np.where(high, right, FAR)), z * _taylor(z, 1) + steps)
    with np.errstate(divide="ignore"):
        mirrored = np.log(_pi(x)) - np.log(magnitude(_sin_pi(x))) - value
    y = np.where(left, mirrored, value)
    return np.where(np.isinf(np.real(x)), np.inf, y).astype(x.dtype)


def digamma(x: Array) -> Array:
    """ψ(x) = Γ′(x)/Γ(x), the slope of log |Γ(x)|: the slope of each line of `log_gamma`.

    1.5 < x ≤ 2.5    (1 − γ) + Σₖ (−1)ᵏ (ζ(k) − 1) zᵏ⁻¹
    2.5 < x ≤ 8.5    ψ(x − n) + 1/(x − 1) + ⋯ + 1/(x − n)
    8.5 < x          log x − 1/(2x) − Σₖ B₂ₖ/(2k x^(2k))
    ½ ≤ x ≤ 1.5      ψ(x + 1) − 1/x
    x < ½            ψ(1 − x) − π cot πx;  −∞ at 0, as torch has it, and no value at −1, −2, …
    """
    right, left = _right(x), np.real(x) < 0.5
    low, high = np.real(right) <= 1.5, np.real(right) > FAR
    y, steps = np.where(high, 2, right), np.where(low, -1 / right, 0)
    for _ in range(6):
        step = np.real(y) > NEAR
        y = np.where(step, y - 1, y)
        steps = np.where(step, steps + 1 / y, steps)
    z = np.where(low, y - 1, y - 2)
    value = np.where(high, _slope_of_stirling(np.where(high, right, FAR)), _taylor(z, 0) + steps)
    with np.errstate(divide="ignore", invalid="ignore"):
        mirrored = value - _pi(x) * _sin_pi(x + 0.5) / _sin_pi(x)
    y = np.where(left, np.where((x == 0) | (_sin_pi(x) != 0), mirrored, np.nan), value)
    return np.where(x == 0, -np.inf, np.where(np.real(x) == np.inf, np.inf, y)).astype(x.dtype)


def _right(x: Array) -> Array:
    """x or 1 − x, whichever is larger; 1 where x is infinite."""
    return np.where(np.isfinite(np.real(x)) | np.isnan(np.real(x)), np.where(np.real(x) < 0.5, 1 - x, x), 1)


def _pi(x: Array) -> np.floating:
    return np.arccos(np.finfo(x.dtype).dtype.type(-1))


def _sin_pi(x: Array) -> Array:
    """sin πx, 0 at whole numbers: of the distance to the nearest one, with the sign that this has."""
    with np.errstate(invalid="ignore"):  # ∞ − ∞
        n = np.rint(np.real(x))
        return (1 - 2 * np.mod(n, 2)) * np.sin(_pi(x) * (x - n))


def _taylor(z: Array, order: int) -> Array:
    """Horner's scheme for  (1 − γ) + Σₖ (−1)ᵏ (ζ(k) − 1) zᵏ⁻¹, each term over k if order is 1."""
    of = np.finfo(z.dtype).dtype.type
    y = np.zeros_like(z)
    for k in range(len(ZETA) + 1, 1, -1):
        y = z * (y + (-1) ** k * of(ZETA[k - 2]) / (k if order else 1))
    return y + of(ONE_LESS_GAMMA)


def _stirling(x: Array) -> Array:
    of, w = np.finfo(x.dtype).dtype.type, 1 / (x * x)
    y = np.zeros_like(x)
    for k in range(len(BERNOULLI), 0, -1):
        above, below = BERNOULLI[k - 1]
        y = y * w + of(above) / of(below * 2 * k * (2 * k - 1))
    return (x - 0.5) * np.log(x) - x + np.log(2 * _pi(x)) / 2 + y / x


def _slope_of_stirling(x: Array) -> Array:
    of, w = np.finfo(x.dtype).dtype.type, 1 / (x * x)
    y = np.zeros_like(x)
    for k in range(len(BERNOULLI), 0, -1):
        above, below = BERNOULLI[k - 1]
        y = y * w + of(above) / of(below * 2 * k)
    return np.log(x) - 1 / (2 * x) - y * w


# B₂, B₄, …, as many as bring the rest at x = 8.5 below 2⁻⁶⁴: (numerator, denominator).
BERNOULLI = (
    (1, 6), (-1, 30), (1, 42), (-1, 30), (5, 66), (-691, 2730), (7, 6), (-3617, 510), (43867, 798), (-174611, 330),
    (854513, 138), (-236364091, 2730), (8553103, 6),
)  # fmt: skip

ONE_LESS_GAMMA = "0.422784335098467139393488"  # Euler's γ

# ζ(k) − 1 for k = 2, 3, …, which is about 2⁻ᵏ, so that the rest at |z| = ½ is below 2⁻⁶⁴; as text, since a Python float
# has too few digits for longdouble. tests/test_elementary.py makes them again.
# fmt: off
ZETA = (
    "0.6449340668482264364724", "0.2020569031595942853997", "0.082323233711138191516",
    "0.03692775514336992633137", "0.01734306198444913971452", "0.008349277381922826839798",
    "0.004077356197944339378685", "0.002008392826082214417853", "0.000994575127818085337146",
    "0.0004941886041194645587023", "0.000246086553308048298638", "0.0001227133475784891467518",
    "0.00006124813505870482925855", "0.00003058823630702049355173", "0.00001528225940865187173257",
    "0.0000076371976378997622736", "0.000003817293264999839856462", "0.000001908212716553938925657",
    "9.53962033872796113152e-7", "4.769329867878064631167e-7", "2.384505027277329900036e-7",
    "1.192199259653110730678e-7", "5.960818905125947961244e-8", "2.980350351465228018606e-8",
    "1.490155482836504123466e-8", "7.450711789835429491981e-9", "3.725334024788457054819e-9",
    "1.862659723513049006404e-9", "9.313274324196681828718e-10", "4.656629065033784072989e-10",
    "2.328311833676505492001e-10", "1.164155017270051977593e-10",
)
# fmt: on
