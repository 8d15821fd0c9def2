"""Wrong at some entries only: what is special about them, and what stands there."""

import itertools
from typing import NamedTuple

import numpy as np

from manualbp.base import Array
from manualbp.elementary import softmax

from .expressions import equal, spelled
from .expressions import shown as note
from .regions import Region, covers, regions
from .seen import Finding, Found, Seen, near, spread

BENT = 1e-4  # how little a slope is off beyond a threshold of 20, where the curve goes on
BOUNDS = {"far": "is large", "near": "is small", "over": "is far above 0", "below": "is far below 0"}


class There(NamedTuple):
    """What stands at the wrong entries. dy only where it has the shape of the gradient."""

    yours: Array
    right: Array
    dy: Array | None


def support(s: Seen) -> Found:
    """Wrong in a region only, where yours is 0, dy, or a multiple of right."""
    if not s.comparable or s.wrong.all() or not s.wrong.any():
        return
    dy = s.dy[s.wrong] if s.dy is not None and s.dy.shape == s.right.shape else None
    there = There(s.yours[s.wrong], s.right[s.wrong], dy)
    for region in regions(s):
        if covers(s, region):
            yield from RULES.get(region.kind, _any)(s, region, there)


def _zero(s: Seen, r: Region, t: There) -> Found:
    """One of both is 0 there, the other dy (or as large as all that is not 0, where dy is one number). A kink is a
    point: where a mask is 0, or what a function gives, a whole side of it may be."""
    if _hidden_by(s, r):
        return
    if s.is_real and r.name.removesuffix(" = 0") in s.known.keys() - s.inputs.keys():
        yield from _masked(s, r, t)
        return
    passed = t.yours if not t.right.any() else t.right if not t.yours.any() else None
    if passed is None:
        return
    size = np.full(passed.shape, np.abs(s.right).max() or np.abs(s.yours).max())
    if s.constant(np.abs(passed), np.abs(t.dy if t.dy is not None else size)) is None:
        return
    distance = s.loss or any(a.shape == s.right.shape and n != s.name for n, a in s.inputs.items())
    one_sided = _one_sided(s, r)
    told = "dy" if t.dy is not None else "as large as elsewhere"
    which, rest = ("yours", "right") if passed is t.yours else ("right", "yours")
    signed = t.dy is None and bool((passed < 0).any())
    relation = f"where {r.name}, {which} is {told} and {rest} is 0; equal elsewhere"
    if (distance or signed) and not one_sided:
        yield Finding(relation, "C18", 0.94)
    elif one_sided and passed is t.yours:
        yield Finding(relation, "C05", 0.94)
    elif passed is t.right:
        text = f"The slope where {r.name} is taken as 0, and it is not 0 there."
        yield Finding(relation, None, 0.9, "", text, "look at what excludes that value, as > does where ≥ is meant")
    else:
        text = f"The slope where {r.name} is taken as that of a piece beside it, and it is 0 there."
        yield Finding(relation, None, 0.9, "", text, "look at what includes that value, as ≥ does where > is meant")


def _hidden_by(s: Seen, r: Region) -> bool:
    """Is it where a mask, which is 0 or 1, is 0?"""
    each = {n: m for n, m in (s.whole | s.inputs).items() if n != s.name and m.shape == r.mask.shape}
    return any(np.isin(m, (0, 1)).all() and np.array_equal(m == 0, r.mask) for m in each.values())


def _one_sided(s: Seen, r: Region) -> bool:
    """Is right 0 on one side of what is 0 in the region, as behind a ReLU, and not behind |d|?"""
    alike = [a for n, a in s.known.items() if a.shape == s.right.shape and not n.startswith("dy")]
    each = [*alike, *(a - b for a, b in itertools.combinations(alike, 2))]
    return any(
        np.array_equal(d == 0, r.mask) and s.right.any() and not (s.right[d > 0].any() and s.right[d < 0].any())
        for d in each
    )


def _kink(s: Seen, r: Region, t: There) -> Found:
    for a, b in ((t.yours, t.right), (t.right, t.yours)) if t.dy is not None else ():
        if not a.any() and s.constant(b, t.dy):
            relation = f"where {r.name}, one of yours and right is 0, the other not; equal elsewhere"
            text = "" if t.yours.any() else "The slope at a kink is taken as 0, where it is that of a piece beside it."
            remedy = text and "a defensible choice; the function intended makes another"
            yield Finding(relation, "C17", 0.94, "", text, remedy)


