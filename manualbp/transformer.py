"""Transformers: layers of one kind, one after another. Beside torch/nn/modules/transformer.py; `transformer_layer.py`
has the layers."""

import math
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from .attention import without_nones
from .base import Array, Layer, Tree, add, flatten, options_of, shape, unflatten, uniform
from .composite import Backward, Composite, Forward
from .normalization import LayerNorm
from .transformer_layer import (
    OF_DECODER,
    TransformerDecoderLayer,
    TransformerEncoderLayer,
    given,
    lengths,
    mirrored,
)


def is_causal_mask(mask: Array | None, T: int) -> bool:
    """Does it hide from every position what comes after it, and nothing else?"""
    if mask is None or mask.shape != (T, T):
        return False
    return bool((mask == np.triu(np.full((T, T), -math.inf).astype(mask.dtype), 1)).all())


def hinted(layer: Layer, **hints: bool | None) -> Layer:
    """The layer with those of these options that it has."""
    return layer.replace(**{name: value for name, value in hints.items() if name in options_of(layer)})


class _Stack(Composite, family=True):
    """Layers of one kind, one after another; what they take beside x is the same for each.

    Forward   x₀ = x,  xₖ = fₖ(xₖ₋₁, m, …),  y = norm(x_K), or x_K without a norm
    Backward  from the last to the first, as in Sequential; every layer reads m, so  dm = Σₖ dmₖ
    A subclass says what a layer is, and what it takes.
    """

    if TYPE_CHECKING:  # each class has these options, in its own order
        num_layers: int
        norm: Layer | None

    ranks = (3, 2)

    @property
    def layer(self) -> Any:
        """One of the layers, told which of its masks are causal."""
        raise NotImplementedError

    def inputs(self, x: Tree) -> tuple:
        """All inputs, None for those left out."""
        raise NotImplementedError

    def tried(self, x: tuple) -> Self:
        """The same, which knows whether the mask is causal where this is left to the mask."""
        raise NotImplementedError

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_layers < 1:
            raise ValueError(f"{self}: num_layers must be 1 or more")

    def parts(self):
        layers = {f"layers.{k}": self.layer for k in range(self.num_layers)}
        return layers | ({} if self.norm is None else {"norm": self.norm})

    def init(self, rng, dtype=np.float64):
        params = super().init(rng, dtype)
        one = params["layers"]["0"]  # as in torch, which copies it
        return params | {"layers": dict.fromkeys(params["layers"], one)}

    def forward(self, params, x, rng=None):
        y, *beside = self.inputs(x)
        layer = self.tried((y, *beside))
        f = Forward(layer, params, rng)
        for k in range(self.num_layers):
            y = f(f"layers.{k}", (y, *beside))
        return y if self.norm is None else f("norm", y), (f.caches, layer, x)

    def backward(self, params, cache, dy):
        caches, layer, x = cache
        b = Backward(layer, params, caches)
        dx, dbeside = dy if self.norm is None else b("norm", dy), ()
        for k in reversed(range(self.num_layers)):
            dx, *d = b(f"layers.{k}", dx)
            dbeside = add(dbeside, tuple(d)) if dbeside else tuple(d)
        return mirrored(x, dx, *dbeside), b.grads

    def _is_causal(self, told: bool | None, x: Array, mask: Array | None) -> bool:
        """The option, or what the mask shows where it is None."""
        first = self.layer.batch_first if "batch_first" in options_of(self.layer) else False
        known = "(T, N, d_model), (T, d_model), or (N, T, d_model) under batch_first"
        self.takes(len(shape(x)) in self.ranks, x, known)
        return is_causal_mask(mask, lengths(x, first)[1]) if told is None else told

    @classmethod
    def _norm(cls, choose: Any, shape: tuple[int, ...]) -> Layer | None:
        return choose(None, LayerNorm(shape[-1]), LayerNorm(shape[-1], 0.3, bias=False))


