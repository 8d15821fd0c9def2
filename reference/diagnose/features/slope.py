"""Entry by entry: a slope of another function, at another place, twice or not at all."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache

import numpy as np

from manualbp.activation import GELU, Elementwise
from manualbp.base import Array, registry
from manualbp.elementary import sigmoid, softmax

from .functions import FUNCTIONS, entrywise
from .regions import covers, regions
from .seen import Finding, Found, Seen

MISTAKES = {  # what stands in the place of which activation's slope
    ("1 − x²", "Tanh"): "C02",
    ("1 − y", "Tanh"): "C04",
    ("x(1 − x)", "Sigmoid"): "C03",
    ("σ(x)", "SiLU"): "C09",
    ("the other GELU′(x)", "GELU"): "C10",
    ("Φ(x)", "GELU"): "C10.erf",
    ("the first term of GELU′(x)", "GELU"): "C10.erf",
}
ROOT, CUBE = (2 / np.pi) ** 0.5, 0.044715  # of GELU's tanh approximation, ½x(1 + tanh(√(2/π)(x + 0.044715x³)))
INNER: dict[str, Callable[[Array], Array]] = {  # what may stand for the derivative inside of tanh
    "1": np.ones_like,
    "√(2/π)": lambda x: np.full_like(x, ROOT),
    "1 + 3·0.044715x²": lambda x: 1 + 3 * CUBE * x * x,
    "√(2/π)(1 + 0.044715x²)": lambda x: ROOT * (1 + CUBE * x * x),
    "√(2/π)(1 + 2·0.044715x²)": lambda x: ROOT * (1 + 2 * CUBE * x * x),
}
ANY = {"f′(y)": "C20.slope", "f′(x)²": "B17"}  # and of any activation's
FACTORS = {"2": 2.0, "½": 0.5, "−": -1.0, "−2": -2.0, "√2 ": 2**0.5, "1/√2 ": 0.5**0.5, "3": 3.0, "10": 10.0}
STRAIGHT = 2  # slopes of an activation that has only straight pieces
MULTIPLES = ("1", "−{}", "2{}")  # of what is there already, or of nothing
OPTIONS = ("alpha", "α", "beta", "β", "a", "slope")  # names of numbers that an activation may have
CURVED = ("Tanh", "Sigmoid", "Softplus", "SiLU", "GELU")  # slopes that are no mere constants


@lru_cache(maxsize=16)
def activations(given: tuple[float, ...] = ()) -> tuple[Elementwise, ...]:
    """Every activation with its own options, and with numbers given in their places."""
    found = []
    for cls in sorted(registry(Elementwise).values(), key=lambda c: c.__name__ == "CELU"):  # ELU is what people know
        each = [{}, *({option: v} for option, values in cls.options.items() for v in (*values, *given))]
        for options in each:
            try:
                found.append(cls(**options))
            except (TypeError, ValueError):  # an option without a default, or one that takes no such number
                continue
    return tuple(dict.fromkeys(found))


def slope(f: Elementwise, x: Array) -> Array:
    return np.asarray(f.df(x, f.evaluate(x)[1]), float)


def identified(s: Seen, x: Array) -> Elementwise | None:
    """The activation of which y is the value at x."""
    given = tuple(v for n, v in s.e.numbers.items() if n.lower() in OPTIONS)
    return next((f for f in activations(given) if s.y is not None and s.is_right_of(s.y, f.f(x))), None)


def _entries(s: Seen) -> tuple[Array, Array, Array] | None:
    """x, y and dy of a function that acts entry by entry, as far as shapes tell."""
    x, y, dy = s.own, s.y, s.dy
    if x is None or y is None or dy is None or not s.comparable or not x.shape == y.shape == dy.shape:
        return None
    return x, y, dy


def other_slope(s: Seen) -> Found:
    """yours = dy ψ where right = dy f′: what ψ is."""
    if (entries := _entries(s)) is None:
        return
    x, y, dy = entries
    f = identified(s, x)
    right = f"{type(f).__name__}′(x)" if f else "another function"
    others = ((f"{g}′(x)", slope(g, x)) for g in activations() if g != f)
    for told, psi in itertools.chain(slopes(f, x, y), others):
        if not s.alike(dy * psi):
            continue
        fault = ANY.get(told) or MISTAKES.get((told, type(f).__name__))
        if not s.right.any() or at_kinks(s):  # `kind.through` and `support` say what that is
            continue
        if told == "1" and f is None and s.two_paths and s.body:
            text = f"The gradient is dy alone: {s.name} reaches the output by another path, too, which gives nothing."
            yield Finding("yours = dy, right = dy and another path", None, 0.9, "", text, "add what comes by that path")
        elif fault:
            yield Finding(f"yours = {told} · dy, right = {right} · dy", fault, 0.95)
        else:
            remedy = "differentiate the function that forward computes"
            text = f"The slope is taken to be {told}."
            relation = f"yours = {told} · dy, right = {right} · dy"
            yield Finding(relation, None, 0.8, "", text, remedy, everywhere=told.endswith("′(x)"))


def at_kinks(s: Seen) -> bool:
    """Is it wrong on kinks alone, where the formula of any piece may give what stands there?"""
    return not s.wrong.all() and any(r.kind == "kink" and covers(s, r) for r in regions(s))


def other_argument(s: Seen) -> Found:
    """f(c x) where f(x) is meant: an activation's value, or its gradient c f′(c x) dy, if no constant explains it."""
    if s.multiple is not None and not s.e.forward:
        return
    x = s.own if not s.e.forward else next((a for a in s.inputs.values() if a.shape == s.right.shape), None)
    if x is None or s.y is None or not s.comparable or s.y.shape != x.shape or (f := identified(s, x)) is None:
        return
    for told, c in FACTORS.items():
        if s.alike(f.f(c * x) if s.e.forward else c * slope(f, c * x) * (1 if s.dy is None else s.dy)):
            name = type(f).__name__
            text = f"The function is {name} of {told}x, not of x."
            yield Finding(f"{name}({told}x) stands for {name}(x)", None, 0.9, "", text, f"drop the factor {told}")


