"""Code around frameworks: autograd.Functions, forward with residuals as custom_vjp has it, kernels, scalar engines."""

import math

import numpy as np
import torch
from torch.autograd import Function
from torch.nn import functional as F  # noqa: N812

from reference import Between, Indices, Positive

from .corpus import ND, right, wrong


# jax.custom_vjp: f_fwd gives (y, residuals), f_bwd(residuals, g) a tuple
def log1pexp_fwd(x):
    return np.logaddexp(x, 0.0), (x,)


def log1pexp_bwd(res, g):
    (x,) = res
    return (g * (1 - 1 / (1 + np.exp(x))),)


def safe_norm_fwd(x):
    n = np.sqrt(np.sum(x * x, -1))
    return n, (x, n)


def safe_norm_bwd(res, g):
    x, n = res
    return (np.where(n[..., None] > 0, x / np.where(n > 0, n, 1)[..., None], 0.0) * g[..., None],)


def logsumexp_fwd(x, b):
    m = x.max(-1, keepdims=True)
    e = b * np.exp(x - m)
    s = e.sum(-1, keepdims=True)
    return (np.log(s) + m)[..., 0], (e, s, b)


def logsumexp_bwd(res, ct):
    e, s, b = res
    p = e / s
    return ct[..., None] * p, (ct[..., None] * p / b).sum(0)


def logsumexp_bwd_slip(res, ct):
    e, s, b = res
    p = e / s
    return ct[..., None] * p, (ct[..., None] * p * b).sum(0)


def solve_fwd(A, b):
    x = np.linalg.solve(A, b)
    return x, (A, x)


def solve_bwd(res, ct):
    A, x = res
    gb = np.linalg.solve(A.T, ct)
    return -np.outer(gb, x), gb


def solve_bwd_slip(res, ct):
    A, x = res
    gb = np.linalg.solve(A, ct)
    return -np.outer(gb, x), gb


# torch.autograd.Function, kernels in reference style
class GroupedLinear(Function):
    """Offsets in float32 inside are no matter: all is done in the input's own dtype."""

    @staticmethod
    def forward(ctx, x, w, b):
        ctx.save_for_backward(x, w)
        return torch.einsum("ngi,gio->ngo", x, w) + b

    @staticmethod
    def backward(ctx, dy):
        x, w = ctx.saved_tensors
        dx = torch.einsum("ngo,gio->ngi", dy, w)
        dw = torch.einsum("ngi,ngo->gio", x, dy)
        return dx, dw, dy.sum(dim=0)


class GroupedLinearSlip(GroupedLinear):
    @staticmethod
    def backward(ctx, dy):
        x, w = ctx.saved_tensors
        dx = torch.einsum("ngo,gio->ngi", dy, w)
        dw = torch.einsum("ngi,ngo->gio", x, dy)
        return dx, dw, dy.sum(dim=(0, 1)).expand(dy.shape[1:])


class RMSNormKernel(Function):
    BLOCK = 8

    @classmethod
    def forward(cls, ctx, x, w, eps):
        rstd = torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, w, rstd)
        return x * rstd * w

    @classmethod
    def backward(cls, ctx, dy):
        x, w, rstd = ctx.saved_tensors
        wdy = w * dy
        c = (x * rstd * wdy).mean(-1, keepdim=True)
        dx = (wdy - x * rstd * c) * rstd
        partial = [(dy[i : i + cls.BLOCK] * (x * rstd)[i : i + cls.BLOCK]).sum(0) for i in cls.starts(len(x))]
        return dx, torch.stack(partial).sum(0), None

    @classmethod
    def starts(cls, n):
        return range(0, n, cls.BLOCK)


