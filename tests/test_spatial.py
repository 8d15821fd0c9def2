"""Layers that move between sizes: what the laws on random examples do not show."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

import manualbp as m
from manualbp.base import registry
from reference.check import check_function
from reference.draw.case import Case
from reference.laws import check_equals_differences, check_equals_torch
from reference.twin.layers import from_torch

F64 = np.ones
RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("down", "up"),
    [
        (m.Conv2d(4, 6, (3, 2), (2, 1), 1, (1, 2), 2, bias=False), (m.ConvTranspose2d, {})),
        (m.Conv2d(4, 6, 3, 3, 0, bias=False), (m.ConvTranspose2d, {"output_size": (9, 8)})),
    ],
    ids=repr,
)
def test_transposed_convolution_is_the_adjoint_of_the_convolution_with_its_weight(down, up):
    """⟨K z, x⟩ = ⟨z, Kᵀ x⟩, both forwards; and each one's backward is the other's forward."""
    cls, options = up
    z = RNG.integers(-3, 4, (2, 4, 9, 8)).astype(float)
    params = {"weight": RNG.integers(-3, 4, down.init(RNG)["weight"].shape).astype(float)}
    x, cache = down.forward(params, z)
    g = RNG.integers(-3, 4, x.shape).astype(float)
    transposed = cls(6, 4, down.kernel_size, down.stride, down.padding, 0, down.groups, False, down.dilation, **options)
    y, back = transposed.forward(params, g)
    z = z[(..., *(slice(n) for n in y.shape[-2:]))]
    assert (x * g).sum() == (down.forward(params, z)[0] * g).sum() == (z * y).sum()
    dz, grads = down.backward(params, cache, g)
    assert np.array_equal(dz[(..., *(slice(n) for n in y.shape[-2:]))], y)
    dx, grads_back = transposed.backward(params, back, z)
    assert np.array_equal(dx, x)
    assert np.array_equal(grads["weight"], grads_back["weight"])


def test_fold_and_unfold_are_adjoints():
    options = {"kernel_size": (2, 3), "dilation": (1, 2), "padding": 1, "stride": 2}
    x = RNG.standard_normal((2, 3, 6, 7))
    unfold, fold = m.Unfold(**options), m.Fold((6, 7), **options)
    y, _ = unfold.forward({}, x)
    back, _ = fold.forward({}, y)
    assert math.isclose((y * y).sum(), (x * back).sum())
    count, _ = fold.forward({}, unfold.forward({}, np.ones_like(x))[0])
    assert np.allclose(back, count * x)  # as often as windows see it


EMPTY = [
    Case(m.ConvTranspose2d(3, 2, 3, 2, bias=True), (0, 3, 4, 4)),
    Case(m.Conv2d(3, 2, 3), (0, 3, 4, 4)),
    Case(m.AdaptiveAvgPool2d(3), (0, 3, 4, 4)),
    Case(m.AdaptiveMaxPool2d((3, None)), (0, 3, 4, 5)),
    Case(m.LPPool2d(2, 2), (0, 3, 4, 4)),
    Case(m.MaxPool2d(2), (0, 3, 4, 4)),
    Case(m.FractionalMaxPool2d(2, 2), (0, 3, 4, 4)),
    Case(m.MaxUnpool2d(2), (0, 3, 4, 4)),
    Case(m.Upsample(scale_factor=2, mode="bicubic"), (0, 3, 4, 4)),
    Case(m.Upsample(scale_factor=2), (0, 3, 4, 4)),
    Case(m.Unfold(2), (0, 3, 4, 4)),
    Case(m.Fold(4, 2), (0, 12, 9)),
    Case(m.ChannelShuffle(2), (0, 4, 2, 2)),
    Case(m.BatchNorm1d(3), (0, 3, 4)),
    Case(m.BatchNorm2d(3, momentum=None), (0, 3, 4, 4)),
    Case(m.BatchNorm1d(3, track_running_stats=False), (0, 3)),
]


@pytest.mark.parametrize("case", EMPTY, ids=lambda case: f"{case.layer}, {case.shape}")
def test_an_empty_batch_gives_what_torch_gives(case):
    check_equals_torch(case)


def test_torch_has_no_backward_of_what_is_empty_in_some_layers():
    """And its PixelUnshuffle leaves an empty batch as it is."""
    x = torch.zeros(0, 4, 2, 2, requires_grad=True)
    assert nn.PixelUnshuffle(2)(x).shape == (0, 4, 2, 2)
    assert m.PixelUnshuffle(2).forward({}, np.zeros((0, 4, 2, 2)))[0].shape == (0, 16, 1, 1)
    with pytest.raises(RuntimeError, match="invalid gradient"):
        nn.PixelShuffle(2)(x).sum().backward()
    for cls in (m.AdaptiveAvgPool1d, m.AdaptiveMaxPool1d):
        with pytest.raises(RuntimeError, match="non-zero size"):
            getattr(nn, cls.__name__)(0)(torch.zeros(2, 3, 4, requires_grad=True)).sum().backward()
        y, cache = cls(0).forward({}, np.ones((2, 3, 4)))
        assert y.shape == (2, 3, 0)
        assert np.array_equal(cls(0).backward({}, cache, y)[0], np.zeros((2, 3, 4)))


@pytest.mark.parametrize("shape", [(7,), (3, 4), (2, 3, 4), (2, 3, 4, 5), (2, 3, 2, 2, 2), (2, 3, 2, 1, 2, 2)])
@pytest.mark.parametrize("cls", [m.Dropout2d, m.Dropout3d, m.FeatureAlphaDropout])
@pytest.mark.filterwarnings("ignore:.*Received a .*D input:UserWarning")  # torch may refuse it one day
def test_channels_are_dropped_whatever_the_number_of_axes_that_torch_takes(cls, shape):
    """And torch's own numbers, of 64 draws: one for all entries of a channel, another for every channel."""
    layer, own = cls(0.4), getattr(nn, cls.__name__)(0.5)
    if len(shape) < layer.least:
        with pytest.raises(ValueError, match=r"takes an array .* \(N, C, \*\)"):
            layer.forward({}, np.ones(shape), np.random.default_rng(0))
        with pytest.raises(RuntimeError, match="at least 2 dimensions"):
            own(torch.ones(shape))
        return
    check_equals_torch(Case(layer, shape, seed=1))
    channels = int(np.prod(layer.masked(np.ones(shape))))
    torch.manual_seed(0)
    drawn = torch.stack([own(torch.ones(shape)).reshape(channels, -1) for _ in range(64)])
    assert (drawn == drawn[:, :, :1]).all()
    assert len({tuple(column.tolist()) for column in drawn[:, :, 0].T}) == channels


