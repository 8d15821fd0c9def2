"""`manualbp record` and `manualbp replay`: the user's file read, the report shown, the exit code."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from torch import nn

from .. import verify_model
from ..cli import choose, usable
from ..sides import backends
from . import format
from .commands import bar
from .environment import relative, seeded
from .record import record
from .recording import Recording
from .replay import replay
from .torch_side import Way


@dataclass(frozen=True)
class RecordRequest:
    """What is to be recorded."""

    target: str
    shapes: tuple[str, ...]
    seed: int
    only: str
    dtype: str
    light: bool


def record_file(asked: RecordRequest, folder: str, console: Console) -> int:
    """Write the recording of a model in a file; the exit code: 1 where the code by hand gives other numbers."""
    choose("--dtype", asked.dtype, ("float64", "float32"))
    format.check_folder(folder)
    model, (args, kwargs) = loaded(asked.target, asked.shapes, asked.seed)
    source = source_of(asked, folder)
    keep_others(folder, source)
    found = record(
        model, *args, folder=folder, seed=asked.seed, only=asked.only, dtype=asked.dtype, light=asked.light,
        source=source, track=bar(console, "steps"), **kwargs,
    )  # fmt: skip
    size = sum(file.stat().st_size for file in Path(folder).iterdir())
    steps = f"{len(found.graph.layers)} steps, {len(found.nodes)} of them alone"  # others read an entry of a tuple
    print(
        f"{folder}: {len(found.whole.run)} arrays of {found.model} and its {steps}, {size:,} bytes; "
        f"the code by hand beside it: {found.by_hand}"
    )
    return verify_model.code_of([_Verdict(found.by_hand)])


def keep_others(folder: str, source: Mapping[str, Any]) -> None:
    """A ValueError where the folder holds the recording of another model."""
    try:
        kept = format.read(folder).source
    except ValueError:  # none, or one that cannot be read
        return
    model = ("file", "module", "name")
    if any(kept.get(n) != source.get(n) for n in model):
        other = ":".join(str(kept[n]) for n in model if n in kept) or "a model given in Python"
        raise ValueError(f"{folder} holds the recording of {other}: give another folder, or remove that one first")


@dataclass(frozen=True)
class _Verdict:
    verdict: str


def loaded(target: str, shapes: Iterable[str], seed: int) -> tuple[nn.Module, verify_model.Sample]:
    """The model of a file and its sample, both made with the random numbers of a seed."""
    with seeded(seed):
        module, model = verify_model.model_of(target)
        return model, verify_model.sample_of(module, model, list(shapes), seed)


def source_of(asked: RecordRequest, folder: str) -> dict[str, Any]:
    """The address of the model's file as seen from the recording, so that both can be moved together."""
    place, _, name = asked.target.partition(":")
    told: dict[str, Any] = {"shapes": list(asked.shapes), "name": name or "model"}
    if not place.endswith(".py"):
        return told | {"module": place}
    return told | {"file": relative(place, folder), "checksum": checksum_of(place)}


def checksum_of(file: str) -> str:
    return hashlib.blake2b(Path(file).read_bytes(), digest_size=16).hexdigest()


def replay_folder(
    folder: str, target: str | None, way: Way, by_hand: bool, console: Console, json: str | None, junit: str | None
) -> int:  # fmt: skip
    """The report on what is there now; the exit code."""
    recording = format.read(folder)
    usable(way.device, recording.dtype)
    backends.usable(way.backend, "--torch", way.device)
    if target is not None and by_hand:
        raise ValueError("--by-hand runs the graph that was recorded: it takes no file beside the folder")
    track = bar(console, "steps")
    if by_hand:
        report = replay(folder, by_hand=True, track=track)
    elif target is not None and (target.endswith(".safetensors") or Path(target).is_dir()):
        report = replay(folder, numbers=target, track=track)
    else:
        shapes = recording.source.get("shapes", ())
        model, sample = loaded(target or address(recording, folder), shapes, recording.seed)
        args, kwargs = sample if recording.light else ((), {})
        report = replay(
            folder, model, *args, device=way.device, torch=way.backend, limit=way.limit, track=track, **kwargs
        )  # fmt: skip
    report = replace(report, notes=(*report.notes, *other_file(recording, folder)))
    return verify_model.show(folder, replace(report, names=("now", "recorded")), console, json, junit)


def other_file(recording: Recording, folder: str) -> Iterator[str]:
    """Is the file of the model another than when it was recorded?"""
    source = recording.source
    file = os.path.normpath(os.path.join(folder, source.get("file", "")))
    if "checksum" in source and Path(file).is_file() and checksum_of(file) != source["checksum"]:
        yield f"{file} has been changed since it was recorded"


def address(recording: Recording, folder: str) -> str:
    """Where the model was, FILE.py:model."""
    source: Mapping[str, Any] = recording.source
    if "module" in source:
        return f"{source['module']}:{source['name']}"
    if "file" not in source:
        raise ValueError(f"{folder} was recorded from Python and knows no file: manualbp replay {folder} FILE.py:model")
    file = os.path.normpath(os.path.join(folder, source["file"]))
    if not Path(file).is_file():
        raise ValueError(
            f"{file}, which {folder} was recorded from, is not there: manualbp replay {folder} FILE.py:model"
        )
    return f"{file}:{source['name']}"
