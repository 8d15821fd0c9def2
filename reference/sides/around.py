"""What stands between a subject and who examines it: constants, symmetric matrices, complex numbers, another truth."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from manualbp.base import tree_map
from manualbp.operations.complex import united

from .gradients import plain
from .subject import Around, Subject


class WithConstants(Around):
    """Inputs that are not differentiated. declared: whatever is given for them is passed over; left out: the function
    intended does not differentiate them, so that None is right. beside: is there a function intended?"""

    def __init__(self, inner: Subject, declared: Sequence[str], left_out: Sequence[str], beside: bool) -> None:
        super().__init__(inner)
        self.declared, self.left_out, self.beside = tuple(declared), tuple(left_out), beside
        self.names = tuple(n for n in inner.names if beside or n not in declared)

    def around(self, inner):
        return WithConstants(inner, self.declared, self.left_out, self.beside)

    def forward(self, arrays):
        y, cache = self.inner.forward(arrays)
        zeros = {n: np.zeros_like(arrays[n]) for n in (*self.declared, *self.left_out)}
        return y, _Kept((cache, zeros)) if not isinstance(cache, tuple) else _Kept((*cache, zeros))

    def backward(self, dy, cache):
        *inner, zeros = cache
        grads = dict(self.inner.backward(dy, _inner(inner, cache)))
        none = [n for n in self.left_out if grads.get(n) is None]
        return grads | {n: zeros[n] for n in (*self.declared * self.beside, *none)}

    def moved(self, cache):
        return self.inner.moved(_inner([*cache[:-1]], cache))


class _Kept(tuple):
    """The cache of the subject inside, and what was kept beside it."""


def _inner(parts: list[Any], cache: Any) -> Any:
    return tuple(parts) if len(parts) > 1 else parts[0]


class Symmetric(Around):
    """Symmetric matrices that are moved by one entry: the other one moves along, so that the gradient is symmetric. A
    function that reads one triangle gives the same numbers."""

    def __init__(self, inner: Subject, of: Sequence[str]) -> None:
        super().__init__(inner)
        self.of = tuple(of)

    def around(self, inner):
        return Symmetric(inner, self.of)

    def forward(self, arrays):
        moved = {n: a for n in self.of if not np.array_equal(a := arrays[n], _transposed(a))}
        return self.inner.forward({**arrays, **{n: (a + _transposed(a)) / 2 for n, a in moved.items()}})

    def backward(self, dy, cache):
        grads = dict(self.inner.backward(dy, cache))
        given = {n: np.asarray(grads[n]) for n in self.of if grads.get(n) is not None}
        return grads | {n: (g + _transposed(g)) / 2 for n, g in given.items() if g.ndim > 1}


def _transposed(a: Any) -> Any:
    return np.swapaxes(a, -1, -2)


class OfComplex(Around):
    """Complex inputs and outputs as pairs of real numbers along a last axis: in torch's convention the gradient of
    a + ib is ∂L/∂a + i ∂L/∂b, so that a pair's gradient is its pair."""

    def __init__(self, inner: Subject, complex_names: Sequence[str]) -> None:
        super().__init__(inner)
        self.complex_names = tuple(complex_names)

    def around(self, inner):
        return OfComplex(inner, self.complex_names)

    def forward(self, arrays):
        given = {n: joined(a) if n in self.complex_names else a for n, a in arrays.items()}
        y, cache = self.inner.forward(given)
        return tree_map(pairs, plain(y)), (cache, y)

    def backward(self, dy, cache):
        inner, y = cache
        dy = _upstream(dy, plain(y))
        grads = self.inner.backward(dy, inner)
        return {n: as_pairs(g) if n in self.complex_names else g for n, g in grads.items()}

    def conjugated(self, dy: Any, cache: Any) -> Any:
        """dy with the conjugates of the gradients by complex outputs."""
        return tree_map(lambda d: pairs(np.conj(d)), _upstream(dy, plain(cache[1])))


def joined(a: Any) -> Any:
    """Complex numbers of pairs along the last axis."""
    a = np.asarray(a)
    return united(a[..., 0], a[..., 1])


def pairs(y: Any) -> Any:
    """Complex numbers as pairs along a last axis; other numbers stay."""
    y = np.asarray(y)
    return np.stack([y.real, y.imag], -1) if y.dtype.kind == "c" else y


def as_pairs(g: Any) -> Any:
    """A gradient by complex numbers, which may be real throughout, as pairs."""
    if g is None:
        return None
    g = np.asarray(g)
    return pairs(g if g.dtype.kind == "c" else g.astype(np.complex64 if g.dtype == np.float32 else np.complex128))


def _upstream(dy: Any, y: Any) -> Any:
    if isinstance(y, tuple):
        return tuple(_upstream(d, part) for d, part in zip(dy, y, strict=True))
    return joined(dy) if np.asarray(y).dtype.kind == "c" else dy


def truth_of_complex(truth: Callable, names: Sequence[str], complex_names: Sequence[str]) -> Callable:
    """The function intended, of pairs."""

    def of_pairs(*tensors: torch.Tensor) -> Any:
        given = [torch.view_as_complex(t.contiguous()) if n in complex_names else t for n, t in zip(names, tensors)]
        return _tensor_pairs(truth(*given))

    return of_pairs


def _tensor_pairs(y: Any) -> Any:
    if isinstance(y, Mapping):
        return y
    if isinstance(y, (tuple, list)):
        return tuple(map(_tensor_pairs, y))
    return torch.view_as_real(y.resolve_conj()) if isinstance(y, torch.Tensor) and y.is_complex() else y


class Beside(Around):
    """The backward of a subject beside the forward of another function, of which differences decide."""

    def __init__(self, inner: Subject, intended: Callable[[Mapping[str, Any]], Any]) -> None:
        super().__init__(inner)
        self.intended = intended

    def around(self, inner):
        return Beside(inner, self.intended)

    def forward(self, arrays):
        _, cache = self.inner.forward(arrays)
        return tree_map(np.asarray, plain(self.intended(arrays))), cache
