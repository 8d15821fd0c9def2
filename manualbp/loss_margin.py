"""Losses that want scores, or distances, to differ by a margin at least. Beside torch/nn/modules/loss.py.

Most are sums of hinges max(z, 0). At the corner z = 0 there is no derivative; what torch takes there differs from loss
to loss and stands under Caveat.
"""

from typing import ClassVar

import numpy as np

from .base import INTEGER, REAL, Array, describe
from .elementary import sigmoid, softplus
from .loss import Loss, cycle
from .loss_class import EPS, WEIGHTS, check_classes


class SoftMarginLoss(Loss):
    """The logistic loss of the score x for the sign t.

    Forward   v = log(1 + e^(−t x))
    Backward  the slope of log(1 + eᶻ) is σ(z), so with z = −t x:   ∂v/∂x = −t σ(−t x),   ∂v/∂t = −x σ(−t x)
    Shapes    x, t: (*), broadcast against one another; y: () or the shape they broadcast to
    Errors    ValueError unless two arrays of numbers are given that broadcast
    Source    torch.nn.SoftMarginLoss, which exponentiates −t x as it is and so gives ∞ and NaN from 710 on
    Caveat    torch has no gradient by t
    """

    reduction: str = "mean"

    def value(self, x, t):
        return softplus(-t * x)

    def slopes(self, x, t):
        u = sigmoid(-t * x)
        return -t * u, -x * u

    def sample(self, values, shape):
        return values.real(shape), values.signs(shape).astype(np.int64)


class Hinged(Loss, family=True):
    """A loss with a hinge max(z, 0). It has no derivative at z = 0, where any slope from 0 to 1 is a subgradient: the
    one of least norm is taken, as torch does from 2.14 on. Until 2.13 torch took 1 there."""

    flat = True

    def above(self, z: Array) -> Array:
        """[z > 0], the slope of max(z, 0)."""
        return z.real > 0


class HingeEmbeddingLoss(Hinged):
    """x itself where t = 1, how far it is short of the margin where t = −1: x is a distance of two things that are
    alike (1) or not (−1).

    Forward   v = [t ≠ −1] x + [t ≠ 1] max(margin − x, 0);  so another t has both terms
    Backward  ∂v/∂x = [t ≠ −1] − [t ≠ 1] [margin − x > 0];  t is only compared
    Shapes    x, t: (*), broadcast against one another; y: () or the shape they broadcast to
    Errors    ValueError unless two arrays of numbers are given that broadcast
    Source    torch.nn.HingeEmbeddingLoss
    Caveat    no derivative at x = margin; torch takes the hinge's slope as 0 there, until 2.13 as −1
    """

    margin: float = 1.0
    reduction: str = "mean"

    dyadic = True
    options = {**Loss.options, "margin": (1.0, 0.5, 0.3, 2.0)}

    def value(self, x, t):
        return np.where(t != -1, x, 0) + np.where(t != 1, np.maximum(self.margin - x, 0), 0)

    def slopes(self, x, t):
        return (t != -1).astype(x.dtype) - ((t != 1) & self.above(self.margin - x)), None

    def sample(self, values, shape):
        return values.real(shape), values.rng.choice([-1.0, 1.0, 0.0], shape, p=[0.45, 0.45, 0.1])


class MarginRankingLoss(Hinged):
    """How far x₁ is short of exceeding x₂ by the margin, where t = 1; the other way round where t = −1.

    Forward   v = max(z, 0),   z = −t (x₁ − x₂) + margin
    Backward  with h = [z > 0]:   ∂v/∂x₁ = −t h,   ∂v/∂x₂ = t h,   ∂v/∂t = −(x₁ − x₂) h
    Shapes    x₁, x₂, t: (*), equally many axes, broadcast against one another; y: () or the shape they broadcast to
    Errors    ValueError unless three such arrays of numbers are given
    Source    torch.nn.MarginRankingLoss
    Caveat    no derivative at z = 0; torch takes h = 0 there, until 2.13 h = 1. With margin 0 that is so at every tie
              x₁ = x₂
    """

    margin: float = 0.0
    reduction: str = "mean"

    arity = 3
    dyadic = True
    inputs = "input1 input2 target"
    options = {**Loss.options, "margin": (0.0, 0.5, 0.3, 1.0)}

    def fits(self, *x):
        same = len({a.ndim for a in x}) == 1
        self.takes(same, x[-1], f"{x[0].shape}, or one that broadcasts, as its target", REAL + INTEGER)
        super().fits(*x)

    def value(self, x1, x2, t):
        return np.maximum(-t * (x1 - x2) + self.margin, 0)

    def slopes(self, x1, x2, t):
        h = self.above(-t * (x1 - x2) + self.margin)
        return -t * h, t * h, -(x1 - x2) * h

    def sample(self, values, shape):
        return values.real(shape), values.real(shape), values.signs(shape)


