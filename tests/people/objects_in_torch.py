"""Objects that are no modules and compute with torch's tensors: a forward and a backward by hand, autograd left out."""

import torch

from .corpus import ND, XW, error, right, wrong


def torch_layer(x, W):
    return torch.tanh(x @ W)


class Tanh:
    def forward(self, x):
        self.y = torch.tanh(x)
        return self.y

    def backward(self, dy):
        return dy * (1 - self.y.square())


class Layer:
    """A parameter in an attribute, its gradient beside it."""

    def forward(self, x):
        self.x, self.y = x, torch.tanh(torch.mm(x, self.W))
        return self.y

    def backward(self, dy):
        d = dy * (1 - self.y.square())
        self.dW = torch.mm(self.x.t(), d)
        return torch.mm(d, self.W.t())


class Built(Layer):
    """Made of its parameter, whose gradient is written into a list."""

    def __init__(self, W):
        self.W, self.grads = W.clone(), [torch.zeros_like(W)]

    def backward(self, dy):
        d = dy * (1 - self.y.square())
        self.grads[0].copy_(torch.mm(self.x.t(), d))
        return torch.mm(d, self.W.t())


class OfSizes(Layer):
    def __init__(self):
        self.W = torch.ones(3, 2, dtype=torch.float64)


class WithoutSlope(Layer):
    def backward(self, dy):
        self.dW = torch.mm(self.x.t(), dy)
        return torch.mm(dy, self.W.t())


class Fails(Layer):
    def backward(self, dy):
        self.dW = torch.mm(self.x.t(), dy)
        return torch.mm(dy, self.W)


PEOPLE = [
    right("an object in torch without parameters", Tanh, against=torch.tanh, inputs=ND),
    right("an object in torch", Layer, against=torch_layer, inputs=XW),
    right("an object in torch, alone", Layer, inputs=XW),
    right("an object in torch, made", Layer(), against=torch_layer, inputs=XW),
    right("an object in torch that is made of its parameter", Built, against=torch_layer, inputs=XW),
    right("an object in torch of one size", OfSizes(), against=torch_layer, inputs={"x": ("N", 3), "W": (3, 2)}),
    right("an object in torch of float32", Layer, against=torch_layer, inputs=XW, dtype="float32"),
    wrong("an object in torch, no slope", WithoutSlope, against=torch_layer, inputs=XW, side="backward"),
    error("an object in torch, no transpose", Fails, against=torch_layer, inputs=XW,
          says=r"your backward raised RuntimeError: torch.mm\(dy, self.W\) does not fit together"),
]  # fmt: skip
