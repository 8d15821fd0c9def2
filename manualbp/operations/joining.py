"""Arrays joined and split along one axis: every part gets its own slice of the gradient, and gives it back."""

import numpy as np

from ..base import Array, Tree, describe
from .base import NUMBER, Operation, alike, axis_of, is_real, possible

Lengths = tuple[int, ...]


class Joined(Operation, family=True):
    """Any number of arrays made one."""

    dim: int = 0

    arity = 2
    dyadic = True
    of_complex = True

    def parts(self, x: Tree) -> list[Array]:
        if not isinstance(x, tuple) or not x:
            raise ValueError(f"{self} takes a tuple of arrays, one at least; it got {describe(x)}")
        for a in x:
            self.takes(True, a, "(*)", NUMBER)
        return alike(x)


class Cat(Joined):
    """Arrays one after the other along an axis.

    Forward   y = [x₁ | x₂ | …] along dim
    Backward  every entry of y is one of some xₖ: dxₖ = the slice of dy where xₖ lies
    Shapes    xₖ: (*, Sₖ, *), or (0,), which counts for nothing; y: (*, ΣSₖ, *)
    Errors    ValueError if the shapes differ along another axis, or have no axis dim
    Source    torch.cat; a cache that is still empty is of shape (0,)
    """

    calls = ("torch.cat", "torch.concat", "torch.concatenate")
    ranks = (1, 2, 3, 4)

    def forward(self, params, x):
        parts = self.parts(x)
        joined = [a for a in parts if a.shape != (0,)] or parts[:1]
        axis = axis_of(self, self.dim, joined[0])
        if len({(a.ndim, *a.shape[:axis], *a.shape[axis + 1 :]) for a in joined}) > 1:
            raise ValueError(f"{self} joins arrays that differ along axis {self.dim} only; it got {describe(x)}")
        lengths = tuple(0 if a.shape == (0,) else a.shape[axis] for a in parts)
        return np.concatenate(joined, axis, dtype=np.result_type(*parts)), (axis, lengths, x)

    def backward(self, params, cache, dy):
        axis, lengths, x = cache
        parts = np.split(dy, np.cumsum(lengths)[:-1], axis) if dy is not None else lengths
        parts = [d if n else np.zeros_like(a) for d, n, a in zip(parts, lengths, x)]
        return tuple(possible(d, a) if is_real(a) else None for d, a in zip(parts, x)), {}

    @classmethod
    def example(cls, choose, shape):
        return cls(choose(*range(len(shape)), *range(-1, -len(shape) - 1, -1)))

    def sample(self, values, shape):
        """One to three arrays of different lengths, 0 among them; sometimes one of shape (0,) before them."""
        axis = self.dim % len(shape)
        lengths = [shape[axis], *values.rng.integers(0, 4, values.rng.integers(3))]
        arrays = tuple(values.real((*shape[:axis], int(n), *shape[axis + 1 :])) for n in lengths)
        return (values.real((0,)), *arrays) if values.rng.integers(8) == 0 else arrays


class Stack(Joined):
    """Arrays side by side along a new axis.

    Forward   y[…, k, …] = xₖ along a new axis dim
    Backward  every xₖ is one slice of y: dxₖ = dy[…, k, …]
    Shapes    xₖ: (*), y: (*, K, *) with K arrays
    Errors    ValueError if the shapes differ, or y has no axis dim
    Source    torch.stack
    """

    calls = ("torch.stack",)

    def forward(self, params, x):
        parts = self.parts(x)
        if len({a.shape for a in parts}) > 1:
            raise ValueError(f"{self} takes arrays of one shape; it got {describe(x)}")
        self.takes(-parts[0].ndim - 1 <= self.dim <= parts[0].ndim, parts[0], "(*), so that y has an axis dim", NUMBER)
        return np.stack(parts, self.dim), (x,)

    def backward(self, params, cache, dy):
        (x,) = cache
        parts = np.moveaxis(dy, self.dim, 0) if dy is not None else x
        return tuple(possible(d, a) if is_real(a) else None for d, a in zip(parts, x)), {}

    @classmethod
    def example(cls, choose, shape):
        return cls(choose(*range(len(shape) + 1), *range(-1, -len(shape) - 2, -1)))

    def sample(self, values, shape):
        return tuple(values.real(shape) for _ in range(values.rng.integers(1, 4)))


