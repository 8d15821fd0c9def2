"""Random examples of layers: how a class is told to choose its options and its data.

A class says *what* an example of it looks like (`Layer.example`, `Layer.sample`); *who* chooses, hypothesis or a
seeded generator, is decided elsewhere. So a new layer is drawn into random networks by being defined.
"""

from typing import Any, Protocol

import numpy as np


class Choose(Protocol):
    """choose(1, 2, 3) is one of its arguments; the first is the one that shrinking leads to."""

    def __call__(self, *options: Any) -> Any: ...


class Values:
    """Random data of one case, all from one generator.

    exact   numbers are small dyadic fractions, so that sums and products of them do not round
    scale   the standard deviation of real numbers, in the real regime
    """

    def __init__(self, rng: np.random.Generator, exact: bool = False, scale: float = 1.0) -> None:
        self.rng, self.exact, self.scale = rng, exact, scale

    def real(self, shape: tuple[int, ...]) -> np.ndarray:
        """Real numbers of either sign; exact: in {−3, …, 3} or halves of these, so that ties and zeros occur."""
        if self.exact:
            return self.rng.integers(-3, 4, shape).astype(float) * self.rng.choice([1.0, 0.5])
        return np.asarray(self.rng.standard_normal(shape) * self.scale)

    def positive(self, shape: tuple[int, ...]) -> np.ndarray:
        """Numbers above 0: variances, rates, distances."""
        if self.exact:
            return self.rng.choice([0.5, 1.0, 2.0, 4.0], shape)
        return np.asarray(np.exp(self.rng.standard_normal(shape)))

    def unit(self, shape: tuple[int, ...]) -> np.ndarray:
        """Numbers in [0, 1]: probabilities, soft labels."""
        return self.rng.choice([0.0, 0.25, 0.5, 1.0], shape) if self.exact else np.asarray(self.rng.random(shape))

    def simplex(self, shape: tuple[int, ...], axis: int) -> np.ndarray:
        """Numbers ≥ 0 that sum to 1 along the axis."""
        e = self.rng.standard_exponential(shape)
        return e / e.sum(axis, keepdims=True)

    def signs(self, shape: tuple[int, ...]) -> np.ndarray:
        """−1.0 or 1.0."""
        return self.rng.choice([-1.0, 1.0], shape)

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> np.ndarray:
        """int64 in low, …, high − 1."""
        return np.asarray(self.rng.integers(low, high, shape))

    def mask(self, shape: tuple[int, ...], p: float = 0.3) -> np.ndarray:
        """bool, True with probability p."""
        return np.asarray(self.rng.random(shape) < p)
