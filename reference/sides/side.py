"""What a side is: something that can be run on a trial, forward and back. Each way in is one class."""

from typing import Any, ClassVar

import numpy as np

from manualbp.base import Tree

from ..draw.trial import Trial
from .run import Run


class Side:
    """run(trial) gives outputs, gradients, buffers and intermediates under their names, in the trial's precision.

    precisions: those in which its rounding can be measured.
    """

    precisions: ClassVar[tuple[Any, ...]] = (np.float32, np.float64)

    def run(self, trial: Trial) -> Run:
        raise NotImplementedError

    def outputs(self, trial: Trial) -> Tree:
        """The output alone: an upstream gradient is drawn for its shape."""
        raise NotImplementedError

    def proves_exact(self, trial: Trial) -> bool:
        """Is it certain that no operation on these data rounds, so that any other side must agree bit for bit?"""
        return False

    def may_miss_kinks(self, trial: Trial, rounds: bool) -> bool:
        """May its own arithmetic miss a kink on which small integers lie? Code that is brought to be judged may not
        where the other side does not. `rounds`: float32 and float64 give it different numbers."""
        return False

    def meets_kinks(self, trial: Trial, rounds: bool) -> bool:
        """Are the numbers at its kinks certain not to be rounded?"""
        return not rounds

    def cuts(self, trial: Trial) -> bool:
        """Is a gradient cut on purpose, as by detach, so that it is not meant to be the derivative of the output?"""
        return False

    def noise(self, trial: Trial, rng: np.random.Generator) -> Run | None:
        """A run in which every layer's results are off by last bits, for a side that can be looked into."""
        return None
