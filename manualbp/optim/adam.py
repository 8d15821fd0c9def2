"""Adam, with weight decay inside the gradient or beside it. Beside torch/optim/adam.py and adamw.py."""

import numpy as np

from ..base import Array
from .base import Group, Optimizer


def hat(m: Array, b: float, t: int) -> Array:
    """m̂ = m/(1 − βᵗ): a running mean that began at 0, without the factor that makes it too small."""
    return m / (1 - b**t)


class _Adam(Optimizer, family=True):
    """The rule that Adam and AdamW share; they differ in their default weight decay and in where it acts."""

    def start(self, p):
        s = {"exp_avg": np.zeros_like(p), "exp_avg_sq": np.zeros_like(p)}
        return s | ({"max_exp_avg_sq": np.zeros_like(p)} if self.amsgrad else {})

    def rule(self, t, p, g, s):
        b1, b2 = self.betas
        if self.decoupled_weight_decay:
            g = -g if self.maximize else g
            p = p * (1 - self.lr * self.weight_decay) if self.weight_decay else p
        else:
            g = self.descent(p, g)
        m = b1 * s["exp_avg"] + (1 - b1) * g
        v = b2 * s["exp_avg_sq"] + (1 - b2) * g * g
        new = {"exp_avg": m, "exp_avg_sq": v}
        if self.amsgrad:
            new["max_exp_avg_sq"] = v = np.maximum(s["max_exp_avg_sq"], v)
        return p - self.lr / (np.sqrt(hat(v, b2, t)) + self.eps) * hat(m, b1, t), new


class Adam(_Adam):
    """Divide a running mean of the gradient by the root of a running mean of its square.

    Rule      g ← −g if maximize;  g ← g + λp,  or  p ← (1 − lr λ)p  if decoupled_weight_decay
              m ← β₁m + (1 − β₁)g,  v ← β₂v + (1 − β₂)g²,  both 0 before the first step
              If the mean of g stays the same, E m = Σₖ (1 − β₁)β₁ᵗ⁻ᵏ E g = (1 − β₁ᵗ) E g: m is too small by that
              factor at first, v likewise, so
              m̂ = m/(1 − β₁ᵗ),  v̂ = v/(1 − β₂ᵗ);  if amsgrad, v̂ has the largest v so far in v's place
              p ← p − lr/(√v̂ + ε) m̂
    Shapes    p, g, m, v: one shape
    Errors    ValueError unless lr, eps, weight_decay ≥ 0 and betas in [0, 1)
    Source    Kingma, Ba 2014, arXiv:1412.6980, algorithm 1; amsgrad: Reddi, Kale, Kumar 2018, arXiv:1904.09237,
              algorithm 2; torch.optim.Adam
    Caveat    ε stands outside the root and after the correction of v. (The paper's shorter form, "ε̂" before the
              correction, differs where |g| comes near ε; ε inside the root differs where |g| comes near √ε.)
              AMSGrad's paper corrects neither m nor v; here both are, by the t of this step and not of the largest v
    """

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0
    amsgrad: bool = False
    maximize: bool = False
    decoupled_weight_decay: bool = False
    groups: tuple[Group, ...] = ()

    options = {
        "lr": (0.1, 1e-3),
        "betas": ((0.9, 0.999), (0.5, 0.75), (0.0, 0.9), (0.8, 0.0)),
        "eps": (1e-8, 1e-3, 0.1),
        "weight_decay": (0, 0.1),
        "amsgrad": (False, True),
        "maximize": (False, True),
        "decoupled_weight_decay": (False, True),
    }


class AdamW(_Adam):
    """Adam with weight decay beside the gradient, so that its strength does not depend on the gradient's size.

    Rule      p ← (1 − lr λ)p, then Adam's rule with λ = 0: λp does not enter m and v, which would divide it by √v̂
    Shapes    p, g, m, v: one shape
    Errors    ValueError unless lr, eps, weight_decay ≥ 0 and betas in [0, 1)
    Source    Loshchilov, Hutter 2017, arXiv:1711.05101, algorithm 2, where lr is η α; torch.optim.AdamW
    Caveat    the paper decays by η λ, whatever the learning rate α; here the decay is lr λ
    """

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 1e-2
    amsgrad: bool = False
    maximize: bool = False
    groups: tuple[Group, ...] = ()

    decoupled_weight_decay = True
    options = {name: values for name, values in Adam.options.items() if name != "decoupled_weight_decay"}
