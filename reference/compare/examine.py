"""Somebody's gradient, tried on inputs: which side is wrong, where it first goes wrong, and what the functions do that
they must not. `check.py` brings what is checked into the form that is examined here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np
import torch

from manualbp.base import Array, Tree, tree_map

from ..diagnose.contracts import broken_contracts
from ..diagnose.diagnosis import explain, of_contracts, of_side
from ..diagnose.evidence import Evidence, Suspect
from ..draw.case import cast
from ..draw.trial import Trial, corner, numbers
from ..report.report import Report
from ..sides.run import leaves, of_output
from ..sides.yours import FORWARD, Arrays, Subject, as_arrays, as_tensor, flat, of_gradient
from .bound import EPS, WIDE, Runs, distance, largest, moved
from .comparison import Tensor, exactly, overflown, within
from .differences import ON_A_LINE, by_differences, is_own_derivative

Truth = Callable[..., Any]
Replay = Callable[[Trial, Tree, str], Mapping[str, Array]]
PIECES = 4  # of evidence for a tensor, each from a trial of other sizes
LOOKS, MORE = 4, 32  # runs on data moved by their last bits; further ones where that may have been luck
LUCK = 2.0**14  # units of the noise: the error that luck may have hidden
FAINT = 2.0**22  # units of the noise floor that a tensor may have and be noise


@dataclass(frozen=True)
class Run:
    """What one side gives on one trial: outputs and gradients by name; intermediates where they have names."""

    y: Tree
    grads: Mapping[str, Array | None]
    trace: Mapping[str, Array]

    def named(self) -> dict[str, Any]:
        traced = {n + FORWARD: a for n, a in self.trace.items()}
        return {**traced, **leaves(self.y, "y"), **{f"d{n}": g for n, g in self.grads.items()}}


@dataclass(frozen=True)
class Examined:
    """One trial: both sides compared."""

    trial: Trial
    dy: Tree
    tensors: tuple[Tensor, ...]
    yours: Run
    right: Run

    @property
    def wrong(self) -> tuple[Tensor, ...]:
        return tuple(t for t in self.tensors if not t.ok)


def examine(
    title: str, subject: Subject, truth: Truth | None, trials: Sequence[Trial],
    options: Mapping[str, float] | None = None, replay: Replay | None = None,
) -> Report:  # fmt: skip
    """The report on a subject. `truth`: the function intended, in torch; without it its own forward decides."""
    examined, refused = _each(subject, truth, trials)
    contracted = broken_contracts(subject, [e.trial for e in examined])
    broken, remarks = [b for b in contracted if not b.note], tuple(b.text for b in contracted if b.note)
    contracts, remarks = tuple(b.text for b in broken), (*refused, *remarks)
    shown = next((e for e in examined if e.wrong), None)
    if shown is None:
        return replace(_passed(title, examined, contracts, of_contracts(broken, alone=True)), notes=remarks)
    small = [_in_small(subject, truth, e) for e in examined]
    whole = _few([x for e in examined for x in _evidence(e, options, None)])
    suspects, notes = explain(_few([x for e in small for x in _evidence(e, options, replay)]), whole)
    suspects = tuple(sorted((*suspects, *of_contracts(broken, alone=False)), key=lambda s: -s.score))
    conventional = all(not e.wrong or (e.trial.integers and _is_convention(truth, e)) for e in examined)
    side = None if conventional else _side(subject, small)
    suspects = of_side(suspects, side)
    return Report(
        title, "convention" if conventional else "wrong", side, shown.wrong[0].name, suspects, shown.tensors,
        contracts, (*notes, *remarks), len(examined), str(shown.trial),
    )  # fmt: skip


def _each(subject: Subject, truth: Truth | None, trials: Sequence[Trial]) -> tuple[list[Examined], tuple[str, ...]]:
    """Every trial that the subject can be run on, and a sentence for each that ends in an error."""
    examined, errors = [], {}
    for trial in trials:
        try:
            examined.append(one(subject, truth, trial))
        except Exception as e:
            errors[str(trial)] = e
    if not examined:
        raise next(iter(errors.values()))
    return examined, tuple(f"{type(e).__name__} for {trial}: {e}" for trial, e in errors.items())


def _few(evidence: list[Evidence]) -> list[Evidence]:
    """The first pieces of every tensor: more trials make a name no surer, only later."""
    return [e for i, e in enumerate(evidence) if sum(e.name == other.name for other in evidence[:i]) < PIECES]


def _passed(
    title: str, examined: Sequence[Examined], contracts: tuple[str, ...], suspects: tuple[Suspect, ...]
) -> Report:
    shown = min(examined, key=lambda e: sum(t.power is None for t in e.tensors))
    seen = [t for e in examined for t in e.tensors if of_gradient(t.name)]
    if contracts:
        verdict, side = "wrong", "contract"
    elif all(t.power is None for t in seen):
        verdict, side = "vacuous", None
    else:
        verdict, side = ("identical" if all(t.identical for t in seen) else "rounding"), None
    return Report(title, verdict, side, None, suspects, shown.tensors, contracts, (), len(examined), str(shown.trial))


def one(subject: Subject, truth: Truth | None, trial: Trial) -> Examined:
    """One trial: the subject in every precision that it takes, the truth in two, and the bound between them."""
    dy = _upstream(subject, truth, trial)
    yours = run_subject(subject, trial.arrays, dy)
    if truth is None:
        return _without_truth(subject, trial, dy, yours)
    runs = truth_runs(truth, trial.arrays, dy)
    dtype = "float32" if all(a.dtype == np.float32 for a in _real(trial.arrays)) else "float64"
    hand = _precisions(subject, trial, dy, yours)
    floor = floor_of(trial, dy, runs[dtype], EPS[dtype])
    compared = partial(_compared, hand, yours, runs, dtype, floor)
    tensors = compared(spread(truth, trial, dy, runs[dtype], LOOKS))
    if any(t.bound < t.error < LUCK * (t.bound + floor[1]) for t in tensors):
        tensors = compared(spread(truth, trial, dy, runs[dtype], MORE))
    return Examined(trial, dy, tuple(_ordered(tensors)), yours, runs[dtype])


def _compared(
    hand: tuple[Run, Run, Run], yours: Run, runs: Mapping[str, Run], dtype: str, floor: tuple[float, float],
    noise: Mapping[str, float],
) -> list[Tensor]:  # fmt: skip
    """Every tensor of both sides. `noise`: how far the truth's move; `floor`: of outputs, and of gradients."""
    named = [r.named() for r in (*hand, runs["float32"], runs["float64"])]
    tensors = []
    for name in {**named[-1], **yours.named()}:
        each = [r.get(name) for r in named]
        if dtype == "float64" and each[1] is not None:
            each[1] = np.asarray(each[1], dtype=_kind(each[1]))
        spread = noise.get(name, 0.0) + floor_under(each[-1], floor[of_gradient(name)])
        tensors.append(within(name, *each, dtype, spread))
    return overflown(tensors)


