"""A torch.optim.Optimizer class as a rule: on tensors, with groups and a learning rate that changes where asked for."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch

from ..draw.steps import Flat
from ..twin.optimizers import scalars_as, unrounded_muon
from .arguments import parameters
from .rules import Rule, Running

Make = Callable[[Any], Any]  # a list of tensors, or of groups, -> the optimizer


class OnTensors(Running):
    """An optimizer of torch with the tensors that it moves. groups: options of a second group, the later half of them;
    reused: gradients are written into the same tensors every time, as zero_grad(set_to_none=False) does."""

    def __init__(self, make: Make, params: Flat, groups: Mapping[str, Any] | None = None) -> None:
        self.make, self.dtype = make, next(iter(params.values())).dtype
        self.tensors = {n: torch.nn.Parameter(torch.from_numpy(np.array(p))) for n, p in params.items()}
        own = list(self.tensors.values())
        half = len(own) // 2
        given = own if groups is None else [{"params": own[:half]}, {"params": own[half:], **groups}]
        with self._scalars():
            self.made = make(given)
        if not isinstance(self.made, torch.optim.Optimizer):
            raise ValueError(f"{type(self.made).__name__} is no torch.optim.Optimizer")
        self.rates = [group.get("lr") for group in self.made.param_groups]

    def _scalars(self) -> AbstractContextManager:
        return scalars_as(self.dtype) if self.dtype.kind == "f" else nullcontext()

    def step(self, grads: Mapping[str, Any], rate: float = 1.0) -> None:
        for n, p in self.tensors.items():
            g = grads.get(n)
            p.grad = None if g is None else torch.from_numpy(np.asarray(g, self.dtype).reshape(p.shape))
        for group, lr in zip(self.made.param_groups, self.rates, strict=True):
            if lr is not None and rate != 1:
                group["lr"] = lr * rate
        with self._scalars():
            self.made.step()

    def read(self) -> Flat:
        return {n: p.detach().numpy().copy() for n, p in self.tensors.items()}

    def write(self, params: Flat) -> None:
        with torch.no_grad():
            for n, p in params.items():
                self.tensors[n].copy_(torch.from_numpy(np.array(p)))


class WithoutRounding(OnTensors):
    """torch's Muon without its rounding to bfloat16."""

    def step(self, grads: Mapping[str, Any], rate: float = 1.0) -> None:
        with unrounded_muon():
            super().step(grads, rate)


def of_torch(cls: type[torch.optim.Optimizer], options: Mapping[str, Any], groups: Any = None) -> Rule:
    """The rule of a class with these options."""
    checked_options(cls, options)
    return Rule(
        lambda params: OnTensors(lambda p: cls(p, **options), params, groups), f"{cls.__name__}(params, …)", True
    )


def made_as_torch(make: Make, groups: Any = None) -> Rule:
    """The rule of an optimizer that a function makes of its parameters."""
    return Rule(
        lambda params: OnTensors(make, params, groups), "a function that makes an optimizer of the parameters", True
    )


def checked_options(cls: type, options: Mapping[str, Any], against: bool = False) -> None:
    """A ValueError with the right call, where the class does not take an option."""
    found = parameters(cls)
    if found is None or any(p.kind is p.VAR_KEYWORD for p in found):
        return
    known = [p.name for p in found[1:]]
    if strange := [n for n in options if n not in known]:
        if against:
            raise ValueError(
                f"against={cls.__name__} takes no {', '.join(strange)}; it takes {', '.join(known)}. "
                f"Write check_optimizer(step, against={cls.__name__}, {known[0] if known else ''}=…)"
            )
        shown = ", ".join(f"{n}={v!r}" for n, v in options.items())
        raise ValueError(
            f"{cls.__name__} takes no {', '.join(strange)}; it takes {', '.join(known)}. Make it yourself where its "
            f"options have other names: check_optimizer(lambda params: {cls.__name__}(params, …), against=…, {shown})"
        )
