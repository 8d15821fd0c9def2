"""A solution on large numbers, at which an exponential is infinite."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from . import by_hand
from .judgement import RIGHT, WRONG, Judgement, Mistake
from .judging import trials


def at_large(given: Mapping[str, Any], size: float) -> Judgement:
    """The judgement of a check whose real inputs are about ±size."""
    trial = trials(given["inputs"])[0]
    for name, a in trial.arrays.items():
        if a.dtype.kind == "f":
            trial.arrays[name] = a + size * np.sign(a)
    if (off := by_hand.compared(given, trial)) is None:
        return Judgement(RIGHT)
    forward = any(n[0] == "y" for n in off.wrong)
    lost = any(by_hand.lost(off.yours[n], off.right[n]) for n in off.wrong if n in off.yours)
    told = Mistake(None, f"With inputs of ±{size:g} it overflows: an exponential is infinite, and ∞/∞ is no number.")
    side = "forward" if forward else "backward"
    return Judgement(
        WRONG, side, by_hand.where(off), (told,) if lost else (), (f"The inputs are about ±{size:g} here.",)
    )
