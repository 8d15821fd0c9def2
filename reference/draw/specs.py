"""What an input may be: a shape with sizes by name, an array, or numbers of a kind.

("N", "D")  ("N", "2*D")  (4, 3)          real numbers of either sign; a size may be computed from others
Indices(("N",), below="C")                integers
Positive(…)  Between(0, 1, …)  Sorted(…)  Probabilities(…)  Orthogonal(…)  SPD(…)  Complex(…)  OneHot(…)
Constant(…)                               any of these, not to be differentiated
"""

import ast
import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from manualbp.base import Array
from manualbp.sampling import Values

Entry = int | str
Shape = tuple[Entry, ...]
OPERATIONS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv}


def size(entry: Entry, sizes: Mapping[str, int]) -> int:
    """A length: a number, the size of this name, or an expression in sizes: "2*D", "H*d", "N - 1"."""
    return entry if isinstance(entry, int) else _value(_parsed(entry), entry, sizes)


def names_in(entry: Entry) -> list[str]:
    """The names of sizes in an entry of a shape."""
    return [] if isinstance(entry, int) else [n.id for n in ast.walk(_parsed(entry)) if isinstance(n, ast.Name)]


def _parsed(entry: str) -> ast.expr:
    try:
        return ast.parse(entry.strip(), mode="eval").body
    except SyntaxError:
        raise ValueError(_no_size(entry)) from None


def _value(node: ast.expr, entry: str, sizes: Mapping[str, int]) -> int:
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    if isinstance(node, ast.Name):
        return sizes[node.id]
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATIONS:
        return OPERATIONS[type(node.op)](_value(node.left, entry, sizes), _value(node.right, entry, sizes))
    raise ValueError(_no_size(entry))


def _no_size(entry: str) -> str:
    return f'{entry!r} is no size: it takes a name as "D", a number, or an expression of these as "2*D" or "D//2 + 1"'


@dataclass(frozen=True)
class Spec:
    """Numbers of a kind in a shape."""

    shape: Shape = None  # type: ignore[assignment]
    constant = False
    complex = False

    def __new__(cls, *given: Any, **_: Any) -> "Spec":
        """A shape whose brackets are forgotten is a sentence, no error of Python's."""
        if len(given) > 1 and isinstance(given[0], (int, str)) and all(isinstance(n, (int, str)) for n in given[1:]):
            raise _no_shape(cls, ", ".join(map(repr, given)))
        return super().__new__(cls)

    def __post_init__(self) -> None:
        if not isinstance(self.shape, (tuple, list)):
            more = ", …" if isinstance(self, Indices) else ""
            raise _no_shape(type(self), "" if self.shape is None else f"{self.shape!r:.60}{more}")

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Where names of sizes may stand."""
        return self.shape

    def lengths(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        return tuple(size(entry, sizes) for entry in self.shape)

    def draw(self, values: Values, sizes: Mapping[str, int], pool: Array | None = None) -> Array:
        """values: who draws; pool: numbers to draw from, among them those where a kink may be."""
        if pool is not None:
            return self.within(_dealt(values.rng, pool, self.lengths(sizes)))
        return self.real(values, self.lengths(sizes))

    def real(self, values: Values, shape: tuple[int, ...]) -> Array:
        return values.real(shape)

    def within(self, a: Array) -> Array:
        """Numbers of any kind as numbers of this one."""
        return a


def _no_shape(kind: type[Spec], given: str) -> ValueError:
    """What a kind of numbers takes, and what it was given."""
    name, more = kind.__name__, ', below="C"' if issubclass(kind, Indices) else ""
    shape = '("D", "D")' if issubclass(kind, SPD) else '("N", "D")'
    return ValueError(f"{name} takes a shape, as {name}({shape}{more}); it got {name}({given})")


@dataclass(frozen=True)
class Positive(Spec):
    """Numbers above 0: variances, rates, distances."""

    def real(self, values, shape):
        return values.positive(shape)

    def within(self, a):
        return np.where(a == 0, 1.0, np.abs(a))


@dataclass(frozen=True)
class Between(Spec):
    """Numbers from low to high: Between(0, 1, ("N", "D")). The ends are tried, too."""

    low: float = 0.0
    high: float = 1.0

    def __new__(cls, *_: Any, **__: Any) -> "Between":
        return object.__new__(cls)

    def __init__(self, low: Any, high: Any = None, shape: Any = None) -> None:
        for name, value in (("low", low), ("high", high), ("shape", shape)):
            object.__setattr__(self, name, value)
        ends = all(isinstance(end, (int, float, np.number)) for end in (low, high)) and low <= high
        if not ends or not isinstance(shape, (tuple, list)):
            given = ", ".join(f"{a!r:.60}" for a in (low, high, shape) if a is not None)
            raise ValueError(
                f'Between takes the lowest number, the highest and a shape, as Between(0, 1, ("N", "D")); '
                f"it got Between({given})"
            )

    def real(self, values, shape):
        if values.exact:
            return self.low + (self.high - self.low) * values.rng.integers(0, 5, shape) / 4
        return np.asarray(values.rng.uniform(self.low, self.high, shape))

    def within(self, a):
        return np.clip(a, self.low, self.high)


@dataclass(frozen=True)
class Probabilities(Spec):
    """Numbers above 0 that sum to 1 along an axis."""

    axis: int = -1

    def draw(self, values, sizes, pool=None):
        return values.simplex(self.lengths(sizes), self.axis)


@dataclass(frozen=True)
class Sorted(Spec):
    """Numbers that do not fall along an axis."""

    axis: int = -1

    def real(self, values, shape):
        return np.sort(values.real(shape), self.axis)

    def within(self, a):
        return np.sort(a, self.axis)


@dataclass(frozen=True)
class OneHot(Spec):
    """Vectors of a 1 among zeros, along the last axis; targets, which are not differentiated."""

    constant = True

    def draw(self, values, sizes, pool=None):
        *rest, n = self.lengths(sizes)
        return np.eye(n)[values.rng.integers(0, n, rest)]


@dataclass(frozen=True)
class Orthogonal(Spec):
    """Matrices whose columns (or rows, if these are fewer) are orthonormal."""

    def draw(self, values, sizes, pool=None):
        _matrices(self)
        *rest, n, m = self.lengths(sizes)
        q, _ = np.linalg.qr(values.rng.standard_normal((*rest, max(n, m), max(n, m))))
        return np.ascontiguousarray(q[..., :n, :m])


@dataclass(frozen=True)
class SPD(Spec):
    """Symmetric positive definite matrices, well conditioned."""

    def draw(self, values, sizes, pool=None):
        _matrices(self)
        *rest, n, _ = self.lengths(sizes)
        a = values.rng.standard_normal((*rest, n, n))
        return a @ a.swapaxes(-1, -2) / n + np.eye(n)


@dataclass(frozen=True)
class Complex(Spec):
    """Complex numbers; their gradient is in torch's convention, ∂L/∂Re + i ∂L/∂Im."""

    complex = True

    def draw(self, values, sizes, pool=None):
        shape = self.lengths(sizes)
        return values.real(shape) + 1j * values.real(shape)


