"""The torch side of a replay: a user's module on the numbers of a trial, as it is, on a device, or by a compiler."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..compiled_model import CompiledCall, CompiledOwn
from ..draw.trial import Trial
from ..nodes import Call
from ..sides.backends import EAGER, EXPORT
from ..sides.compiled import LIMIT
from ..sides.model import Own, precision
from ..twin import passes, randomness
from ..twin.layers import quiet
from ..twin.step import swapped


@dataclass(frozen=True)
class Way:
    """How torch runs a module: on which device, and as it is ("eager") or by a compiler, which has `limit` seconds."""

    device: str = "cpu"
    backend: str = EAGER
    limit: float = LIMIT

    def __post_init__(self) -> None:
        if self.backend != EAGER and self.device != "cpu":
            raise ValueError(
                f"a replay by {self.backend} runs on the CPU; it got device {self.device}. Give one of the two: "
                f"--torch {self.backend}, or --device {self.device}"
            )

    @property
    def of_calls(self) -> bool:
        """Can a call be run alone in this way?"""
        return self.backend != EXPORT

    def side(
        self, model: nn.Module, args: tuple, kwargs: Mapping[str, Any], seed: int | None, draws: list[torch.Tensor]
    ) -> Own:
        """A module as the side that is judged."""
        if self.backend != EAGER and draws:
            raise ValueError(
                f"{type(model).__name__} draws random numbers of its own, as torch.rand does, which {self.backend} "
                f"would not draw again: it is replayed compiled with torch.nn.functional.dropout, or in eval mode"
            )
        if self.backend != EAGER:
            return CompiledOwn(model, args, kwargs, seed, draws, self.backend, self.limit)
        if self.device == "cpu":
            return Own(model, args, kwargs, seed, draws)
        return OnDevice(model, args, kwargs, seed, [t.to(self.device) for t in draws], self.device)

    def call(self, call: Call) -> Call:
        """One call of torch, alone."""
        if self.backend == EAGER:
            return dataclasses.replace(call, device=self.device)
        torch._dynamo.reset()
        return CompiledCall(call.step, call.again, call.values, call.seed, way=self.backend, limit=self.limit)


@dataclass(frozen=True)
class OnDevice(Own):
    """The module's run on a device: what it is given goes there, and what it gives comes back, gradients with it."""

    device: str = "cpu"

    def forward(self, trial: Trial) -> tuple[Any, passes.PassInputs, dict[str, torch.Tensor]]:
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
            told = str(e).strip().splitlines() or [""]
            raise ValueError(
                f"{type(self.model).__name__} ends in {type(e).__name__} on {self.device}: {told[0]:.300}. Its "
                f"parameters, buffers and inputs are there; a tensor that is none of these, as self.base = "
                f"torch.ones(3), is not: register it as a buffer"
            ) from e
        tensors, keys = passes.outputs(y)
        back = swapped(tensors, torch.Tensor.cpu)
        return dict(zip(keys, back, strict=True)) if keys else back, given, left

    def moved(self, value: Any) -> Any:
        return swapped(value, lambda t: t.to(self.device))


HERE = Way()
