"""`manualbp learn`: exercises listed, handed out, and one solution judged."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from . import alone
from .exercise import OURS, Exercise, find, known
from .judgement import BORROWED, CONVENTION, ERROR, FAULTY, LATE, RIGHT, UNFINISHED, WRONG, Judgement, Unusable

SIDES = {
    "forward": "the forward pass; the backward pass is right for it",
    "backward": "the backward pass; the forward pass is as intended",
    "output": "the forward pass; the gradients are those intended",
    "both": "both passes",
    "update": "the update",
    "contract": "the numbers of one call are right; how the functions behave is not",
}
SHOWN = {RIGHT: "right", WRONG: "wrong", CONVENTION: "right but for a kink or a tie", UNFINISHED: "not finished",
         BORROWED: "not derived by hand", ERROR: "cannot be judged", LATE: "took too long",
         FAULTY: "cannot be judged, and the fault is the exercise's"}  # fmt: skip
MARKS = {RIGHT: "✓", WRONG: "✗", CONVENTION: "~", UNFINISHED: "…", BORROWED: "=", ERROR: "!", LATE: "∞", FAULTY: "?"}
EXIT = {RIGHT: 0, ERROR: 2, LATE: 2, FAULTY: 2, UNFINISHED: 3}  # else 1


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
    console.print(
        f"\n{solved} of {len(exercises)} solved. `manualbp learn NAME` writes a file to fill in; `manualbp learn NAME "
        f"FILE.py` judges it. Every try gets one more hint, or the one that fits the mistake. What is solved is "
        f"kept, with the tries, in a file; MANUALBP_PROGRESS=FILE.json says another:", highlight=False,
    )  # fmt: skip
    console.print(str(progress_file()), soft_wrap=True, markup=False, highlight=False)


def in_order(exercise: Exercise) -> None:
    """ValueError, in a sentence, for somebody's exercise that could judge nobody."""
    from .sound import sound  # which needs more than a list of exercises does

    try:
        if exercise.path.parent != OURS:
            sound(exercise)
    except Unusable as e:
        raise ValueError(f"the exercise {exercise.path} is not handed out: {e.judgement.said[0]}") from e


def hand_out(name: str, console: Console, folder: Path | None = None) -> None:
    """The file to fill in, in the current directory."""
    exercise = find(name, folder)
    path = Path(f"{exercise.name}.py")
    if path.exists() and path.samefile(exercise.path):
        raise ValueError(f"{path} is the exercise itself; call it from another folder, where the file to fill in goes")
    if path.exists():
        raise ValueError(f"{path} is there already; to judge it: manualbp learn {exercise.call} {path}")
    in_order(exercise)
    path.write_text(exercise.sheet(str(path)), encoding="utf-8")
    console.print(
        f"{path}: {exercise.title}\nFill it in, then run: manualbp learn {exercise.call} {path}", highlight=False
    )


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
    lines += [f"  Tell who wrote it: {exercise.path}"] if found.outcome == FAULTY else []
    if not found.good and found.outcome not in (ERROR, LATE, FAULTY) and found.side != "contract":
        lines += [f"  {exercise.hint(at.tries, [(m.id, m.text) for m in found.mistakes])}"]
    return "\n".join(lines)


def learn(name: str, solution: Path, console: Console, folder: Path | None, limit: float) -> int:
    """Judge one solution, keep the progress, say what is to be said; the exit code."""
    exercise = find(name, folder)
    found = alone.judged(exercise, solution, limit)
    kept = progress()
    at = kept.get(exercise.name, Progress()).after(found)
    keep(kept | {exercise.name: at}, console)
    console.print(told(exercise, found, at), markup=False, soft_wrap=True, highlight=False)
    if found.good:
        kept |= {exercise.name: at}
        left = [e.call for n, e in known(folder).items() if not kept.get(n, Progress()).solved]
        console.print(f"Next: manualbp learn {left[0]}" if left else "All exercises are solved.", highlight=False)
    return EXIT.get(found.outcome, 1)
