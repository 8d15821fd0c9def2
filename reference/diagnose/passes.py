"""Passes of a subject, forward and back, on inputs and upstream gradients of their own."""

from typing import Any

import numpy as np

from manualbp.base import Array, tree_map

from ..draw.trial import Trial
from ..sides.gradients import array
from ..sides.yours import Arrays, Subject

AGAIN = 4  # passes in which what seems to follow from another pass must do so again


def inputs_of(trial: Trial) -> Arrays:
    return {n: np.array(a) for n, a in trial.arrays.items()}


def other_inputs(trial: Trial) -> Arrays:
    """Inputs of the same kind in another order."""
    return {n: np.flip(a).copy() if a.dtype.kind == "f" else a for n, a in inputs_of(trial).items()}


def upstream(subject: Subject, y: Any, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    if subject.no_upstream:
        return tree_map(lambda a: np.ones(np.shape(a)), y)
    return tree_map(lambda a: rng.uniform(-1, 1, np.shape(a)), y)


def copied(dy: Any) -> Any:
    """A dy of its own for every call: who writes into it is told so once, by `_arguments`."""
    return tree_map(np.array, dy)


def kept_of(grads: Arrays) -> Arrays:
    return {n: None if g is None else np.array(array(g)) for n, g in grads.items()}


def grows(subject: Subject, dy: Any, cache: Any, last: Arrays, step: Array, name: str) -> bool:
    """Does every further pass add as much? What is drawn anew may do so once."""
    for _ in range(AGAIN):
        before, last = last, kept_of(subject.backward(copied(dy), cache))
        if not np.allclose(last[name] - before[name], step):
            return False
    return True


def behind(subject: Subject, trial: Trial, between: Arrays, dy: Any) -> Arrays:
    """The gradients where another forward pass comes between the two."""
    _, cache = subject.forward(inputs_of(trial))
    subject.forward({n: np.array(a) for n, a in between.items()})
    return kept_of(subject.backward(copied(dy), cache))
