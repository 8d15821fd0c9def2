"""What is known about a gradient that is wrong: the numbers, and everything that could have been mixed up in them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from manualbp.base import Array


@dataclass(frozen=True)
class Evidence:
    """One wrong tensor of one case.

    name     of the quantity whose gradient it is, or "y" for an output
    yours    what was given; right: what it should be; bound: how far rounding can take them apart
    known    every array at hand: inputs by name, "dy", "y"
    grads    the right gradients by name; given: all gradients that were given
    numbers  what a constant may equal: sizes ("N": 5), options ("p": 0.3), and what follows from them ("√d": 2.0)
    format   the one of few bits that it is judged in, if any
    trial    the number of its trial: tensors of one share their arrays
    replays  the wrong gradients of this name that each fault of the catalogue gives on this very case, by its id
    """

    name: str
    yours: Array
    right: Array
    bound: float
    known: Mapping[str, Array] = field(default_factory=dict)
    grads: Mapping[str, Array] = field(default_factory=dict)
    given: Mapping[str, Array] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)
    replays: Callable[[], Mapping[str, Array]] = dict
    forward: bool = False
    trial: int = 0
    format: str | None = None


@dataclass(frozen=True)
class Suspect:
    """A mistake that explains what was seen.

    fault     its id in the catalogue, None for a feature alone
    text      the mistake in one sentence
    relation  the algebra in one line:  yours = N · torch's, N = 32
    remedy    what to change
    shown_by  which input would have shown it sooner
    evidence  what speaks for it
    score     0 to 1; suspects are ranked by it
    forward   does it explain an output?
    rounding  is it the rounding of a shorter format?
    """

    fault: str | None
    text: str
    relation: str
    remedy: str = ""
    shown_by: str = ""
    evidence: str = ""
    score: float = 0.5
    forward: bool = False
    rounding: bool = False

    def __str__(self) -> str:
        lines = [self.text + (f"  [{self.fault}]" if self.fault else "")]
        told = {"relation": self.relation, "evidence": self.evidence, "change": self.remedy, "shown by": self.shown_by}
        for word, value in told.items():
            if value:
                lines.append(f"    {word:9} {value}")
        return "\n".join(lines)
