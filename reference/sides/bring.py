"""What somebody gave to check_function, brought into the form that is examined: a subject, a truth, trials."""

import copy
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from manualbp.base import describe

from ..compare.bound import distance, largest
from ..draw.plans import ALIKE, EXTRA, SIGNS, ZEROS, Inputs, examples, with_examples
from ..draw.specs import SPD, Spec
from ..draw.trial import Trial
from . import devices, mistaken
from .accepted import (
    DOMAINS,
    accept,
    below_one,
    none_accepted,
    of_numbers,
    only_equal,
    only_where,
    positive,
    told,
    without_broadcast,
)  # fmt: skip
from .arguments import calling, order_of, taken_by
from .around import Beside, OfComplex, Symmetric, WithConstants, pairs, truth_of_complex
from .chance import Anew, Seeded, drawing_alike, draws, draws_apart, generators, keeps_generator, same_twice
from .chosen import chosen
from .devices import CPU
from .entrywise import pointwise
from .formats import checked
from .given import GivenCode
from .gradients import as_tensor, plain
from .inputs import constants, is_strategy, numbers_in, sorted_out
from .nested import Nested, nested, refused
from .precision import FLOAT64, NeedsAgainstError, Precision, in_another, precision_of, wide
from .raised import NotFiniteError, RefusedError, is_ours
from .run import flat
from .sizes import possible
from .subject import Subject
from .torch_code import function_of
from .tried import copies

Truth = Callable[..., Any]
FIRST = 5  # draws on which a form is tried before it is believed


@dataclass(frozen=True)
class Brought:
    """Ready to be examined. notes: what was found on the way; differs: how far the forward is from the function
    intended, in a sentence, where that is no torch code, or draws other numbers; constants: inputs that are declared
    to be these."""

    subject: Subject
    truth: Truth | None
    trials: list[Trial]
    options: Mapping[str, float]
    notes: tuple[str, ...] = ()
    differs: str = ""
    precision: Precision = FLOAT64
    constants: tuple[str, ...] = ()


def bring(
    forward: Any, backward: Callable | None, inputs: Mapping[str, Any], against: Any, *, get: Callable | None = None,
    put: Callable | None = None, options: Mapping[str, float] | None = None, where: Callable | None = None,
    accumulates: bool = False, seed: int = 0, dtype: str | None = None, device: str = CPU,
) -> Brought:  # fmt: skip
    """against: the function intended, as code of torch or NumPy in the order of the inputs or by their names."""
    places, apart = nested(inputs) if isinstance(inputs, Mapping) else (Nested(), inputs)
    specs, fixed = sorted_out(apart)
    precision = precision_of(specs, checked(dtype))
    if not isinstance(options or {}, Mapping):
        raise ValueError(f"options is {describe(options)}; it takes numbers by name, as options={{'p': 0.3}}")
    if precision.low and against is None:
        raise NeedsAgainstError(precision.low)
    options = {**(options or {}), **numbers_in(fixed)}
    mistaken.exchanged(forward, backward, tuple(inputs))
    mistaken.without_backward(forward, backward)
    mistaken.whole_numbers_alone(specs)
    order = order_of(function_of(forward).forward if function_of(forward) else forward, tuple(inputs))  # type: ignore
    order = tuple(inputs) if order is None else order
    names = tuple(n for given in order for n in places.leaves(given) if n in specs)
    if places.places and not isinstance(forward, types.FunctionType | partial | types.MethodType):
        raise refused(inputs)
    declared = tuple(n for n in names if getattr(specs[n], "constant", False))
    given = GivenCode(forward, backward, names, fixed, declared, get, put, options.get("lr"), accumulates, places)
    pool = constants((forward, backward, against), options)
    drawn = Inputs({n: specs[n] for n in names}, possible(specs, where), pool)
    devices.usable(device, dtype, f"device={device!r}")
    made = partial(_Bringing, given, order, drawn, declared, against, seed, device)
    try:
        return made(precision=precision).brought(options)
    except ValueError as e:
        if precision.dtype is not None or not isinstance(e.__cause__, Exception) or is_ours(e.__cause__):
            raise
        brought, told = in_another(lambda other: made(precision=other).brought(options), e)
        return replace(brought, notes=(told, *brought.notes))


