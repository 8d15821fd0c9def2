"""Which two sides a case is run on: by hand, torch as it is, torch by a compiler. And where they differ, which of them
is wrong: a third one says."""

import shlex
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial

from .compare.comparison import Comparison, compare
from .draw.case import Case
from .draw.trial import Trial
from .report.report import Report
from .sides.backends import EAGER
from .sides.compiled import LIMIT, Compiled, NotCompiledError
from .sides.hand import Hand
from .sides.module import twin_of
from .sides.side import Side
from .twin import known
from .twin.conventions import as_in

HAND = "hand"


@dataclass(frozen=True)
class Torches:
    """torch: how it runs. against: the side by hand, or another way to run torch, with the side by hand as judge."""

    torch: str = EAGER
    against: str = HAND
    device: str = "cpu"
    limit: float = LIMIT

    @property
    def plain(self) -> bool:
        """By hand beside torch as it is?"""
        return self.torch == EAGER and self.against == HAND

    @property
    def names(self) -> tuple[str, str]:
        """What the two sides are called in a sentence."""
        return ("by hand", "in torch") if self.plain else (in_words(self.torch), in_words(self.against))

    @property
    def options(self) -> str:
        """As the command takes them."""
        given = {"--torch": (self.torch, EAGER), "--against": (self.against, HAND), "--device": (self.device, "cpu")}
        return "".join(f" {option} {shlex.quote(value)}" for option, (value, usual) in given.items() if value != usual)

    def sides(self, case: Case) -> tuple[Side, Side]:
        """The one that is judged, whose faults loosen no bound, and the one that it is held against."""
        if self.plain:
            return by_hand(case), self.side(case, EAGER)
        return self.side(case, self.torch), self.side(case, self.against)

    def side(self, case: Case, way: str, mended: tuple[known.Known, ...] = ()) -> Side:
        """One side. `mended`: faults of a compiler that are worked around."""
        if way == HAND:
            return by_hand(case)
        twin = twin_of(case.layer, case.seed, self.device)
        if way == EAGER:
            return twin
        around = partial(known.around, mended)
        return Compiled(
            twin.make, twin.seed, self.device, twin.cut, backend=way, by=by_hand(case), limit=self.limit, around=around
        )

    def known(self, case: Case, trial: Trial) -> tuple[known.Known, ...]:
        """The known faults of a compiler that explain all of a difference; none where something is left."""
        faults = tuple(dict.fromkeys(f for way in (self.torch, self.against) for f in known.of(way, case.layer)))
        if not faults:
            return ()
        layer = case.layer
        for fault in faults:
            layer = fault.does(layer)
        right = by_hand(replace(case, layer=layer))
        ways = [way for way in (self.torch, self.against) if way not in (HAND, EAGER)]
        found = [compare(self.side(case, way, mended=faults), right, trial) for way in ways]
        return () if any(f.wrong for f in found) else faults

    def blamed(self, case: Case, found: Comparison) -> Report | None:
        """Who is wrong, by the third side; None where torch as it is and the side by hand differ, too."""
        trial, right = case.trial(), by_hand(case)
        other = EAGER if self.against == HAND else self.against
        off = {way: bool(compare(self.side(case, way), right, trial).wrong) for way in (self.torch, other)}
        if all(off.values()) or not any(off.values()):
            return None
        wrong = next(way for way, is_off in off.items() if is_off)
        good = next(way for way, is_off in off.items() if not is_off)
        told = f"{in_words(wrong)} it is wrong; {in_words(good)} it agrees with the side by hand"
        side = EAGER if wrong == EAGER else "compiled"
        return Report(repr(case), "wrong", side, found.wrong[0].name, tensors=found.wrong, notes=(told,))


PLAIN = Torches()


def in_words(way: str) -> str:
    return {HAND: "by hand", EAGER: "in eager torch", "export": "exported"}.get(way, f"by {way}")


def by_hand(case: Case) -> Hand:
    return Hand(as_in(case.layer), case.seed)


@dataclass
class Compilations:
    """What a compiler made of the networks: how many it compiled whole, in parts, not at all, and why; where it failed,
    by what it said, with how often and its shortest case; and where a known fault of it is all that differs."""

    outcomes: Counter[str] = field(default_factory=Counter)
    breaks: Counter[str] = field(default_factory=Counter)
    failures: dict[str, tuple[int, str]] = field(default_factory=dict)
    known: Counter[str] = field(default_factory=Counter)

    def add(self, sides: tuple[Side, Side]) -> None:
        for side in sides:
            if isinstance(side, Compiled):
                self.outcomes[side.outcome.kind] += 1
                self.breaks.update(set(side.outcome.breaks))

    def failed(self, error: NotCompiledError, case: str) -> None:
        self.outcomes[error.kind] += 1
        self._count(f"{error.kind}: {error}", 1, case)

    def merge(self, other: "Compilations") -> None:
        self.outcomes += other.outcomes
        self.breaks += other.breaks
        self.known += other.known
        for message, (times, case) in other.failures.items():
            self._count(message, times, case)

    def _count(self, message: str, times: int, case: str) -> None:
        before, kept = self.failures.get(message, (0, case))
        self.failures[message] = before + times, min(kept, case, key=lambda text: (len(text), text))
