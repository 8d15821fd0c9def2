"""What operations share: the contract, integers among the inputs, operands that broadcast, axes by number."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ..base import INTEGER, REAL, Array, Layer, Tree, describe, options_of, shape, unbroadcast
from ..sampling import Values

NUMBER = REAL + INTEGER
Axes = int | tuple[int, ...] | None  # as `dim` is given to torch


class Operation(Layer, family=True):
    """A function of torch as a layer without parameters.

    Arguments of the torch function that are tensors are the inputs, in its order: one as it is, several in a tuple. All
    others are options under torch's names. Real inputs have a gradient, integers and masks have None.

    Complex inputs z = a + ib, where `of_complex` says that there may be some, have dz = ∂L/∂a + i ∂L/∂b, as in torch.
    Let y = f(z) have the derivative f′ = p + iq. A step ε of a moves y by (p + iq)ε, one of b moves it by i(p + iq)ε:
    with dy = u + iv  dz = (up + vq) + i(vp − uq) = (p − iq)(u + iv), the conjugate of the slope times dy.
    """

    in_networks: ClassVar[bool] = True  # can it stand inside of random networks? Not what gives integers or a mask
    calls: ClassVar[tuple[str, ...]] = ()  # the torch functions and methods that it is
    guards: ClassVar[tuple[str | None, ...]] = ()  # in random networks, what keeps each input where y has a value
    ranks = (0, 1, 2, 3, 4)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value in options_of(self).items():  # torch.Size(…) and NumPy's numbers print as what they are not
            if isinstance(value, tuple) and type(value) is not tuple:
                object.__setattr__(self, name, tuple(value))
            elif isinstance(value, np.generic):
                object.__setattr__(self, name, value.item())

    def before(self) -> tuple[str | None, ...]:
        """The guard of every input that must be given."""
        return self.guards or (None,) * self.arity


def is_real(a: Any) -> bool:
    """Has it a gradient?"""
    return isinstance(a, (np.ndarray, np.generic)) and a.dtype.char in REAL


def conj(a: Any) -> Any:
    """The conjugate of complex numbers; of real ones themselves."""
    is_complex = a.dtype.kind == "c" if isinstance(a, np.ndarray) else np.iscomplexobj(a)
    return a.conjugate() if is_complex else a


def possible(d: Array, of: Array) -> Array:
    """The part of d that the gradient by `of` can have: a real number has nowhere to move but along the real axis, so
    that of a complex d there counts ∂L/∂a, the real part."""
    return d.real if d.dtype.kind == "c" != of.dtype.kind else d


def gradient(d: Any, of: Any) -> Array | None:
    """d summed over the axes that `of` was repeated along; None where `of` has no gradient."""
    return unbroadcast(possible(d, of), of.shape) if is_real(of) else None


def unreached(x: Tree) -> Tree:
    """The gradient by inputs that do not reach L: 0 for real ones, None for others."""
    if isinstance(x, tuple):
        return tuple(map(unreached, x))
    return np.zeros_like(x) if is_real(x) else None


def alike(arrays: Sequence[Any]) -> list[Any]:
    """Integers beside real arrays, in the dtype of these: as torch has it, where NumPy makes float64 of them."""
    real = next((a for a in arrays if is_real(a)), None)
    integers = [isinstance(a, (np.ndarray, np.generic)) and not is_real(a) for a in arrays]
    return [a.astype(real.dtype) if real is not None and i else a for a, i in zip(arrays, integers)]


def broadcastable(shapes: Sequence[tuple[int, ...]]) -> bool:
    """Do these shapes fit one another?"""
    if all(size == shapes[0] for size in shapes):
        return True
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        return False
    return True


def check_broadcast(layer: Layer, arrays: Sequence[Any]) -> None:
    """ValueError, with the rule, unless these are numbers or arrays that fit one another."""
    for a in arrays:
        if not isinstance(a, (int, float, complex)):
            layer.takes(True, a, "(*)", NUMBER)
    if not broadcastable([shape(a) for a in arrays]):
        raise ValueError(
            f"{layer} takes arrays whose axes, from the last to the first, are equally long, or 1 long in one of them, "
            f"as (4, 1, 3) and (2, 3); it got {describe(tuple(arrays))}"
        )


def partner(values: Values, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A random shape that broadcasts with this one, in either direction: axes of length 1, fewer axes, or one more."""
    choose = values.rng.integers
    other = tuple(int(choose(1, 4)) if n == 1 else 1 if choose(4) == 0 else n for n in shape)
    drop = int(choose(len(shape) + 1)) if choose(4) == 0 else 0
    return (2, *other) if choose(8) == 0 else other[drop:]


def axes_of(layer: Layer, dim: Axes, x: Array) -> tuple[int, ...]:
    """The axes meant by `dim`, none of them negative; all of them for None and (). A number has one axis, 0."""
    rank = max(len(shape(x)), 1)
    if isinstance(dim, int) and -rank <= dim < rank == len(shape(x)):
        layer.takes(True, x, "(*)", NUMBER)
        return (dim % rank,)
    given = (dim,) if isinstance(dim, int) else tuple(dim or range(rank))
    inside = all(-rank <= d < rank for d in given) and len({d % rank for d in given}) == len(given)
    layer.takes(inside, x, f"(*) with {f'an axis {dim}' if isinstance(dim, int) else f'different axes {dim}'}", NUMBER)
    return tuple(d % rank for d in given) if np.ndim(x) else ()


def axis_of(layer: Layer, dim: int, x: Any) -> int:
    """The one axis meant by `dim`, not negative."""
    layer.takes(-len(shape(x)) <= dim < len(shape(x)), x, f"(*) with an axis {dim}", NUMBER)
    return dim % x.ndim


def some_axes(choose: Any, rank: int) -> Axes:
    """None, one axis or two different ones, counted from either end."""
    if rank == 0:
        return None
    one = choose(*range(rank)) - choose(0, rank)
    others = [d for d in range(rank) if d != one % rank]
    return choose(one, None, (one, choose(*others))) if others else choose(one, None)


def check_range(layer: Layer, index: Array, size: int) -> None:
    """ValueError unless every index is in 0, …, size − 1."""
    if index.size and not 0 <= index.min() <= index.max() < size:
        raise ValueError(f"{layer} takes indices in 0, …, {size - 1}; it got {index.min()} to {index.max()}")
