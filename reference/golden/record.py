"""record: what a model gives now, its nodes and their limits, as files.

    record(model, x, folder="golden/")         outputs, gradients, buffers; every node with what it was given
    record(model, x, folder="golden/", light=True)       checksums and projections in their place

What is recorded is the model's own run, with autograd. The code by hand runs beside it, so that every array has a bound
that follows from the rounding of both. The model, its gradients and all random number generators stay as they are.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import torch
from torch import nn

from manualbp.base import Array, flatten
from manualbp.operations.complex import Complexes

from ..compare import nudge
from ..compare.bound import EPS, FACTOR, RATIO, distance, largest, strict
from ..compare.comparison import compare, rounding
from ..draw.trial import LARGE, Trial
from ..models import precision_named, read_in_both, some_match, trial_of
from ..nodes import Find, Recorder, recorded, sides_alone
from ..sides.complex import has_complex
from ..sides.model import Graphed, Own
from ..sides.run import GRADIENT, Name, Run
from ..sides.side import Side
from ..twin.layers import array
from ..twin.models import Read, check, dtype_of
from ..twin.models import whole as whole_module
from ..twin.step import swapped
from . import format
from .environment import environment, seeded
from .recording import Limit, RecordedRun, Recording
from .sketch import checksum, sketch

Track = Callable[[Sequence[str]], Iterable[str]]
LOOKS, FEW = 8, 2  # runs on moved data: of the model, and where a run is dear or given bit for bit what it had


def record(
    model: nn.Module, /, *args: Any, folder: Any, seed: int = 0, only: str = "*", dtype: Any = "float64",
    light: bool = False, source: Mapping[str, Any] | None = None, track: Track = iter, **kwargs: Any,
) -> Recording:  # fmt: skip
    """Write what a model gives on a sample into a folder, which `replay` reads.

    args, kwargs  what you call the model with
    seed          of the upstream gradient, and of all that the model draws
    only          nodes and gradients of parameters whose names match, as "layer3.*"
    dtype         the precision that it runs in: "float64" or "float32"
    light         checksums and projections instead of arrays: small, but it says no entry, and replay needs the same
                  model, parameters included
    source        the address of the model's file, as `manualbp record` notes it
    """
    format.check_folder(folder)
    found = recording_of(model, args, kwargs, seed, only, precision_named(dtype), light, source or {}, track)
    format.write(folder, found)
    return found


def recording_of(
    model: nn.Module, args: tuple, kwargs: Mapping[str, Any], seed: int = 0, only: str = "*", dtype: str = "float64",
    light: bool = False, source: Mapping[str, Any] | None = None, track: Track = iter,
) -> Recording:  # fmt: skip
    """The recording of a model on a sample."""
    check(model)
    dtype_of(model, args, kwargs)
    with seeded(seed):
        draws: list[torch.Tensor] = []
        reads = read_in_both(model, args, kwargs, draws, lambda graph: graph)
        read = reads[dtype] if dtype in reads else reads["float64"]
        some_match(only, [*(node.name for node in read.graph.layers), *dict(model.named_parameters())])
        own = Own(model, args, kwargs, seed if read.graph.random else None, draws)
        trial = trial_of(own, reads["float64"], seed, dtype)
        refuse_complex(trial, read)
        found = compare(Graphed(reads, seed, wide=trial.size < LARGE), own, trial)
        whole = part_of(Graphed(reads, seed, wide=trial.size < LARGE), own, trial, found.runs, only, light, LOOKS)
        nodes = {} if only_parameters(only, read) else nodes_of(own, trial, read, only, seed, light, track)
    kept = {} if light else {
        "constants": constants_of(read, trial), "draws": tuple(map(array, draws)),
        "sample": (swapped(args, array), swapped(dict(kwargs), array)),
    }  # fmt: skip
    shapes = [{n: a.shape for n, a in tree.items()} for tree in (flatten(trial.params), trial.x)]
    return Recording(
        type(model).__name__, source or {}, environment("cpu", dtype), seed, dtype, found.verdict, *shapes, whole,
        nodes, read.graph, only=only, light=light, checksums=checksums(trial, draws) if light else {}, **kept,
    )  # fmt: skip


def refuse_complex(trial: Trial, read: Read) -> None:
    """ValueError for a model of complex numbers."""
    if has_complex(trial) or any(isinstance(layer, Complexes) for _, layer in read.graph.walk()):
        raise ValueError(
            "a recording is of real numbers alone, as its files and those who read them: this model computes with "
            "complex ones. check_model compares it here and now"
        )


def only_parameters(only: str, read: Read) -> bool:
    """Does the pattern match no node, so that it is one of parameters?"""
    return not any(fnmatchcase(node.name, only) for node in read.graph.layers)


def constants_of(read: Read, trial: Trial) -> dict[str, Array]:
    """The arrays of the graph that are no parameters or buffers of the model."""
    state = flatten(trial.params)
    return {n: a for n, a in flatten(read.params).items() if n not in state}


def checksums(trial: Trial, draws: Sequence[torch.Tensor]) -> dict[str, str]:
    """Of all that a light recording leaves out, by what it is."""
    given = {f"the {'buffer' if n in trial.buffers else 'parameter'} {n}": a for n, a in flatten(trial.params).items()}
    given |= {f"the input {n}": a for n, a in trial.x.items()}
    given |= {f"the upstream gradient {n}": a for n, a in flatten(trial.dy, "dy").items() if a is not None}
    given |= {f"draw {i} of the model": array(t) for i, t in enumerate(draws)}
    return {n: checksum(a) for n, a in given.items()}


def part_of(
    hand: Side, torch: Side, trial: Trial, runs: tuple[Run, Run], only: str, light: bool, looks: int,
    coarser: Run | None = None,
) -> RecordedRun:  # fmt: skip
    """What torch gave, and how far a right side may be off. `coarser`: the same in the other precision, where a replay
    runs on what it computed itself and not on the recorded numbers."""
    run = {n: a for n, a in runs[1].items() if wanted(n, only)}
    limits = limits_of(hand, torch, trial, (runs[0], run), looks, coarser)
    if not light:
        return RecordedRun(run, limits, trial)
    sketches = {n: None if a is None else sketch(a, limits[n].bound + limits[n].room) for n, a in run.items()}
    return RecordedRun(sketches, limits)


def wanted(name: Name, only: str) -> bool:
    """Outputs, gradients of inputs, and of the rest what matches."""
    return name.role != GRADIENT or "." not in name.path or fnmatchcase(name.path, only)


def limits_of(
    hand: Side, torch: Side, trial: Trial, runs: tuple[Run, Run], looks: int, coarser: Run | None
) -> dict[Name, Limit]:
    """The full bound of every array of torch's run: the rounding of both sides, and moved data."""
    _, _, bounds = rounding(hand, torch, trial, runs)
    room = nudge.room(hand, torch, trial, runs, looks if trial.size < LARGE else FEW)
    return {n: limit_of(n, a, bounds, room, (coarser or {}).get(n)) for n, a in runs[1].items()}


