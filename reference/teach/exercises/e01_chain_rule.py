"""The chain rule: a function inside another

y = (3x + 1)². Write y as u² with u = 3x + 1. How fast does y change as x changes? dy/dx = dy/du · du/dx.
x is an array of any shape; every entry stands for itself.
"""

HINTS = (
    "How fast does u = 3x + 1 change as x changes by a little?",
    "How fast does u² change as u changes by a little? The answer contains u, not x.",
    "Multiply the two, and put 3x + 1 in for u.",
)
FITTING = {
    "times what it should be": 1,
    "is missing": 2,
    "is taken to be": 2,
    "½ times": 2,
}
STUB = '''
import numpy as np


def f(x):
    return (3 * x + 1) ** 2


def df(x):
    """dy/dx at every entry of x."""
'''
CHECKS = {"chain rule": {"f": "f", "df": "df", "truth": lambda x: (3 * x + 1) ** 2}}
