"""Objects that keep their cache, parameters and gradients in themselves."""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from reference import Indices

from .corpus import LABELS, ND, XW, XWB, error, right, wrong
from .pairs import softmax

RATE = 0.125


def torch_affine(x, W, b):
    return x @ W + b


class Affine:
    """Parameters in attributes, gradients in dW and db."""

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout):
        self.dW = self.x.T @ dout
        self.db = dout.sum(axis=0)
        return dout @ self.W.T


class Called(Affine):
    """Parameters of the constructor, gradients in W_g and b_g; the layer is called."""

    def __init__(self, W, b):
        self.W, self.b = W, b

    def __call__(self, *args):
        self.args = args
        return self.forward(*args)

    def backward(self, dout):
        self.W_g, self.b_g = self.x.T @ dout, dout.sum(0)
        return dout @ self.W.T


class Dict:
    def __init__(self):
        self.params, self.grads = {}, {}

    def forward(self, x):
        self.cache = x
        return x @ self.params["W"] + self.params["b"]

    def backward(self, dy):
        self.grads["dW"], self.grads["db"] = self.cache.T @ dy, dy.sum(0)
        return dy @ self.params["W"].T


class Lists:
    """Parameters and gradients in two lists, made by the constructor."""

    def __init__(self, W, b):
        self.params = [W, b]
        self.grads = [np.zeros_like(W), np.zeros_like(b)]
        self.x = None

    def forward(self, x):
        W, b = self.params
        self.x = x
        return np.dot(x, W) + b

    def backward(self, dout):
        W, _ = self.params
        self.grads[0][...] = np.dot(self.x.T, dout)
        self.grads[1][...] = dout.sum(axis=0)
        return np.dot(dout, W.T)


class Param:
    def __init__(self, data):
        self.data, self.grad = data, None


class Holders:
    def __init__(self):
        self.W, self.b = Param(None), Param(None)

    def forward(self, x):
        self.x = x
        return x @ self.W.data + self.b.data

    def backward(self, grad):
        self.W.grad, self.b.grad = self.x.T @ grad, grad.sum(0)
        return grad @ self.W.data.T


class Returns:
    """Everything is returned."""

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dy):
        return dy @ self.W.T, self.x.T @ dy, dy.sum(0)


class Keys(Returns):
    def backward(self, dy):
        return dict(zip(("dX", "dW", "db"), Returns.backward(self, dy)))


class Sized(Affine):
    def __init__(self, n_in, n_out):
        self.W, self.b = np.random.default_rng(0).standard_normal((n_in, n_out)), np.zeros(n_out)


class Updates:
    """The weights are moved by backward, and no gradient is kept."""

    def forward_pass(self, X, training=True):
        self.layer_input = X
        return X @ self.W + self.b

    def backward_pass(self, accum_grad):
        W = self.W
        self.W = self.W - self.learning_rate * (self.layer_input.T @ accum_grad)
        self.b = self.b - self.learning_rate * accum_grad.sum(0)
        return accum_grad @ W.T


class UpdatesWithRate(Updates):
    learning_rate = 0.125


class UpdatesByConstant(Returns):
    def backward(self, dy):
        dx, dW, db = super().backward(dy)
        self.W, self.b = self.W - RATE * dW, self.b - RATE * db
        return dx


class UpdatesTooSoon(UpdatesWithRate):
    def backward_pass(self, accum_grad):
        super().backward_pass(accum_grad)
        return accum_grad @ self.W.T


class Adds(Affine):
    """Gradients are added up, and set to zero by who trains."""

    def __init__(self):
        self.dW, self.db = 0.0, 0.0

    def backward(self, dy):
        self.dW = self.dW + self.x.T @ dy
        self.db = self.db + dy.sum(0)
        return dy @ self.W.T


class SoftmaxWithLoss:
    def __init__(self):
        self.loss = self.y = self.t = None

    def forward(self, x, t):
        self.t, self.y = t, softmax(x)
        self.loss = -np.log(self.y[np.arange(len(t)), t] + 0.0).mean()
        return self.loss

    def backward(self, dout=1):
        n = self.t.shape[0]
        dx = self.y.copy()
        dx[np.arange(n), self.t] -= 1
        return dx * dout / n


