"""Adam with a maximum in the place of the mean square. Beside torch/optim/adamax.py."""

import numpy as np

from .base import Group, Optimizer


class Adamax(Optimizer):
    """Divide a running mean of the gradient by a decaying maximum of its size.

    Rule      g ← −g if maximize;  g ← g + λp
              m ← β₁m + (1 − β₁)g,  0 before the first step
              with a power k in the place of Adam's square, vₜ = (1 − β₂ᵏ) Σᵢ β₂ᵏ⁽ᵗ⁻ⁱ⁾|gᵢ|ᵏ;
              as k → ∞, its k-th root tends to maxᵢ β₂ᵗ⁻ⁱ|gᵢ| (the factor and its correction tend to 1), which is
              u ← max(β₂u, |g| + ε),  0 before the first step
              p ← p − lr/(1 − β₁ᵗ) · m/u
    Shapes    p, g, m, u: one shape
    Errors    ValueError unless lr, eps, weight_decay ≥ 0 and betas in [0, 1)
    Source    Kingma, Ba 2014, arXiv:1412.6980, section 7.1, algorithm 2; torch.optim.Adamax
    Caveat    the paper has no ε (a gradient that is 0 from the start divides 0 by 0); torch adds it to |g|, inside the
              maximum, so that it decays with u
    """

    lr: float = 2e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0
    maximize: bool = False
    groups: tuple[Group, ...] = ()

    options = {
        "lr": (0.1, 2e-3),
        "betas": ((0.9, 0.999), (0.5, 0.75), (0.0, 0.5), (0.8, 0.0)),
        "eps": (1e-8, 1e-3, 0.1),
        "weight_decay": (0, 0.1),
        "maximize": (False, True),
    }

    def start(self, p):
        return {"exp_avg": np.zeros_like(p), "exp_inf": np.zeros_like(p)}

    def rule(self, t, p, g, s):
        b1, b2 = self.betas
        g = self.descent(p, g)
        m = b1 * s["exp_avg"] + (1 - b1) * g
        u = np.maximum(b2 * s["exp_inf"], np.abs(g) + self.eps)
        return p - self.lr / (1 - b1**t) * m / u, {"exp_avg": m, "exp_inf": u}
