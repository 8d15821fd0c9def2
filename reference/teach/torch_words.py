"""How torch itself is asked for what a layer computes: the function of an operation, the module of a layer.

An operation's function is not looked up but listened to: whatever its twin calls is written down.
"""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode, resolve_name

from manualbp.base import Layer, expression

from ..sides.run import flat
from ..twin.layers import RATIOS, for_torch

OPERATORS = {"__rsub__": "-", "rsub": "-", "__rpow__": "**", "__rtruediv__": "/", "__rdiv__": "/"}


class Listening(TorchFunctionMode):
    """The call that gave the last tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: tuple[Any, tuple, dict[str, Any]] | None = None

    def __torch_function__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        if isinstance(found, (torch.Tensor, tuple)):
            self.heard = func, args, kwargs or {}
        return found


def call(operation: nn.Module, x: Any, names: Mapping[int, str]) -> str | None:
    """The call of torch that an operation makes on x, with the names of tensors by their ids; None if it makes none."""
    with Listening() as listening:
        operation(x)
    if listening.heard is None:
        return None
    func, args, options = listening.heard
    given = [spelled(a, names) for a in args]
    said = {n: v for n, v in options.items() if v is not None or n == "dim"}  # torch.sum asks for a dim with keepdim
    return worded(func, given, {n: spelled(v, names) for n, v in said.items()})


def worded(func: Any, given: list[str], options: Mapping[str, str]) -> str:
    """A function, method, operator or attribute of torch with its arguments."""
    path = (resolve_name(func) or func.__name__).removesuffix(".__get__").replace("torch.functional.", "torch.")
    name = path.rsplit(".", 1)[-1]
    if func.__name__ == "__get__":
        return f"{given[0]}.{name}"
    if name == "__getitem__":
        return f"{given[0]}[{given[1].removeprefix('(').removesuffix(')').removesuffix(',')}]"
    if name in OPERATORS:
        return f"{given[1]} {OPERATORS[name]} {given[0]}"
    named = [f"{n}={v}" for n, v in options.items()]
    bare = name.strip("_") if name.startswith("__") else name
    if path.startswith("torch.Tensor.") and not hasattr(torch, bare):
        return f"{given[0]}.{bare}({', '.join([*given[1:], *named])})"
    own = f"torch.{bare}" if path.startswith("torch.Tensor.") else path
    return f"{own}({', '.join([*given, *named])})"


def spelled(value: Any, names: Mapping[int, str]) -> str:
    """An argument: a tensor by its name, or a number that is one; anything else as Python writes it."""
    if isinstance(value, torch.Tensor):
        return names.get(id(value)) or f"torch.tensor({value.tolist()})"
    if isinstance(value, (tuple, list)):
        inner = ", ".join(spelled(v, names) for v in value)
        return f"[{inner}]" if isinstance(value, list) else f"({inner}{',' * (len(value) == 1)})"
    if isinstance(value, slice):
        parts = ["" if v is None else spelled(v, names) for v in (value.start, value.stop, value.step)]
        return ":".join(parts if value.step is not None else parts[:2])
    return "..." if value is ... else expression(value)


def module(layer: Layer) -> str:
    """The expression that makes torch's module of a layer; a LookupError if torch.nn has none of its name."""
    cls = getattr(nn, type(layer).__name__, None)
    if cls is None:
        raise LookupError(type(layer).__name__)
    layers, options, _ = for_torch(layer, cls)
    made = [option(child) for child in layers]
    known = {**inspect.signature(type(layer)).parameters, **inspect.signature(cls).parameters}
    for name, value in options.items():
        default = known[name].default
        if value != default:
            text = expression(value) if name in RATIOS else option(value)
            made.append(text if default is inspect.Parameter.empty else f"{name}={text}")
    return f"torch.nn.{cls.__name__}({', '.join(made)})"


def option(value: Any) -> str:
    """What torch takes for an option: its own module for a layer, a tensor for weights."""
    if isinstance(value, Layer):
        return module(value)
    if isinstance(value, tuple) and any(isinstance(v, float) for v in flat(value)):
        return f"torch.tensor({value}, dtype=torch.float64)"
    return expression(value)
