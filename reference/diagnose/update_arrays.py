"""Mistakes of update rules that have several arrays: what is mixed up among them, and what is to be taken of all.

Each is the right rule, run in another way. What one way explains may be explained by a plainer one as well, so a state
that is shared is named only where one for each array does not give the same numbers.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..draw.steps import Flat, Steps
from ..sides.rule_truth import Truth
from ..sides.rules import Running
from ..sides.steps import History


def go(running: Running, params: Flat, grads: Mapping[str, Any]) -> Flat:
    """One step of the right rule from these parameters."""
    running.write(params)
    running.step({n: None if g is None else np.array(g) for n, g in grads.items()})
    return running.read()


def shared(truth: Truth, steps: Steps) -> History:
    """The right rule with one state for all parameters of one shape, which are moved one after the other."""
    return _one_by_one(truth, steps, lambda n: steps.params[n].shape)


def apart(truth: Truth, steps: Steps) -> History:
    """The right rule for every array by itself, as if there were no others."""
    return _one_by_one(truth, steps, lambda n: n)


def _one_by_one(truth: Truth, steps: Steps, key: Callable[[str], Any]) -> History:
    first = {key(n): n for n in reversed(steps.params)}
    running = {k: truth.begin({n: steps.params[n]}) for k, n in first.items()}
    params, history = dict(steps.params), []
    for grads in steps.grads:
        for n in params:
            name = first[key(n)]
            params[n] = go(running[key(n)], {name: params[n]}, {name: grads[n]})[name]
        history.append(dict(params))
    return history


def swapped(grads: Mapping[str, Any]) -> dict[str, Any]:
    """The gradients of every shape in the reverse order."""
    names = _by_shape(grads)
    return {n: grads[of[::-1][of.index(n)]] for of in names.values() for n in of}


def repeated(grads: Mapping[str, Any], which: int) -> dict[str, Any]:
    """One gradient for all of a shape, the first of them or the last."""
    return {n: grads[of[which]] for of in _by_shape(grads).values() for n in of}


def _by_shape(grads: Mapping[str, Any]) -> dict[Any, list[str]]:
    names: dict[Any, list[str]] = {}
    for n, g in grads.items():
        names.setdefault(np.shape(g), []).append(n)
    return names
