"""Inverses, systems of equations, factors and determinants of square matrices."""

import numpy as np

from ..base import Array, Layer, shape
from ..elementary import magnitude
from ..sampling import Values
from .base import Operation, broadcastable, gradient


def square(layer: Layer, A: Array, name: str = "") -> None:
    """A ValueError unless the last two axes are those of square matrices."""
    ok = len(shape(A)) > 1 and shape(A)[-1] == shape(A)[-2]
    layer.takes(ok, A, f"(*, n, n){f' as {name}' * bool(name)}")


def transposed(A: Array) -> Array:
    return A.swapaxes(-1, -2)


def substituted(T: Array, B: Array, upper: bool) -> Array:
    """X of T X = B, T triangular: row by row, beginning where it has one unknown,  xᵢ = (bᵢ − Σⱼ Tᵢⱼ xⱼ)/Tᵢᵢ."""
    n = T.shape[-1]
    X = np.zeros((*np.broadcast_shapes(T.shape[:-2], B.shape[:-2]), *B.shape[-2:]), np.result_type(T, B))
    for i in reversed(range(n)) if upper else range(n):
        known = (T[..., i : i + 1, :] @ X)[..., 0, :]
        X[..., i, :] = (B[..., i, :] - known) / T[..., i, i, None]
    return X


def factors(A: Array) -> tuple[Array, Array, Array]:
    """Gauss's elimination: L below and U above the diagonal of one array, with L U = A[order], and the order's sign.

    Of the rows that are left that with the largest entry in column k comes next; its multiples make the rows below 0.
    """
    A, n = A.copy(), A.shape[-1]
    order, sign = np.zeros(A.shape[:-1], int) + np.arange(n), np.ones(A.shape[:-2], A.real.dtype)
    for k in range(n):
        best = k + np.abs(A[..., k:, k]).argmax(-1)[..., None]
        rows = np.zeros(A.shape[:-1], int) + np.arange(n)
        np.put_along_axis(rows, best, k, -1)
        rows[..., k] = best[..., 0]
        A, order = np.take_along_axis(A, rows[..., None], -2), np.take_along_axis(order, rows, -1)
        sign = np.where(best[..., 0] == k, sign, -sign)
        u = A[..., k, k, None]
        A[..., k + 1 :, k] /= np.where(u == 0, 1, u)  # where u is 0, all of the column is
        A[..., k + 1 :, k + 1 :] -= A[..., k + 1 :, k, None] * A[..., k, None, k + 1 :]
    return A, order, sign


def solved(A: Array, B: Array) -> Array:
    """X of A X = B:  L Y = B[order],  U X = Y."""
    LU, order, _ = factors(A)
    lead = np.broadcast_shapes(A.shape[:-2], B.shape[:-2])
    B = np.broadcast_to(B, (*lead, *B.shape[-2:]))
    rows = np.take_along_axis(B, np.broadcast_to(order, (*lead, order.shape[-1]))[..., None], -2)
    Y = substituted(np.tril(LU, -1) + np.eye(LU.shape[-1], dtype=LU.dtype), rows, upper=False)
    return substituted(np.triu(LU), Y, upper=True)


def inverse(A: Array) -> Array:
    return solved(A, np.eye(A.shape[-1], dtype=A.dtype))


def cholesky(A: Array) -> Array:
    """L of A = L Lᵀ, column by column:  Lᵢⱼ Lⱼⱼ = Aᵢⱼ − Σₖ Lᵢₖ Lⱼₖ, summed over k < j, of which i = j gives Lⱼⱼ²."""
    L = np.zeros_like(A)
    for j in range(A.shape[-1]):
        left = A[..., j:, j] - (L[..., j:, :] @ L[..., j, :, None])[..., 0]
        L[..., j:, j] = left / np.sqrt(left[..., :1])
    return L


class OfMatrix(Operation, family=True):
    """A function of square matrices, over the last two axes."""

    in_networks = False  # the matrices there have no inverse
    ranks = (2, 3, 4)

    def sample(self, values, shape):
        return regular(values, shape)


