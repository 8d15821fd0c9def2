"""tanh and its slope

y = tanh x. As with the sigmoid, the slope can be written with y alone.
"""

import manualbp as m

HINTS = (
    "tanh x = sinh x / cosh x; use the rule for quotients. sinh′ = cosh, cosh′ = sinh.",
    "You have (cosh² x − sinh² x)/cosh² x. Divide both terms by cosh² x.",
    "What is sinh² x / cosh² x in terms of y? At x = 0 the slope is 1, far out it is 0.",
)
FITTING = {
    "C04": 3,
    "C02": "The slope is written with y = tanh x alone. Which of x and y stands in your formula?",
    "is taken to be": 3,
    "C20": "The slope is that at x. Is tanh taken once in your formula, or twice?",
}
STUB = '''
import numpy as np


def f(x):
    return np.tanh(x)


def df(x):
    """The slope of tanh at x."""
'''
CHECKS = {"tanh": {"f": "f", "df": "df", "layer": m.Tanh()}}
