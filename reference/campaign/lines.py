"""What a range of cases gave, as one line of text and back, with nothing lost; and the digest of a whole campaign."""

import hashlib
import json
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np

from manualbp.base import Array

from ..compare.comparison import Comparison
from ..compare.tensor import Tensor
from ..diagnose.evidence import Suspect
from ..draw.expression import parse
from ..report.report import Report
from ..sides.run import Name
from ..tally import Failure, Figures, Tally
from ..torches import Compilations, Torches

Plain = dict[str, Any]


def dumped(value: Plain) -> str:
    """The one text of a value: sorted, without a blank."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(tally: Tally) -> str:
    """A checksum of all counters, coverage and failures: the same however the work was divided, and by whom done."""
    ordered = replace(
        tally, failures=sorted(tally.failures, key=lambda f: f.index), further=sorted(tally.further),
        errors=sorted(tally.errors),
    )  # fmt: skip
    return hashlib.sha256(dumped(plain(ordered)).encode()).hexdigest()[:16]


def plain(tally: Tally) -> Plain:
    """A tally as JSON has it; what is empty is left out."""
    return _parts(tally)


def tally_of(values: Plain) -> Tally:
    """The inverse of `plain`."""
    tally = Tally()
    return replace(tally, **{name: _like(getattr(tally, name), name, value) for name, value in values.items()})


def _parts(value: Any) -> Plain:
    return {name: plain for name, part in vars(value).items() if (plain := _plain(part))}


def _plain(value: Any) -> Any:
    if isinstance(value, Failure):
        return of_failure(value)
    if isinstance(value, Figures | Compilations):
        return _parts(value)
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return list(map(_plain, value)) if isinstance(value, list | tuple) else value


def _like(empty: Any, name: str, value: Any) -> Any:
    """The value of a field, by what the field is of an empty tally."""
    if isinstance(empty, Counter):
        return Counter(value)
    if isinstance(empty, Figures):
        return _figures(value)
    if isinstance(empty, Compilations):
        return _compilations(value)
    if isinstance(empty, dict):
        return {name: _figures(row) for name, row in value.items()}
    return list(map(failure_of, value)) if name == "failures" else value


def _figures(values: Plain) -> Figures:
    return Figures(**values | {"powers": Counter(values.get("powers", {}))})


def _compilations(values: Plain) -> Compilations:
    counters = {name: Counter(part) for name, part in values.items() if name != "failures"}
    return Compilations(**counters, failures={k: tuple(v) for k, v in values.get("failures", {}).items()})


def of_failure(failure: Failure) -> Plain:
    found, report = failure.comparison, failure.report
    return {
        "index": failure.index, "case": repr(failure.case), "exact": bool(found.exact), "dtype": found.dtype,
        "tensors": list(map(_of_tensor, found.tensors)), "torches": vars(failure.torches),
        "report": vars(report) | {"tensors": [], "suspects": [vars(s) for s in report.suspects]},
    }  # fmt: skip


def failure_of(values: Plain) -> Failure:
    report = {k: tuple(v) if isinstance(v, list) else v for k, v in values["report"].items()}
    report["suspects"] = tuple(Suspect(**s) for s in report["suspects"])
    found = Comparison(tuple(map(_tensor, values["tensors"])), values["exact"], values["dtype"])
    return Failure(parse(values["case"]), found, Report(**report), Torches(**values["torches"]), values["index"])


def _of_tensor(t: Tensor) -> Plain:
    figures = {name: getattr(t, name) for name in ("error", "bound", "power", "blind")}
    return {name: v if v is None else float(v) for name, v in figures.items()} | {
        "of": list(t.of), "hand": _of_array(t.hand), "torch": _of_array(t.torch), "identical": bool(t.identical),
        "what": t.what,
    }  # fmt: skip


def _tensor(values: Plain) -> Tensor:
    made = {"of": Name(*values["of"]), "hand": _array(values["hand"]), "torch": _array(values["torch"])}
    return Tensor(**values | made)


def _of_array(a: Array | None) -> Plain | None:
    return None if a is None else {"dtype": a.dtype.name, "shape": a.shape, "entries": a.ravel().tolist()}


def _array(values: Plain | None) -> Array | None:
    return np.array(values["entries"], values["dtype"]).reshape(values["shape"]) if values else None
