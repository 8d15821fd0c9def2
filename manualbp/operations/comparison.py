"""What gives a mask or integers: comparisons, and the place of an extreme. These values are constant between jumps
and pass no gradient: dx = 0 for every real input."""

from typing import Any

import numpy as np

from ..base import INTEGER, Array
from .arithmetic import Binary
from .base import Axes, Operation, axes_of, axis_of, check_range, some_axes, unreached
from .choice import ordered


class Compared(Binary, family=True):
    """A comparison of two, entry by entry."""

    in_networks = False

    def backward(self, params, cache, dy):
        return unreached(cache[0]), {}


class Eq(Compared):
    """Are they equal?

    Forward   y = [a = b]
    Backward  y is a mask:  da = db = 0
    Shapes    a, b: broadcast to the shape of y; `input` or `other` is a number in place of one of them; y: bool
    Errors    ValueError if the shapes do not broadcast
    Source    torch.eq
    """

    of_complex = True
    calls = ("torch.eq", "Tensor.eq", "Tensor.__eq__")

    def f(self, a, b):
        return np.equal(a, b)


class Ne(Compared):
    """Are they different?

    Forward   y = [a ≠ b]
    Backward  y is a mask:  da = db = 0
    Shapes    a, b: broadcast to the shape of y; `input` or `other` is a number in place of one of them; y: bool
    Errors    ValueError if the shapes do not broadcast
    Source    torch.ne
    """

    of_complex = True
    calls = ("torch.ne", "torch.not_equal", "Tensor.ne", "Tensor.__ne__")

    def f(self, a, b):
        return np.not_equal(a, b)


class Lt(Compared):
    """Is the first smaller?

    Forward   y = [a < b]
    Backward  y is a mask:  da = db = 0
    Shapes    a, b: broadcast to the shape of y; `input` or `other` is a number in place of one of them; y: bool
    Errors    ValueError if the shapes do not broadcast
    Source    torch.lt
    """

    calls = ("torch.lt", "torch.less", "Tensor.lt", "Tensor.__lt__")

    def f(self, a, b):
        return np.less(a, b)


class Le(Compared):
    """Is the first smaller, or equal?

    Forward   y = [a ≤ b]
    Backward  y is a mask:  da = db = 0
    Shapes    a, b: broadcast to the shape of y; `input` or `other` is a number in place of one of them; y: bool
    Errors    ValueError if the shapes do not broadcast
    Source    torch.le
    """

    calls = ("torch.le", "torch.less_equal", "Tensor.le", "Tensor.__le__")

    def f(self, a, b):
        return np.less_equal(a, b)


class Gt(Compared):
    """Is the first larger?

    Forward   y = [a > b]
    Backward  y is a mask:  da = db = 0
    Shapes    a, b: broadcast to the shape of y; `input` or `other` is a number in place of one of them; y: bool
    Errors    ValueError if the shapes do not broadcast
    Source    torch.gt
    """

    calls = ("torch.gt", "torch.greater", "Tensor.gt", "Tensor.__gt__")

    def f(self, a, b):
        return np.greater(a, b)


class Ge(Compared):
    """Is the first larger, or equal?

    Forward   y = [a ≥ b]
    Backward  y is a mask:  da = db = 0
    Shapes    a, b: broadcast to the shape of y; `input` or `other` is a number in place of one of them; y: bool
    Errors    ValueError if the shapes do not broadcast
    Source    torch.ge
    """

    calls = ("torch.ge", "torch.greater_equal", "Tensor.ge", "Tensor.__ge__")

    def f(self, a, b):
        return np.greater_equal(a, b)


class Asked(Operation, family=True):
    """Something over some axes that gives a mask or integers."""

    in_networks = False
    dyadic = True

    def f(self, x: Array, axes: Any) -> Array:
        raise NotImplementedError

    def forward(self, params, x):
        axes = axes_of(self, self.dim, x)
        y = np.asarray(self.f(x, axes))
        return (y if self.keepdim else y.squeeze(axes)), (x,)

    def backward(self, params, cache, dy):
        return unreached(cache[0]), {}

    @classmethod
    def example(cls, choose, shape):
        return cls(some_axes(choose, len(shape)), choose(False, True))


