"""A layer whose weight stays orthogonal. In torch/nn/utils/parametrizations.py, beside the other parametrizations."""

import numpy as np

from .base import Array
from .conv import Conv1d
from .linear import Linear
from .parametrizations import Parametrized

MAPS = "matrix_exp", "cayley", "householder"
TERMS = 18  # of the exponential's series: with ‖A‖ ≤ ½ what is left out is below 2⁻⁷⁰


class Orthogonal(Parametrized):
    """A layer whose weight is a matrix with orthonormal columns (or rows, if it is wide), whatever the numbers that it
    is made of.

    Forward   X has the shape of the weight, n × k if tall; a wide one is transposed before and after.
              matrix_exp   L = the lower triangle of X, widened by zeros to n × n;  A = L − Lᵀ;  Q = e^A             (1)
              cayley       A as before;  (I − A/2) Q = I + A/2                                                       (2)
              householder  vᵢ = column i of X below its diagonal, 1 on it, 0 above;  Hᵢ = I − τᵢ vᵢvᵢᵀ,  τᵢ = 2/‖vᵢ‖²
                           Q = H₁H₂…H_k, each column times the diagonal's entry without its fraction                 (3)
              W = B times the first k columns of Q;  y = layer(x; W, …)
    Backward  dW from the layer's backward;  dQ = Bᵀ dW, with zeros for the columns beyond k
              (1′) de^A = ∫ e^((1−t)A) dA e^(tA) dt over 0 … 1, so with Aᵀ for A  dA = ∫ e^((1−t)Aᵀ) dQ e^(tAᵀ) dt,
                   which is the block above the diagonal of  exp [[Aᵀ, dQ], [0, Aᵀ]]
              (2′) G = (I − A/2)⁻ᵀ dQ;  ½G by the right side, ½G Qᵀ by the left:  dA = ½ (G + G Qᵀ)
                   and of both  dL = dA − dAᵀ,  dX its lower triangle
              (3′) from H₁ to H_k:  y = Hv(w) = w − τ v p,  p = vᵀw,  so  dp = −τ vᵀdy,  dw = dy + v dp,
                   dτ = −Σ (vᵀdy) p,  ∂τ/∂v = −τ² v:   dv = w dpᵀ − τ dy pᵀ − τ² v dτ;  the diagonal of X has none
    Shapes    x, y: those of the layer;  its parameter `name`, (…, n, k), is replaced by
              parametrizations.name.original, X, and with use_trivialization the buffer
              parametrizations.name.0.base, B, (…, m, m) with m the larger of n and k;  without it B is I
    Errors    those of the layer; ValueError if it has no parameter of this name, or that is no matrix; if
              orthogonal_map is another name
    Source    Lezcano-Casado 2019, arXiv:1909.09501 (B); Higham 2008, theorem 3.6 for the block in (1′);
              torch.nn.utils.parametrizations.orthogonal
    Caveat    orthogonal_map = None is matrix_exp for a square weight, else householder. At the start Q = I and B is the
              weight, made orthogonal; without B the maps matrix_exp and cayley start somewhere else than at the weight
    """

    orthogonal_map: str | None = None
    use_trivialization: bool = True

    constants = ("B",)
    cancels = True
    options = {"orthogonal_map": (None, *MAPS), "use_trivialization": (True, False)}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.orthogonal_map not in (None, *MAPS):
            raise ValueError(f"{self}: orthogonal_map takes one of {', '.join(MAPS)}, or None")

    def fits(self, weight):
        return np.ndim(weight) > 1

    def needs(self):
        return "that is a matrix"

    def names(self):
        at = f"parametrizations.{self.name}"
        return {"X": f"{at}.original"} | ({"B": f"{at}.0.base"} if self.use_trivialization else {})

    def map_of(self, X: Array) -> str:
        return self.orthogonal_map or ("matrix_exp" if X.shape[-1] == X.shape[-2] else "householder")

    def apart(self, W, rng):
        *lead, n, k = tall(W).shape
        if self.use_trivialization:
            wide = np.concatenate([tall(W), rng.standard_normal((*lead, n, n - k))], -1)
            return {"X": np.zeros_like(W) - np.eye(*W.shape[-2:]), "B": orthogonalized(wide)}
        return {"X": reflections(W) if self.map_of(W) == "householder" else W}

    def sampled(self, W, values):
        """The diagonal at ±3/2, no step of what takes its fraction away."""
        own = super().sampled(W, values)
        i = np.arange(min(W.shape[-2:]))
        own["X"][..., i, i] = 1.5 * values.signs(own["X"][..., i, i].shape)
        return own

    def weight(self, own):
        X = tall(own["X"])
        k = X.shape[-1]
        if self.map_of(X) == "householder":
            Q, kept = reflect(X)
        else:
            A = skew(X)
            Q = exponential(A) if self.map_of(X) == "matrix_exp" else solve(_eye(A) - A / 2, _eye(A) + A / 2)
            kept = A, Q
        W = own["B"] @ Q[..., :k] if "B" in own else Q[..., :k]
        return (W if X is own["X"] else W.swapaxes(-1, -2)), kept

    def weight_backward(self, own, cache, dW):
        X = tall(own["X"])
        dQ = dW if X is own["X"] else dW.swapaxes(-1, -2)
        dQ = own["B"].swapaxes(-1, -2) @ dQ if "B" in own else dQ
        if self.map_of(X) == "householder":
            dX = reflect_backward(X, cache, dQ)
        else:
            A, Q = cache
            dQ = np.concatenate([dQ, np.zeros((*X.shape[:-1], X.shape[-2] - X.shape[-1]), dQ.dtype)], -1)
            dX = self.triangle_backward(self.map_backward(A, Q, dQ))[..., : X.shape[-1]]
        return {"X": dX if X is own["X"] else dX.swapaxes(-1, -2)}

    def map_backward(self, A: Array, Q: Array, dQ: Array) -> Array:
        """dA of (1) or (2)."""
        return (cayley_backward if self.orthogonal_map == "cayley" else exponential_backward)(A, Q, dQ)

    def triangle_backward(self, dA: Array) -> Array:
        """dL of A = L − Lᵀ."""
        return np.tril(dA - dA.swapaxes(-1, -2))

    @classmethod
    def example(cls, choose, shape):
        layer = choose(Linear, Conv1d if len(shape) == 3 else Linear).example(choose, shape)
        return layer and cls(layer, **{name: choose(*values) for name, values in cls.options.items()})


