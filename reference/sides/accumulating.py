"""The function intended with its sums, too, kept in few bits: what code leaves that adds in float16 or bfloat16."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ..draw.trial import Trial
from .eager import RoundEach
from .function import Function
from .run import Run

Round = Callable[[torch.Tensor], torch.Tensor]
aten = torch.ops.aten


@dataclass(frozen=True)
class Accumulating(Function):
    """Every operation rounded, and the terms of a sum or product of matrices added in the format, one after another."""

    format: str = "bfloat16"

    def run(self, trial: Trial) -> Run:
        with _AddEach(self.format):
            return super().run(trial)


class _AddEach(RoundEach):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func in _ADDED:
            return _ADDED[func](self._rounded, *args)
        return super().__torch_dispatch__(func, types, args, kwargs)


def _over(round: Round, terms: Any) -> torch.Tensor:
    total = None
    for t in terms:
        total = round(t) if total is None else round(total + round(t))
    assert total is not None
    return total


def _sum(round: Round, x: torch.Tensor, dims: Any = None, keepdim: bool = False, *_: Any) -> torch.Tensor:
    dims = [d % x.ndim for d in (range(x.ndim) if dims is None or not len(dims) else dims)] if x.ndim else []
    if not x.is_floating_point() or not dims or not x.numel():
        return torch.sum(x, dims, keepdim) if dims else x.clone()
    last = [d for d in range(x.ndim) if d not in dims]
    total = _over(round, x.permute(*dims, *last).reshape(-1, *(x.shape[d] for d in last)))
    return total.reshape([1 if d in dims else n for d, n in enumerate(x.shape)]) if keepdim else total


def _mean(round: Round, x: torch.Tensor, dims: Any = None, keepdim: bool = False, *_: Any) -> torch.Tensor:
    total = _sum(round, x, dims, keepdim)
    return round(total * (total.numel() / max(x.numel(), 1)))


def _matmul(round: Round, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    if not a.shape[-1]:
        return a @ b
    return _over(round, (a[..., :, j, None] * b[..., j, None, :] for j in range(a.shape[-1])))


def _added_to(round: Round, c: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return round(c + _matmul(round, a, b))


_ADDED: dict[Any, Callable[..., torch.Tensor]] = {
    aten.sum.default: _sum,
    aten.sum.dim_IntList: _sum,
    aten.mean.default: _mean,
    aten.mean.dim: _mean,
    aten.mm.default: _matmul,
    aten.bmm.default: _matmul,
    aten.addmm.default: _added_to,
    aten.baddbmm.default: _added_to,
}
