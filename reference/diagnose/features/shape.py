"""Another shape than the right one: how yours comes from right, leads to it, or sums the same terms over other axes."""

import itertools
import math

import numpy as np

from .expressions import equal, shown, spelled
from .place import transposed
from .product import summands
from .seen import Finding, Found, Seen

MOST = 4  # axes of which every order is tried
SIMPLE = 2  # the cost of a factor of one size
Axes = tuple[int, ...]


def other_shape(s: Seen) -> Found:
    """The first of these ways in which yours and right are the same numbers."""
    if s.yours.shape == s.right.shape or not s.yours.size or not s.right.size:
        return
    ways = (reshaped, reordered, summed) if s.e.forward else WAYS
    yield from next((found for way in ways if (found := list(way(s)))), ())


def not_summed(s: Seen) -> Found:
    """A gradient that still has the axes along which its input was repeated."""
    for axes in subsets(s.yours.shape) if s.yours.size != s.right.size else ():
        total = s.yours.sum(axes)
        if total.size != s.right.size or not s.is_right(total.reshape(s.right.shape)):
            continue
        relation = f"right = yours summed over {over(axes)}"
        told = f"yours is {s.yours.shape}, right {s.right.shape}"
        text = "" if 0 in axes else f"The input was repeated along {over(axes)}; its gradient is not summed over it."
        fault, score = _of_parameter(s)
        if fault == "B06":
            text = f"{s.name} is used along {over(axes)} again and again; its gradient is not summed over it."
        yield Finding(relation, fault, score, told, text if fault in ("F06", "B06") else "")
        yield Finding(relation, "F06", 0.85, told, text)
        return


def _of_parameter(s: Seen) -> tuple[str, float]:
    """Which of the catalogue's mistakes it is, with a score."""
    dy, any_parameter = s.dy, ("F06", 0.9)
    if dy is None:
        return any_parameter
    if s.yours.shape == dy.shape:
        for x in s.inputs.values():
            if x.shape == dy.shape and s.alike(dy * np.minimum(x, 0)):
                return "C12", 0.96
    of_dy = any(s.alike(dy.sum(k)) for k in [(), *subsets(dy.shape)])
    if of_dy and any(a.ndim > 1 and n != s.name for n, a in s.inputs.items() if a.shape != dy.shape):
        return ("B03", 0.95) if s.yours.ndim == dy.ndim else ("B06", 0.95)
    return any_parameter


def reshaped(s: Seen) -> Found:
    """Right, or a multiple of it, with its numbers in their order."""
    a, b = s.yours, s.right
    for factor, what in _factors(s, a.reshape(b.shape), b) if a.size == b.size else ():
        numbers = f"{factor} times what they should be" if factor else "right"
        text = f"The numbers are {numbers}, but the shape is not that of the {_whose(s)}."
        remedy = "reshape at the end"
        if [n for n in a.shape if n != 1] == [n for n in b.shape if n != 1]:
            left = a.ndim > b.ndim
            axis = "left, as keepdims=True leaves it" if left else "lost, which keepdims=True keeps"
            text = f"The numbers are {numbers}, but an axis of length 1 is {axis}."
            remedy = f"sum with{'out' * left} keepdims=True, or reshape at the end"
        told = f"yours is {a.shape}, right {b.shape}{', ' * bool(what)}{what}"
        relation = f"yours = {factor}{' · ' * bool(factor)}right in another shape"
        yield Finding(relation, None, 0.85, told, text, remedy, "any input; compare the shapes")


def _whose(s: Seen) -> str:
    return "function intended" if s.e.forward else "input"


def _factors(s: Seen, yours: np.ndarray, right: np.ndarray) -> list[tuple[str, str]]:
    """The c with yours = c · right as expressions, each with the values of its symbols; "" for 1, [] for none."""
    c = s.constant(yours, right)
    if c is None or equal(s, c, 1.0):
        return [] if c is None else [("", "")]
    return [(f.symbol, shown(s, f)) for f in spelled(s, c) if f.cost <= SIMPLE] or [(f"{c:.6g}", "")]


def reordered(s: Seen) -> Found:
    """Right with its axes in another order."""
    n = s.right.ndim
    for order in itertools.permutations(range(n)) if s.yours.ndim == n and 1 < n <= MOST else ():
        if s.is_right(s.yours.transpose(order)):
            swapped = (*range(n - 2), n - 1, n - 2)
            text = "The numbers are right, but the axes are in another order."
            remedy = f"put them in the order of the {_whose(s)}"
            plain = Finding(f"right = yours.transpose{order}", None, 0.9, "", text, remedy)
            yield transposed() if order in (swapped, tuple(range(n))[::-1]) else plain
            return


