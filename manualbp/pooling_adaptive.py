"""Pooling into an output of a given size: a window a position. Beside torch/nn/modules/pooling.py."""

import functools
import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from .base import Array, Layer, shape
from .conv import Ints
from .padding import each, letters
from .pooling import largest, place
from .sparse_matrix import Rows, along, rows

Sizes = int | tuple[int | None, ...]
Windows = Callable[[int, int], tuple[Array, Array]]


def window(size: int, out: int) -> tuple[Array, Array]:
    """Where the window of each p = 0, …, out − 1 begins, and where the next entry after it stands."""
    p = np.arange(out)
    return p * size // out, -(-(p + 1) * size // out)


@functools.cache
def means(size: int, out: int, window: Windows = window) -> tuple[Rows, Rows]:
    """A and Aᵀ, where row p of A takes the mean over the window of p."""
    start, end = window(size, out)
    j = np.arange(size)
    A = ((start[:, None] <= j) & (j < end[:, None])) / (end - start)[:, None]
    return rows(A), rows(A.T)


class _AdaptivePoolNd(Layer, family=True):
    """Windows that cover the last axes, as many as the output is long, as equal as they can be."""

    output_size: Sizes

    axes: ClassVar[int]
    window = staticmethod(window)
    dyadic = True

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes = each(self.output_size, self.axes)
        none = () if self.axes == 1 else (None,)
        if len(sizes) != self.axes or any(n not in none and not (isinstance(n, int) and n >= 0) for n in sizes):
            known = "an int" if self.axes == 1 else f"an int, or {self.axes} ints or None"
            raise ValueError(f"{self}: output_size takes {known}; None stands for the size of x")
        if len(set(sizes)) == 1 and sizes[0] is not None:
            object.__setattr__(self, "output_size", sizes[0])

    def sizes(self, x: Any) -> tuple[Ints, Ints]:
        """Sizes of x and of y along the last axes."""
        n, sizes = self.axes, shape(x)[-self.axes :]
        ok = len(shape(x)) in (n + 1, n + 2) and min(sizes) > 0
        self.takes(ok, x, f"(N, C, {letters(n)}), or without N, with entries along the last axes")
        out = each(self.output_size, n)
        return sizes, tuple(size if o is None else o for size, o in zip(sizes, out))

    @classmethod
    def example(cls, choose, shape):
        sizes = tuple(choose(2, 1, 3, n, n + 1, n + 2, *([] if cls.axes == 1 else [None])) for n in shape[-cls.axes :])
        return cls(sizes[0] if cls.axes == 1 else sizes, **{n: choose(*values) for n, values in cls.options.items()})


class _AdaptiveAvgPoolNd(_AdaptivePoolNd, family=True):
    """The mean of every window, of windows that cover x.

    Forward   position p of O, along an axis of I entries, sees  j = ⌊pI/O⌋, …, ⌈(p+1)I/O⌉ − 1,  n(p) entries:
              they overlap where O does not divide I
              y[p] = (1/n(p)) Σ x[j] over them = Σⱼ A[p, j] x[j],  A[p, j] = 1/n(p) where p sees j, else 0
              one axis after another, each with an A of its own
    Backward  ∂y[p]/∂x[j] = A[p, j], so  dx[j] = Σₚ A[p, j] dy[p]: where windows overlap, their gradients add
    Shapes    x: (N, C, L) for 1d, (N, C, H, W) for 2d, (N, C, D, H, W) for 3d, or without N; y: likewise with the sizes
              of output_size, which is an int for all axes, or one an axis; None stands for the size of x
    Errors    ValueError if x has other axes, or nothing along one, or output_size is no int, nor None in 2d, 3d
    Source    torch.nn.AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d
    """

    cancels = True  # ⅓ of entries whose sum is 0; torch divides their sum

    def forward(self, params, x):
        sizes, out = self.sizes(x)
        maps = [means(size, o, self.window) for size, o in zip(sizes, out)]
        for axis, (A, _) in enumerate(maps, -self.axes):
            x = along(A, x, axis)
        return x, (maps,)

    def backward(self, params, cache, dy):
        (maps,) = cache
        for axis, (_, At) in enumerate(maps, -self.axes):
            dy = along(At, dy, axis)
        return dy, {}


