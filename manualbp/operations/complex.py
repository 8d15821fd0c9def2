"""Complex numbers made of real ones and taken apart. None of this has a derivative f′ in the complex sense, so each
gradient ∂L/∂a + i ∂L/∂b of z = a + ib is taken by its two parts."""

from typing import Any

import numpy as np

from ..base import Array, describe, shape
from ..sampling import Values
from .base import NUMBER, Operation, unreached


def united(a: Any, b: Any) -> Array:
    """a + ib in the precision of a and b."""
    z = np.empty(np.shape(a), np.result_type(a, np.complex64))
    z.real, z.imag = a, b
    return z


def complex_numbers(values: Values, size: tuple[int, ...]) -> Array:
    """Random ones."""
    return united(values.real(size), values.real(size))


class Complexes(Operation, family=True):
    """A function of complex numbers, or one that gives them: it has no complex step, and random networks none of it."""

    analytic = False
    in_networks = False
    of_complex = True


class Part(Complexes, family=True):
    """A function of one array of complex numbers, entry by entry. A subclass gives y = f(z) and dz = back(z, dy)."""

    def f(self, z: Array) -> Array:
        raise NotImplementedError

    def back(self, z: Array, dy: Array) -> Array:
        raise NotImplementedError

    def forward(self, params, x):
        if not isinstance(x, (np.ndarray, np.generic)) or x.dtype.kind != "c":
            raise ValueError(f"{self} takes an array of complex numbers (complex64, complex128); it got {describe(x)}")
        return self.f(x), (x,)

    def backward(self, params, cache, dy):
        (z,) = cache
        return self.back(z, dy), {}

    def sample(self, values, shape):
        return complex_numbers(values, shape)


class Real(Part):
    """The real part.

    Forward   y = a of z = a + ib
    Backward  ∂y/∂a = 1,  ∂y/∂b = 0:  dz = dy + 0i
    Shapes    z, y: (*)
    Errors    ValueError if z is no array of complex numbers
    Source    torch.real
    """

    calls = ("torch.real", "Tensor.real")

    def f(self, z):
        return z.real.copy()

    def back(self, z, dy):
        return united(dy, 0)


class Imag(Part):
    """The imaginary part.

    Forward   y = b of z = a + ib
    Backward  ∂y/∂a = 0,  ∂y/∂b = 1:  dz = 0 + i dy
    Shapes    z, y: (*)
    Errors    ValueError if z is no array of complex numbers
    Source    torch.imag
    """

    calls = ("torch.imag", "Tensor.imag")

    def f(self, z):
        return z.imag.copy()

    def back(self, z, dy):
        return united(np.zeros_like(dy), dy)


class Conj(Part):
    """The conjugate.

    Forward   y = a − ib of z = a + ib
    Backward  the real part of y is a, the imaginary part −b; with dy = u + iv:  dz = u − iv, the conjugate of dy
    Shapes    z, y: (*)
    Errors    ValueError if z is no array of complex numbers
    Source    torch.conj; of real numbers it gives these themselves
    """

    calls = ("torch.conj", "torch.conj_physical", "Tensor.conj", "Tensor.conj_physical")

    def f(self, z):
        return z.conj()

    def back(self, z, dy):
        return dy.conj()


class Modulus(Part):
    """The absolute value of complex numbers: how far from 0 they lie.

    Forward   y = √(a² + b²) of z = a + ib
    Backward  ∂y/∂a = a/y,  ∂y/∂b = b/y:  dz = (a + ib)/y dy = z/|z| dy
    Shapes    z, y: (*); y is real
    Errors    ValueError if z is no array of complex numbers
    Source    torch.abs of complex numbers; of real ones it is Abs
    Caveat    a kink at 0, where torch and this take dz = 0
    """

    calls = ("torch.abs", "torch.absolute", "Tensor.abs", "Tensor.__abs__")

    def f(self, z):
        return np.abs(z)

    def back(self, z, dy):
        y = np.abs(z)
        return z / np.where(y == 0, 1, y) * dy


class Angle(Part):
    """The angle between complex numbers and the positive real axis, in (−π, π].

    Forward   y = arg z,  z = |z| e^(iy)
    Backward  y turns by ε/|z| when z moves by ε at a right angle to itself, along iz/|z|, and not at all along z:
              dz = iz/|z|² dy = (−b + ia)/(a² + b²) dy
    Shapes    z, y: (*); y is real
    Errors    ValueError if z is no array of complex numbers
    Source    torch.angle
    Caveat    y jumps by 2π across the negative real axis; at 0 torch and this take dz = 0
    """

    calls = ("torch.angle", "Tensor.angle")

    def f(self, z):
        return np.arctan2(z.imag, z.real)

    def back(self, z, dy):
        y = np.abs(z)
        unit = z / np.where(y == 0, 1, y)
        return united(-unit.imag, unit.real) * (dy / np.where(y == 0, 1, y))


class ViewAsReal(Part):
    """Complex numbers as pairs of real ones, along a new last axis.

    Forward   y[…, 0] = a,  y[…, 1] = b  of z = a + ib
    Backward  the parts go back to where they came from:  dz = dy[…, 0] + i dy[…, 1]
    Shapes    z: (*), y: (*, 2)
    Errors    ValueError if z is no array of complex numbers
    Source    torch.view_as_real
    """

    calls = ("torch.view_as_real",)

    def f(self, z):
        return np.stack([z.real, z.imag], -1)

    def back(self, z, dy):
        return united(dy[..., 0], dy[..., 1])


class ViewAsComplex(Complexes):
    """Pairs of real numbers along the last axis as complex ones.

    Forward   y = x[…, 0] + i x[…, 1]
    Backward  with dy = u + iv:  dx[…, 0] = u,  dx[…, 1] = v
    Shapes    x: (*, 2), y: (*)
    Errors    ValueError if the last axis of x is not 2 long
    Source    torch.view_as_complex; rotary embeddings turn pairs of features by a complex product
    """

    calls = ("torch.view_as_complex",)

    def forward(self, params, x):
        self.takes(shape(x)[-1:] == (2,) and not np.iscomplexobj(x), x, "(*, 2)")
        return united(x[..., 0], x[..., 1]), ()

    def backward(self, params, cache, dy):
        return np.stack([dy.real, dy.imag], -1), {}

    def sample(self, values, shape):
        return values.real((*shape, 2))


class Complex(Complexes):
    """Complex numbers of their two parts.

    Forward   y = a + ib
    Backward  with dy = u + iv:  da = u,  db = v
    Shapes    a, b, y: (*)
    Errors    ValueError if a and b differ in shape
    Source    torch.complex
    """

    arity = 2
    calls = ("torch.complex",)

    def forward(self, params, x):
        a, b = self.unpack(x, "real imag")
        for part in (a, b):
            self.takes(shape(part) == shape(a) and not np.iscomplexobj(part), part, f"{shape(a)}")
        return united(a, b), ()

    def backward(self, params, cache, dy):
        return (dy.real, dy.imag), {}


class AsComplex(Complexes):
    """Real numbers as complex ones.

    Forward   y = x + 0i
    Backward  the real part of y is x, the imaginary part moves with nothing; with dy = u + iv:  dx = u
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of real numbers
    Source    torch.Tensor.to with a complex dtype
    """

    calls = ("Tensor.cfloat", "Tensor.cdouble")

    def forward(self, params, x):
        self.takes(not np.iscomplexobj(x), x, "(*)", NUMBER)
        return united(x, 0), (x,)

    def backward(self, params, cache, dy):
        (x,) = cache
        return (dy.real if x.dtype.kind == "f" else unreached(x)), {}
