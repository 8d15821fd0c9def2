"""The shape of a gradient that a solution gives, in words: which it has, which it should, and the likely mistake."""

import re

from ..sides import clash

Shape = clash.Shape


def of_gradient(name: str, shape: Shape, wanted: Shape, sizes: str) -> str:
    """Which shape a result has, dW or y, and which it should have. sizes: as "N = 3, D = 5"."""
    of = f", that of {name[1:]}" if name[:1] == "d" else ""
    return f"{name} has the shape {lettered(shape, sizes)}, wanted is {lettered(wanted, sizes)}{of} ({sizes})"


def lettered(shape: Shape, text: str) -> str:
    """(3, 5) = (N, D), where the sizes, as "N = 3, D = 5", say which is which."""
    return clash.lettered(shape, {n: int(v) for n, v in re.findall(r"(\w+) = (\d+)", text)})


def likely(name: str, shape: Shape, wanted: Shape) -> str | None:
    """The likely mistake behind a shape, in a sentence; None where it is the one wanted."""
    if shape == wanted:
        return None
    if [n for n in shape if n != 1] == [n for n in wanted if n != 1]:
        if len(shape) > len(wanted):
            return f"An axis of length 1 is left in {name}, as keepdims=True leaves it, and has to go."
        return f"{name} has lost an axis of length 1; keepdims=True keeps it."
    if shape == wanted[::-1]:
        return f"{name} is transposed."
    if not shape:
        return f"{name} is one number: everything is summed up, where one number for each entry is wanted."
    if len(shape) > len(wanted):
        return f"{name} has an axis too many: what is used along it several times collects a sum over it."
    if len(shape) < len(wanted):
        return f"{name} lacks an axis: a sum or mean was taken over it, or it was not spread along it again."
    return f"{name} has an axis of another length, as after a sum over the wrong axis, or factors in the wrong order."
