"""Updates of two sides in lock-step: the same gradients, every parameter and every array of the state, every step.

scale    the largest entry of a parameter up to this step, of its gradient and of its state: an update subtracts
         these, and what was off in an earlier step still is
bound    of `bound`, with the scale as S: strict first, for all arrays of all steps at once; where it is exceeded
         with the judged side's rounding in longdouble, then with that of either side in other precisions; at last
         with moved parameters, since a line search magnifies their last bits by up to a billion
power    the smallest fault that is excluded: of a parameter relative to the largest change of a step, of a state
         relative to itself
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from manualbp.base import Array
from manualbp.optim import Optimizer, Rows

from ..draw.case import Case
from ..draw.steps import Flat, Steps, draw, in_two_groups, is_dyadic, of_network
from ..draw.trial import Trial
from ..sides.run import GRADIENT, UPDATE, Name, of_role
from ..sides.steps import HandUpdates, History, TorchUpdates, Updates
from .bound import EPS, FACTOR, LEAST, distance, largest, measured, most
from .comparison import NEAR, Comparison
from .nudge import LOOKS, moved
from .tensor import Tensor

CHAOS = 1e-3  # of a parameter: what its last bits move it by from where on nothing can be compared


@dataclass(frozen=True)
class Lockstep:
    """Both sides on the same steps. `exact`: is it certain that no operation of the steps rounds?"""

    hand: Updates
    torch: Updates
    steps: Steps
    dtype: str = "float64"
    exact: Callable[[], bool] = lambda: False

    @cached_property
    def found(self) -> tuple[Tensor, ...]:
        """For every array the step at which it is worst."""
        if self.comparable:
            if self.error.any() and self.exact():
                return self.tensors(np.zeros_like(self.scale))
            for bounds in self.bounds():
                if (self.error <= NEAR * bounds).all():
                    return self.tensors(bounds)
        found = self.one_by_one({})
        return found if all(t.ok for t in found) else self.one_by_one(dict(enumerate(self.moves())))

    @property
    def wrong(self) -> tuple[Tensor, ...]:
        return tuple(t for t in self.found if not t.ok)

    @cached_property
    def runs(self) -> tuple[History, History]:
        kind = np.dtype(self.dtype).type
        return self.hand.run(self.steps, kind), self.torch.run(self.steps, kind)

    @cached_property
    def places(self) -> list[tuple[int, str]]:
        """(step, name) of every array that has entries."""
        return [(k, n) for k, after in enumerate(self.runs[0]) for n, a in after.items() if a.size]

    @cached_property
    def packed(self) -> tuple[Array, Array, Array]:
        """All arrays of either side, end to end, and where each begins."""
        mine, theirs = ([run[k][n].ravel() for k, n in self.places] for run in self.runs)
        return np.concatenate(mine), np.concatenate(theirs), begins(mine)

    @cached_property
    def comparable(self) -> bool:
        """Do both have the same arrays, and only finite numbers in them?"""
        mine, theirs = self.runs
        if len(mine) != len(theirs) or not self.places:
            return False
        for a, b in zip(mine, theirs):
            if a.keys() != b.keys() or any(not _alike(v, b[n]) for n, v in a.items()):
                return False
        return bool(np.isfinite(self.packed[0]).all() and np.isfinite(self.packed[1]).all())

    @cached_property
    def error(self) -> Array:
        """The largest |by hand − by torch| of every array."""
        mine, theirs, starts = self.packed
        return tops(mine - theirs, starts)

    @cached_property
    def size(self) -> Array:
        """The largest entry of every array."""
        return tops(self.packed[0], self.packed[2])

    @cached_property
    def scale(self) -> Array:
        """What the last bit of every array is measured by."""
        before, gradients = {n: largest(p) for n, p in self.steps.params.items()}, self.gradients
        here: dict[tuple[int, str], float] = {}
        of = []
        for (k, n), s in zip(self.places, self.size.tolist()):
            whole, _, slot = n.partition("/")
            of.append((k, whole))
            if slot != "step" and s > here.get(of[-1], 0.0):
                here[of[-1]] = s
        for k, after in enumerate(self.runs[0]):
            for n in self.steps.params:
                if n in after:
                    before[n] = max(before[n], here.get((k, n), 0.0))
                    here[k, n] = max(before[n], gradients.get((k, n), 0.0))
        return np.array([here.get(place, 0.0) for place in of])

    def bounds(self) -> Iterator[Array]:
        """Of every array, the strictest first: the last bits; with what longdouble shows of the judged rounding."""
        least = EPS[self.dtype] * self.scale + LEAST[self.dtype]
        yield FACTOR * least
        if (own := self.own) is not None:
            yield FACTOR * (least + np.minimum(own, most(self.scale, least, self.dtype)))

    @cached_property
    def wide(self) -> History | None:
        """The judged side in longdouble."""
        taken = self.dtype == "float64" and np.longdouble in self.hand.precisions
        return self.hand.run(self.steps, np.longdouble) if taken else None

    @cached_property
    def own(self) -> Array | None:
        """By how much every array differs in longdouble; None where a choice falls otherwise there."""
        if self.wide is None or any(choices(a) != choices(b) for a, b in zip(self.runs[0], self.wide)):
            return None
        mine, _, starts = self.packed
        wide = np.concatenate([self.wide[k][n].ravel() for k, n in self.places])
        return tops(mine - wide, starts)

    @cached_property
    def gradients(self) -> dict[tuple[int, str], float]:
        """The largest entry of every gradient, by step and name."""
        of_steps = [
            (k, n, g) for k, of_step in enumerate(self.steps.grads) for n, g in of_step.items() if g is not None
        ]
        given = {(k, n): (g.values if isinstance(g, Rows) else g).ravel() for k, n, g in of_steps}
        there = {at: g for at, g in given.items() if g.size}
        flat = [*there.values()]
        return dict(zip(there, tops(np.concatenate(flat), begins(flat)).tolist())) if flat else {}

    @cached_property
    def change(self) -> Array:
        """What a fault is measured by: a parameter's largest change in the step, a state's largest entry."""
        before = [self.steps.params, *self.runs[0]]
        start = [
            before[k][n].ravel() if n in self.steps.params else np.zeros(self.runs[0][k][n].size)
            for k, n in self.places
        ]
        return tops(self.packed[0] - np.concatenate(start), self.packed[2])

    def tensors(self, bounds: Array) -> tuple[Tensor, ...]:
        """The worst step of every array, by these bounds."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.where(self.error == 0, 0.0, self.error / bounds).tolist()
            powers = np.where(self.change > bounds, bounds / self.change, np.nan).tolist()
        worst: dict[str, int] = {}
        for i, (_, n) in enumerate(self.places):
            if n not in worst or ratios[i] > ratios[worst[n]]:
                worst[n] = i
        power = {n: p for (_, n), p in zip(self.places, powers) if p == p}
        return tuple(self._tensor(i, float(bounds[i]), power.get(n)) for n, i in worst.items())

    def _tensor(self, i: int, bound: float, power: float | None) -> Tensor:
        (k, n), error = self.places[i], float(self.error[i])
        hand, torch = (run[k][n] for run in self.runs)
        return Tensor(Name(UPDATE, n, k + 1), hand, torch, error, bound, error == 0, power, 0.0)

    def one_by_one(self, spread: dict[int, dict[str, float] | None]) -> tuple[Tensor, ...]:
        """The same with the rounding of either side measured, and with `spread`, by step, in the bounds.

        It ends where a choice (a line search's, to go on or not) falls otherwise in another precision of the same
        side, or on moved parameters (None in `spread`): then rounding makes it, and either is right."""
        worst: dict[str, Tensor] = {}
        for k, (a, b) in enumerate(zip(*self.runs)):
            moves = spread.get(k, {})
            if moves is None or self._chosen_by_rounding(k) or self._chaotic(k, spread):
                break
            for n in a | b:
                t = self._bounded(k, n, FACTOR * moves.get(n, 0.0))
                if n not in worst or t.ratio > worst[n].ratio:
                    worst[n] = t
        return tuple(worst.values())

    @cached_property
    def precise(self) -> tuple[dict[Any, History], dict[Any, History]]:
        """Both sides in every precision."""
        return self._precisions(self.hand, self.runs[0]), self._precisions(self.torch, self.runs[1])

    def bound(self, k: int, n: str) -> float:
        """The measured bound of an array after step k + 1; what one precision has not, says nothing."""
        mine, theirs = self.precise
        hand, torch = (run[k].get(n, np.zeros(())) for run in self.runs)
        runs = [mine[d][k].get(n, hand) for d in (np.float32, np.float64, np.longdouble)]
        runs += [theirs[d][k].get(n, torch) for d in (np.float32, np.float64)]
        return measured(self._scale_of(k, n), self.dtype, *runs)

    def _precisions(self, side: Updates, run: History) -> dict[Any, History]:
        kinds = (np.float32, np.float64, np.longdouble)
        known = {np.dtype(self.dtype).type: run}
        if side is self.hand and self.wide is not None:
            known[np.longdouble] = self.wide
        return {d: known[d] if d in known else side.run(self.steps, d) if d in side.precisions else run for d in kinds}

    def _chosen_by_rounding(self, k: int) -> bool:
        (mine, theirs), narrow, wide = self.precise, np.float32, np.float64
        pairs = [(mine[wide], mine[np.longdouble])]
        if self.dtype == "float32":
            pairs = [(mine[narrow], mine[wide]), (theirs[narrow], theirs[wide])]
        return any(choices(a[k]) != choices(b[k]) for a, b in pairs)

    def _chaotic(self, k: int, spread: dict[int, dict[str, float] | None]) -> bool:
        """Did last bits move a parameter by more than a thousandth of itself in the step before?"""
        hand, moves = self.runs[0][k - 1] if k else {}, spread.get(k - 1) or {}
        return any(n in hand and moves.get(n, 0.0) > CHAOS * largest(hand[n]) for n in self.steps.params)

    def _bounded(self, k: int, n: str, extra: float) -> Tensor:
        hand, torch = (run[k].get(n) for run in self.runs)
        name = Name(UPDATE, n, k + 1)
        if hand is None or torch is None:
            told = f"{'by hand' if hand is None else 'torch'} has none"
            return Tensor(name, hand, torch, float("inf"), 0.0, False, None, 1.0, told)
        bound = self.bound(k, n) + extra
        error, change = differ(hand, torch), self._change_of(k, n, hand)
        return Tensor(name, hand, torch, error, bound, error == 0, bound / change if change > bound else None, 0.0)

    def _change_of(self, k: int, n: str, hand: Array) -> float:
        before = self.steps.params if k == 0 else self.runs[0][k - 1]
        return distance(hand, before[n]) if n in self.steps.params else largest(hand)

    def _scale_of(self, k: int, n: str) -> float:
        whole, after = n.partition("/")[0], self.runs[0]
        here = [a for m, a in after[k].items() if m.partition("/")[0] == whole and m.partition("/")[2] != "step"]
        before = [run[whole] for run in (self.steps.params, *after[:k]) if whole in run]
        return max([self.gradients.get((k, whole), 0.0), *map(largest, (*here, *before))])

    def moves(self) -> list[dict[str, float] | None]:
        """For every step, how far each array of either side moves when the parameters do by their last bits; None from
        the step on at which a choice falls otherwise then."""
        rng, kind = np.random.default_rng(0), np.dtype(self.dtype).type
        spread: list[dict[str, float] | None] = [{} for _ in self.steps.grads]
        for _ in range(LOOKS):
            params = {n: moved(rng, p.astype(kind)) for n, p in self.steps.params.items()}
            for side, before in ((self.hand, self.runs[0]), (self.torch, self.runs[1])):
                for k, (after, start) in enumerate(zip(side.run(replace(self.steps, params=params), kind), before)):
                    of_step = spread[k]
                    if of_step is None or choices(after) != choices(start):
                        spread[k:] = [None] * (len(spread) - k)
                        break
                    for n in after.keys() & start.keys():
                        of_step[n] = max(of_step.get(n, 0.0), distance(after[n], start[n]))
        return spread


