"""Both sides of a case, compared tensor by tensor: values, differences, bounds, and what a pass is worth."""

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from manualbp.base import Array, Layer, Params, Tree, flatten, tree_map, unflatten

from ..draw.case import Case, cast
from ..sides import record
from ..sides.run import Named, by_autograd, by_hand, leaves, of_output
from ..twin.layers import to_torch
from .bound import EPS, FACTOR, Runs, difference, distance, largest, moved
from .certificate import Rounds, dyadic, plain

LOOKS = 8  # how often data are moved in a second look
NOTHING = "nothing finite to compare"


@dataclass(frozen=True)
class Tensor:
    """One named array of both sides.

    error    largest |by hand − by torch|; inf where shapes, presence or non-finite entries differ
    bound    the derived bound; 0 where the two must be identical
    power    the smallest relative fault of the largest entry that would have been seen; None where nothing is seen
    blind    fraction of the entries other than 0 that are not above the bound: they could be 0 and pass
    """

    name: str
    hand: Array | None
    torch: Array | None
    error: float
    bound: float
    identical: bool
    power: float | None
    blind: float
    what: str = ""

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
        with np.errstate(invalid="ignore"):
            d = np.abs(self.hand - self.torch)
        i = np.unravel_index(int(np.argmax(np.where(np.isnan(d), np.inf, d))), d.shape)
        return tuple(map(int, i)), self.hand[i].item(), self.torch[i].item()


@dataclass(frozen=True)
class Comparison:
    """All tensors of one case. `certified`: no operation rounds, so == was asked for."""

    tensors: tuple[Tensor, ...]
    certified: bool = False
    dtype: str = "float64"
    notes: tuple[str, ...] = field(default=())

    @property
    def wrong(self) -> tuple[Tensor, ...]:
        return tuple(t for t in self.tensors if not t.ok)

    @property
    def verdict(self) -> str:
        """ "identical", "rounding", "wrong" or "vacuous" (nothing above the noise floor was compared)."""
        if self.wrong:
            return "wrong"
        if all(t.power is None for t in self.tensors if t.name.endswith(".grad")) and self.tensors:
            return "vacuous"
        return "identical" if all(t.identical for t in self.tensors) else "rounding"

    @property
    def ratio(self) -> float:
        return max((t.ratio for t in self.tensors), default=0.0)

    @property
    def power(self) -> float | None:
        """The weakest power among the gradients that could be seen at all."""
        seen = [t.power for t in self.tensors if t.power is not None and t.name.endswith(".grad")]
        return max(seen, default=None)

    @property
    def exact(self) -> bool:
        """Was == asked for, and did every array that it was asked of agree?"""
        return self.certified and all(t.identical for t in self.tensors if t.bound == 0)

    @property
    def blind(self) -> float:
        """The fraction of all gradient entries other than 0 that could have been 0 unnoticed."""
        grads = [t for t in self.tensors if t.name.endswith(".grad") and t.hand is not None]
        sizes = [np.count_nonzero(t.hand) for t in grads]
        return sum(t.blind * n for t, n in zip(grads, sizes, strict=True)) / max(sum(sizes), 1)


def compare(case: Case, device: str = "cpu", module: torch.nn.Module | None = None) -> Comparison:
    """Both sides of a case. In the exact regime the case is certified first; where that fails, it is a real one."""
    params, x, dy = case.data()
    return compare_passes(case.layer, params, x, dy, case.seed, case.exact, case.dtype, device)


def compare_passes(
    layer: Layer, params: Params, x: Tree, dy: Tree, seed: int | None = None, exact: bool = False,
    dtype: str = "float64", device: str = "cpu",
) -> Comparison:  # fmt: skip
    """Outputs, gradients and buffers of one pass by hand and by torch, on data given."""
    if exact and certify(layer, params, x, dy, seed, dtype):
        hand = by_hand(layer, params, x, dy, seed)
        autograd = by_autograd(layer, params, x, dy, seed, device)
        return Comparison(tuple(exactly(n, hand.get(n), autograd.get(n)) for n in hand | autograd), True, dtype)
    both = Both(layer, seed, device)
    runs = both.all_precisions(params, x, dy)
    tensors = [within(name, *arrays, dtype) for name, arrays in runs.items()]
    if any(t.error > t.bound and np.isfinite(t.error) for t in tensors):
        spread = both.second_look(params, x, dy, dtype)
        tensors = [within(name, *arrays, dtype, spread.get(name, 0.0)) for name, arrays in runs.items()]
    return Comparison(tuple(overflown(tensors)), False, dtype)


