"""Two functions of NumPy arrays."""

from collections import namedtuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from reference import Constant, Indices, OneHot, Positive, Probabilities
from reference.twin.conventions import CLAMP

from .corpus import LABELS, ND, PAIR, XW, XWB, convention, error, right, wrong

one_at_bounds = convention if CLAMP.holds(torch.__version__) else right  # torch's own choice was once another


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


# — affine, in every dress ————————————————————————————————————————————————————————————————————————————————————————
def affine_forward(x, W, b):
    out = x.dot(W) + b
    cache = (x, W, b)
    return out, cache


def affine_backward(dout, cache):
    x, W, _ = cache
    return dout.dot(W.T), x.T.dot(dout), dout.sum(axis=0)


def torch_affine(x, W, b):
    return x @ W + b


def affine_pulled(x, W, b):
    return x @ W + b, lambda dy: (dy @ W.T, x.T @ dy, dy.sum(0))


def affine_pulled_badly(x, W, b):
    return x @ W + b, lambda dy: (dy @ W.T, x.T @ dy, dy.mean(0))


def parts_pulled(x):
    return (np.sin(x), x * x), lambda da, db: da * np.cos(x) + db * 2 * x


def as_dict(dy, cache):
    dx, dW, db = affine_backward(dy, cache)
    return {"dx": dx, "dW": dW, "db": db}


def as_grads(dy, cache):
    dx, dW, db = affine_backward(dy, cache)
    return {"x_grad": dx, "W_grad": dW, "b_grad": db}


def as_grad_of(dy, cache):
    dx, dW, db = affine_backward(dy, cache)
    return {"grad_b": db, "grad_W": dW, "grad_x": dx}


Grads = namedtuple("Grads", "dW db dx")


def as_named_tuple(dy, cache):
    dx, dW, db = affine_backward(dy, cache)
    return Grads(dW, db, dx)


def linear_backward(dZ, A_prev, W, b):
    return dZ @ W.T, A_prev.T @ dZ, np.sum(dZ, axis=0)


def wrong_dict(dy, cache):
    return as_dict(dy, cache) | {"dW": cache[0].T @ dy / len(dy)}