def tall(X: Array) -> Array:
    """X, transposed if it is wide."""
    return X if X.shape[-2] >= X.shape[-1] else X.swapaxes(-1, -2)


def _eye(A: Array) -> Array:
    return np.eye(A.shape[-1], dtype=A.dtype)


def skew(X: Array) -> Array:
    """A = L − Lᵀ, n × n."""
    L = np.tril(X)
    L = np.concatenate([L, np.zeros((*X.shape[:-1], X.shape[-2] - X.shape[-1]), X.dtype)], -1)
    return L - L.swapaxes(-1, -2)


def exponential(A: Array) -> Array:
    """e^A = (e^(A/2^s))^(2^s), with s so large that the series of A/2^s is short.  NumPy has none."""
    norm = float(np.abs(A).sum(-1).max(initial=0.0))
    s = int(np.ceil(np.log2(2 * norm))) if 0.5 < norm < np.inf else 0
    E = term = np.broadcast_to(_eye(A), A.shape)
    for i in range(1, TERMS + 1):
        term = term @ A / (i * 2.0**s)
        E = E + term
    for _ in range(s):
        E = E @ E
    return E


def exponential_backward(A: Array, Q: Array, dQ: Array) -> Array:
    """dA of Q = e^A. It is linear in dQ, whose size is taken out so that it does not lengthen the series."""
    n, At, size = A.shape[-1], A.swapaxes(-1, -2), np.abs(dQ).max(initial=0) or 1
    upper, lower = np.concatenate([At, dQ / size], -1), np.concatenate([np.zeros_like(A), At], -1)
    return exponential(np.concatenate([upper, lower], -2))[..., :n, n:] * size


