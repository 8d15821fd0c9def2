"""An example written out in PyTorch: plain calls, every tensor by a name of its own."""

import inspect
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from manualbp.base import Layer

from ..draw.trial import Trial
from ..sides.module import to_tensors
from ..twin.layers import to_torch
from ..twin.modules import Whole, as_tuple, call
from ..twin.operations import Operation
from ..twin.step import continuous
from . import torch_words

PARAMETERS = 2  # whose gradients are shown
Way = tuple[list[str], list[str], str]  # imports, the lines that make a module, and the call


def code(layer: Layer, trial: Trial) -> str:
    """Forward and backward pass with the same params, x and dy, in torch's own words where they give its numbers."""
    module = to_torch(layer, trial.params)
    y = passed(module, trial)
    ways = [by_function(module, trial), by_module(layer, module, trial), by_twin(layer, module, trial)]
    texts = [written(layer, module, trial, y, *way) for way in ways if way]
    return next((text for text in texts[:-1] if gives(text, layer, trial, y)), texts[-1])


def passed(module: torch.nn.Module, trial: Trial) -> Any:
    """What the module gives."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, about what it will do in another version
        return as_tuple(call(module, to_tensors(trial.x, requires_grad=True)))


def by_function(module: torch.nn.Module, trial: Trial) -> Way | None:
    """An operation is a function of torch."""
    if not isinstance(module, Operation):
        return None
    x = to_tensors(trial.x, requires_grad=True)
    text = torch_words.call(module, x, {id(t): name for name, t in named(x, "x")})
    return ([], [], text) if text else None


def by_module(layer: Layer, module: torch.nn.Module, trial: Trial) -> Way | None:
    """A layer is a module of torch.nn."""
    try:
        text = torch_words.module(layer)
    except LookupError:
        return None
    imports, made = [], [f"module = {text}" + ".double()" * bool(trial.params)]
    if trial.params:
        nested = any(isinstance(p, dict) for p in trial.params.values())
        params = "flatten(params)" if nested else "params"
        imports = ["from manualbp.base import flatten"] if nested else []
        made.append(f"module.load_state_dict({{name: torch.tensor(p) for name, p in {params}.items()}})")
    made += ["module.eval()"] if not getattr(layer, "training", True) else []
    return imports, made, called(module, trial.x)


def by_twin(layer: Layer, module: torch.nn.Module, trial: Trial) -> Way:
    """What neither is, `to_torch` makes."""
    known = f"  # torch.nn.{type(layer).__name__}" if type(layer).__name__ in vars(torch.nn) else ""
    return ["from reference import to_torch"], [f"module = to_torch(layer, params){known}"], called(module, trial.x)


def written(
    layer: Layer, module: torch.nn.Module, trial: Trial, y: Any, imports: list[str], made: list[str], text: str
) -> str:
    """The code of one way."""
    random = ["# It draws numbers of its own; for the table below both sides drew the same."] if layer.random else []
    back = list(backward(y, trial.dy))
    return "\n".join([
        "import torch", *imports, "", *random, *made, *inputs(trial.x), f"{pattern(y, 'y')} = {text}", *back,
        *([gradients(trial, module)] if back else []),
    ])  # fmt: skip


def gives(text: str, layer: Layer, trial: Trial, y: Any) -> bool:
    """Does the code run, and to what torch gave?"""
    space = {"params": trial.params, "x": trial.x, "dy": trial.dy}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(text, space)
    except Exception:  # some modules are made in other ways, and then the twin says how
        return False
    return layer.random or all(same(space[name], t) for name, t in named(y, "y"))


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    """But for the rounding of another of torch's kernels, as for labels that are integers."""
    alike = a.dtype == b.dtype and a.shape == b.shape and continuous(a)
    return torch.equal(a, b) or (alike and torch.allclose(a, b, rtol=1e-12, atol=1e-14, equal_nan=True))


def gradients(trial: Trial, module: torch.nn.Module) -> str:
    """Where they are found."""
    found = [n for n, a in named(trial.x, "x") if is_real(a)]
    parameters = [] if isinstance(module, Operation) else [n for n, _ in module.named_parameters() if "." not in n]
    return ", ".join(f"{n}.grad" for n in [*found, *(f"module.{n}" for n in parameters[:PARAMETERS])])


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
    return isinstance(a, (np.ndarray, np.generic)) and a.dtype.kind in "fc"
