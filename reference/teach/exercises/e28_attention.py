"""Attention

P = softmax(Q Kᵀ/√d) along the last axis, Y = P V. Q is (T, d), K and V are (S, d).
"""

import math

HINTS = (
    "Y = P V is a product of matrices: it gives dV and dP.",
    "From dP through softmax, row by row, to the gradient of the scores. You have written that before.",
    "The scores are a product, too: dQ and dK, one with a transpose. And 1/√d is a factor of the scores.",
)
FITTING = {
    "C13": 2,
    "Jacobian": 2,
    "G12": 3,
    "G13": 3,
    "gradient of": 3,
    "transposed": 3,
    "C15": 2,
    "sign": 3,
}
STUB = '''
import numpy as np


def forward(Q, K, V):
    S = Q @ K.T / np.sqrt(Q.shape[1])
    P = np.exp(S - S.max(axis=1, keepdims=True))
    P = P / P.sum(axis=1, keepdims=True)
    return P @ V, (Q, K, V, P)


def backward(dY, cache):
    """The gradients of Q, K and V."""
    Q, K, V, P = cache
'''


def truth(Q, K, V):
    P = math.e ** (Q @ K.T / Q.shape[1] ** 0.5)
    return P @ V / P.sum(1)[:, None]


CHECKS = {
    "attention": {
        "forward": "forward", "backward": "backward", "truth": truth,
        "inputs": {"Q": ("T", "d"), "K": ("S", "d"), "V": ("S", "d")},
    }
}  # fmt: skip