AFFINE = [
    right("forward returns its backward", affine_pulled, against=torch_affine, inputs=XWB),
    right("two outputs and their backward", parts_pulled, against=lambda x: (torch.sin(x), x * x), inputs=ND),
    right("a loss and what gives its gradient", lambda x: ((x**2).sum(), lambda: 2 * x), inputs=ND),
    wrong("forward returns a backward with a mean", affine_pulled_badly, against=torch_affine, inputs=XWB, says="B04"),
    right("affine, cache", affine_forward, affine_backward, against=torch_affine, inputs=XWB),
    right("affine, inputs in another order", affine_forward, affine_backward, against=torch_affine,
          inputs={"b": ("M",), "W": ("D", "M"), "x": ("N", "D")}),
    right("affine, against by position", affine_forward, affine_backward, against=lambda a, v, c: a @ v + c,
          inputs={"W": ("D", "M"), "x": ("N", "D"), "b": ("M",)}),
    right("affine, dict of dW", affine_forward, as_dict, against=torch_affine, inputs=XWB),
    right("affine, dict of W_grad", affine_forward, as_grads, against=torch_affine, inputs=XWB),
    right("affine, dict of grad_W", affine_forward, as_grad_of, against=torch_affine, inputs=XWB),
    right("affine, named tuple", affine_forward, as_named_tuple, against=torch_affine, inputs=XWB),
    right("affine, a list", affine_forward, lambda d, c: list(affine_backward(d, c)), against=torch_affine, inputs=XWB),
    right("affine, inputs again", lambda x, W, b: x @ W + b, linear_backward, against=torch_affine, inputs=XWB),
    right("affine, inputs again and a cache", lambda x, W, b: (x @ W + b, "nothing"),
          lambda dy, x, W, b, cache: linear_backward(dy, x, W, b), against=torch_affine, inputs=XWB),
    right("affine, inputs again in another order", lambda x, W, b: (x @ W + b, None),
          lambda dout, W, x, cache: (dout @ W.T, x.T @ dout, dout.sum(0)), against=torch_affine, inputs=XWB),
    right("affine, cache first", affine_forward, lambda cache, dout: affine_backward(dout, cache),
          against=torch_affine, inputs=XWB),
    right("affine, bias as a row", lambda x, W, b: (x @ W + b, (x, W)),
          lambda d, c: (d @ c[1].T, c[0].T @ d, d.sum(0, keepdims=True)),
          against=torch_affine, inputs=XW | {"b": (1, "M")}),
    right("affine, batch last", lambda W, A, b: (W @ A + b, (A, W)),
          lambda dZ, cache: {"dA": cache[1].T @ dZ, "dW": dZ @ cache[0].T, "db": dZ.sum(1, keepdims=True)},
          against=lambda W, A, b: W @ A + b, inputs={"A": ("D", "N"), "W": ("M", "D"), "b": ("M", 1)}),
    right("affine in two caches", lambda x, W: (x @ W, x, W), lambda dy, x, W: (dy @ W.T, x.T @ dy),
          against=torch.matmul, inputs=XW),
    right("affine, data that have no gradient", lambda x, W: (x @ W, x), lambda dy, x: {"dW": x.T @ dy},
          against=lambda x, W: x.detach() @ W, inputs=XW),
    right("affine, data declared constant", lambda x, W: (x @ W, x), lambda dy, x: x.T @ dy, against=torch.matmul,
          inputs={"x": Constant(("N", "D")), "W": ("D", "M")}),
    right("affine without a truth, data constant", lambda x, W: (x @ W, x), lambda dy, x: x.T @ dy,
          inputs={"x": Constant(("N", "D")), "W": ("D", "M")}),
    right("affine, gradients of tensors", lambda x, W, b: (x @ W + b, (x, W, b)),
          lambda dy, c: tuple(torch.tensor(g) for g in affine_backward(dy, c)), against=torch_affine, inputs=XWB),
    wrong("affine, dict, mean for sum in dW", affine_forward, wrong_dict, against=torch_affine, inputs=XWB,
          side="backward", says="1/N", never="F13|C20"),
    wrong("affine, dy without its transpose", lambda x, W: (x @ W, (x, W)), lambda dy, c: (dy @ c[1].T, dy.T @ c[0]),
          against=torch.matmul, inputs=XW, side="backward", says="transposed|shape"),
    wrong("affine, W where Wᵀ should be (square)", lambda x, W: (x @ W, (x, W)), lambda dy, c: (dy @ c[1], c[0].T @ dy),
          against=torch.matmul, inputs={"x": ("N", "D"), "W": ("D", "D")}, side="backward", says="B01|dy W"),
    wrong("affine, bias forgotten", affine_forward, lambda dy, c: {"dx": dy @ c[1].T, "dW": c[0].T @ dy},
          against=torch_affine, inputs=XWB, side="backward", says="db is missing"),
    error("affine, other keys", affine_forward, lambda dy, c: {"delta": dy @ c[1].T}, against=torch_affine, inputs=XWB,
          says="keys delta.*x, dx"),
    error("affine, too few gradients", affine_forward, lambda dy, c: (dy @ c[1].T, c[0].T @ dy), against=torch_affine,
          inputs=XWB, says=r"2 gradients.*x, W, b.*Constant"),
    error("affine, a name that does not exist", affine_forward, lambda dy, c: dout.dot(c[1].T),  # noqa: F821
          against=torch_affine, inputs=XWB, says=r"your backward raised NameError.*dout.*pairs\.py, line \d+"),
    error("affine, one input too many", affine_forward, affine_backward, against=torch_affine,
          inputs=XWB | {"c": ("M",)}, says=r"forward takes 3 arguments \(x, W, b\).*4 \(x, W, b, c\)"),
    error("affine, names half of forward's", affine_forward, affine_backward, against=torch_affine,
          inputs={"W": ("D", "M"), "x": ("N", "D"), "bias": ("M",)}, says="W, x would go to another place"),
]  # fmt: skip


# — entry by entry ————————————————————————————————————————————————————————————————————————————————————————————————
def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def relu_backward(dA, cache):
    Z = cache
    dZ = np.array(dA, copy=True)
    dZ[Z <= 0] = 0
    return dZ


def flat_square(dy, x):
    dx = np.empty_like(x)
    for i in range(x.size):
        dx.flat[i] = 2 * x.flat[i] * dy.flat[i]
    return dx


def reshaped_square(dy, x):
    dx = np.zeros_like(x)
    view = dx.reshape(-1)
    view[:] = (2 * dy * x).reshape(-1)
    return dx


def doubled_in_place(dy, x):
    dy *= 2
    return dy * x


