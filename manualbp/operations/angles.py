"""Angles from sines, cosines and sides, the length of the hypotenuse, and the sine over its angle."""

import math

import numpy as np

from .arithmetic import POSITIVE, Binary, is_complex
from .functions import Function
from .hyperbolic import INSIDE


class Asin(Function):
    """The angle of a sine.

    Forward   y = arcsin x in [−π/2, π/2]:  sin y = x
    Backward  cos y y′ = 1 and cos² y = 1 − sin² y = 1 − x²:  dx = dy/√(1 − x²)
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.asin
    Caveat    at x = ±1 the slope is ∞; beyond there is neither value nor slope, and both are NaN
    """

    calls = ("torch.asin", "torch.arcsin", "Tensor.asin", "Tensor.arcsin")
    guards = (INSIDE,)

    def f(self, x):
        return np.arcsin(x)

    def df(self, x, y):
        return 1 / np.sqrt(1 - x * x)

    def sample(self, values, shape):
        return 0.9 * np.sin(values.real(shape))


class Acos(Function):
    """The angle of a cosine, as between two unit vectors.

    Forward   y = arccos x in [0, π]:  cos y = x
    Backward  −sin y y′ = 1 and sin² y = 1 − cos² y = 1 − x²:  dx = −dy/√(1 − x²)
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.acos
    Caveat    at x = ±1 the slope is −∞; beyond there is neither value nor slope, and both are NaN
    """

    calls = ("torch.acos", "torch.arccos", "Tensor.acos", "Tensor.arccos")
    guards = (INSIDE,)

    def f(self, x):
        return np.arccos(x)

    def df(self, x, y):
        return -1 / np.sqrt(1 - x * x)

    def sample(self, values, shape):
        return 0.9 * np.sin(values.real(shape))


class Atan2(Binary):
    """The angle of the point (b, a), from the first axis round.

    Forward   y = the angle in [−π, π] with  a = r sin y,  b = r cos y,  r = √(a² + b²)
    Backward  tan y = a/b, so  (1 + a²/b²) ∂y = ∂a/b − a ∂b/b²,  and times b²:  r² ∂y = b ∂a − a ∂b:
              da = b/r² dy
              db = −a/r² dy,  each summed over the axes that a and b were repeated along
    Shapes    a, b: broadcast to the shape of y; `input` or `other` is a number in place of one of them
    Errors    ValueError if the shapes do not broadcast
    Source    torch.atan2
    Caveat    y jumps by 2π at a = 0 > b; at the origin there is no angle, and torch and this take the slopes 0
    """

    dyadic = False
    guards = (None, POSITIVE)
    calls = ("torch.atan2", "torch.arctan2", "Tensor.atan2", "Tensor.arctan2")

    def f(self, a, b):
        if not is_complex(a, b):
            return np.arctan2(a, b)
        steep = np.abs(np.real(a)) > np.abs(np.real(b))  # the same angle but for a constant
        near = np.where(steep, -np.arctan(b / np.where(a == 0, 1, a)), np.arctan(a / np.where(b == 0, 1, b)))
        return near - near.real + np.arctan2(np.real(a), np.real(b))

    def df(self, a, b, y, dy):
        rr = a * a + b * b
        origin = rr == 0
        rr = np.where(origin, 1, rr)
        return np.where(origin, 0, b / rr * dy), np.where(origin, 0, -a / rr * dy)


class Hypot(Binary):
    """The length of the hypotenuse over two sides at a right angle, though their squares overflow.

    Forward   y = √(a² + b²)
    Backward  y² = a² + b², so  2y ∂y/∂a = 2a,  2y ∂y/∂b = 2b:
              da = a/y dy
              db = b/y dy,  each summed over the axes that a and b were repeated along
    Shapes    a, b: broadcast to the shape of y; `input` or `other` is a number in place of one of them
    Errors    ValueError if the shapes do not broadcast
    Source    torch.hypot
    Caveat    where both are 0 there is no slope, and da and db are NaN, as in torch
    """

    dyadic = False
    guards = (None, POSITIVE)
    calls = ("torch.hypot", "Tensor.hypot")

    def f(self, a, b):
        return np.sqrt(a * a + b * b) if is_complex(a, b) else np.hypot(a, b)

    def df(self, a, b, y, dy):
        return a / y * dy, b / y * dy


class Sinc(Function):
    """The sine of πx over πx: what a sharp cut between frequencies looks like in time.

    Forward   y = sin(πx)/(πx),  1 at x = 0
    Backward  xy = sin(πx)/π, so  y + xy′ = cos(πx):  dx = (cos(πx) − y)/x dy,  0 at x = 0
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.sinc
    Caveat    near 0 the slope is the difference of two numbers near 1, and has few digits, in torch, too
    """

    calls = ("torch.sinc", "torch.special.sinc", "Tensor.sinc")
    in_networks = False  # near 0
    cancels = True

    def f(self, x):
        z = x * x.real.dtype.type(PI)
        return np.where(x == 0, 1, np.sin(z) / np.where(x == 0, 1, z)).astype(x.dtype)

    def df(self, x, y):
        z = x * x.real.dtype.type(PI)
        return np.where(x == 0, 0, (np.cos(z) - y) / np.where(x == 0, 1, x))

    def sample(self, values, shape):
        return values.signs(shape) * (0.25 + np.abs(values.real(shape)))


PI = 2 * np.arcsin(np.longdouble(1)) if np.finfo(np.longdouble).eps < 1e-16 else math.pi
