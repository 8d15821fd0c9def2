"""Losses as layers: x = (input, target), y = a number. Beside torch/nn/modules/loss.py.

Here: what a loss is, and the losses of regression and of distributions. `loss_class` has those of classification,
`loss_margin` and `loss_triplet` those that compare with a margin, `loss_ctc` that of unaligned sequences.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from .base import INTEGER, REAL, Array, Layer, Tree, describe, options_of, shape, unbroadcast
from .elementary import magnitude, weighed

REDUCTIONS = ("mean", "sum", "none")


class Loss(Layer, family=True):
    """A number for every entry, reduced once.

    Forward   vᵢ = v(xᵢ, tᵢ);   y = Σv/n with n the number of entries ("mean") or 1 ("sum"), or y = v ("none")
    Backward  ∂y/∂vᵢ = 1/n, 1 or δ;  with that dv:  dx = dv ∂v/∂x,  dt = dv ∂v/∂t, each summed over the axes along
              which it was broadcast
    A subclass gives value(x, t, …) and slopes(x, t, …) = (∂v/∂x, ∂v/∂t, …), with torch's broadcasting; None for an
    input that v does not vary with (it is only compared). Integers, too, are taken as targets, without a gradient.
    """

    arity = 2
    ranks = (0, 1, 2, 3, 4)
    options = {"reduction": REDUCTIONS}
    inputs: ClassVar[str] = "input target"
    reductions: ClassVar[tuple[str, ...]] = REDUCTIONS
    flat: ClassVar[bool] = False  # is v made of pieces, of which some are constant?
    after: ClassVar[str | None] = None  # the layer before the loss that brings its input into its domain

    def __post_init__(self) -> None:
        for name, value in options_of(self).items():
            object.__setattr__(self, name, as_tuples(value, float if name.endswith("weight") else None))
        if (reduction := getattr(self, "reduction", "mean")) not in self.reductions:
            raise ValueError(
                f"{self}: reduction is one of {', '.join(map(repr, self.reductions))}; it is {reduction!r}"
            )

    def value(self, *x: Array) -> Array:
        raise NotImplementedError

    def slopes(self, *x: Array) -> tuple[Array | None, ...]:
        raise NotImplementedError

    def fits(self, *x: Array) -> None:
        """Raise a ValueError unless the inputs go together."""
        if all(shape(a) == shape(x[0]) for a in x):
            return
        try:
            np.broadcast_shapes(*map(shape, x))
        except ValueError:
            raise ValueError(f"{self} takes arrays that broadcast against one another; it got {describe(x)}") from None

    def ready(self, *x: Tree) -> tuple[Array, ...]:
        """The inputs as value and slopes take them: integers in the dtype of the first."""
        return tuple(np.asarray(a, x[0].dtype) if not is_real(a) else a for a in x)

    def spread(self, dv: Array, x: Array) -> Array:
        """dv beside the slopes: as it is where every entry of x has a value of its own."""
        return dv

    def count(self, x: Array, v_shape: tuple[int, ...]) -> int:
        """The n of the mean."""
        return math.prod(v_shape)

    @np.errstate(invalid="ignore")  # ∞ − ∞ and 0 · ∞ are NaN, as in torch
    def forward(self, params, x):
        x = self.unpack(x, self.inputs)
        for i, array in enumerate(x):
            self.takes(True, array, "(*)", REAL + INTEGER if i else REAL)
        self.fits(*x)
        v = self.value(*self.ready(*x))
        return reduce(v, self.reduction, self.count(x[0], np.shape(v))), (x, np.shape(v))

    @np.errstate(invalid="ignore")
    def backward(self, params, cache, dy):
        x, v_shape = cache
        ready = self.ready(*x)
        dv = unreduce(dy, v_shape, self.reduction, self.count(x[0], v_shape))
        dv = self.spread(dv, x[0])
        slopes = self.slopes(*ready)
        parts = [None if s is None else weighed(s, dv) if self.flat else dv * s for s in slopes]
        return tuple(map(_gradient, x, ready, parts)), {}


def _gradient(x: Tree, ready: Array, part: Array | None) -> Array | None:
    """dv ∂v/∂x in x's shape; 0 where v does not vary with x, None where x holds integers."""
    if not is_real(x):
        return None
    return np.zeros_like(x) if part is None else unbroadcast(part, ready.shape).reshape(x.shape)


