"""Hyperbolic functions and their inverses."""

import numpy as np

from .exponentials import SQUEEZED
from .functions import Function

INSIDE = "Sequential(Sin(), Mul(other=0.9))"  # what stands in random networks before what takes numbers in (−1, 1)


class Sinh(Function):
    """The hyperbolic sine.

    Forward   y = sinh x = ½(eˣ − e⁻ˣ)
    Backward  y′ = ½(eˣ + e⁻ˣ) = cosh x:  dx = cosh x dy
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.sinh
    """

    calls = ("torch.sinh", "Tensor.sinh")
    guards = (SQUEEZED,)

    def f(self, x):
        return np.sinh(x)

    def df(self, x, y):
        return np.cosh(x)


class Cosh(Function):
    """The hyperbolic cosine, the form of a hanging chain.

    Forward   y = cosh x = ½(eˣ + e⁻ˣ)
    Backward  y′ = ½(eˣ − e⁻ˣ) = sinh x:  dx = sinh x dy
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.cosh
    """

    calls = ("torch.cosh", "Tensor.cosh")
    guards = (SQUEEZED,)

    def f(self, x):
        return np.cosh(x)

    def df(self, x, y):
        return np.sinh(x)


class Asinh(Function):
    """The number of which x is the hyperbolic sine; near log 2|x| with the sign of x where |x| is large.

    Forward   y = arsinh x:  sinh y = x
    Backward  cosh y y′ = 1 and cosh² y = 1 + sinh² y = 1 + x²:  dx = dy/√(x² + 1)
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.asinh
    """

    calls = ("torch.asinh", "torch.arcsinh", "Tensor.asinh", "Tensor.arcsinh")

    def f(self, x):
        return np.arcsinh(x)

    def df(self, x, y):
        return 1 / np.sqrt(x * x + 1)


class Acosh(Function):
    """The number, not below 0, of which x is the hyperbolic cosine: distances in hyperbolic space.

    Forward   y = arcosh x ≥ 0:  cosh y = x
    Backward  sinh y y′ = 1 and sinh² y = cosh² y − 1 = x² − 1:  dx = dy/√(x² − 1)
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.acosh
    Caveat    at x = 1 the slope is ∞; below there is neither value nor slope, and both are NaN; as torch's, the formula
              gives the slope of −y at x < −1
    """

    calls = ("torch.acosh", "torch.arccosh", "Tensor.acosh", "Tensor.arccosh")
    guards = ("Sequential(Softplus(), Add(other=1.5))",)

    def f(self, x):
        return np.arccosh(x)

    def df(self, x, y):
        return 1 / np.sqrt(x * x - 1)

    def sample(self, values, shape):
        return 1.5 + values.positive(shape)


class Atanh(Function):
    """The number of which x is the hyperbolic tangent, half the logit of ½(1 + x).

    Forward   y = artanh x = ½ log((1 + x)/(1 − x)):  tanh y = x
    Backward  (1 − tanh² y) y′ = 1:  dx = dy/(1 − x²)
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.atanh
    Caveat    ±∞ at x = ±1 with slope ∞; y is NaN beyond, where torch and this still give the slope 1/(1 − x²)
    """

    calls = ("torch.atanh", "torch.arctanh", "Tensor.atanh", "Tensor.arctanh")
    guards = (INSIDE,)

    def f(self, x):
        return np.arctanh(x)

    def df(self, x, y):
        return 1 / (1 - x * x)

    def sample(self, values, shape):
        return 0.9 * np.sin(values.real(shape))
