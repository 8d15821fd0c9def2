"""yours − right is a multiple of something known: a term too many, or one that is missing."""

from collections.abc import Iterator

import numpy as np

from manualbp.base import Array
from manualbp.elementary import softmax

from .features import Finding, Found, Seen, spread
from .features_number import shown, spelled
from .features_slope import entrywise


def term(s: Seen) -> Found:
    """yours − right = c · a."""
    if not s.comparable or s.multiple is not None or (s.right.size > 3 and not s.informative(s.residual)):
        return
    for n, a in _terms(s):
        c = s.constant(s.residual, a)
        if c is not None:
            yield from _told(s, n, c)


def _terms(s: Seen) -> Iterator[tuple[str, Array]]:
    shape = s.right.shape
    for n, a in s.inputs.items():
        yield from ((n, np.broadcast_to(u, shape)) for u in spread(a, shape) if a.size > 1 or s.right.size == 1)
    if s.own is not None:
        yield f"sign {s.name}", np.sign(s.own)
    for n, a in (("dy", s.dy), ("y", s.y)):
        if a is not None and a.shape == shape and a.size > 1:
            yield n, a
    yield from ((f"right d{n}", g) for n, g in s.grads.items() if n != s.name and g.shape == shape and g.size > 1)
    if s.right.size > 1:
        yield "1", np.ones(shape)


def _told(s: Seen, n: str, c: float) -> Found:
    """What a multiple of this array means."""
    unit = {"1": 1.0, "-1": -1.0}.get(f"{c:.9g}")
    known = spelled(s, c)[:3] if unit is None else []
    of_dy = n == "dy"
    if of_dy and unit is not None:
        yield Finding(f"yours − right = {'' if unit > 0 else '−'}dy", "F12" if unit > 0 else "F11", 0.95)
        return
    for factor, note, bonus in [*((f.symbol, shown(s, f), 0.03) for f in known), (f"{c:.6g}", "", 0.0)]:
        relation = f"yours − right = {factor} · {n}"
        if n == s.name:
            yield Finding(relation, "B12" if c < 0 else "B14" if s.right.ndim < 2 else "B15", 0.88 + bonus, note)
            yield from _over_n(s, c)
        else:
            word = "too many" if c > 0 else "missing"
            text = f"A term proportional to {n} is too many or missing."
            remedy = f"look for a term in {n} that is {word}"
            yield Finding(relation, None, 0.6 + bonus, note, text, remedy)


def _over_n(s: Seen, c: float) -> Found:
    """λ/N where λ is right, or the other way round."""
    for n, v in s.e.numbers.items():
        if v > 1 and v == int(v):
            decay = abs(c) / (1 - 1 / v)
            yield Finding(f"yours − right = ±{decay:.6g}(1 − 1/{n}) · {s.name}", "B15", 0.9)


def term_by_entry(s: Seen) -> Found:
    """yours − right = c · dy · φ(a), entry by entry."""
    if not s.comparable or s.multiple is not None or s.dy is None or s.dy.shape != s.right.shape:
        return
    for symbol, values in entrywise(s):
        if "dy" in symbol:
            continue
        c = s.constant(s.residual, s.dy * values)
        if c is None:
            continue
        unit = abs(abs(c) - 1) < 1e-9
        symbol_c = ("−" if c < 0 else "") if unit else f"{c:.6g} · "
        text = f"A term {symbol} · dy is {'too many' if c > 0 else 'missing'}."
        remedy = "look for a path, or a term of the product rule, that is left out or counted twice"
        yield Finding(f"yours − right = {symbol_c}{symbol} · dy", None, 0.7 if unit else 0.6, "", text, remedy)


def of_targets(s: Seen) -> Found:
    """yours − right is a multiple of what the targets are: one-hot vectors, or these less 1/K."""
    if s.own is None or not s.comparable or (not s.loss and s.dy is None):
        return
    for n, t, axis in targets(s):
        counts = np.expand_dims(t, axis)
        classes = s.right.shape[axis]
        along = np.arange(classes).reshape([-1 if i == axis % s.right.ndim else 1 for i in range(s.right.ndim)])
        hot = (counts == along) * 1.0
        row = np.expand_dims(np.broadcast_to(s.dy if s.dy is not None else 1.0, t.shape), axis) if s.dy is None or s.dy.size in (1, t.size) else 1.0
        row = row * ((counts >= 0) & (counts < classes))
        if classes > 1 and (c := s.constant(s.residual, (hot - 1 / classes) * row)) is not None:
            fault = "A10" if c > 0 else "A11"
            yield Finding(f"yours − right ∝ {'' if c > 0 else '−'}(onehot({n}) − 1/K) · dy", fault, 0.93, f"K = {classes}")
        if (c := s.constant(s.residual, hot * row)) is not None:
            word = "not subtracted" if c > 0 else "subtracted twice"
            text = f"The 1 at the target is {word}."
            yield Finding(f"yours − right ∝ {'' if c > 0 else '−'}onehot({n}) · dy", None, 0.85, "", text,
                          "the gradient by the logits is softmax(x) − onehot(t)")  # fmt: skip
        if (c := s.constant(s.residual, softmax(s.own, axis) * row)) is not None:
            text = "The term of the probabilities, softmax(x), is missing or too many."
            yield Finding(f"yours − right ∝ {'' if c > 0 else '−'}softmax({s.name}) · dy", None, 0.85, "", text,
                          "the gradient by the logits is softmax(x) − onehot(t)")  # fmt: skip


def targets(s: Seen) -> Iterator[tuple[str, Array, int]]:
    """Arrays of class indices that fit the gradient, and the axis of the classes."""
    for n, t in s.whole.items():
        for axis in {1 if s.right.ndim > 1 else 0, -1}:
            if t.dtype.kind in "iu" and s.right.ndim == t.ndim + 1 and np.delete(s.right.shape, axis).tolist() == list(t.shape):
                yield n, t, axis


def constant_along(s: Seen) -> Found:
    """yours − right is the same along an axis: a mean, or a sum, that is left out or too many."""
    if not s.comparable or s.right.ndim < 2 or not s.informative(s.residual):
        return
    for axis, n in enumerate(s.right.shape):
        mean = s.residual.mean(axis, keepdims=True)
        rank_one = n > 2 and s.alike(s.right + mean)
        if rank_one and not np.allclose(mean, mean.ravel()[0]):
            text = f"A term that is the same for all entries along axis {axis}, as a mean is, is missing or too many."
            remedy = "look for a mean or a sum over that axis: through what else does the output depend on the input?"
            yield Finding(f"yours − right is constant along axis {axis}", None, 0.55, "", text, remedy)


FEATURES = (term, term_by_entry, of_targets, constant_along)
