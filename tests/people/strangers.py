"""What strangers brought: accumulation, frozen inputs, checkpoints, lists of numbers, masks of one size; true names."""

import numpy as np
import torch
from torch.autograd import Function
from torch.nn import functional as F  # noqa: N812
from torch.utils.checkpoint import checkpoint

from .corpus import ND, PAIR, XW, convention, right, wrong


class Writes:
    """An object that keeps dW, and writes over the last."""

    def __init__(self):
        self.grads = {"W": 0.0}

    def forward(self, x):
        self.x = x
        return x @ self.W

    def backward(self, dy):
        self.grads["W"] = self.x.T @ dy
        return dy @ self.W.T


class Adds(Writes):
    def backward(self, dy):
        self.grads["W"] = self.grads["W"] + self.x.T @ dy
        return dy @ self.W.T


class Linear(Function):
    @staticmethod
    def forward(ctx, x, W):
        ctx.save_for_backward(x, W)
        return x @ W

    @staticmethod
    def backward(ctx, dy):
        x, W = ctx.saved_tensors
        return dy @ W.T if ctx.needs_input_grad[0] else None, x.T @ dy if ctx.needs_input_grad[1] else None


class WithoutName(Linear):
    @staticmethod
    def backward(ctx, dy):
        x, W = ctx.saved_tensors
        if ctx.needs_input_grad[0]:
            dx = dy @ W.T
        return dx, x.T @ dy


class WrongIndex(Linear):
    @staticmethod
    def backward(ctx, dy):
        x, W = ctx.saved_tensors
        return dy @ W.T if ctx.needs_input_grad[0] else None, x.T @ dy if ctx.needs_input_grad[0] else None


class MovesUp(Linear):
    """The gradients that are wanted, in a list that is filled up at its end."""

    @staticmethod
    def backward(ctx, dy):
        x, W = ctx.saved_tensors
        each = [dy @ W.T] * ctx.needs_input_grad[0] + [x.T @ dy] * ctx.needs_input_grad[1]
        return tuple(each + [None] * (2 - len(each)))


class Scale(Function):
    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return x * w

    @staticmethod
    def backward(ctx, dy):
        x, w = ctx.saved_tensors
        return dy * w, (dy * x).sum(0)


class Checkpointed(torch.nn.Module):
    """Its parameter is float32, as torch makes them, and its forward runs once more in the backward pass."""

    def __init__(self, reentrant=False):
        super().__init__()
        self.w, self.reentrant = torch.nn.Parameter(torch.ones(5)), reentrant

    def forward(self, x):
        return checkpoint(lambda x: Scale.apply(x, self.w), x, use_reentrant=self.reentrant)


class Tied(torch.nn.Module):
    """One parameter in two places."""

    def __init__(self):
        super().__init__()
        self.a = torch.nn.Linear(5, 5, bias=False)
        self.b = torch.nn.Linear(5, 5, bias=False)
        self.b.weight = self.a.weight

    def forward(self, x):
        return Scale.apply(self.b(self.a(x)), torch.ones(5, dtype=x.dtype))


def in_place(dy, x):
    dy *= 2 * x
    return dy


def in_place_of_two(dy, c):
    x, W = c
    dW = x.T @ dy
    dy *= 2
    return dy @ W.T, dW


def relu_sum(x):
    return np.maximum(x, 0).sum(), x


def hinge(x, t):
    return np.maximum(x - t, 0).mean(), (x, t)


def hinge_back(dy, c):
    x, t = c
    d = dy * (x >= t) / x.size
    return d, -d


def unit(x):
    n = np.sqrt((x * x).sum(-1, keepdims=True))
    return x / n, (x, n)


def torch_unit(x):
    return F.normalize(x, dim=-1)


CAUSAL = np.triu(np.full((5, 5), -np.inf), 1)


def causal(x, mask):
    s = x @ x.T + mask
    e = np.exp(s - s.max(-1, keepdims=True))
    p = e / e.sum(-1, keepdims=True)
    return p @ x, (x, p)


def causal_back(dy, c):
    x, p = c
    dp = dy @ x.T
    ds = p * (dp - (dp * p).sum(-1, keepdims=True))
    return p.T @ dy + ds @ x + ds.T @ x, None


def torch_causal(x, mask):
    return torch.softmax(x @ x.T + mask.detach(), -1) @ x


def kept_half(x):
    mask = (np.random.rand(*x.shape) > 0.5) / 0.5
    return x * mask, mask


def kept_tenth(x):
    mask = (np.random.rand(*x.shape) > 0.1) / 0.5
    return x * mask, mask


class DropThird(Function):
    scale = 1.5

    @classmethod
    def forward(cls, ctx, x):
        mask = (torch.rand_like(x) > 1 / 3) * cls.scale
        ctx.save_for_backward(mask)
        return x * mask

    @staticmethod
    def backward(ctx, dy):
        return dy * ctx.saved_tensors[0]


class DropUnscaled(DropThird):
    scale = 1.0


def torch_third(x):
    return x * ((torch.rand_like(x) > 1 / 3) * 1.5)


def forgets_mask(dy, mask):
    return dy


