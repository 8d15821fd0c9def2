"""One framework on all vectors of a folder: `python -m reference.vectors.beside jax float64 vectors/` prints JSON."""

import importlib
import json
import sys
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..read import CONVENTION, WRONG, Vector, WorstEntry, judged, read, verdict
from .numpy_like import NotThere

NOT_THERE, RAISES = "not there", "raises"


def results(framework: Any, vector: Vector, dtype: str) -> dict[str, dict[str, Any]]:
    """Outputs and gradients in the words of a vector, as far as the framework gives them."""
    f = framework.FUNCTIONS[vector.cls](vector.options)
    inputs, params = vector.arrays("inputs"), vector.arrays("parameters")
    given = {n: a.astype(dtype) for n, a in (inputs | params).items() if a.dtype.kind == "f"}
    last = max((int(n[2:-1]) for n in inputs if n != "x"), default=0)
    names = ["x"] if "x" in inputs else [f"x[{i}]" for i in range(last + 1)]

    def called(real: Any) -> Any:
        return f(*(real.get(n, inputs.get(n)) for n in names), **{n: real[n] for n in params})

    several = "y[0]" in vector.arrays("outputs")
    upstream = [d.astype(dtype) for d in vector.arrays("dy").values()]
    y, grads = framework.passed(called, given, upstream)
    y = y[0] if isinstance(y, tuple) else y
    return {
        "outputs": {"y[0]" if several else "y": np.asarray(y)},
        "gradients": {n: np.asarray(g) for n, g in grads.items()},
    }


def told(framework: Any, vector: Vector, dtype: str) -> tuple[str, str]:
    """The verdict on a vector, and what differs."""
    if vector.cls not in framework.FUNCTIONS:
        return NOT_THERE, ""
    try:
        found = results(framework, vector, dtype)
    except NotThere as e:
        return NOT_THERE, str(e)
    except Exception as e:
        lacks = isinstance(e, AttributeError) and isinstance(e.obj, ModuleType)
        return NOT_THERE if lacks else RAISES, f"{type(e).__name__}: {e}"[:200]
    given = verdict(vector, found, dtype, only_found=True)
    off = [o for o in judged(vector, found, dtype, only_found=True) if o.verdict == given]
    return given, described(vector, off[0]) if given in (CONVENTION, WRONG) else ""


def described(vector: Vector, off: WorstEntry) -> str:
    """The worst entry; at a kink with the limits from either side."""
    entry = vector.sections[off.section][off.name]
    ends = [a[off.at].item() for a in (entry.low, entry.high) if a is not None and a.shape == entry.array.shape]
    return f"{off}, limits {ends[0]:.4g} to {ends[1]:.4g}" if off.verdict == CONVENTION else str(off)


def rows(framework: Any, folder: Path, dtype: str) -> Iterator[tuple[str, str, str, str]]:
    for path in sorted(folder.glob("*.json")):
        if path.name not in ("schema.json", "vectors.json"):
            for vector in read(path):
                if not vector.rates and vector.arrays("dy"):
                    yield (vector.id, vector.cls, *told(framework, vector, dtype))


def main(name: str, dtype: str, folder: str) -> None:
    framework = importlib.import_module(f"{__package__}.{name}_functions")
    framework.prepare(dtype)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = list(rows(framework, Path(folder), dtype))
    print(json.dumps({"framework": name, "version": version(name), "dtype": dtype, "rows": found}))


if __name__ == "__main__":
    main(*sys.argv[1:])
