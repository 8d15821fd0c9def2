"""Mistakes in transformers: bridges, norms, masks, the paths on which a gradient comes back."""

import numpy as np

from .base import Right, fault, right

LAYERS = "TransformerEncoderLayer", "TransformerDecoderLayer"


@fault("T01", "MultiheadAttention")
class MaskAfterSoftmax(Right):
    """The mask is added to the weights, after the softmax.

    Relation  your weights do not sum to 1, and are −∞ where torch's are 0
    Remedy    P = softmax(z + M), so that e^−∞ = 0 leaves a key out and the others' weights still sum to 1
    Needs     a mask
    """

    def _weights(self, z, masks):
        P = super()._weights(z, (None, None))
        for M in self._added(masks, z):
            P = P + M
        return P


@fault("T02", "MultiheadAttention")
class MaskedWithoutRenormalising(Right):
    """Masked weights are set to 0 after the softmax.

    Relation  your weights = torch's, times the share that the softmax gave to the keys that are left
    Remedy    P = softmax(z + M): the softmax runs over the keys that are left
    Needs     a mask
    """

    def _weights(self, z, masks):
        P = super()._weights(z, (None, None))
        for M in self._added(masks, z):
            P = np.where(np.isneginf(M.real), 0, P)
        return P


@fault("T03", *LAYERS)
class ResidualOfTheNorm(Right):
    """With norm_first the bridge starts behind the norm: y = n + F(n), n = norm(x).

    Relation  your y = torch's − x + norm(x)
    Remedy    y = x + F(norm(x)): the bridge goes over the norm, too
    Needs     norm_first
    """

    def _bridged(self, f, norm, F, x):
        if not self.norm_first:
            return super()._bridged(f, norm, F, x)
        n = f(norm, x)
        return n + F(n)

    def _bridged_back(self, b, norm, F_back, dy):
        if not self.norm_first:
            return super()._bridged_back(b, norm, F_back, dy)
        dn, *others = F_back(dy)
        return b(norm, dy + dn), *others


@fault("T04", *LAYERS)
class NormsInTheOtherPlace(Right):
    """The norm stands before the sublayer where it belongs after the sum, and the other way round.

    Relation  your y = x + F(norm(x)), torch's = norm(x + F(x)), or the other way round
    Remedy    norm_first: x + F(norm(x)); else norm(x + F(x))
    Needs     –
    """

    def _bridged(self, f, norm, F, x):
        return f(norm, x + F(x)) if self.norm_first else x + F(f(norm, x))

    def _bridged_back(self, b, norm, F_back, dy):
        ds = b(norm, dy) if self.norm_first else dy
        dx, *others = F_back(ds)
        return ds + (dx if self.norm_first else b(norm, dx)), *others


@fault("T05", *LAYERS)
class BridgeForgottenInBackward(Right):
    """What comes back over the bridge is lost: dx is that of the sublayer alone.

    Relation  torch's dx = yours + what reached the sum
    Remedy    ∂(x + F(x))/∂x = 1 + ∂F/∂x, so dx = ds + F′(ds)
    Needs     –
    """

    def _bridged_back(self, b, norm, F_back, dy):
        ds = dy if self.norm_first else b(norm, dy)
        dx, *others = F_back(ds)
        return b(norm, dx) if self.norm_first else dx, *others


@fault("T06", *LAYERS)
class BridgeTakesTheGradientBeforeTheNorm(Right):
    """Without norm_first the bridge hands on dy, as if the norm stood beside it.

    Relation  your dx − torch's = dy − norm′(dy)
    Remedy    y = norm(s), s = x + F(x): the gradient of s is norm′(dy), for F and for the bridge
    Needs     norm_first = False
    """

    def _bridged_back(self, b, norm, F_back, dy):
        if self.norm_first:
            return super()._bridged_back(b, norm, F_back, dy)
        dx, *others = F_back(b(norm, dy))
        return dy + dx, *others


