"""Exponentials, logarithms and roots."""

import math

import numpy as np

from .arithmetic import POSITIVE
from .functions import Function

SQUEEZED = "Hardtanh(-4.0, 4.0)"  # what stands in random networks before what grows fast


class Exp(Function):
    """The exponential.

    Forward   y = eˣ
    Backward  (eˣ)′ = eˣ:  dx = y dy
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.exp
    """

    of_complex = True
    calls = ("torch.exp", "Tensor.exp", "Tensor.exp_")
    guards = (SQUEEZED,)

    def f(self, x):
        return np.exp(x)

    def df(self, x, y):
        return y


class Exp2(Function):
    """Two to a power.

    Forward   y = 2ˣ = e^(x log 2)
    Backward  y′ = 2ˣ log 2:  dx = y log 2 dy
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.exp2
    """

    calls = ("torch.exp2", "torch.special.exp2", "Tensor.exp2")
    guards = (SQUEEZED,)

    def f(self, x):
        return np.exp2(x) if x.dtype.kind != "c" else np.exp(x * np.log(x.real.dtype.type(2)))

    def df(self, x, y):
        return y * math.log(2)


class Expm1(Function):
    """The exponential less 1, with all its digits near 0.

    Forward   y = eˣ − 1
    Backward  y′ = eˣ = y + 1:  dx = (y + 1) dy
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.expm1
    """

    calls = ("torch.expm1", "torch.special.expm1", "Tensor.expm1")
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

    of_complex = True
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


class Log10(Function):
    """The logarithm to base 10.

    Forward   y = log₁₀ x = log x/log 10
    Backward  y′ = 1/(x log 10):  dx = dy/(x log 10)
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.log10
    Caveat    as with Log at x ≤ 0
    """

    calls = ("torch.log10", "Tensor.log10")
    positive = True
    guards = (POSITIVE,)

    def f(self, x):
        return np.log10(x)

    def df(self, x, y):
        return 1 / (x * math.log(10))


class Log1p(Function):
    """log(1 + x), with all its digits near 0.

    Forward   y = log(1 + x)
    Backward  y′ = 1/(1 + x):  dx = dy/(1 + x)
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.log1p
    Caveat    −∞ at x = −1 with slope ∞; y is NaN below, where torch and this still give the slope 1/(1 + x)
    """

    calls = ("torch.log1p", "torch.special.log1p", "Tensor.log1p")
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

    of_complex = True
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

    of_complex = True
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

    of_complex = True
    calls = ("torch.reciprocal", "Tensor.reciprocal")
    positive = True
    dyadic = True
    guards = (POSITIVE,)

    def f(self, x):
        return 1 / x

    def df(self, x, y):
        return -y * y
