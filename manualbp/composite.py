"""Layers made of layers that follow from their options, and one pass through these, forward and back.

Here is what they share; each stands in the file that torch has it in.
"""

import functools
from collections.abc import Callable
from typing import Any, Self

import numpy as np

from .base import Layer, Params, Tree, add, flatten, needs_rng, options_of, run, unflatten
from .container import Parent

Change = Callable[[str, Layer], Layer]
Caches = dict[str, list[tuple]]  # of every child by name, one for every time that it ran


class Composite(Parent, family=True):
    """A layer whose children follow from its options. A subclass says which they are, and how x runs through them.
    A child's name is that of its parameters, "norm1" or "layers.0".

    f = Forward(self, params, rng)                      b = Backward(self, params, caches)
    y = f("linear2", f("act", f("linear1", x)))         dx = b("linear1", b("act", b("linear2", dy)))
    return y, (f.caches, …)                             return dx, b.grads
    """

    def parts(self) -> dict[str, Layer]:
        """The children, from the options."""
        raise NotImplementedError

    def children(self):
        known = vars(self)
        if "_children" not in known:  # made once: nothing that they follow from changes
            change: Change = known.get("_change", _unchanged)
            known["_children"] = {name: change(name, child) for name, child in self.parts().items()}
        return known["_children"]

    def map_named(self, f):
        """What is an option is changed as an option, any other child whenever it is made again."""
        before: Change = vars(self).get("_change", _unchanged)
        options = {n: f(n, layer) for n, layer in self.children().items() if isinstance(vars(self).get(n), Layer)}
        other = self.replace(**options)
        vars(other)["_change"] = lambda n, layer: layer if n in options else f(n, before(n, layer))
        return other

    def train(self, mode=True):
        """By its options, which its children follow from."""
        switched = super().map_named(lambda _, layer: layer.train(mode))
        return switched.replace(training=mode) if "training" in options_of(self) else switched

    def replace(self, **changes: Any) -> Self:
        other = super().replace(**changes)
        vars(other).pop("_children", None)
        return other

    def init(self, rng, dtype=np.float64):
        return nested({name: child.init(rng, dtype) for name, child in self.children().items()})

    def sample_params(self, values):
        return nested({name: child.sample_params(values) for name, child in self.children().items()})

    def track(self, params, cache):
        """As the children do, each as often as it ran; the cache begins with theirs."""
        moved = flatten(params)
        for name, ran in cache[0].items():
            own = functools.reduce(self.children()[name].track, ran, at(params, name))
            moved |= flatten(own, name)
        return unflatten(moved)


def _unchanged(name: str, layer: Layer) -> Layer:
    return layer


def at(params: Params, name: str) -> Params:
    """The parameters of the child of this name."""
    return functools.reduce(lambda inner, part: inner.get(part, {}), name.split("."), params)


def nested(params: Params) -> Params:
    """Parameters by child as they stand in the layer's own, without the children that have none."""
    return unflatten({name: p for name, p in params.items() if p})


class Forward:
    """A pass through the children of a layer: f(name, x) is what a child makes of x. What backward reads is kept."""

    def __init__(self, layer: Composite, params: Params, rng: np.random.Generator | None = None) -> None:
        self.children = layer.children()
        self.params = {name: at(params, name) for name in self.children}
        self.rng = needs_rng(layer, rng) if layer.random else None
        self.caches: Caches = {}

    def __call__(self, name: str, x: Tree) -> Tree:
        y, cache = run(self.children[name], self.params[name], x, self.rng)
        self.caches.setdefault(name, []).append(cache)
        return y


class Backward:
    """The same way back: b(name, dy) is dx of a child's last run, then of the one before. Where it ran several times,
    its gradients add."""

    def __init__(self, layer: Composite, params: Params, caches: Caches) -> None:
        self.children = layer.children()
        self.params = {name: at(params, name) for name in self.children}
        self._caches = {name: ran.copy() for name, ran in caches.items()}
        self._grads: dict[str, Params] = {}

    def __call__(self, name: str, dy: Tree) -> Tree:
        cache = self._caches[name].pop()
        dx, grads = self.children[name].backward(self.params[name], cache, dy)
        self._grads[name] = add(self._grads.get(name, {}), grads)
        return dx

    def gradients(self, name: str, dy: Tree) -> None:
        """The same where nobody asks for dx."""
        grads = self.children[name].gradients(self.params[name], self._caches[name].pop(), dy)
        self._grads[name] = add(self._grads.get(name, {}), grads)

    @property
    def grads(self) -> Params:
        """By the children's parameters."""
        return nested({name: self._grads[name] for name in self.children if name in self._grads})
