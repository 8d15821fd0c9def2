"""Rprop. Beside torch/optim/rprop.py."""

import numpy as np

from .base import Group, Optimizer


class Rprop(Optimizer):
    """Every entry has a step length of its own; of the gradient only the sign counts.

    Rule      g ← −g if maximize;  compare g with the gradient g′ before it (0 before the first step):
              gg′ > 0: a step in the same direction again, Δ ← min(η₊Δ, Δmax)
              gg′ < 0: a minimum was passed,               Δ ← max(η₋Δ, Δmin)  and  g ← 0: this entry rests once
              gg′ = 0:                                     Δ as it was, lr before the first step
              p ← p − sign(g) Δ,  g′ ← g
    Shapes    p, g, g′, Δ: one shape
    Errors    ValueError unless lr ≥ 0 and 0 < η₋ < 1 < η₊ in etas = (η₋, η₊)
    Source    Riedmiller, Braun 1993, "A direct adaptive method for faster backpropagation learning", without its
              weight backtracking: the variant iRprop⁻ of Igel, Hüsken 2000; torch.optim.Rprop
    Caveat    lr is the first Δ and nothing more: a change of it later moves nothing. Δ is kept within step_sizes at
              every step, at gg′ = 0 too. A gradient that is nan has the sign 0
    """

    lr: float = 1e-2
    etas: tuple[float, float] = (0.5, 1.2)
    step_sizes: tuple[float, float] = (1e-6, 50)
    maximize: bool = False
    groups: tuple[Group, ...] = ()

    options = {
        "lr": (0.1, 1e-2),
        "etas": ((0.5, 1.2), (0.25, 2.0), (0.3, 3.0)),
        "step_sizes": ((1e-6, 50), (0.04, 0.15)),
        "maximize": (False, True),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        self.needs(0 < self.etas[0] < 1 < self.etas[1], "0 < η₋ < 1 < η₊ in etas = (η₋, η₊)")

    def start(self, p):
        return {"prev": np.zeros_like(p), "step_size": np.full_like(p, self.lr)}

    def rule(self, t, p, g, s):
        g = -g if self.maximize else g
        turn = g * s["prev"]
        size = s["step_size"].copy()
        np.multiply(size, self.etas[1], out=size, where=turn > 0)
        np.multiply(size, self.etas[0], out=size, where=turn < 0)
        np.clip(size, *self.step_sizes, out=size)
        g = np.where(turn < 0, 0, g)
        return p - (g > 0) * size + (g < 0) * size, {"prev": g, "step_size": size}