def begins(arrays: list[Array]) -> Array:
    """Where each begins when they are laid end to end."""
    return np.cumsum([0, *(a.size for a in arrays[:-1])])


def tops(packed: Array, starts: Array) -> Array:
    """The largest magnitude of each of the arrays that begin at `starts`."""
    return np.maximum.reduceat(np.abs(packed), starts)


def _alike(a: Array, b: Array) -> bool:
    return a.shape == b.shape and (not a.ndim or a.dtype == b.dtype)


def choices(run: Flat) -> dict[str, int]:
    """What was counted up to a step, and of which arrays there is how much."""
    return {n: int(a) if n.endswith(("/step", "/n_iter", "/func_evals")) else a.size for n, a in run.items()}


def differ(a: Array, b: Array) -> float:
    """The largest difference; inf if shapes or dtypes or the places of nan and infinity differ."""
    if not _alike(a, b) or not np.array_equal(np.isfinite(a), np.isfinite(b)):
        return float("inf")
    odd = ~np.isfinite(a)
    return distance(a, b) if np.array_equal(a[odd], b[odd], equal_nan=True) else float("inf")


def lockstep(
    opt: Optimizer, seed: int = 0, count: int = 8, exact: bool = False, steps: Steps | None = None,
    dtype: str = "float64",
) -> Lockstep:  # fmt: skip
    """An optimizer by hand beside torch's, on drawn steps or these. A second group is added if there is none; torch's
    side is that of a faulty subclass's parent, so that faults can be shown."""
    opt = in_two_groups(opt)
    steps = steps or draw(opt, seed, count, exact)
    return Lockstep(HandUpdates(opt), TorchUpdates(opt), steps, dtype, lambda: exact)


def with_updates(case: Case, found: Comparison, trial: Trial, proved: Callable[[], bool]) -> Comparison:
    """`found`, and the updates of the case's optimizer, that begin with the network's own gradients."""
    assert case.optimizer is not None
    dyadic = found.exact and case.dtype == "float64" and is_dyadic(case.optimizer)
    opt = in_two_groups(case.optimizer)
    steps = of_network(trial, of_role(found.runs[0], GRADIENT), opt, dyadic)
    pair = Lockstep(HandUpdates(opt), TorchUpdates(opt), steps, case.dtype, lambda: dyadic and proved())
    return replace(found, tensors=(*found.tensors, *pair.found))
