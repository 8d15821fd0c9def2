"""The folder of a campaign: plan.json says of what it is, log.jsonl has a line for every range of cases that is done.

A line is whole or does not count, and says what its numbers depend on: the code, torch, NumPy, the plan, its range. So
whatever is killed, what is done is not lost, and nothing is counted twice.
"""

import functools
import hashlib
import json
import os
import platform
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import filelock
import numpy as np
import torch

from manualbp import __version__
from manualbp.checkpoint import replace_whole

from ..plan import Plan
from ..tally import Tally
from ..verify import covered
from .lines import Plain, dumped, plain, tally_of

FORMAT = 1
TASK = 500  # cases of one task: tens of seconds
ROOT = Path(__file__).parents[2]
_one_at_a_time = (
    threading.Lock()
)  # what torch and NumPy are set to is the process's, and a cluster's worker has threads


class Span(NamedTuple):
    """Cases from `start` up to, and without, `stop`."""

    start: int
    stop: int


@dataclass(frozen=True)
class Done:
    """A range that was done: what it gave, by whom (host:process), how long it took, and when it was done."""

    span: Span
    tally: Tally
    by: str
    seconds: float
    at: float


@functools.cache
def code() -> str:
    """A checksum of the source: a commit does not know what was changed since."""
    files = sorted(path for room in ("manualbp", "reference") for path in (ROOT / room).rglob("*.py"))
    told = hashlib.sha256()
    for path in files:
        told.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return told.hexdigest()[:12]


def identity(plan: Plan) -> Plain:
    """All that the numbers of a case depend on; how many cases there are is no part of it."""
    versions = {"manualbp version": __version__, "torch version": torch.__version__, "numpy version": np.__version__}
    return (
        versions
        | {"code": code()}
        | {"machine": platform.machine()}
        | {k: v for k, v in plain_plan(plan).items() if k != "cases"}
    )


def work(plan: Mapping[str, Any], span: Span) -> str:
    """The line of one range, as whoever does it writes it."""
    with _one_at_a_time:
        given, start = _plan(plan), time.monotonic()
        tally = covered(given, range(*span), to_the_end=True)
    return dumped({
        "of": identity(given), "range": span, "tally": plain(tally), "by": f"{socket.gethostname()}:{os.getpid()}",
        "at": round(time.time(), 3), "seconds": round(time.monotonic() - start, 3),
    })  # fmt: skip


@dataclass
class Log:
    """A campaign's folder, held by one process at a time.

    plan   what is to be done; task: cases of one task
    done   every range that is in the log
    note   a sentence on what of the log could not be read
    """

    folder: Path
    plan: Plan
    task: int
    lock: filelock.BaseFileLock
    done: list[Done] = field(default_factory=list)
    note: str = ""

    @property
    def tally(self) -> Tally:
        """All that is done."""
        tally = Tally()
        for done in self.done:
            tally.merge(done.tally)
        return tally

    def missing(self) -> Iterator[Span]:
        """What is not done, in tasks."""
        at = 0
        for done in [*sorted(self.done, key=lambda d: d.span), None]:
            stop = self.plan.cases if done is None else done.span.start
            yield from (Span(i, min(i + self.task, stop)) for i in range(at, stop, self.task))
            at = stop if done is None else done.span.stop

    def take(self, line: str) -> Done:
        """One more line, on the disk before it counts. A ValueError if it was made by another version."""
        values = json.loads(line)
        if told := _differences(values["of"], identity(self.plan)):
            raise ValueError(f"the worker {values['by']} has {told[0]}, and this is {told[1]}: install the same there")
        with open(self.folder / "log.jsonl", "ab") as file:
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self.done.append(_done(values))
        return self.done[-1]

    def close(self) -> None:
        self.lock.release()


def opened(folder: Path, plan: Plan, given: set[str], task: int | None = None) -> Log:
    """The campaign in this folder, begun where there is none. `given`: the fields of the plan that were asked for; what
    was not is as it is in the folder."""
    lock = _held(folder)
    try:
        log = _read(folder, plan, given, task, lock) if (folder / "plan.json").exists() else None
        log = log or _begun(folder, plan, task or TASK, lock)
        _write(log)
    except BaseException:
        lock.release()
        raise
    return log


