"""Adam with Nesterov's momentum. Beside torch/optim/nadam.py."""

import numpy as np

from .adam import hat
from .base import Group, Optimizer


class NAdam(Optimizer):
    """Adam that uses the momentum of the next step, which it already knows but for the next gradient.

    Rule      g ← −g if maximize;  g ← g + λp,  or  p ← (1 − lr λ)p  if decoupled_weight_decay
              m ← β₁m + (1 − β₁)g,  v ← β₂v + (1 − β₂)g²,  v̂ = v/(1 − β₂ᵗ)
              β₁ is reached gradually: μₜ = β₁(1 − ½ 0.96^(tψ)),  ψ: momentum_decay;  Mₜ = μ₁μ₂…μₜ
              Adam's m̂ is (1 − μₜ)g/(1 − Mₜ) of new and μₜm/(1 − Mₜ) of old gradients; the old ones go a step ahead:
              p ← p − lr ( (1 − μₜ)/(1 − Mₜ) g + μₜ₊₁/(1 − Mₜ₊₁) m ) / (√v̂ + ε)
    Shapes    p, g, m, v: one shape; mu_product (M): a number
    Errors    ValueError unless lr, eps, weight_decay, momentum_decay ≥ 0 and betas in [0, 1)
    Source    Dozat 2016, "Incorporating Nesterov momentum into Adam", algorithm 2; torch.optim.NAdam
    Caveat    the paper leaves the schedule of μ open; 0.96 and ψ = 0.004 are from its author's report of 2015. In m
              itself torch decays by β₁, where the paper decays by μₜ. torch rounds M to its default dtype, float32 as a
              rule, also if p is float64
    """

    lr: float = 2e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0
    momentum_decay: float = 4e-3
    decoupled_weight_decay: bool = False
    maximize: bool = False
    groups: tuple[Group, ...] = ()

    options = {
        "lr": (0.1, 2e-3),
        "betas": ((0.9, 0.999), (0.5, 0.75), (0.0, 0.9), (0.8, 0.0)),
        "eps": (1e-8, 1e-3, 0.1),
        "weight_decay": (0, 0.1),
        "momentum_decay": (4e-3, 0, 0.5),
        "decoupled_weight_decay": (False, True),
        "maximize": (False, True),
    }

    def start(self, p):
        return {"mu_product": 1.0, "exp_avg": np.zeros_like(p), "exp_avg_sq": np.zeros_like(p)}

    def mu(self, t: int) -> float:
        """μₜ"""
        return self.betas[0] * (1.0 - 0.5 * 0.96 ** (t * self.momentum_decay))

    def rule(self, t, p, g, s):
        b1, b2 = self.betas
        if self.decoupled_weight_decay:
            g = -g if self.maximize else g
            p = p * (1 - self.lr * self.weight_decay) if self.weight_decay else p
        else:
            g = self.descent(p, g)
        m = b1 * s["exp_avg"] + (1 - b1) * g
        v = b2 * s["exp_avg_sq"] + (1 - b2) * g * g
        product = float(s["mu_product"]) * self.mu(t)
        new = self.lr * (1 - self.mu(t)) / (1 - product)
        old = self.lr * self.mu(t + 1) / (1 - product * self.mu(t + 1))
        g = new * g + old * m
        return p - g / (np.sqrt(hat(v, b2, t)) + self.eps), {
            "mu_product": product,
            "exp_avg": m,
            "exp_avg_sq": v,
        }
