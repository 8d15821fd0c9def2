"""Networks recognised by what they compute: a layer in which every array at hand has a role.

It is tried which layer, or chain of linear maps, activations and a loss (`layers`), gives y and the right
gradients. `replay` then makes the catalogue's mistakes in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from manualbp.base import Array, Layer, Tree, flatten, run, unflatten
from manualbp.container import Objective

from ...sides.record import walk
from ...sides.run import leaves, of_output
from ..evidence import Evidence
from .seen import near

SMALL = 20_000  # entries of a case in which networks are looked for
EXACT = 1e-9  # relative: to this y and the gradients must be given back


@dataclass(frozen=True)
class Role:
    """What an array is in a layer: its name and shape there, and how it lies there."""

    leaf: str
    shape: tuple[int, ...]
    turned: bool = False  # the layer has its transpose
    order: tuple[int, ...] = ()  # of its blocks (gates) there

    def to(self, a: Array) -> Array:
        a = np.array(a.T if self.turned else a)  # a copy, as a mistake may write into its input
        return blocks(a.reshape(self.shape), self.order)

    def back(self, g: Array, like: Array) -> Array:
        if g.size != like.size:  # a mistake of shape
            return g.T if self.turned else g
        g = blocks(g.reshape(self.shape), tuple(np.argsort(self.order).tolist()))
        return g.reshape(like.T.shape).T if self.turned else g.reshape(like.shape)


def blocks(a: Array, order: tuple[int, ...]) -> Array:
    """Equal blocks of rows in another order."""
    if not order:
        return a
    parts = np.split(a, len(order))
    return np.concatenate([parts[i] for i in order])


@dataclass(frozen=True)
class Observed:
    """The arrays of one trial, its outputs by name, the upstream gradients by these, and the right gradients."""

    arrays: Mapping[str, Array]
    ys: Mapping[str, Array]
    dys: tuple[Array, ...]
    grads: Mapping[str, Array]
    numbers: Mapping[str, float]

    @classmethod
    def of(cls, e: Evidence) -> "Observed":
        """From evidence: outputs are y or y[0], y[1], …"""
        known = {n: np.array(a) for n, a in e.known.items() if a is not None}
        ys = [n for n in known if of_output(n) and "d" + n in known]
        arrays = {n: a for n, a in known.items() if not of_output(n.removeprefix("d"))}
        return cls(arrays, {n: known[n] for n in ys}, tuple(known["d" + n] for n in ys), e.grads, e.numbers)

    @property
    def y(self) -> Array:
        """The first output."""
        return next(iter(self.ys.values()))

    @property
    def small(self) -> bool:
        return bool(self.ys) and all(a.size for a in self.arrays.values()) and self.size <= SMALL

    @property
    def size(self) -> int:
        return sum(a.size for a in self.arrays.values())

    @property
    def lengths(self) -> int:
        """How many different lengths other than 1 there are: the more, the fewer roles an array may have."""
        return len({n for a in self.arrays.values() for n in a.shape} - {1})


@dataclass(frozen=True)
class Network:
    """A layer in which every array has a role. `outputs`: the leaves of its output that are known."""

    layer: Layer
    x: Tree  # names of leaves, nested as the layer's input
    roles: Mapping[str, Role]
    fixed: Mapping[str, Array]  # parameters that the function does not have
    outputs: tuple[str, ...] = ("y",)
    scale: float = 1.0  # of the function: a loss may be a multiple of one that has a name

    def data(self, arrays: Mapping[str, Array]) -> tuple[dict, Tree]:
        """Parameters and input of the layer."""
        given = {r.leaf: r.to(arrays[n].copy()) for n, r in self.roles.items()}  # a mistake may write in place
        given |= {n: a.copy() for n, a in self.fixed.items()}
        inside = leaves(self.x, "x")
        return unflatten({n: a for n, a in given.items() if n not in inside}), nested(self.x, given)

    def forward(self, case: Observed, layer: Layer | None = None) -> dict[str, Array]:
        """The outputs of this layer, right or faulty, by the names given."""
        y = leaves(run(layer or self.layer, *self.data(case.arrays), None)[0], "y")
        return {n: self.scale * y[leaf] for n, leaf in zip(case.ys, self.outputs, strict=True)}

    def gradients(self, case: Observed, layer: Layer | None = None, dys: tuple[Array, ...] = ()) -> dict[str, Array]:
        """The gradients of this layer, right or faulty, by the names given."""
        layer, (params, x) = layer or self.layer, self.data(case.arrays)
        y, cache = run(layer, params, x, None)
        dy = {n: None if a is None else np.zeros_like(a) for n, a in leaves(y, "y").items()}
        for leaf, d in zip(self.outputs, dys or case.dys, strict=True):
            dy[leaf] = self.scale * d.reshape(np.shape(dy[leaf]))
        dx, grads = layer.backward(params, cache, nested(names_of(y, "y"), dy))
        found = leaves(dx, "x") | flatten(grads)
        return {n: r.back(g, case.arrays[n]) for n, r in self.roles.items() if (g := found.get(r.leaf)) is not None}

    @property
    def model(self) -> Layer:
        """Without its loss."""
        return self.layer.model if isinstance(self.layer, Objective) else self.layer

    def is_like(self, other: "Network") -> bool:
        """Is it the same of other sizes?"""
        kinds = [[type(layer) for layer in walk(n.layer)] for n in (self, other)]
        roles = [{name: (r.leaf, r.turned, r.order) for name, r in n.roles.items()} for n in (self, other)]
        return kinds[0] == kinds[1] and roles[0] == roles[1] and (self.x, self.outputs) == (other.x, other.outputs)

    def fits(self, case: Observed) -> bool:
        """Does it give the outputs and the right gradients?"""
        try:
            told = self.forward(case)
            if not all(told[n].size == y.size and near(told[n].reshape(y.shape), y, EXACT) for n, y in case.ys.items()):
                return False
            grads = self.gradients(case)
        except Exception:  # shapes or options that do not go together
            return False
        both = [(grads[n], g) for n, g in case.grads.items() if n in grads]
        return all(near(a, g, EXACT) or not (a.any() or g.any()) for a, g in both)


def nested(tree: Tree, given: Mapping[str, Any]) -> Tree:
    """The arrays whose names stand in a tree."""
    return tuple(nested(part, given) for part in tree) if isinstance(tree, tuple) else given.get(tree)


def names_of(tree: Tree, name: str) -> Tree:
    """A tree of the names of its leaves."""
    return tuple(names_of(part, f"{name}[{i}]") for i, part in enumerate(tree)) if isinstance(tree, tuple) else name


def recognised(case: Observed, like: Network | None = None) -> Network | None:
    """The first network that fits. like: one of other sizes, where that is known."""
    from .layers import candidates  # the two modules need one another

    with np.errstate(all="ignore"):
        return next((n for n in candidates(case, like) if n.fits(case)), None) if case.small else None


def recognised_each(cases: Mapping[int, Observed]) -> dict[int, Network | None]:
    """The network of every case, all of one function: sought where shapes tell most; the others are like that one."""
    order = sorted(cases, key=lambda k: (not cases[k].small, -cases[k].lengths))
    found: dict[int, Network | None] = {}
    like: Network | None = None
    for key in order:
        found[key] = recognised(cases[key], like) if like is not None or not found else None
        like = like or found[key]
    return found