class _AdaptiveMaxPoolNd(_AdaptivePoolNd, family=True):
    """The largest entry of every window, of windows that cover x.

    Forward   windows as of AdaptiveAvgPool1d;  y[p] = max x[j] over the j that p sees, along every axis;
              i(p): where it stands. The largest of a window of rows is the largest of what is largest in each row, so
              one axis is reduced after another, the last one first, and what is kept of each is (y, i)
    Backward  near x the largest entry stays where it is, so y[p] = x[i(p)]:
              dx[j] = Σ dy[p]  over all p with i(p) = j: an entry may be the largest of several windows
    Shapes    those of AdaptiveAvgPool1d, …; with return_indices y is (y, i), i as one number that counts the entries of
              x along these axes
    Errors    ValueError if x has other axes, or nothing along one, or output_size is no int, nor None in 2d, 3d
    Source    torch.nn.AdaptiveMaxPool1d, AdaptiveMaxPool2d, AdaptiveMaxPool3d
    Caveat    no derivative in a tie: torch takes the first in row-major order. NaN counts as larger than anything, and
              of several the last is taken
    """

    return_indices: bool = False

    options = {"return_indices": (False, True)}

    def forward(self, params, x):
        sizes, out = self.sizes(x)
        y, i = largest_along(x, [self.window(size, o) for size, o in zip(sizes, out)])
        return ((y, i) if self.return_indices else y), (i, x.shape)

    def backward(self, params, cache, dy):
        i, x_shape = cache
        return place(dy[0] if self.return_indices else dy, i, x_shape, self.axes), {}


def largest_along(x: Array, windows: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    """The largest entry of every window and its place; `windows`: where those along each axis begin and end, the same
    for all planes, or (N, C, p)."""
    n = len(windows)
    y, i = x, np.broadcast_to(np.arange(math.prod(x.shape[-n:])).reshape(x.shape[-n:]), x.shape)
    for axis, (start, end) in reversed([*enumerate(windows, -n)]):
        to = *(1,) * (n + axis), start.shape[-1], *(1,) * (-1 - axis)
        start, end = (q.reshape(*q.shape[:-1], *to) for q in (start, end))
        first = taken(i, start, axis)
        steps = (np.minimum(start + k, end - 1) for k in range((end - start).max(initial=1)))  # shorter ones see their
        seen = ((taken(y, j, axis), taken(i, j, axis)) for j in steps)  # last entry again, which changes nothing
        y, i = largest(seen, np.full(first.shape, -math.inf, x.dtype), first)
    return y, i


def taken(a: Array, j: Array, axis: int) -> Array:
    """a[…, j, …]: one j for all of the array, or one for each of its first axes."""
    if j.size == j.shape[axis]:
        return a.take(j.ravel(), axis)
    shape = (*a.shape[:axis], j.shape[axis], *a.shape[a.ndim + axis + 1 :])
    return np.take_along_axis(a, np.broadcast_to(j, shape), axis)


class AdaptiveAvgPool1d(_AdaptiveAvgPoolNd):
    axes, ranks, __doc__ = 1, (2, 3), _AdaptiveAvgPoolNd.__doc__


class AdaptiveAvgPool2d(_AdaptiveAvgPoolNd):
    axes, ranks, __doc__ = 2, (3, 4), _AdaptiveAvgPoolNd.__doc__


class AdaptiveAvgPool3d(_AdaptiveAvgPoolNd):
    axes, ranks, __doc__ = 3, (4, 5), _AdaptiveAvgPoolNd.__doc__


class AdaptiveMaxPool1d(_AdaptiveMaxPoolNd):
    axes, ranks, __doc__ = 1, (2, 3), _AdaptiveMaxPoolNd.__doc__


class AdaptiveMaxPool2d(_AdaptiveMaxPoolNd):
    axes, ranks, __doc__ = 2, (3, 4), _AdaptiveMaxPoolNd.__doc__


class AdaptiveMaxPool3d(_AdaptiveMaxPoolNd):
    axes, ranks, __doc__ = 3, (4, 5), _AdaptiveMaxPoolNd.__doc__
