"""What to say where a check was given what another check takes, or a class in the place of a module."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from manualbp.base import Layer, describe

from ..draw.specs import Indices
from .arguments import POSITIONAL, parameters, required
from .forms import CACHE, UPSTREAM
from .objects import BACKWARDS, FORWARDS, methods

OWN_PARAMETERS = (
    "A module's own parameters stay as they are: where yours are among `inputs`, give a function of them, as "
    "against=torch.nn.functional.linear"
)
OF_A_MODULE = "check_model(nn.Linear(3, 2), x), on a sample x of its input"


def module_of(against: type[nn.Module]) -> nn.Module:
    """A module of a class that takes no arguments. A ValueError, with the right call, for a class that does."""
    taken = inspect.signature(against).parameters.values()
    wanted = [p.name for p in taken if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if not wanted:
        return against()
    raise ValueError(
        f"against={against.__name__} is a class that takes {', '.join(wanted)}; a module is taken, as "
        f"against=nn.Linear(3, 2), or a class that needs no arguments, as nn.Tanh. {OWN_PARAMETERS}"
    )


def module_of_other_inputs(module: nn.Module, inputs: Any) -> None:
    """A ValueError for a module that takes fewer inputs than there are, or more."""
    found, names = parameters(module.forward), tuple(inputs) if isinstance(inputs, Mapping) else ()
    if not names or found is None or any(p.kind is p.VAR_POSITIONAL for p in found):
        return
    takes, must = [p.name for p in found if p.kind in POSITIONAL], required(module.forward) or []
    if not len(must) <= len(names) <= len(takes):
        raise ValueError(
            f"against is a {type(module).__name__}, which takes {', '.join(must or takes)}, and `inputs` has "
            f"{len(names)} ({', '.join(names)}). {OWN_PARAMETERS}"
        )


def layer_only(given: Any) -> None:
    """A ValueError for what is no manualbp.Layer, with the check that takes it."""
    if isinstance(given, Layer) or (isinstance(given, type) and issubclass(given, Layer)):
        return
    name = getattr(given, "__name__", None) or describe(given)
    if isinstance(given, nn.Module) or (isinstance(given, type) and issubclass(given, nn.Module)):
        module = f"{given!r:.60}" if isinstance(given, nn.Module) else name
        what, right = f"the torch.nn module {module}", OF_A_MODULE
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


def exchanged(forward: Any, backward: Any, names: Sequence[str]) -> None:
    """A ValueError where the first function takes (dy, cache), and the second what are the inputs."""
    first, second = ([] if f is None else required(f) or [] for f in (forward, backward))
    if len(first) < 2 or not second or first[0] in names or UPSTREAM.match(second[0]):
        return
    of_backward = UPSTREAM.match(first[0]) and all(CACHE.match(p) or p in names for p in first[1:])
    of_forward = len(second) == len(names) and not any(map(CACHE.match, second))
    if of_backward and (of_forward or {*second} <= {*names}):
        f, b = (getattr(x, "__name__", "<lambda>") for x in (forward, backward))
        right = "forward, backward" if "<lambda>" in (f, b) else f"{b}, {f}"
        raise ValueError(
            f"forward takes ({', '.join(first)}), and backward takes ({', '.join(second)}): they are exchanged. The "
            f"forward goes first, check_function({right}, …)"
        )


def without_backward(forward: Any, backward: Any) -> None:
    """A ValueError for a class or an object with a forward alone, or for a module whose backward is autograd's."""
    if isinstance(forward, nn.Module) and all(type(m).__module__.startswith("torch.") for m in forward.modules()):
        raise ValueError(
            f"forward is the torch.nn module {type(forward).__name__}, whose backward is autograd's: a module is "
            f"checked by {OF_A_MODULE}"
        )
    of = forward if isinstance(forward, type) else type(forward)
    if issubclass(of, (nn.Module, torch.autograd.Function)) or methods(forward) is not None:
        return
    has = next((n for n in FORWARDS[:-1] if hasattr(forward, n)), None)
    if has is None or (backward is not None and not isinstance(forward, type)):
        return
    raise ValueError(
        f"{of.__name__} has {has}(x) and no backward: it takes a method backward(dy), or one of the names "
        f"{', '.join(BACKWARDS[1:])}; or two functions, check_function({of.__name__}().{has}, backward, …)"
    )


def whole_numbers_alone(specs: Mapping[str, Any]) -> None:
    """A ValueError where no input has a gradient, since all are integers."""
    each = {n: getattr(spec, "of", spec) for n, spec in specs.items()}
    whole = [n for n, a in each.items() if isinstance(a, Indices) or _is_whole(a)]
    if len(whole) < len(each):
        return
    n = next((n for n in whole if _is_whole(each[n])), whole[0])
    raise ValueError(
        f"{', '.join(whole)} {'is' if len(whole) == 1 else 'are'} of integers, which have no gradient, so that nothing "
        f'would be compared: give real numbers, as inputs={{{n!r}: {n}.astype(float)}}, or a shape, as ("N", "D")'
    )


def _is_whole(a: Any) -> bool:
    return isinstance(a, (np.ndarray, np.generic)) and a.dtype.kind in "iub"
