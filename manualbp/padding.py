"""Arrays made larger at their borders; convolution and pooling pad with the same functions. Beside
torch/nn/modules/padding.py.

Every padding is an index map i along each axis by itself: entry q of the padded axis reads entry i(q) of x, so its
gradient is the adjoint of that map, which collects for every entry of x the gradients of all that read it:

    y[q] = x[i(q)],        ∂y[q]/∂x[j] = [i(q) = j],        dx[j] = Σ dy[q] over all q with i(q) = j
"""

from collections.abc import Sequence
from dataclasses import field
from typing import ClassVar

import numpy as np

from .base import Array, Layer, shape

MAPS = ("reflect", "replicate", "circular")  # modes that show x again; all others put a value where x is not
Sides = Sequence[tuple[int, int]]  # how many entries to add before and after each of the last axes; < 0 takes away


def source(mode: str, size: int, before: int, after: int) -> Array:
    """i(q) for q = −before, …, size − 1 + after."""
    q, last = np.arange(-before, size + after), size - 1
    if mode == "reflect":
        return last - np.abs(last - np.abs(q))
    if mode == "circular":  # a negative padding takes its part off before the ring is closed
        first, length = max(-before, 0), size + min(before, 0) + min(after, 0)
        return first + (q - first) % length
    return np.clip(q, 0, last)


def grown(sizes: tuple[int, ...], sides: Sides) -> tuple[int, ...]:
    """The sizes of the padded axes."""
    return tuple(n + before + after for n, (before, after) in zip(sizes, sides))


def pad(x: Array, sides: Sides, mode: str = "constant", value: float = 0) -> Array:
    """x with its last axes padded: y[q] = x[i(q)], or y[q] = value where q lies outside of x."""
    if mode not in MAPS and any(map(any, sides)):
        outer, inner = _overlap(sides, x.shape)
        y = np.full(x.shape[: -len(sides)] + grown(x.shape[-len(sides) :], sides), value, x.dtype)
        y[outer] = x[inner]
        return y
    for axis, (before, after) in enumerate(sides, -len(sides)):
        if before or after:
            x = x.take(source(mode, x.shape[axis], before, after), axis)
    return x


def unpad(dy: Array, sizes: tuple[int, ...], sides: Sides, mode: str = "constant") -> Array:
    """The adjoint of `pad`, where x had these sizes along its last axes: dx[j] = Σ dy[q] over all q with i(q) = j."""
    if mode not in MAPS and any(map(any, sides)):
        outer, inner = _overlap(sides, sizes)
        dx = np.zeros(dy.shape[: -len(sides)] + sizes, dy.dtype)
        dx[inner] = dy[outer]
        return dx
    for axis, (before, after) in enumerate(sides, -len(sides)):
        if before or after:
            g = np.moveaxis(dy, axis, 0)
            dx = np.zeros((sizes[axis], *g.shape[1:]), dy.dtype)
            for q, j in enumerate(source(mode, sizes[axis], before, after)):
                dx[j] += g[q]
            dy = np.moveaxis(dx, 0, axis)
    return dy


def _overlap(sides: Sides, sizes: tuple[int, ...]) -> tuple[tuple, tuple]:
    """Where x lies in the padded array, and which part of x lies there: all of it but for negative paddings."""
    last = tuple(zip(sizes[-len(sides) :], sides))
    outer = tuple(slice(max(before, 0), n + before + min(after, 0)) for n, (before, after) in last)
    inner = tuple(slice(max(-before, 0), n + min(after, 0)) for n, (before, after) in last)
    return (..., *outer), (..., *inner)


def can_pad(sizes: tuple[int, ...], sides: Sides, mode: str) -> bool:
    """Does every q have an i(q), and is something left?"""

    def most(n: int, before: int, after: int) -> float:
        if mode == "reflect":
            return n - 1  # a mirror shows no more than there is, and not the edge
        return n + min(before, 0) + min(after, 0) if mode == "circular" else np.inf

    return all(
        -n <= min(before, after) <= max(before, after) <= most(n, before, after)
        and n + before + after > 0
        and (n > 0 or mode not in MAPS)
        for n, (before, after) in zip(sizes, sides)
    )


def each(option: int | tuple[int, ...], count: int) -> tuple[int, ...]:
    """An option for each of `count` axes: one int stands for all of them."""
    return option if isinstance(option, tuple) else (option,) * count


