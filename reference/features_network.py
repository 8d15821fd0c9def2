"""Networks recognised by what they compute, and the catalogue's mistakes made in each of their layers.

It is tried which layer, or chain of linear maps, activations and a loss (`features_layers`), gives y from the arrays
at hand, and in which roles. Then every array inside it has a value and a right gradient, too.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from manualbp.base import Array, Layer, Tree, flatten, run, unflatten
from manualbp.container import Objective, Sequential
from manualbp.linear import Linear

from .evidence import Evidence
from .faults import KNOWN, Fault, corrupt
from .features import Finding, Found, Seen, near
from .oracle import leaves

SMALL = 20_000  # entries of a case in which networks are looked for
EXACT = 1e-9  # relative: to this y must be given back
FREE = ("B07", "B14", "B15")  # mistakes with a constant of their own: yours − right is a multiple of theirs


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
        given = {r.leaf: r.to(arrays[n]) for n, r in self.roles.items()} | dict(self.fixed)
        inside = leaves(self.x, "x")
        return unflatten({n: a for n, a in given.items() if n not in inside}), nested(self.x, given)

    def forward(self, arrays: Mapping[str, Array]) -> list[Array]:
        y = leaves(run(self.layer, *self.data(arrays), None)[0], "y")
        return [self.scale * y[n] for n in self.outputs]

    def gradients(self, layer: Layer, arrays: Mapping[str, Array], dys: list[Array]) -> dict[str, Array]:
        """Those of this layer, right or faulty, by the names given."""
        params, x = self.data(arrays)
        y, cache = run(layer, params, x, None)
        dy = {n: None if a is None else np.zeros_like(a) for n, a in leaves(y, "y").items()}
        dy |= {n: self.scale * d.reshape(np.shape(dy[n])) for n, d in zip(self.outputs, dys, strict=True)}
        dx, grads = layer.backward(params, cache, nested(names_of(y, "y"), dy))
        found = leaves(dx, "x") | flatten(grads)
        return {n: r.back(g, arrays[n]) for n, r in self.roles.items() if (g := found.get(r.leaf)) is not None}


def nested(tree: Tree, given: Mapping[str, Any]) -> Tree:
    """The arrays whose names stand in a tree."""
    return tuple(nested(part, given) for part in tree) if isinstance(tree, tuple) else given.get(tree)


def names_of(tree: Tree, name: str) -> Tree:
    """A tree of the names of its leaves."""
    return tuple(names_of(part, f"{name}[{i}]") for i, part in enumerate(tree)) if isinstance(tree, tuple) else name


@dataclass(frozen=True)
class Case:
    """The arrays of one trial, its outputs and the upstream gradients by them."""

    arrays: Mapping[str, Array]
    ys: list[Array]
    dys: list[Array]
    grads: Mapping[str, Array]
    numbers: Mapping[str, float]

    @classmethod
    def of(cls, e: Evidence) -> "Case":
        """From evidence: outputs are y or y[0], y[1], …"""
        known = {n: np.array(a) for n, a in e.known.items() if a is not None}
        ys = [n for n in known if n == "y" or n.startswith("y[")]
        inputs = {n: a for n, a in known.items() if n not in ys and n != "dy" and not n.startswith("dy[")}
        pairs = [(known[n], known[n.replace("y", "dy", 1)]) for n in ys if n.replace("y", "dy", 1) in known]
        return cls(inputs, [y for y, _ in pairs], [d for _, d in pairs], e.grads, e.numbers)

    @property
    def small(self) -> bool:
        return sum(a.size for a in self.arrays.values()) <= SMALL and bool(self.ys)

    def fits(self, network: Network) -> bool:
        """Does it give the outputs and the right gradients?"""
        try:
            with np.errstate(all="ignore"):
                told = network.forward(self.arrays)
                if any(a.size != y.size or not near(a.reshape(y.shape), y, EXACT) for a, y in zip(told, self.ys, strict=True)):
                    return False
                grads = network.gradients(network.layer, self.arrays, self.dys)
            return all(n not in grads or near(grads[n], g, EXACT) or not (g.any() or grads[n].any()) for n, g in self.grads.items())
        except Exception:  # shapes or options that do not go together
            return False


def recognised(case: Case) -> Network | None:
    """The first network that fits."""
    from .features_layers import candidates

    with np.errstate(all="ignore"):
        return next((n for n in candidates(case) if case.fits(n)), None) if case.small else None


def replays(network: Network, case: Case) -> dict[str, dict[str, Array]]:
    """The gradients, by name, with each mistake of the catalogue: in all layers that can have it, or in one of them."""
    found: dict[str, dict[str, Array]] = {}
    for key, layer in corrupted(network.layer):
        try:
            with np.errstate(all="ignore"):
                found[key] = network.gradients(layer, case.arrays, case.dys)
        except Exception:  # a mistake may make shapes that fit nowhere
            continue
    return found


def inside(network: Network, case: Case) -> tuple[dict[str, Array], dict[str, Array]]:
    """What stands between the layers of a chain, z1, h1, z2, …, and the right gradients by these."""
    layer, (params, x) = network.layer, network.data(case.arrays)
    model, dy = layer, network.scale * case.dys[0]
    if isinstance(layer, Objective):
        model, target = layer.model, x[1]
        params, x = params.get("model", {}), x[0]
    if not isinstance(model, Sequential):
        return {}, {}
    y, caches = model.forward(params, x)
    if isinstance(layer, Objective):
        dy = layer.loss.backward({}, layer.loss.forward({}, (y, target))[1], dy)[0][0]
    values, grads, k = {}, {}, len(model.layers)
    for i in reversed(range(k)):
        linear = isinstance(model.layers[i], Linear)
        number = sum(isinstance(f, Linear) for f in model.layers[: i + 1])
        values[f"{'z' if linear else 'h'}{number}"] = y
        grads[f"{'z' if linear else 'h'}{number}"] = dy
        dy, _ = model.layers[i].backward(params.get(str(i), {}), caches[i], dy)
        y = caches[i][0]
    return values, grads


def corrupted(layer: Layer) -> Iterator[tuple[str, Layer]]:
    """Faulty versions, each under the id of its fault and, where only one of several layers has it, the layer's path."""
    for fault in KNOWN.values():
        each = list(_one_by_one(layer, fault))
        if each:
            yield fault.id, corrupt(layer, fault)
        if len(each) > 1:
            yield from ((f"{fault.id} in layer {path}", other) for path, other in each)


