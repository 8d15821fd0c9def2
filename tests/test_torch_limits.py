"""Where torch itself is off, and by how much: the reason for each exception in the twins."""

import copy

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from manualbp import (
    CELU,
    GELU,
    RNN,
    BatchNorm2d,
    CrossEntropyLoss,
    CrossMapLRN2d,
    Hardsigmoid,
    MultiLabelMarginLoss,
    Sigmoid,
    SoftMarginLoss,
    Upsample,
)
from reference.compare.comparison import compare_case
from reference.draw.case import Case
from reference.sides.backends import silent
from reference.twin import known, modules
from reference.twin.layers import to_torch
from reference.twin.parametrized import exponential


def test_hardsigmoid_multiplies_by_a_sixth_rounded_to_float32():
    x = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    F.hardsigmoid(x).sum().backward()
    assert x.grad is not None
    assert x.grad.item() == float(np.float32(1) / np.float32(6))
    layer = Hardsigmoid()
    _, cache = layer.forward({}, np.array([0.3]))
    assert layer.backward({}, cache, np.array([1.0]))[0].item() == 1 / 6


def test_celu_rounds_alpha_to_float32():
    x = torch.tensor([-0.5], dtype=torch.float64, requires_grad=True)
    F.celu(x, alpha=0.3).sum().backward()
    assert x.grad is not None
    layer = CELU(0.3)
    y, cache = layer.forward({}, np.array([-0.5]))
    right = np.exp(-0.5 / 0.3)
    assert abs(layer.backward({}, cache, np.array([1.0]))[0].item() / right - 1) < 1e-15
    assert 1e-9 < abs(x.grad.item() / right - 1) < 1e-7
    assert y.item() == 0.3 * np.expm1(-0.5 / 0.3)


def test_gelu_has_no_tail_in_torch():
    x = np.array([-10.0])
    assert F.gelu(torch.tensor(x)).item() == 0
    y, cache = GELU().forward({}, x)
    assert abs(y.item() / -7.619853024160527e-23 - 1) < 1e-13  # −10 Φ(−10), mpmath
    wide, _ = GELU().forward({}, x.astype(np.longdouble))
    assert abs(float(y.item() / wide.item()) - 1) < 1e-13
    assert GELU().backward({}, cache, np.ones(1))[0].item() != 0


def test_a_sure_cross_entropy_is_zero_in_torch():
    x, t = np.array([[100.0, 0.0]]), np.array([0])
    assert F.cross_entropy(torch.tensor(x), torch.tensor(t)).item() == 0
    y, _ = CrossEntropyLoss().forward({}, (x, t))
    assert abs(y.item() / np.exp(-100.0) - 1) < 1e-15


def test_soft_margin_overflows():
    x, t = np.array([-800.0]), np.array([1])
    assert F.soft_margin_loss(torch.tensor(x), torch.tensor(t)).item() == np.inf
    assert SoftMarginLoss().forward({}, (x, t))[0].item() == 800


def test_batch_norm_takes_an_upstream_gradient_by_other_strides():
    """x has one column, so that its memory format is open; dy, the same numbers twice, lies in memory in two ways."""
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((1, 4, 4, 1)), rng.standard_normal((1, 4, 4, 1))
    layer = BatchNorm2d(4)
    params = {n: p + rng.standard_normal(p.shape) if n in ("weight", "bias") else p for n, p in layer.init(rng).items()}
    dx, grads = layer.backward(params, layer.forward(params, x)[1], dy)
    plain = torch.from_numpy(dy)
    turned = plain.transpose(1, 2).contiguous().transpose(1, 2)
    assert torch.equal(plain, turned)

    def gradients(module, dy):
        t = torch.from_numpy(x).requires_grad_()
        return [g.numpy() for g in torch.autograd.grad(module(t), [t, module.weight, module.bias], dy)]

    def off(found):
        return max(np.abs(a - b).max() for a, b in zip(found, (dx, grads["weight"], grads["bias"])))

    own = torch.nn.BatchNorm2d(4).double()
    own.load_state_dict({n: torch.from_numpy(np.array(p)) for n, p in params.items()})
    assert off(gradients(own, plain)) < 1e-13
    assert off(gradients(own, turned)) > 0.1
    assert off(gradients(to_torch(layer, params), turned)) < 1e-13


