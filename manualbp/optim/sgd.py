"""Stochastic gradient descent. Beside torch/optim/sgd.py."""

import numpy as np

from .base import Group, Optimizer


class SGD(Optimizer):
    """Step against the gradient, with momentum if wanted.

    Rule      g ← −g if maximize;  g ← g + λp
              m₁ = g₁,  mₜ = μ mₜ₋₁ + (1 − d) gₜ          (d: dampening; the first gradient enters whole)
              u = g + μ mₜ if nesterov, mₜ if μ ≠ 0, g otherwise
              p ← p − lr u
    Shapes    p, g, m: one shape
    Errors    ValueError if nesterov goes without momentum or with dampening
    Source    torch.optim.SGD; Sutskever, Martens, Dahl, Hinton 2013, eqs. 3–4 for Nesterov's form
    Caveat    in the paper lr stands inside m, so there a change of lr leaves the momentum gathered before as it is,
              here it scales that too; and m₁ is (1 − d) g₁ in the usual definition of dampening
    """

    lr: float = 1e-3
    momentum: float = 0
    dampening: float = 0
    weight_decay: float = 0
    nesterov: bool = False
    maximize: bool = False
    groups: tuple[Group, ...] = ()

    counted = False
    sparse = True
    dyadic = True
    options = {
        "lr": (0.5, 0.1),
        "momentum": (0, 0.5, 0.9),
        "dampening": (0, 0.25, 0.3),
        "weight_decay": (0, 0.5, 0.01),
        "nesterov": (False, True),
        "maximize": (False, True),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        self.needs(not self.nesterov or (self.momentum > 0 and self.dampening == 0), "momentum > 0 and dampening = 0")

    def rule(self, t, p, g, s):
        g = self.descent(p, g)
        if not self.momentum:
            return p - self.lr * g, {}
        m = s.get("momentum_buffer")
        m = np.array(g) if m is None else self.momentum * m + (1 - self.dampening) * g
        u = g + self.momentum * m if self.nesterov else m
        return p - self.lr * u, {"momentum_buffer": m}

    @classmethod
    def example(cls, choose):
        drawn = {name: choose(*values) for name, values in cls.options.items()}
        return cls(**drawn | {"nesterov": drawn["nesterov"] and drawn["momentum"] > 0 and drawn["dampening"] == 0})
