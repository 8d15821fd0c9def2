"""Learning rates that change: schedules as values. Beside torch/optim/lr_scheduler.py.

    opt = CosineAnnealingLR(100).at(opt, t)        the optimizer as it is after t steps of the schedule, t = 0, 1, 2, …
    [StepLR(30).lr(t, 0.1) for t in range(90)]     its rates, to be drawn

A schedule changes nothing and remembers nothing, so training is resumed by going on with t. In torch t is last_epoch;
the first step of the optimizer is made with t = 0, the next with t = 1 if the schedule moves at every step.

torch gets most rates out of the one before ("chainable form"), here they come from t ("closed form"); the two differ
by rounding only, which torch's form gathers. In the formulas r is the optimizer's own rate.
"""

import dataclasses
import math
from bisect import bisect_right
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, dataclass_transform

from ..base import as_call, options_of
from .base import Group, Optimizer, plain


@dataclass_transform(frozen_default=True)
class Schedule:
    """A value: its fields are the options of the torch.optim.lr_scheduler class of the same name, without optimizer
    and last_epoch. Every subclass is a frozen dataclass without saying so. Where torch takes a list with an entry for
    every parameter group, a tuple is given: one entry for each of the optimizer's groups, and the last for the
    parameters of no group.
    """

    family: ClassVar[bool] = True
    combines: ClassVar[bool] = True  # may it be a part of ChainedScheduler and SequentialLR?
    options: ClassVar[Mapping[str, tuple]] = {}  # a field's name -> values worth trying

    def __init_subclass__(cls, family: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.family = family
        dataclasses.dataclass(frozen=True, repr=False)(cls)

    def __post_init__(self) -> None:
        for name, value in options_of(self).items():
            object.__setattr__(self, name, plain(value))

    def needs(self, ok: bool, what: str) -> None:
        """Raise a ValueError that shows the schedule and what it needs, unless `ok`."""
        if not ok:
            raise ValueError(f"{self} needs {what}")

    def lr(self, t: int, r: float, group: int = 0) -> float:
        """The rate after t steps, in a group whose own rate is r."""
        raise NotImplementedError

    def then(self, t: int, lr: float, r: float, group: int = 0) -> float:
        """What the t-th step makes of the rate that others have left, in a chain; most know nothing of others."""
        return self.lr(t, r, group)

    def begin(self, before: float, r: float, group: int = 0) -> float:
        """Its r where it follows another schedule, whose last rate is `before`; most begin anew."""
        return r

    def momentum(self, t: int, group: int = 0) -> float | None:
        """The momentum after t steps; None from those that leave it alone."""
        return None

    def at(self, opt: Optimizer, t: Any) -> Any:
        """The optimizer as it is after t steps of the schedule."""
        groups = getattr(opt, "groups", ())
        changes = [self.changes(opt.in_group(i), t, i) for i in range(len(groups) + 1)]
        own = tuple(Group(g.names, **g.options | c) for g, c in zip(groups, changes, strict=False))
        return opt.replace(**changes[-1], **({"groups": own} if groups else {}))

    def changes(self, opt: Optimizer, t: Any, group: int) -> dict[str, Any]:
        """The options that this schedule gives to one group of parameters."""
        lr, m = self.lr(t, opt.lr, group), self.momentum(t, group)
        if m is None:
            return {"lr": lr}
        known = options_of(opt)
        self.needs("betas" in known or "momentum" in known, f"an optimizer with momentum or betas; it got {opt}")
        return {"lr": lr} | ({"betas": (m, *known["betas"][1:])} if "betas" in known else {"momentum": m})

    def state_dict(self, opt: Optimizer, t: int) -> dict[str, Any]:
        """What torch's scheduler.state_dict() would hold after t steps, but for the options."""
        each = [opt.in_group(i).lr for i in range(len(getattr(opt, "groups", ())) + 1)]
        rates = [self.lr(max(t, 0), r, i) for i, r in enumerate(each)]
        return {"last_epoch": t, "_step_count": max(t, 0) + 1, "base_lrs": each, "_last_lr": rates}

    def resume(self, saved: Mapping[str, Any]) -> Any:
        """t from what `state_dict()`, torch's or this one, gave."""
        return saved["last_epoch"]

    def __repr__(self) -> str:
        return as_call(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))