@fault("T07", "TransformerDecoderLayer")
class KeyGradientOfTheMemoryLost(Right):
    """The memory's gradient is that of the values alone; it is the keys, too.

    Relation  torch's dmemory = yours + dkey
    Remedy    memory is key and value of the cross-attention: dm = dkey + dvalue
    Needs     more than one position in the memory
    """

    def _attend_back(self, b, name, dropout, d):
        if name == "self_attn":
            return super()._attend_back(b, name, dropout, d)
        dquery, _, dvalue, *dmasks = b(name, (b(dropout, d), None))
        return dquery, dvalue, *dmasks


@fault("T08", *LAYERS)
class SelfAttentionByTheQueryAlone(Right):
    """dx of self-attention is that of the queries; x is key and value, too.

    Relation  torch's dx = yours + dkey + dvalue
    Remedy    SA′(d) = dquery + dkey + dvalue
    Needs     –
    """

    def _self_attend_back(self, b, d):
        dx, _, *dmasks = self._attend_back(b, "self_attn", "dropout1", d)
        return dx, *dmasks


@fault("T09", "TransformerDecoderLayer")
class QueriesFromTheMemory(Right):
    """In the cross-attention the memory asks, and the target answers.

    Relation  your y is torch's with the roles of x and memory changed in the cross-attention
    Remedy    multihead_attn(x, m, m): queries of the target, keys and values of the memory
    Needs     a memory as long as the target
    """

    def _cross_attend(self, f, x, m, masks):
        return super()._cross_attend(f, *((m, x) if m.shape == x.shape else (x, m)), masks)


@fault("T10", *LAYERS)
class DropoutOfTheSublayerForgotten(Right):
    """backward passes by the dropout behind the sublayer.

    Relation  yours is not 0 where the dropout was, and 1 − p of torch's elsewhere
    Remedy    F(x) = Dropout(…), so F′ begins with Dropout′
    Needs     dropout in training
    """

    def _attend_back(self, b, name, dropout, d):
        dquery, dkey, dvalue, *dmasks = b(name, (d, None))
        return dquery, dkey + dvalue, *dmasks


@fault("T11", *LAYERS)
class ActivationForgottenInBackward(Right):
    """The gradient goes from linear2 to linear1 without the slope of the activation.

    Relation  torch's dh = yours ⊙ f′(W₁x + b₁)
    Remedy    FF′: linear2′, Dropout′, then f′, then linear1′
    Needs     –
    """

    def _feed_back(self, b, dropout, d):
        return (b("linear1", b("dropout", b("linear2", b(dropout, d)))),)


@fault("T12", "TransformerDecoder")
class MemoryGradientOfTheLastLayer(Right):
    """The memory's gradient is that of one layer; every layer reads it.

    Relation  torch's dmemory = yours + those of the other layers
    Remedy    where a value is used several times, its gradients add
    Needs     several layers
    """

    def backward(self, params, cache, dy):
        caches, layer, x = cache
        if self.num_layers == 1:
            return super().backward(params, cache, dy)
        (dx, *_), grads = super().backward(params, cache, dy)
        b = layer.children()
        last = f"layers.{self.num_layers - 1}"
        dy = dy if self.norm is None else b["norm"].backward(params.get("norm", {}), caches["norm"][0], dy)[0]
        (_, *others), _ = b[last].backward(params["layers"][str(self.num_layers - 1)], caches[last][0], dy)
        return (dx, *others)[: len(x)], grads


@fault("T13", "TransformerEncoder", "TransformerDecoder")
class FinalNormForgottenInBackward(Right):
    """backward begins with the last layer, behind which a norm stands.

    Relation  torch's gradients = yours of norm′(dy) instead of dy
    Remedy    y = norm(x_K), so the gradient of x_K is norm′(dy)
    Needs     a norm
    """

    def backward(self, params, cache, dy):
        if self.norm is None:
            return super().backward(params, cache, dy)
        caches, layer, x = cache
        other = layer.replace(norm=None)
        dx, grads = right(other).backward(params, (caches, other, x), dy)
        _, norm = self.norm.backward(params.get("norm", {}), caches["norm"][0], dy)
        return dx, grads | ({"norm": norm} if norm else {})
