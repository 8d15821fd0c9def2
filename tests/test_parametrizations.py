"""Layers whose weight torch has parametrised."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import utils
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import orthogonal, spectral_norm, weight_norm

from manualbp import (
    LSTM,
    BatchNorm1d,
    Conv1d,
    ConvTranspose1d,
    Linear,
    Orthogonal,
    Sequential,
    SpectralNorm,
    WeightNorm,
)
from manualbp.base import flatten
from manualbp.orthogonal import exponential
from reference.compare.comparison import compare_case
from reference.draw.case import Case
from reference.models import check_model
from reference.twin.layers import from_torch, to_torch


def old(norm, *args, **options):
    """torch's older function, which says that it is deprecated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return norm(*args, **options)


SEVERAL = SpectralNorm(WeightNorm(LSTM(3, 2), "weight_hh_l0", dim=1), "weight_ih_l0", training=False)


@pytest.mark.parametrize(
    "layer",
    [
        WeightNorm(LSTM(3, 2), "weight_hh_l0"),
        WeightNorm(Linear(3, 2), "bias", None),
        SpectralNorm(Linear(3, 2), "bias"),
        SpectralNorm(Linear(3, 2), "bias", hook=True),
        SpectralNorm(LSTM(3, 2), "weight_hh_l0", training=False),
        SpectralNorm(LSTM(3, 2), "weight_hh_l0", hook=True),
        Orthogonal(LSTM(3, 2), "weight_hh_l0", "cayley"),
        SEVERAL,
    ],
    ids=repr,
)
def test_any_parameter_of_any_layer_can_be_made_of_others(layer):
    assert compare_case(Case(layer, (4, 2, 3))).verdict == "rounding"


def test_statistics_of_the_layer_inside_move():
    layer = Sequential(Linear(3, 2), WeightNorm(BatchNorm1d(2), dim=None))
    assert layer.buffer_names() == {f"1.{name}" for name in BatchNorm1d.buffers}
    assert compare_case(Case(layer, (4, 3))).verdict == "rounding"


@pytest.mark.parametrize(
    "layer",
    [
        WeightNorm(Linear(3, 2)),
        Orthogonal(Linear(3, 2), "weight", "householder", False),
        Orthogonal(Linear(2, 3), "weight", "householder", False),
    ],
    ids=repr,
)
def test_the_weight_at_the_start_is_that_of_the_layer(layer):
    (params, plain), x = (
        (f.init(np.random.default_rng(0)) for f in (layer, layer.layer)),
        np.eye(layer.layer.in_features),
    )
    if isinstance(layer, Orthogonal):  # of one that is orthogonal
        Q, _ = np.linalg.qr(plain["weight"] if plain["weight"].shape == (3, 2) else plain["weight"].T)
        plain["weight"] = Q if plain["weight"].shape == (3, 2) else Q.T
        own = layer.apart(plain["weight"], np.random.default_rng(1))
        params = layer._parted(plain, own)
    assert np.allclose(layer.forward(params, x)[0], layer.layer.forward(plain, x)[0], rtol=0, atol=1e-15)


