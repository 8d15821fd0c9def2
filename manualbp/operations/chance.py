"""Operations that draw random numbers."""

import numpy as np

from ..base import needs_rng, shape
from ..elementary import softmax
from ..softmax import through_softmax
from .base import Operation, axis_of


class GumbelSoftmax(Operation):
    """A random choice by probabilities softmax(x), made soft, so that it has a gradient.

    Forward   (1) gᵢ = −log eᵢ,  eᵢ = −log(1 − uᵢ):  argmax (x + g) is i with probability softmax(x)ᵢ
              (2) s = softmax((x + g)/τ) along dim, the sharper the smaller τ
              (3) y = s;  hard: 1 at the largest s, the first of equal ones, and 0 elsewhere
    Backward  (3′) ds = dy, hard, too: straight through the choice
              (2′) dx = s(ds − Σ s ds)/τ
    Shapes    x, y: (*)
    Errors    ValueError if x has no axis dim, or if no Generator is given
    Source    Jang et al. 2017, arXiv:1611.01144, sections 2.1–2.2; torch.nn.functional.gumbel_softmax
    Caveat    one u of rng.random(x.shape) an entry; with hard, dx is not the derivative of y, which is a step
    """

    tau: float = 1.0
    hard: bool = False
    dim: int = -1

    random = True
    in_networks = False  # a hard choice jumps
    ranks = (1, 2, 3, 4)
    options = {"tau": (1.0, 0.5, 3.0), "hard": (False, True)}
    calls = ("torch.nn.functional.gumbel_softmax",)

    @property
    def is_gradient(self) -> bool:
        return not self.hard

    @classmethod
    def example(cls, choose, shape):
        """Along an axis longer than 1: there y is 1, and its gradient 0."""
        longer = [d for d in range(-len(shape), len(shape)) if shape[d] > 1]
        return cls(**{n: choose(*values) for n, values in cls.options.items()}, dim=choose(*longer)) if longer else None

    def forward(self, params, x, rng=None):
        axis, rng = axis_of(self, self.dim, x), needs_rng(self, rng)
        self.takes(True, x, "(*)")
        u = rng.random(shape(x)).astype(x.real.dtype)
        g = -np.log(-np.log1p(-u))  # (1)
        s = softmax((x + g) / self.tau, axis)  # (2)
        if not self.hard:
            return s, (s, axis)
        first = np.expand_dims(s.real.argmax(axis), axis)
        y = np.zeros_like(s)
        np.put_along_axis(y, first, 1, axis)  # (3)
        return y, (s, axis)

    def backward(self, params, cache, dy):
        s, axis = cache
        return through_softmax(s, dy, axis) / self.tau, {}  # (2′)
