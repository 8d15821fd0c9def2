"""One law a test, over every schedule: the rates and momenta of torch's scheduler, step by step."""

import inspect
import itertools
import random
from dataclasses import dataclass

import numpy as np
import pytest
import torch

import manualbp.optim
from manualbp.base import options_of, registry
from manualbp.optim import (
    SGD,
    SWALR,
    Adam,
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    ExponentialLR,
    Group,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    Schedule,
    SequentialLR,
    StepLR,
)  # fmt: skip
from reference.twin.optimizers import to_torch_optim, to_torch_schedule

CLASSES = registry(Schedule)
PARAMS = {"0.weight": np.ones((2, 2)), "0.bias": np.ones(2)}
EPS = 2.0**-52
OPTIMIZERS = [
    SGD(lr=0.3, momentum=0.5, groups=(Group("*.bias", lr=0.7),)),
    Adam(lr=0.3, groups=(Group("*.bias", lr=0.7),)),
]


@dataclass(frozen=True)
class Falling:
    """A function that can be printed, unlike a lambda."""

    by: float

    def __call__(self, t: float) -> float:
        return 1 / (1 + self.by * t)


HALF, SLOW = Falling(0.5), Falling(0.125)
PARTS = [
    LinearLR(0.5, total_iters=3), ConstantLR(0.25, 3), ExponentialLR(0.9), StepLR(2), CosineAnnealingLR(5),
    PolynomialLR(4), LambdaLR(HALF), MultiplicativeLR(HALF), CosineAnnealingWarmRestarts(2), MultiStepLR((1, 4)),
    LinearLR(1.0, 0.0, 3), SWALR(0.1, 3),
]  # fmt: skip
FIXED = {
    "LambdaLR": [LambdaLR(HALF), LambdaLR((HALF, SLOW))],
    "MultiplicativeLR": [MultiplicativeLR(HALF), MultiplicativeLR((HALF, SLOW))],
    "CyclicLR": [
        CyclicLR((0.1, 0.2), (1.0, 2.0), 2, base_momentum=(0.1, 0.2)),
        CyclicLR(0.1, 1.0, 3, scale_fn=HALF),
        CyclicLR(0.1, 1.0, 3, mode="mine", scale_fn=HALF, scale_mode="iterations"),
    ],
    "OneCycleLR": [OneCycleLR((1.0, 2.0), 10, max_momentum=(0.9, 0.8)), OneCycleLR(1.0, epochs=3, steps_per_epoch=4)],
    "SWALR": [SWALR((0.1, 0.2))],
    "ChainedScheduler": [ChainedScheduler(pair) for pair in itertools.permutations(PARTS, 2)],
    "SequentialLR": [
        *(SequentialLR(pair, (3,)) for pair in itertools.product(PARTS, PARTS)),
        *(SequentialLR((a, b, StepLR(2)), ends) for a, b in zip(PARTS, PARTS[3:]) for ends in ((2, 5), (4, 4), (0, 3))),
    ],
}  # fmt: skip


def examples(name, n=16):
    """Schedules with every value of every option, and some that random options do not make."""
    cls, draws = CLASSES[name], random.Random(name)
    drawn = [cls(**{k: draws.choice(v) for k, v in cls.options.items()}) for _ in range(n if cls.options else 0)]
    first = [cls(**{k: v[i % len(v)] for k, v in cls.options.items()}) for i in range(4 if cls.options else 0)]
    return FIXED.get(name, []) + first + drawn


PURE = sorted(set(CLASSES) - {"ReduceLROnPlateau"})
CLOSED = [name for name in PURE if hasattr(getattr(torch.optim.lr_scheduler, name, None), "_get_closed_form_lr")]
pure = pytest.mark.parametrize("name", PURE)


def steps_of(schedule):
    return schedule.total_steps if isinstance(schedule, OneCycleLR) else 11


def given(made):
    """Rate and momentum of every group, by the name of its first parameter."""
    return {g["param_names"][0]: (g["lr"], g.get("momentum", g.get("betas", (0,))[0])) for g in made.param_groups}


def compare(schedule, opt, t, made):
    """Torch multiplies t times where this takes a power: t roundings; ratios of cosines near their zero amplify them
    by the square of the number of steps."""
    at = schedule.at(opt, t)
    amplified = 100 if "Cosine" in repr(schedule) else 1
    for name, (lr, momentum) in given(made).items():
        own = at.of(name)
        assert abs(own.lr - lr) <= 8 * EPS * (t + 1) * amplified * max(1.0, lr), (schedule, t)
        ours = own.betas[0] if isinstance(own, Adam) else own.momentum
        assert abs(ours - momentum) <= 8 * EPS, (schedule, t)


