"""Mistakes in normalisation: terms of dx left out, sums over the wrong axes, statistics moved the wrong way."""

import math

import numpy as np

from manualbp.normalization import _mixed, _windows, standardize_backward

from .base import Right, fault, right

NORMS = "LayerNorm", "_BatchNorm", "_InstanceNorm", "GroupNorm"


def parts(layer, params, cache, dy):
    """x̂, r, g = dx̂ and the axes of the means, in the shape in which the layer normalises."""
    xhat, r, *rest = cache
    name = type(layer).__name__
    if name == "LayerNorm":
        return xhat, r, layer.scale_backward(params, xhat, dy, layer.sizes)[0], layer.axes
    if name == "GroupNorm":
        axes, to = rest
        return xhat, r, layer.grouped(layer.scale_backward(params, xhat.reshape(dy.shape), dy, to)[0]), axes
    return xhat, r, layer.scale_backward(params, xhat, dy, rest[0])[0], layer.averaged(dy.ndim)


class _OtherDx(Right):
    """A normalising layer with another dx(x̂, r, g, mean). Running statistics, which are constants, are left alone."""

    def dx(self, xhat, r, g, mean):
        raise NotImplementedError

    def backward(self, params, cache, dy):
        dx, grads = super().backward(params, cache, dy)
        if not getattr(self, "by_batch", True):
            return dx, grads
        xhat, r, g, axes = parts(self, params, cache, dy)
        return self.dx(xhat, r, g, lambda q: q.mean(axes, keepdims=True)).reshape(dy.shape), grads


@fault("D01", *NORMS)
class MeanTermForgotten(_OtherDx):
    """The path through the mean is missing.

    Relation  yours − torch's = r⟨g⟩, constant along the normalised axes
    Remedy    dx = r(g − ⟨g⟩ − x̂⟨g x̂⟩): subtract ⟨g⟩
    Needs     an upstream gradient whose mean is not 0
    """

    def dx(self, xhat, r, g, mean):
        return r * (g - xhat * mean(g * xhat))


@fault("D02", *NORMS, "RMSNorm")
class VarianceTermForgotten(Right):
    """The path through the variance is missing.

    Relation  yours − torch's = r⟨g x̂⟩ x̂, along the normalised axes proportional to x̂
    Remedy    dx = r(g − ⟨g⟩ − x̂⟨g x̂⟩): subtract x̂⟨g x̂⟩
    Needs     an upstream gradient that is not constant
    """

    def backward(self, params, cache, dy):
        dx, grads = super().backward(params, cache, dy)
        if not getattr(self, "by_batch", True):
            return dx, grads
        if type(self).__name__ == "RMSNorm":
            xhat, r = cache
            return r * super().scale_backward(params, xhat, dy, self.sizes)[0], grads
        xhat, r, g, axes = parts(self, params, cache, dy)
        return (r * (g - g.mean(axes, keepdims=True))).reshape(dy.shape), grads


@fault("D03", *NORMS)
class StatisticsConstant(_OtherDx):
    """Mean and variance are treated as constants although they are those of x.

    Relation  yours = r γ dy
    Remedy    both depend on x: subtract ⟨g⟩ and x̂⟨g x̂⟩
    Needs     –
    """

    def dx(self, xhat, r, g, mean):
        return r * g


@fault("D04", *NORMS)
class MeanTermTwice(_OtherDx):
    """The mean of the gradient is subtracted twice: as the path through μ, and again through the variance.

    Relation  yours − torch's = −r⟨g⟩, constant along the normalised axes
    Remedy    ∂σ²/∂μ = −2⟨x − μ⟩ = 0: there is one such term
    Needs     an upstream gradient whose mean is not 0
    """

    def dx(self, xhat, r, g, mean):
        return r * (g - 2 * mean(g) - xhat * mean(g * xhat))


@fault("D06", *NORMS)
class EpsOutside(_OtherDx):
    """ε is added to the standard deviation instead of to the variance.

    Relation  in yours r and x̂ are torch's times a factor that follows from σ², and is 1 where σ² ≫ ε
    Remedy    1/√(σ² + ε), not 1/(√σ² + ε)
    Needs     a variance that is not large beside ε
    """

    def dx(self, xhat, r, g, mean):
        sigma = np.sqrt(np.maximum(1 / (r * r) - self.eps, 0))
        other = 1 / (sigma + self.eps)
        xhat = xhat * (other / r)
        return other * (g - mean(g) - xhat * mean(g * xhat))


