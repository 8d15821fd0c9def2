"""An activation and its slope as check_pointwise is given them: of one array, or of one number at a time."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .arguments import required
from .pair import Pointwise
from .raised import as_a_try

SOME = np.array([[0.5, 0.25, 0.75]])  # in the domain of most functions
RIGHT = "check_pointwise(np.tanh, lambda x: 1 - np.tanh(x) ** 2, against=torch.tanh)"


def pointwise(f: Any, df: Any) -> tuple[Pointwise, tuple[str, ...]]:
    """Both as functions of arrays, and a note where one was made so. A ValueError for what is no function of x."""
    single = []
    for name, given in (("f", f), ("df", df)):
        if not callable(given):
            raise ValueError(f"{name} is {given!r:.60}; it takes a function of x, as {RIGHT}")
        if len(takes := required(given) or []) > 1:
            raise ValueError(
                f"{name} takes ({', '.join(takes)}); check_pointwise takes functions of x alone, as {RIGHT}. A "
                f'backward of (dy, x) is checked by check_function(f, backward, against=…, inputs={{"x": ("N", "D")}})'
            )
        single += [name] if _of_numbers(given) else []
    of_arrays = [_each(g) if name in single else g for name, g in (("f", f), ("df", df))]
    one = "takes" if len(single) == 1 else "take"
    note = f"{' and '.join(single)} {one} one number at a time, and no array: each entry was handed on alone"
    return Pointwise(*of_arrays), (note,) * bool(single)


def _of_numbers(f: Callable) -> bool:
    """Does it take a number, and no array, as math.tanh and what asks `if x > 0`?"""
    with as_a_try():
        try:
            f(SOME)
        except (TypeError, ValueError):
            try:
                return bool(np.isscalar(f(float(SOME.flat[0]))))
            except Exception:
                return False
        except Exception:
            return False
    return False


def _each(f: Callable) -> Callable:
    """The same of arrays, entry by entry; Python's numbers are of no dtype, so that one of few bits stays."""

    def of_array(x: Any) -> Any:
        y = np.array([f(v) for v in x.flat]).reshape(x.shape)
        return y.astype(np.float32) if x.dtype == np.float32 else y

    return of_array
