"""Averages of parameters, beside torch.optim.swa_utils."""

import numpy as np
import pytest
import torch
from torch.optim import swa_utils

import manualbp.optim
from manualbp import BatchNorm1d, Linear, Residual, Sequential, Tanh
from manualbp.base import flatten, unflatten
from manualbp.optim import EMA, SWA, update_bn
from manualbp.sampling import Values
from reference.twin.layers import to_torch

NET = Sequential(Linear(3, 4), BatchNorm1d(4), Residual(Sequential(Linear(4, 4), BatchNorm1d(4, momentum=0.5))), Tanh())
AVERAGES = [
    (SWA(), {}),
    (SWA(use_buffers=True), {"use_buffers": True}),
    (EMA(0.75), {"avg_fn": swa_utils.get_ema_avg_fn(0.75)}),
    (EMA(0.9, use_buffers=True), {"multi_avg_fn": swa_utils.get_ema_multi_avg_fn(0.9), "use_buffers": True}),
    (EMA(), {"multi_avg_fn": swa_utils.get_ema_multi_avg_fn()}),
]
EXCLUDED = {
    "AveragedModel": "a module that holds the average: SWA and EMA",
    "get_swa_avg_fn": "SWA", "get_swa_multi_avg_fn": "SWA", "get_ema_avg_fn": "EMA", "get_ema_multi_avg_fn": "EMA",
    "SWALR": "a schedule: test_schedule.py",
}  # fmt: skip


def states(n, dtype="float64"):
    """Parameters and buffers of one network at several times; counts rise."""
    for k in range(n):
        params = NET.sample_params(Values(np.random.default_rng(k)))
        flat = {name: p + k * 3 if p.dtype.kind == "i" else p.astype(dtype) for name, p in flatten(params).items()}
        yield unflatten({name: np.asarray(p) for name, p in flat.items()})


@pytest.mark.parametrize(("average", "options"), AVERAGES, ids=lambda v: repr(v) if isinstance(v, SWA | EMA) else "")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_averages_are_torchs(average, options, dtype):
    state = twin = None
    for params in states(4, dtype):
        module = to_torch(NET, params, dtype)
        twin = twin or swa_utils.AveragedModel(module, **options)
        state = state or average.init(params)
        twin.update_parameters(module)
        state = average.update(state, params)
        ours, theirs = flatten(state), {n: p.detach().numpy() for n, p in twin.state_dict().items()}
        assert ours.keys() == theirs.keys()
        for name, a in ours.items():
            assert a.dtype == theirs[name].dtype
            eps = 8 * np.finfo(dtype).eps * max(1, np.abs(theirs[name]).max())
            assert np.abs(a - theirs[name]).max() <= (eps if a.dtype.kind == "f" else 0), name


def test_the_mean_is_the_mean():
    state, seen = None, []
    for params in states(5):
        state = SWA().update(state or SWA().init(params), params)
        seen.append(params["0"]["weight"])
    np.testing.assert_allclose(state["module"]["0"]["weight"], np.mean(seen, 0), rtol=1e-15)


def test_batch_statistics_are_made_anew_as_in_torch():
    (params,) = states(1)
    rng = np.random.default_rng(0)
    batches = [rng.standard_normal((n, 3)) for n in (5, 7, 4)]
    module = to_torch(NET, params, "float64")
    swa_utils.update_bn([torch.from_numpy(x) for x in batches], module)
    before = repr(params)
    ours = update_bn(NET.eval(), params, batches)
    assert repr(params) == before
    for name, theirs in module.state_dict().items():
        a = flatten(ours)[name]
        assert np.abs(a - theirs.numpy()).max() <= 64 * 2.0**-52 * max(1, np.abs(a).max()), name
    assert ours["1"]["num_batches_tracked"] == 3


def test_everything_of_torchs_module_is_here_or_excluded_with_a_reason():
    assert set(swa_utils.__all__) - set(vars(manualbp.optim)) - EXCLUDED.keys() == set()


def test_a_mistake_is_named():
    with pytest.raises(ValueError, match=r"EMA\(decay=2.0\) needs decay in \[0, 1\]"):
        EMA(2.0)
    assert eval(repr(EMA(0.5, use_buffers=True))) == EMA(0.5, use_buffers=True)
