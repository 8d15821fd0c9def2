"""A bias: why the sum over the batch

y = x + b, where x is (N, D) and b is (D,): the same b is added to every row. Give ∂L/∂x and ∂L/∂b.
"""

HINTS = (
    "Write it with indices: yₙ_d = xₙ_d + b_d. Which entries of y change when b_d changes?",
    "All N of them, each by 1. What reaches the loss along several paths adds.",
    "db has the shape of b, so one axis of dy has to go. Is it gone by a sum or by a mean?",
)
FITTING = {
    "B03": 3,
    "B04": 3,
    "B05": 2,
    "gradient of x": 3,
    "axis": 3,
    "was given for": "The gradients come in the order of what forward takes: x, then b.",
    "times what": "Only b has N paths to the loss. Each entry of x has one.",
    "A07": "The loss changes by dy for every unit of y: where does dy stand in your gradients?",
}
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
