"""What a training step costs by hand and in PyTorch, and what a verified network costs here and with gradcheck.

    python tests/benchmarks/training_step.py [--quick] [--markdown]

A step is forward, loss, backward and the update of SGD, in float32. Both sides, and the matrix products of the step
alone on both sides, take turns in blocks of a millisecond; a ratio is the median over turns of the ratio within a
turn, so that what slows the machine down slows down both. Each number of threads has a process of its own; with one,
processor time is measured, so that other work on the machine counts less; with two the time on the wall, which needs
a machine with nothing else to do.
"""

import gc
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Annotated, Any, ClassVar
from unittest import mock

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import nn

import manualbp as bp
from manualbp.base import Layer, Params, Tree, flatten, tree_map
from manualbp.optim import SGD
from reference.compare.comparison import compare_passes
from reference.sides.module import to_tensors
from reference.sides.record import walk
from reference.twin.layers import to_torch

LR = 1e-3
Clock = Callable[[], float]


class Recurrent(nn.Module):
    """An LSTM and a linear output at every time, as one writes it in PyTorch."""

    def __init__(self, lstm, _, out) -> None:
        super().__init__()
        self.lstm, self.out = lstm, out

    def forward(self, x):
        return self.out(self.lstm(x)[0])


class Block(nn.Module):
    """Two residual branches, normalised, and a linear output, as one writes it in PyTorch."""

    def __init__(self, attention, norm1, feedforward, norm2, out) -> None:
        super().__init__()
        self.attention = next(m for m in attention.modules() if isinstance(m, nn.MultiheadAttention))
        self.feedforward = nn.Sequential(*feedforward.body.children())
        self.norm1, self.norm2, self.out = norm1, norm2, out

    def forward(self, x):
        x = self.norm1(x + self.attention(x, x, x, need_weights=False)[0])
        return self.out(self.norm2(x + self.feedforward(x)))


@dataclass(frozen=True)
class Network:
    """One line of the table. `eager` is torch's side as its user would write it, made of the twins of the layers."""

    name: str
    model: Layer
    loss: Layer
    shape: tuple[int, ...]
    target: float | None = None
    eager: Callable[..., nn.Module] = nn.Sequential


def networks() -> list[Network]:
    labels, numbers = bp.CrossEntropyLoss(), bp.MSELoss()
    lstm = bp.Sequential(bp.LSTM(32, 64), bp.Select(0), bp.Linear(64, 10))
    encoder = bp.TransformerEncoderLayer(64, 4, 128, dropout=0.0, batch_first=True)
    return [
        Network("MLP 2-2-1 (1)", mlp(2, 2, 1, act=bp.Sigmoid), numbers, (1, 2), 0.3),
        Network("MLP 64-128-64-10 (64)", mlp(64, 128, 64, 10), labels, (64, 64), 0.45),
        Network("MLP 784-512-512-10 (128)", mlp(784, 512, 512, 10), labels, (128, 784), 0.95),
        Network("CNN 1-8-16, 8×8 (64)", cnn(), labels, (64, 1, 8, 8), 0.9),
        Network("LSTM 32-64, T 20 (16)", lstm, numbers, (20, 16, 32), 1.0, eager=Recurrent),
        Network("attention 64, T 32 (8)", transformer(), numbers, (8, 32, 64), eager=Block),
        Network("encoder layer 64, T 32 (8)", bp.Sequential(encoder, bp.Linear(64, 10)), numbers, (8, 32, 64), 0.9),
    ]


def mlp(*widths: int, act: type[Layer] = bp.ReLU) -> bp.Sequential:
    """Linear layers with activations between them; after the last one too if they are sigmoid, as in the text."""
    layers = [layer for n, m in pairwise(widths) for layer in (bp.Linear(n, m), act())]
    return bp.Sequential(*(layers if act is bp.Sigmoid else layers[:-1]))


def cnn() -> bp.Sequential:
    first = bp.Conv2d(1, 8, 3, padding=1), bp.ReLU(), bp.MaxPool2d(2)
    second = bp.Conv2d(8, 16, 3, padding=1), bp.ReLU(), bp.MaxPool2d(2)
    return bp.Sequential(*first, *second, bp.Flatten(), bp.Linear(64, 10))


