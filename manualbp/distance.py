"""Distances between pairs of vectors. Beside torch/nn/modules/distance.py."""

import numpy as np

from .base import Array, Layer, Tree, describe, unbroadcast
from .elementary import p_norm, p_norm_slope
from .sampling import Values


class Pairwise(Layer, family=True):
    """A number for every pair of vectors: x = (a, b), broadcast against one another first, vectors along `axis`."""

    arity = 2

    @property
    def axis(self) -> int:
        raise NotImplementedError

    def pair(self, x: Tree) -> tuple[Array, Array]:
        """a and b, or a ValueError unless they broadcast and then have the axis."""
        a, b = self.unpack(x, "x1 x2")
        for v in (a, b):
            self.takes(True, v, "(*)")
        rank = max(a.ndim, b.ndim)
        fit = all(m == n or 1 in (m, n) for m, n in zip(a.shape[::-1], b.shape[::-1]))
        if not (fit and -rank <= self.axis < rank):
            told = f"{self} takes (x1, x2) that broadcast against one another and have an axis {self.axis}"
            raise ValueError(f"{told}; it got {describe(x)}")
        return a, b

    def sample(self, values, shape):
        """The second array broadcasts to the first: every other axis has a chance of 1/5 of being 1 long."""
        ones = values.mask((len(shape),), 0.2)
        ones[self.axis] = False
        second = tuple(1 if one else n for n, one in zip(shape, ones))
        return self.vectors(values, shape), self.vectors(values, second)

    def vectors(self, values: Values, shape: tuple[int, ...]) -> Array:
        return values.real(shape)


class CosineSimilarity(Pairwise):
    """The cosine of the angle between two vectors.

    Forward   m = max(‖a‖, ε),  n = max(‖b‖, ε),  y = Σᵢ (aᵢ/m)(bᵢ/n)
    Backward  ∂y/∂aᵢ = bᵢ/(mn) − (y/m) ∂m/∂aᵢ,  ∂m/∂aᵢ = aᵢ/‖a‖ (0 at a = 0),  hence
              da = dy (b/n − y a/‖a‖)/m,   db = dy (a/m − y b/‖b‖)/n
    Shapes    a, b: (*, D, *) with D along dim; y: the same without that axis
    Errors    ValueError unless two arrays of real numbers are given that broadcast and have an axis dim
    Source    torch.nn.CosineSimilarity
    Caveat    where 0 < ‖a‖ < ε the true ∂m/∂a is 0; torch keeps a/‖a‖, and so does this
    """

    dim: int = 1
    eps: float = 1e-8

    cancels = True

    @property
    def axis(self):
        return self.dim

    def forward(self, params, x):
        a, b = self.pair(x)
        shapes = a.shape, b.shape
        a, b = np.broadcast_arrays(a, b)
        p, q = (np.sqrt((v * v).sum(self.dim, keepdims=True)) for v in (a, b))
        m, n = (np.where(np.real(norm) < self.eps, self.eps, norm) for norm in (p, q))
        y = (a / m * (b / n)).sum(self.dim, keepdims=True)
        return y.squeeze(self.dim), (shapes, a, b, p, q, m, n, y)

    def backward(self, params, cache, dy):
        shapes, a, b, p, q, m, n, y = cache
        dy = np.expand_dims(dy, self.dim)
        da = dy * (b / n - y * (a / np.where(p == 0, 1, p))) / m
        db = dy * (a / m - y * (b / np.where(q == 0, 1, q))) / n
        return (unbroadcast(da, shapes[0]), unbroadcast(db, shapes[1])), {}

    def derives(self, x):
        norms = [np.sqrt((v * v).sum(self.dim)) for v in self.pair(x)]
        return not any(((norm > 0) & (norm < self.eps)).any() for norm in norms)

    @classmethod
    def example(cls, choose, shape):
        """Along an axis longer than 1: there every cosine is ±1, and its gradient nothing but rounding."""
        longer = [dim for dim in range(-len(shape), len(shape)) if shape[dim] > 1]
        return cls(choose(*longer), choose(1e-8, 0.25)) if longer else None

    def vectors(self, values, shape):
        """Some of them 0, no other one shorter than ε (see Caveat)."""
        along = self.dim % len(shape)
        zero = values.mask(tuple(1 if i == along else n for i, n in enumerate(shape)), 0.1)
        v = values.real(shape)
        return np.where(zero, 0, v + 2 * self.eps * np.where(v < 0, -1, 1))


class PairwiseDistance(Pairwise):
    """The p-norm of a difference along the last axis.

    Forward   d = a − b + ε,  y = (Σᵢ |dᵢ|ᵖ)^(1/p);   p = ∞: max |dᵢ|;   p = 0: the number of dᵢ ≠ 0
    Backward  ∂y/∂dᵢ = (1/p) y^(1−p) p |dᵢ|^(p−1) sgn dᵢ = sgn(dᵢ) (|dᵢ|/y)^(p−1);
              p = ∞: sgn(dᵢ)/k where |dᵢ| = y, k entries being so large, 0 elsewhere;   p = 0: 0
              da = dy ∂y/∂d,  db = −da
    Shapes    a, b: (*, D); y: (*), or (*, 1) with keepdim
    Errors    ValueError if p < 0, or unless two arrays of real numbers are given that broadcast and have an axis
    Source    torch.nn.PairwiseDistance
    Caveat    ε is added to the difference, not to the norm. The slope is 0 where dᵢ = 0, for every p, so at y = 0 too;
              equal largest entries share the gradient of p = ∞ equally
    """

    p: float = 2.0
    eps: float = 1e-6
    keepdim: bool = False

    dyadic = True

    @property
    def axis(self):
        return -1

    def __post_init__(self):
        super().__post_init__()
        if not self.p >= 0:
            raise ValueError(f"{self} is no distance; give p ≥ 0")

    def forward(self, params, x):
        a, b = self.pair(x)
        d = a - b + self.eps
        y = p_norm(d, self.p)
        return (y if self.keepdim else y.squeeze(-1)), (a.shape, b.shape, d, y)

    def backward(self, params, cache, dy):
        a_shape, b_shape, d, y = cache
        da = (dy if self.keepdim else np.expand_dims(dy, -1)) * self.slope(d, y)
        return (unbroadcast(da, a_shape), unbroadcast(-da, b_shape)), {}

    def slope(self, d: Array, y: Array) -> Array:
        """∂y/∂d."""
        return p_norm_slope(d, y, self.p)

    @classmethod
    def example(cls, choose, shape):
        p = choose(1, 0, "inf", 2, 3, 1.5, 0.5)  # as text, since among numbers ∞ does not count as dyadic
        return cls(float(p), choose(0.25, 1e-6, 0.0), choose(False, True))
