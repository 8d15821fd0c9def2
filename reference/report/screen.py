"""What a verification found: on the screen, and as JSON and JUnit files."""

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from manualbp.base import registry
from manualbp.loss import Loss
from manualbp.optim.base import Optimizer

from ..compare.comparison import Comparison, Tensor, compare
from ..compare.slopes import derivatives
from ..draw.case import Case
from ..verify import Failure, Plan, Row, Tally

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
            told = f"{len(tally.failures)} mismatches" if tally.failures else "no mismatch"
            bar.update(task, completed=min(tally.total.cases, cases), description=told)

        yield tell


def kind_of(name: str) -> str:
    """ "layer", "loss" or "optimizer"."""
    return "optimizer" if name in registry(Optimizer) else "loss" if name in registry(Loss) else "layer"


def tables(console: Console, tally: Tally, plan: Plan) -> None:
    """The table by layer, loss and optimizer, what was not covered, and every mismatch."""
    for kind, title in KINDS.items():
        rows = {n: r for n, r in sorted(tally.rows.items()) if kind_of(n) == kind}
        if rows:
            console.print(_table(title, rows))
    if missing := tally.missing(plan):
        console.print(f"Coverage goals not reached in {tally.total.cases} cases: {', '.join(missing)}", style="yellow")
    for failure in tally.failures:
        mismatch(console, failure)


def _table(title: str, rows: dict[str, Row]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="dim")
    table.add_column("class")
    for heading in ("cases", "exact: identical", "real: worst err/bound", "median power"):
        table.add_column(heading, justify="right")
    for name, row in rows.items():
        exact = f"{row.identical} of {row.certified}" if row.certified else "–"
        table.add_row(name, str(row.cases), exact, f"{row.worst:.2g}", figure(row.power))
    return table


def figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.1e}"


def summary(tally: Tally, plan: Plan) -> str:
    """One line: the verdict and the figures behind it."""
    t, real = tally.total, tally.total.cases - tally.total.certified
    blind = tally.blind / tally.entries if tally.entries else 1.0
    head = {
        "wrong": f"MISMATCH in {len(tally.failures)} of {t.cases + len(tally.failures)} networks",
        "vacuous": "VACUOUS: nothing was compared",
    }.get(tally.verdict, f"{t.cases} networks, no mismatch")
    goals = f"{len(tally.missing(plan)) or 'no'} coverage goals missed"
    entries = f"{blind:.1%} of {tally.entries:,} gradient entries blind"
    return (
        f"{head}: {t.identical} of {t.certified} exact ones identical bit for bit, {real} real ones with worst "
        f"err/bound {t.worst:.2g} and median power {figure(t.power)}, {entries}, "
        f"{tally.verdicts['vacuous']} vacuous, {goals} (seed {plan.seed}, {plan.dtype})"
    )


def mismatch(console: Console, failure: Failure) -> None:
    """The smallest case found, every tensor that differs, and the command that runs it again."""
    console.print("\n[bold red]Mismatch[/] in the smallest network found:")
    one(console, failure.case, failure.comparison, only_wrong=True)
    if told := side(failure.case):
        console.print(f"  {told}", markup=False, soft_wrap=True)
    console.print("To run exactly this case again:")
    console.print(f"  {failure.command}", style="bold", markup=False, soft_wrap=True)


def side(case: Case) -> str:
    """Which side is wrong, by the derivative of the hand-written forward; nothing where that cannot tell."""
    case = replace(case, exact=False)  # small integers lie on kinks
    wrong = {t.name for t in compare(case).wrong}
    if not wrong or not all(name.endswith(".grad") for name in wrong):
        return ""
    right = {d.ok for d in derivatives(case.layer, *case.data(), case.seed) if d.name in wrong}
    if len(right) != 1:
        return ""
    whose = "PyTorch's gradient is wrong, that by hand is right" if right.pop() else "the gradient by hand is wrong"
    return f"By the derivative of the hand-written forward {whose}."


def one(console: Console, case: Case, found: Comparison, only_wrong: bool = False) -> None:
    """One comparison: the case, and a line for each tensor."""
    console.print(f"  {case!r}", markup=False, soft_wrap=True)
    regime = "exact regime, ==" if found.certified else "real regime, derived bound"
    console.print(f"  {found.verdict} ({regime}, {found.dtype})")
    table = Table(header_style="dim")
    table.add_column("tensor", no_wrap=True)
    for heading in ("err", "bound", "err/bound", "power"):
        table.add_column(heading, justify="right")
    shown = found.wrong if only_wrong else found.tensors
    for t in shown:
        ratio = "identical" if t.identical else f"{t.ratio:.3g}"
        table.add_row(t.name, f"{t.error:.3g}", f"{t.bound:.3g}", ratio, figure(t.power), style="" if t.ok else "red")
    console.print(table)
    for t in found.wrong:
        console.print(f"  {t.name} {place_of(t)}", markup=False, soft_wrap=True)


def place_of(t: Tensor) -> str:
    """Where the largest difference is, with both values; or what differs before any number does."""
    if t.what or (worst := t.worst()) is None:
        return t.what
    where, hand, torch = worst
    return f"at {list(where)}: {hand:.17g} by hand, {torch:.17g} in torch"


def as_dict(tally: Tally, plan: Plan) -> dict[str, Any]:
    """The figures, for a machine."""
    rows = {
        name: {
            "kind": kind_of(name), "cases": r.cases, "certified": r.certified, "identical": r.identical,
            "worst_ratio": _finite(r.worst), "median_power": r.power,
        }
        for name, r in sorted(tally.rows.items())
    }  # fmt: skip
    failures = [{"case": repr(f.case), "command": f.command, "tensors": [_as_dict(t) for t in f.comparison.wrong]}
                for f in tally.failures]  # fmt: skip
    return {
        "verdict": tally.verdict, "summary": summary(tally, plan), "plan": vars(plan), "cases": tally.total.cases,
        "rows": rows, "failures": failures, "goals_missing": tally.missing(plan), "errors": tally.errors,
        "goals": dict(sorted(tally.goals.items())),
    }  # fmt: skip


def _as_dict(t: Tensor) -> dict[str, Any]:
    return {"name": t.name, "error": _finite(t.error), "bound": t.bound, "what": t.what, "worst": t.worst()}


def _finite(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


def write_json(path: str, tally: Tally, plan: Plan) -> None:
    Path(path).write_text(json.dumps(as_dict(tally, plan), indent=2, default=str) + "\n")


def write_junit(path: str, tally: Tally, plan: Plan) -> None:
    """A test case for every class; a failure in each class that a mismatch contains."""
    broken = {name: f for f in tally.failures for name in classes_in(f.case)}
    names = sorted(tally.rows.keys() | broken.keys())
    suite = ElementTree.Element("testsuite", name="manualbp verify", tests=str(len(names)), failures=str(len(broken)))
    for name in names:
        element = ElementTree.SubElement(suite, "testcase", classname=f"manualbp.{kind_of(name)}", name=name)
        if name in broken:
            ElementTree.SubElement(element, "failure", message=repr(broken[name].case)).text = broken[name].command
    ElementTree.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)


def classes_in(case: Case) -> set[str]:
    from ..sides.record import walk

    return {type(layer).__name__ for layer in walk(case.layer)}
