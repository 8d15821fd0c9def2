"""The solutions of a class graded: which are right, and of the others what is not."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from rich.console import Console
from rich.table import Table

from ..draw.expression import nearest
from ..report import files
from ..report.progress import steps
from . import alone
from .exercise import Exercise, find, known
from .judgement import BORROWED, CONVENTION, ERROR, FAULTY, LATE, UNFINISHED, WRONG, Judgement
from .learn import MARKS, SHOWN, Progress, told

MISSING = "missing"  # nothing was handed in
LEGEND = {
    WRONG: "wrong; in brackets which side: forward, backward, both passes, update, or output, where the forward is "
    "wrong and the gradients are those intended",
    CONVENTION: "right but for a kink or a tie, where another slope is taken than is asked for",
    UNFINISHED: "not finished: a function is missing, or returns nothing",
    BORROWED: "refused: not derived by hand, but by a library, differences or complex numbers",
    ERROR: "cannot be judged: it raises an error, is not Python, or returns no gradient",
    LATE: "took too long: it did not end within the seconds of --limit",
    FAULTY: "not counted: the fault is the exercise's, as said below",
    MISSING: "not handed in",
}
MARK = MARKS | {MISSING: "–"}
Files = dict[str, Path]  # by the name of the exercise
Found = dict[tuple[str, str], Judgement]  # by learner and exercise


@dataclass(frozen=True)
class Class:
    """What a folder holds: the files of every learner, and the files that are no solution, with why."""

    learners: Mapping[str, Files]
    others: Mapping[Path, str]


@dataclass(frozen=True)
class How:
    """How a class is graded. asked: what was to be handed in; else what anybody handed in."""

    asked: Sequence[str] = ()
    limit: float = alone.LIMIT
    jobs: int = 1
    json_file: str | None = None
    junit_file: str | None = None


def grade(root: Path, console: Console, folder: Path | None, how: How) -> int:
    """Every solution below a folder, one folder for each learner, one file for each exercise; the exit code."""
    if not root.is_dir():
        raise ValueError(f"--grade takes a folder; {root} is none")
    files.check_writable({"--json": how.json_file, "--junit": how.junit_file})
    exercises = known(folder)
    handed = class_of(root, exercises)
    there = {name for mine in handed.learners.values() for name in mine}
    if not there:
        names = ", ".join(list(exercises)[:4])
        raise ValueError(
            f"{root} holds no exercise: a file is called as its exercise ({names}.py, …), in a folder for each learner"
        )
    wanted = {find(name, folder).name for name in how.asked} or there
    asked = [e for name, e in exercises.items() if name in wanted]
    for path, why in handed.others.items():
        console.print(f"{path} is left out: {why}", style="dim", markup=False, highlight=False, soft_wrap=True)
    found = judged(handed.learners, asked, console, how)
    show(found, console, [n for n in exercises if n not in wanted], bool(how.asked))
    suites = files.junit(files.junit_suite(who, cases(who, mine, exercises)) for who, mine in by_learner(found).items())
    files.write(how.json_file, how.junit_file, plain(found), suites)
    return 2 if any(j.outcome == FAULTY for j in found.values()) else 0 if all(j.good for j in found.values()) else 1


def class_of(root: Path, exercises: Mapping[str, Exercise]) -> Class:
    """Who handed in what."""
    found = sorted(p for p in root.rglob("*.py") if p.is_file() and not hidden(p.relative_to(root)))
    names = {p: p.stem.replace("-", "_") for p in found}
    others = {p: f"no exercise has this name{nearest(n, exercises)}" for p, n in names.items() if n not in exercises}
    learners: dict[str, Files] = {}
    for folder, mine in people(root, [p for p in names if p not in others], names):
        who = learners.setdefault(str(folder.relative_to(root)) if folder != root else root.resolve().name, {})
        for path in mine:
            if who.setdefault(names[path], path) != path:
                others[path] = f"{who[names[path]].name} is the same exercise"
    nobodys = names.keys() - others.keys() - {path for mine in learners.values() for path in mine.values()}
    return Class(learners, others | dict.fromkeys(sorted(nobodys), "it is in no learner's folder"))


def people(root: Path, paths: list[Path], names: Mapping[Path, str]) -> Iterator[tuple[Path, list[Path]]]:
    """Each folder of a learner, with its files. What holds an exercise twice is a group of learners; what stands beside
    folders is nobody's."""
    if (direct := [p for p in paths if p.parent == root]) and len(direct) == len(paths):
        yield root, direct
    for folder in sorted(f for f in root.iterdir() if f.is_dir() and not hidden(f.relative_to(root))):
        below = [p for p in paths if folder in p.parents]
        if len({names[p] for p in below}) == len(below) or all(p.parent == folder for p in below):
            yield folder, below
        else:
            yield from people(folder, below, names)


