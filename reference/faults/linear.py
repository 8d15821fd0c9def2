"""Mistakes in y = xWᵀ + b and in what is kept from one pass to another."""

from dataclasses import replace

import numpy as np

from manualbp.base import add, tree_map

from .base import Right, fault, right

RATE = 0.125  # of the update that comes too early
DECAY = 2.0**-7


@fault("B01", "Linear")
class NotTransposed(Right):
    """dx multiplies by the transpose of the matrix that it should multiply by.

    Relation  yours = dy Wᵀ, torch's = dy W, for W stored as (out, in)
    Remedy    y = xWᵀ, so dx = dy W; write the indices out: dxᵢ = Σₒ dyₒ Wₒᵢ
    Needs     a square W; any other shape is an error at once
    """

    def backward(self, params, cache, dy):
        _, grads = super().backward(params, cache, dy)
        W = params["weight"]
        return dy @ (W.T if W.shape[0] == W.shape[1] else W), grads


class _OtherBias(Right):
    """A layer whose db is made of dy in another way. `rows` has dy as (N, out)."""

    def db(self, rows, db):
        raise NotImplementedError

    def backward(self, params, cache, dy):
        dx, grads = super().backward(params, cache, dy)
        if "bias" in grads:
            grads["bias"] = self.db(dy.reshape(-1, dy.shape[-1]), grads["bias"])
        return dx, grads


@fault("B03", "Linear")
class BiasNotSummed(_OtherBias):
    """db is dy itself, with an axis of the batch.

    Relation  yours has the shape (N, out), torch's (out,)
    Remedy    db = Σₙ dy: a bias that is added to every row collects from every row
    Needs     –
    """

    def db(self, rows, db):
        return rows


@fault("B04", "Linear")
class BiasMean(_OtherBias):
    """db is the mean of dy over the batch instead of the sum.

    Relation  yours = torch's / N
    Remedy    sum; a mean in the loss has already divided
    Needs     N > 1
    """

    def db(self, rows, db):
        return db / len(rows)


@fault("B05", "Linear")
class BiasOfLastSample(_OtherBias):
    """db is that of the last sample only.

    Relation  yours = the last row of dy
    Remedy    db = Σₙ dy; add, do not assign, inside the loop over samples
    Needs     N > 1
    """

    def db(self, rows, db):
        return rows[-1]


class _OneSample(Right):
    """Parameters get their gradients from one sample only."""

    which: int

    def backward(self, params, cache, dy):
        dx, grads = super().backward(params, cache, dy)
        if dy.ndim < 2:
            return dx, grads
        one = np.zeros_like(dy)
        one[self.which] = dy[self.which]
        return dx, super().backward(params, cache, one)[1]


@fault("B05.last", "Linear", "_ConvNd", "_ConvTransposeNd")
class LastSampleOnly(_OneSample):
    """The gradients of weight and bias are those of the last sample only.

    Relation  yours = torch's for dy = 0 at all samples but the last
    Remedy    dW = Σₙ dWₙ; add, do not assign, inside the loop over samples
    Needs     N > 1
    """

    which = -1


@fault("B05.first", "Linear", "_ConvNd", "_ConvTransposeNd")
class FirstSampleOnly(_OneSample):
    """The gradients of weight and bias are those of the first sample only.

    Relation  yours = torch's for dy = 0 at all samples but the first
    Remedy    dW = Σₙ dWₙ: an index 0 stands where all samples should
    Needs     N > 1
    """

    which = 0


@fault("B06", "_ConvNd", "_ConvTransposeNd")
class BiasNotSummedOverPlaces(Right):
    """db sums dy over the batch, but takes the first place of every channel only.

    Relation  yours = the part of torch's that comes from one place
    Remedy    the bias is added at every place: sum over the batch and over all places
    Needs     more than one place in the output
    """

    def backward(self, params, cache, dy):
        dx, grads = super().backward(params, cache, dy)
        if "bias" in grads:
            first = dy[(..., *[0] * self.axes)]
            grads["bias"] = first.reshape(-1, self.out_channels).sum(0)
        return dx, grads


