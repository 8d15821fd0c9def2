"""The certificate: it is given only where nothing rounds, and what it is given to agrees bit for bit."""

import numpy as np
import pytest

from manualbp import Hardtanh, LeakyReLU, Linear, LPPool3d, NLLLoss, Objective, ReLU, Sequential, Tanh
from manualbp.operations import Sign
from reference.compare.certificate import Dyadic, Dyadic32, Rounds, dyadic, plain
from reference.compare.comparison import compare_case
from reference.draw.case import Case
from reference.draw.trial import Trial
from reference.sides.hand import Hand


def test_sums_and_products_carry_magnitude_and_quantum():
    a, b = Dyadic.of(0.75), Dyadic.of(-3)
    assert (a * b + a).v == 0.75 * -3 + 0.75
    assert (a - a).m == 1.5  # the terms that cancelled are not forgotten
    assert (a * b).q == -2


def test_a_magnitude_beyond_the_mantissa_is_refused():
    with pytest.raises(Rounds, match="53 bits"):
        Dyadic.of(2.0**52) + Dyadic.of(0.25)
    with pytest.raises(Rounds, match="24 bits"):
        Dyadic32.of(2.0**23) + Dyadic32.of(0.25)


@pytest.mark.parametrize("divisor", [3, 0.1, 6])
def test_a_division_that_rounds_is_refused(divisor):
    with pytest.raises(Rounds, match="no power of two"):
        Dyadic.of(1.0) / divisor


def test_a_division_by_a_power_of_two_is_exact():
    assert (Dyadic.of(3.0) / 4).v == 0.75
    assert (Dyadic.of(3.0) / 4).q == -2


def test_arrays_go_there_and_back():
    a = np.array([[1.5, -2.0], [0.0, 8.0]])
    assert np.array_equal(plain(dyadic(a)), a)


def test_a_network_that_rounds_has_no_certificate():
    for layer in (Sequential(Linear(2, 2), Tanh()), Sequential(Linear(2, 2), LeakyReLU(0.1))):
        case = Case(layer, (3, 2), seed=1, exact=True)
        assert not Hand(case.layer, case.seed).proves_exact(case.trial())


def test_a_network_that_does_not_is_identical_bit_for_bit():
    case = Case(Sequential(Linear(4, 4), LeakyReLU(0.25)), (3, 4), seed=1, exact=True)
    assert Hand(case.layer, case.seed).proves_exact(case.trial())
    found = compare_case(case)
    assert found.exact
    assert found.verdict == "identical"


def test_float32_equal_to_float64_is_no_certificate():
    """Two values may agree by luck where an operation rounded: 2²⁴ + 1 − 1 in float32."""
    terms = [Dyadic32.of(v) for v in (2.0**24 - 1, 2.0, -2.0)]
    with pytest.raises(Rounds):
        sum(terms[1:], terms[0])


def test_a_bound_in_the_place_of_an_entry_certifies_nothing_behind_it():
    """Every entry is cut off at a bound, a plain number; times 0.3 or 1.7 that rounds."""
    x = np.array([[9.0, -9.0, 8.0], [-7.0, 8.0, 9.0]]), np.array([0, 1])
    trial = Trial(x, integers=True, params={}, dy=np.array(0.5))
    for weight, even in (((0.3, 1.7, 2.2), False), ((0.5, 1.0, 2.0), True)):
        layer = Objective(Hardtanh(-0.5, 2.0), NLLLoss(weight=weight, reduction="sum"))
        assert Hand(layer).proves_exact(trial) is even


def test_infinite_data_have_no_certificate():
    trial = Trial(np.array([1.0, -np.inf]), integers=True, dy=np.array([1.0, 2.0]))
    assert not Hand(ReLU()).proves_exact(trial)


def test_a_division_by_zero_certifies_nothing():
    """0 to a negative power is infinite in an array, and an error for a number."""
    case = Case(Sequential(Sign(), LPPool3d(2.0, (1, 1, 2), ceil_mode=True)), (8, 4, 1, 2), seed=3287165, exact=True)
    assert not Hand(case.layer).proves_exact(case.trial())
