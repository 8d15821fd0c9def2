"""Products and sums of other factors than the right ones: transposed, of another array, of one sample or step only."""

import itertools
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from manualbp.base import Array

from .features import Finding, Found, Seen
from .features_slope import FUNCTIONS

MOST = 100_000  # entries of a product that is tried
SLOPES = ("1 − {}²", "{0}(1 − {0})", "[{} > 0]", "1 − {}")


class Product(NamedTuple):
    """A formula of the shape wanted, with its value and the names in it."""

    symbol: str
    value: Array
    names: tuple[str, ...]


def upstream(s: Seen) -> dict[str, Array]:
    """Gradients by what comes later: by the outputs, and the right ones by all else."""
    found = {n: a for n, a in s.known.items() if n not in s.inputs and n.startswith("dy") and a.ndim}
    return found | {f"d{n}": g for n, g in s.grads.items() if n != s.name and g.ndim}


def factors(s: Seen) -> dict[str, Array]:
    """Arrays that may be multiplied: inputs, outputs, upstream gradients, and these times a slope."""
    found = upstream(s)
    for n, d in list(found.items()):
        for m, a in s.known.items():
            if a.shape == d.shape and not m.startswith("dy") and a.ndim > 1:
                found |= {f"({n} ⊙ {f.format(m)})": d * FUNCTIONS[f](a) for f in SLOPES}
    return {n: a for n, a in (found | s.known).items() if a.ndim and a.size}


def as_matrix(a: Array) -> Array:
    """All but the last axis as rows."""
    return a.reshape(-1, a.shape[-1])


def products(s: Seen, pool: Mapping[str, Array], shape: tuple[int, ...]) -> Iterator[Product]:
    """Every product of two matrices of the pool, transposed or not, that has this shape."""
    wanted = (int(np.prod(shape[:-1])), shape[-1])
    matrices = [(n, as_matrix(a)) for n, a in pool.items()]
    turned = [(n, t, a.T if t else a) for n, a in matrices for t in (False, True)]
    for (n, t, a), (m, u, b) in itertools.product(turned, turned):
        if a.shape[1] == b.shape[0] and (a.shape[0], b.shape[1]) == wanted and a.size * wanted[1] <= MOST:
            yield Product(f"{n}{'ᵀ' * t} {m}{'ᵀ' * u}", (a @ b).reshape(shape), (n, m))
    if len(shape) > 2:
        stacks = [(n, a) for n, a in pool.items() if a.shape[:-2] == shape[:-2] and a.size * shape[-1] <= MOST]
        turned = [(n, t, a.swapaxes(-1, -2) if t else a) for n, a in stacks for t in (False, True)]
        for (n, t, a), (m, u, b) in itertools.product(turned, turned):
            if a.shape[-1] == b.shape[-2] and (a.shape[-2], b.shape[-1]) == shape[-2:]:
                yield Product(f"{n}{'ᵀ' * t} {m}{'ᵀ' * u}", a @ b, (n, m))


def product(s: Seen) -> Found:
    """yours = A B, with A and B other than right's."""
    if not s.comparable or s.right.ndim < 2:
        return
    pool = factors(s)
    all_of_it = list(products(s, pool, s.right.shape))
    right = next((p for p in all_of_it if s.is_right(p.value)), None)
    for p in all_of_it:
        if s.alike(p.value):
            yield from _other(s, p, right, all_of_it)
    for p in all_of_it:
        c = s.constant(s.residual, p.value) if s.multiple is None and s.yours.any() and s.informative(s.residual) else None
        if c is not None and any(f"d{n}" in p.names for n in s.grads):
            yield Finding(f"yours − right = {c:.6g} · {p.symbol}", "B07" if c < 0 and "dy" in p.names else None, 0.93, "",
                          "" if c < 0 else f"A multiple of {p.symbol} is too many.")  # fmt: skip
    yield from _of_one_part(s, pool, right)


def _other(s: Seen, p: Product, right: Product | None, others: list[Product]) -> Found:
    """What it means that yours = p."""
    if right is None:
        rest = next((q for q in others if s.is_right_of(s.right - s.yours, q.value)), None)
        if rest is not None:
            shared = s.name in p.symbol + rest.symbol  # one weight in two places
            first = any(n in s.inputs for n in p.names)
            fault = ("B09" if first else "F04") if shared else "F11"
            yield Finding(f"yours = {p.symbol}, right = {p.symbol} + {rest.symbol}", fault, 0.93)
        else:
            text = f"The gradient is computed as {p.symbol}."
            yield Finding(f"yours = {p.symbol}", None, 0.7, "", text, "compare with the formula of your derivation")
        return
    relation = f"yours = {p.symbol}, right = {right.symbol}"
    if set(p.names) == set(right.names):
        yield Finding(relation, "B01", 0.95 if s.name != "W" else 0.9)
    elif set(p.names) - set(right.names) == {"y"}:
        yield Finding(relation, "B11", 0.95)
    else:
        new, old = (" and ".join(sorted(a)) for a in (set(p.names) - set(right.names), set(right.names) - set(p.names)))
        twice = any(n.count("⊙") and f"({n} ⊙" in new for n in right.names)
        text = f"{new} stands where {old} should."
        if new.startswith("dh") and old == new.replace("dh", "dz"):
            text = "The slope of the activation is left out."
        yield Finding(relation, "B17" if twice else None, 0.8, "", "" if twice else text, f"use {old}")