def not_spread(s: Seen) -> Found:
    """Right is yours, or a multiple of it, repeated along axes that were summed up."""
    a, b = s.yours, s.right
    for axes in subsets(b.shape):
        kept = tuple(1 if i in axes else k for i, k in enumerate(b.shape))
        if a.size != math.prod(kept):
            continue
        for factor, what in _factors(s, np.broadcast_to(a.reshape(kept), b.shape), b):
            times = f"{factor} times " * bool(factor)
            text = f"It is not spread along {over(axes)} again: all that is summed there gets the gradient of the sum."
            relation = f"yours = {times}every slice of right along {over(axes)}"
            yield Finding(relation, None, 0.88, what, text, f"repeat it along {over(axes)}: np.broadcast_to")


def summed(s: Seen) -> Found:
    """Right summed or averaged over axes that the input has."""
    for axes in subsets(s.right.shape):
        for word, f in (("summed", np.sum), ("averaged", np.mean)):
            total = f(s.right, axes)
            if total.size == s.yours.size and s.is_right_of(total.reshape(s.yours.shape), s.yours):
                text = f"It is {word} over {over(axes)}, which the {_whose(s)} itself has."
                yield Finding(f"yours = right {word} over {over(axes)}", None, 0.8, "", text, "sum over fewer axes")


def of_another(s: Seen) -> Found:
    """The gradient of another input."""
    for n, g in s.grads.items():
        if n != s.name and s.is_right_of(g, s.yours):
            text = f"What was given for {s.name} is the gradient of {n}."
            remedy = "return gradients in the order of the inputs"
            yield Finding(f"your d{s.name} = right d{n}", None, 0.9, "", text, remedy)


def exchanged(s: Seen) -> Found:
    """Two gradients, each in the place of the other."""
    for n, g in s.grads.items():
        if n != s.name and n in s.given and s.is_right_of(g, s.yours) and s.is_right_of(s.right, s.given[n]):
            yield from of_another(s)
            return


def half_of_a_product(s: Seen) -> Found:
    """A vector where its outer product with another is right, as for a matrix times a vector."""
    if s.yours.ndim != 1 or s.right.ndim != 2:
        return
    for n, a in s.known.items():
        for order in ((s.yours, a), (a, s.yours)) if a.ndim == 1 and a.any() else ():
            if s.is_right(np.outer(*order)):
                text, remedy = f"The factor {n} is missing: every entry of the matrix meets one of {n}.", "np.outer"
                symbols = ("yours", n) if order[0] is s.yours else (n, "yours")
                yield Finding(f"right = outer({', '.join(symbols)})", None, 0.9, "", text, remedy)


def over_other_axes(s: Seen) -> Found:
    """Sums of the same terms over other axes than right's."""
    for told, terms in summands(s):
        sums = [(axes, terms.sum(axes)) for axes in subsets(terms.shape)]
        of_right = [(axes, t.reshape(s.right.shape)) for axes, t in sums if t.size == s.right.size]
        of_yours = [(axes, t.reshape(s.yours.shape)) for axes, t in sums if t.size == s.yours.size]
        wanted = next((axes for axes, t in of_right if s.is_right(t)), None)
        if wanted is None:
            continue
        for axes, total in of_yours:
            for word, t in (("summed", total), ("averaged", total * total.size / terms.size)):
                if axes != wanted and s.alike(t):
                    text = f"It is {word} over {over(axes)} of dy, where the sum over {over(wanted)} is wanted."
                    relation = f"yours = {told} {word} over {over(axes)}, right = summed over {over(wanted)}"
                    remedy = f"sum over the axes that {s.name} has not, {over(wanted)}"
                    yield Finding(relation, None, 0.9, "", text, remedy, "sizes that differ")
        return


def subsets(shape: tuple[int, ...]) -> list[Axes]:
    """All choices of axes that are longer than 1, and one of them at least."""
    long = [i for i, n in enumerate(shape) if n != 1]
    return [axes for k in range(1, len(long) + 1) for axes in itertools.combinations(long, k)]


def over(axes: Axes) -> str:
    """axis 0;  axes 0, 2 and 3"""
    *first, last = map(str, axes)
    return f"axes {', '.join(first)} and {last}" if first else f"axis {last}"


WAYS = (exchanged, not_summed, reshaped, reordered, not_spread, summed, of_another, half_of_a_product, over_other_axes)
FEATURES = (other_shape,)
