"""Optimizers that are objects: made with the parameters or without, given lists, dicts or one array at a time."""

import copy
import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import torch

from ..draw.steps import Flat
from .arguments import POSITIONAL, parameters
from .rules import (
    PLURAL,
    KeptArrays,
    Rule,
    Running,
    Shapes,
    Together,
    candidates,
    contents,
    held,
    is_gradient,
    reshaped,
)


class Holder:
    """A parameter with its gradient, as small frameworks have them."""

    def __init__(self, data: Any) -> None:
        self.data, self.grad, self.requires_grad = data, None, True


METHODS = ("step", "update", "update_params", "apply_gradients", "__call__")
CARRIERS = (Holder, torch.nn.Parameter)
OWN = ("params", "parameters", "weights")  # where objects keep them


def carrier(kind: type, p: Any) -> Any:
    """The parameter as an object of this kind, or as a tensor of torch."""
    return Holder(p) if kind is Holder else torch.nn.Parameter(torch.from_numpy(np.array(p)))


def hang(carriers: list[Any], grads: list[Any]) -> None:
    """Each gradient where its parameter is."""
    for c, g in zip(carriers, grads, strict=True):
        c.grad = g if g is None or isinstance(c, Holder) else torch.from_numpy(np.asarray(g))


def data(c: Any) -> Any:
    """A copy of what a parameter holds."""
    return np.array(c.data if isinstance(c, Holder) else c.detach().numpy())


class WithParams(KeptArrays):
    """An object that was made with the parameters. `kind`: list, dict, or Holder or Parameter for a list of these."""

    def __init__(self, make: Callable, kind: type, params: Flat) -> None:
        super().__init__(params)
        self.kind, self.carried = kind, kind in CARRIERS
        self.given = [carrier(kind, p) for p in self.params.values()] if self.carried else held(kind, self.params)
        self.made = make(self.given)
        self.method, self.takes = method_of(self.made)

    def step(self, grads: Mapping[str, Any], rate: float = 1.0) -> None:
        names = list(self.params)
        given = [grads.get(n) for n in names]
        as_given = held(dict if self.kind is dict else list, dict(zip(names, given, strict=True)))
        if self.carried:
            hang(self.given, given)
        elif not self.takes:
            if not hasattr(self.made, "grads"):
                raise ValueError(f"{type(self.made).__name__}.step() takes no gradients, and the object has no .grads")
            self.made.grads = as_given
        with torch.no_grad():
            result = self.method(*([as_given] if self.takes else []))
        for n, p in zip(names, self._after(result, names), strict=True):
            self.take(n, p)

    def _after(self, result: Any, names: list[str]) -> list[Any]:
        if self.carried:
            return list(map(data, self.given))
        kept = next((v for n in OWN if isinstance(v := getattr(self.made, n, None), (list, dict, tuple))), self.given)
        return contents(result if isinstance(result, (list, dict)) else kept, names)

    def write(self, params: Flat) -> None:
        raise NotImplementedError("the object has parameters of its own")


class Carried(KeptArrays):
    """A function of parameters that carry their gradients: sgd(params) with p.data and p.grad, in place."""

    def __init__(self, call: Callable, kind: type, params: Flat) -> None:
        super().__init__(params)
        self.call, self.given = call, [carrier(kind, p) for p in self.params.values()]

    def step(self, grads: Mapping[str, Any], rate: float = 1.0) -> None:
        hang(self.given, [grads.get(n) for n in self.params])
        with torch.no_grad():
            if self.call(self.given) is not None:
                raise ValueError("a function of parameters with .grad is to change them in place and return nothing")
        for n, c in zip(list(self.params), self.given, strict=True):
            self.take(n, data(c))


class BookLayer:
    """A layer as books have it, weights and biases with their gradients: W, b, dW, db are other names for these."""

    ALIASES: ClassVar = {"W": "weights", "b": "biases", "dW": "dweights", "db": "dbiases"}

    def __init__(self, p: Any) -> None:
        self.weights, self.dweights = p, np.zeros_like(p)
        self.biases, self.dbiases = np.zeros((1, 1)), np.ones((1, 1))

    def __getattr__(self, name: str) -> Any:
        if name in BookLayer.ALIASES:
            return getattr(self, BookLayer.ALIASES[name])
        raise AttributeError(f"the layer that was given has no {name}; it has weights, biases, dweights, dbiases")

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(BookLayer.ALIASES.get(name, name), value)