def floor_of(trial: Trial, dy: Tree, right: Run, eps: float) -> tuple[float, float]:
    """The last bits of the largest input, and of the largest gradient: what torch cancels inside is of their size."""
    inputs = max(map(largest, _real(trial.arrays)), default=0.0)
    about = [*right.grads.values(), *flat(dy)]
    return eps * inputs, eps * max((largest(np.asarray(a)) for a in about if a is not None), default=0.0)


def floor_under(right: Array | None, floor: float) -> float:
    """The floor, under a tensor so small that it may be nothing but noise; a better formula than torch's is not wrong.

    A tensor that is larger shows its noise by itself."""
    return floor if right is not None and right.dtype.kind == "f" and largest(right) <= FAINT * floor else 0.0


def _ordered(tensors: list[Tensor]) -> list[Tensor]:
    """Forward first, in order, then the gradients: the first wrong one is the culprit."""
    return [t for t in tensors if not of_gradient(t.name)] + [t for t in tensors if of_gradient(t.name)]


def _kind(a: Any) -> Any:
    return np.float64 if np.asarray(a).dtype.kind == "f" else np.asarray(a).dtype


def _real(arrays: Mapping[str, Any]) -> list[Array]:
    return [np.asarray(a) for a in arrays.values() if np.asarray(a).dtype.kind == "f"]


