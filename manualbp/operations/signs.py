"""A sign that is taken over, and the remainder that has the sign of what is divided."""

import numpy as np

from ..elementary import magnitude
from .arithmetic import Binary, Quotient, is_complex, truncated


class CopySign(Binary):
    """The size of one number with the sign of another.

    Forward   y = |a| sgn b,  where 0 and −0 have the signs + and −
    Backward  y is a or −a, and constant in b but for its jump:
              da = (y/a) dy, which is ±dy, and 0 where a = 0;   db = 0
              da summed over the axes that a was repeated along
    Shapes    a, b: broadcast to the shape of y; `input` or `other` is a number in place of one of them
    Errors    ValueError if the shapes do not broadcast
    Source    torch.copysign
    Caveat    |a| has a kink at 0, where torch and this take the slope 0
    """

    calls = ("torch.copysign", "Tensor.copysign")

    def f(self, a, b):
        if not is_complex(a, b):
            return np.copysign(a, b)
        size = magnitude(np.asarray(a))
        return np.where(np.signbit(np.real(b)), -size, size)

    def df(self, a, b, y, dy):
        zero = np.equal(a, 0)
        return np.where(zero, 0, y / np.where(zero, 1, a)).astype(y.dtype) * dy, np.zeros_like(dy)


class Fmod(Quotient):
    """What is left of a after whole multiples of b, with the sign of a.

    Forward   y = a − b trunc(a/b),  trunc: without its decimals
    Backward  trunc(a/b) is constant between its jumps, so  ∂y/∂a = 1,  ∂y/∂b = −trunc(a/b):
              da = dy
              db = −trunc(a/b) dy,  each summed over the axes that a and b were repeated along
    Shapes    a, b: broadcast to the shape of y; `input` or `other` is a number in place of one of them
    Errors    ValueError if the shapes do not broadcast
    Source    torch.fmod, which is that of C; torch.remainder has the sign of b
    Caveat    y jumps where a/b is whole; the gradient knows nothing of the jump, as in torch
    """

    calls = ("torch.fmod", "Tensor.fmod")

    def f(self, a, b):
        return a - b * truncated(a, b) if is_complex(a, b) else np.fmod(a, b)

    def df(self, a, b, y, dy):
        return dy, -truncated(a, b) * dy
