"""yours − right is a multiple of something known: a term too many, or one that is missing."""

import itertools
from collections.abc import Iterator

import numpy as np

from manualbp.base import Array
from manualbp.elementary import softmax

from .expressions import Expression, equal, numbers, shown, spelled
from .functions import entrywise
from .seen import Finding, Found, Seen, spread

LAID = 4  # entries that dy may be shorter than the gradient to be laid into it
REMEDY = "look for a path, or a term of the product rule, that is left out or counted twice"


def term(s: Seen) -> Found:
    """yours − right = c · a."""
    yield from _of_one_entry(s)
    if not s.comparable or s.multiple is not None or (s.right.size > 3 and not s.informative(s.residual)):
        return
    for n, a in _terms(s):
        c = s.constant(s.residual, a)
        if c is not None:
            yield from _of_dy(s, c) if n == "dy" and _is_one(c) else _told(s, n, c)
            if s.loss and s.scale != 1:  # a term of the loss has its dy, a decay has none
                yield from _told(s, n, c / s.scale, " · dy")


def _of_one_entry(s: Seen) -> Found:
    """A number has one factor in every trial: c times itself too many, or too few."""
    own = s.own
    if s.comparable and s.right.size == 1 and own is not None and own.any() and s.loss:
        c = float(s.residual.reshape(()) / own.reshape(()))
        relation = f"yours − right = {c:.6g} · {s.name}"
        yield Finding(relation, "B12" if c < 0 else "B14", 0.88, everywhere=True)


def _without_penalty(n: str) -> tuple[str, str]:
    """What is said of a multiple of a tensor that is missing in its gradient, and the remedy."""
    text = f"A multiple of {n} is missing, as where the gradient of a penalty ½λ {n}² is left out."
    return text, f"add the term in {n}"


def _terms(s: Seen) -> Iterator[tuple[str, Array]]:
    """Arrays of the shape of the gradient, or that broadcast to it."""
    shape = s.right.shape
    for n, a in s.inputs.items():
        if a.size > 1 or s.right.size == 1:
            yield from ((n, np.broadcast_to(u, shape)) for u in spread(a, shape))
    if s.own is not None:
        yield f"sign {s.name}", np.sign(s.own)
    if s.right.size > 1:
        found = {"dy": s.dy, "y": s.y, "1": np.ones(shape)} | {
            f"right d{n}": g for n, g in s.grads.items() if n != s.name
        }
        yield from ((n, a) for n, a in found.items() if a is not None and a.shape == shape)
        yield from _laid(s)


def _laid(s: Seen) -> Iterator[tuple[str, Array]]:
    """dy with zeros before and after it, where it is a little shorter along one axis."""
    dy, shape = s.dy, s.right.shape
    short = [] if dy is None or dy.ndim != len(shape) else [i for i, n in enumerate(shape) if n != dy.shape[i]]
    if dy is None or len(short) != 1 or not 0 < (free := shape[short[0]] - dy.shape[short[0]]) <= LAID:
        return
    for k in range(free + 1):
        yield f"dy moved by {k}", np.pad(dy, [(k, free - k) if i == short[0] else (0, 0) for i in range(dy.ndim)])


def _is_one(c: float) -> bool:
    return abs(abs(c) - 1) < 1e-9


def _of_dy(s: Seen, c: float) -> Found:
    """A path on which dy passes unchanged, as over the bridge of a residual block, where there is another one, too."""
    if not s.two_paths:
        if s.right.any():
            yield from _told(s, "dy", c)
        return
    text = f"dy itself is missing: {s.name} reaches the output by itself, too, as over the bridge of a residual block."
    yield Finding(f"yours − right = {'' if c > 0 else '−'}dy", "F12" if c > 0 else "F11", 0.95, "", text * (c < 0))


