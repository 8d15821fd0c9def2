"""A classic mistake as a class that overrides the one thing it gets wrong.

    @fault("C04", "Tanh")
    class TanhSquareForgotten(Right):
        \"""tanh′ is written as 1 − y.

        Relation  yours = torch's / (1 + y)
        Remedy    tanh′ = 1 − y²
        Needs     –
        \"""

        def df(self, x, y):
            return 1 - y

The class stands before the right one in the order of resolution, so `super()` is the right layer (or optimizer), and
the product has its name: it prints as the layer does, and its torch twin is the layer's.
"""

import copy
import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from manualbp.base import Layer, registry
from manualbp.composite import Composite
from manualbp.optim.base import Optimizer

from ..draw.case import Case

Right: Any = object  # the class that a mistake is made in; known when the two are put together
KNOWN: dict[str, "Fault"] = {}


@dataclass(frozen=True, repr=False)
class Fault:
    """One mistake.

    id        that of the catalogue; "E13.last" and "E13.even" are two ways to make mistake E13
    text      what is wrong, in a sentence
    relation  of the wrong gradient (yours) to the right one (torch's)
    remedy    what to change
    needs     what options or data must be like for it to be seen
    of        names of the classes, or families of classes, in which it can be made
    equal     classes in which it changes nothing, and why
    make      the right class -> the faulty one
    law       the check of `reference.laws` that sees it
    on        the class on whose random cases it is seen, where that is not the faulty one
    at        brings a random case to where it is seen, where random cases alone do not come
    """

    id: str
    text: str
    relation: str
    remedy: str
    needs: str
    of: tuple[str, ...]
    make: Callable[[type], type]
    equal: str = ""
    law: str = "check_equals_torch"
    on: str | None = None
    at: Callable[[Case], Case] = lambda case: case

    def applies(self, cls: type) -> bool:
        """Can it be made in this class, and does it change anything there?"""
        names = {c.__name__ for c in cls.__mro__}
        return bool(names & set(self.of)) and not names & set(self.equal.split(":")[0].split(", "))

    def classes(self) -> dict[str, type]:
        """The known classes in which it can be made, by name; first those that `of` has first."""
        found = {name: cls for name, cls in (registry() | registry(Optimizer)).items() if self.applies(cls)}
        return dict(sorted(found.items(), key=lambda item: min(self._place(c) for c in item[1].__mro__)))

    def _place(self, cls: type) -> int:
        return self.of.index(cls.__name__) if cls.__name__ in self.of else len(self.of)

    def __repr__(self) -> str:
        return f"Fault({self.id}: {self.text})"


def fault(id: str, *of: str, **facts: Any) -> Callable[[type], type]:
    """Enter the decorated class in the catalogue; its docstring says what the mistake is."""

    def enter(mistake: type) -> type:
        text, lines = _read(mistake.__doc__ or "")
        KNOWN[id] = Fault(id, text, of=of, make=functools.partial(_before, mistake), **lines, **facts)
        return mistake

    return enter


def _before(mistake: type, right: type) -> type:
    """The mistake put before the right class, whose name it takes."""
    return type(right.__name__, (mistake, right), {"right": right, "__doc__": mistake.__doc__})


def _read(doc: str) -> tuple[str, dict[str, str]]:
    """The text before the headings, and what stands at each of them."""
    text, *rest = re.split(r"^\s*(Relation|Remedy|Needs|Equal) +", doc, flags=re.MULTILINE)
    text, *rest = (" ".join(part.split()) for part in (text, *rest))
    return text, {heading.lower(): line for heading, line in zip(rest[::2], rest[1::2])}


def faults(of: str | None = None) -> dict[str, Fault]:
    """Every mistake that can be made in a class that is there, by id; or in the class of this name alone."""
    if of is None:
        return {f.id: f for f in KNOWN.values() if f.classes()}
    cls = (registry() | registry(Optimizer)).get(of)
    return {f.id: f for f in KNOWN.values() if cls and f.applies(cls)}


def corrupt(layer: Any, fault: Fault) -> Any:
    """The same network, in which every layer that can have this fault, itself or any inside it, has it. Or the same
    optimizer with it."""

    whole = isinstance(layer, Composite) and fault.applies(type(layer))  # in its parts too, two mistakes could cancel
    inside = isinstance(layer, Layer) and not whole
    other = layer.map(lambda inner: corrupt(inner, fault)) if inside else layer.replace()
    if fault.applies(type(layer)):
        object.__setattr__(other, "__class__", _made(fault, type(layer)))
    return other


@functools.cache
def _made(fault: Fault, cls: type) -> type:
    return fault.make(cls)


def right(layer: Any, **changes: Any) -> Any:
    """The right layer in a faulty one's place, with some options changed."""
    other = copy.copy(layer)
    object.__setattr__(other, "__class__", type(layer).right)
    return other.replace(**changes)
