"""Entries or whole channels dropped at random in training. Beside torch/nn/modules/dropout.py."""

import math
from typing import ClassVar

import numpy as np

from .base import Array, Layer, needs_rng, shape

ALPHA = -1.7580993408473766  # what SELU tends to at −∞: −λα


class _DropoutNd(Layer, family=True):
    """Each entry, or each channel, is kept with probability 1 − p: m = 1, else 0. The mask m does not depend on x.

    Forward   y = s m x + c(m);  in evaluation, and for p = 0, y = x;  for p = 1, y = 0
    Backward  dx = s m dy,  dy  and  0
    A subclass gives s and c. Numbers are drawn, one an entry of m, in training with 0 < p < 1 only.
    """

    p: float = 0.5
    training: bool = True

    shapes: ClassVar[str] = "(*)"  # of x, for messages
    least: ClassVar[int] = 0  # axes that x must have where numbers are drawn; it may have any number of them otherwise
    options = {"p": (0.5, 0.3, 0.75, 0.0), "training": (True, False)}

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.p <= 1:
            raise ValueError(f"{type(self).__name__} drops with a probability p from 0 to 1, not {self.p}")

    @property
    def random(self) -> bool:
        return self.training and 0 < self.p < 1

    def masked(self, x: Array) -> tuple[int, ...]:
        """The shape of m, which stands beside x."""
        return x.shape

    def takes_axes(self, rank: int) -> bool:
        return rank >= self.least or not self.random

    def s(self) -> float:
        return 1 / (1 - self.p)

    def c(self, m: Array, x: Array) -> Array | float:
        return 0.0

    @np.errstate(invalid="ignore")  # as in torch, a dropped infinity leaves NaN
    def forward(self, params, x, rng=None):
        self.takes(self.takes_axes(len(shape(x))), x, self.shapes)
        if not self.training or self.p == 0:
            return x, (None,)
        if self.p == 1:
            return x * 0, (0,)
        m = needs_rng(self, rng).random(self.masked(x)) >= self.p
        return x * m * self.s() + self.c(m, x), (m,)

    def backward(self, params, cache, dy):
        (m,) = cache
        return dy if m is None else dy * m * self.s() if self.random else dy * m, {}


class Dropout(_DropoutNd):
    """Drop entries at random, and scale the others up so that the mean stays.

    Forward   mᵢ = 1 with probability 1 − p, else 0;  y = mx/(1−p), and since ⟨m⟩ = 1 − p, y is x on average
              in evaluation y = x
    Backward  ∂yᵢ/∂xⱼ = δᵢⱼ mᵢ/(1−p), so  dx = m dy/(1−p), with the mask of the forward pass
    Shapes    x, y, m: (*)
    Errors    ValueError if p is no probability, or if no Generator is given in training
    Source    Srivastava et al. 2014, JMLR 15, section 4, where evaluation scales down instead; torch.nn.Dropout
    Caveat    m = [u ≥ p] with one u of rng.random(x.shape) an entry; p = 1 gives y = 0
    """

    ranks = (0, 1, 2, 3, 4, 5)
    dyadic = True


class Dropout1d(_DropoutNd):
    """Drop whole channels of sequences.

    Forward   y = mx/(1−p), one m a channel;  in evaluation y = x
    Backward  dx = m dy/(1−p)
    Shapes    x, y: (N, C, L) or (C, L); m: (N, C, 1) or (C, 1)
    Errors    ValueError for another number of axes, if p is no probability, or without a Generator in training
    Source    Tompson et al. 2014, arXiv:1411.4280, section 3.2; torch.nn.Dropout1d
    """

    ranks, shapes = (3, 2), "(N, C, L) or (C, L)"
    dyadic = True

    def takes_axes(self, rank):
        return rank in self.ranks

    def masked(self, x):
        return (*x.shape[:-1], 1)


