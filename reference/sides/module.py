"""The side of autograd: a torch module, the twin of a layer or one that somebody gave."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from manualbp.base import Layer, Tree, flatten, options_of

from ..draw.trial import Trial
from ..twin import modules, randomness
from ..twin.layers import array, quiet, tensor, to_torch
from ..twin.step import continuous
from .cuts import Cuts
from .run import BUFFER, GRADIENT, OUTPUT, Run, flat, leaves, named
from .side import Side

Make = Callable[[Trial], nn.Module]


@dataclass(frozen=True)
class Module(Side):
    """A module made anew for every run. `seed`: of random numbers that it draws as the hand-written layer does. `cut`:
    is its gradient meant to be another than its forward's? None: what it calls tells."""

    make: Make
    seed: int | None = None
    device: str = "cpu"
    cut: bool | None = None

    def run(self, trial: Trial) -> Run:
        module, inputs, y = self._forward(trial, requires_grad=True)
        self._backward(y, trial.dy)
        parameters = dict(module.named_parameters())
        grads = {n: array(torch.zeros_like(p) if p.grad is None else p.grad) for n, p in parameters.items()}
        buffers = {n: array(b) for n, b in module.state_dict().items() if n not in parameters}
        gradients = leaves(_gradients(inputs), "x") | grads
        return named(OUTPUT, leaves(_arrays(y), "y")) | named(GRADIENT, gradients) | named(BUFFER, buffers)

    def outputs(self, trial: Trial) -> Tree:
        return _arrays(self._forward(trial, requires_grad=False)[2])

    def cuts(self, trial: Trial) -> bool:
        if self.cut is not None:
            return self.cut
        module, inputs = self.make(trial), to_tensors(trial.x, self.device)
        with quiet(), randomness.shared(self.seed), Cuts() as seen:
            modules.call(module, inputs)
        return seen.found

    def _forward(self, trial: Trial, requires_grad: bool) -> tuple[nn.Module, Any, Any]:
        module, inputs = self.make(trial), to_tensors(trial.x, self.device, requires_grad)
        with quiet(), randomness.shared(self.seed):
            return module, inputs, modules.as_tuple(modules.call(module, inputs))

    def _backward(self, y: Any, dy: Tree) -> None:
        """autograd from every output that has an upstream gradient."""
        pairs = [(t, d) for t, d in zip(flat(y), flat(dy), strict=True) if d is not None and t.requires_grad]
        if pairs:
            upstream = [torch.as_tensor(np.asarray(d)).to(self.device) for _, d in pairs]
            torch.autograd.backward([t for t, _ in pairs], upstream)


def twin_of(layer: Layer, seed: int | None = None, device: str = "cpu") -> Module:
    """The torch twin of a layer, as a side."""
    cut = not all(part.is_gradient for _, part in layer.walk())
    seed = seed if layer.random else None
    return Module(lambda trial: to_torch(layer, trial.params, trial.dtype, device), seed, device, cut)


def given_module(against: Any, layer: Layer, seed: int | None = None) -> Module:
    """A torch.nn module, or a class of one that takes the layer's options, with the layer's parameters in it."""
    if isinstance(against, type):
        options = {k: v for k, v in options_of(layer).items() if k != "training"}
        try:
            against = against(**options)
        except TypeError as e:
            name, given = against.__name__, ", ".join(options) or "none"
            raise ValueError(
                f"against={name} does not take the options of {layer}, which are {given}: {e}. Give a module with the "
                f"layer's parameters, as against=nn.Linear(3, 2), or a class of the same options"
            ) from None
    if not isinstance(against, nn.Module):
        raise ValueError(
            f"against is {against!r:.60}; check_layer takes a torch.nn class or module, as against=nn.Linear(3, 2), or "
            f'nothing. For a function there is check_function(forward, backward, against=…, inputs={{"x": ("N", "D")}})'
        )

    def make(trial: Trial) -> nn.Module:
        module = copy.deepcopy(against).to(getattr(torch, trial.dtype))
        found = module.load_state_dict({n: tensor(p) for n, p in flatten(trial.params).items()}, strict=False)
        if found.unexpected_keys:
            raise ValueError(
                f"{against} has no parameters {', '.join(found.unexpected_keys)}, which {layer} has; "
                f"it has {', '.join(module.state_dict())}"
            )
        return module

    return Module(make, seed if layer.random else None)


def to_tensors(x: Tree, device: str = "cpu", requires_grad: bool = False) -> Any:
    """A tree of arrays as a tree of tensors; real ones can have a gradient."""
    if isinstance(x, tuple):
        return tuple(to_tensors(part, device, requires_grad) for part in x)
    if not isinstance(x, (np.ndarray, np.generic)):
        return x
    t = tensor(np.asarray(x), device)
    return t.requires_grad_() if requires_grad and continuous(t) else t


def _arrays(tree: Any) -> Tree:
    return tuple(map(_arrays, tree)) if isinstance(tree, tuple) else None if tree is None else array(tree)


def _gradients(x: Any) -> Tree:
    if isinstance(x, tuple):
        return tuple(map(_gradients, x))
    if not isinstance(x, torch.Tensor) or not x.requires_grad:
        return None
    return array(torch.zeros_like(x) if x.grad is None else x.grad)
