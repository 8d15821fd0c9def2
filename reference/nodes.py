"""Every node of a model's graph alone: given what it was given in the model's own run, and the gradient that came back
to it there. So errors do not pile up, and the first node that is wrong has a name."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import torch

from manualbp.base import Layer, Tree, flatten, unflatten

from .compare.comparison import Comparison, compare
from .draw.trial import Trial
from .sides.hand import Hand
from .sides.model import Own, dense, gradient, keyed, pairs_of, precision, precision_of
from .sides.run import GRADIENT, OUTPUT, Run, leaves, named
from .sides.side import Side
from .twin import passes, randomness
from .twin.layers import array, quiet, tensor
from .twin.models import whole
from .twin.reading import Again, Reader
from .twin.step import Step, continuous, in_precision, swapped, tensors_in

Find = Callable[[torch.nn.Module], Layer | None]


@dataclass(frozen=True)
class Call(Side):
    """One call of torch, made again on other numbers. `values`: what its tensors were, by id; `device`: where."""

    step: Step
    again: Again
    values: Mapping[int, torch.Tensor]
    seed: int | None
    device: str = "cpu"

    def run(self, trial: Trial) -> Run:
        inputs = to_leaves(trial.x)
        params = {n: leaf(a, n not in trial.buffers) for n, a in flatten(trial.params).items()}
        dtype = getattr(torch, precision_alone(trial).name)
        call = self.again(self.substitute(inputs, params, trial))
        y = swapped(passes.tree(self.made(call, dtype, self.seed)), torch.Tensor.cpu)
        pairs = pairs_of(y, trial.dy)
        if pairs:
            backward(pairs)
        by_param = {n: gradient(t) for n, t in params.items() if n not in trial.buffers}
        return named(OUTPUT, leaves(keyed(y, ()), "y")) | named(GRADIENT, leaves(gradients(inputs), "x") | by_param)

    def made(self, call: Callable[[], Any], dtype: torch.dtype, source: Any) -> Any:
        """What the call gives, its random numbers drawn from a seed, or noted."""
        with torch.enable_grad(), quiet(), randomness.shared(source), passes.OwnRun(dtype, [], True):
            return call()

    def substitute(self, inputs: Any, params: Mapping[str, torch.Tensor], trial: Trial) -> Callable[[Any], Any]:
        """Other tensors in the place of those of the call: one that it is given twice is two."""
        dtype = getattr(torch, precision_alone(trial).name)
        fresh: dict[int, list[torch.Tensor]] = {}
        for old, new in zip(tensors_in(self.step.inputs), tensors_in(inputs), strict=True):
            fresh.setdefault(id(old), []).append(new.clone())
        for name, old in self.step.params.items():
            fresh.setdefault(id(old), []).append(params[name].clone() if params[name].requires_grad else params[name])

        def other(t: torch.Tensor) -> torch.Tensor:
            if left := fresh.get(id(t)):
                return (left.pop(0) if len(left) > 1 else left[0]).to(self.device)
            was = self.values.get(id(t), t)
            return was.to(in_precision(was.dtype, dtype), copy=True).to(self.device)

        return other


class Recorder(Reader):
    """Notes of every node how to make the call again, and the gradient that comes back to what it gave."""

    def __init__(self, own: Own, dtype: torch.dtype, only: str, find: Find = whole) -> None:
        super().__init__(own.model, find, dtype, own.draws, False)
        self.only = only
        self.rng = None if own.seed is None else np.random.default_rng(own.seed)
        self.calls: dict[str, tuple[Step, Again, Mapping[int, torch.Tensor]]] = {}
        self.upstream: dict[tuple[str, tuple[int, ...]], torch.Tensor] = {}

    def saved(self, tensors: list[torch.Tensor]) -> dict[int, torch.Tensor]:
        return {id(t): t.detach().clone() for t in tensors}

    def call(self, func: Any, args: tuple, kwargs: Mapping[str, Any]) -> Any:
        with randomness.shared(self.rng):  # which replaces functions where they are looked up, so not this one
            return passes.mended(func, args, kwargs)

    def note(self, name: str, step: Step, again: Again, before: Mapping[int, torch.Tensor]) -> None:
        if fnmatchcase(name, self.only):
            self.calls[name] = step, again, before

    def keep(self, name: str, y: Any, path: tuple[int, ...] = ()) -> None:
        super().keep(name, y, path)

        def came_back(g: torch.Tensor | None) -> None:  # None to a sign, say, whose gradient is none
            if g is not None:
                self.upstream[name, path] = g.detach().clone()

        if isinstance(y, torch.Tensor) and y.requires_grad:
            y.register_hook(came_back)


@dataclass(frozen=True)
class Alone:
    """One node on what it was given in the model: compared with the call of torch that it is.

    layer  by hand;  right: what the call was read as, another layer only where somebody has put one in its place
    sides  the two that were compared: by hand, and the call
    """

    layer: Layer
    right: Layer
    trial: Trial
    found: Comparison
    sides: tuple["Gradients", Call]


def each_alone(
    own: Own, trial: Trial, layers: Mapping[str, Layer], only: str, seed: int
) -> Iterator[tuple[str, Alone]]:
    """Every node whose name matches, in order."""
    recorder = recorded(own, trial, only)
    yield from ((n, alone(n, layer, recorder, seed)) for n, layer in layers.items() if n in recorder.calls)


def recorded(own: Own, trial: Trial, only: str = "*", find: Find = whole) -> Recorder:
    """The model's own run, forward and back, with what every node was given and got back. `find`: what layer a module
    is, None if it is to be read through."""
    dtype = getattr(torch, precision(trial).name)
    recorder = Recorder(own, dtype, only, find)
    given, seen = own.given(trial, dtype)
    recorder.give(given, seen)
    with quiet(), recorder.reading():
        y, _ = passes.run(own.model, given, recorder)
    if pairs := pairs_of(passes.outputs(y)[0], trial.dy):
        torch.autograd.backward([t for t, _ in pairs], [d for _, d in pairs])
    return recorder


def alone(name: str, layer: Layer, recorder: Recorder, seed: int) -> Alone:
    """One node by hand and by torch, on what it was given in the model."""
    hand, call, trial = sides_alone(name, layer, recorder, seed)
    return Alone(layer, call.step.layer, trial, compare(hand, call, trial), (hand, call))


def sides_alone(name: str, layer: Layer, recorder: Recorder, seed: int) -> tuple["Gradients", Call, Trial]:
    """One node by hand, as the call of torch that it is, and what it was given in the model."""
    step, again, before = recorder.calls[name]

    def was(tensors: Any) -> Any:
        if isinstance(tensors, torch.Tensor):
            return array(before.get(id(tensors), tensors))  # an index that a list was made into is there by itself
        return None if tensors is None else tuple(map(was, tensors))

    params = unflatten({n: was(t) for n, t in step.params.items()})
    buffers = tuple(n for n, t in step.params.items() if not t.requires_grad)
    random = seed if layer.random else None
    hand, call = Hand(layer, seed), Call(step, again, before, random)
    trial = Trial(was(step.inputs), seed=seed, params=params, buffers=buffers)
    y = hand.outputs(trial)
    trial = Trial(trial.x, seed=seed, params=params, buffers=buffers, dy=upstream(y, name, recorder))
    return Gradients(hand, buffers), call, trial


@dataclass(frozen=True)
class Gradients(Side):
    """A side without its buffers: what a call leaves in them is compared for the whole model."""

    inner: Hand
    buffers: tuple[str, ...]

    precisions = Hand.precisions

    def run(self, trial: Trial) -> Run:
        return {
            n: dense(a)
            for n, a in self.inner.run(trial).items()
            if n.role in (OUTPUT, GRADIENT) and n.path not in self.buffers
        }

    def noise(self, trial: Trial, rng: np.random.Generator) -> Run | None:
        return self.inner.noise(trial, rng)


def upstream(y: Tree, name: str, recorder: Recorder, path: tuple[int, ...] = ()) -> Tree:
    """The gradient that came back to each output, 0 where none did; None for integers."""
    if isinstance(y, tuple):
        return tuple(upstream(part, name, recorder, (*path, i)) for i, part in enumerate(y))
    y = np.asarray(y)
    g = recorder.upstream.get((name, path))
    return None if y.dtype.kind not in "fc" else np.zeros_like(y) if g is None else array(g).astype(y.dtype)


def backward(pairs: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
    """autograd from outputs and their upstream gradients; nothing where torch has none, as of floor_divide, whose is 0:
    alone, a node has gradients by inputs that have none in the model."""
    try:
        torch.autograd.backward([t for t, _ in pairs], [d for _, d in pairs])
    except RuntimeError as e:
        if "is not implemented" not in str(e):
            raise


def precision_alone(trial: Trial) -> np.dtype:
    return precision_of((*leaves(trial.x, "x").values(), *flatten(trial.params).values()))


def to_leaves(x: Tree) -> Any:
    return tuple(map(to_leaves, x)) if isinstance(x, tuple) else None if x is None else leaf(x)


def leaf(a: Any, learned: bool = True) -> torch.Tensor:
    t = tensor(np.asarray(a))
    return t.requires_grad_() if learned and continuous(t) else t


def gradients(inputs: Any) -> Tree:
    if isinstance(inputs, tuple):
        return tuple(map(gradients, inputs))
    return gradient(inputs) if inputs is not None and inputs.requires_grad else None


def first_wrong(found: Comparison, nodes: Mapping[str, Comparison]) -> tuple[str | None, str | None, str | None]:
    """The node of the first fault in the order of computation, the fault, and its side: forward from the first node,
    then backward from the last."""
    forward = [(n, t) for n, c in nodes.items() for t in c.wrong if t.of.role != GRADIENT]
    backward = [(n, t) for n, c in reversed([*nodes.items()]) for t in c.wrong if t.of.role == GRADIENT]
    for name, first in (*forward, *backward):
        return name, f"{name}, its {first.name}", "forward" if forward else "backward"
    if not found.wrong:
        return None, None, None
    first = found.wrong[0]
    return None, first.name, "backward" if first.of.role == GRADIENT else "forward"
