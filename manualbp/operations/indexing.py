"""Entries taken out and put in at places told by numbers, slices or arrays of indices.

Taking is y[q] = x[i(q)], so its gradient is the adjoint of that map: dx[j] = Σ dy[q] over all q with i(q) = j. An entry
that is taken several times collects several gradients, so they are added, never assigned. Putting is the reverse: what
is put at i(q) gets the gradient from there, and what was there before gets none.
"""

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from ..base import INTEGER, Array, Layer, describe, shape, unbroadcast
from ..sampling import Values
from ..sparse import Embedding
from .base import NUMBER, Operation, axis_of, check_range, is_real, possible, unreached

Item = Any  # int, slice, None, … or the name of an array

# Indices that random examples have, by the number of axes that they need.
INDEXED = {
    0: ("...", "None, ..."),
    1: ("0", "-1", "0:1", "::2", "None", "...", ":, None", "i", "None, i", "j", "..., m"),
    2: (":, 0", "0, :", "..., 0", "-1, ..., None", "::2, -1:", "0, i", "i, j", ":, i", "..., i, 0:1", "i, None, j"),
    3: (":, 0, None", "..., ::2, 0", "0, :, i", "i, :, j", ":, i, j", "1:, ..., i"),
}


class Indexed(Operation, family=True):
    """An index as text, as it stands between x's brackets: "0, :, 1:3, ::2, ..., None, i", where a name stands for an
    array of indices, or a mask, among the inputs, in the order of the names in the text."""

    index: str

    dyadic = True
    of_complex = True

    def __post_init__(self):
        super().__post_init__()
        for text in self.index.split(","):
            item(self, text.strip())

    @property
    def items(self) -> list[Item]:
        return [item(self, text.strip()) for text in self.index.split(",")]

    @property
    def names(self) -> list[str]:
        return [i for i in self.items if isinstance(i, str)]

    def places(self, arrays: list[Array]) -> tuple[tuple, tuple]:
        """Two indices, to be used one after the other: x[first][second] is y. The first has numbers, slices and None;
        the second the arrays, along the axes that the first has left."""
        left, first, second = list(arrays), list[Item](), list[Item]()
        for i in self.items:
            if isinstance(i, str):
                a = left.pop(0)
                self.takes(True, a, f"(*) as {i}", INTEGER)
                first += [slice(None)] * (a.ndim if a.dtype == bool else 1)
                second.append(a)
            else:
                first.append(i)
                second += [] if isinstance(i, int) else [... if i is ... else slice(None)]
        return tuple(first), tuple(second) if arrays else ()

    def indices(self, values: Values, x_shape: tuple[int, ...], low: int) -> list[Array]:
        """Random arrays for the names; "m" is a mask of the last axis, other names are indices from `low` on that fit
        any axis."""
        size = {"i": (3,), "j": (2, 1), "m": x_shape[-1:]}
        return [
            values.mask(size[name], 0.6) if name == "m" else values.integers(low, min(x_shape), size[name])
            for name in self.names
        ]

    @classmethod
    def example(cls, choose, shape):
        return cls(choose(*(text for n, texts in INDEXED.items() if n <= len(shape) for text in texts)))


def item(layer: Layer, text: str) -> Item:
    """One entry of an index. ValueError, with what there is, if it is none."""
    if text in ("...", "None"):
        return ... if text == "..." else None
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    if re.fullmatch(r"(-?\d+)?:(-?\d+)?(:\d*)?", text):
        return slice(*(int(n) if n else None for n in text.split(":")))
    if re.fullmatch(r"[a-zA-Z_]\w*", text):
        return text
    raise ValueError(
        f"{layer}: {text!r} is no index; there are numbers, slices as 1:3 or ::2, ..., None, and names for arrays, "
        f'with commas between, as in GetItem("..., 0, 1:, i")'
    )


def put(y: Array, places: tuple[tuple, tuple], v: Any) -> None:
    """y[i(q)] = v[q]."""
    first, second = places
    if second:
        y[first][second] = v
    else:
        y[first] = v


