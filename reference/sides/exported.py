"""A module by `torch.export`, decomposed into core ATen operations: a graph without side effects, and autograd."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.export.graph_signature import InputKind, OutputKind
from torch.utils import _pytree as pytree

from ..twin.modules import Called

PREFIX = "inner."


def network(module: nn.Module, inputs: Any) -> Callable[[Any], Any]:
    """The module as its exported graph runs it, with its own parameters; buffers are moved as the graph says."""
    program = torch.export.export(Called(module), (inputs,)).run_decompositions()
    signature = program.graph_signature

    def call(x: Any) -> Any:
        given, held = iter(pytree.tree_leaves(x)), state(module)

        def value(spec: Any) -> Any:
            if spec.kind == InputKind.USER_INPUT:
                return next(given)
            name = (spec.target or "").removeprefix(PREFIX)
            found = held.get(name, program.constants.get(spec.target))
            return found if isinstance(found, nn.Parameter) else found.clone()  # autograd may keep what is moved below

        found = [*zip(signature.output_specs, program.graph_module(*map(value, signature.input_specs)), strict=True)]
        for spec, t in found:
            if spec.kind == OutputKind.BUFFER_MUTATION:
                held[(spec.target or "").removeprefix(PREFIX)].copy_(t.detach())
        outputs = [t for spec, t in found if spec.kind == OutputKind.USER_OUTPUT]
        return pytree.tree_unflatten(outputs, program.call_spec.out_spec)

    return call


def state(module: nn.Module) -> dict[str, Any]:
    """Parameters and buffers, one that is shared under each of its names."""
    return dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers(remove_duplicate=False))
