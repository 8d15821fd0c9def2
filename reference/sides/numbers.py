"""What somebody gave to check_gradients, brought into the form that is compared: gradients that are numbers, a loss."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from manualbp.base import Array, describe

from .arguments import calling
from .bring import as_number
from .formats import widened
from .gradients import array, keyed, spelled
from .subject import Arrays

RIGHT = 'check_gradients({"W": dW}, loss=lambda W: …, at={"W": W})'


def by_name(gradients: Any, at: Any) -> tuple[Arrays, Arrays, str]:
    """Gradients and where they were taken, each by the names of `at`, and the dtype that they are judged in."""
    for what, given in (("the gradients are", gradients), ("`at` is", at)):
        if not isinstance(given, Mapping) or not given:
            raise ValueError(f"{what} {shown(given)}; arrays by name are taken, as {RIGHT}")
    places = {n: _array(f"at[{n!r}]", a) for n, a in at.items()}
    found = {n: _array(f"the gradient of {n}", g) for n, g in keyed(gradients, tuple(places)).items()}
    if unknown := [n for n in found if n not in places]:
        first = next(iter(places))
        raise ValueError(
            f"gradients of {', '.join(map(str, unknown))} are given, but `at` has only {', '.join(places)}: call the "
            f"gradient of {first} one of {', '.join(spelled(first)[:5])}, and name all that the loss takes, as {RIGHT}"
        )
    return found, places, "float32" if all(g.dtype == np.float32 for g in found.values()) else "float64"


def _array(what: str, a: Any) -> Array:
    """An array, or a tensor as one, without its history."""
    try:
        found = np.asarray(widened(array(a)))
    except ValueError:  # lists of unequal lengths
        found = np.asarray(None)
    if found.dtype.kind not in "fciub":
        raise ValueError(f"{what} is {shown(a)}, where an array of numbers is wanted: {RIGHT}")
    return found


def shown(given: Any) -> str:
    """A message's words for what is no dict of arrays, or an empty one."""
    return describe(array(given)) if isinstance(given, (torch.Tensor, np.ndarray)) else describe(given)


def of_tensors(loss: Callable, at: Arrays, dtype: str) -> Callable:
    """The loss as a function of positional tensors, called by position, or by name where its own names are these.

    A ValueError says who raised, and what dtype the tensors have where they are of another than those of `at`."""
    call, names = calling(loss, tuple(at), "loss"), tuple(at)
    other = {n: a.dtype for n, a in at.items() if a.dtype.kind == "f" and a.dtype != dtype}

    def called(*tensors: torch.Tensor) -> torch.Tensor:
        try:
            return as_number(call, dict(zip(names, tensors, strict=True)))
        except ValueError as e:
            if not other or not any(word in str(e) for word in ("dtype", "scalar type")):
                raise
            n, was = next(iter(other.items()))
            raise ValueError(
                f"{e}. The dtype is that of the gradients, {dtype}, in which `at`, too, is handed to the loss, though "
                f"{n} is {was}: give gradients of {was}, or take {dtype}, as in x.to({n}.dtype)"
            ) from e

    return called
