"""An object that keeps its cache, parameters and gradients in itself: forward(x), backward(dy)."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from .arguments import required
from .forms import taken
from .gradients import array, arrays_of, is_real, keyed, named, plain, spelled, upstream_of
from .pair import tensors_of
from .subject import Subject

FORWARDS = ("forward", "forward_pass", "fprop", "__call__")
BACKWARDS = ("backward", "backward_pass", "bprop", "backprop")
GRADS = ("grads", "grad", "gradients", "dparams")
RATES = ("lr", "learning_rate", "eta", "alpha")


def methods(obj: Any) -> tuple[str, str] | None:
    """What its two methods are called, if it has them."""
    f, b = (next((n for n in each if hasattr(obj, n)), None) for each in (FORWARDS, BACKWARDS))
    return None if f is None or b is None else (f, b)


class Object(Subject):
    """Two methods of an object. tensors: they, and what makes it, are of torch's tensors, as a module's are.

    A parameter W is looked for in obj.params["W"] (or at its place in the list obj.params), then obj.W; its gradient
    in what backward returns, in obj.grads["W"], obj.dW, obj.W_grad, obj.grad_W, obj.W.grad. Two functions say so where
    it is otherwise: set(obj, name, array) and get(obj, name). If backward updates W itself, its gradient is
    (before − after)/lr, where lr is among the options or an attribute.
    """

    stateful = True

    def __init__(
        self, make: Callable[[Mapping[str, Any]], Any], names: tuple[str, ...], get: Callable | None = None,
        put: Callable | None = None, built: Sequence[str] = (), lr: float | None = None, accumulates: bool = False,
        constant: Sequence[str] = (), tensors: bool = False,
    ) -> None:  # fmt: skip
        self.make, self.names, self.get, self.put, self.built, self.lr = make, names, get, put, built, lr
        self.constant, self.tensors = constant, tensors
        self.accumulates, self.obj, self.remade = accumulates, None, bool(built)
        ones = {n: np.ones((1, 1)) for n in built}
        obj = make(tensors_of(ones) if tensors else ones)
        self.of_torch = tensors or isinstance(obj, torch.nn.Module)
        self.f, self.b = methods(obj) or ("forward", "backward")
        self.of_call = self._of_call(getattr(obj, self.f))
        takes = taken(getattr(obj, self.b))
        self.takes = ["dy"] if takes is None else takes
        self.no_upstream = not self.takes
        self.own = self.kept = tuple(n for n in names if n not in self.of_call)

    def fresh(self):
        more = self.built, self.lr, self.accumulates, self.constant, self.tensors
        return Object(self.make, self.names, self.get, self.put, *more)

    def _of_call(self, forward: Callable) -> tuple[str, ...]:
        """The inputs that forward takes; the others are parameters."""
        left = tuple(n for n in self.names if n not in self.built)
        own = required(forward) or []
        if own and {*own} <= {*left}:
            return tuple(own)
        return left[: max(len(own), 1)]

    def forward(self, arrays):
        given = tensors_of(arrays) if self.of_torch else arrays
        if self.obj is None or (self.built and not self.goes_on):
            self.obj = self.make(given if self.tensors else arrays)
        for i, name in enumerate(self.own):
            if self.put is not None:
                self.put(self.obj, name, given[name])
            elif name not in self.built:
                set_parameter(self.obj, name, given[name], i)
        with torch.set_grad_enabled(not self.of_torch and torch.is_grad_enabled()):
            y = getattr(self.obj, self.f)(*(given[n] for n in self.of_call))
        return arrays_of(plain(y)), (y, {n: np.array(array(arrays[n])) for n in self.own}, given)

    def backward(self, dy, cache):
        y, before, given = cache
        dy = upstream_of(plain(y), dy) if self.of_torch else dy
        each = tuple(dy) if isinstance(dy, tuple) and len(self.takes) == len(dy) > 1 else (dy,)
        with torch.set_grad_enabled(not self.of_torch and torch.is_grad_enabled()):
            found = arrays_of(getattr(self.obj, self.b)(*(each if self.takes else ())))
        grads = self._returned(found, given)
        for n in self.names:
            if n not in grads:
                grads[n] = self._kept(n, before, n in self.own or not any(g is not None for g in grads.values()))
        return grads

    def _returned(self, found: Any, given: Mapping[str, Any]) -> dict[str, Any]:
        if found is None:
            return {n: None for n in self.of_call if not is_real(given[n])}
        if isinstance(found, Mapping):
            return keyed(found, self.names)
        whole = isinstance(found, (tuple, list)) and len(found) == len(self.names)
        return named(found, self.names if whole else self.of_call, given, self.constant)

    def _kept(self, name: str, before: Mapping[str, Any], wanted: bool) -> Any:
        """A gradient from where the object keeps it; an error if it is wanted and nowhere."""
        if self.get is not None:
            return arrays_of(self.get(self.obj, name))
        index = self.own.index(name) if name in self.own else None
        missing = object()
        if (g := gradient_on(self.obj, name, index, missing)) is not missing:
            return arrays_of(g)
        if name in before and (moved := self._updated(name, index, before[name])) is not None:
            return moved
        if wanted:
            raise ValueError(nowhere(self.obj, name))
        return None

    def _updated(self, name: str, index: int | None, before: Any) -> Any:
        """(before − after)/lr, where backward moves the parameter itself."""
        after = arrays_of(parameter_on(self.obj, name, index))
        if after is None or np.shape(after) != before.shape or np.array_equal(after, before):
            return None
        rate = self.lr or next((getattr(self.obj, r) for r in RATES if np.isscalar(getattr(self.obj, r, None))), None)
        if rate is None:
            raise ValueError(
                f"backward of {type(self.obj).__name__} updates {name} itself and keeps no gradient of it: "
                f"say its learning rate, options={{'lr': 0.1}}, or where the gradient is: get=lambda obj, name: …"
            )
        return (before - after) / rate


def set_parameter(obj: Any, name: str, value: Any, index: int | None = None) -> None:
    """Where an object keeps a parameter: obj.params[name], at its place in the list obj.params, or obj.name."""
    params = getattr(obj, "params", None)
    if isinstance(params, dict):
        params[name] = value
        return
    if isinstance(params, (list, tuple)) and index is not None and index < len(params):
        obj.params = type(params)(value if i == index else p for i, p in enumerate(params))
        grads = getattr(obj, "grads", None)
        if isinstance(grads, list) and index < len(grads) and np.shape(grads[index]) != np.shape(value):
            grads[index] = 0 * value
        if not hasattr(obj, name):
            return
    held: Any = getattr(obj, name, None)
    if _is_holder(held):
        held.data = value
    else:
        setattr(obj, name, value)


def _is_holder(held: Any) -> bool:
    """An object that holds an array in .data and its gradient in .grad."""
    return held is not None and not isinstance(held, (np.ndarray, np.generic)) and hasattr(held, "data") and hasattr(
        held, "grad"
    )  # fmt: skip


def parameter_on(obj: Any, name: str, index: int | None) -> Any:
    """The parameter as it is now; None if it is not found."""
    params = getattr(obj, "params", None)
    if isinstance(params, Mapping) and name in params:
        return params[name]
    held: Any = getattr(obj, name, None)
    if held is None and isinstance(params, (list, tuple)) and index is not None and index < len(params):
        return params[index]
    return held.data if held is not None and _is_holder(held) else held


def gradient_on(obj: Any, name: str, index: int | None, missing: Any) -> Any:
    """Where an object keeps a gradient."""
    for grads in (getattr(obj, place, None) for place in GRADS):
        if isinstance(grads, Mapping) and name in (found := keyed(grads, [name])):
            return found[name]
        if isinstance(grads, (list, tuple)) and index is not None and index < len(grads):
            return grads[index]
    for place in spelled(name)[1:]:
        if hasattr(obj, place):
            return getattr(obj, place)
    held: Any = getattr(obj, name, None)
    return held.grad if _is_holder(held) and held.grad is not None else missing


def nowhere(obj: Any, name: str) -> str:
    """That no gradient was found, and the places looked at."""
    places = ", ".join("." + p for p in spelled(name)[1:5])
    return (
        f"no gradient of {name!r} was found on {type(obj).__name__}: looked at what backward returns, "
        f".grads[{name!r}], {places}, .{name}_g, .{name}.grad. Say where it is: "
        f"get=lambda obj, name: obj.my_gradients[name]"
    )


def maker(given: Any, names: Sequence[str]) -> tuple[Callable[[Mapping[str, Any]], Any], tuple[str, ...]]:
    """How to make the object anew, and the inputs that its constructor takes."""
    if not isinstance(given, type):
        untouched = copy.deepcopy(given)
        return (lambda _: copy.deepcopy(untouched)), ()
    wanted = required(given) or []
    if not wanted:
        return (lambda _: given()), ()
    if {*wanted} <= {*names}:
        return (lambda arrays: given(*(arrays[n] for n in wanted))), tuple(wanted)
    numbers = ", ".join(str(3 - i % 2) for i in range(len(wanted)))
    raise ValueError(
        f"{given.__name__} is a class whose constructor takes {', '.join(wanted)}: give an object that is made, as "
        f"check_function({given.__name__}({numbers}), …), or call the inputs as the constructor does"
    )
