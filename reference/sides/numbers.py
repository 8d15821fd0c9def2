"""What somebody gave to check_gradients, brought into the form that is compared: gradients that are numbers, a loss."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from manualbp.base import Array, describe

from ..draw.trial import cast
from .arguments import calling
from .around import as_pairs, pairs, truth_of_complex
from .formats import tensor_of, widened
from .gradients import array, keyed, spelled
from .raised import RefusedError, as_a_try
from .subject import Arrays

RIGHT = 'check_gradients({"W": dW}, loss=lambda W: …, at={"W": W})'


@dataclass(frozen=True)
class GivenGradients:
    """Gradients and where they were taken, by the names of `at`; complex numbers as pairs of real ones, see `around`.

    dtype   the precision that they are judged in
    loss    torch code of positional tensors
    """

    gradients: Arrays
    at: Arrays
    dtype: str
    loss: Callable[..., torch.Tensor]


def brought(gradients: Any, at: Any, loss: Callable) -> GivenGradients:
    """What was given, in the form that is compared. A ValueError shows what is taken."""
    found, places = by_name(gradients, at)
    narrow = all(g is None or g.dtype in (np.float32, np.complex64) for g in found.values())
    dtype = "float32" if narrow and any(g is not None for g in found.values()) else "float64"
    places, whole = _with_gradients(found, places, loss, dtype)
    found = {n: np.zeros(places[n].shape) if g is None else g for n, g in found.items() if n not in whole}
    called, of_complex = of_tensors(loss, places, dtype), [n for n, a in places.items() if a.dtype.kind == "c"]
    for n, g in found.items():
        if g.dtype.kind == "c" and n not in of_complex:
            raise ValueError(f"the gradient of {n} is complex, and at[{n!r}] is not: give its real part, d{n}.real")
    if of_complex:
        called = truth_of_complex(called, tuple(places), of_complex)
        found = {n: as_pairs(g) if n in of_complex else g for n, g in found.items()}
        places = {n: pairs(a) for n, a in places.items()}
    return GivenGradients(found, places, dtype, called)


def _with_gradients(found: Arrays, places: Arrays, loss: Callable, dtype: str) -> tuple[Arrays, list[str]]:
    """Integers by which a gradient is given are real numbers; unless the loss takes them as integers alone, and the
    gradient is 0, or None: these are returned, too."""
    of_whole = [n for n in found if places[n].dtype.kind in "iub"]
    as_real = places | {n: places[n].astype(dtype) for n in of_whole}
    if not of_whole or _runs(loss, as_real, dtype):
        return as_real, []
    none = [n for n in of_whole if found[n] is None or not found[n].any()]
    kept = places | {n: as_real[n] for n in of_whole if n not in none}
    return (kept, none) if none and _runs(loss, kept, dtype) else (as_real, [])


def _runs(loss: Callable, places: Arrays, dtype: str) -> bool:
    try:
        of_tensors(loss, places, dtype)(*(tensor_of(a) for a in cast(places, dtype).values()))
    except ValueError:
        return False
    return True


def by_name(gradients: Any, at: Any) -> tuple[Arrays, Arrays]:
    """Gradients and where they were taken, each by the names of `at`. A gradient of None is one of 0."""
    for what, given in (("the gradients are", gradients), ("`at` is", at)):
        if not isinstance(given, Mapping) or not given:
            raise ValueError(f"{what} {shown(given)}; arrays by name are taken, as {RIGHT}")
    places = {n: _array(f"at[{n!r}]", a) for n, a in at.items()}
    named = keyed(gradients, tuple(places))
    some = any(g is not None for g in named.values())
    found = {n: None if g is None and some else _array(f"the gradient of {n}", g) for n, g in named.items()}
    if unknown := [n for n in found if n not in places]:
        first = next(iter(places))
        raise ValueError(
            f"gradients of {', '.join(map(str, unknown))} are given, but `at` has only {', '.join(places)}: call the "
            f"gradient of {first} one of {', '.join(spelled(first)[:5])}, and name all that the loss takes, as {RIGHT}"
        )
    return found, places


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


def as_number(loss: Callable, given: Mapping[str, Any]) -> Any:
    """The loss, one number. A ValueError says who raised, or what was given instead."""
    try:
        value = loss(given)
    except Exception as e:
        raise ValueError(f"{RefusedError('loss', e)}{_of_numpy(loss, given)}") from e
    if not isinstance(value, torch.Tensor) or value.numel() != 1:
        what = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else describe(value)
        raise ValueError(f"loss gives {what}, and one number is wanted: a sum or a mean, as torch code")
    if value.is_complex():
        raise ValueError("loss gives a complex number, and a real one is wanted: take .real, or .abs() of it")
    return value


def _of_numpy(loss: Callable, given: Mapping[str, Any]) -> str:
    """What to say of a loss that takes arrays, and no tensors."""
    try:
        with as_a_try():
            value = loss({n: array(t) for n, t in given.items()})
    except Exception:
        return ""
    if isinstance(value, torch.Tensor):
        return ""
    return ". It is NumPy code, and torch code is wanted, which autograd can differentiate: torch.sum(…) for np.sum(…)"
