"""Mistakes in convolution and pooling: flips, shifts, borders, ties."""

import math

import numpy as np

from manualbp.conv import taps
from manualbp.padding import each, pad

from .base import Right, fault, right


class _OtherWeight(Right):
    """A convolution whose dx is computed with other weights."""

    def other(self, W):
        raise NotImplementedError

    def backward(self, params, cache, dy):
        dx, _ = super().backward(params | {"weight": self.other(params["weight"])}, cache, dy)
        return dx, super().backward(params, cache, dy)[1]

    @property
    def places(self):
        """The axes of the kernel in the weight."""
        return tuple(range(2, 2 + self.axes))


@fault("E01", "_ConvNd")
class KernelNotFlipped(_OtherWeight):
    """dx convolves dy with the kernel turned the wrong way round.

    Relation  yours = torch's for the flipped kernel
    Remedy    dx[q] = Σ W[k] dy[p] over s·p + d·k = q: written as a correlation of dy, the kernel is flipped
    Needs     a kernel larger than 1, an upstream gradient that is not constant
    """

    def other(self, W):
        return np.flip(W, self.places)


@fault("E02", "_ConvNd")
class WeightGradientFlipped(_OtherWeight):
    """dW is flipped along the kernel.

    Relation  yours = torch's, flipped along the axes of the kernel
    Remedy    torch's convolution is a correlation: dW[k] = Σ dy[p] x[s·p + d·k], no flip
    Needs     a kernel larger than 1
    """

    def backward(self, params, cache, dy):
        dx, grads = super(_OtherWeight, self).backward(params, cache, dy)
        return dx, grads | {"weight": np.flip(grads["weight"], self.places)}


@fault("E03", "_ConvNd")
class ChannelsNotTransposed(_OtherWeight):
    """dx uses W with the channels of input and output in each other's place.

    Relation  yours = torch's for W with its first two axes swapped
    Remedy    y sums over input channels, so dx sums over output channels: dx[c] = Σₒ W[o, c] dy[o]
    Needs     as many input as output channels, more than one
    """

    def other(self, W):
        return W.swapaxes(0, 1) if W.shape[0] == W.shape[1] else W


@fault("E04", "_ConvNd")
class CroppedByOne(Right):
    """The padding is cropped off dx one entry too late.

    Relation  yours = torch's, shifted by one
    Remedy    dx = dz[p : p + L] with p the padding before x
    Needs     padding, more than one entry along the last axis
    """

    def backward(self, params, cache, dy):
        dx, grads = super().backward(params, cache, dy)
        return np.roll(dx, 1, -1) if self.sides()[-1][0] else dx, grads


@fault("E06", "_ConvNd")
class DilationIgnored(Right):
    """dx spreads dy as if the kernel had no gaps.

    Relation  yours = torch's for dilation = 1
    Remedy    tap k of output p reads x[s·p + d·k], so that is where its gradient goes
    Needs     dilation > 1 and a kernel larger than 1
    """

    def backward(self, params, cache, dy):
        _, grads = super().backward(params, cache, dy)
        sides = self.sides()  # without dilation "same" would pad less
        gapless = right(self, dilation=1)
        tight = type("Gapless", (type(gapless),), {"sides": lambda self: sides})
        object.__setattr__(gapless, "__class__", tight)
        return gapless.backward(params, cache, dy)[0], grads


@fault("E08", "_ConvNd")
class SamePaddingOtherSide(Right):
    """padding = "same" puts the odd entry before x.

    Relation  yours = torch's, shifted by one
    Remedy    of d(k − 1) entries ⌊half⌋ stand before x and the rest behind
    Needs     padding = "same" and an odd d(k − 1)
    """

    def sides(self):
        return [side[::-1] for side in super().sides()]


@fault("E11", "_ConvNd")
class UnfoldedInOtherOrder(Right):
    """dW is read out of the matrix of im2col with the kernel before the channels.

    Relation  yours = torch's, its entries of one output channel permuted
    Remedy    the columns of im2col are (channel, kernel) as in W.reshape(out, -1)
    Needs     more than one input channel a group, and a kernel larger than 1
    """

    def backward(self, params, cache, dy):
        dx, grads = super().backward(params, cache, dy)
        dW = grads["weight"]
        return dx, grads | {"weight": np.moveaxis(dW, 1, -1).reshape(dW.shape)}


