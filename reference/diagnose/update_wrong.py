"""Wrong updates, and the form of the mistakes that may explain them: what the right rule gives with a mistake in it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from manualbp.base import Array

from ..compare.bound import EPS, FACTOR, distance, largest
from ..draw.steps import Flat, Steps
from ..sides.rule_truth import Truth
from ..sides.rules import Running
from ..sides.steps import History

SURE = 1e-2  # of the error: what a mistake that explains it may leave over

Move = Callable[[Running, Flat, Mapping[str, Any]], Flat]


@dataclass(frozen=True)
class Wrong:
    """What is explained: the steps, and the parameters after every one, yours and right.

    heeds  does yours make use of a state? None where that cannot be seen
    """

    truth: Truth
    steps: Steps
    yours: History
    right: History
    heeds: bool | None = None

    @property
    def error(self) -> float:
        return max(distance(a[n], b[n]) for a, b in zip(self.yours, self.right) for n in self.steps.params)

    @property
    def changes(self) -> tuple[Array, Array]:
        """What the first step adds to the parameters, all in one: yours and right."""
        before = self.steps.params
        yours, right = ([after[0][n] - p for n, p in before.items()] for after in (self.yours, self.right))
        return np.concatenate([a.ravel() for a in yours]), np.concatenate([a.ravel() for a in right])

    def explained(self, told: History, rounds: bool = False) -> bool:
        """Are these your numbers, at every step, and the right ones are not? What rounds may do so otherwise here and
        there, where a last bit decides."""
        pairs = [(k, a[n], b[n]) for k, (a, b) in enumerate(zip(self.yours, told)) for n in self.steps.params]
        if not all(np.isfinite(a).all() if rounds else near(a, b, k) for k, a, b in pairs):
            return False
        return max(distance(a, b) for _, a, b in pairs) <= SURE * self.error


def near(a: Array, b: Array, k: int) -> bool:
    """Equal within the rounding of k + 1 steps."""
    room = FACTOR * 4 * (k + 1) * EPS["float64"] * max(largest(a), largest(b), 1.0)
    return a.shape == b.shape and np.array_equal(np.isfinite(a), np.isfinite(b)) and distance(a, b) <= room


@dataclass(frozen=True)
class Mistake:
    """group: of several in one group the first that explains the numbers is named. rounds: to a shorter format."""

    group: str
    text: str
    relation: str
    remedy: str
    made: Callable[[], History]
    rounds: bool = False


def along(w: Wrong, move: Move, **options: Any) -> History:
    """The right rule, from the same parameters, with something else done at every step."""
    running, params, history = w.truth.begin(w.steps.params, **options), w.steps.params, []
    for grads in w.steps.grads:
        params = {n: np.asarray(p) for n, p in move(running, params, grads).items()}
        history.append(params)
    return history


def changed(f: Callable[..., Array], *flats: Mapping[str, Any]) -> Flat:
    return {n: f(*(a[n] for a in flats)) for n in flats[0]}