def sum_of_slopes(s: Seen) -> Found:
    """yours = dy (ψ + χ), as of a product rule with a factor lost in one term."""
    if (entries := _entries(s)) is None or s.right.size < 4 or not s.is_real or s.multiple is not None:
        return
    x, y, dy = entries
    if not dy.all():
        return
    named = [(told.format(n), g(a)) for a, n in ((x, "x"), (y, "y")) for told, g in FUNCTIONS.items()]
    terms = [(told, a) for told, a in named if np.isfinite(a).all()]
    if (yours := _sum(terms, s.yours / dy)) is None or "+" not in yours:
        return
    right = _sum(terms, s.right / dy)
    text = f"The slope is taken to be {yours}" + f" where it is {right}" * bool(right) + "."
    relation = f"yours = ({yours}) · dy" + f", right = ({right}) · dy" * bool(right)
    yield Finding(relation, None, 0.8, "", text, "apply the product rule term by term")


def _sum(terms: list[tuple[str, Array]], whole: Array) -> str | None:
    """One of these functions, or the first two, that give the whole."""
    values = np.stack([a for _, a in terms])
    room = 1e-9 * np.abs(whole).max()
    for rest, first in ((whole, ""), *((whole - a, told) for told, a in terms)):
        hits = np.flatnonzero((np.abs(values - rest) <= room).reshape(len(terms), -1).all(1))
        if hits.size:
            return " + ".join(filter(None, (first, terms[hits[0]][0])))
    return None


def slopes(f: Elementwise | None, x: Array, y: Array) -> Iterator[tuple[str, Array]]:
    """What may be taken for the slope of f."""
    if f is not None:
        right = slope(f, x)
        yield "f′(x)²", right * right
        if np.unique(right).size > STRAIGHT:  # of straight pieces it is [y < …], which has other reasons
            yield "f′(y)", slope(f, y)
        yield "1/f′(x)", 1 / right
        yield "x f′(x)", x * right
        yield "f(x) f′(x)", y * right
        yield "f′(−x)", slope(f, -x)
        if isinstance(f, GELU):
            yield "the other GELU′(x)", slope(f.replace(approximate="none" if f.approximate == "tanh" else "tanh"), x)
            yield from _of_gelu(x) if f.approximate == "tanh" else ()
    for a, n in ((x, "x"), (y, "y")):
        yield from ((told.format(n), g(a)) for told, g in FUNCTIONS.items())