ELEMENTWISE = [
    right("sigmoid, cache is the output", lambda x: (sigmoid(x), sigmoid(x)), lambda dA, A: dA * A * (1 - A),
          against=torch.sigmoid, inputs=ND),
    right("relu, a copy masked", lambda Z: (np.maximum(0, Z), Z), relu_backward, against=torch.relu,
          inputs={"Z": ("N", "D")}),
    right("relu, mask as float", lambda x: (np.maximum(x, 0), x > 0), lambda dy, mask: dy * mask.astype(float),
          against=torch.relu, inputs=ND, says="float32 goes in"),
    right("relu, mask as int", lambda x: (x * (x > 0), x), lambda dy, x: dy * np.where(x > 0, 1, 0),
          against=torch.relu, inputs=ND),
    right("scaled by a float64 constant", lambda x: (x * np.sqrt(2.0), None), lambda dy, c: dy * np.sqrt(2.0),
          against=lambda x: x * 2**0.5, inputs=ND, says="float64"),
    right("written entry by entry", lambda x: (x * x, x), flat_square, against=torch.square, inputs=ND),
    right("tanh with 1 − y²", lambda x: (np.tanh(x), np.tanh(x)), lambda dy, y: dy * (1 - y**2), against=torch.tanh,
          inputs=ND),
    right("backward of dy alone", lambda x: 3 * x, lambda dy: 3 * dy, against=lambda x: 3 * x, inputs=ND),
    right("backward of the cache alone, a mean", lambda x: ((x * x).mean(), x), lambda cache: 2 * cache / cache.size,
          against=lambda x: (x * x).mean(), inputs=ND),
    right("log of positive numbers", lambda x: (np.log(x), x), lambda dy, x: dy / x, against=torch.log,
          inputs={"x": Positive(("N", "D"))}),
    right("entropy without a truth", lambda p: (-(p * np.log(p)).sum(-1), p),
          lambda dy, p: -dy[:, None] * (np.log(p) + 1), inputs={"p": Probabilities(("N", "D"))}),
    right("log without a domain", lambda x: (np.log(x), x), lambda dy, x: dy / x, inputs=ND, says="not finite"),
    right("leaky relu with an option", lambda x, alpha: (np.where(x > 0, x, alpha * x), x > 0, alpha),
          lambda dy, mask, alpha: np.where(mask, dy, alpha * dy), against=lambda x, alpha: F.leaky_relu(x, alpha),
          inputs=ND | {"alpha": 0.25}),
    right("mode as a string", lambda x, kind="tanh": (np.tanh(x) if kind == "tanh" else x, x),
          lambda dy, x: dy * (1 - np.tanh(x) ** 2), against=lambda x, kind: torch.tanh(x),
          inputs=ND | {"kind": "tanh"}),
    one_at_bounds("clip, both bounds", lambda x: (np.clip(x, -1, 1), x), lambda dy, x: dy * ((x >= -1) & (x <= 1)),
                  against=lambda x: torch.clamp(x, -1, 1), inputs=ND),
    right("abs of everything", lambda x: (np.abs(x), x), lambda dy, x: dy * np.sign(x), against=torch.abs, inputs=ND),
    convention("relu, 1 at 0", lambda x: (np.maximum(x, 0), x), lambda dy, x: dy * (x >= 0), against=torch.relu,
               inputs=ND),
    wrong("clip, 10 at its bounds", lambda x: (np.clip(x, -1, 1), x),
          lambda dy, x: dy * np.where(np.abs(x) == 1, 10.0, np.abs(x) < 1), against=lambda x: torch.clamp(x, -1, 1),
          inputs=ND),
    wrong("hinge, −2 at its margin", lambda x: (np.maximum(0, 1 - x), x),
          lambda dy, x: -dy * ((x < 1) + 2.0 * (x == 1)), against=lambda x: F.relu(1 - x), inputs=ND),
    wrong("relu, 10 at 0", lambda x: (np.maximum(x, 0), x), lambda dy, x: dy * np.where(x == 0, 10.0, x > 0),
          against=torch.relu, inputs=ND),
    wrong("tanh with 1 − y", lambda x: (np.tanh(x), np.tanh(x)), lambda dy, y: dy * (1 - y), against=torch.tanh,
          inputs=ND, side="backward", says="C04"),
    wrong("square through a flat view", lambda x: (x * x, x), reshaped_square, against=torch.square, inputs=ND,
          side="contract", says="Fortran"),
    wrong("dy is doubled in place", lambda x: (x * x, x), doubled_in_place, against=torch.square, inputs=ND,
          side="contract", says="dy in place"),
    wrong("input is overwritten by forward", lambda x: (np.exp(x, out=x), x), lambda dy, y: dy * y, against=torch.exp,
          inputs=ND, says="input x in place"),
    wrong("dx does not depend on dy", lambda x: (x * x, x), lambda dy, x: 2 * x, against=torch.square, inputs=ND,
          side="backward", says="does not depend on dy|A07"),
    wrong("the mask times x instead of dy", lambda w: (np.clip(w, -1, 1), w), lambda dy, w: (np.abs(w) < 1) * w,
          against=lambda w: w.clamp(-1, 1), inputs={"w": ("N", "D")}, side="backward", says="does not depend on dy"),
    wrong("product over zeros, without a truth", lambda x: (np.cumprod(x, 1), (x, np.cumprod(x, 1))),
          lambda dy, c: np.cumsum((dy * c[1])[:, ::-1], 1)[:, ::-1] / c[0], inputs=ND),
    error("a forward that is nowhere finite", lambda x: (np.log(-np.abs(x) - 1), x), lambda dy, x: dy / x, inputs=ND,
          says="not finite on anything.*Positive"),
]  # fmt: skip


