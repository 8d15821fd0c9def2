"""Which of the ways in somebody's functions are, found by running them once."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from manualbp.base import Tree, tree_map

from .arguments import calling, parameters
from .forms import CallForm, forms, taken
from .gradients import is_listed, is_real, leaves_of, numeric, plain
from .objects import Object, maker, methods
from .pair import LossAndGradient, Pair, tensors_of
from .raised import RefusedError, as_a_try, is_ours
from .subject import Subject
from .torch_code import AutogradFunction, applied, function_of, has_own_backward

BUGS = (NameError, SyntaxError, ImportError, RecursionError)  # which another form does not mend


@dataclass(frozen=True)
class GivenCode:
    """What somebody gave: a forward, a backward, the names of the inputs, and what goes with an object."""

    forward: Any
    backward: Callable | None
    names: tuple[str, ...]
    fixed: Mapping[str, Any]  # inputs that are no arrays: numbers, strings, flags, dicts
    constant: tuple[str, ...] = ()
    get: Callable | None = None
    put: Callable | None = None
    lr: float | None = None
    accumulates: bool = False

    @property
    def every(self) -> tuple[str, ...]:
        """All inputs, arrays or not."""
        return (*self.names, *self.fixed)


def chosen(given: GivenCode, arrays: Mapping[str, Any], outputs: int | None, order: Sequence[str]) -> Subject:
    """The subject, after a clean run on these arrays. outputs: of the function intended, if known; order: of all
    inputs as they were given."""
    if (function := function_of(given.forward)) is not None:
        _no_second(given, function.__name__)
        return AutogradFunction(_with(given.fixed, applied(function, order)), given.names)
    if methods(given.forward) is not None and given.backward is None:
        return _object(given)
    if isinstance(given.forward, nn.Module) or (
        isinstance(given.forward, type) and issubclass(given.forward, nn.Module)
    ):
        return _module(given, arrays, order)
    if not callable(given.forward):
        raise ValueError(
            f"forward is to be a function, as forward(x, w), an object or a class; it is {given.forward!r}"
        )
    call = _listed(_with(given.fixed, calling(given.forward, order, "forward")))
    if given.backward is None:
        return _one_function(given, call, arrays, outputs)
    return _pair(given, call, arrays, outputs)


def _no_second(given: GivenCode, name: str) -> None:
    if given.backward is not None:
        raise ValueError(f"{name} has its backward inside: leave `backward` out, check_function({name}, against=…)")


def _with(fixed: Mapping[str, Any], call: Callable) -> Callable[[Mapping[str, Any]], Any]:
    """With the inputs that are no arrays, anew in every call: it may write to a dict."""
    return lambda arrays: call({**copy.deepcopy(fixed), **arrays})


def _listed(call: Callable) -> Callable[[Mapping[str, Any]], Any]:
    """The same, but an output in lists of numbers is an array."""

    def called(arrays: Mapping[str, Any]) -> Any:
        found = call(arrays)
        return np.asarray(found, float) if is_listed(found) else found

    return called


def _object(given: GivenCode) -> Object:
    make, built = maker(given.forward, given.every)
    built = tuple(n for n in built if n not in given.fixed)
    more = given.get, given.put, built, given.lr, given.accumulates, given.constant
    return Object(_with(given.fixed, make), given.names, *more)


def _module(given: GivenCode, arrays: Mapping[str, Any], order: Sequence[str]) -> Subject:
    """A module of torch without a backward of its own: what it applies may have one."""
    module = given.forward() if isinstance(given.forward, type) else given.forward
    parameters = {n for n, _ in module.named_parameters()} & {*order}
    rest = [n for n in order if n not in parameters]
    calling(module.forward, rest, "forward")

    def call(tensors: Mapping[str, Any]) -> Any:
        own = {n: tensors[n] for n in parameters}
        return calling(_with_parameters(module, own).forward, rest, "forward")({n: tensors[n] for n in rest})

    return _differentiated(given, _with(given.fixed, call), arrays, type(module).__name__)


def _with_parameters(module: nn.Module, own: Mapping[str, torch.Tensor]) -> nn.Module:
    """A copy with these tensors for its parameters, tied ones too, in their precision. They stay there: a checkpoint
    runs its forward once more in the backward pass."""
    dtype = next((t.dtype for t in own.values() if t.is_floating_point()), torch.float64)
    device = next((t.device for t in own.values()), None)
    copied = copy.deepcopy(module).to(device, dtype)
    named = dict(copied.named_parameters())
    tensors = {id(named[n]): t for n, t in own.items()}
    for inside in copied.modules():
        for n, p in list(inside._parameters.items()):
            if id(p) in tensors:
                del inside._parameters[n]
                setattr(inside, n, tensors[id(p)])
    return copied


def _differentiated(
    given: GivenCode, call: Callable, arrays: Mapping[str, Any], name: str, ran: bool = False
) -> Subject:
    """What autograd differentiates, if somebody's own backward is in it. ran: does it run on arrays?"""
    subject = AutogradFunction(call, given.names)
    try:
        y = subject.forward(copies(arrays))[1][0]
    except Exception as e:
        raise (ValueError(_no_backward(name)) if ran else RefusedError("forward", e)) from e
    if has_own_backward(y):
        return subject
    raise ValueError(_no_backward(name))


def _no_backward(name: str) -> str:
    return (
        f"a backward is missing: {name} gives outputs alone. Give both, check_function(forward, backward, …); or one "
        f"function that returns loss, gradients; or a torch.autograd.Function, check_function(MyFunction, …)"
    )


