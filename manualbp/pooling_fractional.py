"""Max pooling whose windows stand at random steps. Beside torch/nn/modules/pooling.py."""

import math
from typing import Any, ClassVar

import numpy as np

from .base import Array, Layer, Params, needs_rng, shape
from .conv import Ints
from .padding import check_ints, each, letters
from .pooling import place
from .pooling_adaptive import largest_along


class _FractionalMaxPoolNd(Layer, family=True):
    """The largest entry of every window, where the windows of a channel begin at steps drawn at random.

    Forward   along an axis of I entries, with O windows of k entries, and u drawn once a sample, channel and axis:
              α = (I − k)/(O − 1),  window p begins at  a(p) = ⌊(p + u)α⌋ − ⌊uα⌋,  the last one at I − k
              y[p] = max x[a(p)], …, x[a(p) + k − 1] along all axes;  i(p): where it stands
    Backward  u does not depend on x, and near x the largest entry stays where it is, so y[p] = x[i(p)]:
              dx[j] = Σ dy[p]  over all p with i(p) = j
    Shapes    x: (N, C, H, W) for 2d, (N, C, D, H, W) for 3d, or without N; y: likewise with output_size, or
              ⌊output_ratio · I⌋, along the last axes; with return_indices y is (y, i), i as one number that counts the
              entries of x along these axes
    Errors    ValueError if x has other axes, or O + k − 1 > I; if one of output_size and output_ratio is not given
              alone, or a ratio is not between 0 and 1; or without a Generator
    Source    Graham 2014, arXiv:1412.6071, "pseudorandom", where the a are ⌈α(p + u)⌉; torch.nn.FractionalMaxPool2d,
              FractionalMaxPool3d
    Caveat    it draws in evaluation, too, as torch does: rng.random((N, C, axes)), u of the last axis first in 2d, as
              torch has it, and last in 3d. Ties and NaN: as of MaxPool2d. torch's FractionalMaxPool3d refuses
              O + k − 1 = I; this one does not
    """

    kernel_size: int | Ints
    output_size: int | Ints | None = None
    output_ratio: float | tuple[float, ...] | None = None
    return_indices: bool = False

    axes: ClassVar[int]
    random = True
    buffers = ("_random_samples",)  # where a module of torch's was given its numbers
    dyadic = True
    options = {"return_indices": (False, True)}

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ints(self, "kernel_size", self.axes, 1)
        if (self.output_size is None) == (self.output_ratio is None):
            raise ValueError(f"{self}: takes one of output_size and output_ratio")
        if self.output_size is not None:
            check_ints(self, "output_size", self.axes, 1)
            return
        ratios = each(self.output_ratio, self.axes)
        if len(ratios) != self.axes or not all(0 < ratio < 1 for ratio in ratios):
            raise ValueError(f"{self}: output_ratio takes a number between 0 and 1, or {self.axes} of them")
        if len(set(ratios)) == 1:
            object.__setattr__(self, "output_ratio", ratios[0])

    def sizes(self, x: Any) -> Ints:
        """The sizes of y along the last axes."""
        n, sizes = self.axes, shape(x)[-self.axes :]
        if self.output_size is not None:
            out = each(self.output_size, n)
        else:
            out = tuple(int(size * r) for size, r in zip(sizes, each(self.output_ratio, n)))
        fits = len(sizes) == n and all(o + k - 1 <= size for o, k, size in zip(out, each(self.kernel_size, n), sizes))
        ok = len(shape(x)) in (n + 1, n + 2) and fits and min(out) > 0
        self.takes(ok, x, f"(N, C, {letters(n)}), or without N, with room for output_size and kernel_size")
        return out

    def forward(self, params: Params, x: Any, rng: np.random.Generator | None = None) -> tuple[Any, tuple]:
        n, out = self.axes, self.sizes(x)
        lead = x.shape[:-n]
        u = params.get("_random_samples")
        if u is None:
            u = needs_rng(self, rng).random((*lead, n))
        else:  # without N those of the first sample, as in torch
            u = u.reshape(-1, n)[: math.prod(lead)].reshape(*lead, n)
        u = u[..., ::-1] if n == 2 else u  # see Caveat
        kernel = each(self.kernel_size, n)
        starts = [begins(u[..., a], size, out[a], kernel[a]) for a, size in enumerate(x.shape[-n:])]
        y, i = largest_along(x, [(start, start + k) for start, k in zip(starts, kernel)])
        return ((y, i) if self.return_indices else y), (i, x.shape)

    def backward(self, params, cache, dy):
        i, x_shape = cache
        return place(dy[0] if self.return_indices else dy, i, x_shape, self.axes), {}

    @classmethod
    def example(cls, choose, shape):
        last, spare = shape[-cls.axes :], int(cls.axes == 3)  # see Caveat
        if min(last) <= spare:
            return None
        kernel = tuple(choose(*(k for k in (2, 1, 3) if k + spare <= size)) for size in last)
        out = tuple(choose(*range(1, size - k + 2 - spare)) for size, k in zip(last, kernel))
        ratios = tuple((o + 0.5) / size for o, size in zip(out, last))
        if all(ratio < 1 for ratio in ratios) and choose(False, True):
            return cls(kernel, output_ratio=ratios, return_indices=choose(False, True))
        return cls(kernel, out, return_indices=choose(False, True))


def begins(u: Array, size: int, out: int, k: int) -> Array:
    """a(p) for all p, along a last axis of its own."""
    if out == 1:
        return np.full((*u.shape, 1), size - k)
    alpha, p = (size - k) / (out - 1), np.arange(out)
    a = ((p + u[..., None]) * alpha).astype(int) - (u[..., None] * alpha).astype(int)
    a[..., -1] = size - k
    return a


class FractionalMaxPool2d(_FractionalMaxPoolNd):
    axes, ranks, __doc__ = 2, (3, 4), _FractionalMaxPoolNd.__doc__


class FractionalMaxPool3d(_FractionalMaxPoolNd):
    axes, ranks, __doc__ = 3, (4, 5), _FractionalMaxPoolNd.__doc__
