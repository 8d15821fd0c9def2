"""Notes and names that must be true of what was seen: how far off, which places, which pieces, which tensor."""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from reference import Constant, check_function
from reference.diagnose.evidence import Evidence
from reference.diagnose.facts import facts

ND = {"x": ("N", "D")}


def evidence(right, yours, arrays):
    return Evidence("A", yours, right, 1e-14, arrays, {"A": right}, {"A": yours})


def test_an_epsilon_too_few_is_no_wrong_sign():
    def forward(x):
        return x / np.sqrt((x * x).sum(1, keepdims=True) + 1e-12)

    def back(dy, x):
        n = np.sqrt((x * x).sum(1, keepdims=True))
        return dy / n - x * (x * dy).sum(1, keepdims=True) / n**3

    def against(x):
        return x / torch.sqrt((x * x).sum(1, keepdim=True) + 1e-12)

    report = check_function(forward, back, against=against, inputs=ND)
    assert report.verdict == "wrong"
    assert "sign" not in str(report)
    assert "ε is 0 where it is 0" not in str(report)
    assert "1 times right" not in str(report)


def test_what_is_nearly_right_is_not_1_times_right():
    right, A = np.array([1.3, 2.1, -0.4]), np.array([0.1, 0.7, 0.9])
    (told,) = facts([evidence(right, right * (1 + 1e-7), {"A": A})])
    assert "1e-07 of what is right" in told


def test_a_range_has_two_ends():
    right, A = np.array([1.3, 2.1, -0.4]), np.array([0.1, 0.7, 0.9])
    (told,) = facts([evidence(right, right * [0.96071, 0.96072, 0.96073], {"A": A})])
    assert "yours/right about 0.9607" in told


def test_a_margin_that_is_passed_is_not_constant_throughout():
    def forward(x, z, m=10.0):
        d = np.abs(x - z).sum(1)
        return np.maximum(0, m - d).sum(), (-np.sign(x - z), np.sign(x - z) * (d < m)[:, None])

    report = check_function(forward, inputs={"x": ("N", "D"), "z": ("N", "D")})
    assert report.verdict == "wrong"
    assert "piece by piece" not in str(report)
    assert "where forward is constant around" in str(report)


def of_products(paths):
    def back(dy, x):
        dx = np.zeros_like(x)
        for i in range(x.shape[1]):
            for j in range(x.shape[1]):
                if paths(i, j) and i <= j:
                    dx[:, i] += dy[:, j] * np.prod(np.delete(x[:, : j + 1], i, axis=1), axis=1)
        return dx

    return check_function(lambda x: np.cumprod(x, 1), back, against=lambda x: x.cumprod(1), inputs={"x": ("N", "D")})


def test_the_own_place_is_not_called_another():
    assert "dy at the same place along axis 1 does not reach dx, as it should" in str(of_products(lambda i, j: i < j))


def test_places_on_both_sides_are_told():
    report = check_function(
        lambda x: x + x.sum(1, keepdims=True),
        lambda dy, x: dy,
        against=lambda x: x + x.sum(1, keepdim=True),
        inputs={"x": ("N", "D")},
    )
    assert "dy at all other places along axis 1 does not reach dx, as it should" in str(report) or report.suspects


def convolved(x, w):
    return np.einsum("nclk,mck->nml", np.lib.stride_tricks.sliding_window_view(x, w.shape[2], axis=2), w)


def of_convolution(by):
    def back(dy, x, w):
        k = w.shape[2]
        windows = np.lib.stride_tricks.sliding_window_view(x, k, axis=2)
        p = np.pad(dy, ((0, 0), (0, 0), (k - 1 + by, k - 1 - by)))
        dx = np.einsum("nmlk,mck->ncl", np.lib.stride_tricks.sliding_window_view(p, k, axis=2), w[:, :, ::-1])
        return dx, np.einsum("nml,nclk->mck", dy, windows)

    report = check_function(convolved, back, against=F.conv1d, inputs={"x": ("N", "C", "L+3"), "w": ("M", "C", 3)})
    return report.suspects[0].text


def test_a_shift_is_told_by_how_much_and_which_way():
    assert of_convolution(2) == "dx is shifted by 2 entries along axis 2, to the end."
    assert of_convolution(1) == "dx is shifted by one entry along axis 2, to the end."
    assert of_convolution(-1) == "dx is shifted by one entry along axis 2, to the beginning."


def test_a_multiple_that_is_missing_is_of_the_tensor_named():
    def forward(mu, W):
        return ((mu @ W) ** 2).sum() + 0.5 * (mu**2).sum()

    def back(dy, mu, W):
        return dy * 2 * (mu @ W) @ W.T, dy * 2 * mu.T @ (mu @ W)

    report = check_function(
        forward,
        back,
        against=lambda mu, W: ((mu @ W) ** 2).sum() + 0.5 * (mu**2).sum(),
        inputs={"mu": ("N", "K"), "W": ("K", "D")},
    )
    first = next(s for s in report.suspects if s.fault == "B12")
    assert first.text == "A multiple of mu is missing, as where the gradient of a penalty ½λ mu² is left out."
    assert "W" not in first.remedy


def test_a_plain_half_is_told_beside_an_option_that_is_one():
    def forward(X, a, lam=0.5):
        return (np.tanh(X) @ a).sum() + lam * 0

    def back(dy, X, a, lam=0.5):
        return 0.5 * dy * (1 - np.tanh(X) ** 2) * a, dy * np.tanh(X).sum(0)

    report = check_function(
        forward,
        back,
        against=lambda X, a, lam=0.5: (torch.tanh(X) @ a).sum(),
        inputs={"X": ("N", "D"), "a": Constant(("D",))},
        options={"lam": 0.5},
    )
    assert report.suspects[0].text == "The gradient is lam times what it should be."
    assert "lam is ½ here, so it may be a plain ½" in report.suspects[0].remedy
