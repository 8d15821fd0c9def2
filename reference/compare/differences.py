"""Gradients by differences of the candidate's own forward: what it must be the derivative of, whatever was intended."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property, reduce
from typing import Any

import numpy as np

from manualbp.base import Array

from ..draw.plans import BEYOND
from ..draw.trial import Trial
from ..sides.run import GRADIENT, Name, Run, flat
from ..sides.yours import Subject
from .bound import EPS, FACTOR, distance, largest, measured
from .kinks import beside
from .slopes import SHARP, extrapolated
from .tensor import Tensor, different

STEP = 2.0**-7  # the first step of the differences, in float64
FAR = 8.0  # how long a direction is at most, so that its step stays a small one whatever the number of entries
MANY = 2_000  # entries of all inputs above which each is tried along one random direction, not entry by entry
FEW = 200  # entries of all inputs up to which each is looked at on both sides
ON_A_LINE = "along a random direction"
BESIDE = 2.0**-16, 2.0**-30  # steps of one-sided slopes
ROUGH = 1e-3  # relative: how far these may be off
CURVED = 0.05  # relative: how far those of another step may be off
CLOSER = 2.0**-4  # times as far apart as slopes of coarser steps these may be; of a smooth function 2⁻⁹ is expected
AROUND, ALL = 24, 96  # places beside a kink; as many before a gradient is denied
SLOPES = 4  # different ones there, at which there are too many to see all
ROUNDED = 1e-12  # relative: rounding inside a forward that its output does not show

Grads = Mapping[str, Array | None]
Direction = tuple[Any, ...]  # c u₁ ⊗ u₂ ⊗ …: a number, and for every axis a vector: as random as an array, and small


@dataclass(frozen=True)
class Near:
    """L = Σ dy ⊙ y of the subject's own forward, near a trial."""

    subject: Subject
    trial: Trial

    def slope(self, v: Mapping[str, Direction], told: float) -> tuple[float, float]:
        """The derivative of L along v, and its uncertainty. `told`, what the candidate says it is, gets a second look
        before it is denied."""

        @cache
        def along(h: float) -> tuple[float, float]:
            return self.loss(v, h)

        slope, u = extrapolated(along, STEP, EPS["float64"])
        return (slope, u) if abs(told - slope) <= FACTOR * u else extrapolated(along, STEP, EPS["float64"], told)

    def loss(self, v: Mapping[str, Direction], h: float) -> tuple[float, float]:
        """L at h v from the trial, and the scale of its rounding."""
        arrays = {n: _moved(a, h, v[n]) if n in v else np.array(a) for n, a in self.trial.arrays.items()}
        y = self.subject.forward(arrays)[0]
        pairs = [(a, d) for a, d in zip(flat(y), flat(self.trial.dy)) if d is not None]
        each = [(np.asarray(a, float), np.asarray(d, float)) for a, d in pairs]
        return sum(float(np.vdot(a, d)) for a, d in each), sum(_norm(a) * _norm(d) for a, d in each)

    def around(self, v: Mapping[str, Direction], told: float, room: float) -> tuple[float, float]:
        """What the slope may be, `told` or not: from the least to the largest of those on both sides, which differ at a
        kink. Where `told` is none of these, those beside it, too, where no two entries are equal any more, and as much
        again. Anything where these are many, since then not all are seen; and where steps of two sizes contradict each
        other, as beside a jump or in code of few bits."""
        each = []
        for h in BESIDE:
            each.append(sides := self.sides(v, h))
            if not np.isfinite(sides).all() or min(sides) - room <= told <= max(sides) + room:
                return -math.inf, math.inf
        if not self._settle(self.sides(v, STEP), *each):
            return -math.inf, math.inf
        rng, slopes = np.random.default_rng(self.trial.seed), [*each[-1]]
        for count in (AROUND, ALL - AROUND):
            slopes += [self._beside(rng, v) for _ in range(count)]
            low, high = min(slopes), max(slopes)
            beyond = room + ROUGH * max(abs(low), abs(high)) + (high - low)
            if low - beyond <= told <= high + beyond:
                break
        if np.count_nonzero(np.diff(np.sort(slopes)) > self.noise + ROUGH * (high - low)) >= SLOPES:
            return -math.inf, math.inf
        return low - beyond, high + beyond

    def _beside(self, rng: np.random.Generator, v: Mapping[str, Direction]) -> float:
        """The slope at a place beside the trial, where no two entries are equal."""
        near, h = replace(self, trial=beside(rng, self.trial, "each")), BESIDE[-1]
        return (near.loss(v, h)[0] - near.loss(v, -h)[0]) / (2 * h)

    def _settle(self, coarse: Any, fine: Any, finest: Any) -> bool:
        """Do slopes of finer steps come closer to each other? Those beside a jump, or of few bits, do not."""
        before, after = np.abs(np.subtract(coarse, fine)), np.abs(np.subtract(fine, finest))
        return bool((after <= self.noise + np.maximum(CURVED * np.abs(fine), before * CLOSER)).all())

    @cached_property
    def here(self) -> tuple[float, float]:
        """L at the trial, and the scale of its rounding."""
        return self.loss({}, 0.0)

    @property
    def noise(self) -> float:
        """What rounding makes of a slope of the finest step."""
        return FACTOR * EPS["float64"] / BESIDE[-1] * self.here[1]

    def sides(self, v: Mapping[str, Direction], h: float) -> tuple[float, float]:
        """The slopes to the left and to the right."""
        before, here, after = self.loss(v, -h)[0], self.here[0], self.loss(v, h)[0]
        return (here - before) / h, (after - here) / h


