"""Which numbers are right where torch's own are not those of the formula that it is called for."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from .compare.bound import distance, largest
from .draw.trial import Trial
from .judge_evidence import ComparedTrial, Judged
from .sides.exact import EXACT
from .sides.function import Function
from .sides.run import Run

SAME = 1e-13  # relative
One = Callable[[Judged, Trial], ComparedTrial]


def as_intended(
    judged: Judged, tried: Sequence[ComparedTrial], one: One
) -> tuple[Judged, Sequence[ComparedTrial], tuple[str, ...]]:
    """The same, or beside exact numbers where less is wrong beside these, and a sentence that says so."""
    found, off, plain = (judged, tried, ()), _off(tried), judged.torch
    if not off or judged.low is not None or type(plain) is not Function:
        return found
    for exact in EXACT:
        torch = exact(plain.f, plain.only)
        others = [bool(t.wrong) and _differs(torch.run(t.trial), t.found.runs[1]) for t in tried]
        if not any(others):
            continue
        beside = replace(judged, torch=torch)
        again = [one(beside, t.trial) if other else t for t, other in zip(tried, others)]
        if _off(again) < off:
            off, found = _off(again), (beside, again, (exact.says,))
    return found


def _differs(a: Run, b: Run) -> bool:
    """By more than the last bits of sums in another order?"""
    return any(g is not None and b[n] is not None and distance(g, b[n]) > SAME * largest(g) for n, g in a.items())


def _off(tried: Sequence[ComparedTrial]) -> int:
    return sum(len(t.wrong) for t in tried)