class Parted(Operation, family=True):
    """One array made several: yₖ is a slice of x along `dim`, so dx holds every dyₖ where yₖ lay. A part that nobody
    used, dyₖ None, gives 0. A subclass says how long the parts are."""

    dyadic = True
    of_complex = True
    ranks = (1, 2, 3, 4)

    def lengths(self, size: int) -> Lengths:
        raise NotImplementedError

    def forward(self, params, x):
        axis = axis_of(self, self.dim, x)
        lengths = self.lengths(x.shape[axis])
        self.takes(sum(lengths) == x.shape[axis], x, f"(*, {sum(lengths)}, *) along dim", NUMBER)
        y = tuple(np.split(x, np.cumsum(lengths)[:-1], axis))
        return y, (axis, tuple(part.shape for part in y), x.dtype if is_real(x) else None)

    def backward(self, params, cache, dy):
        axis, shapes, dtype = cache
        if dtype is None:
            return None, {}
        parts = [np.zeros(size, dtype) if d is None else d for d, size in zip(dy, shapes)]
        return np.concatenate(parts, axis), {}


class Split(Parted):
    """Cut into parts of a given length, or of given lengths.

    Forward   x = [y₁ | y₂ | …] along dim: every yₖ split_size long, the last what is left; or as long as a tuple says
    Backward  every entry of x is in one yₖ: dx = [dy₁ | dy₂ | …]
    Shapes    x: (*, S, *), yₖ: (*, Sₖ, *) with ΣSₖ = S
    Errors    ValueError if x has no axis dim, or the lengths do not add up to S
    Source    torch.split
    """

    split_size: int | Lengths
    dim: int = 0

    calls = ("torch.split", "Tensor.split", "torch.split_with_sizes", "Tensor.split_with_sizes")

    def __post_init__(self):
        super().__post_init__()
        if any(n < 0 for n in self.split_size) if isinstance(self.split_size, tuple) else self.split_size < 1:
            raise ValueError(f"{self}: split_size takes an int of 1 or more, or a tuple of lengths")

    def lengths(self, size):
        if isinstance(self.split_size, tuple):
            return self.split_size
        starts = range(0, max(size, 1), self.split_size)
        return tuple(min(self.split_size, size - start) for start in starts)

    @classmethod
    def example(cls, choose, shape):
        dim = choose(*range(len(shape)), -1)
        first = choose(*range(shape[dim] + 1))
        return cls(choose(1, 2, 3, (first, shape[dim] - first), (shape[dim],)), dim)


class Chunk(Parted):
    """Cut into a number of parts.

    Forward   x = [y₁ | y₂ | …] along dim, every yₖ ⌈S/chunks⌉ long and the last what is left, so they can be fewer
    Backward  every entry of x is in one yₖ: dx = [dy₁ | dy₂ | …]
    Shapes    x: (*, S, *), yₖ: (*, Sₖ, *)
    Errors    ValueError if chunks < 1, or x has no axis dim
    Source    torch.chunk
    """

    chunks: int
    dim: int = 0

    calls = ("torch.chunk", "Tensor.chunk")

    def __post_init__(self):
        super().__post_init__()
        if self.chunks < 1:
            raise ValueError(f"{self}: chunks is 1 or more")

    def lengths(self, size):
        if size == 0:
            return (0,) * self.chunks
        most = -(-size // self.chunks)
        return tuple(min(most, size - start) for start in range(0, size, most))

    @classmethod
    def example(cls, choose, shape):
        return cls(choose(2, 1, 3, 5), choose(*range(len(shape)), -1))


class Unbind(Operation):
    """Every slice along an axis by itself.

    Forward   yₖ = x[…, k, …] at the axis dim
    Backward  every entry of x is in one yₖ: dx[…, k, …] = dyₖ, 0 where nobody used yₖ
    Shapes    x: (*, S, *), y: S arrays (*)
    Errors    ValueError if x has no axis dim
    Source    torch.unbind; what a loop over a tensor does
    """

    dim: int = 0

    dyadic = True
    of_complex = True
    ranks = (1, 2, 3, 4)
    calls = ("torch.unbind", "Tensor.unbind", "Tensor.__iter__")

    def forward(self, params, x):
        axis = axis_of(self, self.dim, x)
        y = tuple(np.moveaxis(x, axis, 0))
        return y, (axis, x.shape, x.dtype if is_real(x) else None)

    def backward(self, params, cache, dy):
        axis, size, dtype = cache
        if dtype is None:
            return None, {}
        rest = size[:axis] + size[axis + 1 :]
        return np.stack([np.zeros(rest, dtype) if d is None else d for d in dy], axis), {}

    @classmethod
    def example(cls, choose, shape):
        return cls(choose(*range(len(shape)), -1))
