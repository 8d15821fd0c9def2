"""Axes joined, cut, turned and laid side by side: torch code of the same meaning as a call."""

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import torch

from .step import UnknownCallError


def both(**functions: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    """Functions of torch, and the methods of their names."""
    return {f"{of}.{name}": f for name, f in functions.items() for of in ("torch", "Tensor")}


def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """All of them, in the one shape that they broadcast to."""
    size = torch.broadcast_shapes(*(t.shape for t in tensors))
    return tuple(t.expand(size) for t in tensors)


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
    """torch.atleast_1d, 2d and 3d: of one, or of several, as such or in a tuple."""

    def one(x: Any) -> Any:
        if rank == 3 and x.ndim < 3:
            return one2(x).unsqueeze(-1)
        return x if x.ndim >= rank else x[(None,) * (rank - x.ndim)]

    def one2(x: Any) -> Any:
        return x if x.ndim >= 2 else x[(None,) * (2 - x.ndim)]

    def call(*tensors: Any) -> Any:
        given = tensors[0] if isinstance(tensors[0], (tuple, list)) else tensors
        return one(given[0]) if len(given) == 1 and given is tensors else tuple(map(one, given))

    return call


def stacked(rank: int, dim: int) -> Callable[..., Any]:
    """hstack, vstack and dstack: joined along an axis, after they have one."""

    def call(tensors: Any) -> Any:
        parts = [at_least(rank)(t) for t in tensors]
        return torch.cat(parts, min(dim, parts[0].ndim - 1))

    return call


def column_stack(tensors: Any) -> Any:
    return torch.cat([t if t.ndim > 1 else t.reshape(-1, 1) for t in tensors], 1)


def meshgrid(*tensors: Any, indexing: str = "ij") -> Any:
    """Each repeated along the axes of all others."""
    given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else tensors
    sizes = [t.numel() for t in given]
    apart = [t.reshape([-1 if i == k else 1 for i in range(len(given))]).expand(sizes) for k, t in enumerate(given)]
    return tuple(t.transpose(0, 1) for t in apart) if indexing == "xy" and len(given) > 1 else tuple(apart)


def sum_to_size(x: Any, *size: Any) -> Any:
    """Summed over the axes that a tensor of this size was repeated along."""
    size = size[0] if len(size) == 1 and not isinstance(size[0], int) else size
    x = x.sum([*range(x.ndim - len(size))]) if x.ndim > len(size) else x
    wide = [d for d, n in enumerate(size) if n == 1 and x.shape[d] != 1]
    return x.sum(wide, keepdim=True) if wide else x


def tensor_split(x: Any, at: Any = None, dim: int = 0, *, indices: Any = None, sections: Any = None) -> Any:
    """Parts as equal as can be, the longer ones first; or cut at some places."""
    at = at if at is not None else indices if indices is not None else sections
    at = at.tolist() if isinstance(at, torch.Tensor) else at
    n = x.shape[dim]
    if isinstance(at, int):
        ends = [k * (n // at) + min(k, n % at) for k in range(1, at)]
    else:
        ends = [range(n)[:i].stop for i in at]
    return tuple(x.narrow(dim, a, max(b - a, 0)) for a, b in zip([0, *ends], [*ends, n]))


def cut(least: int, dim: int) -> Callable[..., Any]:
    """hsplit, vsplit and dsplit: along the first axis of a vector, else along this one."""
    return lambda x, at: tensor_split(x, at, dim if x.ndim >= least else 0)


def tile(x: Any, *dims: Any) -> Any:
    """repeat, where dims may be fewer than the axes of x."""
    dims = dims[0] if len(dims) == 1 and not isinstance(dims[0], int) else dims
    return x.repeat((1,) * (x.ndim - len(dims)) + tuple(dims))


def rot90(x: Any, k: int = 1, dims: Any = (0, 1)) -> Any:
    """Quarter turns from the first axis to the second."""
    first, second = dims
    if k % 2 == 0:
        return x.flip(first, second) if k % 4 else x.clone()
    return x.flip(second if k % 4 == 1 else first).transpose(first, second)


def block_diag(*tensors: Any) -> Any:
    """Matrices one after another along a diagonal, 0 elsewhere."""
    blocks, rows, before = [at_least(2)(t) for t in tensors], [], 0
    width = sum(b.shape[1] for b in blocks)
    for b in blocks:
        rows.append(torch.nn.functional.pad(b, (before, width - before - b.shape[1])))
        before += b.shape[1]
    return torch.cat(rows)


def cartesian_prod(*tensors: Any) -> Any:
    """Every choice of one entry of each vector, as rows."""
    if len(tensors) == 1:
        return tensors[0].clone()
    return torch.stack([t.reshape(-1) for t in meshgrid(*tensors)], -1)


def combinations(x: Any, r: int = 2, with_replacement: bool = False) -> Any:
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    return x[torch.tensor([*choose(range(len(x)), r)], dtype=torch.long).reshape(-1, r)]


def powers(x: Any, N: int | None = None) -> Any:
    """1, x, x², … along a new last axis, each the one before times x."""
    columns = [torch.ones_like(x)]
    for _ in range((x.shape[-1] if N is None else N) - 1):
        columns.append(columns[-1] * x)
    return torch.stack(columns, -1)


def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    return powers(x, N) if increasing else powers(x, N).flip(-1)


def as_strided(x: Any, size: Any, stride: Any, storage_offset: int | None = None) -> Any:
    """Entries at places in memory, as numbers of the entries of x."""
    if not x.is_contiguous() or x.storage_offset():
        raise UnknownCallError("as_strided of a view has no class here, since it sees beside it: x.contiguous() first")
    at = torch.tensor(storage_offset or 0)
    for n, step in zip(size, stride):
        at = at[..., None] + step * torch.arange(n)
    return x.reshape(-1)[at]


def segment_reduce(x: Any, reduce: str, *, lengths: Any = None, axis: int = 0, **options: Any) -> Any:
    """Of every run of so many entries the sum, the mean, the product, or the largest or smallest."""
    if lengths is None or lengths.ndim != 1 or axis or any(v is not None for k, v in options.items() if k != "unsafe"):
        raise UnknownCallError("segment_reduce has no class here but by lengths along the first axis")
    f = {"max": torch.amax, "min": torch.amin, "sum": torch.sum, "mean": torch.mean, "prod": torch.prod}[reduce]
    return torch.stack([f(part, 0) for part in x.split(lengths.tolist())])


SHAPES: Mapping[str, Callable[..., Any]] = {
    **both(diag_embed=diag_embed, diag=diag, tile=tile, rot90=rot90, tensor_split=tensor_split, as_strided=as_strided),
    **both(diagflat=lambda x, offset=0: diag(x.reshape(-1), offset), narrow_copy=lambda x, *at: x.narrow(*at)),
    **both(fliplr=lambda x: x.flip(1), flipud=lambda x: x.flip(0)),
    **both(hsplit=cut(2, 1), vsplit=cut(1, 0), dsplit=cut(1, 2)),
    **both(unsafe_chunk=lambda x, *rest, **options: torch.chunk(x, *rest, **options)),
    **both(unsafe_split=lambda x, *rest, **options: torch.split(x, *rest, **options)),
    **dict.fromkeys(("Tensor.mH", "Tensor.H", "Tensor.adjoint"), lambda x: x.mT),
    "torch.broadcast_tensors": broadcast_tensors, "Tensor.sum_to_size": sum_to_size, "torch.meshgrid": meshgrid,
    "torch.atleast_1d": at_least(1), "torch.atleast_2d": at_least(2), "torch.atleast_3d": at_least(3),
    "torch.hstack": stacked(1, 1), "torch.vstack": stacked(2, 0), "torch.row_stack": stacked(2, 0),
    "torch.dstack": stacked(3, 2), "torch.column_stack": column_stack, "torch.block_diag": block_diag,
    "torch.cartesian_prod": cartesian_prod, "torch.combinations": combinations, "torch.vander": vander,
    "torch.linalg.vander": lambda x, *, N=None: powers(x, N), "torch.segment_reduce": segment_reduce,
}  # fmt: skip
