"""Somebody's update rule beside the one intended, in lock-step on the same gradients."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from manualbp.base import Array

from .compare.bound import distance, largest
from .compare.tensor import Tensor
from .compare.updates import Lockstep
from .diagnose.evidence import Suspect
from .diagnose.update_arrays import apart, shared
from .diagnose.update_format import of_format
from .diagnose.update_mutants import of_mutants
from .diagnose.update_wrong import Wrong, near
from .diagnose.updates import explained
from .draw.steps import Steps
from .faults import faults
from .judge_habits import Habit, habits, left_over
from .report.report import Report
from .sides.raised import in_words, line_of
from .sides.rule_state import heeds_state
from .sides.rule_truth import Truth, drawn, of_one_shape, truth_of
from .sides.rules import Rule, recognised
from .sides.steps import HandUpdates, RunTorch, Updates, YourUpdates

NEARLY = 1e-6  # relative: ratios this close are one


def judge_step(step: Callable, against: Any, count: int, seed: int, options: Mapping[str, Any]) -> Report:
    """The report on somebody's rule."""
    if not isinstance(count, int) or count < 1:
        raise ValueError(f"steps={count!r}: a number of steps is needed, and three show what is kept, steps=12")
    truth = truth_of(against, options)
    title = getattr(step, "__name__", type(step).__name__)
    rule, steps, notes = _begun(step, truth, options, count, seed, title)
    yours: YourUpdates = (RunTorch if rule.torch else YourUpdates)(rule)
    _run(yours, steps, title)
    if (habit := left_over(rule, steps)) is not None and habit.suspect is not None:
        suspects, shown = (habit.suspect,), truth.title
        return Report(title, "wrong", "contract", None, suspects, (), (habit.text,), notes, count, shown)
    tensors, truth = _compared(yours, truth, steps)
    notes += _of_muon(truth)
    wrong = [t for t in tensors if not t.ok]
    found = list(habits(rule, truth, steps, right=not wrong))
    if not wrong:
        return _passed(title, truth, tensors, found, notes, count)
    wrong = _first_wrong(yours, truth.updates, steps, tensors)
    runs = yours.run(steps, np.float64), truth.updates.run(steps, np.float64)
    seen = Wrong(truth, steps, *runs, heeds_state(rule, steps))
    suspects = (*_replayed(truth, seen), *(h.suspect for h in found if h.suspect), *_explained(rule, truth, seen))
    suspects = suspects or tuple(_of_its_code(against, options, seen))
    if suspects and all(s.rounding for s in suspects) and all(h.note for h in found):
        return _coarse(title, wrong, suspects, seen, (*notes, *(h.text for h in found)))
    first = f"the first wrong step is {wrong[0].of.step} of {count}" + _only_large(wrong[0].of.step, steps)
    return Report(
        title, "wrong", "update", wrong[0].name, suspects, tuple(wrong[:6]), tuple(h.text for h in found if not h.note),
        (first, *_facts(wrong, steps, seen), *notes, *(h.text for h in found if h.note)), count, truth.title,
    )  # fmt: skip


def _coarse(
    title: str, wrong: list[Tensor], suspects: tuple[Suspect, ...], seen: Wrong, notes: tuple[str, ...]
) -> Report:
    """Right but for the rounding of a shorter format, which is no pass."""
    off = max(
        distance(a[n], b[n]) / max(largest(b[n]), largest(p))
        for a, b in zip(seen.yours, seen.right) for n, p in seen.steps.params.items() if p.any()
    )  # fmt: skip
    digits, count = int(-np.log10(off)) if 0 < off < 1 else 0, len(seen.steps.grads)
    return Report(
        title, "coarse", None, wrong[0].name, suspects, tuple(wrong[:6]), (), (f"right to {digits} digits", *notes),
        count, seen.truth.title, digits=digits,
    )  # fmt: skip


def _only_large(step: int, steps: Steps) -> str:
    """Is it the first step with gradients above 1, which a rule may clip?"""
    sizes = [max(map(largest, g.values())) for g in steps.grads[:step]]
    return ", the first with gradients above 1" if sizes[-1] > 1 and max(sizes[:-1], default=2.0) <= 1 else ""


def _passed(
    title: str, truth: Truth, tensors: tuple[Tensor, ...], found: list[Habit], notes: tuple[str, ...], count: int
) -> Report:
    broken = [h for h in found if not h.note]
    verdict = "identical" if all(t.identical for t in tensors) else "rounding"
    verdict = "wrong" if broken else verdict if any(t.power is not None for t in tensors) else "vacuous"
    return Report(
        title, verdict, "contract" if broken else None, None, tuple(h.suspect for h in broken if h.suspect), tensors,
        tuple(h.text for h in broken), (*notes, *(h.text for h in found if h.note)), count, truth.title,
    )  # fmt: skip


