"""Adadelta. Beside torch/optim/adadelta.py."""

import numpy as np

from .base import Group, Optimizer


class Adadelta(Optimizer):
    """Divide by the gradients' usual size, multiply by the updates' usual size: an update in the unit of p itself.

    Rule      g ← −g if maximize;  g ← g + λp
              v ← ρv + (1 − ρ)g²,  0 before the first step
              Δ = √(a + ε)/√(v + ε) · g                    with a of the updates before this one
              a ← ρa + (1 − ρ)Δ²,  0 before the first step
              p ← p − lr Δ
    Shapes    p, g, v, a: one shape
    Errors    ValueError unless lr, eps, weight_decay ≥ 0 and rho in [0, 1]
    Source    Zeiler 2012, arXiv:1212.5701, algorithm 1; torch.optim.Adadelta
    Caveat    the paper has no lr: 1 is its rule. ε stands inside both roots; it is what the first update starts from
    """

    lr: float = 1.0
    rho: float = 0.9
    eps: float = 1e-6
    weight_decay: float = 0
    maximize: bool = False
    groups: tuple[Group, ...] = ()

    options = {
        "lr": (1.0, 0.3),
        "rho": (0.9, 0.5, 0.0, 1.0),
        "eps": (1e-6, 1e-3, 0.1),
        "weight_decay": (0, 0.1),
        "maximize": (False, True),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        self.needs(0 <= self.rho <= 1, "rho in [0, 1]")

    def start(self, p):
        return {"square_avg": np.zeros_like(p), "acc_delta": np.zeros_like(p)}

    def rule(self, t, p, g, s):
        g = self.descent(p, g)
        v = self.rho * s["square_avg"] + (1 - self.rho) * g * g
        d = np.sqrt(s["acc_delta"] + self.eps) / np.sqrt(v + self.eps) * g
        a = self.rho * s["acc_delta"] + (1 - self.rho) * d * d
        return p - self.lr * d, {"square_avg": v, "acc_delta": a}
