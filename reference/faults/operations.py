"""Mistakes in what a model computes between its layers: broadcasting, transposes, indices, ties, shapes."""

import numpy as np

from .base import Right, fault, right


@fault("J01", "Add", "Sub", "Mul", "Div")
class NotSummedBack(Right):
    """The gradient of an operand that was broadcast is not summed over the axes that it was repeated along.

    Relation  yours has the shape of y, torch's that of the operand
    Remedy    sum over the axes that the operand lacks, and with keepdims where its axis is 1 long
    Needs     an operand that is broadcast
    """

    def backward(self, params, cache, dy):
        x, a, b, y = cache
        if not isinstance(x, tuple):
            return super().backward(params, cache, dy)
        return tuple(np.broadcast_to(d, y.shape).copy() for d in self.df(a, b, y, dy)), {}


@fault("J02", "Add", "Sub", "Mul", "Div")
class MeanInsteadOfSum(Right):
    """The gradient of an operand that was broadcast is averaged over its copies.

    Relation  yours = torch's / the number of copies
    Remedy    every copy adds its gradient: sum, no mean
    Needs     an operand that is broadcast
    """

    def backward(self, params, cache, dy):
        dx, grads = super().backward(params, cache, dy)
        inputs = cache[0] if isinstance(cache[0], tuple) else (cache[0],)
        means = [d * (np.size(v) / cache[3].size) if cache[3].size else d for d, v in zip(_tuple(dx), inputs)]
        return (tuple(means) if isinstance(dx, tuple) else means[0]), grads


def _tuple(x):
    return x if isinstance(x, tuple) else (x,)


@fault("J03", "Sub", "Div")
class SecondSignLost(Right):
    """The gradient of the second operand has the sign of the first's.

    Relation  your second gradient = −torch's
    Remedy    y = a − b and y = a/b fall in b: db = −dy and db = −(a/b) dy/b
    Needs     –
    """

    def df(self, a, b, y, dy):
        da, db = super().df(a, b, y, dy)
        return da, -db


@fault("J04", "Matmul")
class OperandNotTransposed(Right):
    """da multiplies by b where it needs bᵀ.

    Relation  yours = dy b, torch's = dy bᵀ
    Remedy    yᵢⱼ = Σₖ aᵢₖ bₖⱼ, so daᵢₖ = Σⱼ dyᵢⱼ bₖⱼ
    Needs     a square b
    """

    def backward(self, params, cache, dy):
        a, b, y_shape = cache
        (da, db), grads = super().backward(params, cache, dy)
        if b.ndim > 1 and b.shape[-1] == b.shape[-2]:
            (da, _), _ = super().backward(params, (a, b.swapaxes(-1, -2), y_shape), dy)
        return (da, db), grads


@fault("J05", "Amax", "Amin")
class EveryTieGetsAll(Right):
    """Every one of several largest entries gets the gradient whole.

    Relation  yours = k · torch's where k entries are equally large
    Remedy    dx = [x = y]/k dy, or give it to one of them: what arrives is to be passed on once
    Needs     equal largest entries
    """

    def back(self, x, y, dy, axes):
        return (x == y) * dy


@fault("J06", "Maximum", "Minimum")
class TieGoesToTheFirst(Right):
    """Where both are equal, the first gets the gradient whole.

    Relation  your first gradient = 2 · torch's where both are equal, your second 0
    Remedy    a convention: torch gives half to each
    Needs     equal entries
    """

    def df(self, a, b, y, dy):
        lost = self.wins(b, a)
        return np.where(lost, 0, dy), np.where(lost, dy, 0)


@fault("J07", "Gather")
class GatherAssigned(Right):
    """An entry that is taken several times gets the gradient of one taking.

    Relation  yours = one of the entries of dy that torch's adds up
    Remedy    np.add.at(dx, index, dy): dx[index] = dy writes each place once
    Needs     a repeated index
    """

    def backward(self, params, cache, dy):
        x, _, places = cache
        dx = np.zeros_like(x)
        dx[places] = dy
        return (dx, None), {}


@fault("J07.rows", "IndexSelect")
class SelectAssigned(Right):
    """A slice that is taken several times gets the gradient of one taking.

    Relation  yours = one of the slices of dy that torch's adds up
    Remedy    np.add.at(dx, index, dy): dx[index] = dy, and dx[index] += dy, write each place once
    Needs     a repeated index
    """

    def backward(self, params, cache, dy):
        x, index, axis = cache
        dx = np.zeros_like(x)
        np.moveaxis(dx, axis, 0)[index] += np.moveaxis(dy, axis, 0)
        return (dx, None), {}


@fault("J08", "Permute")
class NotInverted(Right):
    """The gradient is permuted by dims once more, where it needs the inverse order.

    Relation  yours = dy permuted by dims, torch's = dy permuted by argsort(dims)
    Remedy    the inverse of a permutation is its argsort; only swaps are their own inverse
    Needs     three axes or more in a cycle; where the shapes do not tell, equal lengths
    """

    def back(self, dy, x_shape):
        return dy.transpose(self.order(dy))


