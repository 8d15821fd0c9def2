"""The steps of a model by the modules that they are in, and which modules are folded so that it fits on a screen."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

LINES = 40  # what a long model is folded to


@dataclass(frozen=True)
class FoldedModule:
    """A module with the steps in it: `inside` has its modules as parts, and the steps that are its own."""

    path: str
    inside: tuple[Any, ...]

    @property
    def name(self) -> str:
        return self.path

    @property
    def lines(self) -> list[Any]:
        """Every step in it, in order."""
        return [line for part in self.inside for line in (part.lines if isinstance(part, FoldedModule) else [part])]


def parts_of(lines: Iterable[Any], path: str = "") -> tuple[Any, ...]:
    """Steps in order as a tree of modules; steps that follow one another in one module are one part of it."""

    def inner(line: Any) -> str:
        rest = line.name.removeprefix(f"{path}." if path else "")
        return rest.partition(".")[0] if "." in rest else ""

    found: list[Any] = []
    for name, group in groupby(lines, inner):
        steps = list(group)
        below = f"{path}.{name}" if path else name
        found += steps if not name or len(steps) == 1 else [part_of(below, parts_of(steps, below))]
    return tuple(found)


def part_of(path: str, inside: tuple[Any, ...]) -> FoldedModule:
    """A module; one that holds nothing but another is that other."""
    return inside[0] if len(inside) == 1 and isinstance(inside[0], FoldedModule) else FoldedModule(path, inside)


def folded(parts: Sequence[Any], most: int = LINES) -> list[Any]:
    """Steps and folded modules: as deep into the modules as so many lines allow."""
    shown = list(parts)
    while any(isinstance(row, FoldedModule) for row in shown):
        deeper = [inner for row in shown for inner in (row.inside if isinstance(row, FoldedModule) else [row])]
        if len(deeper) > most:
            break
        shown = deeper
    return shown


def within(name: str, other: str) -> str:
    """A name as it is called within the module that another is in."""
    module = other.rpartition(".")[0]
    short = name.removeprefix(f"{module}.") if module else name
    return name if short[0].isdecimal() else short
