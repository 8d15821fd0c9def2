"""What is there now, to be held beside a recording: a module and autograd, the code by hand, or numbers in a file."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn

from manualbp.base import Layer, flatten, unflatten

from ..draw.trial import Trial
from ..models import trial_of
from ..nodes import Gradients, Recorder, sides_alone
from ..sides.backends import EAGER
from ..sides.compiled import NotCompiledError
from ..sides.hand import Hand
from ..sides.model import Graphed, Own
from ..sides.run import Run
from ..twin import passes
from ..twin.layers import array, quiet, tensor
from ..twin.models import Read, check, named_arguments, whole
from .environment import environment, seeded
from .record import as_seeded, checksums
from .recording import RecordedRun, Recording
from .torch_side import HERE, Way

FEW = 6  # names that a message shows


class Now:
    """The whole run, and that of a node alone, None where it cannot be run alone; what it runs on."""

    def whole(self) -> Run:
        raise NotImplementedError

    def node(self, name: str, part: RecordedRun) -> Run | None:
        return None

    def environment(self, dtype: str) -> Mapping[str, Any]:
        return environment("cpu", dtype)

    def notes(self, dtype: str) -> Iterator[str]:
        """What may be the reason where something differs."""
        yield from ()


@dataclass(frozen=True)
class ByTorch(Now):
    """A module as it is now, with the numbers of the recording. args, kwargs: its sample, where the recording is light
    and holds none."""

    recording: Recording
    model: nn.Module
    args: tuple = ()
    kwargs: Mapping[str, Any] | None = None
    way: Way = HERE

    def __post_init__(self) -> None:
        check(self.model)
        same_state(self.recording, self.model)

    def whole(self) -> Run:
        try:
            return self._own(self.way).run(self.trial)
        except NotCompiledError as e:
            raise ValueError(
                f"{type(self.model).__name__} could not be run by {self.way.backend} ({e.kind}: {e}); torch as it is "
                f"runs it"
            ) from e

    def environment(self, dtype: str) -> Mapping[str, Any]:
        return environment(self.way.device, dtype)

    def notes(self, dtype: str) -> Iterator[str]:
        if self.way.backend != EAGER:
            yield f"run by {self.way.backend}"
        if dtype == "float32" and self.way.device.startswith("cuda") and torch.backends.cudnn.allow_tf32:
            yield (
                "cuDNN may round float32 to TF32, which has 10 bits: torch.backends.cudnn.allow_tf32 = False in the "
                "file of the model says no"
            )

    def other_weights(self) -> list[str]:
        """The parameters and buffers of a full recording that are other numbers in the model now."""
        then = {} if self.recording.whole.trial is None else flatten(self.recording.whole.trial.params)
        state = {n: array(t) for of in passes.state_of(self.model) for n, t in of.items()}
        return [n for n, a in then.items() if n in state and not np.array_equal(state[n].astype(a.dtype), a)]

    @cached_property
    def trial(self) -> Trial:
        """The numbers that were recorded; of a light recording those of the model, if they are the same."""
        if self.recording.whole.trial is not None:
            return self.recording.whole.trial
        found = trial_of(self._own(HERE), None, self.recording.seed, self.recording.dtype)
        same_numbers(self.recording, checksums(found, self._sample[2]))
        return found

    @cached_property
    def _sample(self) -> tuple[tuple, Mapping[str, Any], list[torch.Tensor]]:
        """The arguments of the call, and the random numbers that the model draws."""
        r = self.recording
        if not r.light:
            args, kwargs = (swapped_arrays(part) for part in r.sample)
            return args, kwargs, [tensor(a) for a in r.draws]
        draws: list[torch.Tensor] = []
        args, kwargs = self.args, self.kwargs or {}
        positional, by_name = named_arguments(self.model, args, kwargs)
        given, _ = passes.given(torch.float64, *passes.state_of(self.model), positional, by_name)
        with seeded(r.seed), quiet():
            passes.run(self.model, given, passes.OwnRun(torch.float64, draws, True))
        return args, kwargs, draws

    def _own(self, way: Way) -> Own:
        seed = self.recording.seed if self.recording.graph.random else None
        return way.side(self.model, *self._sample[:2], seed, self._sample[2])

    @cached_property
    def recorder(self) -> Recorder:
        """The model's run now, in which a module stands for the node that was recorded under its name."""
        layers, paths = self.recording.layers, {id(m): name for name, m in reversed([*self.model.named_modules()])}

        def find(m: nn.Module) -> Layer | None:
            return layers.get(paths.get(id(m), "")) or whole(m)

        return as_seeded(self._own(HERE), self.trial, "*", self.recording.seed, find)

    def node(self, name: str, part: RecordedRun) -> Run | None:
        layer = self.recording.layers[name]
        step = self.recorder.calls[name][0] if name in self.recorder.calls else None
        if step is None or type(step.layer) is not type(layer) or not self.way.of_calls:
            return None
        try:
            _, call, own = sides_alone(name, layer, self.recorder, self.recording.seed)
            return self.way.call(call).run(part.trial or own)
        except (RuntimeError, ValueError, KeyError, TypeError, NotCompiledError):  # another call under the same name
            return None