def _half(s: Seen, r: Region, t: There) -> Found:
    """One side of 0."""
    c = s.constant(t.yours - t.right, t.dy) if t.dy is not None and s.right[~r.mask].any() else None
    if not t.yours.any():
        negative = r.kind == "negative"
        text = "" if negative else "One side of 0 gets no gradient."
        yield Finding(f"yours = 0 where {r.name}, right is not", "C07" if negative else None, 0.92, "", text)
    elif c is not None and (b := _slope(s, t)) is not None:  # a straight piece
        a = b + c
        text = f"The slope where {r.name} is taken to be {a:.6g} where it is {b:.6g}."
        yield Finding(f"yours = {a:.6g} · dy where {r.name}, right = {b:.6g} · dy", None, 0.9 * (a != 0), "", text)
    elif c is not None and (s.wrong.sum() > 1 or abs(c + 1) < 1e-9):
        yield Finding(f"yours − right = {c:.6g} · dy where {r.name}", "C08", 0.92)
    else:
        yield from _any(s, r, t)


def _slope(s: Seen, t: There) -> float | None:
    """The one slope that there is."""
    return None if t.dy is None else s.constant(t.right, t.dy) if t.right.any() else 0.0


def _large(s: Seen, r: Region, t: There) -> Found:
    """Beyond a threshold, where the curve goes on all but straight."""
    if t.dy is not None and s.is_right_of(t.right, t.dy) and near(t.yours, t.right, BENT):
        yield Finding(f"yours differs where {r.name} only", "C11", 0.93)
    else:
        yield from _any(s, r, t)


def _ignored(s: Seen, r: Region, t: There) -> Found:
    """A whole row; what smoothing leaves there is even, or the probabilities less 1/K."""
    if t.right.any():
        return
    axis = 1 if s.right.ndim > 1 else 0
    at = np.where(s.wrong, s.yours, 0)
    p = softmax(s.own if s.own is not None else at, axis) - 1 / s.right.shape[axis]
    even = any(_proportional(at, np.where(s.wrong, u, 0), axis) for u in (np.ones_like(at), p))
    yield Finding(f"yours is not 0 where {r.name}", "A16" if even else "A15", 0.95 if even else 0.93)


def _proportional(a: Array, b: Array, axis: int) -> bool:
    """Is a a multiple of b, of its own along each line?"""
    c = (a * b).sum(axis, keepdims=True) / np.maximum((b * b).sum(axis, keepdims=True), 1e-300)
    return bool(np.allclose(a, c * b, rtol=0, atol=1e-9 * np.abs(a).max()))


def _target(s: Seen, r: Region, t: There) -> Found:
    """Targets of one kind only have a factor: a weight known, or a number."""
    if not s.right[~r.mask].any():
        return
    for n, w in s.inputs.items():
        if n != s.name and any(s.alike(np.where(r.mask, s.right * u, s.right)) for u in spread(w, s.right.shape)):
            yield Finding(f"yours = {n} · right where {r.name}", "A22", 0.96)
    if (c := s.constant(t.yours, t.right)) is not None:
        each = [(f.symbol, note(s, f), 0.9) for f in spelled(s, c)[:3]]
        for symbol, told, score in [*each, (f"{c:.6g}", "", 0.8)]:
            yield Finding(f"yours = {symbol} · right where {r.name}", "A22", score, told)


def _repeated(s: Seen, r: Region, t: There) -> Found:
    width = s.right.shape[-1]
    dy = s.dy.reshape(-1, width) if s.dy is not None and s.dy.shape[-1:] == (width,) else np.zeros((0, width))
    rows = s.yours.reshape(-1, width)[s.wrong.reshape(-1, width).any(-1)]
    one = all(np.isclose(dy, row).all(-1).any() for row in rows)
    relation = f"yours differs where {r.name}" + ": each is one row of dy" * one
    if one:
        yield Finding(relation, "F01", 0.96)
        return
    text = f"What is wrong is wrong where {r.name}, and nowhere else."
    yield Finding(relation, None, 0.85, "", text, "what comes by each of the equal indices adds up, as np.add.at does")


def _padding(s: Seen, r: Region, t: There) -> Found:
    yield Finding(f"yours is not 0 where {r.name}", "F02", 0.95)


def _masked(s: Seen, r: Region, t: There) -> Found:
    if not t.right.any():
        text = "" if _matrices(s) else f"The gradient is not 0 where {r.name}, as it should be."
        yield Finding(f"yours is not 0 where {r.name}", "G14" if _matrices(s) else None, 0.85, "", text, "mask it, too")


def _edge(s: Seen, r: Region, t: There) -> Found:
    """At an end, or at both."""
    pooled = s.pooled
    c = s.constant(t.yours, t.right) if pooled and s.informative(t.right) else None
    if c:
        yield Finding(f"yours = {c:.6g} · right {r.name}", "E17" if r.kind == "tail" else "E16", 0.85)
    elif (s.wrong.sum() > 2 or s.is_real) and not t.yours.any():
        few = s.wrong.sum() < 3  # which may lie there by chance
        yield Finding(f"yours = 0 {r.name}", None, 0.7, "", "There is no gradient " + r.name + ".",
                      "look for a loop or a slice that ends too early", everywhere=few)  # fmt: skip