def of_group(value: Any, group: int) -> Any:
    """An option's value for one group: its own entry of a tuple, or what all groups have."""
    return value[group] if isinstance(value, tuple) else value


class Factor(Schedule, family=True):
    """lr = r c(t): a subclass gives the factor c. In a chain the t-th step multiplies by c(t)/c(t − 1)."""

    def c(self, t: int, group: int = 0) -> float:
        raise NotImplementedError

    def lr(self, t, r, group=0):
        return r * self.c(t, group)

    def then(self, t, lr, r, group=0):
        before, now = self.c(t - 1, group) if t else 1.0, self.c(t, group)
        return lr if now == before else lr * (now / before)


class LambdaLR(Schedule):
    """A factor given as a function of the step.

    Rule      lr = r f(t)
    Errors    none
    Source    torch.optim.lr_scheduler.LambdaLR
    Caveat    in a chain it sets aside what came before it, otherwise than the other factors
    """

    lr_lambda: Callable[[int], float] | tuple[Callable[[int], float], ...]

    def lr(self, t, r, group=0):
        return r * of_group(self.lr_lambda, group)(t)

    def state_dict(self, opt, t):
        given = super().state_dict(opt, t)
        return given | {"lr_lambdas": [None] * len(given["base_lrs"])}


class MultiplicativeLR(Factor):
    """A factor for every step, given as a function.

    Rule      lr = r f(1) f(2) … f(t)
    Errors    none
    Source    torch.optim.lr_scheduler.MultiplicativeLR
    """

    lr_lambda: Callable[[int], float] | tuple[Callable[[int], float], ...]

    def begin(self, before, r, group=0):
        return before * of_group(self.lr_lambda, group)(0)

    def c(self, t, group=0):
        return math.prod(of_group(self.lr_lambda, group)(k) for k in range(1, t + 1))

    def state_dict(self, opt, t):
        given = super().state_dict(opt, t)
        return given | {"lr_lambdas": [None] * len(given["base_lrs"])}


