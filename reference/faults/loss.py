"""Mistakes in losses: what is summed, what it is divided by, and which targets count."""

from dataclasses import replace

import numpy as np

from manualbp.base import tree_map
from manualbp.elementary import sigmoid

from .base import Right, fault, right


@fault("A01", "MSELoss", "Loss")
class MeanForgotten(Right):
    """The loss is a mean, but the gradient is that of the sum.

    Relation  yours = n · torch's, n the number that the mean divides by
    Remedy    divide by n once: dv = dy/n
    Needs     reduction = "mean" and n > 1
    """

    def backward(self, params, cache, dy):
        if not hasattr(self, "reduction"):  # AdaptiveLogSoftmaxWithLoss gives a value a row, and their mean
            return super().backward(params, cache, (dy[0], dy[1] * np.size(dy[0])))
        whole = right(self, reduction="sum") if self.reduction == "mean" else right(self)
        return whole.backward(params, cache, dy)


@fault("A02", "MSELoss", "Difference", "YesNo")
class MeanOverBatchOnly(Right):
    """The mean is over all entries, but the gradient is divided by the length of the batch only.

    Relation  yours = C · torch's, C the number of entries of one sample
    Remedy    divide by the number of all entries, x.size, not by len(x)
    Needs     reduction = "mean" and more than one entry a sample
    """

    def backward(self, params, cache, dy):
        _, v_shape = cache
        each = int(np.prod(v_shape[1:])) if self.reduction == "mean" else 1
        return super().backward(params, cache, dy * each)


@fault("A03", "MSELoss", "Difference", "YesNo", "OneOfC")
class MeanTwice(Right):
    """The gradient is divided by N twice: in the loss and once more in the layer before it.

    Relation  yours = torch's / N
    Remedy    divide by N in one place, where the mean is taken
    Needs     reduction = "mean" and N > 1
    """

    def backward(self, params, cache, dy):
        (dx, *rest), grads = super().backward(params, cache, dy)
        n = max(len(dx), 1) if self.reduction == "mean" and dx.ndim else 1
        return (dx / n, *rest), grads


@fault("A04", "MSELoss")
class HalfForgotten(Right):
    """The gradient of ½(x − t)² is taken for that of (x − t)², which has a factor 2.

    Relation  yours = torch's / 2
    Remedy    multiply by 2, or let the loss be half the squared error
    Needs     –
    """

    def df(self, d):
        return d


@fault("A04.double", "HuberLoss", "SmoothL1Loss")
class HalfDoubled(Right):
    """The gradient of d² is taken for that of ½d².

    Relation  yours = 2 · torch's
    Remedy    the derivative of ½d² is d; leave the 2 out
    Needs     –
    """

    def df(self, d):
        return 2 * super().df(d)

    def f(self, d):
        return right(self).f(d)


@fault("A05", "MSELoss", "Loss")
class SignFlipped(Right):
    """The whole gradient has the other sign: t − x for x − t, or onehot − p for p − onehot.

    Relation  yours = −torch's
    Remedy    turn the difference round: the slope by the prediction has the sign of prediction − target
    Needs     –
    """

    def backward(self, params, cache, dy):
        return super().backward(params, cache, tree_map(np.negative, dy))


@fault("A06", "CrossEntropyLoss", "NLLLoss")
class SumOverTime(Right):
    """The mean is over all places of a sequence or image, but the gradient is divided by the batch only.

    Relation  yours = T · torch's, T the places of one sample
    Remedy    the mean of (N, C, T) divides by N·T; divide by the number of all targets
    Needs     reduction = "mean", an input (N, C, T) with T > 1
    """

    def backward(self, params, cache, dy):
        q, axis = cache[1], cache[3]
        places = int(np.prod(q.shape[axis + 1 :])) if self.reduction == "mean" else 1
        return super().backward(params, cache, dy * places)


