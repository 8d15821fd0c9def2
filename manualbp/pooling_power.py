"""The p-norm of every window of the input. Beside torch/nn/modules/pooling.py."""

import math
from typing import Any, ClassVar

import numpy as np

from .base import Layer
from .conv import Ints
from .elementary import magnitude
from .padding import check_ints, each
from .pooling import AvgPool1d, AvgPool2d, AvgPool3d, MaxPool1d, MaxPool2d, MaxPool3d


class _LPPoolNd(Layer, family=True):
    """The p-norm of every window: between the sum, at p = 1, and the largest magnitude, at p = ∞.

    Forward   m: the mean of a window, as of AvgPool without padding;  k: the entries of a window
              S = k m(x^p),  y = S^(1/p);  for p = ∞  y = the largest of |x|, as of MaxPool;  −∞: the smallest
    Backward  dS = dy (1/p) S^(1/p − 1),  dm = k dS;  mᵀ dm gives each entry of x^p what the mean's backward gives it,
              dx = p x^(p−1) ⊙ mᵀ dm = x^(p−1) ⊙ mᵀ(k S^(1/p − 1) dy);   for p = ±∞  dx = sign(x) ⊙ MaxPool's;
              where S = 0 the norm has a corner (for p = 1 none, but torch has no exception): there dS = 0
    Shapes    those of AvgPool1d, AvgPool2d, AvgPool3d without padding
    Errors    ValueError if x has other axes or is shorter than the window, or norm_type is 0
    Source    torch.nn.LPPool1d, LPPool2d, LPPool3d; Gulcehre et al. 2014, arXiv:1311.1780, eq. 2
    Caveat    it is x^p, not |x|^p: NaN for x < 0 where p is no integer, and for S < 0 where p is odd. With ceil_mode a
              window that hangs over the end counts as if its mean stood in what is missing
    """

    norm_type: float
    kernel_size: int | Ints
    stride: int | Ints | None = None
    ceil_mode: bool = False

    axes: ClassVar[int]
    mean: ClassVar[Any]  # the pooling classes of as many axes
    largest: ClassVar[Any]
    dyadic = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("kernel_size", "stride"):
            if getattr(self, name) is not None:
                check_ints(self, name, self.axes, 1)
        if self.norm_type == 0:
            raise ValueError(f"{self}: norm_type takes a number other than 0")
        object.__setattr__(self, "norm_type", float(self.norm_type))

    def inner(self) -> Layer:
        """The pooling between the powers."""
        pool = self.largest if math.isinf(self.norm_type) else self.mean
        return pool(self.kernel_size, self.stride, ceil_mode=self.ceil_mode)

    @np.errstate(invalid="ignore")
    def forward(self, params, x):
        self.takes(getattr(x, "ndim", 0) in self.ranks, x, "the shape that AvgPool of as many axes takes")
        p, k = self.norm_type, math.prod(each(self.kernel_size, self.axes))
        if math.isinf(p):
            sign = math.copysign(1, p)
            y, cache = self.inner().forward({}, sign * magnitude(x))
            return sign * y, (x, cache)
        m, cache = self.inner().forward({}, power(x, p))
        S = k * m
        return power(S, 1 / p), (x, cache, S)

    @np.errstate(invalid="ignore", divide="ignore")
    def backward(self, params, cache, dy):
        x, inner, *rest = cache
        p, k = self.norm_type, math.prod(each(self.kernel_size, self.axes))
        if math.isinf(p):
            return np.sign(x) * self.inner().backward({}, inner, dy)[0], {}
        (S,) = rest
        dm = np.where(S == 0, 0, k * power(S, 1 / p - 1) * dy)
        return power(x, p - 1) * self.inner().backward({}, inner, dm)[0], {}

    def derives(self, x):
        """At p = 1 the sum has a derivative where it is 0, too; torch's is 0."""
        return self.norm_type != 1 or bool(np.all(self.forward({}, x)[0] != 0))

    @classmethod
    def example(cls, choose, shape):
        kernel = tuple(choose(*(k for k in (2, 1, 3) if k <= n)) for n in shape[-cls.axes :])
        stride = choose(None, tuple(choose(1, 2, 3) for _ in kernel))
        return cls(choose(2.0, 1.0, 4.0, math.inf), kernel, stride, choose(False, True))


def power(x: Any, p: float) -> Any:
    """x^p, exact where it is x or 1."""
    return x if p == 1 else np.ones_like(x) if p == 0 else x**p


class LPPool1d(_LPPoolNd):
    axes, ranks, mean, largest, __doc__ = 1, (2, 3), AvgPool1d, MaxPool1d, _LPPoolNd.__doc__


class LPPool2d(_LPPoolNd):
    axes, ranks, mean, largest, __doc__ = 2, (3, 4), AvgPool2d, MaxPool2d, _LPPoolNd.__doc__


class LPPool3d(_LPPoolNd):
    axes, ranks, mean, largest, __doc__ = 3, (4, 5), AvgPool3d, MaxPool3d, _LPPoolNd.__doc__
