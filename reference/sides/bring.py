"""What somebody gave to check_function, brought into the form that is examined: a subject, a truth, trials."""

import itertools
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from manualbp.base import describe, tree_map

from ..compare.bound import distance, largest
from ..draw.plans import Inputs, examples, with_examples
from ..draw.specs import Spec
from ..draw.trial import Trial
from .arguments import calling, order_of
from .around import Beside, OfComplex, Seeded, WithConstants, generators, joined, pairs, truth_of_complex
from .chosen import Given, chosen, copies, upstream
from .formats import checked
from .gradients import array, as_arrays, as_tensor, is_real, plain
from .precision import Precision, in_another, precision_of
from .raised import NotFiniteError, RefusedError
from .run import flat
from .subject import Subject
from .torch_code import function_of

Truth = Callable[..., Any]
NAMED, SMALLEST = 10.0, 2.0**-6  # sizes of the constants in code that may be kinks
MOST = 6  # constants that are tried
DOMAINS = ("positive numbers", "numbers between 0 and 1")  # which a forward that is not finite may want
EXAMPLE = 'inputs={"x": ("N", "D"), "w": ("M", "D")}'


@dataclass(frozen=True)
class Brought:
    """Ready to be examined. notes: what was found on the way; differs: how far the forward is from a function of NumPy
    that is intended, where that is more than rounding."""

    subject: Subject
    truth: Truth | None
    trials: list[Trial]
    options: Mapping[str, float]
    notes: tuple[str, ...] = ()
    differs: float = 0.0
    precision: Precision = Precision()


def bring(
    forward: Any, backward: Callable | None, inputs: Mapping[str, Any], against: Any, *, get: Callable | None = None,
    put: Callable | None = None, options: Mapping[str, float] | None = None, where: Callable | None = None,
    accumulates: bool = False, seed: int = 0, dtype: str | None = None,
) -> Brought:  # fmt: skip
    """against: the function intended, as code of torch or NumPy in the order of the inputs or by their names."""
    specs, fixed = sorted_out(inputs)
    precision = precision_of(specs, checked(dtype))
    options = {**(options or {}), **{n: float(v) for n, v in fixed.items() if isinstance(v, (int, float))}}
    order = order_of(function_of(forward).forward if function_of(forward) else forward, tuple(inputs))  # type: ignore
    order = tuple(inputs) if order is None else order
    names = tuple(n for n in order if n in specs)
    declared = tuple(n for n in names if getattr(specs[n], "constant", False))
    given = Given(forward, backward, names, fixed, declared, get, put, options.get("lr"), accumulates)
    pool = constants((forward, backward, against), options)
    drawn = Inputs({n: specs[n] for n in names}, where, pool)
    made = partial(_Bringing, given, order, drawn, declared, against, seed)
    try:
        return made(precision).brought(options)
    except ValueError as e:
        if precision.dtype is not None or not isinstance(e.__cause__, Exception) or _is_ours(e.__cause__):
            raise
        brought, told = in_another(lambda other: made(other).brought(options), e)
        return replace(brought, notes=(told, *brought.notes))


_NO_GOLDEN = (
    'dtype="{0}" takes `against`, torch code of the function intended, of real numbers: gradients in {0} are judged '
    "beside its own in float64, and differences of a forward see nothing in so few bits"
)