@fault("A07", "MSELoss", "Loss")
class UpstreamIgnored(Right):
    """The gradient that arrives from above is taken for 1.

    Relation  yours = torch's / dy
    Remedy    multiply by dy: the loss may be scaled, or be one term of several
    Needs     an upstream gradient other than 1
    """

    def backward(self, params, cache, dy):
        return super().backward(params, cache, tree_map(np.ones_like, dy))


@fault("A09", "BCEWithLogitsLoss")
class SigmoidTwice(Right):
    """σ′(z) multiplies a gradient in which it has already cancelled.

    Relation  yours = σ(z)(1 − σ(z)) · torch's
    Remedy    for sigmoid and cross-entropy together the gradient by the logit is σ(z) − t; leave σ′ out
    Needs     –
    """

    def slopes(self, x, t):
        dx, *rest = super().slopes(x, t)
        return (dx * sigmoid(x) * sigmoid(-x), *rest)


class _OtherMass(Right):
    """A CrossEntropyLoss whose backward takes another q, or another n."""

    def other(self, logs, q, n, axis, t):
        raise NotImplementedError

    def backward(self, params, cache, dy):
        logs, q, n, axis, t = cache
        q, n = self.other(logs, q, n, axis, t) if t.dtype.kind in "iu" else (q, n)
        return super().backward(params, (logs, q, n, axis, t), dy)


@fault("A10", "CrossEntropyLoss")
class SmoothingOffTarget(_OtherMass):
    """Label smoothing shares ε among the K − 1 other classes instead of among all K.

    Relation  yours − torch's ∝ onehot − 1/K
    Remedy    the target is (1 − ε) onehot + ε/K
    Needs     label_smoothing > 0 and more than one class
    """

    def other(self, logs, q, n, axis, t):
        hard, _ = right(self, label_smoothing=0.0).masses(logs, t, axis)
        shared = right(self, label_smoothing=1.0).masses(logs, t, axis)[0]
        s, classes = self.label_smoothing, logs.shape[axis]
        return (1 - s) * hard + s * np.where(hard != 0, 0, shared) * classes / max(classes - 1, 1), n


@fault("A11", "CrossEntropyLoss")
class SmoothingForgotten(_OtherMass):
    """The loss smooths the labels, its gradient does not.

    Relation  yours − torch's ∝ ε (1/K − onehot)
    Remedy    subtract the smoothed target from the probabilities, not the one-hot one
    Needs     label_smoothing > 0 and more than one class
    """

    def other(self, logs, q, n, axis, t):
        return right(self, label_smoothing=0.0).masses(logs, t, axis)[0], n


@fault("A12", "CrossEntropyLoss", "NLLLoss")
class WeightedMeanByCount(_OtherMass):
    """With class weights the mean is divided by the number of targets instead of the sum of their weights.

    Relation  yours = (Σ w_t / N) · torch's
    Remedy    the weighted mean divides by the sum of the weights of the targets that occur
    Needs     reduction = "mean" and unequal class weights
    """

    def other(self, logs, q, n, axis, t):
        return q, int((t != self.ignore_index).sum())


@fault("A14", "CrossEntropyLoss", "NLLLoss")
class IgnoredCounted(_OtherMass):
    """Ignored targets are left out of the sum, but are counted in what the mean divides by.

    Relation  yours = (N_valid / N) · torch's
    Remedy    divide by the number of targets that are not ignored
    Needs     reduction = "mean", no class weights, an ignored target
    """

    def other(self, logs, q, n, axis, t):
        return q, t.size if self.weight is None else n


@fault("A15", "CrossEntropyLoss", "NLLLoss")
class IgnoredNotMasked(_OtherMass):
    """An ignored target is taken for class 0 in the gradient.

    Relation  yours is not 0 in the rows of ignored targets, where torch's is
    Remedy    multiply the gradient by the mask of the targets that count
    Needs     an ignored target
    """

    def other(self, logs, q, n, axis, t):
        return right(self, ignore_index=-1000).masses(logs, np.where(t == self.ignore_index, 0, t), axis)[0], n


