"""Which trials are made of the inputs: real numbers of several sizes, small integers, repeated values, kinks; every
named size once 1, and once longer than a block."""

import itertools
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from manualbp.sampling import Values

from .specs import drawn, entries, names_in
from .trial import Trial

# Sizes for the first, second, … name: different ones, since a forgotten transpose hides in a square and a forgotten
# 1/N behind N = C; then a square; 2, behind which 2 and N are the same.
SIZES = (
    (3, 5, 2, 7, 4, 6), (6, 4, 7, 3, 5, 2), (4, 4, 4, 4, 4, 4), (7, 2, 5, 3, 6, 4), (2, 6, 3, 5, 7, 4),
)  # fmt: skip
POWERS = ((2, 4, 8, 2, 4, 8), (8, 2, 4, 8, 2, 4))  # of 2: means of integers are exact, so ties behind them are met
FEW = ((4, 2, 4, 2, 4, 2), (2, 4, 2, 4, 2, 4))  # powers of 2 again, where most entries may be on a kink
LONG = (65, 66, 68, 72, 80)  # beyond the blocks of 16, 32, 64 in which code may work: what is left over is tried, too
ENTRIES = 20_000  # of all inputs, up to which a long size is tried
OTHERS = 24  # further sizes and numbers that are tried in the place of ones that are refused
LARGEST = 8  # of these sizes
SMALL = 10.0  # up to which constants are tried as they are, too
REAL, INTEGERS, REPEATED, KINKS = "real numbers", "small integers", "repeated values", "values at constants of the code"
PAST = "values past constants of the code"
FAR, WIDE = "values far from 0", 5.0  # as large as this, where a function may saturate
ZEROS, SIGNS = "zeros alone", "ones of either sign"
ALIKE = "rows of zeros, and rows alike"  # where a norm, a variance, a distance is 0
ONE, BEYOND = "a size of 1", "a size beyond blocks"
EXTRA = (PAST, FAR, ZEROS, SIGNS, ALIKE)  # left out, and nothing said, where a forward does not take them
OF_SIZE = (ONE, BEYOND)  # real numbers; left out where they are refused, with no others in their place


@dataclass(frozen=True)
class Planned:
    """A trial to be made: sizes in the order of their names, and what numbers. odd: the name whose size is the odd one
    in OF_SIZE; in PAST the constant that is passed, of those above SMALL, from 1 on; in ALIKE the axis of the rows."""

    sizes: tuple[int, ...]
    kind: str
    seed: int
    odd: int = 0

    def others(self, names: int, lengths: Sequence[int]) -> Iterator["Planned"]:
        """Plans to be tried in its place: of sizes at random, or of another odd size or other sizes beside it; first of
        the lengths of the arrays that are given."""
        rng = np.random.default_rng(self.seed + 1000)
        if self.kind == BEYOND:
            each = [_with(self.sizes, self.odd, n) for n in LONG[1:]]
        elif self.kind == ONE:
            each = [_with(sizes, self.odd, 1) for sizes in SIZES if sizes[0] != self.sizes[0]]
        elif self.kind in (ZEROS, SIGNS, ALIKE):
            each = list(SIZES)
        else:
            each = [_with(self.sizes, i, n) for n in lengths for i in range(names)]
            each += [tuple(map(int, rng.integers(1, LARGEST + 1, max(names, 1)))) for _ in range(OTHERS)]
        yield from (replace(self, sizes=s, seed=self.seed + 100 * (i + 1)) for i, s in enumerate(each))


