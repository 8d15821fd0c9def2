"""Products and sums of other factors than the right ones: transposed, of another array, of one sample or step only."""

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from manualbp.base import Array

from .functions import FUNCTIONS
from .seen import Finding, Found, Seen

MOST = 100_000  # entries of a product that is tried
FEW = 16  # arrays at hand, above which slopes of one are not tried on the gradient by another: pairs of pairs
SLOPES = ("1 − {}²", "{0}(1 − {0})", "[{} > 0]", "1 − {}")
HAT = "\u0302"  # marks what is normalised


class Product(NamedTuple):
    """A formula of the shape wanted, with its value and the names in it."""

    symbol: str
    value: Array
    names: tuple[str, str]


def upstream(s: Seen) -> dict[str, Array]:
    """Gradients by what comes later: by the outputs, and the right ones by all else; and these times a slope."""
    found = {n: a for n, a in s.known.items() if n not in s.inputs and n.startswith("dy") and a.ndim}
    found |= {f"d{n}": g for n, g in s.grads.items() if n != s.name and g.ndim}
    for n, d in list(found.items()) if len(found) + len(s.inputs) <= FEW else ():
        for m, a in s.known.items():
            if a.shape == d.shape and not m.startswith("dy") and a.ndim > 1:
                found |= {f"({n} ⊙ {f.format(m)})": d * FUNCTIONS[f](a) for f in SLOPES}
    return found


def products(pool: Mapping[str, Array], shape: tuple[int, ...]) -> Iterator[Product]:
    """Every product of two matrices of the pool, transposed or not, that has this shape."""
    rows = [(n, a.reshape(-1, a.shape[-1])) for n, a in pool.items() if a.ndim and a.size]
    for p in _of_stacks(rows, (math.prod(shape[:-1]), shape[-1])):
        yield p._replace(value=p.value.reshape(shape))
    if len(shape) > 2:
        yield from _of_stacks([(n, a) for n, a in pool.items() if a.shape[:-2] == shape[:-2]], shape)


def _of_stacks(stacks: list[tuple[str, Array]], shape: tuple[int, ...]) -> Iterator[Product]:
    turned = [(n, "ᵀ" * t, a.swapaxes(-1, -2) if t else a) for n, a in stacks for t in (False, True)]
    for (n, t, a), (m, u, b) in itertools.product(turned, turned):
        fits = a.shape[-1] == b.shape[-2] and (a.shape[-2], b.shape[-1]) == shape[-2:]
        if fits and a.size * shape[-1] <= MOST:
            yield Product(f"{n}{t} {m}{u}", a @ b, (n, m))


def product(s: Seen) -> Found:
    """yours = A B, with A and B other than right's."""
    if not s.comparable or s.right.ndim < 2:
        return
    pool = s.known | upstream(s)
    tried = list(products(pool, s.right.shape))
    right = next((p for p in tried if s.is_right(p.value)), None)
    for p in (p for p in tried if s.alike(p.value)):
        yield from _instead(s, p, right) if right else _one_path(s, p, tried)
    yield from _too_many(s, tried)
    if right:
        yield from _of_one_part(s, pool, right)


def _instead(s: Seen, p: Product, right: Product) -> Found:
    """yours = p where right is another product."""
    relation = f"yours = {p.symbol}, right = {right.symbol}"
    new, old = (" and ".join(sorted(set(a) - set(b))) for a, b in ((p.names, right.names), (right.names, p.names)))
    if not new:
        if s.right.shape != s.right.T.shape or not s.alike(s.right.T):
            yield Finding(relation, "B01", 0.95)
    elif new == "y":
        yield Finding(relation, "B11", 0.95)
    elif any(f"({n} ⊙" in new for n in right.names if "⊙" in n):
        yield Finding(relation, "B17", 0.8)
    else:
        slope = new.startswith("dh") and old == "dz" + new[2:]
        stand = "stand" if " and " in new else "stands"
        text = "The slope of the activation is left out." if slope else f"{new} {stand} where {old} should."
        yield Finding(relation, None, 0.8, called(s, relation), text, f"use {old}")


