"""What torch takes is taken: empty batches, inputs without a batch, axes of length 0, any number of axes."""

import numpy as np
import pytest
import torch

import manualbp as m
from reference.sides.module import to_tensors
from reference.twin import modules
from reference.twin.layers import to_torch

EMPTY = [
    (m.Softmax(1), (2, 0, 3)),
    (m.Softmin(0), (0, 3)),
    (m.LogSoftmax(1), (3, 0)),
    (m.Softmax2d(), (0, 4, 2)),
    (m.CrossMapLRN2d(3), (0, 5, 5, 1)),
    (m.LocalResponseNorm(3), (0, 5, 5)),
    (m.GRUCell(1, 5), ((0, 1), (0, 5))),
    (m.LSTMCell(1, 5, bias=False), (0, 1)),
    (m.RNNCell(2, 3), (0, 2)),
    (m.LSTM(2, 3, bidirectional=True), (4, 0, 2)),
    (m.GRU(2, 3, num_layers=2), (4, 0, 2)),
    (m.BatchNorm1d(3), (0, 3, 2)),
    (m.Bilinear(2, 3, 4), ((0, 2), (0, 3))),
    (m.Conv2d(2, 3, 2), (0, 2, 4, 5)),
    (m.ConvTranspose2d(2, 3, 2), (0, 2, 4, 5)),
    (m.MaxPool2d(2), (0, 2, 4, 5)),
    (m.AdaptiveAvgPool2d(2), (0, 2, 4, 5)),
    (m.Upsample(scale_factor=2.0, mode="bilinear"), (0, 2, 4, 5)),
    (m.LayerNorm(3), (0, 3)),
    (m.SpectralNorm(m.Linear(3, 2)), (0, 3)),
    (m.Orthogonal(m.Linear(3, 2)), (0, 3)),
]
AXES = [(m.Dropout(0.5, False), (2,) * 6), (m.AlphaDropout(0.5, False), (2,) * 6), (m.Dropout2d(0.5, False), (2, 3))]
AXES += [(cls(0.5, False), (2,) * n) for cls in (m.Dropout2d, m.Dropout3d, m.FeatureAlphaDropout) for n in (0, 1, 6)]
ALONE = [
    (m.Conv1d(2, 3, 2), (2, 4)),
    (m.ConvTranspose3d(2, 3, 2), (2, 2, 3, 4)),
    (m.AdaptiveMaxPool2d(2), (3, 4, 5)),
    (m.LPPool2d(2.0, 2), (3, 4, 5)),
    (m.Linear(3, 2), (3,)),
    (m.LSTM(2, 3), (4, 2)),
    (m.TransformerEncoderLayer(4, 2, 3, dropout=0.0), (5, 4)),
    (m.InstanceNorm1d(3), (3, 4)),
]


def arrays(shape):
    """Random numbers of a shape, or a tuple of them."""
    if shape and isinstance(shape[0], tuple):
        return tuple(map(arrays, shape))
    return np.random.default_rng(0).standard_normal(shape)


def first(y):
    return first(y[0]) if isinstance(y, tuple) else y


@pytest.mark.parametrize(("layer", "shape"), EMPTY + AXES + ALONE, ids=str)
@pytest.mark.filterwarnings("ignore:.*zero-element.*:UserWarning", "ignore:.*[0126]-D input.*:UserWarning")
def test_what_torch_takes_is_taken_forward_and_back(layer, shape):
    params, x = layer.init(np.random.default_rng(0)), arrays(shape)
    y, cache = layer.forward(params, x)
    module, inputs = to_torch(layer, params), to_tensors(x, requires_grad=True)
    theirs = modules.call(module, inputs)
    assert np.allclose(first(y), first(theirs).detach().numpy(), rtol=0, atol=1e-12)
    dy = arrays(np.shape(first(y)))
    dx, _ = layer.backward(params, cache, dy if not isinstance(y, tuple) else (dy, *[None] * (len(y) - 1)))
    first(theirs).backward(torch.tensor(dy))
    assert np.allclose(first(dx), first(inputs).grad.numpy(), rtol=0, atol=1e-12)
    assert np.shape(first(dx)) == np.shape(first(x))