@fault("D07", *NORMS, "RMSNorm")
class GammaForgotten(Right):
    """dy goes into dx without having been multiplied by γ.

    Relation  yours = what torch's would be if γ were 1
    Remedy    g = γ dy, and g takes the place of dy in dx
    Needs     γ other than 1: a layer that has just been made has γ = 1, and shows nothing
    """

    def backward(self, params, cache, dy):
        ones = {"weight": np.ones_like(params["weight"])} if "weight" in params else {}
        return super().backward(params | ones, cache, dy)


@fault("D09", *NORMS)
class GradientsSwapped(Right):
    """dγ and dβ change places.

    Relation  your dγ = torch's dβ, and the other way round
    Remedy    dβ = Σ dy; dγ = Σ dy x̂
    Needs     –
    """

    def backward(self, params, cache, dy):
        dx, grads = super().backward(params, cache, dy)
        if {"weight", "bias"} <= grads.keys():
            grads = {"weight": grads["bias"], "bias": grads["weight"]}
        return dx, grads


@fault("D10", *NORMS, "RMSNorm")
class GammaAveraged(Right):
    """dγ is averaged over the batch instead of summed.

    Relation  your dγ = torch's / N
    Remedy    sum; a mean in the loss has already divided
    Needs     N > 1
    """

    def backward(self, params, cache, dy):
        dx, grads = super().backward(params, cache, dy)
        return dx, grads | ({"weight": grads["weight"] / len(dy)} if "weight" in grads else {})


@fault("D11", "_BatchNorm", "_InstanceNorm", "GroupNorm")
class WrongAxesSummed(Right):
    """dγ and dβ are summed as if the channels were the last axis.

    Relation  yours is a mixture of the channels of torch's
    Remedy    the channels are axis 1: sum over axis 0 and those from 2 on
    Needs     axes after the channels
    """

    def backward(self, params, cache, dy):
        dx, grads = super().backward(params, cache, dy)
        terms = {"weight": dy * cache[0].reshape(dy.shape), "bias": dy}
        return dx, {name: terms[name].reshape(-1, len(g)).sum(0) for name, g in grads.items()}


@fault("D13", "_BatchNorm")
class MomentumReversed(Right):
    """momentum is taken for the weight of the old statistics.

    Relation  your step = (1 − m)/m · torch's, 9 times it at m = 0.1
    Remedy    running ← (1 − m) running + m new
    Needs     training, tracked statistics, momentum other than ½
    """

    def rate(self, t):
        m = super().rate(t)
        return m if self.momentum is None else 1 - m


@fault("D14", "_BatchNorm", "_InstanceNorm")
class RunningInTraining(Right):
    """In training dx is that of running statistics, which are constants.

    Relation  yours = γ dy/√(running_var + ε)
    Remedy    in training the statistics are those of x, and dx has their terms
    Needs     training, tracked statistics
    """

    def backward(self, params, cache, dy):
        if not (self.by_batch and self.track_running_stats):
            return super().backward(params, cache, dy)
        xhat, _, to, *rest = cache
        running = 1 / np.sqrt(params["running_var"].reshape(to) + self.eps)
        dx, _ = right(self, training=False).backward(params, (xhat, running, to, *rest), dy)
        return dx, super().backward(params, cache, dy)[1]


@fault("D14.eval", "_BatchNorm", "_InstanceNorm")
class BatchInEvaluation(Right):
    """In evaluation dx has the terms of batch statistics.

    Relation  yours = r(g − ⟨g⟩ − x̂⟨g x̂⟩), torch's = rg
    Remedy    running statistics are constants: dx = r γ dy
    Needs     evaluation, tracked statistics
    """

    def backward(self, params, cache, dy):
        return right(self, training=True).backward(params, cache, dy)


@fault("D15", "_BatchNorm")
class NotCounted(Right):
    """The number of batches is not counted, which the cumulative average with momentum = None needs.

    Relation  num_batches_tracked stays; with momentum = None the running statistics are wrong from the second step on
    Remedy    count first, then move by 1/t
    Needs     training, tracked statistics
    """

    def track(self, params, cache):
        moved = super().track(params, cache)
        return moved | {name: params[name] for name in ("num_batches_tracked",) if name in moved}


