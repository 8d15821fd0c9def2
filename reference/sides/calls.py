"""How a check is called: arguments that it does not have, that are missing, or that are none of what it takes."""

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .arguments import POSITIONAL

RIGHT = {
    "check_function": 'check_function(forward, backward, against=…, inputs={"x": ("N", "D"), "w": ("M", "D")})',
    "check_gradients": 'check_gradients({"W": dW}, loss=lambda W: …, at={"W": W})',
    "check_pointwise": "check_pointwise(f, df, against=torch.tanh)",
    "check_layer": "check_layer(MyLayer)",
    "check_optimizer": "check_optimizer(step, against=torch.optim.Adam, lr=0.1)",
    "check_model": "check_model(model, x)",
}


def as_taken(check: Callable, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """A TypeError or ValueError, with the right call, unless a check can be called so."""
    takes = inspect.signature(check).parameters
    right = RIGHT.get(check.__name__, check.__name__)
    more = {p.kind for p in takes.values()} & {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    if inspect.Parameter.VAR_KEYWORD not in more:
        for name in kwargs:
            if name not in takes:
                raise TypeError(f"{check.__name__} has no argument {name}{_nearest(name, takes)}. Call it as {right}")
    places = [p.name for p in takes.values() if p.kind in POSITIONAL]
    if len(args) > len(places) and inspect.Parameter.VAR_POSITIONAL not in more:
        told = f"{check.__name__} takes {' and '.join(places)} by their place, and all else by name"
        raise TypeError(f"{told}; it got {len(args)} by their place: call it as {right}")
    must = [p.name for p in takes.values() if p.default is p.empty and p.kind not in more]
    if missing := [n for n in must if n not in (*places[: len(args)], *kwargs)]:
        raise TypeError(f"{check.__name__} lacks {' and '.join(missing)}: call it as {right}")
    seed = kwargs.get("seed", 0)
    if not hasattr(seed, "__index__") or seed < 0:
        raise ValueError(f"seed is {seed!r}; it takes a whole number, 0 or more, as seed=0")


def _nearest(name: str, takes: Mapping[str, Any]) -> str:
    found = difflib.get_close_matches(name, takes, 1, 0.5)
    return f", but {found[0]}" if found else f": it has {', '.join(takes)}"