def bring_pointwise(
    f: Any, df: Any, truth: Truth | None, shape: Any, against: Any, seed: int, dtype: str | None = None
) -> Brought:
    """Trials that f, df and the function intended take, and what was found on the way. against: as it was given."""
    specs, _ = sorted_out({"x": shape})
    precision = precision_of(specs, checked(dtype))
    if truth is not None and not callable(truth):
        raise ValueError(f"against is to be a function of torch, a module or a class of these; it is {truth!r}")
    if precision.low and truth is None:
        raise NeedsAgainstError(precision.low)
    found, said = pointwise(f, df)
    inputs = Inputs(specs, possible(specs, None), constants((f, df, against), {}))
    given = GivenCode(f, df, ("x",), {})
    bringing = _Bringing(given, ("x",), inputs, (), truth, seed, precision=precision)
    subject = precision.around(found)
    trials, notes = bringing.accepted(subject, truth, bringing.trials())
    return Brought(subject, truth, trials, {}, (*said, *notes), precision=precision)


@dataclass
class _Bringing:
    """The way from what was given to what is examined."""

    given: GivenCode
    order: tuple[str, ...]
    inputs: Inputs
    declared: tuple[str, ...]
    against: Any
    seed: int
    device: str = CPU
    precision: Precision = FLOAT64

    def brought(self, options: Mapping[str, float]) -> Brought:
        trials = self.trials()
        if isinstance(self.given.forward, types.FunctionType):
            calling(self.given.forward, self.order, "forward")
        truth, numpy = self._intended(trials)
        subject, left_out = self._first(trials, truth)
        notes: list[str] = []
        subject, truth, said, differs = self._repeated(subject, truth, trials[0][0])
        notes += said
        if numpy is not None and truth is None:
            subject, differs, said = self._beside(subject, numpy, trials)
            notes += said
        if self.declared or left_out:
            subject = WithConstants(subject, self.declared, left_out, truth is not None)
        symmetric = [n for n in subject.names if isinstance(self.inputs.specs[n], SPD)]
        if symmetric and truth is None:
            subject = Symmetric(subject, symmetric)
        accepted, said = self.accepted(subject, truth, trials)
        of_complex = [n for n, a in accepted[0].arrays.items() if np.asarray(a).dtype.kind == "c"]
        if of_complex or self._complex_outputs(subject, accepted[0]):
            subject = OfComplex(subject, of_complex)
            truth = truth and truth_of_complex(truth, self.given.names, of_complex)
            accepted = [replace(t, x=_as_pairs(t.arrays)) for t in accepted]
        if (self.precision.low and of_complex) or (truth is None and not wide(subject, accepted[0])):
            raise NeedsAgainstError(self.precision.dtype or "float32")
        told = tuple(dict.fromkeys((*notes, *said)))
        return Brought(subject, truth, accepted, options, told, differs, self.precision, self.declared)

    @staticmethod
    def _complex_outputs(subject: Subject, trial: Trial) -> bool:
        with np.errstate(all="ignore"):
            y, _ = subject.fresh().forward(copies(trial.arrays))
        return any(np.asarray(a).dtype.kind == "c" for a in flat(y))

    def trials(self) -> list[list[Trial]]:
        """For each plan its trial, and others in its place should that be refused."""
        strategies = {n: s for n, s in self.inputs.specs.items() if is_strategy(s)}
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
        of_arrays = calling(self.against, taken_by(self.against, self.order, self.given.fixed), "against")

        def call(arrays: Mapping[str, Any]) -> Any:
            return of_arrays(self.given.nested.together({**copy.deepcopy(self.given.fixed), **arrays}))

        def truth(*tensors: torch.Tensor) -> Any:
            each = zip(self.given.names, tensors)
            return _listed(call({n: t.detach() if n in self.declared else t for n, t in each}))

        for arrays in (t.arrays for each in trials for t in each[:1]):
            for intended in (truth, _of_real(truth)):
                if _of_tensors(_or_none(intended, *map(as_tensor, arrays.values()))):
                    return intended, None
            try:
                y = call(copies(arrays))
            except Exception:
                continue
            if y is None:
                raise ValueError("`against` gives None where a tensor is wanted: it is to return its output")
            if not _of_tensors(plain(y)):
                return None, call
        return truth, None

    def _first(self, trials: list[list[Trial]], truth: Truth | None) -> tuple[Subject, tuple[str, ...]]:
        """The subject, in the form that its first run shows, and the inputs that the truth does not differentiate."""
        refused: list[Exception] = []
        draws = [each[0] for each in trials[:FIRST]]
        for trial in (t for each in trials for t in each):
            try:
                outputs, left_out = (None, ()) if truth is None else _of_truth(truth, trial)
                given = replace(self.given, constant=(*self.declared, *left_out))
                return self._in_form(given, trial, outputs, draws), left_out
            except RefusedError as e:
                refused.append(e.on(trial.sizes))
                if isinstance(e.error, (NameError, SyntaxError, ImportError)):
                    break
        raise none_accepted(refused, trials)

    def _in_form(self, given: GivenCode, trial: Trial, outputs: int | None, draws: list[Trial]) -> Subject:
        """The subject as it takes arrays of float64, whatever it takes itself."""
        arrays, *others = (self._as_given(t) for t in (trial, *draws))
        subject = chosen(given, arrays, outputs, self.order, others)
        return self.precision.around(subject if self.device == CPU else devices.SubjectOnDevice(subject, self.device))

    def _as_given(self, trial: Trial) -> dict[str, Any]:
        """The arrays of a trial as somebody's code is given them."""
        arrays = self.precision.given(trial)
        return arrays if self.device == CPU else {n: devices.moved(a, self.device) for n, a in arrays.items()}

    def _repeated(
        self, subject: Subject, truth: Truth | None, trial: Trial
    ) -> tuple[Subject, Truth | None, tuple[str, ...], str]:
        """Do two equal calls give the same? If not, begun anew, or with their generators set; and a sentence if what is
        drawn is not drawn as intended."""
        given = self.given.forward
        around = [given, self.given.backward, *(vars(given).values() if isinstance(given, type) else ())]
        own = generators(*(getattr(f, "__func__", f) for f in around))
        drawn = not trial.large and draws(subject, trial, own)
        if trial.large or (not drawn and same_twice(subject, trial)):
            return subject, truth, (), ""
        if not drawn and same_twice(anew := Anew(subject), trial) and not keeps_generator(subject, trial):
            said = "forward keeps something from call to call (two equal calls differ): every run began as it was given"
            return anew, truth, (said,), ""
        seeded = Seeded(subject, own)
        if not same_twice(seeded, trial):
            raise ValueError(
                "two equal calls of forward differ. If it draws random numbers, give it a generator that begins anew "
                "in every call, as check_function(lambda x: forward(x, rng=np.random.default_rng(0)), …), or pass what "
                "is drawn (a mask) as an input; if it keeps something from call to call in a global, give that as an "
                "input, or make it an object's"
            )
        said = "forward draws random numbers (two equal calls differ): their generators were seeded before every call"
        if truth is None:
            return seeded, None, (said,), ""
        if (alike := drawing_alike(seeded, truth, trial)) is not None:
            return seeded, alike, (f"{said}, and before `against`, which draws the same",), ""
        told = "differences of your own forward decide, and many draws of y are compared"
        said = f"{said}; `against` draws others, so {told}"
        return seeded, None, (said,), draws_apart(subject, truth, trial)

    def _beside(
        self, subject: Subject, numpy: Callable, trials: list[list[Trial]]
    ) -> tuple[Subject, str, tuple[str, ...]]:
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
        differs = f"y differs from `against` by up to {off:.3g} of its largest entry" if off > 1e-12 else ""
        return Beside(subject, numpy), differs, (said,)

    def _in_domains(self, trial: Trial, refused: list[tuple[Trial, Exception]]) -> Iterator[Trial]:
        """The same with positive numbers, then with some between 0 and 1, if forward was not finite on it, or if
        somebody said that the numbers are others than it takes; at last constants, too."""
        free = [n for n, spec in self.inputs.specs.items() if isinstance(spec, tuple)]
        fixed = [n for n, spec in self.inputs.specs.items() if isinstance(getattr(spec, "of", None), tuple)]
        ways = [(of, which) for which in (free, fixed and free + fixed) if which for of in (positive, below_one)]
        for of, which in ways if trial.kind not in (ZEROS, SIGNS, ALIKE) else ():
            if refused and of_numbers(refused[-1][1]):
                kind = trial.kind if trial.integers or trial.kind in EXTRA else DOMAINS[of is below_one]
                arrays = {n: of(a) if n in which else a for n, a in trial.arrays.items()}
                yield replace(trial, x=arrays, kind=kind)

    def accepted(
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
                except RefusedError as e:
                    refused.append((trial, e.on(trial.sizes)))
                    continue
                except NotFiniteError as e:
                    refused.append((trial, e))
                    continue
                accepted.append(trial)
                break
        if accepted and not all(isinstance(s, Spec | tuple) for s in self.inputs.specs.values()):
            accepted = without_broadcast(accepted, refused)
        if not any(not t.integers for t in accepted):
            raise none_accepted([e for _, e in refused], trials)
        refused = [(t, e) for t, e in refused if t.kind not in EXTRA]
        if same := only_equal(accepted, [t for t, e in refused if isinstance(e, RefusedError)]):
            raise only_where(*same, [e for _, e in refused if isinstance(e, RefusedError)])
        return accepted, told(refused, {t.kind for t in accepted if t.kind in DOMAINS})


def _or_none(call: Callable, *arguments: Any) -> Any:
    """What it gives, None if it raises."""
    try:
        return call(*arguments)
    except Exception:
        return None


def _of_tensors(y: Any) -> bool:
    """Is a tensor among the outputs?"""
    return any(isinstance(a, torch.Tensor) for a in flat(y))


def _of_real(truth: Truth) -> Truth:
    """The same of real numbers alone, for code that takes labels of 0 and 1 as these."""

    def called(*tensors: torch.Tensor) -> Any:
        real = next((t.dtype for t in tensors if t.is_floating_point()), torch.float64)
        return truth(*(t if t.is_floating_point() or t.is_complex() else t.to(real) for t in tensors))

    return called


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
    if not _of_tensors(y):
        raise ValueError(f"`against` gives {describe(y)} where a tensor is wanted: it is to return its output")
    outputs = [t for t in flat(y) if isinstance(t, torch.Tensor) and t.requires_grad]
    real = {n: t for n, t in tensors.items() if t.requires_grad}
    if not outputs or not real:
        return (len(y) if isinstance(y, tuple) else 1), tuple(real)
    total = sum((torch.view_as_real(t) if t.is_complex() else t).sum() for t in outputs)
    grads = torch.autograd.grad(total, list(real.values()), allow_unused=True)
    left_out = tuple(n for n, g in zip(real, grads) if g is None)
    return (len(y) if isinstance(y, tuple) else 1), left_out


def _leaf(a: Any) -> torch.Tensor:
    t = as_tensor(a)
    return t.requires_grad_() if t.is_complex() else t


__all__ = ["Brought", "bring", "bring_pointwise"]
