"""What the update of one tensor of a million entries costs by hand and in PyTorch, and how much memory by hand.

    python tests/benchmarks/optimizer_step.py [--steps 30] [--markdown]

PyTorch's side is its for-loop implementation (foreach=False), both sides on one thread. They take turns, and the ratio
is that of the medians of the processor's time for the thread, so that other work on the machine counts little. By hand
the old parameters and state are left as they are, so new memory is made at every step; PyTorch writes in place.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import statistics
import time
import tracemalloc
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from manualbp.base import registry
from manualbp.optim import SGD, Adam, NAdam, Optimizer, RMSprop, Rows, SparseAdam
from reference.sides.steps import torch_step
from reference.twin.optimizers import to_torch_optim

SHAPE = (1000, 1000)
LIMIT, ARRAYS = 2.0, 3.0  # of the ratio of times, and of arrays beside the old and the new ones
MORE: list[Optimizer] = [
    SGD(momentum=0.9, nesterov=True, weight_decay=0.1, maximize=True),
    Adam(weight_decay=0.1, amsgrad=True, maximize=True),
    NAdam(weight_decay=0.1, maximize=True),
    RMSprop(weight_decay=0.1, momentum=0.9, centered=True, maximize=True),
]


def main(
    steps: Annotated[int, typer.Option(help="Steps of either side.")] = 30,
    markdown: Annotated[bool, typer.Option(help="Print the table as markdown.")] = False,
) -> None:
    torch.set_num_threads(1)
    head = ["optimizer", "dtype", "by hand, ms", "PyTorch, ms", "ratio", "arrays beside old and new"]
    rows = [row(opt, dtype, steps) for opt in optimizers() for dtype in ("float32", "float64")]
    if markdown:
        for line in [head, ["---"] * len(head), *rows]:
            print(f"| {' | '.join(line)} |")
        return
    table = Table(*head, caption=f"at most {LIMIT} times the time, at most {ARRAYS:g} arrays")
    for line in rows:
        table.add_row(*line)
    Console().print(table)


def optimizers() -> list[Optimizer]:
    """Every class as it is, but LBFGS, whose step is the closure's work; and those with the longest rules."""
    return [cls() for cls in registry(Optimizer).values() if not cls.by_closure] + MORE


def row(opt: Optimizer, dtype: str, steps: int) -> list[str]:
    rng = np.random.default_rng(0)
    p, g = ({"w": a.astype(dtype)} for a in rng.standard_normal((2, *SHAPE)))
    given: dict[str, Any] = {"w": half_of_the_rows(rng, g["w"])} if isinstance(opt, SparseAdam) else g
    made, tensors = to_torch_optim(opt, p)
    made.param_groups[0]["foreach"] = False
    state, times = opt.init(p), ([], [])
    for _ in range(min(steps, 4) if type(opt).__name__ == "Muon" else steps):
        start = time.thread_time()
        p, state = opt.step(p, given, state)
        times[0].append(time.thread_time() - start)
        start = time.thread_time()
        torch_step(opt, made, tensors, given)
        times[1].append(time.thread_time() - start)
    hand, other = (1e3 * statistics.median(t[1:]) for t in times)
    return [
        repr(opt),
        dtype,
        f"{hand:.2f}",
        f"{other:.2f}",
        f"{hand / other:.2f}",
        f"{beside(opt, p, given, state):.2f}",
    ]


def half_of_the_rows(rng: np.random.Generator, g: np.ndarray) -> Rows:
    """Some of them twice."""
    indices = rng.integers(0, len(g), len(g) * 7 // 10)
    return Rows(indices, g[: len(indices)], g.shape)


def beside(opt: Optimizer, p: dict, g: dict, state: dict) -> float:
    """The largest number of arrays of the parameter's size that live beside the old and the new ones."""
    tracemalloc.start()
    kept = opt.step(p, g, state)
    now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del kept
    return (peak - now) / p["w"].nbytes


if __name__ == "__main__":
    typer.run(main)
