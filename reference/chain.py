"""The chain rule of a model of your own, written out: explain_model(model, x).

Every step forward with its shape and formula, and, from the last to the first, the gradient that comes back to it by
hand and by torch, and where gradients meet. Long models are folded by module.
"""

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from io import StringIO
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from torch import nn

from manualbp.base import Tree, flatten, run
from manualbp.container import Select
from manualbp.graph import Graph, Node, leaves_of
from manualbp.operations import Detach

from .compare.comparison import Comparison
from .folding import FoldedModule, folded, parts_of, within
from .models import MOST, ModelReport, Prepared, arrays_in, examine, prepared, watched
from .nodes import recorded
from .report.progress import Tell, silent
from .sides.record import Spy

WIDTH = 400  # of a table that nobody is to break into lines


@dataclass(frozen=True)
class ChainStep:
    """One step: what it gives, and the gradient that comes back to that.

    hand, torch  the length of that gradient; None where none comes back
    found        the step alone, compared
    meets        the steps whose gradients add here, "the loss" among them
    params       names of parameters, and how many numbers each has
    """

    node: Node
    shape: str
    hand: float | None
    torch: float | None
    found: Comparison | None
    meets: tuple[str, ...]
    params: Mapping[str, int]

    @property
    def name(self) -> str:
        return self.node.name


@dataclass(frozen=True)
class Chain:
    """The chain rule of a model: its steps in order, and the class of every module by its path."""

    report: ModelReport
    lines: tuple[ChainStep, ...]
    modules: Mapping[str, str]
    real: frozenset[str]  # inputs that have a gradient
    passing: frozenset[str]  # steps that pass one on: no mask, no place, nothing that is detached
    dy: Tree  # the upstream gradient, drawn

    @property
    def graph(self) -> Graph:
        return self.report.graph

    @property
    def parts(self) -> tuple[FoldedModule, ...]:
        return parts_of(self.lines)

    @property
    def met_at_inputs(self) -> dict[str, tuple[str, ...]]:
        """The inputs that several steps use, with these: their gradients add there."""
        passing = [node for node in self.graph.layers if node.name in self.passing]
        users = {n: tuple(node.name for node in passing if n in leaves_of(node.inputs)) for n in self.real}
        return {n: steps for n, steps in sorted(users.items()) if len(steps) > 1}

    @property
    def loss(self) -> str:
        """What the gradients are those of, in words: no check has an upstream gradient of 1."""
        if isinstance(self.dy, np.ndarray | np.generic) and not self.dy.ndim:
            return f"The model gives a number; the loss is {float(self.dy):.4g} times it, a factor drawn at random."
        return "The loss is Σ y dy, with the gradient dy of the output drawn at random."

    def line(self, name: str) -> ChainStep | None:
        return next((line for line in self.lines if line.name == name), None)


def explain_model(
    model: nn.Module, *args: Any, seed: int = 0, node: str | None = None, only: str = "*", **kwargs: Any
) -> str:
    """The chain rule of a model on a sample, as a table; long ones folded by module.

    node  one of its names: that step alone, with its derivation, and its tensors by hand and by torch; or a module's:
          the steps in it
    only  the steps whose names match, as "layer3.*", unfolded
    """
    given = prepared(model, args, kwargs, seed)
    only = pattern(given, node, only)
    with watched(given, True, only) as tell:
        return told(chain_of(given, only, tell), only)


def pattern(given: Prepared, node: str | None, only: str) -> str:
    """The steps that are asked for: a step by its name, or those of a module by that of the module."""
    names = [n.name for n in given.graph.layers]
    if node is None or node in names:
        return node or only
    if not any(fnmatchcase(n, f"{node}.*") for n in names):
        shown = ", ".join(names[:MOST]) + f" and {len(names) - MOST} others" * (len(names) > MOST)
        raise ValueError(f"there is no node {node!r}; there are {shown}")
    return f"{node}.*"


def told(chain: Chain, only: str) -> str:
    """A step with its derivation where one is asked for by its name, else the table."""
    line = chain.line(only)
    return chain_rule(chain, only) if line is None else one_step(line)


