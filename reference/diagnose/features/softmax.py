"""Softmax alone and inside attention: the formula that the right gradient follows, and others that yours may follow."""

import itertools
import math
from collections.abc import Iterator

import numpy as np

from manualbp.base import Array
from manualbp.elementary import softmax

from .seen import Finding, Found, Seen

Variant = tuple[str | None, str, Array, str]


def of_softmax(s: Seen) -> Found:
    """dx of a softmax, or of its logarithm, with a part of the Jacobian left out or along another axis."""
    x, dy = s.own, s.dy
    if x is None or dy is None or dy.shape != x.shape or not x.ndim or not s.comparable:
        return
    for axis in range(x.ndim):
        p = softmax(x, axis)
        for log in (False, True):
            if s.is_right(log_backward(p, dy, axis) if log else backward(p, dy, axis)):
                for fault, relation, value, text in variants(x, p, dy, axis, log):
                    if s.alike(value):
                        remedy = "" if fault else "dx = y(dy − Σ y dy)" if not log else "dx = dy − softmax(x) Σ dy"
                        yield Finding(relation, fault, 0.95 if fault else 0.85, "", text, remedy)
                return


def backward(p: Array, dy: Array, axis: int = -1) -> Array:
    return p * (dy - (p * dy).sum(axis, keepdims=True))


def log_backward(p: Array, dy: Array, axis: int = -1) -> Array:
    return dy - p * dy.sum(axis, keepdims=True)


def variants(x: Array, p: Array, dy: Array, axis: int, log: bool) -> Iterator[Variant]:
    """Wrong formulas with what they give."""
    yield from of_the_catalogue(x, p, dy, axis, log)
    yield from without_an_entry(p, dy, axis, log)
    if x.ndim == 2 and x.shape[0] == x.shape[1]:
        text = "The sum is subtracted along the other axis: it has lost its own (keepdims)."
        yield None, "yours = y(dy − (Σ y dy)ᵀ)", p * (dy - (p * dy).sum(axis, keepdims=True).T), text


def of_the_catalogue(x: Array, p: Array, dy: Array, axis: int, log: bool) -> Iterator[Variant]:
    """The Jacobian's diagonal alone, and sums along other axes."""
    f = log_backward if log else backward
    yield "C13", "yours = y(1 − y) dy, right = y(dy − Σ y dy)", p * (1 - p) * dy, ""
    yield "C13", "yours = (1 − softmax(x)) dy, right = dy − softmax(x) Σ dy", (1 - p) * dy, ""
    for other in (k for k in range(x.ndim) if k != axis):
        relation = f"yours sums along axis {other}, right along axis {axis}"
        yield "C15", relation, f(p, dy, other), ""
        yield "C15", relation, f(softmax(x, other), dy, other), ""
    yield "C15", "yours sums over all axes", p * (dy - (p * dy).sum()) if not log else dy - p * dy.sum(), ""


def without_an_entry(p: Array, dy: Array, axis: int, log: bool) -> Iterator[Variant]:
    """Terms and factors of y(dy − Σ y dy) that are left out or otherwise."""
    if log:
        yield from of_the_logarithm(p, dy, axis)
    missing, S = f"The sum of {'log-softmax' if log else 'softmax'}'s Jacobian is missing.", p * dy
    total, mean = S.sum(axis, keepdims=True), S.mean(axis, keepdims=True)
    yield None, "yours = y dy, without Σ y dy", S, missing
    yield None, "yours = dy, without softmax(x) Σ dy", dy, missing
    yield None, "yours = y(dy − Σ dy)", p * (dy - dy.sum(axis, keepdims=True)), "Σ y dy lacks the factor y."
    yield None, "yours = y(dy + Σ y dy)", p * (dy + total), "The sum has the wrong sign."
    yield None, "yours = y(dy − ⟨y dy⟩)", p * (dy - mean), "A mean stands for the sum."
    yield None, "yours = dy − Σ y dy", dy - total, "The factor y before the bracket is missing."
    if not log:
        text = "The gradient is that of the logarithm of softmax."
        yield None, "yours = dy − y Σ dy", log_backward(p, dy, axis), text


