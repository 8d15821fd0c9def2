"""GELU, by its tanh formula: a chain inside a product

y = ½ x (1 + tanh u), with u = c (x + 0.044715 x³) and c = √(2/π).
"""

import manualbp as m

HINTS = (
    "A product of ½x and (1 + tanh u): two terms.",
    "In the second term tanh u changes by x through u: its slope at u, times du/dx.",
    "du/dx = c(1 + …): the cube gives a square and a factor.",
)
FITTING = {
    "C09": 1,
    "C10": 1,
    "inner": 3,
}
STUB = '''
import numpy as np

C = np.sqrt(2 / np.pi)


def f(x):
    return 0.5 * x * (1 + np.tanh(C * (x + 0.044715 * x**3)))


def df(x):
    """The slope of GELU at x."""
'''
CHECKS = {"gelu": {"f": "f", "df": "df", "layer": m.GELU("tanh")}}