def called(s: Seen, text: str) -> str:
    """What the names are that stand for what is between the layers (`replay.inside`)."""
    what = {"z": "what linear map {} gives", "h": "that behind its activation"}
    each = sorted(set(re.findall(r"\bd?([zh])(\d+)", text)), key=lambda pair: (pair[1], -ord(pair[0])))
    return ", ".join(f"{kind}{k}: {what[kind].format(k)}" for kind, k in each if kind + k not in s.given)


def _one_path(s: Seen, p: Product, tried: list[Product]) -> Found:
    """yours = p where right is no product: perhaps the sum of two."""
    rest = next((q for q in tried if s.is_right_of(-s.residual, q.value)), None)
    if (
        rest is not None and s.right.size > 1 and s.multiple is not None
    ):  # a second path that gives the same as the first is a factor
        return
    if rest is None:
        text = f"The gradient is computed as {p.symbol}."
        yield Finding(f"yours = {p.symbol}", None, 0.7, "", text, "compare with the formula of your derivation")
        return
    shared = s.name in p.symbol + rest.symbol  # one weight in two places
    first = any(n in s.inputs for n in p.names)
    fault = ("B09" if first else "F04") if shared else "F11"
    text = f"Of the two paths by which {s.name} reaches the output only one gives its gradient." * (fault == "F11")
    yield Finding(f"yours = {p.symbol}, right = {p.symbol} + {rest.symbol}", fault, 0.93, "", text)


def _too_many(s: Seen, tried: list[Product]) -> Found:
    """yours − right is a multiple of a product with the gradient of another parameter."""
    if s.multiple is not None or not s.yours.any() or not s.informative(s.residual):
        return
    gradients = {f"d{n}" for n in s.grads}
    for p in (p for p in tried if not gradients.isdisjoint(p.names)):
        c = s.constant(s.residual, p.value)
        if c is not None:
            updated = c < 0 and "dy" in p.names
            text = "" if updated else f"A multiple of {p.symbol} is {'too many' if c > 0 else 'missing'}."
            yield Finding(f"yours − right = {c:.6g} · {p.symbol}", "B07" if updated else None, 0.93, "", text)


def _of_one_part(s: Seen, pool: Mapping[str, Array], right: Product) -> Found:
    """The product over one sample or step, where right sums over all."""
    n, m = right.names
    a, b = pool[n], pool[m]
    for axis in range(min(a.ndim, b.ndim) - 1):
        if a.shape[axis] != b.shape[axis] or a.shape[axis] < 2:
            continue
        for i, which in ((0, "first"), (-1, "last")):
            pair = {n: np.take(a, [i], axis), m: np.take(b, [i], axis)}
            if any(s.alike(p.value) for p in products(pair, s.right.shape) if p.symbol == right.symbol):
                steps = a.ndim > 2 and axis == a.ndim - 2
                relation = f"yours = {right.symbol} of the {which} along axis {axis}, right = the sum over all"
                if steps:
                    yield _of_one_step(relation, which, axis)
                else:
                    yield Finding(relation, "B05", 0.93, "", f"Only the {which} of the samples is counted.")


def _of_one_step(relation: str, which: str, axis: int) -> Finding:
    """G04 if it is the first, which a loop over the steps comes to last on its way back."""
    text = f"Only the {which} along axis {axis} is counted where all are summed"
    text += ", as where a loop back over the steps writes dW = in place of dW +=" * (which == "first")
    return Finding(relation, "G04" if which == "first" else None, 0.93, "", text + ".", "add up what all contribute")


