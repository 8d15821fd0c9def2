"""One array of two sides: error, bound, power, and the place of the worst entry."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from manualbp.base import Array

from ..sides.run import GRADIENT, Name
from .bound import difference, distance, largest

NOTHING = "nothing finite to compare"
Sides = tuple[str, str]
BESIDE_TORCH = ("by hand", "in torch")


@dataclass(frozen=True)
class Tensor:
    """One named array of both sides.

    error    largest |by hand − by torch|; inf where shapes, presence or non-finite entries differ
    bound    the derived bound; 0 where the two must be identical
    power    the smallest relative fault of the largest entry that is excluded; None where nothing is seen
    blind    fraction of the entries other than 0 that are not above the bound: they could be 0 and pass
    """

    of: Name
    hand: Array | None
    torch: Array | None
    error: float
    bound: float
    identical: bool
    power: float | None
    blind: float
    what: str = ""

    @property
    def name(self) -> str:
        return str(self.of)

    @property
    def is_gradient(self) -> bool:
        return self.of.role == GRADIENT

    @property
    def ok(self) -> bool:
        return self.error <= self.bound

    @property
    def ratio(self) -> float:
        """err/bound: at most 1 in a pass."""
        return 0.0 if self.error == 0 else self.error / self.bound if self.bound else float("inf")

    def worst(self) -> tuple[tuple[int, ...], float, float] | None:
        """The place of the largest difference, with both values."""
        if self.hand is None or self.torch is None or self.hand.shape != self.torch.shape or not self.hand.size:
            return None
        d = difference(self.hand, self.torch)
        i = np.unravel_index(int(np.argmax(np.where(np.isnan(d), np.inf, d))), d.shape)
        return tuple(map(int, i)), self.hand[i].item(), self.torch[i].item()


def different(of: Name, hand: Array | None, other: Array | None, what: str, bound: float = 0.0) -> Tensor:
    """Two that differ before any number is compared, or where one is not finite."""
    return Tensor(of, hand, other, float("inf"), bound, False, None, 1.0, what)


def exactly(of: Name, hand: Array | None, other: Array | None, sides: Sides = BESIDE_TORCH) -> Tensor:
    """== for every entry. NaN equals nothing, −0 equals 0."""
    if (failure := differ_in_kind(hand, other, sides) or finite_on_one_side(hand, other, sides)) is not None:
        return different(of, hand, other, failure)
    if hand is None or other is None:
        return Tensor(of, hand, other, 0.0, 0.0, True, None, 0.0)
    same = np.array_equal(hand, other)
    error = 0.0 if same else distance(hand, other) or float("inf")
    return Tensor(of, hand, other, error, 0.0, same, 2.0**-52 if largest(hand) else None, 0.0)


def within(
    of: Name, hand: Array | None, other: Array | None, bound: float, allowed: Any = 0.0, sides: Sides = BESIDE_TORCH
) -> Tensor:
    """The difference against a bound; `allowed` is what each entry may be off beside it. `sides`: how messages call
    the two."""
    if (failure := differ_in_kind(hand, other, sides)) is not None:
        return different(of, hand, other, failure)
    if hand is None or other is None or hand.dtype.kind != "f":
        return exactly(of, hand, other, sides)
    if (failure := finite_on_one_side(hand, other, sides)) is not None:
        return different(of, hand, other, failure, bound)
    if hand.size and not np.isfinite(hand).any():
        return Tensor(of, hand, other, 0.0, bound, False, None, 1.0, NOTHING)
    apart, size = difference(hand, other), np.abs(hand)
    room = bound + allowed
    whole = np.ndim(room) == 0
    error = largest(apart if whole else np.maximum(apart - allowed, 0))  # ∞ − ∞ in the same places is none
    same = error == 0 and np.array_equal(hand, other)
    seen, there = np.count_nonzero(size > room), np.count_nonzero(hand)
    blind = 1 - seen / there if there else 0.0
    top = largest(size) if seen else 0.0  # 0, too, where nothing but infinities stands above the room
    power = None if not top else room / top if whole else _least(room, size)
    return Tensor(of, hand, other, error, float(room if whole else bound), same, power, blind)


def _least(room: Array, size: Array) -> float:
    """The smallest relative fault that some entry would have shown."""
    with np.errstate(all="ignore"):
        return float(np.nanmin(room / size))


def differ_in_kind(hand: Array | None, other: Array | None, sides: Sides = BESIDE_TORCH) -> str | None:
    """What is different before any number is: presence, shape, dtype."""
    if hand is None and other is None:
        return None
    if hand is None or other is None:
        return f"nothing {sides[0] if hand is None else sides[1]}"
    if hand.shape != other.shape:
        return f"shape {hand.shape} {sides[0]}, {other.shape} {sides[1]}"
    if hand.dtype.kind != other.dtype.kind:
        return f"dtype {hand.dtype} {sides[0]}, {other.dtype} {sides[1]}"
    return None


def finite_on_one_side(hand: Array | None, other: Array | None, sides: Sides = BESIDE_TORCH) -> str | None:
    """Where NaN or an infinity stands on one side only, if it does."""
    if hand is None or other is None or hand.dtype.kind != "f":
        return None
    if not (np.isfinite(hand).all() and np.isfinite(other).all()):
        for test, word in ((np.isnan, "NaN"), (np.isposinf, "+inf"), (np.isneginf, "-inf")):
            if (places := test(hand) != test(other)).any():
                i = tuple(map(int, np.argwhere(places)[0]))
                return f"{word} on one side only, at {i}: {hand[i]} {sides[0]}, {other[i]} {sides[1]}"
    return None


def near(a: Any, b: Any, room: float) -> bool:
    """The same numbers, or finite ones at the same places that are no farther apart than `room`."""
    if same(a, b) or a is None or b is None or np.shape(a) != np.shape(b):
        return same(a, b)
    finite = np.isfinite(a)
    alike = np.array_equal(finite, np.isfinite(b)) and same(a[~finite], b[~finite])
    return alike and distance(a, b) <= room


def same(a: Any, b: Any) -> bool:
    """The same numbers, NaN included, for which a look of its own is taken: it is the dearer one."""
    return np.array_equal(a, b) or np.array_equal(a, b, equal_nan=np.asarray(a).dtype.kind == "f")
