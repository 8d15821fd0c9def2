"""Functions of one number: squares, absolute values, angles, steps. Exponentials and roots stand in exponentials.py."""

import math
from typing import ClassVar

import numpy as np

from ..base import Array
from ..elementary import erf, magnitude
from .base import NUMBER, Operation, conj, is_real, unreached


class Function(Operation, family=True):
    """y = f(x) for every entry by itself, so the Jacobian is diagonal: dxᵢ = f′(xᵢ) dyᵢ, of complex numbers with the
    conjugate of f′(xᵢ). A subclass gives f(x) and its slope df(x, y). Where f has no finite value or slope, dx is what
    the formula makes of ∞ and NaN, as in torch."""

    positive: ClassVar[bool] = False  # random examples of x lie above 0

    def f(self, x: Array) -> Array:
        raise NotImplementedError

    def df(self, x: Array, y: Array) -> Array:
        raise NotImplementedError

    def forward(self, params, x):
        self.takes(True, x, "(*)", NUMBER)
        with np.errstate(all="ignore"):
            y = self.f(x)
        return y, (x, y)

    def backward(self, params, cache, dy):
        x, y = cache
        if dy is None or not is_real(x):
            return unreached(x), {}
        with np.errstate(all="ignore"):
            return dy * conj(np.asarray(self.df(x, y), x.dtype)), {}

    def sample(self, values, shape):
        return values.positive(shape) if self.positive else values.real(shape)


class Square(Function):
    """The square.

    Forward   y = x²
    Backward  y′ = 2x:  dx = 2x dy
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.square
    """

    of_complex = True
    calls = ("torch.square", "Tensor.square")
    dyadic = True

    def f(self, x):
        return x * x

    def df(self, x, y):
        return 2 * x


class Abs(Function):
    """The absolute value.

    Forward   y = |x|
    Backward  y = ±x, so y′ = ±1:  dx = sgn(x) dy
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.abs
    Caveat    a kink at 0, where torch and this take the slope 0
    """

    calls = ("torch.abs", "torch.absolute", "Tensor.abs", "Tensor.abs_", "Tensor.__abs__")
    dyadic = True

    def f(self, x):
        return magnitude(x)

    def df(self, x, y):
        return np.sign(x)


class Sin(Function):
    """The sine.

    Forward   y = sin x
    Backward  sin′ x = cos x:  dx = cos x dy
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.sin
    """

    of_complex = True
    calls = ("torch.sin", "Tensor.sin")

    def f(self, x):
        return np.sin(x)

    def df(self, x, y):
        return np.cos(x)


class Cos(Function):
    """The cosine.

    Forward   y = cos x
    Backward  cos′ x = −sin x:  dx = −sin x dy
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.cos
    """

    of_complex = True
    calls = ("torch.cos", "Tensor.cos")

    def f(self, x):
        return np.cos(x)

    def df(self, x, y):
        return -np.sin(x)


class Tan(Function):
    """The tangent.

    Forward   y = tan x
    Backward  tan′ x = 1 + tan² x:  dx = (1 + y²) dy
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.tan
    """

    of_complex = True
    calls = ("torch.tan", "Tensor.tan")
    guards = ("Sin()",)

    def f(self, x):
        return np.tan(x)

    def df(self, x, y):
        return 1 + y * y

    def sample(self, values, shape):
        """Between the poles, where the slope of torch and of this one would not agree in many digits."""
        return np.sin(values.real(shape))


class Atan(Function):
    """The angle of a tangent.

    Forward   y = arctan x
    Backward  tan y = x, so (1 + tan² y) y′ = 1:  dx = dy/(1 + x²)
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.atan
    """

    calls = ("torch.atan", "torch.arctan", "Tensor.atan", "Tensor.arctan")

    def f(self, x):
        return np.arctan(x)

    def df(self, x, y):
        return 1 / (1 + x * x)


class Erf(Function):
    """The error function.

    Forward   y = (2/√π) ∫₀ˣ e^(−s²) ds
    Backward  the integrand at its upper end:  dx = (2/√π) e^(−x²) dy
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.erf; `manualbp.elementary.erf` says how it is computed
    """

    calls = ("torch.erf", "torch.special.erf", "Tensor.erf")

    def f(self, x):
        return erf(x)

    def df(self, x, y):
        return 2 / math.sqrt(math.pi) * np.exp(-x * x)


class Step(Function, family=True):
    """A function that is constant between its jumps, so its slope is 0, at the jumps too, as in torch. A subclass says
    which, of real numbers; off the real axis it goes on as a constant."""

    def step(self, x: Array) -> Array:
        raise NotImplementedError

    def f(self, x):
        return np.asarray(self.step(np.real(x)), x.dtype)

    def backward(self, params, cache, dy):
        return unreached(cache[0]), {}


class Sign(Step):
    """The sign: −1, 0 or 1.

    Forward   y = sgn x
    Backward  y is constant but for its jump at 0:  dx = 0
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.sign
    """

    calls = ("torch.sign", "torch.sgn", "Tensor.sign", "Tensor.sgn")
    dyadic = True

    def step(self, x):
        return np.sign(x)


class Floor(Step):
    """The next whole number below, or x itself if it is whole.

    Forward   y = ⌊x⌋
    Backward  y is constant but for its jumps at whole numbers:  dx = 0
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.floor; stochastic depth makes its mask with it
    """

    calls = ("torch.floor", "Tensor.floor", "Tensor.floor_")

    def step(self, x):
        return np.floor(x)


class Ceil(Step):
    """The next whole number above, or x itself if it is whole.

    Forward   y = ⌈x⌉
    Backward  y is constant but for its jumps at whole numbers:  dx = 0
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.ceil
    """

    calls = ("torch.ceil", "Tensor.ceil")

    def step(self, x):
        return np.ceil(x)


class Round(Step):
    """The nearest whole number, the even one of two; or the nearest with so many decimals.

    Forward   y = x rounded half to even;  d decimals: 10ᵈx rounded, divided by 10ᵈ
    Backward  y is constant but for its jumps:  dx = 0
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.round
    """

    decimals: int = 0

    options = {"decimals": (0, 1, -1)}
    calls = ("torch.round", "torch.special.round", "Tensor.round")

    def step(self, x):
        if self.decimals < 0:
            return np.rint(x / 10**-self.decimals) * 10**-self.decimals
        return np.rint(x * 10**self.decimals) / 10**self.decimals if self.decimals else np.rint(x)


class Trunc(Step):
    """The decimals cut off: rounded towards 0.

    Forward   y = x without its fraction
    Backward  y is constant but for its jumps at whole numbers:  dx = 0
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.trunc
    """

    calls = ("torch.trunc", "torch.fix", "Tensor.trunc")

    def step(self, x):
        return np.trunc(x)
