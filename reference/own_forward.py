"""Gradients by differences of the candidate's own forward: what it must be the derivative of, whatever was intended."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from manualbp.base import Array, Tree

from .compare import Tensor
from .numeric import SHARP, extrapolated
from .subject import Subject, flat
from .tolerance import EPS, FACTOR, distance, largest
from .trial import Trial

STEP = 2.0**-7  # the first step of the differences, in float64
FAR = 8.0  # how long a direction is at most, so that its step stays a small one whatever the number of entries
MANY = 2_000  # entries of all inputs above which each is tried along one random direction, not entry by entry
ON_A_LINE = "along a random direction"
ROUNDED = 1e-12  # relative: rounding inside a forward that its output does not show

Grads = Mapping[str, Array | None]


@dataclass(frozen=True)
class Near:
    """L = Σ dy ⊙ y of the subject's own forward, near a trial. `again`: in a second look, which bears what can be."""

    subject: Subject
    trial: Trial
    dy: Tree
    again: bool = False

    def slope(self, v: Mapping[str, Array], told: float) -> tuple[float, float]:
        """The derivative of L along v, and its uncertainty. `told`: what the candidate says it is."""

        def along(h: float) -> tuple[float, float]:
            arrays = {n: _moved(a, h, v[n]) if n in v else np.array(a) for n, a in self.trial.arrays.items()}
            y = self.subject.forward(arrays)[0]
            pairs = [(a, d) for a, d in zip(flat(y), flat(self.dy)) if d is not None]
            each = [_product(np.asarray(a, float), np.asarray(d, float)) for a, d in pairs]
            return sum(value for value, _ in each), sum(most for _, most in each)

        return extrapolated(along, STEP, EPS["float64"], told if self.again else None)


def is_own_derivative(subject: Subject, trial: Trial, dy: Tree, grads: Grads) -> bool | None:
    """Are the gradients the derivatives of the subject's own forward, along a random direction of all its inputs?"""
    if trial.integers:
        return None
    real = {n: a for n, a in trial.arrays.items() if np.asarray(a).dtype.kind == "f"}
    if any(not _fits(grads.get(n), a) for n, a in real.items()):
        return False
    floor = ROUNDED * max(map(largest, real.values()))
    near = Near(subject, trial, dy)
    return any(_on_line(look, tuple(real), grads, floor).ok for look in (near, replace(near, again=True)))


def by_differences(
    subject: Subject, trial: Trial, dy: Tree, grads: Grads
) -> tuple[tuple[Tensor, ...], dict[str, Array]]:
    """Every gradient beside the slopes of the own forward, and these slopes by name.

    Entry by entry; with many entries along one random direction, which sees nearly every fault, but not where.
    """
    near = Near(subject, trial, dy)
    tensors = []
    for name in grads:
        t = _compared(near, name, grads)
        doubtful = not t.ok and np.isfinite(t.error)
        tensors.append(_compared(replace(near, again=True), name, grads) if doubtful else t)
    right = {n: t.torch for n, t in zip(grads, tensors) if t.torch is not None and t.what != ON_A_LINE}
    return tuple(tensors), right


def _compared(near: Near, name: str, grads: Grads) -> Tensor:
    """A gradient beside the slopes, by all entries or along a line."""
    a, g = np.asarray(near.trial.arrays[name]), grads[name]
    if g is None or not _fits(g, a):
        told = "yours is missing" if g is None else f"shape {g.shape}, the input has {a.shape}"
        told = told if g is None or g.shape != a.shape else "yours is not finite"
        return Tensor(f"d{name}", g, None, float("inf"), 0.0, False, None, 1.0, told)
    if near.trial.size > MANY:
        return _on_line(near, (name,), grads)
    slopes, room = _entries(near, name, g)
    return _numerical(f"d{name}", g, slopes, room, ROUNDED * largest(slopes))


def _on_line(near: Near, names: tuple[str, ...], grads: Grads, floor: float = 0.0) -> Tensor:
    """Σ g ⊙ v beside the slope along a random v, another one in a second look: on the first a kink may lie."""
    rng = np.random.default_rng((near.trial.seed, near.again))
    v = {n: direction(rng, near.trial.arrays[n]) for n in names}
    each = [_product(np.asarray(grads[n]), d) for n, d in v.items()]
    told, most = sum(value for value, _ in each), sum(most for _, most in each)
    slope, u = near.slope(v, told)
    each = map(np.asarray, (told, slope, u))
    return _numerical(f"d{names[0]}", *each, floor + ROUNDED * most, ON_A_LINE)


def direction(rng: np.random.Generator, a: Array) -> Array:
    """A random direction, no longer than FAR, and small where a is: a step is not to leave its neighbourhood."""
    v = np.asarray(rng.standard_normal(np.shape(a)))
    v *= _scale(a) * min(1.0, FAR / max(v.size, 1) ** 0.5)
    return v


def _scale(a: Array) -> float:
    """The size of a's entries, 1 at most."""
    return min(1.0, float(np.linalg.norm(a)) / max(np.size(a), 1) ** 0.5) or 1.0


def _product(g: Array, v: Array) -> tuple[float, float]:
    """Σ g ⊙ v, and ‖g‖‖v‖ ≥ Σ |g ⊙ v|: the size of what is summed, without an array of it."""
    g = np.asarray(g, float)
    return float(np.vdot(g, v)), float(np.linalg.norm(g) * np.linalg.norm(v))


def _fits(g: Array | None, a: Any) -> bool:
    return g is not None and g.shape == np.shape(a) and bool(np.isfinite(g).all())


def _entries(near: Near, name: str, g: Array) -> tuple[Array, Array]:
    """The slope by every entry, and its uncertainty."""
    slopes, room, scale = np.zeros(g.shape), np.zeros(g.shape), _scale(near.trial.arrays[name])
    for i in np.ndindex(g.shape):
        unit = np.zeros(g.shape)
        unit[i] = scale
        slope, u = near.slope({name: unit}, float(g[i]) * scale)
        slopes[i], room[i] = slope / scale, u / scale
    return slopes, room


def _moved(a: Any, h: float, v: Array) -> Array:
    """a + hv, in one new array."""
    step = h * v
    return np.add(a, step, out=np.asarray(step)) if np.ndim(a) else a + step


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
        name, g, right, distance(g, right), float(bound), False, bound / s if s > bound else None, blind, what
    )