def _begun(
    step: Callable, truth: Truth, options: Mapping[str, Any], count: int, seed: int, title: str
) -> tuple[Rule, Steps, tuple[str, ...]]:
    """How the rule is called, and steps on arrays that both sides take."""
    first: Exception | None = None
    tried = [(drawn(ranks, count, seed), ranks) for ranks in truth.ranks] + [(of_one_shape(count, seed), ())]
    for steps, ranks in tried:
        try:
            truth.updates.run(steps, np.float64)
            rule = recognised(step, options, steps.params, steps.grads[:2], title)
        except Exception as e:
            first = first or e
            continue
        if first is None:
            return rule, steps, ()
        said = str(first).split(". Taken are")[0]
        shapes = ", ".join(map(str, ranks)) + " axes" if ranks else "one shape"
        return rule, steps, (f"compared on arrays of {shapes} alone: on others it was refused ({said})",)
    assert first is not None
    raise first


def _run(yours: Updates, steps: Steps, title: str) -> None:
    """A sentence with the user's own line where a later step raises."""
    try:
        with np.errstate(all="ignore"):
            yours.run(steps, np.float64)
    except Exception as e:
        raise ValueError(f"{title}, after its first steps, raised {in_words(e)}{line_of(e)}") from e


def _compared(yours: Updates, truth: Truth, steps: Steps) -> tuple[tuple[Tensor, ...], Truth]:
    """The comparison, and with what it was made: Muon with its rounding to bfloat16, or without it."""
    tensors = Lockstep(yours, truth.updates, steps).found
    if truth.shipped is not None and not all(t.ok for t in tensors):
        rounded = Lockstep(yours, truth.shipped.updates, steps).found
        if all(t.ok for t in rounded):
            return rounded, truth.shipped
    return tensors, truth


def _of_muon(truth: Truth) -> tuple[str, ...]:
    if truth.opt is None or type(truth.opt).__name__ != "Muon":
        return ()
    how = "yours is compared without that rounding" if truth.shipped else "so does yours"
    return (f"torch's Muon rounds to bfloat16 inside; {how}",)


def _first_wrong(yours: Updates, right: Updates, steps: Steps, worst: tuple[Tensor, ...]) -> list[Tensor]:
    """What is wrong after the first step at which anything is."""
    for k in range(1, len(steps.grads)):
        first = Steps(steps.params, steps.grads[:k], steps.rates[:k])
        if wrong := Lockstep(yours, right, first).wrong:
            return list(wrong)
    return [t for t in worst if not t.ok]


def _replayed(truth: Truth, seen: Wrong) -> Iterator[Suspect]:
    """The mistakes of the catalogue that give these very numbers at every step."""
    opt, steps = truth.opt, seen.steps
    if opt is None:
        return
    for fault in faults(type(opt).__name__).values():
        try:
            with np.errstate(all="ignore"):
                told = HandUpdates(fault.make(type(opt))(**vars(opt))).run(steps, np.float64)
        except Exception:  # a mistake may end in an error
            continue
        if all(near(seen.yours[k][n], told[k][n], k) for k in range(len(seen.yours)) for n in steps.params):
            evidence = "it gives your numbers at every step"
            yield Suspect(fault.id, fault.text, fault.relation, fault.remedy, fault.needs, evidence, 1.0)


def _explained(rule: Rule, truth: Truth, seen: Wrong) -> Iterator[Suspect]:
    """Mistakes that are in no catalogue; a verdict is never lost with an explanation of it."""
    try:
        named = list(explained(seen))
        yield from named
        if not named:
            yield from of_format(seen)
        mixed = any("share one state" in s.text for s in named)
        if not mixed and seen.heeds is not False and (suspect := _shared(rule, truth, len(seen.steps.grads))):
            yield suspect
    except Exception:
        return


def _of_its_code(against: Any, options: Mapping[str, Any], seen: Wrong) -> Iterator[Suspect]:
    """A change in the code of the rule intended, where that is a function."""
    try:
        yield from of_mutants(against, options, seen)
    except Exception:  # code that cannot be read, or run again
        return