class StepLR(Factor):
    """Lower by a factor at regular times.

    Rule      lr = r γ^⌊t/step_size⌋
    Errors    ValueError unless step_size ≥ 1
    Source    torch.optim.lr_scheduler.StepLR
    """

    step_size: int
    gamma: float = 0.1

    options = {"step_size": (1, 2, 3), "gamma": (0.5, 0.1, 1.5)}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.needs(self.step_size >= 1, "step_size ≥ 1")

    def c(self, t, group=0):
        return self.gamma ** (t // self.step_size)


class MultiStepLR(Factor):
    """Lower by a factor at given times.

    Rule      lr = r γⁿ,  n: the number of milestones ≤ t; one given twice counts twice
    Errors    none
    Source    torch.optim.lr_scheduler.MultiStepLR
    """

    milestones: tuple[int, ...]
    gamma: float = 0.1

    options = {"milestones": ((2,), (1, 3), (2, 2, 5), (0, 4)), "gamma": (0.5, 0.1)}

    def c(self, t, group=0):
        return self.gamma ** sum(m <= t for m in self.milestones)


class ConstantLR(Factor):
    """Lower at first, for some steps.

    Rule      lr = r factor while t < total_iters, r afterwards
    Errors    ValueError unless factor in [0, 1] and total_iters ≥ 1
    Source    torch.optim.lr_scheduler.ConstantLR
    """

    factor: float = 1 / 3
    total_iters: int = 5

    options = {"factor": (0.5, 0.3, 1.0), "total_iters": (2, 1, 5)}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.needs(0 <= self.factor <= 1 and self.total_iters >= 1, "factor in [0, 1] and total_iters ≥ 1")

    def c(self, t, group=0):
        return self.factor if t < self.total_iters else 1.0


class LinearLR(Factor):
    """A straight line from one factor to another.

    Rule      lr = r (a + (b − a) min(t, n)/n),  a, b: start_factor, end_factor;  n: total_iters
    Errors    ValueError unless start_factor in (0, 1], end_factor in [0, 1] and total_iters ≥ 1
    Source    torch.optim.lr_scheduler.LinearLR
    """

    start_factor: float = 1 / 3
    end_factor: float = 1.0
    total_iters: int = 5

    options = {"start_factor": (0.5, 0.3, 1.0), "end_factor": (1.0, 0.1, 0.0), "total_iters": (4, 1, 5)}

    def __post_init__(self) -> None:
        super().__post_init__()
        ok = 0 < self.start_factor <= 1 and 0 <= self.end_factor <= 1 and self.total_iters >= 1
        self.needs(ok, "start_factor in (0, 1], end_factor in [0, 1] and total_iters ≥ 1")

    def c(self, t, group=0):
        a, b = self.start_factor, self.end_factor
        return a + (b - a) * min(self.total_iters, t) / self.total_iters


class ExponentialLR(Factor):
    """Lower by a factor at every step.

    Rule      lr = r γᵗ
    Errors    none
    Source    torch.optim.lr_scheduler.ExponentialLR
    """

    gamma: float

    options = {"gamma": (0.5, 0.9, 1.1)}

    def c(self, t, group=0):
        return self.gamma**t


class PolynomialLR(Factor):
    """A power of the part of the steps that is left.

    Rule      lr = r (1 − min(t, n)/n)^power,  n: total_iters
    Errors    ValueError unless total_iters ≥ 1
    Source    torch.optim.lr_scheduler.PolynomialLR
    """

    total_iters: int = 5
    power: float = 1.0

    options = {"total_iters": (4, 1, 5), "power": (1.0, 2.0, 0.9)}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.needs(self.total_iters >= 1, "total_iters ≥ 1")

    def c(self, t, group=0):
        return (1.0 - min(self.total_iters, t) / self.total_iters) ** self.power


class ChainedScheduler(Schedule):
    """Several schedules at once, each going on from what the one before it made of the rate.

    Rule      lr₀ = r;  at every step 0, 1, …, t all of them in order: lr ← then(lr). Factors so multiply:
              lr = r c₁(t) c₂(t) …; one that is no factor sets aside what came before it
    Errors    ValueError if a schedule is not to be combined
    Source    torch.optim.lr_scheduler.ChainedScheduler
    Caveat    it alone has to go through all steps up to t. Not to be combined are combinations, OneCycleLR and
              CyclicLR, since what torch makes of these depends on the order in which the parts were constructed, and
              ReduceLROnPlateau, which torch refuses too
    """

    schedulers: tuple[Schedule, ...]

    combines = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.needs(len(self.schedulers) > 0, "at least one schedule")
        for part in self.schedulers:
            self.needs(part.combines, f"schedules that may be combined; {part} may not")

    def lr(self, t, r, group=0):
        rate = r
        for k in range(t + 1):
            for part in self.schedulers:
                rate = part.then(k, rate, r, group)
        return rate

    def state_dict(self, opt, t):
        last = super().state_dict(opt, t)["_last_lr"]
        return {"_last_lr": last, "_schedulers": [part.state_dict(opt, t) for part in self.schedulers]}

    def resume(self, saved):
        return self.schedulers[0].resume(saved["_schedulers"][0])


class SequentialLR(Schedule):
    """One schedule after another, each from its own beginning.

    Rule      lr = lrᵢ(t − tᵢ),  tᵢ: the last milestone ≤ t (0 for the first schedule), i: the number of those
    Errors    ValueError unless there is one milestone less than schedules, in order, and all may be combined
    Source    torch.optim.lr_scheduler.SequentialLR
    Caveat    in it MultiplicativeLR goes on from the rate before it, times f(0), and SWALR from the rate before it
    """

    schedulers: tuple[Schedule, ...]
    milestones: tuple[int, ...]

    combines = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.needs(len(self.milestones) == len(self.schedulers) - 1, "one milestone less than schedules")
        self.needs(list(self.milestones) == sorted(self.milestones), "milestones in order")
        for part in self.schedulers:
            self.needs(part.combines, f"schedules that may be combined; {part} may not")

    def lr(self, t, r, group=0):
        i = bisect_right(self.milestones, t)
        part, start = self.schedulers[i], (0, *self.milestones)[i]
        return part.lr(t - start, part.begin(self.lr(start - 1, r, group), r, group) if start else r, group)

    def state_dict(self, opt, t):
        last = super().state_dict(opt, t)["_last_lr"]
        ends = [min(t, end - 1) for end in (*self.milestones, math.inf)]
        local = [int(max(end - start, -1)) for start, end in zip((0, *self.milestones), ends, strict=True)]
        parts = [part.state_dict(opt, k) for part, k in zip(self.schedulers, local, strict=True)]
        return {"last_epoch": t, "_last_lr": last, "_milestones": list(self.milestones), "_schedulers": parts}
