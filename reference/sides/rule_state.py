"""Does a rule make use of the state that it keeps? Tried by disturbing it between two steps."""

from typing import Any

import numpy as np
import torch

from ..draw.steps import Steps
from .rule_objects import Transformation
from .rule_torch import OnTensors
from .rules import OneByOne, Rule, Running, Together


def heeds_state(rule: Rule, steps: Steps) -> bool | None:
    """Does its second step depend on what the first one left? None where that lies out of sight, as in an object."""
    plain, other = rule.begin(steps.params), rule.begin(steps.params)
    grads = [{n: np.array(g) for n, g in of_step.items()} for of_step in (*steps.grads, *steps.grads)[:2]]
    with np.errstate(all="ignore"):
        for running in (plain, other):
            running.step({n: g.copy() for n, g in grads[0].items()})
        plain.step({n: g.copy() for n, g in grads[1].items()})
        try:
            if not _disturb(other):
                return None
            other.step({n: g.copy() for n, g in grads[1].items()})
        except Exception:  # it stumbles over its state, so it reads it
            return True
    a, b = plain.read(), other.read()
    return any(not np.array_equal(a[n], b[n], equal_nan=True) for n in a)


def _disturb(running: Running) -> bool:
    """Other numbers in the state; False where it cannot be seen."""
    if isinstance(running, OnTensors):
        with torch.no_grad():
            for slots in running.made.state.values():
                slots.update({k: moved(v) for k, v in slots.items()})
        return _no_other(running.made)
    if type(running) in (OneByOne, Together, Transformation):  # and no object that may keep more
        running.state = moved(running.state)
        return True
    return False


def _no_other(made: torch.optim.Optimizer) -> bool:
    """Has an optimizer no attributes beyond torch's, in which a state may be kept?"""
    known = vars(torch.optim.SGD([torch.zeros(1)], lr=0.1))
    return all(n in known for n in vars(made))


def moved(state: Any) -> Any:
    """The same with every number another one."""
    if isinstance(state, dict):
        return {k: moved(v) for k, v in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(map(moved, state)) if type(state) in (list, tuple) else state
    if isinstance(state, torch.Tensor):
        return state + 1 + state.abs() if state.is_floating_point() else state + 1
    if isinstance(state, np.ndarray) and state.dtype.kind in "iuf":
        return state + 1 + np.abs(state)
    if isinstance(state, (int, float)) and not isinstance(state, bool):
        return state + 1 + abs(state)
    return state