# — losses ————————————————————————————————————————————————————————————————————————————————————————————————————————
def svm_loss(x, y):
    n = x.shape[0]
    correct = x[np.arange(n), y]
    margins = np.maximum(0, x - correct[:, np.newaxis] + 1.0)
    margins[np.arange(n), y] = 0
    dx = np.zeros_like(x)
    dx[margins > 0] = 1
    dx[np.arange(n), y] -= np.sum(margins > 0, axis=1)
    return np.sum(margins) / n, dx / n


def torch_svm(x, y):
    return F.multi_margin_loss(x, y) * x.shape[1]


def softmax_loss(x, y):
    probs = softmax(x)
    n = x.shape[0]
    loss = -np.sum(np.log(probs[np.arange(n), y])) / n
    dx = probs.copy()
    dx[np.arange(n), y] -= 1
    return loss, dx / n


def ce_forward(x, t):
    p = softmax(x)
    return -np.log(p[np.arange(len(t)), t]).mean(), (p, t)


def ce_backward(dy, cache):
    p, t = cache
    dx = p.copy()
    dx[np.arange(len(t)), t] -= 1
    return dy * dx / len(t)


def ce_backward_in_cache(dy, cache):
    p, t = cache
    p[range(len(t)), t] -= 1
    return dy * p / len(t)


def mse(x, t):
    return ((x - t) ** 2).mean(), (x, t)


def logistic(theta, X, y):
    """As scipy.optimize.minimize takes it: a vector θ, loss and gradient."""
    h = sigmoid(X @ theta)
    return -np.mean(y * np.log(h) + (1 - y) * np.log(1 - h)), X.T @ (h - y) / len(y)


def torch_logistic(theta, X, y):
    return F.binary_cross_entropy_with_logits(X.detach() @ theta, y.detach())


def two_layers(X, y, W1, W2):
    z = X @ W1
    h = np.maximum(z, 0)
    p = softmax(h @ W2)
    n = len(y)
    d = p.copy()
    d[range(n), y] -= 1
    d /= n
    grads = {"W2": h.T @ d, "W1": X.T @ ((d @ W2.T) * (z > 0))}
    return -np.log(p[range(n), y]).mean(), grads


def torch_two_layers(X, y, W1, W2):
    return F.cross_entropy(torch.relu(X.detach() @ W1) @ W2, y)


def binned(x, bins):
    """How many fall where: no gradient at all; and the square beside it."""
    return (x * x).sum(), (x, bins)


