"""The command of this room, for `reference.cli`."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table


def bisect(
    case: Annotated[str, typer.Argument(metavar="CASE", help="A case, as a mismatch printed it.")],
    versions: Annotated[
        str | None, typer.Option(help="These, as 2.12.0,2.13.0,2.14.1; else the last of every minor version.")
    ] = None,
    oldest: Annotated[str, typer.Option(help="Of those that pip names, from this one on.")] = "2.10",
    python: Annotated[
        list[str] | None, typer.Option(metavar="PATH", help="An environment that is there (repeatable).")
    ] = None,
    keep: Annotated[str | None, typer.Option(metavar="FOLDER", help="Keep the environments here.")] = None,
) -> None:
    """Since which version of torch a case fails: each in an environment of its own, up to 6 GB, one at a time.

    The oldest and the newest first; where they differ, the middle of what is left. Examples:

        manualbp bisect "Case(MultiLabelMarginLoss(), (2, 3), seed=1)" --versions 2.12.1,2.13.0,2.14.1

        manualbp bisect "Case(Clamp(0.0, 1.0), (4,), exact=True)" --python old/bin/python --python new/bin/python
    """
    from ..twin.conventions import release
    from . import bisect as job
    from .environment import available, in_order
    from .one import case_of

    console = Console(highlight=False)
    case_of(case)
    if python and versions:
        raise ValueError("bisect takes --versions, that are installed, or --python, that are there; it got both")
    if python:
        found = job.of_pythons(python, case)
    else:
        given = versions.split(",") if versions else [v for v in available() if release(v) >= release(oldest)]
        kept = Path(keep).absolute() if keep else None

        def beside(version: str) -> job.Outcome:
            with console.status(f"beside torch {version}"):
                return job.beside(version, case, kept)

        found = job.search(in_order([v.strip() for v in given]), beside)
    show(console, case, found)
    raise typer.Exit(2 if not found.ran else int(not all(map(job.passes, found.ran))))


def show(console: Console, case: str, found: Any) -> None:
    table = Table("torch", "verdict", "first difference", header_style="dim")
    for outcome in found.outcomes:
        table.add_row(outcome["version"], outcome["verdict"], outcome["what"])
    console.print(table)
    console.print(f"{case}\n{found}", markup=False, soft_wrap=True)
