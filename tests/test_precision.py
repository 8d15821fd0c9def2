"""Precision is a thing that can be said: coarse gradients, and kernels of float32, float16 and bfloat16."""

import json

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from reference import check_function, check_gradients, check_pointwise
from reference.compare.coarse import Coarse
from reference.declared import code_of

ml_dtypes = pytest.importorskip("ml_dtypes")
ROWS = {"x": ("N", "D")}
SCALED = {"x": ("N", "D"), "w": ("D",)}


def rms_norm(x, w):
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6) * w


def kernel(inside, factor=1.0, only=None, row=None):
    """An RMS norm that computes in a format inside and gives back what it was given."""

    class Kernel(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, w):
            if only is not None and x.dtype != only:
                raise TypeError(f"{only} is wanted, and x is {x.dtype}")
            ctx.save_for_backward(x, w)
            return rms_norm(x.to(inside), w.to(inside)).to(x.dtype)

        @staticmethod
        def backward(ctx, dy):
            x, w = (t.to(inside) for t in ctx.saved_tensors)
            dy, given = dy.to(inside), dy.dtype
            r = torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6)
            g = dy * w
            dx = r * (g - x * r * r * (g * x).mean(-1, keepdim=True)) * factor
            if row is not None:
                dx[row] *= 1.03
            return dx.to(given), (dy * x * r).sum([*range(x.ndim - 1)]).to(given)

    return Kernel


def gelu_pair(c):
    """GELU by tanh, with a constant of some digits."""

    def forward(x):
        t = np.tanh(c * (x + 0.044715 * x**3))
        return 0.5 * x * (1 + t), (x, t)

    def backward(dy, cache):
        x, t = cache
        return dy * 0.5 * (1 + t + x * (1 - t * t) * c * (1 + 0.134145 * x * x))

    return forward, backward


def tanh_gelu(x):
    return F.gelu(x, approximate="tanh")


# Coarse


def test_constants_of_eight_digits_are_coarse():
    report = check_function(*gelu_pair(0.79788456), against=tanh_gelu, inputs=ROWS)
    assert report.verdict == "coarse"
    assert not report
    assert 8 <= report.digits <= 10
    assert 'dtype="float32"' in str(report)


def test_no_short_format_is_guessed_where_twelve_digits_are_right():
    assert "float32 inside" in str(Coarse(8, "float32"))
    assert "inside" not in str(Coarse(12, "float32"))


def test_what_is_coarse_is_right_in_the_precision_that_is_asked_for():
    report = check_function(*gelu_pair(0.79788456), against=tanh_gelu, inputs=ROWS, dtype="float32")
    assert report
    assert report.dtype == "float32"


def test_constants_of_four_digits_are_wrong():
    report = check_function(*gelu_pair(0.7979), against=tanh_gelu, inputs=ROWS)
    assert report.verdict == "wrong"
    assert report.digits is None


@pytest.mark.parametrize(("inside", "digits"), [(torch.float32, 5), (torch.bfloat16, 1)])
def test_a_shorter_format_inside_is_coarse(inside, digits):
    name = str(inside).removeprefix("torch.")
    report = check_function(kernel(inside), against=rms_norm, inputs=SCALED)
    assert report.verdict == "coarse"
    assert report.digits >= digits
    assert f'dtype="{name}"' in str(report)
    assert code_of([report]) == 1
    assert json.loads(report.to_json())["digits"] == report.digits