@pure
@pytest.mark.parametrize("opt", OPTIMIZERS, ids=lambda o: type(o).__name__)
def test_rates_and_momenta_equal_torch(name, opt):
    for schedule in examples(name):
        made, _ = to_torch_optim(opt, PARAMS)
        scheduler = to_torch_schedule(schedule, made, opt)
        for t in range(steps_of(schedule)):
            compare(schedule, opt, t, made)
            made.step()
            scheduler.step()


def test_schedules_with_a_closed_form_in_torch_are_known():
    assert CLOSED == [
        "ConstantLR", "CosineAnnealingLR", "ExponentialLR", "LinearLR", "MultiStepLR", "PolynomialLR", "StepLR",
    ]  # fmt: skip


@pytest.mark.parametrize("name", CLOSED)
def test_the_closed_form_is_torchs_own(name):
    for schedule in examples(name):
        made, _ = to_torch_optim(OPTIMIZERS[0], PARAMS)
        scheduler = to_torch_schedule(schedule, made, OPTIMIZERS[0])
        for t in range(steps_of(schedule)):
            at = schedule.at(OPTIMIZERS[0], t)
            ours = [at.of(g["param_names"][0]).lr for g in made.param_groups]
            np.testing.assert_array_max_ulp(np.array(ours), np.array(scheduler._get_closed_form_lr()), maxulp=2)
            made.step()
            scheduler.step()


@pure
@pytest.mark.parametrize("t", [2, 5])
def test_a_training_begun_by_hand_goes_on_in_torch(name, t):
    for schedule in examples(name, 4)[-30:]:
        opt = OPTIMIZERS[0]
        made, _ = to_torch_optim(opt, PARAMS)
        scheduler = to_torch_schedule(schedule, made, opt, t)
        for k in range(t, steps_of(schedule)):
            compare(schedule, opt, k, made)
            made.step()
            scheduler.step()


@pure
def test_a_training_begun_in_torch_goes_on_by_hand(name):
    for schedule in examples(name, 4)[-30:]:
        made, _ = to_torch_optim(OPTIMIZERS[0], PARAMS)
        scheduler = to_torch_schedule(schedule, made, OPTIMIZERS[0])
        for _ in range(4):
            made.step()
            scheduler.step()
        t = schedule.resume(scheduler.state_dict())
        assert t == 4 == schedule.resume(schedule.state_dict(OPTIMIZERS[0], 4))


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_a_schedule_is_the_expression_that_it_prints(name):
    for schedule in examples(name):
        again = eval(repr(schedule), vars(manualbp.optim) | {"Falling": Falling})
        assert again == schedule
        assert hash(again) == hash(schedule)


# ReduceLROnPlateau


@pytest.mark.parametrize("seed", range(30))
def test_a_plateau_is_torchs(seed):
    rng = random.Random(seed)
    plateau = ReduceLROnPlateau(**{k: rng.choice(v) for k, v in ReduceLROnPlateau.options.items()})
    if seed % 3 == 0:
        plateau = ReduceLROnPlateau(patience=1, min_lr=(0.01, 0.2), cooldown=1)
    opt = OPTIMIZERS[seed % 2]
    made, _ = to_torch_optim(opt, PARAMS)
    scheduler, state = to_torch_schedule(plateau, made, opt), plateau.init(opt)
    for t in range(25):
        value = rng.choice([1.0, 0.9, 0.89, -1.0, float("nan"), 1 / (t + 1)])
        scheduler.step(value)
        state = plateau.observe(state, value)
        compare_plateau(plateau, opt, state, scheduler, made)
        if t == 12:  # go on from what the other side saved
            state = plateau.resume(scheduler.state_dict())
            made, _ = to_torch_optim(opt, PARAMS)
            scheduler = to_torch_schedule(plateau, made, opt, state)


def compare_plateau(plateau, opt, state, scheduler, made):
    at = plateau.at(opt, state)
    for name, (lr, _) in given(made).items():
        assert at.of(name).lr == lr
    for slot in ("best", "num_bad_epochs", "cooldown_counter", "last_epoch"):
        assert state[slot] == getattr(scheduler, slot)


# Parts that are easily got wrong


def test_a_schedule_changes_nothing():
    opt = OPTIMIZERS[0]
    later = StepLR(1, 0.5).at(opt, 3)
    assert (opt.lr, opt.groups[0].options["lr"]) == (0.3, 0.7)
    assert (later.lr, later.groups[0].options["lr"]) == (0.3 / 8, 0.7 / 8)
    assert StepLR(1, 0.5).at(SGD(lr=1.0), 3) == SGD(lr=0.125)