def _diagonal(s: Seen, r: Region, t: There) -> Found:
    if s.wrong.sum() > 2 and (not t.right.any() or not t.yours.any()):
        told = f"is {'not ' * bool(t.yours.any())}0 {r.name}"
        text = "" if _matrices(s) else f"The gradient {told}, where it should {'not ' * bool(t.right.any())}be."
        remedy = "" if _matrices(s) else "look at which triangle is kept, and whether the diagonal belongs to it"
        yield Finding(f"yours {told}", "G15" if _matrices(s) else None, 0.85, "", text, remedy)
        return
    c = s.constant(t.yours, t.right) if s.informative(t.right) else None
    if c is not None and s.wrong.sum() > 2:
        text = f"{r.name.capitalize()} the gradient is {c:.6g} times what it should be, elsewhere it is right."
        remedy = "look at how entries that stand for one another, as of a symmetric matrix, are counted"
        yield Finding(f"yours = {c:.6g} · right {r.name}", None, 0.8, "", text, remedy)


def _matrices(s: Seen) -> bool:
    """Queries, keys and values at least, as in attention."""
    return sum(a.ndim > 1 for a in s.inputs.values()) > 2


def _any(s: Seen, r: Region, t: There) -> Found:
    """0, or a constant if it has a name."""
    if s.wrong.sum() > 2 and not t.yours.any():
        text = f"There is no gradient where {r.name}."
        yield Finding(
            f"yours = 0 where {r.name}", None, 0.75, "", text, "look for a mask or an index that goes too far"
        )
    if t.dy is not None and s.right[~r.mask].any() and s.is_right_of(t.yours * t.dy, t.right):
        text = f"Where {r.name} the upstream gradient is left out."
        yield Finding(f"yours = right / dy where {r.name}", None, 0.85, "", text, "multiply by dy there, too")
    c = s.constant(t.yours, t.right) if s.informative(t.right) else None
    for form in spelled(s, c)[:2] if c is not None else ():
        text = f"Where {r.name} the gradient is {form.symbol} times what it should be, elsewhere it is right."
        yield Finding(f"yours = {form.symbol} · right where {r.name}", None, 0.7, note(s, form), text)


def _beyond(s: Seen, r: Region, t: There) -> Found:
    """Beyond a bound, which is another number in every trial: a factor, or the other side's mask."""
    what, sign, bound = r.name.partition(" ≥ " if " ≥ " in r.name else " ≤ ")
    where = f"{what} {BOUNDS[r.kind]}"
    shown = f"{what}{sign}{bound}"
    c = s.constant(t.yours, t.right) if t.right.any() and s.right[~r.mask].any() else None
    if c is None or not ((s.is_real and s.informative(t.right)) or equal(s, c, -1)):
        return
    if equal(s, c, -1):
        text = f"Where {where} the gradient has the other sign: the sign of {what} is left out, or the branch is wrong."
        yield Finding(f"yours = −right where {where}", None, 0.8, shown, text, "the slope of |d| is the sign of d")
        return
    known = spelled(s, c)[:2]
    factors = [(f.symbol, f", {values}" if (values := note(s, f)) else "") for f in known]
    factors += [(f"{c:.6g}", "")] * all(f.uses for f in known)
    for symbol, told in factors:
        text = f"Where {where} the gradient is {symbol} times what it should be, elsewhere it is right."
        yield Finding(f"yours = {symbol} · right where {where}", None, 0.7, shown + told, text, "look at that branch")


RULES = {
    "zero": _zero, "kink": _kink, "negative": _half, "positive": _half, "large": _large, "ignored": _ignored,
    "target": _target, "repeated": _repeated, "padding": _padding, "masked": _masked, "tail": _edge, "head": _edge,
    "border": _edge, "diagonal": _diagonal, **dict.fromkeys(BOUNDS, _beyond),
}  # fmt: skip


def dropped(s: Seen) -> Found:
    """yours and right are both dy times a mask and one factor, but the masks differ, or the factors."""
    if not s.comparable or s.dy is None or s.dy.shape != s.right.shape or not s.dy.all():
        return
    yours, right = (np.round(q / s.dy, 9) for q in (s.yours, s.right))
    factors = [np.unique(q[q != 0]) for q in (yours, right)]
    if any(f.size != 1 for f in factors) or right.all() or (s.own is not None and _is_interval(s.own, right != 0)):
        return
    (a,), (b,) = factors
    if ((yours != 0) == (right == 0)).all() and a == b:
        text = "The mask is turned round: what was kept gets no gradient, and what was dropped gets it."
        yield Finding("yours is 0 where right is not, and the other way round", None, 0.96, "", text)
    elif (yours != 0).tolist() != (right != 0).tolist():
        if a == b != 1 and not yours.all():
            yield Finding("yours is 0 at other places than right", "G19", 0.95)
    elif a == 1 != b:
        yield Finding("yours = (1 − p) · right", "G18", 0.95, f"p = {1 - 1 / b:.4g}")
    elif b != 1 and abs(a - b * b) < 1e-8:
        yield Finding("yours = right / (1 − p)", "G18.twice", 0.95, f"p = {1 - 1 / b:.4g}")


