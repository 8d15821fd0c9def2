"""The tests of optimizers are tested: each classic mistake is seen on random cases, though many hide in one step."""

import copy
import functools
import random

import numpy as np
import pytest

from manualbp.base import registry
from manualbp.optim import SGD, Group, Optimizer, StepLR, clip_grad_norm
from reference.compare.updates import lockstep
from reference.draw.steps import Steps, in_two_groups
from reference.faults import optim  # noqa: F401  (enters its mistakes)
from reference.faults.base import KNOWN
from reference.twin.optimizers import to_torch_optim, to_torch_schedule

MOST = 30  # random cases until a mistake must have been seen
FAULTS = {id: f for id, f in KNOWN.items() if id.startswith("H")}

# Every entry of the catalogue about optimizers, with what it says of one step with |g| near 1.
CATALOGUE = {
    "H01": None, "H02": None, "H03": None,
    "H04": "ratio 1.0000 at |g| = 1", "H05": "needs |g| ≤ 1e-4", "H06": "step 1 exactly equal", "H07": "from step 2",
    "H10": "needs large lr·wd", "H11": None, "H12": None, "H13": None, "H15": "needs |g| ≤ 1e-3", "H16": None,
    "H17": None, "H19": "from step 2", "H22": "needs an unused parameter", "H23": "needs two groups",
    "H24": "clipping: below", "H25": "a schedule: below", "H26": "from step 2",
}  # fmt: skip
HIDDEN = [id for id in FAULTS if CATALOGUE[id.split(".")[0]]]


@functools.cache
def made(fault, cls):
    return fault.make(cls)


def with_fault(opt, fault):
    other = copy.copy(opt)
    object.__setattr__(other, "__class__", made(fault, type(opt)))
    return other


def classes(fault):
    """The classes that can have it. One that is in all of them is tried in two."""
    found = [cls for cls in registry(Optimizer).values() if fault.applies(cls) and not cls.by_closure]
    return found if len(found) < 5 else [cls for cls in found if cls.__name__ in ("SGD", "Adam")]


def test_the_catalogue_is_complete():
    assert {id.split(".")[0] for id in FAULTS} | {"H24", "H25"} == set(CATALOGUE)


@pytest.mark.parametrize("id", FAULTS)
def test_a_mistake_is_seen_and_the_right_rule_passes(id):
    for cls in classes(FAULTS[id]):
        draws, seen = random.Random(id), False
        for seed in range(MOST):
            opt = cls.example(lambda *values, draws=draws: draws.choice(values))
            if not seen_in(FAULTS[id], opt, seed):
                continue
            seen = True
            assert not lockstep(opt, seed).wrong
            break
        assert seen, f"{FAULTS[id]} was not seen in {MOST} cases of {cls.__name__}; it needs: {FAULTS[id].needs}"


def seen_in(fault, opt, seed):
    with np.errstate(all="ignore"):
        return bool(lockstep(with_fault(opt, fault), seed).wrong)


@pytest.mark.parametrize("id", HIDDEN)
def test_on_one_step_with_gradients_near_one_it_is_not_seen(id):
    """With the options as they are, in float32, in one group: the parameters are right within rounding."""
    for cls in classes(FAULTS[id]):
        rng = np.random.default_rng(0)
        p, g = rng.standard_normal((3, 4)), rng.choice([-1, 1], (3, 4)) * rng.uniform(0.5, 2, (3, 4))
        opt = with_fault(cls(groups=(Group("another"),)), FAULTS[id])
        run = lockstep(opt, steps=Steps({"w": p}, [{"w": g}], [1.0]), dtype="float32")
        assert all(t.of.path != "w" for t in run.wrong)


@pytest.mark.parametrize("id", sorted(set(FAULTS) - set(HIDDEN) - {"H11", "H12", "H13", "H17.left", "H17.stale"}))
def test_the_others_are_seen_on_one_step(id):
    """Those that need an option are left out: without it they change nothing."""
    for cls in classes(FAULTS[id]):
        opt = in_two_groups(with_fault(cls(), FAULTS[id]))
        steps = Steps({"w": np.ones(3)}, [{"w": np.array([1.0, -2.0, 0.5])}], [1.0])
        assert lockstep(opt, steps=steps, dtype="float32").wrong


