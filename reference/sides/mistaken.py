"""What to say where a check was given what another check takes, or a class in the place of a module."""

import inspect
from typing import Any

import torch
from torch import nn

from manualbp.base import Layer, describe


def module_of(against: type[nn.Module]) -> nn.Module:
    """A module of a class that takes no arguments. A ValueError, with the right call, for a class that does."""
    taken = inspect.signature(against).parameters.values()
    wanted = [p.name for p in taken if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if not wanted:
        return against()
    raise ValueError(
        f"against={against.__name__} is a class that takes {', '.join(wanted)}; a module is taken, as "
        f"against=nn.Linear(3, 2), or a class that needs no arguments, as nn.Tanh. A module's own parameters stay as "
        f"they are: where yours are among `inputs`, give a function of them, as against=torch.nn.functional.linear"
    )


def layer_only(given: Any) -> None:
    """A ValueError for what is no manualbp.Layer, with the check that takes it."""
    if isinstance(given, Layer) or (isinstance(given, type) and issubclass(given, Layer)):
        return
    name = getattr(given, "__name__", None) or describe(given)
    if isinstance(given, nn.Module) or (isinstance(given, type) and issubclass(given, nn.Module)):
        module = f"{given!r:.60}" if isinstance(given, nn.Module) else name
        what, right = f"the torch.nn module {module}", "check_model(nn.Linear(3, 2), x), on a sample x of its input"
    else:
        what = f"the function {name}" if inspect.isroutine(given) else name
        right = 'check_function(forward, backward, against=…, inputs={"x": ("N", "D")})'
    raise ValueError(
        f"check_layer takes a manualbp.Layer, a class as check_layer(MyLayer) or one layer as "
        f"check_layer(manualbp.Linear(3, 2)); it got {what}, which is checked by {right}"
    )


def class_only(forward: Any) -> None:
    """A ValueError for an instance of an autograd function: its methods are those of the class."""
    if isinstance(forward, torch.autograd.Function):
        name = type(forward).__name__
        raise ValueError(
            f"forward is an instance of the torch.autograd.Function {name}; the class itself is taken, or its apply: "
            f"check_function({name}, against=…, inputs=…)"
        )
