"""MyGrad: its own tensors, mygrad.nnet where it has the function."""

from collections.abc import Callable, Mapping
from typing import Any

import mygrad  # pyright: ignore[reportMissingImports]
import numpy as np
from mygrad import nnet  # pyright: ignore[reportMissingImports]

from .numpy_like import Make, axes, functions, same


def prepare(dtype: str) -> None:
    pass


def passed(f: Callable[..., Any], real: Mapping[str, Any], dy: list[Any]) -> tuple[Any, Mapping[str, Any]]:
    """Output and gradients by the real arrays; of a function with several outputs the first is meant."""
    tensors = {n: mygrad.tensor(a, copy=True) for n, a in real.items()}
    y = f(tensors)
    y = y[0] if isinstance(y, tuple) else y
    y.backward(np.asarray(dy[0]))
    return y.data, {n: np.zeros(t.shape) if t.grad is None else t.grad for n, t in tensors.items()}


FUNCTIONS: dict[str, Make] = functions(mygrad) | {
    "ReLU": same(nnet.relu),
    "LeakyReLU": lambda o: lambda x: nnet.leaky_relu(x, o["negative_slope"]),
    "ELU": lambda o: lambda x: nnet.elu(x, o["alpha"]),
    "SELU": same(nnet.selu),
    "Sigmoid": same(nnet.sigmoid),
    "Softsign": same(nnet.soft_sign),
    "Hardtanh": lambda o: lambda x: nnet.hard_tanh(x, lower_bound=o["min_val"], upper_bound=o["max_val"]),
    "GLU": lambda o: lambda x: nnet.glu(x, o["dim"]),
    "Softmax": lambda o: lambda x: nnet.softmax(x, axis=o["dim"]),
    "LogSoftmax": lambda o: lambda x: nnet.logsoftmax(x, axis=o["dim"]),
    "Amax": lambda o: lambda x: mygrad.max(x, axis=axes(o["dim"]), keepdims=o["keepdim"]),
}