def of_the_logarithm(p: Array, dy: Array, axis: int) -> Iterator[Variant]:
    """Terms and factors of dy − softmax(x) Σ dy that are left out or otherwise."""
    total, mean = dy.sum(axis, keepdims=True), dy.mean(axis, keepdims=True)
    with np.errstate(divide="ignore"):
        y = np.log(p)
    text = "The gradient is that of softmax, not of its logarithm."
    yield None, "yours = y(dy − Σ y dy) with y = softmax(x)", backward(p, dy, axis), text
    yield None, "yours = dy − softmax(x)⟨dy⟩", dy - p * mean, "A mean stands for the sum."
    yield None, "yours = dy + softmax(x) Σ dy", dy + p * total, "The sum has the wrong sign."
    yield None, "yours = dy − y Σ dy", dy - y * total, "y stands in the place of softmax."
    yield None, "yours = dy − Σ dy", dy - total, "The factor softmax(x) of the sum is missing."
    yield None, "yours = dy − softmax(x)", dy - p, "The factor Σ dy of softmax(x) is missing, as if dy were one-hot."


class Attention:
    """P = softmax(q kᵀ c + m), y = P v, with the three roles and the mask found by trying."""

    def __init__(self, q: Array, k: Array, v: Array, hidden: Array | None, scale: float) -> None:
        self.q, self.k, self.v, self.hidden, self.c = q, k, v, hidden, scale
        self.P = self.weights(hidden)

    def weights(self, hidden: Array | None) -> Array:
        z = self.q @ self.k.swapaxes(-1, -2) * self.c
        if hidden is None:
            return softmax(z)
        nothing = hidden.all(-1, keepdims=True)  # a row that sees nothing sees all alike, as behind −10⁹
        return softmax(np.where(nothing, 0, np.where(hidden, -np.inf, z)))

    @property
    def y(self) -> Array:
        return self.P @ self.v

    def gradients(self, dz: Array, P: Array, dy: Array, c: float) -> dict[str, Array]:
        return {"q": c * dz @ self.k, "k": c * dz.swapaxes(-1, -2) @ self.q, "v": P.swapaxes(-1, -2) @ dy}

    def mistakes(self, dy: Array) -> Iterator[tuple[str | None, str, dict[str, Array], str]]:
        """Wrong formulas with the gradients by q, k and v that they give."""
        P, dP = self.P, dy @ self.v.swapaxes(-1, -2)
        dz = backward(P, dP)
        once, twice = (self.gradients(dz, P, dy, c) for c in (1.0, self.c * self.c))
        yield "G12", "your dq, dk = √d · right", once, ""
        yield "G12", "your dq, dk = right/√d", twice, "The scale 1/√d is multiplied in twice."
        if self.q.shape == self.k.shape:
            yield from self.mistakes_of_transposes(P, dz, dy)
        yield from self.mistakes_of_softmax(P, dP, dy)
        if self.hidden is not None:
            yield from self.mistakes_of_a_mask(P, dP, dy)

    def mistakes_of_transposes(self, P: Array, dz: Array, dy: Array) -> Iterator[tuple]:
        """What has the right shape where there are as many queries as keys."""
        c, right = self.c, self.gradients(dz, P, dy, self.c)
        yield "G13", "your dq = right dk, your dk = right dq", right | {"q": right["k"], "k": right["q"]}, ""
        yield "G13.transposed", "your dk = dz q/√d, right = dzᵀ q/√d", right | {"k": c * dz @ self.q}, ""
        other = right | {"q": c * dz.swapaxes(-1, -2) @ self.k}
        yield "G13.transposed", "your dq = dzᵀ k/√d, right = dz k/√d", other, "dq uses dzᵀ where it needs dz."
        yield None, "your dv = P dy, right = Pᵀ dy", right | {"v": P @ dy}, "P is not transposed in dv."

    def mistakes_of_softmax(self, P: Array, dP: Array, dy: Array) -> Iterator[tuple]:
        """Parts of softmax's Jacobian left out, or its sum along the other axis."""
        across = P * (dP - (P * dP).sum(-2, keepdims=True))
        for fault, relation, dz, text in (
            ("C13", "dz = P(1 − P) dP, right = P(dP − Σ P dP)", P * (1 - P) * dP, ""),
            (None, "dz = P dP, without Σ P dP", P * dP, "The sum of softmax's Jacobian is missing."),
            (None, "dz = dP, without softmax's Jacobian", dP, "Softmax's Jacobian is left out."),
            ("C15", "dz = P(dP − Σ P dP), summed over the queries", across, ""),
        ):
            yield fault, relation, self.gradients(dz, P, dy, self.c), text

    def mistakes_of_a_mask(self, P: Array, dP: Array, dy: Array) -> Iterator[tuple]:
        """The mask left out, or moved, in what the gradients use."""
        c, Q = self.c, self.weights(None)
        yield "G14", "yours uses weights without the mask", self.gradients(backward(Q, dP), Q, dy, c), ""
        told = "dz is not masked: yours uses weights without the mask for dz"
        yield "G14", told, self.gradients(backward(Q, dP), P, dy, c), ""
        for band, text in self.moved_masks():
            Q, dz = self.weights(band), backward(P, dP)
            yield "G15", "yours uses the mask moved by one", self.gradients(backward(Q, dP), Q, dy, c), text
            told = "dz is hidden by the mask moved by one"
            yield "G15", told, self.gradients(np.where(band, 0, dz), P, dy, c), text

    def moved_masks(self) -> Iterator[tuple[Array, str]]:
        """What causal masks hide that are off by one, and what it means."""
        for by, text in ((1, ""), (-1, "The causal mask hides every position from itself: it sees those before it.")):
            yield np.broadcast_to(np.triu(np.ones(self.P.shape[-2:], bool), 1 + by), self.P.shape), text


