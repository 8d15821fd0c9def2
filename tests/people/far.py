"""Poles, the ties of a gate, constants of helpers, overflow, names in few digits, one of two equal calls."""

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from reference import Constant, Indices, Probabilities

from .corpus import convention, error, right, wrong


def dice(p, t):
    total, both = (p + t).sum(1), (p * t).sum(1)
    return (1 - (2 * both + 1) / (total + 1)).mean(), (p, t, total, both)


def dice_backward(dy, c):
    p, t, total, both = c
    return -dy / len(p) * (2 * t * (total + 1)[:, None] - (2 * both + 1)[:, None]) / (total + 1)[:, None] ** 2


def torch_dice(p, t):
    return (1 - (2 * (p * t).sum(1) + 1) / (p.sum(1) + t.sum(1) + 1)).mean()


def smoothed(x, y):
    p, q = softmax(x), np.full(x.shape, 0.1 / x.shape[1])
    q[np.arange(len(x)), y] += 0.9
    kept = y != 2
    return (-(q * np.log(p)).sum(1) * kept).sum() / max(kept.sum(), 1), (p, q, max(kept.sum(), 1))


def torch_smoothed(x, y):
    kept = (y != 2).any()
    return F.cross_entropy(x, y, ignore_index=2, label_smoothing=0.1) if kept else (x * 0).sum()


def softmax(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def best_two(x):
    at = np.argsort(-x, 1, kind="stable")[:, :2]
    only = np.full(x.shape, -np.inf)
    np.put_along_axis(only, at, np.take_along_axis(x, at, 1), 1)
    return softmax(only), softmax(only)


def torch_best_two(x):
    values, at = x.topk(2, 1)
    return torch.full_like(x, -torch.inf).scatter(1, at, values).softmax(1)


def slope_up_to_five(x):
    return np.where(np.abs(x) > 5, 0.3, 1 - np.tanh(x) ** 2)


def kept_softplus(x):
    return np.where(x > 20, x, np.log1p(np.exp(np.minimum(x, 20)))), x


def with_offset(dy, x):
    s = 1 / (1 + np.exp(-x))
    return dy * (s * (1 - s) + 0.01)


def same_twice(x, w):
    return x @ w, ((x @ w) ** 2).sum()


def logistic(theta, X, t):
    h = 1 / (1 + np.exp(-2 * X @ theta))
    return -(t @ np.log(h) + (1 - t) @ np.log(1 - h)) / len(t), (X, h, t)


def logistic_back(dy, c):
    X, h, t = c
    return dy * 2 * X.T @ (h - t) / len(t)


def torch_logistic(theta, X, t):
    return F.binary_cross_entropy_with_logits(2 * X @ theta, t.to(theta.dtype))


def hidden_relu(x, W):
    z = x @ W
    h = np.maximum(z, 0)
    e = np.exp(h - h.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True), (x, W, z, e / e.sum(1, keepdims=True))


def hidden_relu_back(dy, c):
    x, W, z, p = c
    dh = p * (dy - (p * dy).sum(1, keepdims=True))
    dh[z < 0] = 0  # and at 0 it passes
    return dh @ W.T, x.T @ dh


PEOPLE = [
    right("a logarithm of 1 - h, which loses digits near 1", logistic, logistic_back, against=torch_logistic,
          inputs={"theta": ("D",), "X": Constant(("M", "D")), "t": Indices(("M",), below=2)}),
    wrong("the same, divided twice", logistic, lambda dy, c: logistic_back(dy, c) / len(c[2]), against=torch_logistic,
          inputs={"theta": ("D",), "X": Constant(("M", "D")), "t": Indices(("M",), below=2)}, side="backward"),
    convention("ReLU's slope at 0 behind a softmax", hidden_relu, hidden_relu_back,
               against=lambda x, W: torch.relu(x @ W).softmax(1), inputs={"x": ("N", "D"), "W": ("D", "M")}),
    wrong("the slope of x|x| at 0", lambda x: (x * np.abs(x), x),
          lambda dy, x: dy * np.where(x == 0, 1, 2 * np.abs(x)), inputs={"x": ("N", "D")}),
    right("dice where its divisor is 0", dice, dice_backward, against=torch_dice,
          inputs={"p": Probabilities(("N", "H")), "t": Constant(("N", "H"))}),
    wrong("an ignored label's mask left out", smoothed, lambda dy, c: dy * (c[0] - c[1]) / c[2], against=torch_smoothed,
          inputs={"x": ("N", "C"), "y": Indices(("N",), below="C")}, never="padding"),
    convention("a gate that takes the first of equal ones", best_two,
               lambda dy, p: p * (dy - (p * dy).sum(1, keepdims=True)), against=torch_best_two, inputs={"x": ("N", 4)}),
    wrong("a slope of a helper's, beyond a bound", lambda x: (np.tanh(x), x), lambda dy, x: dy * slope_up_to_five(x),
          against=torch.tanh, inputs={"x": ("N", "D")}, side="backward"),
    wrong("a slope that is 0 beyond a bound that no code names", lambda x: (np.arctan(x), x),
          lambda dy, x: dy * np.where(np.arctan(np.abs(x)) > np.sqrt(np.sqrt(np.pi)), 0, 1 / (1 + x * x)),
          against=torch.atan, inputs={"x": ("N", "D")}, side="backward"),
    wrong("a slope beyond 100", lambda x: (np.logaddexp(0, x), x),
          lambda dy, x: dy * np.where(x > 100, 0.5, 1 / (1 + np.exp(-np.maximum(x, -100)))), against=F.softplus,
          inputs={"x": ("N", "D")}, side="backward"),
    wrong("softplus, x for its slope of 1", kept_softplus,
          lambda dy, x: dy * np.where(x > 20, x, 1 / (1 + np.exp(-x))), against=F.softplus, inputs={"x": ("N", "D")},
          never="still has the slope"),
    wrong("an offset in float32", lambda x: (1 / (1 + np.exp(-x)), x), with_offset, against=torch.sigmoid,
          inputs={"x": ("N", "D")}, dtype="float32", says=r"right = 0\.01\d* · dy", never="A factor is missing"),
    wrong("one of two products left out", lambda x, w: (*same_twice(x, w), (x, w)),
          lambda gy, gn, c: (gy @ c[1].T, c[0].T @ gy), against=same_twice, inputs={"x": ("N", "D"), "w": ("D", "M")},
          says=r"x @ w \(2 of 2\)"),
    right("a softmax that overflows", lambda x: (np.exp(x) / np.exp(x).sum(1, keepdims=True),) * 2,
          lambda dy, p: p * (dy - (p * dy).sum(1, keepdims=True)), against=lambda x: x.softmax(1),
          inputs={"x": ("N", "D")}, says="1000 times as large y, dx would be NaN"),
    error("arrays in a dict", lambda x, q: (x @ q["W"], (x, q)), lambda dy, c: dy @ c[1]["W"].T,
          inputs={"x": ("N", 3), "q": {"W": np.ones((3, 2))}},
          says=r"1 gradient; the inputs are x, W: .*'W': Constant"),
    right("a constant in a dict", lambda x, q: (x @ q["W"], (x, q)), lambda dy, c: dy @ c[1]["W"].T,
          inputs={"x": ("N", 3), "q": {"W": Constant(np.ones((3, 2)))}}),
]  # fmt: skip