class OverLayers(KeptArrays):
    """An object that is given one layer after the other, with what it wants done before and after all of them."""

    def __init__(self, made: Any, params: Flat) -> None:
        super().__init__(params)
        self.made, self.method = made, method_of(made)[0]
        self.layers = {n: BookLayer(p) for n, p in self.params.items()}

    def step(self, grads: Mapping[str, Any], rate: float = 1.0) -> None:
        getattr(self.made, "pre_update_params", lambda: None)()
        for n, layer in self.layers.items():
            if grads.get(n) is not None:
                layer.dweights = grads[n]
                self.method(layer)
                self.take(n, layer.weights)
        getattr(self.made, "post_update_params", lambda: None)()


class Transformation(KeptArrays):
    """init(params) -> state;  update(grads, state, params) -> what is added to the parameters, state."""

    def __init__(self, made: Any, params: Flat) -> None:
        super().__init__(params)
        self.made, self.state = made, {n: made.init(p) for n, p in params.items()}

    def step(self, grads: Mapping[str, Any], rate: float = 1.0) -> None:
        for n, g in grads.items():
            if g is not None:
                added, self.state[n] = self.made.update(g, self.state[n], self.params[n])
                self.take(n, self.params[n] + np.asarray(added))


class OfObject(Together):
    """A method that is given all arrays at once, and keeps what it likes in its object."""


class Stateless(KeptArrays):
    """An object for each array, given the array and its gradient."""

    def __init__(self, make: Callable[[], Any], options: Mapping[str, Any], params: Flat) -> None:
        super().__init__(params)
        self.calls = {n: _rule(make(), options) for n in params}

    def step(self, grads: Mapping[str, Any], rate: float = 1.0) -> None:
        for n, g in grads.items():
            if g is not None:
                result = self.calls[n](self.params[n], g, None)
                self.take(n, result[0] if isinstance(result, tuple) else result)


def of_object(step: Any, options: Mapping[str, Any], name: str) -> Iterator[Rule]:
    """The ways in which an object, or a class of these, may be meant."""
    if not isinstance(step, type):
        yield from _without_params(lambda: copy.deepcopy(step), step, options, name)
        return
    method_of(step, of_class=True)
    found = parameters(step) or []
    takes = [p for p in found if p.kind in POSITIONAL]
    kept = takes[0].name if takes and takes[0].name.lower() in PLURAL else None
    handed = {n: v for n, v in options.items() if any(p.name == n or p.kind is p.VAR_KEYWORD for p in found)}
    checked(step, found, handed, options, kept)
    if kept:
        yield from _with_params(lambda params: step(params, **handed), name)
    else:
        yield from _without_params(lambda: step(**handed), step, options, name)


def checked(
    step: type, found: list[inspect.Parameter], handed: Mapping[str, Any], options: Mapping[str, Any],
    kept: str | None,
) -> None:  # fmt: skip
    """A ValueError with the right call, where a class has other options than those of `against`."""
    strange = [n for n in options if n not in handed]
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    must = [
        p.name for p in found
        if p.default is p.empty and p.kind not in variadic and p.name not in handed and p.name != kept
    ]  # fmt: skip
    if not strange and not must:
        return
    told = [f"takes no {', '.join(strange)}"] if strange else []
    told += [f"needs {', '.join(must)}"] if must else []
    takes = "params" if kept else ""
    call = (
        f"check_optimizer(lambda{' params' * bool(kept)}: {step.__name__}({takes}{', ' * bool(kept)}…), against=…, …)"
    )
    raise ValueError(f"{step.__name__} {' and '.join(told)}, unlike `against`: make it yourself, {call}")


def made_by(make: Callable, options: Mapping[str, Any], name: str, of_params: bool) -> Iterator[Rule]:
    """Of a function that makes a rule: of the parameters, or of nothing. The former may also be one that moves them."""
    if of_params:
        yield from _with_params(make, name)
        for kind in CARRIERS:
            yield Rule(lambda params, k=kind: Carried(make, k, params), f"{name}(params) with p.grad of each")
        return
    made = make()
    if isinstance(made, torch.optim.Optimizer) or not inspect.isroutine(made):
        yield from _without_params(make, made, options, name)
        return
    for i, rule in enumerate(candidates(made, options, name)):
        yield Rule(lambda params, i=i: Apart(lambda: _nth(candidates(make(), options, name), i), params), rule.form)


def _nth(rules: Iterator[Rule], i: int) -> Rule:
    return next(itertools.islice(rules, i, None))


