"""JAX: jax.nn where it has the function, else jax.numpy."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax  # pyright: ignore[reportMissingImports]
import jax.numpy as jnp  # pyright: ignore[reportMissingImports]
from jax import lax, nn  # pyright: ignore[reportMissingImports]

from .numpy_like import Make, NotThere, axes, functions, same, two


def prepare(dtype: str) -> None:
    jax.config.update("jax_enable_x64", dtype == "float64")


def passed(f: Callable[..., Any], real: Mapping[str, Any], dy: list[Any]) -> tuple[Any, Mapping[str, Any]]:
    """Outputs, and gradients by the real arrays; dy of the outputs that f gives."""
    y, back = jax.vjp(f, {n: jnp.asarray(a) for n, a in real.items()})
    upstream = jax.tree.map(lambda a, d: jnp.asarray(d, a.dtype), y, tuple(dy) if isinstance(y, tuple) else dy[0])
    return y, back(upstream)[0]


def _max_pool(count: int) -> Make:
    """lax.reduce_window, whose gradient goes to one of equal maxima."""

    def make(o: Mapping[str, Any]) -> Callable[..., Any]:
        if o["ceil_mode"] or o["return_indices"]:
            raise NotThere("ceil_mode, return_indices")
        kernel, padding, dilation = (_each(o[n], count) for n in ("kernel_size", "padding", "dilation"))
        stride = kernel if o["stride"] is None else _each(o["stride"], count)

        def pool(x: Any) -> Any:
            lead = (1,) * (x.ndim - count)
            pads = ((0, 0),) * len(lead) + tuple((p, p) for p in padding)
            return lax.reduce_window(
                x, -jnp.inf, lax.max, lead + kernel, lead + stride, pads, window_dilation=lead + dilation
            )

        return pool

    return make


def _conv(count: int) -> Make:
    def make(o: Mapping[str, Any]) -> Callable[..., Any]:
        if o["padding_mode"] != "zeros" or isinstance(o["padding"], str):
            raise NotThere("padding_mode, padding by name")
        stride, padding, dilation = (_each(o[n], count) for n in ("stride", "padding", "dilation"))

        def conv(x: Any, weight: Any, bias: Any = None) -> Any:
            batch = x if x.ndim == count + 2 else x[None]
            y = lax.conv_general_dilated(
                batch, weight, stride, [(p, p) for p in padding], rhs_dilation=dilation, feature_group_count=o["groups"]
            )
            y = y if bias is None else y + bias.reshape(-1, *(1,) * count)
            return y if x.ndim == count + 2 else y[0]

        return conv

    return make


def _each(value: Any, count: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, list) else (value,) * count


def _topk(o: Mapping[str, Any]) -> Callable[..., Any]:
    if not o["largest"] or o["dim"] != -1:
        raise NotThere("the smallest, another axis")
    return lambda x: lax.top_k(x, o["k"])[:1]


def _pad(o: Mapping[str, Any]) -> Callable[..., Any]:
    def pad(x: Any) -> Any:
        pairs = [*zip(o["pad"][::2], o["pad"][1::2])][::-1]
        return lax.pad(
            x, jnp.asarray(o["value"], x.dtype), [(0, 0, 0)] * (x.ndim - len(pairs)) + [(*p, 0) for p in pairs]
        )

    return pad


def _prelu(x: Any, weight: Any) -> Any:
    return nn.leaky_relu(x, weight.reshape((-1,) + (1,) * (x.ndim - 2)) if x.ndim else weight[0])


def _norm(o: Mapping[str, Any]) -> Callable[..., Any]:
    """torch's norm over several axes is that of the vector of all their entries, NumPy's that of a matrix."""
    if not isinstance(o["dim"], int):
        raise NotThere("several axes")
    return lambda x: jnp.linalg.norm(x, o["p"], o["dim"], o["keepdim"])


FUNCTIONS: dict[str, Make] = functions(jnp) | {
    "ReLU": same(nn.relu),
    "ReLU6": same(nn.relu6),
    "LeakyReLU": lambda o: partial(nn.leaky_relu, negative_slope=o["negative_slope"]),
    "PReLU": same(_prelu),
    "ELU": lambda o: partial(nn.elu, alpha=o["alpha"]),
    "CELU": lambda o: partial(nn.celu, alpha=o["alpha"]),
    "SELU": same(nn.selu),
    "GELU": lambda o: partial(nn.gelu, approximate=o["approximate"] == "tanh"),
    "SiLU": same(nn.silu),
    "Mish": same(nn.mish),
    "Sigmoid": same(nn.sigmoid),
    "LogSigmoid": same(nn.log_sigmoid),
    "Softsign": same(nn.soft_sign),
    "Softplus": lambda o: lambda x: jnp.where(
        o["beta"] * x > o["threshold"], x, nn.softplus(o["beta"] * x) / o["beta"]
    ),
    "Hardsigmoid": same(nn.hard_sigmoid),
    "Hardswish": same(nn.hard_silu),
    "Hardtanh": lambda o: lambda x: jnp.clip(x, o["min_val"], o["max_val"]),
    "GLU": lambda o: partial(nn.glu, axis=o["dim"]),
    "Softmax": lambda o: partial(nn.softmax, axis=o["dim"]),
    "Softmin": lambda o: lambda x: nn.softmax(-x, axis=o["dim"]),
    "LogSoftmax": lambda o: partial(nn.log_softmax, axis=o["dim"]),
    "LogSumExp": lambda o: lambda x: nn.logsumexp(x, axis=axes(o["dim"]), keepdims=o["keepdim"]),
    "Erf": same(lax.erf),
    "Rsqrt": same(lax.rsqrt),
    "Sort": lambda o: lambda x: (jnp.sort(x, axis=o["dim"], descending=o["descending"]),),
    "Topk": _topk,
    "Pad": _pad,
    "Norm": _norm,
    "Remainder": two(jnp.remainder),
    "IndexSelect": lambda o: lambda x, index: jnp.take(x, index, o["dim"]),
    "Tril": lambda o: lambda x: jnp.tril(x, o["diagonal"]),
    "Triu": lambda o: lambda x: jnp.triu(x, o["diagonal"]),
    "Conv1d": _conv(1), "Conv2d": _conv(2), "Conv3d": _conv(3),
    "MaxPool1d": _max_pool(1), "MaxPool2d": _max_pool(2), "MaxPool3d": _max_pool(3),
}  # fmt: skip