def hidden(path: Path) -> bool:
    return any(part.startswith((".", "__")) for part in path.parts)


def judged(learners: Mapping[str, Files], asked: Iterable[Exercise], console: Console, how: How) -> Found:
    """The judgement of everything that was asked, of every learner."""
    found = {(who, e.name): Judgement(MISSING) for who in learners for e in asked}
    todo = [(who, e, mine[e.name]) for who, mine in learners.items() for e in asked if e.name in mine]
    stop = Event()
    with ThreadPoolExecutor(how.jobs) as pool, steps(console) as tell:
        work = {pool.submit(alone.judged, e, path, how.limit, stop): (who, e.name) for who, e, path in todo}
        try:
            for done, future in enumerate(as_completed(work), 1):
                found[work[future]] = future.result()
                tell("/".join(work[future]), done, len(work))
        except BaseException:  # Ctrl-C, too, ends what is running and begins nothing more
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return found


def by_learner(found: Found) -> dict[str, dict[str, Judgement]]:
    return {who: {name: j for (w, name), j in found.items() if w == who} for who in dict.fromkeys(w for w, _ in found)}


def show(found: Found, console: Console, not_asked: Sequence[str], chosen: bool) -> None:
    """The table, what its marks mean, and what is not counted in it."""
    console.print(table(found))
    console.print("\n{} of {} right.".format(*score(found.values())))
    console.print(legend(Counter(j.outcome for j in found.values())))
    for text in dict.fromkeys(f"{name}: {t}" for (_, name), j in found.items() if j.outcome == FAULTY for t in j.said):
        console.print(f"\nThe exercise {text}", markup=False)
    if not_asked and not chosen:
        console.print(
            f"\nNot counted, as nobody handed it in: {', '.join(not_asked)}. `--asked NAME`, once for each exercise, "
            f"says what was to be handed in."
        )


def legend(times: Mapping[str, int]) -> Table:
    """What each mark means that occurs, and how often it does."""
    made = Table.grid(padding=(0, 1))
    for outcome, text in LEGEND.items():
        if times[outcome]:
            made.add_row("", MARK[outcome], str(times[outcome]), text)
    return made


def table(found: Found) -> Table:
    """A row for each learner: how many are right, and the others by what is not."""
    made = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("learner", "right", "not right"):
        made.add_column(heading, no_wrap=heading == "right", overflow="fold")
    for who, mine in by_learner(found).items():
        made.add_row(who, "{}/{}".format(*score(mine.values())), "\n".join(not_right(mine)))
    return made


def score(judgements: Iterable[Judgement]) -> tuple[int, int]:
    """How many are right, of those that count."""
    counted = [j.good for j in judgements if j.outcome != FAULTY]
    return sum(counted), len(counted)


def not_right(mine: Mapping[str, Judgement]) -> Iterator[str]:
    """A line for each outcome but right, with the exercises that have it."""
    for outcome in LEGEND:
        names = [f"{name} ({j.side})" if j.side else name for name, j in mine.items() if j.outcome == outcome]
        if names:
            all_of_them = outcome == MISSING and len(names) == len(mine) > 1
            yield f"{MARK[outcome]} {'nothing handed in' if all_of_them else ', '.join(names)}"


def plain(found: Found) -> list[dict[str, Any]]:
    """The grades as plain values."""
    return [
        {"learner": who, "exercise": name, "right": j.good, "outcome": j.outcome, "side": j.side, "where": j.where,
         "mistakes": [vars(m) for m in j.mistakes], "said": list(j.said)}
        for (who, name), j in found.items()
    ]  # fmt: skip


def cases(who: str, mine: Mapping[str, Judgement], exercises: Mapping[str, Exercise]) -> Iterator[files.TestCase]:
    """A test case for each exercise of one learner."""
    for name, j in mine.items():
        failure = None
        if j.outcome == MISSING:
            failure = LEGEND[MISSING], ""
        elif not j.good:
            failure = SHOWN[j.outcome], told(exercises[name], j, Progress())
        yield files.TestCase(who, name, failure)
