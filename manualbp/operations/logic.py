"""Functions of masks. They are constant between jumps and pass no gradient: dx = 0 for every real input."""

import numpy as np

from .base import Operation, check_broadcast, unreached


class Logical(Operation, family=True):
    """A function of masks, or of numbers, of which all but 0 are True."""

    in_networks = False
    dyadic = True

    def backward(self, params, cache, dy):
        return unreached(cache[0]), {}

    def sample(self, values, shape):
        return values.mask(shape, 0.5) if self.arity == 1 else (values.mask(shape, 0.5), values.real(shape).round())


class LogicalAnd(Logical):
    """Are both true?

    Forward   y = a ∧ b
    Backward  y is a mask:  da = db = 0
    Shapes    a, b: broadcast to the shape of y; y: bool
    Errors    ValueError if the shapes do not broadcast
    Source    torch.logical_and; & of masks
    """

    arity = 2
    calls = ("torch.logical_and", "Tensor.logical_and", "torch.bitwise_and", "Tensor.bitwise_and", "Tensor.__and__")

    def forward(self, params, x):
        check_broadcast(self, self.unpack(x, "x1 x2"))
        return np.logical_and(*x), (x,)


class LogicalOr(Logical):
    """Is one of them true, or both?

    Forward   y = a ∨ b
    Backward  y is a mask:  da = db = 0
    Shapes    a, b: broadcast to the shape of y; y: bool
    Errors    ValueError if the shapes do not broadcast
    Source    torch.logical_or; | of masks
    """

    arity = 2
    calls = ("torch.logical_or", "Tensor.logical_or", "torch.bitwise_or", "Tensor.bitwise_or", "Tensor.__or__")

    def forward(self, params, x):
        check_broadcast(self, self.unpack(x, "x1 x2"))
        return np.logical_or(*x), (x,)


class LogicalNot(Logical):
    """Is it not true?

    Forward   y = ¬x
    Backward  y is a mask:  dx = 0
    Shapes    x: (*), y: (*) of bool
    Errors    ValueError if x is no array of numbers
    Source    torch.logical_not; ~ of a mask
    """

    calls = ("torch.logical_not", "Tensor.logical_not", "torch.bitwise_not", "Tensor.bitwise_not", "Tensor.__invert__")

    def forward(self, params, x):
        check_broadcast(self, [x])
        return np.logical_not(x), (x,)


class LogicalXor(Logical):
    """Is one of them true, and not both?

    Forward   y = a ≠ b, of what is true
    Backward  y is a mask:  da = db = 0
    Shapes    a, b: broadcast to the shape of y; y: bool
    Errors    ValueError if the shapes do not broadcast
    Source    torch.logical_xor; ^ of masks
    """

    arity = 2
    calls = ("torch.logical_xor", "Tensor.logical_xor", "torch.bitwise_xor", "Tensor.bitwise_xor", "Tensor.__xor__")

    def forward(self, params, x):
        check_broadcast(self, self.unpack(x, "x1 x2"))
        return np.logical_xor(*x), (x,)


class IsNan(Logical):
    """Is it no number?

    Forward   y = [x ≠ x], which NaN alone does
    Backward  y is a mask:  dx = 0
    Shapes    x: (*), y: (*) of bool
    Errors    ValueError if x is no array of numbers
    Source    torch.isnan
    """

    calls = ("torch.isnan", "Tensor.isnan")

    def forward(self, params, x):
        check_broadcast(self, [x])
        return np.not_equal(x, x), (x,)

    def sample(self, values, shape):
        return np.where(values.mask(shape, 0.0 if values.exact else 0.3), np.nan, values.real(shape))


class IsInf(Logical):
    """Is it infinite?

    Forward   y = [|x| = ∞]
    Backward  y is a mask:  dx = 0
    Shapes    x: (*), y: (*) of bool
    Errors    ValueError if x is no array of numbers
    Source    torch.isinf
    """

    calls = ("torch.isinf", "Tensor.isinf")

    def forward(self, params, x):
        check_broadcast(self, [x])
        return np.isinf(x), (x,)

    def sample(self, values, shape):
        return np.where(values.mask(shape, 0.0 if values.exact else 0.3), np.inf, values.real(shape))
