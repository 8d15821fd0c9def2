"""Entries repeated, turned round, padded, left out: a gradient goes back to where its number came from, and where a
number was copied, its gradients add."""

import numpy as np

from ..base import Array, unbroadcast
from ..padding import can_pad, pad, unpad
from .base import NUMBER, axes_of, axis_of, some_axes
from .shape import Moved, Shape


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


class Windows(Moved):
    """What a window that slides along an axis sees, one axis more for the places in it: Tensor.unfold.

    Forward   y[…, p, …, k] = x[…, p·step + k, …], at the axis dimension
    Backward  an entry is in y once for every pair (p, k) with p·step + k = q, and there its gradients meet:
              dx[…, q, …] = Σ dy[…, p, …, k] over these
    Shapes    x: (*, S, *), y: (*, ⌊(S − size)/step⌋ + 1, *, size)
    Errors    ValueError if x has no axis dimension, or it is shorter than size
    Source    torch.Tensor.unfold
    """

    dimension: int
    size: int
    step: int

    ranks = (1, 2, 3)
    calls = ("Tensor.unfold",)

    def f(self, x):
        axis = axis_of(self, self.dimension, x)
        self.takes(
            0 < self.size <= x.shape[axis] and self.step > 0, x, "(*) no shorter than size along dimension", NUMBER
        )
        seen = np.lib.stride_tricks.sliding_window_view(x, self.size, axis)
        return seen[(*(slice(None),) * axis, slice(None, None, self.step))]

    def back(self, dy, x_shape):
        axis = self.dimension % len(x_shape)
        dx = np.zeros(x_shape, dy.dtype)
        last = (dy.shape[axis] - 1) * self.step + 1
        for k in range(self.size):
            dx[(*(slice(None),) * axis, slice(k, k + last, self.step))] += dy[..., k]
        return dx

    @classmethod
    def example(cls, choose, shape):
        axis = choose(*range(len(shape)))
        return cls(axis - choose(0, len(shape)), choose(*range(1, min(shape[axis], 4) + 1)), choose(1, 2, 3))


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
