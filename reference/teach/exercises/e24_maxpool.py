"""Max pooling: the winner takes all

x is (N, C, 6). Windows of two neighbours, without overlap: y is (N, C, 3), the larger of each pair. In a tie the first
wins.
"""

import manualbp as m

HINTS = (
    "Only the larger of the two reached y: the other's gradient is 0.",
    "Reshape x to (N, C, 3, 2): then the window is the last axis, and argmax says who won.",
    "In a tie x == y is true twice, argmax names one: the first.",
)
FITTING = {
    "E21": 1,
    "E22": 1,
    "other places": 1,
    "E12": 3,
}
STUB = '''
import numpy as np


def forward(x):
    N, C, T = x.shape
    return x.reshape(N, C, T // 2, 2).max(axis=-1), (x,)


def backward(dy, cache):
    """The gradient of x."""
    (x,) = cache
'''
CHECKS = {
    "max pooling": {
        "forward": "forward",
        "backward": "backward",
        "layer": lambda x: (m.MaxPool1d(2), {}, x),
        "inputs": {"x": ("N", "C", 6)},
    }
}