def reduce(v: Array, reduction: str, n: Any) -> Array:
    """y of v: Σv/n, Σv, or v itself. Where n = 0, the mean of nothing, it is NaN, as in torch."""
    if reduction == "none":
        return v
    y = np.asarray(v).sum()
    return y if reduction == "sum" else y / n if n else y * math.nan


def unreduce(dy: Array, v_shape: tuple[int, ...], reduction: str, n: Any) -> Array:
    """dv of dy: every entry of a sum has weight 1, of a mean 1/n; no entry counts where n = 0."""
    if reduction == "none":
        return dy
    return np.full(v_shape, dy if reduction == "sum" else dy / n if n else dy * 0)


def is_real(a: Any) -> bool:
    """Is a an array of real numbers, so that it has a gradient?"""
    return isinstance(a, (np.ndarray, np.generic)) and a.dtype.char in REAL


def as_tuples(value: Any, kind: Callable[[Any], Any] | None = None) -> Any:
    """Nested lists, or an array, as nested tuples of numbers of this kind; everything else as it is."""
    value = value.tolist() if isinstance(value, np.ndarray) else value
    if isinstance(value, (list, tuple)):
        return tuple(as_tuples(v, kind) for v in value)
    return value if value is None or kind is None else kind(value)


def cycle(numbers: Sequence[float], shape: tuple[int, ...]) -> Any:
    """Weights for a random example: these numbers over and over, as nested tuples of this shape."""
    return as_tuples(np.resize(numbers, shape))


class Difference(Loss, family=True):
    """A loss of d = x − t alone, so ∂v/∂x = f′(d) and ∂v/∂t = −f′(d). A subclass gives f(d) and its slope df(d)."""

    reduction: str = "mean"

    dyadic = True

    def f(self, d: Array) -> Array:
        raise NotImplementedError

    def df(self, d: Array) -> Array:
        raise NotImplementedError

    def value(self, x, t):
        return self.f(x - t)

    def slopes(self, x, t):
        s = self.df(x - t)
        return s, -s


class MSELoss(Difference):
    """The squared difference.

    Forward   v = d²,  d = x − t
    Backward  dv/dd = 2d, so  ∂v/∂x = 2d,  ∂v/∂t = −2d
    Shapes    x, t: (*), broadcast against one another; y: () or the shape they broadcast to
    Errors    ValueError unless two arrays of real numbers are given that broadcast
    Source    torch.nn.MSELoss; it has no ½
    """

    def f(self, d):
        return d**2

    def df(self, d):
        return 2 * d


class L1Loss(Difference):
    """The absolute difference.

    Forward   v = |d|,  d = x − t
    Backward  dv/dd = sign d, so  ∂v/∂x = sign d,  ∂v/∂t = −sign d
    Shapes    x, t: (*), broadcast against one another; y: () or the shape they broadcast to
    Errors    ValueError unless two arrays of real numbers are given that broadcast
    Source    torch.nn.L1Loss
    Caveat    no derivative at d = 0; torch takes sign 0 = 0
    """

    def f(self, d):
        return magnitude(d)

    def df(self, d):
        return np.sign(np.real(d))


class HuberLoss(Difference):
    """Half the squared difference up to δ, then straight on.

    Forward   v = d²/2 for |d| ≤ δ,  δ(|d| − δ/2) beyond.   With c = d clipped to [−δ, δ] both are
              v = c (d − c/2):    within c = d;  beyond c = ±δ of d's sign, and c d = δ|d|, c² = δ²
    Backward  dv/dd = d within, ±δ beyond:  dv/dd = c
    Shapes    x, t: (*), broadcast against one another; y: () or the shape they broadcast to
    Errors    ValueError unless two arrays of real numbers are given that broadcast, or if delta is not above 0
    Source    Huber 1964, Ann. Math. Statist. 35, 73–101; torch.nn.HuberLoss
    """

    reduction: str = "mean"
    delta: float = 1.0

    options = {**Loss.options, "delta": (1.0, 0.5, 0.3, 2.0)}

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.delta > 0:
            raise ValueError(f"{self}: delta is a number above 0; it is {self.delta}")

    def f(self, d):
        c = self.df(d)
        return c * (d - c / 2)

    def df(self, d):
        return np.clip(d, -self.delta, self.delta)


