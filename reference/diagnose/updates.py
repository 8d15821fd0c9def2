"""The mistakes that explain wrong updates: each is made in the right rule, which then must give the wrong numbers.

sign      of the update, of the gradient                 factor   of the update, of the gradient, another lr
decay     forgotten, of the other sign, coupled instead of decoupled, without lr, after the step, twice or half
state     not kept, shared by the parameters             options  an option of the rule that is not applied
moments   bias corrections that are missing              float32  seven digits
roots     left out of a divisor, or ε inside             counts   of steps, one for each array
arrays    of one shape mixed up, all of them moved each by itself
"""

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from ..draw.steps import Flat
from ..sides.rules import Running
from ..sides.steps import History
from .evidence import Suspect
from .update_arrays import apart, go, repeated, shared, swapped
from .update_moments import counts, moments, roots
from .update_wrong import Mistake, Wrong, along, changed

FACTORS = (2.0, 0.5, 10.0, 0.1)
APART = ("lr", "weight_decay", "maximize", "foreach", "fused", "capturable", "differentiable")  # no mere options
USUAL = (0.5, 0.8, 0.9, 0.95, 0.99, 0.999)  # means that people take
EPSILONS = (1e-10, 1e-8, 1e-7, 1e-6, 1e-5, 1e-3)


def mistakes(wrong: Wrong) -> Iterator[Mistake]:
    """All that are tried, by kind."""
    return chain.from_iterable(kind(wrong) for kind in KINDS)


def explained(wrong: Wrong) -> Iterator[Suspect]:
    """The mistakes that give these very numbers at every step, the plainest of each group."""
    done: set[str] = set()
    for mistake in mistakes(wrong):
        if mistake.group in done:
            continue
        try:
            with np.errstate(all="ignore"):
                holds = wrong.explained(mistake.made(), mistake.rounds)
        except Exception:  # a mistake may end in an error
            continue
        if holds:
            done.add(mistake.group)
            evidence = "made in the right rule it gives your numbers at every step"
            yield Suspect(
                None, mistake.text, mistake.relation, mistake.remedy, "", evidence, 0.95, rounding=mistake.rounds
            )


def _signs(w: Wrong) -> Iterator[Mistake]:
    def update(r: Running, p: Flat, g: Any) -> Flat:
        return changed(lambda a, b: 2 * a - b, p, go(r, p, g))

    def gradient(r: Running, p: Flat, g: Any) -> Flat:
        return go(r, p, changed(lambda a: -a, g))

    told = "The update has the other sign.", "yours − p = −(right − p)", "subtract it: p ← p − lr · u"
    yield Mistake("sign", *told, lambda: along(w, update))
    told = "The gradient has the other sign.", "yours = the rule with −g", "descend: use g, not −g"
    yield Mistake("sign", *told, lambda: along(w, gradient))


def _factors(w: Wrong) -> Iterator[Mistake]:
    lr, own = w.truth.options.get("lr"), w.truth.defaults.get("lr")
    yours, right = w.changes
    momentum = w.truth.options.get("momentum")
    if isinstance(momentum, float) and isinstance(lr, float) and momentum:
        rate = (1 - momentum) * lr
        text = f"Momentum is a mean of what is added, not a sum, or the learning rate is {rate:g}, not {lr:g}."
        remedy = "m ← μm + u, without 1 − μ"
        yield Mistake("factor", text, "yours = the rule with (1 − μ) lr", remedy, lambda: along(w, go, lr=rate))
    if isinstance(lr, float) and isinstance(own, float) and lr != own:
        text = f"The learning rate is {own:g}, the default, not {lr:g}."
        yield Mistake("factor", text, f"yours = the rule with lr = {own:g}", "use lr", lambda: along(w, go, lr=own))
    c = float(yours @ right / (right @ right)) if right.any() and np.isfinite(yours).all() else 0.0
    if c and min(abs(c - 1), abs(c + 1)) > 1e-9:
        yield from _multiplied(w, float(f"{c:.9g}"), lr)
    for f in FACTORS:
        text, relation = f"The gradient is multiplied by {f:g}.", f"yours = the rule with {f:g} · g"
        yield Mistake("factor", text, relation, "use g as it is given", partial(along, w, partial(_with_gradient, f)))


