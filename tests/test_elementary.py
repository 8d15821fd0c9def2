"""The shared formulas against mpmath: value, slope by complex step, the ends of the number line."""

import math

import mpmath as mp
import numpy as np
import pytest

from manualbp import elementary, gamma
from manualbp.elementary import erf, log_sigmoid, log_softmax, logsumexp, sigmoid, softmax, softplus

DTYPES = (np.float32, np.float64, np.longdouble)
ONE_NUMBER = {  # the formula, its value and its slope
    sigmoid: (lambda x: 1 / (1 + mp.exp(-x)), lambda x: mp.exp(-x) / (1 + mp.exp(-x)) ** 2),
    softplus: (lambda x: mp.log1p(mp.exp(x)), lambda x: 1 / (1 + mp.exp(-x))),
    log_sigmoid: (lambda x: -mp.log1p(mp.exp(-x)), lambda x: 1 / (1 + mp.exp(x))),
    erf: (mp.erf, lambda x: 2 / mp.sqrt(mp.pi) * mp.exp(-x * x)),
}
ENDS = {sigmoid: (0, 1), softplus: (0, math.inf), log_sigmoid: (-math.inf, 0), erf: (-1, 1)}


@pytest.fixture(autouse=True)
def digits():
    with mp.workdps(50):
        yield


def exact(a):
    """A number of any precision as mpmath's, digit for digit."""
    mantissa, exponent = np.frexp(np.longdouble(a))
    high = float(mantissa)
    return mp.ldexp(mp.mpf(high) + mp.mpf(float(mantissa - high)), int(exponent))


def errors(found, wanted):
    """The relative errors, in units of the dtype's last place."""
    told = [float(abs((exact(a) - b) / b)) for a, b in zip(found, wanted, strict=True)]
    return np.array(told) / float(np.finfo(found.dtype).eps)


def numbers(dtype, n=400):
    """Small, middling, and as large as e⁻ˣ allows, of either sign."""
    rng = np.random.default_rng(1)
    far = {np.float32: 80, np.float64: 700}.get(dtype, 700 if np.finfo(dtype).eps > 1e-17 else 11_000)
    parts = rng.uniform(-1, 1, n), rng.uniform(-8, 8, n), rng.uniform(-far, far, n), 1e-7 * rng.standard_normal(n)
    return np.concatenate(parts).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("f", ONE_NUMBER)
def test_the_value_is_right_to_three_units_of_the_last_place(f, dtype):
    x = numbers(dtype)
    y = f(x)
    assert y.dtype == dtype
    assert errors(y, [ONE_NUMBER[f][0](exact(a)) for a in x]).max() < 3


@pytest.mark.parametrize("dtype", [np.complex128, np.clongdouble])
@pytest.mark.parametrize("f", ONE_NUMBER)
def test_the_complex_step_gives_the_slope(f, dtype):
    h, x = 2.0**-100, np.random.default_rng(2).standard_normal(300) * 3
    y = f(x + dtype(1j) * h)
    assert y.dtype == dtype
    found = errors(y.imag / h, [ONE_NUMBER[f][1](exact(a)) for a in x])
    assert (found < 3 * (1 + x * x)).all()  # e^(−x²) passes on the rounding of x²


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("f", ONE_NUMBER)
def test_the_ends_of_the_number_line(f, dtype):
    low, middle, high, nothing = f(np.array([-math.inf, 0.0, math.inf, math.nan], dtype))
    assert (low, high) == ENDS[f]
    assert abs(float(middle) - float(ONE_NUMBER[f][0](0))) < 1e-7
    assert np.isnan(nothing)
    tiny = np.finfo(dtype).smallest_subnormal
    assert np.isfinite(f(np.array([-1e4, -tiny, tiny, 1e4], dtype))).all()


@pytest.mark.parametrize("f", ONE_NUMBER)
def test_one_number_is_enough_and_its_dtype_stays(f):
    assert f(np.float32(0.3)).dtype == np.float32
    assert np.shape(f(np.array(0.3))) == ()


