"""What every layer inside a network was given and gave: the same network, made of layers that write it down."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from manualbp.base import Layer, Params, Tree, options_of, run, tree_map
from manualbp.graph import Graph

Record = tuple[str, Layer, Tree, Tree]  # path, layer, its input, its output


def inputs(layer: Layer, params: Params, x: Tree, seed: int | None = None) -> list[Record]:
    """(path, layer, x, y) of every layer that is no container, in the order of the forward pass."""
    log: list[Record] = []
    rng = None if seed is None else np.random.default_rng(seed)
    run(_within(layer, "", lambda part, path: Spy(part, log.append, path)), params, x, rng)
    return log


class Spy(Layer, family=True):
    """A layer that notes what it is given before it hands it on."""

    layer: Layer
    note: Callable[[Record], None]
    path: str

    @property
    def random(self) -> bool:
        return bool(self.layer.random)

    def forward(self, params, x, rng=None):
        y, cache = run(self.layer, params, x, rng)
        self.note((self.path, self.layer, x, y))
        return y, cache

    def backward(self, params, cache, dy):
        return self.layer.backward(params, cache, dy)


def _within(layer: Layer, path: str, change: Callable[[Layer, str], Layer]) -> Layer:
    """The same network, every layer in it that is no container changed."""
    children = getattr(layer, "children", None)
    if children is None:
        return change(layer, path)
    changed = {name: _within(child, f"{path}.{name}".strip("."), change) for name, child in children().items()}
    return layer.replace(layers=tuple(changed.values())) if layer.variadic else layer.replace(**changed)


class Noisy(Layer, family=True):
    """A layer with the rounding noise put in that cancelling terms may leave where their sum is near 0."""

    layer: Layer
    rng: Any
    eps: float

    def forward(self, params, x):
        y, cache = self.layer.forward(params, x)
        return tree_map(lambda a: self.noise(a, top(x)), y), (cache, x)

    def backward(self, params, cache, dy):
        dx, grads = self.layer.backward(params, cache[0], dy)
        size = top(dy) * (1 + top(cache[1])) * (1 + top(params))
        return tree_map(lambda a: self.noise(a, size), dx), tree_map(lambda a: self.noise(a, size), grads)

    def noise(self, a, size):
        return np.asarray(a + self.eps * size * self.rng.choice([-1.0, 1.0], np.shape(a)), np.asarray(a).dtype)


def noisy(layer: Layer, rng: np.random.Generator, eps: float) -> Layer:
    """The same network with such noise in every layer that cancels inside itself."""
    return _within(layer, "", lambda part, _: Noisy(part, rng, eps) if part.cancels else part)


def top(tree: Any) -> float:
    """The largest finite magnitude of the real arrays of a tree."""
    if isinstance(tree, (dict, tuple)):
        return max(map(top, tree.values() if isinstance(tree, dict) else tree), default=0.0)
    a = np.asarray(0.0 if tree is None else tree)
    return float(np.abs(a[np.isfinite(a)]).max(initial=0.0)) if a.dtype.kind == "f" else 0.0


def walk(layer: Layer) -> Iterator[Layer]:
    """The layer and every layer inside it."""
    yield layer
    if isinstance(layer, Graph):
        for inner in layer.children().values():
            yield from walk(inner)
    for value in options_of(layer).values():
        for inner in value if isinstance(value, tuple) else (value,):
            if isinstance(inner, Layer):
                yield from walk(inner)
