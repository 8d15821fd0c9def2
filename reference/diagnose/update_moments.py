"""Mistakes of rules with running means: roots that are left out, bias corrections, and how steps are counted."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from manualbp.base import Array

from ..sides.steps import History
from .update_wrong import Mistake, Wrong, changed

LONG = 10**9  # steps after which no mean is biased any more

SQUARES: dict[str, Callable[[Any, int, Mapping[str, Array]], Array]] = {  # of which a root is taken, in the new state
    "Adagrad": lambda opt, t, s: s["sum"],
    "Adam": lambda opt, t, s: s.get("max_exp_avg_sq", s["exp_avg_sq"]) / (1 - opt.betas[1] ** t),
    "RMSprop": lambda opt, t, s: s["square_avg"] - s.get("grad_avg", 0.0) ** 2,
}
SQUARES["AdamW"] = SQUARES["Adam"]


def roots(w: Wrong) -> Iterator[Mistake]:
    """A rule that divides by a root without it, and Adagrad with ε on the other side of the root."""
    opt = w.truth.opt
    if type(opt).__name__ in SQUARES and not getattr(opt, "momentum", 0):
        text, relation = "The root is left out of the divisor.", "yours − p has v + ε in the place of √v + ε"
        yield Mistake("root", text, relation, "divide by √v + ε", partial(_without_root, w))
    if type(opt).__name__ == "Adagrad" and not w.truth.options.get("lr_decay"):
        text, relation = "ε stands inside the root.", "yours − p = − lr g/√(s + ε)"
        yield Mistake("eps", text, relation, "√s + ε, not √(s + ε)", partial(_adagrad, w))


def _without_root(w: Wrong) -> History:
    """What the rule moves from 0, without decay, times (√v + ε)/(v + ε)."""
    opt = w.truth.opt
    assert opt is not None
    bare, decoupled = opt.replace(weight_decay=0.0, maximize=False), getattr(opt, "decoupled_weight_decay", False)
    params, states, history = dict(w.steps.params), {n: bare.start(p) for n, p in w.steps.params.items()}, []
    for t, grads in enumerate(w.steps.grads, 1):
        for n, p in params.items():
            g = np.array((bare if decoupled else opt).descent(p, grads[n]))
            u, states[n] = bare.rule(t, np.zeros_like(p), -g if decoupled and opt.maximize else g, states[n])
            v = SQUARES[type(opt).__name__](opt, t, states[n])
            keep = 1 - opt.lr * opt.weight_decay if decoupled else 1.0
            params[n] = keep * p + u * (np.sqrt(v) + opt.eps) / (v + opt.eps)
        history.append(dict(params))
    return history


def _adagrad(w: Wrong) -> History:
    opt = w.truth.opt
    assert opt is not None
    params, history = w.steps.params, []
    s = {n: np.full_like(p, opt.initial_accumulator_value) for n, p in params.items()}
    for grads in w.steps.grads:
        g = changed(opt.descent, params, grads)
        s = changed(lambda a, b: a + b * b, s, g)
        params = changed(lambda p, a, b: p - opt.lr * b / np.sqrt(a + opt.eps), params, s, g)
        history.append(params)
    return history


def moments(w: Wrong) -> Iterator[Mistake]:
    """Adam with one of its corrections, Adamax without any."""
    opt = w.truth.opt
    if type(opt).__name__ == "Adamax":
        text, relation = "The bias correction is missing.", "yours = the rule without m̂ = m/(1 − β₁ᵗ)"
        yield Mistake("moments", text, relation, "divide: m̂ = m/(1 − β₁ᵗ)", partial(_counted, w, lambda t: LONG))
    if opt is None or type(opt).__name__ not in ("Adam", "AdamW") or opt.amsgrad or opt.maximize:
        return
    for text, first, other, remedy in (
        ("first moment", False, True, "m̂ = m/(1 − β₁ᵗ)"),
        ("second moment", True, False, "v̂ = v/(1 − β₂ᵗ)"),
    ):
        told = f"The bias correction of the {text} is missing.", f"yours = the rule without {remedy}"
        yield Mistake("moments", *told, f"divide: {remedy}", partial(_adam, w, first, other))


def _adam(w: Wrong, first: bool, second: bool) -> History:
    opt = w.truth.opt
    assert opt is not None
    (b1, b2), beside = opt.betas, opt.decoupled_weight_decay
    params, history = w.steps.params, []
    m = v = {n: np.zeros_like(p) for n, p in params.items()}
    for t, grads in enumerate(w.steps.grads, 1):
        g = grads if beside else changed(lambda a, p: a + opt.weight_decay * p, grads, params)
        m = changed(lambda a, b: b1 * a + (1 - b1) * b, m, g)
        v = changed(lambda a, b: b2 * a + (1 - b2) * b * b, v, g)
        rate, root = opt.lr / (1 - b1**t if first else 1.0), (1 - b2**t if second else 1.0) ** 0.5
        u = changed(partial(_ratio, rate, root, opt.eps), m, v)
        keep = 1 - opt.lr * opt.weight_decay if beside else 1.0
        params = changed(partial(_moved, keep), params, u)
        history.append(params)
    return history


def _ratio(rate: float, root: float, eps: float, m: Array, v: Array) -> Array:
    return rate * m / (np.sqrt(v) / root + eps)


def _moved(keep: float, p: Array, u: Array) -> Array:
    return keep * p - u


def counts(w: Wrong) -> Iterator[Mistake]:
    """A rule that counts its steps, in a loop over the arrays."""
    if w.truth.opt is not None and w.truth.opt.counted:
        text, relation = "The steps are counted anew for every array.", "yours = the rule with t + 1 at every array"
        yield Mistake("count", text, relation, "t ← t + 1 once a step, before the loop", partial(_one_count, w))


def _one_count(w: Wrong) -> History:
    """The rule, its count one more at every array."""
    counts = itertools.count(1)
    return _counted(w, lambda t: next(counts))


def _counted(w: Wrong, count: Callable[[int], int]) -> History:
    """The rule with another number in the place of that of the step, asked for at every array."""
    opt = w.truth.opt
    assert opt is not None
    params, states, history = dict(w.steps.params), {n: opt.start(p) for n, p in w.steps.params.items()}, []
    for t, grads in enumerate(w.steps.grads, 1):
        for n, p in params.items():
            params[n], states[n] = opt.rule(count(t), p, np.array(grads[n]), states[n])
        history.append(dict(params))
    return history
