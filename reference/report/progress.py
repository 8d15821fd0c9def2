"""How far long work on a model is: a bar on a terminal, nothing where it is read by a program."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Tell = Callable[[str, int, int], None]  # what is done now, how much is done, of how much


def silent(what: str, done: int, total: int) -> None:
    """Nobody is told."""


@contextmanager
def steps(console: Console) -> Iterator[Tell]:
    """A bar over so many steps, with the one that was done last."""
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("")

        def tell(what: str, done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, description=what)

        yield tell
