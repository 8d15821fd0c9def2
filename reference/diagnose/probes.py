"""What further calls of a wrong backward tell of it: facts, not names."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from manualbp.base import tree_map

from ..compare.bound import distance, largest
from ..compare.comparison import Comparison
from ..draw.trial import Trial
from ..sides.around import OfComplex, joined, pairs
from ..sides.side import Side
from ..sides.yours import Arrays, Subject

NEAR = 1e-9  # relative: two results of one formula
FAR = -64.0  # times dy: there a bend that lies beyond dy shows
LARGER = 1e3  # times an input: there an exp overflows
SEVERAL = 2  # trials on either side that tell a condition
BLOCK = 16  # how long a size is at least that may be longer than a block


def further_facts(
    subject: Subject | None, tried: Sequence[tuple[Trial, Mapping[str, bool]]], explained: bool
) -> tuple[str, ...]:
    """Sentences on gradients that are wrong. tried: the trials, with what is right of each, by name; explained: where
    a size is 1 is no news then."""
    wrong = list(dict.fromkeys(n for _, of in tried for n, right in of.items() if not right))
    failed = [trial for trial, of in tried if not all(of.values()) and not trial.integers and not trial.large]
    # integers may be right by accident, but what is wrong there is
    counted = [(t, {n: right for n, right in of.items() if not (t.integers and right)}) for t, of in tried if t.sizes]
    real = [(trial, of) for trial, of in counted if of]
    return (*_of_calls(subject, failed, wrong), *across(real, explained))


def _of_calls(subject: Subject | None, failed: Sequence[Trial], wrong: Sequence[str]) -> tuple[str, ...]:
    """How wrong gradients depend on dy."""
    if subject is None or subject.no_upstream or not failed:
        return ()
    try:
        with np.errstate(all="ignore"):
            return tuple(_facts(subject, failed[0], wrong))
    except Exception:  # no more calls are taken: then there is no such fact
        return ()


SAYS = {
    "constant": "{} not depend on dy: multiply by the gradient that arrives from above",
    "curved": "{} not double when dy does: a gradient is linear in dy",
    "forward": "{} what forward makes of dy; the gradient is what its transpose makes of dy",
}


def _facts(subject: Subject, trial: Trial, wrong: Sequence[str]) -> Iterator[str]:
    y, dy, first = _run(subject, trial.arrays)
    _, _, other = _run(subject, trial.arrays, tree_map(lambda a: -0.5 * a + 1, dy))
    _, _, twice = _run(subject, trial.arrays, tree_map(lambda a: 2 * a, dy))
    found: dict[str, list[str]] = {kind: [] for kind in SAYS}
    for n in wrong:
        g = first.get(n)
        if g is None or not np.size(g) or not np.any(g) or not np.isfinite(g).all():
            continue
        if _same(g, other[n]):
            found["constant"].append(n)
        elif not _same(2 * np.asarray(g), twice[n]):
            found["curved"].append(n)
        elif _of_forward(subject, trial, n, np.asarray(g), dy, y):
            found["forward"].append(n)
    if isinstance(dy, tuple):
        yield from _left_out(subject, trial, first, y, dy, [n for n in wrong if n not in found["constant"]])
    for kind, names in found.items():
        verb = {True: ("does", "do"), False: ("is", "are")}[kind != "forward"][len(names) > 1]
        if names:
            yield f"your {', '.join(f'd{n}' for n in names)} " + SAYS[kind].format(verb)


def _left_out(subject: Subject, trial: Trial, first: Arrays, y: Any, dy: tuple, wrong: Sequence[str]) -> Iterator[str]:
    """Outputs whose upstream gradient has no part in a gradient, although they depend on its input."""
    for k, part in enumerate(dy):
        if isinstance(part, tuple) or not np.size(part):
            continue
        _, _, other = _run(subject, trial.arrays, (*dy[:k], -0.5 * part + 1, *dy[k + 1 :]))
        same = [n for n in wrong if first.get(n) is not None and np.any(first[n]) and _same(first[n], other[n])]
        names = [n for n in same if _reaches(subject, trial, n, y, k)]
        if names:
            verb = "does" if len(names) == 1 else "do"
            of = "its input" if len(names) == 1 else "their inputs"
            yield f"your {', '.join(f'd{n}' for n in names)} {verb} not depend on dy[{k}], while y[{k}] depends on {of}"


def _reaches(subject: Subject, trial: Trial, name: str, y: Any, k: int) -> bool:
    """Does the k-th output change with this input?"""
    arrays = {n: np.array(a) for n, a in trial.arrays.items()}
    moved = subject.fresh().forward(arrays | {name: 0.75 * arrays[name]})[0]
    return not _same(y[k], moved[k])


def _of_forward(subject: Subject, trial: Trial, name: str, g: Any, dy: Any, y: Any) -> bool:
    """Is it what forward makes of dy, so that its transpose is wanted?"""
    if isinstance(dy, tuple) or np.shape(dy) != np.shape(trial.arrays[name]) or np.shape(dy) != np.shape(y):
        return False
    arrays = {n: np.array(a) for n, a in trial.arrays.items()}
    at_zero, of_dy, far = (
        subject.fresh().forward(arrays | {name: k * np.asarray(dy)})[0] for k in (0.0, 1.0, FAR)
    )  # fmt: skip
    if isinstance(of_dy, tuple) or not np.isfinite(of_dy - at_zero).all():
        return False
    return _same(g, of_dy - at_zero) and _same(FAR * (of_dy - at_zero), far - at_zero)  # only what is linear has one


def overflow(hand: Side, torch: Side | None, trial: Trial) -> tuple[str, ...]:
    """A sentence if somebody's function, which is right, is NaN or infinite on large inputs, where the one intended is
    not."""
    if torch is None or trial.large or not isinstance(trial.x, dict):
        return ()
    far = replace(trial, x=tree_map(lambda a: LARGER * a if np.asarray(a).dtype.kind == "f" else a, trial.x))
    try:
        with np.errstate(all="ignore"):
            mine, theirs = hand.run(far), torch.run(far)
    except Exception:  # they are no such numbers
        return ()
    both = {n: (a, theirs.get(n)) for n, a in mine.items() if a is not None and theirs.get(n) is not None}
    lost = ", ".join(str(n) for n, (a, b) in both.items() if np.isfinite(b).all() and not np.isfinite(a).all())
    told = f"on inputs {LARGER:g} times as large {lost} would be NaN or infinite, where `against` is finite"
    return (f"{told}: an exp or a product overflows",) if lost else ()


def without_conjugates(subject: Subject | None, trial: Trial, found: Comparison) -> tuple[str, ...]:
    """A sentence if complex gradients are linear in dy with the derivative itself where its conjugate is wanted: then
    the conjugate of what they make of the conjugate of dy is right."""
    if not isinstance(subject, OfComplex) or trial.large:
        return ()
    fresh = subject.fresh()
    _, cache = fresh.forward({n: np.array(a) for n, a in trial.arrays.items()})
    grads = fresh.backward(fresh.conjugated(trial.dy, cache), cache)
    wrong = {t.of.path: t.torch for t in found.wrong if t.is_gradient and t.of.path in subject.complex_names}
    names = [n for n, right in wrong.items() if _same(pairs(np.conj(joined(grads[n]))), right)]
    told = ", ".join(f"d{n}" for n in names)
    return (f"your {told} would be right with conjugates: dz = dy · conj(∂y/∂z) in torch's convention",) * bool(names)


def _run(subject: Subject, arrays: Mapping[str, Any], dy: Any = None) -> tuple[Any, Any, Arrays]:
    fresh = subject.fresh()
    y, cache = fresh.forward({n: np.array(a) for n, a in arrays.items()})
    if dy is None:
        rng = np.random.default_rng(2024)  # no trial draws the same
        dy = tree_map(lambda a: rng.standard_normal(np.shape(a)), y)
    return y, dy, {n: g for n, g in fresh.backward(tree_map(np.array, dy), cache).items() if g is not None}


def _same(a: Any, b: Any) -> bool:
    a, b = np.asarray(a), np.asarray(b)
    return a.shape == b.shape and distance(a, b) <= NEAR * max(largest(a), largest(b))


def across(tried: Sequence[tuple[Trial, Mapping[str, bool]]], explained: bool) -> tuple[str, ...]:
    """In which trials a gradient is right that is wrong in others: where two sizes are equal, where one is 1 or 2.

    tried: trials of real numbers, with what is right of each by name, where that can be seen; explained: where a size
    is 1 is no news then
    """
    told: dict[str, list[str]] = {}
    for n in dict.fromkeys(n for _, of in tried for n in of):
        right = [t.sizes for t, of in tried if of.get(n) is True]
        wrong = [t.sizes for t, of in tried if of.get(n) is False]
        if not wrong or not right:
            continue
        several = len(wrong) >= SEVERAL and len(right) >= SEVERAL  # of one trial some two sizes are equal by chance
        if several and (where := _where(right, wrong, explained)):
            told.setdefault(f"right where {where}, wrong in all other trials", []).append(f"d{n}")
        elif all(1 in s.values() for s in wrong) and not any(1 in s.values() for s in right):
            told.setdefault("wrong where a size is 1, right in all other trials", []).append(f"d{n}")
        elif where := _only(wrong, right):
            told.setdefault(f"wrong where {where}, right in all other trials", []).append(f"d{n}")
    return tuple(f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} {what}" for what, names in told.items())


def _only(wrong: Sequence[Mapping[str, int]], right: Sequence[Mapping[str, int]]) -> str:
    """The size that is 1, or longer than in all others, wherever it is wrong."""
    for n in wrong[0]:
        if all(s[n] == 1 for s in wrong) and all(s[n] > 1 for s in right):
            return f"{n} = 1"
        least, most = min(s[n] for s in wrong), max(s[n] for s in right)
        if least > max(most, BLOCK):
            return f"{n} = {least}"
    return ""


def _where(right: Sequence[Mapping[str, int]], wrong: Sequence[Mapping[str, int]], explained: bool) -> str:
    """What the sizes of the trials that are right have in common, and no other has."""
    names = list(right[0])
    pairs = itertools.combinations(names, 2)
    conditions = {f"{a} = {b}": (lambda s, a=a, b=b: s[a] == s[b]) for a, b in pairs}
    numbers = (2,) if explained else (1, 2)
    conditions |= {f"{n} = {k}": (lambda s, n=n, k=k: s[n] == k) for n in names for k in numbers}
    holds = (c for c, f in conditions.items() if all(map(f, right)) and not any(map(f, wrong)))
    return next(holds, "")