def is_own_derivative(subject: Subject, trial: Trial, grads: Grads, only: Collection[str] | None = None) -> bool | None:
    """Are the gradients (or those of these names) the derivatives of the subject's own forward, along a random
    direction of all their inputs? None where that cannot tell: its steps are of float64."""
    if trial.integers:
        return None
    trial = trial.cast("float64")
    real = {n: a for n, a in trial.arrays.items() if np.asarray(a).dtype.kind == "f" and (only is None or n in only)}
    if any(not _fits(grads.get(n), a) for n, a in real.items()):
        return False
    if not real or not _of_shape(subject, trial):
        return None
    rounding = ROUNDED * max(map(largest, real.values()))
    return _on_line(Near(subject, trial), tuple(real), grads, rounding).ok


def _of_shape(subject: Subject, trial: Trial) -> bool:
    """Has the output of the own forward the shape of dy? It has not where the forward is not the one intended, and
    there is none where it takes shorter numbers alone."""
    try:
        y = flat(subject.fresh().forward({n: np.array(a) for n, a in trial.arrays.items()})[0])
    except Exception:
        return False
    dy = flat(trial.dy)
    return len(y) == len(dy) and all(d is None or np.shape(a) == np.shape(d) for a, d in zip(y, dy))


def own_rounding(runs: Mapping[Any, Run]) -> dict[str, float]:
    """What rounding in a backward may do to every gradient, beside one that does not round: by its own runs in
    several precisions."""
    h32, h64, h80 = (runs[d] for d in (np.float32, np.float64, np.longdouble))
    known = {n: g for n, g in h64.items() if n.role == GRADIENT and g is not None and h32[n] is not None}
    return {n.path: measured(largest(g), "float64", h32[n], g, h80[n], g, g, capped=False) / FACTOR
            for n, g in known.items()}  # fmt: skip


def by_differences(
    subject: Subject, trial: Trial, grads: Grads, rounding: Mapping[str, float]
) -> tuple[tuple[Tensor, ...], dict[str, Array]]:
    """Every gradient beside the slopes of the own forward, and these slopes by name.

    Entry by entry; with many entries along one random direction, which sees nearly every fault, but not where; with a
    size beyond blocks, too, of which only a fault counts that smaller ones have not.
    `rounding`: what rounding does to the entries of each gradient.
    """
    near = Near(subject, trial)
    tensors = tuple(_compared(near, name, grads, rounding.get(name, 0.0)) for name in grads)
    return tensors, {n: t.torch for n, t in zip(grads, tensors) if t.torch is not None and t.what != ON_A_LINE}


