"""A model of your own beside its back-propagation by hand.

    report = check_model(model, x)                    outputs, every parameter's and input's gradient, buffers
    report = check_model(model, x, by_layer=True)     and every node alone, with its true input and upstream gradient

One side is what `from_torch` reads; the other is the model itself, with autograd. Never a twin of what was read.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import nn

from manualbp.base import tree_map, unflatten
from manualbp.graph import Graph
from manualbp.operations import MaskedFill, Where

from .compare.comparison import Comparison, compare
from .compiled_model import examined
from .cost import cost_of
from .diagnose.evidence import Suspect
from .draw.case import upstream
from .draw.trial import LARGE, cast
from .nodes import Alone, each_alone, first_wrong
from .report.progress import Tell, silent, steps
from .report.report import Report
from .sides import record
from .sides.backends import EAGER, usable
from .sides.model import AskedError, Graphed, OfModel, Own, precision
from .sides.module import twin_of
from .sides.raised import RefusedError, for_users
from .torches import PLAIN, Torches
from .twin import passes
from .twin.layers import array
from .twin.models import Read, check, dtype_of, named_arguments, read_by_running
from .twin.step import swapped

STILL = (
    "no gradient by the inputs is compared, since torch has none: the model changes in place what is made of them, or "
    "calls a function without a derivative"
)
Change = Callable[[Graph], Graph]
MOST = 20  # names of nodes that a message shows


@dataclass(frozen=True, repr=False)
class ModelReport(Report):
    """A report with, where it was asked for or needed, a comparison of every node of the graph alone.

    graph  what was read of the model
    nodes  by name, each node with the input and the upstream gradient that it has in the model itself
    names  of the two sides
    """

    graph: Graph = field(default_factory=lambda: Graph())
    nodes: Mapping[str, Comparison] = field(default_factory=dict)
    names: tuple[str, str] = ("by hand", "PyTorch")

    @property
    def said(self) -> tuple[str, str]:
        return self.names

    def __getitem__(self, i: int) -> "ModelReport":
        """As the list that `check_model` gave before 0.2, whose first report was that of the whole model."""
        return [self][i]

    def __str__(self) -> str:
        lines = [super().__str__()]
        if self.culprit and self.culprit not in {t.name for t in self.tensors}:
            lines += [f"First to differ: {self.culprit}", ""]
        if self.nodes:
            layers = self.graph.children()
            shown = {n: c for n, c in self.nodes.items() if c.wrong} or self.nodes
            lines += ["Every node alone, with its true input and upstream gradient:"]
            lines += [
                f"{'✗' if c.wrong else ' '} {n}: {layers[n]}  err/bound {c.ratio:.3g}"
                + "".join(f"  {t.name} {t.error:.2g} > {t.bound:.2g} {t.what}" for t in c.wrong)
                for n, c in shown.items()
            ]
            lines += (
                [f"  {len(self.nodes) - len(shown)} others are right", ""] if len(shown) < len(self.nodes) else [""]
            )
        return "\n".join(lines)


@for_users
def check_model(
    model: nn.Module, /, *args: Any, seed: int = 0, by_layer: bool = False, only: str = "*", dtype: Any = "float64",
    torch: str = EAGER, **kwargs: Any,
) -> ModelReport:  # fmt: skip
    """A torch model, back-propagated by hand, beside the model itself and autograd on the same sample.

    args, kwargs  what you call the model with
    seed          of the upstream gradient, and of what dropout draws
    by_layer      every node of the graph alone, too; otherwise only where something is out of bounds
    only          of these, the nodes whose names match, as "layer3.*"
    dtype         the precision that it is judged in: "float64" or "float32", or torch's dtype of that name
    torch         how torch runs it: "eager", as it is; "export", or a backend of torch.compile, as "inductor"

    The model stays as it is: it runs on copies of its parameters and buffers, what it changes in its attributes is put
    back, and nothing is written to .grad. Of a large one the cost is said on the error stream before it starts; Ctrl-C
    then keeps the nodes that were compared.

    >>> check_model(torchvision.models.resnet18(), torch.randn(2, 3, 64, 64))
    """
    usable(torch, "check_model(…, torch=…)")
    return examine_model(model, args, kwargs, seed, by_layer, only, dtype, ways=Torches(torch))


@dataclass(frozen=True)
class Prepared:
    """A model that was read: itself, its graph in either precision, and the numbers that both are run on."""

    own: Own
    reads: Mapping[str, Read]
    trial: OfModel
    seed: int
    seconds: float = 0.0  # that reading it took

    @property
    def read(self) -> Read:
        """As it was read in the precision that it is judged in: the numbers in it may depend on that."""
        return self.reads[precision(self.trial).name]

    @property
    def graph(self) -> Graph:
        return self.read.graph


def prepared(
    model: nn.Module, args: tuple, kwargs: Mapping[str, Any], seed: int = 0, dtype: Any = "float64",
    change: Change = lambda graph: graph,
) -> Prepared:  # fmt: skip
    """A model read on a sample. `change`: another graph in the place of the one read, as one with a fault in it."""
    check(model)
    dtype = precision_named(dtype)
    dtype_of(model, args, kwargs)
    draws: list[torch.Tensor] = []
    start = time.perf_counter()
    reads = read_in_both(model, args, kwargs, draws, change)
    own = Own(model, args, kwargs, seed if reads["float64"].graph.random else None, draws)
    trial = trial_of(own, reads["float64"], seed, dtype)
    return Prepared(own, reads, trial, seed, time.perf_counter() - start)


def examine_model(
    model: nn.Module, args: tuple, kwargs: Mapping[str, Any], seed: int = 0, by_layer: bool = False, only: str = "*",
    dtype: Any = "float64", change: Change = lambda graph: graph, ways: Torches = PLAIN,
) -> ModelReport:  # fmt: skip
    """What `check_model` does. `change`: another graph in the place of the one read, as one with a fault in it."""

    def once(args: tuple, kwargs: Mapping[str, Any]) -> ModelReport:
        given = prepared(model, args, kwargs, seed, dtype, change)
        with watched(given, by_layer, only) as tell:
            return examine(given, by_layer, only, tell, ways)

    try:
        return once(args, kwargs)
    except AskedError:
        report = once(swapped(args, passes.still), swapped(dict(kwargs), passes.still))
        return replace(report, notes=(*report.notes, STILL))


@contextmanager
def watched(given: Prepared, by_layer: bool, only: str = "*") -> Iterator[Tell]:
    """What a large model will cost, said before it starts, and a bar while it runs; nothing for a small one."""
    names = [node.name for node in given.graph.layers]
    share = by_layer * sum(fnmatchcase(n, only) for n in names) / max(len(names), 1)
    parameters = sum(p.numel() for p in given.own.model.parameters())
    cost = cost_of(given.reads["float64"], parameters, given.seconds, share)
    console = Console(stderr=True, highlight=False)
    if not cost.large:
        yield silent
        return
    console.print(f"{type(given.own.model).__name__}: {cost}", soft_wrap=True)
    with steps(console) as tell:
        yield tell


def examine(
    given: Prepared, by_layer: bool = False, only: str = "*", tell: Tell = silent, ways: Torches = PLAIN
) -> ModelReport:
    """The whole model, and where it is out of bounds, or with `by_layer`, every node alone."""
    some_match(only, [node.name for node in given.graph.layers])
    tell("the whole model", 0, 1)
    hand = Graphed(given.reads, given.seed, wide=given.trial.size < LARGE)
    found, raised = the_whole(hand, given)

    @cache
    def each() -> tuple[dict[str, Alone], tuple[str, ...]]:
        return gathered(given, only, tell)

    alone, stopped = each() if found.wrong or raised or by_layer else ({}, ())
    report = reported(given, found, alone, raised, stopped)
    if ways.torch == EAGER:
        return report
    return examined(report, given.own, hand, given.trial, lambda needed: each()[0] if by_layer or needed else {}, ways)


def the_whole(hand: Graphed, given: Prepared) -> tuple[Comparison, Exception | None]:
    """The whole model compared; or nothing, and the error that the graph's backward pass ends in."""
    try:
        return compare(hand, given.own, given.trial), None
    except RefusedError as e:
        if e.who == "forward":  # which no node alone would say more of
            raise own_fault(given, e.error) from e.error
        return Comparison(()), e.error


