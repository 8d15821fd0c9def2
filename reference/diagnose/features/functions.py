"""Functions of one number that may stand for a slope, and what they make of the arrays at hand."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from manualbp.base import Array
from manualbp.elementary import erf, sigmoid, softmax

from .seen import Seen

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


@lru_cache(maxsize=8)
def entrywise(s: Seen) -> tuple[tuple[str, Array], ...]:
    """Named functions of the arrays that have the shape of the gradient, if they are no constants there."""
    alike = [(n, a) for n, a in s.known.items() if a.shape == s.right.shape]
    each = [(told.format(n), g(a)) for n, a in alike for told, g in FUNCTIONS.items() if told != "1"]
    each += [(f"softmax({n})", softmax(a, i)) for n, a in alike for i in range(a.ndim) if s.loss]
    return tuple((told, v) for told, v in each if np.isfinite(v).all() and (v.size == 1 or np.ptp(v)))
