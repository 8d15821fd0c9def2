"""Numbers of few bits, float16 or bfloat16, beside the function intended in float64 on these very numbers.

Rounding is random, a wrong formula is systematic; so two bounds, both from what eager code does in that format, its
errors e taken on inputs and dy moved by their last bits, in several runs, g the golden numbers, u half a unit of the
last place of 1:

    every entry  |h − g|  ≤  5 max( largest |e| there, 2 · RMS of e over the tensor )  +  u |g|
    projection   |c(h − g)|  ≤  max( k max( largest |c(e)|, 2 · RMS of c(e), u / √n ), m u ),   c(r) = Σ r g / Σ g²

c is by how much all of a tensor (k = 2, m = 1½), or of a row (k = 2½, m = 3), is too large; m u is what roundings make
that its entries share. The noise of c falls with n = (Σ g²)² / Σ g⁴, the number of entries that count. A row is what
lies along the last axis; one that is small beside the others has their last bit for noise: that of an output that is
saved stays where gradients cancel. Both are taken once more with every entry weighted by 1/noise², as eager shows it,
and the whole with every row weighted so, too. A bound above TAIL is doubled. And c of the whole is held beside how
much the c of its rows scatter (`_steady`), as eager's own is: code that rounds less is judged by how little it rounds.

Eager is the function intended in that format, and once more with every single operation rounded, as code has it that is
written step by step: right kernels round at most as often. Where a bound is exceeded, more runs are made; and where it
is exceeded even so, the judged side, too, is run on moved data: the median of its errors is held against the same
bounds, since what rounding made is elsewhere on other bits. On a grid, where kinks are met, data stay as they are. A
tensor of which FAR too much would not show has no power: nothing is known of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from manualbp.base import Array, tree_map

from ..draw.trial import Trial
from ..sides.formats import LEAST, UNIT, rounded
from ..sides.run import GRADIENT, Name, Run, in_order
from ..sides.side import Side
from .bound import largest
from .comparison import Comparison
from .tensor import Tensor, differ_in_kind, different, within

ENTRY, ROW, WHOLE = 5.0, 2.5, 2.0  # how much more than eager's errors, of an entry and of projections
OF_ROW, OF_WHOLE = 3.0, 1.5  # units that a row, or all, may be off by roundings that its entries share: a mean, a root
OFTEN = 2.0  # times the RMS of these errors, where the largest one seen is less
LOOKS, MORE = 7, 25  # runs on moved data; further ones where a bound is exceeded
AGAIN = 9  # runs of the judged side on moved data, where a bound is exceeded even so
GROUPS = 6  # as many of other sides, whose medians say how far rounding takes a median
ROWS = 6  # at least, of which a scatter is taken
SAVED = 0.25  # of the last bit of the largest entry: what an output leaves that is saved, where gradients cancel
TAIL = 0.1  # relative: where eager is off as much, numbers cancel, and its errors are far from Gaussian
FAR = 0.03  # relative: where as much in all of a tensor does not show, eager itself is far off
NOTHING = 2.0**-40  # of the largest gradient: below, golden is 0


@dataclass(frozen=True)
class Low:
    """A check in a format. formats: of inputs that have one of their own; eager: the sides that show rounding."""

    dtype: str
    eager: tuple[Side, ...]
    formats: Mapping[str, str] = field(default_factory=dict)

    def rounded(self, trial: Trial) -> Trial:
        """The same numbers as this format has them."""
        x = {n: rounded(a, self.formats.get(n, self.dtype)) for n, a in trial.x.items()}
        return replace(trial, x=x, dy=tree_map(partial(rounded, dtype=self.dtype), trial.dy))

    def moved(self, rng: np.random.Generator, trial: Trial) -> Trial:
        """Inputs and dy moved by their last bits."""
        x = {n: _moved(rng, a, self.formats.get(n, self.dtype)) for n, a in trial.x.items()}
        dy = tree_map(lambda a: _moved(rng, a, self.dtype), trial.dy)
        return self.rounded(replace(trial, x=x, dy=dy, seed=int(rng.integers(2**31))))


def _moved(rng: np.random.Generator, a: Any, dtype: str) -> Array:
    a = np.asarray(a)
    return a * (1 + 2 * UNIT.get(dtype, 0.0) * rng.integers(-1, 2, a.shape)) if a.dtype.kind == "f" else a


def compare_low(hand: Side, golden: Side, low: Low, trial: Trial) -> Comparison:
    """The judged side on numbers of few bits."""
    with np.errstate(all="ignore"):
        runs = hand.run(trial), golden.run(trial)
        rng = np.random.default_rng(trial.seed)
        seen = _errors(golden, low, trial, rng, LOOKS, runs[1])
        tensors = _all(runs, seen, low)
        if _exceeded(tensors):
            more = _errors(golden, low, trial, rng, MORE, None)
            seen = {n: [*seen[n], *more.get(n, [])] for n in seen}
            tensors = _all(runs, seen, low)
        if _exceeded(tensors) and not trial.integers:
            tensors = _kept(tensors, _all(runs, seen, low, _medians(hand, golden, low, trial, rng)))
    return Comparison(tensors, dtype=low.dtype, runs=runs)


def compare_medians(hand: Side, golden: Side, low: Low, trial: Trial) -> Comparison:
    """As `compare_low`, of medians over runs on moved data: what a coarse side has that is no rounding."""
    with np.errstate(all="ignore"):
        runs, rng = (hand.run(trial), golden.run(trial)), np.random.default_rng(trial.seed)
        groups = [_medians(side, golden, low, trial, rng) for side in low.eager for _ in range(GROUPS)]
        seen = {n: [(e[n], g) for e in groups if n in e] for n, g in runs[1].items() if g is not None}
        tensors = _all(runs, seen, low, _medians(hand, golden, low, trial, rng))
    return Comparison(tensors, dtype=low.dtype, runs=runs)


def _exceeded(tensors: Sequence[Tensor]) -> bool:
    return any(t.error > t.bound and np.isfinite(t.error) for t in tensors)


def _medians(side: Side, golden: Side, low: Low, trial: Trial, rng: np.random.Generator) -> dict[Name, Array]:
    """The median of the errors of a side, over runs on moved data."""
    found: dict[Name, list[Array]] = {}
    for _ in range(AGAIN):
        near = low.moved(rng, trial)
        right = golden.run(near)
        for n, h in _run(side, near).items():
            if h is not None and n in right and not differ_in_kind(h, right[n]) and h.dtype.kind == "f":
                found.setdefault(n, []).append(h - right[n])
    return {n: np.median(errors, axis=0) for n, errors in found.items() if len(errors) == AGAIN}


def _kept(once: Sequence[Tensor], often: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Each tensor as it was seen once, but those that are off by chance alone."""
    return tuple(b if not a.ok and b.ok else a for a, b in zip(once, often))


