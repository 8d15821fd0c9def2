"""A layer of manualbp as what is checked."""

from collections.abc import Collection
from typing import Any

import numpy as np

from manualbp.base import Layer, Tree, flatten, run, unflatten

from ..draw.trial import cast
from .run import leaves
from .subject import Arrays, Subject


class OfLayer(Subject):
    """A manualbp.Layer: its inputs are called x, or x[0], x[1], …, its parameters as in state_dict. `buffers`: the
    names of those that have no gradient."""

    def __init__(self, layer: Layer, example: tuple[Any, Any], seed: int, buffers: Collection[str] = ()) -> None:
        params, x = example
        self.layer, self.seed, self.shape_of_x = layer, seed, x
        self.params = tuple(n for n in flatten(params) if n not in buffers)
        self.buffers = {n: a for n, a in flatten(params).items() if n in buffers}
        self.names = (*(n for n, a in leaves(x, "x").items() if a is not None), *self.params)

    def forward(self, arrays):
        real = next((a.dtype for a in arrays.values() if a.dtype.kind in "fc"), np.float64)
        params = unflatten(cast(self.buffers, real) | {n: arrays[n] for n in self.params})
        y, cache = run(self.layer, params, rebuilt(self.shape_of_x, arrays, "x"), np.random.default_rng(self.seed))
        return y, (params, cache)

    def backward(self, dy, cache):
        dx, grads = self.layer.backward(cache[0], cache[1], dy)
        return leaves(dx, "x") | flatten(grads)

    def moved(self, cache):
        return {n: a for n, a in flatten(self.layer.track(*cache)).items() if n in self.buffers}


def rebuilt(tree: Tree, arrays: Arrays, name: str) -> Tree:
    """A tuple nested like `tree`, of the arrays named x[0], x[1][0], …"""
    if isinstance(tree, tuple):
        return tuple(rebuilt(part, arrays, f"{name}[{i}]") for i, part in enumerate(tree))
    return None if tree is None else arrays[name]
