"""Distances of all pairs of vectors."""

import math

import numpy as np

from ..base import shape
from ..elementary import p_norm, p_norm_slope
from .base import Operation, broadcastable, gradient


class Cdist(Operation):
    """The distance of every vector of one set to every vector of another.

    Forward   dᵢⱼ = aᵢ − bⱼ,  yᵢⱼ = ‖dᵢⱼ‖ₚ
    Backward  ∂yᵢⱼ/∂dᵢⱼₖ is the slope of a norm, sgn(dᵢⱼₖ) (|dᵢⱼₖ|/yᵢⱼ)^(p−1), for p = ∞ sgn(dᵢⱼₖ) where |dᵢⱼₖ| = yᵢⱼ;
              aᵢ is in all dᵢⱼ of its row, bⱼ in all of its column:
              daᵢ = Σⱼ dyᵢⱼ ∂yᵢⱼ/∂dᵢⱼ,   dbⱼ = −Σᵢ dyᵢⱼ ∂yᵢⱼ/∂dᵢⱼ;  each summed over the axes that it was repeated along
    Shapes    inputs: (a, b);  a: (*, P, M), b: (*, R, M), y: (*, P, R);  the axes * broadcast
    Errors    ValueError if the shapes differ from these, or p < 0
    Source    torch.cdist
    Caveat    the slope is 0 where dᵢⱼₖ = 0, so at equal vectors, too; of several largest entries each has all of the
              slope of p = ∞, as in torch, where PairwiseDistance shares it. Of more than 25 vectors torch takes
              ‖a‖² − 2ab + ‖b‖² for ‖a − b‖², whose terms cancel where vectors are near one another
    """

    p: float = 2.0

    arity = 2
    in_networks = False  # where most vectors would have one entry
    ranks = (2, 3, 4)
    cancels = True
    options = {"p": (2.0, 1.0, 3.0, float("inf"))}
    calls = ("torch.cdist",)

    def __post_init__(self):
        super().__post_init__()
        if not self.p >= 0:
            raise ValueError(f"{self} is no distance; give p ≥ 0")

    def forward(self, params, x):
        a, b = self.unpack(x, "x1 x2")
        self.takes(len(shape(a)) > 1, a, "(*, P, M) as x1")
        fits = len(shape(b)) > 1 and b.shape[-1] == a.shape[-1] and broadcastable([a.shape[:-2], b.shape[:-2]])
        self.takes(fits, b, f"(*, R, {a.shape[-1]}) as x2, beside x1 of shape {a.shape}")
        d = a[..., :, None, :] - b[..., None, :, :]
        y = p_norm(d, self.p)
        return y.squeeze(-1), (a, b, d, y)

    def backward(self, params, cache, dy):
        a, b, d, y = cache
        largest = np.sign(d) * (np.abs(d) == y)  # of p = ∞
        dd = dy[..., None] * (largest if math.isinf(self.p) else p_norm_slope(d, y, self.p))
        return (gradient(dd.sum(-2), a), gradient(-dd.sum(-3), b)), {}

    def sample(self, values, shape):
        *lead, _, width = shape
        return values.real(shape), values.real((*lead, int(values.rng.integers(1, 5)), width))
