"""Which of the ways in somebody's functions are, found by running them once."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from .arguments import calling, parameters
from .choose_pair import pair_of
from .given import GivenCode
from .gradients import is_listed, leaves_of
from .objects import Object, maker, methods
from .pair import LossAndGradient, tensors_of
from .raised import RefusedError, is_ours
from .subject import Subject
from .torch_code import AutogradFunction, applied, function_of, has_own_backward
from .tried import BUGS, copies, ran, tried


def chosen(
    given: GivenCode, arrays: Mapping[str, Any], outputs: int | None, order: Sequence[str],
    draws: list[dict[str, Any]],
) -> Subject:  # fmt: skip
    """The subject, after a clean run on these arrays. outputs: of the function intended, if known; order: of all
    inputs as they were given; draws: other arrays, of the first sizes that are drawn."""
    if (function := function_of(given.forward)) is not None:
        _no_second(given, function.__name__)
        return AutogradFunction(_with(given.fixed, applied(function, order)), given.names)
    if methods(given.forward) is not None and given.backward is None:
        return _object(given, arrays)
    if isinstance(given.forward, nn.Module) or (
        isinstance(given.forward, type) and issubclass(given.forward, nn.Module)
    ):
        return _module(given, arrays, order)
    if not callable(given.forward):
        raise ValueError(
            f"forward is to be a function, as forward(x, w), an object or a class; it is {given.forward!r}"
        )
    together = calling(given.forward, order, "forward")
    call = _listed(_with(given.fixed, lambda arrays: together(given.nested.together(arrays))))
    if given.backward is None:
        return _one_function(given, call, arrays, outputs, draws)
    return pair_of(given, call, arrays, outputs, draws)


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


def _object(given: GivenCode, arrays: Mapping[str, Any]) -> Object:
    """An object of arrays; of tensors, if it runs on these alone."""
    make, built = maker(given.forward, given.every)
    built = tuple(n for n in built if n not in given.fixed)
    more = given.get, given.put, built, given.lr, given.accumulates, given.constant

    def tried_on(tensors: bool) -> tuple[Object | None, Exception | None]:
        try:
            found = Object(_with(given.fixed, make), given.names, *more, tensors)
        except Exception as e:
            return None, e
        refused = ran(found.fresh(), arrays)
        return found, refused if isinstance(refused, Exception) else None

    of_arrays, error = tried_on(False)
    of_tensors, second = (None, error) if error is None or isinstance(error, BUGS) else tried_on(True)
    if of_tensors is not None and second is None:
        return of_tensors
    if of_arrays is None:
        raise error or second
    if "ensor" in str(error) and second is not None:  # it takes tensors, and refuses these
        raise RefusedError("forward", second)
    return of_arrays


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
        f"function that returns loss, gradients; or a torch.autograd.Function, check_function(MyFunction, …). A "
        f"torch model whose backward is autograd's is checked by check_model(model, x)"
    )


def _one_function(
    given: GivenCode, call: Callable, arrays: Mapping[str, Any], outputs: int | None, draws: list[dict[str, Any]]
) -> Subject:
    """A loss with its gradients, an output with its backward, or torch code around a torch.autograd.Function."""
    name = getattr(given.forward, "__name__", type(given.forward).__name__)
    found, error = tried(call, arrays)
    tensors = error is not None or any(isinstance(a, torch.Tensor) for a in leaves_of(found))
    if tensors:
        real = {n: t.requires_grad_() if t.is_floating_point() else t for n, t in tensors_of(copies(arrays)).items()}
        found, second = tried(call, real, copied=False)
        if second is not None:
            raise RefusedError("forward", second if "ensor" in str(error) else error or second)
        if has_own_backward(found):
            return AutogradFunction(call, given.names)
    if not (isinstance(found, tuple) and len(found) > 1):
        return _differentiated(given, call, arrays, name, not tensors)
    if callable(back := found[-1]) and parameters(back) != []:
        return pair_of(replace(given, backward=_pulled_back), call, arrays, outputs, draws)
    subject = LossAndGradient(
        _with_gradients(call) if callable(back) else call, given.names, given.constant, tensors, given.nested
    )
    refused = ran(subject, arrays)
    if isinstance(refused, Exception):
        raise refused if is_ours(refused) else RefusedError("backward", refused)
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
