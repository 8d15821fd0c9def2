"""The main job: random networks, random data and random optimizers through both sides, counted and tabulated."""

import contextlib
import functools
import itertools
import shlex
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from manualbp.base import registry
from manualbp.container import Parallel, Select, Sequential
from manualbp.linear import Identity
from manualbp.operations import Gt, Lt
from manualbp.optim.base import Optimizer
from manualbp.sampling import Choose

from .campaign.executors import Here, Processes
from .campaign.runner import conduct
from .check import on_case
from .compare.comparison import Comparison, compare
from .compare.updates import with_updates
from .draw import goals
from .draw.architectures import Drawn, Redrawn, verification_case
from .draw.case import Case
from .draw.shrink import shrink
from .draw.trial import Trial
from .report.report import Report
from .sides import record
from .sides.backends import EAGER
from .sides.compiled import LIMIT, NotCompiledError
from .sides.run import UPDATE
from .sides.side import Side
from .torches import HAND, PLAIN, Compilations, Torches
from .twin.conventions import at_stake, has, here

CHUNK = 50  # cases that one process draws before it reports
SHRUNK = 5  # mismatches and errors of one share that are told in full; of others, which case it was
TRIES, FEW = 400, 60  # smaller cases that are tried; few where each is compiled


@dataclass(frozen=True)
class Plan:
    """What is to be verified. `layers`: names that every case must contain one of; empty: any."""

    cases: int = 2000
    seed: int = 0
    layers: tuple[str, ...] = ()
    regime: str = "both"
    dtype: str = "float64"
    device: str = "cpu"
    torch: str = EAGER
    against: str = HAND
    limit: float = LIMIT

    @property
    def torches(self) -> Torches:
        """The two sides of every case."""
        return Torches(self.torch, self.against, self.device, self.limit)


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


def classes_of(plan: Plan) -> list[type]:
    """The classes that a plan speaks of."""
    known = registry() | (registry(Optimizer) if plan.torches.plain else {})  # no compiler is asked to update
    known = {name: cls for name, cls in known.items() if here(name)}
    return [known[name] for name in plan.layers] if plan.layers else list(known.values())


def check(case: Case, sides: tuple[Side, Side] | None = None, trial: Trial | None = None) -> Comparison:
    """Gradients of a case, and then its optimizer's updates and state in lock-step."""
    trial = trial or case.trial()
    judged, other = sides or PLAIN.sides(case)
    found = compare(judged, other, trial)
    if case.optimizer is None:
        return found
    return with_updates(case, found, trial, lambda: judged.proves_exact(trial))


def chunk(plan: Plan, number: int) -> Tally:
    """One process's share of a run: CHUNK cases, ended by a mismatch or an error."""
    return covered(plan, range(number * CHUNK, min((number + 1) * CHUNK, plan.cases)))


def covered(plan: Plan, cases: Iterable[int], to_the_end: bool = False) -> Tally:
    """These cases of a plan, each from a seed of its own, until a mismatch, shrunk, or an error; or `to_the_end`."""
    torch.set_num_threads(1)
    tally, classes = Tally(), classes_of(plan)
    for i in cases:
        draw, choose = functools.partial(draw_case, plan, classes, i), Drawn((plan.seed, i))
        try:
            _cover(tally, plan, i, draw, choose)
        except Exception as e:
            tally.verdicts["error"] += 1
            tally.errors += [_told(e, choose.indices, draw)] * (len(tally.errors) < SHRUNK)
        if not to_the_end and (tally.errors or tally.failures):
            break
    return tally


def _cover(tally: Tally, plan: Plan, i: int, draw: Callable[[Choose], Case | None], choose: Drawn) -> None:
    """One case, counted last, so that it is not when an error ends it."""
    if (case := draw(choose)) is None:
        tally.verdicts["not drawn"] += 1
        return
    try:
        trial, sides = case.trial(), plan.torches.sides(case)
        found = check(case, sides, trial)
        if found.verdict == "vacuous" and (seen := beside(case)) is not None:
            draw = functools.partial(_beside, draw)
            case, trial, sides = seen, seen.trial(), plan.torches.sides(seen)
            found = check(case, sides, trial)
        faults = plan.torches.known(case, trial) if found.wrong else ()
    except NotCompiledError as e:
        tally.compiled.failed(e, repr(case))
        tally.verdicts["not compiled"] += 1
        return
    if faults:
        tally.compiled.known.update(f.name for f in faults)
        tally.verdicts["known"] += 1
    elif found.wrong:
        _differs(tally, plan, i, case, found, choose.indices, draw)
    else:
        reach, conventions = reached(case, trial), [c.name for c in at_stake(case)]
        tally.add(case, found)
        tally.goals.update(reach)
        tally.conventions.update(conventions)
    tally.compiled.add(sides)


def _differs(
    tally: Tally, plan: Plan, i: int, case: Case, found: Comparison, indices: list[int],
    draw: Callable[[Choose], Case | None],
) -> None:  # fmt: skip
    """Count a mismatch, and shrink it if it is one of the first."""
    if len(tally.failures) < SHRUNK:
        small = smallest(indices, draw, plan.torches) or (case, found)
        tally.failures.append(replace(judged(*small, plan.torches), index=i))
    else:
        tally.further.append(i)
    tally.verdicts["wrong"] += 1


