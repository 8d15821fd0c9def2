"""A wrong tensor in the form that features read, and what a feature finds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from manualbp.base import Array

from ...compare.bound import distance, largest
from ...sides.run import of_output
from ..evidence import Evidence

ROOM = 2.0**8  # units of the last place that a formula written in another order may be off
CONSTANT = 2.0**12  # units of the last place within which two constants are one
LOOSEST = 1e-8  # relative: where differences decide
FAINT = 1e-6  # relative error below which no formula but those of rounding and of ε is looked for
LOOSE = 1e-9  # relative, or ROOM where that is more: enough to see which formula a right gradient follows


@dataclass(frozen=True)
class Finding:
    """A relation that gives the wrong numbers of one tensor in one trial.

    relation  in symbols, so that it is the same in every trial:  yours = N · right
    fault     the mistake's id in the catalogue
    score     0 to 1: how seldom this is seen where the mistake is another
    shown     the values of the symbols:  N = 32
    rounding  is it the rounding of a shorter format?
    everywhere  must it hold in every trial? So where one of many functions is named, that are alike in places
    chance      is it one of many expressions, of which some number of a single trial is another by chance?
    text, remedy, shown_by  said in place of what the catalogue says
    """

    relation: str
    fault: str | None = None
    score: float = 0.5
    shown: str = ""
    text: str = ""
    remedy: str = ""
    shown_by: str = ""
    rounding: bool = False
    everywhere: bool = False
    chance: bool = False


Found = Iterator[Finding]


class Seen:
    """One wrong tensor with everything at hand, in float64.

    own     the array whose gradient it is, if it is among those known
    inputs  real arrays that are neither output nor upstream gradient;  whole: those of integers and masks
    """

    def __init__(self, e: Evidence) -> None:
        self.e, self.name = e, e.name
        self.yours, self.right = real(e.yours), real(e.right)
        known = {n: np.asarray(a) for n, a in e.known.items() if a is not None}
        self.known = {n: real(a) for n, a in known.items() if a.dtype.kind == "f"}
        self.whole = {n: a for n, a in known.items() if a.dtype.kind in "iub"}
        self.grads = {n: real(g) for n, g in e.grads.items() if g is not None}
        self.given = {n: real(g) for n, g in e.given.items() if g is not None and np.size(g)}
        self.eps = float(np.finfo(np.float32 if np.asarray(e.right).dtype == np.float32 else np.float64).eps)

    @cached_property
    def inputs(self) -> Mapping[str, Array]:
        return {n: a for n, a in self.known.items() if not of_output(n.removeprefix("d"))}

    @cached_property
    def own(self) -> Array | None:
        found = self.known.get(self.name)
        return found if found is not None and found.shape == self.right.shape and not self.e.forward else None

    @cached_property
    def dy(self) -> Array | None:
        """The upstream gradient, where there is one."""
        return self.known.get("dy")

    @cached_property
    def y(self) -> Array | None:
        return self.known.get("y")

    @cached_property
    def loss(self) -> bool:
        """Is the output one number?"""
        return self.y.size == 1 if self.y is not None else not any(map(of_output, self.known))

    @cached_property
    def scale(self) -> float:
        """The upstream gradient where it is one number, else 1."""
        return float(self.dy.reshape(())) if self.dy is not None and self.dy.size == 1 else 1.0

    @cached_property
    def comparable(self) -> bool:
        """Do both have the same shape, entries, and only finite ones?"""
        return bool(
            self.yours.shape == self.right.shape
            and self.right.size
            and np.isfinite(self.yours).all()
            and np.isfinite(self.right).all()
        )

    @cached_property
    def residual(self) -> Array:
        return self.yours - self.right

    @cached_property
    def wrong(self) -> Array:
        """Where yours is further from right than the bound. Only where the shapes are equal."""
        with np.errstate(invalid="ignore"):
            return ~(np.abs(self.residual) <= self.e.bound)

    @cached_property
    def error(self) -> float:
        return largest(self.residual) if self.comparable else float("inf")

    def room(self, told: Array) -> float:
        """How far a right explanation may be from yours: much less than yours is from right."""
        size, s = largest(told), largest(self.right)
        gain = max(1.0, size / s) if s else 1.0
        return min(4 * self.e.bound * gain + ROOM * self.eps * size, self.error / 8)

    @cached_property
    def slack(self) -> float:
        """Relative: how far a constant may be from what it equals, where right itself is known to the bound only."""
        size = largest(self.right)
        return max(CONSTANT * self.eps, min(4 * self.e.bound / size, LOOSEST) if size else 0.0)

    @cached_property
    def faint(self) -> bool:
        """Is all that is wrong far smaller than right, so that every formula near right would do?"""
        return self.comparable and 0 < self.error <= FAINT * largest(self.right)

    @cached_property
    def two_paths(self) -> bool:
        """Is right something else than dy, and than 0, nearly everywhere, as dy and the gradient of a body are?"""
        dy = self.dy
        if dy is None or dy.shape != self.right.shape or not self.right.size:
            return False
        return float(np.mean((self.right != dy) & (self.right != 0))) > 0.5

    @cached_property
    def body(self) -> bool:
        """Is there a matrix that a body beside the bridge could multiply with?"""
        x = self.own
        return x is not None and any(
            a.ndim == 2 and a.shape != x.shape and x.shape[-1:] in (a.shape[:1], a.shape[1:])
            for a in self.inputs.values()
        )

    @cached_property
    def pooled(self) -> bool:
        """Could it be pooling: one array, of which y is a smaller one of as many axes?"""
        x, y = self.own, self.y
        return x is not None and y is not None and len(self.inputs) == 1 and x.ndim == y.ndim > 2 and x.shape != y.shape

    @cached_property
    def convolved(self) -> bool:
        """Could it be a convolution: another array of at least three axes, and y of as many as these?"""
        large = [a for a in self.inputs.values() if a.ndim > 2]
        return len(large) > 1 and self.y is not None and all(a.ndim == self.y.ndim for a in large)

    @cached_property
    def worst(self) -> tuple[int, float]:
        """The entry (of the flattened tensor) that is furthest from right, and what was given there."""
        i = int(np.argmax(np.abs(self.residual))) if self.comparable else 0
        return i, float(self.yours.flat[i])

    def alike(self, told: Array) -> bool:
        """Is this what was given, NaN and infinities included?"""
        told = np.asarray(told, float)
        if told.shape != self.yours.shape or not told.size:
            return False
        i, value = self.worst
        if self.comparable and not abs(float(told.flat[i]) - value) <= self.error / 8:
            return False
        finite = np.isfinite(told)
        if not finite.all() and not np.array_equal(told[~finite], self.yours[~finite], equal_nan=True):
            return False
        return bool(np.isfinite(self.yours[finite]).all()) and distance(told, self.yours) <= self.room(told)

    def alike_sorted(self) -> bool:
        """Does yours hold the numbers of right, in whatever order?"""
        return self.alike_to(np.sort(self.yours, None), np.sort(self.right, None))

    def alike_to(self, yours: Array, told: Array) -> bool:
        return distance(yours, told) <= self.room(told)

    def is_right(self, told: Array) -> bool:
        """Is this what the right gradient is made of?"""
        return self.is_right_of(self.right, told)

    @cached_property
    def multiple(self) -> float | None:
        """c with yours = c · right."""
        return self.constant(self.yours, self.right) if self.comparable else None

    def is_right_of(self, right: Array, yours: Array) -> bool:
        """Are these equal, but for rounding?"""
        return near(yours, right, max(LOOSE, ROOM * self.eps))

    def constant(self, yours: Array, other: Array) -> float | None:
        """c with yours = c · other within the bound; None if there is none or it is 0."""
        if yours.shape != other.shape or not other.size or not _may_be_multiples(yours, other):
            return None
        square = float(np.vdot(other, other))
        c = float(np.vdot(other, yours)) / square if square > 0 else 0.0
        if not c or not np.isfinite(c):
            return None
        room = min(4 * self.e.bound * max(1.0, abs(c)) + ROOM * self.eps * largest(yours), largest(yours) / 8)
        return c if distance(yours, c * other) <= room else None

    def informative(self, a: Array) -> bool:
        """Has it enough entries other than 0 for a common factor to be no accident?"""
        found = np.unique(np.round(a[a != 0] / (largest(a) or 1), 9))
        return found.size >= (2 if self.is_real else 4)

    @cached_property
    def is_real(self) -> bool:
        """Real data, as opposed to small integers, which agree by accident."""
        return any(not np.array_equal(2 * a, np.round(2 * a)) for a in self.inputs.values())


def _may_be_multiples(a: Array, b: Array) -> bool:
    """A look at two entries, which tells nearly all that are not."""
    a, b = a.reshape(-1), b.reshape(-1)
    i, k = int(np.argmax(np.abs(b))), int(np.argmax(np.abs(a)))
    return bool(np.isfinite(b).all()) and abs(a[i] * b[k] - a[k] * b[i]) <= 1e-3 * abs(a[k] * b[i])


def real(a: object) -> Array:
    return np.asarray(a, dtype=np.float64) if np.asarray(a).dtype.kind in "fiub" else np.zeros(0)


def near(a: Array, b: Array, tolerance: float) -> bool:
    """Equal shapes, and equal within this fraction of the largest entry."""
    if a.shape != b.shape or not b.size:
        return False
    i = int(np.argmax(np.abs(b)))
    room = tolerance * abs(float(b.flat[i]))
    return bool(abs(a.flat[i] - b.flat[i]) <= room) and bool((np.abs(a - b) <= room).all())


def spread(a: Array, like: tuple[int, ...]) -> Iterator[Array]:
    """A vector or number laid along each axis of a shape that it fits; an array along its first axes and its last;
    one of that very shape as it is."""
    if a.shape == like:
        yield a
    elif a.size == 1:
        yield a.reshape(())
    elif a.ndim == 1:
        for axis, n in enumerate(like):
            if n == a.size:
                yield a.reshape(tuple(n if i == axis else 1 for i in range(len(like))))
    elif a.ndim < len(like):
        if like[len(like) - a.ndim :] == a.shape:
            yield a
        if like[: a.ndim] == a.shape:
            yield a.reshape(*a.shape, *[1] * (len(like) - a.ndim))
