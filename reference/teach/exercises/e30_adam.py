"""Adam

m ← β₁m + (1 − β₁)g and v ← β₂v + (1 − β₂)g², both 0 before the first step; m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ) in step
t = 1, 2, …; p ← p − α m̂/(√v̂ + ε). Take α = 0.1, β₁ = 0.9, β₂ = 0.999, ε = 10⁻⁸.
"""

import manualbp as m

HINTS = (
    "The state holds m, v and t. t is 1 in the first step.",
    "m and v start at 0, so at first they are too small by 1 − βᵗ: that is what the hats are for. Keep m and v without "
    "hats in the state.",
    "ε stands outside the root, and after the correction.",
)
FITTING = {
    "H01": 2,
    "bias correction": 2,
    "H02": 1,
    "H07": 2,
    "H04": 3,
    "H06": "m is the mean of g, v that of g²: which β belongs to which?",
    "root": 3,
    "10 times": "Which factor has g in the formula of m?",
}
STUB = '''
import numpy as np


def step(p, g, state):
    """The new p, and the new state. state is None in the first step."""
'''
CHECKS = {"adam": {"step": "step", "optimizer": m.optim.Adam(lr=0.1)}}
