"""`manualbp verify` of random networks: a run that ends with its process, and a campaign that is kept in a folder."""

import contextlib
import functools
import hashlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from .. import verify as job
from ..plan import Plan
from ..report import files, screen
from ..tally import Tally
from . import log as kept
from . import page
from .executors import NAMES, executor
from .lines import digest, dumped
from .runner import TRIES, conduct

__all__ = ["NAMES", "How", "Out", "campaign", "run"]


@dataclass(frozen=True)
class Out:
    """Where what was found is written."""

    console: Console
    json: str | None = None
    junit: str | None = None
    html: str | None = None

    def __post_init__(self) -> None:
        files.check_writable({"--json": self.json, "--junit": self.junit, "--html": self.html})


@dataclass(frozen=True)
class How:
    """How a campaign is done: by whom, where it is kept, in tasks of how many cases; `given`: the fields of its plan
    that were asked for."""

    on: str
    jobs: int
    scheduler: str | None
    folder: str | None
    task: int | None
    given: set[str]


def run(plan: Plan, jobs: int, out: Out) -> str:
    """A run of random networks: its verdict."""
    tally = Tally()
    with _until_interrupted() as ended, screen.progress(out.console, plan.cases) as tell:
        job.verify(plan, jobs, tell, tally)
    _written(tally, plan, out)
    return _interrupted(tally, plan) if ended else _verdict(tally)


def campaign(plan: Plan, how: How, out: Out) -> str:
    """A campaign, begun or gone on with: its verdict."""
    if how.scheduler and how.on == "processes":
        raise ValueError("--scheduler goes with --on dask or --on ray; it got --on processes")
    folder = Path(how.folder or f"campaign-{hashlib.sha256(dumped(kept.identity(plan)).encode()).hexdigest()[:8]}")
    new = not folder.exists()
    log = kept.opened(folder, plan, how.given, how.task)
    tally = log.tally
    try:
        out.console.print(f"Kept in {folder}, {tally.covered} of {log.plan.cases} networks so far. {log.note}".strip())
        with _until_interrupted() as ended:
            _done(log, tally, how, out.console)
    except ValueError as e:
        if not new or tally.covered:
            raise ValueError(f"{e}; {_go_on(how, log)}") from e
        shutil.rmtree(folder)  # nobody was there to do it: nothing is kept of what has not begun
        raise
    finally:
        log.close()
    _written(tally, log.plan, out, log)
    return _interrupted(tally, log.plan, f"; to go on: {_command(how, folder)}") if ended else _verdict(tally)


def _done(log: kept.Log, tally: Tally, how: How, console: Console) -> None:
    """What is missing, done, kept and added to the tally."""
    missing = list(log.missing())
    if not missing:
        return

    def take(line: str) -> None:
        tally.merge(log.take(line).tally)
        tell(tally)

    try:
        with executor(how.on, how.jobs, how.scheduler) as workers, screen.progress(console, log.plan.cases) as tell:
            tell(tally)
            tasks = (span for span in missing if not _hopeless(tally))
            lost = conduct(functools.partial(kept.work, kept.plain_plan(log.plan)), tasks, workers, take)
    except (ImportError, RuntimeError) as e:
        told = f"a worker cannot do this work ({e.__cause__ or e}): install the same manualbp there"
        raise ValueError(told) from e
    tally.errors += [f"{TRIES} workers died of the networks {a} to {b - 1}, which were given up" for a, b in lost]


def _hopeless(tally: Tally) -> bool:
    """Does nothing but raise errors? Then it is no use to go on."""
    return bool(tally.errors) and tally.verdicts.total() == tally.verdicts["error"]


def _go_on(how: How, log: kept.Log) -> str:
    return f"{log.tally.covered} of {log.plan.cases} networks are done; to go on: {_command(how, log.folder)}"


def _command(how: How, folder: Path) -> str:
    scheduler = f" --scheduler {how.scheduler}" if how.scheduler else ""
    return f"manualbp verify --resume {folder} --on {how.on}{scheduler}"


@contextlib.contextmanager
def _until_interrupted() -> Iterator[list[KeyboardInterrupt]]:
    """Ctrl-C ends the work, and is in the list then."""
    ended: list[KeyboardInterrupt] = []
    try:
        yield ended
    except KeyboardInterrupt as e:
        ended.append(e)


def _interrupted(tally: Tally, plan: Plan, more: str = "") -> str:
    """What was covered until then is no verdict on what was asked for."""
    print(f"Interrupted: that is what {tally.covered} of {plan.cases} networks gave{more}")
    return "wrong" if tally.failures else "interrupted"


def _written(tally: Tally, plan: Plan, out: Out, log: kept.Log | None = None) -> None:
    """On the screen, and in the files that are asked for."""
    screen.tables(out.console, tally, plan)
    more: Mapping[str, Any] = {}
    if log is not None:
        more = {"certainty": screen.certainty(tally), "digest": digest(tally), "folder": str(log.folder)}
        print(f"{more['certainty']} Digest {more['digest']}.")
    print(screen.summary(tally, plan))
    files.write(out.json, out.junit, screen.as_dict(tally, plan) | more, screen.junit_suite(tally))
    if out.html:
        page.write(out.html, tally, plan, log.done if log else [])


def _verdict(tally: Tally) -> str:
    if tally.errors:
        raise ValueError(f"a case could not be run: {tally.errors[0]}")
    return tally.verdict
