"""Mistakes in transposed convolution, in windows laid beside each other, and in channels that become pixels."""

import numpy as np

from manualbp.conv import taps
from manualbp.padding import each, grown, unpad

from .base import Right, fault, right


@fault("E10", "_ConvTransposeNd")
class OutputPaddingIgnored(Right):
    """The entries that output_padding adds to y have no part in the gradients.

    Relation  yours = torch's for dy = 0 at the last output_padding entries
    Remedy    they are entries of y as all others: the bias stands in them, and where there is padding a kernel reaches
    Needs     output_padding > 0
    """

    def backward(self, params, cache, dy):
        dy = np.array(dy)
        (x,) = cache
        for axis, size in enumerate(right(self, output_padding=0, output_size=None).sizes(x), -self.axes):
            np.moveaxis(dy, axis, 0)[size:] = 0
        return super().backward(params, cache, dy)


@fault("E23", "_ConvTransposeNd")
class OutputPaddingInFront(Right):
    """output_padding adds its entries before y.

    Relation  yours = torch's, shifted by output_padding
    Remedy    what it adds stands behind y: z[padding : padding + L]
    Needs     output_padding > 0
    """

    def sides(self):
        added = each(self.output_padding, self.axes)
        return [(before - q, after + q) for (before, after), q in zip(super().sides(), added)]


@fault("E24", "_ConvTransposeNd")
class FlippedForward(Right):
    """y is made with the kernel turned round, as if it were a correlation of x between zeros.

    Relation  yours = torch's for the flipped kernel, forward and back
    Remedy    z[s·p + d·k] += W[k] x[p]: written as a correlation of x between zeros, the kernel is to be flipped
    Needs     a kernel larger than 1
    """

    def flipped(self, tree):
        places = tuple(range(2, 2 + self.axes))
        return tree | {"weight": np.flip(tree["weight"], places)}

    def forward(self, params, x):
        return super().forward(self.flipped(params), x)

    def backward(self, params, cache, dy):
        dx, grads = super().backward(self.flipped(params), cache, dy)
        return dx, self.flipped(grads)


@fault("E25", "_ConvTransposeNd")
class WeightAsOfConvolution(Right):
    """dW lies as that of a convolution does, output channels first.

    Relation  yours = torch's with its first two axes swapped
    Remedy    the weight of a transposed convolution is (in_channels, out_channels/groups, …): dW = Σ x Xᵀ
    Needs     as many input as output channels of a group, more than one
    """

    def backward(self, params, cache, dy):
        dx, grads = super().backward(params, cache, dy)
        dW = grads["weight"]
        return dx, grads | {"weight": dW.swapaxes(0, 1) if dW.shape[0] == dW.shape[1] else dW}


@fault("E26", "_ConvTransposeNd")
class StrideIgnored(Right):
    """dx reads dy without the stride.

    Relation  yours = torch's for stride = 1 and the first entries of dy
    Remedy    x[p] went to s·p + d·k, so dx[p] = Σ W[k] dz[s·p + d·k]
    Needs     a stride larger than 1 and more than one entry along an axis
    """

    def backward(self, params, cache, dy):
        _, grads = super().backward(params, cache, dy)
        return right(self, stride=1).backward(params, cache, dy)[0], grads


@fault("E27", "Unfold")
class OverlapsAssigned(Right):
    """Where windows overlap, dx is that of the last one.

    Relation  yours = torch's where one window sees an entry, and a part of it where several do
    Remedy    dz[s·p + d·k] += dy[k, p]: add, do not assign
    Needs     windows that overlap: a stride less than the kernel
    """

    def backward(self, params, cache, dy):
        (sizes,) = cache
        lead = *dy.shape[:-2], dy.shape[-2] // self.taps()
        pieces = np.moveaxis(dy.reshape(*lead, self.taps(), dy.shape[-1]), -2, 0)
        dz = np.zeros(lead + grown(sizes, self.sides()), dy.dtype)
        for dz_k, piece in zip(taps(dz, self.out(sizes), *self.kernel()), pieces):
            dz_k[...] = piece.reshape(dz_k.shape)
        return unpad(dz, sizes, self.sides()), {}


def turned(a, first):
    """The axis before the last, `first` blocks of it, with blocks and what is in them in each other's place."""
    apart = a.reshape(*a.shape[:-2], first, -1, a.shape[-1])
    return apart.swapaxes(-2, -3).reshape(a.shape)


@fault("E28", "Unfold", "Fold")
class KernelBeforeChannels(Right):
    """The entries of a window are taken in the order (kernel, channel).

    Relation  yours = torch's, its entries of one window permuted
    Remedy    the rows of Unfold are (channel, kernel), as the weight of a convolution has them
    Needs     more than one channel, and a kernel larger than 1
    """

    def backward(self, params, cache, dy):
        if not cache:  # Fold, whose gradient has the windows
            dx, grads = super().backward(params, cache, dy)
            return turned(dx, dx.shape[-2] // self.taps()), grads
        return super().backward(params, cache, turned(dy, self.taps()))


@fault("E29", "Fold")
class FoldAveraged(Right):
    """The gradient is divided by the number of windows that see an entry, as if Fold took their mean.

    Relation  yours = torch's / how many windows meet at an entry
    Remedy    Fold adds: dx = Unfold of dy, nothing divided
    Needs     windows that overlap: a stride less than the kernel
    """

    def backward(self, params, cache, dy):
        ones = right(self).backward(params, cache, np.ones_like(dy))[0]
        met = right(self).forward(params, ones)[0]
        return super().backward(params, cache, dy / np.maximum(met, 1))


class _OtherOrder(Right):
    """Channels that become pixels, or pixels channels, with the channels in another order. (Shuffling, dx has them.)"""

    def other(self, a, r):
        raise NotImplementedError

    def backward(self, params, cache, dy):
        r = getattr(self, "upscale_factor", None)
        if r is None:
            return super().backward(params, cache, self.other(dy, self.downscale_factor))
        dx, grads = super().backward(params, cache, dy)
        return self.other(dx, r), grads


@fault("E30", "PixelShuffle", "PixelUnshuffle")
class PixelsBeforeChannels(_OtherOrder):
    """The r² channels of a pixel's square are taken as (i, j, c), as TensorFlow's depth_to_space has them.

    Relation  yours = torch's, its channels permuted
    Remedy    channel c r² + r i + j: those of one square stand side by side
    Needs     r > 1 and more than one channel of the larger image
    """

    def other(self, a, r):
        apart = a.reshape(*a.shape[:-3], -1, r * r, *a.shape[-2:])
        return apart.swapaxes(-3, -4).reshape(a.shape)


@fault("E31", "PixelShuffle", "PixelUnshuffle")
class RowsForColumns(_OtherOrder):
    """i and j, the row and the column in a pixel's square, are in each other's place.

    Relation  yours = torch's, its channels permuted: the squares are transposed
    Remedy    channel c r² + r i + j: i is the row
    Needs     r > 1
    """

    def other(self, a, r):
        apart = a.reshape(*a.shape[:-3], -1, r, r, *a.shape[-2:])
        return apart.swapaxes(-3, -4).reshape(a.shape)


@fault("E32", "ChannelShuffle")
class ShuffledAgain(Right):
    """The gradient is shuffled as x was, instead of back.

    Relation  yours = torch's, its channels permuted
    Remedy    the inverse of a shuffle of g groups is one of C/g groups
    Needs     C/g and g different, neither 1
    """

    def backward(self, params, cache, dy):
        return right(self).forward(params, dy)[0], {}
