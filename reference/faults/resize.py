"""Mistakes in layers that make an output of a given size: adaptive and other pooling, unpooling, interpolation."""

import math

import numpy as np

from manualbp.conv import taps
from manualbp.padding import each, grown, unpad
from manualbp.sparse_matrix import along, rows
from manualbp.upsampling import interpolation, neighbours

from .base import Right, fault


def rounded_down(size, out):
    p = np.arange(out)
    start = p * size // out
    return start, np.maximum((p + 1) * size // out, start + 1)


@fault("E18", "_AdaptiveAvgPoolNd", "_AdaptiveMaxPoolNd")
class EndsRoundedDown(Right):
    """The windows of adaptive pooling end at ⌊(p+1)I/O⌋, so that they do not overlap.

    Relation  yours = torch's for windows without their last entry, where O does not divide I
    Remedy    from ⌊pI/O⌋ up to, without, ⌈(p+1)I/O⌉
    Needs     an output size that does not divide that of x
    """

    window = staticmethod(rounded_down)


def by_stride(size, out):
    stride = size // max(out, 1)
    start = np.arange(out) * stride
    return start, start + max(size - (out - 1) * stride, 1)


@fault("E18.stride", "_AdaptiveAvgPoolNd", "_AdaptiveMaxPoolNd")
class PoolingWithAStride(Right):
    """Adaptive pooling is done by pooling with stride ⌊I/O⌋ and the kernel I − (O − 1) ⌊I/O⌋.

    Relation  yours = torch's for other windows, where O does not divide I
    Remedy    no kernel and stride give torch's windows: from ⌊pI/O⌋ up to, without, ⌈(p+1)I/O⌉
    Needs     an output size that does not divide that of x
    """

    window = staticmethod(by_stride)


class _OtherAdjoint(Right):
    """A matrix along each axis, and another one than its transpose on the way back."""

    def other(self, A, axis):
        """What is transposed instead of A, the matrix along this axis."""
        raise NotImplementedError

    def backward(self, params, cache, dy):
        (maps,) = cache
        dense = [along(A, np.eye(At[0]), -2) for A, At in maps]
        changed = [(A, rows(self.other(D, axis).T)) for axis, ((A, _), D) in enumerate(zip(maps, dense))]
        return super().backward(params, (changed,), dy)


def last_of_column(A):
    """The last entry other than 0 in every column."""
    later = np.cumsum((A != 0)[::-1], 0)[::-1]
    return np.where((A != 0) & (later == 1), A, 0)


@fault("E33", "_AdaptiveAvgPoolNd", "_AvgPoolNd")
class WindowsAssigned(_OtherAdjoint):
    """Where windows overlap, dx is that of the last one.

    Relation  yours = torch's where one window sees an entry, and a part of it where several do
    Remedy    dx[start:end] += dy[p]/n(p): add, do not assign
    Needs     windows that overlap: an output size that does not divide that of x, or a stride less than the kernel
    """

    def other(self, A, axis):
        return last_of_column(A)

    def backward(self, params, cache, dy):
        if len(cache) == 1:
            return super().backward(params, cache, dy)
        n, sizes, sides = cache
        dz = np.zeros(dy.shape[: -self.axes] + grown(sizes, sides), dy.dtype)
        for dz_k in reversed(list(taps(dz, dy.shape[-self.axes :], *self.kernel()))):  # windows, the last one last
            dz_k[...] = dy / n
        return unpad(dz, sizes, sides), {}


@fault("E34", "_AdaptiveAvgPoolNd")
class OneDivisorForAll(_OtherAdjoint):
    """Every window divides by ⌈I/O⌉ instead of by its own number of entries.

    Relation  yours = torch's · n(p)/⌈I/O⌉, with n(p) the entries of window p
    Remedy    windows are of different lengths: divide each by end − start
    Needs     an output size that does not divide that of x
    """

    def other(self, A, axis):
        return (A != 0) / math.ceil(A.shape[1] / max(A.shape[0], 1))


@fault("E35", "_AdaptiveMaxPoolNd")
class IndexInWindow(Right):
    """The index of the maximum counts from the first entry of its window.

    Relation  yours = torch's, each window's gradient moved to where the first window has it
    Remedy    add where the window begins: ⌊pI/O⌋ along every axis
    Needs     more than one window along an axis
    """

    def backward(self, params, cache, dy):
        i, x_shape = cache
        sizes = x_shape[-self.axes :]
        places = np.unravel_index(i, sizes)
        starts = [self.window(size, out)[0] for size, out in zip(sizes, i.shape[-self.axes :])]
        within = [at - start for at, start in zip(places, np.ix_(*starts))]
        return super().backward(params, (np.ravel_multi_index(within, sizes), x_shape), dy)


@fault("E36", "_AdaptiveMaxPoolNd", "_FractionalMaxPoolNd", "_MaxPoolNd")
class WinnersAssigned(Right):
    """An entry that is the largest of several windows gets the gradient of one of them.

    Relation  yours = torch's but at entries that are the largest of several windows
    Remedy    dx[i(p)] += dy[p], in NumPy np.add.at: with indices that repeat, dx[i] += dy adds once
    Needs     windows that overlap
    """

    def backward(self, params, cache, dy):
        i, x_shape = cache
        dy = dy[0] if self.return_indices else dy
        lead, n = x_shape[: -self.axes], math.prod(x_shape[-self.axes :])
        dx = np.zeros((*lead, n), dy.dtype)
        flat = *lead, math.prod(i.shape[-self.axes :])
        np.put_along_axis(dx, np.broadcast_to(i, dy.shape).reshape(flat), dy.reshape(flat), -1)
        return dx.reshape(x_shape), {}


@fault("E37", "_MaxUnpoolNd")
class PlacesOfAnotherPlane(Right):
    """The indices count from the first plane of the batch, whichever plane they are of.

    Relation  yours reads dy of sample 0, channel 0 for every sample and channel
    Remedy    indices count the entries of their own plane: add n · (C · sample + channel), or take along the last axis
    Needs     more than one sample or channel
    """

    def backward(self, params, cache, dy):
        i, x_shape = cache
        first = dy.reshape(-1, math.prod(dy.shape[-self.axes :]))[0]
        return (first[i].reshape(x_shape), None), {}


@fault("E38", "_LPPoolNd")
class RootForgotten(Right):
    """dx is that of the sum of powers: the root around it is forgotten.

    Relation  yours = torch's · p S^(1 − 1/p), with S the sum of the window's powers
    Remedy    y = S^(1/p): multiply by (1/p) S^(1/p − 1), so that dx = (x/y)^(p−1) dy
    Needs     p other than 1 and ∞
    """

    def backward(self, params, cache, dy):
        p = self.norm_type
        if math.isinf(p):
            return super().backward(params, cache, dy)
        S = cache[2]
        with np.errstate(all="ignore"):
            return super().backward(params, cache, dy * p * np.where(S == 0, 0, S ** (1 - 1 / p)))


@fault("E39", "_LPPoolNd")
class SignLost(Right):
    """dx has the sign of dy, whatever that of x.

    Relation  |yours| = |torch's|, of the other sign where x < 0
    Remedy    the slope of |x| is sign(x), that of x² is 2x: x^(p−1), not |x|^(p−1)
    Needs     x < 0, and p = ∞ or even
    """

    def backward(self, params, cache, dy):
        dx, grads = super().backward(params, cache, dy)
        return dx if self.norm_type == 1 else dx * np.sign(cache[0]), grads


class _OtherInterpolation(_OtherAdjoint):
    """Interpolation that goes back with a matrix that interpolates in another way."""

    def ratio_of(self, A, axis):
        out, size = A.shape
        factor = each(self.scale_factor, axis + 1)[axis] if self.scale_factor is not None else None
        return self.ratio(size, out, factor)


@fault("E20", "Upsample", "UpsamplingBilinear2d")
class OtherCorners(_OtherInterpolation):
    """The gradient is that of the other align_corners.

    Relation  yours = torch's for align_corners = not align_corners
    Remedy    with it q = p (I − 1)/(O − 1), without it q = (p + ½) I/O − ½
    Needs     a mode that interpolates, another size than before
    """

    def other(self, A, axis):
        if "nearest" in self.mode or self.mode == "area":
            return A
        out, size = A.shape
        found = interpolation(self.mode, size, out, self.ratio_of(A, axis), not self.align_corners, self.antialias)
        return along(found[0], np.eye(size), -2)


@fault("E40", "Upsample")
class HalfPixelsForgotten(_OtherInterpolation):
    """Positions are scaled from corner to corner: q = p I/O.

    Relation  yours = torch's for an image that is moved by half a pixel of each size
    Remedy    pixels are squares with centres at ½: q = (p + ½) I/O − ½
    Needs     a mode that interpolates, without align_corners, another size than before
    """

    def other(self, A, axis):
        if "nearest" in self.mode or self.mode == "area" or self.align_corners or self.antialias:
            return A
        return matrix(np.arange(len(A)) * self.ratio_of(A, axis), self.mode, A.shape[1])


@fault("E43", "Upsample")
class NothingBeyondTheEnd(_OtherInterpolation):
    """What the cubic kernel sees beyond an end is left out.

    Relation  yours < torch's in weight at the entries beside an end
    Remedy    x beyond an end is as at it, so that the weights of every position sum to 1
    Needs     bicubic
    """

    def other(self, A, axis):
        if self.mode != "bicubic" or self.antialias:
            return A
        p, size = np.arange(len(A)), A.shape[1]
        corner = p * ((size - 1) / max(len(A) - 1, 1))
        q = corner if self.align_corners else (p + 0.5) * self.ratio_of(A, axis) - 0.5
        return matrix(q, self.mode, size, clip=False)


def matrix(q, mode, size, clip=True):
    """The matrix of interpolation at positions q."""
    j, w = neighbours(q, mode, size)
    p, inside = np.broadcast_to(np.arange(len(q)), j.shape), clip | ((j >= 0) & (j < size))
    A = np.zeros((len(q), size))
    np.add.at(A, (p[inside], np.clip(j, 0, size - 1)[inside]), w[inside])
    return A


@fault("E44", "Upsample")
class SmoothingForgottenInBackward(_OtherInterpolation):
    """The gradient is that without antialias.

    Relation  yours = torch's for antialias = False: entries between the positions of y get nothing
    Remedy    going back takes the transpose of what went forward, kernels widened by r and rows divided by their sums
    Needs     antialias and fewer entries than before, or bicubic
    """

    def other(self, A, axis):
        if not self.antialias:
            return A
        out, size = A.shape
        found = interpolation(self.mode, size, out, self.ratio_of(A, axis), bool(self.align_corners))
        return along(found[0], np.eye(size), -2)


@fault("E41", "_Interpolation")
class ResizedBack(_OtherInterpolation):
    """The gradient is dy, interpolated to the size of x.

    Relation  yours = means of dy where torch's are sums: about torch's / scale_factor along every axis
    Remedy    the adjoint is the transpose, dx[j] = Σₚ A[p, j] dy[p], not the map with the sizes exchanged
    Needs     another size than before
    """

    def other(self, A, axis):
        out, size = A.shape
        back, _ = interpolation(self.mode, out, size, out / size, bool(self.align_corners), self.antialias)
        return along(back, np.eye(out), -2).T


@fault("E42", "Upsample", "UpsamplingNearest2d")
class CopiesAssigned(_OtherAdjoint):
    """An entry that was repeated gets the gradient of its last copy.

    Relation  yours = one of the terms that torch's is the sum of
    Remedy    dx[j] = Σ dy[p] over all p that read x[j]: add, do not assign
    Needs     nearest, more entries than before
    """

    def other(self, A, axis):
        return last_of_column(A) if "nearest" in self.mode else A