def chain_of(given: Prepared, only: str = "*", tell: Tell = silent) -> Chain:
    """The chain rule of a model that was read."""
    report = examine(given, by_layer=True, only=only, tell=tell)
    graph, seen = given.graph, gradients(given)
    having = {n for n, v in seen.items() if v.hand is not None and any(True for _ in arrays_in(v.hand))}
    passing = frozenset(node.name for node in graph.layers if node.name in having and type(node.layer) is not Detach)
    users: dict[str, list[str]] = {}
    for node in (n for n in graph.layers if n.name in passing):
        for name in (n for n in leaves_of(node.inputs) if n in having):
            users.setdefault(name, []).append(node.name)
    for name in (n for n in leaves_of(graph.outputs) if n in having):
        users.setdefault(name, []).append("the loss")
    sizes_of = {n: p.numel() for n, p in given.own.model.named_parameters()}
    lines = tuple(
        ChainStep(
            node, sizes(seen[node.name].y), norm(seen[node.name].hand), norm(seen[node.name].torch),
            report.nodes.get(node.name), meets if len(meets := tuple(users.get(node.name, ()))) > 1 else (),
            parameters_of(node, sizes_of),
        )
        for node in graph.layers if fnmatchcase(node.name, only)
    )  # fmt: skip
    modules = {path: type(m).__name__ for path, m in given.own.model.named_modules()}
    real = frozenset(n for n, a in given.trial.x.items() if a.dtype.kind == "f")
    return Chain(report, lines, modules, real, passing, given.trial.dy)


def parameters_of(node: Node, known: Mapping[str, int]) -> dict[str, int]:
    """The parameters that a node uses, its own and those that it takes as inputs."""
    own = node.given() if isinstance(node.params, tuple) else [n for n in known if n.startswith(node.where(""))]
    return {n: known[n] for n in (*own, *leaves_of(node.inputs)) if n in known}


@dataclass(frozen=True)
class NodeValues:
    """What a node gave, and the gradients by it, by hand and by torch."""

    y: Any
    hand: Any
    torch: Any


def gradients(given: Prepared) -> dict[str, NodeValues]:
    """By name: what every node gave, and the gradient by it, by hand and by torch."""
    trial, graph, params = given.trial, given.graph, given.reads["float64"].params
    values = tuple(trial.x[n] for n in graph.inputs)
    gave: dict[str, Any] = {}
    spied = graph.map_named(lambda name, layer: Spy(layer, layer, lambda seen: gave.update({seen[0]: seen[3]}), name))
    rng = np.random.default_rng(given.seed)
    with np.errstate(all="ignore"):
        _, cache = run(spied, params, values if len(values) != 1 else values[0], rng)
        dy = dict(zip(graph.keys, trial.dy, strict=True)) if graph.keys else trial.dy
        back = spied.adjoints(params, cache, dy)
    upstream = recorded(given.own, trial, "").upstream
    places = places_of(graph)
    return {name: NodeValues(y, back.get(name), came_back(upstream, places[name])) for name, y in gave.items()}


def places_of(graph: Graph) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The call that gave a node's value, and where in what it gave that is: torch has no call for an entry."""
    places: dict[str, tuple[str, tuple[int, ...]]] = {}
    for node in graph.layers:
        name, path = places.get(node.inputs, (node.name, ())) if type(node.layer) is Select else (node.name, ())
        places[node.name] = (name, (*path, node.layer.index)) if name != node.name else (name, path)
    return places


def came_back(upstream: Mapping[tuple[str, tuple[int, ...]], torch.Tensor], place: tuple[str, tuple[int, ...]]) -> Any:
    """The gradients of torch by what a call gave, or by a part of it."""
    name, path = place
    return tuple(g.numpy() for (n, p), g in upstream.items() if n == name and p[: len(path)] == path)


def one_step(line: ChainStep) -> str:
    """A step with its derivation, and its tensors by hand and by torch."""
    cls = type(line.node.layer)
    table = Table("tensor", "shape", box=None, pad_edge=False)
    for heading in ("‖by hand‖", "‖PyTorch‖", "err", "bound"):
        table.add_column(heading, justify="right")
    for t in line.found.tensors if line.found else ():
        if t.hand is None:  # an index has no gradient
            continue
        pair = [figure(norm(a)) for a in (t.hand, t.torch)]
        table.add_row(t.name, size(t.hand), *pair, f"{t.error:.2g}", f"{t.bound:.2g} {t.what}")
    return f"{line.name}: {line.node.layer}\n\n{inspect.getdoc(cls) or ''}\n\n{printed(table)}"


def chain_rule(chain: Chain, only: str = "*") -> str:
    """The table of a graph, folded unless a pattern asks for steps, and the formulas of its classes below."""
    rows = folded(chain.parts) if only == "*" else list(chain.lines)
    report = chain.report
    head = (
        f"{report.title}: {len(chain.graph.layers)} steps, {report.verdict}, worst err/bound {report.ratio:.2g}. "
        f"Down the forward pass; back up, the gradient of the loss by what a step gives.\n{chain.loss}\n\n"
    )
    steps = [row for row in rows if not isinstance(row, FoldedModule)]
    tail = "".join(formulas(type(line.node.layer)) for line in first_of_each(steps))
    if len(steps) < len(rows):
        first = next(row.path for row in rows if isinstance(row, FoldedModule))
        tail += (
            f"\n▸ is a module with its steps folded: --only '{first}.*' shows them, --node NAME the numbers of one.\n"
        )
    return head + printed(table_of(chain, rows)) + tail


