"""Any network as a list of named steps: the chain rule in general, of which `container` holds the readable cases."""

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .base import Layer, Params, Tree, add, describe, expression, flatten, run, tree_map, unflatten
from .container import Container

Names = Any  # a name, None for an input that is left out, or a (nested) tuple of these
Shapes = tuple[tuple[str, tuple[int, ...]], ...]  # (name, shape) of several arrays


@dataclasses.dataclass(frozen=True, repr=False)
class Node:
    """One step of a graph: a layer, the names of what it takes, and where its parameters are.

    name    of what it gives
    inputs  names of inputs, earlier nodes, parameters or constants; a (nested) tuple where the layer takes one
    params  None: under the node's own name, as torch's state_dict has it for a module.  A prefix: a module used again.
            Pairs (the layer's name, the name in the graph): tied weights, or a weight that another node computes
    """

    name: str
    layer: Layer
    inputs: Names = "x"
    params: str | tuple[tuple[str, str], ...] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.layer, Layer):
            raise TypeError(f"Node takes a layer, as in Node('hidden', Linear(2, 3), 'x'); it got {self.layer!r:.60}")

    @functools.cached_property
    def takes(self) -> tuple[str, ...]:
        """The names of its inputs, one after the other."""
        return tuple(leaves_of(self.inputs))

    @functools.cached_property
    def uses(self) -> tuple[str, ...]:
        """Those, and the names of its parameters where each has one of its own."""
        return (*self.takes, *self.given())

    @functools.cached_property
    def path(self) -> tuple[str, ...]:
        """The keys that lead to its parameters, where they are nested under one prefix."""
        prefix = self.name if self.params is None else self.params
        return tuple(prefix.split(".")) if prefix and isinstance(prefix, str) else ()

    def where(self, local: str) -> str:
        """The name in the graph of what the layer calls `local`."""
        if isinstance(self.params, tuple):
            return dict(self.params)[local]
        prefix = self.name if self.params is None else self.params
        return f"{prefix}.{local}" if prefix else local

    def given(self) -> list[str]:
        """The names of its parameters, where each has one of its own."""
        return [name for _, name in self.params] if isinstance(self.params, tuple) else []

    def own(self, params: Params, values: Mapping[str, Any]) -> Params:
        """The layer's parameters, out of those of the graph."""
        if isinstance(self.params, tuple):
            return unflatten({local: values[name] for local, name in self.params})
        inner = params
        for part in self.path:
            if not isinstance(inner, dict) or part not in inner:
                return {}
            inner = inner[part]
        return inner if isinstance(inner, dict) else {}

    def __repr__(self) -> str:
        parts = [self.name, self.layer, self.inputs, *([] if self.params is None else [self.params])]
        return f"Node({', '.join(map(expression, parts))})"