@dataclass(frozen=True)
class Inputs:
    """Specs by name, conditions on the sizes, and the numbers that the code names."""

    specs: Mapping[str, Any]
    where: Callable[[Mapping[str, int]], Any] | None = None
    constants: tuple[float, ...] = ()

    @property
    def sizes(self) -> list[str]:
        """The names of sizes, in the order in which they appear."""
        return list(dict.fromkeys(n for spec in self.specs.values() for e in entries(spec) for n in names_in(e)))

    @property
    def given(self) -> bool:
        """Is all of it arrays, so that there is one trial?"""
        return all(isinstance(getattr(s, "shape", None), tuple) and isinstance(s, (np.ndarray, np.generic))
                   for s in (getattr(spec, "of", spec) for spec in self.specs.values()))  # fmt: skip

    @property
    def _lengths(self) -> list[int]:
        """The lengths of the arrays that are given."""
        of = [getattr(spec, "of", spec) for spec in self.specs.values()]
        shapes = [a.shape for a in of if isinstance(a, (np.ndarray, np.generic))]
        return list(dict.fromkeys(n for shape in shapes for n in shape if 1 < n <= LARGEST * LARGEST))

    def trial(self, plan: Planned) -> Trial | None:
        """The trial of a plan; None if such sizes are none."""
        sizes = dict(zip(self.sizes, itertools.cycle(plan.sizes)))
        if self.where is not None and not self._possible(sizes):
            return None
        rng = np.random.default_rng(plan.seed)
        values = Values(rng, plan.kind in (INTEGERS, ALIKE), WIDE if plan.kind == FAR else 1.0)
        pool = self._pool(plan, rng)
        try:
            arrays = {name: drawn(spec, values, sizes, pool) for name, spec in self.specs.items()}
        except ValueError as e:
            if "negative" in str(e) or "low >= high" in str(e):  # a size such as N − 2
                return None
            raise
        if plan.kind == ALIKE:
            free = [n for n, spec in self.specs.items() if isinstance(spec, tuple) and np.ndim(arrays[n]) > 1]
            if not free:
                return None
            arrays |= {n: alike(arrays[n], plan.odd) for n in free}
        trial = Trial(arrays, sizes, plan.kind not in (REAL, PAST, FAR, *OF_SIZE), plan.seed, plan.kind)
        return None if plan.kind == BEYOND and trial.size > ENTRIES else trial

    def _possible(self, sizes: Mapping[str, int]) -> bool:
        try:
            return bool(self.where(sizes))  # type: ignore[misc]
        except KeyError as e:
            raise ValueError(f"where asks for the size {e}; the sizes are {', '.join(self.sizes)}") from None

    def _pool(self, plan: Planned, rng: np.random.Generator) -> np.ndarray | None:
        kind = plan.kind
        if kind == REPEATED:
            return np.round(rng.standard_normal(3), 2)
        if kind == KINKS:
            c = np.array([c for c in self.constants if c <= SMALL])
            return np.concatenate([c, -c, np.zeros(1), rng.standard_normal(3)])
        if kind in (ZEROS, SIGNS):
            return np.zeros(1) if kind == ZEROS else np.array([1.0, -1.0])
        if kind == PAST:
            named = [c for c in self.constants if c <= SMALL] if not plan.odd else [self._large[plan.odd - 1]]
            c = past(named, rng)
            return np.concatenate([c, -past(named, rng), rng.standard_normal(3)])
        return None

    @property
    def _large(self) -> list[float]:
        return [c for c in self.constants if c > SMALL]

    def plans(self, seed: int, larger: bool = False) -> list[Planned]:
        """Real numbers in every plan of sizes; small integers, repeated values, kinks and large values in some of them;
        zeros alone, at which a norm has its kink, and ±1, at which a margin 1 − t x is 0. larger: of larger sizes, too,
        over which rounding averages out."""
        if self.given:
            return [Planned(SIZES[0], REAL, seed)]
        sizes = SIZES if self.sizes else SIZES[:3]
        made = [Planned(s, REAL, seed + i) for i, s in enumerate(sizes)]
        made += [Planned(tuple(4 * n for n in s), REAL, seed + 30 + i) for i, s in enumerate(SIZES[:2]) if larger]
        made += [Planned(s, INTEGERS, seed + 9 + i) for i, s in enumerate((*SIZES, *(POWERS if self.sizes else ())))]
        made += [Planned(SIZES[0], REPEATED, seed + 17)]
        of_constants = ((KINKS, 19), (PAST, 50)) if self.constants else ()
        made += [Planned(s, kind, seed + n + i) for kind, n in of_constants for i, s in enumerate(SIZES[:2])]
        made += [Planned(SIZES[1], PAST, seed + 55 + i, i + 1) for i in range(len(self._large))]
        made += [
            Planned(SIZES[1], FAR, seed + 90),
            Planned(SIZES[0], ZEROS, seed + 80),
            *(Planned(s, SIGNS, seed + 81 + i) for i, s in enumerate(FEW)),
        ]
        if larger:
            return made
        made += [Planned(SIZES[1], ALIKE, seed + 84 - axis, axis) for axis in (0, -1)]
        return made + self._of_size(seed)

    def _of_size(self, seed: int) -> list[Planned]:
        """Every size once 1, and once beyond a block."""
        each = range(min(len(self.sizes), len(SIZES[0])))
        ones = [Planned(_with(SIZES[0], i, 1), ONE, seed + 60 + i, i) for i in each]
        return ones + [Planned(_with(SIZES[0], i, LONG[0]), BEYOND, seed + 70 + i, i) for i in each]

    def instead(self, plan: Planned) -> Iterator[Trial]:
        """The trial of a plan, then others of its kind: these take the place of what is refused."""
        each = [plan, *plan.others(len(self.sizes), self._lengths)]
        yield from (t for p in (each if not self.given else each[:1]) if (t := self.trial(p)) is not None)


