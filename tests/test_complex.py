"""Complex numbers inside of models: real architectures, every operation on them, and conjugates forgotten."""

import numpy as np
import pytest
import torch
from complex_models import MODELS
from models import Does
from torch import nn

from manualbp import operations as ops
from manualbp.base import flatten, options_of, registry, tree_map
from manualbp.sampling import Values
from reference import check_layer, check_model, from_torch, record
from reference.compare.comparison import compare
from reference.compare.slopes import derivatives
from reference.draw.case import upstream
from reference.draw.trial import Trial, cast
from reference.models import examine_model
from reference.sides.hand import Hand
from reference.sides.module import twin_of

OPERATIONS = {n: c for n, c in registry().items() if issubclass(c, ops.Operation) and c.of_complex}
GIVES_COMPLEX = ("ViewAsComplex", "Complex", "AsComplex", "Rfftn")  # of real numbers
ONE_KIND = (  # in torch, which takes no real operand beside a complex one there
    "Matmul", "Einsum", "Outer", "Addmm", "IndexAdd", "Scatter", "ScatterAdd", "MaskedFill", "Where", "SetItem",
)  # fmt: skip


def made(name):
    torch.manual_seed(1)
    model, sample = MODELS[name]
    return model(), sample()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", MODELS)
def test_a_model_with_complex_numbers_inside(name, dtype):
    model, x = made(name)
    report = check_model(model, *x, dtype=dtype, by_layer=True)
    assert report, str(report)
    assert {n for n, _ in model.named_parameters()} <= {t.of.path for t in report.tensors if t.is_gradient}


# Every operation


def example(cls, rng):
    """A random one, and its input with complex numbers among the real arrays."""

    def choose(*options):
        return options[rng.integers(len(options))]

    while True:
        shape = tuple(int(n) for n in rng.integers(1, 5, choose(*cls.ranks)))
        layer = cls.example(choose, shape)
        if layer is None or getattr(layer, "rounding_mode", None) or getattr(layer, "dtype", None):
            continue
        x = layer.sample(Values(rng), shape)
        return layer, x if cls.__name__ in GIVES_COMPLEX else turned(x, rng, cls.__name__)


def turned(x, rng, name):
    """Real arrays as complex ones; where torch takes both at once, at times not all."""
    if not isinstance(x, tuple):
        return x + 1j * rng.standard_normal(x.shape)
    real = [np.asarray(a).dtype.kind == "f" for a in x]
    some = [name in ONE_KIND or rng.integers(3) > 0 for _ in x]
    some[real.index(True)] |= not any(some)
    return tuple(a + 1j * rng.standard_normal(a.shape) if r and s else a for a, r, s in zip(x, real, some))


def trial_of(layer, x, dtype, rng):
    x = cast(x, dtype)
    dy = tree_map(lambda a: upstream(rng.standard_normal, a), layer.forward({}, x)[0])
    return Trial(x, params={}, dy=cast(dy, dtype))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_on_complex_numbers_is_torchs(name, dtype):
    rng = np.random.default_rng(sum(map(ord, name)))
    for _ in range(25):
        layer, x = example(OPERATIONS[name], rng)
        trial = trial_of(layer, x, dtype, rng)
        found = compare(Hand(layer), twin_of(layer), trial)
        assert not found.wrong, f"{layer} of {trial}: {found.wrong}"


NO_SLOPE = ("Detach", "Eq", "Ne")


@pytest.mark.parametrize("name", [n for n in OPERATIONS if n not in NO_SLOPE])
def test_its_gradient_is_the_derivative_of_its_forward(name):
    rng = np.random.default_rng(len(name))
    for _ in range(8):
        layer, x = example(OPERATIONS[name], rng)
        trial = trial_of(layer, x, "float64", rng)
        if layer.derives(x):
            wrong = [d for d in derivatives(layer, {}, trial.x, trial.dy) if not d.ok]
            assert not wrong, f"{layer} of {trial}: {wrong}"


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_precision_of_complex_numbers_is_kept(name):
    rng = np.random.default_rng(len(name))
    for dtype, both in ((np.float32, (np.float32, np.complex64)), (np.longdouble, (np.longdouble, np.clongdouble))):
        layer, x = example(OPERATIONS[name], rng)
        run = Hand(layer).run(trial_of(layer, x, dtype, rng))
        assert all(a is None or a.dtype.kind not in "fc" or a.dtype in both for a in run.values()), f"{layer}: {run}"


