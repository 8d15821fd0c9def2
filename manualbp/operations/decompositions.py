"""Matrices as products: singular values and vectors, eigenvalues and eigenvectors, QR; what is made of these.

`manualbp.operations.rotations` says how they are found.
"""

import numpy as np

from ..base import Array, shape
from ..sampling import Values
from .base import Operation
from .linalg import OfMatrix, factors, inverse, regular, square, substituted, transposed
from .rotations import reflected, signed, singular, symmetric


class OfRectangle(Operation, family=True):
    """A function of matrices, over the last two axes."""

    in_networks = False  # where singular values coincide, or are 0
    ranks = (2, 3, 4)

    def matrices(self, A: Array) -> tuple[Array, Array, Array]:
        """U, s, V of A = U diag(s) Vᵀ, with as many columns as A has rows or columns, whichever are fewer."""
        self.takes(len(shape(A)) > 1, A, "(*, m, n)")
        if A.shape[-2] >= A.shape[-1]:
            return singular(A)
        V, s, U = singular(transposed(A))
        return U, s, V

    def sample(self, values, shape):
        return apart(values, shape)


def apart(values: Values, shape: tuple[int, ...]) -> Array:
    """Matrices whose singular values are neither near 0 nor near one another."""
    A = values.real(shape)
    largest = np.abs(A).max(initial=1)
    return A / largest + 3 * np.eye(*shape[-2:]) * (1 + np.arange(shape[-1]))


def between(s: Array) -> Array:
    """sⱼ − sᵢ in row i and column j; ∞ on the diagonal, so that what is divided by it is 0 there."""
    E = s[..., None, :] - s[..., :, None]
    E[..., np.arange(s.shape[-1]), np.arange(s.shape[-1])] = np.inf
    return E


def skew(M: Array) -> Array:
    return M - transposed(M)


class Svdvals(OfRectangle):
    """The singular values: how much a matrix stretches along its axes.

    Forward   A = U diag(s) Vᵀ, s₁ ≥ s₂ ≥ … ≥ 0, UᵀU = VᵀV = 1, k = min(m, n) of them
    Backward  Uᵀ ∂A V = Uᵀ∂U diag(s) + diag(∂s) + diag(s) ∂Vᵀ V, and UᵀU = 1 makes Uᵀ∂U skew, as ∂VᵀV is, with 0 on
              the diagonal, so  ∂sᵢ = uᵢᵀ ∂A vᵢ:   dA = U diag(ds) Vᵀ
    Shapes    A: (*, m, n), s: (*, k)
    Errors    ValueError unless A has two axes
    Source    Giles 2008, "Collected matrix derivative results", section 3.2; torch.linalg.svdvals
    Caveat    a kink where two are equal, or one is 0
    """

    calls = ("torch.linalg.svdvals",)

    def forward(self, params, x):
        U, s, V = self.matrices(x)
        return s, (U, V)

    def backward(self, params, cache, dy):
        U, V = cache
        return (U * dy[..., None, :]) @ transposed(V), {}


class Svd(OfRectangle):
    """The singular value decomposition.

    Forward   A = U diag(s) Vᵀ, s₁ ≥ s₂ ≥ … ≥ 0, UᵀU = VᵀV = 1, k = min(m, n) columns each;  y = (U, s, Vᵀ)
    Backward  (1) with the skew ω = Uᵀ∂U, ψ = Vᵀ∂V and P = Uᵀ∂A V:   P = ω diag(s) + diag(∂s) − diag(s) ψ,  so with
                  Eᵢⱼ = sⱼ² − sᵢ²  beside the diagonal  ω = (P diag(s) + diag(s) Pᵀ)/E,  ψ = (diag(s) P + Pᵀ diag(s))/E
              (2) in Σ dU ∂U + Σ dV ∂V + Σ ds ∂s, with skew(M) = M − Mᵀ:
                  dP = (skew(Uᵀ dU)/E) diag(s) + diag(s) (skew(Vᵀ dV)/E) + diag(ds)
              (3) what of ∂U lies outside of U is (1 − UUᵀ) ∂A V diag(1/s), and so for V:
                  dA = U dP Vᵀ + (1 − UUᵀ) dU diag(1/s) Vᵀ + U diag(1/s) dVᵀ (1 − VVᵀ)
    Shapes    A: (*, m, n), U: (*, m, k), s: (*, k), Vᵀ: (*, k, n)
    Errors    ValueError unless A has two axes, or if full_matrices asks for more columns
    Source    Giles 2008, "Collected matrix derivative results", section 3.2; torch.linalg.svd
    Caveat    each uᵢ may have either sign, vᵢ then, too: here the first entry of uᵢ of half the largest size or more is
              positive, in torch it is as LAPACK has it, so only what does not depend on it can be compared. No gradient
              by U and V where two of s are equal
    """

    full_matrices: bool = True

    options = {"full_matrices": (False, True)}
    calls = ("torch.linalg.svd",)
    cancels = True

    def forward(self, params, x):
        self.takes(not self.full_matrices or shape(x)[-1:] == shape(x)[-2:-1], x, "(*, n, n) with full_matrices")
        U, s, V = self.matrices(x)
        sign = signed(U)
        U, V = U * sign, V * sign
        return (U, s, transposed(V)), (U, s, V)

    @classmethod
    def example(cls, choose, shape):
        return cls(shape[-1] == shape[-2] and choose(False, True))

    def backward(self, params, cache, dy):
        (U, s, V), (dU, ds, dVt) = cache, dy
        S, dP = s[..., None, :], np.zeros((*s.shape, s.shape[-1]), s.dtype)
        E = between(s * s)  # (1)
        dP[..., np.arange(s.shape[-1]), np.arange(s.shape[-1])] = 0 if ds is None else ds
        outside = np.zeros((*U.shape[:-1], V.shape[-2]), s.dtype)
        if dU is not None:
            dP = dP + skew(transposed(U) @ dU) / E * S  # (2)
            outside = (dU - U @ (transposed(U) @ dU)) / S @ transposed(V)
        if dVt is not None:
            dV = transposed(dVt)
            dP = dP + transposed(S) * (skew(transposed(V) @ dV) / E)
            outside = outside + U @ transposed((dV - V @ (transposed(V) @ dV)) / S)
        return U @ dP @ transposed(V) + outside, {}  # (3)