def _with(sizes: tuple[int, ...], place: int, size: int) -> tuple[int, ...]:
    return (*sizes[:place], size, *sizes[place + 1 :])


def alike(a: np.ndarray, axis: int) -> np.ndarray:
    """Its slices along an axis: one of zeros, one of equal numbers, two that are the same."""
    a = np.moveaxis(a, axis, 0).copy()
    a[0] = 0
    if len(a) > 1:
        a[1] = a[1].flat[0]
    if len(a) > 3:
        a[3] = a[2]
    return np.ascontiguousarray(np.moveaxis(a, 0, axis))


def past(constants: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """Numbers between neighbouring constants and about twice each: no piece of a function that changes at constants is
    left out. Not on a grid, so that none is a kink."""
    c = np.sort(np.array([0.0, *constants]))
    return np.concatenate([(c[1:] + c[:-1]) / 2, 2 * c[1:]]) * rng.uniform(0.95, 1, 2 * len(c) - 2)


def examples(strategies: Mapping[str, Any], count: int = 8) -> list[dict[str, Any]]:
    """Examples of hypothesis strategies, always the same; nothing is left in the user's folder."""
    from hypothesis import HealthCheck, Phase, configuration, given, settings
    from hypothesis import strategies as st

    found: list[dict[str, Any]] = []

    @settings(
        max_examples=count, database=None, deadline=None, derandomize=True, phases=(Phase.generate,),
        suppress_health_check=[*HealthCheck],
    )  # fmt: skip
    @given(st.fixed_dictionaries(dict(strategies)))
    def gather(example: dict[str, Any]) -> None:
        found.append(example)

    home = configuration.__hypothesis_home_directory
    with tempfile.TemporaryDirectory() as folder:
        configuration.set_hypothesis_home_dir(folder)
        try:
            gather()
        finally:
            configuration.set_hypothesis_home_dir(home)
    return found


def with_examples(inputs: Inputs, found: Sequence[Mapping[str, Any]], seed: int) -> Iterator[Trial]:
    """Trials of the examples of strategies; what is none is drawn beside them."""
    for i, example in enumerate(found):
        rest = Inputs({n: s for n, s in inputs.specs.items() if n not in example}, inputs.where, inputs.constants)
        beside = rest.trial(Planned(SIZES[i % len(SIZES)], REAL, seed + i))
        if beside is not None:
            arrays = {n: np.asarray(example[n]) if n in example else beside.arrays[n] for n in inputs.specs}
            yield Trial(arrays, beside.sizes, seed=seed + i)