def test_a_real_operand_of_a_complex_operation_gets_the_real_part():
    a, z, dy = np.array([2.0, -1.0]), np.array([1 + 2j, 3j]), np.array([1 - 1j, 2 + 1j])
    _, cache = ops.Mul().forward({}, (a, z))
    (da, dz), _ = ops.Mul().backward({}, cache, dy)
    assert da.dtype == float
    assert np.array_equal(da, (z.conj() * dy).real)
    assert np.array_equal(dz, a * dy)


# What is wrong


class UnconjugatedProduct(ops.Mul):
    def df(self, a, b, y, dy):
        return b * dy, a * dy


class UnconjugatedMatmul(ops.Matmul):
    def backward(self, params, cache, dy):
        a, b, shape = cache
        dx, dp = super().backward(params, (a.conj(), b.conj(), shape), dy)
        return dx, dp


class UnconjugatedSum(ops.Einsum):
    def of(self, k, wide, terms, out, dy):
        return super().of(k, tuple(a.conj() for a in wide), terms, out, dy)


class UnconjugatedExponential(ops.Exp):
    def backward(self, params, cache, dy):
        return dy * cache[1], {}


class ConjugatedModulus(ops.Modulus):
    def back(self, z, dy):
        return super().back(z.conj(), dy)


class StraightConjugate(ops.Conj):
    def back(self, z, dy):
        return dy


class ForwardTransform(ops.Fftn):
    """The transpose in the place of the adjoint: a transform of dy where its inverse is wanted."""

    def backward(self, params, cache, dy):
        dx, dp = super().backward(params, cache, dy.conj())
        return dx.conj(), dp


class NormKept(ops.Rfftn):
    @property
    def exchanged(self):
        return "ortho" if self.norm == "ortho" else "backward"


class NotCountedTwice(ops.Irfftn):
    def backward(self, params, cache, dy):
        dx, dp = super().backward(params, cache, dy)
        axis = cache[1][-1]
        return ops.fourier.twice(dx, axis, cache[2][-1], 0.5), dp


class CountedTwice(ops.Rfftn):
    def backward(self, params, cache, dy):
        _, axes, sizes = cache
        return super().backward(params, cache, ops.fourier.twice(dy, axes[-1], sizes[-1], 2))


class ConjugatedPairs(ops.ViewAsReal):
    def back(self, z, dy):
        return super().back(z, dy).conj()


WRONG = [
    (UnconjugatedProduct, "rotary attention"),
    (UnconjugatedProduct, "GFNet"),
    (UnconjugatedSum, "FNO"),
    (UnconjugatedMatmul, "complex network"),
    (UnconjugatedExponential, "S4D"),
    (ConjugatedModulus, "RotatE"),
    (StraightConjugate, "Autoformer"),
    (ForwardTransform, "low pass"),
    (NormKept, "long convolution"),
    (NotCountedTwice, "short-time transform"),
    (CountedTwice, "spectral loss"),
    (ConjugatedPairs, "rotary attention"),
]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("cls", "name"), WRONG, ids=lambda v: getattr(v, "__name__", v))
def test_a_conjugate_forgotten_is_seen_and_has_its_node(cls, name, dtype):
    (right,) = cls.__bases__

    def changed(layer):
        return cls(**options_of(layer)) if type(layer) is right else layer

    model, x = made(name)
    report = examine_model(model, x, {}, dtype=dtype, change=lambda graph: graph.map(changed))
    assert report.verdict == "wrong"
    assert report.wrong_side == "backward"
    assert all(t.is_gradient for t in report.tensors if not t.ok)
    wrong = [report.graph.children()[n] for n, c in report.nodes.items() if c.wrong]
    assert wrong
    assert {type(layer) for layer in wrong} == {cls}


# What is refused


def written_as_real(x):
    z = torch.fft.fft(x)
    z.real.mul_(2)
    return z.abs()