def transformer() -> bp.Sequential:
    """One block, four heads, and a linear output."""
    qkv = bp.Parallel(bp.Identity(), bp.Identity(), bp.Identity())
    attention = bp.Sequential(qkv, bp.MultiheadAttention(64, 4, batch_first=True, need_weights=False), bp.Select(0))
    return bp.Sequential(
        bp.Residual(attention), bp.LayerNorm(64), bp.Residual(mlp(64, 128, 64)), bp.LayerNorm(64), bp.Linear(64, 10)
    )


def data(net: Network) -> tuple[Params, Tree]:
    """Parameters as torch initialises them, inputs and targets, in float32."""
    rng = np.random.default_rng(0)
    params = net.model.init(rng, np.float32)
    x = rng.standard_normal(net.shape).astype(np.float32)
    y, _ = net.model.forward(params, x)
    t = rng.standard_normal(y.shape).astype(np.float32)
    return params, (x, rng.integers(0, y.shape[-1], y.shape[0]) if isinstance(net.loss, bp.CrossEntropyLoss) else t)


def step_by_hand(net: Network, params: Params, x: Tree) -> Callable[[], float]:
    objective, optimizer, one = bp.Objective(net.model, net.loss), SGD(lr=LR), np.float32(1)
    params = {"model": params}
    state = optimizer.init(params)

    def step() -> float:
        nonlocal params, state
        loss, cache = objective.forward(params, x)
        grads = objective.gradients(params, cache, one)
        params, state = optimizer.step(params, grads, state)
        return float(loss)

    return step


def step_in_torch(net: Network, params: Params, x: Tree) -> Callable[[], float]:
    module = net.eager(*to_torch(net.model, params, "float32").children())
    loss_function = to_torch(net.loss)
    optimizer = torch.optim.SGD(module.parameters(), lr=LR)
    inputs, target = to_tensors(x)

    def step() -> float:
        optimizer.zero_grad()
        loss = loss_function(module(inputs), target)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


class Recorder(np.ndarray):
    """An array that keeps the operands of every matrix product that it, or what is made of it, takes part in."""

    products: ClassVar[list[tuple[Any, Any]]] = []

    def __array_ufunc__(self, ufunc, method, *args, **kwargs):
        args = tuple(_plain(a) for a in args)
        kwargs = {k: tuple(map(_plain, v)) if isinstance(v, tuple) else _plain(v) for k, v in kwargs.items()}
        if ufunc is np.matmul:
            Recorder.products.append(args)
        result = getattr(ufunc, method)(*args, **kwargs)
        return result.view(Recorder) if isinstance(result, np.ndarray) else result


def _plain(a: Any) -> Any:
    return a.view(np.ndarray) if isinstance(a, Recorder) else a


def products(net: Network, params: Params, x: Tree) -> list[tuple[Any, Any]]:
    """The operands of all matrix products of one step by hand, as they lie in memory."""

    def watched(method: Callable[..., Any]) -> Callable[..., Any]:
        return lambda self, *arguments: method(self, *tree_map(_watch, arguments))

    Recorder.products = []
    with ExitStack() as patches:
        for cls in {type(layer) for layer in walk(net.model)}:
            for name in ("forward", "backward"):
                patches.enter_context(mock.patch.object(cls, name, watched(getattr(cls, name))))
        step_by_hand(net, params, x)()
    return [(np.array(a, order="K"), np.array(b, order="K")) for a, b in Recorder.products]


def _watch(a: Any) -> Any:
    return a.view(Recorder) if isinstance(a, np.ndarray) else a


def all_products(operands: list[tuple[Any, Any]]) -> Callable[[], None]:
    def run() -> None:
        for a, b in operands:
            a @ b

    return run


@dataclass(frozen=True)
class Timing:
    """Seconds a step, medians over turns, and ratios, medians of the ratio within a turn."""

    name: str
    threads: int
    by_hand: float
    torch: float
    ratio: float
    quartiles: tuple[float, float]
    over_products: float
    torch_over_products: float
    target: float | None