@fault("B06.time", "Linear")
class BiasNotSummedOverTime(Right):
    """db sums dy over the first axis only.

    Relation  yours has the shape (T, out), torch's (out,)
    Remedy    sum over every axis but the last: dy.reshape(-1, out).sum(0)
    Needs     an input of more than two axes, of which the first has more than one entry
    """

    def backward(self, params, cache, dy):
        dx, grads = super().backward(params, cache, dy)
        if "bias" in grads and dy.ndim > 2 and len(dy) > 1:
            grads["bias"] = dy.sum(0)
        return dx, grads


@fault("B07", "Linear")
class UpdatedTooEarly(Right):
    """The weights are updated before the error is propagated through them.

    Relation  yours − torch's = −η dy dW: right in the last layer, wrong below it, and less so the smaller η is
    Remedy    compute all gradients first, then update all weights
    Needs     –
    """

    def backward(self, params, cache, dy):
        dx, grads = super().backward(params, cache, dy)
        return dx - RATE * dy @ grads["weight"], grads


@fault("B08", "Linear", law="check_pure")
class NotZeroed(Right):
    """Gradients of an earlier call are not set to zero before the next.

    Relation  yours of the k-th call = the sum of torch's of calls 1 to k
    Remedy    begin every backward pass with gradients of zero
    Needs     two calls of backward
    """

    def backward(self, params, cache, dy):
        dx, grads = super().backward(params, cache, dy)
        total = tree_map(lambda g: g.astype(dy.dtype), add(vars(self).get("_grads"), grads))
        object.__setattr__(self, "_grads", total)
        return dx, total


@fault("B09", "Repeat")
class Overwritten(Right):
    """A weight that is used several times gets the gradient of one use.

    Relation  yours = the gradient of the first use, torch's = the sum over all
    Remedy    add the gradients of all uses: dθ = Σₖ dθₖ
    Needs     a layer used at least twice
    """

    use = 0

    def backward(self, params, cache, dy):
        kept = {}
        for k in reversed(range(self.times)):
            dy, grads = self.body.backward(params.get("body", {}), cache[k], dy)
            kept = grads if k == self.use % self.times else kept
        return dy, {"body": kept} if kept else {}


@fault("F04", "Repeat")
class TiedNotSummed(Overwritten):
    """Tied weights get the gradient of their last place only.

    Relation  yours = the gradient of one place, torch's = the sum over both
    Remedy    add the gradients of every place where the weight stands
    Needs     a layer used at least twice
    """

    use = -1


def _twice(case):
    """A layer that is used twice at least."""
    return replace(case, layer=case.layer.replace(times=max(case.layer.times, 2)))


@fault("B10", "Linear", on="Repeat", at=_twice)
class StaleCache(Right):
    """A gradient uses what another forward pass than its own has left in the layer.

    Relation  yours = the gradient with x of another pass, as dW = dyᵀ x of that, torch's = that with its own x
    Remedy    let forward hand its input to backward, or keep one for each pass
    Needs     two forward passes before one backward, as where a layer is used twice
    """

    def forward(self, params, x):
        y, cache = super().forward(params, x)
        before = vars(self).get("_x", x)
        object.__setattr__(self, "_x", x)
        return y, (*cache, before if before.shape == x.shape else x)

    def backward(self, params, cache, dy):
        x, before = cache
        dx, _ = super().backward(params, (x,), dy)
        return dx, super().backward(params, (before.astype(x.dtype),), dy)[1]


@fault("B11", "Linear")
class OwnOutputForInput(Right):
    """dW uses the layer's own output in place of its input.

    Relation  yours = dyᵀ y, torch's = dyᵀ x
    Remedy    the weights of layer l multiply a[l − 1]; check the index of the cache
    Needs     in_features = out_features
    """

    def forward(self, params, x):
        y, (x,) = super().forward(params, x)
        return y, (x, y if y.shape == x.shape else x)

    def backward(self, params, cache, dy):
        x, other = cache
        dx, _ = super().backward(params, (x,), dy)
        return dx, super().backward(params, (other,), dy)[1]