def letters(axes: int) -> str:
    """The last axes in an error message: "L", "H, W" or "D, H, W"."""
    return ("L", "H, W", "D, H, W")[axes - 1]


def check_ints(layer: Layer, name: str, count: int, least: int | None = None) -> None:
    """ValueError unless an option is an int or `count` ints. Equal ones become one: equal layers are equal values."""
    given = each(getattr(layer, name), count)
    ok = len(given) == count and all(isinstance(n, (int, np.integer)) and (least is None or n >= least) for n in given)
    if not ok:
        known = f"an int or {count} ints" + ("" if least is None else f", each at least {least}")
        raise ValueError(f"{layer}: {name} takes {known}")
    object.__setattr__(layer, name, int(given[0]) if len(set(given)) == 1 else tuple(map(int, given)))


class _PadNd(Layer, family=True):
    """x padded along its last axes, as many as the class's name says. A subclass names the index map."""

    padding: int | tuple[int, ...]

    axes: ClassVar[int]
    mode: ClassVar[str]
    value: ClassVar[float] = 0.0
    dyadic = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ints(self, "padding", 2 * self.axes)

    def sides(self) -> Sides:
        flat = each(self.padding, 2 * self.axes)
        return list(zip(flat[::2], flat[1::2]))[::-1]

    def forward(self, params, x):
        n, sides = self.axes, self.sides()
        sizes, rank = shape(x)[-n:], len(shape(x))
        ok = rank >= n if self.mode == "constant" else rank in (n + 1, n + 2)
        lead = "(*, " if self.mode == "constant" else "(N, C, "
        self.takes(ok and can_pad(sizes, sides, self.mode), x, f"{lead}{letters(n)}) that admits this padding")
        return pad(x, sides, self.mode, self.value), (sizes,)

    def backward(self, params, cache, dy):
        (sizes,) = cache
        return unpad(dy, sizes, self.sides(), self.mode), {}

    @classmethod
    def example(cls, choose, shape):
        flat: list[int] = []
        for n in shape[: -cls.axes - 1 : -1]:
            most = {"reflect": n - 1, "circular": n}.get(cls.mode, 3)
            one = choose(*range(min(most, 3) + 1), *range(-1, -n, -1))
            other = choose(*range(max(min(most + min(one, 0), 3), 0) + 1))
            flat += (one, other)[:: choose(1, -1)]
        return cls(tuple(flat), **{name: choose(*values) for name, values in cls.options.items()})


class _ConstantPadNd(_PadNd, family=True):
    """Surround the last axes by one value.

    Forward   y[q] = x[q] where q lies in x, value elsewhere
    Backward  what stands elsewhere does not depend on x: dx = the part of dy where x lies
    Shapes    x: (*, L) for 1d, (*, H, W) for 2d, (*, D, H, W) for 3d; y: likewise, each padded axis longer by the
              ints before and after it. padding: one int for all, or two an axis, the last axis first:
              (left, right, top, bottom, front, back); a negative one takes entries away
    Errors    ValueError if x has too few axes, or more is taken away than there is
    Source    torch.nn.ConstantPad1d, ConstantPad2d, ConstantPad3d
    """

    value: float = field()  # no default

    mode = "constant"
    options = {"value": (0.5, 0.0, -1.3)}


class _ZeroPadNd(_PadNd, family=True):
    """Surround the last axes by zeros.

    Forward   y[q] = x[q] where q lies in x, 0 elsewhere
    Backward  what stands elsewhere does not depend on x: dx = the part of dy where x lies
    Shapes    those of ConstantPad1d, ConstantPad2d, ConstantPad3d
    Errors    ValueError if x has too few axes, or more is taken away than there is
    Source    torch.nn.ZeroPad1d, ZeroPad2d, ZeroPad3d
    """

    mode = "constant"


