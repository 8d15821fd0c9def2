"""Code that is wrong only where a size is 1, or longer than a block, or a power of two; and right code there."""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from .corpus import LABELS, ND, XW, XWB, right, wrong


def blocks(size, keep_tail):
    """Square in blocks of rows, as a kernel works, with or without what is left over."""

    def backward(dy, x):
        dx = np.zeros_like(x)
        n = len(x)
        end = n if keep_tail or n < size else n // size * size
        for i in range(0, end, size):
            dx[i : i + size] = 2 * x[i : i + size] * dy[i : i + size]
        return dx

    return backward


def column_blocks(dy, x):
    """Only the first block of columns is summed."""
    return dy[:, None] * np.ones_like(x) * (np.arange(x.shape[1]) < 32)


def var_of_unbiased(x):
    n = len(x)
    return x.var(0, ddof=1) * (n - 1) / n, x


def spread_unbiased(x):
    return x.var(0, ddof=1), x


def spread_back(dy, x):
    return 2 * (x - x.mean(0)) * dy / (len(x) - 1)


def normed_back(dy, x):
    """The factor n/(n − 1) is put in and taken out again."""
    n = np.float64(len(x))
    return (dy - dy.mean(0)) * (n / (n - 1)) * ((n - 1) / n)


def linear_squeezed(dy, c):
    x, W = c
    return dy @ W.T, (x.T @ dy).squeeze()


def bias_where_needed(dy, c):
    """The bias is summed only if there are several rows."""
    x, W, _ = c
    return dy @ W.T, x.T @ dy, dy.sum(0) if len(dy) > 1 else dy


def steep(dy, x):
    """Ten times too steep where x is exactly the mean."""
    d = dy * np.where(x == x.mean(0), 10.0, x > x.mean(0))
    return d - d.mean(0)


def above_mean(x):
    return np.maximum(x - x.mean(0), 0), x


def above_mean_back(dy, x):
    d = dy * (x > x.mean(0))
    return d - d.mean(0)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def cross_entropy(x, t):
    p = softmax(x)
    return -np.log(p[np.arange(len(t)), t]).mean(), (p, t)


def cross_entropy_back(dy, c):
    p, t = c
    return dy * (p - np.eye(p.shape[1])[t]) / len(t)


def layer_norm(x, g, b):
    mu, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    xhat = (x - mu) / np.sqrt(var + 1e-5)
    return xhat * g + b, (xhat, g, var)


def layer_norm_back(dy, c):
    xhat, g, var = c
    d = dy * g
    dx = (d - d.mean(-1, keepdims=True) - xhat * (d * xhat).mean(-1, keepdims=True)) / np.sqrt(var + 1e-5)
    return dx, (dy * xhat).sum(0), dy.sum(0)


def attention(q, k, v):
    p = softmax(q @ k.T / np.sqrt(q.shape[1]))
    return p @ v, (q, k, v, p)


def attention_back(dy, c):
    q, k, v, p = c
    dp = dy @ v.T
    ds = p * (dp - (dp * p).sum(-1, keepdims=True)) / np.sqrt(q.shape[1])
    return ds @ k, ds.T @ q, p.T @ dy


def torch_attention(q, k, v):
    return torch.softmax(q @ k.mT / q.shape[1] ** 0.5, -1) @ v


NORM = {"x": ("N", "D"), "g": ("D",), "b": ("D",)}
QKV = {"q": ("T", "d"), "k": ("S", "d"), "v": ("S", "e")}
ONE = [
    wrong("variance by way of the unbiased one", var_of_unbiased, lambda dy, x: 2 * (x - x.mean(0)) * dy / len(x),
          against=lambda x: x.var(0, unbiased=False), inputs=ND, says="N = 1"),
    wrong("mean taken off, n/(n − 1) in between", lambda x: (x - x.mean(0), x), normed_back,
          against=lambda x: x - x.mean(0), inputs=ND, side="backward", says="wrong where N = 1"),
    wrong("dW squeezed", lambda x, W: (x @ W, (x, W)), linear_squeezed, against=torch.matmul, inputs=XW,
          side="backward", says=r"dW is wrong where \w = 1|shape"),
    wrong("a product squeezed", lambda x, W: ((x @ W).squeeze(), (x, W)),
          lambda dy, c: (dy.reshape(len(c[0]), -1) @ c[1].T, c[0].T @ dy.reshape(len(c[0]), -1)), against=torch.matmul,
          inputs=XW, side="forward", says="y has the shape"),
    wrong("bias not summed over a batch of one", lambda x, W, b: (x @ W + b, (x, W, b)), bias_where_needed,
          against=lambda x, W, b: x @ W + b, inputs=XWB, side="backward", says="shape|summed"),
    right("an unbiased variance", spread_unbiased, spread_back, against=lambda x: x.var(0), inputs=ND),
    right("an unbiased variance, no truth", spread_unbiased, spread_back, inputs=ND),
    right("cross entropy over any number of classes", cross_entropy, cross_entropy_back, against=F.cross_entropy,
          inputs=LABELS),
    right("cross entropy over any number of classes, no truth", cross_entropy, cross_entropy_back, inputs=LABELS),
    right("layer norm over any width", layer_norm, layer_norm_back, inputs=NORM,
          against=lambda x, g, b: F.layer_norm(x, g.shape, g, b)),
    right("layer norm over any width, no truth", layer_norm, layer_norm_back, inputs=NORM),
    right("softmax over any width in bfloat16", lambda x: (lambda y: (y, y))(torch.softmax(x, -1)),
          lambda dy, y: y * (dy - (dy * y).sum(-1, keepdim=True)), against=lambda x: F.softmax(x, -1), inputs=ND,
          dtype="bfloat16"),
]  # fmt: skip
LONG = [
    wrong("square in blocks of 64, no tail", lambda x: (x * x, x), blocks(64, False), against=torch.square, inputs=ND,
          side="backward", says="wrong where N = 65"),
    wrong("square in blocks of 64, no tail, no truth", lambda x: (x * x, x), blocks(64, False), inputs=ND,
          side="backward", says="wrong where N = 65"),
    wrong("square in blocks of 16, no tail", lambda x: (x * x, x), blocks(16, False), against=torch.square, inputs=ND,
          side="backward", says="wrong where N = 65"),
    wrong("a sum over the first 32 columns", lambda x: (x.sum(1), x), column_blocks, against=lambda x: x.sum(1),
          inputs=ND, side="backward", says="wrong where D = 65"),
    right("square in blocks of 64", lambda x: (x * x, x), blocks(64, True), against=torch.square, inputs=ND),
    right("attention of any lengths", attention, attention_back, against=torch_attention, inputs=QKV),
    right("attention of any lengths, no truth", attention, attention_back, inputs=QKV),
]  # fmt: skip
TIES = [
    wrong("relu of what is above the mean, steep at it", above_mean, steep,
          against=lambda x: torch.relu(x - x.mean(0)), inputs=ND, side="backward"),
    right("relu of what is above the mean", above_mean, above_mean_back,
          against=lambda x: torch.relu(x - x.mean(0)), inputs=ND),
]  # fmt: skip
PEOPLE = ONE + LONG + TIES
