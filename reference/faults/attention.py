"""Mistakes in attention: the scale, the transposes, the masks, the heads."""

import math

import numpy as np

from manualbp.elementary import softmax

from .base import Right, fault


@fault("G12", "MultiheadAttention")
class ScaleForgottenInBackward(Right):
    """The scores are divided by √d, their gradients are not.

    Relation  your gradients of queries and keys = √d · torch's; those of the values are right
    Remedy    z = qkᵀ/√d, so dq = dz k/√d and dk = dzᵀq/√d
    Needs     heads wider than 1
    """

    def _scores_back(self, dz, q, k):
        return super()._scores_back(dz * math.sqrt(q.shape[-1]), q, k)


@fault("G13", "MultiheadAttention")
class QueryAndKeySwapped(Right):
    """dq and dk change places.

    Relation  your dq = torch's dk, and the other way round
    Remedy    dq = dz k, dk = dzᵀ q
    Needs     as many queries as keys
    """

    def _scores_back(self, dz, q, k):
        dq, dk = super()._scores_back(dz, q, k)
        return (dk, dq) if dq.shape == dk.shape else (dq, dk)


@fault("G13.transposed", "MultiheadAttention")
class ScoresNotTransposed(Right):
    """dk uses dz where it needs its transpose.

    Relation  your dk = dz q/√d, torch's = dzᵀ q/√d
    Remedy    zᵢⱼ = qᵢ·kⱼ, so dkⱼ = Σᵢ dzᵢⱼ qᵢ
    Needs     as many queries as keys, more than one
    """

    def _scores_back(self, dz, q, k):
        if q.shape != k.shape:
            return super()._scores_back(dz, q, k)
        return super()._scores_back(dz, q, k)[0], super()._scores_back(dz, q, q)[0]


@fault("G14", "MultiheadAttention")
class MaskIgnored(Right):
    """backward computes the weights of the keys again, without the masks.

    Relation  yours is not 0 at masked positions
    Remedy    use the weights of the forward pass, which are 0 there
    Needs     a mask
    """

    def _attend_back(self, b, cache, do, dw):
        v, A, _, q, k, masks = cache
        P = softmax(q @ k.swapaxes(-1, -2) / math.sqrt(q.shape[-1]))
        return super()._attend_back(b, (v, A, P, q, k, masks), do, dw)


@fault("G15", "MultiheadAttention")
class CausalOffByOne(Right):
    """The causal mask lets every position see one step ahead.

    Relation  yours is not 0 next to the diagonal, where torch's is
    Remedy    np.triu(…, 1) hides j > i; np.triu(…, 2) does not hide j = i + 1
    Needs     is_causal without need_weights, at least two keys
    """

    def _added(self, masks, z):
        if self._causal(masks):
            return [np.triu(np.full(z.shape[-2:], -math.inf, z.dtype), 2)]
        return super()._added(masks, z)


@fault("F09.heads", "MultiheadAttention")
class HeadsByReshape(Right):
    """The heads are cut out by a reshape, without moving their axis.

    Relation  yours = torch's for permuted queries, keys and values
    Remedy    (rows, E) → (rows, heads, d) is a reshape; then move the axis: (heads, rows, d)
    Needs     more than one head, more than one row
    """

    def _heads(self, a):
        return a.reshape(*a.shape[:-2], self.num_heads, a.shape[-2], -1)
