"""Two sides on one trial, compared array by array, by the strictest bound that is needed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from manualbp.base import Array, Layer, Params, Tree

from ..draw.case import Case
from ..draw.trial import Trial
from ..sides.complex import in_pairs
from ..sides.hand import Hand
from ..sides.module import twin_of
from ..sides.run import OUTPUT, UPDATE, Name, Run, in_order
from ..sides.side import Side
from ..twin.conventions import as_in
from . import nudge
from .bound import largest, measured, strict, with_own
from .tensor import Tensor, exactly, within

GOOD = ("identical", "rounding")
NEAR = 0.5  # of a bound: what is beyond it may be within by luck, and is looked at more closely


@dataclass(frozen=True)
class Comparison:
    """All tensors of one trial. `exact`: nothing rounds there, so == was asked for."""

    tensors: tuple[Tensor, ...]
    exact: bool = False
    dtype: str = "float64"
    runs: tuple[Run, Run] = field(default=({}, {}), repr=False, compare=False)

    @property
    def wrong(self) -> tuple[Tensor, ...]:
        return tuple(t for t in self.tensors if not t.ok)

    @property
    def gradients(self) -> tuple[Tensor, ...]:
        return tuple(t for t in self.tensors if t.is_gradient)

    @property
    def verdict(self) -> str:
        """ "identical", "rounding", "wrong" or "vacuous" (no gradient above the noise was compared)."""
        if self.wrong:
            return "wrong"
        if all(t.power is None for t in self.gradients) and self.tensors:
            return "vacuous"
        return "identical" if all(t.identical for t in self.tensors) else "rounding"

    @property
    def ratio(self) -> float:
        """The largest err/bound."""
        return max((t.ratio for t in self.tensors), default=0.0)

    @property
    def power(self) -> float | None:
        """The weakest power among the gradients that could be seen at all."""
        return max((t.power for t in self.gradients if t.power is not None), default=None)

    @property
    def power_of_updates(self) -> float | None:
        """The weakest power among what an optimizer moved, where it could be seen at all."""
        return max((t.power for t in self.tensors if t.power is not None and t.of.role == UPDATE), default=None)

    @property
    def blind(self) -> float:
        """The fraction of all gradient entries other than 0 that could have been 0 unnoticed."""
        sizes = [(t, np.count_nonzero(t.hand)) for t in self.gradients if t.hand is not None]
        return sum(t.blind * n for t, n in sizes) / max(sum(n for _, n in sizes), 1)


def compare(hand: Side, torch: Side, trial: Trial) -> Comparison:
    """Both sides of a trial. `hand` is the one that is judged; no bound grows with its faults.

    The strict bound first. Where it is exceeded: on small integers ==, if it is certain that nothing rounds there; else
    the rounding that the judged side shows in longdouble; then that of both sides in every precision; at last what data
    moved by their last bits show. Complex numbers are compared as pairs of real ones.
    """
    hand, torch, trial = in_pairs(hand, torch, trial)
    runs = hand.run(trial), torch.run(trial)
    done = partial(Comparison, dtype=trial.dtype, runs=runs)
    tensors = _against(runs, lambda n, a, b: strict(largest(b), trial.dtype))
    if trial.integers and all(t.identical for t in tensors):
        return done(_identical(tensors), exact=True)
    if _well_within(tensors) and not trial.integers:
        return done(tensors)
    if trial.integers and hand.proves_exact(trial):
        return done(tuple(exactly(t.of, t.hand, t.torch) for t in tensors), exact=True)
    if _well_within(tensors):
        return done(tensors)
    wide = _wide(hand, trial, runs[0])
    if wide and _well_within(tensors := _against(runs, lambda n, a, b: with_own(largest(b), trial.dtype, a, wide[n]))):
        return done(tensors)
    runs = runs[0], _where_finite(hand, torch, trial, runs)
    return _by_more_runs(hand, torch, trial, runs, wide)


def _by_more_runs(hand: Side, torch: Side, trial: Trial, runs: tuple[Run, Run], wide: Run) -> Comparison:
    """By the rounding that every precision shows, and at last by moved data."""
    mine, theirs, bounds = rounding(hand, torch, trial, runs, wide)
    runs = _alike_where_overflown(runs, mine[np.longdouble if trial.dtype == "float64" else np.float64]), runs[1]
    tensors = _against(runs, lambda n, a, b: bounds[n])
    exact_kinks = trial.integers and torch.meets_kinks(trial, _rounds(theirs))
    exact_kinks = exact_kinks and not hand.may_miss_kinks(trial, _rounds(mine))
    room: nudge.Room = {}
    if _beyond_all_room(torch, trial, runs, tensors, bounds, jumps=not exact_kinks):
        return Comparison(overflown(tensors), dtype=trial.dtype, runs=runs)
    for looks, near in ((nudge.LOOKS, NEAR), (nudge.MORE, 1.0)):
        off = [t for t in tensors if near < t.ratio and np.isfinite(t.error)]
        if off and (looks == nudge.LOOKS or any(_may_be_luck(t, bounds[t.of], room) for t in off)):
            room = nudge.room(hand, torch, trial, runs, looks, jumps=not exact_kinks)
            tensors = _against(runs, lambda n, a, b: bounds[n], room)
    return Comparison(overflown(tensors), dtype=trial.dtype, runs=runs)


def _beyond_all_room(
    torch: Side, trial: Trial, runs: tuple[Run, Run], tensors: Sequence[Tensor], bounds: dict[Name, float], jumps: bool
) -> bool:
    """Is all that is off so by more than moved data can show, whatever they show of the judged side? Then that, which
    may be dear, need not be run on them."""
    off = [t for t in tensors if t.ratio > NEAR]
    if not off or not all(nudge.LUCK < t.ratio < np.inf for t in off):
        return False
    most = nudge.room(None, torch, trial, runs, nudge.LOOKS, jumps)
    return all(not t.ok for t in _against(runs, lambda n, a, b: bounds[n], most) if t.of in {o.of for o in off})


def rounding(
    hand: Side, torch: Side, trial: Trial, runs: tuple[Run, Run], wide: Run | None = None
) -> tuple[dict[Any, Run], dict[Any, Run], dict[Name, float]]:
    """Both sides in every precision, and the bound of every tensor that follows. `wide`: the judged side in longdouble,
    where it has run already."""
    mine, theirs = precisions(hand, trial, runs[0], wide), precisions(torch, trial, runs[1])
    return mine, theirs, {n: _measured(n, trial.dtype, mine, theirs) for n in runs[0] | runs[1]}


def _may_be_luck(t: Tensor, bound: float, room: nudge.Room) -> bool:
    """May more looks find room that so few have missed? Where it is off by little, or others jump as far."""
    return t.error < nudge.LUCK * max(t.bound, bound) or float(np.max(room.get(t.of, 0.0), initial=0.0)) >= t.error


def _against(runs: tuple[Run, Run], bound: Any, room: nudge.Room | None = None) -> tuple[Tensor, ...]:
    hand, torch = runs
    return tuple(
        _one(n, hand.get(n), torch.get(n), bound, 0.0 if room is None else room.get(n, 0.0))
        for n in in_order(hand | torch)
    )


def _one(n: Any, a: Array | None, b: Array | None, bound: Any, allowed: Any) -> Tensor:
    real = a is not None and b is not None and a.shape == b.shape and a.dtype.kind == "f"
    return within(n, a, b, bound(n, a, b) if real else 0.0, allowed if real else 0.0)


def _measured(n: Any, dtype: str, mine: dict[Any, Run], theirs: dict[Any, Run]) -> float:
    h32, h64, h80 = (mine[d].get(n) for d in (np.float32, np.float64, np.longdouble))
    t32, t64 = (theirs[d].get(n) for d in (np.float32, np.float64))
    if any(a is None or a.dtype.kind != "f" for a in (h32, h64, h80, t32, t64)):
        return 0.0
    return measured(largest(t64), dtype, h32, h64, h80, t32, t64)


def precisions(side: Side, trial: Trial, run: Run, wide: Run | None = None) -> dict[Any, Run]:
    """The side in every precision; its one run stands for those that it does not take, or that are too dear."""
    found = dict.fromkeys((np.float32, np.float64, np.longdouble), run)
    wide = _wide(side, trial, run) if wide is None else wide
    others = {d: wide if d is np.longdouble else _in(side, trial, run, d) for d in side.precisions}
    return found | {d: other for d, other in others.items() if other}


def _wide(side: Side, trial: Trial, run: Run) -> Run:
    """The side in longdouble; {} where it does not take it, or it is too dear."""
    return {} if trial.large or np.longdouble not in side.precisions else _in(side, trial, run, np.longdouble)


def _in(side: Side, trial: Trial, run: Run, dtype: Any) -> Run:
    """The side in another precision than that of `run`; {} where it does not take it."""
    if np.dtype(dtype).name == trial.dtype:
        return {}
    try:
        with np.errstate(all="ignore"):
            other = side.run(trial.cast(dtype))
    except Exception:  # it does not take this precision
        return {}
    return other if {n: np.shape(a) for n, a in other.items()} == {n: np.shape(a) for n, a in run.items()} else {}


def _rounds(runs: dict[Any, Run]) -> bool:
    """Do float32 and float64 give other numbers, or was there no run in both?"""
    narrow, wide = runs[np.float32], runs[np.float64]
    return narrow is wide or not all(a is None or np.array_equal(a, wide[n]) for n, a in narrow.items())


def _where_finite(hand: Side, torch: Side, trial: Trial, runs: tuple[Run, Run]) -> Run:
    """torch's float32, but its float64 where only its own float32 overflows: a formula may be better than torch's."""
    mine, narrow = runs
    if trial.dtype != "float32" or all(a is None or np.isfinite(a).all() for a in narrow.values()):
        return narrow
    wide = torch.run(trial.cast("float64"))

    def better(n: Any, t32: Array | None) -> Array | None:
        h32, t64 = mine.get(n), wide.get(n)
        if h32 is None or t32 is None or t64 is None or t32.dtype.kind != "f" or h32.shape != t32.shape:
            return t32
        lost = ~np.isfinite(t32) & np.isfinite(t64) & np.isfinite(h32)
        with np.errstate(over="ignore"):
            return np.where(lost, t64, t32).astype(t32.dtype) if lost.any() else t32

    return {n: better(n, a) for n, a in narrow.items()}


def _alike_where_overflown(runs: tuple[Run, Run], wide: Run) -> Run:
    """The judged side, with torch's entry where neither is finite but a wider format is: which of ∞ − ∞ and 0 · ∞ come
    of what overflows depends on the order of operations."""

    def alike(n: Any, a: Array | None) -> Array | None:
        b, w = runs[1].get(n), wide.get(n)
        if a is None or b is None or w is None or a.dtype.kind != "f" or not a.shape == b.shape == w.shape:
            return a
        lost = ~np.isfinite(a) & ~np.isfinite(b) & np.isfinite(w)
        return np.where(lost, b, a) if lost.any() else a

    return {n: alike(n, a) for n, a in runs[0].items()}


def overflown(tensors: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """The same, but where an output is not finite, on both sides alike, a gradient need not be finite where the other
    is: ∞ − ∞ and 0 · ∞ depend on the order of operations."""
    tensors = tuple(tensors)
    outputs = [t for t in tensors if t.of.role == OUTPUT]
    whole = all(t.hand is None or np.isfinite(t.hand).all() for t in outputs if t.ok)
    if whole or not all(t.ok for t in outputs):
        return tensors
    told: Any = {"error": 0.0, "power": None, "blind": 1.0, "what": "an output is not finite"}
    return tuple(t if t.ok or np.isfinite(t.error) else replace(t, **told) for t in tensors)


def _well_within(tensors: Iterable[Tensor]) -> bool:
    """Is nothing so near to the strict bound that rounding has to be measured to tell how near it is?"""
    return all(t.ratio <= NEAR for t in tensors)


def _identical(tensors: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """As == sees them: no bit is off, so no fault is there at all."""
    return tuple(replace(t, bound=0.0, power=None if t.power is None else 2.0**-52, blind=0.0) for t in tensors)


def compare_case(case: Case, device: str = "cpu", trial: Trial | None = None) -> Comparison:
    """A layer by hand beside its torch twin, on the numbers of a case."""
    hand = Hand(as_in(case.layer), case.seed)
    return compare(hand, twin_of(case.layer, case.seed, device), trial or case.trial())


def compare_passes(
    layer: Layer, params: Params, x: Tree, dy: Tree, seed: int | None = None, exact: bool = False
) -> Comparison:
    """One pass by hand and by its torch twin, on data given."""
    trial = Trial(x, integers=exact, seed=seed or 0, params=params, dy=dy)
    return compare(Hand(layer, seed), twin_of(layer, seed), trial)