class CosineEmbeddingLoss(Hinged):
    """One minus the cosine of two vectors that are alike (t = 1); what it exceeds the margin by if they are not (−1).

    Forward   A = √(a·a + ε), B = √(b·b + ε),  α = a/A, β = b/B,  c = a·b/(AB),  ε = 10⁻¹²
              v = 1 − c where t = 1,   max(c − margin, 0) where t = −1,   0 for any other t
              1 − c = ½ (|α − β|² + (1 − α·α) + (1 − β·β)) = ½ (|α − β|² + ε/A² + ε/B²) =: p,
              which has only terms ≥ 0, so nothing cancels between vectors that are almost parallel
    Backward  ∂A/∂a = a/A = α, so  ∂α_j/∂a_i = (δᵢⱼ − αᵢαⱼ)/A  and
              ∂c/∂a = (β − c α)/A = (β − α + p α)/A,   likewise  ∂c/∂b = (α − β + p β)/B
              ∂v/∂c = k = −1 where t = 1,  [c − margin > 0] where t = −1,  else 0;   t is only compared
    Shapes    a, b: (D,) with t: (), or (N, D) with t: (N,), broadcast against one another; y: () or (N,)
    Errors    ValueError unless three such arrays of numbers are given
    Source    torch.nn.CosineEmbeddingLoss
    Caveat    no derivative at c = margin; torch takes k = 0 there, until 2.13 k = 1
    """

    margin: float = 0.0
    reduction: str = "mean"

    ranks = (1, 2)
    inputs = "input1 input2 target"
    cancels = True
    options = {**Loss.options, "margin": (0.0, 0.5, 0.3, -0.5)}

    def fits(self, a, b, t):
        for x in (a, b):
            ok = x.ndim == t.ndim + 1 < 3 and x.shape[-1] == a.shape[-1]
            self.takes(ok, x, "(D,) with a target (), or (N, D) with (N,), one D for both inputs")
        super().fits(a, b, t[..., None])

    def spread(self, dv, x):
        return dv[..., None]

    def parts(self, a: Array, b: Array) -> tuple[Array, ...]:
        """A, B, α, β, c and p, with the last axis kept."""
        A, B = (np.sqrt((x * x).sum(-1, keepdims=True) + EPS) for x in (a, b))
        alpha, beta = a / A, b / B
        p = (((alpha - beta) ** 2).sum(-1, keepdims=True) + EPS / A**2 + EPS / B**2) / 2
        return A, B, alpha, beta, (a * b).sum(-1, keepdims=True) / (A * B), p

    def value(self, a, b, t):
        c, p = (q[..., 0] for q in self.parts(a, b)[-2:])
        return np.where(t == 1, p, np.where(t == -1, np.maximum(c - self.margin, 0), 0))

    def slopes(self, a, b, t):
        A, B, alpha, beta, c, p = self.parts(a, b)
        t = t[..., None]
        k = ((t == -1) & self.above(c - self.margin)).astype(a.dtype) - (t == 1)
        return k * (beta - alpha + p * alpha) / A, k * (alpha - beta + p * beta) / B, None

    def sample(self, values, shape):
        t = values.rng.choice([-1.0, 1.0, 0.0], shape[:-1], p=[0.45, 0.45, 0.1])
        return values.real(shape), values.real(shape), np.asarray(t)


class Ranked(Loss, family=True):
    """A loss of rows of C scores against the classes that a row of targets names; a value a row, divided by C."""

    dyadic = True
    ranks = (1, 2)
    besides: ClassVar[int | None] = None  # what a target may be, other than a class

    def places(self, x: Array) -> tuple[tuple[int, ...], ...]:
        """The shapes that a target may have."""
        raise NotImplementedError

    def fits(self, x, t):
        self.takes(x.ndim < 3 and 0 not in x.shape[-1:], x, "(C,) or (N, C)")
        places = self.places(x)
        if t.dtype.char not in INTEGER or t.shape not in places:
            raise ValueError(f"{self} takes class indices of shape {places[0]} as target; it got {describe(t)}")
        check_classes(self, t, (x.shape or (1,))[-1], self.besides)

    def spread(self, dv, x):
        return dv[..., None] / (x.shape or (1,))[-1]

    def ready(self, x, t):
        return x, t


