"""Layers whose weight torch has parametrised."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import orthogonal, weight_norm

from manualbp import LSTM, BatchNorm1d, Linear, Sequential, WeightNorm
from reference.compare.comparison import compare_case
from reference.draw.case import Case
from reference.twin.layers import from_torch


@pytest.mark.parametrize("layer", [WeightNorm(LSTM(3, 2), "weight_hh_l0"), WeightNorm(Linear(3, 2), "bias", None)])
def test_any_parameter_of_any_layer_can_have_a_length_of_its_own(layer):
    assert compare_case(Case(layer, (4, 2, 3))).verdict == "rounding"


def test_statistics_of_the_layer_inside_move():
    layer = Sequential(Linear(3, 2), WeightNorm(BatchNorm1d(2), dim=None))
    assert layer.buffer_names() == {f"1.{name}" for name in BatchNorm1d.buffers}
    assert compare_case(Case(layer, (4, 3))).verdict == "rounding"


def test_the_weight_at_the_start_is_that_of_the_layer():
    layer = WeightNorm(Linear(3, 2))
    (params, plain), x = (f.init(np.random.default_rng(0)) for f in (layer, layer.layer)), np.eye(3)
    assert np.allclose(layer.forward(params, x)[0], layer.layer.forward(plain, x)[0], rtol=0, atol=1e-15)


def test_a_parametrised_module_is_read():
    module = nn.Sequential(weight_norm(nn.Linear(3, 2), dim=1), nn.Tanh()).double()
    layer, params = from_torch(module)
    assert layer.layers[0] == WeightNorm(Linear(3, 2), dim=1)
    x = torch.rand(4, 3, dtype=torch.float64)
    assert np.allclose(layer.forward(params, x.numpy())[0], module(x).detach().numpy(), rtol=0, atol=1e-15)


def test_another_parametrization_is_refused():
    with pytest.raises(TypeError):
        from_torch(orthogonal(nn.Linear(2, 2)))


@pytest.mark.parametrize(("name", "dim"), [("weights", 0), ("weight", 2)])
def test_a_parameter_or_axis_that_is_not_there_is_named(name, dim):
    with pytest.raises(ValueError, match=name):
        WeightNorm(Linear(3, 2), name, dim)
