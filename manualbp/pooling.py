"""One number for every window of the input: its largest, or its mean. Beside torch/nn/modules/pooling.py.

Windows are those of convolution: kernel position k of output position p sees x[s·p + d·k] along every axis, with s
the stride and d the dilation, so the same `taps` read and write here.
"""

import dataclasses
import math
from collections.abc import Iterable
from functools import reduce
from typing import Any, ClassVar

import numpy as np

from .base import Array, Layer, shape
from .conv import Ints, output_sizes, taps
from .padding import Sides, check_ints, each, grown, letters, pad, unpad


def largest(taps: Iterable[tuple[Array, Array]], y: Array, i: Array) -> tuple[Array, Array]:
    """The largest entry that any tap (z_k, at_k) sees at p, and its place at_k[p], which grows with k. y and i: below.

    The first of equal ones, the last of several NaN, as in torch."""
    for z_k, at_k in taps:
        z_k = np.ascontiguousarray(z_k)  # it is read three times
        larger = (np.real(z_k) > np.real(y)) | (z_k != z_k)  # NaN alone differs from itself
        i = np.maximum(i, larger * at_k)  # MaxPool1d's (2), since at_k grows with k
        y = np.maximum(y, z_k)  # (1)
    return y, i


def place(dy: Array, i: Array, x_shape: Ints, axes: int) -> Array:
    """The adjoint of reading y[p] = x[i(p)] in every plane: dx[i(p)] += dy[p], for one p after another."""
    lead, n = x_shape[:-axes], math.prod(x_shape[-axes:])
    planes = math.prod(lead)
    first = np.arange(0, planes * n, max(n, 1))[:planes].reshape(*lead, *(1,) * axes)  # where each plane of x begins
    dx = np.zeros(planes * n, dy.dtype)
    np.add.at(dx, (first + i).ravel(), dy.ravel())  # (3)
    return dx.reshape(x_shape)


