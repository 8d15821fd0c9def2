"""Right code that once was called wrong, and wrong code beside it: where torch's own numbers are not the formula's,
labels as integers, ties, float32 where differences decide, a cache in a global."""

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from reference import Constant, Indices, check_function, check_pointwise


def softplus(slope):
    return lambda x: (np.logaddexp(0, 12 * x), x), lambda dy, x: slope * dy / (1 + np.exp(-12 * x))


def test_softplus_without_torchs_threshold_is_right():
    report = check_function(*softplus(12), against=lambda x: F.softplus(12 * x), inputs={"x": ("N", "D")})
    assert report
    assert "without the threshold" in str(report)
    wrong = check_function(*softplus(11), against=lambda x: F.softplus(12 * x), inputs={"x": ("N", "D")})
    assert (wrong.verdict, wrong.wrong_side) == ("wrong", "backward")


def of_counts(factor):
    """Σ rate − k log(rate) + log k!, of counts k, with its gradient."""
    factorials = np.cumsum(np.log(np.arange(1, 12)))

    def loss(u, k):
        lost = np.exp(u) - k * u + np.concatenate([[0], factorials])[k]
        return lost.sum(), factor * (np.exp(u) - k)

    return loss


def test_float32_inside_of_against_is_not_the_candidates():
    def against(u, k):
        return (torch.exp(u) - k * u + torch.lgamma(k + 1)).sum()

    inputs = {"u": ("N",), "k": Constant(Indices(("N",), 9))}
    report = check_function(of_counts(1.0), against=against, inputs=inputs)
    assert report
    assert "float32 inside" in str(report)
    wrong = check_function(of_counts(2.0), against=against, inputs=inputs)
    assert (wrong.verdict, wrong.wrong_side) == ("wrong", "backward")


def test_labels_of_0_and_1_are_real_numbers_for_torch_code_that_wants_these():
    def logistic(x, t):
        p = 1 / (1 + np.exp(-x))
        return -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean(), (p - t) / len(x)

    inputs = {"x": ("N",), "t": Constant(Indices(("N",), 2))}
    assert check_function(logistic, against=F.binary_cross_entropy_with_logits, inputs=inputs)


def test_none_for_a_number_among_the_inputs():
    report = check_function(
        lambda x, w, scale: (scale * x @ w, (x, w, scale)),
        lambda dy, c: (c[2] * dy @ c[1].T, c[2] * c[0].T @ dy, None),
        against=lambda x, w, scale: scale * x @ w, inputs={"x": ("N", "D"), "w": ("D", "M"), "scale": 3.0},
    )  # fmt: skip
    assert report


def test_a_tie_of_absolute_values_is_a_choice():
    def forward(x):
        s = np.abs(x).max(1, keepdims=True)
        return x / s, (x, s)

    def backward(dy, cache, kept=1.0):
        x, s = cache
        n, i = np.arange(len(x)), np.abs(x).argmax(1)
        dx = dy / s
        dx[n, i] -= kept * np.sign(x[n, i]) * (dy * x).sum(1) / s[:, 0] ** 2
        return dx

    assert check_function(forward, backward, inputs={"x": ("N", "D")})
    wrong = check_function(forward, lambda dy, c: backward(dy, c, 0.5), inputs={"x": ("N", "D")})
    assert wrong.verdict == "wrong"


def test_the_choice_of_an_entry_among_ties_of_two_kinds():
    def minimax(a):
        i = a.max(1).argmin()
        chosen = np.zeros_like(a)
        chosen[i, a[i].argmax()] = 1
        return a.max(1).min(), chosen

    assert check_function(minimax, inputs={"a": ("N", "M")})
    assert not check_function(lambda a: (a.max(1).min(), minimax(-a)[1]), inputs={"a": ("N", "M")})


def test_another_choice_at_ties_is_not_coarse():
    def loss(scores):
        at = np.eye(scores.shape[1])[scores.argmax(1)]
        return scores.max(1).sum(), at

    report = check_function(loss, against=lambda s: s.amax(1).sum(), inputs={"s": ("N", "C")})
    assert report.verdict == "convention"


def test_float32_is_coarse_where_differences_decide():
    def backward(dy, shape):
        return np.repeat(dy[:, None].astype(np.float32) / shape[1], shape[1], axis=1)

    report = check_function(lambda x: (x.mean(1), x.shape), backward, inputs={"x": ("N", "T", "D")})
    assert report.verdict == "coarse"
    assert "float32" in str(report)
    twice = check_function(lambda x: (x.mean(1), x.shape), lambda dy, s: 2 * backward(dy, s), inputs={"x": (3, 4, 2)})
    assert twice.verdict == "wrong"


def test_float64_code_is_not_said_to_be_of_float32():
    report = check_function(
        lambda x, w: (np.sin(x @ w), (x, w)),
        lambda dy, c: ((dy * (1 - (c[0] @ c[1]) ** 2)) @ c[1].T, c[0].T @ (dy * (1 - (c[0] @ c[1]) ** 2))),
        against=lambda x, w: torch.sin(x @ w), inputs={"x": ("N", "D"), "w": ("D", "M")},
    )  # fmt: skip
    assert report.verdict == "wrong"
    assert "float32" not in str(report)


def test_a_cache_in_a_global_is_a_note_where_backward_takes_none():
    kept = {}

    def forward(x):
        kept["y"] = np.tanh(x)
        return kept["y"]

    report = check_function(forward, lambda dy: dy * (1 - kept["y"] ** 2), against=torch.tanh, inputs={"x": ("N", "D")})
    assert report
    assert "forward runs on other data" in str(report)


def test_a_clip_that_acts_far_out_is_seen_without_against():
    def loss(x, t, least):
        p = 1 / (1 + np.exp(-x))
        return (np.logaddexp(0, x) - t * x).sum(), np.clip(p, least, 1 - least) - t

    inputs = {"x": ("N",), "t": Constant(Indices(("N",), 2))}
    assert check_function(lambda x, t: loss(x, t, 0.0), inputs=inputs)
    assert check_function(lambda x, t: loss(x, t, 1e-3), inputs=inputs).verdict == "wrong"


def test_torchs_sixth_of_float32_is_torchs_own():
    def judged(sixth):
        def slope(x):
            return np.where(np.abs(x) < 3, sixth, 0)

        return check_pointwise(lambda x: np.clip(x / 6 + 0.5, 0, 1), slope, against=torch.nn.Hardsigmoid)

    assert judged(1 / 6)
    assert judged(1 / 6).wrong_side == "against"
    assert not judged(1 / 6.001)
