"""The same numbers in another dtype, and the same numbers as a constant."""

import numpy as np

from .base import NUMBER, Operation, is_real


class To(Operation):
    """The same numbers, in another dtype where one is named; a copy, or another layout in memory, is the same array.

    Forward   y = x
    Backward  ∂y/∂x = 1: dx = dy in the dtype of x;  integers pass no gradient: dx = 0 where y holds integers
    Shapes    x, y: (*)
    Errors    ValueError if NumPy has no such dtype
    Source    torch.Tensor.to, contiguous, clone
    Caveat    a dtype with fewer digits rounds y, and dy is rounded as it comes back
    """

    dtype: str | None = None

    dyadic = True
    of_complex = True
    calls = (
        "Tensor.to", "Tensor.contiguous", "Tensor.clone", "torch.clone", "Tensor.type_as", "Tensor.float",
        "Tensor.double", "Tensor.long", "Tensor.int", "Tensor.bool", "Tensor.type", "Tensor.cpu", "Tensor.cuda",
    )  # fmt: skip

    def __post_init__(self):
        super().__post_init__()
        try:
            np.dtype(self.dtype)
        except TypeError:
            raise ValueError(f'{self}: dtype is None or the name of one in NumPy, as "float32", "int64"') from None

    def forward(self, params, x):
        self.takes(True, x, "(*)", NUMBER)
        return (x if self.dtype is None else x.astype(self.dtype)), (x.shape, x.dtype if is_real(x) else None)

    def backward(self, params, cache, dy):
        x_shape, dtype = cache
        if dtype is None:
            return None, {}
        return (np.zeros(x_shape, dtype) if dy is None else dy.astype(dtype)), {}


class Detach(Operation):
    """The same numbers, cut off from what they were made of.

    Forward   y = x, as a constant
    Backward  L is taken not to depend on x through y: dx = 0
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.Tensor.detach; what is computed under torch.no_grad
    Caveat    dx is not the derivative of the forward, on purpose
    """

    dyadic = True
    is_gradient = False
    of_complex = True
    calls = ("Tensor.detach", "Tensor.detach_", "Tensor.data")

    def forward(self, params, x):
        self.takes(True, x, "(*)", NUMBER)
        return x, (x,)

    def backward(self, params, cache, dy):
        (x,) = cache
        return (np.zeros_like(x) if is_real(x) else None), {}
