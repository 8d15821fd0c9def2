"""ReLU: a kink, and what to do on it

y = max(0, x). The slope is that of one straight piece or the other. At x = 0 there is none; PyTorch takes 0 there, and
so do we.
"""

import manualbp as m

HINTS = (
    "What is the slope of the line y = x, and of the line y = 0?",
    "The slope does not depend on how large x is, only on its sign.",
    "Look at x = 0 alone: which of > and ≥ gives 0 there?",
)
FITTING = {"C05": 3, "slope": 1}
STUB = '''
import numpy as np


def f(x):
    return np.maximum(x, 0)


def df(x):
    """The slope of ReLU at x; at 0 it is 0."""
'''
CHECKS = {"relu": {"f": "f", "df": "df", "layer": m.ReLU()}}