def _of_one_part(s: Seen, pool: dict[str, Array], right: Product | None) -> Found:
    """The product over one sample or step, where right sums over all."""
    if right is None or len(right.names) != 2:
        return
    a, b = (pool[n] for n in right.names)
    for axis in range(min(a.ndim, b.ndim) - 1):
        if a.shape[axis] != b.shape[axis] or a.shape[axis] < 2:
            continue
        for i in (-1, 0):
            pair = {right.names[0]: np.take(a, [i], axis), right.names[1]: np.take(b, [i], axis)}
            if any(s.alike(p.value) for p in products(s, pair, s.right.shape) if p.symbol == right.symbol):
                which, over = ("first", "last")[i], "steps" if a.ndim > 2 and axis == a.ndim - 2 else "samples"
                text = f"Only the {which} of the {over} is counted." if over == "samples" else ""
                yield Finding(f"yours = {right.symbol} of the {which} along axis {axis}, right = the sum over all",
                              "G04" if over == "steps" else "B05", 0.93, "", text)  # fmt: skip


def reduction(s: Seen) -> Found:
    """A sum over other axes, or of another array, than right's."""
    if not s.comparable or s.right.ndim != 1 or s.right.size < 1:
        return
    everything = list(_reductions(s))
    right = next((symbol for symbol, how, a in everything if how == "sum" and s.is_right(a)), None)
    for symbol, how, a in everything:
        if s.alike(a):
            yield from _reduced(s, symbol, how, right)


def _reductions(s: Seen) -> Iterator[tuple[str, str, Array]]:
    """Σ a, the first, the last and others of a, for every array (and product of two) that ends in the right length."""
    n = s.right.size
    for symbol, a in _summands(s):
        for axis, length in enumerate(a.shape):
            if length != n or a.ndim < 2:
                continue
            rest = tuple(i for i in range(a.ndim) if i != axis)
            rows = np.moveaxis(a, axis, -1).reshape(-1, n)
            yield f"Σ {symbol}" + (f" over axes {_of(rest)}" if a.shape.count(n) > 1 else ""), "sum", rows.sum(0)
            yield f"the last row of {symbol}", "one", rows[-1]
            yield f"the first row of {symbol}", "one", rows[0]
            if a.ndim > 2:
                for k in rest[1:]:
                    one = np.take(np.moveaxis(a, axis, -1), 0, k - (k > axis))
                    yield f"Σ {symbol} at the first place of axis {k}", "place", one.reshape(-1, n).sum(0)
                places = np.moveaxis(a, axis, 1)[(slice(None), slice(None), *[0] * (a.ndim - 2))]
                yield f"Σ {symbol} at the first place", "place", places.sum(0)
        if a.ndim > 2 and a.size % n == 0:
            yield f"Σ {symbol} as if its last axis were the one", "axis", a.reshape(-1, n).sum(0)


def _of(axes: tuple[int, ...]) -> str:
    return ", ".join(map(str, axes))


def _summands(s: Seen) -> Iterator[tuple[str, Array]]:
    above = {n: a for n, a in factors(s).items() if n not in s.known or n.startswith("dy")}
    yield from above.items()
    for n, d in above.items():
        for m, a in s.known.items():
            if a.shape == d.shape and m not in above:
                yield f"{n} ⊙ {m}", d * a
                for k in range(1, a.ndim + 1) if a.ndim > 1 else ():
                    yield f"{n} ⊙ {m}̂", d * _normalised(a, tuple(range(a.ndim - k, a.ndim)))
                if a.ndim > 1:
                    yield f"{n} ⊙ {m}̂", d * _normalised(a, tuple(i for i in range(a.ndim) if i != 1))
                    yield f"{n} ⊙ {m}̂", d * _normalised(a, (0,))
                yield f"{n} ⊙ min({m}, 0)", d * np.minimum(a, 0)


def _normalised(a: Array, axes: tuple[int, ...], eps: float = 1e-5) -> Array:
    d = a - a.mean(axes, keepdims=True)
    return d / np.sqrt((d * d).mean(axes, keepdims=True) + eps)


def _reduced(s: Seen, symbol: str, how: str, right: str | None) -> Found:
    relation = f"yours = {symbol}, right = {right or 'a sum over more'}"
    dy_only = symbol.endswith(" dy") or (" dy " in symbol + " " and "⊙" not in symbol)
    if how == "axis":
        yield Finding(relation, "C12.axis" if "min(" in symbol else "D11", 0.95)
    elif how == "one":
        yield Finding(relation, "B05", 0.95 if dy_only else 0.85)
    elif how == "place":
        yield Finding(relation, "B06", 0.95)
    elif right and "̂" in right and "̂" not in symbol and "⊙" not in symbol:
        yield Finding(relation, "D09", 0.9)
    else:
        text = f"The gradient is {symbol}" + (f" where it is {right}." if right else ".")
        yield Finding(relation, None, 0.8, "", text, "compare with the formula of your derivation")


FEATURES = (product, reduction)