def certify(layer: Layer, params: Params, x: Tree, dy: Tree, seed: int | None, dtype: str = "float64") -> bool:
    """Does no operation of this pass round? (`certificate.py` says how that is known.)"""
    try:
        found = by_hand(layer, dyadic(params, dtype), dyadic(x, dtype), dyadic(dy, dtype), seed)
    except (Rounds, TypeError, AttributeError, ValueError):
        return False  # an exp, a root: no method of a dyadic number; and numpy makes no array of a single object
    except SystemError:  # numpy's matmul of objects goes on after the first of these, and trips over it
        return False
    plain_run = by_hand(layer, params, x, dy, seed)
    return all(
        a is None or np.array_equal(plain(a), np.asarray(plain_run[name], dtype=float)) for name, a in found.items()
    )


class Both:
    """The two sides of one layer, run in every precision on the same numbers."""

    def __init__(self, layer: Layer, seed: int | None, device: str = "cpu") -> None:
        self.layer, self.seed, self.device = layer, seed, device

    def hand(self, params: Params, x: Tree, dy: Tree, dtype: Any) -> Named:
        with np.errstate(all="ignore"):  # what overflows in float32 alone is no fault
            return by_hand(self.layer, cast(params, dtype), cast(x, dtype), cast(dy, dtype), self.seed)

    def torch(self, params: Params, x: Tree, dy: Tree, dtype: str) -> Named:
        params, x, dy = (cast(tree, dtype) for tree in (params, x, dy))
        module = to_torch(self.layer, params, dtype, self.device)
        return by_autograd(self.layer, params, x, dy, self.seed, self.device, module)

    def all_precisions(self, params: Params, x: Tree, dy: Tree) -> dict[str, tuple[Array | None, ...]]:
        """For every name: h32, h64, h80, t32, t64."""
        h32, h64, h80 = (self.hand(params, x, dy, dtype) for dtype in ("float32", "float64", np.longdouble))
        t32, t64 = (self.torch(params, x, dy, dtype) for dtype in ("float32", "float64"))
        return {n: tuple(run.get(n) for run in (h32, h64, h80, t32, t64)) for n in h64 | t64}

    def second_look(self, params: Params, x: Tree, dy: Tree, dtype: str) -> dict[str, Array]:
        """How far each entry of either side moves when data, parameters and dy move by their last bits."""
        rng = np.random.default_rng(0 if self.seed is None else self.seed)
        params, x = cast(params, dtype), cast(x, dtype)
        sides = (self.hand, self.torch)
        start = [side(params, x, dy, dtype) for side in sides]
        smooth = {n for run in start for n, g in run.items() if g is not None and n.endswith(".grad") and g.any()}
        top = max(largest(np.asarray(a)) for a in [*start[0].values(), *leaves(dy, "dy").values()] if a is not None)
        spread: dict[str, Array] = {}
        if any(part.cancels for part in record.walk(self.layer)):
            sides = (*sides, Both(record.noisy(self.layer, rng, EPS[dtype]), self.seed).hand)
            start.append(start[0])
        for _ in range(LOOKS):
            p, q = nudged(rng, params, "", smooth), nudged(rng, x, "x", smooth)
            d = tree_map(partial(moved, rng), cast(dy, dtype))
            for side, before in zip(sides, start, strict=True):
                for name, a in side(p, q, d, dtype).items():
                    if a is not None and (b := before.get(name)) is not None and a.dtype.kind == "f":
                        spread[name] = np.maximum(spread.get(name, 0.0), _room(a, b, top))
        return spread


def _room(a: Array, b: Array, top: float) -> Array:
    """|a − b|: for every entry its own jump, as at a kink, and for all of them the largest move that is no jump."""
    d = difference(a, b)
    d = np.where(np.isfinite(d), d, 0)
    return np.maximum(d, d[d <= EPS[a.dtype.name] ** 0.5 * top].max(initial=0))


def nudged(rng: np.random.Generator, tree: Any, name: str, smooth: set[str]) -> Any:
    """Every array of a tree moved by its last bits. `smooth`: the names of gradients that are not 0 on both sides."""
    if isinstance(tree, dict):
        return unflatten({n: nudged(rng, a, n, smooth) for n, a in flatten(tree).items()})
    if isinstance(tree, tuple):
        return tuple(nudged(rng, part, f"{name}[{i}]", smooth) for i, part in enumerate(tree))
    return moved(rng, tree, f"{name}.grad" in smooth) if isinstance(tree, np.ndarray) else tree


