"""A call of torch whose own backward is exchanged for another one: what a mistake in a derivation by hand is."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch

from .calls import Change, Key

Back = Callable[["Call", torch.Tensor], torch.Tensor]


class Call(NamedTuple):
    """One call: where, its text and that of its operands, what is called and with what, and what comes of it."""

    key: Key
    text: str
    operands: tuple[str, ...]
    func: Callable
    args: tuple
    options: Mapping[str, Any]
    y: torch.Tensor

    @property
    def name(self) -> str:
        return self.key[0].strip("_")

    @property
    def differing(self) -> tuple[int, ...]:
        """The positions of operands that are differentiated."""
        return tuple(i for i, a in enumerate(self.args) if differs(a))

    def of(self, x: torch.Tensor, i: int = 0) -> torch.Tensor:
        """The call with another operand."""
        return self.func(*(x if k == i else a for k, a in enumerate(self.args)), **self.options)

    def pulled(self, dy: torch.Tensor, i: int = 0, at: torch.Tensor | None = None) -> torch.Tensor:
        """The right gradient by its operand, or that which belongs to another value of it."""
        with torch.enable_grad():
            x = (self.args[i] if at is None else at).detach().requires_grad_()
            return torch.autograd.grad(self.of(x, i), x, dy)[0]


class Kind(NamedTuple):
    """A mistake that can be made at a call. group: the same at all places where it is the same mistake; text: with
    {place} for the call."""

    group: str
    text: str
    relation: str
    remedy: str
    change: Change
    fault: str | None = None


def differs(a: Any) -> bool:
    return isinstance(a, torch.Tensor) and a.requires_grad


class _Path(torch.autograd.Function):
    """Nothing forwards; backwards what `back` makes of dy."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, y: torch.Tensor, back: Callable[[torch.Tensor], torch.Tensor]) -> Any:
        ctx.back = back
        return torch.zeros_like(y)

    @staticmethod
    def backward(ctx: Any, *dys: Any) -> Any:
        return ctx.back(dys[0]), None, None


def going_back(x: torch.Tensor, y: torch.Tensor, back: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """y, from which x gets back(dy)."""
    return y + _Path.apply(x, y.detach(), back)


def exchanged(back: Back, i: int = 0) -> Change:
    """The call with `back` for the gradient by its i-th operand; as it is where that is not differentiated."""

    def change(func: Callable, args: tuple, options: Mapping[str, Any]) -> Any:
        if i >= len(args) or not differs(args[i]):
            return func(*args, **options)
        y = func(*(a.detach() if k == i else a for k, a in enumerate(args)), **options)
        call = Call((getattr(func, "__name__", ""), None, 0), "", (), func, args, options, y)
        return going_back(args[i], y, lambda dy: back(call, dy))

    return change
