"""Sums, products, quotients, powers, entry by entry, of arrays that broadcast and of numbers."""

from typing import Any, ClassVar

import numpy as np

from ..base import Array, Tree, shape
from ..sampling import Values
from .base import Operation, alike, check_broadcast, conj, gradient, partner, unreached

POSITIVE = "Sequential(Softplus(), Add(other=0.5))"  # what stands in random networks before what takes numbers above 0


class Pair(Operation, family=True):
    """y = f(a, b) for every pair of entries, after a and b were broadcast to one shape: an axis that one of them lacks,
    or where it is 1 long, repeats it. What is used several times collects a gradient from every use, so da and db are
    summed over the axes that a and b were repeated along (`unbroadcast`).

    A number given as an option stands for a or b, and has no gradient. A subclass gives y = f(a, b) and the slopes. Of
    complex numbers the conjugates of the slopes count.
    """

    names: ClassVar[tuple[str, str]] = ("input", "other")  # the options that a and b may be

    def f(self, a: Any, b: Any) -> Array:
        raise NotImplementedError

    def df(self, a: Any, b: Any, y: Array, dy: Array) -> tuple[Any, Any]:
        """∂y/∂a dy and ∂y/∂b dy."""
        raise NotImplementedError

    def __post_init__(self) -> None:
        super().__post_init__()
        if None not in self.numbers:
            raise ValueError(f"{self} has no input left; give {self.names[0]} or {self.names[1]}, or neither")

    @property
    def numbers(self) -> tuple[complex | None, complex | None]:
        """What options give for a and b."""
        first, second = self.names
        return getattr(self, first), getattr(self, second)

    @property
    def arity(self) -> int:
        return self.numbers.count(None)

    def operands(self, x: Tree) -> list[Any]:
        """a and b: inputs, or options in their place."""
        given = list(self.unpack(x, "x1 x2")) if self.arity == 2 else [x]
        both = [given.pop(0) if number is None else number for number in self.numbers]
        check_broadcast(self, both)
        return alike(both)

    def forward(self, params, x):
        a, b = self.operands(x)
        with np.errstate(all="ignore"):  # 1/0 = ∞, 0/0 = NaN, as in torch
            y = np.asarray(self.f(a, b))
        return y, (x, a, b, y)

    def backward(self, params, cache, dy):
        x, a, b, y = cache
        inputs = x if isinstance(x, tuple) else (x,)
        if dy is None:  # of integers
            return unreached(x), {}
        with np.errstate(all="ignore"):
            slopes = [d for d, number in zip(self.df(a, b, y, dy), self.numbers) if number is None]
            whole = [d if shape(d) == y.shape else np.broadcast_to(d, y.shape) for d in slopes]
            dx = list(map(gradient, whole, inputs))
        return (tuple(dx) if isinstance(x, tuple) else dx[0]), {}

    @classmethod
    def example(cls, choose, shape):
        """Of two arrays, or of one and a number on either side."""
        others = {name: choose(*values) for name, values in cls.options.items() if name not in cls.names}
        number = choose(None, None, *cls.names)
        return cls(**others | ({number: choose(*cls.options[number])} if number and number in cls.options else {}))

    def sample(self, values, shape):
        if self.arity == 1:
            return (self.draw_a if self.numbers[0] is None else self.draw_b)(values, shape)
        return self.draw_a(values, shape), self.draw_b(values, partner(values, shape))

    def before(self):
        return tuple(guard for guard, number in zip(self.guards or (None, None), self.numbers) if number is None)

    def draw_a(self, values: Values, shape: tuple[int, ...]) -> Array:
        return values.real(shape)

    def draw_b(self, values: Values, shape: tuple[int, ...]) -> Array:
        return values.real(shape)


class Binary(Pair, family=True):
    """A pair whose options are called as most of torch's: input and other."""

    input: complex | None = None
    other: complex | None = None

    dyadic = True
    options = {"input": (2.0, 1.0, 0.3), "other": (2.0, -1.0, 0.3)}


class Add(Binary):
    """The sum.

    Forward   y = a + αb
    Backward  ∂y/∂a = 1,  ∂y/∂b = α:
              da = dy
              db = α dy,  each summed over the axes that a and b were repeated along
    Shapes    a, b: broadcast to the shape of y; `input` or `other` is a number in place of one of them
    Errors    ValueError if the shapes do not broadcast
    Source    torch.add
    """

    alpha: float = 1

    of_complex = True
    calls = ("torch.add", "Tensor.add", "Tensor.add_", "Tensor.__add__", "Tensor.__radd__", "Tensor.__iadd__")
    options = Binary.options | {"alpha": (1, 2, 0.5, -3)}

    def f(self, a, b):
        return a + (b if self.alpha == 1 else self.alpha * b)

    def df(self, a, b, y, dy):
        return dy, (dy if self.alpha == 1 else self.alpha * dy)


