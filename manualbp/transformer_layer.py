"""A layer of a transformer: attention, and two linear maps at every position, each with a bridge over it and a norm.
Beside torch/nn/modules/transformer.py; `transformer.py` has the stacks of them.
"""

from collections.abc import Callable
from typing import Any

from .activation import GELU, ReLU, Tanh
from .activation_piecewise import PReLU
from .attention import MultiheadAttention, random_masks, without_nones
from .base import Array, Layer, Tree, shape
from .composite import Backward, Composite, Forward
from .dropout import Dropout
from .linear import Linear
from .normalization import LayerNorm

ACTIVATIONS: dict[str, Layer] = {"relu": ReLU(), "gelu": GELU()}
OF_DECODER = "tgt_mask memory_mask tgt_key_padding_mask memory_key_padding_mask"


def lengths(x: Array, batch_first: bool) -> tuple[tuple[int, ...], int]:
    """(N,), or () without a batch, and the length of a sequence."""
    if x.ndim == 2:
        return (), x.shape[0]
    N, T = x.shape[:2] if batch_first else x.shape[1::-1]
    return (N,), T


def mirrored(x: Tree, *dx: Array | None) -> Tree:
    """Gradients nested as the inputs came: alone, or in a tuple of so many."""
    return dx[: len(x)] if isinstance(x, tuple) else dx[0]


def given(x: Tree) -> tuple:
    return x if isinstance(x, tuple) else (x,)


