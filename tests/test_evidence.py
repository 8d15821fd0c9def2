"""A name needs evidence that other mistakes do not give, and a fact must be one: what is said of a case or two each."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from reference import Indices, check_function, check_gradients
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


def said_of(report):
    assert report.verdict == "wrong"
    return " ".join(f"{s.fault} {s.text} {s.relation}" for s in report.suspects)


def test_a_mean_over_the_batch_that_is_divided_by_all_entries_is_not_the_opposite():
    report = check_function(
        lambda x, t: (((x - t) ** 2).sum(1).mean(), x - t), lambda r: (2 * r / r.size, -2 * r / r.size),
        against=lambda x, t: ((x - t) ** 2).sum(1).mean(), inputs={"x": ("N", "D"), "t": ("N", "D")},
    )  # fmt: skip
    said = said_of(report)
    assert "A02" not in said
    assert "A07" not in said
    assert "1/D" in said


def test_an_axis_of_one_entry_has_no_running_sum():
    report = check_function(
        lambda x: (x - x.mean(1, keepdims=True), x.shape),
        lambda dy, shape: dy - (dy.mean(1, keepdims=True) if shape[0] != 1 else 0),
        against=lambda x: x - x.mean(1, keepdim=True), inputs=ND,
    )  # fmt: skip
    assert "sum of dy" not in said_of(report)


def smoothed(x, y, eps=0.1):
    z = np.exp(x - x.max(1, keepdims=True))
    p, (n, c) = z / z.sum(1, keepdims=True), x.shape
    right, given = np.full((n, c), eps / c), np.full((n, c), eps / c)
    right[np.arange(n), y] += 1 - eps
    given[np.arange(n), y] = 1 - eps
    return -(right * np.log(p)).sum() / n, (p - given) / n


def test_a_part_of_the_target_is_not_the_whole():
    inputs = {"x": ("N", "C"), "y": Indices(("N",), "C")}
    report = check_function(smoothed, against=lambda x, y: F.cross_entropy(x, y, label_smoothing=0.1), inputs=inputs)
    said = said_of(report)
    assert "not subtracted" not in said
    assert "too small" in said


def rms_norm(x, g):
    r = 1 / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6)
    return x * r * g, (x, r, g)


def rms_norm_of_sums(dy, cache):
    x, r, g = cache
    return r * dy * g - x * r**3 * (dy * g * x).sum(-1, keepdims=True), (dy * x * r).sum(0)


def test_no_relation_has_a_mean_where_none_is_subtracted():
    def torch_rms(x, g):
        return F.rms_norm(x, g.shape, g, 1e-6)

    report = check_function(rms_norm, rms_norm_of_sums, against=torch_rms, inputs={"x": ("N", "D"), "g": ("D",)})
    said = said_of(report)
    assert "yours = r(g − x̂Σ(g x̂))" in said
    assert "Σg" not in said


class Summing:
    """Its gradients are added up from one backward to the next, or written over."""

    adds = True

    def __init__(self, W):
        self.W, self.dW = W, np.zeros_like(W)

    def forward(self, x):
        self.x = x
        return x @ self.W

    def backward(self, dy):
        self.dW = self.adds * self.dW + self.x.T @ dy
        return dy @ self.W.T


class Overwriting(Summing):
    adds = False


def test_a_class_is_asked_twice_for_gradients_that_it_adds_up():
    inputs = {"x": ("N", 3), "W": (3, 4)}
    assert check_function(Summing, against=lambda x, W: x @ W, inputs=inputs, accumulates=True)
    assert not check_function(Overwriting, against=lambda x, W: x @ W, inputs=inputs, accumulates=True)


def test_a_forward_that_returns_its_backward_needs_no_other():
    def forward(x):
        return np.sin(x), lambda dy: dy * np.cos(x)

    assert check_function(forward, against=torch.sin, inputs=ND)
    assert check_function(forward, lambda dy, back: back(dy), against=torch.sin, inputs=ND)


class Remembering:
    """It keeps the first x for ever."""

    def __init__(self, W):
        self.W = W

    def forward(self, x):
        self.x = getattr(self, "x", x)
        return x @ self.W

    def backward(self, dy):
        self.dW = self.x.T @ dy
        return dy @ self.W.T


def test_an_object_that_a_class_makes_is_used_again():
    report = check_function(Remembering, against=lambda x, W: x @ W, inputs={"x": ("N", "D"), "W": ("D", "M")})
    assert "after another forward and backward dW is another" in str(report)