def _upstream(subject: Subject, truth: Truth | None, trial: Trial) -> Tree:
    """A random upstream gradient of the shape of the output, never ones; 1 where backward takes none."""
    if truth is not None:
        y = as_arrays(_split(truth(*(as_tensor(a) for a in trial.arrays.values())))[0])
    else:
        y = subject.forward(copied(trial.arrays))[0]
    if subject.no_upstream:
        return tree_map(lambda a: np.ones(np.shape(a)), y)
    rng = np.random.default_rng(trial.seed + 1)
    if trial.integers:
        return tree_map(lambda a: rng.integers(1, 4, np.shape(a)) * rng.choice([-1.0, 1.0], np.shape(a)), y)
    draw = rng.standard_normal if not trial.large else partial(rng.uniform, -2, 2)  # three times as fast
    return tree_map(lambda a: np.asarray(draw(size=np.shape(a)), float), y)


def copied(arrays: Mapping[str, Any]) -> Arrays:
    return {n: np.array(a) for n, a in arrays.items()}


def run_subject(subject: Subject, arrays: Mapping[str, Any], dy: Tree) -> Run:
    """One clean call, on copies."""
    subject = subject.fresh()
    y, cache = subject.forward(copied(arrays))
    grads = subject.backward(tree_map(np.array, dy), cache)
    real = {n for n, a in arrays.items() if np.asarray(a).dtype.kind == "f"}
    wanted = {n: None if grads.get(n) is None else np.asarray(grads[n]) for n in subject.names if n in real}
    kept = getattr(cache, "get", None) or (
        cache[0].get if isinstance(cache, tuple) and isinstance(cache[0], dict) else lambda name: None
    )
    more = {n if kept(n) is not None else n.removeprefix("d"): g for n, g in grads.items() if n not in arrays}
    extra = {n: np.asarray(g) for n, g in more.items() if g is not None}
    trace = {n: np.asarray(kept(n)) for n in extra if kept(n) is not None}
    return Run(tree_map(np.asarray, y), extra | wanted, trace | subject.moved(cache))


def run_truth(truth: Truth, arrays: Mapping[str, Any], dy: Tree) -> Run:
    """The function intended, by autograd. Intermediates that it returns in a dict are compared, too."""
    tensors = {n: as_tensor(a) for n, a in arrays.items()}
    y, trace = _split(truth(*tensors.values()))
    for t in trace.values():
        if t.requires_grad:
            t.retain_grad()
    pairs = [(a, d) for a, d in zip(flat(y), flat(dy)) if a is not None and d is not None and a.requires_grad]
    if pairs:
        torch.autograd.backward(
            [a for a, _ in pairs], [torch.as_tensor(np.asarray(d)).reshape(a.shape) for a, d in pairs]
        )
    grads = {n: _grad(t) for n, t in {**trace, **tensors}.items() if t.requires_grad}
    return Run(as_arrays(y), grads, {n: as_arrays(t) for n, t in trace.items()})


def truth_runs(truth: Truth, arrays: Mapping[str, Any], dy: Tree) -> dict[str, Run]:
    """The truth in both precisions; in float64 twice, if it holds float64 numbers of its own."""
    wide = run_truth(truth, cast(dict(arrays), "float64"), cast(dy, "float64"))
    try:
        return {"float32": run_truth(truth, cast(dict(arrays), "float32"), cast(dy, "float32")), "float64": wide}
    except RuntimeError:
        return {"float32": wide, "float64": wide}


