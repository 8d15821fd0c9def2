"""`manualbp learn`: exercises listed, handed out, judged, and those of a class graded."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from rich.console import Console
from rich.table import Table

from .exercise import Exercise, find, known
from .judging import BEGUN, BORROWED, CONVENTION, ERROR, RIGHT, UNFINISHED, WRONG, Judgement

SIDES = {
    "forward": "the forward pass; the backward pass is right for it",
    "backward": "the backward pass; the forward pass is as intended",
    "output": "the forward pass; the gradients are those intended",
    "both": "both passes",
    "update": "the update",
    "contract": "the numbers of one call are right; how the functions behave is not",
}
SHOWN = {RIGHT: "right", WRONG: "wrong", CONVENTION: "right but for a kink or a tie", UNFINISHED: "not finished",
         BORROWED: "not derived by hand", ERROR: "cannot be judged"}  # fmt: skip
MARKS = {RIGHT: "✓", WRONG: "✗", CONVENTION: "~", UNFINISHED: "…", BORROWED: "=", ERROR: "!"}
EXIT = {RIGHT: 0, ERROR: 2, UNFINISHED: 3}  # else 1
LIMIT = 60.0  # seconds


@dataclass(frozen=True)
class Progress:
    """Where a learner stands with one exercise."""

    solved: bool = False
    tries: int = 0

    def after(self, found: Judgement) -> "Progress":
        return Progress(self.solved or found.good, self.tries + (found.outcome in (RIGHT, WRONG, CONVENTION)))


def progress_file() -> Path:
    """MANUALBP_PROGRESS, or the place where a user's data lie."""
    given = os.environ.get("MANUALBP_PROGRESS")
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(given) if given else Path(data) / "manualbp" / "progress.json"


def progress() -> dict[str, Progress]:
    """What was kept; nothing if there is nothing, or nothing that can be read."""
    try:
        kept = json.loads(progress_file().read_text(encoding="utf-8"))
        return {name: Progress(bool(p["solved"]), int(p["tries"])) for name, p in kept.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def keep(all_progress: Mapping[str, Progress], console: Console) -> None:
    path = progress_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({n: vars(p) for n, p in all_progress.items()}, indent=2) + "\n", encoding="utf-8")
    except OSError as e:
        console.print(f"(Your progress could not be kept in {path}: {e.strerror})", style="dim")


def listed(console: Console, folder: Path | None = None) -> None:
    """The exercises, and where the learner stands."""
    kept = progress()
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("", "exercise", "", "tries"):
        table.add_column(heading, no_wrap=heading == "exercise")
    exercises = known(folder)
    for name, e in exercises.items():
        at = kept.get(name, Progress())
        table.add_row("[green]✓[/]" if at.solved else "", name, e.title, str(at.tries or ""))
    console.print(table)
    solved = sum(kept.get(name, Progress()).solved for name in exercises)
    console.print(f"\n{solved} of {len(exercises)} solved. `manualbp learn NAME` writes a file to fill in;")
    console.print("`manualbp learn NAME FILE.py` judges it.", highlight=False)


def hand_out(name: str, console: Console, folder: Path | None = None) -> None:
    """The file to fill in, in the current directory."""
    exercise = find(name, folder)
    path = Path(f"{exercise.name}.py")
    if path.exists():
        raise ValueError(f"{path} is there already; to judge it: manualbp learn {name} {path}")
    path.write_text(exercise.sheet(str(path)), encoding="utf-8")
    console.print(f"{path}: {exercise.title}\nFill it in, then run: manualbp learn {name} {path}", highlight=False)


def judged(exercise: Exercise, solution: Path, limit: float = LIMIT) -> Judgement:
    """The judgement of a solution, which runs in a process of its own: it may loop, print, or end its process."""
    if not solution.is_file():
        raise ValueError(f"there is no file {solution}")
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        command = [sys.executable, "-m", "reference.teach.judging", str(exercise.path), str(solution), str(answer)]
        here = str(Path(__file__).parents[2])
        env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                   text=True, errors="replace", env=env, start_new_session=True)  # fmt: skip
        while not (Path(folder) / BEGUN).exists() and process.poll() is None:  # what is imported is not its time
            time.sleep(0.02)
        try:
            printed, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            ended(process)
            return Judgement(ERROR, said=(f"It did not end within {limit:g} seconds. Is there a loop without an end?",))
        if not answer.exists():
            last = (printed.strip().splitlines() or ["nothing was printed"])[-1]
            text = f"The process ended with code {process.returncode} before it was judged: {last}"
            return Judgement(ERROR, said=(text,))
        found = Judgement.of(json.loads(answer.read_text(encoding="utf-8")))
    return with_print(found, printed)


def ended(process: subprocess.Popen) -> None:
    """The process and its children."""
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.communicate()


def with_print(found: Judgement, printed: str) -> Judgement:
    """What the solution printed is said, and judged no further."""
    lines = printed.strip().splitlines()
    if not lines:
        return found
    text = f"It prints: {lines[0][:100]}" + (f" … ({len(lines)} lines in all)" if len(lines) > 1 else "")
    return Judgement(**(vars(found) | {"said": (*found.said, text)}))


