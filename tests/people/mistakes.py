"""Mistakes that the catalogue has not. ids: what of the catalogue may be named all the same; says: what explains it."""

import math

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from reference import Between, Indices, Positive

from .corpus import ND, PAIR, XW, XWB, wrong


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def pair(front, back):
    """y and its inputs as the cache."""
    return (lambda *x: (front(*x), x)), (lambda dy, c: back(dy, *c))


def wrongly(name, front, back, against, inputs, ids="", says="", **more):
    return wrong(name, *pair(front, back), against=against, inputs=inputs, ids=ids, says=says, **more)


def with_first_row(g, right):
    g = np.array(g)
    g[0] = right[0]
    return g


def one_channel(dy, x, w):
    d = dy * w[:, None]
    d[:, 1:] = dy[:, 1:]
    return d


def unit(x):
    return x / np.sqrt((x * x).sum(-1, keepdims=True))


def unit_back(dy, x):
    n = np.sqrt((x * x).sum(-1, keepdims=True))
    return dy / n


def cosine(x):
    return np.cos(x)


def geglu(x, g):
    return x * sigmoid(g)


def lse(x):
    return np.log(np.exp(x).sum(-1))


def conv_valid(x, k):
    return np.array([[x[n, i : i + len(k)] @ k for i in range(x.shape[1] - len(k) + 1)] for n in range(len(x))])


def conv_dx(dy, x, k, flip):
    dx = np.zeros_like(x)
    for i in range(dy.shape[1]):
        dx[:, i : i + len(k)] += dy[:, i : i + 1] * (k[::-1] if flip else k)
    return dx


def conv_dk(dy, x, k):
    return np.array([(dy * x[:, j : j + dy.shape[1]]).sum() for j in range(len(k))])


def torch_conv(x, k):
    return F.conv1d(x[:, None], k[None, None])[:, 0]


def bilinear(x, A, z):
    return np.einsum("ni,ij,nj->n", x, A, z)


def mean_of_rows(x):
    return x - x.mean(0)


def interpolate(a, b, t):
    return a + t * (b - a)


def rope(x, c, s):
    h = x.shape[-1] // 2
    a, b = x[..., :h], x[..., h:]
    return np.concatenate([a * c - b * s, b * c + a * s], -1)


def rope_forwards(dy, x, c, s):
    return rope(dy, c, s), *rope_rest(dy, x, c, s)


def rope_rest(dy, x, c, s):
    h = x.shape[-1] // 2
    a, b, da, db = x[..., :h], x[..., h:], dy[..., :h], dy[..., h:]
    return (da * a + db * b).sum(0), (db * a - da * b).sum(0)


def torch_rope(x, c, s):
    a, b = x.chunk(2, -1)
    return torch.cat([a * c - b * s, b * c + a * s], -1)


def gelu_without(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def gelu_back(dy, x):
    c = math.sqrt(2 / math.pi)
    t = np.tanh(c * (x + 0.044715 * x**3))
    return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * c * (1 + 0.044715 * x**2))  # 3 · is lost


def kl(mu, logvar):
    return -0.5 * (1 + logvar - mu**2 - np.exp(logvar)).sum()


def torch_kl(mu, logvar):
    return -0.5 * (1 + logvar - mu**2 - logvar.exp()).sum()


def dice(p, t):
    return 1 - 2 * (p * t).sum() / (p.sum() + t.sum())


def dice_back(dy, p, t):
    return -2 * dy * t / (p.sum() + t.sum()), -2 * dy * p / (p.sum() + t.sum())  # the denominator stands still


def torch_dice(p, t):
    return 1 - 2 * (p * t).sum() / (p.sum() + t.sum())


def rows_of(w, i):
    return w[i]


def bn(x, eps=1e-5, ddof=0):
    return (x - x.mean(0)) / np.sqrt(x.var(0, ddof=ddof) + eps)