def _split(found: Any) -> tuple[Any, dict[str, torch.Tensor]]:
    """Output, and intermediates by name if the function returns (y, {"z": z, …})."""
    if isinstance(found, tuple) and len(found) == 2 and isinstance(found[1], dict):
        return found
    return found, {}


def _grad(t: torch.Tensor) -> Array:
    return np.zeros(tuple(t.shape), t.detach().numpy().dtype) if t.grad is None else t.grad.detach().numpy().copy()


def _precisions(subject: Subject, trial: Trial, dy: Tree, yours: Run) -> tuple[Run, Run, Run]:
    """The subject in float32, float64 and longdouble; its one run stands for a precision that it does not take."""
    found = {a.dtype.type: yours for a in _real(trial.arrays) if a.dtype == np.float64}
    wide = np.longdouble if WIDE and not trial.large and not subject.of_torch else np.float64
    shapes = {n: np.shape(a) for n, a in yours.named().items()}
    for dtype in (np.float32, np.float64, wide):
        if dtype not in found:
            try:
                with np.errstate(all="ignore"):
                    run = run_subject(subject, cast(dict(trial.arrays), dtype), cast(dy, dtype))
                found[dtype] = run if {n: np.shape(a) for n, a in run.named().items()} == shapes else yours
            except Exception:
                found[dtype] = yours
    if not trial.large and not _same_again(subject, trial, dy, yours):  # state, not rounding, sets runs apart
        return yours, yours, yours
    return found[np.float32], found[np.float64], found[wide]


def _same_again(subject: Subject, trial: Trial, dy: Tree, yours: Run) -> bool:
    """Does another run on the same numbers give the same?"""
    again, before = run_subject(subject, trial.arrays, dy).named(), yours.named()
    return all(
        a is None or np.array_equal(a, before[n], equal_nan=np.asarray(a).dtype.kind == "f") for n, a in again.items()
    )


def spread(truth: Truth, trial: Trial, dy: Tree, start: Run, looks: int) -> dict[str, float]:
    """How far the truth moves when the inputs move by their last bits: what rounding anywhere may do to it."""
    rng, found = np.random.default_rng(trial.seed), {}
    before = start.named()
    for _ in range(0 if trial.large else looks):
        arrays = {n: moved(rng, a, bool(np.any(start.grads.get(n)))) for n, a in trial.arrays.items()}
        for name, a in run_truth(truth, arrays, tree_map(partial(moved, rng), dy)).named().items():
            if a is not None and before[name] is not None:
                found[name] = max(found.get(name, 0.0), distance(a, before[name]))
    return found


def _without_truth(subject: Subject, trial: Trial, dy: Tree, yours: Run) -> Examined:
    """No function to compare with: the differences of the subject's own forward decide."""
    if trial.integers:
        return Examined(trial, dy, (), yours, yours)
    if any(a.dtype == np.float32 for a in _real(trial.arrays)):  # too coarse for differences
        trial, dy = replace(trial, arrays=cast(dict(trial.arrays), np.float64)), cast(dy, np.float64)
        yours = run_subject(subject, trial.arrays, dy)
    rounding = {} if trial.large else _rounding(*_precisions(subject, trial, dy, yours))
    tensors, right = by_differences(subject, trial, dy, yours.grads, rounding)
    outputs = [exactly(n, a, a) for n, a in leaves(yours.y, "y").items() if a is not None]
    tensors = overflown([*outputs, *tensors])[len(outputs) :]
    return Examined(trial, dy, tuple(tensors), yours, replace(yours, grads=right))


