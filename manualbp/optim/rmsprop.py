"""RMSprop. Beside torch/optim/rmsprop.py."""

import numpy as np

from .base import Group, Optimizer


class RMSprop(Optimizer):
    """Divide the gradient by the root of a running mean of its square.

    Rule      g ← −g if maximize;  g ← g + λp
              v ← αv + (1 − α)g²,  0 before the first step
              centered: a ← αa + (1 − α)g, and v − a², a variance, in the place of v
              g ← g/(√v + ε);  with momentum  b ← μb + g,  0 before the first step,  and  g ← b
              p ← p − lr g
    Shapes    p, g, v, a, b: one shape
    Errors    ValueError unless lr, eps, weight_decay, momentum, alpha ≥ 0
    Source    Tieleman, Hinton 2012, lecture 6.5; centered: Graves 2013, arXiv:1308.0850, eqs. 38–41;
              torch.optim.RMSprop
    Caveat    ε stands outside the root (Graves, and TensorFlow, have it inside), and v starts at 0 (TensorFlow: 1).
              v is not corrected for that, so v is too small at first, and the first step is (1 − α)^(−1/2) times too
              long, ten times for α = 0.99. v − a² cancels where g hardly changes; rounding can make it negative, and
              then the root is NaN, in torch too
    """

    lr: float = 1e-2
    alpha: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0
    momentum: float = 0
    centered: bool = False
    maximize: bool = False
    groups: tuple[Group, ...] = ()

    options = {
        "lr": (0.1, 1e-2),
        "alpha": (0.99, 0.5, 0.9),
        "eps": (1e-8, 1e-3, 0.1),
        "weight_decay": (0, 0.1),
        "momentum": (0, 0.5, 0.9),
        "centered": (False, True),
        "maximize": (False, True),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        self.needs(self.alpha >= 0, "alpha ≥ 0")

    def start(self, p):
        more = ["momentum_buffer"] * (self.momentum > 0) + ["grad_avg"] * self.centered
        return {name: np.zeros_like(p) for name in ["square_avg", *more]}

    def rule(self, t, p, g, s):
        g = self.descent(p, g)
        v = self.alpha * s["square_avg"] + (1 - self.alpha) * g * g
        new = {"square_avg": v}
        if self.centered:
            new["grad_avg"] = a = self.alpha * s["grad_avg"] + (1 - self.alpha) * g
            v = v - a * a
        v = np.sqrt(v) + self.eps
        g = g / v
        if self.momentum:
            new["momentum_buffer"] = g = self.momentum * s["momentum_buffer"] + g
        return p - self.lr * g, new
