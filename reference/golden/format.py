"""A recording as a folder: recording.json, and beside it the arrays in a safetensors file that it names.

    golden/recording.json                what each array is, its bound and power, environment, seeds, format version
    golden/tensors-0f3a….safetensors     the arrays, each once, under names such as gradient/0.weight

The JSON is replaced last and as a whole, so that whenever the process dies there is the old recording or the new one.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from manualbp.base import Array, flatten, unflatten
from manualbp.checkpoint import as_safetensors, read_arrays, replace_whole
from manualbp.graph import Graph

from ..draw.expression import parse
from ..draw.trial import Trial
from ..report.files import figure
from ..sides.model import OfModel
from ..sides.run import BUFFER, Name
from .recording import Limit, RecordedRun, Recording
from .sketch import Sketch

VERSION, KIND, FILE, NODE = 1, "manualbp recording", "recording.json", "node/"


def is_recording(path: Any) -> bool:
    return (Path(path) / FILE).is_file()


def check_folder(folder: Any) -> None:
    """A ValueError, before any work is done, for a folder that a recording cannot be written into."""
    path = Path(folder)
    there = path if path.exists() else path.resolve().parent
    if not there.is_dir():
        raise ValueError(f"{folder} cannot be written: {there} is no folder")
    if path.is_dir() and any(path.iterdir()) and not is_recording(path):
        raise ValueError(f"{folder} holds other files and no recording: give a new folder, or one that was recorded")
    if not os.access(there, os.W_OK):
        raise ValueError(f"{folder} cannot be written: no permission")


def write(folder: Any, recording: Recording) -> None:
    """The files of a recording; the old ones stay until the new ones are whole."""
    check_folder(folder)
    path, store = Path(folder), Store()
    told = _as_json(recording, store)
    path.mkdir(exist_ok=True)
    data = as_safetensors(store.arrays)
    told["file"] = f"tensors-{hashlib.blake2b(data, digest_size=8).hexdigest()}.safetensors" if store.arrays else None
    if told["file"]:
        replace_whole(path / told["file"], data)
    replace_whole(path / FILE, (_dumped(told) + "\n").encode())
    for old in path.glob("tensors-*.safetensors"):
        if old.name != told["file"]:
            old.unlink(missing_ok=True)


def _dumped(told: Mapping[str, Any]) -> str:
    """One line for each array or value of the second level: to be read by people, too."""

    def shown(value: Any, depth: int) -> str:
        if depth == 3 or not isinstance(value, (dict, list)) or not value:
            return json.dumps(value, separators=(",", ":"))
        pad = "\n" + " " * depth
        if isinstance(value, list):
            return "[" + ",".join(pad + shown(v, depth + 1) for v in value) + "]"
        return "{" + ",".join(f"{pad}{json.dumps(k)}:{shown(v, depth + 1)}" for k, v in value.items()) + "}"

    return shown(told, 0)


class Store:
    """The arrays of a recording: those of the whole model under their own names, so that any program finds them, those
    of nodes each once, under the first name that it is put in by."""

    def __init__(self) -> None:
        self.arrays: dict[str, Array] = {}
        self.known: dict[str, str] = {}

    def put(self, a: Array, name: str) -> str:
        a = np.asarray(a, order="C")
        same = hashlib.blake2b(f"{a.shape}{a.dtype.str}".encode() + a.tobytes()).hexdigest()
        key = self.known.setdefault(same, name)
        if key != name and name.startswith(NODE):
            return key
        if name in self.arrays and key != name:
            raise ValueError(f"two arrays of this model are called {name}: rename one")
        self.arrays[name] = a
        return name

    def tree(self, value: Any, name: str) -> Any:
        """A tree as JSON, its arrays put aside."""
        if isinstance(value, dict):
            return {"dict": {k: self.tree(v, f"{name}.{k}") for k, v in value.items()}}
        if isinstance(value, (tuple, list)):
            return {type(value).__name__: [self.tree(v, f"{name}[{i}]") for i, v in enumerate(value)]}
        if isinstance(value, (np.ndarray, np.generic)):
            return {"array": self.put(np.asarray(value), name)}
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        raise ValueError(
            f"{name} is {type(value).__name__} {value!s:.60}: a recording keeps tensors, numbers, strings, flags, "
            f"None, and lists, tuples and dicts of these"
        )


def _as_json(r: Recording, store: Store) -> dict[str, Any]:
    """A recording as JSON; its arrays go to the store, the whole model's first."""
    told: dict[str, Any] = {
        "format": KIND, "version": VERSION, "model": r.model, "source": dict(r.source), "seed": r.seed,
        "environment": dict(r.environment), "dtype": r.dtype, "by_hand": r.by_hand, "only": r.only, "light": r.light,
        "shapes": dict(r.shapes), "inputs": dict(r.inputs), "checksums": dict(r.checksums),
        "whole": _part(r.whole, store, ""),
        "nodes": {name: _part(part, store, f"{NODE}{name}/") for name, part in r.nodes.items()}, "graph": repr(r.graph),
    }  # fmt: skip
    if not r.light:
        told |= {
            "constants": store.tree(dict(r.constants), "constant"),
            "draws": store.tree(r.draws, "draw"), "args": store.tree(r.sample[0], "sample"),
            "kwargs": store.tree(dict(r.sample[1]), "sample"),
        }  # fmt: skip
    return told


