"""Functions of arrays: a forward and a backward, a loss with its gradients, an activation and its slope."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from .forms import CallForm
from .gradients import arrays_of, plain, shared, upstream_of
from .nested import Nested
from .subject import Subject

Call = Callable[[Mapping[str, Any]], Any]
USUAL, FLAT = CallForm(1, ("dy", "cache")), Nested()


class Pair(Subject):
    """Two functions, written in a `CallForm`; of arrays, or of torch's tensors (autograd stays out of it)."""

    def __init__(
        self, forward: Call, backward: Callable, names: tuple[str, ...], form: CallForm = USUAL,
        tensors: bool = False, constant: Sequence[str] = (), nested: Nested = FLAT,
    ) -> None:  # fmt: skip
        self.f, self.b, self.names, self.form, self.nested = forward, backward, names, form, nested
        self.of_torch, self.constant, self.no_upstream = tensors, constant, not form.upstream
        self.keeps = all(role.startswith("dy") for role in form.roles)

    def forward(self, arrays):
        given = tensors_of(arrays) if self.of_torch else arrays
        with torch.set_grad_enabled(not self.of_torch and torch.is_grad_enabled()):
            y, cache = self.form.parted(self.f(given))
        return (arrays_of(plain(y)) if self.of_torch else plain(y)), (cache, y, given)

    def backward(self, dy, cache):
        kept, y, given = cache
        if self.of_torch:
            dy = upstream_of(plain(y), dy)
        with torch.set_grad_enabled(not self.of_torch and torch.is_grad_enabled()):
            found = self.b(*self.form.arguments(dy, y, kept, self.nested.together(given)))
        found = arrays_of(found) if self.of_torch else found
        return self.nested.gradients(found, self.names, given, self.constant)


class LossAndGradient(Subject):
    """One function that gives the loss and its gradients: loss, (dx, …);  loss, {"x": dx};  or flat, loss, dx, dw."""

    no_upstream = True

    def __init__(
        self, f: Call, names: tuple[str, ...], constant: Sequence[str] = (), tensors: bool = False,
        nested: Nested = FLAT,
    ) -> None:  # fmt: skip
        self.f, self.names, self.constant, self.of_torch, self.nested = f, names, constant, tensors, nested

    def forward(self, arrays):
        given = tensors_of(arrays) if self.of_torch else arrays
        return arrays_of(self.f(given))[0], given

    def backward(self, dy, cache):
        _, *grads = arrays_of(self.f(cache))
        alone = len(grads) == 1 and (isinstance(grads[0], (tuple, list, Mapping)) or len(self.names) == 1)
        found = grads[0] if alone or len(grads) == 1 else tuple(grads)
        return self.nested.gradients(found, self.names, cache, self.constant)


class Pointwise(Subject):
    """An activation: f(x) and its slope df(x), entry by entry."""

    def __init__(self, f: Callable, df: Callable, names: tuple[str, ...] = ("x",)) -> None:
        self.f, self.df, self.names = f, df, names

    def forward(self, arrays):
        (name,) = self.names
        return self.f(arrays[name]), arrays[name]

    def backward(self, dy, cache):
        return {self.names[0]: dy * self.df(cache)}


def tensors_of(arrays: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Tensors on the memory of these arrays."""
    return {n: shared(a) for n, a in arrays.items()}


__all__ = ["Call", "LossAndGradient", "Pair", "Pointwise", "tensors_of"]
