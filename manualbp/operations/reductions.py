"""Sums, means, spreads, extremes, norms over some axes. What is summed over an axis hands its gradient to every entry
there, times the slope of that entry."""

import math

import numpy as np

from ..base import Array
from ..elementary import logsumexp, p_norm, p_norm_slope
from .base import Axes, Operation, axes_of, is_real, some_axes

Some = tuple[int, ...]


class Reduction(Operation, family=True):
    """y = f(x) over the axes `dim`, all of them for None; they stay with length 1 under `keepdim`.

    A subclass gives y with these axes kept, and dx for dy and y with these axes kept.
    """

    dim: Axes = None
    keepdim: bool = False

    def f(self, x: Array, axes: Some) -> Array:
        raise NotImplementedError

    def back(self, x: Array, y: Array, dy: Array, axes: Some) -> Array:
        raise NotImplementedError

    def forward(self, params, x):
        axes = axes_of(self, self.dim, x)
        with np.errstate(all="ignore"):
            kept = np.asarray(self.f(x, axes))
        return (kept if self.keepdim else kept.squeeze(axes)), (x, kept, axes)

    def backward(self, params, cache, dy):
        x, y, axes = cache
        if dy is None or not is_real(x):
            return None, {}
        with np.errstate(all="ignore"):
            return self.back(x, y, dy.reshape(y.shape), axes), {}

    @classmethod
    def example(cls, choose, shape):
        others = {name: choose(*values) for name, values in cls.options.items()}
        return cls(**others | {"dim": some_axes(choose, len(shape)), "keepdim": choose(False, True)})


def count(x: Array, axes: Some) -> int:
    """The number of entries that are taken together."""
    return math.prod(x.shape[axis] for axis in axes)


class SumOver(Reduction):
    """The sum over some axes.

    Forward   y = Σx over dim
    Backward  ∂y/∂xᵢ = 1: every entry gets dy whole, dx = dy, repeated along dim
    Shapes    x: (*, S, *), y: (*, *), or (*, 1, *) with keepdim
    Errors    ValueError if x has no axes dim
    Source    torch.sum
    """

    dyadic = True
    of_complex = True
    calls = ("torch.sum", "Tensor.sum")

    def f(self, x, axes):
        return x.sum(axes, keepdims=True)

    def back(self, x, y, dy, axes):
        return np.broadcast_to(dy, x.shape)


class Mean(Reduction):
    """The mean over some axes.

    Forward   y = (1/n) Σx over dim, n entries each
    Backward  ∂y/∂xᵢ = 1/n:  dx = dy/n, repeated along dim
    Shapes    x: (*, S, *), y: (*, *), or (*, 1, *) with keepdim
    Errors    ValueError if x has no axes dim
    Source    torch.mean
    """

    dyadic = True
    of_complex = True
    calls = ("torch.mean", "Tensor.mean")

    def f(self, x, axes):
        return x.sum(axes, keepdims=True) / count(x, axes)

    def back(self, x, y, dy, axes):
        return np.broadcast_to(dy / count(x, axes), x.shape)


class Extreme(Reduction, family=True):
    """The largest or the smallest entry. Equal ones share dy equally, as in torch."""

    dyadic = True

    def back(self, x, y, dy, axes):
        reached = x == y
        return reached * (dy / reached.sum(axes, keepdims=True).astype(dy.dtype))


class Amax(Extreme):
    """The largest entry over some axes.

    Forward   y = max x over dim
    Backward  y is one entry of x, so ∂y/∂xᵢ = 1 for this one, 0 for the others; where k entries are so large, 1/k each:
              dx = [x = y]/k dy
    Shapes    x: (*, S, *), y: (*, *), or (*, 1, *) with keepdim
    Errors    ValueError if x has no axes dim
    Source    torch.amax, and torch.max without dim
    Caveat    equal largest entries share dy; torch.max with dim gives it to the one whose index it returns
    """

    calls = ("torch.amax", "Tensor.amax", "torch.max", "Tensor.max")

    def f(self, x, axes):
        return x.max(axes, keepdims=True)


