"""Triton kernels as people write them, right and wrong, on a GPU: python tests/benchmarks/triton_kernels.py

Seventeen kernels in float32, float16 and bfloat16: RMSNorm, softmax, LayerNorm with atomic additions, cross entropy,
SwiGLU, matrix products, and each with a mistake of its kind: a pad of 0 under the maximum, the last block left out, a
gradient taken for contiguous. Without a GPU, TRITON_INTERPRET=1 runs them; it cuts bfloat16 off where a GPU rounds.
"""

import sys
from pathlib import Path

import torch
import triton
import triton.language as tl
from rich.console import Console
from rich.table import Table
from torch.nn import functional as F  # noqa: N812

from reference import Indices, check_function

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
from triton_kernel import DEVICE, Assumes, RMSNorm, intended

INFINITE = float("inf")


def block(n):
    return triton.next_power_of_2(n)


@triton.jit
def softmax_forward(x, y, D, pad, BLOCK: tl.constexpr):
    row, column = tl.program_id(0), tl.arange(0, BLOCK)
    inside = column < D
    here = tl.load(x + row * D + column, mask=inside, other=pad).to(tl.float32)
    e = tl.exp(here - tl.max(here))
    tl.store(y + row * D + column, e / tl.sum(e), mask=inside)


@triton.jit
def softmax_backward(y, dy, dx, D, share, BLOCK: tl.constexpr):
    row, column = tl.program_id(0), tl.arange(0, BLOCK)
    inside = column < D
    p = tl.load(y + row * D + column, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(dy + row * D + column, mask=inside, other=0.0).to(tl.float32)
    tl.store(dx + row * D + column, p * (up - share * tl.sum(p * up)), mask=inside)


def softmax(pad=-INFINITE, share=1.0, contiguous=True):
    """pad: what stands beyond a row; share: how much of Σ p dy is taken off."""

    class Softmax(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x = x.contiguous()
            y = torch.empty_like(x)
            softmax_forward[(len(x),)](x, y, x.shape[1], pad, BLOCK=block(x.shape[1]))
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, dy):
            (y,) = ctx.saved_tensors
            dy, dx = dy.contiguous() if contiguous else dy, torch.empty_like(y)
            softmax_backward[(len(y),)](y, dy, dx, y.shape[1], share, BLOCK=block(y.shape[1]))
            return dx

    return Softmax


@triton.jit
def norm_forward(x, w, b, y, mean, scale, D, eps, BLOCK: tl.constexpr):
    row, column = tl.program_id(0), tl.arange(0, BLOCK)
    inside = column < D
    here = tl.load(x + row * D + column, mask=inside, other=0.0).to(tl.float32)
    m = tl.sum(here) / D
    off = tl.where(inside, here - m, 0.0)
    r = 1 / tl.sqrt(tl.sum(off * off) / D + eps)
    tl.store(mean + row, m)
    tl.store(scale + row, r)
    weight = tl.load(w + column, mask=inside, other=0.0).to(tl.float32)
    bias = tl.load(b + column, mask=inside, other=0.0).to(tl.float32)
    tl.store(y + row * D + column, off * r * weight + bias, mask=inside)


@triton.jit
def norm_backward(x, w, mean, scale, dy, dx, dw, D, share, BLOCK: tl.constexpr):
    row, column = tl.program_id(0), tl.arange(0, BLOCK)
    inside = column < D
    here = tl.load(x + row * D + column, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(dy + row * D + column, mask=inside, other=0.0).to(tl.float32)
    weight = tl.load(w + column, mask=inside, other=0.0).to(tl.float32)
    r = tl.load(scale + row)
    h = tl.where(inside, (here - tl.load(mean + row)) * r, 0.0)
    g = up * weight
    along = share * tl.sum(h * g) / D
    tl.store(dx + row * D + column, (g - tl.sum(g) / D - h * along) * r, mask=inside)
    tl.atomic_add(dw + column, up * h, mask=inside)


def layer_norm(share=1.0):
    """share: how much goes back through the variance."""

    class LayerNorm(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, w, b):
            x, w = x.contiguous(), w.contiguous()
            y, mean = torch.empty_like(x), torch.empty(len(x), device=x.device)
            scale = torch.empty_like(mean)
            norm_forward[(len(x),)](
                x, w, b.contiguous(), y, mean, scale, x.shape[1], 1e-5, BLOCK=block(x.shape[1])
            )  # fmt: skip
            ctx.save_for_backward(x, w, mean, scale)
            return y

        @staticmethod
        def backward(ctx, dy):
            x, w, mean, scale = ctx.saved_tensors
            dx, dw = torch.empty_like(x), torch.zeros(x.shape[1], device=x.device)
            norm_backward[(len(x),)](
                x, w, mean, scale, dy.contiguous(), dx, dw, x.shape[1], share, BLOCK=block(x.shape[1])
            )  # fmt: skip
            return dx, dw.to(w.dtype), dy.sum(0)

    return LayerNorm


@triton.jit
def entropy(x, t, loss, dx, V, share, BLOCK: tl.constexpr):
    row, column = tl.program_id(0), tl.arange(0, BLOCK)
    inside = column < V
    here = tl.load(x + row * V + column, mask=inside, other=-float("inf")).to(tl.float32)
    label, top = tl.load(t + row), tl.max(here)
    e = tl.exp(here - top)
    total = tl.sum(e)
    tl.store(loss + row, top + tl.log(total) - tl.sum(tl.where(column == label, here, 0.0)))
    tl.store(dx + row * V + column, (e / total - tl.where(column == label, 1.0, 0.0)) * share, mask=inside)


def cross_entropy(mean=True):
    """mean: is the gradient that of a mean, as the loss is?"""

    class CrossEntropy(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, t):
            x, t = x.contiguous(), t.contiguous()
            loss, dx = torch.empty(len(x), device=x.device), torch.empty_like(x)
            entropy[(len(x),)](x, t, loss, dx, x.shape[1], 1 / len(x) if mean else 1.0, BLOCK=block(x.shape[1]))
            ctx.save_for_backward(dx)
            return loss.mean().to(x.dtype)

        @staticmethod
        def backward(ctx, dy):
            return ctx.saved_tensors[0] * dy, None

    return CrossEntropy


@triton.jit
def gated_forward(a, b, y, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    u = tl.load(a + i, mask=i < n, other=0.0).to(tl.float32)
    v = tl.load(b + i, mask=i < n, other=0.0).to(tl.float32)
    tl.store(y + i, u * tl.sigmoid(u) * v, mask=i < n)


@triton.jit
def gated_backward(a, b, dy, da, db, n, one, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    u = tl.load(a + i, mask=i < n, other=0.0).to(tl.float32)
    v = tl.load(b + i, mask=i < n, other=0.0).to(tl.float32)
    up, s = tl.load(dy + i, mask=i < n, other=0.0).to(tl.float32), tl.sigmoid(u)
    tl.store(da + i, up * v * s * (one + u * (1 - s)), mask=i < n)
    tl.store(db + i, up * u * s, mask=i < n)


def swiglu(one=1.0, tail=True):
    """one: the 1 of σ(1 + u(1 − σ)); tail: does the last block run that is not full?"""

    class SwiGLU(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a, b):
            a, b = a.contiguous(), b.contiguous()
            y = torch.empty_like(a)
            gated_forward[(triton.cdiv(a.numel(), 64),)](a, b, y, a.numel(), BLOCK=64)
            ctx.save_for_backward(a, b)
            return y

        @staticmethod
        def backward(ctx, dy):
            a, b = ctx.saved_tensors
            da, db, n = torch.zeros_like(a), torch.zeros_like(b), a.numel()
            blocks = triton.cdiv(n, 64) if tail else max(n // 64, 1)
            gated_backward[(blocks,)](a, b, dy.contiguous(), da, db, n, one, BLOCK=64)
            return da, db

    return SwiGLU


@triton.jit
def multiply(a, b, y, M, N, K, am, ak, bk, bn, HOW: tl.constexpr, B: tl.constexpr):
    i = tl.program_id(0) * B + tl.arange(0, B)
    j = tl.program_id(1) * B + tl.arange(0, B)
    total = tl.zeros((B, B), dtype=tl.float32)
    for first in range(0, K, B):
        k = first + tl.arange(0, B)
        left = tl.load(a + i[:, None] * am + k[None, :] * ak, mask=(i[:, None] < M) & (k[None, :] < K), other=0.0)
        right = tl.load(b + k[:, None] * bk + j[None, :] * bn, mask=(k[:, None] < K) & (j[None, :] < N), other=0.0)
        total += tl.dot(left, right, input_precision=HOW)
    tl.store(y + i[:, None] * N + j[None, :], total, mask=(i[:, None] < M) & (j[None, :] < N))


def product(a, b, how):
    (m, k), n = a.shape, b.shape[1]
    y = torch.empty(m, n, dtype=a.dtype, device=a.device)
    blocks = triton.cdiv(m, 16), triton.cdiv(n, 16)
    multiply[blocks](a, b, y, m, n, k, *a.stride(), *b.stride(), how, 16)
    return y


def matmul(how, left=1.0):
    """how: in which precision tl.dot multiplies; left: times the gradient by a."""

    class Matmul(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a, b):
            ctx.save_for_backward(a, b)
            return product(a, b, how)

        @staticmethod
        def backward(ctx, dy):
            a, b = ctx.saved_tensors
            return left * product(dy, b.T, how), product(a.T, dy, how)

    return Matmul


ROWS, SCALED = {"x": ("N", "D")}, {"x": ("N", "D"), "w": ("D",)}
AFFINE, PAIR = SCALED | {"b": ("D",)}, {"a": ("N", "D"), "b": ("N", "D")}
MATRICES, LABELS = {"a": ("M", "K"), "b": ("K", "N")}, {"x": ("N", "V"), "t": Indices(("N",), below="V")}
RIGHT, WRONG, COARSE = ("identical", "rounding"), ("wrong",), ("coarse",)


def normed(x, w, b):
    return F.layer_norm(x, w.shape, w, b)


def gated(a, b):
    return F.silu(a) * b


def rows(x):
    return x.softmax(-1)


KERNELS = [  # name, kernel, function intended, inputs, verdicts in float32 and in few bits
    ("RMSNorm", RMSNorm, intended, SCALED, RIGHT, RIGHT),
    ("RMSNorm, dy taken for contiguous", Assumes, intended, SCALED, WRONG, WRONG),
    ("softmax", softmax(), rows, ROWS, RIGHT, RIGHT),
    ("softmax, padded with 0", softmax(pad=0.0), rows, ROWS, WRONG, WRONG),
    ("softmax, its diagonal alone", softmax(share=0.0), rows, ROWS, WRONG, WRONG),
    ("softmax, 0.9 of its sum", softmax(share=0.9), rows, ROWS, WRONG, WRONG),
    ("softmax, dy taken for contiguous", softmax(contiguous=False), rows, ROWS, WRONG, WRONG),
    ("LayerNorm, atomic additions", layer_norm(), normed, AFFINE, RIGHT, RIGHT),
    ("LayerNorm, the variance held constant", layer_norm(share=0.0), normed, AFFINE, WRONG, WRONG),
    ("cross entropy", cross_entropy(), F.cross_entropy, LABELS, RIGHT, RIGHT),
    ("cross entropy, the gradient of a sum", cross_entropy(mean=False), F.cross_entropy, LABELS, WRONG, WRONG),
    ("SwiGLU", swiglu(), gated, PAIR, RIGHT, RIGHT),
    ("SwiGLU, 0.9 in its slope", swiglu(one=0.9), gated, PAIR, WRONG, WRONG),
    ("SwiGLU, without the last block", swiglu(tail=False), gated, PAIR, WRONG, WRONG),
    ("matrix product", matmul("ieee"), torch.matmul, MATRICES, RIGHT, RIGHT),
    ("matrix product in TF32", matmul("tf32"), torch.matmul, MATRICES, COARSE, RIGHT),
    ("matrix product, twice the gradient by a", matmul("ieee", left=2.0), torch.matmul, MATRICES, WRONG, WRONG),
]


def main() -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("kernel", "float32", "float16", "bfloat16"):
        table.add_column(heading)
    off = 0
    for name, kernel, against, inputs, *verdicts in KERNELS:
        told = []
        for dtype, wanted in zip(("float32", "float16", "bfloat16"), (verdicts[0], verdicts[1], verdicts[1])):
            found = check_function(kernel, against=against, inputs=inputs, dtype=dtype, device=DEVICE).verdict
            told.append(found if found in wanted else f"[red]{found}[/]")
            off += found not in wanted
        table.add_row(name, *told)
    Console(width=120).print(table)
    print(f"{3 * len(KERNELS) - off} of {3 * len(KERNELS)} are judged rightly on {DEVICE}")
    sys.exit(off > 0)


if __name__ == "__main__":
    main()
