"""Entry by entry: a slope of another function, at another place, twice or not at all."""

import itertools
from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np

from manualbp.activation import Elementwise
from manualbp.base import Array, registry
from manualbp.elementary import erf, sigmoid

from .features import Finding, Found, Seen

FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "1": np.ones_like,
    "{}": lambda a: a,
    "−{}": lambda a: -a,
    "2{}": lambda a: 2 * a,
    "{}²": lambda a: a * a,
    "3{}²": lambda a: 3 * a * a,
    "1 − {}": lambda a: 1 - a,
    "1 + {}": lambda a: 1 + a,
    "1 − {}²": lambda a: 1 - a * a,
    "1 + {}²": lambda a: 1 + a * a,
    "{0}(1 − {0})": lambda a: a * (1 - a),
    "1/{}": lambda a: 1 / a,
    "1/{}²": lambda a: 1 / (a * a),
    "−1/{}²": lambda a: -1 / (a * a),
    "1/(1 + {})": lambda a: 1 / (1 + a),
    "1/(1 + {})²": lambda a: 1 / (1 + a) ** 2,
    "1/(1 + {}²)": lambda a: 1 / (1 + a * a),
    "1/(1 + |{}|)": lambda a: 1 / (1 + np.abs(a)),
    "1/(1 + |{}|)²": lambda a: 1 / (1 + np.abs(a)) ** 2,
    "|{}|": np.abs,
    "sign {}": np.sign,
    "[{} > 0]": lambda a: (a > 0) * 1.0,
    "[{} ≥ 0]": lambda a: (a >= 0) * 1.0,
    "[{} < 0]": lambda a: (a < 0) * 1.0,
    "max({}, 0)": lambda a: np.maximum(a, 0),
    "e^{}": np.exp,
    "e^−{}": lambda a: np.exp(-a),
    "log {}": np.log,
    "√{}": np.sqrt,
    "1/√{}": lambda a: 1 / np.sqrt(a),
    "1/(2√{})": lambda a: 0.5 / np.sqrt(a),
    "cos {}": np.cos,
    "sin {}": np.sin,
    "−sin {}": lambda a: -np.sin(a),
    "tanh {}": np.tanh,
    "1 − tanh²{}": lambda a: 1 - np.tanh(a) ** 2,
    "1 − tanh {}": lambda a: 1 - np.tanh(a),
    "σ({})": sigmoid,
    "σ(−{})": lambda a: sigmoid(-a),
    "σ({0})(1 − σ({0}))": lambda a: sigmoid(a) * sigmoid(-a),
    "{0}σ({0})": lambda a: a * sigmoid(a),
    "{0}σ({0})(1 − σ({0}))": lambda a: a * sigmoid(a) * sigmoid(-a),
    "Φ({})": lambda a: 0.5 * (1 + erf(a / 2**0.5)),
    "φ({})": lambda a: np.exp(-a * a / 2) / (2 * np.pi) ** 0.5,
    "{0}φ({0})": lambda a: a * np.exp(-a * a / 2) / (2 * np.pi) ** 0.5,
}
TANH, SIGMOID = ("Tanh",), ("Sigmoid",)
MISTAKES = {  # what stands in the place of the slope, and for which activations that is a mistake of the catalogue
    "1 − x²": ("C02", TANH), "x(1 − x)": ("C03", SIGMOID), "1 − y": ("C04", TANH), "σ(x)": ("C09", ("SiLU",)),
    "Φ(x)": ("C10.erf", ("GELU",)), "GELU′(x)": ("C10", ("GELU",)),
}  # fmt: skip


@lru_cache(maxsize=16)
def activations(given: tuple[tuple[str, float], ...]) -> tuple[Elementwise, ...]:
    """Every activation with its own options, and with a number given in place of its first."""
    found = []
    for cls in registry(Elementwise).values():
        try:
            found.append(cls())
        except TypeError:  # an option has no default
            continue
        for field, values in cls.options.items():
            for value in (*values, *(v for n, v in given if n.lower() in (field, "alpha", "beta", "slope", "a", "α", "β"))):
                try:
                    found.append(cls(**{field: value}))
                except (TypeError, ValueError):
                    continue
    return tuple(dict.fromkeys(found))


def identified(s: Seen, x: Array) -> Elementwise | None:
    """The activation of which y (or an array known) is the value at x."""
    for f in activations(tuple(sorted(s.e.numbers.items()))):
        with np.errstate(all="ignore"):
            y = f.f(x)
        for n, a in s.known.items():
            if a.shape == x.shape and n != s.name and s.is_right_of(a, y) and not np.array_equal(x, y):
                return f
    return None


