"""No name without what only that mistake gives: a kink, a mask, gates, a square; and no bound from a few numbers."""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from reference import Constant, check_function
from reference.diagnose.diagnosis import diagnose
from reference.diagnose.evidence import Evidence
from reference.diagnose.facts import facts

ND = {"x": ("N", "D")}


def named(report):
    return {s.fault.split(".")[0] for s in report.suspects if s.fault}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_a_value_that_is_left_out_is_no_kink():
    def back(dy, x):
        return np.where(x == -1, 0, dy * sigmoid(x) * sigmoid(-x))

    report = check_function(sigmoid, back, against=torch.sigmoid, inputs=ND)
    assert not named(report) & {"C17", "C05", "C18"}
    assert "x is -1" in str(report)


def test_a_slope_of_0_where_it_is_1_is_not_called_1():
    def back(dy, x):
        return dy * np.cos(x) * (x != 0)

    report = check_function(np.sin, back, against=torch.sin, inputs=ND)
    assert not named(report) & {"C17", "C05", "C18"}
    assert "The slope where x = 0 is taken as 0" in str(report)


def test_a_half_is_no_dropout_without_a_mask():
    def forward(x, W, heat=0.5):
        return np.tanh(x @ W / heat), x

    def back(dy, x, W, heat=0.5):
        d = dy * (1 - np.tanh(x @ W / heat) ** 2)
        return d @ W.T, x.T @ d

    report = check_function(
        lambda x, W, heat=0.5: forward(x, W, heat)[0],
        back,
        against=lambda x, W: torch.tanh(x @ W / 0.5),
        inputs=ND | {"W": ("D", "M")},
        options={"heat": 0.5},
    )
    assert "G18" not in named(report)
    assert "The gradient is heat times what it should be." in str(report)


def test_an_option_called_beta_is_not_that_of_hubers_loss():
    report = check_function(
        lambda x, beta=0.3: np.logaddexp(0, beta * x).sum() / beta,
        lambda dy, x, beta=0.3: dy * beta * sigmoid(beta * x),
        against=lambda x: F.softplus(0.3 * x).sum() / 0.3,
        inputs=ND,
        options={"beta": 0.3},
    )
    assert "A18" not in named(report)
    assert "beta times" in report.suspects[0].text


def test_a_factor_2_of_another_loss_is_no_forgotten_half():
    def forward(x, t, power=2.0):
        return np.sum(np.log(np.cosh(x - t))) * power

    report = check_function(
        forward,
        lambda dy, x, t, power=2.0: dy * power**2 * np.tanh(x - t),
        against=lambda x, t: 2 * torch.log(torch.cosh(x - t)).sum(),
        inputs=ND | {"t": Constant(("N", "D"))},
        options={"power": 2.0},
    )
    assert "A04" not in named(report)
    assert report.suspects[0].text == "The gradient is power times what it should be."


def test_a_sum_that_is_divided_is_divided_once():
    report = check_function(
        lambda x, t: np.sum((x - t) ** 4),
        lambda dy, x, t: 4 * dy * (x - t) ** 3 / len(x),
        against=lambda x, t: ((x - t) ** 4).sum(),
        inputs=ND | {"t": Constant(("N", "D"))},
    )
    assert "twice" not in " ".join(s.text for s in report.suspects)


def test_three_blocks_are_no_gates():
    def forward(x, W):
        a, b, c = np.split(x @ W, 3, 1)
        return a * b + np.sin(c)

    def back(dy, x, W):
        a, b, c = np.split(x @ W, 3, 1)
        d = np.concatenate([dy * np.cos(c), dy * b, dy * a], 1)
        return d @ W.T, x.T @ d

    def against(x, W):
        a, b, c = (x @ W).chunk(3, 1)
        return a * b + torch.sin(c)

    report = check_function(forward, back, against=against, inputs=ND | {"W": ("D", "3*M")})
    assert "G01" not in named(report)
    assert "The 3 blocks along axis 1 change places." in str(report)


def evidence(right, yours, arrays):
    return Evidence("A", yours, right, 1e-14, arrays, {"A": right}, {"A": yours})


def test_a_place_is_told_before_a_region_by_value():
    found = []
    for k in range(4):
        rng = np.random.default_rng(k)
        A = 0.1 * rng.random((4, 4)) + 3 * np.eye(4)
        right = rng.standard_normal((4, 4))
        found.append(evidence(right, right * (2 - np.eye(4)), {"A": A}))
    assert "only off the diagonal" in facts(found)[0]
    assert diagnose(found)[0].text.startswith("Off the diagonal the gradient is 2 times")


def test_a_bound_is_not_told_by_a_few_entries():
    right, A = np.array([1.3, 2.1, -0.4]), np.array([0.1, 0.7, 0.9])
    (told,) = facts([evidence(right, right * [1, 2, 2.5], {"A": A})])
    assert "≥" not in told