class Inverse(OfMatrix):
    """The inverse of every matrix.

    Forward   A Y = 1
    Backward  0 = ∂(A Y) = ∂A Y + A ∂Y, so  ∂Y = −Y ∂A Y;  in L's change Σ dY ∂Y = −Σ (Yᵀ dY Yᵀ) ∂A:
              dA = −Yᵀ dY Yᵀ
    Shapes    A, Y: (*, n, n)
    Errors    ValueError unless A is square
    Source    Giles 2008, "Collected matrix derivative results", section 2.2.3; torch.linalg.inv
    Caveat    of a matrix without inverse torch raises an error, and here ±∞ or NaN comes out
    """

    calls = ("torch.linalg.inv", "torch.inverse", "Tensor.inverse")

    def forward(self, params, x):
        square(self, x)
        Y = inverse(x)
        return Y, (Y,)

    def backward(self, params, cache, dy):
        (Y,) = cache
        return -transposed(Y) @ dy @ transposed(Y), {}


class Solve(OfMatrix):
    """The solution of a system of linear equations for every matrix.

    Forward   A X = B;   not left:  X A = B, which is  Aᵀ Xᵀ = Bᵀ
    Backward  ∂A X + A ∂X = ∂B, so  ∂X = A⁻¹(∂B − ∂A X);  in Σ dX ∂X:
              dB = A⁻ᵀ dX,   dA = −dB Xᵀ;  each summed over the axes that it was repeated along
              not left: the same of Aᵀ, Xᵀ and Bᵀ
    Shapes    inputs: (A, B);  A: (*, n, n), B, X: (*, n, k), or (*, k, n) if not left, or (*, n) if B has just the axes
              of A but the last;  the axes * broadcast
    Errors    ValueError if the shapes differ from these
    Source    Giles 2008, "Collected matrix derivative results", section 2.3.1; torch.linalg.solve
    Caveat    of a matrix without inverse torch raises an error, and here ±∞ or NaN comes out
    """

    left: bool = True

    arity = 2
    options = {"left": (True, False)}
    calls = ("torch.linalg.solve",)

    def forward(self, params, x):
        A, B = self.unpack(x, "A B")
        square(self, A, "A")
        n, vector = A.shape[-1], self.left and (len(shape(B)) == 1 or shape(B) == A.shape[:-1])
        b, side = B[..., None] if vector else B, -2 if self.left else -1
        fits = len(shape(b)) > 1 and b.shape[side] == n and broadcastable([A.shape[:-2], b.shape[:-2]])
        told = f"(*, {n}) or (*, {n}, k)" if self.left else f"(*, k, {n})"
        self.takes(fits, B, f"{told} as B, beside A of shape {A.shape}")
        X = solved(A, b) if self.left else transposed(solved(transposed(A), transposed(b)))
        return (X[..., 0] if vector else X), (A, B, X, vector)

    def backward(self, params, cache, dy):
        A, B, X, vector = cache
        if self.left:
            dB = solved(transposed(A), dy[..., None] if vector else dy)
            dA = -dB @ transposed(X)
        else:
            dB = transposed(solved(A, transposed(dy)))
            dA = -transposed(X) @ dB
        return (gradient(dA, A), gradient(dB[..., 0] if vector else dB, B)), {}

    def sample(self, values, shape):
        A = regular(values, shape)
        k, n = int(values.rng.integers(1, 4)), A.shape[-1]
        if not self.left:
            return A, values.real((*A.shape[:-2], k, n))
        return A, values.real((*A.shape[:-1], k) if values.rng.integers(2) else A.shape[:-1])


