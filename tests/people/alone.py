"""Code that is checked by the differences of its own forward, at kinks and ties too; and code that draws, or keeps
something from call to call."""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from reference import SPD

from .corpus import ND, right, wrong

AB = {"a": ("N", "D"), "b": ("N", "D")}
XW = {"x": ("N", "D"), "W": ("D", "M")}


def row_max(x):
    return x.max(1), x


def first_largest(dy, x):
    return dy[:, None] * (np.arange(x.shape[1]) == x.argmax(1)[:, None])


def every_largest(dy, x):
    return dy[:, None] * (x == x.max(1, keepdims=True))


def pooled(x):
    N, C, H, W = x.shape
    windows = x.reshape(N, C, H // 2, 2, W // 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(N, C, H // 2, W // 2, 4)
    return windows.max(-1), windows


def unpooled(dy, windows):
    N, C, H, W, _ = windows.shape
    d = np.zeros_like(windows)
    np.put_along_axis(d, windows.argmax(-1)[..., None], dy[..., None], -1)
    return d.reshape(N, C, H, W, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(N, C, 2 * H, 2 * W)


def ordered(x):
    return np.sort(x, 1), np.argsort(x, 1, kind="stable")


def middle(x):
    k = (x.shape[1] - 1) // 2
    order = np.argsort(x, 1, kind="stable")[:, k]
    return x[np.arange(len(x)), order], (x.shape, order)


def to_the_middle(dy, cache):
    shape, order = cache
    d = np.zeros(shape)
    d[np.arange(len(d)), order] = dy
    return d


def normed(x):
    m = x.mean(0)
    s = 1 / np.sqrt(((x - m) ** 2).mean(0) + 1e-12)
    return (x - m) * s, ((x - m) * s, s)


def normed_back(dy, cache):
    h, s = cache
    return s * (dy - dy.mean(0) - h * (dy * h).mean(0))


def log_determinant(S):
    return 2 * np.log(np.diagonal(np.linalg.cholesky(S), axis1=-2, axis2=-1)).sum(), S


def in_float32(x, W):
    x, W = x.astype(np.float32), W.astype(np.float32)
    return x @ W, (x, W)


def float32_back(dy, cache):
    x, W = cache
    dy = dy.astype(np.float32)
    return dy @ W.T, x.T @ dy


def clipped(slope):
    return lambda dy, x: dy * np.where(np.abs(x) == 1, slope, np.abs(x) < 1)


def with_square(x):
    return (x * x).sum(), x


TIES = [
    right("row maximum, the first has all", row_max, first_largest, inputs=ND, seed=1),
    right("row maximum, shared", row_max, lambda dy, x: every_largest(dy, x) / every_largest(1 + 0 * dy, x).sum(
          1, keepdims=True), inputs=ND, seed=1),
    wrong("row maximum, all have all", row_max, every_largest, inputs=ND, side="backward"),
    right("pooled, the first has all", pooled, unpooled, inputs={"x": ("N", "C", "2*H", "2*W")}),
    right("sorted", ordered, lambda dy, order: np.take_along_axis(dy, np.argsort(order, 1), 1), inputs=ND, seed=1),
    right("median", middle, to_the_middle, inputs=ND, seed=2),
    right("larger of two, a at a tie", lambda a, b: (np.maximum(a, b), a >= b),
          lambda dy, mask: (dy * mask, dy * ~mask), inputs=AB),
    wrong("larger of two, both at a tie", lambda a, b: (np.maximum(a, b), (a, b)),
          lambda dy, c: (dy * (c[0] >= c[1]), dy * (c[0] <= c[1])), inputs=AB, side="backward"),
    right("clip, 1 at its ends", lambda x: (np.clip(x, -1, 1), x), clipped(1.0), inputs=ND),
    right("clip, 0 at its ends", lambda x: (np.clip(x, -1, 1), x), clipped(0.0), inputs=ND),
    wrong("clip, 10 at its ends", lambda x: (np.clip(x, -1, 1), x), clipped(10.0), inputs=ND, side="backward"),
    right("a norm with a tiny ε", normed, normed_back, inputs=ND),
    right("steps", lambda x: (np.round(x) + x, x), lambda dy, x: dy, inputs=ND),
]  # fmt: skip
FORMS = [
    right("a loss and x, whose backward calls it x", with_square, lambda x: 2 * x, inputs=ND),
    wrong("a loss and x, 1 too many", with_square, lambda x: 2 * x + 1, inputs=ND, side="backward"),
    right("log det of a symmetric matrix", log_determinant, lambda cache: np.linalg.inv(cache),
          inputs={"S": SPD(("D", "D"))}),
    wrong("log det, half of it", log_determinant, lambda cache: np.linalg.inv(cache) / 2,
          inputs={"S": SPD(("D", "D"))}, side="backward"),
]  # fmt: skip


class Running:
    """A batch norm that is trained by its running mean."""

    def __init__(self):
        self.mean = 0.0

    def forward(self, x):
        y = x - self.mean
        self.mean = 0.5 * self.mean + 0.5 * x.mean(0)
        return y

    def backward(self, dy):
        return dy


class Counts(Running):
    """What it keeps changes nothing that comes out."""

    def forward(self, x):
        self.mean = 0.5 * self.mean + 0.5 * x.mean(0)
        self.d = x
        return x * x

    def backward(self, dy):
        return 2 * self.d * dy


class RandomWeights:
    def __init__(self):
        self.W = np.random.randn(3, 2)

    def forward(self, x):
        self.x = x
        return x @ self.W

    def backward(self, dy):
        self.dW = self.x.T @ dy
        return dy @ self.W.T


class OwnDice:
    def __init__(self):
        self.rng = np.random.default_rng(3)

    def forward(self, x):
        self.mask = (self.rng.random(x.shape) > 0.5) * 2.0
        return x * self.mask

    def backward(self, dy):
        return dy * self.mask


def sampled(power):
    def forward(mu, logvar):
        noise = np.random.randn(*mu.shape)
        return mu + np.exp(power * logvar) * noise, (power * np.exp(power * logvar) * noise)

    return forward


def intended(mu, logvar):
    return mu + torch.exp(logvar / 2) * torch.randn_like(mu)


def by_row(x):
    mask = (np.random.rand(len(x), 1) > 0.3) / 0.7
    return x * mask, mask


MU = {"mu": ("N", "D"), "logvar": ("N", "D")}
KEPT = [
    wrong("trained by running statistics", Running, against=lambda x: x - x.mean(0), inputs={"x": ("N", 3)},
          says="keeps something from call to call"),
    right("statistics that nothing depends on", Counts, against=torch.square, inputs=ND),
    right("weights that are drawn when it is made", RandomWeights, against=torch.matmul,
          inputs={"x": ("N", 3), "W": (3, 2)}),
    right("dice of its own", OwnDice, against=F.dropout, inputs=ND, says="draws random numbers"),
    right("sampled by reparametrisation", sampled(0.5), lambda dy, c: (dy, dy * c), against=intended, inputs=MU),
    wrong("sampled with the variance for the deviation", sampled(1.0), lambda dy, c: (dy, dy * c), against=intended,
          inputs=MU, says="spread otherwise"),
    wrong("whole rows dropped", by_row, lambda dy, mask: dy * mask, against=lambda x: F.dropout(x, 0.3), inputs=ND,
          says="spread otherwise"),
    right("whole rows dropped, alone", by_row, lambda dy, mask: dy * mask, inputs=ND),
]  # fmt: skip
PEOPLE = TIES + FORMS + KEPT