def _compared(near: Near, name: str, grads: Grads, rounding: float) -> Tensor:
    """A gradient beside the slopes, by all entries or along a line. `rounding`: of its entries."""
    a, g = np.asarray(near.trial.arrays[name]), grads[name]
    if g is None or not _fits(g, a):
        told = "yours is missing" if g is None else f"shape {g.shape}, the input has {a.shape}"
        told = told if g is None or g.shape != a.shape else "yours is not finite"
        return different(Name(GRADIENT, name), g, None, told)
    if near.trial.size > MANY or near.trial.kind == BEYOND:
        return _on_line(near, (name,), grads, rounding)
    slopes, room = _entries(near, name, g)
    told = _numerical(name, g, slopes, room, rounding + ROUNDED * largest(slopes))
    return told if told.ok else _at_ties(near, told, grads)


def _on_line(near: Near, names: tuple[str, ...], grads: Grads, rounding: float) -> Tensor:
    """Σ g ⊙ v beside the slope along a random v. `rounding`: of the entries of g."""
    rng = np.random.default_rng(near.trial.seed)
    v = {n: direction(rng, near.trial.arrays[n]) for n in names}
    told = sum(_along(np.asarray(grads[n], float), d) for n, d in v.items())
    most = sum(_norm(np.asarray(grads[n])) * math.prod(map(_norm, d)) for n, d in v.items())
    slope, u = near.slope(v, told)
    floor = ROUNDED * most + rounding * sum(math.prod(float(np.abs(u).sum()) for u in d) for d in v.values())
    found = _numerical(names[0], *map(np.asarray, (told, slope, u)), floor, ON_A_LINE)
    if found.ok or not _repeated(near.trial).size:
        return found
    low, high = sorted(near.sides(v, BESIDE[-1]))  # where equal entries are parted, either may have the gradient
    nearest = np.asarray(np.clip(told, low, high))
    chosen = distance(np.asarray(told), nearest) <= near.noise
    return replace(found, torch=nearest, error=0.0) if chosen else found


def _repeated(trial: Trial) -> Array:
    """The sizes that more than one entry has, with either sign: ties of numbers, or of their absolute values."""
    values, counts = np.unique(np.abs(np.concatenate([np.ravel(a) for a in trial.real])), return_counts=True)
    return values[counts > 1]


def direction(rng: np.random.Generator, a: Array) -> Direction:
    """A random direction, no longer than FAR, and small where a is: a step is not to leave its neighbourhood."""
    axes = tuple(rng.standard_normal(n) for n in np.shape(a))
    return _scale(a) * FAR / max(FAR, math.prod(map(_norm, axes))), *axes


def _scale(a: Array) -> float:
    """The size of a's entries, 1 at most."""
    return min(1.0, _norm(a) / max(np.size(a), 1) ** 0.5) or 1.0


def _norm(a: Any) -> float:
    return float(np.linalg.norm(a))


def _along(g: Array, v: Direction) -> float:
    """Σ g ⊙ v = c (((g u_n) …) u₁)."""
    for u in reversed(v[1:]):
        g = g @ u
    return float(v[0] * g)


def _fits(g: Array | None, a: Any) -> bool:
    return g is not None and g.shape == np.shape(a) and bool(np.isfinite(g).all())


def _entries(near: Near, name: str, g: Array) -> tuple[Array, Array]:
    """The slope by every entry, and its uncertainty."""
    slopes, room, scale = np.zeros(g.shape), np.zeros(g.shape), _scale(near.trial.arrays[name])
    axes = [np.eye(n) for n in g.shape]
    for i in np.ndindex(g.shape):
        unit = scale, *(e[k] for e, k in zip(axes, i))
        slope, u = near.slope({name: unit}, float(g[i]) * scale)
        slopes[i], room[i] = slope / scale, u / scale
    return slopes, room


