"""Entries taken and put by an index: torch code of the same meaning as a call."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from .expanded_shapes import both
from .step import UnknownCallError


def at(dim: int, index: Any) -> tuple[Any, ...]:
    """What stands between brackets to mean `index` along an axis."""
    return (*(slice(None),) * dim, index)


def index_fill(x: Any, dim: int, index: Any, value: Any) -> Any:
    return index_fill_(x.clone(), dim, index, value)


def index_fill_(x: Any, dim: int, index: Any, value: Any) -> Any:
    """Every place once: the gradient of a value that is put somewhere twice counts once."""
    x[at(dim % x.ndim, torch.unique(index))] = value
    return x


def index_copy(x: Any, dim: int, index: Any, source: Any) -> Any:
    return index_copy_(x.clone(), dim, index, source)


def index_copy_(x: Any, dim: int, index: Any, source: Any) -> Any:
    x[at(dim % x.ndim, index)] = source
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


def put(x: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    """x as one long row, in which entries are replaced."""
    row = x.reshape(-1).index_put((index.reshape(-1) % x.numel(),), source.reshape(-1), accumulate)
    return row.reshape(x.shape)


def slice_scatter(x: Any, src: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Any:
    y = x.clone()
    y[at(dim % x.ndim, slice(start, end, step))] = src
    return y


def select_scatter(x: Any, src: Any, dim: int, index: int) -> Any:
    y = x.clone()
    y[at(dim % x.ndim, index)] = src
    return y


def diagonal_scatter(x: Any, src: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    y = x.movedim((dim1, dim2), (-2, -1)).clone()
    i = torch.arange(src.shape[-1])
    y[..., i + max(-offset, 0), i + max(offset, 0)] = src
    return y.movedim((-2, -1), (dim1, dim2))


def fill_diagonal_(x: Any, value: float, wrap: bool = False) -> Any:
    if wrap and len(x) > x.shape[1] + 1:
        raise UnknownCallError("fill_diagonal_ that begins anew below the last column has no class here")
    x[(torch.arange(min(x.shape)),) * x.ndim] = value
    return x


def scatter_reduce(x: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True) -> Any:
    """What comes to an entry, with the entry itself or without: summed, averaged, multiplied, or the largest or
    smallest of it."""
    if reduce in ("amax", "amin", "prod"):
        return scatter_side_by_side(x, dim % x.ndim, index, src, reduce, include_self)
    one = torch.ones_like(src).detach()
    count = torch.zeros_like(x).detach().scatter_add(dim, index, one)
    x = x if include_self else torch.where(count > 0, torch.zeros_like(x), x)
    y = x.scatter_add(dim, index, src)
    return y if reduce == "sum" else y / (count + include_self).clamp(min=1)


def scatter_side_by_side(x: Any, dim: int, index: Any, src: Any, reduce: str, include_self: bool) -> Any:
    """All that comes to an entry beside one another, and of that the product or the extreme: equal ones share its
    gradient."""
    x, index, src = (t.movedim(dim, 0) for t in (x, index, src))
    within = tuple(map(slice, index.shape[1:]))
    part, src = x[(slice(None), *within)], src[tuple(map(slice, index.shape))]
    comes = index.unsqueeze(0) == torch.arange(len(x)).view(-1, *[1] * index.ndim)
    nothing = {"amax": -math.inf, "amin": math.inf, "prod": 1.0}[reduce]
    every = torch.where(comes, src.unsqueeze(0), nothing)
    every = torch.cat([part.unsqueeze(1), every], 1) if include_self else every
    y = getattr(torch, reduce)(every, 1)
    y = y if include_self else torch.where(comes.any(1), y, part)
    if part.shape != x.shape:
        whole = x.clone()
        whole[(slice(None), *within)] = y
        y = whole
    return y.movedim(0, dim)


def scatter_reduce_(x: Any, *args: Any, **options: Any) -> Any:
    x[...] = scatter_reduce(x, *args, **options)
    return x


def index_reduce(x: Any, dim: int, index: Any, source: Any, reduce: str, *, include_self: bool = True) -> Any:
    """scatter_reduce of whole slices."""
    shape = [-1 if d == dim % x.ndim else 1 for d in range(x.ndim)]
    return scatter_reduce(x, dim, index.view(shape).expand_as(source), source, reduce, include_self=include_self)


PLACES: Mapping[str, Callable[..., Any]] = {
    **both(index_fill=index_fill, index_copy=index_copy, take_along_dim=take_along_dim, masked_select=masked_select),
    **both(put=put, slice_scatter=slice_scatter, select_scatter=select_scatter, diagonal_scatter=diagonal_scatter),
    **both(scatter_reduce=scatter_reduce, index_reduce=index_reduce, take=lambda x, index: x.reshape(-1)[index]),
    "Tensor.index_fill_": index_fill_, "Tensor.index_copy_": index_copy_, "Tensor.scatter_reduce_": scatter_reduce_,
    "Tensor.fill_diagonal_": fill_diagonal_,
}  # fmt: skip
