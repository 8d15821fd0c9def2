"""A module by `torch.export`, decomposed into core ATen operations: a graph without side effects, and autograd."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.export.graph_signature import InputKind, OutputKind
from torch.utils import _pytree as pytree


def network(module: nn.Module, args: tuple, kwargs: Mapping[str, Any] | None = None) -> Callable[..., Any]:
    """The module as its exported graph runs it, with its own parameters; buffers are moved as the graph says."""
    program = torch.export.export(module, args, dict(kwargs or {})).run_decompositions()
    signature = program.graph_signature

    def call(*args: Any, **kwargs: Any) -> Any:
        given, held = iter(pytree.tree_leaves((args, kwargs))), state(module)

        def value(spec: Any) -> Any:
            if spec.kind == InputKind.USER_INPUT:
                return next(given)
            found = held.get(spec.target, program.constants.get(spec.target))
            return found if isinstance(found, nn.Parameter) else found.clone()  # autograd may keep what is moved below

        found = [*zip(signature.output_specs, program.graph_module(*map(value, signature.input_specs)), strict=True)]
        for spec, t in found:
            if spec.kind == OutputKind.BUFFER_MUTATION:
                held[spec.target].copy_(t.detach())
        outputs = [t for spec, t in found if spec.kind == OutputKind.USER_OUTPUT]
        return pytree.tree_unflatten(outputs, program.call_spec.out_spec)

    return call


def state(module: nn.Module) -> dict[str | None, Any]:
    """Parameters and buffers, one that is shared under each of its names."""
    named = *module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)
    return dict(named)