def sorted_out(inputs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Specs of arrays, and what is no array: numbers, strings, flags. A ValueError shows what is taken."""
    if not isinstance(inputs, Mapping) or not inputs:
        raise ValueError(f"inputs is {describe(inputs)}; it takes shapes by name, as {EXAMPLE}")
    specs, fixed = {}, {}
    for name, spec in inputs.items():
        if isinstance(spec, torch.Tensor):
            specs[name] = np.array(array(spec))
        elif isinstance(spec, (np.ndarray, np.generic, Spec)) or _is_shape(spec) or _is_strategy(spec):
            specs[name] = spec
        elif spec is None or isinstance(spec, (bool, int, float, str, types.FunctionType, torch.dtype)):
            fixed[name] = spec
        else:
            raise ValueError(
                f'inputs[{name!r}] is {describe(spec)}; it takes a shape as ("N", "D") or (4, 3), an array, '
                f'Indices(("N",), below="C") for integers, Positive(("N",)) and others for numbers of a kind, or a '
                f"hypothesis strategy; numbers, strings and flags are handed on as they are"
            )
    if not specs:
        raise ValueError(f"no input is an array, so that there is nothing to differentiate: give shapes, as {EXAMPLE}")
    return specs, fixed


def _is_shape(spec: Any) -> bool:
    return isinstance(spec, tuple) and all(isinstance(n, (int, str)) for n in spec)


def _is_strategy(spec: Any) -> bool:
    return any(c.__name__ == "SearchStrategy" and c.__module__.startswith("hypothesis") for c in type(spec).__mro__)


def constants(functions: Sequence[Any], options: Mapping[str, float]) -> tuple[float, ...]:
    """The numbers that code or options name: kinks may lie there."""
    found: dict[float, None] = dict.fromkeys(float(abs(v)) for v in options.values())
    for f in functions:
        for code in _codes(f):
            numbers = (c for c in code.co_consts if isinstance(c, (int, float)) and not isinstance(c, bool))
            found |= dict.fromkeys(float(abs(c)) for c in numbers)
    return tuple(c for c in found if SMALLEST <= c <= NAMED)[:MOST]


def _codes(f: Any) -> Iterator[types.CodeType]:
    """The code of a function, of the methods of a class, and of what is defined inside."""
    for member in [f, *(vars(f if isinstance(f, type) else type(f)).values() if f is not None else ())]:
        code = getattr(getattr(member, "__func__", member), "__code__", None)
        stack = [code] if isinstance(code, types.CodeType) else []
        while stack:
            yield (code := stack.pop())
            stack += [c for c in code.co_consts if isinstance(c, types.CodeType)]


@dataclass
class _Bringing:
    """The way from what was given to what is examined."""

    given: Given
    order: tuple[str, ...]
    inputs: Inputs
    declared: tuple[str, ...]
    against: Any
    seed: int
    precision: Precision = Precision()

    def brought(self, options: Mapping[str, float]) -> Brought:
        trials = self._trials()
        if isinstance(self.given.forward, types.FunctionType):
            calling(self.given.forward, self.order, "forward")
        truth, numpy = self._intended(trials)
        subject, left_out = self._first(trials, truth)
        notes: list[str] = []
        subject, truth, said = self._repeated(subject, truth, trials[0][0])
        notes += said
        differs = 0.0
        if numpy is not None and truth is None:
            subject, differs, said = self._beside(subject, numpy, trials)
            notes += said
        if self.declared or left_out:
            subject = WithConstants(subject, self.declared, left_out, truth is not None)
        accepted, said = self._accepted(subject, truth, trials)
        of_complex = [n for n, a in accepted[0].arrays.items() if np.asarray(a).dtype.kind == "c"]
        if of_complex or self._complex_outputs(subject, accepted[0]):
            subject = OfComplex(subject, of_complex)
            truth = truth and truth_of_complex(truth, self.given.names, of_complex)
            accepted = [replace(t, x=_as_pairs(t.arrays)) for t in accepted]
        if self.precision.low and (truth is None or of_complex):
            raise ValueError(_NO_GOLDEN.format(self.precision.dtype))
        told = tuple(dict.fromkeys((*notes, *said)))
        return Brought(subject, truth, accepted, options, told, differs, self.precision)

    @staticmethod
    def _complex_outputs(subject: Subject, trial: Trial) -> bool:
        with np.errstate(all="ignore"):
            y, _ = subject.fresh().forward(copies(trial.arrays))
        return any(np.asarray(a).dtype.kind == "c" for a in flat(y))

    def _trials(self) -> list[list[Trial]]:
        """For each plan its trial, and others in its place should that be refused."""
        strategies = {n: s for n, s in self.inputs.specs.items() if _is_strategy(s)}
        if strategies:
            found = [[t] for t in with_examples(self.inputs, examples(strategies), self.seed)]
            return [[self.precision.of(t) for t in each] for each in found]
        plans = self.inputs.plans(self.seed, larger=self.precision.low is not None)
        found = [list(map(self.precision.of, self.inputs.instead(plan))) for plan in plans]
        if not any(found):
            raise ValueError(f"no sizes {', '.join(self.inputs.sizes)} from 1 to 8 are such as `where` wants them")
        return [each for each in found if each]

    def _intended(self, trials: list[list[Trial]]) -> tuple[Truth | None, Callable | None]:
        """The function intended as torch code of positional tensors; and as NumPy code, if it is that."""
        if self.against is None:
            return None, None
        if not callable(self.against):
            raise ValueError(
                f"against is to be a function of torch, a module or a class of these; it is {self.against!r}"
            )
        call = calling(self.against, self.order, "against")
        names = self.given.names

        def truth(*tensors: torch.Tensor) -> Any:
            each = {n: t.detach() if n in self.declared else t for n, t in zip(names, tensors)}
            y = call({**self.given.fixed, **each})
            return _listed(y)

        for trial in (t for each in trials for t in each[:1]):
            try:
                y = truth(*(as_tensor(a) for a in trial.arrays.values()))
            except Exception:
                y = None
            if y is not None and any(isinstance(a, torch.Tensor) for a in flat(y)):
                return truth, None
            try:
                with np.errstate(all="ignore"):
                    y = call({**self.given.fixed, **copies(trial.arrays)})
            except Exception:
                continue
            if not any(isinstance(a, torch.Tensor) for a in flat(plain(y))):
                return None, lambda arrays: call({**self.given.fixed, **arrays})
        return truth, None

    def _first(self, trials: list[list[Trial]], truth: Truth | None) -> tuple[Subject, tuple[str, ...]]:
        """The subject, in the form that its first run shows, and the inputs that the truth does not differentiate."""
        refused: list[Exception] = []
        for trial in (t for each in trials for t in each):
            try:
                outputs, left_out = (None, ()) if truth is None else _of_truth(truth, trial)
                given = replace(self.given, constant=(*self.declared, *left_out))
                return self.precision.around(chosen(given, self.precision.given(trial), outputs, self.order)), left_out
            except RefusedError as e:
                refused.append(e)
                if isinstance(e.error, (NameError, SyntaxError, ImportError)):
                    break
        raise _none_accepted(refused, trials)

    def _repeated(
        self, subject: Subject, truth: Truth | None, trial: Trial
    ) -> tuple[Subject, Truth | None, tuple[str, ...]]:
        """Do two equal calls give the same? If not, with their generators set."""
        if trial.large or _same_twice(subject, trial):
            return subject, truth, ()
        given = self.given.forward
        around = [given, self.given.backward, *(vars(given).values() if isinstance(given, type) else ())]
        held = [getattr(f, "__func__", f) for f in around]
        seeded = Seeded(subject, generators(*held))
        if not _same_twice(seeded, trial):
            raise ValueError(
                "forward draws random numbers: two equal calls differ, and seeding np.random, random and torch does "
                "not change that. Give it a generator that begins anew in every call, as check_function(lambda x: "
                "forward(x, rng=np.random.default_rng(0)), …), or pass what is drawn (a mask) as an input"
            )
        said = "forward draws random numbers (two equal calls differ): their generators were seeded before every call"
        if truth is None:
            return seeded, None, (said,)
        return seeded, None, (f"{said}; `against` cannot draw the same, so differences of your own forward decide",)

    def _beside(
        self, subject: Subject, numpy: Callable, trials: list[list[Trial]]
    ) -> tuple[Subject, float, tuple[str, ...]]:
        """Differences of a NumPy function that is intended decide; its values are compared at once."""
        off = 0.0
        for trial in (each[0] for each in trials):
            try:
                with np.errstate(all="ignore"):
                    y = flat(subject.fresh().forward(copies(trial.arrays))[0])
                    right = flat(plain(numpy(copies(trial.arrays))))
            except Exception:
                continue
            pairs_of = [(np.asarray(a), np.asarray(b)) for a, b in zip(y, right)]
            each = [distance(a, b) / (1 + largest(b)) if a.shape == b.shape else np.inf for a, b in pairs_of]
            off = max([off, *each])
        said = "`against` is no torch code: differences of it decide, which see less than autograd"
        return Beside(subject, numpy), off if off > 1e-12 else 0.0, (said,)

    def _in_domains(self, trial: Trial, refused: list[tuple[Trial, Exception]]) -> Iterator[Trial]:
        """The same with positive numbers, then with some between 0 and 1, if forward was not finite on it."""
        free = [n for n, spec in self.inputs.specs.items() if isinstance(spec, tuple)]
        for of in (_positive, _below_one):
            if free and refused and isinstance(refused[-1][1], NotFiniteError):
                kind = trial.kind if trial.integers else DOMAINS[of is _below_one]
                arrays = {n: of(a) if n in free else a for n, a in trial.arrays.items()}
                yield replace(trial, x=arrays, kind=kind)

    def _accepted(
        self, subject: Subject, truth: Truth | None, trials: list[list[Trial]]
    ) -> tuple[list[Trial], tuple[str, ...]]:
        """One trial for each plan: the first that every side takes."""
        if len(trials) == 1 and len(trials[0]) == 1:
            return [trials[0][0]], ()
        accepted: list[Trial] = []
        refused: list[tuple[Trial, Exception]] = []
        for each in trials:
            for trial in (t for drawn in each for t in (drawn, *self._in_domains(drawn, refused))):
                try:
                    accept(subject, truth, trial)
                except (RefusedError, NotFiniteError) as e:
                    refused.append((trial, e))
                    continue
                accepted.append(trial)
                break
        if not any(not t.integers for t in accepted):
            raise _none_accepted([e for _, e in refused], trials)
        if same := _only_equal(accepted, [t for t, e in refused if isinstance(e, RefusedError)]):
            first = next(e for _, e in refused if isinstance(e, RefusedError))
            raise ValueError(f"{first}\nIt runs only where {same[0]} = {same[1]}: give both the same name in `inputs`")
        return accepted, _told(refused, {t.kind for t in accepted if t.kind in DOMAINS})


def _positive(a: Any) -> Any:
    return np.where(a == 0, 1.0, np.abs(a))


def _below_one(a: Any) -> Any:
    return _positive(a) / (1 + _positive(a))


def _only_equal(accepted: Sequence[Trial], refused: Sequence[Trial]) -> tuple[str, str] | None:
    """Two names of sizes that must be one: all that differ in them were refused."""
    names = list(accepted[0].sizes)
    for a, b in itertools.combinations(names if refused and len(accepted) > 3 else [], 2):
        if all(t.sizes[a] == t.sizes[b] for t in accepted):
            return a, b
    return None


def _as_pairs(arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {n: pairs(a) if np.asarray(a).dtype.kind == "c" else a for n, a in arrays.items()}


def _listed(y: Any) -> Any:
    """Outputs in lists, named tuples and dicts as a tuple; (y, {"z": z}), intermediates, stays."""
    if isinstance(y, tuple) and len(y) == 2 and isinstance(y[1], dict):
        return plain(y[0]), y[1]
    return plain(y)


def _of_truth(truth: Truth, trial: Trial) -> tuple[int, tuple[str, ...]]:
    """How many outputs the function intended has, and which inputs it does not differentiate."""
    tensors = {n: _leaf(a) for n, a in trial.arrays.items()}
    try:
        y = truth(*tensors.values())
    except Exception as e:
        raise RefusedError("against", e) from e
    y = y[0] if isinstance(y, tuple) and len(y) == 2 and isinstance(y[1], dict) else y
    outputs = [t for t in flat(y) if isinstance(t, torch.Tensor) and t.requires_grad]
    real = {n: t for n, t in tensors.items() if t.requires_grad}
    if not outputs or not real:
        return (len(y) if isinstance(y, tuple) else 1), tuple(real)
    total = sum((torch.view_as_real(t) if t.is_complex() else t).sum() for t in outputs)
    grads = torch.autograd.grad(total, list(real.values()), allow_unused=True)  # type: ignore[arg-type]
    left_out = tuple(n for n, g in zip(real, grads) if g is None)
    return (len(y) if isinstance(y, tuple) else 1), left_out


def _leaf(a: Any) -> torch.Tensor:
    t = as_tensor(a)
    return t.requires_grad_() if t.is_complex() else t


def _same_twice(subject: Subject, trial: Trial) -> bool:
    used = subject.fresh()
    try:
        with np.errstate(all="ignore"):
            once, again, new = (
                flat(tree_map(np.array, s.forward(copies(trial.arrays))[0])) for s in (used, used, subject.fresh())
            )
    except Exception:
        return True
    return all(
        np.array_equal(a, b, equal_nan=np.asarray(a).dtype.kind in "fc") for o in (again, new) for a, b in zip(once, o)
    )


def accept(subject: Subject, truth: Truth | None, trial: Trial) -> None:
    """Run every side once: Refused says who cannot be, NotFinite that the numbers are outside of the domain."""
    finite = True
    with np.errstate(all="ignore"):
        if truth is not None:
            try:
                y = truth(*(as_tensor(a) for a in trial.arrays.values()))
            except Exception as e:
                raise RefusedError("against", e) from e
            y = y[0] if isinstance(y, tuple) and len(y) == 2 and isinstance(y[1], dict) else y
            finite = all(np.isfinite(a).all() for a in flat(as_arrays(y)) if a is not None)
        fresh = subject.fresh()
        try:
            y, cache = fresh.forward(copies(trial.arrays))
        except Exception as e:
            raise RefusedError("forward", e) from e
        real = [np.asarray(a) for a in flat(y) if a is not None and is_real(a)]
        if (truth is None or not finite) and not all(np.isfinite(a).all() for a in real):
            raise NotFiniteError
        try:
            fresh.backward(upstream(y), cache)
        except Exception as e:
            raise RefusedError("backward", e) from e


def _told(refused: list[tuple[Trial, Exception]], kinds: set[str]) -> tuple[str, ...]:
    """A note for each side that refused trials: how many, and what it said."""
    told = []
    for who in ("against", "forward", "backward"):
        of = [(t, e) for t, e in refused if isinstance(e, RefusedError) and e.who == who]
        if of:
            (trial, e), n = of[0], len(of)
            others = f" and {n - 1} other{'s' * (n > 2)}" if n > 1 else ""
            told.append(f"{e} for {trial}{others}; others were drawn in their place")
    if n := sum(isinstance(e, NotFiniteError) for _, e in refused):
        instead = " and ".join(sorted(kinds)) or "others"
        cure = ": say what it takes, as Positive(…) or Between(0, 1, …)" * bool(kinds)
        told.append(f"forward is not finite on {n} of the inputs that were drawn; {instead} were drawn instead{cure}")
    return tuple(told)


def _none_accepted(refused: Sequence[Exception], trials: list[list[Trial]]) -> Exception:
    """What to say if no trial is left."""
    trial = trials[0][0]
    usage = [e for e in refused if isinstance(e, RefusedError) and _is_ours(e.error)]
    if usage:
        return usage[0].error
    said = list(dict.fromkeys(map(str, (e for e in refused if isinstance(e, RefusedError)))))
    if not said:
        name = next(iter(trial.arrays))
        return ValueError(
            f"forward is not finite on anything that was drawn: say what numbers {', '.join(trial.arrays)} may be, as "
            f'inputs={{{name!r}: Positive(("N", "D"))}}, Between(0, 1, …), Probabilities(…), or give an array'
        )
    shapes = ", ".join(f"{n} {np.shape(a)}" for n, a in trial.arrays.items())
    cure = "" if len(trials) == 1 else (
        "; if only some sizes are possible, say which: where=lambda s: s['D'] % 2 == 0, or sizes as '2*D'"
    )  # fmt: skip
    error = ValueError(f"{said[0]}\non inputs {shapes}{cure}")
    error.__cause__ = next((e.error for e in refused if isinstance(e, RefusedError)), None)
    return error


def _is_ours(error: Exception) -> bool:
    """Is it one of this project's own sentences?"""
    tb = error.__traceback__
    while tb is not None and tb.tb_next is not None:
        tb = tb.tb_next
    return isinstance(error, ValueError) and tb is not None and "reference" in tb.tb_frame.f_globals.get("__name__", "")


__all__ = ["Brought", "bring", "joined"]
