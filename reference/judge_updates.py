"""Somebody's update rule beside one of torch.optim, in lock-step on the same gradients."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from manualbp.base import Array, registry
from manualbp.optim import Optimizer

from .compare.bound import EPS, FACTOR, distance, largest
from .compare.tensor import Tensor
from .compare.updates import Pair
from .diagnose.evidence import Suspect
from .draw.steps import Steps, draw
from .faults import faults
from .report.report import Report
from .sides.steps import HandUpdates, History, TorchUpdates, YourUpdates

OWN = ("late.weight", "unused.weight", "once.weight")  # drawn parameters whose gradients are missing at times


def judge_step(
    step: Callable, against: type[torch.optim.Optimizer], count: int, seed: int, options: Mapping[str, Any]
) -> Report:
    """The report on step(p, g, state) -> p, state."""
    if against.__name__ not in registry(Optimizer):
        raise ValueError(f"against={against.__name__}: known are {', '.join(registry(Optimizer))}")
    opt = registry(Optimizer)[against.__name__](**options)
    drawn = draw(opt, seed, count)
    shown = {n: p for n, p in drawn.params.items() if n not in OWN}
    steps = Steps(shown, [{n: g[n] for n in shown} for g in drawn.grads], [1.0] * count)
    yours, title = YourUpdates(step), getattr(step, "__name__", "step")
    tensors = Pair(yours, _Parameters(opt), steps).found
    wrong = [t for t in tensors if not t.ok]
    if not wrong:
        verdict = "identical" if all(t.identical for t in tensors) else "rounding"
        return Report(title, verdict, tensors=tensors, trials=count, shown=str(opt))
    wrong = _first_wrong(yours, _Parameters(opt), steps, tensors)
    note = f"the first wrong step is {wrong[0].of.step} of {count}"
    suspects = tuple(_replayed(opt, steps, yours.run(steps, np.float64)))
    return Report(
        title, "wrong", None, wrong[0].name, suspects, tuple(wrong[:6]), trials=count, shown=str(opt), notes=(note,)
    )


class _Parameters(TorchUpdates):
    """torch's optimizer, its parameters alone: a rule of yours keeps what state it likes."""

    def run(self, steps: Steps, dtype: Any) -> History:
        return [{n: after[n] for n in steps.params} for after in super().run(steps, dtype)]


def _first_wrong(yours: YourUpdates, torch: TorchUpdates, steps: Steps, worst: tuple[Tensor, ...]) -> list[Tensor]:
    """What is wrong after the first step at which anything is."""
    for k in range(1, len(steps.grads)):
        first = Steps(steps.params, steps.grads[:k], steps.rates[:k])
        if wrong := Pair(yours, torch, first).wrong:
            return list(wrong)
    return [t for t in worst if not t.ok]


def _replayed(opt: Optimizer, steps: Steps, yours: History) -> Iterator[Suspect]:
    """The mistakes of the catalogue that give these very numbers at every step."""
    for fault in faults(type(opt).__name__).values():
        try:
            with np.errstate(all="ignore"):
                told = HandUpdates(fault.make(type(opt))(**vars(opt))).run(steps, np.float64)
        except Exception:  # a mistake may end in an error
            continue
        if all(_near(yours[k][n], told[k][n], k) for k in range(len(yours)) for n in steps.params):
            evidence = "it gives your numbers at every step"
            yield Suspect(fault.id, fault.text, fault.relation, fault.remedy, fault.needs, evidence, 1.0)


def _near(a: Array, b: Array, k: int) -> bool:
    room = FACTOR * 4 * (k + 1) * EPS["float64"] * max(largest(a), largest(b), 1.0)
    return a.shape == b.shape and np.array_equal(np.isfinite(a), np.isfinite(b)) and distance(a, b) <= room
