"""Channels dealt out like cards. Beside torch/nn/modules/channelshuffle.py."""

from .base import Array, Layer, shape
from .pixelshuffle import positive


def dealt(x: Array, g: int) -> Array:
    """y[:, c g + a] = x[:, a C/g + c]: channel c of every group a, then channel c + 1 of every group."""
    return x.reshape(x.shape[0], g, x.shape[1] // g, *x.shape[2:]).swapaxes(1, 2).reshape(x.shape)


class ChannelShuffle(Layer):
    """Mix the channels of several groups, so that the next grouped convolution sees all of them.

    Forward   the channels as (g, C/g), transposed, and in one row again:  y[:, c g + a] = x[:, a C/g + c]
              with group a = 0, …, g − 1 and c = 0, …, C/g − 1
    Backward  the transpose of a permutation is its inverse: dx[:, a C/g + c] = dy[:, c g + a], which is the same with
              C/g groups instead of g
    Shapes    x, y: (N, C, *), at least one axis behind the channels;  g = groups
    Errors    ValueError if x has less than three axes or channels that g does not divide, or g is no positive int
    Source    Zhang et al. 2018, arXiv:1707.01083, section 3.1; torch.nn.ChannelShuffle
    """

    groups: int

    ranks = (4, 3, 5)
    dyadic = True

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self, "groups")

    def forward(self, params, x):
        ok = len(shape(x)) >= 3 and shape(x)[1] % self.groups == 0
        self.takes(ok, x, "(N, C, *), C a multiple of groups")
        return dealt(x, self.groups), ()

    def backward(self, params, cache, dy):
        return dealt(dy, dy.shape[1] // self.groups), {}

    @classmethod
    def example(cls, choose, shape):
        return cls(choose(*(g for g in (2, 3, 4, 5, 1) if shape[1] % g == 0)))
