"""Mistakes in look-ups, reshapes and the places where paths meet or part; and in dropout's mask."""

import math

import numpy as np

from manualbp.base import add, tree_map

from .base import Right, fault, right


@fault("F01", "Embedding")
class NotAccumulated(Right):
    """An index that occurs several times gets the gradient of one occurrence.

    Relation  the rows of repeated indices = one of the rows of dy that torch's adds up
    Remedy    np.add.at(dW, x, dy): with dW[x] += dy NumPy writes each row once
    Needs     a repeated index
    """

    def collect(self, v, g, every):
        _, from_end = np.unique(v[::-1], return_index=True)
        last = len(v) - 1 - from_end
        return super().collect(v[last], g[last], every)


@fault("F02", "Embedding")
class PaddingRowLearns(Right):
    """The row of padding_idx gets a gradient.

    Relation  exactly one row of yours is not 0 where torch's is
    Remedy    set the row of padding_idx to 0
    Needs     padding_idx in the input
    """

    def collect(self, v, g, every):
        return right(self, padding_idx=None).collect(v, g, every)


@fault("F05", "Embedding")
class AccumulatedInHalf(Right):
    """The rows of a frequent index are added up in half precision.

    Relation  yours = torch's (1 ± 10⁻³), less where an index is frequent: 2048 + 1 = 2048 in float16
    Remedy    accumulate in float32 or better, round once at the end
    Needs     –
    """

    @np.errstate(all="ignore")
    def collect(self, v, g, every):
        rows, place = np.unique(v, return_inverse=True)
        sums = np.zeros((len(rows), g.shape[1]), np.float16)
        np.add.at(sums, place.reshape(-1), g.astype(np.float16))
        return super().collect(rows, sums.astype(g.dtype), every)


@fault("F08", "Concat")
class BranchesSwapped(Right):
    """The parts of dy go to the branches in reverse order.

    Relation  the gradients of the branches are permuted
    Remedy    split dy in the order in which the outputs were joined
    Needs     two different branches of equal width
    """

    def backward(self, params, cache, dy):
        parts = np.split(dy, np.cumsum(cache[1])[:-1], self.dim)
        if len({part.shape for part in parts}) > 1:
            return super().backward(params, cache, dy)
        return super().backward(params, cache, np.concatenate(parts[::-1], self.dim))


@fault("F09", "Flatten", "Unflatten")
class ReshapedForTransposed(Right):
    """A transpose is mistaken for a reshape: the last two axes of dx change places.

    Relation  yours = torch's, permuted
    Remedy    reshape keeps the order of entries, transpose does not; undo exactly what forward did
    Needs     an input whose last two axes have equal length, or a reshape that hides it
    """

    def backward(self, params, cache, dy):
        dx, grads = super().backward(params, cache, dy)
        return dx.swapaxes(-1, -2).reshape(dx.shape) if dx.ndim > 1 else dx, grads


@fault("F10", "Flatten", "Unflatten")
class ColumnsFirst(Right):
    """dx is filled column by column.

    Relation  yours = torch's, permuted
    Remedy    reshape in row-major (C) order both ways
    Needs     two axes longer than 1
    """

    def backward(self, params, cache, dy):
        dx, grads = super().backward(params, cache, dy)
        return dy.reshape(dx.shape, order="F"), grads


@fault("F11", "Residual")
class BridgeForgotten(Right):
    """Of the two paths of a residual block only that through the body gives its gradient.

    Relation  torch's − yours = dy
    Remedy    x is used twice, so its gradients add: dx = dy + dy ∂f/∂x
    Needs     –
    """

    def backward(self, params, cache, dy):
        dx, grads = super().backward(params, cache, dy)
        return dx - dy, grads


@fault("F11.branch", "Parallel", "Sum", "Concat")
class LastBranchOnly(Right):
    """The gradient by x of each branch overwrites that of the one before.

    Relation  yours = the gradient through one branch, torch's = the sum over all
    Remedy    dx += in the loop over branches
    Needs     two branches
    """

    def backward(self, params, cache, dy):
        dx, grads = super().backward(params, cache, dy)
        first = self.replace(layers=self.layers[:-1])
        inner = cache[0] if type(self).__name__ == "Concat" else cache
        if not first.layers:
            return dx, grads
        parts = tuple(np.split(dy, np.cumsum(cache[1])[:-1], self.dim)) if inner is not cache else dy
        parts = parts if isinstance(parts, tuple) else (dy,) * len(self.layers)
        name = str(len(self.layers) - 1)
        return self.layers[-1].backward(params.get(name, {}), inner[-1], parts[-1])[0], grads


@fault("F12", "Residual")
class BridgeTwice(Right):
    """The gradient over the bridge is added twice: in the body and after it.

    Relation  yours − torch's = dy
    Remedy    every path counts once
    Needs     –
    """

    def backward(self, params, cache, dy):
        dx, grads = super().backward(params, cache, dy)
        return add(dx, dy), grads


@fault("F12.branch", "Sum", "Parallel")
class BranchTwice(Right):
    """The gradient through the branches is counted as often as there are branches.

    Relation  your dx = K · torch's, K the number of branches
    Remedy    every path counts once
    Needs     –
    """

    def backward(self, params, cache, dy):
        dx, grads = super().backward(params, cache, dy)
        return tree_map(lambda g: g * len(self.layers), dx), grads


@fault("G18", "_DropoutNd")
class ScaleForgotten(Right):
    """The gradient is masked but not scaled by 1/(1 − p).

    Relation  yours = (1 − p) · torch's
    Remedy    dx = m dy/(1 − p), the same factor as forward
    Needs     training, 0 < p < 1
    """

    def backward(self, params, cache, dy):
        dx, grads = super().backward(params, cache, dy)
        return dx / self.s() if self.random else dx, grads


@fault("G18.twice", "_DropoutNd")
class ScaleTwice(Right):
    """The gradient is scaled by 1/(1 − p) twice, as by a mask that holds the factor already.

    Relation  yours = torch's / (1 − p)
    Remedy    put the factor into the mask or beside it, not both
    Needs     training, 0 < p < 1
    """

    def backward(self, params, cache, dy):
        dx, grads = super().backward(params, cache, dy)
        return dx * self.s() if self.random else dx, grads


@fault("G19", "_DropoutNd")
class MaskDrawnAgain(Right):
    """backward draws a mask of its own.

    Relation  yours is 0 at other places than torch's
    Remedy    keep the mask of the forward pass in the cache
    Needs     training, 0 < p < 1
    """

    def backward(self, params, cache, dy):
        m = np.random.default_rng(math.prod(dy.shape)).random(np.shape(cache[0])) >= self.p
        return super().backward(params, (m,) if self.random else cache, dy)