LIMITED = {  # the formula, its value and its slope, where it is tried, the digits of the last place that are lost there
    elementary.erfc: (mp.erfc, lambda x: -2 / mp.sqrt(mp.pi) * mp.exp(-x * x), (-4, 4), 12),
    elementary.erfcx: (
        lambda x: mp.exp(x * x) * mp.erfc(x),
        lambda x: 2 * x * mp.exp(x * x) * mp.erfc(x) - 2 / mp.sqrt(mp.pi),
        (-3, 50),
        24,
    ),
    elementary.erfinv: (mp.erfinv, lambda x: mp.sqrt(mp.pi) / 2 * mp.exp(mp.erfinv(x) ** 2), (-1, 1), 3),
    elementary.log_normal_cdf: (
        lambda x: mp.log(mp.ncdf(x)), lambda x: mp.npdf(x) / mp.ncdf(x), (-60, 2), 12,
    ),
    gamma.log_gamma: (lambda x: mp.log(abs(mp.gamma(x))), mp.digamma, (0, 40), 4),
}  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("f", LIMITED)
def test_what_has_a_value_in_some_interval_is_right_to_few_units(f, dtype):
    value, _, (low, high), lost = LIMITED[f]
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.uniform(low, high, 300), rng.uniform(max(low, -1), 1, 100) * 1e-6]).astype(dtype)
    x = x[(x > low) & (x < high) & (f(np.where(x == 0, 1, x)) != 0)]
    x = np.abs(x) if low == 0 else x
    assert errors(f(x), [value(exact(a)) for a in x]).max() < lost


@pytest.mark.parametrize("f", LIMITED)
def test_the_complex_step_gives_their_slopes(f):
    _, slope, (low, high), lost = LIMITED[f]
    x = np.random.default_rng(4).uniform(max(low, -3), min(high, 6), 100)
    y = f(x + 2.0**-100 * np.clongdouble(1j))
    assert y.dtype == np.clongdouble
    assert (errors(y.imag * 2.0**100, [slope(exact(a)) for a in x]) < 8 * lost).all()


def test_the_digamma_function_is_right_beside_its_zeros():
    for dtype in DTYPES:
        x = np.concatenate([np.linspace(0.01, 12, 300), -np.linspace(0.01, 6, 300)]).astype(dtype)
        x = x[np.rint(x) != x]
        wanted = [mp.digamma(exact(a)) for a in x]
        told = [float(abs(exact(a) - b) / (1 + abs(b))) for a, b in zip(gamma.digamma(x), wanted, strict=True)]
        assert max(told) < 40 * float(np.finfo(dtype).eps)


def test_the_numbers_of_the_gamma_function_can_be_made_again():
    assert [mp.bernfrac(2 * k) for k in range(1, len(gamma.BERNOULLI) + 1)] == [*gamma.BERNOULLI]
    assert max(abs(mp.mpf(z) - mp.zeta(k) + 1) for k, z in enumerate(gamma.ZETA, 2)) < mp.mpf(2) ** -67
    assert abs(mp.mpf(gamma.ONE_LESS_GAMMA) - 1 + mp.euler) < mp.mpf(2) ** -67


def test_erf_is_odd_bit_for_bit():
    x = numbers(np.float64)
    assert np.array_equal(erf(-x), -erf(x))


def test_the_polynomial_of_erf_can_be_made_again():
    """(z + 1) q(z), q(z) = (1 − e^(z²) erfc z)/z, as a function of t = (z − 4)/(z + 4) in 80 Chebyshev points."""
    with mp.workdps(100):
        angles = [mp.pi * (2 * j + 1) / 160 for j in range(80)]
        values = [_scaled(4 * (1 + mp.cos(a)) / (1 - mp.cos(a))) for a in angles]
        series = [mp.fsum(v * mp.cos(k * a) for v, a in zip(values, angles)) / 40 for k in range(80)]
        series[0] /= 2
        assert max(map(abs, series[28:])) < mp.mpf(2) ** -65
        made = np.polynomial.chebyshev.cheb2poly(np.array(series[:28], dtype=object))
        written = [mp.mpf(c) for c in elementary.POLYNOMIAL]
        assert max(abs(a - b) for a, b in zip(made, written, strict=True)) < 1e-23


