"""An embedding: rows that are taken several times

y = W[t]: row tₙ of W for every n. t is (N,), W is (V, D), y is (N, D). Give the gradient of W.
"""

import manualbp as m
from reference.draw.specs import Indices

HINTS = (
    "Row tₙ of W goes to row n of y, so row n of dy goes to row tₙ of dW. Rows that nobody took get 0.",
    "What if an index occurs twice? Its row of W reaches the loss along two paths.",
    "dW[t] += dy counts a repeated index once only. NumPy has another call that adds every time.",
)
FITTING = {
    "F01": 3,
    "A07": 1,
}
STUB = '''
import numpy as np


def forward(t, W):
    return W[t], (t, W.shape)


def backward(dy, cache):
    """The gradient of W."""
    t, shape = cache
'''
CHECKS = {
    "embedding": {
        "forward": "forward", "backward": "backward",
        "layer": lambda t, W: (m.Embedding(W.shape[0], W.shape[1]), {"weight": W}, t),
        "inputs": {"t": Indices((9,), "V"), "W": ("V", "D")},
    }
}  # fmt: skip