def overflown(tensors: list[Tensor]) -> list[Tensor]:
    """The same, but where an output is not finite, on both sides alike, a gradient need not be finite where the other
    is: ∞ − ∞ and 0 · ∞ depend on the order of operations."""
    outputs = [t for t in tensors if of_output(t.name)]
    whole = all(t.hand is None or np.isfinite(t.hand).all() for t in outputs if t.ok)
    if whole or not all(t.ok for t in outputs):
        return tensors
    told = {"error": 0.0, "power": None, "blind": 1.0, "what": "an output is not finite"}
    return [t if t.ok or np.isfinite(t.error) else replace(t, **told) for t in tensors]


def exactly(name: str, hand: Array | None, other: Array | None) -> Tensor:
    """== for every entry. NaN equals nothing, −0 equals 0."""
    if (failure := _differ_in_kind(hand, other) or _finite_on_one_side(hand, other)) is not None:
        return Tensor(name, hand, other, float("inf"), 0.0, False, None, 1.0, failure)
    if hand is None or other is None:
        return Tensor(name, hand, other, 0.0, 0.0, True, None, 0.0)
    same = np.array_equal(hand, other)
    s = largest(hand)
    error = 0.0 if same else distance(hand, other) or float("inf")
    return Tensor(name, hand, other, error, 0.0, same, 2.0**-52 if s else None, 0.0)


def within(
    name: str, h32: Array | None, h64: Array | None, h80: Array | None, t32: Array | None, t64: Array | None,
    dtype: str, spread: Array | float = 0.0,
) -> Tensor:  # fmt: skip
    """The difference against the derived bound; `spread` is what a second look allows each entry beside it."""
    hand, other = (h32, _where_finite(h32, t32, t64)) if dtype == "float32" else (h64, t64)
    if (failure := _differ_in_kind(hand, other)) is not None:
        return Tensor(name, hand, other, float("inf"), 0.0, False, None, 1.0, failure)
    if hand is None or other is None or hand.dtype.kind != "f":
        return exactly(name, hand, other)
    bound = Runs(*(hand if a is None else a for a in (h32, h64, h80, t32, t64))).bound(dtype)
    if (failure := _finite_on_one_side(hand, other)) is not None:
        return Tensor(name, hand, other, float("inf"), bound, False, None, 1.0, failure)
    allowed = FACTOR * np.asarray(spread, dtype=float)
    if not allowed.ndim:  # one number for all entries: part of the bound
        bound, allowed = bound + float(allowed), np.zeros(())
    if not np.isfinite(hand).all() and not np.isfinite(hand).any():
        return Tensor(name, hand, other, 0.0, bound, False, None, 1.0, NOTHING)
    error = largest(np.maximum(difference(hand, other) - allowed, 0))  # ∞ − ∞ in the same places is none
    size, room = np.abs(hand), bound + allowed
    seen, there = np.count_nonzero(size > room), np.count_nonzero(hand)
    blind = 1 - seen / there if there else 0.0
    with np.errstate(all="ignore"):
        power = float(np.nanmin(room / (size if room.ndim else largest(size)))) if seen else None
    return Tensor(name, hand, other, error, bound, np.array_equal(hand, other), power, blind)


def _where_finite(h32: Array | None, t32: Array | None, t64: Array | None) -> Array | None:
    """torch's float32, but its float64 where only its own float32 overflows: a formula may be better than torch's."""
    if h32 is None or t32 is None or t64 is None or not h32.shape == t32.shape == t64.shape or t32.dtype.kind != "f":
        return t32
    lost = ~np.isfinite(t32) & np.isfinite(t64) & np.isfinite(h32)
    return np.where(lost, t64, t32).astype(t32.dtype) if lost.any() else t32


def _differ_in_kind(hand: Array | None, other: Array | None) -> str | None:
    """What is different before any number is: presence, shape, dtype."""
    if hand is None and other is None:
        return None
    if hand is None or other is None:
        return f"{'by hand' if hand is None else 'torch'} has none"
    if hand.shape != other.shape:
        return f"shape {hand.shape} by hand, {other.shape} in torch"
    if hand.dtype.kind != other.dtype.kind:
        return f"dtype {hand.dtype} by hand, {other.dtype} in torch"
    return None


def _finite_on_one_side(hand: Array | None, other: Array | None) -> str | None:
    """Where NaN or an infinity stands on one side only, if it does."""
    if hand is None or other is None or hand.dtype.kind != "f":
        return None
    if not (np.isfinite(hand).all() and np.isfinite(other).all()):
        for test, word in ((np.isnan, "NaN"), (np.isposinf, "+inf"), (np.isneginf, "-inf")):
            if (places := test(hand) != test(other)).any():
                i = tuple(map(int, np.argwhere(places)[0]))
                return f"{word} on one side only, at {i}: {hand[i]} by hand, {other[i]} in torch"
    return None
