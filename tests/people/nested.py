"""Inputs and gradients in dicts and lists: weights by name, a list of layers, gradients put together as these are."""

import numpy as np
import torch

from .corpus import error, right, wrong

PARAMS = {"params": {"W": ("D", "M"), "b": ("M",)}, "x": ("N", "D")}
FLAT = {"x": ("N", "D"), "W0": ("D", "H"), "W1": ("H", "K")}
LISTED = {"x": ("N", "D"), "Ws": [("D", "H"), ("H", "K")]}
PAIRS = {"layers": [(("D", "H"), ("H",)), (("H", "K"), ("K",))], "x": ("N", "D")}


def dense(params, x):
    h = np.tanh(x @ params["W"] + params["b"])
    return h, (params, x, h)


def dense_back(dy, cache):
    params, x, h = cache
    dz = dy * (1 - h**2)
    return {"W": x.T @ dz, "b": dz.sum(0)}, dz @ params["W"].T


def dense_without_slope(dy, cache):
    params, x, _ = cache
    return {"W": x.T @ dy, "b": dy.sum(0)}, dy @ params["W"].T


def torch_dense(params, x):
    return torch.tanh(x @ params["W"] + params["b"])


def back_by_name(dy, cache):
    grads, dx = dense_back(dy, cache)
    return {"params": {"dW": grads["W"], "db": grads["b"]}, "x": dx}


def back_of_inputs(dy, params, x):
    return dense_back(dy, dense(params, x)[1])


def scaled(params, x):
    return params["scale"] * x @ params["W"], (params, x)


def scaled_back(dy, cache):
    params, x = cache
    return {"W": params["scale"] * x.T @ dy}, params["scale"] * dy @ params["W"].T


def torch_scaled(params, x):
    return params["scale"] * x @ params["W"]


def deep(x, Ws):
    hs = [x]
    for W in Ws:
        hs.append(np.tanh(hs[-1] @ W))
    return hs[-1], (hs, Ws)


def deep_back(dy, cache):
    hs, Ws = cache
    grads = []
    for before, h, W in zip(hs[-2::-1], hs[:0:-1], Ws[::-1]):
        dz = dy * (1 - h**2)
        grads.insert(0, before.T @ dz)
        dy = dz @ W.T
    return dy, grads


def deep_backwards(dy, cache):
    """The gradients of the layers in the order in which they are made."""
    dx, grads = deep_back(dy, cache)
    return dx, grads[::-1]


def torch_deep(x, Ws):
    for W in Ws:
        x = torch.tanh(x @ W)
    return x


def weights_first(dy, cache):
    dx, grads = deep_back(dy, cache)
    return grads, dx


def network(layers, x):
    hs = [x]
    for W, b in layers:
        hs.append(np.tanh(hs[-1] @ W + b))
    return hs[-1], (layers, hs)


def network_back(dy, cache):
    layers, hs = cache
    grads = []
    for (W, _), before, h in zip(layers[::-1], hs[-2::-1], hs[:0:-1]):
        dz = dy * (1 - h**2)
        grads.insert(0, (before.T @ dz, dz.sum(0)))
        dy = dz @ W.T
    return grads, dy


def torch_network(layers, x):
    for W, b in layers:
        x = torch.tanh(x @ W + b)
    return x


def two_dicts(first, second, x):
    h = x @ first["W"]
    return h @ second["W"], (first, second, x, h)


def two_dicts_back(dy, cache):
    first, second, x, h = cache
    dh = dy @ second["W"].T
    return {"W": x.T @ dh}, {"W": h.T @ dy}, dh @ first["W"].T


def torch_two_dicts(first, second, x):
    return x @ first["W"] @ second["W"]


def mean_of_squares(params, x):
    h, cache = dense(params, x)
    grads, dx = dense_back(2 * h / h.size, cache)
    return (h**2).mean(), (grads, dx)


PEOPLE = [
    right("weights in a dict", dense, dense_back, against=torch_dense, inputs=PARAMS, says="dW.*\n.*db.*\n.*dx"),
    right("weights in a dict, alone", dense, dense_back, inputs=PARAMS),
    right("weights in a dict, gradients by name", dense, back_by_name, against=torch_dense, inputs=PARAMS),
    right("weights in a dict, for the backward, too", dense, back_of_inputs, against=torch_dense, inputs=PARAMS),
    right("an option beside the weights", scaled, scaled_back, against=torch_scaled,
          inputs={"params": {"W": ("D", "M"), "scale": 0.5}, "x": ("N", "D")}),
    right("weights in a dict, with the loss", mean_of_squares,
          against=lambda params, x: (torch_dense(params, x) ** 2).mean(), inputs=PARAMS),
    wrong("weights in a dict, no slope", dense, dense_without_slope, against=torch_dense, inputs=PARAMS,
          side="backward"),
    right("a list of weights", deep, deep_back, against=torch_deep, inputs=LISTED, says="dW0.*\n.*dW1"),
    right("a list of weights, gradients in another order of inputs", lambda Ws, x: deep(x, Ws), weights_first,
          against=lambda Ws, x: torch_deep(x, Ws), inputs=LISTED),
    wrong("a list of weights in reverse", deep, deep_backwards, against=torch_deep, inputs=LISTED, side="backward"),
    right("pairs of weights in a list", network, network_back, against=torch_network, inputs=PAIRS),
    right("two dicts with the same keys", two_dicts, two_dicts_back, against=torch_two_dicts,
          inputs={"first": {"W": ("D", "H")}, "second": {"W": ("H", "K")}, "x": ("N", "D")},
          says="dfirst_W.*\n.*dsecond_W"),
    right("a list put together", lambda x, W0, W1: deep(x, [W0, W1]), deep_back,
          against=lambda x, W0, W1: torch_deep(x, [W0, W1]), inputs=FLAT),
    error("a list put together, weights first", lambda x, W0, W1: deep(x, [W0, W1]), weights_first,
          against=lambda x, W0, W1: torch_deep(x, [W0, W1]), inputs=FLAT,
          says=r"arrays of the shapes \(5, 2\), \(2, 7\), \(3, 5\).*\(dx \(3, 5\), dW0 \(5, 2\), dW1 \(2, 7\)\)"),
    right("a dict put together", lambda W, b, x: dense({"W": W, "b": b}, x), dense_back,
          against=lambda W, b, x: torch.tanh(x @ W + b), inputs={"W": ("D", "M"), "b": ("M",), "x": ("N", "D")}),
]  # fmt: skip
