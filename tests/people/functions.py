"""torch.autograd.Function, what is built of them, and pairs written with tensors."""

import torch
import torch.nn.functional as F  # noqa: N812
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from reference import Indices

from .corpus import ND, PAIR, XW, XWB, error, right, wrong


class Square(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        return 2 * x * dy


class SquareSetup(Function):
    @staticmethod
    def forward(x):
        return x * x

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        return 2 * ctx.saved_tensors[0] * dy


class Half(Square):
    @staticmethod
    def backward(ctx, dy):
        return ctx.saved_tensors[0] * dy


class Linear(Function):
    @staticmethod
    def forward(ctx, input, weight, bias=None):
        ctx.save_for_backward(input, weight, bias)
        output = input.mm(weight)
        return output + bias if bias is not None else output

    @staticmethod
    def backward(ctx, grad_output):
        input, weight, bias = ctx.saved_tensors
        grad_input = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_input = grad_output.mm(weight.t())
        if ctx.needs_input_grad[1]:
            grad_weight = input.t().mm(grad_output)
        if bias is not None and ctx.needs_input_grad[2]:
            grad_bias = grad_output.sum(0)
        return grad_input, grad_weight, grad_bias


class Scaled(Function):
    @staticmethod
    def forward(ctx, x, k, mode="mul"):
        ctx.k = k
        return x * k if mode == "mul" else x

    @staticmethod
    def backward(ctx, dy):
        return ctx.k * dy, None, None


class MaxWithIndices(Function):
    @staticmethod
    def forward(ctx, x):
        y, i = x.max(-1)
        ctx.mark_non_differentiable(i)
        ctx.save_for_backward(i)
        ctx.shape = x.shape
        return y, i

    @staticmethod
    def backward(ctx, dy, _):
        (i,) = ctx.saved_tensors
        return torch.zeros(ctx.shape, dtype=dy.dtype).scatter(-1, i[..., None], dy[..., None])


class SwiGLU(Function):
    """The gradients are written over what was saved."""

    @staticmethod
    def forward(ctx, a, b):
        ctx.save_for_backward(a, b)
        return F.silu(a) * b

    @staticmethod
    def backward(ctx, dc):
        a, b = ctx.saved_tensors
        s = torch.sigmoid(a)
        da, db = dc * b * (s + a * s * (1 - s)), dc * a * s
        with torch.no_grad():
            a.copy_(da)
            b.copy_(db)
        return a, b


class Frees(Function):
    """State on ctx, which backward lets go."""

    @staticmethod
    def forward(ctx, x):
        ctx.y = torch.tanh(x)
        return ctx.y.clone()

    @staticmethod
    def backward(ctx, dy):
        y, ctx.y = ctx.y, None
        return dy * (1 - y * y)


class Mse(Function):
    @staticmethod
    def forward(ctx, x, t):
        ctx.save_for_backward(x, t)
        return ((x - t) ** 2).mean()

    @staticmethod
    def backward(ctx, dy):
        x, t = ctx.saved_tensors
        return dy * 2 * (x - t) / x.numel(), None


class Destroys(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x.clone())
        y = x.exp()
        x.zero_()
        return y

    @staticmethod
    def backward(ctx, dy):
        return dy * ctx.saved_tensors[0].exp()


class SpoilsUpstream(Square):
    @staticmethod
    def backward(ctx, dy):
        with torch.no_grad():
            return dy.mul_(2 * ctx.saved_tensors[0])


class Contiguous(Function):
    """Asks for contiguous memory, with a right to it."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        assert dy.is_contiguous(), "contiguous memory only"
        return 2 * x * dy


class ReadsRaw(Function):
    """Takes the saved input for contiguous."""

    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return x * w

    @staticmethod
    def backward(ctx, dy):
        x, w = ctx.saved_tensors
        return dy * w, (dy * torch.as_strided(x, x.shape, (x.shape[1], 1))).sum(0)


class ReadsRawUpstream(Square):
    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        d = torch.as_strided(dy, dy.shape, (dy.shape[1], 1)) if dy.stride()[0] else dy
        return 2 * x * d


class Drop(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.mask = (torch.rand_like(x) > 0.3) / 0.7
        return x * ctx.mask

    @staticmethod
    def backward(ctx, dy):
        return dy * ctx.mask


class GradientReversal(Function):
    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, dy):
        return -dy


class RoundThrough(Function):
    @staticmethod
    def forward(ctx, x):
        return torch.round(x)

    @staticmethod
    def backward(ctx, dy):
        return dy


class LayerNorm(Function):
    @staticmethod
    def forward(ctx, x, w, b, eps=1e-5):
        mu, var = x.mean(-1, keepdim=True), x.var(-1, keepdim=True, unbiased=False)
        rstd = (var + eps).rsqrt()
        xhat = (x - mu) * rstd
        ctx.save_for_backward(xhat, w, rstd)
        return xhat * w + b

    @staticmethod
    def backward(ctx, dy):
        xhat, w, rstd = ctx.saved_tensors
        g = dy * w
        dx = rstd * (g - g.mean(-1, keepdim=True) - xhat * (g * xhat).mean(-1, keepdim=True))
        axes = tuple(range(dy.ndim - 1))
        return dx, (dy * xhat).sum(axes), dy.sum(axes), None


class WrongLayerNorm(LayerNorm):
    @staticmethod
    def backward(ctx, dy):
        xhat, w, rstd = ctx.saved_tensors
        g = dy * w
        axes = tuple(range(dy.ndim - 1))
        return rstd * (g - g.mean(-1, keepdim=True)), (dy * xhat).sum(axes), dy.sum(axes), None


class Embed(Function):
    @staticmethod
    def forward(ctx, weight, idx):
        ctx.save_for_backward(idx)
        ctx.n = len(weight)
        return weight[idx]

    @staticmethod
    def backward(ctx, dy):
        (idx,) = ctx.saved_tensors
        return torch.zeros(ctx.n, dy.shape[-1], dtype=dy.dtype).index_add_(0, idx, dy), None


class EmbedOnce(Embed):
    """The last of equal indices wins."""

    @staticmethod
    def backward(ctx, dy):
        (idx,) = ctx.saved_tensors
        d = torch.zeros(ctx.n, dy.shape[-1], dtype=dy.dtype)
        d[idx] = dy
        return d, None


class Block(torch.nn.Module):
    """A module around a Function."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(3, 2))

    def forward(self, x):
        return Square.apply(x @ self.weight)


# — pairs of tensors ——————————————————————————————————————————————————————————————————————————————————————————————
def softmax_forward(x):
    y = torch.softmax(x, -1)
    return y, y


def softmax_backward(dy, y):
    return y * (dy - (dy * y).sum(-1, keepdim=True))


def rms_forward(x, weight):
    rms = torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6)
    return x * rms * weight, (x, rms, weight)


