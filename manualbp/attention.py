"""Attention. Beside MultiheadAttention in torch/nn/modules/activation.py."""

import math

import numpy as np

from .base import REAL, Array, Layer, Params, Tree, describe, shape, uniform
from .composite import Backward, Composite, Forward
from .dropout import Dropout
from .elementary import softmax
from .linear import Linear
from .sampling import Values

Masks = tuple[Array | None, Array | None]  # key_padding_mask, attn_mask


class MultiheadAttention(Composite):
    """Every query gets a mean of the values, weighted by how well their keys match it; heads do so side by side.

    Forward   (1) q = query W_qᵀ + b_q,  k = key W_kᵀ + b_k,  v = value W_vᵀ + b_v
              (2) after its S rows k gets one more with add_bias_kv, bias_k, and one of 0 with add_zero_attn; so does v
              (3) the width E is cut into num_heads parts of width d: heads, each with its own q, k, v
              (4) z = qkᵀ/√d + M;  M adds up the masks, where True is −∞, False 0; over the rows of (2) M is 0
              (5) P = softmax(z) over the keys
              (6) A = Dropout(P)
              (7) o = Av, the heads side by side again;  w = A, or ⟨A⟩ over the heads
              (8) y = o W_oᵀ + b_o
    Backward  (8′) do = dy W_o,  dW_o = dyᵀo,  db_o = Σdy
              (7′) A reaches L through o and w:  dA = do vᵀ + dw,  or + dw/num_heads;  dv = Aᵀdo
              (6′) dP = dA back through Dropout
              (5′) ∂Pᵢ/∂zⱼ = Pᵢ(δᵢⱼ − Pⱼ), so  dz = P(dP − Σ P dP)
              (4′) dq = dz k/√d,  dk = dzᵀq/√d;  a mask's gradient is dz, summed over what the mask was repeated along
              (3′) the heads side by side again
              (2′) dbias_k, dbias_v: the row that each was put in, summed over N; the zeros need none
              (1′) dquery = dq W_q,  dW_q = dqᵀ query,  db_q = Σdq;  likewise key and value
    Shapes    x: (query, key, value[, key_padding_mask[, attn_mask]]), y: (y, w), or (y, None) without need_weights;
              query, y: (L, N, E), key: (S, N, kdim), value: (S, N, vdim), E = embed_dim, and kdim, vdim = E if None;
              key_padding_mask: (N, S), attn_mask: (L, S) or (N·num_heads, L, S), bool or real;
              w: (N, L, S′), or (N, num_heads, L, S′) unless averaged, S′: S and the rows of (2);
              query, key, value, y have N first under batch_first, and everything may be without N
    Errors    ValueError if shapes differ from these, or is_causal comes without attn_mask
    Source    Vaswani et al. 2017, arXiv:1706.03762, sections 3.2.1 and 3.2.2; torch.nn.MultiheadAttention
    Caveat    need_weights chooses between two ways in which torch computes this, and they differ. A query whose keys
              are all masked: P = NaN with it, 0 without. is_causal: nothing with it, or with a key_padding_mask;
              otherwise attn_mask is not read, and of all keys, those of (2) too, j > i are masked for query i
    """

    embed_dim: int
    num_heads: int
    dropout: float = 0.0
    bias: bool = True
    add_bias_kv: bool = False
    add_zero_attn: bool = False
    kdim: int | None = None
    vdim: int | None = None
    batch_first: bool = False
    need_weights: bool = True
    average_attn_weights: bool = True
    is_causal: bool = False
    training: bool = True

    arity = 3
    ranks = (2, 3)
    options = {
        "dropout": (0.0, 0.5, 0.3),
        "bias": (True, False),
        "add_bias_kv": (False, True),
        "add_zero_attn": (False, True),
        "kdim": (None, 1, 3),
        "vdim": (None, 2, 3),
        "batch_first": (False, True),
        "need_weights": (True, False),
        "average_attn_weights": (True, False),
        "is_causal": (False, True),
        "training": (True, False),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.embed_dim < 1 or self.num_heads < 1 or self.embed_dim % self.num_heads:
            raise ValueError(f"{self}: num_heads must divide embed_dim, and both be 1 or more")
        if not 0 <= self.dropout <= 1:
            raise ValueError(f"{self}: dropout is a probability, in [0, 1]")

    @property
    def _widths(self) -> tuple[int, int, int]:
        """Of query, key and value."""
        E = self.embed_dim
        return E, E if self.kdim is None else self.kdim, E if self.vdim is None else self.vdim

    def parts(self):
        E = self.embed_dim
        into = {f"{name}_proj": Linear(width, E, self.bias) for name, width in zip("qkv", self._widths, strict=True)}
        return into | {"dropout": Dropout(self.dropout, self.training), "out_proj": Linear(E, E, self.bias)}

    @property
    def _packed(self) -> bool:
        """Are W_q, W_k and W_v one array? In torch they are, where they have one shape."""
        return self._widths == (self.embed_dim,) * 3

    def init(self, rng, dtype=np.float64):
        E = self.embed_dim
        shapes = {f"{name}_proj_weight": (E, width) for name, width in zip("qkv", self._widths, strict=True)}
        shapes = {"in_proj_weight": (3 * E, E)} if self._packed else shapes
        params: Params = {name: uniform(rng, math.sqrt(6 / sum(size)), size, dtype) for name, size in shapes.items()}
        if self.bias:
            params["in_proj_bias"] = np.zeros(3 * E, dtype)
        for name in ("bias_k", "bias_v") if self.add_bias_kv else ():
            params[name] = (rng.standard_normal((1, 1, E)) / math.sqrt(E)).astype(dtype)
        out = self.children()["out_proj"].init(rng, dtype)
        return params | {"out_proj": out | ({"bias": np.zeros(E, dtype)} if self.bias else {})}

    def forward(self, params, x, rng=None):
        (query, key, value), masks = self._inputs(x)
        f = Forward(self, self._split(params), rng)
        q, k, v = f("q_proj", query), f("k_proj", key), f("v_proj", value)  # (1)
        k, v = self._lengthened(k, params, "bias_k"), self._lengthened(v, params, "bias_v")  # (2)
        o, w, core = self._attend(f, q, k, v, masks)  # (3) to (7)
        y = f("out_proj", o)  # (8)
        return (self._turn(y), w), (f.caches, core, y.shape, len(x))

    def backward(self, params, cache, dy):
        b, dq, dk, dv, dmasks, grads = self._back(params, cache, dy)
        dx = b("q_proj", dq), b("k_proj", dk), b("v_proj", dv)  # (1′)
        return (*map(self._turn, dx), *dmasks)[: cache[-1]], self._joined(b.grads) | grads

    def gradients(self, params, cache, dy):
        b, dq, dk, dv, _, grads = self._back(params, cache, dy)
        for name, d in (("q_proj", dq), ("k_proj", dk), ("v_proj", dv)):
            b.gradients(name, d)
        return self._joined(b.grads) | grads

    def _back(self, params, cache, dy):
        """The way back to q, k and v before (2)."""
        caches, core, y_shape, _ = cache
        b = Backward(self, self._split(params), caches)
        dy, dw = dy
        do = b("out_proj", np.zeros(y_shape, core[0].dtype) if dy is None else self._turn(dy))  # (8′)
        dq, dk, dv, dmasks = self._attend_back(b, core, do, dw)  # (7′) to (3′)
        (dk, more_k), (dv, more_v) = self._shortened(dk, "bias_k"), self._shortened(dv, "bias_v")  # (2′)
        return b, dq, dk, dv, dmasks, more_k | more_v

    def _attend(self, f, q, k, v, masks):
        """o, w and what `_attend_back` reads."""
        q, k, v = (self._heads(a) for a in (q, k, v))  # (3)
        z = q @ k.swapaxes(-1, -2) / math.sqrt(q.shape[-1])  # (4)
        P = self._weights(z, masks)  # (5)
        A = f("dropout", P)  # (6)
        w = (A.mean(-3) if self.average_attn_weights else A) if self.need_weights else None
        return _side_by_side(A @ v), w, (v, A, P, q, k, masks)  # (7)

    def _weights(self, z, masks):
        added = self._added(masks, z)
        z = sum(added, z)
        P = softmax(z)
        if self.need_weights or not added:
            return P
        return np.where((z.real == -math.inf).all(-1, keepdims=True), 0, P)

    def _attend_back(self, b, cache, do, dw):
        """Gradients of q, k, v and the masks."""
        v, A, P, q, k, masks = cache
        do = self._heads(do)
        dA, dv = do @ v.swapaxes(-1, -2), A.swapaxes(-1, -2) @ do  # (7′)
        if dw is not None:
            dA = dA + (dw[..., None, :, :] / self.num_heads if self.average_attn_weights else dw)
        dP = b("dropout", dA)  # (6′)
        dz = P * (dP - (P * dP).sum(-1, keepdims=True))  # (5′)
        dq, dk = self._scores_back(dz, q, k)  # (4′)
        return _side_by_side(dq), _side_by_side(dk), _side_by_side(dv), self._mask_gradients(masks, dz)  # (3′)

    def _scores_back(self, dz, q, k):
        dz = dz / math.sqrt(q.shape[-1])
        return dz @ k, dz.swapaxes(-1, -2) @ q

    def _inputs(self, x: Tree) -> tuple[tuple[Array, Array, Array], Masks]:
        """query, key and value with N first, and the masks."""
        query, key, value, padding, mask = self.unpack(x, "query key value", "key_padding_mask attn_mask")
        rank = len(shape(query))
        batched = "(N, L, embed_dim)" if self.batch_first else "(L, N, embed_dim)"
        ok = rank in self.ranks and query.shape[-1] == self.embed_dim
        self.takes(ok, query, f"{batched} or (L, embed_dim)")
        *N, L, _ = self._turn(query).shape
        S = (*shape(key), 0, 0)[1 if rank == 3 and self.batch_first else 0]
        for name, a, width, rows in zip(("key", "value"), (key, value), self._widths[1:], ("S", S), strict=True):
            known = "embed_dim" if width == self.embed_dim else f"{name[0]}dim"
            text = f"{_text(self._ordered(*N, rows, known))} as {name}"
            self.takes(shape(a) == self._ordered(*N, S, width), a, text)
        if padding is not None:
            self.takes(shape(padding) == (*N, S), padding, f"{_text((*N, S))} as key_padding_mask", REAL + "?")
        if mask is not None:
            known = (L, S), (math.prod(N) * self.num_heads, L, S)
            self.takes(shape(mask) in known, mask, f"{' or '.join(map(_text, known))} as attn_mask", REAL + "?")
        elif self.is_causal:
            raise ValueError(f"{self} takes an attn_mask, the causal one, as last of five inputs; it got {describe(x)}")
        return (self._turn(query), self._turn(key), self._turn(value)), (padding, mask)

    def _ordered(self, *size):
        """A shape with N first as it is given to this layer."""
        return size if len(size) == 2 or self.batch_first else (size[1], size[0], size[2])

    def _turn(self, x: Array) -> Array:
        """To N first, and back."""
        return x if x.ndim == 2 or self.batch_first else x.swapaxes(0, 1)

    def _split(self, params: Params) -> Params:
        """The parameters by child."""
        names = [f"{name}_proj" for name in "qkv"]
        E, packed = self.embed_dim, self._packed
        weights = params["in_proj_weight"].reshape(3, E, E) if packed else [params[f"{n}_weight"] for n in names]
        biases = [{"bias": b} for b in params["in_proj_bias"].reshape(3, E)] if self.bias else [{}] * 3
        into = {name: {"weight": W} | b for name, W, b in zip(names, weights, biases, strict=True)}
        return into | {"out_proj": params["out_proj"]}

    def _joined(self, grads: Params) -> Params:
        """Gradients by child under the names that the parameters have here."""
        into = [grads[f"{name}_proj"] for name in "qkv"]
        weights = {f"{name}_proj_weight": g["weight"] for name, g in zip("qkv", into, strict=True)}
        weights = {"in_proj_weight": np.concatenate([*weights.values()])} if self._packed else weights
        biases = {"in_proj_bias": np.concatenate([g["bias"] for g in into])} if self.bias else {}
        return weights | biases | {"out_proj": grads["out_proj"]}

    def _heads(self, a: Array) -> Array:
        """(…, rows, E) -> (…, num_heads, rows, d)"""
        return a.reshape(*a.shape[:-1], self.num_heads, self.embed_dim // self.num_heads).swapaxes(-2, -3)

    def _lengthened(self, a: Array, params: Params, name: str) -> Array:
        if not self.add_bias_kv and not self.add_zero_attn:
            return a
        one = (*a.shape[:-2], 1, a.shape[-1])
        bias = [np.broadcast_to(params[name][0], one)] if self.add_bias_kv else []
        return np.concatenate([a, *bias, *[np.zeros(one, a.dtype)] * self.add_zero_attn], -2)

    def _shortened(self, da: Array, name: str) -> tuple[Array, Params]:
        S = da.shape[-2] - self.add_bias_kv - self.add_zero_attn
        bias = da[..., S, :].reshape(-1, 1, self.embed_dim).sum(0, keepdims=True) if self.add_bias_kv else None
        return da[..., :S, :], {} if bias is None else {name: bias}

    def _causal(self, masks: Masks) -> bool:
        """Does a causal mask stand for attn_mask? See the Caveat."""
        return self.is_causal and masks[0] is None and not self.need_weights

    def _added(self, masks: Masks, z: Array) -> list[Array]:
        """What M adds up: each a real array that broadcasts over z."""
        if self._causal(masks):
            return [np.triu(np.full(z.shape[-2:], -math.inf, z.dtype), 1)]
        padding, mask = masks
        S = z.shape[-1] - self.add_bias_kv - self.add_zero_attn
        padding = None if padding is None else padding[..., None, None, :]
        mask = mask if mask is None or mask.ndim == 2 else mask.reshape(*z.shape[:-1], S)
        given = [m for m in (padding, mask) if m is not None]
        real = [np.where(m, -math.inf, 0).astype(z.dtype) if m.dtype == bool else m for m in given]
        return [np.pad(m, [(0, 0)] * (m.ndim - 1) + [(0, z.shape[-1] - S)]) for m in real]

    def _mask_gradients(self, masks: Masks, dz: Array) -> Masks:
        padding, mask = masks
        if self._causal(masks):
            return None, None if mask is None or mask.dtype == bool else np.zeros_like(mask)
        dM = dz[..., : dz.shape[-1] - self.add_bias_kv - self.add_zero_attn]
        dpadding = None if padding is None or padding.dtype == bool else dM.sum((-3, -2))
        if mask is None or mask.dtype == bool:
            return dpadding, None
        dM = dM.reshape(-1, *dM.shape[-2:])
        return dpadding, dM.sum(0) if mask.ndim == 2 else dM

    @classmethod
    def example(cls, choose, shape):
        options = {name: choose(*values) for name, values in cls.options.items()}
        if choose(True, False):  # then it takes three inputs of one shape, as in a network
            options |= {"kdim": None, "vdim": None, "is_causal": False}
        heads = choose(*(n for n in range(1, shape[-1] + 1) if shape[-1] % n == 0))
        return cls(shape[-1], heads, **options)

    def sample_params(self, values):
        """Random, with q and k of size 1: a softmax of larger numbers chooses one key, and hides dq and dk."""
        params, size = Layer.sample_params(self, values), math.sqrt(self.embed_dim) * values.scale
        shrunk = {
            n: p / (size * values.scale if n.endswith("weight") else size) for n, p in params.items() if n != "out_proj"
        }
        return params | shrunk

    def sample(self, values, shape):
        query, S = values.real(shape), int(values.rng.integers(1, 6))
        *N, L, _ = self._turn(query).shape
        key, value = (values.real(self._ordered(*N, S, width)) for width in self._widths[1:])
        return without_nones(query, key, value, *random_masks(values, tuple(N), self.num_heads, L, S, self.is_causal))


def random_masks(values: Values, N: tuple[int, ...], heads: int, L: int, S: int, causal: bool) -> Masks:
    """key_padding_mask and attn_mask, real or bool, that leave every query a key; each with a chance of 1/2. The latter
    is the causal one if `causal`."""
    rng = values.rng
    real, several, first = rng.random() < 0.5, rng.random() < 0.5, 0 if causal else rng.integers(S)
    sizes = (*N, S), (math.prod(N) * heads, L, S) if several else (L, S)
    masks = []
    for size in sizes:
        mask = values.mask(size)
        mask[..., first] = False
        masks.append(np.where(mask, -math.inf, values.real(size)) if real else mask)
    if causal:
        later = np.triu(np.ones((L, S), bool), 1)
        masks[1] = np.where(later, -math.inf, 0) if real else later
    padding, mask = (m if rng.random() < 0.5 else None for m in masks)
    return padding, masks[1] if causal else mask


def without_nones(*x: Array | None) -> tuple[Array | None, ...]:
    """Inputs without those at the end that are None."""
    return x[: max(i for i, a in enumerate(x) if a is not None) + 1]


def _side_by_side(a: Array) -> Array:
    """(…, num_heads, rows, d) -> (…, rows, E)"""
    a = a.swapaxes(-2, -3)
    return a.reshape(*a.shape[:-2], a.shape[-2] * a.shape[-1])


def _text(size: tuple) -> str:
    return f"({', '.join(map(str, size))})"
