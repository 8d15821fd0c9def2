"""Binary cross entropy of a logit: why the slope of σ cancels

L = the mean of −t log p − (1 − t) log(1 − p), with p = σ(x) and t 0 or 1. Give the gradient of x.
"""

import manualbp as m
from reference.draw.specs import Indices

HINTS = (
    "Let p be the variable first: ∂L/∂p is a difference of two fractions. Bring it to one denominator.",
    "The denominator is p(1 − p), which is the slope of σ. Multiply, and it is gone.",
    "What is left is a difference. Do not forget the mean over the batch, and dL.",
)
FITTING = {
    "A01": 3,
    "A05": "Let t be 1: does L grow or fall as x grows? That is the sign of dx.",
    "A07": 3,
    "A09": 2,
    "½ times": 3,
}
STUB = '''
import numpy as np


def forward(x, t):
    return np.mean(np.logaddexp(0, x) - t * x), (x, t)


def backward(dL, cache):
    """The gradient of x."""
    x, t = cache
'''
CHECKS = {
    "bce": {
        "forward": "forward", "backward": "backward", "layer": lambda x, t: (m.BCEWithLogitsLoss(), {}, (x, t + 0 * x)),
        "inputs": {"x": ("N",), "t": Indices(("N",), 2)},
    }
}  # fmt: skip