def written_as_conjugate(x):
    z = torch.fft.fft(x)
    z.conj().mul_(1j)
    return z.real


REFUSED = [
    (lambda x: torch.fft.fft(x).prod(1).real, r"Prod has no gradient by complex numbers.*z\.abs\(\)"),
    (lambda x: torch.sigmoid(torch.fft.fft(x)).real, "Sigmoid has no gradient by complex numbers"),
    (lambda x: torch.fft.fft(x).cumprod(0).real, "Cumprod has no gradient by complex numbers"),
    (lambda x: torch.fft.fft(x).to(x.dtype), r"the imaginary part is lost: write z\.real"),
    (lambda x: torch.linalg.inv(torch.fft.fft(x)).real, "Inverse has no gradient by complex numbers"),
    (written_as_real, r"put the parts together by torch\.complex"),
    (written_as_conjugate, r"x = x\.clone\(\) before the change"),
    (lambda x: torch.fft.fft(x).to(torch.complex32).real, "so nothing in it becomes torch.complex32"),
]


@pytest.mark.filterwarnings("ignore:Casting complex values", "ignore:ComplexHalf support")
@pytest.mark.parametrize(("f", "told"), REFUSED)
def test_what_is_not_read_is_refused_with_its_place(f, told):
    with pytest.raises((TypeError, ValueError), match=told) as e:
        check_model(Does(f), torch.randn(4, 4))
    assert "test_complex.py" in str(e.value)


def test_an_operation_of_complex_numbers_says_what_it_takes():
    for layer, x in ((ops.Real(), np.ones(3)), (ops.ViewAsComplex(), np.ones((2, 3))), (ops.Rfftn(), np.ones(3) + 1j)):
        with pytest.raises(ValueError, match=type(layer).__name__):
            layer.forward({}, x)
    for options, told in (({"norm": "orthogonal"}, "norm is None"), ({"s": (3,), "dim": (0, 1)}, "a length for each")):
        with pytest.raises(ValueError, match=told):
            ops.Fftn(**options)
    with pytest.raises(ValueError, match="none of them 0 long"):
        ops.Irfftn().forward({}, np.ones((2, 1), complex))


def test_a_recording_of_complex_numbers_is_refused(tmp_path):
    model, x = made("FNet")
    with pytest.raises(ValueError, match="a recording is of real numbers alone"):
        record(model, *x, folder=tmp_path / "golden")


@pytest.mark.parametrize("cls", [ForwardTransform, ConjugatedModulus, NotCountedTwice])
def test_a_layer_of_complex_numbers_is_checked_by_its_own_differences(cls):
    (right,) = cls.__bases__
    assert check_layer(right)
    report = check_layer(cls)
    assert (report.verdict, report.wrong_side, report.culprit) == ("wrong", "backward", "dx")


# What is read


def test_a_graph_has_complex_parameters_and_buffers():
    model, x = made("complex network")
    graph, params = from_torch(model, *x)
    assert flatten(params)["first.weight"].dtype == np.complex64
    y, cache = graph.forward(params, x[0].numpy())
    _, grads = graph.backward(params, cache, y)
    assert {g.dtype for n, g in flatten(grads).items() if n != "b"} == {np.dtype(np.complex64)}
    assert flatten(grads)["b"].dtype == np.float32


def test_a_double_model_may_keep_a_complex_buffer():
    model, x = made("rotary attention")
    assert model.double().freqs_cis.dtype == torch.complex64
    assert check_model(model, x[0].double())


class Plain(nn.Module):
    """A table in a plain attribute, and real numbers where complex ones may be."""

    def __init__(self):
        super().__init__()
        self.table = torch.polar(torch.ones(4), torch.arange(4.0))

    def forward(self, x):
        z = x.cfloat() * self.table + torch.real(x) - 1j
        z[:, 1] = x[:, 0]
        z[:, 2] = 2 + 1j
        return torch.cat([z, x], 1).imag, z.sum(), torch.conj(x).abs()


def test_complex_constants_and_real_numbers_beside_them():
    for dtype in ("float64", "float32"):
        report = check_model(Plain(), torch.randn(3, 4), dtype=dtype, by_layer=True)
        assert report, str(report)
