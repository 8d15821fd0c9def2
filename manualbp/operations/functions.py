"""Elementary functions of one number: exponentials, roots, logarithms, angles, steps."""

import math
from typing import ClassVar

import numpy as np

from ..base import Array
from ..elementary import erf, magnitude
from .arithmetic import POSITIVE
from .base import NUMBER, Operation, is_real, unreached

SQUEEZED = "Hardtanh(-4.0, 4.0)"


class Function(Operation, family=True):
    """y = f(x) for every entry by itself, so the Jacobian is diagonal: dxᵢ = f′(xᵢ) dyᵢ. A subclass gives f(x) and its
    slope df(x, y). Where f has no finite value or slope, dx is what the formula makes of ∞ and NaN, as in torch."""

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
            return dy * np.asarray(self.df(x, y), x.dtype), {}

    def sample(self, values, shape):
        return values.positive(shape) if self.positive else values.real(shape)


class Exp(Function):
    """The exponential.

    Forward   y = eˣ
    Backward  (eˣ)′ = eˣ:  dx = y dy
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.exp
    """

    calls = ("torch.exp", "Tensor.exp", "Tensor.exp_")
    guards = (SQUEEZED,)

    def f(self, x):
        return np.exp(x)

    def df(self, x, y):
        return y


class Expm1(Function):
    """The exponential less 1, with all its digits near 0.

    Forward   y = eˣ − 1
    Backward  y′ = eˣ = y + 1:  dx = (y + 1) dy
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.expm1
    """

    calls = ("torch.expm1", "Tensor.expm1")
    guards = (SQUEEZED,)

    def f(self, x):
        return np.expm1(x)

    def df(self, x, y):
        return y + 1


class Log(Function):
    """The natural logarithm.

    Forward   y = log x
    Backward  log′ x = 1/x:  dx = dy/x
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.log
    Caveat    log 0 = −∞ with slope ∞; y is NaN at x < 0, where torch and this still give the slope 1/x
    """

    calls = ("torch.log", "Tensor.log", "Tensor.log_")
    positive = True
    guards = (POSITIVE,)

    def f(self, x):
        return np.log(x)

    def df(self, x, y):
        return 1 / x


class Log2(Function):
    """The logarithm to base 2.

    Forward   y = log₂ x = log x/log 2
    Backward  y′ = 1/(x log 2):  dx = dy/(x log 2)
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.log2
    Caveat    as with Log at x ≤ 0
    """

    calls = ("torch.log2", "Tensor.log2")
    positive = True
    guards = (POSITIVE,)

    def f(self, x):
        return np.log2(x) if x.dtype.kind != "c" else np.log(x) / np.log(x.real.dtype.type(2))

    def df(self, x, y):
        return 1 / (x * math.log(2))


class Log1p(Function):
    """log(1 + x), with all its digits near 0.

    Forward   y = log(1 + x)
    Backward  y′ = 1/(1 + x):  dx = dy/(1 + x)
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.log1p
    Caveat    −∞ at x = −1 with slope ∞; y is NaN below, where torch and this still give the slope 1/(1 + x)
    """

    calls = ("torch.log1p", "Tensor.log1p")
    positive = True
    guards = (POSITIVE,)

    def f(self, x):
        return np.log1p(x)

    def df(self, x, y):
        return 1 / (1 + x)


class Sqrt(Function):
    """The square root.

    Forward   y = √x
    Backward  y² = x, so 2y y′ = 1:  dx = dy/(2y)
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.sqrt
    Caveat    the slope at 0 is ∞, so dx is NaN where dy is 0, too; NaN at x < 0
    """

    calls = ("torch.sqrt", "Tensor.sqrt", "Tensor.sqrt_")
    positive = True
    guards = (POSITIVE,)

    def f(self, x):
        return np.sqrt(x)

    def df(self, x, y):
        return 1 / (2 * y)


class Rsqrt(Function):
    """The reciprocal of the square root.

    Forward   y = 1/√x = x^(−½)
    Backward  y′ = −½ x^(−3/2) = −½ y³:  dx = −½ y³ dy
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.rsqrt
    Caveat    ∞ at 0 with slope −∞; NaN at x < 0
    """

    calls = ("torch.rsqrt", "Tensor.rsqrt")
    positive = True
    guards = (POSITIVE,)

    def f(self, x):
        return 1 / np.sqrt(x)

    def df(self, x, y):
        return -(y**3) / 2


class Reciprocal(Function):
    """One over x.

    Forward   y = 1/x
    Backward  y′ = −1/x² = −y²:  dx = −y² dy
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.reciprocal
    Caveat    ∞ at 0 with slope −∞
    """

    calls = ("torch.reciprocal", "Tensor.reciprocal")
    positive = True
    dyadic = True
    guards = (POSITIVE,)

    def f(self, x):
        return 1 / x

    def df(self, x, y):
        return -y * y


class Square(Function):
    """The square.

    Forward   y = x²
    Backward  y′ = 2x:  dx = 2x dy
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.square
    """

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

    calls = ("torch.cos", "Tensor.cos")

    def f(self, x):
        return np.cos(x)

    def df(self, x, y):
        return -np.sin(x)


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

    def df(self, x, y):
        return np.zeros_like(x)


class Sign(Step):
    """The sign: −1, 0 or 1.

    Forward   y = sgn x
    Backward  y is constant but for its jump at 0:  dx = 0
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.sign
    """

    calls = ("torch.sign", "torch.sgn", "Tensor.sign")
    dyadic = True

    def step(self, x):
        return np.sign(x)


class Floor(Step):
    """The next whole number below.

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
    """The next whole number above.

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
    """The nearest whole number, the even one of two.

    Forward   y = x rounded half to even
    Backward  y is constant but for its jumps between whole numbers:  dx = 0
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.round
    """

    calls = ("torch.round", "Tensor.round")

    def step(self, x):
        return np.rint(x)