class Eigvalsh(OfMatrix):
    """The eigenvalues of symmetric matrices.

    Forward   A = V diag(w) Vᵀ, w₁ ≤ w₂ ≤ …, VᵀV = 1
    Backward  Vᵀ∂A V = Vᵀ∂V diag(w) + diag(∂w) − diag(w) Vᵀ∂V, and Vᵀ∂V has 0 on the diagonal, so  ∂wᵢ = vᵢᵀ ∂A vᵢ:
              dA = V diag(dw) Vᵀ
    Shapes    A: (*, n, n), w: (*, n)
    Errors    ValueError unless A is square
    Source    Giles 2008, "Collected matrix derivative results", section 3.1; torch.linalg.eigvalsh
    Caveat    A is taken as ½ (A + Aᵀ); torch reads the half that UPLO says, which is the same where A is symmetric.
              A kink where two are equal
    """

    UPLO: str = "L"

    calls = ("torch.linalg.eigvalsh",)

    def forward(self, params, x):
        square(self, x)
        w, V = symmetric(x)
        return w, (V,)

    def backward(self, params, cache, dy):
        (V,) = cache
        return (V * dy[..., None, :]) @ transposed(V), {}

    def sample(self, values, shape):
        return mirrored(values, shape)


class Eigh(OfMatrix):
    """The eigenvalues and eigenvectors of symmetric matrices.

    Forward   A = V diag(w) Vᵀ, w₁ ≤ w₂ ≤ …, VᵀV = 1;  y = (w, V)
    Backward  with the skew ψ = Vᵀ∂V and P = Vᵀ∂A V:  P = ψ diag(w) + diag(∂w) − diag(w) ψ,  so with  Eᵢⱼ = wⱼ − wᵢ
              beside the diagonal  ψ = P/E,  and in Σ dV ∂V + Σ dw ∂w, with skew(M) = M − Mᵀ, since ψ is skew:
              dA = V (½ skew(VᵀdV)/E + diag(dw)) Vᵀ
    Shapes    A, V: (*, n, n), w: (*, n)
    Errors    ValueError unless A is square
    Source    Giles 2008, "Collected matrix derivative results", section 3.1; torch.linalg.eigh
    Caveat    A is taken as ½ (A + Aᵀ); torch reads the half that UPLO says, which is the same where A is symmetric.
              Each vᵢ may have either sign: here its first entry of half the largest size or more is positive, in torch
              it is as LAPACK has it, so only what does not depend on it can be compared. No gradient by V where two of
              w are equal
    """

    UPLO: str = "L"

    cancels = True
    calls = ("torch.linalg.eigh",)

    def forward(self, params, x):
        square(self, x)
        w, V = symmetric(x)
        V = V * signed(V)
        return (w, V), (w, V)

    def backward(self, params, cache, dy):
        (w, V), (dw, dV) = cache, dy
        dP = np.zeros_like(V)
        dP[..., np.arange(w.shape[-1]), np.arange(w.shape[-1])] = 0 if dw is None else dw
        if dV is not None:
            dP = dP + skew(transposed(V) @ dV) / 2 / between(w)
        return V @ dP @ transposed(V), {}

    def sample(self, values, shape):
        return mirrored(values, shape)


