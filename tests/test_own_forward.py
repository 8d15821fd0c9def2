"""Checks with nothing to compare with: only the differences of the candidate's own forward decide."""

from dataclasses import replace

import numpy as np
import pytest

from manualbp.base import registry
from reference import check_function
from reference.audit.detected import pairs
from reference.check import on_case
from reference.compare.comparison import compare_case
from reference.compare.differences import STEP
from reference.compare.slopes import extrapolated
from reference.draw.case import Case
from reference.faults import Fault, faults

EPS = 2.0**-52

KINKED = {
    "relu": (lambda x: (np.maximum(x, 0), x), lambda dy, x: dy * (x > 0)),
    "l1": (lambda x: (np.abs(x).sum(), x), lambda dy, x: dy * np.sign(x)),
    "clip": (lambda x: (np.clip(x, -0.5, 0.5), x), lambda dy, x: dy * (np.abs(x) < 0.5)),
    "max": (lambda x: (x.max(1), x), lambda dy, x: dy[:, None] * (x == x.max(1, keepdims=True))),
}


@pytest.mark.parametrize("name", KINKED)
@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_kinks_are_no_false_alarm_where_differences_decide(name, scale):
    forward, backward = KINKED[name]
    for seed in range(8):
        for shape in ((60, 60), (4, 5)):
            x = scale * np.random.default_rng(seed).standard_normal(shape)
            assert check_function(forward, backward, inputs={"x": x})
            assert not check_function(forward, lambda dy, x: 1.01 * backward(dy, x), inputs={"x": x})


def test_differences_of_float32_are_taken_in_float64():
    x = np.random.default_rng(0).standard_normal((4, 5)).astype(np.float32)
    report = check_function(np.tanh, lambda dy, x: dy * (1 - np.tanh(x) ** 2), inputs={"x": x})
    assert report.verdict == "rounding"
    assert report.power < 1e-7


@pytest.mark.parametrize("shape", [(), (1,), (2500,), (50, 50, 3)])
def test_a_mistake_is_named_whatever_the_number_of_entries(shape):
    x = np.random.default_rng(0).standard_normal(shape)
    assert check_function(np.tanh, lambda dy, x: dy * (1 - np.tanh(x) ** 2), inputs={"x": x})
    wrong = check_function(np.tanh, lambda dy, x: dy * (1 - np.tanh(x)), inputs={"x": x})
    assert (wrong.verdict, wrong.culprit) == ("wrong", "dx")
    assert x.size < 2 or wrong.suspects[0].fault == "C04"


@pytest.mark.parametrize("shape", [(0, 3), (3000, 0)])
def test_nothing_to_compare_is_vacuous(shape):
    assert check_function(np.tanh, lambda dy, x: 2 * dy, inputs={"x": np.zeros(shape)}).verdict == "vacuous"


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_a_forward_in_stairs_is_no_false_alarm():
    """1 − p near p = 1 has few digits: log(1 − p) is a staircase, on one step of which its slope is 0."""

    def forward(x):
        return -np.log(1 - sigmoid(x)), x

    for seed in range(100):
        x = np.random.default_rng(seed).uniform(15, 27, (3, 4))
        assert check_function(forward, lambda dy, x: dy * sigmoid(x), inputs={"x": x})
        assert not check_function(forward, lambda dy, x: dy * (1 - sigmoid(x)), inputs={"x": x})


def test_a_backward_that_cancels_is_no_false_alarm():
    """1 − tanh² x has few digits where x is large, 1 − tanh x = 2/(1 + e²ˣ) has all of them."""
    x = np.random.default_rng(0).uniform(8, 16, (3, 4))

    def forward(x):
        return 2 / (1 + np.exp(2 * x)), x

    assert check_function(forward, lambda dy, x: -dy * (1 - np.tanh(x) ** 2), inputs={"x": x})
    assert not check_function(forward, lambda dy, x: -dy * (1 - np.tanh(x)), inputs={"x": x})


def test_a_forward_that_overflows_says_nothing_of_its_gradient():
    with np.errstate(all="ignore"):
        report = check_function(np.exp, lambda dy, x: dy * np.exp(x), inputs={"x": np.array([800.0, 0.3])})
    assert report.verdict == "vacuous"
    assert "an output is not finite" in str(report)


def test_a_second_look_bears_what_one_of_contradicting_steps_bears():
    def stairs(h):
        return np.floor(2.0**16 * (1 + h)) / 2.0**16, 1.0

    claimed, uncertainty = extrapolated(stairs, STEP, EPS, told=1.0)
    assert abs(claimed - 1) <= 16 * uncertainty < 0.1
    denied, uncertainty = extrapolated(stairs, STEP, EPS, told=2.0)
    assert abs(denied - 2) > 16 * uncertainty


def test_a_second_look_at_a_smooth_function_is_as_sharp_as_the_first():
    def smooth(h):
        return np.exp(h), 1.0

    (first, u), (second, v) = extrapolated(smooth, STEP, EPS), extrapolated(smooth, STEP, EPS, told=1 + 1e-9)
    assert abs(first - 1) < 1e-12
    assert abs(second - 1) < 1e-12
    assert max(u, v) < 1e-11


COARSE = ("F15",)  # products in single precision: no other formula


def shown(fault: Fault) -> tuple[Case, Case] | None:
    """The first case with real numbers whose gradients the mistake changes, and nothing else."""
    for case, faulty in pairs(fault, 40):
        if not case.exact and np.prod(case.shape) <= 300 and case.layer.is_gradient:
            wrong = compare_case(replace(faulty, exact=False)).wrong
            if wrong and all(t.is_gradient for t in wrong):
                return case, faulty
    return None


@pytest.mark.parametrize("group", sorted({f.id[0] for f in faults().values()}))
def test_differences_see_the_catalogue_without_torch(group):
    of_layers = [f for f in faults().values() if f.id[0] == group and f.classes().keys() & registry().keys()]
    sides = {f.id: on_case(pair[0], pair[1].layer).wrong_side for f in of_layers if (pair := shown(f))}
    assert sides or not of_layers
    for id, side in sides.items():
        assert side == (None if id in COARSE else "backward"), id


def test_a_step_out_of_where_the_function_is_defined_is_taken_finer():
    def forward(p):
        if (p <= 0).any() or (p >= 1).any():
            raise ValueError("probabilities, please")
        return -np.log(p), p

    p = np.array([0.004, 0.3, 0.999])
    assert check_function(forward, lambda dy, p: -dy / p, inputs={"p": p})
    assert not check_function(forward, lambda dy, p: -1.01 * dy / p, inputs={"p": p})
