"""Kernels of few bits: what rounding does by chance is no mistake, and sums that are kept in few bits are coarse."""

from dataclasses import dataclass, field
from itertools import count

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from reference import check_function
from reference.compare.low import Low, compare_low
from reference.draw.trial import Trial
from reference.sides.eager import Eager, Rounding
from reference.sides.formats import rounded
from reference.sides.function import Function
from reference.sides.run import GRADIENT, Name
from reference.sides.side import Side

LINEAR = {"x": (200, "D"), "w": ("M", "D")}


@dataclass(frozen=True)
class OneRowOff(Side):
    """A side with one row of its gradient off by a twentieth, in its first runs, or in all."""

    of: Side
    runs: float
    made: count = field(default_factory=count)

    def run(self, trial):
        found, name = self.of.run(trial), Name(GRADIENT, "x")
        factor = np.ones((*found[name].shape[:-1], 1))
        factor[1] = 1.05 if next(self.made) < self.runs else 1.0
        return found | {name: rounded(found[name] * factor, "bfloat16")}


@pytest.mark.parametrize(("runs", "wrong"), [(1, False), (float("inf"), True)])
def test_what_is_off_on_these_bits_alone_is_rounding(runs, wrong):
    low = Low("bfloat16", (Eager(torch.tanh, format="bfloat16"), Rounding(torch.tanh, format="bfloat16")))
    rng = np.random.default_rng(1)
    trial = low.rounded(Trial({"x": rng.standard_normal((4, 30))}, seed=3, dy=rng.standard_normal((4, 30))))
    judged = OneRowOff(Eager(torch.tanh, format="bfloat16"), runs)
    assert bool(compare_low(judged, Function(torch.tanh), low, trial).wrong) == wrong


def linear(kept_in, factor=1.0, rows=200):
    """A linear layer that sums its weights' gradient over the rows in a format."""

    class Linear(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, w):
            ctx.save_for_backward(x, w)
            return (x.float() @ w.float().T).to(x.dtype)

        @staticmethod
        def backward(ctx, dy):
            x, w = ctx.saved_tensors
            dw = torch.zeros(w.shape, dtype=kept_in)
            for dy_i, x_i in zip(dy[:rows], x[:rows]):
                dw += torch.outer(dy_i.to(kept_in), x_i.to(kept_in))
            return (dy.float() @ w.float()).to(x.dtype), (factor * dw).to(w.dtype)

    return Linear


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sums_kept_in_few_bits_are_coarse(dtype):
    name = str(dtype).removeprefix("torch.")
    report = check_function(linear(dtype), against=F.linear, inputs=LINEAR, dtype=name)
    assert report.verdict == "coarse"
    assert report.digits in (1, 2)
    assert f"products or totals kept in {name}" in str(report)
    assert check_function(linear(torch.float32), against=F.linear, inputs=LINEAR, dtype=name).verdict == "rounding"


@pytest.mark.parametrize("fault", [{"factor": 1.05}, {"rows": 199}])
def test_a_mistake_is_not_hidden_by_sums_of_few_bits(fault):
    report = check_function(linear(torch.bfloat16, **fault), against=F.linear, inputs=LINEAR, dtype="bfloat16")
    assert report.verdict == "wrong"


def test_bfloat16_inside_of_float16_is_coarse():
    class Inside(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = F.softmax(x.float(), -1)
            ctx.save_for_backward(y)
            return y.to(x.dtype)

        @staticmethod
        def backward(ctx, dy):
            (y,) = ctx.saved_tensors
            dx = y * (dy.float() - (y * dy.float()).sum(-1, keepdim=True))
            return dx.bfloat16().to(dy.dtype)

    report = check_function(Inside, against=lambda x: F.softmax(x, -1), inputs={"x": ("N", "D")}, dtype="float16")
    assert report.verdict == "coarse"
    assert "of bfloat16" in str(report)


def flash_attention(scale, width=16):
    """Attention over blocks of keys, in float32; its backward makes Σ y dy of the output that it saved in few bits."""

    def blocks(k):
        return (slice(j, j + width) for j in range(0, k.shape[-2], width))

    class Flash(torch.autograd.Function):
        @staticmethod
        def forward(ctx, q, k, v):
            c, y = q.shape[-1] ** -0.5, torch.zeros(q.shape)
            top, total = torch.full((*q.shape[:-1], 1), -float("inf")), torch.zeros((*q.shape[:-1], 1))
            for b in blocks(k):
                s = q.float() @ k[..., b, :].float().mT * c
                before, top = top, torch.maximum(top, s.amax(-1, keepdim=True))
                p, kept = torch.exp(s - top), torch.exp(before - top)
                total, y = total * kept + p.sum(-1, keepdim=True), y * kept + p @ v[..., b, :].float()
            y = (y / total).to(q.dtype)
            ctx.save_for_backward(q, k, v, y, top + torch.log(total))
            return y

        @staticmethod
        def backward(ctx, dy):
            q, k, v, y, log, dy = (t.float() for t in (*ctx.saved_tensors, dy))
            c, along = q.shape[-1] ** -0.5, (dy * y).sum(-1, keepdim=True)
            dq, dk, dv = (torch.zeros_like(t) for t in (q, k, v))
            for b in blocks(k):
                p = torch.exp(q @ k[..., b, :].mT * c - log)
                ds = p * (dy @ v[..., b, :].mT - along) * c * scale
                dq += ds @ k[..., b, :]
                dk[..., b, :], dv[..., b, :] = ds.mT @ q, p.mT @ dy
            return tuple(t.to(ctx.saved_tensors[0].dtype) for t in (dq, dk, dv))

    return Flash


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_where_a_softmax_is_saturated_a_saved_output_leaves_its_last_bit(dtype):
    inputs = {"q": ("H", "N", "D"), "k": ("H", "M", "D"), "v": ("H", "M", "D")}
    asked = {"against": F.scaled_dot_product_attention, "inputs": inputs, "dtype": dtype, "seed": 2}
    assert check_function(flash_attention(1.0), **asked).verdict == "rounding"
    assert check_function(flash_attention(1.03), **asked).verdict == "wrong"