class Amin(Extreme):
    """The smallest entry over some axes.

    Forward   y = min x over dim
    Backward  y is one entry of x, so ∂y/∂xᵢ = 1 for this one, 0 for the others; where k entries are so small, 1/k each:
              dx = [x = y]/k dy
    Shapes    x: (*, S, *), y: (*, *), or (*, 1, *) with keepdim
    Errors    ValueError if x has no axes dim
    Source    torch.amin, and torch.min without dim
    Caveat    equal smallest entries share dy; torch.min with dim gives it to the one whose index it returns
    """

    calls = ("torch.amin", "Tensor.amin", "torch.min", "Tensor.min")

    def f(self, x, axes):
        return x.min(axes, keepdims=True)


class LogSumExp(Reduction):
    """The logarithm of a sum of exponentials, a smooth maximum.

    Forward   y = log Σ eˣ over dim
    Backward  ∂y/∂xᵢ = eˣⁱ/Σeˣ = e^(xᵢ − y):  dx = e^(x − y) dy
    Shapes    x: (*, S, *), y: (*, *), or (*, 1, *) with keepdim
    Errors    ValueError if x has no axes dim
    Source    torch.logsumexp; `manualbp.elementary.logsumexp` says how it is computed
    """

    calls = ("torch.logsumexp", "torch.special.logsumexp", "Tensor.logsumexp")

    def f(self, x, axes):
        return logsumexp(x, axes, keepdims=True)

    def back(self, x, y, dy, axes):
        return np.exp(x - y) * dy


class Norm(Reduction):
    """The p-norm over some axes.

    Forward   y = (Σ|x|ᵖ)^(1/p);   p = ±∞: max |x|, min |x|;   p = 0: the number of entries other than 0
    Backward  ∂y/∂xᵢ = (1/p) y^(1−p) p |xᵢ|^(p−1) sgn xᵢ = sgn(xᵢ) (|xᵢ|/y)^(p−1);   0 where xᵢ = 0:
              dx = sgn(x) (|x|/y)^(p−1) dy
              p = ±∞: sgn(xᵢ)/k where |xᵢ| = y, k entries being so large, 0 elsewhere;   p = 0: 0
    Shapes    x: (*, S, *), y: (*, *), or (*, 1, *) with keepdim
    Errors    ValueError if x has no axes dim
    Source    torch.linalg.vector_norm; torch.norm with a number p
    Caveat    at y = 0 there is no slope; torch and this take 0. Equal largest entries share dy of p = ∞ equally
    """

    p: float = 2.0

    dyadic = True
    calls = ("torch.norm", "Tensor.norm", "torch.linalg.vector_norm")

    def f(self, x, axes):
        return p_norm(x, self.p, axes)

    def back(self, x, y, dy, axes):
        return p_norm_slope(x, y, self.p, axes) * dy

    @classmethod
    def example(cls, choose, shape):
        p = choose("2", "1", "0", "inf", "3", "1.5", "0.5", "-inf")  # as text: among numbers ∞ does not count as dyadic
        return cls(some_axes(choose, len(shape)), choose(False, True), float(p))


class Prod(Reduction):
    """The product along one axis, or of all entries.

    Forward   y = Πⱼ xⱼ over dim
    Backward  ∂y/∂xᵢ = Πⱼ≠ᵢ xⱼ.  With q = Π xⱼ over the entries that are not 0, and k zeros among them all:
              k = 0: dxᵢ = q/xᵢ dy;   k = 1: q dy at the zero, 0 elsewhere;   k > 1: 0
    Shapes    x: (*, S, *), y: (*, *), or (*, 1, *) with keepdim
    Errors    ValueError if x has no axis dim
    Source    torch.prod
    """

    dim: int | None = None
    keepdim: bool = False

    dyadic = True
    calls = ("torch.prod", "Tensor.prod")

    def f(self, x, axes):
        return x.prod(axes, keepdims=True)

    def back(self, x, y, dy, axes):
        zero = x == 0
        factors, k = np.where(zero, 1, x).astype(x.dtype), zero.sum(axes, keepdims=True)
        q = factors.prod(axes, keepdims=True)
        return np.where(k == 0, q / factors, np.where(zero & (k == 1), q, 0)) * dy

    @classmethod
    def example(cls, choose, shape):
        rank = max(len(shape), 1)
        dim = choose(*range(-rank, rank), None)
        return cls(dim, dim is not None and choose(False, True))


class Along(Operation, family=True):
    """A function along one axis that stays."""

    dim: int

    @classmethod
    def example(cls, choose, shape):
        rank = max(len(shape), 1)
        return cls(choose(*range(-rank, rank)))


