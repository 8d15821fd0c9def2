"""What a verification found: on the screen, and as JSON and JUnit files."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from manualbp.base import registry
from manualbp.loss import Loss
from manualbp.optim.base import Optimizer

from ..campaign.buckets import Bucket, buckets
from ..compare.comparison import Comparison
from ..compare.tensor import Tensor
from ..draw.case import Case
from ..plan import Plan
from ..sides.record import walk
from ..sides.side import Side
from ..tally import Figures, Tally, command_of
from ..torches import PLAIN, Compilations, Torches
from ..twin.known import KNOWN
from ..verify import drawn
from . import files
from .report import Report

MISMATCH = {
    "backward": "By the derivative of the hand-written forward the gradient by hand is wrong.",
    "against": "By the derivative of the hand-written forward PyTorch's gradient is wrong, that by hand is right.",
    "forward": "The outputs differ; the gradient by hand is the derivative of the hand-written forward.",
    "both": "The outputs differ, and the gradient by hand is not the derivative of the hand-written forward.",
    "compiled": "What the compiler made is wrong.",
    "eager": "PyTorch as it is is wrong, without a compiler.",
}
CONFIDENT = 3  # where nothing in N differs, with 95 % fewer than 3/N do: (1 − 3/N)^N < 0.05
PLACES = 8  # entries shown, of the tensors that differ
SIDES = PLAIN.names
OUTCOMES = ("whole", "in parts", "not at all", "crash", "too slow")
KINDS = {"layer": "Layers", "loss": "Losses", "optimizer": "Optimizers"}


@contextmanager
def progress(console: Console, cases: int) -> Iterator[Callable[[Tally], None]]:
    """A bar while it runs, on a terminal; what is yielded moves it."""
    columns = (
        TextColumn("networks"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=cases)

        def tell(tally: Tally) -> None:
            wrong = tally.verdicts["wrong"]
            bar.update(task, completed=tally.covered, description=f"{wrong} mismatches" if wrong else "no mismatch")

        yield tell


def kind_of(name: str) -> str:
    """ "layer", "loss" or "optimizer"."""
    return "optimizer" if name in registry(Optimizer) else "loss" if name in registry(Loss) else "layer"


def tables(console: Console, tally: Tally, plan: Plan) -> None:
    """The table by layer, loss and optimizer, what was not covered, and the smallest mismatch of each kind."""
    for kind, title in KINDS.items():
        rows = {n: r for n, r in sorted(tally.rows.items()) if kind_of(n) == kind}
        if rows:
            console.print(_table(title, rows))
    if missing := tally.missing(plan):
        console.print(f"Coverage goals not reached in {tally.total.cases} cases: {', '.join(missing)}", style="yellow")
    for line in compilations(tally.compiled):
        console.print(line, style="yellow", markup=False, soft_wrap=True)
    for bucket in buckets(tally.failures):
        mismatch(console, bucket)
    if tally.further:
        first = min(tally.further)
        console.print(f"\n{len(tally.further)} more networks differ, and were not shrunk; the first is number {first}:")
        console.print(f"  {command_of(drawn(plan, first), plan.torches)}", markup=False, soft_wrap=True)


def compilations(found: Compilations) -> Iterator[str]:
    """Why networks were compiled in parts, where a compiler failed, and known faults of it: none is a mismatch."""
    for reason, times in found.breaks.most_common():
        yield f"Graph break in {_times(times)}: {reason}"
    for message, (times, case) in sorted(found.failures.items(), key=lambda f: -f[1][0]):
        yield f"Not compiled, {_times(times)}: {message}, as in {case}"
    sources = {k.name: k.source for k in KNOWN}
    for name, times in found.known.most_common():
        yield f"Known to be wrong in this torch, {_times(times)}: {name} ({sources[name]})"


def _times(n: int) -> str:
    return f"{n} network{'s' * (n != 1)}"


def _table(title: str, rows: dict[str, Figures]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="dim")
    table.add_column("class", no_wrap=True)
    for heading in ("cases", "exact: identical", "real: worst err/bound", "median power"):
        table.add_column(heading, justify="right", overflow="fold")
    for name, row in rows.items():
        exact = f"{row.identical} of {row.certified}" if row.certified else "–"
        table.add_row(name, str(row.cases), exact, f"{row.worst:.2g}", figure(row.power))
    return table


def figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.1e}"


def summary(tally: Tally, plan: Plan) -> str:
    """One line: the verdict and the figures behind it."""
    t, real, wrong = tally.total, tally.total.cases - tally.total.certified, tally.verdicts["wrong"]
    blind = tally.blind / tally.entries if tally.entries else 1.0
    head = {
        "wrong": f"MISMATCH in {wrong} of {t.cases + wrong} networks",
        "vacuous": "VACUOUS: nothing was compared",
    }.get(tally.verdict, f"{t.cases} networks, no mismatch")
    missed = len(tally.missing(plan))
    goals = f"{missed or 'no'} coverage goal{'s' * (missed != 1)} missed"
    kinks = "".join(f", {n} where torch has another convention ({name})" for name, n in tally.conventions.items())
    entries = f"{blind:.1%} of {tally.entries:,} gradient entries blind"
    compiled = _outcomes(tally.compiled)
    return (
        f"{head}: {t.identical} of {t.certified} exact ones identical bit for bit, {real} real ones with worst "
        f"err/bound {t.worst:.2g} and median power {figure(t.power)}, {entries}, "
        f"{tally.verdicts['vacuous']} vacuous{kinks}{compiled}, {goals} (seed {plan.seed}, {plan.dtype}"
        f"{plan.torches.options})"
    )


def _outcomes(found: Compilations) -> str:
    """What became of networks that a compiler was given, in a line; nothing where there was no compiler."""
    if not found.outcomes:
        return ""
    known = found.known.total()
    whole, parts, none, crash, slow = (found.outcomes[kind] for kind in OUTCOMES)
    return (
        f", compiled {whole} whole, {parts} in parts, {none} not at all, {crash} crashes of the compiler, {slow} too "
        f"slow, {known} known to be wrong in this torch"
    )


def certainty(tally: Tally) -> str:
    """What a number of networks without a mismatch is worth."""
    wrong = tally.verdicts["wrong"]
    seen = tally.verdicts["identical"] + tally.verdicts["rounding"] + wrong
    if wrong or not seen:
        return f"{wrong:,} in {seen:,} networks differ."
    return (
        f"0 in {seen:,}: with 95 % fewer than {CONFIDENT}/{seen:,} = {CONFIDENT / seen:.1e} of such networks differ by "
        f"more than their bound (median power {figure(tally.total.power)})."
    )


def mismatch(console: Console, bucket: Bucket) -> None:
    """The smallest case found, every tensor that differs, which side is wrong, and the command that runs it again."""
    failure = bucket.smallest
    like = f" of {bucket.count} that differ alike" if bucket.count > 1 else ""
    console.print(f"\n[bold red]Mismatch[/] in the smallest network found{like}:")
    one(console, failure.case, failure.comparison, failure.torches.names, only_wrong=True)
    for line in explanation(failure.report):
        console.print(f"  {line}", markup=False, soft_wrap=True)
    console.print("To run exactly this case again:")
    console.print(f"  {failure.command}", style="bold", markup=False, soft_wrap=True)


def explanation(report: Report) -> Iterator[str]:
    """Which side is wrong, and the mistake that it looks like."""
    if report.wrong_side in MISMATCH:
        yield MISMATCH[report.wrong_side]
    if report.wrong_side in ("compiled", "eager"):
        yield from report.notes
    for suspect in report.suspects[:1]:
        yield f"What the mistake looks like: {suspect}"


def one(
    console: Console, case: Case, found: Comparison, sides: tuple[str, str] = SIDES, only_wrong: bool = False
) -> None:
    """One comparison: the case, and a line for each tensor. `sides`: what the two are called."""
    console.print(f"  {case!r}", markup=False, soft_wrap=True)
    regime = "exact regime, ==" if found.exact else "real regime, derived bound"
    console.print(f"  {found.verdict} ({regime}, {found.dtype})")
    table = Table(header_style="dim")
    table.add_column("tensor", overflow="fold")
    for heading in ("err", "bound", "err/bound", "power"):
        table.add_column(heading, justify="right", no_wrap=True)
    shown = found.wrong if only_wrong else found.tensors
    for t in shown:
        ratio = "identical" if t.identical else f"{t.ratio:.3g}"
        table.add_row(t.name, f"{t.error:.3g}", f"{t.bound:.3g}", ratio, figure(t.power), style="" if t.ok else "red")
    console.print(table)
    for t in found.wrong[:PLACES]:
        console.print(f"  {t.name} {place_of(t, sides)}", markup=False, soft_wrap=True)
    if len(found.wrong) > PLACES:
        console.print(f"  … and {len(found.wrong) - PLACES} more, see the table")


def of_compiler(console: Console, case: Case, found: Comparison, sides: tuple[Side, Side], torches: Torches) -> None:
    """What a compiler made of a case; and where it differs, who is wrong, or the known fault that explains it."""
    made = Compilations()
    made.add(sides)
    known = torches.known(case, case.trial()) if found.wrong else ()
    made.known.update(k.name for k in known)
    told = [f"compiled: {', '.join(made.outcomes)}", *compilations(made)]
    if found.wrong and (blamed := torches.blamed(case, found)) is not None:
        told += explanation(blamed)
    for line in told:
        console.print(f"  {line}", markup=False, soft_wrap=True)


def place_of(t: Tensor, sides: tuple[str, str] = SIDES) -> str:
    """Where the largest difference is, with both values; or what differs before any number does."""
    if t.what or (worst := t.worst()) is None:
        return t.what
    where, judged, other = worst
    return f"at {list(where)}: {judged:.17g} {sides[0]}, {other:.17g} {sides[1]}"


def as_dict(tally: Tally, plan: Plan) -> dict[str, Any]:
    """The figures of a verification, for a machine."""
    rows = {
        name: {
            "kind": kind_of(name), "cases": r.cases, "certified": r.certified, "identical": r.identical,
            "worst_ratio": files.figure(r.worst), "median_power": r.power,
        }
        for name, r in sorted(tally.rows.items())
    }  # fmt: skip
    failures = [
        {"case": repr(f.case), "index": f.index, "command": f.command,
         "tensors": list(map(files.of_tensor, f.comparison.wrong)),
         "wrong_side": f.report.wrong_side, "sides": f.torches.names,
         "notes": f.report.notes, "suspects": [vars(s) for s in f.report.suspects]}
        for f in tally.failures
    ]  # fmt: skip
    return {
        "verdict": tally.verdict, "summary": summary(tally, plan), "plan": vars(plan), "cases": tally.total.cases,
        "rows": rows, "failures": failures, "further": tally.further,
        "goals_missing": tally.missing(plan), "errors": tally.errors,
        "goals": dict(sorted(tally.goals.items())), "conventions": dict(tally.conventions),
        "compiled": vars(tally.compiled),
    }  # fmt: skip


def junit_suite(tally: Tally) -> ElementTree.Element:
    """A test case for every class; a failure in each class that a mismatch contains."""
    broken = {name: f for f in tally.failures for name in classes_in(f.case)}
    names = sorted(tally.rows.keys() | broken.keys())
    failures = {n: (repr(f.case), "\n".join([*explanation(f.report), f.command])) for n, f in broken.items()}
    cases = (files.TestCase(f"manualbp.{kind_of(n)}", n, failures.get(n)) for n in names)
    return files.junit_suite("manualbp verify", cases)


def classes_in(case: Case) -> set[str]:
    return {type(layer).__name__ for layer in walk(case.layer)}