class Graph(Container):
    """Named steps in order, each taking what earlier ones gave: the chain rule in general.

    Forward   vₖ = fₖ(vᵢ for i in its inputs; its θ), one node after another;  y = the values that `outputs` names
    Backward  L depends on a value through every node that uses it, and where paths meet their gradients add:
              dvᵢ = Σₖ dvₖ · ∂fₖ/∂vᵢ  over the nodes k that take vᵢ,  dv = dy for outputs;  from the last node to
              the first, each dvₖ is whole before it is used. Parameters are values like others: dθ = Σₖ dvₖ · ∂fₖ/∂θ
    Shapes    x: what `inputs` names, an array or a tuple, () for none;
              y: what `outputs` names, an array or a tuple, or a dict under `keys`
    Errors    ValueError if a name is used before it exists, or twice, or x has another number of entries; those of
              its layers
    Source    the multivariate chain rule; Baydin, Pearlmutter, Radul, Siskind 2018, JMLR 18, section 3.2 (reverse mode)
    Caveat    `parameters` and `constants` are arrays that belong to no layer, as (name, shape), the former learned;
              `moved` says which buffers a pass changes, as (buffer, the value it gets). What is on no path to y has
              the gradient 0
    """

    layers: tuple[Node, ...]
    inputs: tuple[str, ...] = ("x",)
    outputs: Names = None
    keys: tuple[str, ...] = ()
    parameters: Shapes = ()
    constants: Shapes = ()
    moved: tuple[tuple[str, str], ...] = ()

    variadic = True

    def __init__(
        self, *layers: Node, inputs: tuple[str, ...] = ("x",), outputs: Names = None, keys: tuple[str, ...] = (),
        parameters: Shapes = (), constants: Shapes = (), moved: tuple[tuple[str, str], ...] = (),
    ) -> None:  # fmt: skip
        if wrong := next((node for node in layers if not isinstance(node, Node)), None):
            raise TypeError(f"Graph takes nodes, as in Graph(Node('h', Tanh(), 'x')); it got {describe(wrong)}")
        outputs = (layers[-1].name if layers else next(iter(inputs), None)) if outputs is None else outputs
        given = (layers, inputs, outputs, keys, parameters, constants, moved)
        for field, value in zip(dataclasses.fields(self), given, strict=True):
            object.__setattr__(self, field.name, value)
        self._in_order()

    def _in_order(self) -> None:
        """Raise a ValueError unless every name is there before it is used, and once."""
        known = [*self.inputs, *(name for name, _ in self.parameters + self.constants)]
        later = {node.name for node in self.layers}
        for node in self.layers:
            if early := [name for name in node.uses if name in later]:
                raise ValueError(f"{node} uses {early[0]!r} before the node of that name: put it after that node")
            later.discard(node.name)
            if node.name in known:
                raise ValueError(f"two values of the graph are called {node.name!r}: give {node} another name")
            known.append(node.name)

    def children(self):
        return {node.name: node.layer for node in self.layers}

    def map_named(self, f):
        return self.replace(
            layers=tuple(dataclasses.replace(node, layer=f(node.name, node.layer)) for node in self.layers)
        )

    def buffer_names(self):
        inside = {node.where(local) for node in self.layers for local in node.layer.buffer_names()}
        return inside | {name for name, _ in self.constants}

    def __repr__(self) -> str:
        parts = list(map(expression, self.layers))
        for f in dataclasses.fields(self)[1:]:
            value, default = getattr(self, f.name), f.default
            if f.name == "outputs" and self.layers:
                default = self.layers[-1].name
            parts += [f"{f.name}={expression(value)}"] if value != default else []
        return f"Graph({', '.join(parts)})"

    def init(self, rng, dtype=np.float64):
        bare = {name: (0.02 * rng.standard_normal(n)).astype(dtype) for name, n in self.parameters}
        bare |= {name: np.zeros(n, dtype) for name, n in self.constants}
        return self._gathered(((node, node.layer.init(rng, dtype)) for node in self.layers), bare)

    def sample_params(self, values):
        bare = {name: values.real(n) for name, n in self.parameters + self.constants}
        return self._gathered(((node, node.layer.sample_params(values)) for node in self.layers), bare)

    def _gathered(self, each: Iterable[tuple[Node, Params]], bare: dict[str, Any]) -> Params:
        """The parameters of all nodes under their names in the graph, each once."""
        flat, computed = {}, {*self.inputs, *(node.name for node in self.layers)}
        for node, params in each:
            for local, p in flatten(params).items():
                if (name := node.where(local)) not in computed:
                    flat.setdefault(name, p)
        return unflatten(flat | bare)

    def sample(self, values, shape):
        firsts = [next((node for node in self.layers if node.inputs == name), None) for name in self.inputs]
        drawn = tuple(values.real(shape) if node is None else node.layer.sample(values, shape) for node in firsts)
        given = tuple(first_array(x) for x in drawn)
        return given[0] if len(given) == 1 else given

    def forward(self, params, x, rng=None):
        values = self._named(params, x)
        again, moving = {node.params for node in self.layers if isinstance(node.params, str)}, dict[Any, Params]()
        caches = []
        for node in self.layers:
            at = node.name if node.params is None else node.params
            own = moving[at] if at in moving else node.own(params, values)
            try:
                y, cache = run(node.layer, own, pick(values, node.inputs, node), rng)
            except ValueError as e:
                raise ValueError(f"in node {node.name} of this Graph: {e}") from e
            if at in again:  # the next one that has these parameters finds the buffers moved
                moving[at] = node.layer.track(own, cache)
            values[node.name] = y
            caches.append((cache, y if own else None))  # where y has no gradient, that of θ is one by 0
        y = pick(values, self.outputs, self)
        given = [name for node in self.layers for name in node.given()]
        known = flatten(params) if given else {}  # which may have moved when they are tracked
        computed = {name: values[name] for name in given if name not in known}
        moved = {name: values[new] for name, new in self.moved}
        return self._keyed(y), (tuple(caches), x, y, computed, moved)

    def _named(self, params: Params, x: Tree) -> dict[str, Any]:
        """Inputs, parameters and buffers by name."""
        given = (x,) if len(self.inputs) == 1 else x
        arrays = isinstance(given, tuple) and all(isinstance(a, (np.ndarray, np.generic)) for a in given)
        if not arrays or len(given) != len(self.inputs):
            raise ValueError(f"this Graph takes arrays ({', '.join(self.inputs)}); it got {describe(x)}")
        return flatten(params) | dict(zip(self.inputs, given, strict=True))

    def _keyed(self, y: Tree) -> Tree:
        return dict(zip(self.keys, y, strict=True)) if self.keys else y

    def backward(self, params, cache, dy):
        d = self._down(params, cache, dy, self.inputs)
        x = (cache[1],) if len(self.inputs) == 1 else cache[1]
        dx = tuple(zero_where_none(d.get(name), value) for name, value in zip(self.inputs, x, strict=True))
        return dx[0] if len(dx) == 1 else dx, self._learned(params, d)

    def gradients(self, params, cache, dy):
        return self._learned(params, self._down(params, cache, dy))

    def adjoints(self, params: Params, cache: tuple, dy: Tree) -> dict[str, Tree]:
        """dv of every value by name: of inputs, parameters and, what backward keeps for itself, of nodes."""
        return self._down(params, cache, dy, self.inputs, keep=True)

    def _down(
        self, params: Params, cache: tuple, dy: Tree, wanted: tuple[str, ...] = (), keep: bool = False
    ) -> dict[str, Any]:
        """dv of every parameter, and of every value in `wanted`, by name: from the last node to the first, summed where
        paths meet."""
        caches, _, y, computed, _ = cache
        flat = flatten(params)
        values, needed = flat | computed, self._leading_from({*wanted, *flat}, caches)
        d: dict[str, Any] = {}
        dy = tuple(dy[key] for key in self.keys) if self.keys else dy
        collect(d, self.outputs, zero_where_none(dy, y))
        for node, (inner, y_k) in zip(reversed(self.layers), reversed(caches), strict=True):
            dv = d.get(node.name) if keep else d.pop(node.name, None)
            if node.name not in needed or (dv is None and y_k is None):
                continue
            own = {} if y_k is None else node.own(params, values)
            if dv is None:  # the loss does not depend on it: where it overflows, 0 times a slope would be NaN
                buffers = node.layer.buffer_names()
                for local, p in flatten(own).items():
                    collect(d, node.where(local), None if local in buffers else zero_where_none(None, p))
                continue
            dv = zero_where_none(dv, y_k) if y_k is not None else dv
            if needed.isdisjoint(node.takes):
                dp = node.layer.gradients(own, inner, dv)
            else:
                dx, dp = node.layer.backward(own, inner, dv)
                collect(d, node.inputs, dx)
            for local, g in flatten(dp).items() if dp else ():
                collect(d, node.where(local), g)
        return d

    def _leading_from(self, wanted: set[str], caches: tuple) -> set[str]:
        """`wanted`, and the names of all nodes that depend on it."""
        found = set(wanted)
        for node, (_, y_k) in zip(self.layers, caches, strict=True):
            nested = y_k is not None and not node.given()  # it has parameters, under a prefix
            if nested or not found.isdisjoint(node.uses):
                found.add(node.name)
        return found

    def _learned(self, params: Params, d: Mapping[str, Any]) -> Params:
        """The gradients by parameters, in the parameters' order; 0 for one that stands on no path."""
        still = {name for name, _ in self.constants}
        bare = {name for name, _ in self.parameters}
        flat = {name: d.get(name, np.zeros_like(p) if name in bare else None) for name, p in flatten(params).items()}
        return unflatten({name: g for name, g in flat.items() if g is not None and name not in still})

    def track(self, params, cache):
        caches, _, _, computed, moved = cache
        flat = flatten(params)
        for node, (inner, _) in zip(self.layers, caches, strict=True):
            own = node.own(params, flat | computed)
            if (after := node.layer.track(own, inner)) is not own:
                flat |= {node.where(local): p for local, p in flatten(after).items() if node.where(local) in flat}
                params = unflatten(flat)
        return unflatten(flat | moved) if moved else params


