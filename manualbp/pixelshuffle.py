"""Channels that become pixels, and pixels that become channels. Beside torch/nn/modules/pixelshuffle.py.

Every entry moves to a place of its own, so its gradient moves back: each of the two is the other's backward pass.
"""

import numpy as np

from .base import Array, Layer, shape


def shuffle(x: Array, r: int) -> Array:
    """y[c, r h + i, r w + j] = x[c r² + r i + j, h, w]."""
    *lead, channels, height, width = x.shape
    y = x.reshape(*lead, channels // r**2, r, r, height, width)  # c, i, j, h, w
    y = np.moveaxis(y, (-2, -1), (-4, -2))  # c, h, i, w, j
    return y.reshape(*lead, channels // r**2, height * r, width * r)


def unshuffle(y: Array, r: int) -> Array:
    """x[c r² + r i + j, h, w] = y[c, r h + i, r w + j]."""
    *lead, channels, height, width = y.shape
    x = y.reshape(*lead, channels, height // r, r, width // r, r)  # c, h, i, w, j
    x = np.moveaxis(x, (-4, -2), (-2, -1))  # c, i, j, h, w
    return x.reshape(*lead, channels * r**2, height // r, width // r)


class PixelShuffle(Layer):
    """Every r² channels become one, r times as high and wide.

    Forward   y[c, r h + i, r w + j] = x[c r² + r i + j, h, w]  with i, j = 0, …, r − 1
    Backward  one entry of y for every entry of x, so dx[c r² + r i + j, h, w] = dy[c, r h + i, r w + j]: PixelUnshuffle
    Shapes    x: (*, C r², H, W), y: (*, C, r H, r W),  r = upscale_factor
    Errors    ValueError if x has less than three axes or channels that r² does not divide, or r is no positive int
    Source    Shi et al. 2016, arXiv:1609.05158, eq. 4; torch.nn.PixelShuffle
    """

    upscale_factor: int

    ranks = (4, 3, 5)
    dyadic = True

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self, "upscale_factor")

    def forward(self, params, x):
        ok = len(shape(x)) >= 3 and shape(x)[-3] % self.upscale_factor**2 == 0
        self.takes(ok, x, "(*, C upscale_factor², H, W)")
        return shuffle(x, self.upscale_factor), ()

    def backward(self, params, cache, dy):
        return unshuffle(dy, self.upscale_factor), {}

    @classmethod
    def example(cls, choose, shape):
        return cls(choose(*[r for r in (2, 3) if shape[-3] % r**2 == 0] or [1]))


class PixelUnshuffle(Layer):
    """Every square of r² pixels becomes r² channels.

    Forward   y[c r² + r i + j, h, w] = x[c, r h + i, r w + j]  with i, j = 0, …, r − 1
    Backward  one entry of y for every entry of x, so dx[c, r h + i, r w + j] = dy[c r² + r i + j, h, w]: PixelShuffle
    Shapes    x: (*, C, r H, r W), y: (*, C r², H, W),  r = downscale_factor
    Errors    ValueError if x has less than three axes or sizes that r does not divide, or r is no positive int
    Source    Shi et al. 2016, arXiv:1609.05158; torch.nn.PixelUnshuffle
    """

    downscale_factor: int

    ranks = (4, 3, 5)
    dyadic = True

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self, "downscale_factor")

    def forward(self, params, x):
        ok = len(shape(x)) >= 3 and all(n % self.downscale_factor == 0 for n in shape(x)[-2:])
        self.takes(ok, x, "(*, C, downscale_factor H, downscale_factor W)")
        return unshuffle(x, self.downscale_factor), ()

    def backward(self, params, cache, dy):
        return shuffle(dy, self.downscale_factor), {}

    @classmethod
    def example(cls, choose, shape):
        return cls(choose(*(r for r in (2, 3, 4, 5, 1) if all(n % r == 0 for n in shape[-2:]))))


def positive(layer: Layer, name: str) -> None:
    """ValueError unless this option is an int of at least 1."""
    value = getattr(layer, name)
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{layer}: {name} takes an int of at least 1")
