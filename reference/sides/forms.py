"""In which form somebody's forward and backward are written: what forward returns, and what backward takes.

    y                          y alone; several in a tuple, a list, a named tuple or a dict
    y, cache                   also y1, y2, cache and y, cache1, cache2
    backward(dy, cache)        also (cache, dy), (dy), (cache), (), (dy, x, w), (dy, x, w, cache), (x, t),
                               (dh, dc, cache), (dy, cache1, cache2)

The names of the arguments say what they are, where they say it; else their number does. What is left open is tried.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .arguments import POSITIONAL, parameters
from .gradients import like, plain

CACHE = re.compile(
    r"^_*(cache[sd]?|ctx|context|saved|memory|mem|tape|state|residuals?|res|aux|store[d]?|kept|c)$", re.I
)
SURELY_CACHE = re.compile(r"^_*(cache[sd]?|ctx|context|saved)$", re.I)
RATE = re.compile(r"^(lr|learning_rate)$", re.I)
UPSTREAM = re.compile(
    r"^_*(d[a-zA-Z]?[a-z0-9_]*|grad.*|g|g_.*|upstream.*|up|delta.*|δ.*|∂.*|ct|cotangent.*|v|error)$", re.I
)
Roles = tuple[str, ...]  # of the arguments: "dy", "dy[1]", "cache", "cache[0]", or "x of inputs"
OF_INPUT = " of inputs"


@dataclass(frozen=True)
class CallForm:
    """outputs: how many of what forward returns are outputs: 0 all of it, without a cache; −1 the first, and all
    others are the cache; k the first k, and one cache after them (1: y, cache). roles: of backward's arguments."""

    outputs: int
    roles: Roles

    def parted(self, found: Any) -> tuple[Any, Any]:
        """Output and cache."""
        if self.outputs == 0:
            return found, None
        if self.outputs == -1:
            return found[0], found[1:]
        return (found[0] if self.outputs == 1 else found[: self.outputs]), found[self.outputs]

    def arguments(self, dy: Any, y: Any, cache: Any, arrays: Mapping[str, Any]) -> list[Any]:
        """What backward is called with."""
        return [self._argument(role, dy, y, cache, arrays) for role in self.roles]

    @staticmethod
    def _argument(role: str, dy: Any, y: Any, cache: Any, arrays: Mapping[str, Any]) -> Any:
        if role.endswith(OF_INPUT):
            return arrays[role.removesuffix(OF_INPUT)]
        if role in ("dy", "cache"):
            return like(dy, y) if role == "dy" else cache
        word, _, i = role.rstrip("]").partition("[")
        return dy[int(i)] if word == "dy" else cache[int(i)]

    @property
    def upstream(self) -> bool:
        """Does backward take an upstream gradient?"""
        return any(role.startswith("dy") for role in self.roles)


def forms(found: Any, backward: Callable, names: Sequence[str], outputs: int | None) -> Iterator[CallForm]:
    """Every form that these could be written in, the likeliest first. found: what forward returned; outputs: how many
    the function intended has, if that is known."""
    takes = taken(backward)
    for k in splits(found, takes, names, outputs):
        form = CallForm(k, ())
        y, cache = form.parted(found)
        several = len(plain(y)) if isinstance(plain(y), tuple) else 1
        parts = len(cache) if isinstance(cache, (tuple, list)) else 0
        each = dict.fromkeys(readings(takes, names, several, k != 0, parts))
        yield from (CallForm(k, roles) for roles in each if not _contradicts(takes, names, roles, k != 0))


def _contradicts(takes: list[str] | None, names: Sequence[str], roles: Roles, cached: bool) -> bool:
    """Would what is called a cache be given something else, or a learning rate an array?"""
    return any(
        p not in names and (RATE.match(p) or (cached and role != "cache" and SURELY_CACHE.match(p)))
        for p, role in zip(takes or (), roles)
    )