def _one_function(given: GivenCode, call: Callable, arrays: Mapping[str, Any], outputs: int | None) -> Subject:
    """A loss with its gradients, an output with its backward, or torch code around a torch.autograd.Function."""
    name = getattr(given.forward, "__name__", type(given.forward).__name__)
    found, error = _tried(call, arrays)
    tensors = error is not None or any(isinstance(a, torch.Tensor) for a in leaves_of(found))
    if tensors:
        real = {n: t.requires_grad_() if t.is_floating_point() else t for n, t in tensors_of(copies(arrays)).items()}
        found, second = _tried(call, real, copied=False)
        if second is not None:
            raise RefusedError("forward", second if "ensor" in str(error) else error or second)
        if has_own_backward(found):
            return AutogradFunction(call, given.names)
    if not (isinstance(found, tuple) and len(found) > 1):
        return _differentiated(given, call, arrays, name, not tensors)
    if callable(back := found[-1]) and parameters(back) != []:
        return _pair(replace(given, backward=_pulled_back), call, arrays, outputs)
    subject = LossAndGradient(_with_gradients(call) if callable(back) else call, given.names, given.constant, tensors)
    ran = _ran(subject, arrays)
    if isinstance(ran, Exception):
        raise ran if is_ours(ran) else RefusedError("backward", ran)
    return subject


def _with_gradients(call: Callable) -> Callable[[Mapping[str, Any]], Any]:
    """Of a function that returns (loss, back): loss and back()."""

    def called(arrays: Mapping[str, Any]) -> Any:
        loss, back = call(arrays)
        return loss, back()

    return called


def _pulled_back(dy: Any, cache: Callable) -> Any:
    """The backward of a forward that returns it, made for these inputs: y, back."""
    takes = len(parameters(cache) or [dy])
    return cache(*dy) if isinstance(dy, tuple) and takes == len(dy) > 1 else cache(dy)


def _pair(given: GivenCode, call: Callable, arrays: Mapping[str, Any], outputs: int | None) -> Subject:
    """A forward and a backward in the first form in which they run and give gradients of the inputs' shapes."""
    assert given.backward is not None
    if not callable(given.backward):
        raise ValueError(f"backward is to be a function, as backward(dy, cache); it is {given.backward!r}")
    errors: list[RefusedError] = []
    ran: list[Subject] = []
    for tensors in (False, True):
        found, error = _tried(call, tensors_of(copies(arrays)) if tensors else arrays, copied=not tensors)
        if error is not None:
            errors.append(RefusedError("forward", error))
            continue
        if not tensors and any(isinstance(a, torch.Tensor) for a in leaves_of(found)):
            continue
        if found is None:
            raise ValueError("forward returns None: it is to return its output, or its output and a cache")
        for form in _likely(forms(found, given.backward, given.names, outputs), found, outputs):
            subject = Pair(call, given.backward, given.names, form, tensors, given.constant)
            fits = _ran(subject, arrays)
            if fits is True:
                return subject
            if fits is False:
                ran.append(subject)
            elif isinstance(fits, BUGS):
                raise RefusedError("backward", fits) from fits
            else:
                errors.append(RefusedError("backward", fits))
    if ran:
        return ran[0]
    raise _first(errors, given)


def _likely(every: Iterable[CallForm], found: Any, outputs: int | None) -> Iterator[CallForm]:
    """Those with as many outputs as the function intended; all, if there are none."""
    every = list(every)

    def several(form: CallForm) -> int:
        y = plain(form.parted(found)[0])
        return len(y) if isinstance(y, tuple) else 1

    yield from [form for form in every if outputs in (None, several(form))] or every


def _first(errors: list[RefusedError], given: GivenCode) -> Exception:
    """The error that says most: of the run on tensors, if arrays were refused as no tensors."""
    if not errors:
        return ValueError(_unread(given))
    first = errors[0]
    if "ensor" in str(first.error) and len(errors) > 1:
        first = errors[1]
    return first


def _unread(given: GivenCode) -> str:
    takes = ", ".join(taken(given.backward) or ["…"])
    return (
        f"backward({takes}) is not understood: it takes (dy, cache), where the cache is what forward returns beside "
        f"its output; or (dy, {', '.join(given.names)}); or one of both alone"
    )


def _tried(call: Callable, arrays: Mapping[str, Any], copied: bool = True) -> tuple[Any, Exception | None]:
    try:
        with as_a_try():
            return call(copies(arrays) if copied else arrays), None
    except BUGS as e:
        raise RefusedError("forward", e) from e
    except Exception as e:
        return None, e


def _ran(subject: Subject, arrays: Mapping[str, Any]) -> Exception | bool:
    """Does it give a gradient of the right shape for every real input? An exception, if it does not run."""
    try:
        with as_a_try():
            y, cache = subject.forward(copies(arrays))
            numeric(y, "forward")
            grads = subject.backward(upstream(y), cache)
            numeric([g for n, g in grads.items() if n in arrays], "backward")
    except Exception as e:
        return e
    wanted = {n: np.shape(a) for n, a in arrays.items() if is_real(a)}
    known = {n: grads.get(n) for n in wanted}
    return all(g is None or np.shape(g) == wanted[n] for n, g in known.items()) and any(
        g is not None for g in known.values()
    )


def upstream(y: Tree, seed: int = 0) -> Tree:
    """A random upstream gradient of the shape of the output, and in its dtype."""
    rng = np.random.default_rng(seed)

    def of(a: Any) -> Any:
        d, dtype = np.asarray(rng.standard_normal(np.shape(a))), np.asarray(a).dtype
        if dtype.kind == "c":
            return (d + 1j * rng.standard_normal(np.shape(a))).astype(dtype)
        return d.astype(dtype) if is_real(a) else d

    return tree_map(of, y)


def copies(arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {n: a.clone() if isinstance(a, torch.Tensor) else np.array(a) for n, a in arrays.items()}
