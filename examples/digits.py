"""Handwritten digits: an MLP and a small CNN trained by hand beside PyTorch, every gradient of every step compared.

    python examples/digits.py [--quick] [--optimizer NAME]… [--picture FILE]

At each step the gradients by hand and by autograd, at the same parameters, are held against the bound that follows
from the arithmetic. PyTorch trains on its own besides, from the same start on the same batches: how far the two losses
drift apart shows how training magnifies the last bit.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import matplotlib
import numpy as np
import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from manualbp import Conv2d, CrossEntropyLoss, Flatten, Linear, MaxPool2d, Objective, ReLU, Sequential, optim
from manualbp.optim import Optimizer
from manualbp.training import predict
from reference.compare import compare_passes
from reference.optim_twin import to_torch_optim
from reference.twin import to_torch

MLP = Sequential(Flatten(), Linear(64, 64), ReLU(), Linear(64, 10))
CNN = Sequential(
    Conv2d(1, 8, 3, padding=1), ReLU(), MaxPool2d(2), Conv2d(8, 16, 3, padding=1), ReLU(), MaxPool2d(2),
    Flatten(), Linear(64, 10),
)  # fmt: skip
GOALS = {"MLP": (MLP, 0.95), "CNN": (CNN, 0.97)}  # accuracy on digits not trained on
RATES = {  # every optimizer that suits dense parameters and mini-batches, with a learning rate that does here
    "SGD": {"lr": 0.1, "momentum": 0.9}, "Adam": {"lr": 0.005}, "AdamW": {"lr": 0.005}, "NAdam": {"lr": 0.005},
    "RAdam": {"lr": 0.01}, "Adamax": {"lr": 0.01}, "Adagrad": {"lr": 0.05}, "Adadelta": {"lr": 1.0},
    "RMSprop": {"lr": 0.003}, "ASGD": {"lr": 0.3}, "Adafactor": {"lr": 0.02},
}  # fmt: skip
KNOWN = {name: getattr(optim, name)(**options) for name, options in RATES.items() if hasattr(optim, name)}


@dataclass
class Run:
    """What one training left behind: a number a step, and the accuracies at the end."""

    net: str
    optimizer: str
    by_hand: list[float] = field(default_factory=list)
    torch: list[float] = field(default_factory=list)
    ratio: list[float] = field(default_factory=list)  # err/bound, the worst of all tensors
    accuracy: float = 0.0
    accuracy_torch: float = 0.0


def train(name: str, opt: Optimizer, data: tuple, epochs: int, tick) -> Run:
    """Train both sides on the same batches, and compare the gradients of each."""
    (x_train, x_test, t_train, t_test), (model, _) = data, GOALS[name]
    objective, rng, run = Objective(model, CrossEntropyLoss()), np.random.default_rng(0), Run(name, type(opt).__name__)
    params = objective.init(rng)
    state, twin = opt.init(params), to_torch(objective, params)
    torch_opt, _ = to_torch_optim(opt, dict(twin.named_parameters()))
    for _ in range(epochs):
        order = rng.permutation(len(x_train))
        for rows in np.array_split(order, -(-len(order) // 64)):
            batch, one = (x_train[rows], t_train[rows]), np.array(1.0)
            run.ratio.append(compare_passes(objective, params, batch, one).ratio)
            loss, cache = objective.forward(params, batch)
            _, grads = objective.backward(params, cache, one)
            params, state = opt.step(params, grads, state)
            torch_loss = twin(tuple(map(torch.from_numpy, batch)))
            torch_opt.zero_grad()
            torch_loss.backward()
            torch_opt.step()
            run.by_hand.append(float(loss))
            run.torch.append(torch_loss.item())
            tick()
    run.accuracy = float(np.mean(predict(model, params["model"], x_test).argmax(1) == t_test))
    run.accuracy_torch = float(np.mean(twin.model(torch.from_numpy(x_test)).argmax(1).numpy() == t_test))
    return run


def table(runs: list[Run]) -> Table:
    out = Table(title="1,797 digits: by hand beside PyTorch")
    for heading in (
        "network",
        "optimizer",
        "steps",
        "accuracy",
        "PyTorch's",
        "loss",
        "worst err/bound",
        "losses apart",
    ):
        out.add_column(heading, justify="left" if heading in ("network", "optimizer") else "right")
    for r in runs:
        apart = np.abs(np.subtract(r.by_hand, r.torch)).max()
        out.add_row(r.net, r.optimizer, str(len(r.ratio)), f"{r.accuracy:.3f}", f"{r.accuracy_torch:.3f}",
                    f"{np.mean(r.by_hand[-20:]):.4f}", f"{max(r.ratio):.2f}", f"{apart:.0e}")  # fmt: skip
    return out


def picture(runs: list[Run], file: Path) -> None:
    """Losses, their difference, err/bound, each over steps; a column a network."""
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    fig, axes = plt.subplots(3, len(GOALS), figsize=(13, 9), sharex="col", sharey="row", layout="constrained")
    colour = {name: f"C{i}" for i, name in enumerate(dict.fromkeys(r.optimizer for r in runs))}
    for column, net in zip(axes.T, GOALS, strict=True):
        for r in (r for r in runs if r.net == net):
            c = colour[r.optimizer]
            column[0].semilogy(r.by_hand, c=c, lw=2, alpha=0.5, label=r.optimizer)
            column[0].semilogy(r.torch, c="k", lw=0.5, ls=(0, (3, 3)))
            column[1].semilogy(np.abs(np.subtract(r.by_hand, r.torch)) + 1e-18, c=c, lw=0.7)
            column[2].semilogy(r.ratio, c=c, lw=0.7)
        column[2].axhline(1, c="k", lw=1)
        column[0].set_title(f"{net}: {GOALS[net][0]}".replace("Sequential", ""), fontsize=7, wrap=True)
        column[2].set_xlabel("step")
    for axis, label in zip(
        axes[:, 0], ("loss\n(by hand; PyTorch dashed)", "|difference of losses|", "err/bound of gradients")
    ):
        axis.set_ylabel(label)
    axes[0, 0].legend(fontsize=7, ncols=2)
    fig.savefig(file, dpi=130)


def main(
    optimizer: Annotated[list[str] | None, typer.Option(help=f"One of {', '.join(KNOWN)} (repeatable).")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A fifth of the digits, one epoch, no goals.")] = False,
    picture_file: Annotated[Path, typer.Option("--picture", help="Where the curves go.")] = Path("digits.png"),
) -> None:
    """Train by hand and in PyTorch on scikit-learn's digits, and compare every gradient."""
    if unknown := set(optimizer or ()) - set(KNOWN):
        raise typer.BadParameter(f"{', '.join(unknown)}: there are {', '.join(KNOWN)}")
    images, labels = load_digits(return_X_y=True)
    images, labels = (images[:360], labels[:360]) if quick else (images, labels)
    data = train_test_split(images.reshape(-1, 1, 8, 8) / 16, labels, test_size=0.25, random_state=0, stratify=labels)
    plan = [(net, KNOWN[name]) for net in GOALS for name in optimizer or KNOWN]
    epochs, console = 1 if quick else 12, Console()
    bar = Progress(TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=console)
    with bar:
        task = bar.add_task("", total=len(plan) * epochs * -(-len(data[0]) // 64))
        runs = []
        for net, opt in plan:
            bar.update(task, description=f"{net} {type(opt).__name__}")
            runs.append(train(net, opt, data, epochs, lambda: bar.advance(task)))
    console.print(table(runs))
    picture(runs, picture_file)
    console.print(f"Curves: {picture_file}")
    missed = [f"{r.net} by {r.optimizer} reached {r.accuracy:.3f}" for r in runs if r.accuracy < GOALS[r.net][1]]
    wrong = [
        f"{r.net} by {r.optimizer} left the bound at step {int(np.argmax(r.ratio))}" for r in runs if max(r.ratio) > 1
    ]
    if told := wrong + (missed if not quick else []):
        console.print("\n".join(told), style="red")
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
