"""Gradients that autograd asks for: a torch.autograd.Function, and what is differentiated through one."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from .arguments import order_of, parameters
from .gradients import as_arrays, leaves_of, plain, shared, upstream_of
from .run import flat
from .subject import Subject


class AutogradFunction(Subject):
    """A function of tensors that has a backward of its own inside: its gradient is what autograd gives."""

    of_torch = True
    reuses = True

    def __init__(
        self, call: Callable[[Mapping[str, Any]], Any], names: tuple[str, ...], frozen: tuple[str, ...] = ()
    ) -> None:
        self.call, self.names, self.frozen = call, names, frozen

    def without(self, name):
        return AutogradFunction(self.call, self.names, (*self.frozen, name))

    def forward(self, arrays):
        tensors = {n: shared(arrays[n]) for n in self.names}
        leaves = {n: t.requires_grad_(n not in self.frozen) if t.is_floating_point() else t for n, t in tensors.items()}
        with torch.enable_grad():
            y = plain(self.call(leaves))
        return as_arrays(y), (y, leaves)

    def backward(self, dy, cache):
        y, tensors = cache
        wanted = {n: t for n, t in tensors.items() if t.requires_grad}
        outputs = [(a, d) for a, d in zip(flat(y), flat(dy)) if d is not None and getattr(a, "requires_grad", False)]
        if not outputs and self.frozen:
            raise RuntimeError("no output needs a gradient then")
        if not outputs:
            return dict.fromkeys(wanted)
        found = _differentiated([a for a, _ in outputs], list(wanted.values()), [upstream_of(a, d) for a, d in outputs])
        return {n: None if g is None else as_arrays(g) for n, g in zip(wanted, found)}


def _differentiated(outputs: list, inputs: list, upstream: list) -> list[torch.Tensor | None]:
    """The gradients by the inputs. A reentrant checkpoint refuses to be asked for some of them."""
    try:
        return list(torch.autograd.grad(outputs, inputs, upstream, allow_unused=True, retain_graph=True))
    except RuntimeError as e:
        if "use_reentrant" not in str(e):
            raise
    for t in inputs:
        t.grad = None
    torch.autograd.backward(outputs, upstream, retain_graph=True)
    return [t.grad for t in inputs]


def function_of(f: Any) -> type | None:
    """The torch.autograd.Function that is given, by itself or by its apply."""
    owner = getattr(f, "__self__", None) if getattr(f, "__name__", "") == "apply" else f
    return owner if isinstance(owner, type) and issubclass(owner, torch.autograd.Function) else None


def applied(function: type, names: Sequence[str]) -> Callable[[Mapping[str, Any]], Any]:
    """function.apply of inputs by name: in the order of its forward where the names are its own."""
    own = [p.name for p in parameters(function.forward) or []]
    order = order_of(function.forward, names) if len({*names}) == len(names) else None
    whole = order is not None and [n for n in own if n in names] == own[len(own) - len(names) :]
    return lambda given: function.apply(*(given[n] for n in (order if whole else names) or names))


def has_own_backward(y: Any) -> bool:
    """Is there a torch.autograd.Function of somebody's in what made these tensors?"""
    nodes = [t.grad_fn for t in leaves_of(y) if isinstance(t, torch.Tensor) and t.grad_fn is not None]
    seen: set[Any] = set()
    while nodes:
        node = nodes.pop()
        if isinstance(node, torch.autograd.function.BackwardCFunction):
            return True
        if node not in seen:
            seen.add(node)
            nodes += [n for n, _ in node.next_functions if n is not None]
    return False
