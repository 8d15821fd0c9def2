"""The commands of this package, for `reference.cli`."""

from pathlib import Path
from typing import Annotated

import typer

from ..report import terminal


def learn(
    name: Annotated[str | None, typer.Argument(help="An exercise by name, or a file with one.")] = None,
    solution: Annotated[str | None, typer.Argument(metavar="[FILE.py]", help="Your solution, to be judged.")] = None,
    grade: Annotated[str | None, typer.Option(metavar="FOLDER", help="Judge every solution below this folder.")] = None,
    exercises: Annotated[str | None, typer.Option(metavar="FOLDER", help="Exercises of yours, beside ours.")] = None,
    new: Annotated[
        str | None, typer.Option(metavar="FILE.py", help="Write an exercise of yours to begin with.")
    ] = None,
    asked: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="With --grade: an exercise that was set (repeatable).")
    ] = None,
    limit: Annotated[float, typer.Option(help="Seconds that a solution may take.", min=1.0)] = 60.0,
    jobs: Annotated[int, typer.Option(help="With --grade: processes.", min=1)] = 2,
    json: Annotated[str | None, typer.Option(metavar="FILE", help="Write the grades here.")] = None,
    junit: Annotated[str | None, typer.Option(metavar="FILE", help="Write a JUnit report of the grades here.")] = None,
) -> None:
    """Exercises in backpropagation, judged: right, or which side, where, which mistake, and the next hint.

    Without arguments they are listed; with a name, a file to fill in is written; with a file, it is judged:

        manualbp learn softmax

        manualbp learn softmax softmax.py

    A class is graded with one folder for each learner, a file in it for each exercise:

        manualbp learn --grade class/ --json grades.json --jobs 4

    Counted is what anybody of the class handed in, or what --asked names, once for each exercise.

    An exercise of yours is a short file of text, HINTS, STUB and CHECKS. One to begin with is written, handed out, and
    judged like ours; all files of a folder are beside ours with --exercises:

        manualbp learn --new own/doubling.py

        manualbp learn own/doubling.py

        manualbp learn own/doubling.py doubling.py

        manualbp learn --grade class/ --exercises own/

    What may be in it is said at the beginning of reference/teach/exercise.py, and where a file lacks something.

    Hints come one after the other with the tries, or by the mistake. Tries, and what is solved, are kept in
    ~/.local/share/manualbp/progress.json, or where MANUALBP_PROGRESS says.

    The command ends with 0: right, 1: wrong, or not derived by hand, 2: an error, 3: not finished.
    """
    from . import exercise, grading
    from . import learn as job

    console, folder = terminal.console(), Path(exercises) if exercises else None
    if folder and not folder.is_dir():
        raise ValueError(f"--exercises takes a folder; {folder} is none")
    if new:
        print(exercise.new(Path(new)))
        return None
    if grade and name:
        raise ValueError(f"--grade takes a folder alone: manualbp learn --grade {grade} --asked {name}")
    if grade:
        how = grading.How(asked or (), limit, jobs, json, junit)
        raise typer.Exit(grading.grade(Path(grade), console, folder, how))
    if given := [o for o, value in (("--asked", asked), ("--json", json), ("--junit", junit)) if value]:
        raise ValueError(f"{given[0]} goes with --grade: manualbp learn --grade class/ {given[0]} …")
    if name is None:
        return job.listed(console, folder)
    if solution is None:
        return job.hand_out(name, console, folder)
    raise typer.Exit(job.learn(name, Path(solution), console, folder, limit))


def book(
    out: Annotated[str, typer.Option("-o", "--out", metavar="FOLDER", help="Where the pages go.")] = "site",
) -> None:
    """The book: a page for every layer, loss and optimizer, made from the code, that works from disk.

    Example:

        manualbp book -o site/
    """
    from .book import write

    print(f"{write(out)} pages and their contents in {out}: open {Path(out) / 'index.html'}")
