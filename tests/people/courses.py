"""Homework and lecture notes: what students write after a course, right and wrong."""

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from reference import Constant, Indices, Positive

from .corpus import ND, convention, right, wrong


# CS231n: loops, masks, caches
def conv_forward_naive(x, w, b, pad=1, stride=1):
    N, _, H, W = x.shape
    K, _, HH, WW = w.shape
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    Ho, Wo = 1 + (H + 2 * pad - HH) // stride, 1 + (W + 2 * pad - WW) // stride
    out = np.zeros((N, K, Ho, Wo))
    for n in range(N):
        for f in range(K):
            for i in range(Ho):
                for j in range(Wo):
                    window = xp[n, :, i * stride : i * stride + HH, j * stride : j * stride + WW]
                    out[n, f, i, j] = np.sum(window * w[f]) + b[f]
    return out, (x, w, b, pad, stride)


def conv_backward_naive(dout, cache, lost=False):
    x, w, _, pad, stride = cache
    N, _, H, W = x.shape
    K, _, HH, WW = w.shape
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    for n in range(N):
        for f in range(K):
            for i in range(dout.shape[2]):
                for j in range(dout.shape[3]):
                    a, c = i * stride, j * stride
                    dw[f] += xp[n, :, a : a + HH, c : c + WW] * dout[n, f, i, j]
                    if lost:
                        dxp[n, :, a : a + HH, c : c + WW] = w[f] * dout[n, f, i, j]
                    else:
                        dxp[n, :, a : a + HH, c : c + WW] += w[f] * dout[n, f, i, j]
    return dxp[:, :, pad : pad + H, pad : pad + W], dw, dout.sum((0, 2, 3))


def conv_of_params(x, w, b, conv_param):
    out, cache = conv_forward_naive(x, w, b, **conv_param)
    return out, (*cache[:3], conv_param)


def conv_of_params_back(dout, cache):
    *arrays, conv_param = cache
    return conv_backward_naive(dout, (*arrays, conv_param["pad"], conv_param["stride"]))


def running_norm(x, gamma, beta, bn_param):
    """It keeps the running mean in the dict that it is given."""
    out, cache = batchnorm_forward(x, gamma, beta, bn_param["eps"])
    bn_param["running_mean"] = 0.9 * bn_param.get("running_mean", 0) + 0.1 * x.mean(0)
    return out * (bn_param["mode"] == "train"), cache


def dropped(x, dropout_param):
    np.random.seed(dropout_param["seed"])
    mask = (np.random.rand(*x.shape) < dropout_param["p"]) / dropout_param["p"]
    return x * mask, (dropout_param, mask)