def _multiplied(w: Wrong, c: float, lr: Any) -> Iterator[Mistake]:
    """The update, or lr, times what the first step is a multiple by."""

    def update(r: Running, p: Flat, g: Any) -> Flat:
        return changed(lambda a, b: a + c * (b - a), p, go(r, p, g))

    text, relation = f"The update is {c:.9g} times the right one.", f"yours − p = {c:.9g} · (right − p)"
    yield Mistake("factor", text, relation, "look at lr, and at factors of the update", lambda: along(w, update))
    if isinstance(lr, float):
        text, relation = f"The learning rate is {c:.9g} times that given.", f"yours = the rule with {c:.9g} · lr"
        yield Mistake("factor", text, relation, f"lr = {lr:g}", lambda: along(w, go, lr=c * lr))


def _with_gradient(f: float, r: Running, p: Flat, g: Any) -> Flat:
    return go(r, p, changed(lambda a: f * a, g))


def _coupled(w: Wrong, c: float) -> History:
    """The rule without decay, c p added to the gradient: after that was turned round, to maximize."""
    c = -c if w.truth.options.get("maximize") else c
    return along(w, lambda r, p, g: go(r, p, changed(lambda a, b: a + c * b, g, p)), weight_decay=0.0)


def _decoupled(w: Wrong, c: float, after: bool = False) -> History:
    """The rule without decay, c p subtracted beside the update, of p before it or after it."""

    def move(r: Running, p: Flat, g: Any) -> Flat:
        return changed(lambda a, b: b - c * (b if after else a), p, go(r, p, g))

    return along(w, move, weight_decay=0.0)


def _decays(w: Wrong) -> Iterator[Mistake]:
    decay, lr = w.truth.options.get("weight_decay"), w.truth.options.get("lr")
    if not isinstance(decay, float) or not isinstance(lr, float):
        return
    if not decay:
        return

    coupled, decoupled = partial(partial, _coupled, w), partial(partial, _decoupled, w)
    out, away = "yours = the rule without decay,", "The weight decay has the other sign."
    beside = "The weight decay is decoupled: it stands beside the gradient."
    twice, half = "The weight decay is twice as large.", "The weight decay is half as large."
    told = (
        ("The weight decay is forgotten.", "yours = the rule with λ = 0", "λ = weight_decay", coupled(0.0)),
        (away, "yours = the rule with g − λp", "g + λp", coupled(-decay)),
        (away, "yours = the rule with (1 + lr λ)p", "(1 − lr λ)p", decoupled(-lr * decay)),
        ("The weight decay is coupled: it goes through the gradient.", "yours = the rule with g + λp",
         "decay beside the gradient: p ← (1 − lr λ)p", coupled(decay)),
        (beside, f"{out} − lr λ p", "add it to the gradient: g + λp", decoupled(lr * decay)),
        ("The weight decay is not multiplied by lr.", f"{out} − λ p", "lr λ p", decoupled(decay)),
        ("The weights decay after the step.", "yours = (1 − lr λ)(p − lr u)", "p ← (1 − lr λ)p first",
         decoupled(lr * decay, True)),
        ("The weight decay is multiplied by lr twice.", "yours = the rule with g + lr λ p", "g + λp",
         coupled(lr * decay)),
        (twice, "yours = the rule with 2λ", "λp: the penalty is ½λp²", coupled(2 * decay)),
        (twice, "yours = the rule with 2λ", "lr λ p", decoupled(2 * lr * decay)),
        (half, "yours = the rule with ½λ", "λp", coupled(decay / 2)),
        (half, "yours = the rule with ½λ", "lr λ p", decoupled(lr * decay / 2)),
    )  # fmt: skip
    for text, relation, remedy, made in told:
        yield Mistake("decay", text, relation, remedy, made)


def _states(w: Wrong) -> Iterator[Mistake]:
    def forgetful(r: Running, p: Flat, g: Any) -> Flat:
        return go(w.truth.begin(p), p, g)

    relation = "yours = the rule begun anew at every step"
    if w.heeds is False:
        text = "No state is kept from one step to the next: every step is a first one."
        remedy = "return the new state, and use the one given"
    else:  # what is kept may be returned and used, and yet be the same at every step
        text = "Every step is as a first one: what is kept makes no difference to it."
        remedy = "look at what is to change from step to step: means, counts, rates that decay"
    yield Mistake("state", text, relation, remedy, lambda: along(w, forgetful))


def _arrays(w: Wrong) -> Iterator[Mistake]:
    """What is mixed up among arrays, or not taken of all of them."""
    text = "Every array is moved by itself, where the rule intended looks at all of them at once."
    relation, remedy = "yours = the rule for each array alone", "take what it needs of all arrays, as their norm"
    yield Mistake("arrays", text, relation, remedy, lambda: apart(w.truth, w.steps))
    if w.heeds is not False:
        text, relation = "Arrays of one shape share one state.", "yours = the rule with a state for every shape"
        yield Mistake("arrays", text, relation, "keep a state for every array", lambda: shared(w.truth, w.steps))
    text, relation = "Arrays of one shape are given each other's gradients.", "yours = the rule with g of the other"
    remedy = "find the gradient of an array by its place or name"
    yield Mistake("arrays", text, relation, remedy, lambda: along(w, lambda r, p, g: go(r, p, swapped(g))))
    text, relation = "Arrays of one shape are given the same gradient.", "yours = the rule with g of one of them"
    for which in (0, -1):
        move = partial(_with_one_gradient, which)
        yield Mistake("arrays", text, relation, remedy, partial(along, w, move))