Seen = dict[Name, list[tuple[Array, Array]]]  # errors of eager with golden numbers, for every tensor


def _errors(golden: Side, low: Low, trial: Trial, rng: np.random.Generator, looks: int, first: Run | None) -> Seen:
    found: Seen = {}
    for i in range(looks):
        still = first is not None and i == 0
        near = trial if still else low.moved(rng, trial)
        right = first if still else golden.run(near)
        for side in low.eager:
            for n, e in _run(side, near).items():
                g = right.get(n)  # type: ignore[union-attr]
                if e is not None and g is not None and e.shape == g.shape and g.dtype.kind == "f":
                    found.setdefault(n, []).append((e - g, g))
    return found


def _run(side: Side, trial: Trial) -> Run:
    try:
        return side.run(trial)
    except Exception:  # golden runs: it is the format that is refused
        return {}


def _all(
    runs: tuple[Run, Run], seen: Seen, low: Low, errors: Mapping[Name, Array] = MappingProxyType({})
) -> tuple[Tensor, ...]:
    """Every tensor. errors: those to be held against the bounds, where they are not those of the runs"""
    hand, golden = runs
    top = max((largest(g) for n, g in golden.items() if n.role == GRADIENT and g is not None), default=0.0)
    names = in_order(hand | golden)
    return tuple(_one(n, hand.get(n), golden.get(n), errors.get(n), seen.get(n, []), low.dtype, top) for n in names)


