"""The sigmoid and its slope

y = σ(x) = 1/(1 + e⁻ˣ). Its slope can be written with y alone, which is why y is kept for the way back.
"""

import manualbp as m

HINTS = (
    "Write y = 1/u with u = 1 + e⁻ˣ. The slope of 1/u by u is −1/u².",
    "The slope of e⁻ˣ is −e⁻ˣ. The two minus signs cancel: you have e⁻ˣ/(1 + e⁻ˣ)².",
    "Split this fraction in two factors: one is y. What is the other, in terms of y?",
)
FITTING = {
    "C03": 3,
    "slope is taken": 3,
    "sign": 2,
    "times what": "Every entry of x stands for itself: what does N do in a slope?",
    "is taken to be": 3,
    "of −x": "The definition has e⁻ˣ: what does σ do as x grows, rise or fall?",
    "C20": "The slope is taken at x. With y = σ(x) alone: which of σ(x) and σ(y) stands in your formula?",
}
STUB = '''
import numpy as np


def f(x):
    """σ(x), entry by entry."""


def df(x):
    """The slope of σ at x."""
'''
CHECKS = {"sigmoid": {"f": "f", "df": "df", "layer": m.Sigmoid()}}