def mirrored(values: Values, shape: tuple[int, ...]) -> Array:
    """Symmetric matrices whose eigenvalues are not near one another."""
    A = apart(values, (*shape[:-2], shape[-1], shape[-1]))
    return (A + transposed(A)) / 2


class Qr(OfRectangle):
    """Orthonormal columns, and the triangle that makes A of them.

    Forward   A = Q R, QᵀQ = 1, R upper triangular, k = min(m, n)
    Backward  (1) for m ≥ n:  Qᵀ∂A R⁻¹ = Qᵀ∂Q + ∂R R⁻¹, of which Qᵀ∂Q is skew and ∂R R⁻¹ upper triangular, so its
                  lower half is that of Qᵀ∂Q.  In Σ dQ ∂Q + Σ dR ∂R, with M = R dRᵀ − dQᵀ Q and
                  sym(M) = the lower half of M, mirrored to the upper:   dA = (dQ + Q sym(M)) R⁻ᵀ
              (2) for m < n:  A = (X, Y), R = (T, S), X = Q T with m columns, and S = Qᵀ Y:
                  dQ′ = dQ + Y dSᵀ,  dX by (1) for dQ′ and dT,  dY = Q dS
    Shapes    A: (*, m, n), Q: (*, m, k), R: (*, k, n)
    Errors    ValueError unless A has two axes, or for another mode than "reduced", or "complete" where m ≤ n
    Source    Roberts, Roberts 2020, arXiv:2009.10071; torch.linalg.qr
    Caveat    the signs of R's diagonal are LAPACK's: −sgn of what is reflected. Where the first n columns of A are
              linearly dependent there is no gradient
    """

    mode: str = "reduced"

    calls = ("torch.linalg.qr",)
    cancels = True

    def __post_init__(self):
        super().__post_init__()
        if self.mode not in ("reduced", "complete"):
            raise ValueError(f'{self}: mode is "reduced" or "complete"; torch has no gradient of another')

    def forward(self, params, x):
        self.takes(len(shape(x)) > 1, x, "(*, m, n)")
        self.takes(self.mode == "reduced" or x.shape[-2] <= x.shape[-1], x, "(*, m, n) with m ≤ n for this mode")
        Q, R = reflected(x)
        return (Q, R), (x, Q, R)

    def backward(self, params, cache, dy):
        A, Q, R = cache
        dQ, dR = (np.zeros_like(of) if d is None else d for d, of in zip(dy, (Q, R)))
        m = A.shape[-2]
        if m >= A.shape[-1]:
            return self.tall(Q, R, dQ, dR), {}
        dS = dR[..., m:]  # (2)
        dX = self.tall(Q, R[..., :m], dQ + A[..., m:] @ transposed(dS), dR[..., :m])
        return np.concatenate([dX, Q @ dS], -1), {}

    def tall(self, Q: Array, R: Array, dQ: Array, dR: Array) -> Array:
        """dA for m ≥ n."""
        M = R @ transposed(dR) - transposed(dQ) @ Q
        mirrored = np.tril(M) + transposed(np.tril(M, -1))
        return (dQ + Q @ mirrored) @ transposed(inverse(R))  # (1)


class Lu(OfMatrix):
    """Gauss's elimination: a lower and an upper triangle, of the rows in another order.

    Forward   A = P L U, P a permutation, L lower triangular with 1 on its diagonal, U upper triangular;  y = (P, L, U)
    Backward  P is constant but for its jumps, so  L⁻¹ Pᵀ∂A U⁻¹ = L⁻¹∂L + ∂U U⁻¹, of which L⁻¹∂L is the half below the
              diagonal, ∂U U⁻¹ the rest; in Σ dL ∂L + Σ dU ∂U:
              dA = P L⁻ᵀ (tril(Lᵀ dL, −1) + triu(dU Uᵀ)) U⁻ᵀ
    Shapes    A, P, L, U: (*, n, n)
    Errors    ValueError unless A is square
    Source    torch.linalg.lu
    Caveat    the row with the largest entry comes next; of equal ones the first
    """

    calls = ("torch.linalg.lu",)

    def forward(self, params, x):
        square(self, x)
        both, order, _ = factors(x)
        one = np.eye(x.shape[-1], dtype=x.dtype)
        L, U, P = np.tril(both, -1) + one, np.triu(both), transposed(one[order])
        return (P, L, U), (P, L, U)

    def backward(self, params, cache, dy):
        (P, L, U), (_, dL, dU) = cache, dy
        M = np.zeros_like(L)
        if dL is not None:
            M = M + np.tril(transposed(L) @ dL, -1)
        if dU is not None:
            M = M + np.triu(dU @ transposed(U))
        left = substituted(transposed(L), M, upper=True)
        return P @ transposed(substituted(U, transposed(left), upper=True)), {}

    def sample(self, values, shape):
        A = regular(values, shape)
        return A[..., values.rng.permutation(A.shape[-1]), :]