class Sub(Binary):
    """The difference.

    Forward   y = a − αb
    Backward  ∂y/∂a = 1,  ∂y/∂b = −α:
              da = dy
              db = −α dy,  each summed over the axes that a and b were repeated along
    Shapes    a, b: broadcast to the shape of y; `input` or `other` is a number in place of one of them
    Errors    ValueError if the shapes do not broadcast
    Source    torch.sub
    """

    alpha: float = 1

    of_complex = True
    calls = (
        "torch.sub", "torch.subtract", "torch.rsub", "Tensor.sub", "Tensor.sub_", "Tensor.__sub__", "Tensor.__rsub__",
        "Tensor.__isub__", "Tensor.subtract",
    )  # fmt: skip
    options = Binary.options | {"alpha": (1, 2, 0.5, -3)}

    def f(self, a, b):
        return a - (b if self.alpha == 1 else self.alpha * b)

    def df(self, a, b, y, dy):
        return dy, (-dy if self.alpha == 1 else -self.alpha * dy)


class Mul(Binary):
    """The product, entry by entry.

    Forward   y = ab
    Backward  ∂y/∂a = b,  ∂y/∂b = a:
              da = b dy
              db = a dy,  each summed over the axes that a and b were repeated along
    Shapes    a, b: broadcast to the shape of y; `input` or `other` is a number in place of one of them
    Errors    ValueError if the shapes do not broadcast
    Source    torch.mul
    """

    of_complex = True
    calls = (
        "torch.mul", "torch.multiply", "Tensor.mul", "Tensor.mul_", "Tensor.__mul__", "Tensor.__rmul__",
        "Tensor.__imul__", "Tensor.multiply",
    )  # fmt: skip

    def f(self, a, b):
        return a * b

    def df(self, a, b, y, dy):
        return conj(b) * dy, conj(a) * dy


class Quotient(Binary, family=True):
    """A pair whose second operand divides."""

    options = {"input": (2.0, 5.0, 0.3), "other": (2.0, -4.0, 0.3)}
    guards = (None, POSITIVE)

    def draw_b(self, values, shape):
        return values.signs(shape) * values.positive(shape)


def is_complex(a: Any, b: Any) -> bool:
    return np.iscomplexobj(a) or np.iscomplexobj(b)


def floored(a: Any, b: Any) -> Any:
    """⌊a/b⌋, off the real axis as a constant."""
    return np.floor((a / b).real) + 0j if is_complex(a, b) else a // b


def truncated(a: Any, b: Any) -> Any:
    """a/b without its fraction, in the dtype of a and b, off the real axis as a constant."""
    return np.trunc((a / b).real).astype(np.result_type(a, b))


class Div(Quotient):
    """The quotient, entry by entry; with a rounding mode, brought to a whole number.

    Forward   y = a/b;   rounding_mode "floor": the next whole number below, "trunc": the next one towards 0
    Backward  ∂y/∂a = 1/b,  ∂y/∂b = −a/b² = −(a/b)/b:
              da = dy/b
              db = −(a/b) dy/b,  each summed over the axes that a and b were repeated along
              a rounded quotient is constant between its jumps:  da = db = 0
    Shapes    a, b: broadcast to the shape of y; `input` or `other` is a number in place of one of them
    Errors    ValueError if the shapes do not broadcast, or for another rounding_mode
    Source    torch.div, which divides by zero to ±∞ and NaN, as this does
    """

    rounding_mode: str | None = None

    of_complex = True
    calls = (
        "torch.div", "torch.divide", "torch.true_divide", "Tensor.div", "Tensor.div_", "Tensor.__truediv__",
        "Tensor.__rtruediv__", "Tensor.__rdiv__", "Tensor.__itruediv__", "Tensor.true_divide", "Tensor.divide",
    )  # fmt: skip
    options = Quotient.options | {"rounding_mode": (None, None, "floor", "trunc")}

    def __post_init__(self):
        super().__post_init__()
        if self.rounding_mode not in (None, "floor", "trunc"):
            raise ValueError(f'{self}: rounding_mode is None, "floor" or "trunc"')

    def f(self, a, b):
        if self.rounding_mode is None:
            return a / b
        return floored(a, b) if self.rounding_mode == "floor" else truncated(a, b)

    def df(self, a, b, y, dy):
        if self.rounding_mode is not None:
            return np.zeros_like(dy), np.zeros_like(dy)
        return dy / conj(b), -conj(a / b) * dy / conj(b)