def measure(net: Network, threads: int, seconds: float) -> Timing:
    params, x = data(net)
    operands = products(net, params, x)
    tensors = [(torch.from_numpy(a), torch.from_numpy(b)) for a, b in operands]
    hand, eager = step_by_hand(net, params, x), step_in_torch(net, params, x)
    for _ in range(3):  # the same training, or the comparison means nothing
        assert math.isclose(a := hand(), b := eager(), rel_tol=1e-4), f"{net.name}: loss {a} by hand, {b} in torch"
    sides = {"hand": hand, "torch": eager, "products": all_products(operands), "torch's": all_products(tensors)}
    times = in_turns(sides, seconds, time.process_time if threads == 1 else time.perf_counter)
    ratios = ratio(times["hand"], times["torch"])
    return Timing(
        net.name, threads, statistics.median(times["hand"]), statistics.median(times["torch"]),
        statistics.median(ratios), (float(np.quantile(ratios, 0.25)), float(np.quantile(ratios, 0.75))),
        statistics.median(ratio(times["hand"], times["products"])),
        statistics.median(ratio(times["torch"], times["torch's"])), net.target,
    )  # fmt: skip


def ratio(a: list[float], b: list[float]) -> list[float]:
    return [x / y for x, y in zip(a, b, strict=True)]


def in_turns(sides: dict[str, Callable[[], Any]], seconds: float, clock: Clock) -> dict[str, list[float]]:
    """Seconds a call of each side, in each turn, for so many seconds in all. A block is as many calls as fill about
    a millisecond, one at least: short, so that few blocks are interrupted by other work."""
    calls = {name: max(1, round(1e-3 / min(timed(f, 1, clock) for _ in range(5)))) for name, f in sides.items()}
    times: dict[str, list[float]] = {name: [] for name in sides}
    gc.collect()
    gc.disable()
    turn, end = 0, time.perf_counter() + seconds
    while turn < 4 or time.perf_counter() < end:
        for name in sides if turn % 2 else reversed(sides):  # so that no side always comes after the same one
            times[name].append(timed(sides[name], calls[name], clock))
        turn += 1
    gc.enable()
    return times


def timed(f: Callable[[], Any], calls: int, clock: Clock) -> float:
    start = clock()
    for _ in range(calls):
        f()
    return (clock() - start) / calls


@dataclass(frozen=True)
class Verification:
    """Seconds to verify one network: here, and with torch.autograd.gradcheck."""

    parameters: int
    here: float
    gradcheck: float