class NoUpstream(SoftmaxWithLoss):
    def backward(self):
        return SoftmaxWithLoss.backward(self)


class WithLabels(SoftmaxWithLoss):
    """dx is kept, nothing is returned."""

    def backward(self, dy=1.0):
        self.dx = SoftmaxWithLoss.backward(self, dy)


class MeanSquared:
    def __call__(self, pred, target):
        self.d = pred - target
        return (self.d**2).mean()

    def backward(self):
        return 2 * self.d / self.d.size


class Relu:
    def __init__(self):
        self.mask = None

    def forward(self, x):
        self.mask = x <= 0
        out = x.copy()
        out[self.mask] = 0
        return out

    def backward(self, dout):
        dout[self.mask] = 0
        return dout


class ReluCopy(Relu):
    def backward(self, dout):
        dout = dout.copy()
        dout[self.mask] = 0
        return dout


class Dropout:
    def __init__(self, ratio=0.5):
        self.ratio = ratio

    def forward(self, x, train=True):
        self.mask = np.random.rand(*x.shape) > self.ratio
        return x * self.mask

    def backward(self, dout):
        return dout * self.mask


class OwnGenerator(Dropout):
    def __init__(self):
        self.rng = np.random.default_rng(3)

    def forward(self, x):
        self.mask = self.rng.random(x.shape) > 0.5
        return x * self.mask


class Flatten:
    def forward(self, x):
        self.shape = x.shape
        return x.reshape(x.shape[0], -1)

    def backward(self, dy):
        return dy.reshape(self.shape)


class BatchNorm:
    def __init__(self, eps=1e-5):
        self.eps = eps

    def forward(self, x):
        self.std = np.sqrt(x.var(axis=0) + self.eps)
        self.xhat = (x - x.mean(axis=0)) / self.std
        return self.gamma * self.xhat + self.beta

    def backward(self, dout):
        n = len(dout)
        self.dgamma, self.dbeta = (dout * self.xhat).sum(0), dout.sum(0)
        return self.gamma / self.std / n * (n * dout - self.dbeta - self.xhat * self.dgamma)


class Recurrent:
    """Two outputs, two upstream gradients."""

    def forward(self, x, h):
        self.x, self.h = x, h
        self.next = np.tanh(x @ self.Wx + h @ self.Wh)
        return self.next, self.next * 2

    def backward(self, dh, do):
        d = (dh + 2 * do) * (1 - self.next**2)
        self.dWx, self.dWh = self.x.T @ d, self.h.T @ d
        return d @ self.Wx.T, d @ self.Wh.T


def torch_recurrent(x, h, Wx, Wh):
    n = torch.tanh(x @ Wx + h @ Wh)
    return n, 2 * n


class WrongBias(Affine):
    def backward(self, dout):
        dx = super().backward(dout)
        self.db = dout.mean(axis=0)
        return dx


class Stale(Affine):
    """The input of the first call is kept."""

    x0 = None

    def backward(self, dout):
        dx = super().backward(dout)
        self.x0 = self.x if self.x0 is None else self.x0
        self.dW = self.x0.T @ dout
        return dx


class TorchLayer(torch.nn.Module):
    """A module with a backward by hand."""

    def __init__(self):
        super().__init__()
        self.W = torch.nn.Parameter(torch.zeros(2, 2))

    def forward(self, x):
        self.x = x
        return torch.tanh(x @ self.W)

    def backward(self, dy):
        d = dy * (1 - torch.tanh(self.x @ self.W) ** 2)
        self.W.grad = self.x.T @ d
        return d @ self.W.T


class TorchLayerWrong(TorchLayer):
    def backward(self, dy):
        d = dy * (1 - torch.tanh(self.x @ self.W))
        self.W.grad = self.x.T @ d
        return d @ self.W.T


