"""What is checked, in one form: named arrays go in, an output and named gradients come out.

A pair of functions, an object with forward and backward, a pointwise f and df, a torch.autograd.Function and a
manualbp.Layer are each brought into this form by one class below.
"""

import copy
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import torch

from manualbp.base import Array, Layer, Tree, flatten, run, unflatten

from ..draw.trial import cast
from .run import flat, leaves

Arrays = dict[str, Any]


class Subject:
    """forward(arrays) -> y, cache;  backward(dy, cache) -> gradients by name. `names`: of the inputs, in order."""

    def fresh(self) -> "Subject":
        """The same with nothing of an earlier call in it."""
        return self

    names: tuple[str, ...]
    stateful = False  # does it keep its cache in itself?
    of_torch = False  # is its arithmetic torch's?
    no_upstream = False  # is its output a loss, whose gradients it gives without a dy?

    def forward(self, arrays: Arrays) -> tuple[Tree, Any]:
        raise NotImplementedError

    def backward(self, dy: Tree, cache: Any) -> Arrays:
        raise NotImplementedError

    def moved(self, cache: Any) -> Arrays:
        """Buffers after a forward pass, by name."""
        return {}


class Pair(Subject):
    """Two functions: forward(x, w, b) -> y, cache or y alone;  backward(dy, cache), (dy, x, w, b) or (dy)."""

    def __init__(self, forward: Callable, backward: Callable, names: tuple[str, ...]) -> None:
        self.f, self.b, self.names = forward, backward, names
        self.takes = positional(backward)

    def forward(self, arrays):
        found = self.f(*(arrays[n] for n in self.names))
        y, cache = found if isinstance(found, tuple) and len(found) == 2 else (found, None)
        return y, (cache, arrays, isinstance(found, tuple))

    def backward(self, dy, cache):
        kept, arrays, given = cache
        if self.takes and self.takes[0] in ("cache", "ctx", "saved"):
            return named(self.b(kept, dy), self.names, arrays)
        if len(self.takes) == 1:
            return named(self.b(dy), self.names, arrays)
        if given and len(self.takes) == 2:
            return named(self.b(dy, kept), self.names, arrays)
        return named(self.b(dy, *(arrays[n] for n in self.names)), self.names, arrays)


class LossAndGradient(Subject):
    """One function that gives the loss and its gradients: f(x, …) -> loss, (dx, …)."""

    no_upstream = True

    def __init__(self, f: Callable, names: tuple[str, ...]) -> None:
        self.f, self.names = f, names

    def forward(self, arrays):
        return self.f(*(arrays[n] for n in self.names))[0], arrays

    def backward(self, dy, cache):
        return named(self.f(*(cache[n] for n in self.names))[1], self.names, cache)


class Pointwise(Subject):
    """An activation: f(x) and its slope df(x), entry by entry."""

    def __init__(self, f: Callable, df: Callable, names: tuple[str, ...] = ("x",)) -> None:
        self.f, self.df, self.names = f, df, names

    def forward(self, arrays):
        (name,) = self.names
        return self.f(arrays[name]), arrays[name]

    def backward(self, dy, cache):
        return {self.names[0]: dy * self.df(cache)}


class Object(Subject):
    """forward(x) and backward(dy) methods of an object that keeps its cache, parameters and gradients in itself.

    A parameter W is looked for in obj.params["W"], then obj.W; its gradient in what backward returns, in
    obj.grads["W"], obj.dW, obj.W_grad, obj.grad_W. Two functions say so where it is otherwise:
    set(obj, name, array) and get(obj, name).
    """

    stateful = True

    def __init__(self, obj: Any, names: tuple[str, ...], get: Callable | None, put: Callable | None) -> None:
        self.obj = obj() if isinstance(obj, type) else obj
        self.untouched = copy.deepcopy(self.obj)
        self.names, self.get, self.put = names, get or gradient_on, put or set_parameter
        self.of_call = names[: max(len(positional(self.obj.forward)), 1)]

    def fresh(self):
        return Object(copy.deepcopy(self.untouched), self.names, self.get, self.put)

    def forward(self, arrays):
        for name in self.names:
            if name not in self.of_call:
                self.put(self.obj, name, arrays[name])
        return self.obj.forward(*(arrays[n] for n in self.of_call)), None

    def backward(self, dy, cache):
        found = self.obj.backward(dy)
        found = found if isinstance(found, Mapping) else named(found, self.of_call, {}) if found is not None else {}
        return {n: found[n] if n in found else self.get(self.obj, n) for n in self.names}


def set_parameter(obj: Any, name: str, array: Array) -> None:
    """Where an object keeps a parameter: obj.params[name], or obj.name."""
    params = getattr(obj, "params", None)
    if isinstance(params, dict):
        params[name] = array
    else:
        setattr(obj, name, array)


