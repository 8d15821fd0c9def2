"""Schedules that rise as well as fall, and the one that watches a loss. Beside torch/optim/lr_scheduler.py."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from .base import Optimizer
from .schedule import Schedule, of_group


class CosineAnnealingLR(Schedule):
    """Half a period of the cosine down, and up again, and so on.

    Rule      lr = η + (r − η) c(t),  c(t) = ½(1 + cos πt/T),  T: T_max, η: eta_min
              In a chain  lr ← η + (lr − η) c(t)/c(t − 1),  or where c(t − 1) = 0  lr ← lr + (r − η) c(t)
    Errors    ValueError unless T_max ≥ 1
    Source    Loshchilov, Hutter 2016, arXiv:1608.03983, eq. 5, without its restarts;
              torch.optim.lr_scheduler.CosineAnnealingLR
    """

    T_max: int
    eta_min: float = 0.0

    options = {"T_max": (4, 1, 3), "eta_min": (0.0, 0.01)}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.needs(self.T_max >= 1, "T_max ≥ 1")

    def c(self, t: int) -> float:
        return (1 + math.cos(math.pi * t / self.T_max)) / 2

    def lr(self, t, r, group=0):
        return self.eta_min + (r - self.eta_min) * self.c(t)

    def then(self, t, lr, r, group=0):
        if t == 0:
            return lr
        if (t - 1 - self.T_max) % (2 * self.T_max) == 0:
            return lr + (r - self.eta_min) * self.c(t)
        return self.eta_min + (lr - self.eta_min) * (self.c(t) / self.c(t - 1))


class CosineAnnealingWarmRestarts(Schedule):
    """Half a period of the cosine down, then from the top again, over longer and longer times.

    Rule      lr = η + (r − η) ½(1 + cos πs/T),  s: steps since the last start, η: eta_min
              T = T_0 at first, T_mult times as long after every restart
    Errors    ValueError unless T_0 ≥ 1 and T_mult ≥ 1 are whole numbers
    Source    Loshchilov, Hutter 2016, arXiv:1608.03983, eq. 5; torch.optim.lr_scheduler.CosineAnnealingWarmRestarts
    Caveat    torch takes fractions of a step too, which this does not
    """

    T_0: int
    T_mult: int = 1
    eta_min: float = 0.0

    options = {"T_0": (2, 1, 3), "T_mult": (1, 2), "eta_min": (0.0, 0.01)}

    def __post_init__(self) -> None:
        super().__post_init__()
        whole = isinstance(self.T_0, int) and isinstance(self.T_mult, int)
        self.needs(whole and self.T_0 >= 1 and self.T_mult >= 1, "T_0 ≥ 1 and T_mult ≥ 1, whole numbers")

    def period(self, t: int) -> tuple[int, int]:
        """s and T"""
        length = self.T_0
        while t >= length:
            t, length = (t % length, length) if self.T_mult == 1 else (t - length, length * self.T_mult)
        return t, length

    def lr(self, t, r, group=0):
        s, length = self.period(t)
        return self.eta_min + (r - self.eta_min) * (1 + math.cos(math.pi * s / length)) / 2

    def state_dict(self, opt, t):
        s, length = self.period(max(t, 0))
        return super().state_dict(opt, t) | {"T_cur": s, "T_i": length}


class CyclicLR(Schedule):
    """Straight up to max_lr and straight down again, and the momentum the other way round.

    Rule      A cycle has u = step_size_up steps up and d = step_size_down (None: u) down; n = 1 + ⌊t/(u + d)⌋ is its
              number,  x = (t mod (u + d))/u on the way up, (u + d − t mod (u + d))/d on the way down
              lr = base_lr + (max_lr − base_lr) x s,  momentum = max_momentum − (max_momentum − base_momentum) x s
              s = 1 ("triangular"), 2^(1 − n) ("triangular2"), γᵗ ("exp_range"),
              or scale_fn(n) with scale_mode "cycle", scale_fn(t) with "iterations"
    Errors    ValueError if mode is unknown, or if momentum is to cycle and the optimizer has none
    Source    Smith 2015, arXiv:1506.01186, section 3; torch.optim.lr_scheduler.CyclicLR
    Caveat    the optimizer's own rate has no part in it. Momentum is betas[0] where there are betas
    """

    base_lr: float | tuple[float, ...]
    max_lr: float | tuple[float, ...]
    step_size_up: int = 2000
    step_size_down: int | None = None
    mode: str = "triangular"
    gamma: float = 1.0
    scale_fn: Callable[[float], float] | None = None
    scale_mode: str = "cycle"
    cycle_momentum: bool = True
    base_momentum: float | tuple[float, ...] = 0.8
    max_momentum: float | tuple[float, ...] = 0.9

    combines = False
    options = {
        "base_lr": (0.125, 0.1),
        "max_lr": (1.0, 0.3),
        "step_size_up": (2, 1, 3),
        "step_size_down": (None, 1, 4),
        "mode": ("triangular", "triangular2", "exp_range"),
        "gamma": (1.0, 0.9),
        "cycle_momentum": (True, False),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        known = ("triangular", "triangular2", "exp_range")
        self.needs(self.mode in known or self.scale_fn is not None, f"mode {', '.join(known)}, or scale_fn")

    def height(self, t: int) -> float:
        """x s"""
        up = float(self.step_size_up)
        total = up + (up if self.step_size_down is None else float(self.step_size_down))
        n = math.floor(1 + t / total)
        x = 1 + t / total - n
        return (x / (up / total) if x <= up / total else (x - 1) / (up / total - 1)) * self.scale(n, t)

    def scale(self, n: int, t: int) -> float:
        """s"""
        if self.scale_fn is not None:
            return self.scale_fn(n if self.scale_mode == "cycle" else t)
        if self.mode == "exp_range":
            return self.gamma**t
        return 2.0 ** (1 - n) if self.mode == "triangular2" else 1.0

    def lr(self, t, r, group=0):
        low, high = of_group(self.base_lr, group), of_group(self.max_lr, group)
        return low + (high - low) * self.height(t)

    def momentum(self, t, group=0):
        low, high = of_group(self.base_momentum, group), of_group(self.max_momentum, group)
        return high - (high - low) * self.height(t) if self.cycle_momentum else None

    def state_dict(self, opt, t):
        given = super().state_dict(opt, t)
        rates = [of_group(self.base_lr, i) for i in range(len(given["base_lrs"]))]
        return given | {"base_lrs": rates, "_scale_fn_custom": None}


class OneCycleLR(Schedule):
    """One rise to max_lr and one long fall for a whole training, and the momentum the other way round.

    Rule      From max_lr/div_factor to max_lr until t = pct_start·n − 1, to max_lr/(div_factor·final_div_factor) until
              t = n − 1, n: total_steps (None: epochs·steps_per_epoch). With three_phase the fall takes as many steps as
              the rise and goes back to max_lr/div_factor, and from there to the end it falls to the lowest.
              momentum from max_momentum to base_momentum and back, where the rate rises and falls back.
              Between a and b, at the part p of the way:  b + (a − b) ½(1 + cos πp) ("cos"),  a + (b − a)p ("linear")
    Errors    ValueError unless total_steps ≥ 1 can be found, pct_start in [0, 1], no part is empty, anneal_strategy
              is known, t ≤ n; or if momentum is to cycle and the optimizer has none
    Source    Smith, Topin 2017, arXiv:1708.07120, with the phases of fastai; torch.optim.lr_scheduler.OneCycleLR
    Caveat    the optimizer's own rate has no part in it. torch allows one step beyond the end, t = n, and goes on along
              the curve there
    """

    max_lr: float | tuple[float, ...]
    total_steps: int | None = None
    epochs: int | None = None
    steps_per_epoch: int | None = None
    pct_start: float = 0.3
    anneal_strategy: str = "cos"
    cycle_momentum: bool = True
    base_momentum: float | tuple[float, ...] = 0.85
    max_momentum: float | tuple[float, ...] = 0.95
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    three_phase: bool = False

    combines = False
    options = {
        "max_lr": (1.0, 0.3),
        "total_steps": (12, 20),
        "pct_start": (0.25, 0.3),
        "anneal_strategy": ("linear", "cos"),
        "cycle_momentum": (True, False),
        "div_factor": (4.0, 25.0),
        "final_div_factor": (16.0, 1e4),
        "three_phase": (False, True),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.total_steps is None and self.epochs is not None and self.steps_per_epoch is not None:
            object.__setattr__(self, "total_steps", self.epochs * self.steps_per_epoch)
        n = self.total_steps
        self.needs(isinstance(n, int) and n >= 1, "total_steps ≥ 1, or epochs and steps_per_epoch")
        self.needs(0 <= self.pct_start <= 1, "pct_start in [0, 1]")
        self.needs(self.anneal_strategy in ("cos", "linear"), 'anneal_strategy "cos" or "linear"')
        ends = [0.0] + [end for end, *_ in self.phases()]
        self.needs(all(a != b for a, b in pairwise(ends)), "phases of some steps each")

    def phases(self) -> list[tuple[float, str, str]]:
        """The end of every phase, and between which two points it leads: "start", "peak", "end"."""
        last, share = float(self.total_steps - 1), self.pct_start * self.total_steps  # pyright: ignore
        if self.three_phase:
            return [(share - 1, "start", "peak"), (2 * share - 2, "peak", "start"), (last, "start", "end")]
        return [(share - 1, "start", "peak"), (last, "peak", "end")]

    def between(self, t: int, values: dict[str, float]) -> float:
        """The value after t steps, given those at the points."""
        self.needs(t <= self.total_steps, f"t ≤ total_steps; it got {t}")
        start, phases = 0.0, self.phases()
        for end, _, _ in phases[:-1]:
            if t > end:
                start, phases = end, phases[1:]
        end, a, b = phases[0]
        p = (t - start) / (end - start)
        if self.anneal_strategy == "cos":
            return values[b] + (values[a] - values[b]) / 2.0 * (1 + math.cos(math.pi * p))
        return (values[b] - values[a]) * p + values[a]

    def lr(self, t, r, group=0):
        high = of_group(self.max_lr, group)
        start = high / self.div_factor
        return self.between(t, {"start": start, "peak": high, "end": start / self.final_div_factor})

    def momentum(self, t, group=0):
        low, high = of_group(self.base_momentum, group), of_group(self.max_momentum, group)
        return self.between(t, {"start": high, "peak": low, "end": high}) if self.cycle_momentum else None

    def state_dict(self, opt, t):
        given = super().state_dict(opt, t)
        rates = [of_group(self.max_lr, i) / self.div_factor for i in range(len(given["base_lrs"]))]
        return given | {"base_lrs": rates}


class SWALR(Schedule):
    """From the rate as it is to the constant one at which weights are averaged.

    Rule      lr = swa_lr a + r(1 − a),  a = min(1, t/n) ("linear"), ½(1 − cos(π min(1, t/n))) ("cos"),
              n: anneal_epochs; with n = 0, a = 1 from the start
    Errors    ValueError unless anneal_epochs ≥ 0 and anneal_strategy is known
    Source    Izmailov, Podoprikhin, Garipov, Vetrov, Wilson 2018, arXiv:1803.05407; torch.optim.swa_utils.SWALR
    Caveat    r is the rate at which averaging starts: SWALR(…).at(schedule.at(opt, start), t − start)
    """

    swa_lr: float | tuple[float, ...]
    anneal_epochs: int = 10
    anneal_strategy: str = "cos"

    options = {"swa_lr": (0.5, 0.05), "anneal_epochs": (4, 0, 5), "anneal_strategy": ("linear", "cos")}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.needs(isinstance(self.anneal_epochs, int) and self.anneal_epochs >= 0, "anneal_epochs ≥ 0")
        self.needs(self.anneal_strategy in ("cos", "linear"), 'anneal_strategy "cos" or "linear"')

    def a(self, t: int) -> float:
        part = min(1.0, t / self.anneal_epochs) if self.anneal_epochs else 1.0
        return part if self.anneal_strategy == "linear" else (1 - math.cos(math.pi * part)) / 2

    def lr(self, t, r, group=0):
        return of_group(self.swa_lr, group) * self.a(t) + r * (1 - self.a(t))

    def begin(self, before, r, group=0):
        return before

    def then(self, t, lr, r, group=0):
        before, goal = self.a(t - 1) if t else 0.0, of_group(self.swa_lr, group)
        return self.lr(t, goal if before == 1 else (lr - before * goal) / (1 - before), group)


class ReduceLROnPlateau(Schedule):
    """Lower the rate when what is watched, a loss say, stops getting better.

        state = plateau.init(opt);  state = plateau.observe(state, loss);  opt = plateau.at(opt, state)

    Rule      A value is better than the best so far, b, if it is
              < b(1 − θ) ("min", "rel"),  < b − θ ("min", "abs"),  > b(1 + θ) ("max", "rel"),  > b + θ ("max", "abs"),
              θ: threshold. A better one becomes b and sets the count of bad ones to 0, another adds 1 to it; for
              cooldown observations after a change it stays 0.
              If the count exceeds patience:  lr ← max(lr·factor, min_lr), unless that lowers it by no more than eps
    Errors    ValueError unless factor < 1 and mode and threshold_mode are known
    Source    torch.optim.lr_scheduler.ReduceLROnPlateau
    Caveat    b is ±∞ at first. With "rel" a negative b makes the condition easier than b itself, in torch too
    """

    mode: str = "min"
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    threshold_mode: str = "rel"
    cooldown: int = 0
    min_lr: float | tuple[float, ...] = 0
    eps: float = 1e-8

    combines = False
    options = {
        "mode": ("min", "max"),
        "factor": (0.5, 0.1),
        "patience": (0, 1, 2),
        "threshold": (1e-4, 0.125),
        "threshold_mode": ("rel", "abs"),
        "cooldown": (0, 1, 2),
        "min_lr": (0, 0.02),
        "eps": (1e-8, 0.01),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        self.needs(self.factor < 1, "factor < 1")
        self.needs(self.mode in ("min", "max"), 'mode "min" or "max"')
        self.needs(self.threshold_mode in ("rel", "abs"), 'threshold_mode "rel" or "abs"')

    def init(self, opt: Optimizer) -> dict[str, Any]:
        """The state before anything was observed, under torch's names."""
        rates = [opt.in_group(i).lr for i in range(len(getattr(opt, "groups", ())) + 1)]
        best = math.inf if self.mode == "min" else -math.inf
        return {"last_epoch": 0, "best": best, "num_bad_epochs": 0, "cooldown_counter": 0, "_last_lr": rates}

    def observe(self, state: dict[str, Any], value: float) -> dict[str, Any]:
        """The state after one more value."""
        value = float(value)
        better = self.better(value, state["best"])
        rest, bad = state["cooldown_counter"], 0 if better else state["num_bad_epochs"] + 1
        rest, bad = (rest - 1, 0) if rest > 0 else (rest, bad)
        rates = state["_last_lr"]
        if bad > self.patience:
            rates = [self.lowered(lr, of_group(self.min_lr, i)) for i, lr in enumerate(rates)]
            rest, bad = self.cooldown, 0
        counts = {"num_bad_epochs": bad, "cooldown_counter": rest, "last_epoch": state["last_epoch"] + 1}
        return counts | {"best": value if better else state["best"], "_last_lr": rates}

    def better(self, value: float, best: float) -> bool:
        sign = 1 if self.mode == "max" else -1
        goal = best * (1 + sign * self.threshold) if self.threshold_mode == "rel" else best + sign * self.threshold
        return value > goal if self.mode == "max" else value < goal

    def lowered(self, lr: float, least: float) -> float:
        new = max(lr * self.factor, least)
        return new if lr - new > self.eps else lr

    def changes(self, opt, t, group):
        return {"lr": t["_last_lr"][group]}

    def state_dict(self, opt, t):
        return dict(t)

    def resume(self, saved):
        return {name: saved[name] for name in ("last_epoch", "best", "num_bad_epochs", "cooldown_counter", "_last_lr")}
