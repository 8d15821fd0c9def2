"""Code that is wrong only in places that few random numbers and sizes come to, and right code that goes there."""

from functools import partial

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from reference import Between, Constant, Indices, Probabilities

from .corpus import ND, convention, right, wrong

SIX = 6.0


def clipped(x, top=6):
    return np.clip(x, 0, top), x


def clipped_global(x):
    return np.clip(x, 0, SIX), x


def forgets_top(dy, x):
    return dy * (x > 0)


class Hardtanh(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clamp(-5, 5)

    @staticmethod
    def backward(ctx, g):
        return g


def softplus(x):
    return np.where(x > 20, x, np.log1p(np.exp(np.minimum(x, 20)))), x


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def hardswish(x):
    return x * np.clip(x + 3, 0, 6) / 6, x


def with_logits(x):
    """Overflows where 1 − p is 0: with a constant of 40, which is no kink."""
    p = sigmoid(x)
    return -np.log(1 - p) * 40, p


GENERATOR = np.random.default_rng(7)


def mask_of(x):
    return (np.random.rand(*x.shape) > 0.5) / 0.5


def mask_of_torch(x):
    return ((torch.rand(x.shape) > 0.5) / 0.5).numpy()


def dropout(mask):
    def kept(x):
        m = mask(x)
        return x * m, m

    return kept, lambda dy, m: dy * m


def redrawn(mask):
    return (lambda x: x * mask(x)), (lambda dy, x: dy * mask(dy))


def kept_from_own(x):
    mask = GENERATOR.random(x.shape) > 0.5
    return x * mask, mask


def cross_entropy(p, t):
    return -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean(), (p, t)


def cross_entropy_back(dy, p, t):
    return dy * (p - t) / (p * (1 - p)) / p.size


class DropoutFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * (torch.rand_like(x) > 0.5)

    @staticmethod
    def backward(ctx, g):
        return g * (torch.rand_like(g) > 0.5)


MASKS = [
    wrong("dropout, a new mask in backward", *redrawn(mask_of), against=F.dropout, inputs=ND),
    wrong("dropout, a new mask of torch in backward", *redrawn(mask_of_torch), inputs=ND),
    wrong("dropout, a new mask in a Function", DropoutFunction, inputs=ND),
    wrong(
        "dropout, a new mask of an own generator", kept_from_own,
        lambda dy, c: dy * (GENERATOR.random(dy.shape) > 0.5), inputs=ND,
    ),
    right("dropout that keeps its mask", *dropout(mask_of), against=F.dropout, inputs=ND),
    right("dropout that keeps its mask of torch", *dropout(mask_of_torch), inputs=ND),
    right("dropout that keeps its mask of a generator", kept_from_own, lambda dy, c: dy * c, inputs=ND),
]  # fmt: skip
CONSTANTS = [
    wrong("relu6 without its upper end", clipped, forgets_top, against=F.relu6, inputs=ND, side="backward"),
    wrong("relu6, the end is a global", clipped_global, forgets_top, against=F.relu6, inputs=ND, side="backward"),
    wrong("relu6, the end in a partial", partial(clipped, top=6), forgets_top, against=F.relu6, inputs=ND),
    wrong("relu6 beside a module", lambda x: (x.clip(0, 6), x), forgets_top, against=nn.ReLU6(), inputs=ND),
    wrong("hardtanh(−5, 5) that hands everything on", Hardtanh, against=lambda x: F.hardtanh(x, -5.0, 5.0), inputs=ND),
    wrong(
        "softplus: 0 beyond its threshold", softplus, lambda dy, x: dy * np.where(x > 20, 0.0, sigmoid(x)),
        against=F.softplus, inputs=ND, side="backward",
    ),
    right("relu6", clipped, lambda dy, x: dy * (x > 0) * (x < 6), against=F.relu6, inputs=ND),
    right(
        "softplus with its threshold", softplus, lambda dy, x: dy * np.where(x > 20, 1.0, sigmoid(x)),
        against=F.softplus, inputs=ND,
    ),
    right(
        "softplus without a threshold, 20 in torch's", lambda x: (np.log1p(np.exp(x)), x),
        lambda dy, x: dy * sigmoid(x), against=lambda x: F.softplus(x, 1, 20), inputs=ND,
    ),
    right(
        "hardswish", hardswish, lambda dy, x: dy * np.where(x <= -3, 0.0, np.where(x >= 3, 1.0, x / 3 + 0.5)),
        against=F.hardswish, inputs=ND,
    ),
    right(
        "log(1 − p), infinite far out", with_logits, lambda dy, p: 40 * dy * p, against=lambda x: 40 * F.softplus(x),
        inputs=ND,
    ),
]  # fmt: skip
CHANCES = ("N", "D")


def normalized(x, eps=1e-12):
    n = np.sqrt((x * x).sum(-1, keepdims=True))
    return x / np.maximum(n, eps), (x, n, np.maximum(n, eps))


def normalized_back(dy, cache, of_zero):
    x, n, m = cache
    across = x * (dy * x).sum(-1, keepdims=True) / np.where(n == 0, 1, m * m * n)
    return np.where(n == 0, of_zero * dy, dy / m - across)


def far_clipped(c):
    return lambda x: (np.clip(x, -c, c), np.abs(x) <= c)


class Capped:
    """A cap in the class, and a forward and a backward that are taken from an object."""

    CAP = 200.0

    def forward(self, x):
        return np.minimum(x, self.CAP), x

    def backward(self, dy, x):
        return dy * (x <= self.CAP)

    def forgets(self, dy, x):
        return dy


def capped(x):
    return torch.clamp(x, max=200.0)


ALIKE = [
    right("a cap in the class", Capped().forward, Capped().backward, against=capped, inputs=ND),
    wrong("a cap in the class that backward forgets", Capped().forward, Capped().forgets, inputs=ND),
    right("unit rows, torch's at a row of zeros", normalized, lambda dy, c: normalized_back(dy, c, 1e12),
          against=lambda x: F.normalize(x, dim=-1), inputs=ND),
    convention("unit rows, 0 at a row of zeros", normalized, lambda dy, c: normalized_back(dy, c, 0.0),
               against=lambda x: F.normalize(x, dim=-1), inputs=ND),
    wrong("unit rows, NaN at a row of zeros", normalized, lambda dy, c: normalized_back(dy, c, np.nan),
          against=lambda x: F.normalize(x, dim=-1), inputs=ND),
    right("a deviation that is 0 in a row", lambda x: (x.std(-1), x),
          lambda dy, x: (dy / np.maximum(x.std(-1), 1e-300))[:, None] * (x - x.mean(-1, keepdims=True)) / x.shape[-1],
          against=lambda x: x.std(-1, unbiased=False), inputs=ND),
    *(right(f"a clip at {c}", far_clipped(c), lambda dy, m: dy * m, against=partial(torch.clamp, min=-c, max=c),
            inputs=ND) for c in (100, 300, 5000)),
    *(wrong(f"a clip at {c} that backward forgets", far_clipped(c), lambda dy, m: dy,
            against=partial(torch.clamp, min=-c, max=c), inputs=ND) for c in (100, 300, 5000)),
    *(wrong(f"a clip at {c} that backward forgets, alone", far_clipped(c), lambda dy, m: dy, inputs=ND)
      for c in (100, 300)),
]  # fmt: skip
DOMAINS = [
    *(
        right(
            f"cross entropy of chances, {name}", cross_entropy, lambda dy, c: cross_entropy_back(dy, *c),
            against=lambda p, t: F.binary_cross_entropy(p, t.to(p.dtype)), inputs={"p": p, "t": t},
            says="N = [2-9], D = [2-9]",
        )
        for name, p, t in (
            ("real numbers that are none", CHANCES, Constant(CHANCES)),
            ("targets that sum to 1", CHANCES, Constant(Probabilities(CHANCES))),
            ("all of them sum to 1", Probabilities(CHANCES), Constant(Probabilities(CHANCES))),
            ("the ends are tried", Between(0, 1, CHANCES), Constant(Between(0, 1, CHANCES))),
            ("labels", Between(0, 1, CHANCES), Indices(CHANCES, below=2)),
        )
    ),
    wrong(
        "cross entropy of chances, 1/N forgotten", cross_entropy,
        lambda dy, c: cross_entropy_back(dy, *c) * c[0].size, against=F.binary_cross_entropy,
        inputs={"p": CHANCES, "t": Constant(Probabilities(CHANCES))}, ids="A01",
    ),
    wrong(
        "entropy, NaN at 0", lambda p: (-p * np.log(p), p), lambda dy, p: -dy * (np.log(p) + 1),
        against=torch.special.entr, inputs={"p": Between(0, 1, CHANCES)}, says="NaN", never="1 − p",
    ),
    wrong(
        "a logarithm that is −∞ at 1", lambda p: (-(1 - p) * np.log(1 - p), p), lambda dy, p: dy * (np.log(1 - p) + 1),
        against=lambda p: torch.special.entr(1 - p), inputs={"p": Between(0, 1, CHANCES)},
        says="Not finite where p = 1: .*as 1 − p is", never="divided by y|variance",
    ),
]  # fmt: skip
PEOPLE = MASKS + CONSTANTS + DOMAINS + ALIKE
