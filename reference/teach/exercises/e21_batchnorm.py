"""Batch norm in training

The same as layer norm along the other axis: μ and σ² are those of a column, over the batch. x is (N, C); ε = 10⁻⁵;
σ² divides by N.
"""

HINTS = (
    "Which axis do μ and σ² run over? The sums of the backward pass run over the same one.",
    "dγ = Σ dy x̂ and dβ = Σ dy, over the batch. For x: dx̂ = γ dy, then three paths.",
    "A constant added to a whole column of x changes nothing, so every column of dx must have the sum 0. Test that.",
)
FITTING = {
    "D01": 3,
    "D02": 3,
    "D03": 2,
    "D07": 2,
    "D09": 2,
    "D10": 2,
    "D14": 2,
    "another length": 1,
    "wrong sign": 3,
    "of its own": 2,
}
STUB = '''
import numpy as np


def forward(x, gamma, beta):
    mu = x.mean(axis=0)
    inv = 1 / np.sqrt(((x - mu) ** 2).mean(axis=0) + 1e-5)
    xhat = (x - mu) * inv
    return gamma * xhat + beta, (xhat, inv, gamma)


def backward(dy, cache):
    """The gradients of x, gamma and beta."""
    xhat, inv, gamma = cache
'''


def truth(x, gamma, beta):
    d = x - x.mean(0)
    return gamma * d / ((d**2).mean(0) + 1e-5) ** 0.5 + beta


CHECKS = {
    "batch norm": {
        "forward": "forward", "backward": "backward", "truth": truth,
        "inputs": {"x": ("N", "C"), "gamma": ("C",), "beta": ("C",)},
    }
}  # fmt: skip