def _one_by_one(layer: Layer, fault: Fault) -> Iterator[tuple[str, Layer]]:
    """The same network with the mistake in one layer only."""
    children = getattr(layer, "children", None)
    if children is None or fault.applies(type(layer)):
        if fault.applies(type(layer)):
            yield "", corrupt(layer, fault)
        return
    for name, child in children().items():
        for path, other in _one_by_one(child, fault):
            changes = {name: other}
            if layer.variadic:
                inner = list(layer.layers)  # type: ignore[attr-defined]
                inner[int(name)] = other
                changes = {"layers": tuple(inner)}
            yield f"{name}.{path}".rstrip("."), layer.replace(**changes)


def enriched(e: Evidence, network: Network, case: Case) -> Evidence:
    """With what stands between the layers, unless a name is taken."""
    values, grads = inside(network, case)
    return replace(e, known={**values, **e.known}, grads={**grads, **e.grads})


def replay(s: Seen, told: Mapping[str, Array]) -> Found:
    """Mistakes of the catalogue that give these very numbers on this very case."""
    for key, value in told.items():
        id, *where = key.split(" ", 1)
        fault = KNOWN.get(id)
        value = np.asarray(value, float)
        relation = fault.relation if fault else f"yours = what {id} gives"
        relation += f" ({where[0]})" if where else ""
        if s.alike(value):
            yield Finding(relation, id, 0.96 if where else 0.97)
        elif id in FREE and s.comparable and value.shape == s.right.shape and s.informative(s.residual):
            c = s.constant(s.residual, value - s.right)
            if c is not None and c > 0:
                yield Finding(relation, id, 0.94)
