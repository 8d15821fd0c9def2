"""The sides of an update: an optimizer by hand, its torch twin, a rule of yours, each run over the same steps."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from manualbp.base import flatten, unflatten
from manualbp.optim import Optimizer

from ..compare.bound import WIDE
from ..draw.steps import Flat, Steps, scaled
from ..twin.conventions import minimising
from ..twin.optimizers import scalars_as, to_tensor, to_torch_optim, torch_name, torch_slots, unrounded_muon
from .rules import Rule

History = list[Flat]  # after every step: parameters by name, and state as "name/slot"


class Updates:
    """run(steps, dtype) gives parameters and state after every step, in this precision."""

    precisions: ClassVar[tuple[Any, ...]] = (np.float32, np.float64)

    def run(self, steps: Steps, dtype: Any) -> History:
        raise NotImplementedError


@dataclass(frozen=True)
class HandUpdates(Updates):
    """The rule written by hand."""

    opt: Optimizer

    precisions = (np.float32, np.float64, np.longdouble) if WIDE else (np.float32, np.float64)

    def run(self, steps: Steps, dtype: Any) -> History:
        opt = self.opt if dtype == np.float64 else same_epsilon(self.opt)
        params, state, history = unflatten({n: p.astype(dtype) for n, p in steps.params.items()}), {}, []
        for grads, rate in zip(steps.grads, steps.rates, strict=True):
            given = _cast(grads, dtype)
            asked = quartic(given, opt.maximize) if opt.by_closure else unflatten(given)
            params, state = scaled(opt, rate).step(params, asked, state)
            slots = {f"{n}/{k}": v for n, s in state.items() for k, v in opt.to_slots(s).items()}
            history.append({n: np.asarray(a) for n, a in _flat(flatten(params) | slots)})
        return history


@dataclass(frozen=True)
class TorchUpdates(Updates):
    """torch's optimizer of the same name and options; that of the right class, where the given one is faulty."""

    opt: Optimizer

    def run(self, steps: Steps, dtype: Any) -> History:
        opt = minimising(self.opt if dtype == np.float64 else same_epsilon(self.opt))
        history = []
        with scalars_as(dtype):
            made, tensors = to_torch_optim(opt, {n: p.astype(dtype) for n, p in steps.params.items()})
            rates = [group["lr"] for group in made.param_groups]
            for grads, rate in zip(steps.grads, steps.rates, strict=True):
                for group, lr in zip(made.param_groups, rates, strict=True):
                    group["lr"] = lr * rate
                torch_step(opt, made, tensors, _cast(grads, dtype))
                history.append(_arrays({**tensors, **torch_slots(made, tensors)}))
        return history


@dataclass(frozen=True)
class YourUpdates(Updates):
    """A rule of yours. reused: the gradients of all steps are written into the same arrays, one after the other."""

    rule: Rule
    reused: bool = False

    precisions = (np.float64,)

    def run(self, steps: Steps, dtype: Any) -> History:
        running = self.rule.begin({n: p.astype(dtype) for n, p in steps.params.items()})
        buffers = {n: np.zeros_like(p, dtype) for n, p in steps.params.items()}
        history = []
        for grads, rate in zip(steps.grads, steps.rates, strict=True):
            given = {n: None if g is None else np.array(g, dtype) for n, g in grads.items()}
            if self.reused:
                given = {n: None if g is None else _written(buffers[n], g) for n, g in given.items()}
            with np.errstate(all="ignore"):
                running.step(given, rate)
            history.append(running.read())
        return history


class RunTorch(YourUpdates):
    """A torch.optim.Optimizer class that has no twin by hand."""

    precisions = (np.float32, np.float64)


def _written(into: np.ndarray, values: np.ndarray) -> np.ndarray:
    into[...] = values
    return into


def _cast(grads: Mapping[str, Any], dtype: Any) -> dict[str, Any]:
    """Gradients in another precision; what it cannot hold becomes infinite."""
    with np.errstate(over="ignore"):
        return {n: g if g is None or g.dtype == dtype else g.astype(dtype) for n, g in grads.items()}


def torch_step(opt: Optimizer, made: torch.optim.Optimizer, tensors: dict[str, torch.Tensor], grads: dict) -> None:
    """One step of the twin with these gradients, or to minimise the function that they are the coefficients of."""
    if opt.by_closure:
        made.step(lambda: _torch_closure(tensors, grads, opt.maximize))
        return
    for name, p in tensors.items():
        g = grads.get(name)
        p.grad = None if g is None else to_tensor(g).detach()
    with unrounded_muon() if torch_name(opt) == "Muon" else nullcontext():
        made.step()


def quartic(c: dict[str, Any], maximize: bool = False) -> Callable:
    """The closure of a function whose minimum lies at c and whose curvature differs from entry to entry, or of the
    negative of it if that is to be maximised:
    f = Σ h(x − c),  h(z) = ½z² + z⁴/4 + k z²,  k = 0, 1, 2, … along each array. Arrays whose c is None have no part."""
    sign = -1 if maximize else 1

    def closure(params: dict) -> tuple[Any, dict]:
        z = {n: p - c[n] for n, p in flatten(params).items() if c[n] is not None}
        k = {n: np.arange(a.size, dtype=a.dtype).reshape(a.shape) for n, a in z.items()}
        grads = {n: sign * _slope(z[n], k[n]) if n in z else None for n in c}
        return sign * sum(_height(z[n], k[n]).sum() for n in z), unflatten(grads)

    return closure


def _torch_closure(tensors: dict[str, torch.Tensor], c: dict[str, Any], maximize: bool) -> torch.Tensor:
    f, sign = torch.zeros(()), -1 if maximize else 1
    for name, p in tensors.items():
        p.grad = None
        if c[name] is not None:
            z = p.detach() - torch.from_numpy(np.array(c[name]))
            k = torch.arange(z.numel(), dtype=z.dtype).reshape(z.shape)
            p.grad = sign * _slope(z, k)
            f = f + sign * _height(z, k).sum()
    return f


def _height(z: Any, k: Any) -> Any:
    return z * z / 2 + z * z * z * z / 4 + k * z * z


def _slope(z: Any, k: Any) -> Any:
    return z + z * z * z + 2 * k * z


def _arrays(found: dict[str, Any]) -> Flat:
    """Copies as arrays: torch goes on with its tensors in place."""
    return {n: np.array(a.detach().numpy() if isinstance(a, torch.Tensor) else a) for n, a in _flat(found)}


def _flat(found: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The arrays by name; a list of vectors becomes an entry for each."""
    for name, v in found.items():
        yield from ((f"{name}[{i}]", a) for i, a in enumerate(v)) if isinstance(v, list) else ((name, v),)


def same_epsilon(opt: Optimizer) -> Optimizer:
    """Adafactor's eps of None is the epsilon of the dtype: another constant in every precision. What measures rounding
    has to compute the same thing, so all take float64's."""
    if torch_name(opt) != "Adafactor" or opt.eps[0] is not None:
        return opt
    return opt.replace(eps=(float(np.finfo(np.float64).eps), opt.eps[1]))
