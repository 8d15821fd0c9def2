"""Comparisons, and what is chosen by them: the larger, the k largest, entries under a mask. A choice hands its gradient
to what was chosen."""

from typing import Any

import numpy as np

from ..base import Array, Tree
from ..elementary import weighed
from .arithmetic import Binary
from .base import (
    NUMBER,
    Operation,
    alike,
    axis_of,
    broadcastable,
    check_broadcast,
    gradient,
    is_real,
    partner,
    unreached,
)  # fmt: skip


class Larger(Binary, family=True):
    """The larger or the smaller of two. Equal ones share dy, half each, as in torch."""

    def wins(self, a: Any, b: Any) -> Array:
        """True where a is chosen."""
        raise NotImplementedError

    def f(self, a, b):
        nan = np.not_equal(a, a)
        return np.where(self.wins(a, b) | nan, a, b)

    def df(self, a, b, y, dy):
        share = np.where(np.equal(a, b), dy / 2, dy)
        return np.where(self.wins(b, a), 0, share), np.where(self.wins(a, b), 0, share)


class Maximum(Larger):
    """The larger of two, entry by entry.

    Forward   y = max(a, b)
    Backward  y is a or b, and so are the slopes:  da = [a > b] dy + ½[a = b] dy,  db = [b > a] dy + ½[a = b] dy,  each
              summed over the axes that a and b were repeated along
    Shapes    a, b: broadcast to the shape of y; `input` or `other` is a number in place of one of them
    Errors    ValueError if the shapes do not broadcast
    Source    torch.maximum, and torch.max of two tensors
    Caveat    a kink where a = b; torch and this give half of dy to each
    """

    calls = ("torch.maximum", "Tensor.maximum", "torch.max", "Tensor.max")

    def wins(self, a, b):
        return np.greater(a, b)


class Minimum(Larger):
    """The smaller of two, entry by entry.

    Forward   y = min(a, b)
    Backward  y is a or b, and so are the slopes:  da = [a < b] dy + ½[a = b] dy,  db = [b < a] dy + ½[a = b] dy,  each
              summed over the axes that a and b were repeated along
    Shapes    a, b: broadcast to the shape of y; `input` or `other` is a number in place of one of them
    Errors    ValueError if the shapes do not broadcast
    Source    torch.minimum, and torch.min of two tensors
    Caveat    a kink where a = b; torch and this give half of dy to each
    """

    calls = ("torch.minimum", "Tensor.minimum", "torch.min", "Tensor.min")

    def wins(self, a, b):
        return np.less(a, b)


