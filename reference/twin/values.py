"""What is known of every tensor while a model runs: which value of the graph it is, and under what name."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from manualbp.base import Layer
from manualbp.container import Select
from manualbp.graph import Names, Node

from . import calls
from .passes import OwnRun, PassInputs
from .step import UnknownCallError


@dataclass(frozen=True)
class Value:
    """A tensor as the graph has it: the name of a node, input, parameter or buffer, and the place in what that gives.

    version   of the tensor when it was this value: torch counts up at every change in place, of it or of a view
    fixed     does it depend on no input and no parameter?
    gradient  had the tensor one?
    """

    name: str
    version: int
    path: tuple[int, ...] = ()
    fixed: bool = False
    gradient: bool = False


class Values(OwnRun):
    """The tensors of a run by what they are in the graph, and the nodes that gave them so far."""

    def __init__(self, model: nn.Module, dtype: torch.dtype, draws: list, first: bool) -> None:
        super().__init__(dtype, draws, first)
        self.paths = {id(m): name for name, m in reversed([*model.named_modules()])}
        self.stack = [""]  # the paths of the modules that are being read through
        self.values: dict[int, Value] = {}
        self.alive: list[torch.Tensor] = []  # an id is that of one tensor only while that tensor exists
        self.nodes: list[Node] = []
        self.taken = set(self.paths.values())  # a call inside a module never gets a module's name
        self.parameters: set[str] = set()
        self.buffers: set[str] = set()
        self.constants: dict[str, torch.Tensor] = {}
        self.views: list[tuple[torch.Tensor, torch.Tensor, Any]] = []  # view, what it is of, the index
        self.writes: list[tuple[int, int]] = []  # version after the write, id of the tensor that was written to

    def give(self, given: PassInputs, seen: Mapping[str, torch.Tensor]) -> None:
        self.parameters, self.buffers = set(given.params), set(given.buffers)
        self.taken |= self.parameters | self.buffers
        for name, t in (given.params | given.buffers | seen).items():
            self.know(t, name, fixed=name in given.buffers and not t.is_floating_point())
        self.taken |= set(seen)

    def know(self, t: torch.Tensor, name: str, path: tuple[int, ...] = (), fixed: bool = False) -> None:
        self.values[id(t)] = Value(name, t._version, path, fixed, t.requires_grad)
        self.alive.append(t)

    def fixed(self, t: torch.Tensor) -> bool:
        """Does it depend on no input and no parameter?"""
        value = self.values.get(id(t))
        return (value is None and not t.requires_grad) or (value is not None and value.fixed)

    def held(self, t: torch.Tensor | None) -> str:
        """The name of what a tensor is; "" where it is nothing that is known."""
        return "" if t is None else self.values.get(id(t), Value("", 0)).name

    # Names

    def fresh(self, base: str) -> str:
        """A name that nothing has: add, add_1, …"""
        name, k = base, 0
        while name in self.taken:
            k += 1
            name = f"{base}_{k}"
        self.taken.add(name)
        return name

    def here(self, last: str) -> str:
        return f"{self.stack[-1]}.{last}" if self.stack[-1] else last

    def name(self, t: torch.Tensor) -> str:
        """The name of a tensor in the graph; one that no call made is a constant, kept beside the parameters."""
        value = self.values.get(id(t))
        if value is None:
            if t.requires_grad:
                raise UnknownCallError(
                    "a tensor comes from nowhere: a parameter that model.named_parameters() does not list, or what a "
                    "function gave that is not torch's"
                )
            value = self.constant(t)
        if t.requires_grad and not value.gradient:
            raise UnknownCallError(
                "a tensor got its gradient from no call of torch: a torch.autograd.Function has a backward of its own"
            )
        if value.version != t._version:
            value = self.repaired(t, value)
        for i in value.path:
            value = replace(value, name=self.add(f"{value.name}[{i}]", Select(i), value.name), path=())
            self.values[id(t)] = value
        return value.name

    def constant(self, t: torch.Tensor) -> Value:
        name = self.fresh(self.here("constant"))
        self.constants[name] = t.detach().clone()
        self.know(t, name, fixed=True)
        return self.values[id(t)]

    def repaired(self, t: torch.Tensor, value: Value) -> Value:
        """The value of a tensor that was changed since: through a view of it, by an index, that still is current."""
        if value.fixed:
            return self.constant(t)
        since = {id_ for version, id_ in self.writes if version > value.version}
        found = [(view, index) for view, base, index in self.views if base is t and id(view) in since]
        if len(since) == 1 and found and "Tensor.__setitem__" in calls.operations():
            view, index = found[-1]
            self.values[id(t)] = replace(value, version=t._version)
            step = calls.step_of("Tensor.__setitem__", (t, index, view), {}, self.dtype)
            self.know(t, self.add(self.here("setitem"), step.layer, self.named(step.inputs)))
            return self.values[id(t)]
        raise UnknownCallError(
            "a tensor is used after a view of it, or what it is a view of, was changed in place: write "
            "x = x.clone() before the change, or the change without an underscore"
        )

    def named(self, inputs: Any) -> Names:
        if isinstance(inputs, torch.Tensor):
            return self.name(inputs)
        return tuple(map(self.named, inputs)) if isinstance(inputs, (tuple, list)) else None

    def add(self, base: str, layer: Layer, inputs: Names, params: Any = None) -> str:
        name = self.fresh(base)
        self.nodes.append(Node(name, layer, inputs, params))
        return name