def max_pool_forward(x):
    N, C, H, W = x.shape
    return x.reshape(N, C, H // 2, 2, W // 2, 2).max(axis=3).max(axis=4), x


def max_pool_backward(dout, x, shared=True):
    N, C, H, W = x.shape
    blocks = x.reshape(N, C, H // 2, 2, W // 2, 2)
    mask = blocks == blocks.max(axis=(3, 5), keepdims=True)
    d = dout[:, :, :, None, :, None] * mask
    d = d / mask.sum(axis=(3, 5), keepdims=True) if shared else d
    return d.reshape(x.shape)


def batchnorm_forward(x, gamma, beta, eps=1e-5):
    mu = x.mean(axis=0)
    var = x.var(axis=0)
    std = np.sqrt(var + eps)
    xhat = (x - mu) / std
    return gamma * xhat + beta, (xhat, gamma, std)


def batchnorm_backward_alt(dout, cache):
    xhat, gamma, std = cache
    N = dout.shape[0]
    dbeta, dgamma = dout.sum(axis=0), np.sum(dout * xhat, axis=0)
    dx = gamma / (N * std) * (N * dout - dbeta - xhat * dgamma)
    return dx, dgamma, dbeta


def batchnorm_backward_slip(dout, cache):
    xhat, gamma, std = cache
    dx = gamma / std * (dout - dout.mean(axis=0) - xhat * np.mean(dout * xhat))
    return dx, np.sum(dout * xhat, axis=0), dout.sum(axis=0)


def svm_vectorized(W, X, y, reg=0.5):
    n = X.shape[0]
    scores = X.dot(W)
    margins = np.maximum(0, scores - scores[np.arange(n), y][:, None] + 1)
    margins[np.arange(n), y] = 0
    binary = (margins > 0).astype(float)
    binary[np.arange(n), y] = -binary.sum(axis=1)
    return margins.sum() / n + reg * np.sum(W * W), X.T.dot(binary) / n + 2 * reg * W


def svm_forgets_two(W, X, y, reg=0.5):
    loss, dW = svm_vectorized(W, X, y, reg)
    return loss, dW - reg * W


def torch_svm(W, X, y, reg=0.5):
    s = X.detach() @ W
    right = s.gather(1, y[:, None])
    margins = torch.relu(s - right + 1)
    return (margins.sum() - len(y)) / len(y) + reg * (W * W).sum()


def temporal_softmax(x, y):
    N, T, V = x.shape
    flat, t = x.reshape(N * T, V), y.reshape(N * T)
    probs = np.exp(flat - flat.max(axis=1, keepdims=True))
    probs /= probs.sum(axis=1, keepdims=True)
    loss = -np.sum(np.log(probs[np.arange(N * T), t])) / N
    d = probs.copy()
    d[np.arange(N * T), t] -= 1
    return loss, (d / N).reshape(N, T, V)


def temporal_softmax_nt(x, y):
    loss, d = temporal_softmax(x, y)
    return loss, d / x.shape[1]


def torch_temporal(x, y):
    return F.cross_entropy(x.flatten(0, 1), y.flatten(), reduction="sum") / len(x)


def rnn_step(x, prev_h, Wx, Wh, b):
    h = np.tanh(prev_h @ Wh + x @ Wx + b)
    return h, (x, prev_h, Wx, Wh, h)


def rnn_step_backward(dnext, cache):
    x, prev_h, Wx, Wh, h = cache
    d = dnext * (1 - h**2)
    return d @ Wx.T, d @ Wh.T, x.T @ d, prev_h.T @ d, d.sum(0)


def rnn_step_backward_slip(dnext, cache):
    x, prev_h, Wx, Wh, h = cache
    d = dnext * (1 - h**2)
    return d @ Wx.T, dnext @ Wh.T, x.T @ d, prev_h.T @ d, d.sum(0)


def torch_rnn_step(x, prev_h, Wx, Wh, b):
    return torch.tanh(prev_h @ Wh + x @ Wx + b)


# deeplearning.ai: columns are samples
def linear_sigmoid(A, W, b):
    Z = W @ A + b
    return 1 / (1 + np.exp(-Z)), (A, W, Z)


def linear_sigmoid_backward(dA, cache):
    A_prev, W, Z = cache
    s = 1 / (1 + np.exp(-Z))
    dZ = dA * s * (1 - s)
    return {"dA": W.T @ dZ, "dW": dZ @ A_prev.T, "db": np.sum(dZ, axis=1, keepdims=True)}


def linear_sigmoid_by_m(dA, cache):
    found = linear_sigmoid_backward(dA, cache)
    m = cache[0].shape[1]
    return found | {"dW": found["dW"] / m, "db": found["db"] / m}


def logistic_cost(w, X, y):
    """Andrew Ng's exercise: the cost over m examples, and its gradient."""
    m = y.size
    h = 1 / (1 + np.exp(-X @ w))
    return (-y @ np.log(h) - (1 - y) @ np.log(1 - h)) / m, X.T @ (h - y) / m


def logistic_cost_sum(w, X, y):
    cost, g = logistic_cost(w, X, y)
    return cost, g * y.size


def torch_logistic(w, X, y):
    return F.binary_cross_entropy_with_logits(X.detach() @ w, y.to(w.dtype))


# formulas from the lecture
def gaussian_nll(mu, log_var, t):
    return 0.5 * np.mean(log_var + (t - mu) ** 2 / np.exp(log_var)), (mu, log_var, t)


def gaussian_nll_backward(dy, c):
    mu, s, t = c
    n = mu.size
    e = np.exp(-s)
    return dy * (mu - t) * e / n, dy * 0.5 * (1 - (t - mu) ** 2 * e) / n, dy * (t - mu) * e / n


def gaussian_nll_slip(dy, c):
    dmu, ds, dt = gaussian_nll_backward(dy, c)
    return dmu, ds + dy * 0.5 * (c[2] - c[0]) ** 2 * np.exp(-c[1]) / c[0].size, dt


def torch_gaussian_nll(mu, log_var, t):
    return 0.5 * (log_var + (t - mu) ** 2 / log_var.exp()).mean()


def softplus_stable(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))), x