class SolveTriangular(OfMatrix):
    """The solution of a system of linear equations, of whose matrix one half alone counts.

    Forward   A X = B, with A = triu(A) if upper, else tril(A), and 1 on the diagonal if unitriangular;
              not left:  X A = B, which is  Aᵀ Xᵀ = Bᵀ
    Backward  as of Solve:  dB = A⁻ᵀ dX,  dA = −dB Xᵀ, and 0 in the half that does not count
    Shapes    inputs: (A, B);  A: (*, n, n), B, X: (*, n, k), or (*, k, n) if not left;  the axes * broadcast
    Errors    ValueError if the shapes differ from these
    Source    torch.linalg.solve_triangular
    Caveat    where there is a 0 on the diagonal X is ±∞ or NaN
    """

    upper: bool
    left: bool = True
    unitriangular: bool = False

    arity = 2
    options = {"upper": (False, True), "left": (True, False), "unitriangular": (False, True)}
    calls = ("torch.linalg.solve_triangular",)

    def half(self, A: Array) -> Array:
        """What counts of A."""
        keep = np.triu if self.upper else np.tril
        return keep(A, (1 if self.upper else -1) if self.unitriangular else 0)

    def forward(self, params, x):
        A, B = self.unpack(x, "A B")
        square(self, A, "A")
        n, side = A.shape[-1], -2 if self.left else -1
        fits = len(shape(B)) > 1 and B.shape[side] == n and broadcastable([A.shape[:-2], B.shape[:-2]])
        self.takes(fits, B, f"{f'(*, {n}, k)' if self.left else f'(*, k, {n})'} as B, beside A of shape {A.shape}")
        T = self.half(A) + (np.eye(n, dtype=A.dtype) if self.unitriangular else 0)
        if self.left:
            X = substituted(T, B, self.upper)
        else:
            X = transposed(substituted(transposed(T), transposed(B), not self.upper))
        return X, (A, B, T, X)

    def backward(self, params, cache, dy):
        A, B, T, X = cache
        if self.left:
            dB = substituted(transposed(T), dy, not self.upper)
            dA = -dB @ transposed(X)
        else:
            dB = transposed(substituted(T, transposed(dy), self.upper))
            dA = -transposed(X) @ dB
        return (gradient(self.half(dA), A), gradient(dB, B)), {}

    def sample(self, values, shape):
        A = regular(values, shape)
        A = A / np.diagonal(A, 0, -2, -1)[..., None] if self.unitriangular else A
        k, n = int(values.rng.integers(1, 4)), A.shape[-1]
        return A, values.real((*A.shape[:-2], *((n, k) if self.left else (k, n))))


class Cholesky(OfMatrix):
    """The triangular factor of symmetric matrices with positive eigenvalues.

    Forward   A = L Lᵀ, L lower triangular with a positive diagonal;  upper: y = Lᵀ
    Backward  (1) ∂A = ∂L Lᵀ + L ∂Lᵀ, so  L⁻¹ ∂A L⁻ᵀ = L⁻¹ ∂L + (L⁻¹ ∂L)ᵀ, of which L⁻¹ ∂L is the lower half:
                  ∂L = L Φ(L⁻¹ ∂A L⁻ᵀ),   Φ(M) = tril(M), its diagonal halved
              (2) in Σ dL ∂L:  S = L⁻ᵀ Φ(Lᵀ dL) L⁻¹
              (3) A stays symmetric, so either half of S counts:  dA = ½ (S + Sᵀ)
    Shapes    A, y: (*, n, n)
    Errors    ValueError unless A is square
    Source    Murray 2016, arXiv:1602.07527, eqs. 8–10; torch.linalg.cholesky
    Caveat    A is taken as ½ (A + Aᵀ); torch reads the lower half, which is the same where A is symmetric. Where an
              eigenvalue is not positive torch raises an error, and here NaN comes out
    """

    upper: bool = False

    options = {"upper": (False, True)}
    calls = ("torch.linalg.cholesky", "torch.cholesky", "Tensor.cholesky")

    def forward(self, params, x):
        square(self, x)
        L = cholesky((x + transposed(x)) / 2)
        return (transposed(L) if self.upper else L), (L,)

    def backward(self, params, cache, dy):
        (L,) = cache
        dL = np.tril(transposed(dy) if self.upper else dy)
        M = transposed(L) @ dL
        half = np.tril(M, -1) + 0.5 * np.eye(M.shape[-1], dtype=M.dtype) * M  # Φ, in (1)
        S = substituted(transposed(L), half, upper=True)
        S = transposed(substituted(transposed(L), transposed(S), upper=True))  # (2)
        return (S + transposed(S)) / 2, {}  # (3)

    def sample(self, values, shape):
        A = regular(values, shape)
        return A @ transposed(A) / np.abs(A).max()


