"""HIPS autograd: autograd.numpy."""

from collections.abc import Callable, Mapping
from typing import Any

import autograd.numpy as anp  # pyright: ignore[reportMissingImports]
from autograd import make_vjp  # pyright: ignore[reportMissingImports]
from autograd.scipy.special import erf, logsumexp  # pyright: ignore[reportMissingImports]

from .numpy_like import Make, axes, functions, same


def prepare(dtype: str) -> None:
    pass


def passed(f: Callable[..., Any], real: Mapping[str, Any], dy: list[Any]) -> tuple[Any, Mapping[str, Any]]:
    """Output and gradients by the real arrays; of a function with several outputs the first is meant."""

    def first(given: Any) -> Any:
        y = f(given)
        return y[0] if isinstance(y, tuple) else y

    back, y = make_vjp(first)({n: anp.array(a) for n, a in real.items()})
    return y, back(anp.asarray(dy[0]))


FUNCTIONS: dict[str, Make] = functions(anp) | {
    "Erf": same(erf),
    "LogSumExp": lambda o: lambda x: logsumexp(x, axis=axes(o["dim"]), keepdims=o["keepdim"]),
    "Tril": lambda o: lambda x: anp.tril(x, o["diagonal"]),
    "Triu": lambda o: lambda x: anp.triu(x, o["diagonal"]),
}