@dataclass(frozen=True)
class Indices(Spec):
    """An input of integers: shape, and the number (or name of the size) that they lie below: Indices(("N",), "C")."""

    below: Entry = None  # type: ignore[assignment]
    low: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.below, (int, str)):
            what = "" if self.below is None else f", {self.below!r:.60}"
            raise ValueError(
                f'Indices takes a shape and what they lie below, as Indices(("N",), below="C"); '
                f"it got Indices({self.shape!r:.60}{what})"
            )

    @property
    def entries(self):
        return (*self.shape, self.below)

    def draw(self, values, sizes, pool=None):
        return values.integers(self.low, size(self.below, sizes), self.lengths(sizes))


@dataclass(frozen=True)
class Constant(Spec):
    """An input that is not to be differentiated: a shape, an array, or numbers of a kind."""

    shape: Any = None
    constant = True

    def __post_init__(self) -> None:
        """A number, too, is taken: as an array without axes."""
        if self.shape is None:
            raise ValueError('Constant takes a shape, an array or numbers of a kind, as Constant(("N", "D"))')

    @property
    def of(self) -> Any:
        """What it is, as an input that is differentiated."""
        return self.shape

    @property
    def entries(self):
        return entries(self.of)

    def draw(self, values, sizes, pool=None):
        return drawn(self.of, values, sizes, pool)


def _dealt(rng: np.random.Generator, pool: Array, shape: tuple[int, ...]) -> Array:
    """Numbers of a pool at random, each as often as any other: all occur if there is room."""
    n = math.prod(shape)
    return np.concatenate([rng.permutation(pool) for _ in range(n // len(pool) + 1)])[:n].reshape(shape)


def _matrices(spec: Spec) -> None:
    if len(spec.shape) < 2:
        raise ValueError(f'{spec} has one axis: matrices have two at least, as {type(spec).__name__}(("D", "D"))')


def entries(spec: Any) -> tuple[Entry, ...]:
    """Where names of sizes may stand in what was given for an input."""
    return spec.entries if isinstance(spec, Spec) else spec if isinstance(spec, tuple) else ()


def drawn(spec: Any, values: Values, sizes: Mapping[str, int], pool: Array | None = None) -> Any:
    """Numbers of an input; an array stays what it is."""
    spec = Spec(spec) if isinstance(spec, tuple) else spec
    return spec.draw(values, sizes, pool) if isinstance(spec, Spec) else spec