def _rounding(h32: Run, h64: Run, h80: Run) -> dict[str, float]:
    """What rounding in backward may do to every gradient, beside one that does not round."""
    known = {n: g for n, g in h64.grads.items() if g is not None}
    return {n: Runs(h32.grads[n], g, h80.grads[n], g, g).bound("float64") for n, g in known.items()}


def _in_small(subject: Subject, truth: Truth | None, e: Examined) -> Examined:
    """The same mistake on a corner of the data, where it is cheap to name; `e` itself where that does not show it."""
    if not e.wrong or not (e.trial.large or any(t.what == ON_A_LINE for t in e.wrong)):
        return e
    try:
        found = one(subject, truth, corner(e.trial))
    except Exception:  # a function of one size only
        return e
    return found if {t.name for t in e.wrong} <= {t.name for t in found.wrong} else e


def _side(subject: Subject, examined: Sequence[Examined]) -> str:
    """Which side is wrong: by the outputs, and by the differences of the subject's own forward."""
    failed = [e for e in examined if e.wrong]
    if all(of_gradient(t.name) for e in failed for t in e.wrong):
        return "backward"
    own = (is_own_derivative(subject, e.trial, e.dy, e.yours.grads) for e in failed)
    return "both" if any(holds is False for holds in own) else "forward"


def _is_convention(truth: Truth | None, e: Examined) -> bool:
    """Does every gradient that differs lie between those that torch gives beside the kink?

    Off the kink, on all sides of it, torch's gradients are undisputed; a choice at the kink is between them, entry by
    entry and in sum.
    """
    if truth is None or any(not of_gradient(t.name) for t in e.wrong):
        return False
    rng = np.random.default_rng(e.trial.seed + 3)
    near = []
    for _ in range(48):
        arrays = {
            n: a + 1e-6 * rng.standard_normal(np.shape(a)) if np.asarray(a).dtype.kind == "f" else a
            for n, a in e.trial.arrays.items()
        }
        near.append(run_truth(truth, arrays, e.dy).grads)
    return all(_between(e.yours.grads.get(t.name[1:]), [run[t.name[1:]] for run in near]) for t in e.wrong)


def _between(yours: Array | None, around: list[Array | None]) -> bool:
    if yours is None or around[0] is None or yours.shape != around[0].shape:
        return False
    each = np.stack([a for a in around if a is not None])
    room = 1e-4 * (1 + largest(each))
    low, high, sums = each.min(0) - room, each.max(0) + room, each.reshape(len(each), -1).sum(1)
    total = float(yours.sum())
    inside = bool(((yours >= low) & (yours <= high)).all())
    return inside and sums.min() - room * yours.size <= total <= sums.max() + room * yours.size


def _evidence(e: Examined, options: Mapping[str, float] | None, replay: Replay | None) -> list[Evidence]:
    known: dict[str, Any] = {_apart(n): np.asarray(a) for n, a in e.trial.arrays.items()}
    known |= {n.replace("y", "dy", 1): np.asarray(a) for n, a in leaves(e.dy, "y").items() if a is not None}
    known |= leaves(e.right.y, "y") | dict(e.right.trace)
    both = [{_apart(n): g for n, g in run.grads.items() if g is not None} for run in (e.right, e.yours)]
    again = None if e.trial.large else replay
    found = []
    for t in e.wrong:
        forward = not of_gradient(t.name)
        name = t.name if forward else t.name[1:]
        if t.torch is not None and t.what != ON_A_LINE:
            yours = np.zeros(0) if t.hand is None else np.asarray(t.hand)
            replays = cache(partial(again, e.trial, e.dy, name)) if again else dict
            of = name if forward else _apart(name)
            told = np.asarray(t.torch), t.bound, known, *both, numbers(e.trial, options), replays, forward
            found.append(Evidence(of, yours, *told))
    return found


def _apart(name: str) -> str:
    """The name of an input, which may be called y or dy as well as the output and its gradient are."""
    return f"{name} (input)" if of_output(name.removeprefix("d")) else name