def rms_backward(dy, cache):
    x, rms, w = cache
    g = dy * w
    dx = rms * (g - x * rms**2 * (g * x).mean(dim=-1, keepdim=True))
    return dx, (dy * x * rms).sum(0)


def torch_rms(x, w):
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6) * w


EMBED = {"weight": ("V", "D"), "idx": Indices(("N",), below="V")}
LN = {"x": ("N", "T", "D"), "w": ("D",), "b": ("D",)}
PEOPLE = [
    right("Function", Square, against=torch.square, inputs=ND),
    right("Function.apply", Square.apply, against=torch.square, inputs=ND),
    right("a lambda over apply", lambda x: Square.apply(x), against=torch.square, inputs=ND),
    right("a lambda that scales it", lambda x: Scaled.apply(x, 3.0), against=lambda x: 3 * x, inputs=ND),
    right("setup_context, once differentiable", SquareSetup, against=torch.square, inputs=ND),
    right("Linear as in torch's notes", Linear, against=lambda x, W, b: x @ W + b, inputs=XWB),
    right("Linear, its own names, another order", Linear, against=lambda input, weight, bias: input @ weight + bias,
          inputs={"bias": ("M",), "weight": ("D", "M"), "input": ("N", "D")}),
    right("Linear without a bias", Linear, against=torch.matmul, inputs=XW),
    right("a number as an argument", Scaled, against=lambda x, k: k * x, inputs=ND | {"k": 3.0}),
    right("a number and a string", Scaled, against=lambda x, k, mode: k * x, inputs=ND | {"k": 3.0, "mode": "mul"}),
    right("max with indices", MaxWithIndices, against=lambda x: tuple(x.max(-1)), inputs=ND),
    right("max with indices, no truth", MaxWithIndices, inputs=ND),
    right("gradients over what was saved", SwiGLU, against=lambda a, b: F.silu(a) * b,
          inputs={"a": ("N", "D"), "b": ("N", "D")}, says="autograd watches"),
    right("state that is let go", Frees, against=torch.tanh, inputs=ND, says="twice"),
    right("None for a target", Mse, against=lambda x, t: F.mse_loss(x, t.detach()), inputs=PAIR),
    right("contiguous memory only", Contiguous, against=torch.square, inputs=ND, says="contiguous"),
    right("random numbers in a Function", Drop, inputs=ND, says="random numbers"),
    right("layer norm", LayerNorm, against=lambda x, w, b: F.layer_norm(x, w.shape, w, b), inputs=LN),
    right("embedding", Embed, against=lambda weight, idx: F.embedding(idx, weight), inputs=EMBED),
    right("a module around a Function", Block, against=lambda x, weight: (x @ weight) ** 2,
          inputs={"x": ("N", "D"), "weight": ("D", "M")}),
    right("gradient reversal, as intended", GradientReversal, against=lambda x: 2 * x.detach() - x, inputs=ND),
    right("straight through, as intended", RoundThrough, against=lambda x: x + (x.round() - x).detach(), inputs=ND),
    right("softmax of tensors", softmax_forward, softmax_backward, against=lambda x: torch.softmax(x, -1), inputs=ND),
    right("rms norm of tensors", rms_forward, rms_backward, against=torch_rms,
          inputs={"x": ("N", "D"), "weight": ("D",)}),
    right("rms norm of tensors, no truth", rms_forward, rms_backward, inputs={"x": ("N", "D"), "weight": ("D",)}),
    right("tensors as inputs", Square, against=torch.square,
          inputs={"x": torch.linspace(-1, 2, 12).double().view(3, 4)}),
    wrong("Function, ½", Half, against=torch.square, inputs=ND, side="backward", says="½"),
    wrong("Function.apply, ½", Half.apply, against=torch.square, inputs=ND, side="backward", says="½"),
    wrong("a lambda over apply, ½", lambda x: Half.apply(x), against=torch.square, inputs=ND, side="backward"),
    wrong("input destroyed", Destroys, against=torch.exp, inputs=ND, says="input x in place"),
    wrong("upstream spoiled", SpoilsUpstream, against=torch.square, inputs=ND, says="dy in place"),
    wrong("saved input read as contiguous", ReadsRaw, against=torch.mul, inputs={"x": ("N", "D"), "w": ("D",)},
          says="Fortran|strided"),
    wrong("dy read as contiguous", ReadsRawUpstream, against=torch.square, inputs=ND, says="a dy that is"),
    wrong("None for a target that counts (Function)", Mse, against=F.mse_loss, inputs=PAIR, says="dt is missing"),
    wrong("layer norm without the variance's path", WrongLayerNorm, inputs=LN, side="backward", says="D02",
          against=lambda x, w, b: F.layer_norm(x, w.shape, w, b)),
    wrong("embedding, repeated indices", EmbedOnce, against=lambda weight, idx: F.embedding(idx, weight), inputs=EMBED,
          says="F01"),
    wrong("softmax of tensors, diagonal", softmax_forward, lambda dy, y: dy * y * (1 - y), inputs=ND, side="backward",
          against=lambda x: torch.softmax(x, -1), says="C13"),
    wrong("straight through, not as said", RoundThrough, inputs=ND, says="straight|detach", never="F12|bridge"),
    wrong("gradient reversal, not as said", GradientReversal, inputs=ND, says="−1|sign|reversal"),
    error("Function and a backward", Square, lambda dy, c: dy, against=torch.square, inputs=ND,
          says="leave `backward` out"),
    error("a module alone", torch.nn.Linear(3, 2), against=lambda x: x, inputs=ND, says="module Linear.*check_model"),
    error("a lambda without a backward", lambda x: torch.tanh(x), against=torch.tanh, inputs=ND,
          says="a backward is missing"),
    error("a number that is left out", Scaled, against=lambda x: 3 * x, inputs=ND, says="missing.*'k'"),
]  # fmt: skip
