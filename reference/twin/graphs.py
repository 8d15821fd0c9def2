"""The torch module of a `manualbp.Graph`: every node by the module of its own class, every parameter under the
graph's name for it."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from manualbp.base import Layer
from manualbp.graph import Graph as Described
from manualbp.graph import pick

from .modules import TakingTuple, Whole


class Graph(Whole):
    """Its nodes' own parameters are placeholders: each is called with those that the graph names."""

    def __init__(self, graph: Described, build: Callable[[Layer], nn.Module]) -> None:
        super().__init__()
        self.graph = graph
        self.nodes = [TakingTuple(build(node.layer)) for node in graph.layers]  # a list: no parameters of this module
        made = {*graph.inputs, *(node.name for node in graph.layers)}
        for name, shape in graph.parameters:
            self.put(name, nn.Parameter(torch.zeros(shape)))
        for name, shape in graph.constants:
            self.put(name, torch.zeros(shape))
        for node, called in zip(graph.layers, self.nodes, strict=True):
            for local, t in called.inner.state_dict(keep_vars=True).items():
                if (name := node.where(local)) not in made:
                    self.put(name, t)

    def put(self, name: str, t: torch.Tensor) -> None:
        """Register a parameter or buffer under a dotted name, once."""
        *path, last = name.split(".")
        holder: nn.Module = self
        for part in path:
            if not isinstance(getattr(holder, part, None), nn.Module):
                holder.add_module(part, nn.Module())
            holder = holder.get_submodule(part)
        if last in holder._parameters or last in holder._buffers:
            return
        if isinstance(t, nn.Parameter):
            holder.register_parameter(last, t)
        else:
            holder.register_buffer(last, t)

    def forward(self, x: Any) -> Any:
        graph = self.graph
        given = (x,) if len(graph.inputs) == 1 else x
        values: dict[str, Any] = dict(self.named_parameters()) | dict(self.named_buffers())
        values |= dict(zip(graph.inputs, given, strict=True))
        for node, called in zip(graph.layers, self.nodes, strict=True):
            own = {f"inner.{n}": values[node.where(n)] for n in called.inner.state_dict()}
            values[node.name] = torch.func.functional_call(called, own, (pick(values, node.inputs, node),))
        for name, new in graph.moved:
            values[name].data = values[new].detach().clone()
        y = pick(values, graph.outputs, graph)
        return dict(zip(graph.keys, y, strict=True)) if graph.keys else y

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        for called in self.nodes:
            called._apply(fn, recurse)
        return super()._apply(fn, recurse)
