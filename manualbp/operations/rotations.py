"""Singular values and vectors, eigenvalues and eigenvectors by Jacobi's rotations, and QR by reflections: in any
precision, and near the real axis, which LAPACK's are not."""

from collections.abc import Iterator

import numpy as np

from ..base import Array
from ..elementary import magnitude

MOST = 40  # rounds over all pairs; about ten are needed


def rounds(n: int) -> Iterator[tuple[Array, Array]]:
    """All pairs of n columns, so many at a time as share no column: who plays whom, as in a tournament."""
    players = [*range(n + n % 2)]
    for _ in range(len(players) - 1):
        half = len(players) // 2
        pairs = [(min(p, q), max(p, q)) for p, q in zip(players[:half], players[: -half - 1 : -1]) if max(p, q) < n]
        if pairs:
            yield tuple(np.array(pairs).T)
        players = [players[0], players[-1], *players[1:-1]]


def angle(a: Array, b: Array, c: Array) -> tuple[Array, Array]:
    """cos and sin of the rotation that makes [[a, c], [c, b]] diagonal:  tan = 2c/((b − a) ± √((b − a)² + 4c²)),  with
    the sign of b − a, so that it is the smaller of two."""
    d = b - a
    below = magnitude(d) + np.sqrt(d * d + 4 * c * c)
    t = 2 * c * np.where(np.real(d) < 0, -1, 1) / np.where(below == 0, 1, below)
    cos = 1 / np.sqrt(1 + t * t)
    return cos, t * cos


def rotated(A: Array, p: Array, q: Array, cos: Array, sin: Array) -> None:
    """The columns p and q, turned in the planes that they span."""
    x, y = A[..., p], A[..., q]
    A[..., p], A[..., q] = cos * x - sin * y, sin * x + cos * y


def singular(A: Array) -> tuple[Array, Array, Array]:
    """U, s, V of A = U diag(s) Vᵀ, s falling, for A (*, m, n) with m ≥ n.

    Hestenes 1958: V turns the columns of A, two at a time, until all are at right angles; s are their lengths then.
    """
    n = A.shape[-1]
    A, V = A.copy(), np.broadcast_to(np.eye(n, dtype=A.dtype), (*A.shape[:-2], n, n)).copy()
    eps, more = np.finfo(A.dtype).eps, 2
    for _ in range(MOST):
        worst = 0.0
        for p, q in rounds(n):
            x, y = A[..., p], A[..., q]
            a, b, c = (x * x).sum(-2), (y * y).sum(-2), (x * y).sum(-2)
            size = np.sqrt(np.abs(a * b))
            worst = max(worst, float((np.abs(c.real) / np.where(size == 0, 1, size)).max(initial=0)))
            cos, sin = (v[..., None, :] for v in angle(a, b, c))
            rotated(A, p, q, cos, sin)
            rotated(V, p, q, cos, sin)
        more -= worst <= 8 * eps  # two rounds after that, for what is beside the real axis
        if more == 0:
            break
    s = np.sqrt((A * A).sum(-2))
    order = np.argsort(-s.real, -1, kind="stable")
    s, A, V = (np.take_along_axis(t, order if t is s else order[..., None, :], -1) for t in (s, A, V))
    return A / np.where(s == 0, 1, s)[..., None, :], s, V


def symmetric(A: Array) -> tuple[Array, Array]:
    """w, V of ½(A + Aᵀ) = V diag(w) Vᵀ, w rising. Jacobi 1846: V turns two axes at a time, until what is beside the
    diagonal is 0."""
    n = A.shape[-1]
    A, V = (A + A.swapaxes(-1, -2)) / 2, np.broadcast_to(np.eye(n, dtype=A.dtype), A.shape).copy()
    eps, more = np.finfo(A.dtype).eps, 2
    size = np.abs(A).max((-1, -2), keepdims=True, initial=0)
    for _ in range(MOST):
        for p, q in rounds(n):
            cos, sin = (v[..., None, :] for v in angle(A[..., p, p], A[..., q, q], A[..., p, q]))
            rotated(A, p, q, cos, sin)
            rotated(A.swapaxes(-1, -2), p, q, cos, sin)
            rotated(V, p, q, cos, sin)
        beside = np.abs(A.real) * ~np.eye(n, dtype=bool)
        more -= bool((beside <= eps * size).all())
        if more == 0:
            break
    w = np.diagonal(A, 0, -2, -1)
    order = np.argsort(w.real, -1, kind="stable")
    return np.take_along_axis(w, order, -1), np.take_along_axis(V, order[..., None, :], -1)


def reflected(A: Array) -> tuple[Array, Array]:
    """Q (*, m, k) with orthonormal columns and R (*, k, n) upper triangular, Q R = A (*, m, n), k = min(m, n).

    Householder 1958: column by column what is below the diagonal is brought to 0 by a reflection  1 − 2vvᵀ/vᵀv  that
    sends x to ∓‖x‖ along the first axis, away from x, as LAPACK does: so R has −sgn(x₀)‖x‖ there.
    """
    m, n = A.shape[-2:]
    R, Q = A.copy(), np.broadcast_to(np.eye(m, dtype=A.dtype), (*A.shape[:-2], m, m)).copy()
    for k in range(min(m - 1, n)):
        v = R[..., k:, k].copy()
        length = np.sqrt((v * v).sum(-1))
        v[..., 0] += np.where(v[..., 0].real < 0, -length, length)
        v = v[..., None]
        vv = (v * v).sum((-1, -2), keepdims=True)
        twice = 2 / np.where(vv == 0, 1, vv)
        below = (R[..., k + 1 :, k] != 0).any(-1)[..., None, None]  # where there is nothing to bring to 0
        R[..., k:, :] -= below * twice * v @ (v.swapaxes(-1, -2) @ R[..., k:, :])
        Q[..., k:] -= below * twice * (Q[..., k:] @ v) @ v.swapaxes(-1, -2)
    k = min(m, n)
    return Q[..., :k], np.triu(R[..., :k, :])


def signed(U: Array) -> Array:
    """±1 for every column, (*, 1, n): so that its first entry of half the largest size or more is positive."""
    size = np.abs(U.real)
    first = (size >= size.max(-2, keepdims=True, initial=0) / 2).argmax(-2)[..., None, :]
    return np.where(np.take_along_axis(U.real, first, -2) < 0, -1, 1).astype(U.dtype)
