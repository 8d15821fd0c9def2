"""What a run has compared, counted: by class, by verdict and by coverage goal; parts of it add up."""

import shlex
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from .compare.comparison import Comparison
from .draw import goals
from .draw.case import Case
from .plan import Plan, classes_of
from .report.report import Report
from .sides import record
from .torches import PLAIN, Compilations, Torches


@dataclass
class Figures:
    """One line of the table: a class, and what the cases that contain it gave.

    powers   how many real cases would have shown which smallest relative fault, in two digits: so however a run is
             divided, its parts add up to the same median
    """

    cases: int = 0
    identical: int = 0
    certified: int = 0
    worst: float = 0.0
    powers: Counter[str] = field(default_factory=Counter)

    def add(self, found: Comparison, power: float | None) -> None:
        self.cases += 1
        self.certified += bool(found.exact)
        self.identical += bool(found.exact and not any(t.error for t in found.tensors if t.bound == 0))
        self.worst = max(self.worst, 0.0 if found.exact else float(found.ratio))
        if power is not None and not found.exact:
            self.powers[f"{power:.1e}"] += 1

    def merge(self, other: "Figures") -> None:
        self.cases += other.cases
        self.identical += other.identical
        self.certified += other.certified
        self.worst = max(self.worst, other.worst)
        self.powers += other.powers

    @property
    def power(self) -> float | None:
        """The median of the smallest relative faults that its real cases would have shown."""
        left = self.powers.total() // 2
        for power in sorted(self.powers, key=float):
            left -= self.powers[power]
            if left < 0:
                return float(power)
        return None


@dataclass(frozen=True)
class Failure:
    """A case whose sides differ, after shrinking, and what the judge says of it.

    comparison   the tensors that differ
    index        of the case that was drawn
    """

    case: Case
    comparison: Comparison
    report: Report
    torches: Torches = PLAIN
    index: int = 0

    @property
    def command(self) -> str:
        """The line that runs exactly this case again."""
        return command_of(self.case, self.torches)


def command_of(case: Case, torches: Torches = PLAIN) -> str:
    """The line that runs this case in a terminal."""
    return f"manualbp verify --case {shlex.quote(repr(case))}{torches.options}"


@dataclass
class Tally:
    """What was covered, in one process or in all. Only the order of its lists depends on that of its parts.

    verdicts   of every case that was drawn, "not drawn" and "error" among them
    failures   those that were shrunk; `further`: the numbers of the cases that differ, too
    """

    total: Figures = field(default_factory=Figures)
    rows: dict[str, Figures] = field(default_factory=dict)
    goals: Counter = field(default_factory=Counter)
    verdicts: Counter = field(default_factory=Counter)
    conventions: Counter = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    further: list[int] = field(default_factory=list)
    entries: int = 0
    blind: int = 0
    errors: list[str] = field(default_factory=list)
    compiled: Compilations = field(default_factory=Compilations)

    def add(self, case: Case, found: Comparison) -> None:
        self.verdicts[found.verdict] += 1
        self.total.add(found, found.power)
        for name in {type(layer).__name__ for layer in record.walk(case.layer)}:
            self.rows.setdefault(name, Figures()).add(found, found.power)
        if case.optimizer:
            self.rows.setdefault(type(case.optimizer).__name__, Figures()).add(found, found.power_of_updates)
        size = sum(int(np.count_nonzero(t.hand)) for t in found.gradients if t.hand is not None)
        self.entries += size
        self.blind += round(size * found.blind)

    def merge(self, other: "Tally") -> None:
        self.total.merge(other.total)
        for name, row in other.rows.items():
            self.rows.setdefault(name, Figures()).merge(row)
        self.goals += other.goals
        self.verdicts += other.verdicts
        self.conventions += other.conventions
        self.failures += other.failures
        self.further += other.further
        self.errors += other.errors
        self.compiled.merge(other.compiled)
        self.entries += other.entries
        self.blind += other.blind

    def missing(self, plan: Plan) -> list[str]:
        """Coverage goals not reached."""
        return sorted(goals.wanted(classes_of(plan)) - set(self.goals))

    @property
    def covered(self) -> int:
        """The cases that were tried, whatever came of it."""
        return self.verdicts.total()

    @property
    def verdict(self) -> str:
        if self.verdicts["wrong"]:
            return "wrong"
        if self.verdicts["identical"] + self.verdicts["rounding"] == 0:
            return "vacuous"
        return "rounding" if self.verdicts["rounding"] else "identical"
