"""What max pooling took away, put back as zeros. Beside torch/nn/modules/pooling.py."""

import math
from typing import Any, ClassVar

import numpy as np

from .base import INTEGER, Layer, describe, shape
from .container import Sequential
from .conv import Ints
from .padding import check_ints, each, letters
from .pooling import MaxPool1d, MaxPool2d, MaxPool3d


class _MaxUnpoolNd(Layer, family=True):
    """Every entry goes back to the place that max pooling found it at; zeros stand everywhere else.

    Forward   y[i(p)] = x[p],  y[j] = 0 where no i(p) is j
    Backward  ∂y[j]/∂x[p] = [i(p) = j], so  dx[p] = dy[i(p)]: what max pooling does going forward, and its backward pass
              is what this does. Both are adjoints of each other where the places are different ones
    Shapes    (x, i), both (N, C, L) for 1d, (N, C, H, W) for 2d, (N, C, D, H, W) for 3d, or without N; i counts the
              entries of y along these axes. y: likewise with  L of y = s (L − 1) + k − 2 padding, or output_size
    Errors    ValueError if x and i differ in shape, i is no array of ints or points out of y, nothing is left of y, or
              output_size is a stride or more away from the size above
    Source    torch.nn.MaxUnpool1d, MaxUnpool2d, MaxUnpool3d; Zeiler, Fergus 2014, arXiv:1311.2901, section 2.1
    Caveat    where several i(p) are one place, as after windows that overlap, one of their x is seen, and each of them
              gets dy, as in torch, although those that are not seen change nothing. output_size, which torch takes at
              the call, is an option here: the sizes of the last axes, or y's whole shape
    """

    kernel_size: int | Ints
    stride: int | Ints | None = None
    padding: int | Ints = 0
    output_size: Ints | None = None

    axes: ClassVar[int]
    pool: ClassVar[type[Layer]]  # the pooling of as many axes
    dyadic = True
    arity = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in {"kernel_size": 1, "stride": 1, "padding": 0}.items():
            if getattr(self, name) is not None:
                check_ints(self, name, self.axes, least)
        if self.stride == self.kernel_size:
            object.__setattr__(self, "stride", None)  # what None means
        if self.output_size is not None and len(self.output_size) not in (self.axes, self.axes + 2):
            raise ValueError(f"{self}: output_size takes the {self.axes} last sizes of y, or its whole shape")

    def kernel(self) -> tuple[Ints, Ints, Ints]:
        """Kernel size, stride and padding along every axis."""
        stride = self.kernel_size if self.stride is None else self.stride
        return each(self.kernel_size, self.axes), each(stride, self.axes), each(self.padding, self.axes)

    def sizes(self, x: Any) -> Ints:
        """The sizes of y along the last axes."""
        n, last = self.axes, shape(x)[-self.axes :]
        own = tuple(s * (size - 1) + k - 2 * p for size, k, s, p in zip(last, *self.kernel()))
        sizes = own if self.output_size is None else self.output_size[-n:]
        ok = len(shape(x)) in (n + 1, n + 2) and min(last) > 0 and min(sizes) > 0
        self.takes(ok, x, f"(N, C, {letters(n)}), or without N, with entries left by padding")
        if any(abs(a - b) >= s for a, b, s in zip(sizes, own, self.kernel()[1])):
            raise ValueError(
                f"{self}: output_size takes sizes less than a stride away from {own} where x has {x.shape}"
            )
        return sizes

    def forward(self, params, x):
        x, i = self.unpack(x, "input indices")
        sizes = self.sizes(x)
        n = math.prod(sizes)
        ok = shape(i) == x.shape and i.dtype.char in INTEGER and i.min(initial=0) >= 0 and i.max(initial=0) < n
        if not ok:
            raise ValueError(f"{self} takes indices of the shape of x, ints from 0 to {n - 1}; it got {describe(i)}")
        lead = x.shape[: -self.axes]
        i = i.reshape(*lead, math.prod(i.shape[-self.axes :]))
        y = np.zeros((*lead, n), x.dtype)
        np.put_along_axis(y, i, x.reshape(i.shape), -1)
        return y.reshape(*lead, *sizes), (i, x.shape)

    def backward(self, params, cache, dy):
        i, x_shape = cache
        dx = np.take_along_axis(dy.reshape(*i.shape[:-1], math.prod(dy.shape[-self.axes :])), i, -1)
        return (dx.reshape(x_shape), None), {}

    @classmethod
    def example(cls, choose, shape):
        kernel = tuple(choose(2, 3, 1) for _ in range(cls.axes))
        stride = choose(None, tuple(choose(2, 1, 3) for _ in range(cls.axes)))
        last = shape[-cls.axes :]
        own = [s * (n - 1) + k for n, k, s in zip(last, kernel, stride or kernel)]
        padding = tuple(choose(*(p for p in (0, 1) if size - 2 * p >= n)) for n, size in zip(last, own) if size >= n)
        if len(padding) < cls.axes:
            return None  # less room than entries
        layer = cls(kernel, stride, padding)
        room = zip(last, layer.sizes(np.empty(shape)), stride or kernel)
        sizes = tuple(
            choose(*(m for m in range(size, size + s)), *range(max(n, size - s + 1), size)) for n, size, s in room
        )
        return layer.replace(output_size=choose(None, sizes))

    @classmethod
    def link(cls, choose, shape):
        """Behind the pooling that finds the places."""
        pool = cls.pool.example(choose, shape)
        if pool is None:
            return None
        pool = pool.replace(return_indices=True, dilation=1, ceil_mode=False)
        back = cls(pool.kernel_size, pool.stride, pool.padding, output_size=shape[-cls.axes :])
        return Sequential(pool, back)

    def sample(self, values, shape):
        """Every entry has a place of its own."""
        n = math.prod(self.sizes(np.empty(shape)))
        lead, last = shape[: -self.axes], shape[-self.axes :]
        places = [values.rng.permutation(n)[: math.prod(last)] for _ in range(math.prod(lead))]
        return values.real(shape), np.reshape(np.array(places, dtype=np.int64), shape)

    def derives(self, x):
        i = np.sort(x[1].reshape(*x[1].shape[: -self.axes], -1), -1)
        return not bool((i[..., 1:] == i[..., :-1]).any())


class MaxUnpool1d(_MaxUnpoolNd):
    axes, pool, ranks, __doc__ = 1, MaxPool1d, (2, 3), _MaxUnpoolNd.__doc__


class MaxUnpool2d(_MaxUnpoolNd):
    axes, pool, ranks, __doc__ = 2, MaxPool2d, (3, 4), _MaxUnpoolNd.__doc__


class MaxUnpool3d(_MaxUnpoolNd):
    axes, pool, ranks, __doc__ = 3, MaxPool3d, (4, 5), _MaxUnpoolNd.__doc__