def cosine_similarity(a, b):
    na, nb = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    return (a * b).sum(1) / (na * nb), (a, b, na, nb)


def cosine_backward(dy, c):
    a, b, na, nb = c
    cos = (a * b).sum(1) / (na * nb)
    da = dy[:, None] * (b / (na * nb)[:, None] - (cos / na**2)[:, None] * a)
    return da, dy[:, None] * (a / (na * nb)[:, None] - (cos / nb**2)[:, None] * b)


def cosine_backward_slip(dy, c):
    a, b, na, nb = c
    return dy[:, None] * b / (na * nb)[:, None], dy[:, None] * a / (na * nb)[:, None]


def layer_scale(x, s):
    return x * s, (x, s)


CONV = {"x": (2, 2, 5, 4), "w": ("K", 2, 3, 3), "b": ("K",)}
RNN = {"x": ("N", "D"), "prev_h": ("N", "H"), "Wx": ("D", "H"), "Wh": ("H", "H"), "b": ("H",)}
BN = {"x": ("N", "D"), "gamma": ("D",), "beta": ("D",)}
COLUMNS = {"A": ("n", "m"), "W": ("k", "n"), "b": ("k", 1)}
SVM = {"W": ("D", "C"), "X": Constant(("N", "D")), "y": Indices(("N",), below="C")}
NLL = {"mu": ("N",), "log_var": ("N",), "t": ("N",)}
LOGISTIC = {"w": ("D",), "X": Constant(("m", "D")), "y": Constant(Indices(("m",), below=2))}


def torch_bn(x, gamma, beta):
    return F.batch_norm(x, None, None, gamma, beta, training=True)


def torch_conv(x, w, b):
    return F.conv2d(x, w, b, padding=1)


def torch_pool(x):
    return F.max_pool2d(x, 2)


def torch_columns(A, W, b):
    return torch.sigmoid(W @ A + b)