def limit_of(n: Name, a: Array | None, bounds: Mapping[Name, float], room: nudge.Room, coarser: Array | None) -> Limit:
    if a is None or a.dtype.name not in EPS:
        return Limit()
    s, dtype = largest(a), a.dtype.name
    bound = max(bounds.get(n, 0.0), strict(s, dtype))
    if coarser is not None and coarser.shape == a.shape:
        bound += FACTOR * (RATIO if dtype == "float64" else 1.0) * distance(coarser.astype(float), a.astype(float))
    allowed = np.asarray(room.get(n, 0.0), float)
    allowed = allowed if np.ptp(allowed) > 0 else np.asarray(float(allowed.max(initial=0.0)))
    least = bound + float(allowed.min(initial=np.inf)) if allowed.size else bound
    return Limit(bound, allowed if allowed.ndim else float(allowed), least / s if s > least else None)


def nodes_of(
    own: Own, trial: Trial, read: Read, only: str, seed: int, light: bool, track: Track
) -> dict[str, RecordedRun]:
    """Every node that matches, alone on what it was given in the model, in order."""
    recorder = as_seeded(own, trial, only, seed)
    other = in_other_precision(own, trial, only, seed) if light else None
    layers = {node.name: node.layer for node in read.graph.layers if node.name in recorder.calls}
    return {name: node_of(name, layers[name], recorder, other, seed, light) for name in track([*layers])}


def node_of(name: str, layer: Any, recorder: Recorder, other: Recorder | None, seed: int, light: bool) -> RecordedRun:
    hand, call, given = sides_alone(name, layer, recorder, seed)
    coarser = None
    if other is not None and name in other.calls:
        _, again, moved = sides_alone(name, layer, other, seed)
        coarser = again.run(moved)
    return part_of(hand, call, given, (hand.run(given), call.run(given)), "*", light, FEW, coarser)


def as_seeded(own: Own, trial: Trial, only: str, seed: int, find: Find = whole_module) -> Recorder:
    """The model's run with what every node was given, dropout's numbers from a seed."""
    with seeded(seed):
        return recorded(own, trial, only, find)


def in_other_precision(own: Own, trial: Trial, only: str, seed: int) -> Recorder | None:
    """The model's run in the other precision, None for a model that has only one."""
    try:
        return as_seeded(own, trial.cast("float32" if trial.dtype == "float64" else "float64"), only, seed)
    except (RuntimeError, TypeError, ValueError):
        return None
