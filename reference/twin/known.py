"""Silent faults of torch's compilers that are known: by version, each with what is right or what it does, so that a
network which shows nothing else can be told from one that does.

    fault                        how torch runs it         until
    MultiLabelMarginLoss, −1     any that traces it        2.14
    MultiMarginLoss at a kink    any that traces it        2.14
    detach                       exported, decomposed      open
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest import mock

import torch
from torch.nn import functional as F  # noqa: N812  (its name everywhere)

from manualbp.base import Layer, registry

from .conventions import release


@dataclass(frozen=True)
class Known:
    """classes: the layers that show it. ways: how torch is run where it does; empty: by any compiler.

    until    the first version that has it no more; empty: none yet
    around   within it the compiled side does what torch as it is does
    does     what the compiled side computes, by hand
    """

    name: str
    classes: tuple[str, ...]
    source: str
    ways: tuple[str, ...] = ()
    until: str = ""
    around: Callable[[], AbstractContextManager] = nullcontext
    does: Callable[[Layer], Layer] = lambda layer: layer

    def holds(self, way: str, version: str = torch.__version__) -> bool:
        """Does torch of this version have it, run in this way?"""
        return (not self.ways or way in self.ways) and (not self.until or release(version) < release(self.until))

    def inside(self, layer: Layer) -> bool:
        return any(type(part).__name__ in self.classes for _, part in layer.walk())


def multilabel_margin_loss(x: Any, t: Any, *_: Any, reduction: str = "mean") -> Any:
    """Σᵢⱼ max(0, 1 − x[tᵢ] + xⱼ)/C over the targets tᵢ before the first −1 and all j that are no target."""
    ended = (t == -1).cumsum(-1) > 0
    index = torch.where(ended, 0, t)
    told = ~ended.unsqueeze(-1)
    is_target = ((index.unsqueeze(-1) == torch.arange(x.shape[-1], device=x.device)) & told).any(-2, keepdim=True)
    margins = torch.relu(1 - x.gather(-1, index).unsqueeze(-1) + x.unsqueeze(-2))
    v = torch.where(told & ~is_target, margins, 0).sum((-2, -1)) / x.shape[-1]
    return v.mean() if reduction == "mean" else v.sum() if reduction == "sum" else v


def multi_margin_loss(
    x: Any, t: Any, p: int = 1, margin: float = 1.0, weight: Any = None, *_: Any, reduction: str = "mean"
) -> Any:
    """Σ_c w_t max(0, margin − x[t] + x_c)ᵖ/C over all c but t."""
    x, k = torch.atleast_1d(x), t.unsqueeze(-1)
    h = torch.relu(margin - x.gather(-1, k) + x) ** p * (1 if weight is None else weight[k])
    v = torch.where(torch.arange(x.shape[-1], device=x.device) == k, 0, h).sum(-1) / x.shape[-1]
    return v.mean() if reduction == "mean" else v.sum() if reduction == "sum" else v


def without(name: str, layer: Layer) -> Layer:
    """The network with the identity in the place of a class."""
    return registry()["Identity"]() if type(layer).__name__ == name else layer.map(partial(without, name))


KNOWN = (
    Known(
        name="MultiLabelMarginLoss counts what stands after −1",
        classes=("MultiLabelMarginLoss",),
        source="pytorch/pytorch issue 141017",
        until="2.14",
        around=lambda: mock.patch.object(F, "multilabel_margin_loss", multilabel_margin_loss),
    ),
    Known(
        name="MultiMarginLoss has the slope 1 at its kink, as clamp_min had, where torch as it is has 0",
        classes=("MultiMarginLoss",),
        source="tests/test_torch_limits.py",
        until="2.14",
        around=lambda: mock.patch.object(F, "multi_margin_loss", multi_margin_loss),
    ),
    Known(
        name="detach is lost when an exported program is decomposed",
        classes=("Detach",),
        source="tests/test_torch_limits.py",
        ways=("export",),
        does=partial(without, "Detach"),
    ),
)


def of(way: str, layer: Layer, version: str = torch.__version__) -> tuple[Known, ...]:
    """The faults that this network may show, run in this way."""
    return tuple(k for k in KNOWN if k.holds(way, version) and k.inside(layer))


def around(faults: tuple[Known, ...]) -> AbstractContextManager:
    """Within it, what all of them do is right."""
    stack = ExitStack()
    for fault in faults:
        stack.enter_context(fault.around())
    return stack
