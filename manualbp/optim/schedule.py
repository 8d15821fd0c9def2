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
from .base import Group, Optimizer, _plain


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
            object.__setattr__(self, name, _plain(value))

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

    def momentum(self, t: int, group: int = 0) -> float | None:
        """The momentum after t steps; None from those that leave it alone."""
        return None

    def at(self, opt: Optimizer, t: Any) -> Any:
        """The optimizer as it is after t steps of the schedule."""
        groups = getattr(opt, "groups", ())
        changes = [self.changes(opt.in_group(i), t, i) for i in range(len(groups) + 1)]
        own = tuple(Group(g.names, **g.options | c) for g, c in zip(groups, changes, strict=False))
        return opt.replace(**changes[-1], **({"groups": own} if groups else {}))

    def changes(self, opt: Optimizer, t: int, group: int) -> dict[str, Any]:
        """The options that this schedule gives to one group of parameters."""
        lr, m = self.lr(t, opt.lr, group), self.momentum(t, group)  # pyright: ignore[reportAttributeAccessIssue]
        if m is None:
            return {"lr": lr}
        known = options_of(opt)
        self.needs("betas" in known or "momentum" in known, f"an optimizer with momentum or betas; it got {opt}")
        return {"lr": lr} | ({"betas": (m, *known["betas"][1:])} if "betas" in known else {"momentum": m})

    def state_dict(self, opt: Optimizer, t: int) -> dict[str, Any]:
        """What torch's scheduler.state_dict() would hold after t steps, but for the options."""
        each = [opt.in_group(i).lr for i in range(len(getattr(opt, "groups", ())) + 1)]  # pyright: ignore
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

    def factor(self, t: int, group: int = 0) -> float:
        raise NotImplementedError

    def lr(self, t, r, group=0):
        return r * self.factor(t, group)

    def then(self, t, lr, r, group=0):
        before, now = self.factor(t - 1, group) if t else 1.0, self.factor(t, group)
        return lr if now == before else lr * (now / before)


class LambdaLR(Schedule):
    """A factor given as a function of the step.

    Rule      lr = r f(t)
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
    Source    torch.optim.lr_scheduler.MultiplicativeLR
    """

    lr_lambda: Callable[[int], float] | tuple[Callable[[int], float], ...]

    def factor(self, t, group=0):
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

    def factor(self, t, group=0):
        return self.gamma ** (t // self.step_size)


class MultiStepLR(Factor):
    """Lower by a factor at given times.

    Rule      lr = r γⁿ,  n: the number of milestones ≤ t; one given twice counts twice
    Source    torch.optim.lr_scheduler.MultiStepLR
    """

    milestones: tuple[int, ...]
    gamma: float = 0.1

    options = {"milestones": ((2,), (1, 3), (2, 2, 5)), "gamma": (0.5, 0.1)}

    def factor(self, t, group=0):
        return self.gamma ** sum(m <= t for m in self.milestones)

    def then(self, t, lr, r, group=0):
        return super().then(t, lr, r, group) if t else lr * self.gamma ** self.milestones.count(0)


class ConstantLR(Factor):
    """Lower at first, for some steps.

    Rule      lr = r factor while t < total_iters, r afterwards
    Errors    ValueError unless factor in [0, 1]
    Source    torch.optim.lr_scheduler.ConstantLR
    """

    factor_: float = 1 / 3
    total_iters: int = 5


class LinearLR(Factor):
    """A straight line from one factor to another.

    Rule      lr = r (a + (b − a) min(t, n)/n),  a, b: start_factor, end_factor;  n: total_iters
    Errors    ValueError unless start_factor in (0, 1], end_factor in [0, 1] and total_iters ≥ 1
    Source    torch.optim.lr_scheduler.LinearLR
    """

    start_factor: float = 1 / 3
    end_factor: float = 1.0
    total_iters: int = 5
