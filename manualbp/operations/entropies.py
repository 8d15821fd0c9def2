"""Products with a logarithm, as entropies and likelihoods have them: 0 log 0 counts as 0."""

from typing import Any

import numpy as np

from .arithmetic import POSITIVE, Binary
from .functions import Function


class WithLog(Binary, family=True):
    """y = a log(b + c), and 0 where a = 0, though the logarithm is ±∞ there, or has no value."""

    dyadic = False
    added = 0

    def log(self, b: Any) -> Any:
        raise NotImplementedError

    def f(self, a, b):
        y = np.asarray(a * self.logarithm(b))
        return np.where(np.equal(a, 0) & ~np.isnan(b), 0, y).astype(y.dtype)

    def df(self, a, b, y, dy):
        none = np.equal(a, 0) & np.less_equal(np.real(b), -self.added)
        return np.where(none, 0, self.logarithm(b) * dy), a / (b + self.added) * dy

    def logarithm(self, b: Any) -> Any:
        """log(b + c); a number's as a number, which has no dtype of its own."""
        return float(self.log(b)) if isinstance(b, (int, float)) else self.log(b)


class Xlogy(WithLog):
    """One number times the logarithm of another.

    Forward   y = a log b,  0 where a = 0
    Backward  ∂y/∂a = log b,  ∂y/∂b = a/b:
              da = log b dy, 0 where a = 0 ≥ b
              db = a/b dy,  each summed over the axes that a and b were repeated along
    Shapes    a, b: broadcast to the shape of y; `input` or `other` is a number in place of one of them
    Errors    ValueError if the shapes do not broadcast
    Source    torch.xlogy
    Caveat    at a = b = 0 y is 0 and db is 0/0 = NaN, as in torch
    """

    guards = (None, POSITIVE)
    calls = ("torch.xlogy", "torch.special.xlogy", "Tensor.xlogy")
    options = {"input": (2.0, 0.0, 0.3), "other": (2.0, 5.0, 0.3)}

    def log(self, b):
        return np.log(b)

    def draw_b(self, values, shape):
        return values.positive(shape)


class Xlog1py(WithLog):
    """One number times the logarithm of 1 + another, with all its digits where this is near 0.

    Forward   y = a log(1 + b),  0 where a = 0
    Backward  ∂y/∂a = log(1 + b),  ∂y/∂b = a/(1 + b):
              da = log(1 + b) dy, 0 where a = 0 and b ≤ −1
              db = a/(1 + b) dy,  each summed over the axes that a and b were repeated along
    Shapes    a, b: broadcast to the shape of y; `input` or `other` is a number in place of one of them
    Errors    ValueError if the shapes do not broadcast
    Source    torch.special.xlog1py
    Caveat    at a = 0 and b = −1 y is 0 and db is 0/0 = NaN, as in torch
    """

    added = 1
    guards = (None, POSITIVE)
    calls = ("torch.special.xlog1py",)
    options = {"input": (2.0, 0.0, 0.3), "other": (2.0, 5.0, 0.3)}

    def log(self, b):
        return np.log1p(b)

    def draw_b(self, values, shape):
        return values.positive(shape)


class Entr(Function):
    """What an outcome of this probability adds to the entropy.

    Forward   y = −x log x,  0 at x = 0, −∞ below
    Backward  y′ = −log x − x/x:  dx = −(1 + log x) dy
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.special.entr
    Caveat    at 0 the slope is ∞, below NaN, as in torch
    """

    calls = ("torch.special.entr",)
    positive = True
    guards = (POSITIVE,)

    def f(self, x):
        inside = x.real > 0
        y = -x * np.log(np.where(inside, x, 1))
        return np.where(inside | np.isnan(x.real), y, np.where(x == 0, 0, -np.inf)).astype(x.dtype)

    def df(self, x, y):
        return -(1 + np.log(x))
