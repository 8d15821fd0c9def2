"""Adam for gradients of which only some rows are given. Beside torch/optim/sparse_adam.py."""

from typing import Any

import numpy as np

from ..base import Array, describe
from .base import Group, Optimizer


class Rows:
    """A gradient given by some of its rows, as that of an embedding's weight by the rows that were looked up.

    indices: (k,) of integers, values: (k, *shape[1:]). Rows that are not given are 0; one given twice is the sum.
    """

    def __init__(self, indices: Array, values: Array, shape: tuple[int, ...]) -> None:
        if indices.ndim != 1 or values.shape != (len(indices), *shape[1:]):
            raise ValueError(
                f"Rows of shape {shape} takes indices (k,) and values (k, {', '.join(map(str, shape[1:]))}); "
                f"it got {describe(indices)} and {describe(values)}"
            )
        if ((indices < 0) | (indices >= shape[0])).any():
            raise ValueError(f"Rows of shape {shape} has the indices 0 to {shape[0] - 1}; it got {indices}")
        self.indices, self.values, self.shape, self.dtype = indices, values, shape, values.dtype

    def summed(self) -> "Rows":
        """The same rows, each once and in order."""
        order = np.argsort(self.indices, kind="stable")
        indices, first, times = np.unique(self.indices[order], return_index=True, return_counts=True)
        values = self.values[order[first]]
        for k in range(1, times.max(initial=0)):  # np.add.at would do it at once, ten times slower
            again = times > k
            values[again] += self.values[order[first[again] + k]]
        return Rows(indices, values, self.shape)

    def dense(self) -> Array:
        """The array that the rows stand for."""
        rows, g = self.summed(), np.zeros(self.shape, self.dtype)
        g[rows.indices] = rows.values
        return g

    def __add__(self, other: Any) -> Any:
        """Where a weight is used twice, its gradients add: still rows if both are."""
        if not isinstance(other, Rows):
            return self.dense() + other
        indices = np.concatenate([self.indices, other.indices])
        return Rows(indices, np.concatenate([self.values, other.values]), self.shape)

    __radd__ = __add__
    __array_ufunc__ = None  # array + rows asks the rows, and does not try entry by entry

    def astype(self, dtype: Any) -> "Rows":
        return Rows(self.indices, self.values.astype(dtype), self.shape)

    def __repr__(self) -> str:
        return f"Rows({self.indices!r}, {self.values!r}, {self.shape})"


class SparseAdam(Optimizer):
    """Adam in the rows that are given; the others, p as well as m and v, do not move.

    Rule      for the rows given, each once, the gradients of repeated ones added;  g ← −g if maximize
              m ← β₁m + (1 − β₁)g,  v ← β₂v + (1 − β₂)g²,  both 0 before the first step
              p ← p − lr √(1 − β₂ᵗ)/(1 − β₁ᵗ) · m/(√v + ε)
    Shapes    p, m, v: (rows, *); g: Rows of that shape
    Errors    ValueError if g is an array (Adam takes that), unless lr, eps > 0 and betas in [0, 1)
    Source    Kingma, Ba 2014, arXiv:1412.6980, the shorter form at the end of section 2; torch.optim.SparseAdam
    Caveat    it is not Adam with zeros in the other rows: there m and v would decay and p move on. t counts the steps
              of the whole parameter: a row's first m and v are corrected as if it had had zeros before. ε stands
              before the correction of v, otherwise than in Adam
    """

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    maximize: bool = False
    groups: tuple[Group, ...] = ()

    ranks = (1, 2, 3, 4, 5)
    by_rows = True
    options = {
        "lr": (0.1, 1e-3),
        "betas": ((0.9, 0.999), (0.5, 0.75), (0.0, 0.9), (0.8, 0.5)),
        "eps": (1e-8, 1e-3, 0.1),
        "maximize": (False, True),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        self.needs(self.lr > 0 and self.eps > 0, "lr, eps > 0")

    def gradient(self, name, g):
        if not isinstance(g, Rows):
            self.needs(False, f"Rows as gradients, and Adam takes arrays; that of {name!r} is {describe(g)}")
        return g.summed()

    def to_slots(self, s):
        return dict(s)  # torch counts in whole numbers here, and only here

    def start(self, p):
        return {"exp_avg": np.zeros_like(p), "exp_avg_sq": np.zeros_like(p)}

    def rule(self, t, p, g, s):
        (b1, b2), rows = self.betas, g.indices
        g = -g.values if self.maximize else g.values
        m = b1 * s["exp_avg"][rows] + (1 - b1) * g
        v = b2 * s["exp_avg_sq"][rows] + (1 - b2) * g * g
        step = self.lr * (1 - b2**t) ** 0.5 / (1 - b1**t)
        p = with_rows(p, rows, p[rows] - step * m / (np.sqrt(v) + self.eps))
        return p, {n: with_rows(s[n], rows, new) for n, new in (("exp_avg", m), ("exp_avg_sq", v))}


def with_rows(a: Array, rows: Array, new: Array) -> Array:
    """A copy of a with these rows in their places."""
    a = a.copy()
    a[rows] = new
    return a
