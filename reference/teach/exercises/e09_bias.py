"""A bias: why the sum over the batch

y = x + b, where x is (N, D) and b is (D,): the same b is added to every row. Give ∂L/∂x and ∂L/∂b.
"""

HINTS = (
    "Write it with indices: yₙ_d = xₙ_d + b_d. Which entries of y change when b_d changes?",
    "All N of them, each by 1. What reaches the loss along several paths adds.",
    "db has the shape of b, so one axis of dy has to go. Is it gone by a sum or by a mean?",
)
FITTING = {"B03": 3, "B04": 3, "B05": 2, "gradient of x": 3, "axis": 3}
STUB = '''
import numpy as np


def forward(x, b):
    return x + b, ()


def backward(dy, cache):
    """The gradients of x, of shape (N, D), and of b, of shape (D,)."""
'''
CHECKS = {
    "bias": {
        "forward": "forward",
        "backward": "backward",
        "truth": lambda x, b: x + b,
        "inputs": {"x": ("N", "D"), "b": ("D",)},
    }
}