def _part(part: RecordedRun, store: Store, where: str) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if part.trial is not None:
        t = part.trial
        state = {n: store.put(a, f"{where}{_kind(n, t.buffers)}/{n}") for n, a in flatten(t.params).items()}
        x = store.tree(t.x, f"{where}input") if not isinstance(t.x, dict) else {
            "dict": {n: store.tree(a, f"{where}input/{n}") for n, a in t.x.items()}
        }  # fmt: skip
        told = {"x": x, "params": state, "buffers": list(t.buffers), "dy": store.tree(t.dy, f"{where}upstream")}
    told["tensors"] = [_tensor(n, a, part.limits.get(n, Limit()), store, where) for n, a in part.run.items()]
    return told


def key_of(name: Name) -> str:
    """How an array is called in the file: output/y, gradient/0.weight, after/0.running_mean."""
    return f"{'after' if name.role == BUFFER else name.role}/{name.path}"


def _kind(name: str, buffers: tuple[str, ...]) -> str:
    return "buffer" if name in buffers else "parameter"


def _tensor(name: Name, kept: Any, limit: Limit, store: Store, where: str) -> dict[str, Any]:
    told: dict[str, Any] = {"role": name.role, "path": name.path, "bound": figure(limit.bound), "power": limit.power}
    if isinstance(kept, Sketch):
        return told | {"sketch": vars(kept)}
    key = f"{where}{key_of(name)}"
    room = limit.room if np.ndim(limit.room) == 0 else store.put(np.asarray(limit.room, float), f"{key}/room")
    return told | {"array": None if kept is None else store.put(kept, key), "room": room}


# Reading


def read(folder: Any) -> Recording:
    """The recording in a folder; a ValueError that says what is wrong with any other."""
    path = Path(folder)
    if not path.exists():
        raise ValueError(f"there is no folder {folder}: manualbp record FILE.py:model -o {folder} makes a recording")
    if not is_recording(path):
        raise ValueError(f"{folder} is no recording: there is no {FILE} in it")
    try:
        told = json.loads((path / FILE).read_text())
    except ValueError as e:
        raise ValueError(f"{path / FILE} is no whole JSON file ({e}): it may have been cut off when copied") from None
    if not isinstance(told, dict) or told.get("format") != KIND:
        raise ValueError(f"{path / FILE} is no recording of manualbp")
    if told.get("version") != VERSION:
        raise ValueError(
            f"{folder} has format version {told.get('version')}; this manualbp reads version {VERSION}: record it anew"
        )
    try:
        return _recording(told, RecordedArrays(path, told["file"]))
    except (KeyError, TypeError, AttributeError) as e:
        raise ValueError(f"{path / FILE} is a recording that cannot be read: {type(e).__name__} {e}") from e


class RecordedArrays:
    """The arrays of a recording by name."""

    def __init__(self, folder: Path, file: str | None) -> None:
        if file and not (folder / file).is_file():
            raise ValueError(f"{folder} is not whole: {file}, which {FILE} names, is missing")
        self.file = folder / (file or "")
        self.arrays = read_arrays(self.file)[0] if file else {}

    def __getitem__(self, key: str) -> Array:
        if key not in self.arrays:
            raise ValueError(f"{self.file} is not whole: {key}, which {FILE} names, is missing")
        return self.arrays[key]

    def tree(self, value: Any) -> Any:
        """The inverse of Store.tree."""
        if not isinstance(value, dict):
            return value
        ((kind, inner),) = value.items()
        if kind == "dict":
            return {k: self.tree(v) for k, v in inner.items()}
        return self[inner] if kind == "array" else {"tuple": tuple, "list": list}[kind](map(self.tree, inner))


def _recording(told: Mapping[str, Any], arrays: RecordedArrays) -> Recording:
    plain = {n: told[n] for n in (
        "model", "source", "environment", "seed", "dtype", "by_hand", "only", "light", "checksums"
    )}  # fmt: skip
    plain |= {k: {n: tuple(shape) for n, shape in told[k].items()} for k in ("shapes", "inputs")}
    whole = _read_part(told["whole"], arrays, OfModel, told["seed"])
    nodes = {name: _read_part(part, arrays, Trial, told["seed"]) for name, part in told["nodes"].items()}
    graph = parse(told["graph"])
    if not isinstance(graph, Graph):
        raise TypeError("its graph is none")
    if told["light"]:
        return Recording(whole=whole, nodes=nodes, graph=graph, **plain)
    return Recording(
        whole=whole, nodes=nodes, graph=graph, sample=(arrays.tree(told["args"]), arrays.tree(told["kwargs"])),
        draws=arrays.tree(told["draws"]), constants=arrays.tree(told["constants"]), **plain
    )  # fmt: skip


def _read_part(told: Mapping[str, Any], arrays: RecordedArrays, kind: type[Trial], seed: int) -> RecordedRun:
    each = [(Name(t["role"], t["path"]), t) for t in told["tensors"]]
    run = {n: _kept(t, arrays) for n, t in each}
    limits = {n: Limit(float(t["bound"]), _room(t.get("room", 0.0), arrays), t["power"]) for n, t in each}
    if "params" not in told:
        return RecordedRun(run, limits)
    params = unflatten({n: arrays[key] for n, key in told["params"].items()})
    x, dy, buffers = arrays.tree(told["x"]), arrays.tree(told["dy"]), tuple(told["buffers"])
    return RecordedRun(run, limits, kind(x, seed=seed, params=params, buffers=buffers, dy=dy))


def _kept(told: Mapping[str, Any], arrays: RecordedArrays) -> Any:
    if "sketch" in told:
        s = told["sketch"]
        return Sketch(**s | {"shape": tuple(s["shape"]), "projections": tuple(s["projections"])})
    return None if told["array"] is None else arrays[told["array"]]


def _room(told: Any, arrays: RecordedArrays) -> Any:
    return arrays[told] if isinstance(told, str) else told