class AnyOf(Asked):
    """Is one of them true?

    Forward   y = ∨ x over dim
    Backward  y is a mask:  dx = 0
    Shapes    x: (*, S, *), y: (*, *), or (*, 1, *) with keepdim, of bool
    Errors    ValueError if x has no axes dim
    Source    torch.any
    """

    dim: Axes = None
    keepdim: bool = False

    calls = ("torch.any", "Tensor.any")

    def f(self, x, axes):
        return (x != 0).any(axes, keepdims=True)


class AllOf(Asked):
    """Are all of them true?

    Forward   y = ∧ x over dim
    Backward  y is a mask:  dx = 0
    Shapes    x: (*, S, *), y: (*, *), or (*, 1, *) with keepdim, of bool
    Errors    ValueError if x has no axes dim
    Source    torch.all
    """

    dim: Axes = None
    keepdim: bool = False

    calls = ("torch.all", "Tensor.all")

    def f(self, x, axes):
        return (x != 0).all(axes, keepdims=True)


class Placed(Asked, family=True):
    """Where along one axis, or among all entries in order, an extreme lies: the first of equal ones."""

    dim: int | None = None
    keepdim: bool = False

    def argument(self, x: Array, axis: int) -> Array:
        raise NotImplementedError

    def f(self, x, axes):
        if len(axes) == 1:
            return self.argument(x, axes[0])
        return self.argument(x.reshape(-1), 0).reshape((1,) * x.ndim)

    @classmethod
    def example(cls, choose, shape):
        rank = max(len(shape), 1)
        return cls(choose(None, *range(-rank, rank)), choose(False, True))


class Argmax(Placed):
    """The place of the largest entry.

    Forward   y = argmax x along dim, or in x as one long row; the first of equal ones
    Backward  y is an integer:  dx = 0
    Shapes    x: (*, S, *), y: (*, *), or (*, 1, *) with keepdim, of integers
    Errors    ValueError if x has no axis dim
    Source    torch.argmax
    """

    calls = ("torch.argmax", "Tensor.argmax")

    def argument(self, x, axis):
        return x.argmax(axis, keepdims=True)


class Argmin(Placed):
    """The place of the smallest entry.

    Forward   y = argmin x along dim, or in x as one long row; the first of equal ones
    Backward  y is an integer:  dx = 0
    Shapes    x: (*, S, *), y: (*, *), or (*, 1, *) with keepdim, of integers
    Errors    ValueError if x has no axis dim
    Source    torch.argmin
    """

    calls = ("torch.argmin", "Tensor.argmin")

    def argument(self, x, axis):
        return x.argmin(axis, keepdims=True)


class Argsort(Operation):
    """Where the entries come from, if they are sorted along an axis.

    Forward   y = argsort x along dim; equal ones in the order of x
    Backward  y holds integers:  dx = 0
    Shapes    x, y: (*, S, *), y of integers
    Errors    ValueError if x has no axis dim
    Source    torch.argsort with stable = True
    Caveat    without `stable` torch leaves the order of equal entries open
    """

    dim: int = -1
    descending: bool = False

    in_networks = False
    dyadic = True
    ranks = (1, 2, 3, 4)
    calls = ("torch.argsort", "Tensor.argsort")

    def forward(self, params, x):
        return ordered(x, axis_of(self, self.dim, x), self.descending), (x,)

    def backward(self, params, cache, dy):
        return unreached(cache[0]), {}

    @classmethod
    def example(cls, choose, shape):
        return cls(choose(-1, *range(len(shape))), choose(False, True))


class OneHot(Operation):
    """A row of zeros with a 1 at the index.

    Forward   yₙᵥ = [xₙ = v]
    Backward  x holds integers, which have no gradient:  dx = None
    Shapes    x: (*) of integers, y: (*, num_classes) of integers
    Errors    ValueError if an index is not in 0, …, num_classes − 1
    Source    torch.nn.functional.one_hot
    """

    num_classes: int

    in_networks = False
    integer = True
    dyadic = True
    ranks = (0, 1, 2, 3)
    calls = ("torch.nn.functional.one_hot",)

    def forward(self, params, x):
        self.takes(True, x, "(*)", INTEGER)
        check_range(self, x, self.num_classes)
        return (x[..., None] == np.arange(self.num_classes)).astype(np.int64), ()

    def backward(self, params, cache, dy):
        return None, {}

    @classmethod
    def example(cls, choose, shape):
        return cls(choose(3, 1, 5))

    def sample(self, values, shape):
        return values.integers(0, self.num_classes, shape)