STATE = [
    wrong("accumulates, but writes over", Writes, against=torch.matmul, inputs=XW, accumulates=True, side="contract",
          says="second backward does not add to dW"),
    right("accumulates and adds", Adds, against=torch.matmul, inputs=XW, accumulates=True),
    wrong("needs_input_grad, a name that is not set", WithoutName, against=torch.matmul, inputs=XW, side="contract",
          says="where x needs no gradient .*UnboundLocalError"),
    wrong("needs_input_grad, the other's index", WrongIndex, against=torch.matmul, inputs=XW, side="contract",
          says="where x needs no gradient .*dW is another, or none"),
    wrong("needs_input_grad, gradients move up", MovesUp, against=torch.matmul, inputs=XW, side="contract",
          says="where x needs no gradient"),
    right("needs_input_grad, heeded", Linear, against=torch.matmul, inputs=XW),
    wrong("dy is multiplied in place", lambda x: (x * x, x), in_place, against=torch.square, inputs=ND,
          side="contract", says="dy in place", never="B10"),
    wrong("dy is multiplied in place, of two", lambda x, W: (x @ W, (x, W)), in_place_of_two, against=torch.matmul,
          inputs=XW, says="dy in place", never="B10"),
]  # fmt: skip
TORCH = [
    right("a checkpoint with a parameter of float32", Checkpointed, against=torch.mul,
          inputs={"x": ("N", 5), "w": (5,)}),
    right("a reentrant checkpoint", Checkpointed(True), against=torch.mul, inputs={"x": ("N", 5), "w": (5,)}),
    right("a parameter in two places", Tied, against=lambda x, w: x @ w.T @ w.T,
          inputs={"x": ("N", 5), "a.weight": (5, 5)}),
]  # fmt: skip
LISTS = [
    right("y in lists", lambda x: ((x * x).tolist(), x), lambda dy, x: (2 * np.asarray(dy) * x).tolist(),
          against=torch.square, inputs=ND),
    right("y in lists, no cache", lambda x: (x * x).tolist(), lambda dy, x: 2 * dy * x, against=torch.square,
          inputs=ND),
    right("y in a list", lambda x: (x * x).tolist(), lambda dy, x: 2 * dy * x, against=torch.square,
          inputs={"x": ("N",)}),
    right("y in lists, no truth", lambda x: (x * x).tolist(), lambda dy, x: 2 * dy * x, inputs=ND),
    wrong("y in lists, half of dx", lambda x: (x * x).tolist(), lambda dy, x: dy * x, against=torch.square, inputs=ND,
          side="backward"),
]  # fmt: skip
MASKS = [
    right("a causal mask of one length", causal, causal_back, against=torch_causal,
          inputs={"x": ("T", "D"), "mask": CAUSAL}),
    right("a weight of one length", lambda x, w: (x * w, w), lambda dy, w: (dy * w, None),
          against=lambda x, w: x * w.detach(), inputs={"x": ("N", "D"), "w": np.arange(1.0, 6.0)}),
]  # fmt: skip
NAMES = [
    convention("relu of a sum, 1 at 0", relu_sum, lambda dy, x: dy * (x >= 0), against=lambda x: torch.relu(x).sum(),
               inputs=ND, says="C05", never="C18"),
    convention("hinge of a difference, 1 at 0", hinge, hinge_back, against=lambda x, t: torch.relu(x - t).mean(),
               inputs=PAIR, says="C05", never="C18"),
    wrong("length held constant", unit, lambda dy, c: dy / c[1], against=torch_unit, inputs=ND, side="backward",
          says=r"length \|x\| is held constant", never=r"D0\d"),
    wrong("length to the second power", unit,
          lambda dy, c: dy / c[1] - c[0] * (dy * c[0]).sum(-1, keepdims=True) / c[1] ** 2, against=torch_unit,
          inputs=ND, side="backward", never=r"D0\d"),
]  # fmt: skip
RANDOM = [
    right("dropout of a half beside torch's", kept_half, lambda dy, mask: dy * mask, against=F.dropout, inputs=ND,
          says="many draws of y are compared"),
    right("dropout of a third, the same draws", DropThird, against=torch_third, inputs=ND, says="draws the same"),
    wrong("dropout of a tenth, scaled as of a half", kept_tenth, lambda dy, mask: dy * mask, against=F.dropout,
          inputs=ND, side="forward", says=r"mean of y over 1600 draws.*1\.[78]\d* times"),
    wrong("dropout that is not scaled", DropUnscaled, against=torch_third, inputs=ND, side="forward",
          says="mean of y over 1600 draws"),
    wrong("dropout, dy without its mask", kept_half, forgets_mask, against=F.dropout, inputs=ND, side="backward"),
    right("noise that is added", lambda x: x + np.random.randn(*x.shape), lambda dy: dy, inputs=ND,
          against=lambda x: x + torch.randn_like(x)),
    wrong("noise that has a mean", lambda x: x + np.random.rand(*x.shape), lambda dy: dy, inputs=ND,
          against=lambda x: x + torch.randn_like(x), side="forward"),
]  # fmt: skip
PEOPLE = RANDOM + STATE + TORCH + LISTS + MASKS + NAMES
