"""What somebody gave to check_function, as it was given."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .nested import Nested


@dataclass(frozen=True)
class GivenCode:
    """What somebody gave: a forward, a backward, the names of the inputs, and what goes with an object."""

    forward: Any
    backward: Callable | None
    names: tuple[str, ...]
    fixed: Mapping[str, Any]  # inputs that are no arrays: numbers, strings, flags, dicts
    constant: tuple[str, ...] = ()
    get: Callable | None = None
    put: Callable | None = None
    lr: float | None = None
    accumulates: bool = False
    nested: Nested = field(default_factory=Nested)  # of inputs that are dicts or lists of arrays

    @property
    def every(self) -> tuple[str, ...]:
        """All inputs, arrays or not."""
        return (*self.names, *self.fixed)

    @property
    def outer(self) -> tuple[str, ...]:
        """Inputs with arrays, as they were given."""
        return self.nested.outer(self.names)
