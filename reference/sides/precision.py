"""Which precision a check is made in: the one that is asked for, or that its inputs are in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..compare.low import Low
from ..draw.trial import Trial
from .eager import Eager, Rounding
from .formats import LOW, Narrow, narrowed, rounded
from .subject import Subject
from .tried import forward_runs


class NeedsAgainstError(ValueError):
    """Code of few bits is to be judged by its own differences."""

    def __init__(self, dtype: str) -> None:
        super().__init__(
            f"code in {dtype} takes `against`, torch code of the function intended, of real numbers: gradients in "
            f"{dtype} are judged beside its own in float64, and differences of a forward see little in so few bits"
        )


@dataclass(frozen=True)
class Precision:
    """dtype: None for float64, and for arrays as they are given; formats: of inputs that come in one of their own."""

    dtype: str | None = None
    formats: Mapping[str, str] = field(default_factory=dict)

    @property
    def low(self) -> str | None:
        """The format, if it has few bits."""
        return self.dtype if self.dtype in LOW else None

    def of(self, trial: Trial) -> Trial:
        """A trial in this precision; few bits are held in float64."""
        if self.low is None:
            return trial if self.dtype is None else trial.cast(self.dtype)
        wide = {n: np.asarray(a).astype(float) if _is_real(a) else a for n, a in trial.arrays.items()}
        return replace(trial, x={n: rounded(a, self.formats.get(n, self.low)) for n, a in wide.items()})

    def given(self, trial: Trial) -> dict[str, Any]:
        """The arrays of a trial as what is judged sees them."""
        if self.low is None:
            return trial.arrays
        return {n: narrowed(a, self.formats.get(n, self.low)) for n, a in trial.arrays.items()}

    def around(self, subject: Subject) -> Subject:
        return subject if self.low is None else Narrow(subject, self.low, self.formats)

    def eager(self, truth: Any) -> Low | None:
        """The function intended in this format, by which what is judged is measured."""
        if self.low is None:
            return None
        sides = Eager(truth, (), self.low, self.formats), Rounding(truth, (), self.low)
        return Low(self.low, sides, self.formats)


FLOAT64 = Precision()  # and arrays as they are given


def precision_of(specs: Mapping[str, Any], dtype: str | None) -> Precision:
    """The one that is asked for; else the format of few bits that arrays are given in."""
    if dtype is not None:
        return Precision(dtype)
    arrays = {n: getattr(spec, "of", spec) for n, spec in specs.items()}
    names = {n: np.asarray(a).dtype.name for n, a in arrays.items() if isinstance(a, (np.ndarray, np.generic))}
    of = next((name for name in names.values() if name in LOW), None)
    own = {n: name for n, name in names.items() if name in (*LOW, "float32")}
    return Precision(of, own) if of else Precision()


def in_another(bring: Callable[[Precision], Any], refused: ValueError) -> tuple[Any, str]:
    """What is brought in the first precision that it takes, for code that does not take float64; and a note of it."""
    for dtype in ("float32", "bfloat16", "float16"):
        try:
            brought = bring(Precision(dtype))
        except NeedsAgainstError:
            raise
        except Exception:  # it refuses this one, too
            continue
        said = str(refused).splitlines()[0]
        return brought, f'{said}. It was judged in {dtype}, which it takes; dtype="{dtype}" asks for that at once'
    raise refused


def wide(subject: Subject, trial: Trial) -> bool:
    """Does it take float64, too, in which differences of a forward see something?"""
    return subject.format is None and forward_runs(subject.fresh(), trial.cast("float64").arrays)


def _is_real(a: Any) -> bool:
    return np.asarray(a).dtype.kind == "f" or np.asarray(a).dtype.name in LOW