def reduction(s: Seen) -> Found:
    """A sum over other axes, or of another array, than right's."""
    if not s.comparable or s.right.ndim > 1:
        return
    parts = _parts if s.right.ndim else _whole
    tried = [(n, *part) for n, a in summands(s) for part in parts(a, s.right.size)]
    right = next(((n, over) for n, over, kind, a in tried if kind == "sum" and s.is_right(a)), ("", ""))
    for n, over, kind, a in tried:
        if (kind in ("sum", "all") or n == right[0]) and s.alike(a):
            yield _reduced(n, over, kind, *right)


def _parts(a: Array, n: int) -> Iterator[tuple[str, str, Array]]:
    """The sum over all axes but one of length n, and parts of that sum: what is summed, its kind, and its value."""
    for axis in (i for i, length in enumerate(a.shape) if length == n and a.ndim > 1):
        rows = np.moveaxis(a, axis, -1)
        yield f" over all axes but {axis}" * (a.shape.count(n) > 1), "sum", rows.reshape(-1, n).sum(0)
        yield " over all axes, the same for every entry", "all", np.full(n, a.sum())
        yield " of the last row", "one", rows.reshape(-1, n)[-1]
        yield " of the first row", "one", rows.reshape(-1, n)[0]
        for k in range(1, a.ndim - 1):
            yield " at the first place of an axis", "place", rows.take(0, k).reshape(-1, n).sum(0)
        if a.ndim > 2:
            yield " at the first place", "place", rows[(slice(None), *[0] * (a.ndim - 2))].sum(0)
    if a.ndim > 2 and a.size % n == 0:
        yield " as if its last axis were the one", "axis", a.reshape(-1, n).sum(0)


def _whole(a: Array, n: int) -> Iterator[tuple[str, str, Array]]:
    """The sum of all entries."""
    yield "", "sum", a.sum()


def summands(s: Seen) -> Iterator[tuple[str, Array]]:
    above = upstream(s)
    yield from above.items()
    for (n, d), (m, a) in itertools.product(above.items(), s.known.items()):
        if a.shape == d.shape and m not in above:
            yield f"{n} ⊙ {m}", d * a
            yield f"{n} ⊙ min({m}, 0)", d * np.minimum(a, 0)
            yield f"{n} ⊙ max({m}, 0)", d * np.maximum(a, 0)
            yield from ((f"{n} ⊙ {m}{HAT}", d * h) for h in _normalised(a))


def _normalised(a: Array) -> Iterator[Array]:
    """a with mean 0 and variance 1 over its last axes, over all but the channels, over the batch."""
    lasts = [tuple(range(k, a.ndim)) for k in range(a.ndim)]
    for axes in dict.fromkeys([*lasts, tuple(i for i in range(a.ndim) if i != 1), (0,)] if a.ndim > 1 else []):
        d = a - a.mean(axes, keepdims=True)
        yield d / np.sqrt((d * d).mean(axes, keepdims=True) + 1e-5)


def _reduced(n: str, over: str, kind: str, right: str, right_over: str) -> Finding:
    """What it means that yours is this sum."""
    relation = f"yours = Σ {n}{over}, right = " + (f"Σ {right}{right_over}" if right else "another sum")
    if kind == "axis":
        slope = "min(" in n
        text = "" if slope else "The sum is taken as if the channels were the last axis."
        return Finding(relation, "C12.axis" if slope else "D11", 0.95, "", text)
    if kind == "one":
        text = f"Only the {over.removeprefix(' of the ')} is counted where all are summed."
        return Finding(relation, "B05", 0.85 if "⊙" in n else 0.95, "", text)
    if kind == "place":
        return Finding(relation, "B06", 0.95)
    if HAT in right and "⊙" not in n:
        return Finding(relation, "D09", 0.9)
    text = f"The gradient is Σ {n}{over}" + f" where it is Σ {right}{right_over}" * bool(right) + "."
    return Finding(relation, None, 0.8, "", text, "compare with the formula of your derivation")


FEATURES = (product, reduction)
