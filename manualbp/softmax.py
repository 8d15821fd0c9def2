"""Softmax and its relatives. Beside torch/nn/modules/activation.py, where torch keeps them."""

import numpy as np

from .base import Array, Layer
from .elementary import log_softmax, softmax


class Along(Layer, family=True):
    """A function of all entries along one axis. A subclass gives y = f(x, axis) and dx = df(y, dy, axis).

    dim = None is the axis that torch takes (and warns of): 0 for x of rank 0, 1, 3, otherwise 1.
    """

    dim: int | None = None

    ranks = (0, 1, 2, 3, 4)
    cancels = True  # dy − Σ y dy where one y is near 1

    def f(self, x: Array, axis: int) -> Array:
        raise NotImplementedError

    def df(self, y: Array, dy: Array, axis: int) -> Array:
        raise NotImplementedError

    def forward(self, params, x):
        rank = np.ndim(x)
        axis = self.dim if self.dim is not None else 0 if rank in (0, 1, 3) else 1
        self.takes(-max(rank, 1) <= axis < max(rank, 1), x, "(*) with an axis dim")
        y = self.f(x, axis)
        return y, (y, axis)

    def backward(self, params, cache, dy):
        y, axis = cache
        return self.df(y, dy, axis), {}

    @classmethod
    def example(cls, choose, shape):
        rank = max(len(shape), 1)
        return cls(choose(*range(-rank, rank)))


def through_softmax(y: Array, dy: Array, axis: int) -> Array:
    """dx of y = softmax(x):  ∂yᵢ/∂xⱼ = yᵢ(δᵢⱼ − yⱼ), so  dxⱼ = Σᵢ dyᵢ yᵢ(δᵢⱼ − yⱼ) = yⱼ(dyⱼ − Σᵢ yᵢ dyᵢ)."""
    return y * (dy - (y * dy).sum(axis, keepdims=True))


class Softmax(Along):
    """Positive weights that sum to 1.

    Forward   yᵢ = eˣⁱ/Σⱼ eˣʲ, along dim
    Backward  log yᵢ = xᵢ − log Σ eˣ, so  ∂yᵢ/∂xⱼ = yᵢ(δᵢⱼ − yⱼ),  hence  dx = y(dy − Σ y dy)
    Shapes    x, y: (*)
    Errors    ValueError if x has no axis dim
    Source    torch.nn.Softmax
    Caveat    over −∞ alone, or beside +∞, NaN as in torch
    """

    def f(self, x, axis):
        return softmax(x, axis)

    def df(self, y, dy, axis):
        return through_softmax(y, dy, axis)


class Softmin(Along):
    """Softmax of −x: the smallest gets the largest weight.

    Forward   yᵢ = e⁻ˣⁱ/Σⱼ e⁻ˣʲ, along dim
    Backward  that of softmax at z = −x:  dx = −dz = −y(dy − Σ y dy)
    Shapes    x, y: (*)
    Errors    ValueError if x has no axis dim
    Source    torch.nn.Softmin
    """

    def f(self, x, axis):
        return softmax(-x, axis)

    def df(self, y, dy, axis):
        return -through_softmax(y, dy, axis)


class LogSoftmax(Along):
    """The logarithm of softmax.

    Forward   yᵢ = xᵢ − log Σⱼ eˣʲ, along dim
    Backward  ∂yᵢ/∂xⱼ = δᵢⱼ − e^yⱼ,  hence  dx = dy − e^y Σdy
    Shapes    x, y: (*)
    Errors    ValueError if x has no axis dim
    Source    torch.nn.LogSoftmax
    Caveat    where one probability is near 1, its logarithm keeps the digits that torch's loses
    """

    def f(self, x, axis):
        return log_softmax(x, axis)

    def df(self, y, dy, axis):
        return dy - np.exp(y) * dy.sum(axis, keepdims=True)


class Softmax2d(Layer):
    """Softmax over the channels at every pixel.

    Forward   y = softmax(x) along C
    Backward  dx = y(dy − Σ y dy), Σ over C
    Shapes    x, y: (N, C, H, W) or (C, H, W)
    Errors    ValueError if x has neither 3 nor 4 axes
    Source    torch.nn.Softmax2d
    """

    ranks = (3, 4)
    cancels = Along.cancels

    def forward(self, params, x):
        self.takes(np.ndim(x) in (3, 4), x, "(N, C, H, W) or (C, H, W)")
        y = softmax(x, -3)
        return y, (y,)

    def backward(self, params, cache, dy):
        (y,) = cache
        return through_softmax(y, dy, -3), {}
