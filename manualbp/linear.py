"""y = xWᵀ + b and its relatives. Beside torch/nn/modules/linear.py."""

import math
from typing import Any

import numpy as np

from .base import Array, Layer, Params, shape, uniform


def rows(x: Array) -> Array:
    """All axes but the last as one: a product with a matrix is then one product, not one for every entry of a batch."""
    return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])  # −1 is open if x is empty


class Identity(Layer):
    """Give x back.

    Forward   y = x
    Backward  dx = dy
    Shapes    x, y: any
    Errors    ValueError if x is no array of real numbers
    Source    torch.nn.Identity
    """

    ranks = (0, 1, 2, 3, 4)
    dyadic = True
    of_complex = True

    def forward(self, params, x):
        self.takes(True, x, "(*)")
        return x, ()

    def backward(self, params, cache, dy):
        return dy, {}


class Linear(Layer):
    """Multiply the last axis by a matrix and add a bias.

    Forward   yₙₒ = Σᵢ xₙᵢ Wₒᵢ + bₒ                        y = xWᵀ + b
    Backward  ∂yₙₒ/∂xₙᵢ = Wₒᵢ,  ∂yₙₒ/∂Wₒᵢ = xₙᵢ,  ∂yₙₒ/∂bₒ = 1;  sum each over the indices it lacks:
              dxₙᵢ = Σₒ dyₙₒ Wₒᵢ       dx = dy W
              dWₒᵢ = Σₙ dyₙₒ xₙᵢ       dW = dyᵀ x
              dbₒ  = Σₙ dyₙₒ           db = Σₙ dy
    Shapes    x: (*, in_features), y: (*, out_features); weight: (out_features, in_features), bias: (out_features,);
              n runs over all axes but the last
    Errors    ValueError if the last axis of x is not in_features long
    Source    torch.nn.Linear, which stores W as (out, in); init U(±1/√in_features)
    """

    in_features: int
    out_features: int
    bias: bool = True

    dyadic = True

    def init(self, rng: np.random.Generator, dtype: Any = np.float64) -> Params:
        bound = 1 / math.sqrt(self.in_features) if self.in_features else 0.0
        weight = uniform(rng, bound, (self.out_features, self.in_features), dtype)
        return {"weight": weight} | ({"bias": uniform(rng, bound, (self.out_features,), dtype)} if self.bias else {})

    def forward(self, params, x):
        self.takes(shape(x)[-1:] == (self.in_features,), x, "(*, in_features)")
        y = rows(x) @ params["weight"].T
        y = y + params["bias"] if self.bias else y
        return y.reshape(*x.shape[:-1], self.out_features), (x,)

    def backward(self, params, cache, dy):
        (x,) = cache
        dx = rows(dy) @ params["weight"]
        return dx.reshape(x.shape), self.gradients(params, cache, dy)

    def gradients(self, params, cache, dy):
        (x,), rows_dy = cache, rows(dy)
        grads = {"weight": rows_dy.T @ rows(x)}
        return grads | ({"bias": rows_dy.sum(0)} if self.bias else {})

    @classmethod
    def example(cls, choose, shape):
        return cls(shape[-1], choose(1, 2, 3, 5, shape[-1], shape[-1]), bias=choose(True, False))


class Bilinear(Layer):
    """A bilinear form of two vectors for every output, plus a bias.

    Forward   yₙₒ = Σᵢⱼ aₙᵢ Wₒᵢⱼ bₙⱼ + βₒ, in two steps:
              (1) tₙₒⱼ = Σᵢ aₙᵢ Wₒᵢⱼ
              (2) yₙₒ = Σⱼ tₙₒⱼ bₙⱼ + βₒ
    Backward  y is linear in a, in b, in W and in β, so each slope is what the others multiply it by:
              (2′) dbₙⱼ = Σₒ dyₙₒ tₙₒⱼ,   dβₒ = Σₙ dyₙₒ,   and for t:  uₙₒⱼ = dyₙₒ bₙⱼ
              (1′) daₙᵢ = Σₒⱼ uₙₒⱼ Wₒᵢⱼ,   dWₒᵢⱼ = Σₙ uₙₒⱼ aₙᵢ
    Shapes    x: (a, b), a: (*, in1_features), b: (*, in2_features), y: (*, out_features), with the same axes *;
              weight: (out_features, in1_features, in2_features), bias: (out_features,); n runs over *
    Errors    ValueError if a or b has another last axis, or their other axes differ
    Source    torch.nn.Bilinear; init U(±1/√in1_features)
    """

    in1_features: int
    in2_features: int
    out_features: int
    bias: bool = True

    arity = 2
    dyadic = True

    def init(self, rng: np.random.Generator, dtype: Any = np.float64) -> Params:
        bound = 1 / math.sqrt(self.in1_features)
        weight = uniform(rng, bound, (self.out_features, self.in1_features, self.in2_features), dtype)
        return {"weight": weight} | ({"bias": uniform(rng, bound, (self.out_features,), dtype)} if self.bias else {})

    def forward(self, params, x):
        a, b = self.unpack(x, "input1 input2")
        self.takes(shape(a)[-1:] == (self.in1_features,), a, "(*, in1_features) as input1")
        text = f"({', '.join([*map(str, a.shape[:-1]), 'in2_features'])}) as input2"
        self.takes(shape(b) == (*a.shape[:-1], self.in2_features), b, text)
        t = np.tensordot(a, params["weight"], (-1, 1))  # (1)
        y = (t @ b[..., None])[..., 0]  # (2)
        return (y + params["bias"] if self.bias else y), (a, b, t)

    def backward(self, params, cache, dy):
        a, b, t = cache
        W, n = params["weight"], math.prod(dy.shape[:-1])
        db = (dy[..., None, :] @ t)[..., 0, :]  # (2′)
        u = dy[..., None] * b[..., None, :]
        da = np.tensordot(u, W, ((-2, -1), (0, 2)))  # (1′)
        dW = np.tensordot(u.reshape(n, *u.shape[-2:]), a.reshape(n, a.shape[-1]), (0, 0)).swapaxes(1, 2)
        return (da, db), {"weight": dW} | ({"bias": dy.reshape(n, self.out_features).sum(0)} if self.bias else {})

    @classmethod
    def example(cls, choose, shape):
        return cls(shape[-1], choose(shape[-1], 1, 2, 4), choose(1, 2, 3), choose(True, False))

    def sample(self, values, shape):
        return values.real(shape), values.real((*shape[:-1], self.in2_features))