def _held(folder: Path) -> filelock.BaseFileLock:
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--resume takes a folder; {folder} is a file")
    if not folder.absolute().parent.is_dir():
        raise ValueError(f"--resume {folder} cannot be made: there is no folder {folder.absolute().parent}")
    folder.mkdir(exist_ok=True)
    lock = filelock.FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise ValueError(f"{folder} is being worked on by another process; wait for it, or end it") from None
    return lock


def _begun(folder: Path, plan: Plan, task: int, lock: filelock.BaseFileLock) -> Log:
    others = sorted(path.name for path in folder.iterdir() if not _of_a_beginning(path.name))
    if others:
        raise ValueError(f"{folder} is not the folder of a campaign: it has {others[0]}, but no plan.json")
    return Log(folder, plan, task, lock)


def _of_a_beginning(name: str) -> bool:
    """A file that whoever was killed before there was a plan may have left."""
    return name == ".lock" or (name.startswith(".plan.json.") and name.endswith(".tmp"))


def _read(folder: Path, plan: Plan, given: set[str], task: int | None, lock: filelock.BaseFileLock) -> Log:
    kept = _stored(folder)
    stored = _plan(kept["plan"])
    wanted = replace(stored, **{name: getattr(plan, name) for name in given})
    if told := _differences(kept["of"], identity(wanted)):
        raise ValueError(f"{folder} is a campaign with {told[0]}, and this is {told[1]}: give another folder")
    if wanted.cases < stored.cases:
        raise ValueError(f"{folder} is a campaign of {stored.cases} cases; it can grow, not shrink to {wanted.cases}")
    path = folder / "log.jsonl"
    cut = _without_a_cut_end(path)
    done, unread = _lines(path, kept["of"])
    told = f"the last line of {path} was cut off" if cut else f"{unread} of the lines in {path} cannot be read"
    note = f"{told}: such cases are done again" if cut or unread else ""
    return Log(folder, wanted, task or kept["task"], lock, done, note)


def _stored(folder: Path) -> Plain:
    try:
        kept = json.loads((folder / "plan.json").read_text(errors="replace"))
        if kept["format"] != FORMAT:
            told = f"{folder} was written in format {kept['format']}, and this reads format {FORMAT}"
            raise ValueError(f"{told}: give another folder")
        _plan(kept["plan"])
    except (json.JSONDecodeError, KeyError, TypeError):
        raise ValueError(f"{folder / 'plan.json'} is not the plan of a campaign; give another folder") from None
    return kept


def _lines(path: Path, of: Plain) -> tuple[list[Done], int]:
    """What a log says of this campaign, each range once, and how many lines are none. What had errors is done again."""
    found: dict[Span, Done] = {}
    unread = 0
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            values = json.loads(line)
            done = _done(values)
            unread += values["of"] != of
        except (ValueError, KeyError, TypeError):
            unread += 1
            continue
        if values["of"] == of and not done.tally.errors:
            found.setdefault(done.span, done)
    return _apart(found), unread


def _without_a_cut_end(path: Path) -> bool:
    """Was the last line of a log cut off, when its writer was killed? It is taken away: the next begins a line."""
    text = path.read_bytes() if path.exists() else b""
    whole = text.rfind(b"\n") + 1
    if whole == len(text):
        return False
    os.truncate(path, whole)
    return True


def _apart(found: Mapping[Span, Done]) -> list[Done]:
    """Ranges that do not overlap."""
    kept: list[Done] = []
    for span in sorted(found):
        if not kept or span.start >= kept[-1].span.stop:
            kept.append(found[span])
    return kept


def _done(values: Plain) -> Done:
    span = Span(*values["range"])
    return Done(span, tally_of(values["tally"]), values["by"], values["seconds"], values["at"])


def _write(log: Log) -> None:
    """plan.json, whole or not at all."""
    value = {"format": FORMAT, "plan": plain_plan(log.plan), "task": log.task, "of": identity(log.plan)}
    replace_whole(log.folder / "plan.json", (json.dumps(value, indent=2) + "\n").encode())


def plain_plan(plan: Plan) -> Plain:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in vars(plan).items()}


def _plan(values: Mapping[str, Any]) -> Plan:
    return Plan(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


def _differences(there: Plain, here: Plain) -> tuple[str, str] | None:
    """What differs, as both say it."""
    names = [name for name in here | there if there.get(name) != here.get(name)]
    return (_told(names, there), _told(names, here)) if names else None


def _told(names: list[str], of: Plain) -> str:
    return ", ".join(f"{name} {of.get(name)}" for name in names)