class Slogdet(OfMatrix):
    """The sign and the logarithm of the size of every determinant.

    Forward   s = sgn det A,  y = log |det A|
    Backward  ∂ det A/∂Aᵢⱼ is the cofactor, det A (A⁻¹)ⱼᵢ, so  ∂y/∂A = A⁻ᵀ, and s is a step:  dA = dy A⁻ᵀ
    Shapes    A: (*, n, n), s, y: (*)
    Errors    ValueError unless A is square
    Source    Jacobi's formula; torch.linalg.slogdet
    """

    calls = ("torch.linalg.slogdet", "torch.slogdet", "Tensor.slogdet")

    def forward(self, params, x):
        square(self, x)
        s, y = log_size(x)
        return (s, y), (x,)

    def backward(self, params, cache, dy):
        (A,), (_, dy) = cache, dy
        if dy is None:
            return np.zeros_like(A), {}
        return np.asarray(dy)[..., None, None] * transposed(inverse(A)), {}


class Det(OfMatrix):
    """The determinant of every matrix.

    Forward   y = det A
    Backward  ∂y/∂Aᵢⱼ is the cofactor, y (A⁻¹)ⱼᵢ, so  dA = dy y A⁻ᵀ
    Shapes    A: (*, n, n), y: (*)
    Errors    ValueError unless A is square
    Source    Jacobi's formula; torch.linalg.det
    Caveat    where A has no inverse the cofactors exist, but here ±∞ or NaN comes out
    """

    calls = ("torch.linalg.det", "torch.det", "Tensor.det")

    def forward(self, params, x):
        square(self, x)
        LU, _, sign = factors(x)
        y = np.asarray(sign * np.diagonal(LU, 0, -2, -1).prod(-1))
        return y, (x, y)

    def backward(self, params, cache, dy):
        A, y = cache
        return (dy * y)[..., None, None] * transposed(inverse(A)), {}


class Logdet(OfMatrix):
    """The logarithm of every determinant.

    Forward   y = log det A, NaN where det A < 0
    Backward  ∂y/∂A = (1/det A) ∂ det A/∂A = A⁻ᵀ (see Det), so  dA = dy A⁻ᵀ
    Shapes    A: (*, n, n), y: (*)
    Errors    ValueError unless A is square
    Source    Jacobi's formula; torch.logdet
    """

    calls = ("torch.logdet", "Tensor.logdet")

    def forward(self, params, x):
        square(self, x)
        s, y = log_size(x)
        return np.where(s < 0, np.nan, y).astype(x.dtype), (x,)

    def backward(self, params, cache, dy):
        (A,) = cache
        return np.asarray(dy)[..., None, None] * transposed(inverse(A)), {}


def log_size(A: Array) -> tuple[Array, Array]:
    """sgn det A and log |det A|: det A is the product of U's diagonal, with the sign of the order of the rows."""
    LU, _, sign = factors(A)
    u = np.diagonal(LU, 0, -2, -1)
    with np.errstate(divide="ignore"):  # log 0 = −∞
        y = np.log(magnitude(u)).sum(-1)
    return np.asarray(sign * np.sign(u.real).prod(-1)), np.asarray(y)


def regular(values: Values, shape: tuple[int, ...]) -> Array:
    """Matrices with an inverse and a positive determinant: no entry of a row is as large as that on the diagonal."""
    n = shape[-1]
    A = values.real((*shape[:-2], n, n))
    return A + np.eye(n) * (1 + 2 * np.abs(A).sum(-1, keepdims=True))