class _TransformerLayer(Composite, family=True):
    """Sublayers F, each with a bridge over it and a norm.

    Forward   (b) norm_first: y = x + F(norm(x));  else y = norm(x + F(x))
              (a) F(x) = Dropout(attention(x, m, m)),  with m = x for self-attention
              (f) F(x) = Dropout(W₂ Dropout(f(W₁x + b₁)) + b₂)
    Backward  F′(d) is what F's backward makes of d, norm′ likewise. The bridge hands on what comes to the sum:
              (b′) norm_first: dx = dy + norm′(F′(dy));  else  ds = norm′(dy),  dx = ds + F′(ds)
              (a′) (dquery, dkey, dvalue) = attention′(Dropout′(d));  dx = dquery,  dm = dkey + dvalue
              (f′) each of (f), from the last to the first
    """

    d_model: int
    nhead: int
    dim_feedforward: int = 2048
    dropout: float = 0.1
    activation: str | Layer = "relu"
    layer_norm_eps: float = 1e-5
    batch_first: bool = False
    norm_first: bool = False
    bias: bool = True

    ranks = (3, 2)
    options = {
        "dim_feedforward": (2, 1, 5),
        "dropout": (0.0, 0.5, 0.3),
        "activation": ("relu", "gelu", Tanh(), PReLU()),
        "layer_norm_eps": (1e-5, 0.3),
        "batch_first": (False, True),
        "norm_first": (False, True),
        "bias": (True, False),
        "training": (True, False),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.activation, Layer) and self.activation not in ACTIVATIONS:
            raise ValueError(f"{self}: activation is {', '.join(map(repr, ACTIVATIONS))} or a layer, as in Tanh()")
        self.children()  # their options are checked by making them

    def _attention(self, causal: bool) -> Layer:
        E, heads, training = self.d_model, self.nhead, getattr(self, "training", True)
        options: dict[str, Any] = {"batch_first": self.batch_first, "need_weights": False, "is_causal": causal}
        return MultiheadAttention(E, heads, self.dropout, self.bias, training=training, **options)

    def _others(self, norms: int) -> dict[str, Any]:
        """What (f) is made of, the norms, and a dropout for each."""
        E, H, drop = self.d_model, self.dim_feedforward, Dropout(self.dropout, getattr(self, "training", True))
        f = self.activation if isinstance(self.activation, Layer) else ACTIVATIONS[self.activation]
        parts = {"linear1": Linear(E, H, self.bias), "activation": f, "dropout": drop}
        parts |= {"linear2": Linear(H, E, self.bias)}
        norm = LayerNorm(E, self.layer_norm_eps, bias=self.bias)
        return parts | {f"norm{k + 1}": norm for k in range(norms)} | {f"dropout{k + 1}": drop for k in range(norms)}

    def _bridged(self, f: Forward, norm: str, F: Callable, x: Array) -> Array:
        return x + F(f(norm, x)) if self.norm_first else f(norm, x + F(x))  # (b)

    def _bridged_back(self, b: Backward, norm: str, F_back: Callable, dy: Array) -> tuple:
        """dx, and what else F takes."""
        ds = dy if self.norm_first else b(norm, dy)  # (b′)
        dx, *others = F_back(ds)
        return ds + (b(norm, dx) if self.norm_first else dx), *others

    def _attend(self, f: Forward, name: str, dropout: str, x: Array, m: Array, masks: tuple) -> Array:
        y, _ = f(name, (x, m, m, *masks))  # (a)
        return f(dropout, y)

    def _attend_back(self, b: Backward, name: str, dropout: str, d: Array) -> tuple:
        """dx, dm and the masks' gradients."""
        dquery, dkey, dvalue, *dmasks = b(name, (b(dropout, d), None))  # (a′)
        return dquery, dkey + dvalue, *dmasks

    def _self_attend(self, f: Forward, x: Array, masks: tuple) -> Array:
        return self._attend(f, "self_attn", "dropout1", x, x, masks)

    def _self_attend_back(self, b: Backward, d: Array) -> tuple:
        dx, dm, *dmasks = self._attend_back(b, "self_attn", "dropout1", d)
        return dx + dm, *dmasks

    def _feed(self, f: Forward, dropout: str, x: Array) -> Array:
        return f(dropout, f("linear2", f("dropout", f("activation", f("linear1", x)))))  # (f)

    def _feed_back(self, b: Backward, dropout: str, d: Array) -> tuple[Array]:
        return (b("linear1", b("activation", b("dropout", b("linear2", b(dropout, d))))),)  # (f′)

    def _takes_sequence(self, x: Any, name: str) -> None:
        known = f"{'(N, T, d_model)' if self.batch_first else '(T, N, d_model)'} or (T, d_model) as {name}"
        self.takes(len(shape(x)) in self.ranks and x.shape[-1] == self.d_model, x, known)

    @classmethod
    def example(cls, choose, shape):
        if shape[-1] < 3:  # LayerNorm of two entries is ±1 up to ε, of one it is a constant
            return None
        heads = choose(*(n for n in range(1, shape[-1] + 1) if shape[-1] % n == 0))
        return cls(shape[-1], heads, **{name: choose(*values) for name, values in cls.options.items()})


