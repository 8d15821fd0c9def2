"""Back through time

h₀ = 0, hₜ = tanh(xₜ Wᵀ + hₜ₋₁ Uᵀ) for t = 1, …, 4; the output is the last h. x is (4, N, D), W (H, D), U (H, H).
"""

import math

HINTS = (
    "Unrolled, it is a network of four layers that share W and U: go back from the last to the first.",
    "At each step: dz = dh (1 − h²); then dW, dU and dx of this step, and the dh of the step before.",
    "W and U are used four times: their gradients add. dU takes the state from before the step.",
)
FITTING = {
    "G02": 2,
    "G04": 3,
    "G20": 3,
    "slope": 2,
    "G21": 2,
    "transposed": "Test each product by the shapes: dx[t] is (N, D), dh (N, H), dW (H, D), dU (H, H).",
    "G22": 2,
}
STUB = '''
import numpy as np


def forward(x, W, U):
    hs = [np.zeros((x.shape[1], U.shape[0]), x.dtype)]
    for t in range(len(x)):
        hs.append(np.tanh(x[t] @ W.T + hs[-1] @ U.T))
    return hs[-1], (x, W, U, hs)


def backward(dh, cache):
    """The gradients of x, W and U, where dh is that of the last state."""
    x, W, U, hs = cache
'''


def truth(x, W, U):
    h = 0 * (x[0] @ W.T)
    for t in range(len(x)):
        h = 1 - 2 / (math.e ** (2 * (x[t] @ W.T + h @ U.T)) + 1)
    return h


CHECKS = {
    "rnn": {
        "forward": "forward", "backward": "backward", "truth": truth,
        "inputs": {"x": (4, "N", "D"), "W": ("H", "D"), "U": ("H", "H")},
    }
}  # fmt: skip