class MultiMarginLoss(Ranked):
    """What every other class's score lacks to be below that of the target's class by the margin.

    Forward   v = w_k/C Σ_{c≠k} h_cᵖ,   h_c = max(z_c, 0),   z_c = margin − x_k + x_c,   k = t,   p = 1 or 2
    Backward  ∂h_c/∂x_c = [z_c > 0] = −∂h_c/∂x_k, so with  s_c = p h_c^(p−1) [z_c > 0] for c ≠ k:
              ∂v/∂x_c = w_k/C s_c,   ∂v/∂x_k = −w_k/C Σ_{c≠k} s_c
    Shapes    x: (C,) or (N, C), or () as (1,);   t: () or (N,), integers;   y: () or t's shape;   weight: (C,)
    Errors    ValueError if shapes do not fit; with the place, if a target is no class; unless p is 1 or 2
    Source    Crammer, Singer 2001, JMLR 2, 265–292 (there the largest h only); torch.nn.MultiMarginLoss
    Caveat    no derivative at z = 0 if p = 1; torch takes 0 there
    """

    p: int = 1
    margin: float = 1.0
    weight: tuple[float, ...] | None = None
    reduction: str = "mean"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.p not in (1, 2):
            raise ValueError(f"{self}: p is 1 or 2; it is {self.p}")

    def places(self, x):
        return (x.shape[:-1], (1,)) if x.ndim < 2 else (x.shape[:-1],)

    def fits(self, x, t):
        super().fits(x, t)
        if self.weight is not None and np.shape(self.weight) != (classes := x.shape[-1:] or (1,)):
            raise ValueError(f"{self} has weights of shape {np.shape(self.weight)} for {classes[0]} classes")

    def hinges(self, x: Array, t: Array) -> tuple[Array, Array, Array]:
        """h, whose entry at k is 0, as (N, C); where k is; and w_k."""
        rows = x.reshape(t.size, (x.shape or (1,))[-1])
        is_k = t.reshape(-1, 1) == np.arange(rows.shape[1])
        z = self.margin - rows[is_k][:, None] + rows
        w = np.ones(rows.shape[1], x.dtype) if self.weight is None else np.asarray(self.weight, x.dtype)
        return np.where(~is_k & (np.real(z) > 0), z, 0), is_k, w[t.reshape(-1, 1)]

    def value(self, x, t):
        h, _, w = self.hinges(x, t)
        return ((w * h**self.p).sum(1) / h.shape[1]).reshape(t.shape)

    def slopes(self, x, t):
        h, is_k, w = self.hinges(x, t)
        s = w * (np.real(h) > 0 if self.p == 1 else 2 * h)
        return np.where(is_k, -s.sum(1, keepdims=True), s).reshape(x.shape), None

    @classmethod
    def example(cls, choose, shape):
        weight = choose(None, *(cycle(numbers, shape[-1:]) for numbers in WEIGHTS))
        return cls(choose(1, 2), choose(1.0, 0.5, 0.3), weight, choose(*cls.reductions))

    def sample(self, values, shape):
        return values.real(shape), values.integers(0, shape[-1], shape[:-1])


class MultiLabelMarginLoss(Ranked):
    """What the score of every class that is no target lacks to be 1 below that of every target.

    Forward   the targets are k₁, k₂, … = t₁, t₂, … up to the first −1, one named twice counting twice
              v = 1/C Σⱼ Σ_{c≠k₁,k₂,…} h_jc,   h_jc = max(z_jc, 0),   z_jc = 1 − x_{kⱼ} + x_c
    Backward  ∂h_jc/∂x_c = [z_jc > 0] = −∂h_jc/∂x_{kⱼ}:   every z_jc > 0 adds 1/C to ∂v/∂x_c, takes it from ∂v/∂x_{kⱼ}
    Shapes    x: (C,) or (N, C), or () as (1,);   t: x's shape, integers;   y: () or (N,)
    Errors    ValueError if shapes do not fit; with the place, if a target is neither a class nor −1
    Source    torch.nn.MultiLabelMarginLoss
    Caveat    no derivative at z = 0; torch takes 0 there
    """

    reduction: str = "mean"

    besides = -1

    def places(self, x):
        return (x.shape,) if x.ndim else ((), (1,))

    def hinges(self, x: Array, t: Array) -> tuple[Array, Array]:
        """h as (N, J, C), 0 where j is beyond the list or c a target; and where c = kⱼ."""
        rows = x.reshape(-1, (x.shape or (1,))[-1])
        t = t.reshape(rows.shape)
        listed = np.logical_and.accumulate(t >= 0, 1)
        longest = listed.sum(1).max(initial=0)
        t, listed = t[:, :longest], listed[:, :longest, None]
        is_k = listed & (t[:, :, None] == np.arange(rows.shape[1]))
        z = 1 - np.take_along_axis(rows, np.where(t < 0, 0, t), 1)[:, :, None] + rows[:, None]
        return np.where(listed & ~is_k.any(1, keepdims=True) & (np.real(z) > 0), z, 0), is_k

    def value(self, x, t):
        h, _ = self.hinges(x, t)
        return (h.sum((1, 2)) / h.shape[2]).reshape(x.shape[:-1])

    def slopes(self, x, t):
        h, is_k = self.hinges(x, t)
        open_ = (np.real(h) > 0).astype(x.dtype)
        return (open_.sum(1) - (is_k * open_.sum(2, keepdims=True)).sum(1)).reshape(x.shape), None

    def sample(self, values, shape):
        t = values.integers(0, shape[-1], shape)
        return values.real(shape), np.where(values.mask(shape, 0.4), -1, t)
