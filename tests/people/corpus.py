"""One entry of the corpus: somebody's functions, and what a check of them must say."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from reference import Indices

ND = {"x": ("N", "D")}
XW = {"x": ("N", "D"), "W": ("D", "M")}
XWB = XW | {"b": ("M",)}
PAIR = {"x": ("N", "D"), "t": ("N", "D")}
LABELS = {"x": ("N", "C"), "t": Indices(("N",), below="C")}


@dataclass(frozen=True)
class Person:
    """name; the arguments of check_function, and the verdict.

    verdict  "right": the report is true; "wrong", "convention", "vacuous"; "error": a ValueError
    side     the side that is wrong, where it matters
    says     what must be read in the report (or in the message of the error), a regular expression
    never    what must not be read among the suspects: a name that would be false
    ids      mistakes of the catalogue that may be named
    todo     why it does not come out so yet
    """

    name: str
    arguments: tuple[Any, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    verdict: str = "right"
    side: str | None = None
    says: str = ""
    never: str = ""
    ids: str = ""
    todo: str = ""


def _of(verdict: str) -> Callable[..., Person]:
    def made(name: str, *arguments: Any, side: str | None = None, says: str = "", never: str = "", ids: str = "",
             todo: str = "", **options: Any) -> Person:  # fmt: skip
        return Person(name, arguments, options, verdict, side, says, never, ids, todo)

    return made


right, wrong, convention, coarse, error = map(_of, ("right", "wrong", "convention", "coarse", "error"))
