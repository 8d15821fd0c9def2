"""The numbers of one comparison, on which both sides are run."""

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from manualbp.base import INTEGER, Params, Tree, flatten, tree_map

from ..sides.run import leaves
from .specs import Indices

LARGE = 100_000  # entries from which on no run is repeated, and contracts and mistakes are looked for on a corner


@dataclass(frozen=True)
class Trial:
    """The numbers of one comparison.

    x         inputs: {name: array} of a function, or whatever a layer takes: an array or a (nested) tuple
    sizes     what the sizes were called, and their values
    integers  numbers that lie on kinks and ties, as small integers do; `kind` says which
    params    a layer's parameters; `buffers`: the dotted names of those without a gradient
    dy        the upstream gradient, nested as the output
    """

    x: Tree
    sizes: Mapping[str, int] = field(default_factory=dict)
    integers: bool = False
    seed: int = 0
    kind: str = "small integers"
    params: Params = field(default_factory=dict)
    buffers: tuple[str, ...] = ()
    dy: Tree = None

    @cached_property
    def arrays(self) -> dict[str, Any]:
        """Inputs and learned parameters by name: everything that has, or could have, a gradient."""
        if isinstance(self.x, dict):
            return dict(self.x)
        inputs = {n: a for n, a in leaves(self.x, "x").items() if isinstance(a, (np.ndarray, np.generic))}
        return inputs | {n: p for n, p in flatten(self.params).items() if n not in self.buffers}

    @cached_property
    def real(self) -> list[Any]:
        """The real ones of these."""
        return [a for a in map(np.asarray, self.arrays.values()) if a.dtype.kind == "f"]

    @cached_property
    def dtype(self) -> str:
        """The precision that it is given in: float32 if all real inputs are."""
        return "float32" if self.real and all(a.dtype == np.float32 for a in self.real) else "float64"

    @property
    def size(self) -> int:
        """The number of entries of all inputs and parameters."""
        return sum(np.size(a) for a in self.arrays.values())

    @property
    def large(self) -> bool:
        return self.size >= LARGE

    def map(self, f: Callable[[Tree], Tree]) -> "Trial":
        """The same with f of inputs, parameters and upstream gradient."""
        return replace(self, x=f(self.x), params=f(self.params), dy=f(self.dy))

    def cast(self, dtype: Any) -> "Trial":
        """The same in another precision: integers and masks as they are."""
        return self.map(lambda tree: cast(tree, dtype))

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


def cast(tree: Any, dtype: Any) -> Any:
    """Real arrays in another dtype, complex ones in the precision of that; integers, masks and None as they are."""

    def convert(a: Any) -> Any:
        a = np.asarray(a)
        if a.dtype.kind == "c" != np.dtype(dtype).kind:
            return a.astype(np.result_type(dtype, np.complex64))
        return a if a.dtype.char in INTEGER else a.astype(dtype)

    return tree_map(convert, tree)


__all__ = ["LARGE", "SMALL", "Indices", "Trial", "cast", "corner", "numbers"]
