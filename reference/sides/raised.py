"""Who raised: a sentence with the line of the user's own code."""

import dis
import functools
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np

from .calls import as_taken
from .clash import clash

HERE = Path(__file__).resolve().parents[1]
Check = TypeVar("Check", bound=Callable[..., Any])
LIBRARIES = ("site-packages", "dist-packages", "<frozen", "/lib/python")


class RefusedError(Exception):
    """One side cannot be run on a trial. who: "forward", "backward", "loss" or "against"; hint: what else may be
    said of it, after the shapes; sizes: those of the trial."""

    def __init__(self, who: str, error: Exception, hint: str = "") -> None:
        super().__init__(str(error))
        self.who, self.error, self.hint = who, error, hint
        self.sizes: Mapping[str, int] = {}

    def on(self, sizes: Mapping[str, int]) -> "RefusedError":
        """The same of a trial of these sizes."""
        self.sizes = sizes
        return self

    def __str__(self) -> str:
        who = f"your {self.who}" if self.who != "against" else "`against`"
        return f"{who} raised {in_words(self.error, self.sizes)}{line_of(self.error)}"


class NotFiniteError(Exception):
    """A forward gives NaN or infinity on what was drawn."""


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings of numbers that code gets only since it is tried: a variance of one row, 0/0, an overflow.
    Every check runs in it, whatever np.seterr says: where warnings are errors, these would else decide what is judged.
    What overflows is in the report."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        warnings.filterwarnings("ignore", ".*degrees of freedom.*", UserWarning)
        yield


@contextmanager
def as_a_try() -> Iterator[None]:
    """Without what torch says of code for arrays that is tried on tensors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def for_users(check: Check) -> Check:
    """A check that warns of nothing, and whose refusals show the user's own lines and none that lie between."""

    @functools.wraps(check)
    def called(*args: Any, **kwargs: Any) -> Any:
        as_taken(check, args, kwargs)
        try:
            with quiet():
                return check(*args, **kwargs)
        except ValueError as e:
            if not is_ours(e):
                raise
            refused, cause = e.with_traceback(None), e.__cause__
            lines = None if cause is None else _own_lines(cause.__traceback__)
        raise refused from (cause.with_traceback(lines) if cause and lines else None)

    return called  # type: ignore[return-value]


def is_ours(error: BaseException) -> bool:
    """Is it one of this project's own sentences, raised by a statement of its own?"""
    tb = error.__traceback__
    while tb is not None and tb.tb_next is not None:
        tb = tb.tb_next
    if not isinstance(error, ValueError) or tb is None:
        return False
    code = tb.tb_frame.f_code
    return Path(code.co_filename).is_relative_to(HERE) and dis.opname[code.co_code[tb.tb_lasti]] == "RAISE_VARARGS"


def _own_lines(tb: TracebackType | None) -> TracebackType | None:
    """Of a traceback those lines that are neither this project's nor a library's."""
    own: list[TracebackType] = []
    while tb is not None:
        own += [] if is_foreign(tb.tb_frame.f_code.co_filename) else [tb]
        tb = tb.tb_next
    found = None
    for t in reversed(own):
        found = TracebackType(found, t.tb_frame, t.tb_lasti, t.tb_lineno)
    return found


def in_words(error: Exception, sizes: Mapping[str, int] | None = None) -> str:
    """What was raised: its name and first line, or which shapes of whose expression do not go together."""
    said = str(error).strip().partition("\n")[0]
    clashing = clash(error, lambda file: not is_foreign(file), sizes)
    said = clashing.text.removesuffix(".") if clashing else said
    return f"{type(error).__name__}{': ' * bool(said)}{said}"


def line_of(error: BaseException) -> str:
    """The last line that is neither this project's nor a library's."""
    own = [f for f in traceback.extract_tb(error.__traceback__) if not is_foreign(f.filename)]
    if not own:
        return ""
    line = f": {own[-1].line}" if own[-1].line else ""
    return f" ({Path(own[-1].filename).name}, line {own[-1].lineno}, in {own[-1].name}{line})"


@functools.cache
def is_foreign(file: str) -> bool:
    return any(word in file for word in LIBRARIES) or Path(file).is_relative_to(HERE)
