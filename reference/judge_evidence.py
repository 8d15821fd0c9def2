"""What is judged, one trial of it, and what is known of what is wrong there."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import numpy as np

from manualbp.base import Array

from .compare.comparison import Comparison
from .compare.differences import ON_A_LINE
from .compare.kinks import is_between
from .compare.low import Low
from .compare.tensor import Tensor
from .diagnose.evidence import Evidence
from .draw.trial import Trial, numbers
from .sides.formats import UNIT
from .sides.run import BUFFER, GRADIENT, OUTPUT, VALUE, Name, Run, leaves, of_role
from .sides.side import Side
from .sides.yours import Subject

Replay = Callable[[Trial], Mapping[str, Run]]
PIECES = 4  # of evidence for a tensor, each from a trial of other sizes


@dataclass(frozen=True)
class Judged:
    """What is judged: its side; the subject that it is, by which its forward alone can be run; and beside what.

    torch    the function intended; None: the differences of the own forward decide
    options  numbers that it depends on: a wrong factor may be one of them
    replay   what each mistake of the catalogue gives on a trial
    low      the format of few bits that it is judged in
    """

    hand: Side
    subject: Subject | None
    torch: Side | None
    options: Mapping[str, float] = field(default_factory=dict)
    replay: Replay | None = None
    low: Low | None = None

    @property
    def room(self) -> float:
        """Relative: how far the gradients beside a kink may be from those at it."""
        return 1e-4 if self.low is None else 4 * UNIT[self.low.dtype]


@dataclass(frozen=True)
class ComparedTrial:
    """One trial: both sides compared."""

    trial: Trial
    found: Comparison

    @property
    def wrong(self) -> tuple[Tensor, ...]:
        return self.found.wrong


def pieces_of(
    judged: Judged, trials: Sequence[ComparedTrial], replay: Replay | None, without: frozenset[str]
) -> list[Evidence]:
    """The first pieces for every tensor but some: more trials make a name no surer, only later."""
    each = (e for i, t in enumerate(trials) for e in evidence_of(judged, t, i, replay))
    evidence = [e for e in each if e.forward or e.name not in without]
    return [e for i, e in enumerate(evidence) if sum(e.name == other.name for other in evidence[:i]) < PIECES]


def evidence_of(judged: Judged, tried: ComparedTrial, number: int, replay: Replay | None) -> list[Evidence]:
    """What is known of every wrong tensor of a trial."""
    trial, (yours, right) = tried.trial, tried.found.runs
    known: dict[str, Any] = {_apart(n): np.asarray(a) for n, a in trial.arrays.items()}
    known |= {n.replace("y", "dy", 1): np.asarray(a) for n, a in leaves(trial.dy, "y").items() if a is not None}
    known |= of_role(right, OUTPUT, VALUE, BUFFER)
    both = [{_apart(n): g for n, g in of_role(run, GRADIENT).items()} for run in (right, yours)]
    mistakes = cache(partial(replay, trial)) if replay and not trial.large else dict
    found = []
    for t in tried.wrong:
        if t.torch is not None and t.what != ON_A_LINE:
            given = np.zeros(0) if t.hand is None else np.asarray(t.hand)
            replays = partial(_of_name, mistakes, t.of)
            name = _apart(t.of.path) if t.is_gradient else t.of.path
            told = np.asarray(t.torch), t.bound, known, *both, numbers(trial, judged.options), replays
            found.append(Evidence(name, given, *told, not t.is_gradient, number, judged.low and judged.low.dtype))
    return found


def choices(judged: Judged, tried: Sequence[ComparedTrial]) -> frozenset[str]:
    """Gradients that are off at kinks and ties alone, where they are another choice, if others are wrong elsewhere."""
    elsewhere = {x.of for t in tried if not t.trial.integers for x in t.wrong}
    met = [(t.trial, x) for t in tried for x in t.wrong if x.is_gradient and x.of not in elsewhere]
    if not elsewhere or judged.torch is None:
        return frozenset()
    wrong = set()
    for trial, x in met:
        if x.of not in wrong and not is_between(judged.torch, trial, [x], judged.room):
            wrong.add(x.of)
    return frozenset(_apart(x.of.path) for _, x in met if x.of not in wrong)


def _of_name(mistakes: Callable[[], Mapping[str, Run]], name: Name) -> dict[str, Array]:
    return {id: a for id, run in mistakes().items() if (a := run.get(name)) is not None}


def _apart(name: str) -> str:
    """The name of an input, which may be called y or dy as well as the output and its gradient are."""
    bare = name.removeprefix("d")
    return f"{name} (input)" if bare == "y" or bare.startswith("y[") else name