def _one(
    n: Name, h: Array | None, g: Array | None, r: Array | None, seen: Sequence[Any], dtype: str, top: float
) -> Tensor:
    if (failure := differ_in_kind(h, g)) is not None:
        return different(n, h, g, failure)
    if h is None or g is None or g.dtype.kind != "f" or not g.size:
        return within(n, h, g, 0.0)
    if not seen or not all(np.isfinite(e).all() for e, _ in seen):
        told = f"eager is not finite in {dtype}" if seen else f"torch has no eager code for it in {dtype}"
        return Tensor(n, h, g, 0.0, 0.0, False, None, 1.0, told)
    if not np.isfinite(h).all() or not np.isfinite(g).all():
        return within(n, h, g, 0.0)
    r = h - g if r is None else r
    room = _room(g, [e for e, _ in seen], dtype)
    entry = np.max(np.abs(r) / room)
    places = list(_projections(r, g, seen, dtype))
    power = min(float(bound) for what, _, bound in places if what == "all")
    places += _weighted_by_entry(r, g, seen, dtype)  # what these exclude may be a fault of few entries only
    worst_place = max(places, key=lambda place: float(np.max(_off(place), initial=0.0)))
    ratio = float(np.max(_off(worst_place), initial=0.0))
    dead = n.role == GRADIENT and largest(g) <= NOTHING * top
    blind = float(np.mean(np.abs(g) <= room))
    worst = max(float(entry), 0.0 if dead else ratio)
    error = largest(r)
    power = power if power <= FAR and not dead else None
    told = _said(worst_place) if ratio > max(1.0, entry) and not dead else ""
    told = told or ("" if power is not None or dead or largest(g) == 0 else f"eager itself is far off in {dtype}")
    return Tensor(n, h, g, error, error / worst if worst else float(room.max()), error == 0, power, blind, told)


Place = tuple[str, Array, Array]  # what is projected, c and its bound


def _off(place: Place) -> Array:
    """|c| over its bound."""
    _, c, bound = place
    return np.abs(c) / np.where(bound > 0, bound, np.inf)


def _projections(r: Array, g: Array, seen: Sequence[tuple[Array, Array]], dtype: str) -> Iterator[Place]:
    for what, axis in _along(g):
        yield what, *_projected(r, g, [_c(e, right, axis) for e, right in seen], axis, dtype)
    if g.ndim > 1:
        yield "all", *_weighted(r, g, seen, dtype)


def _weighted_by_entry(r: Array, g: Array, seen: Sequence[tuple[Array, Array]], dtype: str) -> Iterator[Place]:
    for what, axis in _along(g):
        yield what, *_by_entry(r, g, seen, axis, dtype)
    if g.ndim > 1 and g.size // g.shape[-1] >= ROWS:
        yield "all", *_steady(r, g, seen, dtype)


def _room(g: Array, errors: Sequence[Array], dtype: str) -> Array:
    """What every entry may be off."""
    most = np.max(np.abs(errors), axis=0)
    often = OFTEN * float(np.sqrt(np.mean(np.square(errors))))
    return ENTRY * np.maximum(most, often) + UNIT[dtype] * np.abs(g) + LEAST[dtype]


def _along(g: Array) -> Iterator[tuple[str, Any]]:
    """The whole, and its rows: the axes that are summed over."""
    yield "all", None
    if g.ndim > 1:
        yield "row", -1


def _c(r: Array, g: Array, axis: Any) -> Array:
    """By how much it is too large: Σ r g / Σ g²; 0 where g is."""
    square = np.sum(g * g, axis)
    return np.where(square > 0, np.sum(r * g, axis) / np.where(square > 0, square, 1), 0)


def _projected(r: Array, g: Array, seen: Sequence[Array], axis: Any, dtype: str) -> tuple[Array, Array]:
    """c and its bound."""
    square = np.sum(g * g, axis)
    noise = _noise(g, seen, axis, dtype)
    least = LEAST[dtype] * np.sqrt(np.size(g)) / np.sqrt(np.where(square > 0, square, np.inf))
    k, shared = (WHOLE, OF_WHOLE) if axis is None else (ROW, OF_ROW)
    bound = np.maximum(k * noise, shared * UNIT[dtype]) + least
    bound = np.where(bound > TAIL, 2 * bound, bound)
    return _c(r, g, axis), bound


def _noise(g: Array, seen: Sequence[Array], axis: Any, dtype: str) -> Array:
    """The noise of c: what eager shows of it, at least that of the last bits."""
    square, fourth = np.sum(g * g, axis), np.sum(g**4, axis)
    most, often = np.max(np.abs(seen), axis=0), np.sqrt(np.mean(np.square(seen), axis=0))
    last = UNIT[dtype] * np.sqrt(fourth) / np.where(square > 0, square, 1)
    if axis is not None:
        last = np.maximum(last, UNIT[dtype] * largest(g) / np.sqrt(np.where(square > 0, square, np.inf)))
    return np.maximum(np.maximum(most, OFTEN * often), last)