class Apart(Running):
    """A rule for each array that was made for it alone, so that what it keeps for itself is not shared."""

    def __init__(self, make: Callable[[], Rule], params: Flat) -> None:
        self.rules = {n: make().begin({n: p}) for n, p in params.items()}

    @property
    def reshaped(self) -> Shapes:
        return {shape: other for rule in self.rules.values() for shape, other in reshaped(rule).items()}

    def step(self, grads: Mapping[str, Any], rate: float = 1.0) -> None:
        for n, rule in self.rules.items():
            if grads.get(n) is not None:
                rule.step({n: grads[n]}, rate)

    def read(self) -> Flat:
        return {n: rule.read()[n] for n, rule in self.rules.items()}

    def write(self, params: Flat) -> None:
        for n, p in params.items():
            self.rules[n].write({n: p})


def _with_params(make: Callable, name: str) -> Iterator[Rule]:
    for kind in (list, dict, *CARRIERS):
        yield Rule(
            lambda params, k=kind: WithParams(make, k, params), f"{name}(params) with a {kind.__name__}, .step()"
        )


def _without_params(make: Callable[[], Any], made: Any, options: Mapping[str, Any], name: str) -> Iterator[Rule]:
    method, takes = method_of(made, options, of_class=isinstance(made, type))
    called = getattr(method, "__name__", "step")
    if not takes:
        raise ValueError(
            f"{name}.{called}() takes no gradients: give a function that makes it of the parameters, "
            f"check_optimizer(lambda params: {getattr(made, '__name__', type(made).__name__)}(params, …), against=…)"
        )
    form = f"{name}.{called}({', '.join(takes)})"
    if callable(getattr(made, "init", None)) and "state" in takes[1:2]:
        yield Rule(lambda params: Transformation(make(), params), form)
    if len(takes) == 1:
        if is_gradient(takes[0]) and "and" in takes[0]:
            yield Rule(lambda params: OfObject(_of_pairs(make(), options), lambda: None, list, params), form)
        for kind in CARRIERS:
            yield Rule(lambda params, k=kind: Carried(method_of(make(), options)[0], k, params), form)
        yield Rule(lambda params: OverLayers(make(), params), form)
        return
    single = [Rule(lambda params: Stateless(make, options, params), form)]
    many = [
        Rule(lambda params, k=k: _together(make, options, k, params), f"{form} with a {k.__name__} of arrays")
        for k in (dict, list)
    ]
    plural = any(n.lower() in PLURAL for n in takes)
    yield from (*many, *single) if plural else (*single, *many)


def _of_pairs(made: Any, options: Mapping[str, Any]) -> Callable:
    """A method that is given (gradient, parameter) pairs, as a function of (p, g, state) of lists."""
    method, _ = method_of(made, options)
    return lambda p, g, state: method(list(zip(g, p, strict=True)))


def _together(make: Callable[[], Any], options: Mapping[str, Any], kind: type, params: Flat) -> Running:
    return OfObject(_rule(make(), options), lambda: None, kind, params)


def method_of(
    made: Any, options: Mapping[str, Any] | None = None, of_class: bool = False
) -> tuple[Callable, list[str]]:
    """What is called at every step, and the names of what it must be given."""
    for name in METHODS:
        method = getattr(made, name, None)
        if callable(method) and not (of_class and name == "__call__" and not _has_call(made)):
            bound = not of_class or isinstance(inspect.getattr_static(made, name), staticmethod)
            found = [p for p in parameters(method) or [] if p.kind in POSITIONAL][0 if bound else 1 :]
            return method, [p.name for p in found if p.default is p.empty and p.name not in (options or {})]
    known = ", ".join(n for n in dir(made) if not n.startswith("_")) or "nothing"
    what = made.__name__ if isinstance(made, type) else type(made).__name__
    raise ValueError(f"{what} has no step or update; it has {known}. The right form: {what}.update(params, grads)")


def _has_call(cls: type) -> bool:
    return any("__call__" in vars(c) for c in cls.__mro__)


def _rule(made: Any, options: Mapping[str, Any]) -> Callable:
    """The object's method as a function of (p, g, state)."""
    method, takes = method_of(made, options)
    named = {p.name: options[p.name] for p in parameters(method) or [] if p.name in options}
    if len(takes) < 2:
        raise ValueError(
            f"{type(made).__name__} is given no parameters: write what it does to one array as a function, "
            "check_optimizer(lambda p, g, state: …, against=…)"
        )
    swapped = is_gradient(takes[0]) and not is_gradient(takes[1])

    def call(p: Any, g: Any, state: Any) -> Any:
        first = (g, p) if swapped else (p, g)
        return method(*first, state, **named) if len(takes) > 2 else method(*first, **named)

    return call