BN = {"x": ("N", "D"), "gamma": ("D",), "beta": ("D",)}
RNN = {"x": ("N", "D"), "h": ("N", "H"), "Wx": ("D", "H"), "Wh": ("H", "H")}
PEOPLE = [
    right("gradients in W_g", Called, against=torch_affine, inputs=XWB),
    right("object with attributes", Affine, against=torch_affine, inputs=XWB),
    right("object that is made", Affine(), against=torch_affine, inputs=XWB),
    right("object with dicts of dW", Dict, against=torch_affine, inputs=XWB),
    right("object with lists, built of its parameters", Lists, against=torch_affine, inputs=XWB),
    right("object with lists, made", Lists(np.ones((3, 2)), np.ones(2)), against=torch_affine, inputs=XWB),
    right("object with parameters that hold their gradient", Holders, against=torch_affine, inputs=XWB),
    right("object that returns all gradients", Returns, against=torch_affine, inputs=XWB),
    right("object that returns a dict", Keys, against=torch_affine, inputs=XWB),
    right("object of given sizes", Sized(3, 2), against=torch_affine, inputs=XWB),
    right("object that updates itself, lr as an option", UpdatesByConstant, against=torch_affine, inputs=XWB,
          options={"lr": 0.125}),
    right("object that updates itself, lr as an attribute", UpdatesWithRate, against=torch_affine, inputs=XWB),
    right("object that adds its gradients up, as is said", Adds, against=torch_affine, inputs=XWB, accumulates=True),
    right("softmax with loss, labels and dout=1", SoftmaxWithLoss, against=F.cross_entropy, inputs=LABELS),
    right("softmax with loss, backward of nothing", NoUpstream, against=F.cross_entropy, inputs=LABELS),
    right("softmax with loss, dx kept", WithLabels, against=F.cross_entropy, inputs=LABELS),
    right("mean squared error, called", MeanSquared, against=lambda pred, target: F.mse_loss(pred, target.detach()),
          inputs={"pred": ("N", "D"), "target": ("N", "D")}),
    right("relu object, copied", ReluCopy, against=torch.relu, inputs=ND),
    right("dropout of the global generator", Dropout, inputs=ND, says="draws random numbers"),
    right("dropout of a generator of its own", OwnGenerator, inputs=ND),
    right("flatten", Flatten, against=lambda x: x.flatten(1), inputs={"x": ("N", "C", "H", "W")}),
    right("batch norm", BatchNorm, inputs=BN, against=lambda x, g, b: F.batch_norm(x, None, None, g, b, True),
          says="N = 1|Expected more than 1 value"),
    right("recurrent, two upstream gradients", Recurrent, against=torch_recurrent, inputs=RNN),
    right("a torch module with a backward by hand", TorchLayer, against=lambda x, W: torch.tanh(x @ W), inputs=XW),
    wrong("relu object, dout masked in place", Relu, against=torch.relu, inputs=ND, side="contract",
          says="dy in place"),
    wrong("object, bias averaged", WrongBias, against=torch_affine, inputs=XWB, side="backward", says="B04"),
    wrong("object that adds its gradients up", Adds, against=torch_affine, inputs=XWB, says="added up"),
    wrong("object that keeps its first input", Stale, against=torch_affine, inputs=XWB, says="left of the last"),
    wrong("object that updates before it propagates", UpdatesTooSoon, against=torch_affine, inputs=XWB,
          side="backward", says="B07", never="B08"),
    wrong("a torch module with a wrong backward", TorchLayerWrong, against=lambda x, W: torch.tanh(x @ W), inputs=XW,
          side="backward", says="C04"),
    error("a class that wants sizes", Sized, against=torch_affine, inputs=XWB, says=r"n_in, n_out.*Sized\(3, 2\)"),
    error("an object that updates itself, lr unknown", UpdatesByConstant, against=torch_affine, inputs=XWB,
          says="learning rate"),
    error("a gradient that is nowhere", type("Lost", (Affine,), {"backward": lambda self, d: d @ self.W.T}),
          against=torch_affine, inputs=XWB, says=r"dW.*get=lambda"),
    error("labels that fit no forward", SoftmaxWithLoss, against=F.cross_entropy,
          inputs={"x": ("N", "C"), "t": Indices(("M",), below="C")}, says="raised.*only where N = M"),
]  # fmt: skip
