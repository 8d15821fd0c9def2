"""What is known of every tensor while a model runs: which value of the graph it is, and under what name."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from manualbp.base import Layer
from manualbp.container import Select
from manualbp.graph import Names, Node
from manualbp.operations import GetItem, Reshape, SetItem

from . import calls, unlisted
from .passes import PRECISIONS, OwnRun, PassInputs
from .step import LostTensorError, continuous

WRITTEN = (
    "a tensor is used after several views of it, or what it is a view of, were changed in place: write x = x.clone() "
    "before the change, or the change without an underscore"
)

OTHERWISE = (
    "a tensor is used after it was changed in place as complex numbers where it is of real ones, or the reverse, or as "
    "their conjugates: write x = x.clone() before the change, or put the parts together by torch.complex"
)


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
        self.model = model
        self.paths = {id(m): name for name, m in reversed([*model.named_modules()])}
        self.stack = [""]  # the paths of the modules that are being read through
        self.values: dict[int, Value] = {}
        self.alive: list[torch.Tensor] = []  # an id is that of one tensor only while that tensor exists
        self.nodes: list[Node] = []
        self.taken = set(self.paths.values())  # a call inside a module never gets a module's name
        self.inputs: set[str] = set()
        self.parameters: set[str] = set()
        self.buffers: set[str] = set()
        self.constants: dict[str, torch.Tensor] = {}
        self.views: list[tuple[torch.Tensor, torch.Tensor, Any]] = []  # view, what it is of, the index
        self.data: list[torch.Tensor] = []  # x.data of some x: what is written to it is seen nowhere
        self.writes: list[tuple[int, torch.Tensor]] = []  # version after the write, the tensor that was written to

    def give(self, given: PassInputs, seen: Mapping[str, torch.Tensor]) -> None:
        self.parameters, self.buffers = set(given.params), set(given.buffers)
        self.taken |= self.parameters | self.buffers
        for name, t in (given.params | given.buffers | seen).items():
            self.know(t, name, fixed=name in given.buffers and not continuous(t))
        self.inputs = set(seen)
        self.taken |= self.inputs

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
        since = -1 if value is None or value.fixed else value.version
        if value is None or (value.fixed and value.version != t._version):
            value = self.constant(t)
        if value.version != t._version or (value.fixed and t.requires_grad):
            value = self.repaired(t, value, [w for version, w in self.writes if version > since])
        if t.requires_grad and not value.gradient:
            raise LostTensorError(
                "a tensor got its gradient from no call of torch: a torch.autograd.Function has a backward of its own"
                if t.grad_fn is not None
                else "requires_grad_() makes a tensor inside of the model a leaf: do that outside, with its input"
            )
        for i in value.path:
            value = replace(value, name=self.add(f"{value.name}[{i}]", Select(i), value.name), path=())
            self.values[id(t)] = value
        return value.name

    def constant(self, t: torch.Tensor) -> Value:
        if t.dtype not in PRECISIONS and continuous(t):
            raise LostTensorError(
                f"it takes a tensor of {t.dtype}, and a graph has one real dtype: make it torch.float32"
            )
        name = self.fresh(self.here("constant"))
        self.constants[name] = t.detach().clone()
        self.know(t, name, fixed=True)
        return self.values[id(t)]

    def repaired(self, t: torch.Tensor, value: Value, written: list[torch.Tensor]) -> Value:
        """The value of a tensor that was changed since through another one, which shares its memory."""
        sharing = [*{id(w): w for w in written if origin(w) is origin(t)}.values()]
        if not sharing:
            raise LostTensorError(unlisted.why(self.model, self.as_given(t)) if value.fixed else WRITTEN)
        self.values[id(t)] = replace(value, version=t._version, fixed=False, gradient=t.requires_grad)
        mine, theirs = places(t), places(sharing[0])  # place in memory -> number of the entry
        if kind(t) != kind(sharing[0]):
            raise LostTensorError(OTHERWISE)
        if len(sharing) > 1 or len(mine) < t.numel() or len(theirs) < sharing[0].numel():
            raise LostTensorError(WRITTEN)
        if theirs.keys() <= mine.keys():
            self.know(t, self.set_in(t, sharing[0], [mine[at] for at in theirs]))
        elif mine.keys() <= theirs.keys():
            self.know(t, self.taken_from(t, sharing[0], [theirs[at] for at in mine]))
        elif not mine.keys().isdisjoint(theirs):
            raise LostTensorError(WRITTEN)
        return self.values[id(t)]

    def set_in(self, t: torch.Tensor, written: torch.Tensor, at: list[int]) -> str:
        """A node that writes into t what was written into a part of it."""
        index = next((i for view, whole, i in self.views if view is written and whole is t), None)
        if index is not None:
            step = calls.step_of("Tensor.__setitem__", (t, index, written), {}, self.dtype)
            return self.add(self.here("setitem"), step.layer, self.named(step.inputs))
        flat, values = (self.add(self.here("ravel"), Reshape((-1,)), self.name(a)) for a in (t, written))
        whole = self.add(self.here("setitem"), SetItem("i0"), (flat, values, self.name(torch.tensor(at))))
        return self.add(self.here("reshape"), Reshape(tuple(t.shape)), whole)

    def taken_from(self, t: torch.Tensor, written: torch.Tensor, at: list[int]) -> str:
        """A node that gives t as a part of what was written to."""
        flat = self.add(self.here("ravel"), Reshape((-1,)), self.name(written))
        part = self.add(self.here("getitem"), GetItem("i0"), (flat, self.name(torch.tensor(at))))
        return self.add(self.here("reshape"), Reshape(tuple(t.shape)), part)

    def named(self, inputs: Any) -> Names:
        if isinstance(inputs, torch.Tensor):
            return self.name(inputs)
        return tuple(map(self.named, inputs)) if isinstance(inputs, (tuple, list)) else None

    def add(self, base: str, layer: Layer, inputs: Names, params: Any = None) -> str:
        name = self.fresh(base)
        self.nodes.append(Node(name, layer, inputs, params))
        return name


def origin(t: torch.Tensor) -> torch.Tensor:
    """What it is a view of, or itself."""
    return t if t._base is None else t._base


def kind(t: torch.Tensor) -> tuple:
    """How it reads its memory."""
    return t.dtype, t.is_conj(), t.is_neg()


def places(t: torch.Tensor) -> dict[int, int]:
    """Of every place in memory that it has, in order, which of its entries lies there."""
    at = np.asarray(t.storage_offset())
    for n, stride in zip(t.shape, t.stride()):
        at = at[..., None] + stride * np.arange(n)
    return {place: i for i, place in enumerate(at.ravel().tolist())}
