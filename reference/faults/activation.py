"""Mistakes in slopes: the wrong formula, the wrong side of a kink, the wrong axis."""

import math
from dataclasses import replace

import numpy as np

from manualbp.elementary import sigmoid

from .base import Right, fault, right


@fault("C02", "Tanh")
class TanhOfPreactivation(Right):
    """tanh′ is written as 1 − x², with the layer's input in place of its output.

    Relation  yours = (1 − x²)/(1 − y²) · torch's; the sign is wrong for |x| > 1
    Remedy    tanh′ = 1 − y² with y = tanh x
    Needs     –
    """

    def df(self, x, y):
        return 1 - x * x


@fault("C03", "Sigmoid")
class SigmoidOfPreactivation(Right):
    """σ′ is written as x(1 − x), with the layer's input in place of its output.

    Relation  yours = x(1 − x)/(y(1 − y)) · torch's
    Remedy    σ′ = y(1 − y) with y = σ(x)
    Needs     –
    """

    def df(self, x, y):
        return x * (1 - x)


@fault("C04", "Tanh")
class TanhSquareForgotten(Right):
    """tanh′ is written as 1 − y.

    Relation  yours = torch's / (1 + y)
    Remedy    tanh′ = 1 − y²
    Needs     –
    """

    def df(self, x, y):
        return 1 - y


@fault("C05", "ReLU")
class ReluAtZero(Right):
    """The slope of ReLU at 0 is taken as 1.

    Relation  yours = dy where x = 0, torch's = 0; equal elsewhere
    Remedy    x > 0, not x ≥ 0: torch takes the left slope
    Needs     an exact 0 in the input
    """

    def df(self, x, y):
        return x >= 0


@fault("C07", "LeakyReLU", "PReLU")
class SlopeForgotten(Right):
    """Negative inputs get no gradient, as in ReLU.

    Relation  yours = 0 where x < 0, torch's = a dy
    Remedy    multiply dy by the negative slope there
    Needs     a negative entry
    """

    def backward(self, params, cache, dy):
        dx, grads = super().backward(params, cache, dy)
        return np.where(cache[0] > 0, dx, np.zeros_like(dx)), grads


@fault("C08", "ELU", "SELU")
class OutputForSlope(Right):
    """On the left y is taken for the slope, which is y + α.

    Relation  yours − torch's = −α dy where x < 0 (SELU: −λα dy)
    Remedy    y = α(eˣ − 1), so its slope αeˣ is y + α
    Needs     a negative entry
    """

    def df(self, x, y):
        return np.where(x <= 0, y, super().df(x, y))


@fault("C09", "SiLU")
class ProductRuleForgotten(Right):
    """The second term of the product rule is missing: (xσ)′ is taken for σ.

    Relation  yours − torch's = −xσ(1 − σ) dy
    Remedy    (xσ)′ = σ + xσ(1 − σ)
    Needs     –
    """

    def df(self, x, w):
        return w


@fault("C10", "GELU")
class OtherGelu(Right):
    """The slope of the tanh approximation is used for the exact GELU, or the other way round.

    Relation  yours − torch's is smooth in x and at most 9·10⁻⁴ dy
    Remedy    differentiate the formula that forward uses; approximate = "none" and "tanh" are two functions
    Needs     a tolerance below 10⁻³
    """

    def df(self, x, w):
        other = right(self, approximate="none" if self.approximate == "tanh" else "tanh")
        return other.df(x, other.w(x))


@fault("C11", "Softplus")
class ThresholdIgnored(Right):
    """Softplus beyond its threshold still has the slope σ(βx) instead of 1.

    Relation  yours = σ(βx) · torch's where βx > threshold; equal elsewhere
    Remedy    beyond the threshold y = x, so the slope is 1
    Needs     an entry with βx > threshold
    """

    def df(self, x, y):
        return sigmoid(self.beta * x)


@fault("C11.overflow", "Softplus", at=lambda case: replace(case, exact=False, scale=1000.0))
class SoftplusOverflow(Right):
    """Softplus is computed as log(1 + eˣ), which overflows.

    Relation  yours is infinite or NaN where x > 709 (88 in float32)
    Remedy    log(1 + eˣ) = max(x, 0) + log(1 + e^(−|x|))
    Needs     an entry above 709
    """

    @np.errstate(all="ignore")
    def f(self, x):
        e = np.exp(self.beta * x)
        return np.where(e <= math.exp(self.threshold), np.log(1 + e) / self.beta, np.log(e) / self.beta)

    @np.errstate(all="ignore")
    def df(self, x, y):
        e = np.exp(self.beta * x)
        return np.where(self.beta * x > self.threshold, 1, e) / np.where(self.beta * x > self.threshold, 1, 1 + e)


@fault("C12", "PReLU")
class SlopeNotReduced(Right):
    """The gradient of PReLU's weight is not summed over the entries that share it.

    Relation  yours has the shape of x, torch's that of the weight
    Remedy    sum dy min(x, 0) over every axis but that of the channels, and over that, too, if one slope serves all
    Needs     –
    """

    def backward(self, params, cache, dy):
        dx, _ = super().backward(params, cache, dy)
        return dx, {"weight": dy * np.minimum(cache[0], 0)}


