"""Entries along an axis taken and put by an index for each. As in indexing.py, what is taken several times collects
several gradients, and what is put somewhere gets the gradient from there.
"""

from typing import Any

import numpy as np

from ..base import INTEGER, Array, describe, shape
from ..sampling import Values
from .base import NUMBER, Operation, axis_of, check_broadcast, check_range, gradient, is_real, possible, unreached


class AlongAxis(Operation, family=True):
    """An index for every entry: i has as many axes as x, and says where along dim; along the others the place is its
    own."""

    dim: int

    dyadic = True
    of_complex = True
    in_networks = False  # what would make indices there jumps
    ranks = (1, 2, 3, 4)

    def places(self, x: Any, index: Any) -> tuple[Array, ...]:
        """The place in x of every entry of the index."""
        axis = axis_of(self, self.dim, x)
        within = len(shape(index)) == x.ndim and all(
            m <= n for d, (m, n) in enumerate(zip(shape(index), x.shape)) if d != axis
        )
        self.takes(
            within, index, f"of {x.ndim} axes, none but dim longer than that of {describe(x)}, as index", INTEGER
        )
        check_range(self, index, x.shape[axis])
        return tuple(index if d == axis else g for d, g in enumerate(np.ogrid[tuple(map(slice, index.shape))]))

    @classmethod
    def example(cls, choose, shape):
        return cls(choose(*range(len(shape)), -1))

    def index(self, values: Values, shape: tuple[int, ...], repeated: bool) -> Array:
        """Random indices, none longer than x but along dim."""
        axis = self.dim % len(shape)
        size = [int(values.rng.integers(1, n + 1)) for n in shape]
        if repeated:
            size[axis] = int(values.rng.integers(1, 6))
            return values.integers(0, shape[axis], tuple(size))
        order = np.argsort(values.rng.random(shape), axis)  # a permutation along dim
        return order[tuple(map(slice, size))]


class Gather(AlongAxis):
    """Entries along an axis, by an index for each.

    Forward   y[…, q, …] = x[…, i[…, q, …], …], at the axis dim
    Backward  dx[…, j, …] = Σ dy[…, q, …] over all q with i[…, q, …] = j: what is taken twice collects both
    Shapes    inputs: (x, i);  i has as many axes as x, none but dim longer than its; y: as i
    Errors    ValueError if i has another number of axes, leads outside of x, or is larger
    Source    torch.gather
    """

    arity = 2
    in_networks = True
    calls = ("torch.gather", "Tensor.gather", "torch.take_along_dim")

    def before(self):
        return None, f"Argsort({self.dim})"  # which sorts x

    def forward(self, params, x):
        x, index = self.unpack(x, "x index")
        places = self.places(x, index)
        return x[places], (x, index, places)

    def backward(self, params, cache, dy):
        x, index, places = cache
        if dy is None or not is_real(x):
            return unreached((x, index)), {}
        dx = np.zeros_like(x)
        np.add.at(dx, places, dy)
        return (dx, None), {}

    def sample(self, values, shape):
        return values.real(shape), self.index(values, shape, repeated=True)


class Scattered(AlongAxis, family=True):
    """y = x, in which s, or the number `value`, is put at every place that i names."""

    def put(self, y: Array, places: tuple[Array, ...], s: Any) -> None:
        raise NotImplementedError

    def left(self, dy: Array, places: tuple[Array, ...]) -> Array:
        """dx: the gradient of what of x is still in y."""
        raise NotImplementedError

    def forward(self, params, x):
        x, index, *source = self.unpack(x, "x index" + " src" * (self.arity == 3))
        places, part = self.places(x, index), tuple(map(slice, index.shape))
        for s in source:
            within = len(shape(s)) == index.ndim and all(m <= n for m, n in zip(index.shape, shape(s)))
            self.takes(within, s, f"{index.shape} or larger as src", NUMBER)
        y = x.copy()
        self.put(y, places, source[0][part] if source else self.value)
        return y, (x, index, source, places, part)

    def backward(self, params, cache, dy):
        x, index, source, places, part = cache
        if dy is None or not is_real(x):
            return unreached((x, index, *source)), {}
        grads = [unreached(s) for s in source]
        for ds in grads:
            if ds is not None:
                ds[part] = possible(dy[places], ds)
        return (self.left(dy, places), None, *grads), {}