class Dropout2d(_DropoutNd):
    """Drop whole channels of images.

    Forward   y = mx/(1−p), one m a channel;  in evaluation y = x
    Backward  dx = m dy/(1−p)
    Shapes    x, y: (N, C, H, W), or (N, C, *); m: (N, C, 1, …);  any in evaluation
    Errors    ValueError for less than two axes in training, if p is no probability, or without a Generator in training
    Source    Tompson et al. 2014, arXiv:1411.4280, section 3.2; torch.nn.Dropout2d
    Caveat    of three axes the second is that of the channels, as in torch, which warns that it may take them for
              (C, H, W) one day, and of other numbers of axes but four that it may refuse them
    """

    ranks, shapes, least = (4, 3, 2), "(N, C, *)", 2
    dyadic = True

    def masked(self, x):
        return x.shape[:2] + (1,) * (x.ndim - 2)


class Dropout3d(_DropoutNd):
    """Drop whole channels of volumes.

    Forward   y = mx/(1−p), one m a channel;  in evaluation y = x
    Backward  dx = m dy/(1−p)
    Shapes    x, y: (N, C, D, H, W) or (C, D, H, W); m: (N, C, 1, 1, 1) or (C, 1, 1, 1);  any in evaluation
    Errors    ValueError for a number in training, if p is no probability, or without a Generator in training
    Source    Tompson et al. 2014, arXiv:1411.4280, section 3.2; torch.nn.Dropout3d
    Caveat    of other numbers of axes the first is that of the channels, as in torch, which warns that it may refuse
              them one day
    """

    ranks, shapes, least = (5, 4), "(N, C, D, H, W) or (C, *)", 1
    dyadic = True

    def masked(self, x):
        channels = 2 if x.ndim == 5 else 1
        return x.shape[:channels] + (1,) * (x.ndim - channels)


class AlphaDropout(_DropoutNd):
    """Set entries at random to what SELU tends to at −∞, and restore mean zero and variance one.

    Forward   α′ = −λα ≈ −1.758 (SELU's);  z = mx + (1−m)α′,  y = az + b,  in evaluation y = x
              For x of mean 0 and variance 1, with q = 1 − p:
              E z = pα′,  Var z = q + pα′² − p²α′² = q + pqα′² = q(1 + pα′²)
              mean 0 and variance 1 again, so  a = (q(1 + pα′²))^(−1/2),  b = −apα′
              y = a m x + aα′(1−m) − apα′ = a m x + aα′(q − m)
    Backward  ∂yᵢ/∂xⱼ = δᵢⱼ a mᵢ, so  dx = a m dy
    Shapes    x, y, m: (*)
    Errors    ValueError if p is no probability, or without a Generator in training
    Source    Klambauer et al. 2017, arXiv:1706.02515, section 3 and eq. 8 ff.; torch.nn.AlphaDropout
    Caveat    p = 1 gives y = 0, as in torch
    """

    ranks = (0, 1, 2, 3, 4, 5)

    def s(self):
        return 1 / math.sqrt((1 - self.p) * (1 + self.p * ALPHA**2))

    def c(self, m, x):
        return self.s() * ALPHA * ((1 - self.p) - m.astype(x.dtype))


class FeatureAlphaDropout(AlphaDropout):
    """AlphaDropout of whole channels.

    Forward   y = a m x + aα′(q − m), one m a channel, a as in AlphaDropout;  in evaluation y = x
    Backward  dx = a m dy
    Shapes    x, y: (N, C, *); m: (N, C, 1, …);  any in evaluation
    Errors    ValueError for less than two axes in training, if p is no probability, or without a Generator in training
    Source    Klambauer et al. 2017, arXiv:1706.02515, section 3; torch.nn.FeatureAlphaDropout
    Caveat    the second axis is that of the channels whatever their number is; torch's text promises (C, D, H, W) too,
              but its code takes that C for a batch, and so it is here
    """

    ranks, shapes, least = (4, 2, 3, 5), "(N, C, *)", 2

    def masked(self, x):
        return x.shape[:2] + (1,) * (x.ndim - 2)
