"""A model stays as it is: what a run changes in its modules beside parameters and buffers is put back."""

import functools
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn

CONTAINERS = {dict, list, set, deque, OrderedDict, defaultdict, Counter}  # a class of one's own may refuse to be filled


@contextmanager
def kept(model: nn.Module) -> Iterator[None]:
    """Attributes of all modules as they were before, and what stands in dicts, lists and sets there: a number that is
    counted, a table that is made at the first call, a module that is made in forward are of this run alone. Tables that
    functools keeps are forgotten if the run has made one, since it is in the run's precision."""
    modules = [*model.modules()]
    before = [(m, vars(m).copy()) for m in modules]
    held = {id(c): (c, c.copy()) for _, own in before for c in containers(own)}
    made = {f: f.cache_info().misses for cls in {type(m) for m in modules} for f in tables(cls)}
    try:
        yield
    finally:
        for m, own in before:
            put_back(vars(m), own)
        for value, was in held.values():
            put_back(value, was)
        for f, misses in made.items():
            if f.cache_info().misses != misses:
                f.cache_clear()


def containers(value: Any, seen: set[int] | None = None) -> Iterator[Any]:
    """The dicts, lists and sets among attributes, and in one another, each once."""
    seen = set() if seen is None else seen
    for part in value.values() if isinstance(value, Mapping) else value:
        if type(part) in CONTAINERS and id(part) not in seen:
            seen.add(id(part))
            yield part
            yield from containers(part, seen)
        elif isinstance(part, tuple):
            yield from containers(part, seen)


def put_back(value: Any, was: Any) -> None:
    """In this very container what was there before."""
    value.clear()
    (value.update if isinstance(value, (dict, set)) else value.extend)(was)


def tables(cls: type) -> Iterator[Callable[..., Any]]:
    """The functions with a cache that a class of the user's may call: its own, and those of its file."""
    for base in cls.__mro__:
        if base.__module__.partition(".")[0] not in ("torch", "builtins"):
            for owner in (base, sys.modules.get(base.__module__)):
                found = {} if owner is None else vars(owner)
                yield from (f for f in [*found.values()] if isinstance(f, functools._lru_cache_wrapper))