def swapped_arrays(value: Any) -> Any:
    """The arrays of a tree as tensors."""
    if isinstance(value, np.ndarray):
        return tensor(value)
    if isinstance(value, dict):
        return {k: swapped_arrays(v) for k, v in value.items()}
    return type(value)(map(swapped_arrays, value)) if isinstance(value, (tuple, list)) else value


@dataclass(frozen=True)
class ByHand(Now):
    """The code by hand, on the graph that was recorded."""

    recording: Recording

    def __post_init__(self) -> None:
        if self.recording.light:
            raise ValueError("a light recording holds no arrays that the code by hand could run on: record a full one")

    def whole(self) -> Run:
        r, trial = self.recording, self.recording.whole.trial
        assert trial is not None
        params = unflatten(flatten(trial.params) | dict(r.constants))
        return Graphed({"float64": Read(r.graph, params, None, (), {})}, r.seed).run(trial)

    def node(self, name: str, part: RecordedRun) -> Run | None:
        assert part.trial is not None
        return Gradients(Hand(self.recording.layers[name], self.recording.seed), part.trial.buffers).run(part.trial)


@dataclass(frozen=True)
class Written(Now):
    """Numbers that another program wrote."""

    run: Run

    def whole(self) -> Run:
        return self.run


def same_state(recording: Recording, model: nn.Module) -> None:
    """A ValueError, with every difference, for a model of other parameters."""
    now = {n: tuple(t.shape) for state in passes.state_of(model) for n, t in state.items()}
    then = recording.shapes
    told = [
        f"{what} {', '.join(names[:FEW])}{f' and {len(names) - FEW} more' * (len(names) > FEW)}"
        for what, names in (
            ("it has no", [n for n in then if n not in now]),
            ("the recording has no", [n for n in now if n not in then]),
            ("of another shape are", [f"{n} {now[n]}, then {then[n]}" for n in then if n in now and now[n] != then[n]]),
        )
        if names
    ]
    if told:
        raise ValueError(f"this {type(model).__name__} is not the model recorded, {recording.model}: {'; '.join(told)}")


def same_numbers(recording: Recording, now: Mapping[str, str]) -> None:
    """A ValueError unless a light recording was given the same numbers."""
    then = recording.checksums
    other = [n for n in then | dict(now) if then.get(n) != now.get(n)]
    if other:
        more = f" and {len(other) - FEW} more" * (len(other) > FEW)
        raise ValueError(
            f"a light recording holds checksums of what it was given, and other than then are {', '.join(other[:FEW])}"
            f"{more}. Give the same model and sample, seeded in its file (torch.manual_seed), or record without --light"
        )
