"""Entries by their place in order: the middle one, the k-th, the largest or smallest so far."""

from typing import ClassVar

import numpy as np

from ..base import Array
from .base import NUMBER, Operation, axis_of, is_real, unreached
from .choice import Picked, ordered
from .reductions import Along


class ByPlace(Picked, family=True):
    """The entry that has some place in ascending order, NaN last."""

    in_networks = False  # equal entries are frequent there

    def place(self, x: Array, axis: int) -> Array:
        """The place in order, counted from 0, axes kept."""
        raise NotImplementedError

    def order(self, x, axis):
        return np.take_along_axis(ordered(x, axis, False), self.place(x, axis), axis)

    def sample(self, values, shape):
        """No two entries are equal."""
        x = values.real(shape)
        return values.rng.permutation(x.size).reshape(shape) - 1.0 if values.exact else x


def present(x: Array, axis: int) -> Array:
    """How many entries along the axis are no NaN."""
    return (~np.isnan(x)).sum(axis, keepdims=True)


class Median(ByPlace):
    """The middle entry along an axis, the lower of two, and where it is.

    Forward   i = that of the S entries that is the ⌊(S + 1)/2⌋-th in order, or the first NaN;  y = (x[i], i)
    Backward  y is one entry of x:  dx[i] = dy, 0 elsewhere
    Shapes    x: (*, S, *), y: two arrays (*, *), or (*, 1, *) with keepdim; the second of integers
    Errors    ValueError if x has no axis dim
    Source    torch.median with dim
    Caveat    which of equal entries torch chooses is open; this takes the first of them in order
    """

    dim: int
    keepdim: bool = False

    options = {"keepdim": (False, True)}
    calls = ("torch.median", "Tensor.median")

    def place(self, x, axis):
        n = present(x, axis)
        return np.where(n < x.shape[axis], n, (x.shape[axis] - 1) // 2)


class NanMedian(ByPlace):
    """The middle entry along an axis of those that are no NaN, the lower of two, and where it is.

    Forward   i = that of the n entries that is the ⌊(n + 1)/2⌋-th in order, n without NaN;  y = (x[i], i)
    Backward  y is one entry of x:  dx[i] = dy, 0 elsewhere
    Shapes    x: (*, S, *), y: two arrays (*, *), or (*, 1, *) with keepdim; the second of integers
    Errors    ValueError if x has no axis dim
    Source    torch.nanmedian with dim
    Caveat    which of equal entries torch chooses is open; this takes the first of them in order
    """

    dim: int
    keepdim: bool = False

    options = {"keepdim": (False, True)}
    calls = ("torch.nanmedian", "Tensor.nanmedian")

    def place(self, x, axis):
        return np.maximum(present(x, axis) - 1, 0) // 2


class Kthvalue(ByPlace):
    """The k-th smallest entry along an axis, and where it is.

    Forward   i = the k-th of argsort x along dim, counted from 1;  y = (x[i], i)
    Backward  y is one entry of x:  dx[i] = dy, 0 elsewhere
    Shapes    x: (*, S, *), y: two arrays (*, *), or (*, 1, *) with keepdim; the second of integers
    Errors    ValueError if x has no axis dim, or k is none of 1, …, S
    Source    torch.kthvalue
    Caveat    which of equal entries torch chooses is open; this takes the first of them in order
    """

    k: int
    dim: int = -1
    keepdim: bool = False

    options = {"keepdim": (False, True)}
    calls = ("torch.kthvalue", "Tensor.kthvalue")

    def place(self, x, axis):
        self.takes(0 < self.k <= x.shape[axis], x, "(*, S, *) with S ≥ k along dim", NUMBER)
        return np.full_like(present(x, axis), self.k - 1)

    @classmethod
    def example(cls, choose, shape):
        dim = choose(*range(len(shape)), -1)
        return cls(choose(*range(1, shape[dim] + 1)), dim, choose(False, True))


class Middle(Operation, family=True):
    """The middle one of all entries. Equal ones share dy equally, as in torch."""

    dyadic = True
    passes_nan: ClassVar[bool] = False

    def forward(self, params, x):
        self.takes(np.size(x) > 0, x, "(*) with an entry", NUMBER)
        row, n = np.sort(x.reshape(-1)), int((~np.isnan(x)).sum())
        y = row[max(n - 1, 0) // 2 if self.passes_nan or n == x.size else n]
        return np.asarray(y), (x, y)

    def backward(self, params, cache, dy):
        x, y = cache
        if dy is None or not is_real(x):
            return unreached(x), {}
        reached = (x == y) | (np.isnan(x) & np.isnan(y))
        return reached * (dy / reached.sum().astype(dy.dtype)), {}

    @classmethod
    def example(cls, choose, shape):
        return cls()


class MedianOfAll(Middle):
    """The middle one of all entries, the lower of two.

    Forward   y = that of the n entries that is the ⌊(n + 1)/2⌋-th in order; NaN if one is NaN
    Backward  y is one entry of x, so ∂y/∂xᵢ = 1 for this one, 0 for the others; where k entries are equal to it, 1/k
              each:  dx = [x = y]/k dy
    Shapes    x: (*) with an entry, y: ()
    Errors    ValueError if x has none
    Source    torch.median without dim
    Caveat    equal entries share dy; torch.median with dim gives it to the one whose index it returns
    """

    calls = ("torch.median", "Tensor.median")


class NanMedianOfAll(Middle):
    """The middle one of all entries that are no NaN, the lower of two.

    Forward   y = that of the n entries that is the ⌊(n + 1)/2⌋-th in order, n without NaN
    Backward  y is one entry of x, so ∂y/∂xᵢ = 1 for this one, 0 for the others; where k entries are equal to it, 1/k
              each:  dx = [x = y]/k dy
    Shapes    x: (*) with an entry, y: ()
    Errors    ValueError if x has none
    Source    torch.nanmedian without dim
    Caveat    equal entries share dy; torch.nanmedian with dim gives it to the one whose index it returns
    """

    passes_nan = True
    calls = ("torch.nanmedian", "Tensor.nanmedian")


class Running(Along, family=True):
    """The extreme so far along an axis, and where it lies: the last of equal ones. An entry collects the gradient from
    all places where it is the extreme."""

    dyadic = True
    ranks = (1, 2, 3, 4)

    def extreme(self, x: Array, axis: int) -> Array:
        raise NotImplementedError

    def forward(self, params, x):
        axis = axis_of(self, self.dim, x)
        reached = (np.real(x) == self.extreme(np.real(x), axis)) | np.isnan(x)
        order = np.arange(x.shape[axis]).reshape([-1 if d == axis else 1 for d in range(x.ndim)])
        index = np.maximum.accumulate(np.where(reached, order, 0), axis)
        return (np.take_along_axis(x, index, axis), index), (x, index, axis)

    def backward(self, params, cache, dy):
        x, index, axis = cache
        dx = unreached(x)
        if dx is not None and dy[0] is not None:
            own = np.ogrid[tuple(map(slice, x.shape))]
            np.add.at(dx, tuple(index if d == axis else g for d, g in enumerate(own)), dy[0])
        return dx, {}


class Cummax(Running):
    """The largest entry so far along an axis, and where it is.

    Forward   iⱼ = the last argmax of x₀, …, xⱼ along dim;  y = (x[i], i);  from a NaN on, the last NaN
    Backward  yⱼ is one entry of x, and an entry may be several yⱼ:  dxₖ = Σ dyⱼ over all j with iⱼ = k
    Shapes    x: (*, S, *), y: two arrays (*, S, *), the second of integers
    Errors    ValueError if x has no axis dim
    Source    torch.cummax
    Caveat    of equal largest entries the last has the gradient, as in torch
    """

    calls = ("torch.cummax", "Tensor.cummax")

    def extreme(self, x, axis):
        return np.maximum.accumulate(x, axis)


class Cummin(Running):
    """The smallest entry so far along an axis, and where it is.

    Forward   iⱼ = the last argmin of x₀, …, xⱼ along dim;  y = (x[i], i);  from a NaN on, the last NaN
    Backward  yⱼ is one entry of x, and an entry may be several yⱼ:  dxₖ = Σ dyⱼ over all j with iⱼ = k
    Shapes    x: (*, S, *), y: two arrays (*, S, *), the second of integers
    Errors    ValueError if x has no axis dim
    Source    torch.cummin
    Caveat    of equal smallest entries the last has the gradient, as in torch
    """

    calls = ("torch.cummin", "Tensor.cummin")

    def extreme(self, x, axis):
        return np.minimum.accumulate(x, axis)