def _noise2(g: Array, seen: Sequence[tuple[Array, Array]], dtype: str) -> Array:
    """The noise² of every entry: what eager shows of it, its last bit, and a part of the last bit of the largest."""
    least = max(LEAST[dtype], SAVED * UNIT[dtype] * largest(g))
    return np.mean([np.square(e) for e, _ in seen], axis=0) + np.square(UNIT[dtype] * g) + least**2


def _weighted(r: Array, g: Array, seen: Sequence[tuple[Array, Array]], dtype: str) -> tuple[Array, Array]:
    """As `_projected` for the whole, every row with the weight 1/noise² that eager gives it."""
    square = np.sum(g * g, -1)
    noise = _noise(g, [_c(e, right, -1) for e, right in seen], -1, dtype)
    weight = np.where(square > 0, 1 / np.where(square > 0, noise, 1) ** 2, 0)
    weight /= weight.sum() or 1
    each = np.abs([np.sum(weight * _c(e, right, -1)) for e, right in seen])
    bound = max(WHOLE * max(each.max(), OFTEN * np.sqrt(np.mean(each**2))), OF_WHOLE * UNIT[dtype])
    return np.sum(weight * _c(r, g, -1)), np.asarray(bound)


def _by_entry(r: Array, g: Array, seen: Sequence[tuple[Array, Array]], axis: Any, dtype: str) -> tuple[Array, Array]:
    """As `_projected`, every entry with the weight 1/noise² that eager gives it: where large entries cancel, the small
    ones, which do not, tell more."""
    noise2 = _noise2(g, seen, dtype)
    tiny = np.finfo(float).tiny

    def along(r: Array, g: Array) -> Array:
        return np.sum(r * g / noise2, axis) / np.maximum(np.sum(g * g / noise2, axis), tiny)

    each, told = np.abs([along(e, right) for e, right in seen]), g * g / noise2
    count = np.sum(told, axis) ** 2 / np.maximum(np.sum(told * told, axis), tiny)
    often = OFTEN * np.sqrt(np.mean(np.square(each), axis=0))
    noise = np.maximum(np.maximum(each.max(0), often), UNIT[dtype] / np.sqrt(np.maximum(count, 1)))
    noise = np.maximum(noise, 1 / np.sqrt(np.maximum(np.sum(told, axis), tiny)))
    k, shared = (WHOLE, OF_WHOLE) if axis is None else (ROW, OF_ROW)
    bound = np.maximum(k * noise, shared * UNIT[dtype])
    bound = np.where(bound > TAIL, 2 * bound, bound)
    return along(r, g), bound


def _steady(r: Array, g: Array, seen: Sequence[tuple[Array, Array]], dtype: str) -> tuple[Array, Array]:
    """c of the whole beside how much the c of its rows scatter: t = |c| / standard error, of the judged errors and of
    eager's. Code that rounds less than eager may scatter less, and then a smaller c is no chance."""
    noise2 = _noise2(g, seen, dtype)
    tiny = np.finfo(float).tiny

    def with_error(r: Array, g: Array) -> tuple[float, float]:
        rows, weight = np.sum(r * g / noise2, -1), np.sum(g * g / noise2, -1)
        total = max(float(weight.sum()), tiny)
        c = float(rows.sum()) / total
        return c, float(np.sqrt(np.sum(np.square(rows - c * weight)))) / total

    each = [abs(c) / max(error, tiny) for c, error in (with_error(e, right) for e, right in seen)]
    t = WHOLE * max(*each, OFTEN * float(np.sqrt(np.mean(np.square(each)))))
    c, error = with_error(r, g)
    return np.asarray(c), np.asarray(max(t * error, OF_WHOLE * UNIT[dtype]))


def _said(place: Place) -> str:
    """Where the projection is off most, and by how much."""
    what, c, _ = place
    c, off = np.atleast_1d(c), np.atleast_1d(_off(place))
    i = np.unravel_index(int(np.argmax(off)), off.shape)
    where = "as a whole" if what == "all" else f"in {what} {', '.join(map(str, map(int, i)))}"
    return f"{100 * c[i]:+.2g} % {where}"
