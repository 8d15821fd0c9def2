"""A mistake of the catalogue in one node of a ResNet, a GPT, a U-Net: is it found, in that node, and named?

    python tests/benchmarks/wrong_nodes.py [--draws N]

Each draw takes one of the models, one of its nodes, and one mistake that this node can have and that changes its
numbers on what it is given there. `check_model(…, by_layer=True)` compares the graph with that node in it with the
model itself: some mistakes, as at ties of zeros before a ReLU, change no gradient of the whole.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent))
from models import Decoder, Hourglass, Residuals

from manualbp.base import tree_map
from reference.compare.bound import strict
from reference.faults import Fault, corrupt, faults
from reference.models import examine_model, prepared
from reference.nodes import Alone, each_alone
from reference.sides.hand import Hand

LEAST = 0.95


@dataclass(frozen=True)
class Drawn:
    """One draw, and what was said of it. `told`: the mistake that was named first."""

    model: str
    node: str
    layer: Any
    fault: Fault
    found: bool
    culprit: str | None
    wrong: tuple[str, ...]
    told: str | None

    @property
    def localised(self) -> bool:
        return self.wrong == (self.node,) and (self.culprit or "").startswith(f"{self.node}, its ")

    @property
    def named(self) -> bool:
        return self.told is not None and self.told.split(".")[0] == self.fault.id.split(".")[0]


def models() -> dict[str, tuple[torch.nn.Module, tuple]]:
    torch.manual_seed(3)
    words = torch.randint(0, 9, (2, 2, 6))
    return {
        "ResNet": (Residuals(), (torch.randn(3, 3, 9, 9),)), "GPT": (Decoder(), (words[0], words[1])),
        "U-Net": (Hourglass(), (torch.randn(2, 1, 8, 8),)),
    }  # fmt: skip


def shows(node: Alone, fault: Fault, seed: int) -> bool:
    """Does it change a number of the node, on what it is given in the model?"""
    try:
        with np.errstate(all="ignore"):
            right = Hand(node.layer, seed).run(node.trial)
            fresh = node.trial.map(lambda tree: tree_map(np.array, tree))  # some mistakes write to what they are given
            wrong = Hand(corrupt(node.layer, fault), seed).run(fresh)
    except Exception:  # shapes that fit nowhere: it cannot be made here
        return False
    changed = [n for n, a in right.items() if a is not None and n.path not in node.trial.buffers]
    return any(differs(right[n], wrong.get(n)) for n in changed)


def differs(a: Any, b: Any) -> bool:
    if b is None or np.shape(a) != np.shape(b):
        return True
    return bool(np.abs(np.subtract(a, b)).max(initial=0) > 4 * strict(float(np.abs(a).max(initial=0)), "float64"))


def draws(count: int) -> Iterator[Drawn]:
    rng, made = np.random.default_rng(0), models()
    alone = {name: nodes_of(*m) for name, m in made.items()}
    for i in range(count):
        name = [*made][i % len(made)]
        while True:
            node = str(rng.choice([*alone[name]]))
            able = list(faults(type(alone[name][node].layer).__name__).values())
            fault = able[int(rng.integers(len(able)))] if able else None
            if fault is not None and shows(alone[name][node], fault, i):
                yield drawn(name, made[name], node, fault, i)
                break


def nodes_of(model: torch.nn.Module, sample: tuple) -> dict[str, Alone]:
    given = prepared(model, sample, {})
    layers = {node.name: node.layer for node in given.graph.layers}
    return dict(each_alone(given.own, given.trial, layers, "*", 0))


def drawn(name: str, made: tuple, node: str, fault: Fault, seed: int) -> Drawn:
    layer = None

    def change(graph):
        nonlocal layer
        layer = graph.children()[node]
        return graph.map_named(lambda n, inner: corrupt(inner, fault) if n == node else inner)

    report = examine_model(*made, {}, seed, by_layer=True, change=change)
    wrong = tuple(n for n, c in report.nodes.items() if c.wrong)
    told = report.suspects[0].fault if report.suspects else None
    return Drawn(name, node, layer, fault, not report, report.culprit, wrong, told)


def main(count: int) -> int:
    found = list(track(draws(count), total=count, transient=True))
    table = Table("model", "node", "layer", "mistake", "found", "in its node", "named", header_style="dim")
    for d in found:
        told = "✓" if d.named else f"{d.told or 'none'}: {d.fault.text[:40]}"
        marks = "✓" if d.found else "✗", "✓" if d.localised else f"{d.culprit}, {len(d.wrong)} wrong"
        style = "" if d.named and d.localised else "red"
        table.add_row(d.model, d.node, str(d.layer)[:36], d.fault.id, *marks, told, style=style)
    Console(width=160).print(table)
    sums = [sum(getattr(d, n) for d in found) for n in ("found", "localised", "named")]
    print(f"{count} draws: {sums[0]} found, {sums[1]} in their node, {sums[2]} named ({sums[2] / count:.0%})")
    return int(min(sums) < LEAST * count)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[sys.argv.index("--draws") + 1]) if "--draws" in sys.argv else 30))