class MaskedScatter(Operation):
    """Wherever a mask is True, the next number of another array, in row-major order.

    Forward   y = x, but s₀, s₁, … one after another at the places where m
    Backward  what is put somewhere gets the gradient from there, what is hidden or left over none:
              dx = 0 where m, else dy;  dsₖ = dy at the k-th place where m, 0 for every further k
    Shapes    inputs: (x, m, s);  m: bool, x and m broadcast to y;  s: (*) with at least as many entries as m has True
    Errors    ValueError if m is no mask, does not broadcast with x, or s has too few entries
    Source    torch.masked_scatter
    """

    arity = 3
    dyadic = True
    in_networks = False  # where what is put would come from anywhere
    ranks = (1, 2, 3, 4)
    calls = ("torch.masked_scatter", "Tensor.masked_scatter")

    def forward(self, params, x):
        x, mask, s = self.unpack(x, "x mask source")
        self.takes(True, mask, "(*) of bool as mask", "?")
        check_broadcast(self, [x, mask])
        y = np.array(np.broadcast_to(x, np.broadcast_shapes(x.shape, mask.shape)))
        mask = np.broadcast_to(mask, y.shape)
        n = int(mask.sum())
        self.takes(np.size(s) >= n, s, f"{n} entries or more as source", NUMBER)
        y[mask] = s.reshape(-1)[:n]
        return y, (x, mask, s)

    def backward(self, params, cache, dy):
        x, mask, s = cache
        if dy is None:
            return unreached((x, mask, s)), {}
        ds = None
        if is_real(s):
            put = dy[mask]
            ds = np.concatenate([put, np.zeros(s.size - put.size, s.dtype)]).reshape(s.shape)
        return (gradient(np.where(mask, 0, dy).astype(dy.dtype), x), None, ds), {}

    def sample(self, values, shape):
        return values.real(shape), values.mask(shape, 0.4), values.real((2, *shape))


class Scatter(Scattered):
    """An array in which entries along an axis are replaced, by an index for each.

    Forward   y = x, but y[…, i[…, q, …], …] = s[…, q, …], at the axis dim
    Backward  what is put somewhere gets the gradient from there, what was there before gets none:
              ds[…, q, …] = dy[…, i[…, q, …], …],  dx = dy, but 0 at every place that i names
    Shapes    inputs: (x, i, s), or (x, i) where s is the number `value`;  i has as many axes as x, none but dim longer
              than its, and none longer than that of s; y: as x
    Errors    ValueError if i has another number of axes, leads outside of x, or is larger
    Source    torch.scatter
    Caveat    of several numbers put in one place one stays, while every one of them gets the gradient, as in torch;
              torch has no gradient where s is larger than i
    """

    dim: int
    value: float | None = None

    calls = ("torch.scatter", "Tensor.scatter", "Tensor.scatter_")

    @property
    def arity(self) -> int:
        return 2 + (self.value is None)

    def put(self, y, places, s):
        y[places] = s

    def left(self, dy, places):
        dx = dy.copy()
        dx[places] = 0
        return dx

    @classmethod
    def example(cls, choose, shape):
        return cls(choose(*range(len(shape)), -1), choose(None, None, 0.5))

    def sample(self, values, shape):
        index = self.index(values, shape, repeated=False)
        return (values.real(shape), index, values.real(index.shape))[: self.arity]


class ScatterAdd(Scattered):
    """An array to which entries are added along an axis, by an index for each.

    Forward   y = x, and y[…, i[…, q, …], …] += s[…, q, …] for every q, at the axis dim
    Backward  ∂y/∂x = 1, and every s is in one place:  dx = dy,  ds[…, q, …] = dy[…, i[…, q, …], …]
    Shapes    inputs: (x, i, s);  i has as many axes as x, none but dim longer than its, and none longer than that of s;
              y: as x
    Errors    ValueError if i has another number of axes, leads outside of x, or is larger
    Source    torch.scatter_add, the reverse of torch.gather
    Caveat    torch has no gradient where s is larger than i
    """

    dim: int

    arity = 3
    calls = ("torch.scatter_add", "Tensor.scatter_add", "Tensor.scatter_add_")

    def put(self, y, places, s):
        np.add.at(y, places, s)

    def left(self, dy, places):
        return dy

    def sample(self, values, shape):
        index = self.index(values, shape, repeated=True)
        return values.real(shape), index, values.real(index.shape)