def masks(s: Seen) -> Found:
    """yours and right are both dy, or 0, times one factor, but not at the same places."""
    if not s.comparable or s.dy is None or s.dy.shape != s.right.shape or not s.dy.all() or s.right.size < 4:
        return
    yours, right = (np.round(q / s.dy, 9) for q in (s.yours, s.right))
    factors = [np.unique(q[q != 0]) for q in (yours, right)]
    if any(f.size != 1 for f in factors) or factors[0][0] != factors[1][0] or (right == 0).all() or (yours == 0).all():
        return
    more, less = int(((yours != 0) & (right == 0)).sum()), int(((yours == 0) & (right != 0)).sum())
    if more + less:
        each = (more, "it lets through what it should stop"), (less, "it stops what it should let through")
        told = " and ".join(text for count, text in each if count) + _side(s)
        remedy = "compare the condition with that of forward: which side, which bound, strict or not"
        relation, text = "yours and right are dy behind different masks", f"The mask is another: {told}."
        yield Finding(relation, None, 0.4, "", text, remedy)


def _side(s: Seen) -> str:
    """On which side of all others the wrong entries of an activation lie."""
    if s.own is None or s.own.shape != s.right.shape or not s.is_real:
        return ""
    wrong, rest = s.own[s.wrong], s.own[~s.wrong]
    if not wrong.size or not rest.size:
        return ""
    each = (wrong.min() > rest.max(), "large"), (wrong.max() < rest.min(), "small")
    return "".join(f", where {s.name} is {size}" for holds, size in each if holds)


def exchanged(s: Seen) -> Found:
    """Two slopes, each where the other belongs, as of a condition that is turned round."""
    if not s.comparable or s.dy is None or s.dy.shape != s.right.shape or not s.dy.all() or s.right.size < 4:
        return
    slopes = np.round(s.right / s.dy, 9)
    each = np.unique(slopes)
    if each.size == 2 and s.alike((each.sum() - slopes) * s.dy):
        a, b = each
        text = "Two slopes change places: each is taken where the other belongs."
        remedy = "the condition is turned round, or the two branches of np.where are"
        yield Finding("yours = a · dy where right = b · dy, and b · dy where right = a · dy", None, 0.85,
                      f"a = {a:.6g}, b = {b:.6g}", text, remedy)  # fmt: skip


def _is_interval(x: Array, kept: Array) -> bool:
    """Does the size of x decide what is kept, as in an activation?"""
    inside = x[kept]
    return not inside.size or not ((x >= inside.min()) & (x <= inside.max()) & ~kept).any()


def ties(s: Seen) -> Found:
    """A maximum that occurs several times: who gets the gradient?"""
    x, y, dy = s.own, s.y, s.dy
    if not s.comparable or x is None or y is None or dy is None or not 0 < y.size < x.size or s.wrong.all():
        return
    values, counts = np.unique(x, return_counts=True)
    chosen = np.isin(y, x).all() and np.isin(x[s.right != 0], y).all()
    if not chosen or not np.isin(x[s.wrong], values[counts > 1]).all():
        return
    if not s.right[s.wrong].any() and np.isin(s.yours[s.wrong], dy).all():
        yield Finding("among equal entries several get all of dy: Σ yours ≠ Σ right", "E12", 0.85)
    elif abs(s.residual.sum()) <= 1e-9 * np.abs(s.right).sum():
        yours, right = (np.flatnonzero(s.wrong & (g != 0)) for g in (s.yours, s.right))
        moved = np.isin(s.yours.flat[yours], dy).all()
        relation = "Σ yours = Σ right, but at other places among equal entries"
        if moved and np.isin(s.right.flat[right], dy).all():
            if yours.size == right.size and (yours > right).all():
                yield Finding(relation, "E13.last", 0.85)
                return
            text = "In a tie another one of the equal entries gets the gradient than in the function intended."
            yield Finding(relation, None, 0.85, "", text, "a defensible choice: either is a subgradient")
        elif moved:
            text = "In a tie one of the maxima gets all of the gradient, where the function intended shares it."
            remedy = "a defensible choice; amax shares evenly, max with an axis gives all to one"
            yield Finding(relation, None, 0.85, "", text, remedy)
        else:
            yield Finding(relation, "E13.even", 0.85)


FEATURES = (support, dropped, masks, exchanged, ties)
