"""Vectors as files: for each class a JSON file that can be read by eye and line by line, and its safetensors."""

import functools
import inspect
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import manualbp
from manualbp.base import registry
from manualbp.checkpoint import replace_whole, save
from manualbp.loss import Loss
from manualbp.operations import Operation
from manualbp.operations.complex import Complexes
from manualbp.optim.base import Optimizer

from ..faults import KNOWN
from .read import FORMAT, NAMED, STEP, Array, Entry, Vector

MANIFEST, SCHEMA = "vectors.json", "schema.json"
Tensors = dict[str, Array]


@functools.cache
def classes() -> dict[str, type]:
    """Every class that vectors are made for, by name."""
    known = registry() | registry(Optimizer)
    return {n: cls for n, cls in sorted(known.items()) if not issubclass(cls, Complexes)}  # JSON has real numbers


def kind_of(cls: type) -> str:
    kinds = ((Optimizer, "optimizer"), (Loss, "loss"), (Operation, "operation"))
    return next((kind for base, kind in kinds if issubclass(cls, base)), "layer")


def made_by(seed: int) -> dict[str, Any]:
    return {
        "manualbp": manualbp.__version__, "torch": str(torch.__version__), "numpy": np.__version__, "seed": seed,
    }  # fmt: skip


def usable(folder: Path) -> None:
    """A ValueError, before any work is done, for a folder that vectors cannot go into."""
    above = next((p for p in (folder, *folder.absolute().parents) if p.exists()), folder)
    if not above.is_dir():
        raise ValueError(f"-o takes a folder for the vectors; {above} is a file")
    if not os.access(above, os.W_OK):
        raise ValueError(f"-o {folder} cannot be written: no permission in {above}")
    held = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
    if held and MANIFEST not in held:
        shown = ", ".join(held[:3]) + (", …" if len(held) > 3 else "")
        raise ValueError(f"{folder} holds something else ({shown}); give a new folder, an empty one or one of vectors")


def write_class(folder: Path, cls: type, vectors: Sequence[Vector], seed: int) -> None:
    """The two files of a class; the second where some of its numbers are not in the first."""
    tensors: Tensors = {}
    told = {
        "format": FORMAT, "class": cls.__name__, "kind": kind_of(cls), "about": about(cls), "made_by": made_by(seed),
        "notes": notes(vectors), "tests": [as_json(v, tensors) for v in vectors],
    }  # fmt: skip
    beside = folder / f"{cls.__name__}.safetensors"
    if tensors:
        save(beside, tensors)
    else:
        beside.unlink(missing_ok=True)
    replace(folder / f"{cls.__name__}.json", told)


def write_manifest(folder: Path, counts: Mapping[str, int], seed: int) -> None:
    """What is in the folder, and the schema of it."""
    replace(folder / SCHEMA, json.loads((Path(__file__).parent / SCHEMA).read_text()))
    replace(folder / MANIFEST, {"format": FORMAT, "made_by": made_by(seed), "classes": dict(sorted(counts.items()))})


def replace(path: Path, value: Any) -> None:
    """The file as a whole or not at all."""
    replace_whole(path, (lines(value) + "\n").encode())


def lines(value: Any, indent: str = "") -> str:
    """JSON with a line for whatever holds no object, for every tensor and for options: easy to read line by line."""
    if not _tall(value):
        return json.dumps(value, ensure_ascii=False)
    inner = indent + " "
    if isinstance(value, dict):
        parts = [f"{inner}{json.dumps(k)}: {lines(v, inner) if k != 'options' else _flat(v)}" for k, v in value.items()]
        return "{\n" + ",\n".join(parts) + f"\n{indent}}}"
    return "[\n" + ",\n".join(inner + lines(v, inner) for v in value) + f"\n{indent}]"


def _flat(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _tall(value: Any) -> bool:
    """Is it an object, or a list of such? A tensor is written flat."""
    if isinstance(value, dict):
        return bool(value) and "dtype" not in value
    return isinstance(value, list) and any(isinstance(v, dict) for v in value)


def about(cls: type) -> str:
    return (inspect.getdoc(cls) or "").split("\n\n")[0].replace("\n", " ")


def notes(vectors: Sequence[Vector]) -> dict[str, Any]:
    """What the flags mean: each a mistake that a vector shows."""
    ids = sorted({id for v in vectors for id in v.flags})
    return {id: {"mistake": KNOWN[id].text, "relation": KNOWN[id].relation, "remedy": KNOWN[id].remedy} for id in ids}


def as_json(vector: Vector, tensors: Tensors) -> dict[str, Any]:
    """A vector; what does not stand in it goes into `tensors`."""
    told = {"id": vector.id, "comment": vector.comment, "flags": list(vector.flags), "result": vector.result}
    if vector.conventions:
        told["conventions"] = list(vector.conventions)
    told |= {"layer": vector.layer, "options": vector.options, "exact": vector.exact}

    def section(name: str) -> dict[str, Any]:
        found = vector.sections.get(name, {})
        return {n: _tensor(e, f"{vector.id}/{name}/{n}", vector.exact, tensors) for n, e in found.items()}

    if not vector.rates:
        return told | {name: section(name) for name in NAMED}
    steps = [
        {"rate": rate} | {name: section(f"steps[{k}]/{name}") for name in STEP} for k, rate in enumerate(vector.rates)
    ]
    return told | {"parameters": section("parameters"), "steps": steps}


def _tensor(entry: Entry, name: str, inline: bool, tensors: Tensors) -> dict[str, Any]:
    a = entry.array
    told: dict[str, Any] = {"dtype": str(a.dtype), "shape": list(a.shape)}
    if entry.bounds is not None:
        told |= dict(zip(("bound", "bound32"), entry.bounds, strict=True))
    parts = {"data": (a, name), "low": (entry.low, f"{name}/low"), "high": (entry.high, f"{name}/high")}
    for key, (numbers, place) in parts.items():
        if numbers is not None and inline:
            told[key] = [_number(v) for v in np.asarray(numbers).ravel().tolist()]
        elif numbers is not None:
            tensors[place] = np.ascontiguousarray(numbers).reshape(np.shape(numbers))
    return told


def _number(value: Any) -> Any:
    """A whole number without a point; −0 keeps its sign."""
    whole = isinstance(value, float) and value.is_integer() and (value or str(value) == "0.0")
    return int(value) if whole else value
