"""Gradients by differences of the candidate's own forward: what it must be the derivative of, whatever was intended."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from manualbp.base import Array, Tree

from .compare import Tensor
from .numeric import extrapolated
from .subject import Subject, flat
from .tolerance import EPS, FACTOR, distance, largest
from .trial import Trial

STEP = 2.0**-7  # the first step of the differences, in float64
FAR = 8.0  # how long a direction is at most, so that its step stays a small one whatever the number of entries
MANY = 2_000  # entries of all inputs above which each is tried along one random direction, not entry by entry
LINES = 2  # directions along which a gradient must fail
ON_A_LINE = "along a random direction"
ROUNDED = 1e-12  # relative: rounding inside a forward that its output does not show

Grads = Mapping[str, Array | None]


def is_own_derivative(subject: Subject, trial: Trial, dy: Tree, grads: Grads) -> bool | None:
    """Are the gradients the derivatives of the subject's own forward, along a random direction of all its inputs?"""
    if trial.integers:
        return None
    real = [n for n, a in trial.arrays.items() if np.asarray(a).dtype.kind == "f"]
    if any(not _fits(grads.get(n), trial.arrays[n]) for n in real):
        return False
    v = {n: direction(np.random.default_rng((trial.seed, i)), trial.arrays[n]) for i, n in enumerate(real)}
    slope, uncertainty = _slope(subject, trial, dy, v)
    told = [_product(np.asarray(grads[n]), v[n]) for n in real]
    size = sum(most for _, most in told) + max(largest(np.asarray(trial.arrays[n])) for n in real)
    return bool(abs(sum(value for value, _ in told) - slope) <= FACTOR * (uncertainty + ROUNDED * size))


def by_differences(
    subject: Subject, trial: Trial, dy: Tree, grads: Grads
) -> tuple[tuple[Tensor, ...], dict[str, Array]]:
    """Every gradient beside the slopes of the own forward, and these slopes by name.

    Entry by entry; with many entries along one random direction, which sees nearly every fault, but not where.
    """
    tensors, right = [], {}
    for name, g in grads.items():
        a = np.asarray(trial.arrays[name])
        if not _fits(g, a):
            told = "yours is missing" if g is None else f"shape {g.shape}, the input has {a.shape}"
            told = told if g is None or g.shape != a.shape else "yours is not finite"
            tensors.append(Tensor(f"d{name}", g, None, float("inf"), 0.0, False, None, 1.0, told))
        elif trial.size > MANY:
            tensors.append(_on_lines(subject, trial, dy, name, g))
        else:
            right[name], room = _entries(subject, trial, dy, name)
            tensors.append(_numerical(f"d{name}", g, right[name], room + ROUNDED * largest(right[name])))
    return tuple(tensors), right


def _on_lines(subject: Subject, trial: Trial, dy: Tree, name: str, g: Array) -> Tensor:
    """A gradient along a random direction; where it fails along another one, since on the first a kink may lie."""
    rng = np.random.default_rng(trial.seed)
    for _ in range(LINES):
        v = direction(rng, trial.arrays[name])
        (slope, u), (told, most) = _slope(subject, trial, dy, {name: v}), _product(g, v)
        t = _numerical(f"d{name}", np.asarray(told), np.asarray(slope), u + ROUNDED * most, ON_A_LINE)
        if t.ok:
            break
    return t


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


def _entries(subject: Subject, trial: Trial, dy: Tree, name: str) -> tuple[Array, float]:
    """The slope by every entry, and the largest uncertainty among them."""
    slopes, room, scale = np.zeros(np.shape(trial.arrays[name])), 0.0, _scale(trial.arrays[name])
    for i in np.ndindex(slopes.shape):
        unit = np.zeros(slopes.shape)
        unit[i] = scale
        slope, u = _slope(subject, trial, dy, {name: unit})
        slopes[i], room = slope / scale, max(room, u / scale)
    return slopes, room


def _slope(subject: Subject, trial: Trial, dy: Tree, v: Mapping[str, Array]) -> tuple[float, float]:
    """The derivative of Σ dy ⊙ y along v, and its uncertainty."""

    def along(h: float) -> tuple[float, float]:
        arrays = {n: _moved(a, h, v[n]) if n in v else np.array(a) for n, a in trial.arrays.items()}
        y = subject.forward(arrays)[0]
        told = [
            _product(np.asarray(a, float), np.asarray(d, float)) for a, d in zip(flat(y), flat(dy)) if d is not None
        ]
        return sum(value for value, _ in told), sum(most for _, most in told)

    return extrapolated(along, STEP, EPS["float64"])


def _moved(a: Any, h: float, v: Array) -> Array:
    """a + hv, in one new array."""
    step = h * v
    return np.add(a, step, out=np.asarray(step)) if np.ndim(a) else a + step


def _numerical(name: str, g: Array, slopes: Array, room: float, what: str = "") -> Tensor:
    bound, error, s = FACTOR * room, distance(g, slopes), largest(slopes)
    power = bound / s if s > bound else None
    return Tensor(name, g, slopes, error, bound, False, power, float(np.mean(np.abs(g) <= bound)), what)
