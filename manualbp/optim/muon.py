"""Muon. Beside torch/optim/_muon.py."""

import math

import numpy as np

from .base import Array, Group, Optimizer


class Muon(Optimizer):
    """Momentum for matrices, with an update whose singular values are all made about 1.

    Rule      m ← μm + (1 − μ)g,  0 before the first step
              u = (1 − μ)g + μm if nesterov, m otherwise
              O = NS(u);  p ← (1 − lr λ)p − lr κ O
              κ = √max(1, rows/columns) ("original", None),  0.2 √max(rows, columns) ("match_rms_adamw"),
              or √(rows/columns) ("spectral_unclamped", in torch since 2.14)
              NS begins with X = u/max(‖u‖, ε), so that no singular value exceeds 1, with the smaller side first;
              ns_steps times  X ← (a + bA + cA²)X,  A = XXᵀ;  then O = X, with its sides as they were
              With X = UΣVᵀ is A = UΣ²Uᵀ, so X becomes U(aΣ + bΣ³ + cΣ⁵)Vᵀ: U and V stay, and every singular value goes
              through a polynomial whose iteration sends (0, 1] near 1
              So O ≈ UVᵀ, which of all O with ‖O‖₂ ≤ 1 has the largest ⟨u, O⟩
    Shapes    p, g, m: (rows, columns)
    Errors    ValueError unless p is a matrix, lr, eps, momentum, weight_decay ≥ 0, ns_steps < 100 and adjust_lr_fn is
              known
    Source    Jordan et al. 2024, kellerjordan.github.io/posts/muon; κ: Liu et al. 2025, arXiv:2502.16982, eq. 4;
              torch.optim.Muon
    Caveat    with a, b, c as they are the singular values end between about 0.7 and 1.2 and do not converge. torch
              rounds X to bfloat16, its 8 bits included in every product; here NS runs in the dtype of p
    """

    lr: float = 1e-3
    weight_decay: float = 0.1
    momentum: float = 0.95
    nesterov: bool = True
    ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315)
    eps: float = 1e-7
    ns_steps: int = 5
    adjust_lr_fn: str | None = None
    groups: tuple[Group, ...] = ()

    counted = False
    ranks = (2,)
    options = {
        "lr": (0.1, 1e-3),
        "weight_decay": (0.1, 0.0),
        "momentum": (0.95, 0.5, 0.0),
        "nesterov": (True, False),
        "ns_coefficients": ((3.4445, -4.7750, 2.0315), (1.5, -0.5, 0.0)),
        "eps": (1e-7, 1e-3),
        "ns_steps": (5, 1, 3),
        "adjust_lr_fn": (None, "original", "match_rms_adamw"),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        kinds = ("original", "match_rms_adamw", "spectral_unclamped")
        self.needs(self.adjust_lr_fn in (None, *kinds), f"adjust_lr_fn {', '.join(kinds)} or None")
        self.needs(len(self.ns_coefficients) == 3 and 0 <= self.ns_steps < 100, "3 ns_coefficients and ns_steps < 100")

    def start(self, p):
        return {"momentum_buffer": np.zeros_like(p)}

    def rule(self, t, p, g, s):
        self.needs(p.ndim == 2, f"matrices; it got a parameter of shape {p.shape}")
        m = self.momentum * s["momentum_buffer"] + (1 - self.momentum) * g
        o = self.orthogonal((1 - self.momentum) * g + self.momentum * m if self.nesterov else m)
        o = self.lr * self.scale(*p.shape) * o
        return p * (1 - self.lr * self.weight_decay) - o, {"momentum_buffer": m}

    def scale(self, rows: int, columns: int) -> float:
        """κ"""
        if self.adjust_lr_fn == "match_rms_adamw":
            return 0.2 * math.sqrt(max(rows, columns))
        return math.sqrt(rows / columns if self.adjust_lr_fn == "spectral_unclamped" else max(1, rows / columns))

    def orthogonal(self, u: Array) -> Array:
        """NS(u)"""
        x = u.T if u.shape[0] > u.shape[1] else u
        x = x / np.maximum(np.linalg.norm(x), self.eps)
        shape = u.shape
        del u  # the iteration needs three arrays of this size and no more
        for _ in range(self.ns_steps):
            x = self.polynomial(x) @ x
        return x if x.shape == shape else x.T

    def polynomial(self, x: Array) -> Array:
        """a + bA + cA²,  A = xxᵀ"""
        a, b, c = self.ns_coefficients
        square = x @ x.T
        out = square @ square
        out *= c
        square *= b
        out += square
        out[np.diag_indices(len(out))] += a
        return out
