"""Sequences of different lengths in one batch: what is beyond an end counts nowhere, and torch's packed ones agree."""

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from manualbp import GRU, LSTM, RNN
from reference.twin.layers import to_torch

LENGTHS = np.array([3, 5, 1, 5])
LAYERS = [RNN(2, 3, bidirectional=True), LSTM(2, 3, num_layers=2, bidirectional=True, proj_size=2), GRU(2, 3)]


def drawn(layer):
    rng = np.random.default_rng(0)
    return layer.init(rng), rng.standard_normal((5, 4, 2)), rng


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_it_is_what_torch_makes_of_packed_sequences(layer):
    params, x, _ = drawn(layer)
    (y, _), _ = layer.forward(params, (x, None, LENGTHS))
    module = getattr(torch.nn, type(layer).__name__)
    twin = to_torch(layer, params)
    packed = pack_padded_sequence(torch.from_numpy(x), torch.from_numpy(LENGTHS), enforce_sorted=False)
    theirs, _ = pad_packed_sequence(module.forward(twin, packed)[0], total_length=5)
    assert np.allclose(y, theirs.detach().numpy(), rtol=0, atol=1e-14)


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_each_sequence_is_alone_what_it_is_in_the_batch(layer):
    params, x, rng = drawn(layer)
    (y, state), cache = layer.forward(params, (x, None, LENGTHS))
    dy = rng.standard_normal(y.shape)
    (dx, *_), grads = layer.backward(params, cache, (dy, None))
    total = 0
    for n, length in enumerate(LENGTHS):
        (one, _), c = layer.forward(params, x[:length, n])
        assert np.allclose(y[:length, n], one, rtol=0, atol=1e-14)
        assert not y[length:, n].any()
        d, g = layer.backward(params, c, (dy[:length, n], None))
        assert np.allclose(dx[:length, n], d, rtol=0, atol=1e-14)
        assert not dx[length:, n].any()
        total = total + g["weight_hh_l0"]
    assert np.allclose(grads["weight_hh_l0"], total, rtol=0, atol=1e-13)
    assert (state[0] if isinstance(state, tuple) else state).shape[1] == 4


@pytest.mark.parametrize("lengths", [np.array([3, 6, 1, 5]), np.array([0, 5, 1, 5])], ids=str)
def test_a_length_beyond_the_input_is_named(lengths):
    layer = LAYERS[2]
    params, x, _ = drawn(layer)
    with pytest.raises(ValueError, match=r"lengths from 1 to T = 5"):
        layer.forward(params, (x, None, lengths))


@pytest.mark.parametrize("lengths", [np.array([3, 5]), np.array([3.0, 5, 1, 5])], ids=str)
def test_lengths_are_integers_one_a_sequence(lengths):
    layer = LAYERS[2]
    params, x, _ = drawn(layer)
    with pytest.raises(ValueError, match=r"as lengths"):
        layer.forward(params, (x, None, lengths))