def told(exercise: Exercise, found: Judgement, at: Progress) -> str:
    """The judgement in words: never the solution; the hint that fits the mistake, else one more with every try."""
    lines = [f"{MARKS[found.outcome]} {exercise.name}: {SHOWN[found.outcome]}"]
    if found.outcome in (WRONG, CONVENTION):
        lines += [f"  Where     {found.where}"] if found.where else []
        lines += [f"  Side      {SIDES[found.side]}"] if found.side else []
        for m in found.mistakes:
            lines += [f"  Mistake   {m.text}" + (f"  [{m.id}]" if m.id else "")]
        if not found.mistakes and found.side != "contract":
            lines += ["  Mistake   none of the known ones; what is certain is the place above"]
    if found.outcome == CONVENTION:
        lines += ["  Only points at a kink or a tie differ: another choice than the one that the exercise asks for."]
    lines += [f"  {text}" for text in found.said]
    if not found.good and found.outcome != ERROR:
        lines += [f"  {exercise.hint(at.tries, [(m.id, m.text) for m in found.mistakes])}"]
    return "\n".join(lines)


def learn(name: str, solution: Path, console: Console, folder: Path | None, limit: float) -> int:
    """Judge one solution, keep the progress, say what is to be said; the exit code."""
    exercise = find(name, folder)
    found = judged(exercise, solution, limit)
    kept = progress()
    at = kept.get(exercise.name, Progress()).after(found)
    keep(kept | {exercise.name: at}, console)
    console.print(told(exercise, found, at), markup=False, soft_wrap=True, highlight=False)
    if found.good:
        left = [n for n in known(folder) if not (kept | {exercise.name: at}).get(n, Progress()).solved]
        console.print(f"Next: manualbp learn {left[0]}" if left else "All exercises are solved.", highlight=False)
    return EXIT.get(found.outcome, 1)


@dataclass(frozen=True)
class Grade:
    """One solution of one learner."""

    learner: str
    exercise: str
    found: Judgement


def grade(
    root: Path, console: Console, folder: Path | None, limit: float, json_file: str | None, junit_file: str | None
) -> int:
    """Every solution below a folder, one folder for each learner, one file for each exercise; the exit code."""
    if not root.is_dir():
        raise ValueError(f"--grade takes a folder; {root} is none")
    exercises = known(folder)
    files = sorted(p for p in root.rglob("*.py") if not hidden(p.relative_to(root)))
    mine = [(p, key) for p in files if (key := p.stem.replace("-", "_")) in exercises]
    if not mine:
        names = ", ".join(list(exercises)[:4])
        raise ValueError(
            f"{root} holds no exercise: a file is called as its exercise ({names}.py, …), in a folder for each learner"
        )
    for other in sorted(set(files) - {p for p, _ in mine}):
        console.print(f"{other}: no exercise has this name; left out", style="dim", markup=False, highlight=False)
    grades = []
    for path, key in mine:
        learner = str(path.parent.relative_to(root))
        grades.append(Grade(root.name if learner == "." else learner, key, judged(exercises[key], path, limit)))
    console.print(table(grades, [n for n in exercises if any(g.exercise == n for g in grades)]))
    good = sum(g.found.good for g in grades)
    console.print(f"{good} of {len(grades)} right.  " + "  ".join(f"{MARKS[o]} {text}" for o, text in SHOWN.items()))
    if json_file:
        Path(json_file).write_text(json.dumps(plain(grades), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if junit_file:
        ElementTree.ElementTree(junit(grades, exercises)).write(junit_file, encoding="utf-8", xml_declaration=True)
    return 0 if good == len(grades) else 1


def hidden(path: Path) -> bool:
    return any(part.startswith((".", "__")) for part in path.parts)


def table(grades: list[Grade], columns: list[str]) -> Table:
    """A row for each learner, a column for each exercise."""
    found = {(g.learner, g.exercise): g.found for g in grades}
    made = Table(box=None, padding=(0, 1), header_style="dim")
    for heading in ("learner", *columns, "right"):
        made.add_column(heading, justify="left" if heading == "learner" else "center")
    for learner in dict.fromkeys(g.learner for g in grades):
        mine = [found.get((learner, c)) for c in columns]
        marks = [MARKS[j.outcome] if j else "" for j in mine]
        made.add_row(learner, *marks, f"{sum(bool(j and j.good) for j in mine)}/{len(columns)}")
    return made


def plain(grades: list[Grade]) -> list[dict[str, Any]]:
    """The grades as plain values."""
    return [
        {"learner": g.learner, "exercise": g.exercise, "right": g.found.good, "outcome": g.found.outcome,
         "side": g.found.side, "where": g.found.where, "mistakes": [vars(m) for m in g.found.mistakes],
         "said": list(g.found.said)}
        for g in grades
    ]  # fmt: skip


def junit(grades: list[Grade], exercises: Mapping[str, Exercise]) -> ElementTree.Element:
    """One suite for each learner, one test case for each exercise."""
    suites = ElementTree.Element("testsuites")
    for learner in dict.fromkeys(g.learner for g in grades):
        mine = [g for g in grades if g.learner == learner]
        wrong = sum(not g.found.good for g in mine)
        suite = ElementTree.SubElement(suites, "testsuite", name=learner, tests=str(len(mine)), failures=str(wrong))
        for g in mine:
            case = ElementTree.SubElement(suite, "testcase", classname=learner, name=g.exercise)
            if not g.found.good:
                text = told(exercises[g.exercise], g.found, Progress())
                ElementTree.SubElement(case, "failure", message=SHOWN[g.found.outcome]).text = text
    return suites
