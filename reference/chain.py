"""The chain rule of a model of your own, written out: explain_model(model, x).

Every step forward with its shape and formula, and, from the last to the first, the gradient that comes back to it by
hand and by torch, and where gradients meet.
"""

import inspect
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from io import StringIO
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from manualbp.base import Layer, flatten, run
from manualbp.graph import Graph, leaves_of

from .models import examine_model, read_in_both, trial_of
from .nodes import recorded
from .sides.model import Own


def explain_model(
    model: nn.Module, *args: Any, seed: int = 0, node: str | None = None, only: str = "*", **kwargs: Any
) -> str:
    """The chain rule of a model on a sample, as a table.

    node  one of its names: that step alone, with its derivation, and its tensors by hand and by torch
    only  the steps whose names match, as "layer3.*"
    """
    report = examine_model(model, args, kwargs, seed, by_layer=True, only=node or only)
    if node is None:
        return chain_rule(report.graph, gradients(model, args, kwargs, seed), report.nodes, only)
    if node not in report.nodes:
        raise ValueError(f"there is no node {node!r}; there are {', '.join(report.graph.children())}")
    layer, found = report.graph.children()[node], report.nodes[node]
    rows = "\n".join(f"  {t.name:12} err {t.error:.2g}, bound {t.bound:.2g} {t.what}" for t in found.tensors)
    return f"{node}: {layer}\n\n{inspect.getdoc(type(layer)) or ''}\n\n{rows}\n"


@dataclass(frozen=True)
class Seen:
    """What a node gave, and the gradients by it."""

    y: Any
    hand: Any
    torch: list[torch.Tensor]


def gradients(model: nn.Module, args: tuple, kwargs: Mapping[str, Any], seed: int) -> dict[str, Seen]:
    """By name: what every node gave, and the gradient by it, by hand and by torch."""
    draws: list[torch.Tensor] = []
    reads = read_in_both(model, args, kwargs, draws, lambda graph: graph)
    read = reads["float64"]
    own = Own(model, args, kwargs, seed if read.graph.random else None, draws)
    trial = trial_of(own, read, seed, "float64")
    values = tuple(trial.x[n] for n in read.graph.inputs)
    given: list[tuple[str, Any]] = []
    spied = read.graph.map_named(lambda name, layer: Noted(layer, name, given.append))
    _, cache = run(spied, read.params, values if len(values) != 1 else values[0], np.random.default_rng(seed))
    dy = dict(zip(read.graph.keys, trial.dy, strict=True)) if read.graph.keys else trial.dy
    back = spied.adjoints(read.params, cache, dy)
    upstream: dict[str, list[torch.Tensor]] = {}
    for (name, _), g in recorded(own, trial).upstream.items():
        upstream.setdefault(name, []).append(g)
    return {name: Seen(value, back.get(name), upstream.get(name, [])) for name, value in given}


class Noted(Layer, family=True):
    """A layer that says what it gives."""

    inner: Layer
    name: str
    note: Any

    @property
    def random(self) -> bool:
        return bool(self.inner.random)

    def forward(self, params, x, rng=None):
        y, cache = run(self.inner, params, x, rng)
        self.note((self.name, y))
        return y, cache

    def backward(self, params, cache, dy):
        return self.inner.backward(params, cache, dy)


def chain_rule(graph: Graph, values: Mapping[str, Seen], nodes: Mapping[str, Any], only: str) -> str:
    """The table of a graph, and the formulas of its classes below."""
    uses = Counter(name for node in graph.layers for name in {*leaves_of(node.inputs)})
    uses.update(leaves_of(graph.outputs))
    table = Table("name", "step", "of", "shape", "‖gradient‖", "by torch", "err/bound", "", box=None, pad_edge=False)
    shown = [node for node in graph.layers if fnmatchcase(node.name, only)]
    for node in shown:
        seen = values[node.name]
        meets = f"{uses[node.name]} gradients meet" if uses[node.name] > 1 else ""
        found = nodes.get(node.name)
        ratio = "" if found is None else "identical" if found.ratio == 0 else f"{found.ratio:.2g}"
        by_torch = norm(tuple(g.numpy() for g in seen.torch))
        of = ", ".join(map(str, leaves_of(node.inputs)))
        table.add_row(node.name, str(node.layer), of, sizes(seen.y), norm(seen.hand), by_torch, ratio, meets)
    out = StringIO()
    Console(file=out, width=200).print(table)
    for cls in dict.fromkeys(type(node.layer) for node in shown):
        out.write(f"\n{cls.__name__}\n  {section(cls, 'Forward')}\n  {section(cls, 'Backward')}\n")
    return out.getvalue()


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


def sizes(y: Any) -> str:
    return " ".join(str(np.shape(a)) for a in flatten(y, "y").values() if a is not None)


def norm(dy: Any) -> str:
    """The length of a gradient, over all parts of it."""
    parts = [np.linalg.norm(np.ravel(a)) for a in flatten(dy, "y").values() if a is not None]
    return f"{np.linalg.norm(parts):.4g}" if parts else "–"
