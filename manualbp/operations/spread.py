"""How far entries lie from their mean: variance and standard deviation, alone or with the mean beside them."""

import numpy as np

from ..base import Array
from .base import axes_of, unreached
from .reductions import Reduction, Some, count


class Var(Reduction):
    """The variance over some axes.

    Forward   μ = ⟨x⟩,  y = Σ(x − μ)²/(n − correction) over dim, n entries each
    Backward  ∂μ/∂x is the same for all, and Σ(x − μ) = 0, so what reaches y through μ vanishes:
              dx = 2(x − μ)/(n − correction) dy
    Shapes    x: (*, S, *), y: (*, *), or (*, 1, *) with keepdim
    Errors    ValueError if x has no axes dim
    Source    torch.var, where correction is 1 (Bessel's); unbiased = False is correction = 0
    Caveat    n ≤ correction divides by 0, as in torch
    """

    correction: float = 1

    calls = ("torch.var", "Tensor.var")
    options = {"correction": (1, 0, 0.5)}
    cancels = True

    def left(self, x: Array, axes: Some) -> float:
        """n − correction, and 0 below."""
        return x.real.dtype.type(max(count(x, axes) - self.correction, 0))

    def f(self, x, axes):
        c = x - x.mean(axes, keepdims=True)
        return (c * c).sum(axes, keepdims=True) / self.left(x, axes)

    def back(self, x, y, dy, axes):
        c = x - x.mean(axes, keepdims=True)
        return 2 * c / self.left(x, axes) * dy

    @classmethod
    def example(cls, choose, shape):
        """Over more than one entry: the variance of one is nothing but a division by 0."""
        layer = super().example(choose, shape)
        together = count(np.empty(shape), axes_of(layer, layer.dim, np.empty(shape)))
        return layer if together > 1 else None


class Std(Var):
    """The standard deviation over some axes.

    Forward   μ = ⟨x⟩,  y = √(Σ(x − μ)²/(n − correction)) over dim, n entries each
    Backward  y² is Var's, so 2y dy/dx = 2(x − μ)/(n − correction):
              dx = (x − μ)/((n − correction) y) dy, and 0 where y = 0
    Shapes    x: (*, S, *), y: (*, *), or (*, 1, *) with keepdim
    Errors    ValueError if x has no axes dim
    Source    torch.std
    Caveat    where all entries are equal y has no slope; torch and this take 0
    """

    calls = ("torch.std", "Tensor.std")

    def f(self, x, axes):
        return np.sqrt(super().f(x, axes))

    def back(self, x, y, dy, axes):
        c = x - x.mean(axes, keepdims=True)
        return c * np.where(y == 0, 0, dy / (self.left(x, axes) * y)).astype(y.dtype)

    def derives(self, x):
        return bool(self.f(x, axes_of(self, self.dim, x)).all())

    def sample(self, values, shape):
        """Sometimes equal entries throughout."""
        return np.zeros(shape) if values.rng.integers(8) == 0 else values.real(shape)


class WithMean(Var, family=True):
    """A spread and the mean over the same axes: y = (spread, μ). Both lead back to x, so their gradients add."""

    def forward(self, params, x):
        spread, cache = super().forward(params, x)
        mean = x.mean(cache[2], keepdims=True)
        return (spread, mean if self.keepdim else mean.squeeze(cache[2])), cache

    def backward(self, params, cache, dy):
        x, y, axes = cache
        dspread, dmean = dy
        dx = unreached(x) if dspread is None else super().backward(params, cache, dspread)[0]
        if dx is None or dmean is None:
            return dx, {}
        return dx + dmean.reshape(y.shape) / count(x, axes), {}


class VarMean(WithMean):
    """The variance and the mean over some axes.

    Forward   μ = ⟨x⟩,  v = Σ(x − μ)²/(n − correction) over dim, n entries each;  y = (v, μ)
    Backward  ∂v/∂x as in Var, ∂μ/∂xᵢ = 1/n, and the two add:
              dx = 2(x − μ)/(n − correction) dv + dμ/n
    Shapes    x: (*, S, *), v, μ: (*, *), or (*, 1, *) with keepdim
    Errors    ValueError if x has no axes dim
    Source    torch.var_mean
    Caveat    n ≤ correction divides by 0, as in torch
    """

    calls = ("torch.var_mean",)


class StdMean(WithMean, Std):
    """The standard deviation and the mean over some axes.

    Forward   μ = ⟨x⟩,  s = √(Σ(x − μ)²/(n − correction)) over dim, n entries each;  y = (s, μ)
    Backward  ∂s/∂x as in Std, ∂μ/∂xᵢ = 1/n, and the two add:
              dx = (x − μ)/((n − correction) s) ds + dμ/n,  the first 0 where s = 0
    Shapes    x: (*, S, *), s, μ: (*, *), or (*, 1, *) with keepdim
    Errors    ValueError if x has no axes dim
    Source    torch.std_mean; weight standardisation uses it
    Caveat    where all entries are equal s has no slope; torch and this take 0
    """

    calls = ("torch.std_mean",)