def inside_float32(f, df):
    """A function of each entry and its slope, both computed in float32, of numbers of any format."""

    class Inside(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return f(x.float()).to(x.dtype)

        @staticmethod
        def backward(ctx, dy):
            (x,) = ctx.saved_tensors
            return (dy.float() * df(x.float())).to(dy.dtype)

    return Inside


def one_term(x):
    """The slope of x · sigmoid(x) without the sigmoid's."""
    return torch.sigmoid(x)


def flat_end(x):
    """The slope of x · sigmoid(x), 0 where x is small."""
    s = torch.sigmoid(x)
    return torch.where(x < -1.5, torch.zeros_like(x), s * (1 + x * (1 - s)))


@pytest.mark.parametrize(("slope", "said"), [(one_term, "is missing"), (flat_end, None)])
def test_a_mistake_beside_the_rounding_of_float32_is_the_one_that_is_shown(slope, said):
    report = check_function(inside_float32(F.silu, slope), against=F.silu, inputs=ROWS)
    assert report.verdict == "wrong"
    assert report.culprit == "dx"
    assert max(t.error for t in report.tensors) > 1e-3  # the trial shown has the mistake
    assert not any(s.rounding for s in report.suspects), str(report)
    assert any("computed inside" in note for note in report.notes)
    if said:
        assert said in report.suspects[0].text, str(report)


def test_a_misplaced_epsilon_is_named_behind_float32():
    class Norm(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            c = x.float() - x.float().mean(-1, keepdim=True)
            r = 1 / (c.square().mean(-1, keepdim=True).sqrt() + 1e-5)
            ctx.save_for_backward(c * r, r)
            return (c * r).to(x.dtype)

        @staticmethod
        def backward(ctx, dy):
            h, r = ctx.saved_tensors
            g = dy.float()
            return (r * (g - g.mean(-1, keepdim=True) - h * (g * h).mean(-1, keepdim=True))).to(dy.dtype)

    report = check_function(Norm, against=lambda x: F.layer_norm(x, x.shape[-1:]), inputs=ROWS)
    assert report.verdict == "wrong"
    assert report.suspects
    assert "ε is added to σ" in report.suspects[0].text, str(report)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_the_format_that_is_judged_is_no_mistake(dtype):
    def forward(x, w):
        return (x.float() @ w.float()).sigmoid().to(x.dtype), (x, w)

    def backward(dy, cache):
        x, w = (t.float() for t in cache)
        y = (x @ w).sigmoid()
        dz = dy.float() * y * (1 - y) * (1 + 0.03 * (y > 0.7))
        return (dz @ w.T).to(dy.dtype), (x.T @ dz).to(dy.dtype)

    def intended(x, w):
        return (x @ w).sigmoid()

    report = check_function(forward, backward, against=intended, inputs={"x": ("N", "D"), "w": ("D", "M")}, dtype=dtype)
    assert not any("is computed in" in s.text for s in report.suspects), str(report)


def test_a_sum_in_another_order_is_a_shorter_formats_own():
    """A dy that is transposed in memory is summed in the order of its memory."""
    report = check_function(kernel(torch.float32), against=rms_norm, inputs=SCALED | {"x": ("N", "T", "D")})
    assert report.verdict == "coarse", str(report)
    assert not report.contracts


@pytest.mark.parametrize("inside", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("factor", [2.0, -1.0, 0.5])
def test_a_factor_behind_a_shorter_format_is_named(inside, factor):
    report = check_function(kernel(inside, factor), against=rms_norm, inputs=SCALED)
    assert report.verdict == "wrong"
    assert report.wrong_side == "backward"
    assert (
        report.suspects[0].relation
        == {2.0: "yours = 2 · right", -1.0: "yours = −1 · right", 0.5: "yours = ½ · right"}[factor]
    )


def test_a_small_systematic_factor_is_wrong():
    forward, backward = (lambda x: (np.tanh(x), np.tanh(x))), (lambda dy, y: (1 + 1e-7) * dy * (1 - y * y))
    assert check_function(forward, backward, against=torch.tanh, inputs=ROWS).verdict == "wrong"


def test_an_output_that_is_wrong_behind_right_gradients_is_not_coarse():
    forward, backward = (
        (lambda x: (np.tanh(x) + 0.1, np.tanh(x))),
        (lambda dy, y: (dy * (1 - y * y)).astype(np.float32)),
    )
    assert check_function(forward, backward, against=torch.tanh, inputs=ROWS).verdict == "wrong"


def test_gradients_as_numbers_may_be_coarse():
    w = np.random.default_rng(3).standard_normal((4, 3))
    g = (2 * w * np.exp(w * w)).astype(np.float32).astype(float)
    assert check_gradients({"w": g}, loss=lambda w: torch.exp(w * w).sum(), at={"w": w}).verdict == "coarse"


# Kernels of a precision


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_a_kernel_of_one_precision_is_judged_in_it(dtype):
    only = kernel(torch.float32, only=getattr(torch, dtype))
    report = check_function(only, against=rms_norm, inputs=SCALED, dtype=dtype)
    assert report.verdict == "rounding", report
    assert report.dtype == dtype
    assert f"in {dtype}" in str(report)
    assert json.loads(report.to_json())["dtype"] == dtype


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("fault", [{"factor": 1.01}, {"row": 0}, {"factor": -1.0}])
def test_a_wrong_kernel_of_few_bits_is_seen(dtype, fault):
    wrong = kernel(torch.float32, only=getattr(torch, dtype), **fault)
    report = check_function(wrong, against=rms_norm, inputs=SCALED, dtype=dtype)
    assert report.verdict == "wrong"
    assert report.culprit == "dx"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_factor_of_a_kernel_of_few_bits_is_named(dtype):
    report = check_function(kernel(torch.float32, 2.0), against=rms_norm, inputs=SCALED, dtype=dtype)
    assert report.suspects[0].relation == "yours = 2 · right"


def test_a_kernel_that_refuses_float64_is_judged_in_what_it_takes():
    report = check_function(kernel(torch.float32, only=torch.float32), against=rms_norm, inputs=SCALED)
    assert report.verdict == "rounding"
    assert report.dtype == "float32"
    assert any('dtype="float32"' in note for note in report.notes)


def test_tensors_of_bfloat16_are_taken():
    x, w = torch.randn(6, 8, generator=torch.Generator().manual_seed(1)).bfloat16(), torch.ones(8).bfloat16()
    only = kernel(torch.float32, only=torch.bfloat16)
    report = check_function(only, against=rms_norm, inputs={"x": x, "w": w})
    assert report.verdict == "rounding"
    assert report.dtype == "bfloat16"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_numpy_code_of_few_bits(dtype):
    seen = []

    def forward(x):
        seen.append(x.dtype.name)
        y = np.tanh(x)
        return y, y

    def judged(c):
        return check_function(forward, lambda dy, y: c * dy * (1 - y * y), against=torch.tanh, inputs=ROWS, dtype=dtype)

    assert judged(1)
    assert {*seen} == {dtype}
    assert judged(1.02).verdict == "wrong"


def test_activations_of_few_bits():
    assert check_pointwise(np.tanh, lambda x: 1 - np.tanh(x) ** 2, against=torch.tanh, dtype="bfloat16")
    wrong = check_pointwise(np.tanh, lambda x: 1 - np.tanh(x), against=torch.tanh, dtype="bfloat16")
    assert wrong.verdict == "wrong"


def test_an_input_that_is_written_into_is_seen_in_few_bits():
    def forward(x):
        y = x * 2
        x[0] = 0
        return y, None

    report = check_function(forward, lambda dy, _: 2 * dy, against=lambda x: 2 * x, inputs=ROWS, dtype="bfloat16")
    assert report.verdict == "wrong"
    assert "in place" in report.contracts[0]


@pytest.mark.parametrize("wrong_for", [(1, 3), (0, 0)])
def test_memory_laid_out_otherwise_is_tried_in_few_bits(wrong_for):
    class OfMemory(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 2 * x

        @staticmethod
        def backward(ctx, dy):
            wrong = dy.stride() == (wrong_for if wrong_for == (0, 0) else (1, dy.shape[0]))
            return (3 if wrong else 2) * dy

    report = check_function(OfMemory, against=lambda x: 2 * x, inputs=ROWS, dtype="bfloat16")
    assert report.verdict == "wrong"
    assert report.wrong_side == "contract"


def scaled_softmax(factor, row):
    """Softmax with its gradient, or one row of it, too large."""

    class Scaled(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = F.softmax(x, -1)
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, dy):
            y, dy = ctx.saved_tensors[0].double(), dy.double()
            dx = y * (dy - (y * dy).sum(-1, keepdim=True))
            dx[row] *= factor
            return dx.to(ctx.saved_tensors[0].dtype)

    return Scaled


@pytest.mark.parametrize("seed", [0, 2, 3])
def test_where_large_entries_cancel_small_ones_show_a_factor(seed):
    x = 5 * np.random.default_rng(seed).standard_normal((24, 48))
    given = {"x": x.astype(ml_dtypes.bfloat16)}

    def report(factor, row):
        return check_function(scaled_softmax(factor, row), against=lambda x: F.softmax(x, -1), inputs=given)

    assert report(1.0, slice(None)).verdict == "rounding"
    assert report(1.01, slice(None)).verdict == "wrong"
    one_row = report(1.03, 3)
    assert one_row.verdict == "wrong"
    assert "% in row 3" in str(one_row)


def test_where_eager_is_far_off_nothing_is_said():
    def steep(x):
        return torch.sin(1e4 * x)

    class Steep(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return steep(x.double()).to(x.dtype)

        @staticmethod
        def backward(ctx, dy):
            (x,) = ctx.saved_tensors
            return (1e4 * dy.double() * torch.cos(1e4 * x.double())).to(dy.dtype)

    report = check_function(Steep, against=steep, inputs=ROWS, dtype="bfloat16")
    assert report.verdict == "vacuous"
    assert "eager itself is far off in bfloat16" in str(report)


def test_few_bits_take_a_function_intended():
    with pytest.raises(ValueError, match="takes `against`"):
        check_function(lambda x: (2 * x, None), lambda dy, _: 2 * dy, inputs=ROWS, dtype="bfloat16")
    with pytest.raises(ValueError, match="it takes float64, float32, float16, bfloat16"):
        check_function(lambda x: (2 * x, None), lambda dy, _: 2 * dy, inputs=ROWS, dtype="fp16")