@pytest.mark.parametrize("p", [3.0, 1.5, -1.0, -math.inf, 0.5])
@pytest.mark.parametrize("cls", [m.LPPool1d, m.LPPool2d, m.LPPool3d])
def test_power_pooling_of_positive_numbers_with_any_exponent(cls, p):
    layer = m.Sequential(m.Softplus(), cls(p, 2, stride=1, ceil_mode=True))
    case = Case(layer, (2, 3) + (4,) * cls.axes, seed=2)
    check_equals_torch(case)
    check_equals_differences(case)


def test_a_window_of_zeros_has_no_gradient_in_power_pooling():
    x = np.array([[0.0, 0.0, 3.0, -4.0]])
    y, cache = m.LPPool1d(2, 2).forward({}, x)
    assert np.array_equal(y, [[0, 5]])
    assert np.allclose(m.LPPool1d(2, 2).backward({}, cache, np.array([[10.0, 10.0]]))[0], [[0, 0, 6, -8]])


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
def test_nearest_reads_the_entries_that_torch_reads(mode):
    """Every size, and scale factors whose products with positions are rounded across an integer."""
    factors = [None, 0.3, 0.7, 1.1, 1.3, 1 / 3, 1.7, 0.9]
    for n in (1, 2, 7, 11, 14, 30):
        x = np.arange(float(n)).reshape(1, 1, n)
        for size, factor in [(o, None) for o in range(1, 50)] + [(None, s) for s in factors[1:] if int(n * s)]:
            y, _ = m.Upsample(size, factor, mode).forward({}, x)
            assert np.array_equal(y, F.interpolate(torch.tensor(x), size, factor, mode).numpy()), (n, size, factor)


