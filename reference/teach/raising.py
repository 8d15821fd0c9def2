"""What a solution raises, in words: an error of Python's, or shapes that do not fit, which is a wrong answer."""

import re
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..sides.clash import clash
from .judgement import ERROR, FAULTY, UNFINISHED, WRONG, Judgement, Unusable

OF_SHAPES = re.compile("shape|broadcast|dimension|axis|axes|align|size|reshape|index", re.IGNORECASE)


def said(path: Path, doing: str, f: Callable, *arguments: Any) -> Any:
    """f(*arguments); what it raises, as a judgement with the line of the solution."""
    try:
        with np.errstate(all="ignore"):
            return f(*arguments)
    except (Exception, SystemExit) as e:
        raise Unusable(judged(doing, e, path)) from e


def judged(doing: str, e: BaseException, path: Path) -> Judgement:
    """What it means that the solution raises this."""
    if isinstance(e, NotImplementedError):
        return Judgement(UNFINISHED, said=(f"{doing} is still to be written: it raises NotImplementedError",))
    told = clashing(e, path)
    if told or (isinstance(e, (ValueError, IndexError)) and OF_SHAPES.search(str(e)) and not by_itself(e, path)):
        return Judgement(WRONG, where=told or raised(doing, e, path))
    return Judgement(ERROR, said=(raised(doing, e, path),))


def clashing(e: BaseException, path: Path) -> str | None:
    """Which shapes do not go together, and where in the solution, if it is that."""
    found = clash(e, lambda file: file == str(path.absolute()))
    return f"{found.function}, line {found.line}: {found.text}" if found else None


def by_itself(e: BaseException, path: Path) -> bool:
    """Is it raised by a statement of the solution, or before a line of it was run?"""
    lines = frames(e, path)
    return not lines or (lines[-1].line or "").startswith("raise")


def raised(doing: str, e: BaseException, path: Path) -> str:
    """Who raised what, with the line of the solution."""
    lines = frames(e, path)
    line = f", line {lines[-1].lineno}: {lines[-1].line}" if lines else ""
    text = str(e).strip().partition("\n")[0]
    return f"{doing} raises {type(e).__name__}{': ' * bool(text)}{text}{line}"


def frames(e: BaseException, path: Path) -> list[traceback.FrameSummary]:
    """The lines of this file that led to it."""
    return [fr for fr in traceback.extract_tb(e.__traceback__) if Path(fr.filename).absolute() == path.absolute()]


def blamed(e: BaseException, solution: Path, exercise: Path, doing: str) -> Judgement:
    """What it means that a check raises this: it is the solution's where a line of the solution led to it."""
    for cause in causes(e):
        if lines := frames(cause, solution):
            return judged(lines[0].name, cause, solution)
    first = next((cause for cause in causes(e) if frames(cause, exercise)), e)
    return Judgement(FAULTY, said=(raised(doing, first, exercise),))


def causes(e: BaseException | None) -> Iterator[BaseException]:
    """It, and what it was raised from."""
    while e is not None:
        yield e
        e = e.__cause__
