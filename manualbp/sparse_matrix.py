"""A matrix with few entries in every row, applied along one axis of an array."""

import numpy as np

from .base import Array

# How many rows there are; and for every m the rows p that have an m-th entry, with its column and its weight.
Rows = tuple[int, tuple[tuple[slice | Array, Array, Array], ...]]


def rows(A: Array) -> Rows:
    """The entries of a matrix that are not 0, row by row."""
    p, j = np.nonzero(A)
    m = np.arange(len(p)) - np.searchsorted(p, p)  # p is sorted: so many entries of its row stand before
    of_m = [(p[m == k], j[m == k]) for k in range(m.max(initial=-1) + 1)]
    return len(A), tuple((_range(p), j, A[p, j]) for p, j in of_m)


def _range(p: Array) -> slice | Array:
    """Indices as a slice where they are neighbours: a view is faster."""
    return slice(p[0], p[-1] + 1) if p[-1] - p[0] == len(p) - 1 else p


def along(A: Rows, x: Array, axis: int) -> Array:
    """y[…, p, …] = Σⱼ A[p, j] x[…, j, …], the m-th entry of every row at once; what is infinite stays where it is.

    The adjoint is `along` of the transpose:  dx[…, j, …] = Σₚ A[p, j] dy[…, p, …].
    """
    size, entries = A
    behind = -1 - axis
    y = np.zeros((*x.shape[:axis], size, *x.shape[x.ndim - behind :]), x.dtype)
    for p, j, w in entries:
        y[(..., p, *(slice(None),) * behind)] += w.astype(x.dtype).reshape(-1, *(1,) * behind) * x.take(j, axis)
    return y
