"""An example written out in PyTorch: plain calls, every tensor by a name of its own."""

import inspect
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from manualbp.base import Layer, flatten

from ..draw.trial import Trial
from ..sides.module import to_tensors
from ..twin.layers import to_torch
from ..twin.modules import Whole, as_tuple, call

PARAMETERS = 2  # whose gradients are shown


def code(layer: Layer, trial: Trial) -> str:
    """Forward and backward pass of the twin, with the same params, x and dy."""
    module = to_torch(layer, trial.params)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, about what it will do in another version
        y = as_tuple(call(module, to_tensors(trial.x, requires_grad=True)))
    known = f"  # torch.nn.{type(layer).__name__}" if type(layer).__name__ in vars(torch.nn) else ""
    random = ["# It draws numbers of its own; for the table below both sides drew the same."] if layer.random else []
    lines = [*random, f"module = to_torch(layer, params){known}", *inputs(trial.x)]
    back = list(backward(y, trial.dy))
    lines += [f"{pattern(y, 'y')} = {called(module, trial.x)}", *back, *([gradients(trial)] if back else [])]
    return "\n".join(["import torch", "from reference import to_torch", "", *lines])


def gradients(trial: Trial) -> str:
    """Where they are found."""
    found = [n for n, a in named(trial.x, "x") if is_real(a)]
    found += [f"module.{n}" for n in list(flatten(trial.params))[:PARAMETERS] if "." not in n]
    return ", ".join(f"{n}.grad" for n in found)


def inputs(x: Any) -> Iterator[str]:
    """x taken apart, and every array of it as a tensor."""
    if isinstance(x, tuple):
        yield f"{pattern(x, 'x')} = x"
    for name, a in named(x, "x"):
        if isinstance(a, (np.ndarray, np.generic)):
            yield f"{name} = torch.tensor({name}{', requires_grad=True' if is_real(a) else ''})"


def called(module: torch.nn.Module, x: Any) -> str:
    """The call: arguments of a torch module one by one, and the options that it is called with."""
    options = getattr(module, "call_options", {})
    given = [f"{n}={v!r}" for n, v in options.items()]
    if isinstance(module, Whole):
        return f"module({inner(x, 'x')})"
    if not isinstance(x, tuple):
        return f"module({', '.join(['x', *given])})"
    parts = [inner(a, f"x_{i}") for i, a in enumerate(x)]
    if options:
        names = [n for n in inspect.signature(module.forward).parameters if n not in options]
        parts = [f"{n}={part}" for n, part in zip(names, parts, strict=False)]
    return f"module({', '.join([*parts, *given])})"


def backward(y: Any, dy: Any) -> Iterator[str]:
    """dy from every output that has a gradient."""
    if isinstance(dy, tuple):
        yield f"{pattern(dy, 'dy')} = dy"
    given = dict(named(dy, "dy"))
    ends = [n for n, a in named(y, "y") if isinstance(a, torch.Tensor) and a.requires_grad and f"d{n}" in given]
    if len(ends) == 1:
        yield f"{ends[0]}.backward(torch.tensor(d{ends[0]}))"
    elif ends:
        upstream = ", ".join(f"d{n}" for n in ends)
        yield f"torch.autograd.backward([{', '.join(ends)}], [torch.tensor(d) for d in ({upstream})])"


def named(tree: Any, name: str) -> Iterator[tuple[str, Any]]:
    """What stands in nested tuples, as x, or x_0, x_1_0; nothing where there is nothing."""
    if isinstance(tree, tuple):
        for i, part in enumerate(tree):
            yield from named(part, f"{name}_{i}")
    elif tree is not None:
        yield name, tree


def pattern(tree: Any, name: str) -> str:
    """The left side that takes a tree apart."""
    if not isinstance(tree, tuple):
        return "_" if tree is None else name
    text = inner(tree, name).replace("None", "_")
    return text[1:-1] if len(tree) > 1 else text


def inner(tree: Any, name: str) -> str:
    """A tree of names as Python writes it."""
    if not isinstance(tree, tuple):
        return "None" if tree is None else name
    return f"({', '.join(inner(a, f'{name}_{i}') for i, a in enumerate(tree))}{',' * (len(tree) == 1)})"


def is_real(a: Any) -> bool:
    return isinstance(a, (np.ndarray, np.generic)) and a.dtype.kind == "f"
