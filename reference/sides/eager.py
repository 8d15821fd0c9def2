"""The function intended as torch runs it in a format of few bits: what rounding a right kernel may show."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from ..draw.trial import Trial
from .formats import TF32, rounded, widened
from .function import Function
from .run import Run


@dataclass(frozen=True)
class Eager(Function):
    """Inputs in a format, and every operation as torch has it there.

    formats  of inputs that have another one of their own
    """

    format: str = "bfloat16"
    formats: Mapping[str, str] = field(default_factory=dict)

    def tensor(self, name: str, a: Any) -> torch.Tensor:
        t = super().tensor(name, a).detach()
        if not t.is_floating_point():
            return t
        return t.to(getattr(torch, self.formats.get(name, self.format))).requires_grad_()

    def run(self, trial: Trial) -> Run:
        return {n: widened(a) for n, a in super().run(trial).items()}


@dataclass(frozen=True)
class Rounding(Function):
    """Composite operations taken apart, and the result of every single one rounded to a format: as code rounds that is
    written step by step in it."""

    format: str = "bfloat16"

    def run(self, trial: Trial) -> Run:
        with sdpa_kernel(SDPBackend.MATH), RoundEach(self.format):
            return super().run(trial)


class RoundEach(TorchDispatchMode):
    def __init__(self, format: str) -> None:
        super().__init__()
        self.format = format

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in _decompositions():
            with self:
                return _decompositions()[func](*args, **kwargs)
        out = func(*args, **kwargs)
        aliases = [r.alias_info for r in func._schema.returns]
        if any(a is not None and not a.is_write for a in aliases):
            return out
        if any(aliases):
            return tree_map_only(torch.Tensor, lambda t: t.copy_(self._rounded(t)), out)
        return tree_map_only(torch.Tensor, self._rounded, out)

    def _rounded(self, t: torch.Tensor) -> torch.Tensor:
        if not t.is_floating_point():
            return t
        if self.format == TF32:
            return torch.from_numpy(rounded(t.detach().numpy(), TF32)).to(t.dtype)
        return t.to(getattr(torch, self.format)).to(t.dtype)


@cache
def _decompositions() -> Mapping[Any, Any]:
    whole, aten = torch._decomp.decomposition_table, torch.ops.aten
    kept = (aten._softmax, aten._log_softmax, aten.native_layer_norm, aten.native_group_norm, aten.gelu, aten.sigmoid)
    return {**torch._decomp.core_aten_decompositions(), **{op.default: whole[op.default] for op in kept}}
