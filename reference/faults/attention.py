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

    def _attend_back(self, cache, do, dw):
        dq, dk, *rest = super()._attend_back(cache, do, dw)
        root = math.sqrt(self.embed_dim // self.num_heads)
        return dq * root, dk * root, *rest


@fault("G13", "MultiheadAttention")
class QueryAndKeySwapped(Right):
    """dq and dk change places.

    Relation  your dq = torch's dk, and the other way round
    Remedy    dq = dz k, dk = dzᵀ q
    Needs     as many queries as keys
    """

    def _attend_back(self, cache, do, dw):
        dq, dk, *rest = super()._attend_back(cache, do, dw)
        return (dk, dq, *rest) if dq.shape == dk.shape else (dq, dk, *rest)


@fault("G13.transposed", "MultiheadAttention")
class ScoresNotTransposed(Right):
    """dk uses dz where it needs its transpose.

    Relation  your dk = dz q/√d, torch's = dzᵀ q/√d
    Remedy    zᵢⱼ = qᵢ·kⱼ, so dkⱼ = Σᵢ dzᵢⱼ qᵢ
    Needs     as many queries as keys, more than one
    """

    def _attend_back(self, cache, do, dw):
        dq, dk, *rest = super()._attend_back(cache, do, dw)
        v, A, drawn, P, q, k, masks = cache
        if q.shape == k.shape:
            dk, *_ = super()._attend_back((v, A, drawn, P, q, q, masks), do, dw)
        return dq, dk, *rest


@fault("G14", "MultiheadAttention")
class MaskIgnored(Right):
    """backward computes the weights of the keys again, without the masks.

    Relation  yours is not 0 at masked positions
    Remedy    use the weights of the forward pass, which are 0 there
    Needs     a mask
    """

    def _attend_back(self, cache, do, dw):
        v, A, drawn, _, q, k, masks = cache
        P = softmax(q @ k.swapaxes(-1, -2) / math.sqrt(q.shape[-1]))
        return super()._attend_back((v, A, drawn, P, q, k, masks), do, dw)


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