class TransformerEncoder(_Stack):
    """Encoder layers, one after another.

    Forward   x₀ = x,  xₖ = encoder_layerₖ(xₖ₋₁, mask, padding),  y = norm(x_K), or x_K without a norm
    Backward  from the last to the first; every layer reads the masks, so their gradients add up
    Shapes    x: src, or (src[, mask[, src_key_padding_mask]]), y: as src; see TransformerEncoderLayer;
              parameters: layers.k.… for k = 0 … num_layers − 1, norm.…
    Errors    those of its layers; ValueError if num_layers < 1
    Source    Vaswani et al. 2017, arXiv:1706.03762, section 3.1; torch.nn.TransformerEncoder. Its options
              enable_nested_tensor and mask_check choose a computation, and are not here
    Caveat    is_causal=None: a mask that is the causal one is not read, unless there is a src_key_padding_mask, so its
              gradient is 0. The layers begin with the same numbers, as in torch
    """

    encoder_layer: Layer
    num_layers: int
    norm: Layer | None = None
    is_causal: bool | None = None

    @property
    def layer(self):
        return hinted(self.encoder_layer, is_causal=bool(self.is_causal))

    def inputs(self, x):
        return self.unpack(given(x), "src", "mask src_key_padding_mask")

    def tried(self, x):
        causal = self._is_causal(self.is_causal, x[0], x[1])
        return self if causal == bool(self.is_causal) else self.replace(is_causal=causal)

    def derives(self, x):
        src, mask, padding = self.inputs(x)
        unread = self.is_causal is None and padding is None and self.tried((src, mask)).is_causal
        return not unread or mask.dtype == bool

    @classmethod
    def example(cls, choose, shape):
        layer = TransformerEncoderLayer.example(choose, shape)
        return layer and cls(layer, choose(1, 2), cls._norm(choose, shape), choose(None, False))

    def sample(self, values, shape):
        causal = values.rng.random() < 0.3
        return self.layer.replace(is_causal=causal).sample(values, shape)


class TransformerDecoder(_Stack):
    """Decoder layers, one after another, which all look at the same memory.

    Forward   x₀ = x,  xₖ = decoder_layerₖ(xₖ₋₁, m, masks, padding),  y = norm(x_K), or x_K without a norm
    Backward  from the last to the first; every layer reads memory and masks, so their gradients add up
    Shapes    x: (tgt, memory[, tgt_mask[, memory_mask[, tgt_key_padding_mask[, memory_key_padding_mask]]]]), y: as tgt;
              see TransformerDecoderLayer;  parameters: layers.k.… for k = 0 … num_layers − 1, norm.…
    Errors    those of its layers; ValueError if num_layers < 1
    Source    Vaswani et al. 2017, arXiv:1706.03762, section 3.1; torch.nn.TransformerDecoder
    Caveat    tgt_is_causal=None: a tgt_mask that is the causal one is not read, unless there is a tgt_key_padding_mask,
              so its gradient is 0. The layers begin with the same numbers, as in torch
    """

    decoder_layer: Layer
    num_layers: int
    norm: Layer | None = None
    tgt_is_causal: bool | None = None
    memory_is_causal: bool = False

    arity = 2

    @property
    def layer(self):
        told = {"tgt_is_causal": bool(self.tgt_is_causal), "memory_is_causal": self.memory_is_causal}
        return hinted(self.decoder_layer, **told)

    def inputs(self, x):
        return self.unpack(x, "tgt memory", OF_DECODER)

    def tried(self, x):
        causal = self._is_causal(self.tgt_is_causal, x[0], x[2])
        return self if causal == bool(self.tgt_is_causal) else self.replace(tgt_is_causal=causal)

    def derives(self, x):
        tgt, memory, mask, _, padding, _ = self.inputs(x)
        unread = self.tgt_is_causal is None and padding is None and self.tried((tgt, memory, mask)).tgt_is_causal
        return not unread or mask.dtype == bool

    @classmethod
    def example(cls, choose, shape):
        layer = TransformerDecoderLayer.example(choose, shape)
        return layer and cls(layer, choose(1, 2), cls._norm(choose, shape), choose(None, False))

    def sample(self, values, shape):
        causal = values.rng.random() < 0.3
        return self.layer.replace(tgt_is_causal=causal).sample(values, shape)