def _with_one_gradient(which: int, r: Running, p: Flat, g: Any) -> Flat:
    return go(r, p, repeated(g, which))


def _options(w: Wrong) -> Iterator[Mistake]:
    if type(w.truth.opt).__name__ == "RAdam":
        made = partial(along, w, go, betas=(w.truth.options["betas"][0], 0.5))  # with which ρ never gets to 5
        text, relation = "The rectification is missing: it goes on as in the first steps.", "yours − p = − lr m̂"
        yield Mistake("options", text, relation, "where ρₜ > 5: lr r m̂/(√v̂ + ε)", made)
    for name, value in w.truth.options.items():
        if name in APART or isinstance(value, str) or value is None:
            continue
        for other in _others(name, value, w.truth.defaults.get(name)):
            text, remedy = _said(name, value, other)
            made = partial(_alone, w, name, value, other)
            yield Mistake("options", text, f"yours = the rule with {name}={other!r}", remedy, made)


def _alone(w: Wrong, name: str, value: Any, other: Any) -> History:
    """The rule with another option; a ValueError where values about it give your numbers as well, so that none of them
    need be what yours has."""
    told = along(w, go, **{name: other})
    if w.explained(told) and (about := _about(value, other)) is not None:
        try:
            same = w.explained(along(w, go, **{name: about}))
        except Exception:  # no value that it may have
            return told
        if same:
            raise ValueError(f"{name} may be {other} or {about}")
    return told


def _about(value: Any, other: Any) -> Any:
    """A value about the other, where it is a number or has one that is changed."""
    if isinstance(other, float) and other:
        return 0.9 * other
    if isinstance(other, tuple) and isinstance(value, tuple):
        return tuple(o if o == v else 0.9 * o for o, v in zip(other, value, strict=True))
    return None


def _others(name: str, value: Any, default: Any) -> Iterator[Any]:
    """Values that an option may have had instead."""
    if name == "eps" and isinstance(value, float):
        yield from (0.0, *(e for e in EPSILONS if e != value))
        return
    if isinstance(value, bool):
        yield not value
        return
    if default is not None and default != value and type(default) is type(value):
        yield default
    if isinstance(value, float):
        yield from (v for v in (0.0, round(1 - value, 12), *USUAL) if 0 <= v < 1 and v not in (value, default))
    if isinstance(value, tuple) and len(value) == 2 and all(isinstance(v, float) for v in value):
        first, second = value
        yield from ((second, first), *((v, second) for v in (0.0, *USUAL)), *((first, v) for v in USUAL))


def _said(name: str, value: Any, other: Any) -> tuple[str, str]:
    if name == "nesterov" and value:
        return "Nesterov's look-ahead is missing.", "step along g + μm, not along m"
    if name == "nesterov":
        return "There is a look-ahead that was not asked for.", "step along m"
    if name == "momentum" and other == 0:
        return "The momentum is missing.", "m ← μm + g, kept from step to step"
    if name == "eps" and other == 0:
        return "ε is left out.", "add eps to the divisor"
    if isinstance(value, bool):
        return f"{name}={value} is taken as {other}.", f"{name}={value}"
    if isinstance(value, float) and other == round(1 - value, 12):
        return f"1 − {name} stands where {name} should.", f"{name} = {value:g}"
    return f"It moves as with {name}={other!r}, not {value!r}.", f"use {name}={value!r}"


def _rounded(w: Wrong) -> Iterator[Mistake]:
    def short(flat: Mapping[str, Any]) -> Flat:
        return changed(lambda a: a.astype(np.float32).astype(a.dtype), flat)

    remedy = "keep the dtype of the parameters"
    text, relation = "The parameters are rounded to float32.", "yours = the rule with p in float32"
    yield Mistake("float32", text, relation, remedy, lambda: along(w, lambda r, p, g: go(r, short(p), g)), True)
    yield Mistake("float32", text, relation, remedy, lambda: along(w, lambda r, p, g: short(go(r, p, g))), True)


KINDS = (_signs, _decays, moments, roots, _arrays, _states, counts, _options, _rounded, _factors)