def first_array(x: Tree) -> Tree:
    """The first array of a tree."""
    return first_array(x[0]) if isinstance(x, tuple) else x


def leaves_of(names: Names) -> list[str]:
    """The names in a tree of names."""
    if isinstance(names, tuple):
        return [leaf for part in names for leaf in leaves_of(part)]
    return [] if names is None else [names]


def pick(values: Mapping[str, Any], names: Names, of: Any) -> Tree:
    """The values that a tree of names stands for."""
    if isinstance(names, tuple):
        return tuple(pick(values, name, of) for name in names)
    if names is None:
        return None
    if names not in values:
        raise ValueError(f"{of!r:.200} takes {names!r}, but there is no input, earlier node or parameter of that name")
    return values[names]


def collect(d: dict[str, Any], names: Names, g: Tree) -> None:
    """Add a tree of gradients to those that the names have already: where paths meet, gradients add."""
    if isinstance(names, tuple):
        for name, part in zip(names, g if g is not None else (None,) * len(names), strict=True):
            collect(d, name, part)
    elif names is not None and g is not None:
        d[names] = add(d.get(names), g)


def zero_where_none(g: Tree, value: Tree) -> Tree:
    """The gradient by a value, with 0 where a real array has none."""
    if g is not None and not isinstance(value, tuple):
        return g
    if isinstance(value, tuple):
        parts = g if g is not None else (None,) * len(value)
        return tuple(zero_where_none(*pair) for pair in zip(parts, value, strict=True))
    real = value is not None and np.asarray(value).dtype.kind in "fcO"
    return tree_map(np.zeros_like, value) if real else None