def own_fault(given: Prepared, error: Exception) -> RuntimeError:
    """A crash of the run by hand that no node is to blame for: it says nothing of the model."""
    return RuntimeError(
        f"by hand this {type(given.own.model).__name__} ends in {type(error).__name__}: {error!s:.200}. No node of it "
        f"is found wrong, so this is a fault of manualbp itself and no verdict on the model: please report it"
    )


def gathered(given: Prepared, only: str, tell: Tell) -> tuple[dict[str, Alone], tuple[str, ...]]:
    """Every node alone, one after another; whoever stops it keeps what was done until then, and is told."""
    layers = {n.name: n.layer for n in given.graph.layers if fnmatchcase(n.name, only)}
    alone: dict[str, Alone] = {}
    try:
        for name, each in each_alone(given.own, given.trial, layers, only, given.seed):
            alone[name] = each
            tell(name, len(alone), len(layers))
    except KeyboardInterrupt:
        return alone, (f"interrupted: {len(alone)} of {len(layers)} nodes were compared alone",)
    return alone, ()


def reported(
    given: Prepared, found: Comparison, alone: Mapping[str, Alone], raised: Exception | None, notes: tuple[str, ...]
) -> ModelReport:
    """What was found of the whole and of its nodes, with the first fault and its name."""
    model, read = given.own.model, given.read
    nodes = {n: each.found for n, each in alone.items()}
    if raised is not None and not any(c.wrong for c in nodes.values()):
        raise own_fault(given, raised) from raised
    node, culprit, side = first_wrong(found, nodes)
    suspects = named(alone[node], given.seed) if node else ()
    wrong = bool(found.wrong) or any(c.wrong for c in nodes.values())
    notes = told(model, read) + not_finite(read, given.seed) + notes
    if raised is not None:
        error = f"{type(raised).__name__}: {raised}"
        notes += (f"by hand the whole model ends in {error:.200}: the nodes alone say which is wrong",)
    if found.wrong and nodes and not any(c.wrong for c in nodes.values()):
        notes += ("every node alone is right: the fault is in how they are joined, or rounding piles up",)
    return ModelReport(
        type(model).__name__, "wrong" if wrong else found.verdict, side, culprit, suspects, found.tensors, (), notes, 1,
        ", ".join(f"{n} {np.shape(a)}" for n, a in given.trial.x.items()), graph=given.graph, nodes=nodes,
    )  # fmt: skip