def test_torch_goes_back_to_another_entry_than_nearest_read():
    """⌊2 · 1.25⌋ = 2 entries as before: forward reads ⌊p/1.25⌋ = 0, 0, backward takes entries as unchanged."""
    x = torch.tensor([[[3.0, 5.0]]], dtype=torch.float64, requires_grad=True)
    y = F.interpolate(x, scale_factor=1.25)
    assert y.tolist() == [[[3, 3]]]
    (g,) = torch.autograd.grad(y, x, torch.tensor([[[1.0, 10.0]]], dtype=torch.float64))
    assert g.tolist() == [[[1, 10]]]
    layer = m.Upsample(scale_factor=1.25)
    y, cache = layer.forward({}, x.detach().numpy())
    assert y.tolist() == [[[3, 3]]]
    assert layer.backward({}, cache, np.array([[[1.0, 10.0]]]))[0].tolist() == [[[11, 0]]]


def test_what_is_infinite_stays_where_it_is():
    x = np.zeros((1, 1, 6, 6))
    x[0, 0, 2, 3] = np.inf
    for layer in (m.Upsample(scale_factor=2.0, mode="bilinear"), m.AdaptiveAvgPool2d(4), m.Upsample(scale_factor=3)):
        y, _ = layer.forward({}, x)
        twin = type(layer).__name__
        expected = getattr(nn, twin)(**{k: v for k, v in vars(layer).items() if v not in (None, False)})(
            torch.tensor(x)
        )
        assert np.array_equal(np.isfinite(y), np.isfinite(expected.numpy())), layer
        assert not np.isfinite(y).all()


def test_fractional_pooling_keeps_the_numbers_that_a_module_was_given():
    samples = torch.rand(2, 3, 2, dtype=torch.float64)
    module = nn.FractionalMaxPool2d(2, 3, return_indices=True, _random_samples=samples)
    layer, params = from_torch(module)
    x = RNG.standard_normal((2, 3, 7, 8))
    (y, i), _ = layer.forward(params, x)
    told = module(torch.tensor(x))
    assert np.array_equal(y, told[0].numpy())
    assert np.array_equal(i, told[1].numpy())