class Transformer(Composite):
    """An encoder makes a memory of one sequence, a decoder reads it beside another.

    Forward   m = encoder(src, …),  y = decoder(tgt, m, …)
    Backward  dtgt, dm, … = decoder′(dy),  dsrc, … = encoder′(dm)
    Shapes    x: (src, tgt[, src_mask[, tgt_mask[, memory_mask[, src_key_padding_mask[, tgt_key_padding_mask
              [, memory_key_padding_mask]]]]]]), y: as tgt; see TransformerEncoder and TransformerDecoder;
              parameters: encoder.layers.k.…, encoder.norm.…, decoder.layers.k.…, decoder.norm.…
    Errors    those of encoder and decoder
    Source    Vaswani et al. 2017, arXiv:1706.03762, figure 1; torch.nn.Transformer, which puts a norm after each stack;
              init: matrices U(±√(6/(rows + columns)))
    Caveat    custom_encoder, custom_decoder: layers that take the encoder's and the decoder's tuples;
              what is said of causal masks there holds here
    """

    d_model: int = 512
    nhead: int = 8
    num_encoder_layers: int = 6
    num_decoder_layers: int = 6
    dim_feedforward: int = 2048
    dropout: float = 0.1
    activation: str | Layer = "relu"
    custom_encoder: Layer | None = None
    custom_decoder: Layer | None = None
    layer_norm_eps: float = 1e-5
    batch_first: bool = False
    norm_first: bool = False
    bias: bool = True
    src_is_causal: bool | None = None
    tgt_is_causal: bool | None = None
    memory_is_causal: bool = False
    training: bool = True

    arity = 2
    ranks = (3, 2)

    def parts(self):
        options = self.d_model, self.nhead, self.dim_feedforward, self.dropout, self.activation, self.layer_norm_eps
        options = *options, self.batch_first, self.norm_first, self.bias
        norm, training = LayerNorm(self.d_model, self.layer_norm_eps, bias=self.bias), self.training
        encoder = self.custom_encoder or TransformerEncoder(
            TransformerEncoderLayer(*options, training=training), self.num_encoder_layers, norm
        )
        decoder = self.custom_decoder or TransformerDecoder(
            TransformerDecoderLayer(*options, training=training), self.num_decoder_layers, norm
        )
        told = {"tgt_is_causal": self.tgt_is_causal, "memory_is_causal": self.memory_is_causal}
        return {"encoder": hinted(encoder, is_causal=self.src_is_causal), "decoder": hinted(decoder, **told)}

    def init(self, rng, dtype=np.float64):
        def drawn(p: Array) -> Array:
            rows, columns = (n * math.prod(p.shape[2:]) for n in p.shape[:2])
            return uniform(rng, math.sqrt(6 / (rows + columns)), p.shape, dtype)

        flat = flatten(super().init(rng, dtype))
        return unflatten({name: drawn(p) if p.ndim > 1 else p for name, p in flat.items()})

    def forward(self, params, x, rng=None):
        src, tgt, *masks = self.unpack(x, "src tgt", "src_mask tgt_mask memory_mask " + _PADDING)
        src_mask, tgt_mask, memory_mask, src_padding, *padding = masks
        f = Forward(self, params, rng)
        memory = f("encoder", (src, src_mask, src_padding))
        return f("decoder", (tgt, memory, tgt_mask, memory_mask, *padding)), (f.caches, x)

    def backward(self, params, cache, dy):
        caches, x = cache
        b = Backward(self, params, caches)
        dtgt, dmemory, dtgt_mask, dmemory_mask, *dpadding = b("decoder", dy)
        dsrc, dsrc_mask, dsrc_padding = b("encoder", dmemory)
        return mirrored(x, dsrc, dtgt, dsrc_mask, dtgt_mask, dmemory_mask, dsrc_padding, *dpadding), b.grads

    @classmethod
    def example(cls, choose, shape):
        layer: Any = TransformerDecoderLayer.example(choose, shape)
        if layer is None:
            return None
        options = {name: value for name, value in options_of(layer).items() if not name.endswith("is_causal")}
        counts = {"num_encoder_layers": choose(1, 2), "num_decoder_layers": choose(1, 2)}
        return cls(**options, **counts, src_is_causal=choose(None, False), tgt_is_causal=choose(None, False))

    def sample(self, values, shape):
        encoder, decoder = (self.children()[name] for name in ("encoder", "decoder"))
        of_decoder: Any = (*decoder.sample(values, shape), *[None] * 4)
        tgt, memory, tgt_mask, memory_mask, tgt_padding, memory_padding = of_decoder[:6]
        src, mask, padding = (*given(encoder.sample(values, memory.shape)), None, None)[:3]
        return without_nones(src, tgt, mask, tgt_mask, memory_mask, padding, tgt_padding, memory_padding)


_PADDING = "src_key_padding_mask tgt_key_padding_mask memory_key_padding_mask"