@fault("C12.axis", "PReLU")
class SlopeOfOtherAxis(Right):
    """The channels of PReLU are looked for in the last axis instead of axis 1.

    Relation  yours sums over the wrong axes: a mixture of the channels of torch's
    Remedy    the channels are axis 1 of (N, C, *)
    Needs     num_parameters > 1 and an input of more than two axes
    """

    def backward(self, params, cache, dy):
        dx, grads = super().backward(params, cache, dy)
        if self.num_parameters > 1:
            terms = dy * np.minimum(cache[0], 0)
            grads["weight"] = terms.reshape(-1, self.num_parameters).sum(0)
        return dx, grads


@fault("C13", "Softmax", "LogSoftmax")
class DiagonalOnly(Right):
    """The Jacobian of softmax is reduced to its diagonal, y(1 − y), as if every entry stood alone.

    Relation  torch's = yours − Σ_{j≠i} yᵢyⱼ dyⱼ
    Remedy    every output depends on every input: dx = y(dy − Σ y dy)
    Needs     an upstream gradient that is not constant, more than one class
    """

    def df(self, y, dy, axis):
        return y * (1 - y) * dy if type(self).__name__ == "Softmax" else (1 - np.exp(y)) * dy


@fault("C15", "Softmax", "LogSoftmax", "Softmin")
class OtherAxis(Right):
    """The backward pass sums over another axis than the forward pass.

    Relation  yours = y(dy − Σ y dy) with Σ along another axis
    Remedy    use the same axis in both
    Needs     more than one axis
    """

    def df(self, y, dy, axis):
        return super().df(y, dy, (axis + 1) % max(y.ndim, 1))


@fault("C17", "Hardtanh", "ReLU6")
class EdgesInclusive(Right):
    """The slope at the ends of the interval that is clipped to is taken as 1.

    Relation  yours = dy where x lies on an end, torch's = 0; equal elsewhere
    Remedy    strictly between the ends: a < x and x < b
    Needs     an entry exactly on an end
    """

    def df(self, x, y):
        return x == y


@fault("C18", "L1Loss")
class SignOfZero(Right):
    """The slope of |d| at d = 0 is taken as 1.

    Relation  yours = ±dy where x = t, torch's = 0; equal elsewhere
    Remedy    sign 0 = 0
    Needs     an exact hit, x = t
    """

    def df(self, d):
        return np.where(d >= 0, 1, -1).astype(d.dtype)


@fault("F16", "L1Loss")
class ZeroByZero(Right):
    """The sign is computed as d/|d|, which has no value at 0.

    Relation  yours is NaN where x = t; equal elsewhere
    Remedy    np.sign, or a `where` around the division, on its operands and not only on its result
    Needs     an exact hit, x = t
    """

    @np.errstate(invalid="ignore")
    def df(self, d):
        return d / np.abs(d)


def _equal_numbers(case):
    """Pairs of vectors of one small integer each, so that some are equal, compared by their Euclidean distance."""
    return replace(case, layer=case.layer.replace(p=2.0, eps=0.0), shape=(*case.shape[:-1], 1), exact=True)


@fault("F16.norm", "PairwiseDistance", at=_equal_numbers)
class NormAtZero(Right):
    """The slope of a norm is computed as d/‖d‖ where both are 0.

    Relation  yours is NaN where the difference is 0 throughout; equal elsewhere
    Remedy    take 0 as the slope of the norm at 0
    Needs     p = 2, eps = 0, equal vectors
    """

    @np.errstate(invalid="ignore", divide="ignore")
    def slope(self, d, y):
        return d / y if self.p == 2 else super().slope(d, y)


@fault("C19", "GLU")
class HalvesSwapped(Right):
    """The gradients of the two halves, value and gate, change places.

    Relation  the first half of yours = the second of torch's, and the other way round
    Remedy    y = aσ(b) with a the first half; concatenate [da, db]
    Needs     –
    """

    def backward(self, params, cache, dy):
        dx, grads = super().backward(params, cache, dy)
        return np.concatenate(np.split(dx, 2, self.dim)[::-1], self.dim), grads


@fault("C20", "Tanh", "Elementwise", law="check_pure")
class InPlace(Right):
    """The activation is computed in place: its input is overwritten.

    Relation  x holds y after the forward pass; a slope taken from x is then f′(y), not f′(x)
    Remedy    write the result to a new array
    Needs     –
    """

    def forward(self, params, x):
        y, cache = super().forward(params, x)
        if isinstance(x, np.ndarray):  # a NumPy scalar cannot be written to
            x[...] = y
        return y, cache


@fault("C20.slope", "SiLU", "GELU", "Mish", "Softplus", "Tanh", "Sigmoid")
class SlopeOfOutput(Right):
    """The slope is taken at the output instead of the input, as 1 − tanh²h where h is tanh z already.

    Relation  yours = f′(y) dy, torch's = f′(x) dy
    Remedy    keep x for the backward pass, or write f′ in terms of y: 1 − h², h(1 − h)
    Needs     –
    """

    def df(self, x, y):
        y = super().f(x)
        return super().df(y, super().evaluate(y)[1])


@fault("C10.erf", "GELU")
class DensityForgotten(Right):
    """The second term of the product rule is missing: (xΦ)′ is taken for Φ.

    Relation  yours − torch's = −xφ(x) dy
    Remedy    (xΦ)′ = Φ + xφ
    Needs     –
    """

    def df(self, x, w):
        return w
