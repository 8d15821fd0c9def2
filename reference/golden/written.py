"""Numbers that a program in any language wrote: a safetensors file, or a recording, where a dict is taken, too."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from manualbp.base import flatten
from manualbp.checkpoint import read_arrays

from ..sides.run import GRADIENT, Run
from . import format
from .now import FEW
from .recording import Recording


def is_path(given: Any) -> bool:
    return isinstance(given, (str, os.PathLike))


def gradients_in(given: Any) -> Any:
    """Gradients by name: those of a file or a recording where a path is given."""
    if not is_path(given):
        return given
    if format.is_recording(given):
        return {n.path: a for n, a in arrays_of(given).whole.run.items() if n.role == GRADIENT and a is not None}
    return file_of(given)


def places_in(given: Any) -> Any:
    """Where gradients were taken, by name: the inputs and parameters of a recording where its path is given."""
    if not is_path(given):
        return given
    if not format.is_recording(given):
        return file_of(given)
    trial = arrays_of(given).whole.trial
    assert trial is not None
    return dict(trial.x) | flatten(trial.params)


def arrays_of(folder: Any) -> Recording:
    """A recording that holds arrays."""
    found = format.read(folder)
    if found.light:
        raise ValueError(f"{folder} is a light recording, which holds no arrays: record without --light")
    return found


def file_of(path: Any) -> dict[str, Any]:
    """The arrays of a safetensors file."""
    if not Path(path).is_file():
        raise ValueError(f"{path} is neither a safetensors file nor the folder of a recording")
    return read_arrays(path)[0]


def run_of(recording: Recording, path: Any) -> Run:
    """What a file, or another recording, has under the names of a recording."""
    run = recording.whole.run
    if format.is_recording(path):
        return in_dtype(recording, dict(arrays_of(path).whole.run))
    found = file_of(path)
    wanted = {n: spelt for n in run for spelt in (format.key_of(n), str(n)) if spelt in found}
    if not wanted:
        shown = ", ".join(format.key_of(n) for n in [*run][:FEW])
        raise ValueError(f"{path} has none of the arrays of the recording, which are called {shown}, …")
    return in_dtype(recording, {n: found[spelt] for n, spelt in wanted.items()})


def in_dtype(recording: Recording, run: Run) -> Run:
    """The same; a ValueError where numbers of another precision are to be judged by a recording."""
    for n, a in run.items():
        kept = recording.whole.run.get(n)
        if a is None or kept is None or a.dtype.kind != "f" or a.dtype.name == np.dtype(kept.dtype).name:
            continue
        raise ValueError(
            f"{n} is {a.dtype}, and that of the recording {kept.dtype}: record with --dtype {a.dtype}, or write "
            f"{kept.dtype}"
        )
    return run
