"""Adagrad. Beside torch/optim/adagrad.py."""

import numpy as np

from .base import Group, Optimizer


class Adagrad(Optimizer):
    """Divide the gradient by the root of the sum of all squares so far.

    Rule      g ← −g if maximize;  g ← g + λp
              v ← v + g²,  initial_accumulator_value before the first step
              p ← p − lr/(1 + (t − 1)η) · g/(√v + ε)                    (η: lr_decay)
    Shapes    p, g, v: one shape
    Errors    ValueError unless lr, lr_decay, weight_decay, initial_accumulator_value, eps ≥ 0
    Source    Duchi, Hazan, Singer 2011, JMLR 12, figure 1 with diagonal matrices; torch.optim.Adagrad
    Caveat    in the paper δ, which is ε here, and nothing else keeps the divisor from 0; lr_decay is of torch.
              Where a group gives an initial_accumulator_value of its own, torch takes no notice; here it counts
    """

    lr: float = 1e-2
    lr_decay: float = 0
    weight_decay: float = 0
    initial_accumulator_value: float = 0
    eps: float = 1e-10
    maximize: bool = False
    groups: tuple[Group, ...] = ()

    sparse = True
    options = {
        "lr": (0.1, 1e-2),
        "lr_decay": (0, 0.25, 0.1),
        "weight_decay": (0, 0.1),
        "initial_accumulator_value": (0, 0.5, 0.01),
        "eps": (1e-10, 1e-3, 0.1),
        "maximize": (False, True),
    }

    def start(self, p):
        return {"sum": np.full_like(p, self.initial_accumulator_value)}

    def rule(self, t, p, g, s):
        g = self.descent(p, g)
        v = s["sum"] + g * g
        return p - self.lr / (1 + (t - 1) * self.lr_decay) * g / (np.sqrt(v) + self.eps), {"sum": v}
