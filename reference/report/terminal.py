"""Where tables are printed: no number is cut off because a pipe or a file has no width."""

from rich.console import Console

PIPED = 120  # columns, where the output is no terminal


def console(quiet: bool = False) -> Console:
    """A terminal as it is; a pipe or a file as wide as the tables need."""
    made = Console(quiet=quiet, highlight=False)
    return made if made.is_terminal or made.width >= PIPED else Console(quiet=quiet, highlight=False, width=PIPED)
