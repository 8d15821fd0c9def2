"""Test vectors read and judged. NumPy and safetensors are enough: no other module of this project is imported.

for vector in read("vectors/Linear.json"):
    found = {"outputs": {"y": y}, "gradients": {"x": dx, "weight": dw}}
    print(vector.id, verdict(vector, found))
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

Array = np.ndarray
EXACT, WITHIN, CONVENTION, WRONG = "exact", "within", "convention", "wrong"
FORMAT = 1
NAMED = ("inputs", "parameters", "draws", "dy", "outputs", "gradients", "buffers")  # the sections of a layer's vector
STEP = ("gradients", "parameters", "state")  # those of a step of an optimizer's
NUMBERS = {"inf": math.inf, "-inf": -math.inf}


@dataclass(frozen=True, eq=False)
class Entry:
    """One tensor. Where it is expected:

    bounds     for computation in float64 and in float32, the largest difference that rounding explains; 0: compare
               with ==; None: rounding alone leaves nothing of it, so it is not to be compared
    low, high  at a kink or tie, between which numbers other conventions lie; None where there is no other
    """

    array: Array
    bounds: tuple[float | None, float | None] | None = None
    low: Array | None = None
    high: Array | None = None


@dataclass(frozen=True, eq=False)
class Vector:
    """One test vector; `sections` by name, those of the k-th step as "steps[k]/gradients"."""

    id: str
    cls: str
    layer: str
    options: Mapping[str, Any]
    comment: str
    exact: bool
    sections: Mapping[str, Mapping[str, Entry]]
    flags: tuple[str, ...] = ()
    conventions: tuple[str, ...] = ()
    rates: tuple[float, ...] = ()

    @property
    def result(self) -> str:
        """ "valid", or "acceptable" where another convention gives other numbers."""
        return "acceptable" if any(e.low is not None for s in self.sections.values() for e in s.values()) else "valid"

    def arrays(self, section: str) -> dict[str, Array]:
        """The numbers of a section by name."""
        return {name: e.array for name, e in self.sections.get(section, {}).items()}

    def expected(self) -> Iterator[tuple[str, str, Entry]]:
        """(section, name, entry) of every tensor that must come out."""
        for section, entries in self.sections.items():
            yield from ((section, name, e) for name, e in entries.items() if e.bounds is not None)


@dataclass(frozen=True)
class WorstEntry:
    """The worst entry of a tensor that is not as expected."""

    section: str
    name: str
    verdict: str
    at: tuple[int, ...] = ()
    expected: float = math.nan
    found: float = math.nan
    what: str = ""

    def __str__(self) -> str:
        place = self.what or f"at {list(self.at)}: expected {self.expected!r}, found {self.found!r}"
        return f"{self.section} {self.name} {place}"


def judged(
    vector: Vector, found: Mapping[str, Mapping[str, Any]], dtype: str = "float64", only_found: bool = False
) -> list[WorstEntry]:
    """What differs from the vector: wrong, or another convention. `only_found`: what is missing is not asked for."""
    told = []
    for section, name, entry in vector.expected():
        given = found.get(section, {}).get(name)
        if given is None:
            told += [] if only_found else [WorstEntry(section, name, WRONG, what="is missing")]
        elif (off := _one(section, name, entry, np.asarray(given), dtype)) is not None:
            told.append(off)
    return told


def verdict(
    vector: Vector, found: Mapping[str, Mapping[str, Any]], dtype: str = "float64", only_found: bool = False
) -> str:
    """ "exact" (every number is the expected one), "within" the bounds, another "convention", or "wrong"."""
    off = judged(vector, found, dtype, only_found)
    if any(o.verdict == WRONG for o in off):
        return WRONG
    if off:
        return CONVENTION
    same = (
        np.array_equal(found[s][n], e.array) for s, n, e in vector.expected() if found.get(s, {}).get(n) is not None
    )
    return EXACT if all(same) else WITHIN


def _one(section: str, name: str, entry: Entry, given: Array, dtype: str) -> WorstEntry | None:
    if given.shape != entry.array.shape:
        return WorstEntry(section, name, WRONG, what=f"has shape {given.shape}, expected {entry.array.shape}")
    assert entry.bounds is not None
    bound = entry.bounds[dtype == "float32"]
    if bound is None or not given.size:
        return None
    low, high = (entry.array if end is None else end for end in (entry.low, entry.high))
    with np.errstate(invalid="ignore"):
        error, beyond = (_beyond(given, a, b) for a, b in ((entry.array, entry.array), (low, high)))
    told, off = (WRONG, beyond) if beyond.max() > bound else (CONVENTION, error)
    if off.max() <= bound:
        return None
    at = np.unravel_index(int(np.argmax(off)), off.shape)
    return WorstEntry(section, name, told, tuple(map(int, at)), entry.array[at].item(), given[at].item())


def _beyond(given: Array, low: Array, high: Array) -> Array:
    """How far each number lies outside of [low, high], less than 0 inside; inf where it is not finite."""
    given, low, high = (np.asarray(a, np.float64) for a in (given, low, high))
    return np.where(np.isfinite(given), np.maximum(low - given, given - high), np.inf)


def read(path: str | Path) -> list[Vector]:
    """The vectors of one class: its JSON file, and the safetensors file beside it where there is one."""
    path = Path(path)
    told = json.loads(path.read_text())
    if told["format"] != FORMAT:
        raise ValueError(f"{path} has format {told['format']}; this reads format {FORMAT}: write the vectors anew")
    beside = path.with_suffix(".safetensors")
    tensors = load_file(beside) if beside.exists() else {}
    return [_vector(told["class"], test, tensors) for test in told["tests"]]


def _vector(cls: str, test: Mapping[str, Any], tensors: Mapping[str, Array]) -> Vector:
    parts = {section: test[section] for section in NAMED if section in test}
    steps = test.get("steps", ())
    parts |= {f"steps[{k}]/{section}": step[section] for k, step in enumerate(steps) for section in STEP}
    sections = {
        section: {name: _entry(e, f"{test['id']}/{section}/{name}", tensors) for name, e in entries.items()}
        for section, entries in parts.items()
    }
    return Vector(
        test["id"], cls, test["layer"], _options(test["options"]), test["comment"], test["exact"], sections,
        tuple(test["flags"]), tuple(test.get("conventions", ())), tuple(step["rate"] for step in steps),
    )  # fmt: skip


def _entry(told: Mapping[str, Any], name: str, tensors: Mapping[str, Array]) -> Entry:
    def array(key: str, place: str) -> Array | None:
        if key in told:
            return np.array(told[key], told["dtype"]).reshape(told["shape"])
        return tensors.get(place)

    ends = array("low", f"{name}/low"), array("high", f"{name}/high")
    bounds = (told["bound"], told["bound32"]) if "bound" in told else None
    return Entry(array("data", name), bounds, *ends)


def _options(value: Any) -> Any:
    """Options with infinities as numbers."""
    if isinstance(value, dict):
        return {name: _options(v) for name, v in value.items()}
    if isinstance(value, list):
        return [_options(v) for v in value]
    return NUMBERS.get(value, value) if isinstance(value, str) else value