def _told(s: Seen, n: str, c: float, dy: str = "") -> Found:
    """What a multiple of this array means: weight decay, if it is the parameter itself. dy: what stands beside it."""
    known = [] if _is_one(c) else [(f.symbol, shown(s, f), 0.03, _of_counts(s, f)) for f in spelled(s, c)[:3]]
    for factor, note, bonus, counts in [*known, (f"{c:.6g}", "", 0.0, False)]:
        relation = f"yours − right = {factor} · {n}{dy}"
        if n == s.name and not (dy and counts):
            fault = "B12" if c < 0 else "B14" if s.right.ndim < 2 else "B15"
            yield Finding(relation, fault, 0.88 + bonus, note, *_without_penalty(n) * (c < 0))
        else:
            word = "too many" if c > 0 else "missing"
            other = "missing" if c > 0 else "too many"  # which, the sign of the difference alone does not tell
            text = f"A term proportional to {n} is {word}, or one of the other sign is {other}."
            remedy = f"look for a term in {n} that is {word}, or of the other sign and {other}"
            yield Finding(relation, None, 0.6 + bonus, note, text, remedy)
    for m, v in s.e.numbers.items() if n == s.name and s.right.size > 1 else ():
        if v > 1 and v == int(v) and _is_length(s, v):  # λ/N for λ, or λ for λ/N; λ is the same everywhere
            yield Finding(f"yours − right = ±{abs(c) / (1 - 1 / v):.6g}(1 − 1/{m}) · {n}{dy}", "B15", 0.9)


def _is_length(s: Seen, v: float) -> bool:
    """Is there an array of so many rows? A number that was chosen is no N."""
    arrays = [a for n, a in (s.known | s.whole).items() if n != s.name and a.ndim]
    return any(len(a) == v for a in arrays)


def _of_counts(s: Seen, form: Expression) -> bool:
    """Is the factor that of a mean, of how many entries there are, and nothing that was chosen?"""
    values = numbers(s)
    return bool(form.uses) and all(values[n] == int(values[n]) > 1 for n in form.uses)


def term_by_entry(s: Seen) -> Found:
    """yours − right = c · dy · φ(a), entry by entry."""
    dy = np.ones(s.right.shape) if s.loss else s.dy
    if not s.comparable or s.multiple is not None or dy is None or dy.shape != s.right.shape:
        return
    for told, values in entrywise(s):
        if "dy" in told or (s.loss and told.lstrip("−2") in s.known) or not s.informative(dy * values):
            continue  # of a loss a multiple of the array itself is `term`'s
        if (c := s.constant(s.residual, dy * values)) is not None:
            yield from _entrywise(s, told, c)


def _entrywise(s: Seen, told: str, c: float) -> Found:
    of_dy = " · dy" if s.scale != 1 else ""
    term, c = (told + of_dy, c / s.scale) if s.loss else (f"({told}) · dy", c)
    known = [(f.symbol, shown(s, f)) for f in spelled(s, c)[:2]] if s.loss and not _is_one(c) else []
    for factor, note in [*known, (f"{c:.6g}" if not _is_one(c) else "−" * (c < 0), "")]:
        text = f"A term {term} is {'too many' if c > 0 else 'missing'}."
        times = " · " * (factor not in ("", "−"))
        yield Finding(f"yours − right = {factor}{times}{term}", None, 0.7 if _is_one(c) else 0.6, note, text, REMEDY)


def of_targets(s: Seen) -> Found:
    """yours − right is a multiple of what the targets are, one-hot vectors, or of the probabilities."""
    if s.own is None or not s.comparable:
        return
    for n, t, axis in targets(s):
        k = s.right.shape[axis]
        hot = onehot(t, axis, s.right.shape)
        dy = s.dy.reshape(-1) if s.dy is not None and s.dy.size == t.size else np.full(t.size, s.scale)
        counts = np.expand_dims(dy.reshape(t.shape) * ((t >= 0) & (t < k)), axis)
        for told, a in (("(onehot − 1/K)", hot - 1 / k), ("onehot", hot), ("softmax", softmax(s.own, axis))):
            c = s.constant(s.residual, a * counts)
            if c is not None:
                counted = (1, t.size, len(t), np.count_nonzero(counts)) if t.ndim else (1,)
                whole = equal(s, abs(c), *(1 / m for m in counted if m))
                yield _of_target(told, n, c, k, whole)


