"""What one side gives on one trial: arrays under names, and how names are spelt where they are printed."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from manualbp.base import Array, Tree, flatten

OUTPUT, VALUE, GRADIENT, BUFFER, UPDATE = "output", "value", "gradient", "buffer", "update"


class Name(NamedTuple):
    """What an array is, and of what.

    output    y, y[0], y[1][0]
    value     an intermediate, by the name that its function gives it
    gradient  of what is called x, x[1], w, 0.weight: printed dx, dx[1], dw, 0.weight.grad
    buffer    after the pass: 0.running_mean
    update    a parameter, or its state, after a step: 0.weight after step 2, 0.weight/exp_avg after step 2
    """

    role: str
    path: str
    step: int = 0

    def __str__(self) -> str:
        if self.role == UPDATE:
            return f"{self.path} after step {self.step}"
        if self.role != GRADIENT:
            return self.path
        return f"{self.path}.grad" if "." in self.path else f"d{self.path}"


Run = dict[Name, Array | None]


def leaves(tree: Tree, path: str) -> dict[str, Any]:
    """The arrays of a (nested) tuple under the paths y[0], y[1][0], …; those of a dict under its own names."""
    return flatten(tree, "" if isinstance(tree, dict) else path)


def named(role: str, arrays: dict[str, Any]) -> Run:
    """These arrays as what their role says."""
    return {Name(role, path): a for path, a in arrays.items()}


def of_role(run: Run, *roles: str) -> dict[str, Array]:
    """The arrays of these roles that are there, by path."""
    return {name.path: a for name, a in run.items() if name.role in roles and a is not None}


def flat(tree: Any) -> list:
    """The leaves of nested tuples and lists, in order."""
    return [leaf for part in tree for leaf in flat(part)] if isinstance(tree, (tuple, list)) else [tree]


def of_output(path: str) -> bool:
    """Is it the path of the output, or of one of several?"""
    return path == "y" or path.startswith("y[")


def in_order(names: Any) -> Iterator[Name]:
    """Forward first, then the gradients: the first wrong one is where it goes wrong."""
    yield from (n for n in names if n.role != GRADIENT)
    yield from (n for n in names if n.role == GRADIENT)
