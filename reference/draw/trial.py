"""One set of inputs on which somebody's gradient is tried."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .specs import Indices

LARGE = 100_000  # entries from which on no run is repeated, and contracts and mistakes are looked for on a corner


@dataclass(frozen=True)
class Trial:
    """One set of inputs. `integers`: numbers that lie on kinks and ties; `kind` says which."""

    arrays: Mapping[str, Any]
    sizes: Mapping[str, int] = field(default_factory=dict)
    integers: bool = False
    seed: int = 0
    kind: str = "small integers"

    @property
    def size(self) -> int:
        """The number of entries of all inputs."""
        return sum(np.size(a) for a in self.arrays.values())

    @property
    def large(self) -> bool:
        return self.size >= LARGE

    def __str__(self) -> str:
        sizes = ", ".join(f"{n} = {v}" for n, v in self.sizes.items())
        shapes = ", ".join(f"{n} {np.shape(a)}" for n, a in self.arrays.items())
        return f"{sizes or shapes}{f', {self.kind}' if self.integers else ''}"


SMALL = (5, 7, 6, 4, 3, 8)  # what long axes are cut to, different ones to different lengths


def corner(trial: Trial) -> Trial:
    """The first entries along every axis: axes of one length stay of one length. Indices stay below their axis."""
    arrays = {n: np.asarray(a) for n, a in trial.arrays.items()}
    lengths = sorted({n for a in arrays.values() for n in a.shape})
    free = [n for n in SMALL if n not in lengths]
    to = dict(zip((n for n in lengths if n > max(SMALL)), itertools.chain(free, itertools.repeat(max(SMALL)))))
    cut = {name: a[tuple(slice(to.get(n, n)) for n in a.shape)] for name, a in arrays.items()}
    for name, a in arrays.items():
        above = [n for n in lengths if a.dtype.kind in "iu" and a.size and n > a.max()]
        if above and above[0] in to:
            cut[name] = cut[name] % to[above[0]]
    return Trial(cut, {k: to.get(v, v) for k, v in trial.sizes.items()}, trial.integers, trial.seed, trial.kind)


def numbers(trial: Trial, extra: Mapping[str, float] | None = None) -> dict[str, float]:
    """What a constant of this trial may equal: its sizes, numbers of entries, and the options given."""
    found: dict[str, float] = dict(trial.sizes)
    for name, a in trial.arrays.items():
        a = np.asarray(a)
        found |= {f"{name}.shape[{i}]": n for i, n in enumerate(a.shape) if n not in trial.sizes.values()}
        if a.ndim > 1:
            found[f"{name}.size"] = a.size
    return {n: float(v) for n, v in (found | dict(extra or {})).items() if math.isfinite(v)}


__all__ = ["LARGE", "SMALL", "Indices", "Trial", "corner", "numbers"]
