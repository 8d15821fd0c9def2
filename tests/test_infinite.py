"""Gradients that are infinite, as those of √y at y = 0, and samples that hold NaN: where a function is constant, torch
selects 0 whatever comes back to it, and so does the code by hand."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from models import Does
from torch import nn

import manualbp as m
from reference import check_model

ONES = torch.ones(3, 4)
FLAT = {
    "relu": F.relu, "relu6": F.relu6, "hardtanh": lambda h: F.hardtanh(h, -0.2, 0.2),
    "threshold": lambda h: F.threshold(h, 0.1, 0.0), "hardshrink": lambda h: F.hardshrink(h, 0.3),
    "softshrink": lambda h: F.softshrink(h, 0.3), "hardswish": lambda h: F.hardswish(6 * h),
    "hardsigmoid": lambda h: F.hardsigmoid(6 * h), "clamp": lambda h: h.clamp(0, 0.5),
    "clamp, of tensors": lambda h: h.clamp(0 * ONES, ONES), "prelu": lambda h: F.prelu(h, torch.tensor([0.2])),
    "sign": lambda h: torch.sign(h) + h, "round": lambda h: h.round() + h, "floor": lambda h: h.floor() + h,
    "trunc": lambda h: h.trunc() + h, "ceil": lambda h: h.ceil() + h,
    "margin_ranking": lambda h: F.margin_ranking_loss(h, 0 * h.detach(), ONES, reduction="none"),
    "hinge_embedding": lambda h: F.hinge_embedding_loss(h, torch.sign(h).detach(), reduction="none"),
    "triplet": lambda h: F.triplet_margin_loss(h, h.detach() + 1, h.detach() - 1, margin=0.01, reduction="none"),
}  # fmt: skip


@pytest.mark.parametrize("name", FLAT)
def test_an_infinite_gradient_comes_to_an_end_where_a_function_is_constant(name):
    def f(h):
        y = FLAT[name](h)
        return torch.sqrt(y - y.detach())

    torch.manual_seed(0)
    report = check_model(Does(f), torch.randn(3, 4), by_layer=True)
    assert report.verdict != "wrong", str(report)


class Apart(nn.Module):
    """All distances between embeddings, as losses of metric learning take them, and a logarithm of what relu leaves."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(4, 3)

    def forward(self, x):
        e = self.embed(x)
        squares = (e * e).sum(1)
        d = squares[:, None] + squares - 2 * e @ e.T
        return torch.sqrt(F.relu(d)), torch.log(F.relu(e)).clamp(min=-5)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_square_root_after_relu(dtype):
    torch.manual_seed(0)
    report = check_model(Apart(), torch.randn(5, 4), by_layer=True, dtype=dtype)
    assert report, str(report)


@pytest.mark.parametrize(
    "layer", [m.ReLU(), m.ReLU6(), m.Hardtanh(), m.Threshold(0.0, 1.0), m.Hardshrink(7.5), m.Softshrink(7.5),
              m.Hardswish(), m.Hardsigmoid(), m.operations.Clamp(0.0, 5.0), m.operations.Sign(), m.operations.Round()],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize("dy", [np.inf, -np.inf, np.nan])
def test_a_flat_piece_passes_nothing_whatever_comes_back(layer, dy):
    y, cache = layer.forward({}, np.array([-7.0]))
    dx, _ = layer.backward({}, cache, np.full(1, dy))
    assert dx == np.zeros(1), (y, dx)


@pytest.mark.parametrize("act", [nn.ReLU(), nn.Threshold(0.1, 0.0), nn.LeakyReLU(), nn.GELU(), nn.PReLU()], ids=str)
def test_a_sample_that_holds_nan_is_no_fault_of_the_code_and_is_said(act):
    x = torch.randn(3, 4)
    x[0, 0] = float("nan")
    report = check_model(nn.Sequential(nn.Linear(4, 2), act), x, by_layer=True)
    assert report.verdict != "wrong", str(report)
    assert any("the sample holds NaN" in note and "input" in note for note in report.notes)


def test_a_constant_in_the_place_of_a_weight_has_no_gradient():
    """A blur, a Sobel filter: kernels that forward makes."""
    kernel = torch.tensor([[[1.0, 2.0, 1.0]]])
    for f in (lambda h: F.conv1d(h[:, None], kernel), lambda h: F.linear(h, kernel[0, :, [0, 1, 1, 2]])):
        report = check_model(Does(f), torch.randn(3, 4), by_layer=True)
        assert report, str(report)
        assert not {t.name for t in report.tensors} & {"dconstant"}
