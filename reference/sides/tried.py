"""Somebody's code run once, to see whether it runs and what it gives."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from manualbp.base import Tree, tree_map

from .gradients import is_real, numeric
from .raised import RefusedError, as_a_try
from .subject import Subject

BUGS = (NameError, SyntaxError, ImportError, RecursionError)  # which another form does not mend


def tried(call: Callable, arrays: Mapping[str, Any], copied: bool = True) -> tuple[Any, Exception | None]:
    """What it gives, or the exception."""
    try:
        with as_a_try():
            return call(copies(arrays) if copied else arrays), None
    except BUGS as e:
        raise RefusedError("forward", e) from e
    except Exception as e:
        return None, e


def ran(subject: Subject, arrays: Mapping[str, Any]) -> Exception | bool:
    """Does it give a gradient of the right shape for every real input? An exception, if it does not run."""
    try:
        with as_a_try():
            y, cache = subject.forward(copies(arrays))
            numeric(y, "forward")
            grads = subject.backward(upstream(y), cache)
            numeric([g for n, g in grads.items() if n in arrays], "backward")
    except Exception as e:
        return e
    wanted = {n: np.shape(a) for n, a in arrays.items() if is_real(a)}
    known = {n: grads.get(n) for n in wanted}
    return all(g is None or np.shape(g) == wanted[n] for n, g in known.items()) and any(
        g is not None for g in known.values()
    )


def fails_on(subject: Subject, draws: list[dict[str, Any]]) -> Exception | None:
    """What its backward raises where its forward runs; None if it runs wherever that does."""
    each = (ran(subject, a) for a in draws if forward_runs(subject, a))
    return next((e for e in each if isinstance(e, Exception)), None)


def forward_runs(subject: Subject, arrays: Mapping[str, Any]) -> bool:
    """Does its forward take these?"""
    try:
        with as_a_try():
            subject.forward(copies(arrays))
    except Exception:
        return False
    return True


def upstream(y: Tree, seed: int = 0) -> Tree:
    """A random upstream gradient of the shape of the output, and in its dtype."""
    rng = np.random.default_rng(seed)

    def of(a: Any) -> Any:
        d, dtype = np.asarray(rng.standard_normal(np.shape(a))), np.asarray(a).dtype
        if dtype.kind == "c":
            return (d + 1j * rng.standard_normal(np.shape(a))).astype(dtype)
        return d.astype(dtype) if is_real(a) else d

    return tree_map(of, y)


def copies(arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {n: a.clone() if isinstance(a, torch.Tensor) else np.array(a) for n, a in arrays.items()}
