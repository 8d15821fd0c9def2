"""A Triton kernel beside the function that it is meant to be: RMSNorm, forward and backward.

On a machine with a GPU:   python examples/triton_kernel.py
Without one, interpreted:  TRITON_INTERPRET=1 python examples/triton_kernel.py
"""

import torch
import triton
import triton.language as tl

from reference import check_function

EPS = 1e-6
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@triton.jit
def forward_kernel(x, w, y, r, D, eps, BLOCK: tl.constexpr):
    """One row: y = x w r, with r = 1/√(mean x² + ε) kept for the backward pass."""
    row, column = tl.program_id(0), tl.arange(0, BLOCK)
    inside = column < D
    here = tl.load(x + row * D + column, mask=inside, other=0.0).to(tl.float32)
    scale = 1 / tl.sqrt(tl.sum(here * here) / D + eps)
    tl.store(r + row, scale)
    weight = tl.load(w + column, mask=inside, other=0.0).to(tl.float32)
    tl.store(y + row * D + column, here * scale * weight, mask=inside)


@triton.jit
def backward_kernel(x, w, r, dy, dx, dw, D, BLOCK: tl.constexpr):
    """One row: dx = r (g − x r² mean(g x)) with g = w dy, and its part of dw = Σ dy x r."""
    row, column = tl.program_id(0), tl.arange(0, BLOCK)
    inside = column < D
    here = tl.load(x + row * D + column, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(dy + row * D + column, mask=inside, other=0.0).to(tl.float32)
    weight = tl.load(w + column, mask=inside, other=0.0).to(tl.float32)
    scale, g = tl.load(r + row), up * weight
    along = tl.sum(g * here) / D
    tl.store(dx + row * D + column, scale * (g - here * scale * scale * along), mask=inside)
    tl.store(dw + row * D + column, up * here * scale, mask=inside)


class RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w):
        x, w = x.contiguous(), w.contiguous()
        y, r = torch.empty_like(x), torch.empty(len(x), dtype=torch.float32, device=x.device)
        forward_kernel[(len(x),)](x, w, y, r, x.shape[1], EPS, BLOCK=triton.next_power_of_2(x.shape[1]))
        ctx.save_for_backward(x, w, r)
        return y

    @staticmethod
    def backward(ctx, dy):
        x, w, r = ctx.saved_tensors
        dx, dw = torch.empty_like(x), torch.empty_like(x, dtype=torch.float32)
        block = triton.next_power_of_2(x.shape[1])
        backward_kernel[(len(x),)](x, w, r, dy.contiguous(), dx, dw, x.shape[1], BLOCK=block)
        return dx, dw.sum(0).to(w.dtype)


class Assumes(RMSNorm):
    """The same by somebody who takes dy for contiguous, which it need not be."""

    @staticmethod
    def backward(ctx, dy):
        x, w, r = ctx.saved_tensors
        dx, dw = torch.empty_like(x), torch.empty_like(x, dtype=torch.float32)
        block = triton.next_power_of_2(x.shape[1])
        backward_kernel[(len(x),)](x, w, r, dy, dx, dw, x.shape[1], BLOCK=block)
        return dx, dw.sum(0).to(w.dtype)


def intended(x, w):
    return torch.nn.functional.rms_norm(x, w.shape, w, EPS)


def main() -> None:
    for kernel in (RMSNorm, Assumes):
        for dtype in ("float32", "bfloat16"):
            print(check_function(
                kernel, against=intended, inputs={"x": ("N", "D"), "w": ("D",)}, dtype=dtype, device=DEVICE
            ))  # fmt: skip


if __name__ == "__main__":
    main()
