"""One call of torch as a layer, and what its arguments are."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from manualbp.base import Layer, registry

Tensors = Any  # a tensor, None, or a (nested) tuple of these


@dataclass(frozen=True)
class Step:
    """One call as a layer: what it takes, and tensors that are its parameters, under the layer's own names."""

    layer: Layer
    inputs: Tensors
    params: Mapping[str, Any] = field(default_factory=dict)


class UnknownCallError(Exception):
    """A call, or an argument of one, that no class here has."""


class UnreadableError(Exception):
    """A model that cannot be read, whatever comes of the call: a TypeError for who reads it."""


class LostTensorError(UnknownCallError):
    """A tensor of which it is not known what it is, so that no class would make the call readable."""


def plain_value(value: Any) -> Any:
    """torch.Size, lists, dtypes and tensors of one number as an option has them."""
    if isinstance(value, (tuple, list)):
        return tuple(map(plain_value, value))
    if isinstance(value, torch.Tensor) and value.ndim == 0:
        return value.item()
    return str(value).removeprefix("torch.") if isinstance(value, torch.dtype) else value


def has_tensor(value: Any) -> bool:
    """Is it a tensor, or a list or tuple with one in it?"""
    return isinstance(value, torch.Tensor) or (isinstance(value, (tuple, list)) and any(map(has_tensor, value)))


def tensors_in(value: Any) -> Iterator[torch.Tensor]:
    """The tensors of nested lists, tuples, dicts and slices."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from tensors_in(part)
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from tensors_in(part)
    elif isinstance(value, slice):
        yield from tensors_in((value.start, value.stop, value.step))


def continuous(t: torch.Tensor) -> bool:
    """Can it have a gradient?"""
    return t.is_floating_point() or t.is_complex()


def in_precision(dtype: torch.dtype, precision: torch.dtype) -> torch.dtype:
    """A real or complex dtype in float32 or float64; others as they are."""
    if dtype in (torch.complex64, torch.complex128):
        return precision.to_complex()
    return precision if dtype.is_floating_point else dtype


def make(name: str, **options: Any) -> Layer:
    """A layer by its class's name; UnknownCallError where there is none yet."""
    if name not in registry():
        raise UnknownCallError(f"nn.{name} has no class here")
    try:
        return registry()[name](**{n: plain_value(v) for n, v in options.items()})
    except (TypeError, ValueError) as e:  # an option that the class has not, or not so
        raise UnknownCallError(str(e)) from e


def held(**params: Any) -> dict[str, Any]:
    """The parameters that are given."""
    return {n: p for n, p in params.items() if p is not None}


def located(pairs: tuple[tuple[str, str], ...], name: str) -> Any:
    """Where a node's parameters are: under its own name, under another's, or each somewhere else."""
    prefixes = {full.removesuffix(f".{local}") if full.endswith(f".{local}") else None for local, full in pairs}
    if not pairs or prefixes == {name}:
        return None
    return next(iter(prefixes)) if len(prefixes) == 1 and None not in prefixes else pairs


def swapped(value: Any, other: Callable[[Any], Any]) -> Any:
    """The arguments of a call with other tensors in the place of its own."""
    if isinstance(value, torch.Tensor):
        return other(value)
    if isinstance(value, dict):
        return {k: swapped(v, other) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        parts = [swapped(v, other) for v in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if isinstance(value, slice):
        return slice(*(swapped(v, other) for v in (value.start, value.stop, value.step)))
    return value