def precision_named(dtype: Any) -> str:
    """float32 or float64, by its name or as torch's or NumPy's dtype."""
    name = dtype if isinstance(dtype, str) else getattr(dtype, "__name__", str(dtype))
    if (name := name.removeprefix("torch.")) not in ("float32", "float64"):
        raise ValueError(f'check_model(…, dtype={dtype!r}) takes dtype="float64" or dtype="float32"')
    return name


def some_match(only: str, names: Sequence[str]) -> None:
    """ValueError, with the names there are, for a pattern that matches no node."""
    if names and not any(fnmatchcase(n, only) for n in names):
        shown = ", ".join(names[:MOST]) + f" and {len(names) - MOST} others" * (len(names) > MOST)
        raise ValueError(
            f"no node of this model is called {only!r}; there are {shown}. `only` takes a name or a pattern of names, "
            f"as {names[0]!r} or {names[0][0] + '*'!r}"
        )


def read_in_both(
    model: nn.Module, args: tuple, kwargs: Mapping[str, Any], draws: list, change: Change
) -> dict[str, Read]:
    """The model read in float64, and in float32 with the same random numbers; the constants in it differ."""
    wide = read_by_running(model, args, kwargs, torch.float64, draws, True)
    reads = {"float64": replace(wide, graph=change(wide.graph))}
    narrow = read_by_running(model, args, kwargs, torch.float32, draws, False)
    return reads | {"float32": replace(narrow, graph=change(narrow.graph))}