@fault("D17", "GroupNorm")
class Interleaved(Right):
    """The channels of a group are taken with a stride instead of side by side.

    Relation  yours = torch's of permuted channels
    Remedy    a group is a run of neighbouring channels: reshape to (N, groups, C/groups, *)
    Needs     more than one group, more than one channel in each
    """

    def grouped(self, x):
        n, c, *rest = x.shape
        return x.reshape(n, c // self.num_groups, self.num_groups, *rest).swapaxes(1, 2)


@fault("D18", "LayerNorm")
class DividedByOneLess(Right):
    """The variance that x is divided by is that of a sample: Σ(x − μ)² over n − 1.

    Relation  your y = √((n − 1)/n) · torch's, and NaN for n = 1
    Remedy    divide by n; n − 1 stands in BatchNorm's running variance only
    Needs     –
    """

    @np.errstate(all="ignore")
    def forward(self, params, x):
        _, (xhat, r) = super().forward(params, x)
        n = math.prod(self.sizes)
        var = (1 / (r * r) - self.eps) * n / np.asarray(n - 1, x.dtype)
        other = 1 / np.sqrt(np.maximum(var, 0) + self.eps)
        xhat = xhat * (other / r)
        return super().scale(params, xhat, self.sizes), (xhat, other)


@fault("F06", "LayerNorm", "RMSNorm")
class BroadcastNotReduced(Right):
    """The gradient of a parameter that was broadcast over the batch is not summed over it.

    Relation  yours has the shape of x, torch's that of the parameter
    Remedy    sum over every axis along which the parameter was repeated
    Needs     –
    """

    def backward(self, params, cache, dy):
        dx, grads = super().backward(params, cache, dy)
        return dx, grads | ({"weight": dy * cache[0]} if "weight" in grads else {})


@fault("F06.input", "CosineSimilarity", "PairwiseDistance")
class InputNotReduced(Right):
    """The gradient of an input that was broadcast against the other keeps the common shape.

    Relation  yours has the shape that both broadcast to, torch's that of the input
    Remedy    sum over every axis along which the input was repeated
    Needs     two inputs of different shapes
    """

    def backward(self, params, cache, dy):
        (da, db), grads = super().backward(params, cache, dy)
        return (da, np.broadcast_to(db, np.broadcast_shapes(da.shape, db.shape))), grads


@fault("F13", "LayerNorm", "_BatchNorm")
class Severed(Right):
    """No gradient passes the layer on the way down, as where its input was detached.

    Relation  yours = 0 for x and everything below, torch's is not
    Remedy    return dx; look for a copy, a detach or a conversion that cuts the graph
    Needs     –
    """

    def backward(self, params, cache, dy):
        dx, grads = super().backward(params, cache, dy)
        return np.zeros_like(dx), grads


CHANNELS = "LocalResponseNorm", "CrossMapLRN2d"


@fault("D19", *CHANNELS)
class NeighboursForgotten(Right):
    """The divisor is taken for a constant: no gradient goes to the channels that it is made of.

    Relation  yours = torch's + (2αβ/n) x Σ dy y/d over the channels that look at x
    Remedy    d depends on x: the second term of dx belongs to it
    Needs     –
    """

    def backward(self, params, cache, dy):
        return dy * cache[1] ** -self.beta, {}


@fault("D20", "CrossMapLRN2d", "LocalResponseNorm")
class WindowNotTurned(Right):
    """The way back sums over the channels that this one looks at, instead of over those that look at it.

    Relation  yours = torch's with the window's matrix where its transpose belongs
    Remedy    Σ_c A_ci dy_c y_c/d_c: the transpose of what forward sums
    Needs     an even size, or the window of CrossMapLRN2d
    """

    def backward(self, params, cache, dy):
        x, d, y, *A = cache
        q = dy * y / d
        if A and self.as_torch:
            return super().backward(params, cache, dy)
        reached = _mixed(A[0], q) if A else _windows(q, self.size // 2, (self.size - 1) // 2)
        return dy * d**-self.beta - 2 * self.alpha * self.beta / self.size * x * reached, {}


@fault("D21", "SyncBatchNorm")
class MeansOfOwnPart(Right):
    """Every process subtracts the means of its own part's gradients, while μ and σ² are those of all.

    Relation  yours = torch's with ⟨g⟩ and ⟨g x̂⟩ over a half of the batch in the place of the whole
    Remedy    add Σg and Σg x̂ over all processes before dividing, as forward does with Σx and Σx²
    Needs     training, more than one sample; two processes are stood for by the halves of a batch
    """

    def backward(self, params, cache, dy):
        xhat, r, to, *_ = cache
        dx, grads = super().backward(params, cache, dy)
        if not self.by_batch or len(dy) < 2:
            return dx, grads
        g, half = self.scale_backward(params, xhat, dy, to)[0], len(dy) // 2
        halves = [(xhat[part], g[part]) for part in (slice(half), slice(half, None))]
        return np.concatenate([standardize_backward(x, r, g, self.averaged(dy.ndim)) for x, g in halves]), grads