def test_max_pool3d_refuses_an_upstream_gradient_by_its_strides():
    """Without a batch, with axes of length 1, it can be read as images whose channels lie last."""
    x = torch.randn(1, 1, 3, 1, dtype=torch.float64, requires_grad=True)
    y = torch.nn.MaxPool3d((1, 2, 3), padding=(0, 1, 1), ceil_mode=True)(x)
    turned = torch.ones(1, 2, 1, 1, dtype=torch.float64).transpose(1, 2)
    assert (
        torch.autograd.grad(y, x, turned.clone(memory_format=torch.contiguous_format), retain_graph=True)[0].shape
        == x.shape
    )
    with pytest.raises(RuntimeError, match="Unsupported memory format"):
        torch.autograd.grad(y, x, turned)


def test_sigmoid_ends_where_its_exponential_overflows():
    """σ(−720) is a number; torch's is 0 from −710 on, so that a logarithm of it, the target's gradient, is infinite."""
    x = np.array([-720.0])
    assert torch.sigmoid(torch.tensor(x)).item() == 0
    y, _ = Sigmoid().forward({}, x)
    assert abs(y.item() / np.exp(-720.0) - 1) < 1e-9  # it is subnormal: few digits are left


def test_copies_of_a_decoder_layer_forget_an_activation_that_is_a_module():
    """TransformerDecoder and Transformer are made of copies; an encoder layer's keep theirs."""

    def activation():
        layer = torch.nn.TransformerDecoderLayer(4, 2, activation=torch.nn.Tanh())
        return torch.nn.TransformerDecoder(layer, 1).layers[0].activation

    assert activation() is F.relu
    with modules.keeping_activations():
        assert isinstance(activation(), torch.nn.Tanh)
    encoder = torch.nn.TransformerEncoderLayer(4, 2, activation=torch.nn.Tanh())
    assert isinstance(copy.deepcopy(encoder).activation, torch.nn.Tanh)


def test_the_backward_of_cross_map_lrn_is_not_the_gradient_of_its_forward():
    """By hand there are both: torch's under as_torch, and the gradient."""
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((2, 5, 2, 3)), rng.standard_normal((2, 5, 2, 3))
    t = torch.from_numpy(x).requires_grad_()
    module = torch.nn.CrossMapLRN2d(3, 0.5)
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        torch.autograd.gradcheck(module, (t,))
    (theirs,) = torch.autograd.grad(module(t), t, torch.from_numpy(dy))
    v, h = rng.standard_normal(x.shape), 1e-6
    up, down = (module(torch.from_numpy(x + s * h * v)).detach().numpy() for s in (1, -1))
    slope = (dy * (up - down)).sum() / (2 * h)
    for as_torch in (True, False):
        layer = CrossMapLRN2d(3, 0.5, as_torch=as_torch)
        y, cache = layer.forward({}, x)
        assert np.allclose(y, module(t).detach().numpy(), rtol=0, atol=1e-14)
        dx, _ = layer.backward({}, cache, dy)
        assert np.allclose(dx, theirs.numpy(), rtol=0, atol=1e-14) == as_torch
        assert (abs((dx * v).sum() - slope) < 1e-6) != as_torch


def test_cross_map_lrn_never_takes_channel_0_out_of_its_window():
    x = torch.zeros(1, 6, 1, 1, dtype=torch.float64)
    x[0, 0] = 2
    x[0, 5] = 1  # five channels further on, with a window of three
    meant, found = (f(3, 1.0)(x)[0, 5].item() for f in (torch.nn.LocalResponseNorm, torch.nn.CrossMapLRN2d))
    assert meant == (1 + 1 / 3) ** -0.75
    assert abs(found - (1 + 5 / 3) ** -0.75) < 1e-15


@pytest.mark.parametrize(("dtype", "angle", "off"), [(torch.float32, 0.5, 1e-5), (torch.float64, 0.04, 5e-11)])
def test_the_exponential_of_a_single_small_matrix_is_coarse(dtype, angle, off):
    A = torch.tensor([[0, -angle], [angle, 0]], dtype=dtype)
    right = np.sin(float(A[1, 0]))
    assert abs(float(torch.matrix_exp(A)[1, 0]) - right) > off
    assert abs(float(exponential(A)[1, 0]) - right) < 2 * torch.finfo(dtype).eps


def test_antialias_gives_one_row_for_all_where_the_width_is_1():
    x = torch.arange(5.0).reshape(1, 1, 5, 1)
    y = F.interpolate(x, (3, 1), mode="bilinear", antialias=True).flatten()
    right = F.interpolate(x.mT, (1, 3), mode="bilinear", antialias=True).flatten()
    assert (y == y[0]).all()
    assert right[0] < right[1] < right[2]
    layer = Upsample((3, 1), mode="bilinear", antialias=True)
    found, _ = layer.forward({}, x.numpy())
    assert np.allclose(found.ravel(), right, rtol=0, atol=1e-6)
    assert torch.allclose(to_torch(layer, dtype="float32")(x).flatten(), right)


gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@gpu
def test_hardswish_on_cuda_multiplies_by_a_sixth_rounded_to_float32():
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)
    off = (F.hardswish(x.cuda()).cpu() - F.hardswish(x)).abs().max().item()
    assert 1e-9 < off < 1e-6


@gpu
def test_a_norm_of_weights_on_cuda_has_the_digits_of_float32():
    v, g = torch.randn(3, 4, dtype=torch.float64), torch.ones(3, 1, dtype=torch.float64)
    off = (torch._weight_norm(v.cuda(), g.cuda()).cpu() - torch._weight_norm(v, g)).abs().max().item()
    assert 1e-9 < off < 1e-6


@gpu
def test_on_cuda_recurrent_layers_drop_what_is_dropped_by_hand():
    """cuDNN takes weights that share memory for those of a whole network."""
    case = Case(RNN(2, 1, num_layers=2, bias=False, dropout=0.5), (3, 2), seed=4)
    assert not compare_case(case, "cuda").wrong


# What its compilers make of it, by version: `reference.twin.known`


def compiled_beside_eager(module, *given):
    """The gradient by the first input, by aot_eager and without a compiler."""
    torch._dynamo.reset()
    found = []
    for f in (torch.compile(module, backend="aot_eager"), module):
        x = given[0].clone().requires_grad_()
        f(x, *given[1:]).sum().backward()
        found.append(x.grad)
    return found


def test_compiled_multi_label_margin_loss_counts_what_stands_after_the_end_marker():
    """Until torch 2.14: a target of −1 counts as class 0. pytorch/pytorch issue 141017."""
    x, t = torch.tensor([[0.25, 0.5, -0.25]], dtype=torch.float64), torch.tensor([[2, -1, 0]])
    theirs, right = compiled_beside_eager(torch.nn.MultiLabelMarginLoss(), x, t)
    layer = MultiLabelMarginLoss()
    dx, _ = layer.backward({}, layer.forward({}, (x.numpy(), t.numpy()))[1], np.ones(()))
    assert np.array_equal(dx[0] if isinstance(dx, tuple) else dx, right.numpy())
    fault = next(k for k in known.KNOWN if "MultiLabelMarginLoss" in k.classes)
    assert (not torch.equal(theirs, right)) == fault.holds("aot_eager")
    with fault.around():
        assert torch.equal(compiled_beside_eager(torch.nn.MultiLabelMarginLoss(), x, t)[0], right)


@pytest.mark.parametrize("options", [{}, {"p": 2, "margin": 2.0, "reduction": "sum"}, {"weight": (0.5, 2.0)}])
def test_compiled_multi_margin_loss_has_another_slope_at_its_kink(options):
    """Until torch 2.14, p = 1: the compiler writes it with clamp_min, whose slope at the bound was 1; eager has 0."""
    x, t = torch.tensor([[2.0, 1.0], [0.5, -2.0]], dtype=torch.float64), torch.tensor([0, 1])
    options = {n: torch.tensor(v, dtype=torch.float64) if n == "weight" else v for n, v in options.items()}
    theirs, right = compiled_beside_eager(torch.nn.MultiMarginLoss(**options), x, t)
    fault = next(k for k in known.KNOWN if "MultiMarginLoss" in k.classes)
    assert (not torch.equal(theirs, right)) == (fault.holds("aot_eager") and options.get("p", 1) == 1)
    with fault.around():
        assert torch.equal(compiled_beside_eager(torch.nn.MultiMarginLoss(**options), x, t)[0], right)


def test_an_exported_program_that_is_decomposed_loses_detach():
    class Cut(torch.nn.Module):
        def forward(self, x):
            return x.detach() * x

    x = torch.tensor([2.0, 3.0], requires_grad=True)
    with silent():
        program = torch.export.export(Cut(), (x,)).run_decompositions()
    (y,) = program.graph_module(x)
    (theirs,), (right,) = (torch.autograd.grad(v.sum(), x) for v in (y, Cut()(x)))
    fault = next(k for k in known.KNOWN if "Detach" in k.classes)
    assert torch.equal(theirs, 2 * right) == fault.holds("export")
    assert not fault.holds("aot_eager")
