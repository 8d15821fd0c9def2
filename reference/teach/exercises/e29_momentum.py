"""Gradient descent with momentum, as torch.optim.SGD has it

m ← 0.9 m + g, then p ← p − 0.1 m. Before the first step m is 0.
"""

import manualbp as m

HINTS = (
    "The state is what you return beside p; it comes back in the next step. It is None before the first.",
    "m is a sum of gradients, not a mean: g has no factor.",
    "p moves along the new m.",
)
FITTING = {
    "H11": 2,
    "H13": 2,
    "state": 1,
    "other sign": 3,
    "momentum should": "m keeps nine tenths of the old m in every step.",
}
STUB = '''
import numpy as np


def step(p, g, state):
    """The new p, and the new state. state is None in the first step. Keep a copy of g, not g."""
'''
CHECKS = {"momentum": {"step": "step", "optimizer": m.optim.SGD(lr=0.1, momentum=0.9)}}
