"""Dropout with a given mask

In training y = x mask/(1 − p), with p = 0.25 and mask 0 or 1. The factor keeps the mean of y that of x.
"""

from reference.draw.specs import Indices

HINTS = (
    "For a fixed mask this is a multiplication by a constant, entry by entry.",
    "An entry that was dropped did not touch the loss: what is its gradient?",
    "The factor of the forward pass is there in the backward pass, too, and only once.",
)
FITTING = {
    "G18": 3,
    "hides": 2,
    "G19": 1,
    "turned round": 2,
    "is taken to be": 1,
    "times what": 3,
    "A07": "The loss changes by dy for every unit of y: where does dy stand in your gradient?",
}
STUB = '''
import numpy as np


def forward(x, mask):
    return x * mask / (1 - 0.25), (mask,)


def backward(dy, cache):
    """The gradient of x."""
    (mask,) = cache
'''
CHECKS = {
    "dropout": {
        "forward": "forward", "backward": "backward", "truth": lambda x, mask: x * mask / 0.75,
        "options": {"p": 0.25},
        "inputs": {"x": ("N", "D"), "mask": Indices(("N", "D"), 2)},
    }
}  # fmt: skip
