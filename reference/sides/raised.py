"""Who raised: a sentence with the line of the user's own code."""

import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parents[1]
LIBRARIES = ("site-packages", "dist-packages", "<frozen", "/lib/python")


class RefusedError(Exception):
    """One side cannot be run on a trial. who: "forward", "backward", "loss" or "against"."""

    def __init__(self, who: str, error: Exception) -> None:
        super().__init__(str(error))
        self.who, self.error = who, error

    def __str__(self) -> str:
        who = f"your {self.who}" if self.who != "against" else "`against`"
        what = str(self.error).strip().splitlines()
        said = f"{type(self.error).__name__}: {what[0]}" if what else type(self.error).__name__
        return f"{who} raised {said}{line_of(self.error)}"


class NotFiniteError(Exception):
    """A forward gives NaN or infinity on what was drawn."""


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings of numbers that code gets only since it is tried: a variance of one row, 0/0, an overflow.
    Every check runs in it, whatever np.seterr says: where warnings are errors, these would else decide what is judged.
    What overflows stands in the report."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        warnings.filterwarnings("ignore", ".*degrees of freedom.*", UserWarning)
        yield


def line_of(error: BaseException) -> str:
    """The last line that is neither this project's nor a library's."""
    own = [f for f in traceback.extract_tb(error.__traceback__) if not _foreign(f.filename)]
    if not own:
        return ""
    line = f": {own[-1].line}" if own[-1].line else ""
    return f" ({Path(own[-1].filename).name}, line {own[-1].lineno}, in {own[-1].name}{line})"


def _foreign(file: str) -> bool:
    return any(word in file for word in LIBRARIES) or Path(file).is_relative_to(HERE)