class Clamp(Operation):
    """Held between two bounds, numbers or arrays.

    Forward   y = min(max(x, lower), upper)
    Backward  inside y is x, outside it is a bound:  dx = dy where lower < x < upper,
              dlower = dy where x < lower ≤ upper,  dupper = dy where x > upper, or upper < lower,  else 0;
              where x equals a number as bound, dx = 0;  an array, half of dy to each (all to x if lower = upper);
              each summed over the axes that it was repeated along
    Shapes    inputs: x, or (x, lower) or (x, lower, upper) with arrays or None, which broadcast; `min` and `max` are
              numbers in place of them; y: as all together
    Errors    ValueError if neither a number nor an array is given as bound, or the shapes do not broadcast
    Source    torch.clamp
    Caveat    kinks where x equals a bound: torch takes the subgradient of least norm, as here, since 2.14. Until 2.13
              it let dx pass whole, and none went to lower where lower = upper
    """

    min: float | None = None
    max: float | None = None

    dyadic = True
    calls = (
        "torch.clamp", "Tensor.clamp", "Tensor.clamp_", "torch.clip", "Tensor.clip", "Tensor.clamp_min",
        "torch.clamp_min", "Tensor.clamp_max", "torch.clamp_max", "Tensor.clamp_min_",
    )  # fmt: skip
    options = {"min": (-1.0, 0.0, -0.3), "max": (1.0, 0.5, 2.3)}

    @property
    def arity(self) -> int:
        return 2 if self.min is None and self.max is None else 1

    def bounds(self, x: Tree) -> list[Any]:
        """x and its bounds, None for one that there is not."""
        x, lower, upper = self.unpack(x if isinstance(x, tuple) else (x,), "x", "min max")
        lower, upper = self.min if lower is None else lower, self.max if upper is None else upper
        if lower is None and upper is None:
            raise ValueError(f"{self} has no bound; give min or max, or arrays in a tuple (x, min, max)")
        check_broadcast(self, [x, *(v for v in (lower, upper) if v is not None)])
        return [x, lower, upper]

    def forward(self, params, inputs):
        x, lower, upper = self.bounds(inputs)
        y = x if lower is None else np.where(np.less(x.real, lower), lower, x).astype(x.dtype)
        y = y if upper is None else np.where(np.greater(y.real, upper), upper, y).astype(x.dtype)
        return y, (inputs, x, lower, upper)

    def backward(self, params, cache, dy):
        inputs, x, lower, upper = cache
        if dy is None or not is_real(x):
            return unreached(inputs), {}
        low, high = -np.inf if lower is None else lower, np.inf if upper is None else upper
        shares = zip((x, lower, upper), self.shares(x, low, high))
        grads = [None if v is None else gradient(weighed(share, dy).astype(dy.dtype), v) for v, share in shares]
        return (tuple(grads[: len(inputs)]) if isinstance(inputs, tuple) else grads[0]), {}

    def shares(self, x: Any, lower: Any, upper: Any) -> tuple[Array, ...]:
        """What x and its bounds have of dy."""
        inside = np.less(lower, x) & np.less(x, upper)
        below, above = np.less(x, lower) & np.less_equal(lower, upper), np.greater(x, upper) | np.less(upper, lower)
        if self.arity == 1:
            return inside, below, above
        between = np.less(lower, upper)
        at_lower, at_upper = (between & np.equal(x, lower)) / 2, (between & np.equal(x, upper)) / 2
        at_both = np.equal(x, lower) & np.equal(lower, upper)
        return inside + at_lower + at_upper + at_both, below + at_lower, above + at_upper

    @classmethod
    def example(cls, choose, shape):
        lower, upper = (choose(*cls.options[name]) for name in ("min", "max"))
        return cls(*choose((lower, upper), (lower, None), (None, upper), (1.0, -1.0), (None, None)))

    def sample(self, values, shape):
        if self.min is None and self.max is None:
            sizes = [tuple(1 if one else n for n, one in zip(shape, values.mask((len(shape),)))) for _ in range(2)]
            return values.real(shape), *(values.real(size) for size in sizes[: values.rng.integers(1, 3)])
        return values.real(shape)


class Where(Operation):
    """One of two, by a condition, entry by entry.

    Forward   y = a where c, else b
    Backward  y is a or b, and so are the slopes, 1 and 0:
              da = dy where c, else 0
              db = 0 where c, else dy,  each summed over the axes that a and b were repeated along
    Shapes    inputs: (c, a, b), or (c, b) with the number `input` for a, or (c, a) with `other` for b, or c alone;
              c: bool; all broadcast to y
    Errors    ValueError if c is no mask, or the shapes do not broadcast
    Source    torch.where
    Caveat    what is not chosen gets 0, though it be ∞ or NaN; what it was made of gets 0 · ∞ = NaN, as in torch
    """

    input: float | None = None
    other: float | None = None

    dyadic = True
    of_complex = True
    calls = ("torch.where", "Tensor.where")

    @property
    def names(self) -> list[str]:
        """The inputs: the condition, and what is no number."""
        numbers = {"input": self.input, "other": self.other}
        return ["condition", *(name for name, number in numbers.items() if number is None)]

    @property
    def arity(self) -> int:
        return len(self.names)

    def before(self):
        return "Gt(other=0.0)", *(None,) * (self.arity - 1)

    def forward(self, params, x):
        inputs = x if isinstance(x, tuple) else (x,)
        c, *left = self.unpack(inputs, " ".join(self.names))
        self.takes(True, c, "(*) of bool as condition", "?")
        arrays = alike(left)
        dtype = arrays[0].dtype if arrays else np.dtype(float)
        a, b = (arrays.pop(0) if n is None else np.asarray(n, dtype) for n in (self.input, self.other))
        check_broadcast(self, [c, a, b])
        return np.where(c, a, b), (x, c)

    def backward(self, params, cache, dy):
        x, c = cache
        if dy is None:
            return unreached(x), {}
        if not isinstance(x, tuple):
            return None, {}
        slopes = {"input": c, "other": ~c}
        grads = [gradient(np.where(slopes[name], dy, 0).astype(dy.dtype), v) for name, v in zip(self.names[1:], x[1:])]
        return (None, *grads), {}

    @classmethod
    def example(cls, choose, shape):
        return cls(*choose((None, None), (0.0, None), (None, -1.0), (0.5, None)))

    def sample(self, values, shape):
        arrays = [values.real(partner(values, shape)) for _ in self.names[1:]]
        arrays = arrays if broadcastable([shape, *map(np.shape, arrays)]) else [values.real(shape) for _ in arrays]
        return (values.mask(shape, 0.5), *arrays)