def _of_gelu(x: Array) -> Iterator[tuple[str, Array]]:
    """Slopes of the tanh approximation in which something is lost."""
    t = np.tanh(ROOT * (x + CUBE * x**3))
    yield "the first term of GELU′(x)", (1 + t) / 2
    for told, inner in INNER.items():
        yield f"GELU′(x) with {told} for the inner √(2/π)(1 + 3·0.044715x²)", (1 + t + x * (1 - t * t) * inner(x)) / 2


def factor_by_entry(s: Seen) -> Found:
    """yours = φ(a) · right for an array known, or right/φ(a), where that is no constant."""
    if not s.comparable or s.right.size < 2 or s.multiple is not None:
        return
    for told, values in entrywise(s):
        if s.alike(s.right * values):
            fault = (
                "A09"
                if s.loss and told.startswith("σ(") and "(1 − σ" in told
                else "B17"
                if _is_slope(s, values)
                else None
            )
            text = "" if fault else f"Every entry has a factor too many: {told}."
            remedy = "" if fault else "look for a factor that is multiplied in twice, or should have cancelled"
            score = 0.9 if fault else 0.82 if told in s.known else 0.72 if told.startswith("1/") else 0.75
            yield Finding(f"yours = ({told}) · right", fault, score, "", text, remedy)
        elif s.yours.any() and s.right.any() and s.is_right(s.yours * values):
            fault = "A07" if told == "dy" else None
            text = "" if fault else f"A factor is missing in every entry: {told}."
            remedy = "" if fault else f"multiply by {told}"
            yield Finding(f"yours = right / ({told})", fault, 0.97 if fault else 0.75, "", text, remedy)


def slope_of_difference(s: Seen) -> Found:
    """A loss of x − t, or of x: yours = c · ψ(x − t) where right is no multiple of that."""
    if not s.loss or s.own is None or not s.comparable or s.multiple is not None:
        return
    others = {n: a for n, a in s.inputs.items() if n != s.name and a.shape == s.own.shape}
    yield from _of_cross_entropy(s, others)
    for d, told in [(s.own, s.name), *((s.own - a, f"({s.name} − {n})") for n, a in others.items())]:
        for symbol, psi in FUNCTIONS.items():
            c = s.constant(s.yours, psi(d)) if s.informative(psi(d)) else None
            if c is not None and symbol not in MULTIPLES:
                slope = symbol.format(told)
                text = f"The slope is taken to be proportional to {slope} everywhere."
                remedy = "every piece of the loss has a slope of its own"
                slope = f"({slope})" if " − " in slope.replace(told, "") else slope
                yield Finding(f"yours = c · {slope}", None, 0.7, f"c = {c:.6g}", text, remedy)


def _of_cross_entropy(s: Seen, others: Mapping[str, Array]) -> Found:
    """yours = c · (p − t), the probabilities less the targets, where the loss is another one."""
    assert s.own is not None
    each = {f"softmax({s.name})": softmax(s.own, -1) if s.own.ndim else s.own, f"σ({s.name})": sigmoid(s.own)}
    for (told, p), (n, t) in itertools.product(each.items(), others.items()):
        if s.informative(p - t) and (c := s.constant(s.yours, p - t)) is not None:
            text = f"The gradient is taken to be proportional to {told} − {n}, as that of the cross entropy is."
            remedy = "another loss leaves the slope of the softmax or sigmoid in its gradient"
            yield Finding(f"yours = c · ({told} − {n})", None, 0.78, f"c = {c:.6g}", text, remedy)


def _is_slope(s: Seen, values: Array) -> bool:
    """Is it the slope of a curved activation at an array known?"""
    curved = [f for f in activations() if type(f).__name__ in CURVED]
    return any(s.is_right_of(values, slope(f, a)) for f in curved for a in s.inputs.values() if a.shape == values.shape)


FEATURES = (other_slope, other_argument, sum_of_slopes, factor_by_entry, slope_of_difference)
