"""Code for a device, here the CPU by another name, which goes the same way; and code for float32 alone."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from reference import check_function
from reference.sides import devices

SHAPES = {"x": ("N", "D"), "w": ("M", "D"), "b": ("M",)}
THERE = "cuda" if torch.cuda.is_available() else "cpu:0"


class Affine(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w, b):
        ctx.save_for_backward(x, w)
        return x @ w.T + b

    @staticmethod
    def backward(ctx, dy):
        x, w = ctx.saved_tensors
        return dy @ w, dy.T @ x, dy.sum(0)


class Flat(torch.autograd.Function):
    """Takes memory for contiguous that may not be, as a kernel does that is given a pointer."""

    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, dy):
        memory = torch.cat([dy.as_strided((min(dy.numel(), _reach(dy)),), (1,)), dy.new_zeros(dy.numel())])
        return 2 * memory[: dy.numel()].reshape(dy.shape)


def _reach(t):
    return 1 + sum((n - 1) * s for n, s in zip(t.shape, t.stride()))


class Module(torch.nn.Module):
    def forward(self, x):
        self.y = torch.tanh(x)
        return self.y

    def backward(self, dy):
        return dy * (1 - self.y**2)


def affine(x, w, b):
    return torch.addmm(b, x, w.T), (x, w)


def affine_backward(dy, cache):
    x, w = cache
    return torch.matmul(dy, w), dy.T @ x, dy.sum(0)


def writes(dy, cache):
    x, w = cache
    return dy @ w, dy.T @ x.mul_(2), dy.sum(0)


@pytest.mark.parametrize("dtype", [None, "float32", "bfloat16"])
@pytest.mark.parametrize(
    "given", [(Affine,), (Affine.apply,), (affine, affine_backward)], ids=["class", "apply", "pair"]
)
def test_code_on_a_device_is_judged(given, dtype):
    assert check_function(*given, against=F.linear, inputs=SHAPES, device=THERE, dtype=dtype)


def test_a_module_with_a_backward_is_judged_on_a_device():
    assert check_function(Module, against=torch.tanh, inputs={"x": ("N", "D")}, device=THERE)


@pytest.mark.parametrize("dtype", [None, "float32"])
def test_what_is_written_on_a_device_is_seen(dtype):
    report = check_function(affine, writes, against=F.linear, inputs=SHAPES, device=THERE, dtype=dtype)
    assert report.verdict == "wrong"
    assert "backward changes the input x in place" in str(report)


def test_memory_on_a_device_is_laid_out_as_here():
    for device in ("cpu", THERE):
        report = check_function(Flat, against=lambda x: 2 * x, inputs={"x": ("N", "D")}, device=device)
        assert report.wrong_side == "contract", device
        assert "transposed in memory" in str(report)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12.0).reshape(3, 4).T,
        np.arange(24.0).reshape(3, 8)[:, ::2],
        np.broadcast_to(np.float32(3), (2, 3)),
        np.zeros((0, 3)),
        np.arange(3),
        np.array(2.0),
    ],
)
def test_a_tensor_on_a_device_has_the_steps_of_its_array(array):
    there = devices.moved(array, THERE)
    assert np.array_equal(there.cpu().numpy(), array)
    assert there.dtype == torch.from_numpy(np.array(array)).dtype
    if array.flags.writeable and array.size:
        assert [s * array.itemsize for s in there.stride()] == [*array.strides]


def test_a_device_that_is_not_here_is_told():
    with pytest.raises(ValueError, match="torch cannot use device='nowhere'"):
        check_function(Affine, against=F.linear, inputs=SHAPES, device="nowhere")


def only(dtype):
    def forward(x, w, b):
        if x.dtype != dtype:
            raise TypeError(f"{dtype} alone")
        return affine(x, w, b)

    return forward


def twice(dy, cache):
    dx, dw, db = affine_backward(dy, cache)
    return dx, 2 * dw, db


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_tensors_of_one_dtype_alone_are_judged_in_it(dtype):
    forward = only(getattr(torch, dtype))
    for said in (None, dtype):
        right = check_function(forward, affine_backward, against=F.linear, inputs=SHAPES, dtype=said)
        assert right, right
        assert not any("error" in note for note in right.notes)
        wrong = check_function(forward, twice, against=F.linear, inputs=SHAPES, dtype=said)
        assert (wrong.verdict, wrong.culprit) == ("wrong", "dw")


def test_code_of_few_bits_without_against_is_told_what_it_takes():
    with pytest.raises(ValueError, match="float32 takes `against`"):
        check_function(only(torch.float32), affine_backward, inputs=SHAPES)


TURNS = itertools.count()


def summed(a):
    """The sum over the first axis, in another order every time, as atomic additions make it."""
    start, total = next(TURNS), 0.0
    for i in range(len(a)):
        total = total + a[(start + i) % len(a)]
    return total


def sine(x):
    return summed(np.sin(x)), x


def in_another_order(dy, cache):
    x, w = cache
    return dy @ w, summed(dy[:, :, None] * x[:, None, :]), summed(dy)


def test_sums_in_another_order_every_time_are_no_mistake():
    arrays = (lambda x, w, b: (x @ w.T + b, (x, w)), in_another_order)
    report = check_function(*arrays, against=F.linear, inputs=SHAPES)
    assert report.verdict == "rounding"
    assert any("differs by rounding from pass to pass" in note for note in report.notes)
    report = check_function(
        sine, lambda dy, x: dy * np.cos(x), against=lambda x: x.sin().sum(0), inputs={"x": ("N", "D")}
    )
    assert report.verdict == "rounding"


def test_what_is_left_of_the_last_pass_is_one():
    kept = []

    def backward(dy, cache):
        x, w = cache
        kept.append(1 + 1e-9 * len(kept))
        return dy @ w, dy.T @ x * kept[-1], dy.sum(0)

    assert not check_function(lambda x, w, b: (x @ w.T + b, (x, w)), backward, against=F.linear, inputs=SHAPES)


def ten_bits(t):
    """float32 as a matrix product in TF32 sees it."""
    return (
        ((t.contiguous().view(torch.int32) + 2**12) & -(2**13)).view(torch.float32) if t.dtype == torch.float32 else t
    )


def tf32(factor=1.0, alone=True):
    """A network of two layers whose products are made in TF32. alone: does it take float32 alone?"""

    def product(a, b):
        if alone and a.dtype != torch.float32:
            raise TypeError("float32 is wanted")
        return ten_bits(a) @ ten_bits(b)

    class Network(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, w, v):
            h = torch.tanh(product(x, w.T))
            ctx.save_for_backward(x, w, v, h)
            return product(h, v.T)

        @staticmethod
        def backward(ctx, dy):
            x, w, v, h = ctx.saved_tensors
            dz = product(dy, v) * (1 - h * h)
            return product(dz, w), factor * product(dz.T, x), product(dy.T, h)

    return Network


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "coarse"), (1.02, "wrong"), (2.0, "wrong")])
def test_products_in_tf32_are_coarse_and_told(factor, verdict, alone):
    inputs = {"x": ("N", "D"), "w": ("H", "D"), "v": ("M", "H")}
    report = check_function(
        tf32(factor, alone), against=lambda x, w, v: torch.tanh(x @ w.T) @ v.T, inputs=inputs, dtype="float32"
    )
    assert report.verdict == verdict, report
    assert ("allow_tf32 = False" in str(report)) == (verdict == "coarse")


class Pointer(torch.autograd.Function):
    """Reads its input as if it lay row by row, as a kernel does that is given a pointer."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        storage = torch.cat([x.as_strided((min(x.numel(), _reach(x)),), (1,)), x.new_zeros(x.numel())])
        return storage[: x.numel()].reshape(x.shape).sin()

    @staticmethod
    def backward(ctx, dy):
        return dy * ctx.saved_tensors[0].cos()


def test_a_forward_that_ignores_how_its_input_lies_is_seen():
    report = check_function(Pointer, against=torch.sin, inputs={"x": ("N", "D")})
    assert report.wrong_side == "contract"
    assert "y is another for an input that is transposed" in str(report)


def test_one_gradient_in_float32_is_coarse_and_breaks_no_contract():
    def backward(dy, x):
        return dy * np.ones_like(x), dy.astype(np.float32).sum(0).astype(dy.dtype)

    report = check_function(
        lambda x, b: (x + b, x), backward, against=lambda x, b: x + b, inputs={"x": (300, "D"), "b": ("D",)}
    )
    assert report.verdict == "coarse", report