class _PoolNd(Layer, family=True):
    """A window that slides along the last axes. A subclass says what it makes of the window's entries."""

    kernel_size: int | Ints
    stride: int | Ints | None = None
    padding: int | Ints = 0

    axes: ClassVar[int]
    dilation: ClassVar[int | Ints] = 1
    dyadic = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in {"kernel_size": 1, "stride": 1, "padding": 0}.items():
            if getattr(self, name) is not None:
                check_ints(self, name, self.axes, least)
        if self.stride == self.kernel_size:
            object.__setattr__(self, "stride", None)  # what None means, so that equal layers are equal values
        if any(2 * p > k for p, k in zip(each(self.padding, self.axes), self.kernel()[0])):
            raise ValueError(f"{self}: padding takes at most half of kernel_size")

    def kernel(self) -> tuple[Ints, Ints, Ints]:
        """Kernel size, stride and dilation along every axis."""
        stride = self.kernel_size if self.stride is None else self.stride
        return each(self.kernel_size, self.axes), each(stride, self.axes), each(self.dilation, self.axes)

    def windows(self, x: Any, ceil_mode: bool) -> tuple[Ints, Ints, Sides]:
        """Sizes of x and of y along the last axes, and how much to pad x so that every window lies in it."""
        n, sizes = self.axes, shape(x)[-self.axes :]
        kernel, stride, dilation = self.kernel()
        pads = each(self.padding, n)
        padded = tuple(size + 2 * p for size, p in zip(sizes, pads))
        if ceil_mode:  # a last window may hang over the end, but not begin in the padding behind x
            padded = tuple(size + s - 1 for size, s in zip(padded, stride))
        out = output_sizes(padded, kernel, stride, dilation)
        out = tuple(o - ((o - 1) * s >= size + p) for o, s, size, p in zip(out, stride, sizes, pads))
        ok = len(shape(x)) in (n + 1, n + 2) and min(out) > 0 and min(sizes) > 0
        self.takes(ok, x, f"(N, C, {letters(n)}), or without N, with room for kernel_size and padding")
        reach = [s * (o - 1) + d * (k - 1) + 1 for k, s, d, o in zip(kernel, stride, dilation, out)]
        return sizes, out, [(p, max(r - size - p, 0)) for p, r, size in zip(pads, reach, sizes)]

    @classmethod
    def example(cls, choose, shape):
        sizes = shape[-cls.axes :]
        kernel = tuple(choose(*(k for k in (2, 1, 3, 4) if k <= size + k // 2 * 2)) for size in sizes)
        padding = tuple(choose(*(p for p in range(k // 2 + 1) if k <= size + 2 * p)) for k, size in zip(kernel, sizes))
        stride = choose(None, tuple(choose(1, 2, 3) for _ in sizes))
        return cls(kernel, stride, padding, **{name: choose(*values) for name, values in cls.options.items()})


class _MaxPoolNd(_PoolNd, family=True):
    """The largest entry of every window.

    Forward   y[p] = maxₖ x[s·p + d·k]                                                                        (1)
              i(p) = the s·p + d·k where it stands: the last k in order that is larger than all before it     (2)
    Backward  near x the largest entry stays where it is, so y[p] = x[i(p)] and ∂y[p]/∂x[j] = [i(p) = j]:
              dx[j] = Σ dy[p]  over all p with i(p) = j, one after another:  dx[i(p)] += dy[p]                (3)
    Shapes    x: (N, C, L) for 1d, (N, C, H, W) for 2d, (N, C, D, H, W) for 3d, or without N;
              y: likewise with  L of y = ⌊(L + 2 padding − d (k − 1) − 1)/s⌋ + 1,  ⌈…⌉ with ceil_mode, where a last
              window that would begin behind x is left out. With return_indices y is (y, i), i as one number that counts
              the entries of x along these axes
    Errors    ValueError if x has other axes or is shorter than the window, padding exceeds half the window, or a window
              holds nothing but padding (possible with dilation; torch gives −∞ and an index outside of x)
    Source    torch.nn.MaxPool1d, MaxPool2d, MaxPool3d
    Caveat    no derivative in a tie: torch takes the first in row-major order. NaN counts as larger than anything, and
              of several the last is taken. Padding is never chosen, not even over −∞
    """

    dilation: int | Ints = 1
    return_indices: bool = False
    ceil_mode: bool = False

    options = {"return_indices": (False, True), "ceil_mode": (False, True)}

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ints(self, "dilation", self.axes, 1)

    def forward(self, params, x):
        sizes, out, sides = self.windows(x, self.ceil_mode)
        n, z = math.prod(sizes), pad(x, sides, value=-math.inf)
        at = pad(np.arange(n).reshape(sizes), sides, value=n)  # n: not in x
        at_taps = list(taps(at, out, *self.kernel()))
        i = np.min(at_taps, 0)  # the window's first entry in x
        self.takes(
            i.max() < n, x, f"(N, C, {letters(self.axes)}) with an entry in every window of kernel_size, dilation"
        )
        y = np.full(x.shape[: -self.axes] + out, -math.inf, x.dtype)
        y, i = largest(zip(taps(z, out, *self.kernel()), at_taps), y, i)
        return ((y, i) if self.return_indices else y), (i, x.shape)

    def backward(self, params, cache, dy):
        i, x_shape = cache
        return place(dy[0] if self.return_indices else dy, i, x_shape, self.axes), {}

    @classmethod
    def example(cls, choose, shape):
        layer = super().example(choose, shape)
        dilation = []
        for n, k, p in zip(shape[-cls.axes :], layer.kernel()[0], each(layer.padding, cls.axes)):
            most = min(n, (n + 2 * p - 1) // max(k - 1, 1))  # no step larger than x, so none over all of it
            dilation.append(choose(1, *range(2, min(most, 3) + 1)))
        return dataclasses.replace(layer, dilation=tuple(dilation))


class _AvgPoolNd(_PoolNd, family=True):
    """The mean of every window.

    Forward   z = x between zeros                                                                             (0)
              n(p): the window's entries in x and its padding, in x alone unless count_include_pad,
              or divisor_override                                                                             (1)
              y[p] = Σₖ z[s·p + k] / n(p)                                                                     (2)
    Backward  z[q] is in the window of every p with s·p + k = q for some k, with weight 1/n(p):
              dz[s·p + k] += dy[p]/n(p)  for every k and all p                                                (3)
              dx = the part of dz where x lies                                                                (4)
    Shapes    those of MaxPool1d, MaxPool2d, MaxPool3d with d = 1
    Errors    ValueError if x has other axes or is shorter than the window, padding exceeds half the window, or
              divisor_override is 0
    Source    torch.nn.AvgPool1d, AvgPool2d, AvgPool3d
    Caveat    where ceil_mode lets a window hang over the end of the padding, what hangs over is never counted in n(p).
              torch's AvgPool3d refuses an x shorter than the window even if padding makes up for it; this one does not
    """

    ceil_mode: bool = False
    count_include_pad: bool = True

    divisor_override: ClassVar[int | None] = None
    options = {"ceil_mode": (False, True), "count_include_pad": (True, False)}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.divisor_override == 0:
            raise ValueError(f"{self}: divisor_override takes an int other than 0")

    def divisor(self, sizes: Ints, out: Ints) -> Array:
        """n(p): the product of how far the window reaches along each axis."""
        kernel, stride, _ = self.kernel()
        counts = []
        for size, o, k, s, p in zip(sizes, out, kernel, stride, each(self.padding, self.axes)):
            start = s * np.arange(o) - p
            end = np.minimum(start + k, size + p)
            counts.append(end - start if self.count_include_pad else np.minimum(end, size) - np.maximum(start, 0))
        return reduce(np.multiply.outer, counts)

    def forward(self, params, x):
        sizes, out, sides = self.windows(x, self.ceil_mode)
        z, n = pad(x, sides), self.divisor_override or self.divisor(sizes, out).astype(x.dtype)  # (0), (1)
        y = np.zeros(x.shape[: -self.axes] + out, x.dtype)
        for z_k in taps(z, out, *self.kernel()):
            y += z_k
        return y / n, (n, sizes, sides)  # (2)

    def backward(self, params, cache, dy):
        n, sizes, sides = cache
        dy_n = dy / n
        dz = np.zeros(dy.shape[: -self.axes] + grown(sizes, sides), dy.dtype)
        for dz_k in taps(dz, dy.shape[-self.axes :], *self.kernel()):
            dz_k += dy_n  # (3), through a view of dz
        return unpad(dz, sizes, sides), {}  # (4)


class MaxPool1d(_MaxPoolNd):
    axes, ranks, __doc__ = 1, (2, 3), _MaxPoolNd.__doc__


class MaxPool2d(_MaxPoolNd):
    axes, ranks, __doc__ = 2, (3, 4), _MaxPoolNd.__doc__


class MaxPool3d(_MaxPoolNd):
    axes, ranks, __doc__ = 3, (4, 5), _MaxPoolNd.__doc__


class AvgPool1d(_AvgPoolNd):
    axes, ranks, __doc__ = 1, (2, 3), _AvgPoolNd.__doc__


class AvgPool2d(_AvgPoolNd):
    divisor_override: int | None = None

    options = {**_AvgPoolNd.options, "divisor_override": (None, 4, 3, -2)}
    axes, ranks, __doc__ = 2, (3, 4), _AvgPoolNd.__doc__


class AvgPool3d(_AvgPoolNd):
    divisor_override: int | None = None

    options = AvgPool2d.options
    axes, ranks, __doc__ = 3, (4, 5), _AvgPoolNd.__doc__

    @classmethod
    def example(cls, choose, shape):
        layer = super().example(choose, shape)
        return layer if all(n >= k for n, k in zip(shape[-3:], layer.kernel()[0])) else None  # see Caveat
