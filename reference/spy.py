"""What every layer inside a network was given and gave: the same network, made of layers that write it down."""

from collections.abc import Callable, Iterator

import numpy as np

from manualbp.base import Layer, Params, Tree, options_of, run

Record = tuple[str, Layer, Tree, Tree]  # path, layer, its input, its output


def inputs(layer: Layer, params: Params, x: Tree, seed: int | None = None) -> list[Record]:
    """(path, layer, x, y) of every layer that is no container, in the order of the forward pass."""
    log: list[Record] = []
    rng = None if seed is None else np.random.default_rng(seed)
    run(_spied(layer, log.append, ""), params, x, rng)
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


def _spied(layer: Layer, note: Callable[[Record], None], path: str) -> Layer:
    children = getattr(layer, "children", None)
    if children is None:
        return Spy(layer, note, path)
    spied = {name: _spied(child, note, f"{path}.{name}".strip(".")) for name, child in children().items()}
    if layer.variadic:
        return layer.replace(layers=tuple(spied.values()))
    return layer.replace(**spied)


def walk(layer: Layer) -> Iterator[Layer]:
    """The layer and every layer inside it."""
    yield layer
    for value in options_of(layer).values():
        for inner in value if isinstance(value, tuple) else (value,):
            if isinstance(inner, Layer):
                yield from walk(inner)