class TransformerEncoderLayer(_TransformerLayer):
    """Every position looks at all others, then each is changed by itself.

    Forward   SA(x) = Dropout(MultiheadAttention(x, x, x)),   FF(x) = Dropout(W₂ Dropout(f(W₁x + b₁)) + b₂)
              (1) norm_first: x₁ = x + SA(norm₁(x));  else x₁ = norm₁(x + SA(x))
              (2) norm_first: y = x₁ + FF(norm₂(x₁));  else y = norm₂(x₁ + FF(x₁))
    Backward  with F′(d) for what F's backward makes of d, norm′ likewise
              (2′) norm_first: dx₁ = dy + norm₂′(FF′(dy));  else ds = norm₂′(dy),  dx₁ = ds + FF′(ds)
              (1′) norm_first: dx = dx₁ + norm₁′(SA′(dx₁));  else ds = norm₁′(dx₁),  dx = ds + SA′(ds)
              x is query, key and value:  SA′(d) = dquery + dkey + dvalue
    Shapes    x: src, or (src[, src_mask[, src_key_padding_mask]]), y: as src: (T, N, d_model), (N, T, d_model) under
              batch_first, or (T, d_model);  src_mask: (T, T) or (N·nhead, T, T), src_key_padding_mask: (N, T), bool or
              real;  parameters: those of self_attn, linear1, linear2, norm1, norm2
    Errors    ValueError if shapes differ from these, activation is unknown, or is_causal comes without src_mask
    Source    Vaswani et al. 2017, arXiv:1706.03762, section 3; norm_first: Xiong et al. 2020, arXiv:2002.04745;
              torch.nn.TransformerEncoderLayer
    Caveat    is_causal: src_mask is not read, unless there is a src_key_padding_mask (see MultiheadAttention).
              torch's fast path, in evaluation without gradients, is another computation of the same function
    """

    is_causal: bool = False
    training: bool = True

    options = {**_TransformerLayer.options, "is_causal": (False, True)}

    @property
    def arity(self) -> int:
        return 2 if self.is_causal else 1  # then the mask must be given

    def parts(self):
        return {"self_attn": self._attention(self.is_causal), **self._others(2)}

    def forward(self, params, x, rng=None):
        src, mask, padding = self.unpack(given(x), "src", "src_mask src_key_padding_mask")
        self._takes_sequence(src, "src")
        f, masks = Forward(self, params, rng), (padding, mask)
        x1 = self._bridged(f, "norm1", lambda x: self._self_attend(f, x, masks), src)  # (1)
        y = self._bridged(f, "norm2", lambda x: self._feed(f, "dropout2", x), x1)  # (2)
        return y, (f.caches, x)

    def backward(self, params, cache, dy):
        caches, x = cache
        b = Backward(self, params, caches)
        (dx1,) = self._bridged_back(b, "norm2", lambda d: self._feed_back(b, "dropout2", d), dy)  # (2′)
        dx, dpadding, dmask = self._bridged_back(b, "norm1", lambda d: self._self_attend_back(b, d), dx1)  # (1′)
        return mirrored(x, dx, dmask, dpadding), b.grads

    def gradients(self, params, cache, dy):
        if self.norm_first:  # then norm1 is below the attention
            return super().gradients(params, cache, dy)
        b = Backward(self, params, cache[0])
        (dx1,) = self._bridged_back(b, "norm2", lambda d: self._feed_back(b, "dropout2", d), dy)  # (2′)
        b.gradients("self_attn", (b("dropout1", b("norm1", dx1)), None))  # (1′), where dx is left out
        return b.grads

    def sample(self, values, shape):
        src = values.real(shape)
        N, T = lengths(src, self.batch_first)
        padding, mask = random_masks(values, N, self.nhead, T, T, self.is_causal)
        x = without_nones(src, mask, padding)
        return x if len(x) > 1 else src


