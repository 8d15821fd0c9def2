"""What somebody gave as inputs, sorted out: arrays to be drawn, and what is no array; and numbers that code names."""

import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from manualbp.base import describe

from ..draw.plans import SMALL
from ..draw.specs import Spec
from .formats import is_bfloat16
from .gradients import array
from .raised import is_foreign

NAMED, SMALLEST = 2.0**14, 2.0**-6  # sizes of the constants in code that may be kinks
DEEP = 3  # calls from a function to one of its own to another
MOST, LARGE = 6, 4  # constants that are tried, and more of those that are large
EXAMPLE = 'inputs={"x": ("N", "D"), "w": ("M", "D")}'


def sorted_out(inputs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Specs of arrays, and what is no array: numbers, strings, flags, dicts. A ValueError shows what is taken."""
    if not isinstance(inputs, Mapping) or not inputs:
        raise ValueError(f"inputs is {describe(inputs)}; it takes shapes by name, as {EXAMPLE}")
    specs, fixed = {}, {}
    for name, spec in inputs.items():
        if isinstance(spec, torch.Tensor):
            specs[name] = np.array(array(spec))
        elif isinstance(spec, (np.ndarray, np.generic)) and spec.dtype.kind not in "fciub" and not is_bfloat16(spec):
            raise ValueError(f"inputs[{name!r}] is an array of {spec.dtype}: numbers are wanted")
        elif is_shape(spec) and any(isinstance(n, int) and n < 0 for n in spec):
            raise ValueError(f"inputs[{name!r}] is the shape {spec}: lengths are 0 or more")
        elif isinstance(spec, (np.ndarray, np.generic, Spec)) or is_shape(spec) or is_strategy(spec):
            specs[name] = spec
        elif spec is None or isinstance(spec, (bool, int, float, str, dict, types.FunctionType, torch.dtype)):
            fixed[name] = spec
        else:
            raise ValueError(
                f'inputs[{name!r}] is {describe(spec)}; it takes a shape as ("N", "D") or (4, 3), an array, '
                f'Indices(("N",), below="C") for integers, Positive(("N",)) and others for numbers of a kind, or a '
                f"hypothesis strategy; numbers, strings, flags and dicts of these are handed on as they are"
            )
    if not specs:
        raise ValueError(f"no input is an array, so that there is nothing to differentiate: give shapes, as {EXAMPLE}")
    return specs, fixed


def numbers_in(fixed: Mapping[str, Any]) -> dict[str, float]:
    """What of this is a number, by name; of a dict, what is in it."""
    found = {}
    for name, value in fixed.items():
        if isinstance(value, dict):
            found |= numbers_in({k: v for k, v in value.items() if isinstance(k, str)})
        elif isinstance(value, (int, float)):
            found[name] = float(value)
    return found


def is_array(a: Any) -> bool:
    """Is it an array, or the shape of one by names? A tuple of ints is an option, as a stride."""
    if isinstance(a, dict):
        return any(map(is_array, a.values()))
    return isinstance(a, (np.ndarray, torch.Tensor, Spec)) or (is_shape(a) and any(isinstance(n, str) for n in a))


def is_shape(spec: Any) -> bool:
    return isinstance(spec, tuple) and all(isinstance(n, (int, str)) for n in spec)


def is_strategy(spec: Any) -> bool:
    return any(c.__name__ == "SearchStrategy" and c.__module__.startswith("hypothesis") for c in type(spec).__mro__)


def constants(functions: Sequence[Any], options: Mapping[str, float]) -> tuple[float, ...]:
    """The numbers that code or options name: kinks may lie there."""
    each = (*options.values(), *(c for f in _with_helpers(functions) for c in _named(f)))
    found = dict.fromkeys(float(abs(c)) for c in _numbers(each))
    small, large = ([c for c in found if low <= c <= high] for low, high in ((SMALLEST, SMALL), (SMALL, NAMED)))
    return (*small[:MOST], *(c for c in large[:LARGE] if c > SMALL))


def _with_helpers(functions: Sequence[Any]) -> Iterator[Any]:
    """They, and the functions of the same people that they call."""
    known, level = dict[int, Any](), list(functions)
    for _ in range(DEEP):
        known |= {id(f): f for f in level}
        called = (c for f in level for c in _named(f) if isinstance(c, types.FunctionType))
        level = [c for c in called if id(c) not in known and not is_foreign(c.__code__.co_filename)]
    yield from known.values()


def _numbers(values: Iterable[Any]) -> Iterator[float]:
    for v in values:
        if isinstance(v, (tuple, list)):
            yield from _numbers(v)
        elif isinstance(v, (int, float, np.integer, np.floating)) and not isinstance(v, bool):
            yield float(v)


def _named(f: Any) -> Iterator[Any]:
    """What stands in the code of a function, or of the methods of a class, in defaults, around it, in an object."""
    f, given = (f.func, (*f.args, *f.keywords.values())) if isinstance(f, partial) else (f, ())
    yield from given
    if isinstance(f, types.MethodType):
        yield from _named(f.__self__)
    members = {} if f is None else vars(f if isinstance(f, type) else type(f))
    yield from (v for v in members.values() if isinstance(v, (int, float)))
    yield from () if f is None else getattr(f, "__dict__", {}).values()
    for member in (f, *members.values()):
        member = getattr(member, "__func__", member)
        if isinstance(top := getattr(member, "__code__", None), types.CodeType):
            around = getattr(member, "__globals__", {})
            yield from getattr(member, "__defaults__", None) or ()
            yield from (getattr(member, "__kwdefaults__", None) or {}).values()
            yield from (c.cell_contents for c in getattr(member, "__closure__", None) or () if filled(c))
            for code in _codes(top):
                yield from code.co_consts
                yield from (around[n] for n in code.co_names if n in around)


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """The code, and what is defined inside."""
    yield code
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _codes(inner)


def filled(cell: types.CellType) -> bool:
    """Does a variable around a function have a value yet?"""
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True