def _of_target(told: str, n: str, c: float, k: int, whole: bool) -> Finding:
    """whole: is it off by the whole vector, not by a part of it?"""
    relation = f"yours − right ∝ {'' if c > 0 else '−'}{told} · dy"
    if told == "(onehot − 1/K)":
        return Finding(relation, "A10" if c > 0 else "A11", 0.93, f"K = {k}")
    remedy = f"the gradient by the logits is softmax(x) − onehot({n})"
    if told == "softmax":
        text = f"The probabilities, softmax(x), are {'counted twice' if c > 0 else 'missing'}."
    elif not whole:
        text = f"What is subtracted at the target is too {'small' if c > 0 else 'large'}."
        remedy = "look at the part of the target in each formula, as that of label smoothing"
    else:
        text = f"The 1 at the target is {'not subtracted' if c > 0 else 'subtracted twice'}: the one-hot vector."
    return Finding(relation, None, 0.85, "", text, remedy)


def targets(s: Seen) -> Iterator[tuple[str, Array, int]]:
    """Arrays of class indices that fit the gradient, and the axis of the classes."""
    for n, t in s.whole.items():
        if t.dtype.kind in "iu" and s.right.ndim == t.ndim + 1:
            axes = {1 if s.right.ndim > 1 else 0, s.right.ndim - 1}
            yield from ((n, t, i) for i in axes if s.right.shape[:i] + s.right.shape[i + 1 :] == t.shape)


def onehot(t: Array, axis: int, shape: tuple[int, ...]) -> Array:
    """1 where the index along the axis is t, else 0."""
    return (np.indices(shape)[axis] == np.expand_dims(t, axis)) * 1.0


def constant_along(s: Seen) -> Found:
    """yours − right is the same along an axis: a mean, or a sum, that is left out or too many."""
    if not s.comparable or s.right.ndim < 2 or not s.informative(s.residual):
        return
    for axis, n in enumerate(s.right.shape):
        mean = s.residual.mean(axis, keepdims=True)
        if n > 2 and s.alike(s.right + mean) and np.ptp(mean) > s.room(s.yours):
            text = f"A term that is the same for all entries along axis {axis}, as a mean is, is missing or too many."
            remedy = "look for a mean or a sum over that axis: through what else does the output depend on the input?"
            yield Finding(f"yours − right is constant along axis {axis}", None, 0.55, "", text, remedy)


def term_by_row(s: Seen) -> Found:
    """yours − right = c · a with a c of its own for every slice along an axis: what was summed over it stands still."""
    if not s.comparable or s.right.ndim < 2 or s.multiple is not None or not s.is_real:
        return
    known = {n: a for n, a in {**s.inputs, "y": s.y}.items() if a is not None and a.shape == s.right.shape}
    for (n, a), axis in itertools.product(known.items(), range(s.right.ndim)):
        square, length = (a * a).sum(axis, keepdims=True), s.right.shape[axis]
        if length < 3 or not square.all():
            continue
        c = (s.residual * a).sum(axis, keepdims=True) / square
        if np.ptp(c) > s.room(s.yours) and s.alike(s.right + c * a):
            text = f"A term in {n}, with one factor for each slice along axis {axis}, is missing or too many."
            remedy = "look at the derivative of the sum or norm over that axis: is it there, with its right factor?"
            yield Finding(f"yours − right = (one factor along axis {axis}) · {n}", None, 0.72, "", text, remedy)


FEATURES = (term, term_by_row, term_by_entry, of_targets, constant_along)
