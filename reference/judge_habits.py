"""How a rule behaves beyond its numbers: what it keeps, what it writes into, what it makes of groups and of gaps.

reference    the caller writes the next gradient into the same array: a rule that keeps it as state is then wrong
written      the gradient is another one after the step
shapes       every parameter keeps its own
left over    begun anew it gives the same numbers, or state is kept where it does not belong
groups       a torch optimizer moves each group by its own options, and heeds a learning rate that is changed
missing      a torch optimizer leaves alone what has no gradient
"""

import itertools
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from .compare.updates import Lockstep
from .diagnose.evidence import Suspect
from .draw.steps import Steps
from .sides.raised import in_words
from .sides.rule_torch import OnTensors
from .sides.rule_truth import Truth
from .sides.rules import Rule, reshaped
from .sides.steps import History, RunTorch, YourUpdates

RATES = (1.0, 0.5, 0.25, 2.0)


@dataclass(frozen=True)
class Habit:
    """A sentence, what it may be a sign of, and whether it is only to be noted."""

    text: str
    suspect: Suspect | None = None
    note: bool = False


def habits(rule: Rule, truth: Truth, steps: Steps, right: bool) -> Iterator[Habit]:
    """What is to be said of a rule whose numbers are right, or are not."""
    yield from _reference(rule, steps, _tried(rule, steps))
    yield from _written_into(rule, steps)
    yield from _shapes(rule, steps)
    if right and rule.torch and truth.of_torch is not None:
        yield from _of_torch(rule, truth, steps)


def left_over(rule: Rule, steps: Steps) -> Habit | None:
    """Is something left from one run to the next? Then nothing can be compared. To be asked before other runs."""
    if not _differ(_tried(rule, steps), _tried(rule, steps)):
        return None
    if not _differ(*(_seeded(rule, steps) for _ in range(2))):
        suspect = Suspect(
            None, "It draws random numbers, so that no two runs of it are alike.", "yours = another rule every time",
            "compare it without them: with a noise of size 0, or with numbers that are drawn beforehand", "",
            "from the same seed the same run gives the same numbers, else others", 0.95,
        )  # fmt: skip
        return Habit("begun anew it gives other numbers: random numbers are drawn", suspect)
    suspect = Suspect(
        None, "The state is kept outside of what the rule returns, so that all parameters and runs share it.",
        "begun anew, it goes on where it was", "return the state and start from None, or give a function that makes "
        "the rule; if it draws random numbers, seed them in it", "", "the same run gives other numbers the second time",
        0.9,
    )  # fmt: skip
    text = "begun anew it gives other numbers: state, or a generator of random numbers, is kept in a global, a closure"
    return Habit(f"{text} or a default argument", suspect)


def _seeded(rule: Rule, steps: Steps) -> History:
    """A run in which all random numbers come from the same seeds; the generators are left as they were."""
    states, fresh = (random.getstate(), np.random.get_state(), torch.get_rng_state()), np.random.default_rng
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    seeds = itertools.count()
    try:
        with patch("numpy.random.default_rng", lambda seed=None: fresh(next(seeds) if seed is None else seed)):
            return _tried(rule, steps)
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


def _shapes(rule: Rule, steps: Steps) -> Iterator[Habit]:
    """Do parameters come back in another shape? Of a single number this is only noted."""
    running = rule.begin(steps.params)
    with np.errstate(all="ignore"):
        running.step({n: np.array(g) for n, g in steps.grads[0].items()})
    if found := reshaped(running):
        shape = max(found, key=lambda each: (len(each) == 2, len(each)))
        text = f"it gives back parameters of another shape: {shape} becomes {found[shape]}"
        suspect = Suspect(
            None, "It gives back parameters of another shape.", f"yours has shape {found[shape]}, p has {shape}",
            "return an array of the shape of p", "", "the numbers were compared in the shape of p", 0.95,
        )  # fmt: skip
        yield Habit(text, suspect if shape else None, note=not shape)


