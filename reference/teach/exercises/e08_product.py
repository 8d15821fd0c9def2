"""A product of two inputs

y = a b, entry by entry. dy is the upstream gradient ∂L/∂y: how the loss changes with each entry of y. Give ∂L/∂a and
∂L/∂b, each of the shape of its input.
"""

HINTS = (
    "Look at one entry: y = a b. By how much does y change as a changes by a little, b held fixed?",
    "The loss changes by dy for every unit of y: multiply by it.",
    "The gradient of a contains b, and the other way round.",
)
FITTING = {
    "A07": 2,
    "slope is taken": 3,
    "term": 1,
    "computed as that": 3,
}
STUB = '''
import numpy as np


def forward(a, b):
    return a * b, (a, b)


def backward(dy, cache):
    """The gradients of a and of b."""
    a, b = cache
'''
CHECKS = {
    "product": {
        "forward": "forward",
        "backward": "backward",
        "truth": lambda a, b: a * b,
        "inputs": {"a": ("N", "D"), "b": ("N", "D")},
    }
}
