"""The figures of a run as one page that needs no network: coverage, buckets, rate over time."""

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from ..draw import goals
from ..plan import Plan, classes_of
from ..report import screen
from ..tally import Tally
from ..teach.render import environment
from .buckets import buckets
from .lines import digest
from .log import Done, identity

BARS = 60  # at most, of the chart
WIDTH, HEIGHT = 720.0, 180.0
IDLE = 5.0  # times the longest task: a longer time without results is no part of the chart


@dataclass(frozen=True)
class Bar:
    """Networks per second within a part of the time that was worked."""

    x: float
    width: float
    height: float
    rate: float
    begin: str


def write(path: str, tally: Tally, plan: Plan, done: Sequence[Done]) -> None:
    Path(path).write_text(page(tally, plan, done))


def page(tally: Tally, plan: Plan, done: Sequence[Done] = ()) -> str:
    loaders = jinja2.PackageLoader("reference.campaign"), jinja2.PackageLoader("reference.teach")
    template = environment().overlay(loader=jinja2.ChoiceLoader(loaders)).get_template("campaign.html")
    wanted = sorted(goals.wanted(classes_of(plan)))
    return template.render(
        tally=tally, plan=vars(plan), of=identity(plan), digest=digest(tally), summary=screen.summary(tally, plan),
        certainty=screen.certainty(tally), buckets=buckets(tally.failures), kinds=_kinds(tally),
        goals={g: tally.goals[g] for g in wanted}, figure=screen.figure,
        compilations=list(screen.compilations(tally.compiled)),
        explanation=lambda failure: list(screen.explanation(failure.report)),
        classes=[c.__name__ for c in classes_of(plan)], workers=_workers(done), chart=chart(done),
    )  # fmt: skip


def _kinds(tally: Tally) -> dict[str, dict[str, Any]]:
    """The rows of each table."""
    return {
        title: {name: row for name, row in sorted(tally.rows.items()) if screen.kind_of(name) == kind}
        for kind, title in screen.KINDS.items()
    }


def _workers(done: Sequence[Done]) -> dict[str, tuple[int, float]]:
    """What each worker did: cases, and seconds."""
    by = {name: list(them) for name, them in itertools.groupby(sorted(done, key=lambda d: d.by), key=lambda d: d.by)}
    return {name: (sum(d.tally.covered for d in them), sum(d.seconds for d in them)) for name, them in by.items()}


def chart(done: Sequence[Done]) -> dict[str, Any] | None:
    """The rate over the time that was worked, and where that was interrupted. Cases count evenly from when their task
    began until it was done."""
    if not done:
        return None
    idle = IDLE * max(d.seconds for d in done)
    worked, cuts = _worked(done, idle)
    total = worked[max(done, key=lambda d: d.at).at]
    width = total / min(BARS, max(1, len(done)))
    rates = [0.0] * round(total / width)
    for d in done:
        end = worked[d.at]
        for i in range(int(max(0.0, end - d.seconds) / width), min(int(end / width), len(rates) - 1) + 1):
            inside = min(end, (i + 1) * width) - max(end - d.seconds, i * width)
            rates[i] += d.tally.covered * max(inside, 0.0) / max(d.seconds, 1e-9) / width
    most = max(rates) or 1.0
    bars = [
        Bar(i * WIDTH / len(rates), WIDTH / len(rates), HEIGHT * rate / most, rate, _duration(i * width))
        for i, rate in enumerate(rates)
    ]
    return {
        "bars": bars, "cuts": [cut / total * WIDTH for cut in cuts], "most": most, "total": _duration(total),
        "mean": sum(d.tally.covered for d in done) / total, "width": WIDTH, "height": HEIGHT,
        "begin": time.strftime("%Y-%m-%d %H:%M", time.gmtime(min(d.at - d.seconds for d in done))),
    }  # fmt: skip


def _worked(done: Sequence[Done], idle: float) -> tuple[dict[float, float], list[float]]:
    """The seconds worked until each moment at which a task was done, and where a longer pause was left out."""
    worked, cuts = dict[float, float](), list[float]()
    at = min(d.at - d.seconds for d in done)
    sofar = 0.0
    for moment in sorted({d.at for d in done}):
        if moment - at > idle:
            cuts.append(sofar)
        sofar += min(moment - at, idle)
        worked[moment], at = sofar, moment
    return worked, cuts


def _duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"
