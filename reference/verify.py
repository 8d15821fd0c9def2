"""The main job: random networks, random data and random optimizers through both sides, counted and tabulated."""

import contextlib
import functools
import itertools
import traceback
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from manualbp.container import Parallel, Select, Sequential
from manualbp.linear import Identity
from manualbp.operations import Gt, Lt
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
from .plan import Plan, classes_of
from .report.report import Report
from .sides.compiled import NotCompiledError
from .sides.run import UPDATE
from .sides.side import Side
from .tally import Failure, Tally
from .torches import PLAIN, Torches
from .twin.conventions import at_stake, has

CHUNK = 50  # cases that one process draws before it reports
SHRUNK = 5  # mismatches and errors of one share that are told in full; of others, which case it was
TRIES, FEW = 400, 60  # smaller cases that are tried; few where each is compiled


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


@np.errstate(all="ignore")  # what overflows is compared, not warned of, and draws overflow
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
        (trial, reach), sides = goals.reached(case), plan.torches.sides(case)
        found = check(case, sides, trial)
        if found.verdict == "vacuous" and (seen := beside(case)) is not None:
            draw = functools.partial(_beside, draw)
            case, (trial, reach), sides = seen, goals.reached(seen), plan.torches.sides(seen)
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
        conventions = [c.name for c in at_stake(case)]
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
