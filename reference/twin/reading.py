"""A model read by running it once: every call of torch that its output depends on becomes a node of a Graph."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from manualbp.base import options_of, registry
from manualbp.graph import Graph, Names, Node, leaves_of

from . import calls, parametrized
from .expanded import OF_COMPLEX, expansion
from .operations import SIGNED
from .passes import REPARAMETRIZED, PassInputs, in_every_place, mended, outputs
from .refusals import HOOK, IMPLICIT, MOVES, OF_A_FUNCTION, PACKED, Missing, Watched, inside, place, told, unreadable
from .step import LostTensorError, Step, UnknownCallError, UnreadableError, continuous, located, swapped, tensors_in
from .values import Values, origin

Again = Callable[[Callable[[Any], Any]], Callable[[], Any]]  # a call to make again, its tensors replaced by f of each


class Reader(Values):
    """Notes every call while the model runs. `find` says what layer a module is, None if it is to be read through."""

    def __init__(self, model: nn.Module, find: Any, dtype: torch.dtype, draws: list, first: bool) -> None:
        super().__init__(model, dtype, draws, first)
        self.find, self.inside = find, 0
        self.notes: dict[str, None] = {}
        self.bodies: list[Any] = []  # functions of torch's that are being read through
        self.sizes: dict[str, int] = {}  # how many numbers every node gave

    # Nodes

    def keep(self, name: str, y: Any, path: tuple[int, ...] = ()) -> None:
        """The tensors of what a node gave, as its values."""
        if isinstance(y, torch.Tensor):
            self.sizes[name] = self.sizes.get(name, 0) + y.numel()
            self.know(y, name, path)
        elif isinstance(y, (tuple, list)):
            for i, part in enumerate(y):
                self.keep(name, part, (*path, i))

    def cut(self, y: Any, before: list[torch.Tensor]) -> None:
        """Detach what has no gradient although it was computed from what has: under no_grad, or by detach."""
        if any(t.requires_grad for t in before):
            for t in tensors_in(y):
                if continuous(t) and not t.requires_grad:
                    self.know(t, self.add(self.here("detach"), registry()["Detach"](), self.name(t)))

    # Calls

    def unread(self, why: str) -> UnreadableError:
        """What a call raises that cannot be read, with its place. No TypeError: an operator would turn that into one of
        its own."""
        return UnreadableError(f"from_torch cannot read this model: {why}\n  {place(self.stack[-1])}")

    def compute(self, name: str, func: Any, args: tuple, kwargs: Mapping[str, Any]) -> Any:
        if self.inside:
            return super().compute(name, func, args, kwargs)
        if name == "Tensor.grad_fn" and func(*args) is not None:
            return Watched(func(*args), lambda: self.unread(HOOK))
        if name in calls.METADATA:
            return func(*args, **kwargs)
        given = [*tensors_in((args, kwargs))]
        if name in calls.READS_A_VALUE or (calls.last(name) == "where" and len(args) + len(kwargs) == 1):
            if not all(map(self.fixed, given)):
                self.notes[f"{calls.shown(name)} reads a value of the sample ({place(self.stack[-1])})"] = None
            return self.locked(func(*args, **kwargs), given)
        if why := unreadable(name, given, self.fixed):
            raise self.unread(why)
        target = self.target(name, args, kwargs)
        if (
            all(map(self.fixed, map(inside, given)))
            and self.held(target) not in self.buffers
            and calls.last(name) not in DROPS
        ):
            return func(*args, **kwargs)
        return self.record(name, func, args, kwargs, given, target)

    def locked(self, value: Any, given: list[torch.Tensor]) -> Any:
        """An array that shares its memory with a tensor of the graph cannot be written to: nothing would show it."""
        if isinstance(value, np.ndarray) and any(id(t) in self.values for t in given):
            value.flags.writeable = False
        return value

    def draw(self, name: str, func: Any, args: tuple, kwargs: Mapping[str, Any]) -> torch.Tensor:
        given = [*tensors_in((args, kwargs))]
        if name in REPARAMETRIZED and torch.is_grad_enabled() and any(t.requires_grad for t in given):
            raise self.unread(IMPLICIT)
        if not all(map(self.fixed, given)) and not name.endswith("_like"):
            self.notes[f"{calls.shown(name)} draws as the sample says ({place(self.stack[-1])})"] = None
        return super().draw(name, func, args, kwargs)

    def record(
        self, name: str, func: Any, args: tuple, kwargs: Mapping[str, Any], given: list, target: torch.Tensor | None
    ) -> Any:
        """One call as a node; in place, what it changes is the node's value from then on."""
        self.refuse_change(name, target)
        if any(t.is_complex() for t in given) and calls.last(name) in OF_COMPLEX:
            return self.through(func, OF_COMPLEX[calls.last(name)], args, kwargs)
        if body := expansion(name):
            return self.through(func, body, args, kwargs)
        func = SIGNED.get(name, func)
        step, inputs, params = self.step(name, args, kwargs, given)
        if isinstance(step.layer, Missing) and not step.layer.lost and (body := calls.body_of(func)):
            return self.through(func, body, args, kwargs)
        before = self.saved([*given, *step.params.values()])
        y = self.call(func, args, kwargs)
        self.settle(step.params.values())
        result = target if target is not None else y
        if result is None or not any(True for _ in tensors_in(result)):
            return y
        if target is not None:
            self.writes.append((target._version, target))
        elif name in calls.SAME or type(step.layer) is registry()["Identity"]:
            return self.alias(y, given[0])
        base = calls.in_place_of(name).rsplit(".")[-1].strip("_")
        node = self.add(self.here(base), step.layer, inputs, params)
        self.note(node, step, partial(self.again, name, func, args, kwargs), before)
        self.keep(node, result)
        if name == "Tensor.data":
            self.data.append(y)
        if name == "Tensor.__getitem__" and isinstance(y, torch.Tensor) and y._is_view():
            self.views.append((y, args[0], args[1]))
        if type(step.layer).__name__ != "Detach":
            self.cut(result, given)
        return y

    def through(self, func: Any, body: Any, args: tuple, kwargs: Mapping[str, Any]) -> Any:
        """A function that has no class, by what it calls, or by a body of the same meaning."""
        self.bodies.append(func)
        try:
            if func in self.bodies[:-1]:  # its own body calls it
                raise UnknownCallError(f"torch.{func.__name__} has no class here")
            with self:
                return body(*args, **kwargs)
        except UnknownCallError as e:
            raise self.unread(str(e)) from e
        finally:
            self.bodies.pop()

    def step(self, name: str, args: tuple, kwargs: Mapping[str, Any], given: list) -> tuple[Step, Names, Any]:
        """The layer of a call, what it takes and where its parameters are."""
        try:
            step = calls.step_of(name, args, kwargs, self.dtype)
            real_alone(step)
            self.look_for_options(name, step, given)
            return step, self.named(step.inputs), self.pairs(step)
        except UnknownCallError as e:
            missing = Missing(name, str(e), place(self.stack[-1]), isinstance(e, LostTensorError))
            return Step(missing, ()), self.known_names(given), None

    def look_for_options(self, name: str, step: Step, given: list[torch.Tensor]) -> None:
        """A tensor whose numbers became options, as the class weights of a loss or the place of a slice, is noted."""
        taken = {id(t) for t in tensors_in((step.inputs, step.params))}
        read = [t for t in given if id(t) not in taken and not self.fixed(t) and self.held(t) not in self.buffers]
        if read and not name.endswith("_as"):  # which reads a shape
            self.notes[f"{calls.shown(name)} reads a value of the sample ({place(self.stack[-1])})"] = None

    def again(
        self, name: str, func: Any, args: tuple, kwargs: Mapping[str, Any], other: Callable[[Any], Any]
    ) -> Callable[[], Any]:
        """The same call, its tensors replaced by `other` of each: what it gives, or what it changes."""
        kwargs = {n: v for n, v in kwargs.items() if n != "out"}  # autograd refuses to write what has a gradient there
        given, named = swapped(args, other), swapped(kwargs, other)
        changed = self.target(name, given, named)

        def call() -> Any:
            found = func(*given, **named)
            return found if changed is None else changed

        return call

    def refuse_change(self, name: str, target: torch.Tensor | None) -> None:
        """TypeError for a call that changes a parameter in place, or anything by x.data."""
        if target is not None and any(origin(target) is y for y in self.data):
            raise self.unread(
                f"{calls.shown(name)} changes a tensor by its .data, behind autograd's back: change the tensor itself"
            )
        if (held := self.held(target)) in self.parameters:
            raise self.unread(f"{calls.shown(name)} changes the parameter {held} in the forward pass{MOVES}")

    def alias(self, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """The same numbers under another tensor."""
        value = self.values.get(id(x))
        if value is not None and y is not x:
            self.name(x)
            value = self.values[id(x)]
            self.know(y, value.name, value.path, value.fixed)
        return y

    def target(self, name: str, args: tuple, kwargs: Mapping[str, Any]) -> torch.Tensor | None:
        """The tensor that a call changes in place."""
        if not calls.is_in_place(name, kwargs):
            return None
        return kwargs["out"] if isinstance(kwargs.get("out"), torch.Tensor) else args[0] if args else kwargs["input"]

    def pairs(self, step: Step) -> tuple[tuple[str, str], ...] | None:
        """Where the parameters of a call's layer are."""
        return tuple((local, self.name(t)) for local, t in step.params.items()) or None

    def known_names(self, given: list[torch.Tensor]) -> Names:
        """What a call that has no class depends on."""
        return tuple(self.values[id(t)].name for t in given if id(t) in self.values)

    # Modules

    def module(self, original: Any, m: nn.Module, args: tuple, kwargs: dict[str, Any]) -> Any:
        """A module's call: whole if it is of a class that is here, else read through."""
        path = self.paths.get(id(m), type(m).__name__)
        known = not self.inside and id(m) in self.paths
        if known:
            args, kwargs = self.in_dtype(args), self.in_dtype(kwargs)
        with torch._C.DisableTorchFunction():
            step = self.whole(m, args, kwargs) if known else None
        if step is not None:
            return self.one_node(path, step, original, m, args, kwargs)
        self.stack.append(path)
        try:
            return original(m, *args, **kwargs)
        finally:
            self.stack.pop()

    def one_node(self, path: str, step: Step, original: Any, m: nn.Module, args: tuple, kwargs: dict[str, Any]) -> Any:
        """A module's call as one node."""
        with torch._C.DisableTorchFunction():
            inputs, own = self.named(step.inputs), {local: self.name(t) for local, t in step.params.items()}
            before = self.saved([*tensors_in((args, kwargs)), *step.params.values()])
        y = self.uninterrupted(lambda: self.call(original, (m, *args), kwargs))

        def again(other: Callable[[Any], Any]) -> Callable[[], Any]:
            state = {local: other(t) for local, t in step.params.items()}
            given, named = swapped(args, other), swapped(kwargs, other)
            every = in_every_place(m, state)
            return lambda: torch.func.functional_call(m, every, given, named, tie_weights=False)

        with torch._C.DisableTorchFunction():
            first = path and path not in {node.name for node in self.nodes} | self.inputs
            name = path if first else self.fresh(path or type(m).__name__.lower())
            self.nodes.append(Node(name, step.layer, inputs, located(tuple(own.items()), name)))
            self.note(name, step, again, before)
            self.keep(name, y)
            self.cut(y, [*tensors_in((args, kwargs)), *m.parameters()])
            self.settle(m.buffers())
        return y

    def uninterrupted(self, call: Callable[[], Any]) -> Any:
        """What a call gives, with no call inside it noted."""
        self.inside += 1
        try:
            return call()
        finally:
            self.inside -= 1

    def whole(self, m: nn.Module, args: tuple, kwargs: Mapping[str, Any]) -> Step | None:
        """A module that is taken whole, with its parameters and buffers; None for one that is read through."""
        layer = self.find(m)
        if layer is None and parametrized.moves_often(m):
            told = parametrized.MOVES_OFTEN.format(parametrized.own_class(m).__name__)
            raise self.unread(told)
        if layer is None:
            return None
        if any(isinstance(a, PackedSequence) for a in (*args, *kwargs.values())):
            raise self.unread(PACKED)
        options = options_of(layer)
        own = dict(m.named_parameters(remove_duplicate=False))
        own |= {n: t for n, t in m.named_buffers(remove_duplicate=False) if n not in options}
        try:
            step = calls.call_arguments(layer, m, args, kwargs)
            real_alone(Step(step.layer, (step.inputs, tuple(own.values()))))
            self.named((step.inputs, tuple(own.values())))
        except (UnknownCallError, TypeError):
            return None  # what is wrong shows when it is read through
        return Step(step.layer, step.inputs, own)

    def call(self, func: Any, args: tuple, kwargs: Mapping[str, Any]) -> Any:
        """What torch gives for a step."""
        return mended(func, args, kwargs)

    def saved(self, tensors: list[torch.Tensor]) -> dict[int, torch.Tensor]:
        """What tensors are before a call, for who makes it again."""
        return {}

    def note(self, name: str, step: Step, again: Again, before: Mapping[int, torch.Tensor]) -> None:
        """How to make the call of a node again, on other tensors."""

    def settle(self, buffers: Any) -> None:
        """Buffers that a layer changed are still its own: its `track` moves them."""
        for t in buffers:
            if (value := self.values.get(id(t))) is not None and value.name in self.buffers:
                self.values[id(t)] = replace(value, version=t._version)

    def function(self, original: Any, cls: type, args: tuple, kwargs: dict[str, Any]) -> Any:
        """A torch.autograd.Function, which has a backward of its own: read where an Operation says that it is this."""
        if not self.inside and cls.__name__ in calls.operations():
            return self.by_operation(original, cls, self.in_dtype(args), kwargs)
        y = self.uninterrupted(lambda: original(*args, **kwargs))
        given = [*tensors_in((args, kwargs))]
        constant = all(map(self.fixed, given)) and not any(t.requires_grad for t in tensors_in(y))
        if not self.inside and not constant:
            reason = f"the torch.autograd.Function {cls.__name__} has a backward of its own"
            missing = Missing(cls.__name__, reason, place(self.stack[-1]))
            self.keep(self.add(self.here(cls.__name__), missing, self.known_names(given)), y)
        return y

    def by_operation(self, original: Any, cls: type, args: tuple, kwargs: dict[str, Any]) -> Any:
        """The operation that somebody has written for a Function as a node, which is compared with that one's own
        backward."""
        with torch._C.DisableTorchFunction():
            try:
                step = calls.bound(calls.operations()[cls.__name__], (), {}, args, kwargs, self.dtype)
                inputs = self.named(step.inputs)
            except UnknownCallError as e:
                raise self.unread(str(e)) from e
            before = self.saved([*tensors_in((args, kwargs))])
        y = self.uninterrupted(lambda: original(*args, **kwargs))

        def again(other: Callable[[Any], Any]) -> Callable[[], Any]:
            given, named = swapped(args, other), swapped(kwargs, other)
            return lambda: original(*given, **named)

        with torch._C.DisableTorchFunction():
            name = self.add(self.here(cls.__name__), step.layer, inputs)
            self.note(name, step, again, before)
            self.keep(name, y)
            self.cut(y, [*tensors_in((args, kwargs))])
        self.notes[OF_A_FUNCTION.format(cls.__name__)] = None
        return y

    @contextmanager
    def reading(self):
        """Within it, calls of modules and of autograd functions come here, too."""
        of_module, of_function = nn.Module.__call__, vars(torch.autograd.Function)["apply"]

        def module(m: nn.Module, /, *args: Any, **kwargs: Any) -> Any:
            return self.module(of_module, m, args, kwargs)

        def apply(cls: type, /, *args: Any, **kwargs: Any) -> Any:
            return self.function(of_function.__get__(None, cls), cls, args, kwargs)

        with ExitStack() as stack:
            stack.enter_context(mock.patch.object(nn.Module, "__call__", module))
            stack.enter_context(mock.patch.object(torch.autograd.Function, "apply", classmethod(apply)))
            yield

    # The graph

    def graph(self, y: Any, left: Mapping[str, torch.Tensor], given: PassInputs) -> Graph:
        """The nodes that the output, or a buffer after the pass, depends on."""
        tensors, keys = outputs(y)
        try:
            names = self.named(tensors)
            after = {n: self.name(t) for n, t in left.items() if id(t) in self.values}
        except UnknownCallError as e:
            raise TypeError(
                f"from_torch cannot read this model: {e}\n  in the model, where it gives its output"
            ) from None
        moved = tuple((n, new) for n, new in after.items() if new != n and n in given.buffers)
        used = {*leaves_of(names), *(new for _, new in moved)}
        kept: list[Node] = []
        for node in reversed(self.nodes):
            if node.name in used or (node.layer.random and not isinstance(node.layer, Missing)):
                kept.insert(0, node)
                used |= {*leaves_of(node.inputs), *node.given()}
        if missing := [node.layer for node in kept if isinstance(node.layer, Missing)]:
            raise TypeError(told(missing))
        shapes = {n: tuple(t.shape) for n, t in (given.params | given.buffers | self.constants).items()}
        owned = {name for node in kept for name in self.owned(node)}
        bare = tuple((n, shapes[n]) for n in given.params if n not in owned)
        still = tuple((n, shapes[n]) for n in (*given.buffers, *self.constants) if n not in owned and n in used)
        return Graph(
            *kept, inputs=tuple(given.inputs), outputs=names, keys=keys, parameters=bare, constants=still, moved=moved
        )

    def owned(self, node: Node) -> set[str]:
        """The names of parameters and buffers that are a node's own. A constant in the place of a layer's parameter, as
        the kernel of a blur, is not: it has no gradient."""
        if isinstance(node.params, tuple):
            buffers = node.layer.buffer_names()
            return {name for local, name in node.params if name in self.parameters or local in buffers}
        prefix = node.where("")
        return {name for name in self.parameters | self.buffers if name.startswith(prefix)}


def real_alone(step: Step) -> None:
    """UnknownCallError for complex numbers given to a layer that has no gradient by them."""
    if not step.layer.of_complex and any(t.is_complex() for t in tensors_in((step.inputs, step.params))):
        raise UnknownCallError(
            f"{type(step.layer).__name__} has no gradient by complex numbers (of_complex is False), but by z.real, "
            f"z.imag and z.abs()"
        )


DROPS = {"dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout", "rrelu"}