def test_torch_refuses_windows_that_fill_a_volume():
    with pytest.raises(RuntimeError, match="too large"):
        nn.FractionalMaxPool3d(2, 2)(torch.zeros(1, 1, 3, 3, 3))
    layer = m.FractionalMaxPool3d(2, 2)
    assert layer.forward({}, np.zeros((1, 1, 3, 3, 3)), RNG)[0].shape == (1, 1, 2, 2, 2)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: m.ConvTranspose2d(2, 2, 3, output_padding=1), "output_padding takes ints less than"),
        (lambda: m.ConvTranspose2d(2, 2, 3, padding_mode="reflect"), "zeros"),
        (lambda: m.ConvTranspose1d(2, 2, 3, 2, output_size=(12,)).forward({}, F64((1, 2, 4))), "from (9,) to (10,)"),
        (lambda: m.MaxUnpool1d(2, output_size=(11,)).forward({}, (F64((1, 2, 4)), F64((1, 2, 4), int))), "(8,)"),
        (lambda: m.MaxUnpool1d(2).forward({}, (np.ones((1, 2, 4)), np.full((1, 2, 4), 8))), "from 0 to 7"),
        (lambda: m.AdaptiveAvgPool2d((1, 2, 3)), "2 ints or None"),
        (lambda: m.AdaptiveMaxPool1d(None), "an int"),
        (lambda: m.FractionalMaxPool2d(2), "one of output_size and output_ratio"),
        (lambda: m.FractionalMaxPool2d(2, output_ratio=1.5), "between 0 and 1"),
        (lambda: m.FractionalMaxPool2d(2, 3).forward({}, np.ones((1, 1, 4, 4))), "default_rng"),
        (lambda: m.Upsample(), "one of size and scale_factor"),
        (lambda: m.Upsample(2, mode="cubic"), "bicubic"),
        (lambda: m.Upsample(2, align_corners=True), "align_corners goes with"),
        (lambda: m.Upsample(2, mode="linear").forward({}, np.ones((1, 1, 2, 2))), "(N, C, L)"),
        (lambda: m.LPPool2d(0, 2), "norm_type"),
        (lambda: m.Fold(4, 2).forward({}, np.ones((1, 12, 8))), "(N, C·4, 9)"),
        (lambda: m.PixelShuffle(0), "at least 1"),
        (lambda: m.PixelShuffle(3).forward({}, np.ones((1, 4, 2, 2))), "upscale_factor = 3"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_the_right_call(call, told):
    with pytest.raises(ValueError, match=r".") as caught:
        call()
    assert told in str(caught.value)


def test_the_networks_have_pools_whose_places_an_unpooling_takes():
    from reference.draw.architectures import Drawn, plain

    pair = plain(Drawn((1, 2)), (2, 3, 5, 4), False, registry()["MaxUnpool2d"])
    assert [type(part).__name__ for part in pair.layers] == ["MaxPool2d", "MaxUnpool2d"]
    x = RNG.standard_normal((2, 3, 5, 4))
    assert pair.forward({}, x)[0].shape == x.shape


def repeated(x):
    """Nearest, twice as long."""
    return np.repeat(x, 2, -1)


def blocks(x):
    n, c, h, w = x.shape
    return x.reshape(n, c // 4, 2, 2, h, w).transpose(0, 1, 4, 2, 5, 3).reshape(n, c // 4, 2 * h, 2 * w)


def fold_back(dy):
    n, c, h, w = dy.shape
    return dy.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 3, 5, 1, 2, 4).reshape(n, 4 * c, h // 2, w // 2)


def spread(x, w):
    y = np.zeros((x.shape[0], w.shape[1], 2 * x.shape[2] + w.shape[2] - 2))
    for k in range(w.shape[2]):
        y[:, :, k : k + 2 * x.shape[2] - 1 : 2] += np.einsum("nip,io->nop", x, w[:, :, k])
    return y


def spread_back(dy, x, w):
    """dx without the stride."""
    p, taps = x.shape[2], range(w.shape[2])
    dx = sum(np.einsum("nop,io->nip", dy[:, :, k : k + p], w[:, :, k]) for k in taps)
    dw = [np.einsum("nip,nop->io", x, dy[:, :, k : k + 2 * p - 1 : 2]) for k in taps]
    return dx, np.stack(dw, -1)


@pytest.mark.parametrize(
    ("id", "forward", "backward", "truth", "inputs"),
    [
        ("E41", repeated, lambda dy: dy[..., ::2], lambda x: F.interpolate(x, scale_factor=2), {"x": ("N", "C", "L")}),
        ("E30", blocks, fold_back, lambda x: F.pixel_shuffle(x, 2), {"x": ("N", "4*C", "H", "W")}),
        ("E26", spread, spread_back, lambda x, w: F.conv_transpose1d(x, w, stride=2),
         {"x": ("N", "C", "L"), "w": ("C", "D", 3)}),
    ],
)  # fmt: skip
def test_a_mistake_in_a_function_of_ones_own_is_named(id, forward, backward, truth, inputs):
    report = check_function(forward, backward, against=truth, inputs=inputs)
    assert report.verdict == "wrong"
    assert report.suspects
    assert report.suspects[0].fault == id, report.suspects
