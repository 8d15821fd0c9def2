"""Modules whose weight torch has parametrised, or makes anew in a hook: how they are made, and how they are read.

No classes of torch.nn: weight_norm(module) is the module, with other parameters in the place of its weight.
"""

import math
import warnings
from collections.abc import Callable
from typing import Any
from unittest import mock

import torch
from torch import nn
from torch.nn import utils
from torch.nn.utils import parametrizations, parametrize
from torch.nn.utils.spectral_norm import SpectralNorm as SpectralHook
from torch.nn.utils.weight_norm import WeightNorm as WeightHook

from manualbp.base import Layer, registry
from manualbp.parametrizations import SpectralNorm as SpectralNormByHand


class Parametrized(nn.Module):
    """Not itself a module: Class(layer, …) is the layer, whose weight is made of other parameters."""

    def __new__(cls, layer: nn.Module, *args: Any, **options: Any) -> Any:
        return cls.of(layer, *args, **options)

    @staticmethod
    def of(layer: nn.Module, *args: Any, **options: Any) -> nn.Module:
        raise NotImplementedError


class WeightNorm(Parametrized):
    @staticmethod
    def of(layer: nn.Module, name: str = "weight", dim: int | None = 0, hook: bool = False) -> nn.Module:
        if not hook:
            return parametrizations.weight_norm(layer, name, -1 if dim is None else dim)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # deprecated
            return utils.weight_norm(layer, name, -1 if dim is None else dim)


class SpectralNorm(Parametrized):
    @staticmethod
    def of(layer: nn.Module, *args: Any, hook: bool = False, **options: Any) -> nn.Module:
        return (utils.spectral_norm if hook else parametrizations.spectral_norm)(layer, *args, **options)


TERMS = 20  # of the series; the next one is below 10⁻²⁴ where the norm is at most ½


def exponential(A: torch.Tensor) -> torch.Tensor:
    """e^A: the series of A/2ˢ, squared s times. torch's own e^A of a single matrix, and its gradient, are off by up to
    10⁻⁵ in float32, 10⁻¹⁰ in float64, for norms below 0.6 and 0.05, where its polynomial of degree 8 has a wrong
    coefficient (torch 2.13, 2.14; pytorch #196592)."""
    norm = float(A.detach().abs().sum(-1).max())
    s = max(0, math.frexp(norm)[1] + 1) if math.isfinite(norm) else 0
    B = A / 2**s
    total = term = torch.eye(A.shape[-1], dtype=A.dtype, device=A.device)
    for k in range(1, TERMS + 1):
        term = term @ B / k
        total = total + term
    for _ in range(s):
        total = total @ total
    return total


class _Orthogonal(parametrizations._Orthogonal):
    """torch's own, with the exponential that is right."""

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        with mock.patch.object(torch, "matrix_exp", exponential):
            return super().forward(X)


class Orthogonal(Parametrized):
    @staticmethod
    def of(layer: nn.Module, *args: Any, use_trivialization: bool = True, **options: Any) -> nn.Module:
        with mock.patch.object(parametrizations, "_Orthogonal", _Orthogonal):
            return parametrizations.orthogonal(layer, *args, use_trivialization=use_trivialization, **options)


READ_OFTEN = nn.RNNBase, nn.MultiheadAttention  # weights that a pass reads several times
MOVES_OFTEN = (
    "torch reads a weight of {} several times a pass, and in training spectral_norm moves u and v every time, as often "
    "as that torch happens to look. Give model.eval(), or torch.nn.utils.spectral_norm, which moves them once"
)


def set_modes(module: nn.Module, layer: Any) -> None:
    """The mode of a parametrised module is that of the layer inside, or its own where that has none."""
    module.training = getattr(layer.layer, "training", layer.training)
    if parametrize.is_parametrized(module, layer.name):
        if isinstance(layer, SpectralNormByHand) and layer.iterates and isinstance(module, READ_OFTEN):
            raise TypeError(MOVES_OFTEN.format(layer.layer))
        module.parametrizations[layer.name].train(layer.training)  # type: ignore[union-attr,index]


Made = tuple[str, dict[str, Any]]  # the name of a layer, and its options but the layer inside


def _weight_norm(m: Any, name: str) -> Made:
    return "WeightNorm", {"name": name, "dim": None if m.dim == -1 else m.dim}


def _spectral_norm(m: Any, name: str) -> Made:
    times = getattr(m, "n_power_iterations", 1)  # a vector has none
    return "SpectralNorm", {"name": name, "n_power_iterations": times, "eps": m.eps, "dim": m.dim}


def _orthogonal(m: Any, name: str) -> Made:
    options = {"orthogonal_map": m.orthogonal_map.name, "use_trivialization": hasattr(m, "base")}
    return "Orthogonal", {"name": name} | options


READ: dict[type, Callable[[Any, str], Made]] = {
    parametrizations._WeightNorm: _weight_norm,
    parametrizations._SpectralNorm: lambda m, name: _in_mode(_spectral_norm(m, name), m),
    parametrizations._Orthogonal: _orthogonal,
    _Orthogonal: _orthogonal,
}
HOOKS: dict[type, Callable[[Any, str], Made]] = {WeightHook: _weight_norm, SpectralHook: _spectral_norm}


def _in_mode(made: Made, module: nn.Module) -> Made:
    return made[0], made[1] | {"training": module.training}


def made(module: nn.Module) -> list[Made] | None:
    """What was done to a module, in order; None if a parametrisation is of another kind, or moves more than once."""
    found = []
    for name, steps in module.parametrizations.items() if parametrize.is_parametrized(module) else ():
        if len(steps) != 1 or type(steps[0]) not in READ:
            return None
        if moves_often(module, name):
            return None
        found.append(READ[type(steps[0])](steps[0], name))
    for hook in module._forward_pre_hooks.values():
        if type(hook) in HOOKS:
            name, options = HOOKS[type(hook)](hook, hook.name)
            mode = {"training": module.training} if name == "SpectralNorm" else {}
            found.append((name, options | {"hook": True} | mode))
    return found


def moves_often(module: nn.Module, name: str | None = None) -> bool:
    """Do u and v of this weight, or of any, move several times a pass?"""
    if not isinstance(module, READ_OFTEN) or not parametrize.is_parametrized(module, name):
        return False
    of_name = module.parametrizations if name is None else {name: module.parametrizations[name]}  # type: ignore[index]
    return any(type(step) is parametrizations._SpectralNorm and step.training for s in of_name.values() for step in s)


def bare(module: nn.Module) -> nn.Module:
    """The module that a parametrised one was before, of its own class again; any other as it is."""
    if not made(module):
        return module
    other: Any = object.__new__(own_class(module))
    other.__dict__ = dict(vars(module))
    other._modules = {name: m for name, m in module._modules.items() if name != "parametrizations"}
    other._forward_pre_hooks = {i: hook for i, hook in module._forward_pre_hooks.items() if type(hook) not in HOOKS}
    return other


def own_class(module: nn.Module) -> type:
    """A module's class; torch gives a parametrised one a class of its own, below the one that it had."""
    changed = parametrize.is_parametrized(module) or isinstance(module, _Orthogonal)
    return type(module).__mro__[1] if changed else type(module)


def read(module: nn.Module, read_bare: Callable[[nn.Module], Layer]) -> Layer:
    """The layer of a parametrised module."""
    layer = read_bare(bare(module))
    for name, options in made(module) or ():
        layer = registry()[name](layer, **options)
    return layer
