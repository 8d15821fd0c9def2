"""Clipping, beside torch.nn.utils: all norms, and what happens at 0, infinity and nan."""

import inspect

import numpy as np
import pytest
import torch

from manualbp.base import flatten
from manualbp.optim import clip_grad_norm, clip_grad_value, get_total_norm

NORMS = [2.0, 1.0, 3.0, 0.5, 2.5, float("inf"), float("-inf"), 0.0, -1.0]
DTYPES = pytest.mark.parametrize("dtype", [np.float64, np.float32])


def grads_of(dtype, seed=0, zeros=False):
    rng = np.random.default_rng(seed)
    grads = {n: rng.standard_normal(shape).astype(dtype) for n, shape in {"a": (3, 2), "b": (), "c": (5,)}.items()}
    if zeros:
        grads["a"][0] = 0
    return {"net": grads, "unused": None}


def torch_of(grads):
    tensors = {}
    for name, g in flatten(grads).items():
        tensors[name] = torch.zeros(() if g is None else g.shape, requires_grad=True)
        if g is not None:
            tensors[name] = tensors[name].detach().to(torch.from_numpy(np.array(g)).dtype).requires_grad_()
            tensors[name].grad = torch.from_numpy(np.array(g))
    return tensors


@DTYPES
@pytest.mark.parametrize("p", NORMS)
@pytest.mark.parametrize("max_norm", [0.5, 100.0, 0.0])
def test_clip_grad_norm_is_torchs(dtype, p, max_norm):
    grads = grads_of(dtype, zeros=p in (0.0, float("-inf")))
    tensors = torch_of(grads)
    want = torch.nn.utils.clip_grad_norm_(tensors.values(), max_norm, p)
    clipped, norm = clip_grad_norm(grads, max_norm, p)
    assert clipped["unused"] is None
    assert norm.dtype == dtype
    np.testing.assert_array_max_ulp(norm, want.numpy(), maxulp=16)
    for name, g in flatten(clipped).items():
        if g is not None:
            assert g.dtype == dtype
            np.testing.assert_array_max_ulp(g, tensors[name].grad.numpy(), maxulp=24)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("p", [2.0, float("inf"), 1.0])
def test_where_a_gradient_is_not_finite(odd, p):
    grads = grads_of(np.float64)
    grads["net"]["c"][1] = odd
    tensors = torch_of(grads)
    torch.nn.utils.clip_grad_norm_(tensors.values(), 1.0, p)
    clipped, _ = clip_grad_norm(grads, 1.0, p)
    for name, g in flatten(clipped).items():
        if g is not None:
            np.testing.assert_array_equal(g, tensors[name].grad.numpy())
    with pytest.raises(ValueError, match="so they cannot be clipped to a norm"):
        clip_grad_norm(grads, 1.0, p, error_if_nonfinite=True)


@DTYPES
def test_clip_grad_value_is_torchs(dtype):
    grads = grads_of(dtype)
    grads["net"]["c"][:3] = np.nan, np.inf, -np.inf
    tensors = torch_of(grads)
    torch.nn.utils.clip_grad_value_(tensors.values(), 0.25)
    clipped = clip_grad_value(grads, 0.25)
    for name, g in flatten(clipped).items():
        if g is not None:
            assert g.dtype == dtype
            np.testing.assert_array_equal(g, tensors[name].grad.numpy())


def test_nothing_is_written_into():
    grads = grads_of(np.float64)
    before = repr(grads)
    for g in grads["net"].values():
        np.asarray(g).setflags(write=False)
    clip_grad_norm(grads, 0.1)
    clip_grad_value(grads, 0.1)
    assert repr(grads) == before


def test_without_gradients_there_is_no_norm():
    assert clip_grad_norm({"w": None}, 1.0) == ({"w": None}, 0)
    assert get_total_norm({}) == 0


@pytest.mark.parametrize("ours", [clip_grad_norm, clip_grad_value])
def test_options_are_those_of_torch(ours):
    theirs = inspect.signature(getattr(torch.nn.utils, ours.__name__ + "_")).parameters.values()
    want = [(p.name, p.default) for p in theirs if p.name != "foreach"]
    assert [(p.name, p.default) for p in inspect.signature(ours).parameters.values()][1:] == want[1:]


def test_a_negative_bound_is_refused():
    for clip in (clip_grad_norm, clip_grad_value):
        with pytest.raises(ValueError, match=f"{clip.__name__} takes .* ≥ 0; it got -1"):
            clip(grads_of(np.float64), -1)