def _reference(rule: Rule, steps: Steps, plain: History) -> Iterator[Habit]:
    """The gradients of all steps in the same arrays, as a caller reuses its memory."""
    try:
        reused = YourUpdates(rule, reused=True).run(steps, np.float64)
    except Exception as e:
        yield Habit(f"with gradients written into the same arrays it raised {type(e).__name__}: {e}", note=True)
        return
    for k, (a, b) in enumerate(zip(plain, reused), 1):
        if any(not np.array_equal(a[n], b[n], equal_nan=True) for n in a):
            text = "it keeps the gradient's own array: where the caller reuses it, what was kept changes with it"
            suspect = Suspect(
                None, "What it keeps is the gradient's own array, not a copy.",
                f"the same steps with reused gradient arrays differ from step {k} on", "keep a copy: g.copy()",
                "gradients written into the same arrays", "the gradients were equal, only their memory was not", 0.95,
            )  # fmt: skip
            yield Habit(text, suspect)
            return


def _written_into(rule: Rule, steps: Steps) -> Iterator[Habit]:
    """Are the gradients other ones after a step? To set them to zero is no surprise."""
    given = {n: np.array(g) for n, g in steps.grads[0].items()}
    with np.errstate(all="ignore"):
        rule.begin(steps.params).step(given)
    if any(g.any() and not np.array_equal(g, steps.grads[0][n]) for n, g in given.items()):
        yield Habit("it writes into the gradients that it is given: g += … where g = g + … is meant", note=True)


def _tried(rule: Rule, steps: Steps) -> History:
    with np.errstate(all="ignore"):
        return YourUpdates(rule).run(steps, np.float64)


def _differ(a: History, b: History) -> bool:
    return any(not np.array_equal(x[n], y[n], equal_nan=True) for x, y in zip(a, b) for n in x)


def _of_torch(rule: Rule, truth: Truth, steps: Steps) -> Iterator[Habit]:
    """Groups, a learning rate that changes, and gradients that are missing."""
    other: dict[str, Any] = {}
    lr = truth.options.get("lr")
    if isinstance(lr, float) and "lr" in _own_options(rule, steps):
        other["lr"] = lr / 2
        rates = replace(steps, rates=[RATES[i % len(RATES)] for i in range(len(steps.grads))])
        yield from _beside(rule, truth, rates, None, "a learning rate that is changed in param_groups")
    elif isinstance(lr, float):
        yield Habit("its param_groups have no lr, so that neither a schedule nor groups could be tried", note=True)
    if isinstance(truth.options.get("weight_decay"), float) and "weight_decay" in _own_options(rule, steps):
        other["weight_decay"] = 0.25
    if other:
        yield from _beside(rule, truth, steps, other, "a second group with other options")
    gaps = [dict(g) for g in steps.grads]
    unused = next(iter(steps.params))
    for g in gaps:
        g[unused] = None
    yield from _beside(rule, truth, replace(steps, grads=gaps), None, "a parameter without gradient")


def _beside(rule: Rule, truth: Truth, steps: Steps, groups: Mapping[str, Any] | None, what: str) -> Iterator[Habit]:
    """A sentence if it is another than the right one under these conditions; a note if it refuses them."""
    right = RunTorch(Rule(lambda p: truth.begin(p, groups=groups), truth.title))
    try:
        right.run(steps, np.float64)
    except Exception:  # the rule intended has none of it
        return
    yours = RunTorch(Rule(lambda p: _in_groups(rule, p, groups), rule.form))
    try:
        wrong = Lockstep(yours, right, steps).wrong
    except Exception as e:
        yield Habit(f"with {what} it raised {in_words(e)}", note=True)
        return
    if wrong:
        yield Habit(f"with {what} it is wrong: {wrong[0].name}", _of_one_group(yours, truth, steps) if groups else None)


def _of_one_group(yours: RunTorch, truth: Truth, steps: Steps) -> Suspect | None:
    """Is everything moved as the first group is?"""
    if Lockstep(yours, RunTorch(Rule(truth.begin, truth.title)), steps).wrong:
        return None
    return Suspect(
        None, "All groups are moved with the same options: those of the first, or those it was made with.",
        "yours = the rule with one group", 'read them in the loop over the groups: group["lr"]', "two groups",
        "in two groups it gives the numbers of one", 0.95,
    )  # fmt: skip


def _own_options(rule: Rule, steps: Steps) -> Mapping[str, Any]:
    """The options that its groups have: one that it has not is none to set in a group."""
    begun = rule.begin(steps.params)
    assert isinstance(begun, OnTensors)
    return begun.made.param_groups[0]


def _in_groups(rule: Rule, params: Any, groups: Mapping[str, Any] | None) -> Any:
    if groups is None:
        return rule.begin(params)
    begun = rule.begin(params)
    assert isinstance(begun, OnTensors)
    return OnTensors(begun.make, params, groups)
