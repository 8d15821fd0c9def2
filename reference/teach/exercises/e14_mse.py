"""The mean squared error

L = the mean of (x − t)² over all entries, as nn.MSELoss has it. dL is the upstream gradient, a number. Give the
gradients of x and of t: the target may be the output of a network, too.
"""

import manualbp as m

HINTS = (
    "The slope of (x − t)² by x has a factor 2. The mean divides by the number of all entries, not only by the batch.",
    "L is a number, and dL says how what comes after changes with it: it multiplies everything.",
    "(x − t)² does not change if both grow alike, so the two gradients have a sum of 0.",
)
FITTING = {
    "A01": 1,
    "A02": 1,
    "A04": 1,
    "A05": "Let x be larger than t: does L grow or fall as x grows? That is the sign of dx.",
    "A07": 2,
    "A23": 3,
    "computed as that": 3,
    "wrong sign": 3,
    "proportional": 1,
    "other sign": 1,
    "number of samples": 1,
}
STUB = '''
import numpy as np


def forward(x, t):
    return np.mean((x - t) ** 2), (x, t)


def backward(dL, cache):
    """The gradients of x and of t."""
    x, t = cache
'''
CHECKS = {
    "mse": {
        "forward": "forward", "backward": "backward", "layer": lambda x, t: (m.MSELoss(), {}, (x, t)),
        "inputs": {"x": ("N", "D"), "t": ("N", "D")},
    }
}  # fmt: skip