def taken(backward: Callable) -> list[str] | None:
    """The arguments that a call gives: all that must be given, and what can be if its name says what it is. None: any
    number of them."""
    found = parameters(backward)
    if found is None:
        return ["dy", "cache"]
    if any(p.kind is p.VAR_POSITIONAL for p in found):
        return None
    positional = [p for p in found if p.kind in POSITIONAL]
    must = [p.name for p in positional if p.default is p.empty]
    more = [p.name for p in positional[len(must) :]]
    while more and not (UPSTREAM.match(more[-1]) or CACHE.match(more[-1])):
        more.pop()
    return must + (more if not must else [])


def splits(found: Any, takes: list[str] | None, names: Sequence[str], outputs: int | None) -> Iterator[int]:
    """How what forward returned may be divided into outputs and cache."""
    if type(found) is not tuple or len(found) < 2:  # a named tuple is an output
        yield 0
        return
    n = len(found)
    if outputs is None:
        alone = takes is not None and len(takes) == 1 and not (CACHE.match(takes[0]) or takes[0] in names)
        alone = alone and found[1] is not None
        yield from (0, 1) if n == 2 and alone and _alike(found) else (1, 0) if n == 2 else (n - 1, -1, 0)
    elif outputs == 1:
        yield from (1, 0) if n == 2 else (-1, n - 1, 0)
    else:
        nested = isinstance(plain(found[0]), tuple)
        yield from [1] * nested + [n - 1] * (n == outputs + 1 and n > 2) + [0] * (n == outputs)
        yield from [-1] * (nested and n > 2) + [1] * (not nested and n == 2) + [n - 1] * (n > 2)


def _alike(found: tuple) -> bool:
    """Could both be outputs? A float array beside a mask or a number is a cache."""
    return all(getattr(a, "dtype", None) == getattr(found[0], "dtype", "") for a in found)


def readings(takes: list[str] | None, names: Sequence[str], several: int, cached: bool, parts: int) -> Iterator[Roles]:
    """The roles that arguments of these names may have. several: outputs; parts: of the cache, 0 if it is one array."""
    inputs = tuple(n + OF_INPUT for n in names)
    every = ("dy",) if several == 1 else tuple(f"dy[{i}]" for i in range(several))
    cache = ("cache",) if cached else ()
    spread = tuple(f"cache[{i}]" for i in range(parts))
    if takes is None:
        yield from (("dy", *cache), ("dy", *spread), ("dy", *inputs), (*every, *cache))
        return
    if takes and {*takes} <= {*names}:
        yield tuple(n + OF_INPUT for n in takes)
    if len(takes) == 2 and CACHE.match(takes[0]) and not CACHE.match(takes[1]):
        yield from ((*cache, "dy"),) * cached
    by_name = _by_name(takes, names, several, cached)
    if len(takes) > 2 and by_name:
        yield by_name
    if len(takes) == 1 and cached and CACHE.match(takes[0]):
        yield cache
    orders = (("dy", *cache), (*every, *cache), ("dy", *spread), ("dy", *inputs), (*every, *inputs))
    orders += (("dy", *inputs, *cache), (*every, *inputs, *cache), inputs, (*every, *spread), cache, ())
    yield from (roles for roles in orders if len(roles) == len(takes))
    if by_name:
        yield by_name


def _by_name(takes: list[str], names: Sequence[str], several: int, cached: bool) -> Roles | None:
    """What the names say: an input, the cache, an upstream gradient; None where they leave it open."""
    roles: list[str] = []
    for p in takes:
        if p in names:
            roles.append(p + OF_INPUT)
        elif CACHE.match(p) and cached:
            roles.append("cache")
        elif UPSTREAM.match(p):
            roles.append(f"dy[{sum(r.startswith('dy') for r in roles)}]")
        else:
            return None
    upstream = sum(r.startswith("dy") for r in roles)
    if upstream == 1:
        return tuple("dy" if r == "dy[0]" else r for r in roles)
    return tuple(roles) if upstream in (0, several) else None