class Pinv(OfRectangle):
    """The pseudoinverse: of all X that bring A X nearest to 1 the smallest.

    Forward   A = U diag(s) Vᵀ,  Y = V diag(1/s) Uᵀ, without the s ≤ rtol s₁;  rtol None: max(m, n) ε
    Backward  Y A Y = Y, A Y and Y A are symmetric; with their changes
              ∂Y = −Y ∂A Y + Y Yᵀ ∂Aᵀ (1 − A Y) + (1 − Y A) ∂Aᵀ Yᵀ Y,  so in Σ dY ∂Y:
              dA = −Yᵀ dY Yᵀ + (1 − A Y) dYᵀ Y Yᵀ + Yᵀ Y dYᵀ (1 − Y A)
    Shapes    A: (*, m, n), Y: (*, n, m)
    Errors    ValueError unless A has two axes
    Source    Golub, Pereyra 1973, eq. 4.12; torch.linalg.pinv
    Caveat    where a singular value passes the limit y jumps
    """

    rtol: float | None = None

    calls = ("torch.linalg.pinv",)
    options = {"rtol": (None, 1e-6)}

    def forward(self, params, x):
        U, s, V = self.matrices(x)
        rtol = max(x.shape[-2:]) * np.finfo(x.dtype).eps if self.rtol is None else self.rtol
        kept = s.real > rtol * s.real[..., :1]
        Y = (V * (kept / np.where(kept, s, 1))[..., None, :]) @ transposed(U)
        return Y, (x, Y)

    def backward(self, params, cache, dy):
        A, Y = cache
        Yt, dYt = transposed(Y), transposed(dy)
        first = dYt @ Y @ Yt
        last = Yt @ Y @ dYt
        return -Yt @ dy @ Yt + first - A @ (Y @ first) + last - (last @ Y) @ A, {}


class MatrixExp(OfMatrix):
    """The exponential of square matrices.

    Forward   Y = eᴬ = Σₖ Aᵏ/k! = (e^(A/2ʲ))^(2ʲ), the series for A/2ʲ with entries that sum to ½ at most, then squares
    Backward  ∂Y = Σₖ Σᵢ Aⁱ ∂A Aᵏ⁻¹⁻ⁱ/k!, which stands in the corner of  exp(A, ∂A; 0, A) = (Y, ∂Y; 0, Y);  in
              Σ dY ∂Y every power changes sides and is transposed:
              dA = the corner of  exp(Aᵀ, dY; 0, Aᵀ)
    Shapes    A, Y: (*, n, n)
    Errors    ValueError unless A is square
    Source    Al-Mohy, Higham 2009, "Computing the Fréchet derivative of the matrix exponential"; torch.matrix_exp
    Caveat    torch 2.13 ends the series early where the columns of A sum to 0.005 … 0.05: there its float64 is right
              to 11 digits
    """

    calls = ("torch.matrix_exp", "torch.linalg.matrix_exp", "Tensor.matrix_exp")

    def forward(self, params, x):
        square(self, x)
        return exponential(x), (x,)

    def backward(self, params, cache, dy):
        (A,) = cache
        n, At = A.shape[-1], transposed(A)
        above = np.concatenate([At, dy], -1)
        below = np.concatenate([np.zeros_like(A), At], -1)
        return exponential(np.concatenate([above, below], -2))[..., :n, n:], {}

    def sample(self, values, shape):
        A = values.real((*shape[:-2], shape[-1], shape[-1]))
        return A / np.abs(A).sum(-1, keepdims=True).max(-2, keepdims=True) * values.rng.choice([0.5, 1.0, 3.0])


def exponential(A: Array) -> Array:
    """eᴬ, see `MatrixExp`: 20 terms of the series leave 2⁻²⁰/20! of it, less than any dtype has."""
    size = float(np.abs(A).sum(-1).max(initial=0))
    halvings = max(0, int(np.ceil(np.log2(size * 2)))) if size > 0 and np.isfinite(size) else 0
    A, one = A / 2**halvings, np.eye(A.shape[-1], dtype=A.dtype)
    Y = np.broadcast_to(one, A.shape)
    for k in range(20, 0, -1):
        Y = one + A @ Y / k
    for _ in range(halvings):
        Y = Y @ Y
    return Y