@pytest.mark.parametrize("orthogonal_map", ["matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("sizes", [(3, 3), (2, 4), (4, 2)])
def test_the_weight_is_orthogonal_at_the_start_and_after_a_step(orthogonal_map, sizes):
    layer = Orthogonal(Linear(*sizes, bias=False), orthogonal_map=orthogonal_map)
    rng = np.random.default_rng(0)
    params = layer.init(rng)
    for _ in range(2):
        W = layer.forward(params, np.eye(sizes[0]))[0].T
        gram = W @ W.T if sizes[0] > sizes[1] else W.T @ W
        assert np.allclose(gram, np.eye(len(gram)), rtol=0, atol=1e-14)
        y, cache = layer.forward(params, rng.standard_normal((5, sizes[0])))
        grads = layer.backward(params, cache, rng.standard_normal(y.shape))[1]
        params["parametrizations"]["weight"]["original"] -= 0.1 * grads["parametrizations"]["weight"]["original"]


@pytest.mark.parametrize(
    ("orthogonal_map", "trivial"),
    [("matrix_exp", True), ("cayley", True), ("householder", True), ("householder", False)],
)
def test_the_start_is_that_of_torch(orthogonal_map, trivial):
    """Of a square weight, which torch completes by no random numbers."""
    torch.manual_seed(0)
    module = nn.Linear(3, 3).double()
    W = module.weight.detach().numpy().copy()
    twin = orthogonal(module, "weight", orthogonal_map, use_trivialization=trivial)
    layer = Orthogonal(Linear(3, 3), "weight", orthogonal_map, trivial)
    own = layer.apart(W, np.random.default_rng(0))
    assert np.allclose(layer.weight(own)[0], twin.weight.detach().numpy(), rtol=0, atol=1e-14)
    if orthogonal_map == "householder":
        assert np.allclose(
            np.tril(own["X"]), np.tril(twin.parametrizations.weight.original.detach()), rtol=0, atol=1e-14
        )


def test_vectors_move_in_training_towards_the_largest_singular_value():
    layer = SpectralNorm(Linear(4, 3, bias=False), n_power_iterations=50)
    params = layer.init(np.random.default_rng(0))
    x = np.eye(4)
    y, cache = layer.forward(params, x)
    assert abs(np.linalg.svd(y)[1][0] - 1) < 1e-6
    moved = layer.track(params, cache)
    u, before = moved["parametrizations"]["weight"]["0"]["_u"], params["parametrizations"]["weight"]["0"]["_u"]
    assert abs(np.linalg.norm(u) - 1) < 1e-14
    assert not np.array_equal(u, before)
    assert layer.eval().track(params, layer.eval().forward(params, x)[1]) == params
    W = params["parametrizations"]["weight"]["original"]
    assert np.allclose(layer.forward(moved, x)[0].T * np.linalg.svd(W)[1][0], W, rtol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("size", [1e-3, 0.04, 1.0, 30.0])
def test_the_exponential_is_that_of_the_eigenvalues(n, size):
    A = np.random.default_rng(0).standard_normal((n, n)) * size
    A = A - A.T
    w, V = np.linalg.eigh(1j * A)
    right = (V * np.exp(-1j * w)) @ V.conj().T
    assert np.allclose(exponential(A), right.real, rtol=0, atol=1e-15 * (n + 4 * np.abs(A).sum()))
    assert exponential(A.astype(np.float32)).dtype == np.float32


READ = {
    "weight_norm": (lambda: weight_norm(nn.Linear(3, 2), dim=1), WeightNorm(Linear(3, 2), dim=1)),
    "weight_norm of all": (lambda: weight_norm(nn.Linear(3, 2), dim=None), WeightNorm(Linear(3, 2), dim=None)),
    "spectral_norm": (lambda: spectral_norm(nn.Linear(3, 2)), SpectralNorm(Linear(3, 2), dim=0)),
    "spectral_norm of a vector": (
        lambda: spectral_norm(nn.Linear(3, 2), "bias"),
        SpectralNorm(Linear(3, 2), "bias", dim=0),
    ),
    "orthogonal": (lambda: orthogonal(nn.Linear(3, 2)), Orthogonal(Linear(3, 2), orthogonal_map="householder")),
    "older weight_norm": (lambda: old(utils.weight_norm, nn.Linear(3, 2)), WeightNorm(Linear(3, 2), hook=True)),
    "older spectral_norm": (
        lambda: utils.spectral_norm(nn.Linear(3, 2), n_power_iterations=2),
        SpectralNorm(Linear(3, 2), n_power_iterations=2, dim=0, hook=True),
    ),
    "two": (
        lambda: weight_norm(spectral_norm(nn.Linear(3, 2)), "bias"),
        WeightNorm(SpectralNorm(Linear(3, 2), dim=0), "bias"),
    ),
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", READ)
def test_a_parametrised_module_is_read(name, training):
    torch.manual_seed(0)
    make, wanted = READ[name]
    module = nn.Sequential(make(), nn.Tanh()).double().train(training)
    layer, params = from_torch(module)
    assert layer.train() == Sequential(wanted, *layer.layers[1:]).train()
    assert flatten(params).keys() == module.state_dict().keys()
    x = torch.rand(4, 3, dtype=torch.float64)
    assert np.allclose(layer.forward(params, x.numpy())[0], module(x).detach().numpy(), rtol=0, atol=1e-14)
    moved = flatten(layer.track(params, layer.forward(params, x.numpy())[1]))
    for buffer, b in module.named_buffers():
        assert np.allclose(moved[buffer], b.numpy(), rtol=0, atol=1e-14), buffer


class Around(nn.Module):
    """A model with a forward of its own."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return torch.sin(self.inner(x)) * 2


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", READ)
def test_a_model_with_a_parametrised_module_in_it_is_read_and_compared(name, training):
    torch.manual_seed(0)
    model, x = Around(READ[name][0]()).double().train(training), torch.randn(4, 3).double()
    layer, _ = from_torch(model, x)
    assert type(layer.layers[0].layer) is type(READ[name][1])  # whole
    report = check_model(model, x, by_layer=True)
    assert report, str(report)


class Doubled(nn.Module):
    def forward(self, W):
        return 2 * W


def test_another_parametrization_is_refused_without_a_sample():
    torch.manual_seed(0)
    module = nn.Linear(2, 2)
    parametrize.register_parametrization(module, "weight", Doubled())
    with pytest.raises(TypeError):
        from_torch(module)
    assert check_model(module.double(), torch.randn(3, 2).double())


@pytest.mark.parametrize(
    "layer",
    [
        SpectralNorm(Conv1d(2, 3, 2)),
        SpectralNorm(ConvTranspose1d(2, 3, 2)),
        SpectralNorm(ConvTranspose1d(2, 3, 2), dim=0),
    ],
)
def test_the_rows_are_output_channels(layer):
    u = to_torch(layer).state_dict()["parametrizations.weight.0._u"]
    assert len(u) == len(layer.init(np.random.default_rng(0))["parametrizations"]["weight"]["0"]["_u"])
    assert len(u) == (2 if layer.dim == 0 else 3)


def test_torch_moves_vectors_at_every_look_at_a_weight():
    layer = SpectralNorm(LSTM(3, 2), "weight_hh_l0")
    with pytest.raises(TypeError, match="several times"):
        to_torch(layer)
    module = spectral_norm(nn.LSTM(3, 2), "weight_hh_l0")
    with pytest.raises(TypeError, match=r"(?s)LSTM several times a pass.*model\.eval\(\).* in "):
        from_torch(module, torch.randn(4, 3))
    assert check_model(module.eval(), torch.randn(4, 3))


class LastState(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)[0][-1]


@pytest.mark.parametrize("norm", [weight_norm, spectral_norm, utils.weight_norm, utils.spectral_norm])
@pytest.mark.parametrize("cls", [nn.LSTM, nn.GRU, nn.RNN])
def test_a_parametrised_weight_of_a_recurrent_layer_is_read(norm, cls):
    inner = old(norm, cls(3, 2), "weight_hh_l0").eval()
    assert check_model(inner, torch.randn(4, 2, 3))
    assert check_model(LastState(inner), torch.randn(4, 2, 3))


@pytest.mark.parametrize(("name", "dim"), [("weights", 0), ("weight", 2)])
@pytest.mark.parametrize("cls", [WeightNorm, SpectralNorm])
def test_a_parameter_or_axis_that_is_not_there_is_named(cls, name, dim):
    with pytest.raises(ValueError, match=name):
        cls(Linear(3, 2), name, dim=dim)


def test_what_is_no_matrix_or_no_map_is_named():
    with pytest.raises(ValueError, match="matrix"):
        Orthogonal(Linear(3, 2), "bias")
    with pytest.raises(ValueError, match="cayley"):
        Orthogonal(Linear(3, 2), orthogonal_map="qr")
    with pytest.raises(ValueError, match="n_power_iterations"):
        SpectralNorm(Linear(3, 2), n_power_iterations=0)