def collect(y: Array, places: tuple[tuple, tuple], v: Any) -> None:
    """y[i(q)] += v[q] for every q, also where several q have one i(q)."""
    first, second = places
    if second:
        np.add.at(y[first], second, v)
    else:  # no place twice
        y[first] += v


def inside(layer: Layer, read: Callable[[], Array], x: Any) -> Array:
    """What `read` gives; a ValueError where it leads outside of x."""
    try:
        return read()
    except IndexError as e:
        raise ValueError(f"{layer} finds no such place in {describe(x)}: {e}") from None


class GetItem(Indexed):
    """A part of an array, as x[index] gives it.

    Forward   y = x[index]:  y[q] = x[i(q)]
    Backward  dx[j] = Σ dy[q] over all q with i(q) = j: the gradient is added where its entry was taken, so an entry
              that was taken twice collects both; 0 where nothing was taken
    Shapes    inputs: x, or (x, i, j, …) with an array of integers, or a mask, for every name in the index
    Errors    ValueError if the index is no index, or leads outside of x
    Source    torch.Tensor.__getitem__
    Caveat    numbers and slices come first and arrays after them, as in torch: x[0, :, i] is x[0][:, i], where NumPy
              has the axes in another order
    """

    calls = ("Tensor.__getitem__", "torch.select", "Tensor.select", "torch.narrow", "Tensor.narrow")

    @property
    def arity(self) -> int:
        return 1 + len(self.names)

    def forward(self, params, x):
        x, *arrays = self.unpack(x, " ".join(["x", *self.names])) if self.names else (x,)
        self.takes(True, x, "(*)", NUMBER)
        first, second = places = self.places(arrays)
        y = inside(self, lambda: np.asarray(x)[first][second], x)
        return np.asarray(y), (x, places, len(arrays))

    def backward(self, params, cache, dy):
        x, places, count = cache
        dx = unreached(x)
        if dx is not None and dy is not None:
            collect(dx, places, dy)
        return ((dx, *(None,) * count) if count else dx), {}

    def sample(self, values, shape):
        """Repeated indices, counted from either end."""
        arrays = self.indices(values, shape, -min(shape, default=0)) if self.names else []
        return (values.real(shape), *arrays) if arrays else values.real(shape)


class SetItem(Indexed):
    """An array in which a part is replaced, as x[index] = v does it; or v is added there.

    Forward   y = x, but y[index] = v;   accumulate: y = x, and y[i(q)] += v[q] for every q
    Backward  what is put at i(q) gets the gradient from there, what was there before gets none:
              dv[q] = dy[i(q)],  dx = dy, but 0 at every i(q);   accumulate: dx = dy
              dv is summed over the axes that v was repeated along
    Shapes    inputs: (x, v, i, j, …) with an array of integers, or a mask, for every name in the index, or (x, i, …)
              where v is the number `value`; v broadcasts to x[index]; y: as x
    Errors    ValueError if the index is no index, leads outside of x, or v does not broadcast to what is there
    Source    torch.Tensor.__setitem__, torch.index_put
    Caveat    of several numbers put in one place one stays, while every one of them gets the gradient, as in torch
    """

    value: complex | None = None
    accumulate: bool = False

    ranks = (1, 2, 3, 4)
    calls = ("Tensor.__setitem__", "torch.index_put", "Tensor.index_put", "Tensor.index_put_")

    @property
    def arity(self) -> int:
        return 1 + (self.value is None) + len(self.names)

    def forward(self, params, x):
        inputs = x if self.arity > 1 else (x,)
        names = ["x", *["value"] * (self.value is None), *self.names]
        x, *rest = self.unpack(inputs, " ".join(names))
        self.takes(True, x, "(*)", NUMBER)
        v = rest.pop(0) if self.value is None else np.asarray(self.value, x.dtype)
        first, second = places = self.places(rest)
        there = np.asarray(inside(self, lambda: x[first][second], x))
        self.takes(fits(v, there), v, f"that broadcasts to {there.shape} as value", NUMBER)
        y = x.copy()
        whole = np.broadcast_to(v.reshape(v.shape[max(v.ndim - there.ndim, 0) :]), there.shape)
        (collect if self.accumulate else put)(y, places, whole)
        return y, (inputs, v, places)

    def backward(self, params, cache, dy):
        inputs, v, (first, second) = cache
        count = len(inputs)
        if dy is None or not is_real(inputs[0]):
            return unreached(inputs if count > 1 else inputs[0]), {}
        there = np.asarray(dy[first][second])
        dv = unbroadcast(there, v.shape[max(v.ndim - there.ndim, 0) :]).reshape(v.shape)
        dx = dy.copy()
        if not self.accumulate:
            put(dx, (first, second), 0)
        values = (possible(dv, v) if is_real(v) else None,) if self.value is None else ()
        rest = (None,) * (count - 1 - len(values))
        return ((dx, *values, *rest) if count > 1 else dx), {}

    @classmethod
    def example(cls, choose, shape):
        index = super().example(choose, shape).index
        return cls(index, choose(None, None, 0.5), choose(False, True))

    def sample(self, values, shape):
        """No place twice; the value as large as what is there, or broadcast to it."""
        x, v = values.real(shape), ()
        arrays = [distinct(values, a, shape) for a in self.indices(values, shape, 0)] if self.names else []
        if self.value is None:
            first, second = self.places(arrays)
            there = np.shape(x[first][second])
            v = (values.real(tuple(1 if values.rng.integers(4) == 0 else n for n in there)),)
        return (x, *v, *arrays) if v or arrays else x


