"""A model of your own beside its back-propagation by hand.

    report = check_model(model, x)                    outputs, every parameter's and input's gradient, buffers
    report = check_model(model, x, by_layer=True)     and every node alone, with its true input and upstream gradient

One side is what `from_torch` reads; the other is the model itself, with autograd. Never a twin of what was read.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from manualbp.base import Array, Params, flatten, run, tree_map, unflatten
from manualbp.graph import Graph

from .compare.bound import EPS, difference, largest, moved
from .compare.comparison import Tensor, overflown, within
from .draw.case import cast
from .nodes import Recorder, check_nodes
from .report.report import Report
from .twin import passes, randomness
from .twin.layers import DTYPES, array, quiet
from .twin.models import Read, check, dtype_of, named_arguments, read_by_running, refused

LOOKS = 4  # runs on data moved by their last bits, where the derived bound is exceeded
SMALL = 200_000  # numbers in parameters and activations up to which longdouble is run, too: it is slow
Named = dict[str, Array | None]
Change = Callable[[Graph], Graph]


@dataclass(frozen=True)
class Trial:
    """The numbers that both sides get: the model's parameters and buffers, and the sample, in float64."""

    params: Mapping[str, torch.Tensor]
    buffers: Mapping[str, torch.Tensor]
    args: list[tuple[str, Any]]
    kwargs: Mapping[str, Any]

    def map(self, f: Callable[[torch.Tensor], torch.Tensor]) -> "Trial":
        """f of every real tensor that a gradient is taken by."""

        def over(value: Any) -> Any:
            if isinstance(value, np.ndarray):
                return over(torch.from_numpy(value))
            if isinstance(value, torch.Tensor):
                return f(value) if value.is_floating_point() else value
            if isinstance(value, dict):
                return {k: over(v) for k, v in value.items()}
            return type(value)(map(over, value)) if type(value) in (tuple, list) else value

        args = [(n, over(v)) for n, v in self.args]
        return Trial({n: over(t) for n, t in self.params.items()}, self.buffers, args, over(dict(self.kwargs)))


def check_model(
    model: nn.Module, *args: Any, seed: int = 0, by_layer: bool = False, only: str = "*", dtype: str = "float64",
    **kwargs: Any,
) -> Report:  # fmt: skip
    """A torch model, back-propagated by hand, beside the model itself and autograd on the same sample.

    args, kwargs  what you call the model with
    seed          of the upstream gradient, and of what dropout draws
    by_layer      every node of the graph alone, too; otherwise only where something is out of bounds
    only          of these, the nodes whose names match, as "layer3.*"

    The model stays as it is: its buffers are put back, and nothing is written to .grad.

    >>> check_model(torchvision.models.resnet18(), torch.randn(2, 3, 64, 64))
    """
    return examine_model(model, args, kwargs, seed, by_layer, only, dtype)


def examine_model(
    model: nn.Module, args: tuple, kwargs: Mapping[str, Any], seed: int = 0, by_layer: bool = False, only: str = "*",
    dtype: str = "float64", change: Change = lambda graph: graph,
) -> Report:  # fmt: skip
    """What `check_model` does. `change`: the graph is replaced by another, as by one with a fault in it."""
    check(model)
    dtype_of(model, args, kwargs)
    sides = Sides.of(model, args, kwargs, seed, change)
    tensors = compare(sides, sides.trial, dtype)
    wrong = [t for t in tensors if not t.ok]
    notes, culprit = sides.notes(), wrong[0].name if wrong else None
    nodes: tuple[Tensor, ...] = ()
    if wrong or by_layer:
        nodes, found = sides.nodes(only, seed)
        culprit = found or culprit
        if wrong and found is None:
            notes = (*notes, "every node alone is right: the fault is in how they are joined, or errors pile up")
    shown = ", ".join(f"{n} {tuple(t.shape)}" for n, t in sides.inputs.items())
    bad = bool(wrong) or any(not t.ok for t in nodes)
    verdict = "wrong" if bad else verdict_of(tensors)
    side = None if not bad else "forward" if culprit and culprit.endswith("y") else "backward"
    title = type(model).__name__
    return Report(title, verdict, side, culprit, (), (*tensors, *nodes), (), notes, 1, shown)


def verdict_of(tensors: list[Tensor]) -> str:
    """Of tensors within bounds."""
    if all(t.power is None for t in tensors if t.name.endswith(".grad")):
        return "vacuous"
    return "identical" if all(t.identical for t in tensors) else "rounding"