def _at_ties(near: Near, told: Tensor, grads: Grads) -> Tensor:
    """The same, with yours for right where equal entries stand and it is a choice among them: by one of them alone
    there is no slope."""
    name, g, right = told.of.path, np.asarray(told.hand), np.asarray(told.torch)
    off = np.abs(g - right) > told.bound
    if not np.isin(np.abs(near.trial.arrays[name][off]), _repeated(near.trial)).all() or at_kinks(near, name, grads):
        return told
    right = np.where(off, g, right)
    return replace(told, torch=right, error=distance(g, right))


def at_kinks(near: Near, name: str, grads: Grads) -> str:
    """A sentence if a gradient is beyond all slopes around it, where there may be none: entry by entry; and in the sum
    over all entries of one value, since where a maximum is met twice, it is one slope."""
    a, g = np.asarray(near.trial.arrays[name]), np.asarray(grads[name])
    room = ROUGH * largest(g) + near.noise
    for i in np.ndindex(g.shape):
        only = np.zeros(g.shape)
        only[i] = 1
        low, high = near.around({name: (1.0, only)}, float(g[i]), room)
        if not low <= g[i] <= high:
            return f"at {list(i)}: {float(g[i]):.6g}, where slopes around it are from {low:.6g} to {high:.6g}"
    real = {n: np.asarray(near.trial.arrays[n]) for n, given in grads.items() if given is not None}
    for value in np.unique(a):
        among = {n: b == value for n, b in real.items() if (b == value).any()}
        total = sum(float(np.sum(np.asarray(grads[n])[here])) for n, here in among.items())
        count = sum(map(np.count_nonzero, among.values()))
        low, high = near.around({n: (1.0, here.astype(float)) for n, here in among.items()}, total, count * room)
        if count > 1 and not low <= total <= high:
            return (
                f"the sum over all that is {value:.6g} is {total:.6g}, and between {low:.6g} and {high:.6g} it may be"
            )
    return ""


def by_sides(subject: Subject, trial: Trial, grads: Grads) -> tuple[Tensor, ...]:
    """The gradients that `at_kinks` denies, of a small trial, as small integers are: they lie on kinks and ties."""
    near = Near(subject, trial)
    fit = {n: g for n, g in grads.items() if _fits(g, trial.arrays[n])} if trial.size <= FEW else {}
    told = {n: said for n in fit if (said := at_kinks(near, n, fit))}
    return tuple(different(Name(GRADIENT, n), fit[n], None, said) for n, said in told.items())


def _moved(a: Any, h: float, v: Direction) -> Array:
    """a + h v, in one new array."""
    step = reduce(np.multiply.outer, v[1:], np.float64(h * v[0]))
    return np.add(a, step, out=step) if np.ndim(a) else np.asarray(a + step)


def _numerical(name: str, g: Array, slopes: Array, room: Array, floor: float, what: str = "") -> Tensor:
    """A gradient beside slopes, of which `room` says how uncertain each is, and `floor` what is so of all.

    An entry beside a kink, or on stairs, excuses itself alone: where its own room bears yours, yours stands for right.
    """
    sure = room <= max(SHARP * largest(slopes), room.min(initial=np.inf))
    bound = FACTOR * (room[sure].max(initial=0) + floor)
    borne = ~sure & (np.abs(g - slopes) <= FACTOR * (room + floor))
    right, s = np.where(borne, g, slopes), largest(slopes[sure])
    blind = float(np.mean(~sure | (np.abs(g) <= bound))) if g.size else 0.0
    return Tensor(
        Name(GRADIENT, name),
        g,
        right,
        distance(g, right),
        float(bound),
        False,
        bound / s if s > bound else None,
        blind,
        what,
    )
