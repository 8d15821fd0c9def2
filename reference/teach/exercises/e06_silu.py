"""SiLU: the product rule

y = x σ(x). x stands in two places, and each gives a term of the slope.
"""

import manualbp as m

HINTS = (
    "(u v)′ = u′ v + u v′. Here u = x and v = σ(x).",
    "The first term is σ(x). The second has the slope of σ, which you know from an earlier exercise.",
    "The slope of σ is taken at x, not at y.",
)
FITTING = {
    "C09": 1,
    "term": 1,
    "is taken to be": 1,
}
STUB = '''
import numpy as np


def f(x):
    return x / (1 + np.exp(-x))


def df(x):
    """The slope of x σ(x)."""
'''
CHECKS = {"silu": {"f": "f", "df": "df", "layer": m.SiLU()}}