@dataclass(frozen=True)
class Sides:
    """A model and its graph, each in every precision."""

    model: nn.Module
    trial: Trial
    seed: int
    draws: list[torch.Tensor]
    reads: Mapping[str, Read]
    dy: Any
    inputs: Mapping[str, torch.Tensor]

    @classmethod
    def of(cls, model: nn.Module, args: tuple, kwargs: Mapping[str, Any], seed: int, change: Change) -> "Sides":
        """Read in float64 and in float32, with the same random numbers; and an upstream gradient drawn, never ones."""
        draws: list[torch.Tensor] = []
        wide = read_by_running(model, args, kwargs, torch.float64, draws, True)
        reads = {"float64": replace(wide, graph=change(wide.graph))}
        try:
            narrow = read_by_running(model, args, kwargs, torch.float32, draws, False)
            reads["float32"] = replace(narrow, graph=change(narrow.graph))
        except TypeError:  # a cast that only one of the two can have
            pass
        positional, by_name = named_arguments(model, args, kwargs)
        trial = Trial(*passes.state_of(model), positional, by_name).map(lambda t: t.detach().double())
        sides = cls(
            model, trial, seed, draws, reads, None, passes.given(torch.float64, {}, {}, positional, by_name)[0].inputs
        )
        y = sides.forward(trial, torch.float64)[0]
        rng = np.random.default_rng(seed + 1)
        dy = [rng.standard_normal(tuple(t.shape)) if t.is_floating_point() else None for t in passes.tensors_in(y)]
        if not dy:
            raise ValueError(
                f"{type(model).__name__} gives no tensor on this sample, so there is no gradient to compare"
            )
        again = sides.forward(trial, torch.float64)[0]
        for a, b in zip(passes.tensors_in(y), passes.tensors_in(again), strict=True):
            if not torch.equal(torch.nan_to_num(a), torch.nan_to_num(b)):
                raise ValueError(
                    f"{type(model).__name__} gives another result at the second call with the same input: it keeps a "
                    f"state outside its buffers, or draws random numbers past torch; reset or seed it in forward"
                )
        return replace(sides, dy=dy)

    @property
    def random(self) -> bool:
        return bool(self.reads["float64"].graph.random)

    def forward(self, trial: Trial, dtype: torch.dtype) -> tuple[Any, passes.Given, dict[str, torch.Tensor]]:
        """The model's own output, on fresh leaves."""
        given, _ = passes.given(dtype, trial.params, trial.buffers, trial.args, trial.kwargs)
        mode = passes.OwnRun(dtype, self.draws, False)
        try:
            with quiet(), randomness.shared(self.seed if self.random else None):
                y, left = passes.run(self.model, given, mode)
        except RuntimeError as e:
            raise refused(self.model, given, e) from e
        return y, given, left

    def torch(self, trial: Trial, dtype: str, dy: list) -> Named:
        """The model itself, and autograd."""
        y, given, left = self.forward(trial, DTYPES[dtype])
        tensors, keys = passes.outputs(y)
        flat = [*passes.tensors_in(tensors)]
        pairs = [(t, torch.as_tensor(d).to(t.dtype)) for t, d in zip(flat, dy, strict=True) if t.requires_grad]
        try:
            if pairs:
                torch.autograd.backward([t for t, _ in pairs], [d for _, d in pairs])
        except RuntimeError as e:
            raise ValueError(f"autograd itself cannot go back through this {type(self.model).__name__}: {e}") from e
        leaves = {n: t for n, t in (given.inputs | given.params).items() if t.is_floating_point()}
        grads = {f"{n}.grad": array(torch.zeros_like(t) if t.grad is None else t.grad) for n, t in leaves.items()}
        ys = tree_map(lambda t: array(t), tensors)
        return named_outputs(ys, keys) | grads | {n: array(t) for n, t in left.items() if n in given.buffers}

    def hand(self, trial: Trial, dtype: str, dy: list) -> Named:
        """The graph: forward, backward, track."""
        read = self.reads["float32" if dtype == "float32" and "float32" in self.reads else "float64"]
        graph, to = read.graph, partial(cast, dtype=np.dtype(dtype).type)
        given, _ = passes.given(torch.float64, trial.params, trial.buffers, trial.args, trial.kwargs)
        own = {n: array(t) for n, t in (given.params | given.buffers).items()}
        params: Params = to(unflatten(flatten(read.params) | own))
        x = to(tuple(array(t) for t in given.inputs.values()))
        with np.errstate(all="ignore"):  # what overflows in float32 alone is no fault
            y, cache = run(graph, params, x if len(x) != 1 else x[0], np.random.default_rng(self.seed))
            flat = tuple(y.values()) if graph.keys else y
            dx, grads = graph.backward(params, cache, as_tree(y, iter(to(tuple(dy)))))
        after = flatten(graph.track(params, cache))
        dx = dx if isinstance(dx, tuple) and len(graph.inputs) > 1 else (dx,)
        by_input = {f"{n}.grad": g for n, g in zip(graph.inputs, dx) if g is not None}
        by_param = {f"{n}.grad": g for n, g in flatten(grads).items()}
        return named_outputs(flat, graph.keys) | by_input | by_param | {n: after[n] for n in trial.buffers}

    def size(self) -> int:
        """The numbers in parameters and inputs, and a guess at the activations."""
        held = sum(t.numel() for t in self.trial.params.values()) + sum(t.numel() for t in self.inputs.values())
        return held + len(self.reads["float64"].graph.layers) * max(
            (t.numel() for t in self.inputs.values()), default=0
        )

    def notes(self) -> tuple[str, ...]:
        frozen = [n for n, p in self.model.named_parameters() if not p.requires_grad]
        told = self.reads["float64"].notes
        if frozen:
            told += (f"compared as if they required a gradient, which they do not: {', '.join(frozen[:5])}",)
        return told

    def nodes(self, only: str, seed: int) -> tuple[tuple[Tensor, ...], str | None]:
        """Every node alone, and the name of the first that is wrong."""
        model, trial = self.model, self.trial
        recorder = Recorder(model, torch.float64, self.draws, only)
        given, seen = passes.given(torch.float64, trial.params, trial.buffers, trial.args, trial.kwargs)
        recorder.give(given, seen)
        with quiet(), recorder.reading():
            y, left = passes.run(model, given, recorder)
        graph = recorder.graph(y, left, given)
        layers = {node.name: node.layer for node in self.reads["float64"].graph.layers}
        flat = [*passes.tensors_in(passes.outputs(y)[0])]
        pairs = [(t, torch.as_tensor(d)) for t, d in zip(flat, self.dy, strict=True) if t.requires_grad]
        if pairs:
            torch.autograd.backward([t for t, _ in pairs], [d for _, d in pairs])
        return check_nodes(recorder, [node.name for node in graph.layers], layers, seed)