class MaskedFill(Operation):
    """One number put wherever a mask is True.

    Forward   y = v where m, else x
    Backward  what is hidden gets no gradient, and v gets that of all places where it stands:
              dx = 0 where m, else dy, summed over the axes that x was repeated along
              dv = Σ dy where m
    Shapes    inputs: (x, m) with v the number `value`, or (x, m, v) with v: ();  m: bool; x and m broadcast to y
    Errors    ValueError if m is no mask, or the shapes do not broadcast
    Source    torch.masked_fill
    """

    value: float | None = None

    dyadic = True
    of_complex = True
    in_networks = False  # where −∞ would spread
    calls = ("torch.masked_fill", "Tensor.masked_fill", "Tensor.masked_fill_")

    @property
    def arity(self) -> int:
        return 2 + (self.value is None)

    def forward(self, params, x):
        inputs = x
        x, mask, *v = self.unpack(inputs, "x mask" + " value" * (self.value is None))
        check_broadcast(self, [x, mask])
        self.takes(True, mask, "(*) of bool as mask", "?")
        if v:
            self.takes(np.ndim(v[0]) == 0, v[0], "() as value", NUMBER)
        filled = np.asarray(v[0] if v else self.value).astype(x.dtype)
        return np.where(mask, filled, x), (inputs, mask)

    def backward(self, params, cache, dy):
        inputs, mask = cache
        if dy is None:
            return unreached(inputs), {}
        zero = np.zeros((), dy.dtype)
        shown = np.where(mask, zero, dy)
        hidden = [gradient(np.where(mask, dy, zero), v) for v in inputs[2:]]
        return (gradient(shown, inputs[0]), None, *hidden), {}

    @classmethod
    def example(cls, choose, shape):
        value = choose("0", "-inf", "0.5", None)  # as text: among numbers ∞ does not count as dyadic
        return cls(None if value is None else float(value))

    def derives(self, x):
        return self.value is None or bool(np.isfinite(self.value)) or not x[1].any()  # Σ dy y has no value with ∞

    def sample(self, values, shape):
        mask = values.mask(partner(values, shape), 0.4)
        return (values.real(shape), mask, values.real(()))[: self.arity]


class Picked(Operation, family=True):
    """Entries chosen along an axis, and their indices: y = (x[i], i). No entry is chosen twice, so dx = 0 but where an
    entry was chosen, dx[i] = dy."""

    ranks = (1, 2, 3, 4)
    dyadic = True

    def order(self, x: Array, axis: int) -> Array:
        """The indices that are chosen."""
        raise NotImplementedError

    def forward(self, params, x):
        axis = axis_of(self, self.dim, x)
        index = self.order(x, axis)
        y = np.take_along_axis(x, index, axis)
        dropped = (axis,) if not getattr(self, "keepdim", True) else ()
        return (y.squeeze(dropped), index.squeeze(dropped)), (x, index, axis)

    def backward(self, params, cache, dy):
        x, index, axis = cache
        dx = unreached(x)
        if dx is not None and dy[0] is not None:
            np.put_along_axis(dx, index, dy[0].reshape(index.shape), axis)
        return dx, {}

    @classmethod
    def example(cls, choose, shape):
        others = {name: choose(*values) for name, values in cls.options.items()}
        return cls(dim=choose(*range(len(shape)), -1), **others)


