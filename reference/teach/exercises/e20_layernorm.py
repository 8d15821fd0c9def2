"""Layer norm: mean and variance depend on x, too

x̂ = (x − μ)/√(σ² + ε) along the last axis, with ε = 10⁻⁵ and σ² the mean of (x − μ)²; y = γ x̂ + β.
"""

import manualbp as m

HINTS = (
    "γ and β are shared by all rows: their gradients are sums over the rows. For x, go through dx̂ = γ dy first.",
    "x reaches x̂ along three paths: directly, through μ, and through σ². The last two couple all entries of a row.",
    "The path through μ subtracts a mean of dx̂; the path through σ² subtracts x̂ times a mean of (dx̂ x̂). 1/σ is in "
    "front of all three.",
)
FITTING = {
    "D01": 3,
    "D02": 3,
    "D03": 2,
    "D07": 1,
    "D09": 1,
    "D10": 1,
    "another length": 1,
    "keepdims": 2,
    "gamma": 1,
    "factor r": 3,
}
STUB = '''
import numpy as np


def forward(x, gamma, beta):
    mu = x.mean(axis=-1, keepdims=True)
    inv = 1 / np.sqrt(((x - mu) ** 2).mean(axis=-1, keepdims=True) + 1e-5)
    xhat = (x - mu) * inv
    return gamma * xhat + beta, (xhat, inv, gamma)


def backward(dy, cache):
    """The gradients of x, gamma and beta."""
    xhat, inv, gamma = cache
'''
CHECKS = {
    "layer norm": {
        "forward": "forward", "backward": "backward",
        "layer": lambda x, gamma, beta: (m.LayerNorm((x.shape[-1],)), {"weight": gamma, "bias": beta}, x),
        "inputs": {"x": ("N", "D"), "gamma": ("D",), "beta": ("D",)},
    }
}  # fmt: skip
