"""Training a model of your own by hand, beside itself in PyTorch; at every step all gradients are compared."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from rich.progress import track
from torch import nn

from manualbp.base import Params, flatten
from manualbp.graph import Graph
from manualbp.optim import Optimizer
from reference import check_model, from_torch, to_torch_optim


@dataclass
class Trained:
    """The graph that was read of the model, its parameters after the last step, and what every step gave."""

    graph: Graph
    params: Params
    model: nn.Module
    by_hand: list[float] = field(default_factory=list)
    torch: list[float] = field(default_factory=list)
    ratio: list[float] = field(default_factory=list)  # err/bound of the worst gradient

    def __str__(self) -> str:
        apart = np.abs(np.subtract(self.by_hand, self.torch)).max()
        return (
            f"{len(self.ratio)} steps by hand: loss {self.by_hand[0]:.3f} → {self.by_hand[-1]:.3f}, in PyTorch "
            f"{self.torch[-1]:.3f}; worst err/bound of a gradient {max(self.ratio):.2f}; losses apart by {apart:.0e}"
        )


def train(model: nn.Module, batches: Iterable[tuple[torch.Tensor, ...]], rule: Optimizer, key: str) -> Trained:
    """`key`: what the model's loss is called in the dict that it gives. The model itself is left as it is."""
    batches = list(batches)
    graph, params = from_torch(model, *batches[0])
    run = Trained(graph, params, copy.deepcopy(model))
    state = rule.init(params)
    beside, alone = copy.deepcopy(model), copy.deepcopy(model)  # at the parameters by hand; trained on its own
    torch_rule, _ = to_torch_optim(rule, dict(alone.named_parameters()))
    for batch in track(batches, "training", transient=True):
        put(run.params, beside)
        report = check_model(beside, *batch)
        assert report, str(report)
        run.ratio.append(report.ratio)

        y, cache = graph.forward(run.params, tuple(t.numpy() for t in batch))
        grads = graph.gradients(run.params, cache, {name: np.array(1.0) if name == key else None for name in y})
        run.params, state = rule.step(run.params, grads, state)
        run.params = graph.track(run.params, cache)
        run.by_hand.append(float(y[key]))

        torch_rule.zero_grad()
        loss = alone(*batch)[key]
        loss.backward()
        torch_rule.step()
        run.torch.append(loss.item())
    put(run.params, run.model)
    return run


def put(params: Params, model: nn.Module) -> None:
    """Parameters and buffers by hand into a module, by their names."""
    own = dict(model.named_parameters()) | dict(model.named_buffers())
    with torch.no_grad():
        for name, p in flatten(params).items():
            if name in own:
                own[name].copy_(torch.from_numpy(np.asarray(p)))


def picture(run: Trained, title: str, file: Path) -> None:
    """The losses, how far they are apart, and err/bound, over the steps."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    fig, (loss, apart, ratio) = plt.subplots(1, 3, figsize=(13, 3.6), layout="constrained")
    loss.plot(run.by_hand, c="#0b5d8a", lw=3, label="by hand")
    loss.plot(run.torch, "--", c="#a8400f", lw=1.2, label="PyTorch, on its own")
    loss.set_title(title)
    loss.set_ylabel("loss")
    loss.legend()
    difference: Any = np.abs(np.subtract(run.by_hand, run.torch))
    apart.semilogy(np.where(difference, difference, np.nan), ".", c="#0b5d8a")
    apart.set_title("difference of the losses, where not 0")
    ratio.semilogy(run.ratio, ".", c="#0b5d8a")
    ratio.axhline(1, c="k", lw=1)
    ratio.set_title("err/bound of the worst gradient at each step")
    for axes in (loss, apart, ratio):
        axes.set_xlabel("step")
    fig.savefig(file, dpi=110)
    plt.close(fig)
