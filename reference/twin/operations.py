"""The torch twin of an operation: the torch function of the same meaning, as a module."""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as F  # noqa: N812  (its name everywhere)

from .modules import Whole


class Operation(Whole):
    """A torch function of its inputs, with the options of the layer."""

    def __init__(self, name: str, options: dict[str, Any]) -> None:
        super().__init__()
        self.name, self.options = name, options

    def forward(self, x: Any) -> Any:
        return plain(TABLE[self.name](*(x if isinstance(x, tuple) else (x,)), **self.options))


def plain(y: Any) -> Any:
    """Views laid out anew: some of torch's layers refuse transposed inputs, as NLLLoss of images does (torch 2.13)."""
    return y.contiguous() if isinstance(y, torch.Tensor) else tuple(map(plain, y))


def pair(f: Callable, second: str = "other") -> Callable:
    """f of two operands, of which a number may be given as an option."""

    def call(*x: Any, input: Any = None, **options: Any) -> Any:
        number = options.pop(second)
        inputs = list(x)
        a, b = (inputs.pop(0) if given is None else given for given in (input, number))
        return f(a, b, **options)

    return call


def squeeze(x: Any, dim: Any) -> Any:
    return x.squeeze() if dim is None else x.squeeze(dim)


def addmm(c: Any, a: Any, b: Any, **options: Any) -> Any:
    return torch.addmm(c, a, b, **options) if a.ndim == 2 else torch.baddbmm(c, a, b, **options)


def to(x: Any, dtype: str | None) -> Any:
    return x if dtype is None else x.to(getattr(torch, dtype))


def div(a: Any, b: Any, rounding_mode: str | None = None) -> Any:
    if rounding_mode is None:
        return a / b
    return torch.div(*tensors(a, b), rounding_mode=rounding_mode)


def tensors(a: Any, b: Any) -> tuple[Any, Any]:
    """Both as tensors: torch has no gradient of some functions of a number and a tensor."""
    return tuple(v if isinstance(v, torch.Tensor) else torch.tensor(v, dtype=o.dtype) for v, o in ((a, b), (b, a)))  # type: ignore


def attention(*x: Any, training: bool, dropout_p: float, **options: Any) -> Any:
    return F.scaled_dot_product_attention(*x, dropout_p=dropout_p if training else 0.0, **options)


TABLE: dict[str, Callable] = {
    "Add": pair(lambda a, b, alpha: a + alpha * b),
    "Sub": pair(lambda a, b, alpha: a - alpha * b),
    "Mul": pair(lambda a, b: a * b),
    "Div": pair(div),
    "FloorDivide": pair(lambda a, b: div(a, b, "floor")),
    "Remainder": pair(lambda a, b: torch.remainder(*tensors(a, b))),
    "Pow": pair(lambda a, b: a**b, "exponent"),
    "Neg": torch.neg,
    "Exp": torch.exp,
    "Expm1": torch.expm1,
    "Log": torch.log,
    "Log2": torch.log2,
    "Log1p": torch.log1p,
    "Sqrt": torch.sqrt,
    "Rsqrt": torch.rsqrt,
    "Reciprocal": torch.reciprocal,
    "Square": torch.square,
    "Abs": torch.abs,
    "Sin": torch.sin,
    "Cos": torch.cos,
    "Erf": torch.erf,
    "Sign": torch.sign,
    "Floor": torch.floor,
    "Ceil": torch.ceil,
    "Round": torch.round,
    "Reshape": torch.reshape,
    "Ravel": torch.flatten,
    "Squeeze": squeeze,
    "Unsqueeze": torch.unsqueeze,
    "Permute": torch.permute,
    "SwapAxes": torch.transpose,
    "Turned": lambda x, kind: getattr(x, kind),
    "MoveDim": torch.movedim,
    "Expand": lambda x, size: x.expand(size),
    "Tile": lambda x, repeats: x.repeat(repeats),
    "RepeatInterleave": torch.repeat_interleave,
    "Roll": torch.roll,
    "Flip": lambda x, dims: torch.flip(x, dims if isinstance(dims, tuple) else (dims,)),
    "Pad": lambda x, pad, value: F.pad(x, pad, value=value),
    "Tril": torch.tril,
    "Triu": torch.triu,
    "To": to,
    "Detach": torch.detach,
    "Matmul": torch.matmul,
    "Outer": torch.outer,
    "Affine": F.linear,
    "Addmm": addmm,
    "Einsum": lambda *x, equation: torch.einsum(equation, *x),
    "ScaledDotProductAttention": attention,
}
