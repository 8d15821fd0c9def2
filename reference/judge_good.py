"""The report where nothing that was judged is wrong: it passes, is coarse or vacuous, or the other side is wrong."""

from collections.abc import Sequence

import numpy as np

from .compare.bound import largest
from .compare.coarse import Coarse
from .compare.tensor import Tensor
from .diagnose.evidence import Suspect
from .judge_evidence import ComparedTrial
from .report.report import Report
from .sides.formats import LOW
from .sides.run import GRADIENT, OUTPUT, of_role


def right_to(
    title: str, rough: Coarse, tried: Sequence[ComparedTrial], shown: ComparedTrial, suspects: tuple[Suspect, ...],
    notes: tuple[str, ...],
) -> Report:  # fmt: skip
    culprit = shown.wrong[0].name if shown.wrong else None
    return Report(
        title, "coarse", None, culprit, suspects, shown.found.tensors, (), (str(rough), *notes), len(tried),
        str(shown.trial), digits=rough.digits,
    )  # fmt: skip


def passed(
    title: str, tried: Sequence[ComparedTrial], contracts: tuple[str, ...], suspects: tuple[Suspect, ...],
    notes: tuple[str, ...],
) -> Report:  # fmt: skip
    shown = min(tried, key=lambda t: (not t.found.tensors, sum(x.power is None for x in t.found.tensors)))
    seen = [x for t in tried for x in t.found.gradients]
    unseen = _unseen([x for t in tried if t.found.dtype in LOW for x in t.found.gradients])
    same = all(x.identical for t in tried for x in t.found.tensors)
    verdict, side = "identical" if same else "rounding", None
    if contracts:
        verdict, side = "wrong", "contract"
    elif all(x.power is None for x in seen) or unseen:
        verdict, notes = "vacuous", (*_all_zero(tried), *notes)
    return Report(
        title, verdict, side, None, suspects, shown.found.tensors, contracts, (*unseen, *notes), len(tried),
        str(shown.trial), shown.found.dtype,
    )  # fmt: skip


def _all_zero(tried: Sequence[ComparedTrial]) -> tuple[str, ...]:
    """A sentence where every gradient is 0, why, and what can be done."""
    right = [a for t in tried for n, a in t.found.runs[1].items() if n.role == GRADIENT and a is not None]
    if any(a.any() for a in right):
        return ()
    outputs = [np.asarray(a) for t in tried for a in of_role(t.found.runs[1], OUTPUT).values()]
    of_integers = all(np.array_equal(a, np.round(a)) for a in outputs) and any(a.any() for a in outputs)
    why = "goes in steps, of integers" if of_integers else "does not change with its inputs"
    meant = "; for a gradient that is meant all the same, against=lambda x: x + (x.round() - x).detach() says which"
    return (
        f"every gradient is 0 on all that was drawn, where y {why}: any backward that gives 0 would pass. Give inputs "
        f"on which y changes{meant * of_integers}",
    )


def _unseen(gradients: Sequence[Tensor]) -> tuple[str, ...]:
    """Sentences on gradients that no trial could tell anything of, since eager itself is far off."""
    told = {x.name: x.what for x in gradients if x.what and x.power is None}
    known = {x.name for x in gradients if x.power is not None}
    return tuple(f"{n}: {what}, so that this says nothing of it" for n, what in told.items() if n not in known)


def is_nan_in_torch(tried: ComparedTrial) -> bool:
    """Is what is not finite on torch's side all that is wrong, where all outputs and judged gradients are finite?"""
    outputs = of_role(tried.found.runs[1], OUTPUT).values()
    if not all(np.isfinite(a).all() for a in outputs):
        return False
    for t in tried.wrong:
        if t.hand is None or t.torch is None or t.hand.shape != t.torch.shape or not np.isfinite(t.hand).all():
            return False
        there = np.isfinite(t.torch)
        if there.all() or largest(t.hand[there] - t.torch[there]) > t.bound:
            return False
    return True


def torch_wrong(title: str, tried: Sequence[ComparedTrial]) -> Report:
    """Where its gradients are not finite at some places only, what is shown is a trial without these; an infinite slope
    is no fault of its."""
    off = shown = next(t for t in tried if t.wrong)
    good, side = (
        "the gradient judged is the derivative of its own forward, and that of the other side is not",
        "against",
    )
    if is_nan_in_torch(off):
        shown = next((t for t in tried if not t.wrong and any(x.power is not None for x in t.found.gradients)), off)
        nan = any(np.isnan(t.torch).any() for t in off.wrong if t.torch is not None)
        what, names = "NaN" if nan else "infinite", ", ".join(t.name for t in off.wrong)
        good = f"{names} of the other side is {what} where its output is finite, yours is not; for {off.trial}"
        side = "against" if nan else None
    culprit = off.wrong[0].name if side else None
    return Report(title, "rounding", side, culprit, (), shown.found.tensors, (), (good,), len(tried), str(shown.trial))