def beside(case: Case) -> Case | None:
    """The same where all gradients are 0, or nothing but noise: beside its own input, whose gradient can be seen, so
    that a gradient which should be 0 and is not can be, too. None for an input that has no gradient."""
    x = case.trial().x
    parts = x if isinstance(x, tuple) else (x,)
    kinds = [None if a is None or isinstance(a, tuple) else np.asarray(a).dtype.kind for a in parts]
    if "f" in kinds:
        shown = Select(kinds.index("f")) if isinstance(x, tuple) else Identity()
        return replace(case, layer=Parallel(case.layer, shown))
    if set(kinds) == {"b"} and len(kinds) < 3:  # masks have no gradient, but what they are made from has one
        masks = Gt(other=0.0), Lt(other=1.0)
        made = Parallel(*masks) if isinstance(x, tuple) else masks[0]
        return replace(case, layer=Parallel(Sequential(made, case.layer), Identity()))
    return None


def _beside(draw: Callable[[Choose], Case | None], choose: Choose) -> Case | None:
    case = draw(choose)
    return case and (beside(case) or case)


def draw_case(plan: Plan, classes: list[type], i: int, choose: Choose) -> Case | None:
    """The i-th case of a plan: every class has its turn, in the regimes that are asked for; None if it has not this, or
    is made of what this torch has not."""
    exact = plan.regime == "exact" or (plan.regime == "both" and (i // len(classes)) % 2 == 0)
    case = verification_case(choose, classes[i % len(classes)], exact, plan.dtype)
    if case is not None and not plan.torches.plain:
        case = replace(case, optimizer=None)
    if case is None or not has(case.layer) or not (case.optimizer is None or has(case.optimizer)):
        return None
    return case if plan.regime != "exact" or case.exact else None


def drawn(plan: Plan, i: int) -> Case:
    """The case of this number, as a run compares it."""
    case = draw_case(plan, classes_of(plan), i, Drawn((plan.seed, i)))
    if case is None:
        raise ValueError(f"the plan has no case {i}")
    return beside(case) or case if check(case, plan.torches.sides(case)).verdict == "vacuous" else case


def smallest(
    indices: list[int], draw: Callable[[Choose], Case | None], torches: Torches
) -> tuple[Case, Comparison] | None:
    """The smallest case that still differs, with its comparison; in numbers that can be followed by hand, where it
    still shows with such. None if it does not differ any more."""
    found: dict[tuple[int, ...], tuple[Case, Comparison]] = {}

    def fails(candidate: list[int]) -> list[int] | None:
        choose = Redrawn(candidate)
        with contextlib.suppress(Exception):
            case = draw(choose)
            if case is not None and (comparison := differing(case, torches)) is not None:
                found[tuple(choose.indices)] = case, comparison
                return choose.indices
        return None

    if fails(indices) is None:
        return None
    case, comparison = found[tuple(shrink(indices, fails, TRIES if torches.plain else FEW))]
    for seed in range(0 if case.exact else 20 if torches.plain else 5):
        simple = replace(case, exact=True, seed=seed)
        with contextlib.suppress(Exception):
            if (other := differing(simple, torches)) is not None:
                return simple, other
    return case, comparison


def differing(case: Case, torches: Torches) -> Comparison | None:
    """The comparison of a case whose sides differ, by more than a fault of a compiler that is known; else None."""
    trial = case.trial()
    found = check(case, torches.sides(case), trial)
    return found if found.wrong and not torches.known(case, trial) else None


def judged(case: Case, found: Comparison, torches: Torches = PLAIN) -> Failure:
    """The mismatch with what is known of it: which side is wrong, and what the mistake looks like."""
    report = Report(repr(case), "wrong", culprit=found.wrong[0].name, tensors=found.wrong)
    if not torches.plain and (blamed := torches.blamed(case, found)) is not None:
        return _failure(case, found, blamed, torches)
    if any(t.of.role != UPDATE for t in found.wrong):
        real = replace(case, exact=False, optimizer=None)  # small integers lie on kinks, where there is no slope
        with contextlib.suppress(Exception):  # no explanation is worth a verdict
            told = on_case(real, torch=torches.side(case, torches.torch), title=repr(case))
            report = replace(told, verdict="wrong") if told.wrong_side else report
    return _failure(case, found, report, torches)


def _failure(case: Case, found: Comparison, report: Report, torches: Torches) -> Failure:
    """With no more than is told of it."""
    return Failure(case, replace(found, tensors=found.wrong, runs=({}, {})), replace(report, tensors=()), torches)


def _told(e: Exception, indices: list[int], draw: Callable[[Choose], Case | None]) -> str:
    """An error with the case that raised it, where it got so far."""
    case = "while it was drawn"
    with contextlib.suppress(Exception):
        case = repr(draw(Redrawn(indices)))
    place = traceback.extract_tb(e.__traceback__)[-1]
    return f"{type(e).__name__}: {e} ({Path(place.filename).name}:{place.lineno}), in {case}"[:4000]


def reached(case: Case, trial: Trial) -> set[str]:
    """The coverage goals that a case reaches; its layers' inputs are looked at only where one of them has a goal."""
    inside = goals.of_layers(case) and record.inputs(case.layer, trial.params, trial.x, case.seed)
    return goals.reached(case, inside)


def verify(
    plan: Plan, jobs: int = 2, progress: Callable[[Tally], None] = lambda tally: None, tally: Tally | None = None
) -> Tally:
    """The whole plan on `jobs` processes; `progress` is told the tally after every chunk.

    `tally` may be given, so that what was covered is there when Ctrl-C ends the run.
    """
    tally = Tally() if tally is None else tally

    def take(found: Tally) -> None:
        tally.merge(found)
        progress(tally)

    numbers = itertools.takewhile(lambda _: not tally.errors, range(-(-plan.cases // CHUNK)))
    with Here() if jobs == 1 or plan.cases <= CHUNK else Processes(jobs) as executor:
        lost = conduct(functools.partial(chunk, plan), numbers, executor, take)
    tally.errors += [f"the process that had share {n} died, three times" for n in lost]
    return tally