NET = {"X": ("N", "D"), "y": Indices(("N",), below="C"), "W1": ("D", "H"), "W2": ("H", "C")}
LOSSES = [
    right("svm, loss and dx", svm_loss, against=torch_svm, inputs={"x": ("N", "C"), "y": Indices(("N",), below="C")}),
    right("softmax loss and dx", softmax_loss, against=F.cross_entropy,
          inputs={"x": ("N", "C"), "y": Indices(("N",), below="C")}),
    right("softmax loss and dx, no truth", softmax_loss, inputs={"x": ("N", "C"), "y": Indices(("N",), below="C")}),
    right("cross entropy, pair", ce_forward, ce_backward, against=F.cross_entropy, inputs=LABELS),
    right("cross entropy, None for the labels", ce_forward, lambda dy, c: (ce_backward(dy, c), None),
          against=F.cross_entropy, inputs=LABELS),
    right("cross entropy, backward in its cache", ce_forward, ce_backward_in_cache, against=F.cross_entropy,
          inputs=LABELS, says="writes over what it saved"),
    right("cross entropy, backward(x, t)", lambda x, t: ce_forward(x, t)[0],
          lambda x, t: ce_backward(1.0, (softmax(x), t)), against=F.cross_entropy, inputs=LABELS),
    right("cross entropy, one-hot", lambda x, y: (-(y * np.log(softmax(x))).sum(1).mean(), (softmax(x), y)),
          lambda dy, c: dy * (c[0] - c[1]) / len(c[0]), against=lambda x, y: F.cross_entropy(x, y),
          inputs={"x": ("N", "C"), "y": OneHot(("N", "C"))}),
    right("mse, None for its target", mse, lambda dy, c: (dy * 2 * (c[0] - c[1]) / c[0].size, None),
          against=lambda x, t: F.mse_loss(x, t.detach()), inputs=PAIR),
    right("mse, nothing for its target", mse, lambda dy, c: dy * 2 * (c[0] - c[1]) / c[0].size,
          against=lambda x, t: ((x - t.detach()) ** 2).mean(), inputs=PAIR),
    right("mse, target declared constant", mse, lambda dy, c: dy * 2 * (c[0] - c[1]) / c[0].size, against=F.mse_loss,
          inputs={"x": ("N", "D"), "t": Constant(("N", "D"))}),
    right("mse with np.prod of the shape", mse, lambda dy, c: (dy * 2 * (c[0] - c[1]) / np.prod(c[0].shape), None),
          against=lambda x, t: F.mse_loss(x, t.detach()), inputs=PAIR),
    right("mse, flat", lambda x, t: (((x - t) ** 2).sum(), 2 * (x - t), 2 * (t - x)),
          against=lambda x, t: F.mse_loss(x, t, reduction="sum"), inputs=PAIR),
    right("mse, dict of two", lambda x, t: (((x - t) ** 2).sum(), {"dt": 2 * (t - x), "dx": 2 * (x - t)}),
          against=lambda x, t: F.mse_loss(x, t, reduction="sum"), inputs=PAIR),
    right("logistic regression of θ", logistic, against=torch_logistic,
          inputs={"theta": ("D",), "X": Constant(("N", "D")), "y": Constant(OneHot(("N",)))}),
    right("two layers, dict of gradients", two_layers, against=torch_two_layers, inputs=NET),
    right("mean over a mask that is counted", lambda x: ((x * (x > 0)).sum() / (x > 0).sum(), x),
          lambda dy, x: dy * (x > 0) / (x > 0).sum(), against=lambda x: (x * (x > 0)).sum() / (x > 0).sum(), inputs=ND,
          says="float64"),
    right("nothing for what is binned", binned, lambda dy, c: 2 * dy * c[0],
          against=lambda x, bins: (x * x).sum(), inputs=ND | {"bins": ("K",)}),
    wrong("svm, a target too many", lambda x, y: (svm_loss(x, y)[0], svm_loss(x, y)[1] * 2), against=torch_svm,
          inputs={"x": ("N", "C"), "y": Indices(("N",), below="C")}, side="backward", says="2"),
    wrong("sums where the loss is a mean, N in labels alone",
          lambda W, y: (two_layers(np.ones((len(y), 2)) * np.arange(1, len(y) + 1)[:, None], y, np.eye(2), W)[0],
                        len(y) * two_layers(np.ones((len(y), 2)) * np.arange(1, len(y) + 1)[:, None], y, np.eye(2), W)
                        [1]["W2"]), inputs={"W": (2, 3), "y": Indices(("N",), below=3)}, side="backward",
          says=r"A01|N · right|y.size · right"),
    wrong("mse, 1/N forgotten", mse, lambda dy, c: (dy * 2 * (c[0] - c[1]), dy * 2 * (c[1] - c[0])), against=F.mse_loss,
          inputs=PAIR, side="backward", says="A01"),
    wrong("mse, None for a target that counts", mse, lambda dy, c: (dy * 2 * (c[0] - c[1]) / c[0].size, None),
          against=F.mse_loss, inputs=PAIR, side="backward", says="dt is missing"),
    wrong("focal loss meant, cross entropy written",
          lambda x, t: (-np.log(np.where(t > 0, sigmoid(x), sigmoid(-x))).mean(), (x, t)),
          lambda dy, c: (dy * (sigmoid(c[0]) - c[1]) / c[0].size, None),
          against=lambda x, t: -((1 - (s := torch.sigmoid(x * (2 * t - 1)))) ** 2 * s.log()).mean().nan_to_num(),
          inputs={"x": ("N", "D"), "t": Indices(("N", "D"), below=2)}, side="forward", never="MSELoss|L1Loss|Huber"),
    error("svm without its gradient", lambda x, y: svm_loss(x, y)[0], against=torch_svm,
          inputs={"x": ("N", "C"), "y": Indices(("N",), below="C")}, says="a backward is missing"),
]  # fmt: skip
PEOPLE = AFFINE + ELEMENTWISE + LOSSES