class RMSNormLastBlockLost(RMSNormKernel):
    @classmethod
    def starts(cls, n):
        return range(0, max(n // cls.BLOCK, 1) * cls.BLOCK, cls.BLOCK)


class FusedCrossEntropy(Function):
    """The gradient is made in the forward pass, as Liger does, and scaled in the backward one."""

    @staticmethod
    def forward(ctx, logits, target, ignore_index=-100):
        keep = target != ignore_index
        n = keep.sum().clamp(min=1)
        p = logits.softmax(-1)
        t = target.clamp(min=0)
        loss = -(p.gather(-1, t[:, None])[:, 0].log() * keep).sum() / n
        p.scatter_add_(-1, t[:, None], -torch.ones_like(p[:, :1]))
        ctx.save_for_backward(p * keep[:, None] / n)
        return loss

    @staticmethod
    def backward(ctx, g):
        return ctx.saved_tensors[0] * g, None, None


class FusedForgetsUpstream(FusedCrossEntropy):
    @staticmethod
    def backward(ctx, g):
        return ctx.saved_tensors[0], None, None


class GeluTanh(Function):
    @staticmethod
    def forward(ctx, x):
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
        ctx.save_for_backward(x, inner)
        return 0.5 * x * (1 + torch.tanh(inner))

    @staticmethod
    def backward(ctx, g):
        x, inner = ctx.saved_tensors
        t = torch.tanh(inner)
        dinner = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x**2)
        return g * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * dinner)


class GeluSlip(GeluTanh):
    @staticmethod
    def backward(ctx, g):
        x, inner = ctx.saved_tensors
        t = torch.tanh(inner)
        dinner = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x**2)
        return g * (0.5 * (1 + t) + x * (1 - t * t) * dinner)


class RoPE(Function):
    @staticmethod
    def forward(ctx, x, theta):
        ctx.save_for_backward(theta)
        return rotated(x, theta, 1)

    @staticmethod
    def backward(ctx, dy):
        return rotated(dy, ctx.saved_tensors[0], -1), None


class RoPEForwards(RoPE):
    @staticmethod
    def backward(ctx, dy):
        return rotated(dy, ctx.saved_tensors[0], 1), None


def rotated(x, theta, sign):
    a, b = x[..., 0::2], x[..., 1::2]
    c, s = theta.cos(), sign * theta.sin()
    return torch.stack((a * c - b * s, a * s + b * c), -1).flatten(-2)


def torch_rope(x, theta):
    return rotated(x, theta.detach(), 1)


def triton_like_softmax(x):
    row = x - x.amax(-1, keepdim=True)
    num = row.exp()
    return num / num.sum(-1, keepdim=True)


class SoftmaxKernel(Function):
    @staticmethod
    def forward(ctx, x):
        y = triton_like_softmax(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, dy):
        (y,) = ctx.saved_tensors
        return y * (dy - (y * dy).sum(-1, keepdim=True))


class SoftmaxKernelSlip(SoftmaxKernel):
    @staticmethod
    def backward(ctx, dy):
        (y,) = ctx.saved_tensors
        return y * (dy - (y * dy).sum(0, keepdim=True))


# micrograd: values that know their parents
class Value:
    def __init__(self, data, parents=(), back=None):
        self.data, self.grad, self.parents, self.back = data, np.zeros_like(data), parents, back

    def __add__(self, other):
        out = Value(self.data + other.data, (self, other))

        def back():
            self.grad = self.grad + out.grad
            other.grad = other.grad + out.grad

        out.back = back
        return out

    def __mul__(self, other):
        out = Value(self.data * other.data, (self, other))

        def back():
            self.grad = self.grad + other.data * out.grad
            other.grad = other.grad + self.data * out.grad

        out.back = back
        return out

    def tanh(self):
        t = np.tanh(self.data)
        out = Value(t, (self,))

        def back():
            self.grad = self.grad + (1 - t * t) * out.grad

        out.back = back
        return out

    def backward(self, dy):
        order, seen = [], set()

        def visit(v):
            if id(v) not in seen:
                seen.add(id(v))
                for p in v.parents:
                    visit(p)
                order.append(v)

        visit(self)
        self.grad = dy
        for v in reversed(order):
            if v.back:
                v.back()