@fault("A16", "CrossEntropyLoss")
class SmoothingNotMasked(_OtherMass):
    """The part of the target that label smoothing adds stays where the target is ignored.

    Relation  yours − torch's is of size ε/K in the rows of ignored targets, 0 elsewhere
    Remedy    mask both parts of the smoothed target
    Needs     label_smoothing > 0 and an ignored target
    """

    def other(self, logs, q, n, axis, t):
        everywhere = self.label_smoothing / logs.shape[axis] * self.along(logs, axis)
        return np.where(np.expand_dims(t == self.ignore_index, axis), everywhere, q), n


@fault("A18", "HuberLoss")
class SmoothL1ForHuber(Right):
    """SmoothL1Loss is taken for HuberLoss, which is δ times as large.

    Relation  yours = torch's / δ
    Remedy    HuberLoss has the slope d, cut off at ±δ; SmoothL1Loss divides that by β
    Needs     δ ≠ 1
    """

    def df(self, d):
        return super().df(d) / self.delta

    def f(self, d):
        return right(self).f(d)


@fault("A18.smooth", "SmoothL1Loss")
class HuberForSmoothL1(Right):
    """HuberLoss is taken for SmoothL1Loss, which is 1/β times as large.

    Relation  yours = β · torch's
    Remedy    divide by β where |d| ≤ β; the slope beyond is ±1
    Needs     β other than 0 and 1
    """

    def df(self, d):
        return super().df(d) * (self.beta or 1)

    def f(self, d):
        return right(self).f(d)


@fault("A20", "LogSoftmax", at=lambda case: replace(case, exact=False, scale=1000.0))
class MaximumNotSubtracted(Right):
    """log Σ eˣ is computed without taking the largest x out first.

    Relation  yours is infinite or NaN where x > 709 (88 in float32), torch's is not; equal elsewhere
    Remedy    log Σ eˣ = m + log Σ e^(x − m) with m = max x
    Needs     logits larger than 709
    """

    @np.errstate(all="ignore")
    def f(self, x, axis):
        return x - np.log(np.exp(x).sum(axis, keepdims=True))

    @np.errstate(all="ignore")
    def df(self, y, dy, axis):
        return super().df(y, dy, axis)


@fault("A22", "BCEWithLogitsLoss")
class PosWeightOnBoth(Right):
    """pos_weight multiplies the term of the negative targets, too.

    Relation  yours = pos_weight · torch's where t = 0
    Remedy    multiply t log p alone; (1 − t) log(1 − p) has no weight
    Needs     pos_weight ≠ 1
    """

    def slopes(self, x, t):
        plain, *rest = right(self, pos_weight=None).slopes(x, t)
        b = 1 if self.pos_weight is None else np.asarray(self.pos_weight, x.dtype)
        return (b * plain, *rest)


@fault("A23", "MSELoss", "Difference", "YesNo")
class TargetWithoutGradient(Right):
    """The target gets no gradient although it is real and may be the output of a network.

    Relation  yours is missing, torch's is not
    Remedy    return ∂L/∂t, too; of a difference it is −∂L/∂x
    Needs     a real target
    """

    def backward(self, params, cache, dy):
        (dx, *rest), grads = super().backward(params, cache, dy)
        return (dx, *(None for _ in rest)), grads


@fault("A24", "MultiMarginLoss")
class MarginsNotCounted(Right):
    """The target's score gets −1 once, not once for every margin that is violated.

    Relation  yours has −w in the place of −Σ_{c≠k} s_c at the target k, and is right elsewhere
    Remedy    x_k stands in the margin of every other class: count those that are violated
    Needs     more than two classes
    """

    def slopes(self, x, t):
        ds, *rest = super().slopes(x, t)
        _, is_k, w = self.hinges(x, t)
        return (np.where(is_k, -w, ds.reshape(is_k.shape)).reshape(x.shape), *rest)