def fits(v: Any, there: Array) -> bool:
    """Can v be put there? It may have axes of length 1 in front."""
    extra = max(len(shape(v)) - there.ndim, 0)
    own = shape(v)[extra:]
    return set(shape(v)[:extra]) <= {1} and all(n in (1, m) for n, m in zip(own[::-1], there.shape[::-1]))


def distinct(values: Values, a: Array, x_shape: tuple[int, ...]) -> Array:
    """Indices like a without a repeated one: as many as fit the shortest axis."""
    if a.dtype == bool:
        return a
    few = values.rng.permutation(min(x_shape))[: len(a)]
    return few.reshape(-1, *(1,) * (a.ndim - 1))


class IndexSelect(Operation):
    """Slices along an axis, by their numbers.

    Forward   y[…, q, …] = x[…, i(q), …] at the axis dim
    Backward  dx[…, j, …] = Σ dy[…, q, …] over all q with i(q) = j: a slice that is taken twice collects both
    Shapes    inputs: (x, i);  x: (*, S, *), i: (Q) with numbers below S, y: (*, Q, *)
    Errors    ValueError if i is no vector of integers in 0, …, S − 1, or x has no axis dim
    Source    torch.index_select
    """

    dim: int

    arity = 2
    dyadic = True
    of_complex = True
    in_networks = False  # nothing there gives a vector of indices
    ranks = (1, 2, 3, 4)
    calls = ("torch.index_select", "Tensor.index_select")

    def forward(self, params, x):
        x, index = self.unpack(x, "x index")
        axis = axis_of(self, self.dim, x)
        self.takes(len(shape(index)) <= 1, index, "(Q) as index", INTEGER)
        check_range(self, index, x.shape[axis])
        return x.take(index.reshape(-1), axis), (x, index.reshape(-1), axis)

    def backward(self, params, cache, dy):
        x, index, axis = cache
        if dy is None or not is_real(x):
            return unreached((x, index)), {}
        dx = np.zeros_like(x)
        np.add.at(np.moveaxis(dx, axis, 0), index, np.moveaxis(dy, axis, 0))
        return (dx, None), {}

    @classmethod
    def example(cls, choose, shape):
        return cls(choose(*range(len(shape)), -1))

    def sample(self, values, shape):
        return values.real(shape), values.integers(0, shape[self.dim], (int(values.rng.integers(1, 6)),))