def as_tree(y: Any, flat: Any) -> Any:
    """The upstream gradients, nested as the output by hand."""
    if isinstance(y, dict):
        return {n: as_tree(v, flat) for n, v in y.items()}
    if isinstance(y, tuple):
        return tuple(as_tree(v, flat) for v in y)
    return None if y is None else next(flat)


def named_outputs(y: Any, keys: tuple[str, ...], name: str = "y") -> Named:
    """Outputs as "y", "y[0]", "y['logits']"."""
    if not isinstance(y, tuple):
        return {} if y is None else {name: y}
    parts = zip(keys or range(len(y)), y, strict=True)
    return {n: a for key, part in parts for n, a in named_outputs(part, (), f"{name}[{key!r}]").items()}


def compare(sides: Sides, trial: Trial, dtype: str) -> list[Tensor]:
    """Every array of both sides against its bound; where one is out of bounds, after a second look."""
    hand, own = partial(sides.hand, dy=sides.dy), partial(sides.torch, dy=sides.dy)
    h64, t64 = hand(trial, "float64"), own(trial, "float64")
    h80 = hand(trial, "longdouble") if sides.size() <= SMALL else {}
    h32 = hand(trial, "float32") if "float32" in sides.reads else {}
    t32 = own(trial, "float32") if "float32" in sides.reads else {}
    runs = {n: tuple(r.get(n) for r in (h32, h64, h80, t32, t64)) for n in t64 | h64}
    tensors = [bounded(n, each, dtype) for n, each in runs.items()]
    if any(t.error > t.bound and np.isfinite(t.error) for t in tensors):
        noise = second_look(sides, trial, dtype, h32 if dtype == "float32" else h64, t32 if dtype == "float32" else t64)
        tensors = [bounded(n, each, dtype, noise.get(n, 0.0)) for n, each in runs.items()]
    return overflown(tensors)


def bounded(name: str, runs: tuple, dtype: str, noise: Any = 0.0) -> Tensor:
    """One array of both sides: the place where the comparison is made."""
    return within(name, *runs, dtype, noise)


def second_look(sides: Sides, trial: Trial, dtype: str, hand: Named, own: Named) -> dict[str, Array]:
    """How far every entry of either side moves when data and parameters move by their last bits."""
    rng = np.random.default_rng(sides.seed)
    top = max((largest(np.asarray(a)) for a in own.values() if a is not None), default=0.0)
    real = torch.float64 if dtype == "float64" else torch.float32
    spread: dict[str, Array] = {}

    def last_bits(t: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(moved(rng, t.to(real).numpy())).double()

    for _ in range(LOOKS):
        other = trial.map(last_bits)
        dy = [None if d is None else moved(rng, cast(d, dtype)) for d in sides.dy]
        for side, before in ((sides.hand, hand), (sides.torch, own)):
            for name, a in side(other, dtype, dy).items():
                b = before.get(name)
                if a is not None and b is not None and a.dtype.kind == "f":
                    d = difference(a, b)
                    d = np.where(np.isfinite(d), d, 0)
                    smooth = d[d <= EPS[dtype] ** 0.5 * top].max(initial=0)
                    spread[name] = np.maximum(spread.get(name, 0.0), np.maximum(d, smooth))
    return spread
