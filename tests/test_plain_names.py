"""Names that say what is plainly so: a sign, one of two equal factors, axes that change places, a NaN of torch's."""

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from reference import Between, Constant, check_function

ROWS = {"x": ("N", "D")}


def first(report):
    return report.suspects[0].text


def test_a_sign_comes_before_slopes_that_equal_it():
    report = check_function(
        lambda x: (np.exp(-x), np.exp(-x)), lambda dy, y: dy * y, against=lambda x: torch.exp(-x), inputs=ROWS
    )
    assert first(report) == "The sign is wrong."


def test_one_of_two_equal_factors():
    report = check_function(
        lambda x, W: (x @ (W * W), (x, W)), lambda dy, c: (dy @ (c[1] ** 2).T, c[0].T @ dy * c[1]),
        against=lambda x, W: x @ (W * W), inputs=ROWS | {"W": ("D", "M")},
    )  # fmt: skip
    assert first(report) == "In W * W only one of the factors W gets a gradient, and the other is the same."
    other = check_function(
        lambda x, W: (x @ (W * W), (x, W)), lambda dy, c: (dy @ (c[1] ** 2).T, 0 * c[1]),
        against=lambda x, W: x @ (W * W), inputs=ROWS | {"W": ("D", "M")},
    )  # fmt: skip
    assert "only one of the factors" not in str(other)


def test_a_factor_in_front_is_the_one_that_is_left_out():
    scale = 0.1
    report = check_function(
        lambda a, b: (np.logaddexp(0, -scale * (a - b)).mean(), (a, b)),
        lambda dy, c: (lambda g: (-g, g))(dy / (1 + np.exp(scale * (c[0] - c[1]))) / len(c[0])),
        against=lambda a, b: -F.logsigmoid(scale * (a - b)).mean(), inputs={"a": ("N",), "b": ("N",)},
    )  # fmt: skip
    assert first(report) == "In scale * (a - b) backward leaves scale out: dy passes to a - b as it is."


def convolved(x, w):
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], (2, 3))
    return np.einsum("nchwij,ocij->nohw", windows, w), windows


def test_the_axes_of_a_weight_that_change_places_are_told():
    report = check_function(
        convolved, lambda dy, p: (None, np.einsum("nohw,nchwij->ocji", dy, p)), against=F.conv2d,
        inputs={"x": Constant(("N", "C", "H+2", "L+2")), "w": ("O", "C", 3, 3)},
    )  # fmt: skip
    assert "axes 2 and 3 of dw change places" in first(report)
    assert "kernel before the channels" not in str(report)


def test_what_is_not_finite_in_torch_alone_is_a_note():
    def margin(x, m=0.3):
        angle = np.arccos(np.clip(x, -1, 1))
        return np.cos(angle + m), (x, angle, m)

    def slope(dy, cache):
        x, angle, m = cache
        inside = np.abs(x) < 1
        return dy * np.where(inside, np.sin(angle + m) / np.sqrt(np.where(inside, 1 - x * x, 1)), 0)

    def intended(x):
        return torch.cos(torch.acos(x.clamp(-1, 1)) + 0.3)

    report = check_function(margin, slope, against=intended, inputs=ROWS)
    assert report
    assert all(t.ok for t in report.tensors)
    assert "of the other side is infinite where its output is finite, yours is not; for" in str(report)
    assert check_function(margin, lambda dy, c: 2 * slope(dy, c), against=intended, inputs=ROWS).verdict == "wrong"


def test_which_of_two_paths_is_missing():
    def judged(backward):
        return check_function(lambda x, W: (x + np.tanh(x @ W), (x, W)), backward, inputs=ROWS | {"W": ("D", "D")})

    def through(dy, c):
        return dy * (1 - np.tanh(c[0] @ c[1]) ** 2)

    alone = judged(lambda dy, c: (dy, c[0].T @ through(dy, c)))
    assert first(alone) == "The gradient is dy alone: x reaches the output by another path, too, which gives nothing."
    body = judged(lambda dy, c: (through(dy, c) @ c[1].T, c[0].T @ through(dy, c)))
    assert body.suspects[0].fault == "F11"


def test_an_infinite_slope_that_is_held_back_is_a_note():
    report = check_function(
        lambda x: (np.sqrt(x), x), lambda dy, x: dy / (2 * np.sqrt(np.where(x == 0, 1, x))),
        against=torch.sqrt, inputs={"x": Between(0, 4, ("N", "D"))},
    )  # fmt: skip
    assert report
    assert report.wrong_side is None
    assert "infinite where its output is finite" in str(report)