def test_one_cycle_goes_from_end_to_end():
    cycle = OneCycleLR(1.0, 100)
    assert cycle.lr(0, 9.0) == pytest.approx(1 / 25)
    assert cycle.lr(29, 9.0) == 1.0
    assert cycle.lr(99, 9.0) == pytest.approx(1 / 25e4, rel=1e-9)
    assert (cycle.momentum(0), cycle.momentum(29), cycle.momentum(99)) == (0.95, 0.85, 0.95)


# Completeness

EXCLUDED = {"LRScheduler": "torch's base class", "EPOCH_DEPRECATION_WARNING": "a text"}
SWA = {"SWALR"}  # of torch.optim.swa_utils


def test_every_scheduler_of_torch_is_here_or_excluded_with_a_reason():
    assert set(torch.optim.lr_scheduler.__all__) - CLASSES.keys() - EXCLUDED.keys() == set()
    assert CLASSES.keys() - set(torch.optim.lr_scheduler.__all__) == SWA


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_options_are_those_of_torch_in_name_order_and_default(name):
    module = torch.optim.swa_utils if name in SWA else torch.optim.lr_scheduler
    theirs = inspect.signature(getattr(module, name).__init__).parameters
    want = {n: p.default for n, p in theirs.items() if n not in ("self", "optimizer", "last_epoch")}
    ours = {n: p.default for n, p in inspect.signature(CLASSES[name]).parameters.items()}
    assert list(ours) == list(want)
    assert ours == want


@pytest.mark.parametrize("name", sorted(set(CLASSES) - {"LambdaLR", "MultiplicativeLR"}))
def test_every_option_that_changes_a_number_is_tried(name):
    tried = {n for s in examples(name) for n, v in options_of(s).items() if v is not None}
    assert tried | {"epochs", "steps_per_epoch", "step_size_down", "scale_fn"} >= set(options_of(examples(name)[0]))
    for option, values in CLASSES[name].options.items():
        assert {getattr(s, option) for s in examples(name)} >= set(values)


# Messages


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda: StepLR(0), r"StepLR\(0\) needs step_size ≥ 1"),
        (lambda: ConstantLR(2.0), r"needs factor in \[0, 1\] and total_iters ≥ 1"),
        (lambda: LinearLR(0.0), r"needs start_factor in \(0, 1\]"),
        (lambda: PolynomialLR(0), "needs total_iters ≥ 1"),
        (lambda: CosineAnnealingLR(0), "needs T_max ≥ 1"),
        (lambda: CosineAnnealingWarmRestarts(2, 0), "needs T_0 ≥ 1 and T_mult ≥ 1"),
        (lambda: CyclicLR(0.1, 1.0, mode="square"), "needs mode triangular, triangular2, exp_range, or scale_fn"),
        (lambda: CyclicLR(0.1, 1.0).at(manualbp.optim.Adagrad(), 0), "needs an optimizer with momentum or betas; it"),
        (lambda: OneCycleLR(1.0), "needs total_steps ≥ 1, or epochs and steps_per_epoch"),
        (lambda: OneCycleLR(1.0, 10, pct_start=0.1), "needs phases of some steps each"),
        (lambda: OneCycleLR(1.0, 10, anneal_strategy="sine"), 'needs anneal_strategy "cos" or "linear"'),
        (lambda: OneCycleLR(1.0, 10).lr(11, 1.0), "needs t ≤ total_steps; it got 11"),
        (lambda: SWALR(0.1, -1), "needs anneal_epochs ≥ 0"),
        (lambda: ReduceLROnPlateau(factor=1.0), "needs factor < 1"),
        (lambda: ReduceLROnPlateau("up"), 'needs mode "min" or "max"'),
        (lambda: ChainedScheduler(()), "needs at least one schedule"),
        (lambda: ChainedScheduler((OneCycleLR(1.0, 9),)), r"may be combined; OneCycleLR\(1.0, total_steps=9\) may not"),
        (lambda: SequentialLR((StepLR(1),), (2,)), "needs one milestone less than schedules"),
        (lambda: SequentialLR((StepLR(1),) * 3, (4, 2)), "needs milestones in order"),
        (lambda: SequentialLR((ReduceLROnPlateau(),), ()), "may be combined; ReduceLROnPlateau"),
    ],
)
def test_a_mistake_is_named(wrong, told):
    with pytest.raises(ValueError, match=told):
        wrong()