def test_a_mistake_changes_a_step_by_what_its_entry_says():
    """The ratio of the wrong step to the right one, at step 1 and 2, for one entry."""
    adam, rms = registry(Optimizer)["Adam"](), registry(Optimizer)["RMSprop"]()
    for opt, id, g, ratios in [
        (adam, "H01", 1.0, (3.162, 4.25)),
        (adam, "H02", 1.0, (0.7441, 0.8585)),
        (adam, "H04", 1.0, (1.0,)),
        (adam, "H04", 1e-3, (0.995,)),
        (adam, "H04", 1e-6, (0.0101,)),
        (adam, "H05", 1e-3, (0.9997,)),
        (adam, "H05", 1e-6, (0.767,)),
        (adam, "H05", 1e-8, (0.0613,)),
        (adam, "H06", 1.0, (1.0,)),
        (SGD(momentum=0.9, nesterov=True), "H12", 1.0, (1 / 1.9,)),
        (SGD(momentum=0.9), "H11", 1.0, (0.1,)),
        (rms, "H15", 1e-3, (0.707,)),
        (rms, "H15", 1e-5, (0.0101,)),
    ]:
        for t, want in enumerate(ratios, 1):
            assert ratio(opt, with_fault(opt, FAULTS[id]), g, t) == pytest.approx(want, rel=2e-3), (id, g, t)


def ratio(opt, wrong, g, t):
    """Of the t-th steps with a gradient that stays the same."""
    steps = []
    for o in (wrong, opt):
        params, state = {"w": np.zeros(1)}, {}
        for _ in range(t):
            before = params["w"]
            params, state = o.step(params, {"w": np.array([g])}, state)
        steps.append(params["w"][0] - before[0])
    return steps[0] / steps[1]


# H24 and H25 are no rules of an array


def clip_without_eps(grads, max_norm):
    n = np.sqrt(sum((g * g).sum() for g in grads.values()))
    return {name: g * min(1, max_norm / n) for name, g in grads.items()}


def clip_each(grads, max_norm):
    return {name: clip_grad_norm({name: g}, max_norm)[0][name] for name, g in grads.items()}


@pytest.mark.parametrize("wrong", [clip_without_eps, clip_each])
def test_h24_clipping_without_its_eps_or_array_by_array_is_seen(wrong):
    import torch

    rng = np.random.default_rng(0)
    grads = {"a": rng.standard_normal(3), "b": rng.standard_normal((2, 2))}
    tensors = {n: torch.zeros(g.shape, dtype=torch.float64, requires_grad=True) for n, g in grads.items()}
    for n, p in tensors.items():
        p.grad = torch.from_numpy(grads[n].copy())
    torch.nn.utils.clip_grad_norm_(tensors.values(), 1.0)
    clipped, _ = clip_grad_norm(grads, 1.0)
    for n, p in tensors.items():
        np.testing.assert_array_max_ulp(clipped[n], p.grad.numpy(), maxulp=8)
        assert np.abs(wrong(grads, 1.0)[n] / p.grad.numpy() - 1).max() > 1e-7
    assert all(np.array_equal(a, grads[n]) for n, a in wrong(grads, 100.0).items())  # hidden where nothing is clipped


def test_h25_a_schedule_one_step_off_is_seen_when_the_rate_moves():
    opt, schedule = SGD(lr=1.0), StepLR(3, gamma=0.5)
    made_, _ = to_torch_optim(opt, {"w": np.ones(1)})
    scheduler = to_torch_schedule(schedule, made_, opt)
    off = []
    for t in range(7):
        rate = made_.param_groups[0]["lr"]
        assert schedule.at(opt, t).lr == rate
        off.append(schedule.at(opt, t + 1).lr / rate)
        made_.step()
        scheduler.step()
    assert off == [1, 1, 0.5, 1, 1, 0.5, 1]  # lr(t)/lr(t − 1), the same for all parameters; hidden at the first step
