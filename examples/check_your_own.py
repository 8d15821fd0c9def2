"""Three mistakes that people really make, and what a check says of each."""

import numpy as np
import torch.nn.functional as F  # noqa: N812

from reference import check_function


def mse(x, t):
    return ((x - t) ** 2).mean(), (x, t)


def mse_backward(dy, cache):
    x, t = cache
    return dy * 2 * (x - t), -dy * 2 * (x - t)  # 1/N is forgotten


def softmax(x):
    s = np.exp(x - x.max(-1, keepdims=True))
    return s / s.sum(-1, keepdims=True), s / s.sum(-1, keepdims=True)


def softmax_backward(dy, s):
    return dy * s * (1 - s)  # the diagonal of the Jacobian alone


def two_layers(x, w1, w2):
    h = np.tanh(x @ w1.T)
    return h @ w2.T, (x, h, w1, w2)


def two_layers_backward(dy, cache):
    x, h, w1, w2 = cache
    dw2 = dy.T @ h
    w2 = w2 - 0.1 * dw2  # the update comes before the error is propagated
    dz = dy @ w2 * (1 - h * h)
    return dz @ w1, dz.T @ x, dw2


ND = ("N", "D")
print(check_function(mse, mse_backward, against=F.mse_loss, inputs={"x": ND, "t": ND}))
print(check_function(softmax, softmax_backward, against=lambda x: F.softmax(x, -1), inputs={"x": ND}))
print(
    check_function(
        two_layers,
        two_layers_backward,
        against=lambda x, w1, w2: F.linear(F.linear(x, w1).tanh(), w2),
        inputs={"x": ND, "w1": ("H", "D"), "w2": ("O", "H")},
        options={"lr": 0.1},
    )
)
