"""A gradient without torch: the derivative of the layer's own forward along a random direction.

    L(θ) = Σ dy ⊙ y(θ)          D = d/dh L(θ + h v)  at h = 0          must be   Σ ∂L/∂θ ⊙ v

Complex step where the forward runs on complex numbers: D = Im L(θ + ihv)/h with h = 10⁻³⁰, no cancellation of its own;
what rounds inside the forward, as 1 − p near p = 1, is measured by the same step in double precision.
Otherwise central differences in longdouble, extrapolated twice (error h⁶), finer where there are kinks.
One random direction for each tensor sees every fault that is not orthogonal to it, so almost surely every fault.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from manualbp.base import Layer, Params, Tree, flatten, run, unflatten

from ..draw.trial import Trial, cast
from ..sides.complex import has_complex
from ..sides.hand import Hand
from ..sides.record import walk
from ..sides.run import GRADIENT, Name, leaves
from .bound import FACTOR, largest

EPS = 2.0**-52
TINY = float(np.finfo(np.longdouble).eps)
H = 2.0**-9  # the first step of the differences
FINER, LEVELS = 2.0**-6, 4  # steps for functions with kinks
DRIFT = 16  # how much further a finer step must be off: each has 64 times the noise of the one before
SHARP = 1e-6  # relative uncertainty of a slope that no kink disturbs
COARSER = TINY / EPS  # of longdouble's rounding to double's


@dataclass(frozen=True)
class Derivative:
    """One tensor's directional derivative: by the layer's backward, and from its forward alone."""

    name: Name
    backward: float
    forward: float
    bound: float

    @property
    def ok(self) -> bool:
        return abs(self.backward - self.forward) <= self.bound


def derivatives(layer: Layer, params: Params, x: Tree, dy: Tree, seed: int | None = None) -> list[Derivative]:
    """For every tensor that has a gradient: is it the derivative of this very forward?"""
    trial = Trial(x, params=params, dy=dy).cast(np.longdouble)
    wide = trial.params, trial.x, trial.dy
    gradients, narrow = Hand(layer, seed).run(trial), Hand(layer, seed).run(trial.cast(np.float64))
    analytic = all(part.analytic for part in walk(layer)) and not has_complex(trial)
    slope = _complex_step if analytic else _differences
    rng = np.random.default_rng(0 if seed is None else seed)
    # Under saturation 1 − y² is 0 while the derivative is 10⁻²⁸: what backward cancels is of the upstream's size.
    top = max(largest(a) for a in [*gradients.values(), *leaves(dy, "dy").values()] if a is not None)
    found = []
    for name, g in gradients.items():
        g64 = narrow[name]
        if name.role != GRADIENT or g is None or g64 is None or not np.isfinite(g).all():
            continue  # no gradient, or no derivative: as of log p at p = 0
        v = direction(rng, g)
        forward, uncertainty = slope(lambda h, n=name, v=v: _loss(layer, *wide, seed, n.path, h, v))
        a80, a64 = (float(along(a, v)) for a in (g, g64))
        if not np.isfinite(a80):  # beyond double precision
            continue
        bound = FACTOR * (abs(a80 - a64) + EPS * float(np.abs(g * v).sum()) + uncertainty + TINY * top)
        found.append(Derivative(name, a80, forward, bound))
    return found


def _loss(
    layer: Layer, params: Params, x: Tree, dy: Tree, seed: int | None, path: str, h: Any, v: Any
) -> tuple[Any, float]:
    """Σ dy ⊙ y with one tensor moved by h v, and Σ |dy ⊙ y|: the scale of its rounding."""
    step = h if np.iscomplexobj(h) else np.longdouble(h)
    if np.iscomplexobj(h):
        params, x, v = (cast(tree, h.dtype) for tree in (params, x, v))
    params, x = move(params, x, path, step * v)
    with np.errstate(all="ignore"):
        y, _ = run(layer, params, x, None if seed is None else np.random.default_rng(seed))
        pairs = [(a, d) for a, d in zip(leaves(y, "y").values(), leaves(dy, "y").values()) if d is not None]
        return sum(along(d, a) for a, d in pairs), float(sum(np.abs(d * a).sum() for a, d in pairs))


def direction(rng: np.random.Generator, g: Any) -> Any:
    """A random one for what has this gradient."""
    v = rng.standard_normal(g.shape).astype(np.longdouble)
    return v + 1j * rng.standard_normal(g.shape) if g.dtype.kind == "c" else v


def along(d: Any, a: Any) -> Any:
    """Σ d ⊙ a; for a gradient d by complex numbers over both of their parts, Σ Re d Re a + Im d Im a."""
    return (d.real * a.real + d.imag * a.imag).sum() if d.dtype.kind == "c" else (d * a).sum()


def move(params: Params, x: Tree, path: str, by: Any) -> tuple[Params, Tree]:
    """Parameters and inputs with `by` added to the one of this path."""
    flat = flatten(params)
    if path in flat:
        return unflatten(flat | {path: flat[path] + by}), x

    def inside(tree: Tree, here: str) -> Tree:
        if isinstance(tree, tuple):
            return tuple(inside(part, f"{here}[{i}]") for i, part in enumerate(tree))
        return tree + by if here == path else tree

    return params, inside(x, "x")


def _complex_step(loss: Callable[[Any], tuple[Any, float]]) -> tuple[float, float]:
    wide, narrow = (float(loss(one(1e-30j))[0].imag / 1e-30) for one in (np.clongdouble, np.complex128))
    return wide, COARSER * (abs(wide - narrow) if np.isfinite(narrow) else abs(wide))


def _differences(loss: Callable[[Any], tuple[Any, float]]) -> tuple[float, float]:
    return extrapolated(loss, H, TINY)


def extrapolated(
    loss: Callable[[Any], tuple[Any, float]], h: float, eps: float, told: float | None = None
) -> tuple[float, float]:
    """The slope at 0 and its uncertainty, with finer and finer steps as long as a kink seems to lie between them.

    `told`, the slope that somebody claims, asks for a second look: a step is sure only if a finer one agrees; and where
    steps contradict one another a claim is borne from which the finer ones drift away. So they do on the stairs that
    log(1 − p) is near p = 1, where fine steps see single stairs; beside a kink they approach what is right.
    """
    found: list[tuple[float, float]] = []
    smooth = True
    for level in range(LEVELS):
        try:
            value, uncertainty, sharp = _slope(loss, h * FINER**level, eps)
        except ValueError:  # a step out of where f is defined, as a probability below 0
            if level == LEVELS - 1:
                raise
            continue
        # what a finer step sees of the noise of f is in the coarser ones, too, divided by their length
        found = [(v, max(u, uncertainty * FINER ** (len(found) - i))) for i, (v, u) in enumerate(found)]
        found.append((value, uncertainty))
        smooth = smooth and sharp
        if sharp if told is None else len(found) > 1 and smooth and _agree(found):
            break
    borne = [one for i, one in enumerate(found) if all(_agree([one, finer]) for finer in found[i + 1 :])]
    if told is not None and not _agree(found):
        borne = [*_left_by_finer(told, found)] or borne
    return min(borne, key=lambda one: one[1])


def _left_by_finer(told: float, found: list[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """The steps that bear a claim which finer ones leave, as uncertain as these are divided by their length: whole
    stairs give the same difference again and again."""
    for i, (v, u) in enumerate(found[:-1]):
        off = [abs(told - w) for w, _ in found[i:]]
        u = max(u, *(abs(v - w) * FINER**k for k, (w, _) in enumerate(found[i:])))
        if off[0] <= FACTOR * u and DRIFT * off[0] <= max(off[1:]):
            yield v, u


def _agree(slopes: list[tuple[float, float]]) -> bool:
    """Does every slope bear every other one?"""
    return all(abs(v - w) <= 4 * (a + b) for (v, a), (w, b) in itertools.combinations(slopes, 2))


def _slope(loss: Callable[[Any], tuple[Any, float]], h: float, eps: float) -> tuple[float, float, bool]:
    """Central differences at h, h/2, h/4. Where f is smooth their errors fall as h², and they are extrapolated twice:
    what the last two extrapolations differ by bounds what is left of the series. Where they do not fall so, the last
    stands, as uncertain as they differ. ε Σ|terms|/h is the rounding of the differences."""
    d, size = [], 0.0
    for k in range(3):
        (up, size), (down, _) = loss(h / 2**k), loss(-h / 2**k)
        d.append((up - down) / (2 * h / 2**k))
    rounding = size * eps / h * 4
    one, two = float(abs(d[0] - d[1])), float(abs(d[1] - d[2]))
    if not (one <= 4 * rounding or 3.8 * two <= one <= 4.2 * two):
        return float(d[2]), one + two + rounding, False
    first, second = (4 * d[1] - d[0]) / 3, (4 * d[2] - d[1]) / 3
    best = (16 * second - first) / 15
    uncertainty = float(abs(best - second)) + rounding
    return float(best), uncertainty, uncertainty <= max(SHARP * abs(float(best)), 8 * rounding)
