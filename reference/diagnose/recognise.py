"""The catalogue's mistakes, made on the very case that failed: which of them gives the wrong numbers that were given?

For that the function that was meant must be known as a layer: it is recognised by what it computes.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

import numpy as np

import manualbp as m
from manualbp.base import Array, Layer, Tree, flatten, registry, tree_map, unflatten
from manualbp.loss import Loss

from ..compare.bound import distance, largest
from ..draw.case import Case
from ..draw.trial import Trial
from ..faults import corrupt, faults
from ..sides.record import walk
from ..sides.run import by_hand, leaves
from ..sides.yours import FORWARD, rebuilt

NEAR = 1e-10  # relative: what computes the same function is far nearer, what does not is far off
Turn = Callable[[Array], Array]  # from an array as it was given to the layer's, and back: its own inverse


@dataclass(frozen=True)
class Known:
    """A layer that computes what was meant. `roles`: name of an input -> its name in the layer, and turn. `fixed`:
    buffers, which are no inputs."""

    layer: Layer
    x: Tree  # names, nested as the layer's input
    roles: Mapping[str, tuple[str, Turn]]
    fixed: Mapping[str, Array] = field(default_factory=dict)

    def gradient(self, layer: Layer, arrays: Mapping[str, Any], dy: Tree, name: str, seed: int = 0) -> Array | None:
        """The gradient of one input by this layer (right or faulty), as it was given; or an output, or a buffer."""
        if name not in self.roles:
            return self.gradients(layer, arrays, dy, seed).get(name.removesuffix(FORWARD))
        role, turn = self.roles[name]
        return None if (g := self.gradients(layer, arrays, dy, seed).get(role + ".grad")) is None else turn(g)

    def gradients(self, layer: Layer, arrays: Mapping[str, Any], dy: Tree, seed: int = 0) -> Mapping[str, Array | None]:
        given = {role: turn(np.array(arrays[n])) for n, (role, turn) in self.roles.items()}  # some write in place
        held = {n: np.array(a) for n, a in self.fixed.items()}
        params = unflatten(held | {n: a for n, a in given.items() if n not in leaves(self.x, "x")})
        x = rebuilt(self.x, given | _absent(self.x, given), "x")
        return by_hand(layer, params, x, tree_map(np.array, dy), seed)


def _absent(x: Tree, given: Mapping[str, Any]) -> dict[str, None]:
    return dict.fromkeys(n for n in leaves(x, "x") if n not in given)


def of_layer(case: Case) -> Callable[[Trial, Tree, str], Mapping[str, Array]]:
    """Replays in a layer of which all is known."""
    params, x, _ = case.data()
    names = [n for n, a in leaves(x, "x").items() if a is not None] + list(flatten(params))

    def replay(trial: Trial, dy: Tree, name: str) -> Mapping[str, Array]:
        fixed = {n: a for n, a in flatten(params).items() if n not in trial.arrays}
        roles = {n: (n, same) for n in names if n not in fixed}
        return replayed(Known(case.layer, x, roles, fixed), trial, dy, name)

    return replay


def of_function(
    truth: Callable | None,
) -> Callable[[Trial, Tree, str], Mapping[str, Array]] | None:
    """Replays in the layer that a torch function is recognised as; none if it is none that is known."""
    if truth is None:
        return None

    def replay(trial: Trial, dy: Tree, name: str) -> Mapping[str, Array]:
        known = recognised(truth, trial)
        return replayed(known, trial, dy, name) if known else {}

    return replay


def replayed(known: Known, trial: Trial, dy: Tree, name: str) -> dict[str, Array]:
    """The gradient of this name with each mistake that the layer can have."""
    found: dict[str, Array] = {}
    for cls in {type(layer).__name__ for layer in walk(known.layer)} & registry().keys():
        for fault in faults(cls).values():
            try:
                with np.errstate(all="ignore"):
                    g = known.gradient(corrupt(known.layer, fault), trial.arrays, dy, name, trial.seed)
            except Exception:  # a mistake may make shapes that fit nowhere
                continue
            if g is not None:
                found[fault.id] = g
    return found


def same(a: Array) -> Array:
    return a


def transposed(a: Array) -> Array:
    return a.T


def recognised(truth: Callable, trial: Trial) -> Known | None:
    """The layer that gives the same output from these inputs."""
    from ..compare.examine import run_truth  # the two modules need one another

    y = run_truth(truth, trial.arrays, None).y
    if isinstance(y, tuple):
        return None
    for known in _candidates(trial.arrays):
        try:
            with np.errstate(all="ignore"):
                found = known.gradients(known.layer, trial.arrays, np.zeros(np.shape(y)), trial.seed)["y"]
        except Exception:
            continue
        if (
            found is not None
            and found.shape == np.shape(y)
            and distance(found, np.asarray(y)) <= 1e-10 * (1 + largest(found))
        ):
            return known
    return None


def _candidates(arrays: Mapping[str, Any]) -> Iterator[Known]:
    """Layers whose inputs and parameters could be these arrays, the plainest first."""
    names, shapes = list(arrays), [np.shape(a) for a in arrays.values()]
    if len(names) == 1:
        yield from _of_one(names[0], shapes[0])
    if len(names) == 2:
        yield from _losses(names, shapes)
    if len(names) in (2, 3):
        yield from _affine(names, shapes)
        yield from _norms(names, shapes)
        yield from _convolutions(names, shapes)
    if len(names) == 2 and len(shapes[1]) == 2:
        yield Known(m.Embedding(*shapes[1]), "x", _roles(names, ("x", "weight")))


def _roles(names: list[str], roles: tuple[str, ...], turns: tuple[Turn, ...] = (same, same, same)) -> dict:
    return {n: (r, t) for n, r, t in zip(names, roles, turns)}


def _of_one(name: str, shape: tuple[int, ...]) -> Iterator[Known]:
    roles = {name: ("x", same)}
    for cls in registry().values():
        if issubclass(cls, m.activation.Elementwise) and all(f.default is not MISSING for f in fields(cls)):
            yield Known(cls(), "x", roles)
    yield Known(m.GELU(approximate="tanh"), "x", roles)
    for axis in range(-1, -len(shape) - 1, -1):
        yield from (Known(cls(axis), "x", roles) for cls in (m.Softmax, m.LogSoftmax, m.Softmin))
        yield Known(m.GLU(axis), "x", roles)
    for k in (2, 3):
        spatial = len(shape) - 2
        for kind in ("MaxPool", "AvgPool"):
            if f"{kind}{spatial}d" in registry():
                yield Known(registry()[f"{kind}{spatial}d"](k), "x", roles)
    yield Known(m.Flatten(), "x", roles)


def _losses(names: list[str], shapes: list[tuple[int, ...]]) -> Iterator[Known]:
    roles = _roles(names, ("x[0]", "x[1]"))
    for cls in registry(Loss).values():
        for reduction in ("mean", "sum", "none"):
            try:
                yield Known(cls(reduction=reduction), ("x[0]", "x[1]"), roles)
            except TypeError:  # it takes other options
                break


def _affine(names: list[str], shapes: list[tuple[int, ...]]) -> Iterator[Known]:
    parts = ("x", "weight", "bias")[: len(names)]
    if len(shapes[1]) == 2:
        out, into = shapes[1]
        yield Known(m.Linear(into, out, len(names) == 3), "x", _roles(names, parts))
        yield Known(m.Linear(out, into, len(names) == 3), "x", _roles(names, parts, (same, transposed, same)))


def _norms(names: list[str], shapes: list[tuple[int, ...]]) -> Iterator[Known]:
    if len(names) == 3 and shapes[1] == shapes[2] and shapes[0]:
        roles = _roles(names, ("x", "weight", "bias"))
        if len(shapes[0]) > 1:
            for eps in (1e-5, 1e-8, 1e-6, 1e-12):
                yield Known(m.LayerNorm(shapes[1], eps), "x", roles)
                kind = {2: m.BatchNorm1d, 3: m.BatchNorm1d, 4: m.BatchNorm2d, 5: m.BatchNorm3d}.get(len(shapes[0]))
                if kind and len(shapes[1]) == 1:
                    yield Known(kind(shapes[0][1], eps, track_running_stats=False), "x", roles)
    elif len(names) == 2 and shapes[1] == shapes[0][-1:]:
        yield Known(m.RMSNorm(shapes[1]), "x", _roles(names, ("x", "weight")))


def _convolutions(names: list[str], shapes: list[tuple[int, ...]]) -> Iterator[Known]:
    spatial = len(shapes[1]) - 2
    cls = registry().get(f"Conv{spatial}d")
    if cls is None or len(shapes[0]) not in (spatial + 1, spatial + 2):
        return
    out, into, *kernel = shapes[1]
    groups = shapes[0][-spatial - 1] // into if into else 0
    if groups < 1:
        return
    for stride in (1, 2, 3):
        for padding in (0, 1, 2):
            for dilation in (1, 2):
                layer = cls(into * groups, out, tuple(kernel), stride, padding, dilation, groups, len(names) == 3)
                yield Known(layer, "x", _roles(names, ("x", "weight", "bias")))
