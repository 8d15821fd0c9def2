"""On which inputs somebody's gradient is tried: shapes by name, arrays, strategies; real numbers and small integers."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from manualbp.base import INTEGER, Params, Tree, describe, flatten, tree_map
from manualbp.sampling import Values

from ..sides.run import leaves

LARGE = 100_000  # entries from which on no run is repeated, and contracts and mistakes are looked for on a corner


@dataclass(frozen=True)
class Indices:
    """An input of integers: shape, and the number (or name of the size) that they lie below: Indices(("N",), "C")."""

    shape: tuple[int | str, ...]
    below: int | str
    low: int = 0


@dataclass(frozen=True)
class Trial:
    """The numbers of one comparison.

    x         inputs: {name: array} of a function, or whatever a layer takes: an array or a (nested) tuple
    sizes     what the sizes were called, and their values
    integers  small integers and dyadic fractions, which lie on kinks and ties
    params    a layer's parameters; `buffers`: the dotted names of those without a gradient
    dy        the upstream gradient, nested as the output
    """

    x: Tree
    sizes: Mapping[str, int] = field(default_factory=dict)
    integers: bool = False
    seed: int = 0
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
        return f"{sizes or shapes}{', small integers' if self.integers else ''}"


# Sizes of the trials, for the first, second, … name: different ones, since a forgotten transpose hides in a square
# and a forgotten 1/N behind N = C; then a square, then one of everything, then a batch of one.
PLANS = ((3, 5, 2, 7, 4, 6), (6, 4, 7, 3, 5, 2), (4, 4, 4, 4, 4, 4), (1, 3, 2, 5, 4, 6), (7, 2, 5, 3, 6, 4))


def trials(inputs: Mapping[str, Any], seed: int = 0) -> list[Trial]:
    """What to try: real numbers in every plan of sizes, and small integers in two of them."""
    for name, spec in inputs.items():
        _understood(name, spec)
    if all(isinstance(spec, (np.ndarray, np.generic)) for spec in inputs.values()):
        return [Trial(dict(inputs), seed=seed)]
    if any(isinstance(spec, st.SearchStrategy) for spec in inputs.values()):
        return list(_from_strategies(inputs, seed))
    plans = PLANS if _names(inputs) else PLANS[:3]
    made = [_trial(inputs, plan, integers=False, seed=seed + i) for i, plan in enumerate(plans)]
    return made + [
        _trial(inputs, plan, integers=True, seed=seed + 9 + i) for i, plan in enumerate((*PLANS[:3], PLANS[4]))
    ]


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
    return Trial(cut, {k: to.get(v, v) for k, v in trial.sizes.items()}, trial.integers, trial.seed)


def _understood(name: str, spec: Any) -> None:
    ok = isinstance(spec, (np.ndarray, np.generic, Indices, st.SearchStrategy))
    if not ok and not (isinstance(spec, tuple) and all(isinstance(n, (int, str)) for n in spec)):
        raise ValueError(
            f'inputs[{name!r}] is {describe(spec)}; it takes a shape as ("N", "D") or (4, 3), an array, '
            f'Indices(("N",), below="C") for integers, or a hypothesis strategy'
        )


def _names(inputs: Mapping[str, Any]) -> list[str]:
    """The names of sizes, in the order in which they appear."""
    found: dict[str, None] = {}
    for spec in inputs.values():
        entries = (*spec.shape, spec.below) if isinstance(spec, Indices) else spec if isinstance(spec, tuple) else ()
        found |= {n: None for n in entries if isinstance(n, str)}
    return list(found)


def _trial(inputs: Mapping[str, Any], plan: tuple[int, ...], integers: bool, seed: int) -> Trial:
    sizes = dict(zip(_names(inputs), itertools.cycle(plan)))
    values = Values(np.random.default_rng(seed), exact=integers)
    arrays = {name: _array(spec, sizes, values) for name, spec in inputs.items()}
    return Trial(arrays, sizes, integers, seed)


def _array(spec: Any, sizes: Mapping[str, int], values: Values) -> Any:
    if isinstance(spec, Indices):
        shape = tuple(sizes.get(n, n) for n in spec.shape)  # type: ignore[arg-type]
        return values.integers(spec.low, int(sizes.get(spec.below, spec.below)), shape)  # type: ignore[arg-type]
    return values.real(tuple(sizes.get(n, n) for n in spec)) if isinstance(spec, tuple) else spec


def _from_strategies(inputs: Mapping[str, Any], seed: int, count: int = 8) -> Iterator[Trial]:
    """Examples of hypothesis strategies; what is no strategy is drawn as above."""
    found: list[dict[str, Any]] = []
    drawn = {name: spec for name, spec in inputs.items() if isinstance(spec, st.SearchStrategy)}

    @settings(
        max_examples=count, database=None, deadline=None, derandomize=True, phases=(Phase.generate,),
        suppress_health_check=[*HealthCheck],
    )  # fmt: skip
    @given(st.fixed_dictionaries(drawn))
    def gather(example: dict[str, Any]) -> None:
        found.append(example)

    gather()
    for i, example in enumerate(found):
        rest = _trial({n: s for n, s in inputs.items() if n not in drawn}, PLANS[i % len(PLANS)], False, seed + i)
        arrays = {n: np.asarray(example[n]) if n in example else rest.arrays[n] for n in inputs}
        yield Trial(arrays, rest.sizes, seed=seed + i)


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
    """Real arrays in another dtype; integers, masks and None as they are."""

    def convert(a: Any) -> Any:
        a = np.asarray(a)
        return a if a.dtype.char in INTEGER else a.astype(dtype)

    return tree_map(convert, tree)
