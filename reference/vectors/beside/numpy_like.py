"""Layers and operations in the words of NumPy, which JAX, autograd and MyGrad share: np is one of their namespaces.

A table gives for a class what its options make of it: a function of its inputs and, by name, its parameters. What an
option asks for and a framework has not raises NotThere; what its namespace lacks, AttributeError.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

Make = Callable[[Mapping[str, Any]], Callable[..., Any]]


class NotThere(NotImplementedError):  # noqa: N818  (it tells what happens, it is no failure)
    """The framework has no such function, or not with this option."""


def same(f: Callable[..., Any]) -> Make:
    """A function without options."""
    return lambda o: f


def two(f: Callable[..., Any]) -> Make:
    """A function of two operands, one of which may be an option."""

    def make(o: Mapping[str, Any]) -> Callable[..., Any]:
        if o["input"] is not None:
            return lambda b: f(o["input"], b)
        return f if o["other"] is None else lambda a: f(a, o["other"])

    return make


def along(f: Callable[..., Any]) -> Make:
    """A reduction."""
    return lambda o: lambda x: f(x, axis=axes(o["dim"]), keepdims=o["keepdim"])


def axes(dim: Any) -> Any:
    return tuple(dim) if isinstance(dim, list) else dim


def reduced(np: Any, each: Callable[..., Any]) -> Make:
    """A loss: one of every entry, and their mean or sum."""

    def make(o: Mapping[str, Any]) -> Callable[..., Any]:
        if o.get("weight") is not None:
            raise NotThere("weight")
        whole = {"none": lambda a: a, "sum": np.sum, "mean": np.mean}[o["reduction"]]
        return lambda *x: whole(each(o, *x))

    return make


def _elementwise(np: Any) -> dict[str, Make]:
    named = {
        "Abs": "abs", "Exp": "exp", "Exp2": "exp2", "Expm1": "expm1", "Log": "log", "Log10": "log10", "Log1p": "log1p",
        "Log2": "log2", "Sqrt": "sqrt", "Reciprocal": "reciprocal", "Sin": "sin", "Cos": "cos", "Tan": "tan",
        "Atan": "arctan", "Square": "square", "Sign": "sign", "Floor": "floor", "Ceil": "ceil", "Neg": "negative",
        "Tanh": "tanh", "Trunc": "trunc", "Round": "round",
    }  # fmt: skip
    found = {cls: same(getattr(np, name)) for cls, name in named.items() if hasattr(np, name)}
    return found | {
        "ReLU": same(lambda x: np.maximum(x, 0.0)),
        "ReLU6": same(lambda x: np.minimum(np.maximum(x, 0.0), 6.0)),
        "LeakyReLU": lambda o: lambda x: np.where(x > 0, x, o["negative_slope"] * x),
        "ELU": lambda o: lambda x: np.where(x > 0, x, o["alpha"] * (np.exp(x) - 1)),
        "Sigmoid": same(lambda x: 1 / (1 + np.exp(-x))),
        "SiLU": same(lambda x: x / (1 + np.exp(-x))),
        "Softsign": same(lambda x: x / (1 + np.abs(x))),
        "Tanhshrink": same(lambda x: x - np.tanh(x)),
        "Hardtanh": lambda o: lambda x: np.minimum(np.maximum(x, o["min_val"]), o["max_val"]),
        "Threshold": lambda o: lambda x: np.where(x > o["threshold"], x, o["value"]),
        "Softmax": lambda o: lambda x: softmax(np, x, o["dim"]),
        "Softmin": lambda o: lambda x: softmax(np, -x, o["dim"]),
        "LogSoftmax": lambda o: lambda x: log_softmax(np, x, o["dim"]),
    }


def softmax(np: Any, x: Any, dim: int) -> Any:
    e = np.exp(x - np.max(x, axis=dim, keepdims=True))
    return e / np.sum(e, axis=dim, keepdims=True)


def log_softmax(np: Any, x: Any, dim: int) -> Any:
    z = x - np.max(x, axis=dim, keepdims=True)
    return z - np.log(np.sum(np.exp(z), axis=dim, keepdims=True))


def _operations(np: Any) -> dict[str, Make]:
    return {
        "Add": lambda o: two(lambda a, b: a + o["alpha"] * b)(o),
        "Sub": lambda o: two(lambda a, b: a - o["alpha"] * b)(o),
        "Mul": two(lambda a, b: a * b),
        "Div": lambda o: two(_divided(np, o["rounding_mode"]))(o),
        "Maximum": two(np.maximum),
        "Minimum": two(np.minimum),
        "Pow": lambda o: two(np.power)({"input": o["input"], "other": o["exponent"]}),
        "Clamp": _clamp(np),
        "Amax": along(np.max),
        "Amin": along(np.min),
        "Max": lambda o: lambda x: (np.max(x, axis=o["dim"], keepdims=o["keepdim"]),),
        "Min": lambda o: lambda x: (np.min(x, axis=o["dim"], keepdims=o["keepdim"]),),
        "SumOver": along(np.sum),
        "Mean": along(np.mean),
        "Prod": along(np.prod),
        "Var": lambda o: lambda x: np.var(x, axes(o["dim"]), ddof=o["correction"], keepdims=o["keepdim"]),
        "Std": lambda o: lambda x: np.std(x, axes(o["dim"]), ddof=o["correction"], keepdims=o["keepdim"]),
        "Cumsum": lambda o: lambda x: np.cumsum(x, axis=o["dim"]),
        "Sort": _sort(np),
        "Matmul": same(np.matmul),
        "Outer": same(lambda a, b: a[:, None] * b),
        "Einsum": lambda o: lambda *x: np.einsum(o["equation"], *x),
        "Flip": lambda o: lambda x: np.flip(x, axes(o["dims"])),
        "Roll": lambda o: lambda x: np.roll(x, axes(o["shifts"]), axes(o["dims"])),
        "SwapAxes": lambda o: lambda x: np.swapaxes(x, o["dim0"], o["dim1"]),
        "Permute": lambda o: lambda x: np.transpose(x, tuple(d % x.ndim for d in o["dims"])),
        "Reshape": lambda o: lambda x: np.reshape(x, tuple(o["shape"])),
        "Cat": lambda o: lambda *x: np.concatenate(x, o["dim"]),
        "Stack": lambda o: lambda *x: np.stack(x, o["dim"]),
    }


def _divided(np: Any, mode: str | None) -> Callable[..., Any]:
    if mode is not None:
        raise NotThere(f"rounding_mode {mode}")
    return lambda a, b: a / b


def _clamp(np: Any) -> Make:
    def make(o: Mapping[str, Any]) -> Callable[..., Any]:
        low, high = (-math.inf if o["min"] is None else o["min"]), (math.inf if o["max"] is None else o["max"])
        return lambda x: np.clip(x, low, high)

    return make


def _sort(np: Any) -> Make:
    def make(o: Mapping[str, Any]) -> Callable[..., Any]:
        if o["descending"]:
            raise NotThere("descending")
        return lambda x: (np.sort(x, axis=o["dim"]),)

    return make


def _layers(np: Any) -> dict[str, Make]:
    return {
        "Linear": same(lambda x, weight, bias=None: x @ weight.T + (0 if bias is None else bias)),
        "LayerNorm": _layer_norm(np),
        "Embedding": _embedding(),
        "MSELoss": reduced(np, lambda o, x, t: (x - t) ** 2),
        "L1Loss": reduced(np, lambda o, x, t: np.abs(x - t)),
        "BCEWithLogitsLoss": _with_logits(np),
        "SmoothL1Loss": reduced(np, lambda o, x, t: _smooth_l1(np, np.abs(x - t), o["beta"])),
        "HuberLoss": reduced(np, lambda o, x, t: o["delta"] * _smooth_l1(np, np.abs(x - t), o["delta"])),
        "SoftMarginLoss": reduced(np, lambda o, x, t: np.log1p(np.exp(-t * x))),
        "MarginRankingLoss": reduced(np, lambda o, a, b, t: np.maximum(0.0, -t * (a - b) + o["margin"])),
    }


def _layer_norm(np: Any) -> Make:
    def make(o: Mapping[str, Any]) -> Callable[..., Any]:
        last = tuple(range(-len(o["normalized_shape"]), 0))

        def layer_norm(x: Any, weight: Any = 1.0, bias: Any = 0.0) -> Any:
            centred = x - np.mean(x, axis=last, keepdims=True)
            variance = np.mean(centred * centred, axis=last, keepdims=True)
            return centred / np.sqrt(variance + o["eps"]) * weight + bias

        return layer_norm

    return make


def _embedding() -> Make:
    def make(o: Mapping[str, Any]) -> Callable[..., Any]:
        if o["padding_idx"] is not None or o["scale_grad_by_freq"]:
            raise NotThere("padding_idx, scale_grad_by_freq")
        return lambda x, weight: weight[x]

    return make


def _with_logits(np: Any) -> Make:
    loss = reduced(np, lambda o, x, t: np.maximum(x, 0.0) - x * t + np.log1p(np.exp(-np.abs(x))))

    def make(o: Mapping[str, Any]) -> Callable[..., Any]:
        if o["pos_weight"] is not None:
            raise NotThere("pos_weight")
        return loss(o)

    return make


def _smooth_l1(np: Any, d: Any, beta: float) -> Any:
    return np.where(d < beta, d * d / (2 * beta), d - beta / 2) if beta else d


def functions(np: Any) -> dict[str, Make]:
    """What can be said in NumPy's words, as far as this namespace has them."""
    found: dict[str, Make] = {}
    for table in (_elementwise, _operations, _layers):
        found |= table(np)
    return found
