"""A check tries numbers that nobody asked for: what overflows on them is in the report, not on the error stream."""

import warnings

import numpy as np
import pytest
import torch

from manualbp import Tanh
from reference import check_function, check_gradients, check_layer, check_model, check_optimizer, check_pointwise

LARGE = np.full(3, 1e308)
ND = {"x": ("N", "D")}


def steep(x):
    return np.exp(x * x * 50), x


def steep_back(dy, x):
    return 100 * dy * x * np.exp(x * x * 50)


def steep_torch(x):
    return (x * x * 50).exp()


class Steep(Tanh):
    """A layer whose backward overflows and divides by 0."""

    def backward(self, params, cache, dy):
        return dy * np.exp(1e6 * np.abs(dy)) / np.zeros(1), {}


CHECKS = {
    "function": lambda: check_function(steep, steep_back, against=steep_torch, inputs=ND),
    "function, wrong": lambda: check_function(steep, lambda dy, x: dy * np.exp(x * x * 1e3), inputs=ND),
    "pointwise": lambda: check_pointwise(lambda x: np.log(x), lambda x: 2 / x, against=torch.log),
    "layer": lambda: check_layer(Steep),
    "model": lambda: check_model(torch.nn.Sigmoid(), torch.tensor([[-1e4, 1e4, 1.0]])),
    "optimizer": lambda: check_optimizer(lambda p, g, s: (p - 1e308 * g * 1e9, s), against=torch.optim.SGD, lr=0.1),
    "numbers": lambda: check_gradients({"W": LARGE}, loss=lambda W: (W**2).sum(), at={"W": LARGE}),
    "numbers, wrong": lambda: check_gradients({"W": LARGE}, loss=lambda W: (W**2).sum(), at={"W": np.ones(3)}),
}


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize("way", ["warn", "raise"])
def test_what_overflows_is_no_warning_and_no_error(name, way):
    with np.errstate(all=way), warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert str(CHECKS[name]())
    assert [str(w.message) for w in seen] == []


def test_what_overflows_is_in_the_report():
    report = CHECKS["layer"]()
    assert report.verdict == "wrong"
    assert "yours is not finite" in str(report)
    assert "does not depend on dy" not in str(report)  # infinite whatever dy is


def test_a_warning_of_the_users_own_is_left():
    def told(x):
        warnings.warn("old style", DeprecationWarning, stacklevel=2)
        return steep(x)

    with pytest.warns(DeprecationWarning, match="old style"):
        assert check_function(told, steep_back, against=steep_torch, inputs=ND)
    with np.errstate(all="raise"), pytest.raises(FloatingPointError):
        np.exp(LARGE)
