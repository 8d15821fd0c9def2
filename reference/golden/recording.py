"""A recording: what a model was given and what it gave, how far a right side may be off, and where it was made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from manualbp.base import Array, Layer
from manualbp.graph import Graph

from ..compare.bound import EPS, largest, strict
from ..compare.comparison import Comparison
from ..compare.tensor import Tensor, different, within
from ..draw.trial import Trial
from ..sides.run import OUTPUT, Name, Run, in_order, of_role
from ..sides.side import Side
from .sketch import Sketch, as_sketched

NOW = ("now", "in the recording")  # how a message calls the two


@dataclass(frozen=True)
class Limit:
    """How far the entries of a right array may be off.

    bound  of each: the rounding of torch and of the code by hand, measured when it was recorded
    room   beside it, one number or one for every entry: what the last bits of the data move it by, as at a kink
    power  the smallest relative fault that this excludes
    """

    bound: float = 0.0
    room: Any = 0.0
    power: float | None = None


@dataclass(frozen=True)
class RecordedRun:
    """One run and its limits: of the whole model, or of one node alone on what it was given in the model.

    trial   the numbers that it was given; None in a light recording
    run     what it gave: arrays, or in a light recording sketches of them
    """

    run: Mapping[Name, Array | Sketch | None]
    limits: Mapping[Name, Limit]
    trial: Trial | None = None


@dataclass(frozen=True)
class Recording:
    """What the files of a recording hold.

    model        the name of the model's class;  source: the address of its file, or {}
    environment  what it ran on
    by_hand      the verdict of the comparison with the code by hand when it was recorded
    graph        the model as it was read, which the code by hand runs
    sample       the arguments of the call; draws: the random numbers that the model drew past its layers
    constants    arrays that the model makes in its forward pass
    shapes       of parameters and buffers;  inputs: of the inputs
    checksums    in a light recording of parameters, buffers, inputs and upstream gradients
    """

    model: str
    source: Mapping[str, Any]
    environment: Mapping[str, Any]
    seed: int
    dtype: str
    by_hand: str
    shapes: Mapping[str, tuple[int, ...]]
    inputs: Mapping[str, tuple[int, ...]]
    whole: RecordedRun
    nodes: Mapping[str, RecordedRun] = field(default_factory=dict)
    graph: Graph = field(default_factory=Graph)
    only: str = "*"
    light: bool = False
    sample: tuple[tuple, Mapping[str, Any]] = ((), {})
    draws: tuple[Array, ...] = ()
    constants: Mapping[str, Array] = field(default_factory=dict)
    checksums: Mapping[str, str] = field(default_factory=dict)

    @property
    def layers(self) -> Mapping[str, Layer]:
        """The layer of every node."""
        return self.graph.children()


@dataclass(frozen=True)
class Recorded(Side):
    """Numbers that were recorded, or written by a program in any language: they cannot be run again."""

    numbers: Run

    precisions = ()

    def run(self, trial: Trial) -> Run:
        return self.numbers


def beside(part: RecordedRun, now: Run, dtype: str) -> Comparison:
    """What is there now beside a part of a recording: the strict bound first, then the limits of the recording."""
    more = {n: None for n in now if n.role == OUTPUT} if of_role(dict(part.run), OUTPUT) else {}
    names = [*in_order(more | dict(part.run))]
    tensors = tuple(_one(n, now.get(n), part.run.get(n), part.limits.get(n, Limit())) for n in names)
    return Comparison(tensors, dtype=dtype, runs=(now, dict(part.run)))


def _one(of: Name, now: Array | None, kept: Any, limit: Limit) -> Tensor:
    if isinstance(kept, Sketch):
        return as_sketched(of, now, kept) if now is not None else different(of, None, None, "nothing now")
    room = strict(largest(kept), kept.dtype.name) if kept is not None and kept.dtype.name in EPS else 0.0
    found = within(of, now, kept, room, sides=NOW)
    if found.ok or not np.isfinite(found.error):
        return found
    return within(of, now, kept, limit.bound, limit.room, sides=NOW)
