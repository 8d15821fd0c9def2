"""The function intended where torch's own numbers are not those of its formula."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch.overrides import TorchFunctionMode

from ..draw.trial import Trial
from .function import Function
from .run import Run


@dataclass(frozen=True)
class InFloat64(Function):
    """Numbers that torch makes of integers, or of Python's, are float64 as all others are."""

    says: ClassVar[str] = (
        "`against` makes numbers of float32 inside, as torch.lgamma of integers or torch.tensor(0.1) does: it was run "
        "with float64 in their place"
    )

    def run(self, trial: Trial) -> Run:
        with _default_float64():
            return super().run(trial)


@dataclass(frozen=True)
class WithoutThreshold(Function):
    """Softplus is log(1 + eˣ) everywhere; torch takes x itself beyond 20, which is off by 2e-9."""

    says: ClassVar[str] = (
        "F.softplus is x itself beyond its threshold of 20, off by 2e-9: `against` was run without the threshold"
    )

    def run(self, trial: Trial) -> Run:
        with _Softplus():
            return super().run(trial)


@contextmanager
def _default_float64() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


class _Softplus(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.nn.functional.softplus and len(args) == 1 and not kwargs:
            return torch.logaddexp(args[0], torch.zeros_like(args[0]))
        return func(*args, **(kwargs or {}))


EXACT = (InFloat64, WithoutThreshold)