class _ReflectionPadNd(_PadNd, family=True):
    """Surround the last axes by their mirror image; the edge itself is not repeated.

    Forward   y[q] = x[i(q)],  i(q) = −q for q < 0,  2(n − 1) − q for q ≥ n,  q between:  c b | a b c d | c b
    Backward  ∂y[q]/∂x[j] = [i(q) = j], so  dx[j] = Σ dy[q] over all q with i(q) = j: x[j] itself and its images
    Shapes    x: (N, C, L) for 1d, (N, C, H, W) for 2d, (N, C, D, H, W) for 3d, or without N; y: likewise, each padded
              axis longer by the ints before and after it. padding: as of ConstantPad1d, each less than n
    Errors    ValueError if a padding reaches n, the length of its axis: a mirror shows no more than there is
    Source    torch.nn.ReflectionPad1d, ReflectionPad2d, ReflectionPad3d
    """

    mode = "reflect"


class _ReplicationPadNd(_PadNd, family=True):
    """Surround the last axes by copies of their edge.

    Forward   y[q] = x[i(q)],  i(q) = min(max(q, 0), n − 1):  a a | a b c d | d d
    Backward  ∂y[q]/∂x[j] = [i(q) = j], so  dx[j] = Σ dy[q] over all q with i(q) = j: an edge collects for its copies
    Shapes    those of ReflectionPad1d, ReflectionPad2d, ReflectionPad3d; paddings may exceed n
    Errors    ValueError if x has not these axes, or nothing is left of one
    Source    torch.nn.ReplicationPad1d, ReplicationPad2d, ReplicationPad3d
    """

    mode = "replicate"


class _CircularPadNd(_PadNd, family=True):
    """Surround the last axes by what stands at their other end, as on a ring.

    Forward   y[q] = x[i(q)],  i(q) = q mod n:  c d | a b c d | a b
    Backward  ∂y[q]/∂x[j] = [i(q) = j], so  dx[j] = Σ dy[q] over all q with i(q) = j
    Shapes    those of ReflectionPad1d, ReflectionPad2d, ReflectionPad3d; each padding at most n
    Errors    ValueError if a padding goes round more than once, or nothing is left of an axis
    Source    torch.nn.CircularPad1d, CircularPad2d, CircularPad3d
    Caveat    beside a negative padding the ring is closed after that has taken its part:  (2, −1): b c | a b c
    """

    mode = "circular"


class ConstantPad1d(_ConstantPadNd):
    axes, ranks, __doc__ = 1, (1, 2, 3, 4), _ConstantPadNd.__doc__


class ConstantPad2d(_ConstantPadNd):
    axes, ranks, __doc__ = 2, (2, 3, 4), _ConstantPadNd.__doc__


class ConstantPad3d(_ConstantPadNd):
    axes, ranks, __doc__ = 3, (3, 4), _ConstantPadNd.__doc__


class ZeroPad1d(_ZeroPadNd):
    axes, ranks, __doc__ = 1, (1, 2, 3, 4), _ZeroPadNd.__doc__


class ZeroPad2d(_ZeroPadNd):
    axes, ranks, __doc__ = 2, (2, 3, 4), _ZeroPadNd.__doc__


class ZeroPad3d(_ZeroPadNd):
    axes, ranks, __doc__ = 3, (3, 4), _ZeroPadNd.__doc__


class ReflectionPad1d(_ReflectionPadNd):
    axes, ranks, __doc__ = 1, (2, 3), _ReflectionPadNd.__doc__


class ReflectionPad2d(_ReflectionPadNd):
    axes, ranks, __doc__ = 2, (3, 4), _ReflectionPadNd.__doc__


class ReflectionPad3d(_ReflectionPadNd):
    axes, ranks, __doc__ = 3, (4, 5), _ReflectionPadNd.__doc__


class ReplicationPad1d(_ReplicationPadNd):
    axes, ranks, __doc__ = 1, (2, 3), _ReplicationPadNd.__doc__


class ReplicationPad2d(_ReplicationPadNd):
    axes, ranks, __doc__ = 2, (3, 4), _ReplicationPadNd.__doc__


class ReplicationPad3d(_ReplicationPadNd):
    axes, ranks, __doc__ = 3, (4, 5), _ReplicationPadNd.__doc__


class CircularPad1d(_CircularPadNd):
    axes, ranks, __doc__ = 1, (2, 3), _CircularPadNd.__doc__


class CircularPad2d(_CircularPadNd):
    axes, ranks, __doc__ = 2, (3, 4), _CircularPadNd.__doc__


class CircularPad3d(_CircularPadNd):
    axes, ranks, __doc__ = 3, (4, 5), _CircularPadNd.__doc__
