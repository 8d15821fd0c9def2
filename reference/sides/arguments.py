"""How a function wants its inputs: by name where the names are its own, else in their order."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def parameters(f: Callable) -> list[inspect.Parameter] | None:
    """What f takes; None if it does not say, as functions written in C."""
    try:
        return list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        return None


def required(f: Callable) -> list[str] | None:
    """The names of the positional arguments that a call must give."""
    found = parameters(f)
    return None if found is None else [p.name for p in found if p.kind in POSITIONAL and p.default is p.empty]


def positional(f: Callable) -> list[str]:
    """As `required`; a function that does not say is taken for backward(dy, cache)."""
    found = required(f)
    return ["dy", "cache"] if found is None else found


def order_of(f: Callable, names: Sequence[str]) -> tuple[str, ...] | None:
    """The names in f's own order, if they are its own; None if it goes by position."""
    found = parameters(f)
    own = [] if found is None else [p.name for p in found if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return tuple(n for n in own if n in names) if names and {*names} <= {*own} else None


def calling(f: Callable, names: Sequence[str], what: str, example: str = "") -> Callable[[Mapping[str, Any]], Any]:
    """f as a function of inputs by name. A ValueError shows the right call where they cannot go together.

    what: how f is called in messages, "forward" or "against"
    """
    found = parameters(f)
    if found is None or any(p.kind is p.VAR_POSITIONAL for p in found):
        return lambda given: f(*(given[n] for n in names))
    takes = [p for p in found if p.kind in POSITIONAL]
    must = [p.name for p in found if p.default is p.empty and p.kind in (*POSITIONAL, inspect.Parameter.KEYWORD_ONLY)]
    if order_of(f, names) is not None and {*must} <= {*names}:
        first = [p.name for p in found if p.kind is p.POSITIONAL_ONLY and p.name in names]
        rest = [n for n in names if n not in first]
        return lambda given: f(*(given[n] for n in first), **{n: given[n] for n in rest})
    _checked(what, names, [p.name for p in takes], must, example)
    return lambda given: f(*(given[n] for n in names))


def taken_by(f: Callable, names: Sequence[str], fixed: Mapping[str, Any]) -> tuple[str, ...]:
    """The inputs that a function has arguments for: without those that are no arrays, where it takes fewer."""
    found = parameters(f)
    if found is None:
        return tuple(n for n in names if not isinstance(fixed.get(n), dict))
    most = len(names) if any(p.kind is p.VAR_POSITIONAL for p in found) else sum(p.kind in POSITIONAL for p in found)
    by_name = order_of(f, names) is not None
    return tuple(names) if by_name or most >= len(names) else tuple(n for n in names if n not in fixed)


def _checked(what: str, names: Sequence[str], takes: list[str], must: list[str], example: str) -> None:
    """Can as many be given by position, and is none of the same name at another place?"""
    given, wanted = ", ".join(names), ", ".join(takes)
    right = f"inputs={{{', '.join(f'{n!r}: …' for n in must)}}}"
    if not len(must) <= len(names) <= len(takes):
        raise ValueError(
            f"{what} takes {len(takes)} arguments ({wanted}), and `inputs` has {len(names)} ({given}): "
            f"give one for each, {right}" + example
        )
    moved = [n for n, own in zip(names, takes) if n in takes and n != own]
    if moved:
        raise ValueError(
            f"{what} takes ({wanted}), and `inputs` are called ({given}): {', '.join(moved)} would go to another "
            f"place. Name all of them as {what} does, and the order does not matter: {right}"
        )