class Max(Picked):
    """The largest entry along an axis, and where it is.

    Forward   i = argmax x along dim, the first of equal ones;  y = (x[i], i)
    Backward  y is one entry of x:  dx[i] = dy, 0 elsewhere
    Shapes    x: (*, S, *), y: two arrays (*, *), or (*, 1, *) with keepdim; the second of integers
    Errors    ValueError if x has no axis dim
    Source    torch.max with dim
    Caveat    of equal largest entries the one whose index is returned gets dy whole; Amax shares it
    """

    dim: int
    keepdim: bool = False

    options = {"keepdim": (False, True)}
    calls = ("torch.max", "Tensor.max")

    def order(self, x, axis):
        return x.argmax(axis, keepdims=True)


class Min(Picked):
    """The smallest entry along an axis, and where it is.

    Forward   i = argmin x along dim, the first of equal ones;  y = (x[i], i)
    Backward  y is one entry of x:  dx[i] = dy, 0 elsewhere
    Shapes    x: (*, S, *), y: two arrays (*, *), or (*, 1, *) with keepdim; the second of integers
    Errors    ValueError if x has no axis dim
    Source    torch.min with dim
    Caveat    of equal smallest entries the one whose index is returned gets dy whole; Amin shares it
    """

    dim: int
    keepdim: bool = False

    options = {"keepdim": (False, True)}
    calls = ("torch.min", "Tensor.min")

    def order(self, x, axis):
        return x.argmin(axis, keepdims=True)


class Sort(Picked):
    """Entries in ascending or descending order along an axis, and where they came from.

    Forward   i = argsort x along dim, equal ones in the order of x;  y = (x[i], i)
    Backward  every entry is in one place of y:  dx[i] = dy, the inverse permutation of dy
    Shapes    x: (*, S, *), y: two arrays (*, S, *), the second of integers
    Errors    ValueError if x has no axis dim
    Source    torch.sort with stable = True
    Caveat    without `stable` torch leaves the order of equal entries open, and so where their gradients go
    """

    dim: int = -1
    descending: bool = False

    options = {"descending": (False, True)}
    calls = ("torch.sort", "Tensor.sort")

    def order(self, x, axis):
        return ordered(x, axis, self.descending)


class Topk(Picked):
    """The k largest or smallest entries along an axis in order, and where they are.

    Forward   i = the first k of argsort x along dim, from the largest down, or from the smallest up;  y = (x[i], i)
    Backward  every entry of y is one of x:  dx[i] = dy, 0 elsewhere
    Shapes    x: (*, S, *), y: two arrays (*, k, *), the second of integers
    Errors    ValueError if x has no axis dim, or S < k
    Source    torch.topk
    Caveat    which of equal entries torch chooses, and in which order, is open; this takes the first
    """

    k: int
    dim: int = -1
    largest: bool = True

    in_networks = False  # equal entries are frequent there
    calls = ("torch.topk", "Tensor.topk")

    def order(self, x, axis):
        self.takes(0 <= self.k <= x.shape[axis], x, "(*, S, *) with S ≥ k along dim", NUMBER)
        return ordered(x, axis, self.largest).take(range(self.k), axis)

    @classmethod
    def example(cls, choose, shape):
        dim = choose(*range(len(shape)), -1)
        return cls(choose(*range(1, shape[dim] + 1)), dim, choose(True, False))

    def sample(self, values, shape):
        """No two entries are equal."""
        x = values.real(shape)
        return values.rng.permutation(x.size).reshape(shape) - 1.0 if values.exact else x


def ordered(x: Array, axis: int, descending: bool) -> Array:
    """The indices that sort x; equal entries in the order of x."""
    if not descending:
        return np.argsort(x, axis, kind="stable")
    return x.shape[axis] - 1 - np.flip(np.argsort(np.flip(x, axis), axis, kind="stable"), axis)