def verify(hidden: int, repeats: int) -> Verification:
    """A network hidden/2 - hidden - 1 with Tanh and MSELoss on four samples: the whole comparison of both sides
    (five passes in three precisions, bound, power), against gradcheck in its slow mode, the one that can be trusted."""
    rng = np.random.default_rng(hidden)
    objective = bp.Objective(mlp(max(hidden // 2, 2), hidden, 1, act=bp.Tanh), bp.MSELoss())
    params = objective.init(rng)
    x = rng.standard_normal((4, max(hidden // 2, 2))), rng.standard_normal((4, 1))
    dy = np.array(0.7)
    comparison = compare_passes(objective, params, x, dy)
    assert comparison.verdict in ("identical", "rounding"), comparison.verdict
    module, names = to_torch(objective, params), list(flatten(params))
    tensors = tuple(p.detach().requires_grad_() for p in module.parameters())

    def f(*tensors: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(module, dict(zip(names, tensors, strict=True)), (to_tensors(x),))

    here = [timed(lambda: compare_passes(objective, params, x, dy), 1, time.process_time) for _ in range(repeats)]
    there = timed(lambda: torch.autograd.gradcheck(f, tensors), 1, time.process_time)
    return Verification(sum(t.numel() for t in tensors), statistics.median(here), there)


def step_table(rows: list[Timing]) -> Table:
    table = plain_table(
        "A training step by hand over PyTorch eager, float32, SGD; median of the ratios, and their quartiles",
        "network (batch)", "threads", "by hand", "PyTorch", "ratio", "quartiles", "target",
        "by hand/products", "PyTorch/products",
    )  # fmt: skip
    for r in rows:
        target = "" if r.target is None else f"{'met' if r.ratio <= r.target else 'MISSED'} ≤ {r.target}"
        times, low, high = (micro(r.by_hand), micro(r.torch)), *r.quartiles
        over = f"{r.over_products:.1f}", f"{r.torch_over_products:.1f}"
        table.add_row(r.name, str(r.threads), *times, f"{r.ratio:.2f}", f"{low:.2f}–{high:.2f}", target, *over)
    return table


def verification_table(rows: list[Verification]) -> Table:
    table = plain_table(
        "One network (n/2 - n - 1, Tanh, MSELoss, float64) verified, one thread",
        "parameters", "here", "a second", "gradcheck", "a second", "times faster",
    )  # fmt: skip
    for r in rows:
        here = f"{1e3 * r.here:.2f} ms", f"{1 / r.here:,.0f}"
        there = f"{1e3 * r.gradcheck:,.0f} ms", f"{1 / r.gradcheck:,.2f}"
        table.add_row(f"{r.parameters:,}", *here, *there, f"{r.gradcheck / r.here:,.0f}")
    return table


def plain_table(title: str, first: str, *others: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column(first, no_wrap=True)
    for heading in others:
        table.add_column(heading, justify="right")
    return table


def micro(seconds: float) -> str:
    return f"{1e6 * seconds:,.0f} µs" if seconds < 1e-3 else f"{1e3 * seconds:,.2f} ms"


def as_markdown(table: Table) -> str:
    """The same table for a README."""
    cells = [[str(c.header), *map(str, c.cells)] for c in table.columns]
    sides = ["---:" if c.justify == "right" else "---" for c in table.columns]
    head, *body = zip(*cells, strict=True)
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, sides, *body])


def worker(threads: int, quick: bool) -> None:
    """One number of threads, in a process started with it; prints its rows as JSON, one a line."""
    torch.set_num_threads(threads)
    for net in networks():
        print(json.dumps(asdict(measure(net, threads, 0.1 if quick else 6.0))), flush=True)
    if threads == 1:
        for hidden in (2, 20, 60) if quick else (2, 20, 60, 200):
            print(json.dumps(asdict(verify(hidden, 3 if quick else 20))), flush=True)


def rows_of(threads: int, quick: bool) -> Iterator[Timing | Verification]:
    limits = {f"{name}_NUM_THREADS": str(threads) for name in ("OMP", "OPENBLAS", "MKL", "VECLIB_MAXIMUM")}
    command = [sys.executable, __file__, "--only", str(threads)] + ["--quick"] * quick
    with subprocess.Popen(command, env=os.environ | limits, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            row = json.loads(line)
            yield Timing(**row) if "ratio" in row else Verification(**row)
    if process.returncode:
        raise typer.Exit(process.returncode)


def main(
    quick: Annotated[bool, typer.Option(help="A few turns only, for a test.")] = False,
    markdown: Annotated[bool, typer.Option(help="Print the tables for a README.")] = False,
    only: Annotated[int, typer.Option(hidden=True)] = 0,
) -> None:
    """Time a training step by hand and in PyTorch, and a verification here and with gradcheck."""
    if only:
        return worker(only, quick)
    console, rows = Console(), []
    with console.status("") as status:
        for threads in (1, 2):
            for row in rows_of(threads, quick):
                rows.append(row)
                status.update(f"{threads} threads: {getattr(row, 'name', 'gradcheck')}")
    steps = sorted((r for r in rows if isinstance(r, Timing)), key=lambda r: [n.name for n in networks()].index(r.name))
    for table in (step_table(steps), verification_table([r for r in rows if isinstance(r, Verification)])):
        console.print(
            f"\n{table.title}\n\n{as_markdown(table)}" if markdown else table, soft_wrap=markdown, highlight=False
        )
    return None


if __name__ == "__main__":
    typer.run(main)