class _OtherWinner(Right):
    """A max-pooling layer that shares a window's gradient among its entries in another way."""

    def forward(self, params, x):
        y, cache = super().forward(params, x)
        return y, (*cache, x, y[0] if self.return_indices else y)

    def backward(self, params, cache, dy):
        *cache, x, y = cache
        dx, grads = super().backward(params, tuple(cache), dy)
        dy = dy[0] if self.return_indices else dy
        if (y != y).any():  # NaN alone differs from itself
            return dx, grads
        sides = self.windows(x, self.ceil_mode)[2]
        z, dz = pad(x, sides), np.zeros_like(pad(x, sides))
        inside = pad(np.ones(x.shape, dtype=bool), sides)
        views = [list(taps(a, y.shape[-self.axes :], *self.kernel())) for a in (z, inside, dz)]
        hits = np.stack([(z_k == y) & in_k for z_k, in_k in zip(*views[:2])])
        for dz_k, share in zip(views[2], self.shares(hits)):
            dz_k += dy * share
        crop = tuple(slice(before, before + n) for n, (before, _) in zip(x.shape[-self.axes :], sides))
        return dz[(..., *crop)], grads

    def shares(self, hits):
        """How much of dy each tap gets, where `hits` says which of them hold the maximum."""
        raise NotImplementedError


@fault("E12", "_MaxPoolNd")
class AllMaximaPaid(_OtherWinner):
    """In a tie every maximum of the window gets the whole gradient.

    Relation  Σ yours > Σ torch's: too much, in the windows with ties
    Remedy    one entry gets it; torch takes the first in row-major order
    Needs     ties
    """

    def shares(self, hits):
        return hits


@fault("E13.even", "_MaxPoolNd")
class TiesSplit(_OtherWinner):
    """In a tie the gradient is split evenly among the maxima.

    Relation  Σ yours = Σ torch's, but at other places in the windows with ties
    Remedy    a defensible choice; torch gives all of it to the first in row-major order
    Needs     ties
    """

    def shares(self, hits):
        return hits / np.array([math.fsum(row) for row in hits.reshape(len(hits), -1).T]).reshape(hits.shape[1:])


@fault("E13.last", "_MaxPoolNd")
class LastOfTies(_OtherWinner):
    """In a tie the last maximum of the window gets the gradient.

    Relation  Σ yours = Σ torch's, but at other places in the windows with ties
    Remedy    > instead of ≥ in the search for the maximum: torch takes the first in row-major order
    Needs     ties
    """

    def shares(self, hits):
        later = np.cumsum(hits[::-1], 0)[::-1]
        return hits & (later == 1)


@fault("E21", "_MaxPoolNd")
class SharedAsByTheMean(_OtherWinner):
    """The gradient is spread evenly over the window, as average pooling does.

    Relation  Σ yours = Σ torch's without padding, but every entry of a window has the same
    Remedy    only the largest entry has an influence: give it all of dy
    Needs     a window of more than one entry
    """

    def shares(self, hits):
        return np.full(hits.shape, 1 / len(hits))


@fault("E22", "_MaxPoolNd")
class WholeWindowPaid(_OtherWinner):
    """Every entry of the window gets the whole gradient.

    Relation  yours = dy at all entries of a window, torch's at the largest alone
    Remedy    multiply by [x = max], or scatter to the index that forward found
    Needs     a window of more than one entry
    """

    def shares(self, hits):
        return np.ones(hits.shape)


@fault("E15", "_MaxPoolNd")
class IndexInPadded(Right):
    """The index of the maximum counts from the border of the padded input.

    Relation  yours = torch's, shifted by the padding
    Remedy    subtract the padding from the index, or crop after scattering
    Needs     padding
    """

    def backward(self, params, cache, dy):
        dx, grads = super().backward(params, cache, dy)
        return np.roll(dx, each(self.padding, self.axes)[-1], -1), grads


class _OtherDivisor(Right):
    """An average-pooling layer that divides by another number in backward."""

    def other(self, sizes, out):
        raise NotImplementedError

    def backward(self, params, cache, dy):
        n, *rest = cache
        other = n if self.divisor_override else self.other(rest[0], dy.shape[-self.axes :]).astype(dy.dtype)
        return super().backward(params, (other, *rest), dy)


@fault("E16", "_AvgPoolNd")
class PaddingCounted(_OtherDivisor):
    """The padding is counted in the divisor where it should not be, or not where it should.

    Relation  yours = torch's but for windows at the border
    Remedy    count_include_pad says whether a window at the border divides by its whole size
    Needs     padding
    """

    def other(self, sizes, out):
        return right(self, count_include_pad=not self.count_include_pad).divisor(sizes, out)


@fault("E17", "_AvgPoolNd")
class OverhangCounted(_OtherDivisor):
    """A last window that hangs over the end divides by the size of the kernel.

    Relation  yours = torch's but for the last window along an axis
    Remedy    with ceil_mode count only what lies in the input and its padding
    Needs     ceil_mode, a stride that leaves a remainder
    """

    def other(self, sizes, out):
        if not self.ceil_mode or not self.count_include_pad:
            return right(self).divisor(sizes, out)
        return np.full(out, math.prod(self.kernel()[0]))
