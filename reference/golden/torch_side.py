"""The torch side of a replay: a user's module on the numbers of a trial, as it is or on a device."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..draw.trial import Trial
from ..sides.model import Own, precision
from ..twin import passes, randomness
from ..twin.layers import quiet
from ..twin.models import refused
from ..twin.step import swapped


def side_of(
    model: nn.Module, args: tuple, kwargs: Mapping[str, Any], seed: int | None, draws: list[torch.Tensor],
    device: str = "cpu",
) -> Own:  # fmt: skip
    """A module as the side that is judged."""
    if device == "cpu":
        return Own(model, args, kwargs, seed, draws)
    return OnDevice(model, args, kwargs, seed, [t.to(device) for t in draws], device)


@dataclass(frozen=True)
class OnDevice(Own):
    """The module's run on a device: what it is given goes there, and what it gives comes back, gradients with it."""

    device: str = "cpu"

    def forward(self, trial: Trial) -> tuple[Any, passes.Given, dict[str, torch.Tensor]]:
        dtype = getattr(torch, precision(trial).name)
        given, _ = self.given(trial, dtype)
        there = dataclasses.replace(
            given, params=self.moved(given.params), buffers=self.moved(given.buffers), args=self.moved(given.args),
            kwargs=self.moved(given.kwargs),
        )  # fmt: skip
        try:
            with quiet(), randomness.shared(self.seed), torch.device(self.device):
                y, left = passes.run(self.model, there, passes.OwnRun(dtype, self.draws, False))
        except RuntimeError as e:
            raise refused(self.model, given, e) from e
        tensors, keys = passes.outputs(y)
        back = swapped(tensors, torch.Tensor.cpu)
        return dict(zip(keys, back, strict=True)) if keys else back, given, left

    def moved(self, value: Any) -> Any:
        return swapped(value, lambda t: t.to(self.device))
