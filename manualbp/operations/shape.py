"""Entries moved, repeated, left out: no number is computed, so a gradient goes back where its number came from."""

import math

import numpy as np

from ..base import Array, unbroadcast
from ..flatten import Flatten
from ..padding import can_pad, pad, unpad
from .base import NUMBER, Axes, Operation, axes_of, is_real, some_axes

Shape = tuple[int, ...]


class Moved(Operation, family=True):
    """y holds entries of x in other places: y = f(x). dx holds those of dy where they came from: dx = back(dy, x)."""

    dyadic = True

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


class Expand(Moved):
    """Axes of length 1 repeated, and new ones before them.

    Forward   y[…, i, …] = x[…, 0, …] for every i along an axis that is repeated
    Backward  an entry that is repeated collects from every copy: dx = Σdy over the repeated axes
    Shapes    x: (*, 1, *), y: size; −1 stands for the length that x has
    Errors    ValueError if x does not broadcast to size
    Source    torch.Tensor.expand
    """

    size: Shape

    calls = ("Tensor.expand", "torch.broadcast_to", "Tensor.broadcast_to", "Tensor.expand_as")

    def f(self, x):
        own = (None,) * (len(self.size) - x.ndim) + x.shape  # what −1 stands for
        to = tuple(have if n == -1 else n for n, have in zip(self.size, own))
        fits = len(own) == len(to) and all(have in (None, 1, n) for n, have in zip(to, own)) and None not in to
        self.takes(fits, x, "(*) that broadcasts to size", NUMBER)
        return np.broadcast_to(x, to)

    def back(self, dy, x_shape):
        return unbroadcast(dy, x_shape)

    @classmethod
    def example(cls, choose, shape):
        new = tuple(choose(2, 1) for _ in range(choose(0, 1)))
        return cls(new + tuple(choose(3, 1) if n == 1 else choose(n, -1) for n in shape))


class Tile(Moved):
    """The whole array laid side by side several times along its axes.

    Forward   y[i] = x[i mod its length], along every axis; where repeats is longer, x gets new axes in front
    Backward  every entry collects from its copies: dx = Σdy over them. With y's axes split into (repeats, lengths),
              the copies lie along the axes of repeats
    Shapes    x: (…, S), y: (…, S · repeats[-1])
    Errors    ValueError if repeats is shorter than x has axes
    Source    torch.Tensor.repeat
    """

    repeats: Shape

    calls = ("Tensor.repeat",)

    def f(self, x):
        self.takes(x.ndim <= len(self.repeats), x, f"(*) of {len(self.repeats)} axes at most: repeats", NUMBER)
        return np.tile(x, self.repeats)

    def back(self, dy, x_shape):
        lengths = (1,) * (len(self.repeats) - len(x_shape)) + x_shape
        split = [n for pair in zip(self.repeats, lengths) for n in pair]
        return dy.reshape(split).sum(tuple(range(0, len(split), 2))).reshape(x_shape)

    @classmethod
    def example(cls, choose, shape):
        new = tuple(choose(2, 1) for _ in range(choose(0, 1)))
        return cls(new + tuple(choose(1, 2, 3) for _ in shape))


class RepeatInterleave(Moved):
    """Every entry along one axis several times, one copy beside the other.

    Forward   y[i] = x[⌊i/repeats⌋] along dim; dim None flattens x first
    Backward  every entry collects from its copies: dx = Σdy over runs of `repeats` entries
    Shapes    x: (*, S, *), y: (*, S · repeats, *)
    Errors    ValueError if x has no axis dim, or repeats is no int
    Source    torch.repeat_interleave with one number; LLaMA repeats its keys so
    """

    repeats: int
    dim: int | None = None

    calls = ("torch.repeat_interleave", "Tensor.repeat_interleave")
    ranks = (1, 2, 3, 4)

    def f(self, x):
        if self.dim is not None:
            axes_of(self, self.dim, x)
        return np.repeat(x, self.repeats, self.dim)

    def back(self, dy, x_shape):
        if self.dim is None:
            return dy.reshape(-1, self.repeats).sum(1).reshape(x_shape)
        axis = self.dim % len(x_shape)
        return dy.reshape(*x_shape[: axis + 1], self.repeats, *x_shape[axis + 1 :]).sum(axis + 1)

    @classmethod
    def example(cls, choose, shape):
        return cls(choose(2, 1, 3), choose(*range(-len(shape), len(shape)), None))


class Roll(Moved):
    """Every axis turned like a ring.

    Forward   y[(i + shift) mod S] = x[i] along every axis of dims; without dims, x as one long row
    Backward  turned back: dx = dy rolled by −shift
    Shapes    x, y: (*)
    Errors    ValueError if x has no such axes
    Source    torch.roll; Swin shifts its windows so
    """

    shifts: int | Shape
    dims: int | Shape | None = None

    calls = ("torch.roll", "Tensor.roll")
    ranks = (1, 2, 3, 4)

    def f(self, x):
        if self.dims is not None:
            axes_of(self, self.dims, x)
        return np.roll(x, self.shifts, self.dims)

    def back(self, dy, x_shape):
        shifts = tuple(-n for n in self.shifts) if isinstance(self.shifts, tuple) else -self.shifts
        return np.roll(dy, shifts, self.dims)

    @classmethod
    def example(cls, choose, shape):
        axes = some_axes(choose, len(shape))
        shifts = tuple(choose(1, -2, 3) for _ in axes) if isinstance(axes, tuple) else choose(1, -1, 2)
        return cls(shifts, axes)


