"""What a rule is compared with: an optimizer of torch.optim, any other torch.optim.Optimizer class, or a plain rule."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from manualbp.base import options_of, registry
from manualbp.optim import Optimizer

from ..draw.steps import Flat, Steps, draw, with_twins
from ..twin.conventions import known_options
from .arguments import parameters
from .raised import in_words
from .rule_torch import OnTensors, WithoutRounding, checked_options
from .rules import FORMS, Rule, Running, is_rule, recognised
from .steps import History, RunTorch, TorchUpdates, Updates, YourUpdates

SIZE = 64.0  # of the last gradients, if there are three steps at least: a rule may clip what is large
OWN = ("late.weight", "unused.weight", "once.weight")  # drawn parameters whose gradients are missing at times
TWINS = (1, 2)  # ranks of which two arrays have the same shape
RANKS = ((0, 1, 2, 3, 4), (1, 2), (2,), (1,))  # of arrays, until both sides take them


@dataclass(frozen=True)
class Truth:
    """The rule intended.

    title    as it is shown;  options: its own, by name, those that were not given too
    updates  the side that is compared with;  opt: the same by hand, where there is one
    begin    the rule on parameters, with some options changed, and in two groups if these are given
    ranks    of the arrays that it is tried on, the first that both sides take
    defaults of its options;  shipped: with the rounding to bfloat16 that torch's Muon has inside
    """

    title: str
    options: Mapping[str, Any]
    updates: Updates
    begin: Callable[..., Running]
    of_torch: type[torch.optim.Optimizer] | None = None
    opt: Optimizer | None = None
    ranks: tuple[tuple[int, ...], ...] = RANKS
    defaults: Mapping[str, Any] = field(default_factory=dict)
    shipped: "Truth | None" = None


class OfParameters(TorchUpdates):
    """torch's optimizer, its parameters alone: a rule of yours keeps what state it likes."""

    def run(self, steps: Steps, dtype: Any) -> History:
        return [{n: after[n] for n in steps.params} for after in super().run(steps, dtype)]


def truth_of(against: Any, options: Mapping[str, Any]) -> Truth:
    """What `against` asks for."""
    if isinstance(against, torch.optim.Optimizer):
        raise ValueError(
            f"against={type(against).__name__}(…) has parameters of its own: give the class and its options, "
            f"check_optimizer(step, against={type(against).__name__}, lr=0.1)"
        )
    other = isinstance(against, type) and not any(hasattr(against, n) for n in ("step", "update"))
    scheduler = isinstance(against, type) and issubclass(against, torch.optim.lr_scheduler.LRScheduler)
    if other or scheduler or isinstance(against, torch.nn.Module) or not is_rule(against):
        raise ValueError(
            f"against={against!r} is no optimizer: give a torch.optim.Optimizer class, against=torch.optim.Adam, "
            f"or a rule. Taken are {FORMS}"
        )
    if isinstance(against, type) and issubclass(against, torch.optim.Optimizer):
        return _of_torch(against, {n: v for n, v in options.items() if n != "groups"})
    return _of_rule(against, options)


def _of_torch(cls: type[torch.optim.Optimizer], options: Mapping[str, Any]) -> Truth:
    checked_options(cls, options, against=True)
    _made(cls, options)
    by_hand = registry(Optimizer).get(cls.__name__)
    defaults = {p.name: p.default for p in parameters(cls) or [] if p.default is not p.empty}
    if by_hand is None or getattr(torch.optim, cls.__name__, None) is not cls:
        _takes_gradients(cls)

        def begin(params: Flat, groups: Any = None, **changed: Any) -> Running:
            return OnTensors(lambda p: cls(p, **{**options, **changed}), params, groups)

        shown = ", ".join(f"{n}={v!r}" for n, v in options.items())
        side = RunTorch(Rule(begin, f"{cls.__name__}(params, …)"))
        return Truth(
            f"{cls.__name__}({shown})", _numbers(defaults | dict(options)), side, begin, cls, None, RANKS, defaults
        )
    opt = by_hand(**{n: v for n, v in options.items() if n in options_of(by_hand())})
    if opt.by_closure or opt.by_rows:
        takes = "a closure, not gradients" if opt.by_closure else "sparse gradients"
        raise ValueError(f"against={cls.__name__}: it takes {takes}; rules with dense gradients are checked here")
    own = {n: v for n, v in known_options(opt).items() if n != "groups"}

    def known(params: Flat, groups: Any = None, kind: type[OnTensors] = OnTensors, **changed: Any) -> Running:
        return kind(lambda p: cls(p, **{**own, **changed}), params, groups)

    truth = Truth(str(opt), _numbers(own), OfParameters(opt), known, cls, opt, (opt.ranks,), defaults)
    if cls.__name__ != "Muon":
        return truth
    shipped = replace(truth, updates=RunTorch(Rule(known, truth.title)))
    return replace(truth, begin=partial(known, kind=WithoutRounding), shipped=shipped)


def _numbers(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with lr and weight_decay as floats."""
    return {n: float(v) if n in ("lr", "weight_decay") and isinstance(v, int) else v for n, v in options.items()}


def _made(cls: type[torch.optim.Optimizer], options: Mapping[str, Any]) -> None:
    """A ValueError with the right call, where the class refuses its options."""
    try:
        cls([torch.nn.Parameter(torch.zeros(2, 2))], **options)
    except Exception as e:
        shown = ", ".join(f"{n}={v!r}" for n, v in options.items())
        raise ValueError(
            f"against={cls.__name__} with {shown or 'no options'} raised {in_words(e)}. Options are those of the "
            f"class, as numbers: check_optimizer(step, against={cls.__name__}, lr=0.1)"
        ) from e


def _takes_gradients(cls: type) -> None:
    if issubclass(cls, torch.optim.LBFGS):
        raise ValueError(f"against={cls.__name__}: it takes a closure, not gradients; rules with gradients are checked")


def _of_rule(against: Any, options: Mapping[str, Any]) -> Truth:
    name = getattr(against, "__name__", type(against).__name__)
    own = [p.name for p in parameters(against) or []]

    def begin(params: Flat, groups: Any = None, **changed: Any) -> Running:
        if groups is not None or any(n not in own for n in changed):
            raise ValueError(f"{name} takes no {', '.join(changed) or 'groups'}")
        g = {n: np.full_like(p, 0.5) for n, p in params.items()}
        return recognised(against, {**options, **changed}, params, (g, g), f"against ({name})").begin(params)

    return Truth(name, _numbers(options), YourUpdates(Rule(begin, name)), begin)


def drawn(ranks: tuple[int, ...], count: int, seed: int) -> Steps:
    """Parameters of these ranks, some of one shape, and gradients for every step, of the last step large ones."""
    found = draw(SimpleNamespace(ranks=ranks, by_rows=False, by_closure=False), seed, count)
    shown = {n: p for n, p in found.params.items() if n not in OWN}
    of_own = [{n: g[n] for n in shown} for g in found.grads]
    steps = with_twins(Steps(shown, of_own, [1.0] * count), TWINS, seed)
    if count > 2:
        steps.grads[-1] = {n: SIZE * g for n, g in steps.grads[-1].items()}
    return steps


def of_one_shape(count: int, seed: int, shape: tuple[int, ...] = (3,)) -> Steps:
    """Two parameters of the same shape."""
    rng = np.random.default_rng((seed, 1))
    names = ("a", "b")
    grads = [{n: rng.standard_normal(shape) for n in names} for _ in range(count)]
    return Steps({n: rng.standard_normal(shape) for n in names}, grads, [1.0] * count)