@fault("B12", "SGD", "Adam", "RMSprop", "Adagrad")
class DecayForgotten(Right):
    """A multiple of W is missing, as where the gradient of the penalty ½λW² is left out.

    Relation  yours − torch's = −λW
    Remedy    g ← g + λW before anything else is done with g
    Needs     weight_decay > 0
    """

    def descent(self, p, g):
        return right(self, weight_decay=0).descent(p, g)


@fault("B14", "Linear", "LayerNorm", "BatchNorm1d", "BatchNorm2d")
class DecayOfBias(Right):
    """The gradient of the bias contains λb, a weight decay that is not meant for it.

    Relation  yours − torch's = λb on biases, 0 elsewhere
    Remedy    leave biases and the parameters of normalisation out of the decay
    Needs     biases other than 0
    """

    decayed = "bias"

    def backward(self, params, cache, dy):
        dx, grads = super().backward(params, cache, dy)
        name = self.decayed
        return dx, grads | ({name: grads[name] + DECAY * params[name]} if name in grads else {})


@fault("B15", "Linear")
class DecayTwice(DecayOfBias):
    """The gradient of W contains λW although the loss has no such term, or has it with another factor.

    Relation  yours − torch's ∝ W
    Remedy    let λ stand in one place, loss or optimizer, and divide it by N in both or in neither
    Needs     –
    """

    decayed = "weight"


@fault("B17", "Tanh", "Elementwise")
class SlopeTwice(Right):
    """The derivative of the activation is multiplied in twice: by its own layer and by the one after it.

    Relation  yours = f′(x) · torch's
    Remedy    each layer multiplies by its own derivative only
    Needs     slopes other than 0 and 1
    Equal     ReLU, ReLU6, Hardtanh, Hardshrink, Softshrink, Threshold: slopes of 0 and 1 are their own squares
    """

    def backward(self, params, cache, dy):
        dx, grads = super().backward(params, cache, dy)
        return super().backward(params, cache, dx)[0], grads


@fault("F15", "Linear")
class ComputedInSingle(Right):
    """Products are accumulated in float32 although the data are float64.

    Relation  yours = torch's (1 ± 10⁻⁷)
    Remedy    keep the dtype of the input; look for constants and buffers of another one
    Needs     float64
    """

    def backward(self, params, cache, dy):
        x, W = cache[0].astype(np.float32), tree_map(lambda p: p.astype(np.float32), params)
        dx, grads = super().backward(W, (x,), dy.astype(np.float32))
        return dx.astype(dy.dtype), tree_map(lambda g: g.astype(dy.dtype), grads)


@fault("B18", "Bilinear")
class OtherFactorForgotten(Right):
    """The gradient of the first input is that of a linear layer: the second input is not multiplied by.

    Relation  your da = Σ dy W, torch's = Σ dy W b
    Remedy    y is linear in a with the slope W b: da = Σ dyₒ Wₒᵢⱼ bⱼ
    Needs     –
    """

    def backward(self, params, cache, dy):
        (_, db), grads = super().backward(params, cache, dy)
        return (dy @ params["weight"].sum(2), db), grads


@fault("B19", "Bilinear")
class WeightTransposed(Right):
    """The gradient of the weight is the outer product of the inputs in the wrong order.

    Relation  your dW = torch's with its last two axes exchanged
    Remedy    dWₒᵢⱼ = Σ dyₒ aᵢ bⱼ: the first input stands before the second
    Needs     inputs of the same width, more than 1
    """

    def backward(self, params, cache, dy):
        dx, grads = super().backward(params, cache, dy)
        dW = grads["weight"]
        return dx, grads | {"weight": dW.swapaxes(1, 2) if dW.shape[1] == dW.shape[2] else dW}


@fault("B20", "Bilinear")
class InputsExchanged(Right):
    """The gradients of the two inputs change places.

    Relation  your da = torch's db, and the other way round
    Remedy    da is what b and W make of dy, db what a and W make of it
    Needs     inputs of the same width
    """

    def backward(self, params, cache, dy):
        (da, db), grads = super().backward(params, cache, dy)
        return ((db, da) if da.shape == db.shape else (da, db)), grads