class Cumsum(Along):
    """The running sum along an axis.

    Forward   yᵢ = Σⱼ≤ᵢ xⱼ along dim
    Backward  ∂yᵢ/∂xⱼ = 1 for i ≥ j:  dxⱼ = Σᵢ≥ⱼ dyᵢ, the running sum from the other end
    Shapes    x, y: (*, S, *)
    Errors    ValueError if x has no axis dim
    Source    torch.cumsum
    """

    dyadic = True
    of_complex = True
    calls = ("torch.cumsum", "Tensor.cumsum")

    def forward(self, params, x):
        axes = axes_of(self, self.dim, x)
        return (np.cumsum(x, axes[0]) if axes else x), (axes, is_real(x))

    def backward(self, params, cache, dy):
        axes, real = cache
        if not real or dy is None:
            return None, {}
        return (np.flip(np.cumsum(np.flip(dy, axes), axes[0]), axes) if axes else dy), {}


class Cumprod(Along):
    """The running product along an axis.

    Forward   yᵢ = Πⱼ≤ᵢ xⱼ along dim
    Backward  ∂yᵢ/∂xⱼ = Πₖ≤ᵢ,ₖ≠ⱼ xₖ for i ≥ j, with pⱼ = Πₖ<ⱼ xₖ before j and the product from j + 1 to i behind it:
              dxⱼ = pⱼ sⱼ,  sⱼ = Σᵢ≥ⱼ dyᵢ Πⱼ<ₖ≤ᵢ xₖ, from the last entry back:  sⱼ = dyⱼ + xⱼ₊₁ sⱼ₊₁
    Shapes    x, y: (*, S, *)
    Errors    ValueError if x has no axis dim
    Source    torch.cumprod
    Caveat    nothing is divided by x, so that zeros need no case of their own
    """

    dyadic = True
    calls = ("torch.cumprod", "Tensor.cumprod")
    guards = ("Hardtanh(-2.0, 2.0)",)

    def forward(self, params, x):
        axes = axes_of(self, self.dim, x)
        return (np.cumprod(x, axes[0]) if axes else x), (x, axes)

    def backward(self, params, cache, dy):
        x, axes = cache
        if not is_real(x) or dy is None:
            return None, {}
        if not axes or not x.size:
            return dy, {}
        x, dy = np.moveaxis(x, axes[0], 0), np.moveaxis(dy, axes[0], 0)
        p = np.concatenate([np.ones_like(x[:1]), np.cumprod(x[:-1], 0)])
        s = dy.copy()
        for j in reversed(range(len(x) - 1)):
            s[j] += x[j + 1] * s[j + 1]
        return np.moveaxis(p * s, 0, axes[0]), {}


class Normalize(Operation):
    """Divided by its norm along an axis.

    Forward   n = ‖x‖ₚ along dim,  m = max(n, ε),  y = x/m
    Backward  ∂yⱼ/∂xᵢ = δᵢⱼ/m − xⱼ/m² ∂m/∂xᵢ,  ∂m/∂x = ∂n/∂x where n ≥ ε, else 0:
              dx = (dy − (Σ y dy) ∂m/∂x)/m
    Shapes    x, y: (*, S, *)
    Errors    ValueError if x has no axes dim
    Source    torch.nn.functional.normalize; `Norm` has the slope of n
    """

    p: float = 2.0
    dim: int | Some = 1
    eps: float = 1e-12

    calls = ("torch.nn.functional.normalize",)
    ranks = (1, 2, 3, 4)
    cancels = True

    def forward(self, params, x):
        axes = axes_of(self, self.dim, x)
        n = p_norm(x, self.p, axes)
        m = np.where(n.real < self.eps, self.eps, n).astype(n.dtype)
        return x / m, (x, n, m, axes)

    def backward(self, params, cache, dy):
        x, n, m, axes = cache
        slope = p_norm_slope(x, n, self.p, axes) * (n >= self.eps)
        return (dy - (x / m * dy).sum(axes, keepdims=True) * slope) / m, {}

    @classmethod
    def example(cls, choose, shape):
        """Along an axis longer than 1: there every y is ±1, and its gradient nothing but rounding."""
        longer = [dim for dim in range(-len(shape), len(shape)) if shape[dim] > 1]
        return cls(choose(2.0, 1.0, 3.0), choose(*longer), choose(1e-12, 0.5)) if longer else None
