"""Mistakes in layers whose weight is made of other parameters."""

import numpy as np

from .base import Right, fault


@fault("P01", "WeightNorm")
class LengthTakenForConstant(Right):
    """The length of v is taken for a constant, so that its gradient has a part along v.

    Relation  yours = torch's + (g/n) v̂ Σ(dW v̂)
    Remedy    n = ‖v‖ depends on v: dv = (g/n) (dW − v̂ Σ(dW v̂))
    Needs     –
    """

    def weight_backward(self, own, cache, dW):
        return super().weight_backward(own, cache, dW) | {"v": own["g"] / cache[1] * dW}


@fault("P02", "WeightNorm")
class LengthTimesVector(Right):
    """The gradient of the length is taken with v instead of its direction.

    Relation  your dg = torch's · ‖v‖
    Remedy    W = g v/‖v‖, so dg = Σ dW v/‖v‖
    Needs     –
    """

    def weight_backward(self, own, cache, dW):
        grads = super().weight_backward(own, cache, dW)
        return grads | {"g": grads["g"] * cache[1]}


@fault("P03", "WeightNorm")
class ScaleOfTheDirectionForgotten(Right):
    """dv lacks the factor g/n.

    Relation  yours = torch's · ‖v‖/g
    Remedy    W = g v/n: whatever comes back to v is multiplied by g/n
    Needs     –
    """

    def weight_backward(self, own, cache, dW):
        grads = super().weight_backward(own, cache, dW)
        return grads | {"v": grads["v"] * cache[1] / own["g"]}


@fault("P04", "SpectralNorm")
class SigmaTakenForConstant(Right):
    """The singular value is taken for a constant.

    Relation  yours = torch's + u vᵀ Σ(dW̄ W̄)/σ
    Remedy    u and v are constants, σ = uᵀ W v is not: dW = (dW̄ − u vᵀ Σ(dW̄ W̄))/σ
    Needs     –
    """

    def weight_backward(self, own, cache, dW):
        return {"W": dW / cache[1]}


@fault("P05", "SpectralNorm")
class SlopeOfAnotherNorm(Right):
    """The slope of the singular value is taken for that of the Frobenius norm, W/σ.

    Relation  yours − torch's = (u vᵀ − W̄) Σ(dW̄ W̄)/σ
    Remedy    ∂(uᵀ W v)/∂W = u vᵀ, of rank one
    Needs     a weight that is a matrix of more than one row and column
    """

    def weight_backward(self, own, cache, dW):
        normed, sigma, S, moved = cache
        return super().weight_backward(own, (normed, sigma, S if self._is_vector() else normed, moved), dW)


@fault("P06", "SpectralNorm")
class MovesInEvaluation(Right):
    """The vectors of the power iteration move in evaluation, too.

    Relation  yours = torch's for other u and v, forward and back
    Remedy    iterate in training only, and use u and v as they are in evaluation
    Needs     evaluation
    """

    iterates = property(lambda self: not self._is_vector())


@fault("P07", "Orthogonal")
class HalfOfTheSkewMatrix(Right):
    """L stands in A twice, and only one of the two is counted.

    Relation  yours = torch's + the lower triangle of dAᵀ
    Remedy    A = L − Lᵀ, so dL = dA − dAᵀ
    Needs     matrix_exp or cayley
    """

    def triangle_backward(self, dA):
        return np.tril(dA)


@fault("P08", "Orthogonal")
class ExponentialOfNumbers(Right):
    """The exponential of a matrix is differentiated as that of a number: de^A = e^A dA.

    Relation  your dA = Qᵀ dQ, torch's = the mean of e^((1−t)Aᵀ) dQ e^(tAᵀ) over t
    Remedy    A and dA do not commute: take the block above the diagonal of exp [[Aᵀ, dQ], [0, Aᵀ]]
    Needs     matrix_exp, more than two rows or columns
    """

    def map_backward(self, A, Q, dQ):
        if self.orthogonal_map == "cayley":
            return super().map_backward(A, Q, dQ)
        return Q.swapaxes(-1, -2) @ dQ


@fault("P09", "Orthogonal")
class UpperTriangleMoves(Right):
    """The entries above the diagonal, which are not read, get a gradient.

    Relation  yours = torch's below the diagonal; above it torch's is 0
    Remedy    only the lower triangle of X is used: dX is 0 above it
    Needs     matrix_exp or cayley, more than one row and column
    """

    def triangle_backward(self, dA):
        return dA - dA.swapaxes(-1, -2)


@fault("P10", "Orthogonal")
class BaseForgotten(Right):
    """backward forgets the base B, by which the orthogonal matrix was multiplied.

    Relation  yours = torch's for the upstream gradient B dW
    Remedy    W = B Q, so dQ = Bᵀ dW
    Needs     use_trivialization
    """

    def weight_backward(self, own, cache, dW):
        return super().weight_backward({"X": own["X"]}, cache, dW)