def other_slope(s: Seen) -> Found:
    """yours = dy ψ where right = dy f′: what ψ is."""
    x = s.own
    if x is None or not s.comparable or s.dy is None or s.dy.shape != x.shape or s.y is None or s.y.shape != x.shape:
        return
    f = identified(s, x)
    name = type(f).__name__ if f else ""
    if f is not None and not s.is_right(s.dy * f.df(x, s.y)) and s.is_real:
        return
    told = f"{_word(name)}′(x)" if f else "another function"
    for symbol, slope in _slopes(s, f, x, s.y):
        if not s.alike(s.dy * slope):
            continue
        symbol = symbol.replace(s.name, "x") if len(s.name) > 1 else symbol
        fault, of = MISTAKES.get(symbol, (None, ()))
        fault = {"f′(y)": "C20.slope", "f′(x)²": "B17"}.get(symbol, fault if name in of else None)
        if symbol == "1" and f is None and len(s.inputs) > 1:
            yield Finding("yours = dy, right = dy and another path", "F11", 0.9)
            continue
        text = "" if fault else f"The slope is taken to be {symbol}."
        remedy = "" if fault else f"differentiate the function itself{': ' + told if f else ''}"
        yield Finding(f"yours = {symbol} · dy, right = {told} · dy", fault, 0.95 if fault else 0.8, "", text, remedy)


def _word(name: str) -> str:
    return {"Tanh": "tanh", "Sigmoid": "σ"}.get(name, name)


def _slopes(s: Seen, f: Elementwise | None, x: Array, y: Array) -> Iterator[tuple[str, Array]]:
    with np.errstate(all="ignore"):
        if f is not None:
            slope = np.asarray(f.df(x, y), float)
            other = {"none": "tanh", "tanh": "none"}.get(getattr(f, "approximate", ""), "")
            if other:
                g = f.replace(approximate=other)
                yield "GELU′(x)", g.df(x, g.f(x))
            yield "f′(x)²", slope * slope
            yield "f′(y)", np.asarray(f.df(y, f.f(y)), float)
            yield "1/f′(x)", 1 / slope
            yield "x f′(x)", x * slope
            yield "f(x) f′(x)", y * slope
            yield "−f′(x)", -slope
        for a, n in ((x, "x"), (y, "y")):
            for symbol, g in FUNCTIONS.items():
                yield symbol.format(n), g(a)
        for g in activations(()):
            if g != f:
                yield f"{g}′(x)", np.asarray(g.df(x, g.f(x)), float)


def factor_by_entry(s: Seen) -> Found:
    """yours = φ(a) · right for an array known, where that is no constant."""
    if not s.comparable or s.right.size < 2 or s.multiple is not None:
        return
    for symbol, values in entrywise(s):
        if s.alike(s.right * values):
            slope = symbol.startswith("σ") and "(1 − σ" in symbol
            fault = "A09" if slope and s.loss else "B17" if _is_slope(s, values) else None
            text = f"Every entry has a factor too many: {symbol}."
            yield Finding(f"yours = {symbol} · right", fault, 0.9 if fault else 0.75, "", "" if fault else text,
                          "" if fault else "look for a factor that is multiplied in twice, or should have cancelled")  # fmt: skip
        elif (s.right != 0).all() and s.informative(values) is not False and s.alike(_divided(s.right, values)):
            text = f"A factor is missing in every entry: {symbol}."
            fault = "A07" if symbol == "dy" else None
            yield Finding(f"yours = right / ({symbol})", fault, 0.97 if fault else 0.75, "", "" if fault else text,
                          "" if fault else f"multiply by {symbol}")  # fmt: skip


def _divided(a: Array, by: Array) -> Array:
    with np.errstate(all="ignore"):
        return a / by


@lru_cache(maxsize=8)
def entrywise(s: Seen) -> tuple[tuple[str, Array], ...]:
    """Named functions of the arrays that have the shape of the gradient."""
    return tuple(_entrywise(s))


def _entrywise(s: Seen) -> Iterator[tuple[str, Array]]:
    for n, a in s.known.items():
        if a.shape == s.right.shape:
            for symbol, g in FUNCTIONS.items():
                with np.errstate(all="ignore"):
                    values = g(a)
                if symbol != "1" and np.isfinite(values).all():
                    yield symbol.format(n), values


def _is_slope(s: Seen, values: Array) -> bool:
    """Is it the slope of an activation at an array known?"""
    arrays = [a for a in s.inputs.values() if a.shape == values.shape]
    return any(
        s.is_right_of(values, np.asarray(f.df(a, f.f(a)), float))
        for f, a in itertools.product(activations(()), arrays)
        if type(f).__name__ in ("Tanh", "Sigmoid", "Softplus", "SiLU", "GELU")
    )


FEATURES = (other_slope, factor_by_entry)