@fault("J09", "Roll")
class RolledFurther(Right):
    """The gradient is rolled in the direction of the forward pass.

    Relation  yours = torch's, rolled by twice the shift
    Remedy    roll back: by −shift
    Needs     a shift that is no half turn
    """

    def back(self, dy, x_shape):
        return self.f(dy)


@fault("J10", "Scatter")
class OldValueKeepsGradient(Right):
    """What is replaced still gets the gradient of its place.

    Relation  your dx = dy, torch's is 0 where something was put
    Remedy    y does not depend on what was overwritten: dx[index] = 0
    Needs     –
    """

    def left(self, dy, places):
        return dy


@fault("J10.item", "SetItem")
class OldPartKeepsGradient(Right):
    """What is replaced still gets the gradient of its place.

    Relation  your dx = dy, torch's is 0 where something was put
    Remedy    y does not depend on what was overwritten: dx[index] = 0
    Needs     accumulate = False
    """

    def backward(self, params, cache, dy):
        (_, *rest), grads = _whole(super().backward(params, cache, dy))
        return ((dy, *rest) if rest else dy), grads


def _whole(pair):
    dx, grads = pair
    return _tuple(dx), grads


@fault("J11", "SumOver", "Mean")
class MeanForgotten(Right):
    """The gradient of a mean is not divided by the number of entries, that of a sum is.

    Relation  yours = n · torch's for a mean, torch's / n for a sum
    Remedy    ∂⟨x⟩/∂xᵢ = 1/n, ∂Σx/∂xᵢ = 1
    Needs     more than one entry
    """

    def back(self, x, y, dy, axes):
        n = x.size / y.size
        return np.broadcast_to(dy / n if type(self).__name__ == "SumOver" else dy, x.shape)


@fault("J12", "Var")
class BesselForgotten(Right):
    """The gradient of a variance divides by n where the forward divides by n − 1.

    Relation  yours = (n − correction)/n · torch's
    Remedy    divide by the same number in both passes
    Needs     correction other than 0
    """

    def back(self, x, y, dy, axes):
        return right(self, correction=0).back(x, y, dy, axes)


@fault("J13", "Cat")
class PartsSwapped(Right):
    """The parts of dy go to the inputs in reverse order.

    Relation  your gradients are torch's for the inputs in reverse order
    Remedy    cut dy where the inputs were joined, in their order
    Needs     more than one input; other lengths are an error at once
    """

    def backward(self, params, cache, dy):
        axis, lengths, real = cache
        dx, grads = super().backward(params, (axis, lengths[::-1], real), dy)
        return dx[::-1], grads


@fault("J14", "Cumsum")
class SameDirection(Right):
    """The gradient of a running sum is a running sum from the same end.

    Relation  yours = the running sum of dy, torch's runs from the other end
    Remedy    yᵢ depends on all xⱼ with j ≤ i, so dxⱼ collects from all i ≥ j
    Needs     an axis longer than 1
    """

    def backward(self, params, cache, dy):
        axes, _ = cache
        return (np.cumsum(dy, axes[0]) if axes else dy), {}


@fault("J15", "Where")
class ChosenByOther(Right):
    """The gradients of the two sides of a choice change places.

    Relation  your da = torch's db before it is summed, and the other way round
    Remedy    da = dy where the condition is true, db where it is not
    Needs     an input on either side
    """

    def backward(self, params, cache, dy):
        x, c = cache
        return super().backward(params, (x, ~c), dy)


@fault("J16", "ScaledDotProductAttention")
class ScaleLost(Right):
    """The scores are scaled, their gradients are not.

    Relation  your gradients of queries and keys = torch's / s; those of the values are right
    Remedy    z = s qkᵀ, so dq = s dz k and dk = s dzᵀ q
    Needs     a scale other than 1
    """

    def backward(self, params, cache, dy):
        q, k, v, many_k, many_v, mask, _, P, A, drawn = cache
        return super().backward(params, (q, k, v, many_k, many_v, mask, 1.0, P, A, drawn), dy)


@fault("J17", "ScaledDotProductAttention")
class GroupsNotSummed(Right):
    """Keys and values that serve several heads get the gradient of one of them.

    Relation  yours = the part of one head, torch's = the sum over the group
    Remedy    a key that is used by several heads collects from all of them
    Needs     enable_gqa with more heads of q than of k
    """

    def grouped(self, d, of):
        if self.enable_gqa and d.shape[-3] != of.shape[-3]:
            d = d[..., :: d.shape[-3] // of.shape[-3], :, :]
        return super().grouped(d, of)


@fault("J18", "Std")
class AtZero(Right):
    """The slope of a root is computed where it is 0.

    Relation  yours is NaN where all entries are equal; equal elsewhere
    Remedy    a `where` around the division, on its operands and not only on its result
    Needs     entries that are all equal
    """

    def back(self, x, y, dy, axes):
        with np.errstate(all="ignore"):
            return (x - x.mean(axes, keepdims=True)) / (self.left(x, axes) * y) * dy
