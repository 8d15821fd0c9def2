"""Entries moved, repeated, left out: no number is computed, so a gradient goes back where its number came from."""

import math

import numpy as np

from ..base import Array
from ..flatten import Flatten
from .base import NUMBER, Axes, Operation, axes_of, is_real, some_axes

Shape = tuple[int, ...]


class Moved(Operation, family=True):
    """y holds entries of x in other places: y = f(x). dx holds those of dy where they came from: dx = back(dy, x)."""

    dyadic = True
    of_complex = True

    def f(self, x: Array) -> Array:
        raise NotImplementedError

    def back(self, dy: Array, x_shape: Shape) -> Array:
        raise NotImplementedError

    def forward(self, params, x):
        self.takes(True, x, "(*)", NUMBER)
        x = np.asarray(x)
        return self.f(x), (x.shape, is_real(x))

    def backward(self, params, cache, dy):
        x_shape, real = cache
        return (self.back(dy, x_shape) if real and dy is not None else None), {}


class Reordered(Moved, family=True):
    """Another shape for the same entries in the same order."""

    def back(self, dy, x_shape):
        return dy.reshape(x_shape)


class Reshape(Reordered):
    """The entries in the same order under another shape.

    Forward   y = x in another shape, its entries in row-major order
    Backward  entry k of y is entry k of x: dx = dy in the shape of x
    Shapes    x: any, y: shape; one of its sizes may be −1, which stands for what the others leave
    Errors    ValueError if the numbers of entries differ
    Source    torch.reshape; torch's view is the same, or refuses
    """

    shape: Shape

    calls = ("torch.reshape", "Tensor.reshape", "Tensor.view", "Tensor.reshape_as", "Tensor.view_as")

    def __post_init__(self):
        super().__post_init__()
        if not isinstance(self.shape, tuple) or any(not isinstance(n, int) or n < -1 for n in self.shape):
            raise ValueError(f"{self}: shape takes a tuple of ints, as in (2, 3) or (2, -1)")
        if self.shape.count(-1) > 1:
            raise ValueError(f"{self}: shape takes −1 once")

    def f(self, x):
        known = math.prod(n for n in self.shape if n != -1)
        fits = known > 0 and x.size % known == 0 if -1 in self.shape else x.size == known
        self.takes(fits, x, f"(*) of {known} entries{' or a multiple of it' * (-1 in self.shape)}", NUMBER)
        return x.reshape(self.shape)

    @classmethod
    def example(cls, choose, shape):
        size = math.prod(shape)
        first = choose(*(n for n in range(1, size + 1) if size % n == 0))
        return cls(choose((first, size // first), (first, -1), (-1, first, 1), (size,), shape[::-1]))


class Ravel(Flatten, Operation):
    """Axes joined into one: the layer Flatten, with start_dim = 0 as torch's function has it.

    Forward   y = x, its entries in the same (row-major) order
    Backward  the entries of x keep their order, so those of its gradient do: dx = dy in the shape of x
    Shapes    x: (*, S₁, …, Sₖ, *), y: (*, S₁ ⋯ Sₖ, *); a number becomes a vector of one entry
    Errors    ValueError if x has no such axes, or end_dim comes before start_dim
    Source    torch.flatten
    """

    start_dim: int = 0
    end_dim: int = -1

    ranks = (0, 1, 2, 3, 4)
    calls = ("torch.flatten", "Tensor.flatten", "torch.ravel", "Tensor.ravel")


class Squeeze(Reordered):
    """Axes of length 1 left out.

    Forward   y = x without its axes of length 1: all of them, or those among dim
    Backward  the entries stay in order: dx = dy in the shape of x
    Shapes    x: (*, 1, *), y: (*, *); an axis of dim that is longer stays
    Errors    ValueError if x has no axis dim
    Source    torch.squeeze
    """

    dim: Axes = None

    calls = ("torch.squeeze", "Tensor.squeeze", "Tensor.squeeze_")

    def f(self, x):
        axes = range(x.ndim) if self.dim is None else axes_of(self, self.dim, x) if self.dim != () else ()
        return x.reshape([n for i, n in enumerate(x.shape) if n != 1 or i not in axes])

    @classmethod
    def example(cls, choose, shape):
        return cls(some_axes(choose, len(shape)))


class Unsqueeze(Reordered):
    """A new axis of length 1.

    Forward   y = x with an axis of length 1 at dim
    Backward  the entries stay in order: dx = dy in the shape of x
    Shapes    x: (*, *), y: (*, 1, *)
    Errors    ValueError if dim is no place among the axes of y
    Source    torch.unsqueeze
    """

    dim: int

    calls = ("torch.unsqueeze", "Tensor.unsqueeze", "Tensor.unsqueeze_")

    def f(self, x):
        self.takes(-x.ndim - 1 <= self.dim <= x.ndim, x, "(*), so that y has an axis dim", NUMBER)
        return np.expand_dims(x, self.dim)

    @classmethod
    def example(cls, choose, shape):
        return cls(choose(*range(-len(shape) - 1, len(shape) + 1)))


class Permute(Moved):
    """The axes in another order.

    Forward   y has axis dims[k] of x as its axis k:  y[i₀, i₁, …] = x[j], where j at dims[k] is iₖ
    Backward  what went from dims[k] to k goes back: dx = dy with the inverse order, which is the argsort of dims
    Shapes    x: as many axes as dims, y: (x.shape[dims[0]], x.shape[dims[1]], …)
    Errors    ValueError unless dims names every axis once
    Source    torch.permute
    """

    dims: Shape

    calls = ("torch.permute", "Tensor.permute")

    def order(self, x: Array) -> Shape:
        fits = sorted(d % max(x.ndim, 1) for d in self.dims) == list(range(x.ndim))
        self.takes(fits and all(-x.ndim <= d for d in self.dims), x, f"(*) of {len(self.dims)} axes: dims", NUMBER)
        return tuple(d % x.ndim for d in self.dims)

    def f(self, x):
        return x.transpose(self.order(x))

    def back(self, dy, x_shape):
        return dy.transpose(np.argsort(self.order(dy)))

    @classmethod
    def example(cls, choose, shape):
        left, dims = list(range(len(shape))), []
        while left:
            dims.append(left.pop(choose(*range(len(left) - 1, -1, -1))) - choose(0, len(shape)))
        return cls(tuple(dims))


class SwapAxes(Moved):
    """Two axes change places.

    Forward   y[…, i, …, j, …] = x[…, j, …, i, …] at the axes dim0 and dim1
    Backward  they change back: dx = dy with dim0 and dim1 swapped
    Shapes    x: (*, A, *, B, *), y: (*, B, *, A, *)
    Errors    ValueError if x has no such axes
    Source    torch.transpose
    """

    dim0: int
    dim1: int

    calls = (
        "torch.transpose", "Tensor.transpose", "torch.swapaxes", "Tensor.swapaxes", "torch.swapdims",
        "Tensor.swapdims", "Tensor.transpose_",
    )  # fmt: skip

    def f(self, x):
        both = [axes_of(self, dim, x) for dim in (self.dim0, self.dim1)]
        return x.swapaxes(*(axis for axes in both for axis in axes)) if x.ndim else x

    def back(self, dy, x_shape):
        return self.f(dy)

    @classmethod
    def example(cls, choose, shape):
        ends = range(-max(len(shape), 1), max(len(shape), 1))
        return cls(choose(*ends), choose(*reversed(ends)))


class Turned(Moved):
    """The axes in reverse order, or the last two swapped.

    Forward   y = xᵀ: "T" all axes in reverse order, "mT" the last two swapped
    Backward  the same turn once more: dx = dyᵀ
    Shapes    x: (A, …, B), y: (B, …, A);  "mT": x: (*, A, B), y: (*, B, A)
    Errors    ValueError for another kind, or if x has less than two axes for "mT"
    Source    torch's Tensor.T and Tensor.mT
    """

    kind: str = "T"

    calls = ("Tensor.T", "Tensor.t", "torch.t", "Tensor.mT", "torch.adjoint")
    options = {"kind": ("T", "mT")}
    ranks = (2,)

    def __post_init__(self):
        super().__post_init__()
        if self.kind not in ("T", "mT"):
            raise ValueError(f'{self}: kind is "T" or "mT"')

    def f(self, x):
        self.takes(self.kind == "T" or x.ndim > 1, x, "(*, A, B)", NUMBER)
        return x.T if self.kind == "T" else x.swapaxes(-1, -2)

    def back(self, dy, x_shape):
        return self.f(dy)


class MoveDim(Moved):
    """Axes brought to other places, the rest in order.

    Forward   axis source[k] of x becomes axis destination[k] of y
    Backward  they go back: dx = dy with axis destination[k] brought to source[k]
    Shapes    x, y: the same sizes in another order
    Errors    ValueError if x has no such axes
    Source    torch.movedim
    """

    source: int | Shape
    destination: int | Shape

    calls = ("torch.movedim", "torch.moveaxis", "Tensor.movedim", "Tensor.moveaxis")
    ranks = (1, 2, 3, 4)

    def f(self, x):
        return np.moveaxis(x, axes_of(self, self.source, x), axes_of(self, self.destination, x))

    def back(self, dy, x_shape):
        return np.moveaxis(dy, self.destination, self.source)

    @classmethod
    def example(cls, choose, shape):
        ends = range(-len(shape), len(shape))
        return cls(choose(*ends), choose(*reversed(ends)))


class Diagonal(Moved):
    """The diagonal between two axes, as the last axis.

    Forward   y[…, k] = x[…, k, …, k + offset, …] at the axes dim1 and dim2;  offset < 0: x[…, k − offset, …, k, …]
    Backward  what lies on the diagonal passes its gradient, the rest none: dx = dy on the diagonal, 0 elsewhere
    Shapes    x: (*, A, *, B, *), y: (*, D) with the length D of the diagonal
    Errors    ValueError if x has no such axes, or they are the same
    Source    torch.diagonal
    """

    offset: int = 0
    dim1: int = 0
    dim2: int = 1

    ranks = (2, 3, 4)
    calls = ("torch.diagonal", "Tensor.diagonal", "torch.linalg.diagonal")

    def f(self, x):
        return x.diagonal(self.offset, *axes_of(self, (self.dim1, self.dim2), x))

    def back(self, dy, x_shape):
        dx, k = np.zeros(x_shape, dy.dtype), np.arange(dy.shape[-1])
        rows = np.moveaxis(dx, (self.dim1, self.dim2), (-2, -1))
        rows[..., k + max(-self.offset, 0), k + max(self.offset, 0)] = dy
        return dx

    @classmethod
    def example(cls, choose, shape):
        ends = range(len(shape))
        first = choose(*ends)
        return cls(choose(0, 1, -1), first, choose(*(d - choose(0, len(shape)) for d in ends if d != first)))
