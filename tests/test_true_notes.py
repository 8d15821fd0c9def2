"""Notes and names that must be true of what was seen: how far off, which places, which pieces, which tensor."""

import numpy as np
import torch

from reference import check_function
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
