"""A convolution in one dimension

y[n, o, s] = Σ_c Σ_k x[n, c, s + k] W[o, c, k] + b[o]. x is (N, C, 8), W is (O, C, 3), so y is (N, O, 6).
"""

import manualbp as m

HINTS = (
    "The same W and b are used at every place s and for every n: their gradients are sums over both.",
    "∂y[n, o, s]/∂W[o, c, k] = x[n, c, s + k]. Loop over k: x[:, :, k : k + 6] is what met W[:, :, k].",
    "For dx run the forward loop again, and wherever it read x[:, :, k : k + 6], add there what the chain rule gives.",
)
FITTING = {
    "E01": 3,
    "E02": 2,
    "B06": 1,
    "B04": 1,
    "again and again": 1,
    "summed over": 1,
    "mean stands": 1,
    "axis too many": 1,
}
STUB = '''
import numpy as np


def forward(x, W, b):
    S = x.shape[2] - W.shape[2] + 1
    y = sum(np.einsum("ncs,oc->nos", x[:, :, k : k + S], W[:, :, k]) for k in range(W.shape[2]))
    return y + b[:, None], (x, W)


def backward(dy, cache):
    """The gradients of x, W and b."""
    x, W = cache
'''
CHECKS = {
    "conv1d": {
        "forward": "forward", "backward": "backward",
        "layer": lambda x, W, b: (m.Conv1d(W.shape[1], W.shape[0], 3), {"weight": W, "bias": b}, x),
        "inputs": {"x": ("N", "C", 8), "W": ("O", "C", 3), "b": ("O",)},
    }
}  # fmt: skip