def trial_of(own: Own, read: Read, seed: int, dtype: str) -> OfModel:
    """The model's own numbers, and an upstream gradient drawn, never ones."""
    params, buffers = passes.state_of(own.model)
    positional, by_name = named_arguments(own.model, own.args, own.kwargs)
    inputs = passes.given(torch.float64, {}, {}, positional, by_name)[0].inputs
    held = {n: array(t) for n, t in (params | buffers).items()}
    x = {n: array(t) for n, t in inputs.items()}
    trial = OfModel(*cast((x,), float), seed=seed, params=cast(unflatten(held), float), buffers=tuple(buffers))
    y, again = own.outputs(trial), own.outputs(trial)
    same_twice(own.model, y, again)
    draw = np.random.default_rng(seed + 1).standard_normal
    trial = replace(trial, dy=tree_map(partial(upstream, draw), y))
    return trial if dtype == "float64" else trial.cast(dtype)  # type: ignore[return-value]


def same_twice(model: nn.Module, y: Any, again: Any) -> None:
    """ValueError for a model that gives another result at the second call, or none at all."""
    first, second = [*arrays_in(y)], [*arrays_in(again)]
    if not first:
        raise ValueError(f"{type(model).__name__} gives no tensor on this sample: there is no gradient to compare")
    same = [np.array_equal(a, b, equal_nan=a.dtype.kind in "fc") for a, b in zip(first, second, strict=False)]
    if len(first) != len(second) or not all(same):
        raise ValueError(
            f"{type(model).__name__} gives another result at the second call with the same input: it keeps a state "
            f"outside its buffers, or draws random numbers past torch; reset or seed it in forward"
        )


def arrays_in(tree: Any) -> Any:
    """The arrays of a tree."""
    if isinstance(tree, (dict, tuple)):
        for part in tree.values() if isinstance(tree, dict) else tree:
            yield from arrays_in(part)
    elif tree is not None:
        yield tree


def named(node: Alone, seed: int) -> tuple[Suspect, ...]:
    """What the mistake in a wrong node looks like."""
    from .check import on_layer  # which imports this file

    try:
        from .check import on_layer  # the two modules need one another

        return on_layer(node.layer, node.trial, twin_of(node.right, seed), node.right).suspects
    except (TypeError, ValueError):  # a class without a twin, or one that takes no other data
        return ()


def not_finite(read: Read, seed: int) -> tuple[str, ...]:
    """Where a number that is none, or infinite, first comes out of numbers that are."""

    def bad(tree: Any) -> bool:
        real = [a for a in arrays_in(tree) if np.asarray(a).dtype.kind in "fc"]
        return any(not np.isfinite(a).all() for a in real)

    with np.errstate(all="ignore"):
        log = record.inputs(read.graph, read.params, read.x, seed)
    first = next(((name, layer) for name, layer, x, y in log if bad(y) and not bad(x)), None)
    if given := [n for n, a in zip(read.graph.inputs, arrays_in(read.x)) if bad(a)]:
        return (f"the sample holds NaN or an infinity, in {', '.join(given)}: gradients that pass there say little",)
    masks = first is not None and isinstance(first[1], (MaskedFill, Where))  # −∞ before a softmax is meant
    return () if first is None or masks else (f"NaN or an infinity first comes out of {first[0]}: {first[1]}",)


INEXACT = {"Hardsigmoid": "hardsigmoid", "CELU": "celu"}  # see `passes.MENDED`


def told(model: nn.Module, read: Read) -> tuple[str, ...]:
    """What somebody has to know beside the figures."""
    notes = read.notes
    frozen = [n for n, p in model.named_parameters() if not p.requires_grad]
    if frozen:
        notes += (f"compared as if they required a gradient, which they do not: {', '.join(frozen[:5])}",)
    inside = {type(layer).__name__ for _, layer in read.graph.walk()}
    for name in sorted(inside & INEXACT.keys()):
        notes += (f"torch's own {INEXACT[name]} has float32's digits in its backward: here it ran from exact parts",)
    return notes
