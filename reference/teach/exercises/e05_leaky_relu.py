"""Leaky ReLU: two slopes

y = x for x > 0, and 0.1 x otherwise. No unit is ever without a gradient. At x = 0 the slope is that of the left.
"""

import manualbp as m

HINTS = (
    "Two straight lines: write down the slope of each.",
    "np.where(condition, a, b) takes a where the condition holds, else b.",
    "What happens at exactly 0? Read the definition again.",
)
FITTING = {
    "C07": 1,
    "slope where": 1,
    "change places": 2,
}
STUB = '''
import numpy as np


def f(x):
    return np.where(x > 0, x, 0.1 * x)


def df(x):
    """The slope at x."""
'''
CHECKS = {"leaky relu": {"f": "f", "df": "df", "layer": m.LeakyReLU(0.1)}}
