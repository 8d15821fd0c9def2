"""A name needs evidence that other mistakes do not give, and a fact must be one: what is said of a case or two each."""

import numpy as np
import pytest
import torch

from reference import check_function, check_gradients
from reference.diagnose.diagnosis import diagnose
from reference.diagnose.evidence import Evidence
from reference.diagnose.probes import across
from reference.draw.trial import Trial

ND = {"x": ("N", "D")}


def told(yours, right, points=None):
    """What is said of one wrong gradient in four trials. points: the entries of x in each, or normal numbers."""
    found = []
    for k in range(4):
        rng = np.random.default_rng(k)
        x, dy = rng.standard_normal((2, 4 + k, 7))
        x = x if points is None else rng.permutation(np.resize(points[k], x.size)).reshape(x.shape)
        g, given, y = right(x, dy), yours(x, dy), np.clip(x, -1, 1)
        found.append(Evidence("x", given, g, 1e-14, {"x": x, "dy": dy, "y": y}, {"x": g}, {"x": given}, trial=k))
    return " ".join(f"{s.text} {s.relation}" for s in diagnose(found))


def without_end(a, n):
    a = a.copy()
    a[:, n:] = 0
    return a


def test_a_shift_is_seen_in_what_changes_only():
    def even(x, dy):
        return np.repeat(dy[:, :1], dy.shape[1], 1)

    assert "no gradient at the end" in told(lambda x, dy: without_end(even(x, dy), 4), even)
    assert "shifted" not in told(lambda x, dy: without_end(even(x, dy), 4), even)
    assert "shifted" in told(lambda x, dy: np.roll(dy * x, 1, 1), lambda x, dy: dy * x)


def test_a_slope_among_many_must_be_that_in_every_trial():
    """Below 2 it is also the slope of Hardtanh with max_val=2; in the last trial there is more."""
    points = [(-1.7, -0.6, 0.3, 0.7, 1.6)] * 3 + [(-1.7, -0.6, 0.3, 0.7, 2.6)]

    def right(x, dy):
        return dy * (np.abs(x) < 1)

    said = told(lambda x, dy: dy * (x > -1), right, points)
    assert "Hardtanh" not in said
    assert "lets through what it should stop, where x is large" in said


def test_a_number_is_no_product_of_sizes_by_chance():
    """Of one trial, 12 is 2 · 6 and 4 · 3 alike."""
    W = np.random.default_rng(0).standard_normal((3, 2))
    x = np.random.default_rng(1).standard_normal((6, 3))
    dw = 2 * x.T @ (x @ W) / 12
    report = check_gradients({"W": 12 * dw}, loss=lambda W: ((torch.tensor(x) @ W) ** 2).mean(), at={"W": W})
    (suspect,) = report.suspects
    assert suspect.relation == "yours = 12 · right"


def squared(x):
    x -= x.mean(0)
    return x * x, x.copy()


def squared_back(dy, x):
    d = 2 * x * dy
    return d - d.mean(0)


def positive(x):
    mask = x > 0
    x *= mask
    return x, mask


@pytest.mark.parametrize(
    ("forward", "backward", "against", "ids"),
    [
        (squared, squared_back, lambda x: (x - x.mean(0)) ** 2, []),
        (positive, lambda dy, mask: dy * mask, torch.relu, ["C20"]),
    ],
)
def test_what_writes_into_its_input_is_no_activation_unless_that_is_the_output(forward, backward, against, ids):
    report = check_function(forward, backward, against=against, inputs=ND)
    assert report.contracts == ("forward changes its input x in place",)
    assert [s.fault for s in report.suspects] == ids


def test_a_gradient_that_is_wrong_where_a_size_is_1():
    sizes = ({"N": 1, "D": 5}, {"N": 3, "D": 1}, {"N": 3, "D": 5}, {"N": 6, "D": 4})
    trials = [(Trial({"x": np.ones((s["N"], s["D"]))}, s), {"x": 1 not in s.values()}) for s in sizes]
    assert across(trials, explained=False) == ("dx is wrong where a size is 1, right in all other trials",)
    assert across([*trials, (Trial({"x": np.ones((4, 4))}, {"N": 4, "D": 4}), {"x": False})], explained=True) == ()


class Buffered:
    """Its output is a buffer, which it uses again."""

    def forward(self, x):
        if getattr(self, "y", np.empty(0)).shape != x.shape:
            self.y = np.empty_like(x)
        np.exp(x, out=self.y)
        return self.y

    def backward(self, dy):
        return dy * self.y


def test_an_output_whose_memory_is_used_again_is_noted():
    report = check_function(Buffered, against=torch.exp, inputs=ND)
    assert report
    assert any("writes over the output of the last" in note for note in report.notes), str(report)


@pytest.mark.parametrize(
    ("yours", "fact"),
    [
        (lambda dy: dy, "dy at all later places along axis 1 does not reach dx, as it should"),
        (lambda dy: np.cumsum(dy, 1), "dy at all earlier places along axis 1 reaches dx, as it should not"),
    ],
)
def test_by_which_paths_dy_does_not_go(yours, fact):
    """The right gradient of a weighted running sum is one that comes from behind."""

    def forward(x):
        return np.cumsum(x, 1) * np.arange(1, x.shape[1] + 1), None

    def against(x):
        return torch.cumsum(x, 1) * torch.arange(1, x.shape[1] + 1)

    def backward(dy, _):
        return yours(dy * np.arange(1, dy.shape[1] + 1))

    report = check_function(forward, backward, against=against, inputs=ND)
    assert fact in report.notes, str(report)


def gated(x, W, V):
    return x * ((x @ W).tanh() @ V)


def gated_by(direct=1, slope=lambda h: 1 - h * h):
    """Forward and backward of the same. direct: what of the path by the first x is counted."""

    def backward(dy, x, W, V):
        h = np.tanh(x @ W)
        dz = (dy * x) @ V.T * slope(h)
        return direct * dy * (h @ V) + dz @ W.T, x.T @ dz, h.T @ (dy * x)

    return lambda x, W, V: x * (np.tanh(x @ W) @ V), backward


GATED = {"x": ("N", "D"), "W": ("D", "H"), "V": ("H", "D")}


def test_a_mistake_in_one_call_of_the_function_intended():
    report = check_function(*gated_by(direct=0), against=gated, inputs=GATED)
    assert report.suspects[0].text == "In x * ((x @ W).tanh() @ V) nothing goes back to x: it is taken for a constant."
    assert "4 of 4 wrong tensors" in report.suspects[0].evidence
    report = check_function(*gated_by(slope=lambda h: 1.0), against=gated, inputs=GATED)
    assert report.suspects[0].text == "The slope of (x @ W).tanh() is left out."
    assert check_function(*gated_by(), against=gated, inputs=GATED)


def test_such_a_mistake_gives_back_every_gradient_or_is_none():
    """dx alone would be that without one path; dW is wrong besides."""
    forward, backward = gated_by(direct=0)

    def twice(*given):
        dx, dW, dV = backward(*given)
        return dx, 2 * dW, dV

    report = check_function(forward, twice, against=gated, inputs=GATED)
    assert not any("taken for a constant" in s.text for s in report.suspects)
