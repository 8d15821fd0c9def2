"""What somebody gave as inputs, sorted out: arrays to be drawn, and what is no array; and numbers that code names."""

import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from manualbp.base import describe

from ..draw.specs import Spec
from .formats import is_bfloat16
from .gradients import array

NAMED, SMALLEST = 10.0, 2.0**-6  # sizes of the constants in code that may be kinks
MOST = 6  # constants that are tried
EXAMPLE = 'inputs={"x": ("N", "D"), "w": ("M", "D")}'


def sorted_out(inputs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Specs of arrays, and what is no array: numbers, strings, flags. A ValueError shows what is taken."""
    if not isinstance(inputs, Mapping) or not inputs:
        raise ValueError(f"inputs is {describe(inputs)}; it takes shapes by name, as {EXAMPLE}")
    specs, fixed = {}, {}
    for name, spec in inputs.items():
        if isinstance(spec, torch.Tensor):
            specs[name] = np.array(array(spec))
        elif isinstance(spec, (np.ndarray, np.generic)) and spec.dtype.kind not in "fciub" and not is_bfloat16(spec):
            raise ValueError(f"inputs[{name!r}] is an array of {spec.dtype}: numbers are wanted")
        elif _is_shape(spec) and any(isinstance(n, int) and n < 0 for n in spec):
            raise ValueError(f"inputs[{name!r}] is the shape {spec}: lengths are 0 or more")
        elif isinstance(spec, (np.ndarray, np.generic, Spec)) or _is_shape(spec) or is_strategy(spec):
            specs[name] = spec
        elif spec is None or isinstance(spec, (bool, int, float, str, types.FunctionType, torch.dtype)):
            fixed[name] = spec
        else:
            raise ValueError(
                f'inputs[{name!r}] is {describe(spec)}; it takes a shape as ("N", "D") or (4, 3), an array, '
                f'Indices(("N",), below="C") for integers, Positive(("N",)) and others for numbers of a kind, or a '
                f"hypothesis strategy; numbers, strings and flags are handed on as they are"
            )
    if not specs:
        raise ValueError(f"no input is an array, so that there is nothing to differentiate: give shapes, as {EXAMPLE}")
    return specs, fixed


def _is_shape(spec: Any) -> bool:
    return isinstance(spec, tuple) and all(isinstance(n, (int, str)) for n in spec)


def is_strategy(spec: Any) -> bool:
    return any(c.__name__ == "SearchStrategy" and c.__module__.startswith("hypothesis") for c in type(spec).__mro__)


def constants(functions: Sequence[Any], options: Mapping[str, float]) -> tuple[float, ...]:
    """The numbers that code or options name: kinks may lie there."""
    found: dict[float, None] = dict.fromkeys(float(abs(v)) for v in options.values())
    for f in functions:
        for code in _codes(f):
            numbers = (c for c in code.co_consts if isinstance(c, (int, float)) and not isinstance(c, bool))
            found |= dict.fromkeys(float(abs(c)) for c in numbers)
    return tuple(c for c in found if SMALLEST <= c <= NAMED)[:MOST]


def _codes(f: Any) -> Iterator[types.CodeType]:
    """The code of a function, of the methods of a class, and of what is defined inside."""
    for member in [f, *(vars(f if isinstance(f, type) else type(f)).values() if f is not None else ())]:
        code = getattr(getattr(member, "__func__", member), "__code__", None)
        stack = [code] if isinstance(code, types.CodeType) else []
        while stack:
            yield (code := stack.pop())
            stack += [c for c in code.co_consts if isinstance(c, types.CodeType)]
