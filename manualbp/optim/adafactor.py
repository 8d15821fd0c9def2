"""Adafactor. Beside torch/optim/_adafactor.py."""

import math

import numpy as np

from .base import Array, Group, Optimizer, Slots


class Adafactor(Optimizer):
    """Adam without m, with v as a product of a column and a row, and steps relative to the parameter's size.

    Rule      g ← −g if maximize;  ω = t^τ, so that 1 − ω grows to 1           (τ: beta2_decay)
              s = max(ε₂, RMS(p)) min(lr, 1/√t),  RMS(q) = √⟨q²⟩;  then  p ← (1 − lr λ)p
              rank ≥ 2: R ← (1 − ω)R + ω⟨g²⟩ over the last axis,  C likewise over the last but one,  0 at first
              V = RC/⟨R⟩ is the matrix of rank 1 with these means of rows and columns, since ⟨C⟩ = ⟨R⟩
              The divisor is ε₁ at least.  Rank 0 or 1: V ← (1 − ω)V + ωg²
              u = g/max(√V, ε₁);  u ← u/max(1, RMS(u)/d)                       a sudden large gradient is cut off
              p ← p − s u
    Shapes    p, g, V: one shape; R: (*, n, 1), C: (*, 1, m) for p: (*, n, m)
    Errors    ValueError unless lr, eps, weight_decay ≥ 0, beta2_decay ≤ 0 and d ≥ 1
    Source    Shazeer, Stern 2018, arXiv:1804.04235, algorithms 4 and 5; torch.optim.Adafactor
    Caveat    in the paper ε₁ is added to g² at every step, and 0.01 stands in lr's place. ε₁ = None is the dtype's own
              epsilon: 2⁻²³ or 2⁻⁵²
    """

    lr: float = 1e-2
    beta2_decay: float = -0.8
    eps: tuple[float | None, float] = (None, 1e-3)
    d: float = 1.0
    weight_decay: float = 0.0
    maximize: bool = False
    groups: tuple[Group, ...] = ()

    options = {
        "lr": (0.1, 1e-2),
        "beta2_decay": (-0.8, -0.5, 0.0),
        "eps": ((None, 1e-3), (1e-3, 0.1), (0.1, 2.0)),
        "d": (1.0, 1.5, 100.0),
        "weight_decay": (0.0, 0.1),
        "maximize": (False, True),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        self.needs(self.beta2_decay <= 0 and self.d >= 1, "beta2_decay ≤ 0 and d ≥ 1")
        self.needs((self.eps[0] is None or self.eps[0] >= 0) and self.eps[1] >= 0, "eps ≥ 0")

    def start(self, p):
        if p.ndim < 2:
            return {"variance": np.zeros_like(p)}
        return {"row_var": np.zeros_like(p[..., :1]), "col_var": np.zeros_like(p[..., :1, :])}

    def rule(self, t, p, g, s):
        g = -g if self.maximize else g
        new = self.moments(t**self.beta2_decay, g, s)
        u = g / self.root(new, float(np.finfo(p.dtype).eps) if self.eps[0] is None else self.eps[0])
        step = max(self.eps[1], rms(p)) * min(self.lr, 1 / t**0.5) / max(1.0, rms(u) / self.d)
        u = step * u
        return p * (1 - self.lr * self.weight_decay) - u, new

    def moments(self, w: float, g: Array, s: Slots) -> Slots:
        """R and C, or V, after this gradient."""
        square = g * g
        if g.ndim < 2:
            return {"variance": (1 - w) * s["variance"] + w * square}
        r = (1 - w) * s["row_var"] + w * square.mean(-1, keepdims=True)
        return {"row_var": r, "col_var": (1 - w) * s["col_var"] + w * square.mean(-2, keepdims=True)}

    def root(self, s: Slots, e1: float) -> Array:
        """max(√V, ε₁)"""
        if "variance" in s:
            return np.sqrt(np.maximum(s["variance"], e1 * e1))
        v = s["row_var"] / np.maximum(s["row_var"].mean(-2, keepdims=True), e1) * s["col_var"]
        return np.sqrt(np.maximum(v, e1 * e1))


def rms(q: Array) -> float:
    """The root of the mean square; 0 where there is no entry."""
    return float(np.linalg.norm(q)) / math.sqrt(max(q.size, 1))
