"""What is said of a solution."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

RIGHT, WRONG, CONVENTION, UNFINISHED, ERROR = "right", "wrong", "convention", "unfinished", "error"
BORROWED = "borrowed"  # right or not, but not derived by hand
LATE = "late"  # it did not end in time
FAULTY = "faulty"  # the exercise itself is not in order


@dataclass(frozen=True)
class Mistake:
    """The name of a mistake: its id in the catalogue, if it is there, and a sentence."""

    id: str | None
    text: str
    relation: str = ""


@dataclass(frozen=True)
class Judgement:
    """What is said of a solution.

    outcome    "right" "wrong" "convention" "unfinished" "error" "borrowed" "late" "faulty"
    side       which pass is wrong: "forward" "output" "backward" "both" "contract", or None
    where      the first wrong number: which, and on which sizes
    mistakes   what it looks like, the likeliest first
    said       sentences: an error, what the functions do that they must not, what was printed
    """

    outcome: str
    side: str | None = None
    where: str = ""
    mistakes: tuple[Mistake, ...] = ()
    said: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        return self.outcome == RIGHT

    @staticmethod
    def of(plain: Mapping[str, Any]) -> "Judgement":
        """The inverse of dataclasses.asdict."""
        mistakes = tuple(Mistake(**m) for m in plain["mistakes"])
        return Judgement(**dict(plain) | {"mistakes": mistakes, "said": tuple(plain["said"])})


@dataclass(frozen=True)
class Unusable(Exception):  # noqa: N818
    """The checks cannot decide on the solution, and what is said in their place."""

    judgement: Judgement

    @staticmethod
    def since(outcome: str, text: str) -> "Unusable":
        return Unusable(Judgement(outcome, said=(text,)))
