"""Products of vectors and matrices, differences, systems of equations: torch code of the same meaning as a call."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from .expanded_shapes import at_least, both
from .step import UnknownCallError


def weight_norm(v: Any, g: Any, dim: int = 0) -> Any:
    """torch._weight_norm in operations: w = g v/‖v‖, the norm over all axes but dim."""
    axes = [i for i in range(v.ndim) if i != dim % v.ndim]
    return v * (g / (v.norm(2, dim=axes, keepdim=True) if axes else v.abs()))


def pdist(x: Any, p: float = 2.0) -> Any:
    """The distances of all pairs of rows, each once."""
    i, j = torch.triu_indices(len(x), len(x), 1)
    return torch.linalg.vector_norm(x[i] - x[j], p, -1)


def tensordot(a: Any, b: Any, dims: Any = 2, out: Any = None) -> Any:
    """Sums of products over some axes of both."""
    if isinstance(dims, int):
        dims = [*range(a.ndim - dims, a.ndim)], [*range(dims)]
    over_a, over_b = ([d % t.ndim for d in axes] for t, axes in zip((a, b), dims, strict=True))
    left, right = ([d for d in range(t.ndim) if d not in over] for t, over in ((a, over_a), (b, over_b)))
    sizes = [a.shape[d] for d in left] + [b.shape[d] for d in right]
    rows = a.permute(*left, *over_a).reshape(-1, math.prod(a.shape[d] for d in over_a))
    columns = b.permute(*over_b, *right).reshape(rows.shape[1], -1)
    return (rows @ columns).reshape(sizes)


def kron(a: Any, b: Any) -> Any:
    """Every entry of a times b: the axes of both side by side, then joined."""
    a, b = (at_least(max(a.ndim, b.ndim))(t) for t in (a, b))
    wide = [n for size in a.shape for n in (size, 1)], [n for size in b.shape for n in (1, size)]
    return (a.reshape(wide[0]) * b.reshape(wide[1])).reshape([n * m for n, m in zip(a.shape, b.shape, strict=True)])


def multi_dot(tensors: Any) -> Any:
    first, *others = tensors
    for t in others:
        first = first @ t
    return first


def diff(x: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    if n == 0:
        return x.clone()
    parts = [t for t in (prepend, x, append) if t is not None]
    x = torch.cat(parts, dim) if len(parts) > 1 else x
    for _ in range(n):
        x = x.narrow(dim, 1, x.shape[dim] - 1) - x.narrow(dim, 0, x.shape[dim] - 1)
    return x


def cross(x: Any, other: Any, dim: int = -1) -> Any:
    """yᵢ = xᵢ₊₁ oᵢ₊₂ − xᵢ₊₂ oᵢ₊₁, counted round."""
    return x.roll(-1, dim) * other.roll(1, dim) - x.roll(1, dim) * other.roll(-1, dim)


def cross_of_old(x: Any, other: Any, dim: int | None = None) -> Any:
    """torch.cross, along the first axis of length 3."""
    return cross(x, other, x.shape.index(3) - x.ndim if dim is None else dim)


def cov(x: Any, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Any:
    """The covariances of the rows, each column counting so many times, or so much."""
    x = at_least(2)(x)
    weights = [w for w in (fweights, aweights) if w is not None]
    w = math.prod(weights) if weights else torch.ones(x.shape[1], dtype=x.dtype)
    centred = x - (x * w).sum(1, keepdim=True) / w.sum()
    left = w.sum() - correction * (1 if aweights is None else (w * aweights).sum() / w.sum())
    return (centred @ (centred * w).mT / left).squeeze()


def corrcoef(x: Any) -> Any:
    c = cov(x)
    if c.ndim == 0:
        return c / c
    s = c.diagonal().sqrt()
    return (c / s[:, None] / s).clamp(-1, 1)


def steps(y: Any, x: Any, dx: float, dim: int) -> Any:
    """The sum of every two neighbours times their distance."""
    n = y.shape[dim]
    pairs = y.narrow(dim, 1, n - 1) + y.narrow(dim, 0, n - 1)
    if x is None:
        return pairs * dx
    x = x.reshape([-1] + [1] * (y.ndim - 1 - dim % y.ndim)) if x.ndim == 1 else x
    along = dim % y.ndim - y.ndim
    return pairs * (x.narrow(along, 1, n - 1) - x.narrow(along, 0, n - 1))


def trapezoid(y: Any, x: Any = None, *, dx: float = 1, dim: int = -1) -> Any:
    return steps(y, x, dx, dim).sum(dim) / 2


def cumulative_trapezoid(y: Any, x: Any = None, *, dx: float = 1, dim: int = -1) -> Any:
    return steps(y, x, dx, dim).cumsum(dim) / 2


def gradient(x: Any, *, spacing: Any = 1.0, dim: Any = None, edge_order: int = 1) -> Any:
    """The slope of the parabola through every entry and its neighbours; at the ends of a line, or of a parabola."""
    dims = [*range(x.ndim)] if dim is None else [dim] if isinstance(dim, int) else [*dim]
    given = [spacing or 1.0] * len(dims) if isinstance(spacing, (int, float, type(None))) else [*spacing]
    found = []
    for d, h in zip(dims, given, strict=True):
        at = h if isinstance(h, torch.Tensor) and h.ndim else torch.arange(x.shape[d], dtype=x.dtype) * h
        found.append(slope(x.movedim(d, -1), at[1:] - at[:-1], edge_order).movedim(-1, d))
    return found


def slope(x: Any, h: Any, edge_order: int) -> Any:
    """Along the last axis, at distances h."""
    left, right = h[:-1], h[1:]
    rise = (x[..., 1:] - x[..., :-1]) / h
    inner = (right * rise[..., :-1] + left * rise[..., 1:]) / (left + right)
    first, last = rise[..., :1], rise[..., -1:]
    if edge_order == 2:
        first = first + (first - rise[..., 1:2]) * h[0] / (h[0] + h[1])
        last = last + (last - rise[..., -2:-1]) * h[-1] / (h[-1] + h[-2])
    return torch.cat([first, inner, last], -1)


def renorm(x: Any, p: float, dim: int, maxnorm: float) -> Any:
    """Every slice of a norm above maxnorm shortened to it."""
    norm = torch.linalg.vector_norm(x, p, [d for d in range(x.ndim) if d != dim % x.ndim], keepdim=True)
    return x * torch.where(norm > maxnorm, maxnorm / (norm + 1e-7), 1.0)


def addbmm(c: Any, batch1: Any, batch2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    return beta * c + alpha * (batch1 @ batch2).sum(0)


def addr(c: Any, vec1: Any, vec2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    return beta * c + alpha * torch.outer(vec1, vec2)


def addmv(c: Any, mat: Any, vec: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    return beta * c + alpha * (mat @ vec)


def matrix_power(A: Any, n: int) -> Any:
    """A⋯A, n times, by squares; n < 0: of the inverse."""
    if n == 0:
        return torch.eye(A.shape[-1], dtype=A.dtype).expand(A.shape) + 0 * A
    square, y = torch.linalg.inv(A) if n < 0 else A, None
    for digit in reversed(f"{abs(n):b}"):
        if digit == "1":
            y = square if y is None else y @ square
        square = square @ square
    return y


def cholesky_solve(B: Any, L: Any, upper: bool = False) -> Any:
    """The X of LLᵀX = B. The half of L that does not count has a gradient all the same, as in torch."""
    L = L.mT if upper else L
    L = L + (L.tril() - L).detach()
    return torch.linalg.solve(L @ L.mT, B)


def cholesky_inverse(L: Any, upper: bool = False) -> Any:
    return cholesky_solve(torch.eye(L.shape[-1], dtype=L.dtype), L, upper)


def with_info(f: Callable[..., Any], named: Any) -> Callable[..., Any]:
    """solve_ex and its kin: what f gives, and that nothing went wrong."""

    def call(A: Any, *rest: Any, check_errors: bool = False, **options: Any) -> Any:
        return named((f(A, *rest, **options), torch.zeros(A.shape[:-2], dtype=torch.int32)))

    return call


def triangular_solve(B: Any, A: Any, upper: bool = True, transpose: bool = False, unitriangular: bool = False) -> Any:
    T = A.mT if transpose else A
    X = torch.linalg.solve_triangular(T, B, upper=upper != transpose, unitriangular=unitriangular)
    return torch.return_types.triangular_solve((X, A.clone()))


def tensorsolve(A: Any, B: Any, dims: Any = None) -> Any:
    """The X whose products with A, summed over as many axes as X has, are B."""
    if dims is not None:
        A = A.movedim(tuple(dims), tuple(range(-len(dims), 0)))
    return torch.linalg.solve(A.reshape(B.numel(), -1), B.reshape(-1)).reshape(A.shape[B.ndim :])


def tensorinv(A: Any, ind: int = 2) -> Any:
    n = math.prod(A.shape[:ind])
    return torch.linalg.inv(A.reshape(n, n)).reshape(*A.shape[ind:], *A.shape[:ind])


def matrix_norm(A: Any, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False) -> Any:
    """The root of the sum of squares; of the singular values the sum ("nuc"), the largest (2) or smallest (−2); or of
    the sums of sizes along columns (±1) or rows (±∞) the largest or smallest."""
    if ord == "fro":
        return torch.linalg.vector_norm(A, 2, dim, keepdim)
    rows, columns = (d % A.ndim for d in dim)
    if ord in ("nuc", 2, -2):
        s = torch.linalg.svdvals(A.movedim((rows, columns), (-2, -1)))
        y = s.sum(-1) if ord == "nuc" else (torch.amax if ord > 0 else torch.amin)(s, -1)
        return y.reshape([1 if d in (rows, columns) else n for d, n in enumerate(A.shape)]) if keepdim else y
    if ord not in (1, -1, math.inf, -math.inf):
        raise UnknownCallError(f"the matrix norm {ord!r} has no class here")
    summed, left = (rows, columns) if abs(ord) == 1 else (columns, rows)
    sums = A.abs().sum(summed, keepdim=True)
    y = (torch.amax if ord > 0 else torch.amin)(sums, left, keepdim=True)
    return y if keepdim else y.squeeze((rows, columns))


def norm(x: Any, ord: Any = None, dim: Any = None, keepdim: bool = False) -> Any:
    """torch.linalg.norm: of a vector, or of a matrix where there are two axes and an order."""
    axes = x.ndim if dim is None else 1 if isinstance(dim, int) else len(dim)
    if ord is None or axes == 1:
        return torch.linalg.vector_norm(x, 2 if ord is None else ord, dim, keepdim)
    return torch.linalg.matrix_norm(x, ord, (-2, -1) if dim is None else dim, keepdim)


def cond(A: Any, p: Any = None) -> Any:
    """How much larger than that of B the relative error of A⁻¹B may be."""
    if p in (None, 2, -2):
        s = torch.linalg.svdvals(A)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    return torch.linalg.matrix_norm(A, p) * torch.linalg.matrix_norm(torch.linalg.inv(A), p)


def lstsq(A: Any, B: Any, rcond: float | None = None, *, driver: Any = None) -> Any:
    """The X for which A X is nearest to B, and what is left in the squares."""
    vector = B.ndim == 1 or B.shape == A.shape[:-1]
    b = B.unsqueeze(-1) if vector else B
    X = torch.linalg.pinv(A) @ b
    left = (A @ X - b).square().sum(-2) if A.shape[-2] > A.shape[-1] else A.new_zeros(0)
    rank = torch.full(A.shape[:-2] if driver != "gels" else (0,), min(A.shape[-2:]))
    return TYPES.linalg_lstsq((X.squeeze(-1) if vector else X, left, rank, A.new_zeros(0)))


def svd(A: Any, some: bool = True, compute_uv: bool = True) -> Any:
    """torch.svd, which gives V and not Vᵀ."""
    if not compute_uv:
        raise UnknownCallError("torch.svd without U and V has no class here: call torch.linalg.svdvals")
    U, s, Vt = torch.linalg.svd(A, full_matrices=not some)
    return TYPES.svd((U, s, Vt.mT))


TYPES = torch.return_types
MATRICES: Mapping[str, Callable[..., Any]] = {
    **both(trace=lambda x: x.diagonal().sum(), inner=lambda x, other: tensordot(x, other, ([-1], [-1]))),
    **both(kron=kron, diff=diff, cross=cross_of_old, cov=cov, corrcoef=corrcoef, renorm=renorm),
    **both(addbmm=addbmm, addr=addr, addmv=addmv, vdot=lambda x, other: (x * other).sum()),
    **both(matrix_power=matrix_power, cholesky_solve=cholesky_solve, cholesky_inverse=cholesky_inverse),
    **both(dist=lambda x, other, p=2.0: torch.linalg.vector_norm(x - other, p), triangular_solve=triangular_solve),
    "torch._weight_norm": weight_norm, "torch.pdist": pdist, "torch.tensordot": tensordot,
    "torch.trapezoid": trapezoid, "torch.trapz": trapezoid, "torch.cumulative_trapezoid": cumulative_trapezoid,
    "torch.gradient": gradient, "torch.linalg.multi_dot": multi_dot, "torch.chain_matmul": lambda *m: multi_dot(m),
    "torch.linalg.cross": lambda x, other, *, dim=-1: cross(x, other, dim), "torch.linalg.matrix_power": matrix_power,
    "torch.linalg.vecdot": lambda x, other, *, dim=-1: (x * other).sum(dim), "torch.linalg.norm": norm,
    "torch.linalg.tensorsolve": tensorsolve, "torch.linalg.tensorinv": tensorinv, "torch.linalg.cond": cond,
    "torch.linalg.matrix_norm": matrix_norm, "torch.linalg.lstsq": lstsq,
    **both(svd=svd, qr=lambda A, some=True: torch.linalg.qr(A, "reduced" if some else "complete")),
    **both(pinverse=lambda A, rcond=1e-15: torch.linalg.pinv(A, rtol=rcond)),
    "torch.linalg.solve_ex": with_info(torch.linalg.solve, TYPES.linalg_solve_ex),
    "torch.linalg.inv_ex": with_info(torch.linalg.inv, TYPES.linalg_inv_ex),
    "torch.linalg.cholesky_ex": with_info(torch.linalg.cholesky, TYPES.linalg_cholesky_ex),
}  # fmt: skip
