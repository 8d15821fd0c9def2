"""Axes joined and split; no number changes. Beside torch/nn/modules/flatten.py."""

import math

from .base import Layer, shape


class _Reshape(Layer, family=True):
    """y holds the entries of x in the same order, so the gradient of x those of dy: dx = dy in the shape of x."""

    dyadic = True

    def backward(self, params, cache, dy):
        (x_shape,) = cache
        return dy.reshape(x_shape), {}


class Flatten(_Reshape):
    """Join the axes start_dim, …, end_dim into one.

    Forward   y = x, its entries in the same (row-major) order
    Backward  the entries of x keep their order, so those of its gradient do: dx = dy in the shape of x
    Shapes    x: (*, S₁, …, Sₖ, *), y: (*, S₁ ⋯ Sₖ, *); a number becomes a vector of one entry
    Errors    ValueError if x has no such axes, or end_dim comes before start_dim
    Source    torch.nn.Flatten
    """

    start_dim: int = 1
    end_dim: int = -1

    def forward(self, params, x):
        rank = max(len(shape(x)), 1)
        inside = all(-rank <= dim < rank for dim in (self.start_dim, self.end_dim))
        first, last = self.start_dim % rank, self.end_dim % rank
        self.takes(inside and first <= last, x, "(*, S[start_dim], …, S[end_dim], *)")
        y_shape = (*x.shape[:first], math.prod(x.shape[first : last + 1]), *x.shape[last + 1 :])
        return x.reshape(y_shape), (x.shape,)

    @classmethod
    def example(cls, choose, shape):
        first = choose(*range(min(1, len(shape) - 1), len(shape)), 0)
        last = choose(-1, *range(first, len(shape)))
        return cls(first - choose(0, len(shape)), last)


class Unflatten(_Reshape):
    """Split the axis dim into several; the inverse of Flatten.

    Forward   y = x, its entries in the same (row-major) order
    Backward  the entries of x keep their order, so those of its gradient do: dx = dy in the shape of x
    Shapes    x: (*, S, *), y: (*, *unflattened_size, *), where S is the product of unflattened_size; one of its sizes
              may be −1, which stands for what the others leave of S
    Errors    ValueError if unflattened_size is no tuple of sizes with at most one −1, or does not multiply to S
    Source    torch.nn.Unflatten
    """

    dim: int
    unflattened_size: tuple[int, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes = self.unflattened_size
        if not isinstance(sizes, tuple) or not sizes or any(not isinstance(n, int) or n < -1 for n in sizes):
            raise ValueError(f"{self}: unflattened_size takes a tuple of ints, as in (2, 3) or (2, -1)")
        if sizes.count(-1) > 1:
            raise ValueError(f"{self}: unflattened_size takes −1 once")

    def forward(self, params, x):
        rank, sizes = len(shape(x)), self.unflattened_size
        inside = -rank <= self.dim < rank
        dim = self.dim % max(rank, 1)
        whole, rest = x.shape[dim] if inside else 0, math.prod(n for n in sizes if n != -1)
        fits = rest > 0 and whole % rest == 0 if -1 in sizes else whole == rest
        self.takes(inside and fits, x, "(*, S, *), S at dim the product of unflattened_size")
        known = tuple(whole // rest if n == -1 else n for n in sizes)
        return x.reshape(x.shape[:dim] + known + x.shape[dim + 1 :]), (x.shape,)

    @classmethod
    def example(cls, choose, shape):
        dim = choose(*range(len(shape)))
        first = choose(*(n for n in range(1, shape[dim] + 1) if shape[dim] % n == 0))
        rest = shape[dim] // first
        return cls(dim - choose(0, len(shape)), choose((first, rest), (first, -1), (first, 1, rest), (-1,)))