class TransformerDecoderLayer(_TransformerLayer):
    """Every position looks at those of its own sequence, then at a memory, then each is changed by itself.

    Forward   SA(x) = Dropout(self_attn(x, x, x)),   CA(x) = Dropout(multihead_attn(x, m, m)),  m the memory,
              FF(x) = Dropout(W₂ Dropout(f(W₁x + b₁)) + b₂)
              (1) norm_first: x₁ = x + SA(norm₁(x));  else x₁ = norm₁(x + SA(x))
              (2) norm_first: x₂ = x₁ + CA(norm₂(x₁));  else x₂ = norm₂(x₁ + CA(x₁))
              (3) norm_first: y = x₂ + FF(norm₃(x₂));  else y = norm₃(x₂ + FF(x₂))
    Backward  with F′(d) for what F's backward makes of d, norm′ likewise
              (3′) norm_first: dx₂ = dy + norm₃′(FF′(dy));  else ds = norm₃′(dy),  dx₂ = ds + FF′(ds)
              (2′) norm_first: dx₁ = dx₂ + norm₂′(CA′(dx₂));  else ds = norm₂′(dx₂),  dx₁ = ds + CA′(ds)
              (1′) norm_first: dx = dx₁ + norm₁′(SA′(dx₁));  else ds = norm₁′(dx₁),  dx = ds + SA′(ds)
              x is query, key and value:  SA′(d) = dquery + dkey + dvalue;   in CA x is the query alone:
              CA′(d) = dquery,  and m is key and value:  dm = dkey + dvalue
    Shapes    x: (tgt, memory[, tgt_mask[, memory_mask[, tgt_key_padding_mask[, memory_key_padding_mask]]]]), y: as tgt;
              tgt: (T, N, d_model), memory: (S, N, d_model), N first under batch_first, or both without N;  masks:
              (T, T), (T, S) or these for each of N·nhead, padding: (N, T), (N, S), bool or real;
              parameters: those of self_attn, multihead_attn, linear1, linear2, norm1, norm2, norm3
    Errors    ValueError if shapes differ from these, activation is unknown, or a causal mask is announced, not given
    Source    Vaswani et al. 2017, arXiv:1706.03762, section 3; norm_first: Xiong et al. 2020, arXiv:2002.04745;
              torch.nn.TransformerDecoderLayer
    Caveat    tgt_is_causal, memory_is_causal: that mask is not read, unless there is padding (see MultiheadAttention)
    """

    tgt_is_causal: bool = False
    memory_is_causal: bool = False
    training: bool = True

    options = {**_TransformerLayer.options, "tgt_is_causal": (False, True), "memory_is_causal": (False, True)}

    @property
    def arity(self) -> int:
        return 4 if self.memory_is_causal else 3 if self.tgt_is_causal else 2

    def parts(self):
        own, other = self._attention(self.tgt_is_causal), self._attention(self.memory_is_causal)
        return {"self_attn": own, "multihead_attn": other, **self._others(3)}

    def forward(self, params, x, rng=None):
        tgt, memory, tgt_mask, memory_mask, *padding = self.unpack(x, "tgt memory", OF_DECODER)
        self._takes_sequence(tgt, "tgt")
        f, own, other = Forward(self, params, rng), (padding[0], tgt_mask), (padding[1], memory_mask)
        x1 = self._bridged(f, "norm1", lambda x: self._self_attend(f, x, own), tgt)  # (1)
        x2 = self._bridged(f, "norm2", lambda x: self._cross_attend(f, x, memory, other), x1)  # (2)
        y = self._bridged(f, "norm3", lambda x: self._feed(f, "dropout3", x), x2)  # (3)
        return y, (f.caches, x)

    def backward(self, params, cache, dy):
        caches, x = cache
        b = Backward(self, params, caches)
        (dx2,) = self._bridged_back(b, "norm3", lambda d: self._feed_back(b, "dropout3", d), dy)  # (3′)
        dx1, dm, *other = self._bridged_back(b, "norm2", lambda d: self._cross_attend_back(b, d), dx2)  # (2′)
        dx, *own = self._bridged_back(b, "norm1", lambda d: self._self_attend_back(b, d), dx1)  # (1′)
        return mirrored(x, dx, dm, own[1], other[1], own[0], other[0]), b.grads

    def _cross_attend(self, f: Forward, x: Array, m: Array, masks: tuple) -> Array:
        return self._attend(f, "multihead_attn", "dropout2", x, m, masks)

    def _cross_attend_back(self, b: Backward, d: Array) -> tuple:
        return self._attend_back(b, "multihead_attn", "dropout2", d)

    def sample(self, values, shape):
        tgt, S = values.real(shape), int(values.rng.integers(1, 5))
        N, T = lengths(tgt, self.batch_first)
        memory = values.real((*N, S, self.d_model) if self.batch_first or not N else (S, *N, self.d_model))
        own = random_masks(values, N, self.nhead, T, T, self.tgt_is_causal)
        other = random_masks(values, N, self.nhead, T, S, self.memory_is_causal)
        return without_nones(tgt, memory, own[1], other[1], own[0], other[0])
