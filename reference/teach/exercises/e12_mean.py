"""A mean: where 1/N goes

y = the mean of x over its first axis: x is (N, D), y is (D,).
"""

HINTS = (
    "y_d = (x₁_d + x₂_d + … )/N. By how much does y_d change as one of the x changes by 1?",
    "Every row of x gets the same gradient.",
    "The result has the shape of x: np.broadcast_to or np.ones((N, 1)) * … makes N rows of one.",
)
FITTING = {
    "A01": 1,
    "axis": 3,
    "axes": 3,
    "A07": 1,
    "factor too many": 1,
    "spread": 3,
}
STUB = '''
import numpy as np


def forward(x):
    return x.mean(axis=0), (x,)


def backward(dy, cache):
    """The gradient of x."""
    (x,) = cache
'''
CHECKS = {
    "mean": {"forward": "forward", "backward": "backward", "truth": lambda x: x.mean(0), "inputs": {"x": ("N", "D")}}
}