class Overwriting(Value):
    """The gradient of a value that is used twice is that of its last use."""

    def __mul__(self, other):
        out = Overwriting(self.data * other.data, (self, other))

        def back():
            self.grad = other.data * out.grad
            other.grad = self.data * out.grad

        out.back = back
        return out


def engine(kind):
    def forward(a, b):
        a, b = kind(a), kind(b)
        y = (a * b + a).tanh() * a
        return y.data, (a, b, y)

    def backward(dy, cache):
        a, b, y = cache
        y.backward(dy)
        return a.grad, b.grad

    return forward, backward


def torch_engine(a, b):
    return torch.tanh(a * b + a) * a


class ScalarNeuron:
    """Written for numbers, with a plain sum."""

    def forward(self, x):
        self.x = x
        self.y = np.tanh(sum(self.w[i] * x[:, i] for i in range(x.shape[1])) + self.b)
        return self.y

    def backward(self, dy):
        d = dy * (1 - self.y**2)
        self.grads = {"w": self.x.T @ d, "b": d.sum()}
        return np.outer(d, self.w)


class ScalarNeuronSlip(ScalarNeuron):
    def backward(self, dy):
        d = dy * (1 - self.y**2)
        self.grads = {"w": self.x.T @ d, "b": d[0]}
        return np.outer(d, self.w)


# ML-From-Scratch: a loss and a layer as classes
class CrossEntropy:
    def loss(self, y, p):
        p = np.clip(p, 1e-15, 1 - 1e-15)
        return -y * np.log(p) - (1 - y) * np.log(1 - p)

    def gradient(self, y, p):
        p = np.clip(p, 1e-15, 1 - 1e-15)
        return -(y / p) + (1 - y) / (1 - p)


class Dense:
    """The optimizer is inside; the gradient is what the update shows."""

    learning_rate = 0.5

    def forward_pass(self, X, training=True):
        self.layer_input = X
        return X.dot(self.W) + self.w0

    def backward_pass(self, accum_grad):
        W = self.W
        self.W = self.W - self.learning_rate * self.layer_input.T.dot(accum_grad)
        self.w0 = self.w0 - self.learning_rate * np.sum(accum_grad, axis=0, keepdims=True)
        return accum_grad.dot(W.T)


class DenseUpdatedFirst(Dense):
    def backward_pass(self, accum_grad):
        self.W = self.W - self.learning_rate * self.layer_input.T.dot(accum_grad)
        self.w0 = self.w0 - self.learning_rate * np.sum(accum_grad, axis=0, keepdims=True)
        return accum_grad.dot(self.W.T)


def torch_dense(X, W, w0):
    return X @ W + w0


bce = CrossEntropy()
RMS = {"x": ("N", "D"), "w": ("D",), "eps": 1e-6}
ROPE = {"x": ("N", "T", "2*d"), "theta": ("T", "d")}
GROUPS = {"x": ("N", "G", "I"), "w": ("G", "I", "O"), "b": ("G", "O")}
MATRIX = {"A": ("D", "D"), "b": ("D",)}
WEIGHTED = {"x": ("N", "D"), "b": Positive(("D",))}
DENSE = {"X": ("N", "D"), "W": ("D", "M"), "w0": (1, "M")}


def torch_lse(x, b):
    return torch.log((b * torch.exp(x)).sum(-1))


def torch_rms(x, w, eps):
    return F.rms_norm(x, w.shape, w, eps)


def torch_groups(x, w, b):
    return torch.einsum("ngi,gio->ngo", x, w) + b


def tanh_gelu(x):
    return F.gelu(x, approximate="tanh")


def bce_forward(p, y):
    return bce.loss(y, p), (p, y)


def torch_bce(p, y):
    return F.binary_cross_entropy(p, y.to(p.dtype), reduction="none")


