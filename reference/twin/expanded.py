"""Calls that are several operations: torch code of the same meaning, which is read in their place."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from .step import UnknownCallError


def weight_norm(v: Any, g: Any, dim: int = 0) -> Any:
    """torch._weight_norm in operations: w = g v/‖v‖, the norm over all axes but dim."""
    axes = [i for i in range(v.ndim) if i != dim % v.ndim]
    return v * (g / (v.norm(2, dim=axes, keepdim=True) if axes else v.abs()))


def with_mean(spread: Callable[..., Any]) -> Callable[..., Any]:
    """torch.var_mean and std_mean: the spread, and the mean over the same axes."""

    def both(x: Any, *rest: Any, **options: Any) -> Any:
        keep = {k: v for k, v in options.items() if k in ("dim", "keepdim")} | dict(zip(("dim",), rest[:1]))
        return spread(x, *rest, **options), torch.mean(x, **keep)

    return both


def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """All of them, in the one shape that they broadcast to."""
    size = torch.broadcast_shapes(*(t.shape for t in tensors))
    return tuple(t.expand(size) for t in tensors)


def pdist(x: Any, p: float = 2.0) -> Any:
    """The distances of all pairs of rows, each once."""
    i, j = torch.triu_indices(len(x), len(x), 1)
    return torch.linalg.vector_norm(x[i] - x[j], p, -1)


def at(dim: int, index: Any) -> tuple[Any, ...]:
    """What stands between brackets to mean `index` along an axis."""
    return (*(slice(None),) * dim, index)


def index_fill(x: Any, dim: int, index: Any, value: Any) -> Any:
    return index_fill_(x.clone(), dim, index, value)


def index_fill_(x: Any, dim: int, index: Any, value: Any) -> Any:
    x[at(dim % x.ndim, index)] = value
    return x


def take_along_dim(x: Any, indices: Any, dim: int | None = None) -> Any:
    """gather, where the other axes broadcast."""
    if dim is None:
        return x.reshape(-1)[indices.reshape(-1)]
    sizes = torch.broadcast_shapes(*((*t.shape[: dim % t.ndim], 1, *t.shape[dim % t.ndim + 1 :]) for t in (x, indices)))
    whole = [t.expand((*sizes[: dim % t.ndim], t.shape[dim], *sizes[dim % t.ndim + 1 :])) for t in (x, indices)]
    return torch.gather(whole[0], dim, whole[1])


def masked_select(x: Any, mask: Any) -> Any:
    x, mask = torch.broadcast_tensors(x, mask)
    return x[mask]


def diag_embed(x: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """x along the last axis on the diagonal of matrices, 0 elsewhere."""
    n = x.shape[-1] + abs(offset)
    y = x.new_zeros((*x.shape[:-1], n, n))
    i = torch.arange(x.shape[-1])
    y[..., i + max(-offset, 0), i + max(offset, 0)] = x
    return torch.movedim(y, (-2, -1), (dim1, dim2))


def diag(x: Any, diagonal: int = 0) -> Any:
    return x.diagonal(diagonal) if x.ndim == 2 else diag_embed(x, diagonal)


def at_least(rank: int) -> Callable[..., Any]:
    """torch.atleast_1d and atleast_2d: of one, or of several, as such or in a tuple."""

    def one(x: Any) -> Any:
        return x if x.ndim >= rank else x[(None,) * (rank - x.ndim)]

    def call(*tensors: Any) -> Any:
        given = tensors[0] if isinstance(tensors[0], (tuple, list)) else tensors
        return one(given[0]) if len(given) == 1 and given is tensors else tuple(map(one, given))

    return call


def stacked(rank: int, dim: int) -> Callable[..., Any]:
    """hstack and vstack: joined along an axis, after they have one."""

    def call(tensors: Any) -> Any:
        parts = [at_least(rank)(t) for t in tensors]
        return torch.cat(parts, min(dim, parts[0].ndim - 1))

    return call


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


def diff(x: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    parts = [t for t in (prepend, x, append) if t is not None]
    x = torch.cat(parts, dim) if len(parts) > 1 else x
    for _ in range(n):
        x = x.narrow(dim, 1, x.shape[dim] - 1) - x.narrow(dim, 0, x.shape[dim] - 1)
    return x


def meshgrid(*tensors: Any, indexing: str = "ij") -> Any:
    """Each repeated along the axes of all others."""
    given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else tensors
    sizes = [t.numel() for t in given]
    apart = [t.reshape([-1 if i == k else 1 for i in range(len(given))]).expand(sizes) for k, t in enumerate(given)]
    return tuple(t.transpose(0, 1) for t in apart) if indexing == "xy" and len(given) > 1 else tuple(apart)


def index_copy(x: Any, dim: int, index: Any, source: Any) -> Any:
    return index_copy_(x.clone(), dim, index, source)


def index_copy_(x: Any, dim: int, index: Any, source: Any) -> Any:
    x[at(dim % x.ndim, index)] = source
    return x


def sum_to_size(x: Any, *size: Any) -> Any:
    """Summed over the axes that a tensor of this size was repeated along."""
    size = size[0] if len(size) == 1 and not isinstance(size[0], int) else size
    x = x.sum([*range(x.ndim - len(size))]) if x.ndim > len(size) else x
    wide = [d for d, n in enumerate(size) if n == 1 and x.shape[d] != 1]
    return x.sum(wide, keepdim=True) if wide else x


def multi_dot(tensors: Any) -> Any:
    first, *others = tensors
    for t in others:
        first = first @ t
    return first


def logit(x: Any, eps: float | None = None) -> Any:
    x = x if eps is None else x.clamp(eps, 1 - eps)
    return torch.log(x / (1 - x))


def matrix_norm(A: Any, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False) -> Any:
    if ord != "fro":
        raise UnknownCallError(f"the matrix norm {ord!r} has no class here")
    return torch.linalg.vector_norm(A, 2, dim, keepdim)


def logcumsumexp(x: Any, dim: int) -> Any:
    """Of every entry the logarithm of the sum of exponentials up to it, each from its own largest, as torch has it."""
    x = x.movedim(dim, -1)
    later = torch.ones(x.shape[-1], x.shape[-1], dtype=torch.bool).triu(1)
    return x.unsqueeze(-2).masked_fill(later, -math.inf).logsumexp(-1).movedim(-1, dim)


def logaddexp(x: Any, other: Any) -> Any:
    return torch.logsumexp(torch.stack(torch.broadcast_tensors(x, other)), 0)


def cholesky_solve(B: Any, L: Any, upper: bool = False) -> Any:
    """The X of LLᵀX = B."""
    L = L.mT if upper else L
    return torch.linalg.solve_triangular(L.mT, torch.linalg.solve_triangular(L, B, upper=False), upper=True)


def scatter_reduce(x: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True) -> Any:
    """What comes to an entry, with the entry itself or without: summed, averaged, or the largest or smallest of it."""
    if reduce in ("amax", "amin"):
        return scatter_extreme(x, dim % x.ndim, index, src, reduce, include_self)
    if reduce not in ("sum", "mean"):
        raise UnknownCallError(f"scatter_reduce by {reduce!r} has no class here")
    one = torch.ones_like(src).detach()
    count = torch.zeros_like(x).detach().scatter_add(dim, index, one)
    x = x if include_self else torch.where(count > 0, torch.zeros_like(x), x)
    y = x.scatter_add(dim, index, src)
    return y if reduce == "sum" else y / (count + include_self).clamp(min=1)


def scatter_extreme(x: Any, dim: int, index: Any, src: Any, reduce: str, include_self: bool) -> Any:
    """All that comes to an entry beside one another, and of that the extreme: equal ones share its gradient."""
    x, index, src = (t.movedim(dim, 0) for t in (x, index, src))
    if index.shape[1:] != x.shape[1:] or index.shape != src.shape:
        raise UnknownCallError(
            f"scatter_reduce by {reduce!r} has no class here where index is smaller than input or src"
        )
    comes = index.unsqueeze(0) == torch.arange(len(x)).view(-1, *[1] * index.ndim)
    every = torch.where(comes, src.unsqueeze(0), -math.inf if reduce == "amax" else math.inf)
    every = torch.cat([x.unsqueeze(1), every], 1) if include_self else every
    y = getattr(torch, reduce)(every, 1)
    return (y if include_self else torch.where(comes.any(1), y, x)).movedim(0, dim)


def grouped_mm(x: Any, w: Any, *, offs: Any = None, bias: Any = None, out_dtype: Any = None) -> Any:
    """Rows of x up to each of `offs`, by the matrix of their own."""
    if x.ndim != 2 or w.ndim != 3 or offs is None or bias is not None:
        raise UnknownCallError("grouped_mm has a class here for rows and one matrix for each group of them, no bias")
    ends = offs.tolist()
    parts = [x[start:end] @ w[i] for i, (start, end) in enumerate(zip([0, *ends], ends, strict=False))]
    return torch.cat([*parts, torch.zeros(len(x) - ends[-1], w.shape[2])])


def pad_sequence(
    sequences: Any, batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Any:
    """All as long as the longest, side by side."""
    longest = max(len(s) for s in sequences)
    ends = [(0, longest - len(s)) if padding_side == "right" else (longest - len(s), 0) for s in sequences]
    padded = [
        torch.nn.functional.pad(s, ((0, 0) * (s.ndim - 1)) + end, value=padding_value)
        for s, end in zip(sequences, ends, strict=True)
    ]
    return torch.stack(padded, 0 if batch_first else 1)


def aminmax(x: Any, **over: Any) -> Any:
    return torch.return_types.aminmax((x.amin(**over), x.amax(**over)))  # type: ignore


def scatter_reduce_(x: Any, *args: Any, **options: Any) -> Any:
    x[...] = scatter_reduce(x, *args, **options)
    return x


EXPANDED: Mapping[str, Callable[..., Any]] = {
    "torch._weight_norm": weight_norm,
    "torch.var_mean": with_mean(torch.var),
    "torch.std_mean": with_mean(torch.std),
    "torch.broadcast_tensors": broadcast_tensors,
    "torch.pdist": pdist,
    "torch.pad_sequence": pad_sequence,
    **dict.fromkeys(("torch._grouped_mm", "torch.nn.functional.grouped_mm"), grouped_mm),
    "torch.addcmul": lambda input, tensor1, tensor2, value=1: input + value * (tensor1 * tensor2),
    "torch.addcdiv": lambda input, tensor1, tensor2, value=1: input + value * (tensor1 / tensor2),
    **dict.fromkeys(("torch.lerp", "Tensor.lerp"), lambda input, end, weight: input + weight * (end - input)),
    **dict.fromkeys(("torch.index_fill", "Tensor.index_fill"), index_fill),
    "Tensor.index_fill_": index_fill_,
    **dict.fromkeys(("torch.take_along_dim", "Tensor.take_along_dim"), take_along_dim),
    **dict.fromkeys(("torch.masked_select", "Tensor.masked_select"), masked_select),
    **dict.fromkeys(("torch.diag_embed", "Tensor.diag_embed"), diag_embed),
    **dict.fromkeys(("torch.diag", "Tensor.diag"), diag),
    **dict.fromkeys(("torch.trace", "Tensor.trace"), lambda x: x.diagonal().sum()),
    **dict.fromkeys(("Tensor.mH", "Tensor.H", "Tensor.adjoint"), lambda x: x.mT),
    **dict.fromkeys(("torch.frac", "Tensor.frac"), lambda x: x - x.trunc()),
    **dict.fromkeys(("torch.inner", "Tensor.inner"), lambda x, other: tensordot(x, other, ([-1], [-1]))),
    "torch.atleast_1d": at_least(1), "torch.atleast_2d": at_least(2),
    "torch.hstack": stacked(1, 1), "torch.vstack": stacked(2, 0), "torch.row_stack": stacked(2, 0),
    "torch.tensordot": tensordot, "torch.meshgrid": meshgrid, "torch.linalg.multi_dot": multi_dot,
    **dict.fromkeys(("torch.cholesky_solve", "Tensor.cholesky_solve"), cholesky_solve),
    **dict.fromkeys(("torch.scatter_reduce", "Tensor.scatter_reduce"), scatter_reduce),
    "Tensor.scatter_reduce_": scatter_reduce_,
    **dict.fromkeys(("torch.logcumsumexp", "Tensor.logcumsumexp"), logcumsumexp),
    **dict.fromkeys(("torch.logaddexp", "Tensor.logaddexp"), logaddexp),
    **dict.fromkeys(("torch.kron", "Tensor.kron"), kron),
    **dict.fromkeys(("torch.diff", "Tensor.diff"), diff),
    **dict.fromkeys(("torch.index_copy", "Tensor.index_copy"), index_copy),
    "Tensor.index_copy_": index_copy_,
    "Tensor.sum_to_size": sum_to_size, "torch.linalg.matrix_norm": matrix_norm,
    **dict.fromkeys(("torch.dist", "Tensor.dist"), lambda x, other, p=2.0: torch.linalg.vector_norm(x - other, p)),
    **dict.fromkeys(("torch.logit", "Tensor.logit", "torch.special.logit"), logit),
    **dict.fromkeys(("torch.fliplr", "Tensor.fliplr"), lambda x: x.flip(1)),
    **dict.fromkeys(("torch.flipud", "Tensor.flipud"), lambda x: x.flip(0)),
    **dict.fromkeys(("torch.take", "Tensor.take"), lambda x, index: x.reshape(-1)[index]),
    **dict.fromkeys(("torch.aminmax", "Tensor.aminmax"), aminmax),
}  # fmt: skip