class Flip(Moved):
    """The entries along some axes in reverse order.

    Forward   y[i] = x[S − 1 − i] along every axis of dims
    Backward  reversed once more: dx = dy flipped
    Shapes    x, y: (*)
    Errors    ValueError if x has no such axes
    Source    torch.flip
    """

    dims: int | Shape

    calls = ("torch.flip", "Tensor.flip")
    ranks = (1, 2, 3, 4)

    def f(self, x):
        return np.flip(x, axes_of(self, self.dims, x)) if self.dims != () else x

    def back(self, dy, x_shape):
        return self.f(dy)

    @classmethod
    def example(cls, choose, shape):
        return cls(some_axes(choose, len(shape)) or 0)


class Pad(Moved):
    """A border of one value around the last axes; negative, it takes entries away.

    Forward   y = x where x lies, `value` around it; pad = (before, after) of the last axis, then of the one before …
    Backward  the border depends on nothing: dx = the part of dy where x lies
    Shapes    x: (*, S), y: (*, before + S + after)
    Errors    ValueError if pad is no even number of ints, or takes away more than there is
    Source    torch.nn.functional.pad with mode "constant"; its other modes are the layers of manualbp.padding
    """

    pad: Shape
    value: float = 0.0

    calls = ("torch.nn.functional.pad",)
    ranks = (1, 2, 3, 4)

    def __post_init__(self):
        super().__post_init__()
        if not isinstance(self.pad, tuple) or len(self.pad) % 2:
            raise ValueError(f"{self}: pad takes two ints for every axis from the last on, as in (1, 1, 0, 2)")

    @property
    def sides(self) -> tuple[tuple[int, int], ...]:
        """Before and after, for the first of the padded axes first."""
        return tuple(zip(self.pad[::2], self.pad[1::2]))[::-1]

    def f(self, x):
        fits = len(self.sides) <= x.ndim and can_pad(x.shape[x.ndim - len(self.sides) :], self.sides, "constant")
        self.takes(fits, x, f"(*) of {len(self.sides)} axes or more, none of them left empty by pad", NUMBER)
        return pad(x, self.sides, "constant", self.value)

    def back(self, dy, x_shape):
        return unpad(dy, x_shape[len(x_shape) - len(self.sides) :], self.sides)

    @classmethod
    def example(cls, choose, shape):
        axes = choose(*range(1, len(shape) + 1))
        least = [0 if n == 1 else -1 for n in shape[::-1][:axes]]
        sides = [(choose(1, 0, 2), choose(0, 2, lowest)) for lowest in least]
        return cls(tuple(n for pair in sides for n in pair), choose(0.0, 0.5, -1.0))


class Triangle(Moved, family=True):
    """One side of a diagonal kept, 0 on the other."""

    diagonal: int = 0

    ranks = (2, 3, 4)
    options = {"diagonal": (0, 1, -1)}

    def kept(self, rows: int, columns: int) -> Array:
        """True where an entry stays."""
        raise NotImplementedError

    def f(self, x):
        self.takes(x.ndim > 1, x, "(*, A, B)", NUMBER)
        return np.where(self.kept(*x.shape[-2:]), x, np.zeros((), x.dtype))

    def back(self, dy, x_shape):
        return self.f(dy)


class Tril(Triangle):
    """What lies on and below a diagonal.

    Forward   yᵢⱼ = xᵢⱼ where j − i ≤ diagonal, else 0
    Backward  what stays passes its gradient, the zeros none: dxᵢⱼ = dyᵢⱼ where j − i ≤ diagonal, else 0
    Shapes    x, y: (*, A, B)
    Errors    ValueError if x has less than two axes
    Source    torch.tril
    """

    calls = ("torch.tril", "Tensor.tril")

    def kept(self, rows, columns):
        return np.tri(rows, columns, self.diagonal, dtype=bool)


class Triu(Triangle):
    """What lies on and above a diagonal.

    Forward   yᵢⱼ = xᵢⱼ where j − i ≥ diagonal, else 0
    Backward  what stays passes its gradient, the zeros none: dxᵢⱼ = dyᵢⱼ where j − i ≥ diagonal, else 0
    Shapes    x, y: (*, A, B)
    Errors    ValueError if x has less than two axes
    Source    torch.triu
    """

    calls = ("torch.triu", "Tensor.triu")

    def kept(self, rows, columns):
        return ~np.tri(rows, columns, self.diagonal - 1, dtype=bool)


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
    calls = ("Tensor.detach", "Tensor.detach_", "Tensor.data")

    def forward(self, params, x):
        self.takes(True, x, "(*)", NUMBER)
        return x, (x,)

    def backward(self, params, cache, dy):
        (x,) = cache
        return (np.zeros_like(x) if is_real(x) else None), {}
