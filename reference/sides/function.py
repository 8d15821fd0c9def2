"""The function intended, as torch code of named inputs: autograd's side of a check."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from manualbp.base import Array, Tree

from ..draw.trial import Trial
from .cuts import Cuts
from .gradients import array
from .kinked import AtKinks
from .run import GRADIENT, OUTPUT, VALUE, Run, flat, leaves, named
from .side import Side
from .yours import as_arrays, as_tensor


@dataclass(frozen=True)
class Function(Side):
    """f(x, w, …) -> y, by position; or y, {"z": z}: intermediates that are compared, too.

    only  the gradients by these inputs, and nothing else
    """

    f: Callable[..., Any]
    only: tuple[str, ...] = ()

    def run(self, trial: Trial) -> Run:
        tensors = {n: self.tensor(n, a) for n, a in trial.arrays.items()}
        y, trace = _split(self.f(*tensors.values()))
        for t in trace.values():
            if t.requires_grad:
                t.retain_grad()
        pairs = [(a, d) for a, d in zip(flat(y), flat(trial.dy)) if a is not None and d is not None and a.requires_grad]
        if pairs:
            upstream = [torch.as_tensor(np.asarray(d)).reshape(a.shape).to(a.dtype) for a, d in pairs]
            torch.autograd.backward([a for a, _ in pairs], upstream)
        grads = {n: _grad(t) for n, t in {**trace, **tensors}.items() if t.requires_grad}
        if self.only:
            return named(GRADIENT, {n: grads.get(n) for n in self.only})
        values = {n: as_arrays(t) for n, t in trace.items()}
        return named(OUTPUT, leaves(as_arrays(y), "y")) | named(VALUE, values) | named(GRADIENT, grads)

    def meets_kinks(self, trial: Trial, rounds: bool) -> bool:
        """Where what goes into them is not, though what comes after may be: a softmax behind a ReLU."""
        if not rounds:
            return True
        narrow, wide = (self._at_kinks(trial.cast(dtype)) for dtype in ("float32", "float64"))
        return len(narrow) == len(wide) and all(map(np.array_equal, narrow, wide))

    def _at_kinks(self, trial: Trial) -> list[Array]:
        with AtKinks() as noted:
            self.f(*(self.tensor(n, a) for n, a in trial.arrays.items()))
        return noted.seen

    def cuts(self, trial: Trial) -> bool:
        tensors = [as_tensor(a) for a in trial.arrays.values()]
        with Cuts() as seen:
            self.f(*tensors)
        return seen.found

    def outputs(self, trial: Trial) -> Tree:
        return as_arrays(_split(self.f(*(self.tensor(n, a) for n, a in trial.arrays.items())))[0])

    def tensor(self, name: str, a: Any) -> torch.Tensor:
        """An input as a tensor that gathers a gradient if it is real."""
        return as_tensor(a)


def _split(found: Any) -> tuple[Any, dict[str, torch.Tensor]]:
    """Output, and intermediates by name if the function returns (y, {"z": z, …})."""
    if isinstance(found, tuple) and len(found) == 2 and isinstance(found[1], dict):
        return found
    return found, {}


def _grad(t: torch.Tensor) -> Array:
    return array(torch.zeros_like(t) if t.grad is None else t.grad).copy()