PEOPLE = [
    right("convolution, its parameters in a dict", conv_of_params, conv_of_params_back, against=torch_conv,
          inputs=CONV | {"conv_param": {"stride": 1, "pad": 1}}),
    right("batch norm that writes to its dict", running_norm, batchnorm_backward_alt,
          against=lambda x, gamma, beta, bn_param: torch_bn(x, gamma, beta),
          inputs=BN | {"bn_param": {"mode": "train", "eps": 1e-5}}),
    right("dropout with a seed in its dict", dropped, lambda dy, c: dy * c[1],
          inputs=ND | {"dropout_param": {"p": 0.6, "seed": 1}}),
    wrong("dropout, its factor from the dict once more", dropped, lambda dy, c: dy * c[1] / c[0]["p"],
          inputs=ND | {"dropout_param": {"p": 0.6, "seed": 1}}, side="backward", says="1/p · right|1 − p|G18"),
    right("naive convolution", conv_forward_naive, conv_backward_naive, against=torch_conv, inputs=CONV),
    wrong("naive convolution, = for +=", conv_forward_naive, lambda d, c: conv_backward_naive(d, c, True),
          against=torch_conv, inputs=CONV, side="backward"),
    convention("max pooling by blocks, ties shared", max_pool_forward, max_pool_backward, against=torch_pool,
               inputs={"x": ("N", "C", "2*H", "2*W")}),
    wrong("max pooling by blocks, all of it to every tie", max_pool_forward,
          lambda d, x: max_pool_backward(d, x, False), against=torch_pool, inputs={"x": ("N", "C", "2*H", "2*W")},
          side="backward"),
    right("batch norm, the short form", batchnorm_forward, batchnorm_backward_alt, against=torch_bn, inputs=BN),
    wrong("batch norm, the mean over all", batchnorm_forward, batchnorm_backward_slip, against=torch_bn, inputs=BN,
          side="backward"),
    right("svm with a penalty", svm_vectorized, against=torch_svm, inputs=SVM),
    wrong("svm with half of the penalty's gradient", svm_forgets_two, against=torch_svm, inputs=SVM, side="backward"),
    right("softmax over time", temporal_softmax, against=torch_temporal,
          inputs={"x": ("N", "T", "V"), "y": Indices(("N", "T"), below="V")}),
    wrong("softmax over time, 1/T too many", temporal_softmax_nt, against=torch_temporal, side="backward",
          inputs={"x": ("N", "T", "V"), "y": Indices(("N", "T"), below="V")}, says=r"1/T"),
    right("rnn step", rnn_step, rnn_step_backward, against=torch_rnn_step, inputs=RNN),
    wrong("rnn step, dprev_h before tanh", rnn_step, rnn_step_backward_slip, against=torch_rnn_step, inputs=RNN,
          side="backward"),
    right("a layer of columns", linear_sigmoid, linear_sigmoid_backward, against=torch_columns, inputs=COLUMNS),
    wrong("a layer of columns, 1/m too many", linear_sigmoid, linear_sigmoid_by_m, against=torch_columns,
          inputs=COLUMNS, side="backward", says="1/m"),
    right("logistic regression, cost and gradient", logistic_cost, against=torch_logistic, inputs=LOGISTIC),
    wrong("logistic regression, 1/m forgotten", logistic_cost_sum, against=torch_logistic, inputs=LOGISTIC,
          side="backward", says=r"m · right"),
    right("gaussian likelihood", gaussian_nll, gaussian_nll_backward, against=torch_gaussian_nll, inputs=NLL),
    wrong("gaussian likelihood, a term twice", gaussian_nll, gaussian_nll_slip, against=torch_gaussian_nll,
          inputs=NLL, side="backward"),
    right("softplus, the stable form", softplus_stable, lambda dy, x: dy / (1 + np.exp(-x)), against=F.softplus,
          inputs=ND),
    wrong("softplus, the slope of its stable form", softplus_stable, lambda dy, x: dy * (x > 0), against=F.softplus,
          inputs=ND, side="backward"),
    right("cosine similarity of rows", cosine_similarity, cosine_backward,
          against=lambda a, b: F.cosine_similarity(a, b, dim=1), inputs={"a": ("N", "D"), "b": ("N", "D")}),
    wrong("cosine similarity, norms held constant", cosine_similarity, cosine_backward_slip,
          against=lambda a, b: F.cosine_similarity(a, b, dim=1), inputs={"a": ("N", "D"), "b": ("N", "D")},
          side="backward"),
    right("log of the determinant", lambda A: (np.linalg.slogdet(A)[1], A), lambda dy, A: dy * np.linalg.inv(A).T,
          against=lambda A: torch.linalg.slogdet(A)[1], inputs={"A": ("D", "D")}),
    wrong("log of the determinant, no transpose", lambda A: (np.linalg.slogdet(A)[1], A),
          lambda dy, A: dy * np.linalg.inv(A), against=lambda A: torch.linalg.slogdet(A)[1],
          inputs={"A": ("D", "D")}, side="backward", says="transpos|B02|axes"),
    right("a power with a learned exponent", lambda x, p: (x**p, (x, p)),
          lambda dy, c: (dy * c[1] * c[0] ** (c[1] - 1), (dy * c[0] ** c[1] * np.log(c[0])).sum(0)),
          against=lambda x, p: x**p, inputs={"x": Positive(("N", "D")), "p": ("D",)}),
    wrong("a power, log₁₀ for ln", lambda x, p: (x**p, (x, p)),
          lambda dy, c: (dy * c[1] * c[0] ** (c[1] - 1), (dy * c[0] ** c[1] * np.log10(c[0])).sum(0)),
          against=lambda x, p: x**p, inputs={"x": Positive(("N", "D")), "p": ("D",)}, side="backward", says="ln 10"),
    wrong("a scale, its gradient of one row", layer_scale, lambda dy, c: (dy * c[1], dy[0] * c[0][0]),
          against=torch.mul, inputs={"x": ("N", "D"), "s": ("D",)}, side="backward", says="first|B05"),
]  # fmt: skip
