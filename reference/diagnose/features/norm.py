"""Normalisation: the formula that the right gradient follows, found by trying, and others that yours may follow.

dx = r(g − ⟨g⟩ − x̂⟨g x̂⟩)    g = γ dy,  r = 1/√(σ² + ε),  x̂ = r(x − μ)
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from manualbp.base import Array

from ...compare.bound import distance
from .seen import Finding, Found, Seen, spread

EPS = (1e-5, 1e-8, 1e-6, 1e-12, 1e-3, 1e-7, 0.0)
LENGTH = "1/√n"  # γ of x/|x|, which is no normalisation by a variance
OF_MEAN = ("D01", "D03", "D04")  # mistakes with the mean
FEW = 4.0  # bounds within which the right formula must be known where what is wrong is faint
OF_FEW = ("D06", "D18")  # what may be faint: another ε, or n − 1 of many
OF_LENGTH = {"D02": "The length |x| is held constant: the term −x⟨x, dy⟩/|x|³ is missing.", "D06": "ε is added to |x|."}


@dataclass(frozen=True)
class Norm:
    """One way to normalise: the shape in which, the axes over which, ε, and whether the mean is taken off."""

    shape: tuple[int, ...]
    axes: tuple[int, ...]
    eps: float
    centred: bool = True
    interleaved: bool = False

    def parts(self, x: Array, g: Array) -> tuple[Array, Array, Array, Array]:
        """x − μ, r, x̂, g in the shape of the means."""
        x, g = (self.arranged(a) for a in (x, g))
        d = x - self.mean(x) if self.centred else x
        r = 1 / np.sqrt(self.mean(d * d) + self.eps)
        return d, r, d * r, g

    def arranged(self, a: Array) -> Array:
        if not self.interleaved:
            return a.reshape(self.shape)
        n, groups, each, *rest = self.shape
        return a.reshape(n, each, groups, *rest).swapaxes(1, 2)

    def mean(self, a: Array) -> Array:
        return a.mean(self.axes, keepdims=True)

    def dx(self, x: Array, g: Array) -> Array:
        _, r, xhat, g = self.parts(x, g)
        return (r * (g - self.centred * self.mean(g) - xhat * self.mean(g * xhat))).reshape(x.shape)


def ways(s: Seen, x: Array) -> Iterator[Norm]:
    """Layer, batch, instance, group and root-mean-square normalisation of an array of this shape."""
    n, shape = x.ndim, x.shape
    axes: list[tuple[tuple[int, ...], tuple[int, ...]]] = [(shape, tuple(range(n - k, n))) for k in range(1, n + 1)]
    if n > 1:
        axes += [(shape, tuple(i for i in range(n) if i != 1)), (shape, (0,))]
        if n > 2:
            axes += [(shape, tuple(range(2, n)))]
        for groups in (k for k in range(2, shape[1]) if shape[1] % k == 0):
            split = (shape[0], groups, shape[1] // groups, *shape[2:])
            axes += [(split, tuple(range(2, n + 1)))]
    given = tuple(v for k, v in s.e.numbers.items() if "eps" in k.lower() or "ε" in k)
    for (split, a), eps, centred in itertools.product(dict.fromkeys(axes), dict.fromkeys(given + EPS), (True, False)):
        yield Norm(split, a, eps, centred)


def recognised(s: Seen, x: Array, dy: Array) -> tuple[Norm, str, Array] | None:
    """The way that gives the right gradient, with the name and the values of γ."""
    scales = [("1", np.ones(()))] + [
        (n, u) for n, a in s.inputs.items() if n != s.name and a.ndim for u in spread(a, x.shape) if u.ndim
    ]
    found = []
    for way in ways(s, x):
        n = math.prod(way.shape[i] for i in way.axes)
        for name, gamma in scales if way.centred else [*scales, ("1/√n", np.asarray(n**-0.5))]:
            with np.errstate(all="ignore"):
                told = way.dx(x, gamma * dy)
            if s.is_right(told):
                found.append((distance(told, s.right), way, name, gamma))
    return min(found, key=lambda f: f[0])[1:] if found else None  # of two small ε the nearer


def normalisation(s: Seen) -> Found:
    """dx of a normalisation with a term, a factor or a statistic other than it should be."""
    x, dy = s.own, s.dy
    if x is None or dy is None or not s.comparable or dy.shape != x.shape or not x.ndim:
        return
    if (found := recognised(s, x, dy)) is None:
        yield from _evaluated(s, x, dy)
        return
    way, name, gamma = found
    if s.faint and distance(way.dx(x, gamma * dy), s.right) > FEW * s.e.bound:  # its ε is another
        return
    of_length = name == LENGTH and not way.eps
    for fault, relation, value, text in variants(s, way, x, dy, gamma):
        if (not way.centred and fault in OF_MEAN) or (s.faint and fault not in OF_FEW and "ε" not in text):
            continue
        if of_length:
            fault, text = None, OF_LENGTH.get(fault or "", text)
        if s.alike(value):
            remedy = "" if fault else "dx = r(g − ⟨g⟩ − x̂⟨g x̂⟩) with g = γ dy"
            if not way.centred:
                relation, remedy, text = map(_without_mean, (relation, remedy, text))
            yield Finding(relation, fault, 0.95 if fault else 0.85, f"γ is {name}", text, remedy)


def _without_mean(text: str) -> str:
    """A formula as it is where no mean is subtracted: μ and ⟨g⟩ are 0."""
    for term in (" − ⟨g⟩", " + ⟨g⟩", " − 2⟨g⟩", " − Σg", "⟨g⟩ and "):
        text = text.replace(term, "")
    return text.replace("(x − μ)", "x").replace("x − μ", "x")


def values(s: Seen) -> Found:
    """The output of a normalisation with another ε, divisor or mean than it should have."""
    if not s.e.forward or not s.comparable or not s.right.ndim:
        return
    for name, x in s.inputs.items():
        if x.shape != s.right.shape:
            continue
        for γ, β in _scales(s, name, x.shape):
            way = next((w for w in ways(s, x) if s.is_right((γ * w.parts(x, x)[2].reshape(x.shape)) + β)), None)
            for relation, xhat, text in _otherwise(s, way, x) if way else ():
                if s.alike(γ * xhat.reshape(x.shape) + β):
                    yield Finding(relation, None, 0.93, "", text, "write the forward that is meant")
            if way:
                return


def _scales(s: Seen, name: str, shape: tuple[int, ...]) -> Iterator[tuple[Array, Array]]:
    """Every γ and β that there may be."""
    vectors = [(n, u) for n, a in s.inputs.items() if n != name and a.ndim for u in spread(a, shape) if u.ndim]
    one, zero = np.ones(()), np.zeros(())
    yield one, zero
    for n, γ in vectors:
        yield γ, zero
        yield from ((γ, β) for m, β in vectors if m != n)


def _otherwise(s: Seen, way: Norm, x: Array) -> Iterator[tuple[str, Array, str]]:
    """x̂ by other formulas."""
    d, _, _, _ = way.parts(x, x)
    v, n = way.mean(d * d), d.size / way.mean(d).size
    for eps in EPS:
        text = f"ε is {eps:g} where it is {way.eps:g} in the function intended."
        yield f"your σ² + ε has ε = {eps:g}", d / np.sqrt(v + eps), text
    if n > 1:
        text = "The variance is divided by n − 1 where the function intended divides by n."
        for eps in dict.fromkeys((way.eps, 0.0)):
            yield "your σ² is Σ(x − μ)²/(n − 1)", d / np.sqrt(v * n / (n - 1) + eps), text
            yield "your σ is √(Σ(x − μ)²/(n − 1)) + ε", d / (np.sqrt(v * n / (n - 1)) + way.eps), text
    yield "your x̂ is (x − μ)/(σ + ε)", d / (np.sqrt(v) + way.eps), "ε is added to σ where it belongs to σ²."


def _evaluated(s: Seen, x: Array, dy: Array) -> Found:
    """Right is γ dy/√(v + ε) with a variance that was given; yours has the terms of one that is computed."""
    vectors = [(n, u) for n, a in s.inputs.items() if n != s.name and a.ndim for u in spread(a, x.shape) if u.ndim]
    for (n, v), (_, gamma) in itertools.product(vectors, [("1", np.ones(())), *vectors]):
        for eps in EPS:
            if (v > 0).all() and s.is_right(gamma * dy / np.sqrt(v + eps)):
                if any(s.alike(way.dx(x, gamma * dy)) for way in ways(s, x) if way.eps == eps):
                    yield Finding(f"yours = r(g − ⟨g⟩ − x̂⟨g x̂⟩), right = γ dy/√({n} + ε)", "D14.eval", 0.95)
                return


Variant = tuple[str | None, str, Array, str]


def variants(s: Seen, way: Norm, x: Array, dy: Array, gamma: Array) -> Iterator[Variant]:
    """Wrong formulas with what they give."""
    with np.errstate(all="ignore"):
        for fault, relation, value, text in (*_terms(way, x, gamma * dy), *_factors(way, x, gamma * dy)):
            yield fault, relation, value.reshape(x.shape), text
        if gamma.ndim:
            yield "D07", "yours = right for γ = 1", way.dx(x, dy), ""
            for _, relation, value, _ in _terms(way, x, dy):
                text = "γ is left out, and so is a part of the path through the statistics."
                yield "D07", f"{relation} and γ = 1", value.reshape(x.shape), text
        yield from _statistics(s, way, x, gamma * dy)


def _terms(way: Norm, x: Array, g: Array) -> Iterator[Variant]:
    _d, r, h, g = way.parts(x, g)
    m, v = way.centred * way.mean(g), h * way.mean(g * h)
    yield "D01", "yours = r(g − x̂⟨g x̂⟩), without ⟨g⟩", r * (g - v), ""
    yield "D02", "yours = r(g − ⟨g⟩), without x̂⟨g x̂⟩", r * (g - m), ""
    yield "D03", "yours = r g, without ⟨g⟩ and x̂⟨g x̂⟩", r * g, ""
    yield "D04", "yours = r(g − 2⟨g⟩ − x̂⟨g x̂⟩)", r * (g - 2 * m - v), ""
    told = "A term of dx has the wrong sign."
    yield None, "yours = r(g + ⟨g⟩ − x̂⟨g x̂⟩)", r * (g + m - v), told
    yield None, "yours = r(g − ⟨g⟩ + x̂⟨g x̂⟩)", r * (g - m + v), told
    yield None, "yours = r(g + ⟨g⟩ + x̂⟨g x̂⟩)", r * (g + m + v), told
    told = "The term of the variance has a factor 2 or ½ too many."
    yield None, "yours = r(g − ⟨g⟩ − 2x̂⟨g x̂⟩)", r * (g - m - 2 * v), told
    yield None, "yours = r(g − ⟨g⟩ − ½x̂⟨g x̂⟩)", r * (g - m - v / 2), told


def _factors(way: Norm, x: Array, g: Array) -> Iterator[Variant]:
    d, r, h, g = way.parts(x, g)
    m, v, n = way.centred * way.mean(g), h * way.mean(g * h), d.size / way.mean(d).size
    told = "x − μ stands in the place of x̂."
    yield None, "yours = r(g − ⟨g⟩ − (x − μ)⟨g (x − μ)⟩)", r * (g - m - d * way.mean(g * d)), told
    yield None, "yours = r(g − ⟨g⟩ − (x − μ)⟨g x̂⟩)", r * (g - m - d * way.mean(g * h)), told
    yield None, "yours = r(g − ⟨g⟩ − x̂⟨g (x − μ)⟩)", r * (g - m - h * way.mean(g * d)), told
    plain = way.arranged(x)
    yield None, "yours = r(g − ⟨g⟩ − x⟨g x⟩)", r * (g - m - plain * way.mean(g * plain)), "x stands in the place of x̂."
    yield None, "yours = g − ⟨g⟩ − x̂⟨g x̂⟩, without r", g - m - v, "The factor r = 1/σ is missing."
    yield None, "yours = (g − ⟨g⟩ − x̂⟨g x̂⟩)/r", (g - m - v) / r, "σ multiplies where it should divide."
    yield None, "yours = r²(g − ⟨g⟩ − x̂⟨g x̂⟩)", r * r * (g - m - v), "The factor r = 1/σ is there twice."
    yield None, "yours = r(g − Σg − x̂Σ(g x̂))", r * (g - n * m - n * v), "Sums stand in the place of means."
    yield None, "yours = n r(g − ⟨g⟩ − x̂⟨g x̂⟩)", n * r * (g - m - v), "The 1/n of the means is left out."
    if n > 1:
        told = "n − 1 stands in the place of n."
        yield "D18", "yours = r(g − ⟨g⟩ − x̂ Σ(g x̂)/(n − 1))", r * (g - m - v * n / (n - 1)), told
        s = 1 / np.sqrt(way.mean(d * d) * n / (n - 1) + way.eps)
        yield "D18", "yours = right with σ² divided by n − 1", s * (g - m - d * s * way.mean(g * d * s)), told
    sigma = np.sqrt(way.mean(d * d))
    s = 1 / (sigma + way.eps)
    yield "D06", "yours = right with 1/(σ + ε) for r", s * (g - m - d * s * way.mean(g * d * s)), ""


def _statistics(s: Seen, way: Norm, x: Array, g: Array) -> Iterator[Variant]:
    """Another ε, other axes, other groups, running statistics."""
    for eps in (e for e in EPS if e != way.eps):
        text = f"ε is {eps:g} where it is {way.eps:g} in the function intended."
        yield None, f"yours = right with ε = {eps:g}", replace(way, eps=eps).dx(x, g), text
    for other in ways(s, x):
        if other.eps == way.eps and other.centred == way.centred and (other.shape, other.axes) != (way.shape, way.axes):
            text = f"The statistics are taken over axes {', '.join(map(str, other.axes))}."
            yield None, f"yours = right with means over axes {other.axes} of {other.shape}", other.dx(x, g), text
            yield from _averaged_across(way, other, x, g)
    yield (
        None,
        "yours = right with the mean not taken off",
        replace(way, centred=not way.centred).dx(x, g),
        "μ is taken for 0.",
    )
    if len(way.shape) > x.ndim:
        yield "D17", "yours = right for interleaved groups", _by_stride(way, x, g), ""
    for n, var in s.inputs.items():
        for u in spread(var, x.shape):
            if u.ndim and (var > 0).all():
                yield "D14", f"yours = γ dy/√({n} + ε)", g / np.sqrt(u + way.eps), ""


def _averaged_across(way: Norm, other: Norm, x: Array, g: Array) -> Iterator[Variant]:
    """The statistics are right, the means of backward are over other axes."""
    if way.shape == other.shape == x.shape:
        _, r, h, _ = way.parts(x, g)
        told = f"backward averages over axes {', '.join(map(str, other.axes))}, forward over others."
        value = r * (g - way.centred * other.mean(g) - h * other.mean(g * h))
        yield None, f"yours = r(g − ⟨g⟩ − x̂⟨g x̂⟩) with ⟨⟩ over axes {other.axes}", value, told


def _by_stride(way: Norm, x: Array, g: Array) -> Array:
    other = replace(way, interleaved=True)
    _, r, h, g = other.parts(x, g)
    return (r * (g - other.mean(g) - h * other.mean(g * h))).swapaxes(1, 2).reshape(x.shape)


FEATURES = (normalisation, values)
