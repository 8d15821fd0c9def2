"""Handwritten digits: an MLP and a small CNN trained by hand beside PyTorch, every gradient of every step compared.

    python examples/digits.py [--quick] [--optimizer NAME]… [--picture FILE]

At each step the gradients by hand and by autograd, at the same parameters, are held against the bound that follows
from the arithmetic. PyTorch trains on its own besides, from the same start on the same batches: how far the two losses
drift apart shows how training magnifies the last bit.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import matplotlib as mpl
import numpy as np
import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from manualbp import (
    BatchNorm2d,
    Conv2d,
    CrossEntropyLoss,
    Flatten,
    Layer,
    Linear,
    MaxPool2d,
    Objective,
    ReLU,
    Sequential,
    optim,
)
from manualbp.optim import Optimizer
from manualbp.training import predict
from reference import compare_passes, to_torch, to_torch_optim


@dataclass(frozen=True)
class Plan:
    """A network, and the accuracy to reach on digits that it has not seen."""

    net: Layer
    goal: float


def block(n: int, m: int) -> Sequential:
    return Sequential(Conv2d(n, m, 3, padding=1, bias=False), BatchNorm2d(m), ReLU(), MaxPool2d(2))


PLANS = {
    "MLP": Plan(Sequential(Flatten(), Linear(64, 64), ReLU(), Linear(64, 10)), 0.95),
    "CNN": Plan(Sequential(block(1, 8), block(8, 16), Flatten(), Linear(64, 10)), 0.97),
}
RATES = {  # left out: SparseAdam (sparse gradients), Rprop and LBFGS (whole data sets), Muon (matrices only)
    "SGD": {"lr": 0.2, "momentum": 0.9}, "Adam": {"lr": 0.02}, "AdamW": {"lr": 0.02}, "NAdam": {"lr": 0.02},
    "RAdam": {"lr": 0.06}, "Adamax": {"lr": 0.04}, "Adagrad": {"lr": 0.1}, "Adadelta": {"lr": 4.0},
    "RMSprop": {"lr": 0.01}, "ASGD": {"lr": 0.5}, "Adafactor": {"lr": 0.1},
}  # fmt: skip
OPTIMIZERS = {name: getattr(optim, name)(**options) for name, options in RATES.items() if hasattr(optim, name)}


@dataclass
class Run:
    """What one training left behind: a number a step, and the accuracies at the end."""

    net: str
    optimizer: str
    by_hand: list[float] = field(default_factory=list)
    torch: list[float] = field(default_factory=list)
    ratio: list[float] = field(default_factory=list)  # err/bound of the worst tensor
    accuracy: float = 0.0
    accuracy_torch: float = 0.0


def train(net: str, opt: Optimizer, data: list, epochs: int, tick: Callable[[], None]) -> Run:
    """Train both sides on the same batches of 32, the learning rate falling to 0; compare each step's gradients."""
    x_train, x_test, t_train, t_test = data
    objective = Objective(PLANS[net].net, CrossEntropyLoss())
    run, rng, one = Run(net, type(opt).__name__), np.random.default_rng(0), np.array(1.0)
    params = objective.init(rng)
    state, twin = opt.init(params), to_torch(objective, params)
    torch_opt, _ = to_torch_optim(opt, dict(twin.named_parameters()))
    orders = [rng.permutation(len(x_train)) for _ in range(epochs)]
    batches = [rows for order in orders for rows in np.array_split(order, len(order) // 32)]
    for step, rows in enumerate(batches):
        batch, lr = (x_train[rows], t_train[rows]), RATES[run.optimizer]["lr"] * (1 - step / len(batches))
        run.ratio.append(compare_passes(objective, params, batch, one).ratio)

        loss, cache = objective.forward(params, batch)
        grads = objective.gradients(params, cache, one)
        params, state = opt.replace(lr=lr).step(params, grads, state)
        params = objective.track(params, cache)
        run.by_hand.append(float(loss))

        torch_opt.zero_grad()
        torch_loss = twin(tuple(map(torch.from_numpy, batch)))
        torch_loss.backward()
        torch_opt.param_groups[0]["lr"] = lr
        torch_opt.step()
        run.torch.append(torch_loss.item())
        tick()
    run.accuracy = float(np.mean(predict(objective.model, params["model"], x_test).argmax(1) == t_test))
    run.accuracy_torch = float(np.mean(twin.eval().model(torch.from_numpy(x_test)).argmax(1).numpy() == t_test))
    return run


def table(runs: list[Run]) -> Table:
    out = Table(box=None, padding=(0, 2, 0, 0))
    headings = ("", "", "steps", "accuracy\nby hand", "\nPyTorch", "last\nloss", "worst\nerr/bound", "losses\napart")
    for i, heading in enumerate(headings):
        out.add_column(heading, justify="right" if i > 1 else "left", no_wrap=True)
    for r in runs:
        apart = np.abs(np.subtract(r.by_hand, r.torch)).max()
        accuracies = f"{r.accuracy:.3f}", f"{r.accuracy_torch:.3f}"
        figures = f"{r.by_hand[-1]:.4f}", f"{max(r.ratio):.2f}", f"{apart:.0e}"
        out.add_row(r.net, r.optimizer, str(len(r.ratio)), *accuracies, *figures)
    return out


def failures(runs: list[Run], goals: bool) -> list[str]:
    told = [f"{r.net}, {r.optimizer}: a gradient left its bound" for r in runs if not max(r.ratio) <= 1]
    missed = [r for r in runs if goals and r.accuracy < PLANS[r.net].goal]
    return told + [f"{r.net}, {r.optimizer}: accuracy {r.accuracy:.3f} < {PLANS[r.net].goal}" for r in missed]


def smooth(values: list[float], steps: int = 20) -> np.ndarray:
    return np.convolve(values, np.ones(steps) / steps, "valid") if len(values) > steps else np.array(values)


def picture(runs: list[Run], file: Path) -> None:
    """Losses, their difference, err/bound, each over the steps; a column a network."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    fig, axes = plt.subplots(3, len(PLANS), figsize=(13, 10), sharex="col", sharey="row", layout="constrained")
    for column, net in zip(axes.T, PLANS, strict=True):
        for i, r in enumerate(r for r in runs if r.net == net):
            colour = plt.get_cmap("tab20")(i)
            column[0].semilogy(smooth(r.by_hand), c=colour, lw=3, label=r.optimizer)
            column[0].semilogy(smooth(r.torch), "k--", lw=0.7)
            column[1].semilogy(np.abs(np.subtract(r.by_hand, r.torch)), ".", c=colour, ms=2)
            column[2].semilogy(r.ratio, ".", c=colour, ms=2)
        column[0].set_title(net)
        column[2].axhline(1, c="k", lw=1)
        column[2].set_xlabel("step")
    axes[0, 0].set_ylabel("loss by hand (PyTorch dashed), means of 20 steps")
    axes[1, 0].set_ylabel("difference of the losses, where not 0")
    axes[2, 0].set_ylabel("err/bound of the gradients, worst tensor")
    axes[0, 0].legend(fontsize=7, ncols=2)
    fig.savefig(file, dpi=130)


def main(
    optimizer: Annotated[list[str] | None, typer.Option(help=f"One of {', '.join(OPTIMIZERS)} (repeatable).")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A fifth of the digits, one epoch, no goals.")] = False,
    file: Annotated[Path, typer.Option("--picture", help="Where the curves go.")] = Path("digits.png"),
) -> None:
    """Train by hand and in PyTorch on scikit-learn's digits, and compare every gradient."""
    if unknown := [name for name in optimizer or () if name not in OPTIMIZERS]:
        raise typer.BadParameter(f"no {', '.join(unknown)}; there are {', '.join(OPTIMIZERS)}")
    torch.set_default_dtype(torch.float64)  # some optimizers of torch keep scalars of their state in it
    x, t = load_digits(return_X_y=True)
    kept = slice(360 if quick else None)
    data = train_test_split(x[kept].reshape(-1, 1, 8, 8) / 16, t[kept], test_size=0.2, random_state=0, stratify=t[kept])
    jobs, epochs = [(net, name) for net in PLANS for name in optimizer or OPTIMIZERS], 1 if quick else 8
    console, runs = Console(), []
    with Progress(TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task("", total=len(jobs) * epochs * (len(data[0]) // 32))
        for net, name in jobs:
            bar.update(task, description=f"{net} {name}")
            runs.append(train(net, OPTIMIZERS[name], data, epochs, lambda: bar.advance(task)))
    console.print(table(runs))
    picture(runs, file)
    console.print(f"The curves are in {file}.")
    if told := failures(runs, goals=not quick):
        console.print("\n".join(told), style="red")
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