def bn_back(dy, x, eps=1e-5):
    s, h = np.sqrt(x.var(0) + eps), bn(x, eps)
    return (dy - dy.mean(0) - h * (dy * h).mean(0)) / s


def torch_bn(x):
    return F.batch_norm(x, None, None, training=True)


XY = {"x": ("N", "D"), "z": ("N", "D")}
MISTAKES = [
    wrongly(
        "the transpose forgotten in a rotation of pairs",
        rope,
        rope_forwards,
        torch_rope,
        {"x": ("N", "2*D"), "c": ("D",), "s": ("D",)},
        says="what forward makes of dy",
    ),
    wrongly(
        "a running sum backwards in time only",
        lambda x: np.cumsum(x, 1),
        lambda dy, x: np.cumsum(dy, 1),
        lambda x: x.cumsum(1),
        ND,
        says="Σ dy to each entry|what forward makes of dy",
    ),
    wrongly(
        "circulant: shifted the same way",
        lambda x: np.roll(x, 1, 1),
        lambda dy, x: np.roll(dy, 1, 1),
        lambda x: x.roll(1, 1),
        ND,
        says="what forward makes of dy|shift",
    ),
    wrongly(
        "dy left out of a square",
        lambda x: x * x,
        lambda dy, x: 2 * x,
        torch.square,
        ND,
        ids="A07",
        says="does not depend on dy",
    ),
    wrongly(
        "sign of dy alone",
        lambda x: 3 * x,
        lambda dy, x: 3 * np.sign(dy),
        lambda x: 3 * x,
        ND,
        says="not double when dy does",
    ),
    wrongly(
        "dy clipped",
        lambda x: 2 * x,
        lambda dy, x: 2 * np.clip(dy, -0.5, 0.5),
        lambda x: 2 * x,
        ND,
        says="not double when dy does",
    ),
    wrongly(
        "norm of a row held constant",
        unit,
        unit_back,
        lambda x: x / x.norm(dim=-1, keepdim=True),
        ND,
        ids="D02|D03",
        says="held constant",
    ),
    wrongly(
        "denominator of a softmax held constant",
        softmax,
        lambda dy, x: dy * softmax(x),
        lambda x: x.softmax(-1),
        ND,
        says="softmax|sum|held constant",
    ),
    wrongly(
        "denominator of dice held constant",
        dice,
        dice_back,
        torch_dice,
        {"p": Between(0.1, 0.9, ("N",)), "t": Between(0.1, 0.9, ("N",))},
        says="held constant",
    ),
    wrongly(
        "right in the first row only",
        lambda x, W: x @ W,
        lambda dy, x, W: (with_first_row(2 * dy @ W.T, dy @ W.T), x.T @ dy),
        torch.matmul,
        XW,
        says="only at the end of axis 0",
    ),
    wrongly(
        "right in the first channel only",
        lambda x, w: x * w[:, None],
        lambda dy, x, w: (one_channel(dy, x, w), (dy * x).sum((0, 2))),
        lambda x, w: x * w[:, None],
        {"x": ("N", "C", "T"), "w": ("C",)},
        says="only at the end of axis 1",
    ),
    wrongly(
        "the last row is left out",
        lambda x: 2 * x,
        lambda dy, x: np.concatenate([2 * dy[:-1], 0 * dy[-1:]]),
        lambda x: 2 * x,
        ND,
        says="axis 0",
    ),
    wrongly(
        "border rows doubled",
        lambda x: 3 * x,
        lambda dy, x: 3 * dy * np.where(np.isin(np.arange(len(dy)), (0, len(dy) - 1)), 2, 1)[:, None],
        lambda x: 3 * x,
        {"x": (5, "D")},
        says="border|0, 4 along axis 0",
    ),
    wrongly(
        "dy left out where x < 0",
        lambda x: np.where(x > 0, x, 0.5 * x),
        lambda dy, x: np.where(x > 0, dy, 0.5),
        lambda x: torch.where(x > 0, x, 0.5 * x),
        ND,
        ids="C08",
        says="x (<|≤) 0",
    ),
    wrongly(
        "mean where N = 2 alone is right",
        lambda x: x.mean(0),
        lambda dy, x: np.ones_like(x) * dy / 2,
        lambda x: x.mean(0),
        ND,
        ids="A03|A01|B04",
        says="right where N = 2|N times|½",
    ),
    wrongly(
        "rows and columns change their means",
        lambda x: x - x.mean(1, keepdims=True),
        lambda dy, x: dy - dy.mean(0, keepdims=True),
        lambda x: x - x.mean(1, keepdim=True),
        ND,
        says="over axis 0",
    ),
    wrongly(
        "centring left out",
        mean_of_rows,
        lambda dy, x: dy,
        lambda x: x - x.mean(0),
        ND,
        says="constant along axis 0",
    ),
    wrongly(
        "√d once more",
        lambda x: x / math.sqrt(x.shape[-1]),
        lambda dy, x: dy / x.shape[-1],
        lambda x: x / math.sqrt(x.shape[-1]),
        ND,
        says="1/√D",
    ),
    wrongly(
        "√d forgotten",
        lambda x: x / math.sqrt(x.shape[-1]),
        lambda dy, x: dy,
        lambda x: x / math.sqrt(x.shape[-1]),
        ND,
        says="√D",
    ),
    wrongly(
        "twice what it should be",
        lambda x, W: x @ W,
        lambda dy, x, W: (2 * dy @ W.T, 2 * x.T @ dy),
        torch.matmul,
        XW,
        says="2 · right",
    ),
    wrongly(
        "half of a cross entropy",
        lambda x, t: -np.log(softmax(x)[np.arange(len(t)), t]).mean(),
        lambda dy, x, t: dy * (softmax(x) - np.eye(x.shape[1])[t]) / len(t) / 2,
        F.cross_entropy,
        {"x": ("N", "C"), "t": Indices(("N",), below="C")},
        says="½ · right",
    ),
    wrongly("sign of the cosine", cosine, lambda dy, x: dy * np.sin(x), torch.cos, ND, says="sign is wrong"),
    wrongly(
        "gate and value change places",
        geglu,
        lambda dy, x, g: (dy * x * sigmoid(g) * sigmoid(-g), dy * sigmoid(g)),
        lambda x, g: x * g.sigmoid(),
        {"x": ("N", "D"), "g": ("N", "D")},
        ids="F08",
        says="change places",
    ),
    wrongly(
        "slope of the gate forgotten",
        geglu,
        lambda dy, x, g: (dy * sigmoid(g), dy * x),
        lambda x, g: x * g.sigmoid(),
        {"x": ("N", "D"), "g": ("N", "D")},
        says=r"missing in every entry: σ\(g\)\(1 − σ\(g\)\)",
    ),
    wrongly(
        "log-sum-exp passes dy to all",
        lse,
        lambda dy, x: np.repeat(dy[:, None], x.shape[1], 1),
        lambda x: torch.logsumexp(x, -1),
        ND,
        says="softmax",
    ),
    wrongly(
        "kernel flipped in dx",
        conv_valid,
        lambda dy, x, k: (conv_dx(dy, x, k, True), conv_dk(dy, x, k)),
        torch_conv,
        {"x": ("N", "T+2"), "k": (3,)},
        ids="E01|E03",
        says="flip",
    ),
    wrongly(
        "kernel's gradient flipped",
        conv_valid,
        lambda dy, x, k: (conv_dx(dy, x, k, False), conv_dk(dy, x, k)[::-1]),
        torch_conv,
        {"x": ("N", "T+2"), "k": (3,)},
        ids="E02",
        says="backwards|flipped",
    ),
    wrongly(
        "bilinear: dA without the upstream",
        bilinear,
        lambda dy, x, A, z: (dy[:, None] * (z @ A.T), x.T @ z, dy[:, None] * (x @ A)),
        lambda x, A, z: torch.einsum("ni,ij,nj->n", x, A, z),
        {"x": ("N", "D"), "A": ("D", "M"), "z": ("N", "M")},
        ids="A07",
        says="does not depend on dy|xᵀ z",
    ),
    wrongly(
        "bilinear: dA transposed",
        bilinear,
        lambda dy, x, A, z: (dy[:, None] * (z @ A.T), (x.T @ (dy[:, None] * z)).T, dy[:, None] * (x @ A)),
        lambda x, A, z: torch.einsum("ni,ij,nj->n", x, A, z),
        {"x": ("N", "D"), "A": ("D", "M"), "z": ("N", "M")},
        says="transposed",
    ),
    wrongly(
        "interpolation: 1 − t forgotten",
        interpolate,
        lambda dy, a, b, t: (dy, dy * t, dy * (b - a)),
        torch.lerp,
        {"a": ("N", "D"), "b": ("N", "D"), "t": ("N", "D")},
        says="missing in every entry: 1 − t",
    ),
    wrongly(
        "interpolation: sign of dt",
        interpolate,
        lambda dy, a, b, t: (dy * (1 - t), dy * t, dy * (a - b)),
        torch.lerp,
        {"a": ("N", "D"), "b": ("N", "D"), "t": ("N", "D")},
        says="sign is wrong",
    ),
    wrongly(
        "gelu: a factor 3 lost inside",
        gelu_without,
        gelu_back,
        lambda x: F.gelu(x, approximate="tanh"),
        ND,
        says="3 ",
    ),
    wrongly(
        "kl: ½ lost in one term",
        kl,
        lambda dy, mu, v: (dy * mu, -dy * (1 - np.exp(v))),
        torch_kl,
        {"mu": ("N", "D"), "logvar": ("N", "D")},
        says="2 · right",
    ),
    wrongly(
        "kl: exp forgotten",
        kl,
        lambda dy, mu, v: (dy * mu, 0.5 * dy * (v - 1)),
        torch_kl,
        {"mu": ("N", "D"), "logvar": ("N", "D")},
        says=r"e\^",
    ),
    wrongly(
        "rows: the first of equal indices wins",
        rows_of,
        lambda dy, w, i: np.where((np.arange(len(w))[:, None] == i[:1]).any(1)[:, None], dy[:1], 0.0),
        lambda w, i: w[i],
        {"w": ("V", "D"), "i": Indices(("N",), below="V")},
        ids="F01|B05",
        says="repeated|more than once",
    ),
    wrongly("another ε in forward", lambda x: bn(x, 1e-8), lambda dy, x: bn_back(dy, x, 1e-8), torch_bn, ND, says="ε"),
    wrongly(
        "n − 1 in forward",
        lambda x: bn(x, 1e-5, 1),
        lambda dy, x: bn_back(dy, x),
        torch_bn,
        {"x": ("N+1", "D")},
        ids="D18",
        says="n − 1",
    ),
    wrongly(
        "mean of the last axis for that of the first",
        lambda x: x.mean(0),
        lambda dy, x: np.ones_like(x) * dy / x.shape[1],
        lambda x: x.mean(0),
        ND,
        ids="A03|A01",
        says="N/D|right where N = D",
    ),
    wrongly(
        "outer product the wrong way round (square)",
        lambda x, z: np.einsum("ni,nj->nij", x, z),
        lambda dy, x, z: (np.einsum("nij,ni->nj", dy, z), np.einsum("nij,ni->nj", dy, x)),
        lambda x, z: torch.einsum("ni,nj->nij", x, z),
        XY,
        says="transposed|change places",
    ),
    wrongly(
        "division: the square forgotten",
        lambda x, z: x / z,
        lambda dy, x, z: (dy / z, -dy * x / z),
        torch.div,
        {"x": ("N", "D"), "z": Positive(("N", "D"))},
        says="factor too many: z",
    ),
    wrongly(
        "power: x to the n",
        lambda x: x**3,
        lambda dy, x: dy * 3 * x**3,
        lambda x: x**3,
        {"x": Positive(("N", "D"))},
        says="factor too many: x",
    ),
    wrongly(
        "maximum of two: both get dy",
        lambda x, z: np.maximum(x, z),
        lambda dy, x, z: (dy, dy),
        torch.maximum,
        XY,
        says="mask",
    ),
    wrongly(
        "maximum of two: masks change places",
        lambda x, z: np.maximum(x, z),
        lambda dy, x, z: (dy * (x < z), dy * (x > z)),
        torch.maximum,
        XY,
        says="change places|computed as that of",
    ),
    wrongly(
        "coordinates change places",
        lambda g: g[..., 0] ** 2 * g[..., 1],
        lambda dy, g: np.stack([dy * g[..., 0] ** 2, 2 * dy * g[..., 0] * g[..., 1]], -1),
        lambda g: g[..., 0] ** 2 * g[..., 1],
        {"g": ("N", "H", "W", 2)},
        says="change places",
    ),
    wrongly(
        "product over zeros",
        lambda x: x.prod(1),
        lambda dy, x: dy[:, None] * x.prod(1, keepdims=True) / x,
        lambda x: x.prod(1),
        ND,
        says="divided by",
    ),
    wrongly(
        "float16 inside",
        lambda x: np.tanh(x),
        lambda dy, x: (dy * (1 - np.tanh(x) ** 2)).astype(np.float16) * 1.0,
        torch.tanh,
        ND,
        says="float16",
    ),
    wrongly(
        "upper triangle for the lower",
        lambda x: np.tril(x),
        lambda dy, x: np.triu(dy),
        torch.tril,
        {"x": ("D", "D")},
        says="mask",
    ),
    wrongly(
        "triangle without its diagonal",
        lambda x: np.tril(x),
        lambda dy, x: np.tril(dy, -1),
        torch.tril,
        {"x": ("D", "D")},
        says="diagonal",
    ),
    wrongly(
        "padding: the border is handed on",
        lambda x: np.pad(x, ((0, 0), (1, 1))),
        lambda dy, x: dy[:, :-2],
        lambda x: F.pad(x, (1, 1)),
        ND,
        says=r"right\[i − 1\]",
    ),
    wrongly(
        "sum of two uses: one forgotten",
        lambda x: x * np.tanh(x),
        lambda dy, x: dy * np.tanh(x),
        lambda x: x * x.tanh(),
        ND,
        says="tanh x",
    ),
    wrongly(
        "hinge: margin forgotten",
        lambda x: np.maximum(0, 1 - x),
        lambda dy, x: -dy * (x < 0),
        lambda x: F.relu(1 - x),
        ND,
        says="mask",
    ),
    wrongly(
        "mse of sums: 2 and N",
        lambda x, t: ((x - t) ** 2).mean(),
        lambda dy, x, t: (dy * (x - t) / len(x), None),
        lambda x, t: F.mse_loss(x, t.detach()),
        PAIR,
        ids="A02|A04|A01",
        says="½·D",
    ),
    wrongly(
        "bias broadcast the wrong way (square)",
        lambda x, W, b: x @ W + b,
        lambda dy, x, W, b: (dy @ W.T, x.T @ dy, dy.sum(1)),
        lambda x, W, b: x @ W + b,
        {"x": ("M", "D"), "W": ("D", "M"), "b": ("M",)},
        says="Σ dy",
    ),
    wrongly(
        "gradient of W with x normalised",
        lambda x, W, b: x @ W + b,
        lambda dy, x, W, b: (dy @ W.T, (x - x.mean(0)).T @ dy, dy.sum(0)),
        lambda x, W, b: x @ W + b,
        XWB,
        says="mean",
    ),
]