def cayley_backward(A: Array, Q: Array, dQ: Array) -> Array:
    """dA of (I − A/2) Q = I + A/2, where (I − A/2)ᵀ = I + A/2."""
    G = solve(_eye(A) + A / 2, dQ)
    return (G + G @ Q.swapaxes(-1, -2)) / 2


def solve(S: Array, R: Array) -> Array:
    """S⁻¹R by elimination, for S = I + skew: xᵀSx = ‖x‖², so no pivot vanishes.  NumPy's solve knows no longdouble."""
    n = S.shape[-1]
    M = np.concatenate([S, np.broadcast_to(R, S.shape[:-2] + R.shape[-2:])], -1)
    for i in range(n):
        row = M[..., i : i + 1, :] / M[..., i : i + 1, i : i + 1]
        M = M - M[..., i : i + 1] * row
        M[..., i : i + 1, :] = row
    return M[..., n:]


def reflector(X: Array, i: int) -> tuple[Array, Array]:
    """vᵢ as a column, and τᵢ."""
    v = np.concatenate([np.zeros_like(X[..., :i, i]), np.ones_like(X[..., i : i + 1, i]), X[..., i + 1 :, i]], -1)
    return v[..., None], 2 / (v * v).sum(-1)[..., None, None]


def signs(X: Array) -> Array:
    """The diagonal without fractions, as a row."""
    return np.trunc(np.diagonal(X, axis1=-2, axis2=-1).real)[..., None, :].astype(X.dtype)


def reflect(X: Array) -> tuple[Array, list[Array]]:
    """The first columns of H₁H₂…H_k, and what every Hᵢ was given."""
    y, given = np.broadcast_to(np.eye(*X.shape[-2:], dtype=X.dtype), X.shape), []
    for i in reversed(range(X.shape[-1])):
        v, tau = reflector(X, i)
        given.insert(0, y)
        y = y - tau * v @ (v.swapaxes(-1, -2) @ y)
    return y * signs(X), given


def reflect_backward(X: Array, given: list[Array], dQ: Array) -> Array:
    """dX of `reflect`."""
    dy, columns = dQ * signs(X), []
    for i, w in enumerate(given):
        v, tau = reflector(X, i)
        p, vdy = v.swapaxes(-1, -2) @ w, v.swapaxes(-1, -2) @ dy
        dp, dtau = -tau * vdy, -(vdy * p).sum(-1, keepdims=True)
        dv = w @ dp.swapaxes(-1, -2) - tau * (dy @ p.swapaxes(-1, -2)) - tau * tau * v * dtau
        dy = dy + v @ dp
        columns.append(dv)
    return np.tril(np.concatenate(columns, -1), -1)


def orthogonalized(W: Array) -> Array:
    """Q of W = QR, with a diagonal of R above 0."""
    Q, R = np.linalg.qr(W.astype(float))
    return Q * np.where(np.diagonal(R, axis1=-2, axis2=-1) < 0, -1, 1)[..., None, :]


def reflections(W: Array) -> Array:
    """X whose reflections give the same columns, as they lie below the diagonal of LAPACK's R."""
    h, tau = np.linalg.qr(tall(W).astype(float), mode="raw")
    X, i = np.array(h.swapaxes(-1, -2)), np.arange(tau.shape[-1])
    R = X[..., i, i]
    X[..., i, i] = np.sign(R) * np.where(tau == 0, -1, 1)
    return X if W.shape[-2] >= W.shape[-1] else X.swapaxes(-1, -2)
