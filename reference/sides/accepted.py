"""Which trials every side takes, and what to say of those that it does not."""

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..draw.plans import BEYOND, EXTRA, OF_SIZE, PAST
from ..draw.trial import Trial
from .gradients import as_arrays, as_tensor, is_real
from .raised import NotFiniteError, RefusedError, is_ours
from .run import flat
from .subject import Subject
from .tried import copies, upstream

Truth = Callable[..., Any]
NUMBERS = "between 0 and 1|in the range|positive|negative|domain"  # what is said of numbers that are not taken
POLE = 2.0**40  # of an output: so large that the other side's infinity may be rounded
DOMAINS = ("positive numbers", "numbers between 0 and 1")  # which a forward that is not finite may want


BESIDE, JUMP = 1e-6, 1e-3  # how far beside a point, and how much more a function moves there that has no limit


def without_values(y: Any) -> Any:
    """The outputs of a function intended, which may give intermediates beside them."""
    return y[0] if isinstance(y, tuple) and len(y) == 2 and isinstance(y[1], dict) else y


def positive(a: Any) -> Any:
    return np.where(a == 0, 1.0, np.abs(a))


def below_one(a: Any) -> Any:
    return positive(a) / (1 + positive(a))


def of_numbers(refused: Exception) -> bool:
    """Is it numbers that are refused, and no sizes?"""
    said = re.search(NUMBERS, str(refused.error)) if isinstance(refused, RefusedError) else None
    return isinstance(refused, NotFiniteError) or said is not None


def only_equal(accepted: Sequence[Trial], refused: Sequence[Trial]) -> tuple[str, str] | None:
    """Two names of sizes that must be one: all that differ in them were refused."""
    names = list(accepted[0].sizes)
    for a, b in itertools.combinations(names if refused and len(accepted) > 3 else [], 2):
        if all(t.sizes[a] == t.sizes[b] for t in accepted):
            return a, b
    return None


def only_where(a: str, b: str, refused: Sequence[RefusedError]) -> ValueError:
    """What to say where all that differ in two sizes were refused."""
    told = "give both the same name in `inputs`"
    if all(e.who == "backward" for e in refused):  # one name for both would hide a transpose that is missing
        told = "forward runs on others, so its gradient must, too"
    error = ValueError(f"{refused[0]}\nIt runs only where {a} = {b}: {told}")
    error.__cause__ = refused[0].error
    return error


def without_broadcast(accepted: list[Trial], refused: Sequence[tuple[Trial, Exception]]) -> list[Trial]:
    """Without those that run only since a length of 1 is repeated: every other one must be that of an array given."""
    for n in accepted[0].sizes:
        usual = {t.sizes[n] for t in accepted} - {1}
        others = {t.sizes[n] for t, e in refused if isinstance(e, RefusedError)} - {1}
        if len(usual) == 1 and len(others - usual) > 1:
            accepted = [t for t in accepted if t.sizes[n] != 1]
    return accepted


def accept(subject: Subject, truth: Truth | None, trial: Trial) -> None:
    """Run every side once: Refused says who cannot be, NotFinite that the numbers are outside of the domain. What is
    tried beyond the usual is to be finite on both sides: an overflow far out makes no derivation wrong."""
    finite = True
    with np.errstate(all="ignore"):
        if truth is not None:
            try:
                y = truth(*(as_tensor(a) for a in trial.arrays.values()))
            except Exception as e:
                raise RefusedError("against", e) from e
            finite = all(np.isfinite(a).all() for a in flat(as_arrays(without_values(y))) if a is not None)
        fresh = subject.fresh()
        try:
            y, cache = fresh.forward(copies(trial.arrays))
        except Exception as e:
            raise RefusedError("forward", e) from e
        real = [np.asarray(a) for a in flat(y) if a is not None and is_real(a)]
        outside = truth is None or not finite or trial.kind in EXTRA
        if not all(np.isfinite(a).all() for a in real) and (outside or _singular(truth, trial, real)):
            raise NotFiniteError
        if not finite and any(np.abs(a).max(initial=0) > POLE for a in real):
            raise NotFiniteError  # where the other divides by 0, this one by what its rounding leaves of it
        try:
            grads = fresh.backward(upstream(y), cache)
        except Exception as e:
            raise RefusedError("backward", e) from e
        real = [np.asarray(g) for g in grads.values() if g is not None and is_real(g)]
        if trial.kind == PAST and not all(np.isfinite(g).all() for g in real):
            raise NotFiniteError