def _scaled(z):
    scaled_erfc = mp.exp(z * z) * mp.erfc(z) if z < 60 else _asymptotic(z)
    return (z + 1) * (1 - scaled_erfc) / z


def _asymptotic(z):
    """e^(z²) erfc z = (1/(z√π)) Σ (−1)ⁿ (2n − 1)!!/(2z²)ⁿ."""
    term, total, n = 1 / (z * mp.sqrt(mp.pi)), mp.mpf(0), 0
    while abs(term) > mp.mpf(10) ** -90:
        total, n = total + term, n + 1
        term *= -(2 * n - 1) / (2 * z * z)
    return total


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_and_its_kin_along_an_axis(dtype):
    x = (np.random.default_rng(3).standard_normal((5, 7)) * 4).astype(dtype)
    for row, y, log_y, total in zip(x, softmax(x), log_softmax(x), logsumexp(x)):
        assert y.dtype == log_y.dtype == total.dtype == dtype
        e = [mp.exp(exact(a)) for a in row]
        far = np.array([float(max(row) - a) for a in row])
        assert (errors(y, [a / sum(e) for a in e]) < 4 + far).all()  # eᶻ passes on the rounding of z = x − max x
        logs = [mp.log(a / sum(e)) for a in e]
        scale = np.array([max(1.0, float(1 / abs(a))) for a in logs])
        assert (errors(log_y, logs) < 4 * scale).all()  # near 0 to ε, not to ε times the value: a logarithm near 1
        assert errors(total[None], [mp.log(sum(e))]).max() < 4


@pytest.mark.parametrize("f", [softmax, log_softmax])
def test_softmax_does_not_change_when_all_move(f):
    x = np.random.default_rng(4).integers(-9, 9, (3, 6)).astype(float)
    assert np.array_equal(f(x), f(x + 1e6))
    assert np.array_equal(f(x, 0), f(x.T, 1).T)


def test_logsumexp_takes_axes_as_sum_does():
    x = np.random.default_rng(5).standard_normal((2, 3, 4))
    for axis in (None, 0, -1, (0, 2)):
        for keepdims in (False, True):
            found = logsumexp(x, axis, keepdims)
            wanted = np.log(np.exp(x).sum(axis, keepdims=keepdims))
            assert np.shape(found) == np.shape(wanted)
            assert np.allclose(found, wanted, rtol=1e-15, atol=1e-15)


def test_softmax_and_its_kin_at_infinity():
    inf, nan = math.inf, math.nan
    x = np.array([[-inf, -inf], [inf, 1e4], [-inf, 2.0], [nan, 1e4], [-1e4, 1e4]])
    assert np.array_equal(logsumexp(x), [-inf, inf, 2, nan, 1e4], equal_nan=True)
    none = [nan, nan]
    assert np.array_equal(softmax(x), [none, none, [0, 1], none, [0, 1]], equal_nan=True)
    assert np.array_equal(log_softmax(x), [none, none, [-inf, 0], none, [-2e4, 0]], equal_nan=True)


@pytest.mark.parametrize("f", [softmax, log_softmax, logsumexp])
def test_softmax_and_its_kin_by_complex_step(f):
    rng, h = np.random.default_rng(6), 1e-30
    x, v = rng.standard_normal((2, 4, 5))
    y = softmax(x)
    mean = (y * v).sum(-1, keepdims=True)
    wanted = {softmax: y * (v - mean), log_softmax: v - mean, logsumexp: mean[:, 0]}[f]
    assert np.abs(f(x + h * 1j * v).imag / h - wanted).max() < 1e-15
