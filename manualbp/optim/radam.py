"""Adam that waits until its divisor can be trusted. Beside torch/optim/radam.py."""

import numpy as np

from .adam import hat
from .base import Group, Optimizer


class RAdam(Optimizer):
    """Adam whose step is shortened while few gradients have been seen, and is plain momentum at the very first.

    Rule      g ← −g if maximize;  g ← g + λp,  or  p ← (1 − lr λ)p  if decoupled_weight_decay
              m ← β₁m + (1 − β₁)g,  v ← β₂v + (1 − β₂)g²,  m̂ = m/(1 − β₁ᵗ)
              A mean over the last ρ gradients has the same centre of mass as v's exponential weights if
              ρ∞ = 2/(1 − β₂) − 1,  and at step t  ρₜ = ρ∞ − 2tβ₂ᵗ/(1 − β₂ᵗ)
              The variance of 1/√v̂ is finite from ρ = 4 on; to have that of ρ∞ always, the step is multiplied by
              r = √( (ρₜ − 4)(ρₜ − 2)ρ∞ / ((ρ∞ − 4)(ρ∞ − 2)ρₜ) )
              p ← p − lr r √(1 − β₂ᵗ)/(√v + ε) m̂  if ρₜ > 5,  p ← p − lr m̂  otherwise
    Shapes    p, g, m, v: one shape
    Errors    ValueError unless lr, eps, weight_decay ≥ 0 and betas in [0, 1)
    Source    Liu, Jiang, He, Chen, Liu, Gao, Han 2019, arXiv:1908.03265, algorithm 2; torch.optim.RAdam
    Caveat    the paper has ρₜ > 4 and no ε; torch follows its authors' program: 5, and ε before the correction of v
    """

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0
    decoupled_weight_decay: bool = False
    maximize: bool = False
    groups: tuple[Group, ...] = ()

    options = {
        "lr": (0.1, 1e-3),
        "betas": ((0.9, 0.999), (0.5, 0.75), (0.0, 0.9), (0.8, 0.0)),
        "eps": (1e-8, 1e-3, 0.1),
        "weight_decay": (0, 0.1),
        "decoupled_weight_decay": (False, True),
        "maximize": (False, True),
    }

    def start(self, p):
        return {"exp_avg": np.zeros_like(p), "exp_avg_sq": np.zeros_like(p)}

    def rule(self, t, p, g, s):
        b1, b2 = self.betas
        if self.decoupled_weight_decay:
            g = -g if self.maximize else g
            p = p * (1 - self.lr * self.weight_decay) if self.weight_decay else p
        else:
            g = self.descent(p, g)
        m = b1 * s["exp_avg"] + (1 - b1) * g
        v = b2 * s["exp_avg_sq"] + (1 - b2) * g * g
        u, scale = self.lr * hat(m, b1, t), self.rectified(t)
        u = u if scale is None else scale * u / (np.sqrt(v) + self.eps)
        return p - u, {"exp_avg": m, "exp_avg_sq": v}

    def rectified(self, t: int) -> float | None:
        """r √(1 − β₂ᵗ), or None while ρₜ ≤ 5."""
        b2 = self.betas[1]
        long = 2 / (1 - b2) - 1
        rho = long - 2 * t * b2**t / (1 - b2**t)
        if rho <= 5:
            return None
        return ((rho - 4) * (rho - 2) * long / ((long - 4) * (long - 2) * rho)) ** 0.5 * (1 - b2**t) ** 0.5