class IndexAdd(Operation):
    """Slices added along an axis, each to the slice of its number.

    Forward   y = x, and y[…, i(q), …] += α s[…, q, …] for every q, at the axis dim
    Backward  ∂y/∂x = 1, and every slice of s is in one place:  dx = dy,  ds[…, q, …] = α dy[…, i(q), …]
    Shapes    inputs: (x, i, s);  x: (*, S, *), i: (Q) with numbers below S, s: (*, Q, *), y: as x
    Errors    ValueError if i is no vector of integers in 0, …, S − 1, or s has another shape
    Source    torch.index_add; mixtures of experts collect their tokens so
    """

    dim: int
    alpha: float = 1

    arity = 3
    dyadic = True
    of_complex = True
    in_networks = False  # nothing there gives a vector of indices
    ranks = (1, 2, 3, 4)
    options = {"alpha": (1, 0.5, -2)}
    calls = ("torch.index_add", "Tensor.index_add", "Tensor.index_add_")

    def forward(self, params, x):
        x, index, s = self.unpack(x, "x index source")
        axis = axis_of(self, self.dim, x)
        self.takes(len(shape(index)) == 1, index, "(Q) as index", INTEGER)
        check_range(self, index, x.shape[axis])
        wanted = (*x.shape[:axis], len(index), *x.shape[axis + 1 :])
        self.takes(shape(s) == wanted, s, f"{wanted} as source", NUMBER)
        y = x.copy()
        np.add.at(np.moveaxis(y, axis, 0), index, self.alpha * np.moveaxis(s, axis, 0))
        return y, ((x, index, s), axis)

    def backward(self, params, cache, dy):
        inputs, axis = cache
        if dy is None or not is_real(inputs[0]):
            return unreached(inputs), {}
        return (dy, None, self.alpha * dy.take(inputs[1], axis)), {}

    @classmethod
    def example(cls, choose, shape):
        return cls(choose(*range(len(shape)), -1), choose(*cls.options["alpha"]))

    def sample(self, values, shape):
        index = values.integers(0, shape[self.dim], (int(values.rng.integers(1, 6)),))
        axis = self.dim % len(shape)
        return values.real(shape), index, values.real((*shape[:axis], len(index), *shape[axis + 1 :]))


class Lookup(Operation):
    """The layer Embedding as a function: the table is an input.

    Forward   yₙ = W[iₙ]
    Backward  dWᵥ = Σₙ [iₙ = v] dyₙ: dyₙ is added to row iₙ, and an index that occurs twice collects both; row
              padding_idx gets 0
    Shapes    inputs: (i, W);  i: (*) of integers, W: (V, D), y: (*, D)
    Errors    those of Embedding, which computes it
    Source    torch.nn.functional.embedding
    Caveat    that of Embedding: padding_idx and scale_grad_by_freq make dW another thing than the gradient of L
    """

    padding_idx: int | None = None
    scale_grad_by_freq: bool = False

    arity = 2
    integer = True
    dyadic = True
    ranks = (0, 1, 2, 3)
    options = {"padding_idx": (None, 0, -1), "scale_grad_by_freq": (False, True)}
    calls = ("torch.nn.functional.embedding", "torch.embedding")

    @property
    def is_gradient(self):
        return self.padding_idx is None and not self.scale_grad_by_freq

    def table(self, W: Array) -> Embedding:
        return Embedding(*W.shape, padding_idx=self.padding_idx, scale_grad_by_freq=self.scale_grad_by_freq)

    def forward(self, params, x):
        index, W = self.unpack(x, "input weight")
        self.takes(len(shape(W)) == 2, W, "(V, D) as weight")
        y, cache = self.table(W).forward({"weight": W}, index)
        return y, (W, cache)

    def backward(self, params, cache, dy):
        W, inner = cache
        _, grads = self.table(W).backward({"weight": W}, inner, dy)
        return (None, grads["weight"]), {}

    def sample(self, values, shape):
        return values.integers(0, 4, shape), values.real((4, int(values.rng.integers(1, 4))))