class SmoothL1Loss(Difference):
    """The absolute difference with a parabola of width β instead of its corner.

    Forward   Huber's loss with δ = β, divided by β:   v = d²/(2β) for |d| ≤ β,  |d| − β/2 beyond;
              with c = d clipped to [−β, β] and s = c/β:    v = s (d − c/2)
    Backward  dv/dd = s
              β = 0 leaves |d| alone:  c = 0,  s = sign d
    Shapes    x, t: (*), broadcast against one another; y: () or the shape they broadcast to
    Errors    ValueError unless two arrays of real numbers are given that broadcast, or if beta is below 0
    Source    Girshick 2015, arXiv:1504.08083, eq. 3 (β = 1); torch.nn.SmoothL1Loss
    Caveat    no derivative at d = 0 if β = 0; torch takes sign 0 = 0
    """

    reduction: str = "mean"
    beta: float = 1.0

    options = {**Loss.options, "beta": (1.0, 0.5, 0.3, 0.0, 2.0)}

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.beta >= 0:
            raise ValueError(f"{self}: beta is a number ≥ 0; it is {self.beta}")

    def f(self, d):
        c = np.clip(d, -self.beta, self.beta)
        return self.df(d) * (d - c / 2)

    def df(self, d):
        return np.clip(d, -self.beta, self.beta) / self.beta if self.beta else np.sign(np.real(d))


class PoissonNLLLoss(Loss):
    """−log of Poisson's probability of the count t, whose rate is λ = eˣ (log_input) or x.

    Forward   −log(λᵗ e^−λ / t!) = λ − t log λ + log t!
              log_input:  v = eˣ − t x;  else:  v = x − t log(x + ε)
              log t! is constant in x. `full` adds Stirling's  t log t − t + ½ log 2πt  where t > 1, else nothing
    Backward  log_input:  ∂v/∂x = eˣ − t,   ∂v/∂t = −x
              else:       ∂v/∂x = 1 − t/(x + ε) = (x − t + ε)/(x + ε),   ∂v/∂t = −log(x + ε)
              full:       ∂v/∂t grows by  log t + 1 − 1 + ½/t = log t + 1/(2t)  where t > 1
    Shapes    x, t: (*), broadcast against one another; y: () or the shape they broadcast to
    Errors    ValueError unless two arrays of real numbers are given that broadcast
    Source    torch.nn.PoissonNLLLoss
    Caveat    Stirling's term jumps at t = 1; torch leaves it out there. Where it is left out for t ≤ 0, torch's ∂v/∂t
              is NaN (0 · log 0) and this one −x or −log(x + ε)
    """

    log_input: bool = True
    full: bool = False
    eps: float = 1e-8
    reduction: str = "mean"

    options = {**Loss.options, "log_input": (True, False), "full": (False, True), "eps": (1e-8, 0.25, 0.3)}

    @property
    def after(self) -> str | None:
        return None if self.log_input else "Softplus()"

    def value(self, x, t):
        with np.errstate(over="ignore", divide="ignore"):  # e^1000, log 0
            v = np.exp(x) - t * x if self.log_input else x - t * np.log(x + self.eps)
        if not self.full:
            return v
        n = np.where(t.real > 1, t, 1)
        return v + np.where(t.real > 1, n * np.log(n) - n + np.log(2 * math.pi * n) / 2, 0)

    def slopes(self, x, t):
        with np.errstate(over="ignore", divide="ignore"):
            if self.log_input:
                dx, dt = np.exp(x) - t, -x
            else:
                dx, dt = (x - t + self.eps) / (x + self.eps), -np.log(x + self.eps)
        if not self.full:
            return dx, dt
        n = np.where(t.real > 1, t, 1)
        return dx, dt + np.where(t.real > 1, np.log(n) + 1 / (2 * n), 0)

    def sample(self, values, shape):
        x = values.real(shape) if self.log_input else values.positive(shape)
        return x, 3 * values.positive(shape)