def attention(s: Seen) -> Found:
    """Scaled dot-product attention, whatever its inputs are called."""
    if s.dy is None or s.y is None or not (s.e.forward or s.own is not None) or not s.comparable:
        return
    if (found := attending(s)) is None:
        return
    names, a = found
    yield from _of_output(s, a) if s.e.forward else ()
    role = "qkv"[names.index(s.name)] if s.name in names else ""
    for fault, relation, grads, text in a.mistakes(s.dy) if role else ():
        if s.alike(grads[role]):
            remedy = "" if fault else "dz = P(dP − Σ P dP);  dq = dz k/√d,  dk = dzᵀ q/√d,  dv = Pᵀ dy"
            yield Finding(relation, fault, 0.95 if fault else 0.85, "", text, remedy)


def _of_output(s: Seen, a: Attention) -> Found:
    """An output with another mask."""
    for band, text in a.moved_masks() if a.hidden is not None else ():
        if s.alike(a.weights(band) @ a.v):
            yield Finding("yours uses the mask moved by one", "G15", 0.95, "", text)
    if a.hidden is not None and s.alike(a.weights(None) @ a.v):
        text, remedy = "The mask is left out.", "hide scores before the softmax: −∞ where the mask hides"
        yield Finding("yours uses weights without the mask", None, 0.9, "", text, remedy)


def attending(s: Seen) -> tuple[tuple[str, ...], Attention] | None:
    """Which inputs are q, k and v, if y is what attention makes of them."""
    assert s.y is not None
    arrays = {n: a for n, a in s.inputs.items() if a.ndim >= 2}
    for names in itertools.permutations(arrays, 3):
        q, k, v = (arrays[n] for n in names)
        if q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2] or not q.ndim == k.ndim == v.ndim:
            continue
        if (*q.shape[:-1], v.shape[-1]) != s.y.shape or q.shape[:-2] != k.shape[:-2]:
            continue
        shape = (*q.shape[:-1], k.shape[-2])
        for hidden, c in itertools.product(_masks(s, shape), (1 / math.sqrt(q.shape[-1]), 1.0)):
            with np.errstate(all="ignore"):
                a = Attention(q, k, v, hidden, c)
                if s.is_right_of(a.y, s.y):
                    return names, a
    return None


def _masks(s: Seen, shape: tuple[int, ...]) -> Iterator[Array | None]:
    yield None
    yield np.broadcast_to(np.triu(np.ones(shape[-2:], bool), 1), shape)
    for a in (s.whole | s.inputs).values():
        if a.ndim >= 1 and a.shape == shape[len(shape) - a.ndim :]:
            for hidden in (np.asarray(a) == 0, np.asarray(a) == 1, np.isneginf(np.asarray(a, float))):
                if hidden.any() and not hidden.all():
                    yield np.broadcast_to(hidden, shape)


FEATURES = (of_softmax, attention)
