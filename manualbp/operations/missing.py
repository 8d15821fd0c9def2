"""Operations that pass over NaN, which stands for a number that is missing."""

from typing import Any

import numpy as np

from ..base import Array
from .arithmetic import Binary
from .functions import Function


class Present(Binary, family=True):
    """The larger or the smaller of two, or the one that is no NaN. Of two equal ones the first has dy whole, as in
    torch."""

    def wins(self, a: Any, b: Any) -> Array:
        """True where a is chosen."""
        raise NotImplementedError

    def f(self, a, b):
        return np.where(self.wins(a, b) | np.isnan(b), a, b)

    def df(self, a, b, y, dy):
        first = self.wins(a, b) | np.isnan(b)
        return np.where(first, dy, 0), np.where(first, 0, dy)


class Fmax(Present):
    """The larger of two, entry by entry; where one is NaN, the other.

    Forward   y = a where a ≥ b or b is NaN, else b
    Backward  y is a or b, and so are the slopes:  da = dy where a ≥ b or b is NaN, else 0;  db = dy − da,  each summed
              over the axes that a and b were repeated along
    Shapes    a, b: broadcast to the shape of y; `input` or `other` is a number in place of one of them
    Errors    ValueError if the shapes do not broadcast
    Source    torch.fmax
    Caveat    a kink where a = b, where torch and this give all of dy to a; Maximum shares it
    """

    calls = ("torch.fmax", "Tensor.fmax")

    def wins(self, a, b):
        return np.greater_equal(np.real(a), np.real(b))


class Fmin(Present):
    """The smaller of two, entry by entry; where one is NaN, the other.

    Forward   y = a where a ≤ b or b is NaN, else b
    Backward  y is a or b, and so are the slopes:  da = dy where a ≤ b or b is NaN, else 0;  db = dy − da,  each summed
              over the axes that a and b were repeated along
    Shapes    a, b: broadcast to the shape of y; `input` or `other` is a number in place of one of them
    Errors    ValueError if the shapes do not broadcast
    Source    torch.fmin
    Caveat    a kink where a = b, where torch and this give all of dy to a; Minimum shares it
    """

    calls = ("torch.fmin", "Tensor.fmin")

    def wins(self, a, b):
        return np.less_equal(np.real(a), np.real(b))


class NanToNum(Function):
    """Numbers in the place of NaN and ±∞.

    Forward   y = nan where x is NaN, posinf where x = ∞, neginf where x = −∞, else x; of posinf and neginf left out
              the largest and the smallest number of the dtype
    Backward  y is x or constant:  dx = dy where x is finite, else 0
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.nan_to_num
    """

    nan: float | None = 0.0
    posinf: float | None = None
    neginf: float | None = None

    calls = ("torch.nan_to_num", "Tensor.nan_to_num")
    dyadic = True
    options = {"nan": (0.0, 2.0, None), "posinf": (None, 1.0), "neginf": (None, -1.0)}

    def f(self, x):
        real, most = x.real, np.finfo(x.dtype).max if x.dtype.kind in "fc" else 0
        y = np.where(np.isnan(real), self.nan or 0, x)
        y = np.where(real == np.inf, most if self.posinf is None else self.posinf, y)
        return np.where(real == -np.inf, -most if self.neginf is None else self.neginf, y).astype(x.dtype)

    def df(self, x, y):
        return np.isfinite(x.real)

    def sample(self, values, shape):
        x = values.real(shape)
        return x if values.exact else np.where(values.mask(shape, 0.2), np.nan, x)