def gradient_on(obj: Any, name: str) -> Any:
    """Where an object keeps a gradient; a ValueError that names the places looked at."""
    places = (f"d{name}", f"{name}_grad", f"grad_{name}", f"d_{name}")
    grads = getattr(obj, "grads", None)
    if isinstance(grads, Mapping):
        for key in (name, *places):
            if key in grads:
                return grads[key]
    for place in places:
        if hasattr(obj, place):
            return getattr(obj, place)
    raise ValueError(
        f"no gradient of {name!r} was found on {type(obj).__name__}: looked at what backward returns, "
        f".grads[{name!r}], {', '.join('.' + p for p in places)}. "
        f"Say where it is: get=lambda obj, name: obj.my_gradients[name]"
    )


class AutogradFunction(Subject):
    """A torch.autograd.Function: its backward is what autograd calls."""

    of_torch = True

    def __init__(self, function: type, names: tuple[str, ...]) -> None:
        self.function, self.names = function, names

    def forward(self, arrays):
        tensors = {n: as_tensor(arrays[n]) for n in self.names}
        y = self.function.apply(*tensors.values())
        return as_arrays(y), (y, tensors)

    def backward(self, dy, cache):
        y, tensors = cache
        wanted = {n: t for n, t in tensors.items() if t.requires_grad}
        pairs = [(a, d) for a, d in zip(flat(y), flat(dy)) if d is not None]
        found = torch.autograd.grad(
            [a for a, _ in pairs], list(wanted.values()), [torch.as_tensor(d) for _, d in pairs],
            allow_unused=True, retain_graph=True,
        )  # fmt: skip
        return {n: None if g is None else g.numpy().copy() for n, g in zip(wanted, found)}


class OfLayer(Subject):
    """A manualbp.Layer: its inputs are called x, or x[0], x[1], …, its parameters as in state_dict. `buffers`: the
    names of those that have no gradient."""

    def __init__(self, layer: Layer, example: tuple[Any, Any], seed: int, buffers: Collection[str] = ()) -> None:
        params, x = example
        self.layer, self.seed, self.shape_of_x = layer, seed, x
        self.params = tuple(n for n in flatten(params) if n not in buffers)
        self.buffers = {n: a for n, a in flatten(params).items() if n in buffers}
        self.names = (*(n for n, a in leaves(x, "x").items() if a is not None), *self.params)

    def forward(self, arrays):
        real = next((a.dtype for a in arrays.values() if a.dtype.kind in "fc"), np.float64)
        params = unflatten(cast(self.buffers, real) | {n: arrays[n] for n in self.params})
        y, cache = run(self.layer, params, rebuilt(self.shape_of_x, arrays, "x"), np.random.default_rng(self.seed))
        return y, (params, cache)

    def backward(self, dy, cache):
        dx, grads = self.layer.backward(cache[0], cache[1], dy)
        return leaves(dx, "x") | flatten(grads)

    def moved(self, cache):
        return {n: a for n, a in flatten(self.layer.track(*cache)).items() if n in self.buffers}


def rebuilt(tree: Tree, arrays: Arrays, name: str) -> Tree:
    """A tuple nested like `tree`, of the arrays named x[0], x[1][0], …"""
    if isinstance(tree, tuple):
        return tuple(rebuilt(part, arrays, f"{name}[{i}]") for i, part in enumerate(tree))
    return None if tree is None else arrays[name]


def positional(f: Callable) -> list[str]:
    """The names of the positional arguments that a call must give."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        return ["dy", "cache"]
    return [p.name for p in parameters if p.kind in kinds and p.default is p.empty]


def named(found: Any, names: tuple[str, ...], arrays: Arrays) -> Arrays:
    """Gradients by name, whether they came as a dict, a tuple in the order of the inputs, or one array."""
    if isinstance(found, Mapping):
        return dict(found)
    each = tuple(found) if isinstance(found, (tuple, list)) else (found,)
    real = tuple(n for n in names if np.asarray(arrays.get(n, 0.0)).dtype.kind == "f")
    for order in (names, real):
        if len(each) == len(order):
            return dict(zip(order, each))
    raise ValueError(f"backward gives {len(each)} gradients; the inputs are {', '.join(names)}: one for each is wanted")


def as_tensor(a: Any) -> torch.Tensor:
    """A copy as a tensor that gathers a gradient if it is real."""
    t = torch.from_numpy(np.array(a))
    return t.requires_grad_() if t.is_floating_point() else t


def as_arrays(y: Any) -> Tree:
    if isinstance(y, (tuple, list)):
        return tuple(map(as_arrays, y))
    return None if y is None else y.detach().numpy().copy()
