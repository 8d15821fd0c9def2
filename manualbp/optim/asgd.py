"""Averaged SGD. Beside torch/optim/asgd.py."""

import numpy as np

from .base import Group, Optimizer


class ASGD(Optimizer):
    """Descend with a rate that falls slowly, and keep the mean of where this led.

    Rule      g ← −g if maximize;  g ← g + λp
              p ← (1 − Λη)p − ηg                                        (Λ: lambd, a decay of its own)
              a ← a + μ(p − a)                                          the mean, which is not p
              η ← lr/(1 + Λ lr t)^α,  μ ← 1/max(1, t − t₀)              for the next step; at first η = lr, μ = 1
              μ is 1 up to step t₀ + 2, and a is p; then 1/2, 1/3, …, so that a is the mean of all p from there on
    Shapes    p, g, a: one shape; eta, mu: numbers
    Errors    ValueError unless lr, weight_decay ≥ 0
    Source    Polyak, Juditsky 1992; Xu 2011, arXiv:1107.2490, for η; torch.optim.ASGD
    Caveat    η is made at the end of a step, so a change of lr is felt one step late, and not at all in the first. The
              mean is kept in the state only: use state[name]["ax"] in the place of p in the end. torch rounds η and μ
              to its default dtype, float32 as a rule, also if p is float64
    """

    lr: float = 1e-2
    lambd: float = 1e-4
    alpha: float = 0.75
    t0: float = 1e6
    weight_decay: float = 0
    maximize: bool = False
    groups: tuple[Group, ...] = ()

    options = {
        "lr": (0.1, 1e-2),
        "lambd": (1e-4, 0.25),
        "alpha": (0.75, 0.5, 0.0),
        "t0": (1e6, 0.0, 2.0),
        "weight_decay": (0, 0.1),
        "maximize": (False, True),
    }

    def start(self, p):
        return {"eta": self.lr, "mu": 1.0, "ax": p}

    def rule(self, t, p, g, s):
        g = self.descent(p, g)
        eta, mu, a = float(s["eta"]), float(s["mu"]), s["ax"]
        p = p * (1 - self.lambd * eta) - eta * g
        a = np.array(p) if mu == 1 else a + mu * (p - a)
        eta = self.lr / (1 + self.lambd * self.lr * t) ** self.alpha
        return p, {"eta": eta, "mu": 1 / max(1, t - self.t0), "ax": a}
