"""Attention as a function of queries, keys and values."""

import math
from typing import Any

import numpy as np

from ..base import REAL, Array, Tree, describe, needs_rng, run, shape, unbroadcast
from ..dropout import Dropout
from ..elementary import softmax
from ..softmax import through_softmax
from .base import Operation, broadcastable, is_real


class ScaledDotProductAttention(Operation):
    """Every query gets a mean of the values, weighted by how well their keys match it.

    Forward   (1) z = s qkᵀ + M,  s = scale, or 1/√E;  M is −∞ where a mask is False, and a real mask as it is;
                  with is_causal it is −∞ at j > i
              (2) P = softmax(z) over the keys, 0 where all of them are masked
              (3) A = Dropout(P)
              (4) y = Av
    Backward  (4′) dA = dy vᵀ,  dv = Aᵀ dy
              (3′) dP = dA back through Dropout
              (2′) ∂Pᵢ/∂zⱼ = Pᵢ(δᵢⱼ − Pⱼ), so  dz = P(dP − Σ P dP)
              (1′) dq = s dz k,  dk = s dzᵀ q,  dM = dz;  each summed over the axes that it was repeated along
              enable_gqa: every head of k and v serves a group of queries' heads, and collects from all of them
    Shapes    inputs: (q, k, v) or (q, k, v, mask);  q: (*, H, L, E), k: (*, H, S, E), v: (*, H, S, V), y: (*, H, L, V),
              and mask broadcasts to (*, H, L, S);  enable_gqa: k and v may have H/n heads
    Errors    ValueError if the shapes differ from these, or a mask is given beside is_causal
    Source    Vaswani et al. 2017, arXiv:1706.03762, section 3.2.1; torch.nn.functional.scaled_dot_product_attention
    Caveat    torch's function knows no evaluation, its callers pass dropout_p = 0 then; here it is an option
    """

    dropout_p: float = 0.0
    is_causal: bool = False
    scale: float | None = None
    enable_gqa: bool = False
    training: bool = True

    arity = 3
    ranks = (2, 3, 4)
    options = {
        "dropout_p": (0.0, 0.0, 0.5),
        "is_causal": (False, True),
        "scale": (None, 1.0, 0.3),
        "enable_gqa": (False, True),
        "training": (True, False),
    }
    calls = ("torch.nn.functional.scaled_dot_product_attention",)

    @property
    def _drop(self) -> Dropout:
        return Dropout(self.dropout_p, self.training)

    @property
    def random(self) -> bool:
        return self._drop.random

    def forward(self, params, x, rng=None):
        rng = needs_rng(self, rng) if self.random else None
        q, k, v, mask = self.inputs(x)
        groups = q.shape[-3] // k.shape[-3] if self.enable_gqa else 1
        many_k, many_v = (np.repeat(a, groups, -3) if groups > 1 else a for a in (k, v))
        s = 1 / math.sqrt(q.shape[-1]) if self.scale is None else self.scale
        z = s * (q @ many_k.swapaxes(-1, -2))
        z = z if mask is None else z + (mask if is_real(mask) else np.where(mask, 0, -math.inf).astype(z.dtype))
        z = z + np.triu(np.full(z.shape[-2:], -math.inf, z.dtype), 1) if self.is_causal else z  # (1)
        P = np.where((z.real == -math.inf).all(-1, keepdims=True), 0, softmax(z))  # (2)
        A, drawn = run(self._drop, {}, P.reshape(-1), rng)  # (3), which counts no axes
        A = A.reshape(P.shape)
        return A @ many_v, (q, k, v, many_k, many_v, mask, s, P, A, drawn)  # (4)

    def backward(self, params, cache, dy):
        q, k, v, many_k, many_v, mask, s, P, A, drawn = cache
        dA, dv = dy @ many_v.swapaxes(-1, -2), A.swapaxes(-1, -2) @ dy  # (4′)
        dP, _ = self._drop.backward({}, drawn, dA.reshape(-1))  # (3′)
        dz = through_softmax(P, dP.reshape(P.shape), -1)  # (2′)
        dq, dk = s * (dz @ many_k), s * (dz.swapaxes(-1, -2) @ q)  # (1′)
        dx = unbroadcast(dq, q.shape), self.grouped(dk, k), self.grouped(dv, v)
        if mask is None:
            return dx, {}
        return (*dx, unbroadcast(dz, mask.shape) if is_real(mask) else None), {}

    def grouped(self, d: Array, of: Array) -> Array:
        """The gradient of keys or values: over the heads of a group, and over what was repeated."""
        if self.enable_gqa and d.shape[-3] != of.shape[-3]:
            d = d.reshape(*d.shape[:-3], of.shape[-3], -1, *d.shape[-2:]).sum(-3)
        return unbroadcast(d, of.shape)

    def inputs(self, x: Tree) -> tuple[Any, ...]:
        q, k, v, mask = self.unpack(x, "query key value", "attn_mask")
        self.takes(len(shape(q)) >= (3 if self.enable_gqa else 2), q, "(*, H, L, E) as query")
        E = q.shape[-1]
        self.takes(self._beside(q, k) and shape(k)[-1] == E, k, f"(*, H, S, {E}) as key, beside query {describe(q)}")
        fits = self._beside(q, v) and shape(v)[-2] == k.shape[-2]
        self.takes(fits, v, f"(*, H, {k.shape[-2]}, V) as value, beside query {describe(q)} and key {describe(k)}")
        if mask is not None:
            batch = q.shape[:-2] if self.enable_gqa else np.broadcast_shapes(q.shape[:-2], k.shape[:-2])
            whole = (*batch, q.shape[-2], k.shape[-2])
            self.takes(
                broadcastable((shape(mask), whole)), mask, f"that broadcasts to {whole} as attn_mask", REAL + "?"
            )
            if self.is_causal:
                raise ValueError(f"{self} takes no attn_mask, since is_causal is one; it got {describe(x)}")
        return q, k, v, mask

    def _beside(self, q: Array, a: Any) -> bool:
        """Are these keys or values for these queries?"""
        batch = shape(a)[:-2]
        if len(shape(a)) < 2 or not self.enable_gqa:
            return len(shape(a)) > 1 and broadcastable((q.shape[:-2], batch))
        return len(batch) == q.ndim - 2 and q.shape[-3] % batch[-1] == 0 and q.shape[:-3] == batch[:-1]

    @classmethod
    def example(cls, choose, shape):
        options = {name: choose(*values) for name, values in cls.options.items()}
        return cls(**options | ({"enable_gqa": False} if len(shape) < 3 else {}))

    def sample(self, values, shape):
        """A mask half the time, of either kind; some queries may see no key."""
        rng = values.rng
        *batch, L, E = shape
        S, V = (int(rng.integers(1, 5)) for _ in range(2))
        if self.enable_gqa:
            groups = [n for n in range(1, batch[-1] + 1) if batch[-1] % n == 0]
            batch = [*batch[:-1], int(rng.choice(groups))]
        x = values.real(shape), values.real((*batch, S, E)), values.real((*batch, S, V))
        if self.is_causal or rng.integers(2):
            return x
        whole = (L, S) if rng.integers(2) else (*shape[:-2], 1, S)
        mask = values.mask(whole, 0.7)
        return *x, np.where(mask, values.real(whole), -math.inf) if rng.integers(2) else mask