def _shared(rule: Rule, truth: Truth, count: int) -> Suspect | None:
    """Is one state used for all parameters?"""
    steps = of_one_shape(count, 0)
    try:
        yours = YourUpdates(rule).run(steps, np.float64)
        right = YourUpdates(Rule(truth.begin, "")).run(steps, np.float64)
        seen = Wrong(truth, steps, yours, right)
        if not seen.error or seen.explained(apart(truth, steps)) or not seen.explained(shared(truth, steps)):
            return None
    except Exception:  # either may refuse these shapes
        return None
    evidence = "two parameters of one shape move as with one state for both"
    return Suspect(
        None, "The parameters share one state.", "yours = the rule with one state, taken from parameter to parameter",
        "keep a state for every parameter", "several parameters", evidence, 0.95,
    )  # fmt: skip


def _facts(wrong: list[Tensor], steps: Steps, seen: Wrong) -> tuple[str, ...]:
    try:
        with np.errstate(all="ignore"):
            return tuple(facts(wrong, steps, seen))
    except Exception as e:  # a verdict is never lost with an explanation of it
        return (f"the facts could not be found: {type(e).__name__}: {e}",)


def facts(wrong: list[Tensor], steps: Steps, seen: Wrong) -> Iterator[str]:
    """What is certain about the first wrong step: which parameters, and how their changes differ."""
    k = wrong[0].of.step - 1
    before = (steps.params, steps.params) if k == 0 else (seen.yours[k - 1], seen.right[k - 1])
    names = [t.of.path for t in wrong]
    if len(names) < len(steps.params):
        yield f"wrong in {', '.join(names)}; right in {', '.join(n for n in steps.params if n not in names)}"
    mine, theirs, p, g = (
        np.concatenate([np.ravel(flat(n)) for n in names])
        for flat in (
            lambda n: seen.yours[k][n] - before[0][n], lambda n: seen.right[k][n] - before[1][n],
            before[1].__getitem__, steps.grads[k].__getitem__,
        )
    )  # fmt: skip
    yield from _of_changes(mine, theirs, {"p": p, "g": g})


def _of_changes(mine: Array, theirs: Array, known: Mapping[str, Array]) -> Iterator[str]:
    if bad := int((~np.isfinite(mine)).sum()):
        yield f"{bad} of {mine.size} entries are NaN or infinite"
        return
    if not mine.any():
        yield "it does not move the parameters there"
        return
    there = np.abs(theirs) > NEARLY * largest(theirs)
    if not there.any():
        yield "it moves parameters that are to stay"
        return
    ratio = mine[there] / theirs[there]
    low, high = float(ratio.min()), float(ratio.max())
    if max(abs(low - 1), abs(high - 1)) < NEARLY:
        yield f"the change of the parameters is right to {max(abs(low - 1), abs(high - 1)):.1g} of itself"
    elif high - low <= NEARLY * abs(high):
        yield f"the change of the parameters is {(low + high) / 2:.6g} times the right one throughout"
    elif high < 0:
        yield f"the change of the parameters has the other sign throughout, {-high:.4g} to {-low:.4g} times the size"
    elif low > 0:
        yield f"the change of the parameters is between {low:.4g} and {high:.4g} times the right one"
    elif low == 0:
        yield f"{int((ratio == 0).sum())} of {ratio.size} entries are not moved"
    else:
        yield f"the change of the parameters has the other sign in {int((ratio < 0).sum())} of {ratio.size} entries"
    yield from _of_signs(mine[there], theirs[there], known["g"][there])
    yield from _left_over(mine - theirs, known)


def _of_signs(mine: Array, theirs: Array, g: Array) -> Iterator[str]:
    """Does one side move all entries by the same amount, as by the sign of g, and the other by a multiple of g?"""
    told = "moves all entries by the same amount, {} by a multiple of g, the same way: is a sign {}?"
    for one, other, text in (
        (theirs, mine, "the right one " + told.format("yours", "left out")),
        (mine, theirs, "yours " + told.format("the right one", "too many")),
    ):
        same = one.size > 2 and float(np.ptp(np.abs(one))) <= NEARLY * largest(one)
        c = float(other @ g / (g @ g)) if g.any() else 0.0
        if same and np.array_equal(np.sign(one), np.sign(other)) and distance(other, c * g) <= NEARLY * largest(other):
            yield text


def _left_over(rest: Array, known: Mapping[str, Array]) -> Iterator[str]:
    """What yours has more than the right one, where it is a multiple of p or of g."""
    for name, a in known.items():
        c = float(rest @ a / (a @ a)) if a.size > 2 and a.any() else 0.0
        if c and distance(rest, c * a) <= NEARLY * largest(rest):
            yield f"yours − right = {c:.6g} · {name} in that step"
            return