def _singular(truth: Truth, trial: Trial, outputs: Sequence[Any]) -> bool:
    """Has the function intended no limit where the forward is not finite, as the direction of a vector that is 0, or
    0 · log 0 of two inputs? What it gives there is a choice, and outside of the domain of a forward that makes none."""
    rng = np.random.default_rng(trial.seed)
    each = [dict(trial.arrays)]
    if len(trial.arrays) > 1:
        each += [{m: a if m == n else _another(rng, a) for m, a in trial.arrays.items()} for n in trial.arrays]
    return any(_jumps(truth, arrays, outputs, rng) for arrays in each)


def _another(rng: np.random.Generator, a: Any) -> Any:
    """Numbers between 0 and 1 in the place of others; 0 for 1, and 1 for 0."""
    return np.asarray(rng.uniform(size=np.shape(a)), a.dtype) if is_real(a) else np.asarray(a == 0, a.dtype)


def _jumps(truth: Truth, arrays: Mapping[str, Any], outputs: Sequence[Any], rng: np.random.Generator) -> bool:
    """Does it jump close by, in all that is not finite in yours?"""
    real = {n: a for n, a in arrays.items() if is_real(a)}
    for move in (lambda a: rng.standard_normal(np.shape(a)), lambda a: 0.5 - a):  # the latter keeps probabilities
        near = {n: a + BESIDE * move(a) for n, a in real.items()}
        try:
            here, there = _values(truth, arrays), _values(truth, {**arrays, **near})
        except Exception:  # outside of its domain
            continue
        return all(_apart(a, b, ~np.isfinite(yours)) for a, b, yours in zip(here, there, outputs))
    return False


def _values(truth: Truth, arrays: Mapping[str, Any]) -> list[Any]:
    y = truth(*(as_tensor(np.asarray(a)) for a in arrays.values()))
    return [np.asarray(a) for a in flat(as_arrays(without_values(y))) if a is not None]


def _apart(a: Any, b: Any, lost: Any) -> bool:
    return a.shape == lost.shape and not (np.abs(a - b)[lost] <= JUMP * (1 + np.abs(a[lost]))).any()


def told(refused: list[tuple[Trial, Exception]], kinds: set[str]) -> tuple[str, ...]:
    """A note for each side that refused trials: how many, and what it said."""
    told = []
    for who in ("against", "forward", "backward"):
        of = [(t, e) for t, e in refused if isinstance(e, RefusedError) and e.who == who]
        of = [(t, e) for t, e in of if who != "against" or t.kind != BEYOND]
        if of:
            (trial, e), n = of[0], len(of)
            others = f" and {n - 1} other{'s' * (n > 2)}" if n > 1 else ""
            instead = "; others were drawn in their place" if any(t.kind not in OF_SIZE for t, _ in of) else ""
            told.append(f"{e} for {trial}{others}{instead}")
    if n := sum(isinstance(e, NotFiniteError) and t.kind not in OF_SIZE for t, e in refused):
        instead = " and ".join(sorted(kinds)) or "others"
        cure = ": say what it takes, as Positive(…) or Between(0, 1, …)" * bool(kinds)
        told.append(f"forward is not finite on {n} of the inputs that were drawn; {instead} were drawn instead{cure}")
    return tuple(told)


def none_accepted(refused: Sequence[Exception], trials: list[list[Trial]]) -> Exception:
    """What to say if no trial is left."""
    trial = trials[0][0]
    usage = [e for e in refused if isinstance(e, RefusedError) and is_ours(e.error)]
    if usage:
        return usage[0].error
    first = next((e for e in refused if isinstance(e, RefusedError)), None)
    if first is None:
        name = next(iter(trial.arrays))
        return ValueError(
            f"forward is not finite on anything that was drawn: say what numbers {', '.join(trial.arrays)} may be, as "
            f'inputs={{{name!r}: Positive(("N", "D"))}}, Between(0, 1, …), Probabilities(…), or give an array'
        )
    shapes = ", ".join(f"{n} {np.shape(a)}" for n, a in trial.arrays.items())
    error = ValueError(
        f"{first}\non inputs {shapes}{f'. {first.hint}' if first.hint else '' if len(trials) == 1 else _cure(first)}"
    )
    error.__cause__ = first.error
    return error


def _cure(refused: RefusedError) -> str:
    """What may be said in `inputs`, where it may be that."""
    of_sizes = (ValueError, RuntimeError, AssertionError, np.linalg.LinAlgError)
    if not isinstance(refused.error, of_sizes) or "dtype" in str(refused.error):
        return ""
    if of_numbers(refused):
        return "; say what numbers are taken, as Positive(…), Between(0, 1, …) or Probabilities(…)"
    return "; if only some sizes are possible, say which: where=lambda s: s['D'] % 2 == 0, or sizes as '2*D'"