CHANCES = {"p": Between(0.01, 0.99, ("N",)), "y": Indices(("N",), below=2)}

PEOPLE = [
    right("custom_vjp of log(1 + eˣ)", log1pexp_fwd, log1pexp_bwd, against=F.softplus, inputs=ND),
    right("custom_vjp of a norm, 0 at 0", safe_norm_fwd, safe_norm_bwd, against=lambda x: x.norm(dim=-1), inputs=ND),
    right("custom_vjp of a weighted logsumexp", logsumexp_fwd, logsumexp_bwd, against=torch_lse, inputs=WEIGHTED),
    wrong("custom_vjp of a weighted logsumexp, times b", logsumexp_fwd, logsumexp_bwd_slip, against=torch_lse,
          inputs=WEIGHTED, side="backward"),
    right("custom_vjp of solve", solve_fwd, solve_bwd, against=torch.linalg.solve, inputs=MATRIX),
    wrong("custom_vjp of solve, A for Aᵀ", solve_fwd, solve_bwd_slip, against=torch.linalg.solve, inputs=MATRIX,
          side="backward"),
    right("a linear map for each group", GroupedLinear, against=torch_groups, inputs=GROUPS),
    wrong("a linear map for each group, db of all groups", GroupedLinearSlip, against=torch_groups, inputs=GROUPS,
          side="backward"),
    right("a kernel that adds partial sums of dw", RMSNormKernel, against=torch_rms, inputs=RMS),
    wrong("a kernel that loses the last partial sum", RMSNormLastBlockLost, against=torch_rms, inputs=RMS,
          side="backward", says="dw is wrong where N = 65"),
    right("cross entropy with its gradient made in forward", FusedCrossEntropy, against=F.cross_entropy,
          inputs={"input": ("N", "C"), "target": Indices(("N",), below="C")}),
    wrong("cross entropy made in forward, dy forgotten", FusedForgetsUpstream, against=F.cross_entropy,
          inputs={"input": ("N", "C"), "target": Indices(("N",), below="C")}, side="backward",
          says="A07|not depend on dy"),
    right("GELU by tanh", GeluTanh, against=tanh_gelu, inputs=ND),
    wrong("GELU by tanh, ½ lost", GeluSlip, against=tanh_gelu, inputs=ND, side="backward"),
    right("rotary embedding", RoPE, against=torch_rope, inputs=ROPE),
    wrong("rotary embedding turned forwards", RoPEForwards, against=torch_rope, inputs=ROPE, side="backward",
          says="forward makes of dy"),
    right("softmax kernel", SoftmaxKernel, against=lambda x: F.softmax(x, -1), inputs=ND),
    wrong("softmax kernel, the sum over rows", SoftmaxKernelSlip, against=lambda x: F.softmax(x, -1), inputs=ND,
          side="backward"),
    right("a scalar engine", *engine(Value), against=torch_engine, inputs={"a": ("N",), "b": ("N",)}),
    wrong("a scalar engine that writes over gradients", *engine(Overwriting), against=torch_engine,
          inputs={"a": ("N",), "b": ("N",)}, side="backward"),
    right("a neuron with a plain sum", ScalarNeuron, against=lambda x, w, b: torch.tanh(x @ w + b),
          inputs={"x": ("N", "D"), "w": ("D",), "b": ()}),
    wrong("a neuron with the db of its first sample", ScalarNeuronSlip, side="backward",
          against=lambda x, w, b: torch.tanh(x @ w + b), inputs={"x": ("N", "D"), "w": ("D",), "b": ()}),
    right("a loss object by its methods", bce_forward, lambda dy, c: dy * bce.gradient(c[1], c[0]),
          against=torch_bce, inputs=CHANCES),
    right("a dense layer that updates itself", Dense, against=torch_dense, inputs=DENSE),
    wrong("a dense layer that updates itself first", DenseUpdatedFirst, against=torch_dense, inputs=DENSE,
          side="backward", says="B07"),
]  # fmt: skip