class FloorDivide(Quotient):
    """How often b goes into a, whole times: Div with rounding_mode "floor", under the name that // has in torch.

    Forward   y = ⌊a/b⌋
    Backward  y is constant between its jumps:  da = db = 0
    Shapes    a, b: broadcast to the shape of y; `input` or `other` is a number in place of one of them
    Errors    ValueError if the shapes do not broadcast
    Source    torch.floor_divide, to which torch 2.13 has no backward; this has that of torch.div
    """

    calls = (
        "torch.floor_divide", "Tensor.floor_divide", "Tensor.__floordiv__", "Tensor.__rfloordiv__",
        "Tensor.__ifloordiv__",
    )  # fmt: skip

    def f(self, a, b):
        return floored(a, b)

    def df(self, a, b, y, dy):
        return np.zeros_like(dy), np.zeros_like(dy)


class Remainder(Quotient):
    """What is left of a after whole multiples of b, with the sign of b.

    Forward   y = a − b⌊a/b⌋
    Backward  ⌊a/b⌋ is constant between its jumps, so  ∂y/∂a = 1,  ∂y/∂b = −⌊a/b⌋:
              da = dy
              db = −⌊a/b⌋ dy,  each summed over the axes that a and b were repeated along
    Shapes    a, b: broadcast to the shape of y; `input` or `other` is a number in place of one of them
    Errors    ValueError if the shapes do not broadcast
    Source    torch.remainder, which is Python's %
    Caveat    y jumps where a/b is whole; the gradient knows nothing of the jump, as in torch
    """

    calls = ("torch.remainder", "Tensor.remainder", "Tensor.__mod__", "Tensor.__rmod__", "Tensor.__imod__")

    def f(self, a, b):
        return a - b * floored(a, b) if is_complex(a, b) else a % b

    def df(self, a, b, y, dy):
        return dy, -floored(a, b) * dy


class Pow(Pair):
    """A power; the base, the exponent, or both are arrays.

    Forward   y = aᵇ
    Backward  ∂y/∂a = b aᵇ⁻¹ (0 where b = 0),   y = e^(b log a), so  ∂y/∂b = y log a (0 where a = 0 ≤ b):
              da = b aᵇ⁻¹ dy
              db = y log a dy,  each summed over the axes that a and b were repeated along
    Shapes    a, b: broadcast to the shape of y; `input` is a number in place of a, `exponent` in place of b
    Errors    ValueError if the shapes do not broadcast
    Source    torch.pow
    Caveat    at a < 0 only whole exponents have a value, and db is NaN; at a = 0 < b < 1 da is ∞
    """

    input: complex | None = None
    exponent: complex | None = None

    of_complex = True
    names = ("input", "exponent")
    calls = ("torch.pow", "Tensor.pow", "Tensor.pow_", "Tensor.__pow__", "Tensor.__rpow__", "Tensor.__ipow__")
    options = {"input": (2.0, 0.3, 5.0), "exponent": (2, 3, 1, 0, 0.5, -1, -0.5, 1.7)}
    dyadic = True
    guards = (f"Sequential(Hardtanh(-4.0, 4.0), {POSITIVE})", "Hardtanh(-4.0, 4.0)")

    def f(self, a, b):
        return a**b

    def df(self, a, b, y, dy):
        return (None if self.input is not None else conj(self.by_base(a, b)) * dy,
                None if self.exponent is not None else conj(self.by_exponent(a, b, y)) * dy)  # fmt: skip

    def by_base(self, a: Any, b: Any) -> Any:
        """b aᵇ⁻¹, and 0 where b = 0."""
        if self.exponent is not None:
            return b * a ** (b - 1) if b else 0
        return np.where(b == 0, 0, b * a ** np.where(b == 0, 1, b - 1)).astype(np.result_type(a, b))

    def by_exponent(self, a: Any, b: Any, y: Array) -> Any:
        """y log a, and 0 where a = 0 ≤ b."""
        none = np.equal(a, 0) & (b >= 0)
        return y * np.where(none, 0, np.log(np.where(none, 1, a))).astype(y.dtype)

    def draw_a(self, values, shape):
        whole = isinstance(self.exponent, int) and self.exponent >= 0
        return values.real(shape) if whole else values.positive(shape)


class Neg(Operation):
    """The negative.

    Forward   y = −x
    Backward  ∂y/∂x = −1:  dx = −dy
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.neg
    """

    of_complex = True
    calls = ("torch.neg", "torch.negative", "Tensor.neg", "Tensor.negative", "Tensor.neg_", "Tensor.__neg__")
    dyadic = True

    def forward(self, params, x):
        check_broadcast(self, [x])
        return -x, ()

    def backward(self, params, cache, dy):
        return (None if dy is None else -dy), {}
