"""Which layers, in which roles, could have made these outputs of these arrays: by their shapes alone."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import manualbp as m
from manualbp.activation import Elementwise
from manualbp.base import Array, Layer, Tree, flatten, registry
from manualbp.container import Objective, Repeat, Residual, Sequential

from . import resized
from .network import EXACT, Network, Observed, Role
from .seen import near

Shape = tuple[int, ...]
HIDDEN = (m.ReLU(), m.Tanh(), m.Sigmoid(), m.LeakyReLU(), m.GELU(), m.SiLU(), m.Softplus(), m.ELU())
MOST = 400  # chains of one length that are tried
EPS = (1e-5, 1e-8, 1e-6, 1e-12)
RNG = np.random.default_rng(0)  # for shapes of parameters only


def candidates(case: Observed, like: Network | None = None) -> Iterator[Network]:
    """The plainest first. like: one of other sizes, where that is known."""
    chain = like is not None and isinstance(like.model, Sequential)
    if not chain:
        each = itertools.chain(_single(case, case.y.shape), itertools.islice(_recurrent(case), 3 * MOST))
        yield from (n for n in each if like is None or n.is_like(like))
    if len(case.ys) == 1 and (chain or like is None):
        yield from _chains(case, case.y, like)


def _single(case: Observed, y: Shape) -> Iterator[Network]:
    """One layer, with each array as its input in turn."""
    for name, x in case.arrays.items():
        rest = {n: a for n, a in case.arrays.items() if n != name}
        for layer in _layers(case, x, y, [a.shape for a in rest.values()]):
            yield from fitted(layer, "x", {"x": x.shape}, case.arrays, {name: "x"})
    for (a, x), (b, t) in itertools.permutations(case.arrays.items(), 2):
        if x.dtype.kind == "f" and (x.shape == t.shape or x.ndim == t.ndim + 1):
            for loss in _losses(case, x, t):
                x_of = {"x[0]": x.shape, "x[1]": t.shape}
                for network in fitted(loss, ("x[0]", "x[1]"), x_of, case.arrays, {a: "x[0]", b: "x[1]"}):
                    yield network
                    yield from _scaled(network, case)


def _scaled(network: Network, case: Observed) -> Iterator[Network]:
    """A multiple of the loss."""
    if case.y.size > 1 or len(case.ys) > 1:
        return
    try:
        (told,) = map(float, network.forward(case).values())
    except (ValueError, TypeError):
        return
    if told and np.isfinite(told):
        yield replace(network, scale=float(case.y.reshape(())) / told)


def fitted(
    layer: Layer, x: Tree, shapes: Mapping[str, Shape], arrays: Mapping[str, Array], given: Mapping[str, str],
    orders: tuple[tuple[int, ...], ...] = ((),),
) -> Iterator[Network]:  # fmt: skip
    """The layer with the other arrays in the roles of its parameters; a bias may be left out."""
    roles = {n: Role(leaf, shapes[leaf]) for n, leaf in given.items()}
    params = flatten(layer.init(RNG))
    free = {n: a for n, a in arrays.items() if n not in given and a.dtype.kind == "f"}
    for order in orders:
        choices = [list(_takers(leaf, p.shape, free, order)) for leaf, p in params.items()]
        for chosen in itertools.product(*choices):
            names = [c[0] for c in chosen if c]
            if len(set(names)) == len(names):
                absent = [leaf for leaf, c in zip(params, chosen, strict=True) if not c]
                fixed = {leaf: np.zeros_like(params[leaf]) for leaf in absent}
                yield Network(layer, x, roles | dict(c for c in chosen if c), fixed)


def _takers(
    leaf: str, shape: Shape, free: Mapping[str, Array], order: tuple[int, ...]
) -> Iterator[tuple[str, Role] | None]:
    """Arrays that could be this parameter."""
    for n, a in free.items():
        if a.shape == shape or (a.size == np.prod(shape) and max(a.ndim, len(shape)) > min(a.ndim, len(shape)) == 1):
            yield n, Role(leaf, shape, order=order)
        if a.ndim == 2 and a.shape == shape[::-1]:
            yield n, Role(leaf, shape, True, order)
    if leaf.split("_")[0].endswith(("bias", "num")) or leaf == "running_mean":
        yield None


def _layers(case: Observed, x: Array, y: Shape, rest: list[Shape]) -> Iterator[Layer]:
    """Layers that could take this array as input."""
    shape = x.shape
    if x.dtype.kind in "iu":
        yield from (m.Embedding(*w, padding_idx=p) for w in rest if len(w) == 2 for p in _padding(case))
        return
    if x.dtype.kind != "f" or not shape:
        return
    for w in rest:
        if len(w) == 2 and shape[-1] in w:
            for out, into in {w, w[::-1]}:
                if into == shape[-1] and out == y[-1:][0] if y else False:
                    yield m.Linear(into, out)
                if into == out == shape[-1] and y == shape:
                    yield from (Repeat(m.Linear(into, out, b), k) for k in (2, 3) for b in (False, True))
                    yield from (Residual(Sequential(m.Linear(into, out), f)) for f in HIDDEN)
                    yield Residual(m.Linear(into, out))
    if len(rest) == 0:
        yield from _without_parameters(case, shape, y)
    if len(shape) > 1 and shape == y:
        yield from _norms(case, shape)
        yield from (m.PReLU(n) for n in {1, shape[1]})
    if len(shape) > 2:
        yield from _convolutions(shape, y, rest)
        yield from resized.transposed(shape, y, rest)


def _padding(case: Observed) -> list[int | None]:
    return [None, *(int(v) for n, v in case.numbers.items() if n == "padding_idx")]


def _without_parameters(case: Observed, shape: Shape, y: Shape) -> Iterator[Layer]:
    if y == shape:
        yield from _elementwise(case)
        for axis in range(len(shape)):
            yield from (cls(axis) for cls in (m.Softmax, m.LogSoftmax, m.Softmin))
    yield from (m.GLU(i) for i, n in enumerate(shape) if len(shape) == len(y) and n == 2 * y[i])
    if len(y) == 2 and len(shape) > 2:
        yield m.Flatten()
    for lead in (2, 1):  # with a batch, and without
        if lead < len(shape) < lead + 4 and len(y) == len(shape) and y[:lead] == shape[:lead]:
            yield from _pools(shape[lead:], y[lead:])
    yield from resized.of_one(shape, y)


def _elementwise(case: Observed) -> Iterator[Layer]:
    yield from HIDDEN
    for cls in registry(Elementwise).values():
        try:
            yield cls()
            for option in cls.options:
                for v in {*cls.options[option], *case.numbers.values()}:
                    yield cls(**{option: v})
        except (TypeError, ValueError):  # an option without a default
            continue


def _pools(sizes: Shape, y: Shape) -> Iterator[Layer]:
    """Pooling that makes of these lengths those of y."""
    for k, stride, padding in itertools.product((2, 3, 4), (None, 1, 2, 3), (0, 1)):
        for ceil in (False, True):
            s = stride or k
            out = tuple(-(-(n + 2 * padding - k) // s) + 1 if ceil else (n + 2 * padding - k) // s + 1 for n in sizes)
            if out == y:
                yield registry()[f"MaxPool{len(sizes)}d"](k, stride, padding, ceil_mode=ceil)
                for count in (True, False):
                    yield registry()[f"AvgPool{len(sizes)}d"](k, stride, padding, ceil, count)


def _norms(case: Observed, shape: Shape) -> Iterator[Layer]:
    eps = dict.fromkeys([v for n, v in case.numbers.items() if "eps" in n and v < 0.1] + list(EPS))
    for e in eps:
        for k in range(1, len(shape)):
            yield m.LayerNorm(shape[-k:], e)
            yield m.RMSNorm(shape[-k:], e)
        kind = {2: m.BatchNorm1d, 3: m.BatchNorm1d, 4: m.BatchNorm2d, 5: m.BatchNorm3d}.get(len(shape))
        if kind:
            yield from (kind(shape[1], e, training=training) for training in (True, False))
            yield kind(shape[1], e, track_running_stats=False)
        if len(shape) > 2:
            yield from (m.GroupNorm(g, shape[1], e) for g in range(1, shape[1] + 1) if shape[1] % g == 0)


def _convolutions(shape: Shape, y: Shape, rest: list[Shape]) -> Iterator[Layer]:
    axes = len(shape) - 2
    for w in rest:
        if len(w) != len(shape) or axes > 3 or len(y) != len(shape) or w[0] != y[1]:
            continue
        for stride, padding, dilation in itertools.product((1, 2, 3), (0, 1, 2, 3), (1, 2, 3)):
            out = tuple((n + 2 * padding - dilation * (k - 1) - 1) // stride + 1 for n, k in zip(shape[2:], w[2:]))
            if out == y[2:] and shape[1] % w[1] == 0:
                cls = registry()[f"Conv{axes}d"]
                yield cls(shape[1], w[0], w[2:], stride, padding, dilation, shape[1] // w[1])


def _losses(case: Observed, x: Array, t: Array) -> Iterator[Layer]:
    """Losses that could take these, with options that are among the numbers given."""
    numbers = case.numbers
    reductions = ("mean", "sum") if case.y.size == 1 else ("none",)
    if t.dtype.kind in "iu" and x.ndim == t.ndim + 1:
        ignore = int(numbers.get("ignore_index", -100))
        smoothing = (
            v for n, v in numbers.items() if 0 < v < 1 and n.lower() in ("label_smoothing", "smoothing", "eps", "ε")
        )
        for reduction in reductions:
            yield from (m.CrossEntropyLoss(None, ignore, reduction, e) for e in dict.fromkeys((0.0, *smoothing, 0.1)))
            yield m.NLLLoss(None, ignore, reduction)
            yield m.MultiMarginLoss(reduction=reduction)
    elif t.shape == x.shape:
        names = "MSELoss L1Loss HuberLoss SmoothL1Loss"
        names += " BCEWithLogitsLoss BCELoss" * bool(((t >= 0) & (t <= 1)).all())
        names += " SoftMarginLoss HingeEmbeddingLoss" * bool((np.abs(t) == 1).all())
        names += " KLDivLoss PoissonNLLLoss" * bool((t >= 0).all())
        for name, reduction in itertools.product(names.split(), reductions):
            yield from _with_options(getattr(m, name), reduction, numbers)


def _with_options(cls: Any, reduction: str, numbers: Mapping[str, float]) -> Iterator[Layer]:
    yield cls(reduction=reduction)
    for option in {"delta", "beta", "margin"} & cls.__dataclass_fields__.keys():
        values = (v for n, v in numbers.items() if n.lower() in (option, "δ", "β", "threshold") and v > 0)
        yield from (cls(reduction=reduction, **{option: v}) for v in values)


def _recurrent(case: Observed) -> Iterator[Network]:
    """Recurrent layers and single steps of them, batched, with the gates in any order."""
    arrays = {n: a for n, a in case.arrays.items() if a.dtype.kind == "f"}
    for cls, gates in ((m.RNN, 1), (m.GRU, 3), (m.LSTM, 4)):
        for h in {min(a.shape) for a in arrays.values() if a.ndim == 2 and max(a.shape) == gates * min(a.shape)}:
            for name, x in arrays.items():
                if x.ndim in (2, 3) and any(
                    a.ndim == 2 and {*a.shape} == {x.shape[-1], gates * h} for a in arrays.values()
                ):
                    yield from _of_input(case, cls, gates, h, name, x)


def _of_input(case: Observed, cls: Any, gates: int, h: int, name: str, x: Array) -> Iterator[Network]:
    """With each array that could be the first state."""
    states = 2 if cls is m.LSTM else 1
    for shape, first in (
        [(x.shape, False), (x.shape, True)] if x.ndim == 3 else [((1, *x.shape), False), (x.shape, False)]
    ):
        state = (1, shape[0 if first else 1], h) if len(shape) == 3 else (1, h)
        alike = [
            n
            for n, a in case.arrays.items()
            if n != name and a.shape in (state, state[1:] if len(shape) == 3 else state)
        ]
        for chosen in [*itertools.permutations(alike, states), ()]:
            tree: Tree = ("x[0]", "x[1]" if states == 1 else ("x[1][0]", "x[1][1]")) if chosen else "x"
            of = dict(zip((name, *chosen), _flat(tree)))
            shapes = {leaf: shape if n == name else state for n, leaf in of.items()}
            orders = tuple(itertools.permutations(range(gates))) if gates > 1 else ((),)
            for network in fitted(cls(x.shape[-1], h, batch_first=first), tree, shapes, case.arrays, of, orders):
                yield from _outputs(network, case, states)


def _flat(tree: Tree) -> list[str]:
    return [leaf for part in tree for leaf in _flat(part)] if isinstance(tree, tuple) else [tree]


def _outputs(network: Network, case: Observed, states: int) -> Iterator[Network]:
    """Which of output, h_n and c_n are the outputs known."""
    last = ("y[1]",) if states == 1 else ("y[1][0]", "y[1][1]")
    for outputs in (("y[0]",), last, last[:1], ("y[0]", *last), ("y[0]", last[0])):
        if len(outputs) == len(case.ys):
            yield replace(network, outputs=outputs)


@dataclass(frozen=True)
class _Chain:
    """The first layers of a network, and what they make of its input."""

    value: Array
    layers: tuple[Layer, ...]
    roles: Mapping[str, Role]
    fixed: Mapping[str, Array]

    def begins(self, like: Network) -> bool:
        """Does this network begin so, in the same roles?"""
        layers = like.model.layers
        kinds = [type(a) is type(b) for a, b in zip(self.layers, layers)]
        theirs = {n: (_bare(r.leaf), r.turned) for n, r in like.roles.items()}
        return all(kinds) and all((r.leaf, r.turned) == theirs.get(n) for n, r in self.roles.items())

    def longer(self, case: Observed) -> Iterator["_Chain"]:
        """With one more linear map of arrays that are left, and with an activation after it."""
        k, d = len(self.layers), self.value.shape[-1]
        left = {n: a for n, a in case.arrays.items() if n not in self.roles and a.dtype.kind == "f"}
        for n, W in left.items():
            for turned in (False, True):
                if W.ndim != 2 or (W if turned else W.T).shape[1] != d:
                    continue
                out = W.shape[0] if turned else W.shape[1]
                z = self.value @ (W.T if turned else W)
                role = {n: Role(f"{k}.weight", (out, d), not turned)}
                for b in (
                    None,
                    *(b for b, a in left.items() if a.size == out and max(a.shape, default=0) == out and b != n),
                ):
                    with_b = {b: Role(f"{k}.bias", (out,))} if b else {}
                    chain = _Chain(
                        z + left[b].reshape(-1) if b else z,
                        (*self.layers, m.Linear(d, out, b is not None)),
                        {**self.roles, **role, **with_b},
                        {},
                    )
                    yield chain
                    for f in HIDDEN:
                        yield _Chain(f.forward({}, chain.value)[0], (*chain.layers, f), chain.roles, {})

    def ends(self, case: Observed, y: Array) -> Iterator[Network]:
        """This network, or it and a loss."""
        if self.value.shape == y.shape and near(self.value, y, EXACT):
            yield Network(Sequential(*self.layers), "x", self.roles, self.fixed)
        if y.size > 1:
            return
        for n, t in case.arrays.items():
            if n in self.roles or not (t.shape == self.value.shape or self.value.ndim == t.ndim + 1):
                continue
            for loss in _losses(case, self.value, t):
                try:
                    told = float(loss.forward({}, (self.value, t))[0])
                except (ValueError, TypeError):
                    continue
                if told and np.isfinite(told):
                    roles = {
                        k: Role(f"model.{r.leaf}" if r.leaf != "x" else "x[0]", r.shape, r.turned)
                        for k, r in self.roles.items()
                    }
                    roles[n] = Role("x[1]", t.shape)
                    scale = float(y.reshape(())) / told
                    scale = 1.0 if abs(scale - 1) < EXACT else scale
                    yield Network(Objective(Sequential(*self.layers), loss), ("x[0]", "x[1]"), roles, {}, scale=scale)


def _bare(leaf: str) -> str:
    """A leaf's name in a chain without its loss."""
    return "x" if leaf == "x[0]" else leaf.removeprefix("model.")


def _chains(case: Observed, y: Array, like: Network | None, depth: int = 3) -> Iterator[Network]:
    """Linear maps with activations between them, and a loss at the end."""
    level = [
        _Chain(x, (), {n: Role("x", x.shape)}, {})
        for n, x in case.arrays.items()
        if x.dtype.kind == "f" and x.ndim in (1, 2, 3) and x.shape[:1] == (y.shape[:1] if y.size > 1 else x.shape[:1])
    ]
    for _ in range(depth):
        longer = (c for chain in level for c in chain.longer(case) if like is None or c.begins(like))
        level = list(itertools.islice(longer, MOST))
        ends = [end for chain in level for end in chain.ends(case, y)]
        yield from sorted(ends, key=lambda n: n.scale != 1)
