"""What a forward and a backward must not do, whatever their numbers are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from manualbp.base import tree_map

from ..compare.bound import distance, largest
from ..draw.trial import Trial, cast, corner
from ..sides.run import flat
from ..sides.yours import Arrays, Subject


@dataclass(frozen=True)
class Broken:
    """A contract that is broken, in a sentence, and the mistake of the catalogue that this is, if it is one."""

    text: str
    fault: str | None = None


def broken_contracts(subject: Subject, trials: Sequence[Trial]) -> tuple[Broken, ...]:
    """What is not as it must be, of which there is one for each contract at most."""
    trial = next((t for t in trials if not t.integers), trials[0])
    laws = [_arguments, _second_backward, _stale_cache, _aliases, _dtype, _layout]
    if trial.large:
        if _runs(subject, small := corner(trial)):
            trial = small
        else:
            laws = [_arguments, _aliases]
    return tuple(told for law in laws if (told := _tried(law, subject, trial)))


def _runs(subject: Subject, trial: Trial) -> bool:
    """Does it take inputs of these sizes, too?"""
    try:
        with np.errstate(all="ignore"):
            fresh = subject.fresh()
            y, cache = fresh.forward(_inputs(trial))
            fresh.backward(_dy(fresh, y), cache)
    except Exception:
        return False
    return True


def _tried(law: Callable[[Subject, Trial], Broken | None], subject: Subject, trial: Trial) -> Broken | None:
    try:
        with np.errstate(all="ignore"):
            return law(subject.fresh(), trial)
    except Exception as e:
        return Broken(f"{law.__doc__}: {type(e).__name__}: {e}")


def _inputs(trial: Trial) -> Arrays:
    return {n: np.array(a) for n, a in trial.arrays.items()}


def _dy(subject: Subject, y: Any, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    if subject.no_upstream:
        return tree_map(lambda a: np.ones(np.shape(a)), y)
    return tree_map(lambda a: rng.uniform(-1, 1, np.shape(a)), y)


def _kept(grads: Arrays) -> Arrays:
    return {n: None if g is None else np.array(g) for n, g in grads.items()}


def _differ(a: Arrays, b: Arrays) -> str | None:
    """The first gradient that is not the same twice."""
    return next((n for n in a if a[n] is not None and not _same(a[n], b.get(n))), None)


def _same(a: Any, b: Any) -> bool:
    """The same numbers, NaN included, for which a look of its own is taken: it is the dearer one."""
    return np.array_equal(a, b) or np.array_equal(a, b, equal_nan=np.asarray(a).dtype.kind == "f")


def _arguments(subject: Subject, trial: Trial) -> Broken | None:
    """the arguments must stay as they are"""
    arrays = _inputs(trial)
    y, cache = subject.forward(arrays)
    if name := _differ(dict(trial.arrays), arrays):
        return Broken(f"forward changes its input {name} in place", "C20")
    dy = _dy(subject, y)
    before, kept = tree_map(np.array, dy), tree_map(np.array, y)
    subject.backward(dy, cache)
    if name := _differ(dict(trial.arrays), arrays):
        return Broken(f"backward changes the input {name} in place")
    if any(not np.array_equal(a, b) for a, b in zip(flat(before), flat(dy))):
        return Broken("backward changes dy in place: who called it still needs it")
    pairs = [(a, b) for a, b in zip(flat(kept), flat(y)) if b is not None]
    if any(not _same(a, b) for a, b in pairs):
        return Broken("backward changes the output of forward in place")
    return None


def _second_backward(subject: Subject, trial: Trial) -> Broken | None:
    """backward may be called twice"""
    y, cache = subject.forward(_inputs(trial))
    dy = _dy(subject, y)
    first = _kept(subject.backward(dy, cache))
    name = _differ(first, second := _kept(subject.backward(dy, cache)))
    if not name:
        return None
    third = _kept(subject.backward(dy, cache))
    if np.allclose(third[name] - second[name], second[name] - first[name]):
        return Broken(f"gradients are added up and never set to zero: a second backward adds to d{name}", "B08")
    return Broken(f"a second backward gives another d{name}")


def _stale_cache(subject: Subject, trial: Trial) -> Broken | None:
    """forward may run on other data before"""
    other = {n: np.flip(a).copy() if a.dtype.kind == "f" else a for n, a in _inputs(trial).items()}
    y, cache = subject.forward(_inputs(trial))
    dy = _dy(subject, y)
    right = _kept(subject.backward(dy, cache))
    if subject.stateful:
        subject.backward(dy, subject.forward(other)[1])
        y, cache = subject.forward(_inputs(trial))
        if name := _differ(right, _kept(subject.backward(dy, cache))):
            return Broken(f"after another forward and backward d{name} is another: something is left of the last")
        return None
    y, cache = subject.forward(_inputs(trial))
    subject.forward(other)
    if name := _differ(right, _kept(subject.backward(dy, cache))):
        told = f"d{name} changes if forward runs on other data before backward: it is not all in the cache"
        return Broken(told, "B10")
    return None


def _aliases(subject: Subject, trial: Trial) -> Broken | None:
    """gradients are arrays of their own"""
    arrays = _inputs(trial)
    y, cache = subject.forward(arrays)
    grads = {n: g for n, g in subject.backward(_dy(subject, y), cache).items() if isinstance(g, np.ndarray)}
    names = list(grads)
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            if np.shares_memory(grads[a], grads[b]) and not np.array_equal(grads[a], grads[b]):
                return Broken(f"d{a} and d{b} share memory: to change one changes the other")
        for b, x in arrays.items():
            if np.shares_memory(grads[a], x):
                return Broken(f"d{a} shares memory with the input {b}: an update in place would change it")
    return None


def _dtype(subject: Subject, trial: Trial) -> Broken | None:
    """float32 is taken"""
    arrays = cast(_inputs(trial), np.float32)
    y, cache = subject.forward(arrays)
    grads = subject.backward(cast(_dy(subject, y), np.float32), cache)
    for n, g in grads.items():
        if isinstance(g, np.ndarray) and g.dtype.kind == "f" and g.dtype != np.float32 and n in trial.arrays:
            return Broken(f"float32 goes in, but d{n} comes out as {g.dtype}")
    return None


def _layout(subject: Subject, trial: Trial) -> Broken | None:
    """an input that is not contiguous is taken"""
    y, cache = subject.forward(_inputs(trial))
    dy = _dy(subject, y)
    right = _kept(subject.backward(dy, cache))
    strided = {n: np.stack([a, a], -1)[..., 0] for n, a in _inputs(trial).items()}
    _, cache = subject.forward(strided)
    found = subject.backward(tree_map(lambda a: np.stack([a, a], -1)[..., 0], dy), cache)
    # Strides change the order of sums, nothing else: 2¹⁰ ε of the largest number about.
    about = [a for a in [*right.values(), *_inputs(trial).values(), *flat(dy)] if a is not None]
    eps = max((np.finfo(a.dtype).eps for a in about if a.dtype.kind == "f"), default=0.0)
    room = 2.0**10 * eps * max(1.0, *(largest(a) for a in about if a.dtype.kind == "f"))
    for n, g in right.items():
        if g is not None and distance(g, np.asarray(found[n])) > room:
            return Broken(f"d{n} is another for an input that is not contiguous in memory")
    return None