def first_of_each(lines: Iterable[ChainStep]) -> list[ChainStep]:
    """The first step of every class."""
    return list({type(line.node.layer): line for line in reversed([*lines])}.values())[::-1]


def formulas(cls: type) -> str:
    return f"\n{cls.__name__}\n  {section(cls, 'Forward')}\n  {section(cls, 'Backward')}\n"


def table_of(chain: Chain, rows: Iterable[Any]) -> Table:
    table = Table("", "step", "of", "shape", box=None, pad_edge=False, header_style="dim")
    for heading in ("parameters", "‖gradient‖", "PyTorch", "err/bound"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for row in rows:
        table.add_row(*map(escape, cells(chain, row)))
    return table


def cells(chain: Chain, row: Any) -> tuple[str, ...]:
    """A step, or a module with its steps folded."""
    if isinstance(row, FoldedModule):
        first, step = f"▸ {row.path}", f"{chain.modules.get(row.path, '')}, {len(row.lines)} steps".strip(", ")
        shape, of = ", ".join(line.shape for line in gives(chain, row)), takes(row)
    else:
        first, step, shape, of = f"  {row.name}", str(row.node.layer), row.shape, leaves_of(row.node.inputs)
    numbers = (count(row), *map(figure, lengths(chain, row)), ratio(row))
    return first, step, ", ".join(within(name, first[2:]) for name in of), shape, *numbers, meeting(chain, row)


def meeting(chain: Chain, row: Any) -> str:
    """How many gradients add at what is given."""
    most = max((len(line.meets) for line in gives(chain, row)), default=0)
    return f"{most} gradients meet" if most else ""


def gives(chain: Chain, row: Any) -> list[ChainStep]:
    """The steps of a module that others take, or that are the model's outputs."""
    if not isinstance(row, FoldedModule):
        return [row]
    inside = {line.name for line in row.lines}
    taken = {n for node in chain.graph.layers if node.name not in inside for n in leaves_of(node.inputs)}
    return [line for line in row.lines if line.name in taken | {*leaves_of(chain.graph.outputs)}]


def takes(part: FoldedModule) -> list[str]:
    """What the steps of a module take from outside."""
    known = {line.name for line in part.lines} | {n for line in part.lines for n in line.params}
    given = (n for line in part.lines for n in leaves_of(line.node.inputs))
    return [n for n in dict.fromkeys(given) if n not in known and not n.startswith(f"{part.path}.")]


def lengths(chain: Chain, row: Any) -> tuple[float | None, float | None]:
    """Of the gradient that comes back to what is given, by hand and by torch."""
    each = [(line.hand, line.torch) for line in gives(chain, row)]

    def whole(parts: list[float | None]) -> float | None:
        there = [p for p in parts if p is not None]
        return float(np.linalg.norm(there)) if there else None

    return whole([h for h, _ in each]), whole([t for _, t in each])


def ratio(row: Any) -> str:
    """The worst err/bound."""
    found = [line.found for line in (row.lines if isinstance(row, FoldedModule) else [row]) if line.found is not None]
    worst = max((c.ratio for c in found), default=None)
    return "" if worst is None else "identical" if worst == 0 else f"{worst:.2g}"


def count(row: Any) -> str:
    """How many parameters, each counted once."""
    lines = row.lines if isinstance(row, FoldedModule) else [row]
    total = sum({n: k for line in lines for n, k in line.params.items()}.values())
    return f"{total:,}" if total else ""


def printed(table: Table) -> str:
    out = StringIO()
    Console(file=out, width=WIDTH).print(table)
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def section(cls: type, title: str) -> str:
    """A section of a class's docstring, or of that of the family that has it."""
    titles = ("Forward", "Backward", "Track", "Shapes", "Errors", "Source", "Caveat")
    for base in cls.__mro__:
        lines = (inspect.cleandoc(base.__doc__) if base.__doc__ else "").splitlines()
        start = next((i for i, line in enumerate(lines) if line.startswith(title)), None)
        if start is not None:
            rest = lines[start + 1 :]
            end = next((i for i, line in enumerate(rest) if line.startswith(titles) or not line.strip()), len(rest))
            return "\n  ".join([lines[start], *rest[:end]])
    return title


def size(a: Any) -> str:
    return "×".join(map(str, np.shape(a))) or "number"


def sizes(y: Any) -> str:
    return ", ".join(size(a) for a in flatten(y, "y").values() if a is not None)


def figure(length: float | None) -> str:
    return "–" if length is None else f"{length:.4g}"


def norm(dy: Any) -> float | None:
    """The length of a gradient, over all parts of it; None where there is none."""
    parts = [np.linalg.norm(np.ravel(a)) for a in flatten(dy, "y").values() if a is not None]
    return float(np.linalg.norm(parts)) if parts else None