class GaussianNLLLoss(Loss):
    """−log of the normal density at t, whose mean is x and whose variance is var.

    Forward   −log( e^(−d²/2ν) / √(2πν) ) = ½ (log ν + d²/ν) + ½ log 2π,    d = x − t,  ν = max(var, ε)
              v = ½ (log ν + d²/ν),  and `full` adds ½ log 2π
    Backward  ∂v/∂x = d/ν,   ∂v/∂t = −d/ν,   ∂v/∂ν = ½ (1/ν − d²/ν²) = (1 − d²/ν)/(2ν)
    Shapes    x, t: (*), broadcast against one another; y: () or the shape of all three;
              var: as x, or x's without the last axis (one variance a row), or with a 1 in place of one axis; a number
    Errors    ValueError unless three arrays of real numbers of such shapes are given, or if a variance is below 0
    Source    Nix, Weigend 1994; torch.nn.GaussianNLLLoss
    Caveat    torch raises var to ε outside of autograd, so where var < ε the slope by ν goes to var all the same
    """

    full: bool = False
    eps: float = 1e-6
    reduction: str = "mean"

    inputs = "input target var"
    options = {**Loss.options, "full": (False, True), "eps": (1e-6, 0.25, 0.3)}

    def forward(self, params, x):
        if isinstance(x, tuple) and len(x) == 3 and type(x[2]) in (float, int) and is_real(x[0]):
            y, (_, v_shape) = super().forward(params, (*x[:2], np.full_like(x[0], x[2])))
            return y, (x, v_shape)
        return super().forward(params, x)

    def ready(self, x, t, var):
        x, t, var = super().ready(x, t, var)
        return x, t, var[..., None] if var.shape != x.shape and var.shape == x.shape[:-1] else var

    def fits(self, x, t, var):
        (_, _, nu), n = super().ready(x, t, var), x.shape
        one_axis = nu.ndim == x.ndim and sum(b for a, b in zip(n, nu.shape) if a != b) == 1
        self.takes(nu.shape in (n, n[:-1]) or one_axis, nu, f"{n}, {n[:-1]} or {n} with a 1 as its variances")
        super().fits(*self.ready(x, t, var))
        if (low := np.real(nu).min(initial=0)) < 0:
            raise ValueError(f"{self} takes variances ≥ 0; it got {low}")

    def value(self, x, t, var):
        nu = np.maximum(var, self.eps)
        v = (np.log(nu) + (x - t) ** 2 / nu) / 2
        return v + math.log(2 * math.pi) / 2 if self.full else v

    def slopes(self, x, t, var):
        d, nu = x - t, np.maximum(var, self.eps)
        return d / nu, -d / nu, (1 - d**2 / nu) / (2 * nu)

    def sample(self, values, shape):
        one_a_row = bool(shape) and values.rng.random() < 0.3
        var = values.positive(shape[:-1] if one_a_row else shape) + self.eps
        return values.real(shape), values.real(shape), var


class KLDivLoss(Loss):
    """How far the distribution q = eˣ, given by its logarithm, is from the distribution t (or eᵗ, if log_target).

    Forward   Σ t log(t/q),  entry by entry  v = t (log t − x), which at t = 0 is its limit 0;
              log_target:  v = eᵗ (t − x).      "batchmean": n = the length of x's first axis, n = 1 if it has none
    Backward  ∂v/∂x = −t,    ∂v/∂t = log t − x + 1;      log_target:  ∂v/∂x = −eᵗ,    ∂v/∂t = eᵗ (t − x + 1)
    Shapes    x, t: (*), broadcast against one another; y: () or the shape they broadcast to
    Errors    ValueError unless two arrays of real numbers are given that broadcast
    Source    Kullback, Leibler 1951; torch.nn.KLDivLoss, whose "mean" is over all entries, not over the batch
    Caveat    at t = 0 the slope by t is −∞, its limit; torch has NaN there, and for v itself if also x = −∞
    """

    reduction: str = "mean"
    log_target: bool = False

    reductions = ("mean", "sum", "none", "batchmean")
    options = {"reduction": reductions, "log_target": (False, True)}

    def count(self, x, v_shape):
        return (x.shape or (1,))[0] if self.reduction == "batchmean" else super().count(x, v_shape)

    def value(self, x, t):
        with np.errstate(divide="ignore"):  # log 0
            if self.log_target:
                return np.where(t == -np.inf, 0, np.exp(t) * (t - x))
            return np.where(t == 0, 0, t * (np.log(t) - x))

    def slopes(self, x, t):
        with np.errstate(divide="ignore"):
            if self.log_target:
                return -np.exp(t), np.where(t == -np.inf, 0, np.exp(t) * (t - x + 1))
            return -t, np.log(t) - x + 1

    def sample(self, values, shape):
        t = values.simplex(shape, -1) if shape else values.positive(shape)
        return values.real(shape), np.log(t) if self.log_target else t
