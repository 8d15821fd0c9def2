"""What a pass through a model that was read costs by hand and in PyTorch eager: python tests/benchmarks/model_step.py

Forward and the gradients of all parameters, in float32, one thread. Both sides take turns, and a ratio is the median
over turns of the ratio within a turn, in processor time; see training_step.py. Memory is the most that one pass holds
beyond parameters and data: what NumPy allocates is traced, what torch allocates its profiler notes.
"""

import os
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from training_step import in_turns, ratio

sys.path.insert(0, str(Path(__file__).parent.parent))
from models import Block, Decoder

from reference import from_torch

Pass = Callable[[], Any]


class ResNet18(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        self.relu, self.pool = nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        pairs = ((64, 64), (64, 128), (128, 256), (256, 512))
        self.layers = nn.Sequential(*(nn.Sequential(Block(i, o, 1 + (i != o)), Block(o, o, 1)) for i, o in pairs))
        self.mean, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(512, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layers(self.pool(self.relu(self.bn1(self.conv1(x)))))
        return self.fc(torch.flatten(self.mean(x), 1))


class Logits(nn.Module):
    """A GPT of two blocks, without its dropout: what it draws is not what is measured."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder = Decoder(64, 64, 32)
        for m in self.modules():
            if isinstance(m, nn.Dropout):
                m.p = 0.0

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        return self.decoder(words)["logits"]


@dataclass(frozen=True)
class Model:
    name: str
    make: Callable[[], nn.Module]
    sample: Callable[[], torch.Tensor]
    target: float


MODELS = [
    Model("ResNet-18, 64×64 (2)", ResNet18, lambda: torch.randn(2, 3, 64, 64), 1.5),
    Model("GPT, 2 blocks, width 64, T 32 (8)", Logits, lambda: torch.randint(0, 64, (8, 32)), 0.8),
]


def sides(m: Model) -> dict[str, Pass]:
    """One pass on either side: the gradients of all parameters for one upstream gradient."""
    torch.manual_seed(0)
    model, x = m.make(), m.sample()
    graph, params = from_torch(model, x)
    dy = torch.randn_like(model(x))
    array, upstream = x.numpy(), dy.numpy()

    def by_hand() -> Any:
        _, cache = graph.forward(params, array)
        return graph.gradients(params, cache, upstream)

    def eager() -> Any:
        model.zero_grad()
        model(x).backward(dy)
        return model

    return {"by hand": by_hand, "PyTorch": eager}


def memory(both: dict[str, Pass]) -> list[str]:
    """MB that a pass holds at most, by hand and in torch."""
    tracemalloc.start()
    both["by hand"]()
    by_hand = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as noted:
        both["PyTorch"]()
    events = [e for e in noted.profiler.kineto_results.events() if e.name() == "[memory]"]  # type: ignore[union-attr]
    held = np.cumsum([e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())])
    return [f"{n / 2**20:.0f}" for n in (by_hand, held.max(initial=0))]


def main(seconds: float) -> None:
    table = Table("model (batch)", box=None, padding=(0, 2, 0, 0))
    for heading in ("by hand", "PyTorch", "ratio", "quartiles", "target", "MB by hand", "MB PyTorch"):
        table.add_column(heading, justify="right")
    for m in MODELS:
        both = sides(m)
        for run in (*both.values(), *both.values()):
            run()
        times = in_turns(both, seconds, time.process_time)
        ratios = ratio(times["by hand"], times["PyTorch"])
        figures = [f"{1e3 * statistics.median(times[side]):.1f} ms" for side in both]
        found, (low, high) = statistics.median(ratios), np.quantile(ratios, [0.25, 0.75])
        met = f"{'met' if found <= m.target else 'MISSED'} ≤ {m.target}"
        table.add_row(m.name, *figures, f"{found:.2f}", f"{low:.2f}–{high:.2f}", met, *memory(both))
    Console(width=140).print(table)


if __name__ == "__main__":
    torch.set_num_threads(1)
    if "OMP_NUM_THREADS" not in os.environ:
        one = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "VECLIB_MAXIMUM")}
        sys.exit(subprocess.run([sys.executable, *sys.argv], env=os.environ | one, check=False).returncode)
    main(1.0 if "--quick" in sys.argv else 10.0)
