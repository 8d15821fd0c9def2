"""Optimizers as people write them who write classes: of torch and of their own."""

import math

import numpy as np
import torch
from torch.optim import SGD


class Lion(torch.optim.Optimizer):
    """Steps of one size, in the direction of an interpolated momentum."""

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            near, far = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(torch.sign(near * m + (1 - near) * p.grad), alpha=-group["lr"])
                m.mul_(far).add_(p.grad, alpha=1 - far)


class HeavyBall(SGD):
    """torch's own under another name."""


class PlainDescent(torch.optim.Optimizer):
    def __init__(self, params, lr, weight_decay=0.0):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    def step(self, closure=None):
        with torch.no_grad():
            for group in self.param_groups:
                for w in group["params"]:
                    if w.grad is not None:
                        w -= group["lr"] * (w.grad + group["weight_decay"] * w)


class RateAlone(torch.optim.Optimizer):
    """An optimizer without weight decay."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    def step(self, closure=None):
        with torch.no_grad():
            for group in self.param_groups:
                for w in group["params"]:
                    w -= 0 if w.grad is None else group["lr"] * w.grad


class RateAtBirth(PlainDescent):
    """It reads the learning rate once, so that no schedule reaches it."""

    def __init__(self, params, lr, weight_decay=0.0):
        super().__init__(params, lr, weight_decay)
        self.rate = lr

    def step(self, closure=None):
        with torch.no_grad():
            for group in self.param_groups:
                for w in group["params"]:
                    if w.grad is not None:
                        w -= self.rate * (w.grad + group["weight_decay"] * w)


class FirstGroupOnly(PlainDescent):
    """It takes the options of the first group for all."""

    def step(self, closure=None):
        first = self.param_groups[0]
        with torch.no_grad():
            for group in self.param_groups:
                for w in group["params"]:
                    if w.grad is not None:
                        w -= first["lr"] * (w.grad + first["weight_decay"] * w)


class HoldsGrad(torch.optim.Optimizer):
    """Momentum that begins as the gradient's own tensor."""

    def __init__(self, params, lr, momentum):
        super().__init__(params, {"lr": lr, "momentum": momentum})

    def step(self, closure=None):
        with torch.no_grad():
            for group in self.param_groups:
                for w in group["params"]:
                    if w.grad is not None:
                        s = self.state[w]
                        s["v"] = group["momentum"] * s["v"] + w.grad if "v" in s else w.grad
                        w -= group["lr"] * s["v"]


class DictMomentum:
    """Velocities by the names of the parameters."""

    def __init__(self, lr=0.01, momentum=0.9):
        self.lr, self.momentum, self.v = lr, momentum, None

    def update(self, params, grads):
        if self.v is None:
            self.v = {k: np.zeros_like(w) for k, w in params.items()}
        for k in params:
            self.v[k] = self.momentum * self.v[k] - self.lr * grads[k]
            params[k] += self.v[k]


class PerArrayAdam:
    """One object for one array, as small libraries have it."""

    def __init__(self, learning_rate=0.001, b1=0.9, b2=0.999):
        self.learning_rate, self.b1, self.b2, self.eps = learning_rate, b1, b2, 1e-8
        self.m = self.v = None
        self.t = 0

    def update(self, w, grad_wrt_w):
        if self.m is None:
            self.m, self.v = np.zeros(np.shape(grad_wrt_w)), np.zeros(np.shape(grad_wrt_w))
        self.t += 1
        self.m = self.b1 * self.m + (1 - self.b1) * grad_wrt_w
        self.v = self.b2 * self.v + (1 - self.b2) * np.power(grad_wrt_w, 2)
        mean, square = self.m / (1 - self.b1**self.t), self.v / (1 - self.b2**self.t)
        return w - self.learning_rate * mean / (np.sqrt(square) + self.eps)


class ListSGD:
    def __init__(self, params, lr=0.1):
        self.params, self.lr = params, lr

    def step(self, grads):
        for p, g in zip(self.params, grads):
            p -= self.lr * g


class WithGrads:
    """The caller sets .grads before every step."""

    def __init__(self, params, lr):
        self.params, self.lr = params, lr
        self.grads = {k: np.zeros_like(v) for k, v in params.items()}

    def step(self):
        for k in self.params:
            self.params[k] = self.params[k] - self.lr * self.grads[k]


class TinyFramework:
    """Parameters that carry data and grad."""

    def __init__(self, parameters, lr=0.05, momentum=0.0):
        self.parameters, self.lr, self.momentum = list(parameters), lr, momentum
        self.speed = [np.zeros_like(p.data) for p in self.parameters]

    def step(self):
        for i, p in enumerate(self.parameters):
            self.speed[i] = self.momentum * self.speed[i] + p.grad
            p.data = p.data - self.lr * self.speed[i]


class Counting:
    """Adam for a dict whose clock runs once for every array instead of once for every step."""

    def __init__(self, lr=0.001):
        self.lr, self.t, self.m, self.v = lr, 0, {}, {}

    def update(self, params, grads):
        for k in params:
            self.t += 1
            self.m[k] = 0.9 * self.m.get(k, 0) + 0.1 * grads[k]
            self.v[k] = 0.999 * self.v.get(k, 0) + 0.001 * grads[k] ** 2
            a = self.lr * math.sqrt(1 - 0.999**self.t) / (1 - 0.9**self.t)
            params[k] = params[k] - a * self.m[k] / (np.sqrt(self.v[k]) + 1e-8 * math.sqrt(1 - 0.999**self.t))


class GradsFirst:
    """It takes gradients and parameters in this order, and gives new ones."""

    def __init__(self, learning_rate=0.1):
        self.learning_rate = learning_rate

    def apply_gradients(self, grads, params):
        return [p - self.learning_rate * g for p, g in zip(params, grads)]


class RootMeanSquare:
    def __init__(self, lr):
        self.lr, self.cache = lr, {}

    def __call__(self, params, grads):
        for k, g in grads.items():
            self.cache[k] = 0.99 * self.cache.get(k, 0.0) + 0.01 * g * g
            params[k] -= self.lr * g / (np.sqrt(self.cache[k]) + 1e-8)
        return params


class CopiesParams:
    """Its parameters are copies: what it was given stays."""

    def __init__(self, params, lr=0.1, weight_decay=0.0):
        self.params = {k: v.copy() for k, v in params.items()}
        self.lr, self.weight_decay = lr, weight_decay

    def step(self, grads):
        for k, g in grads.items():
            self.params[k] -= self.lr * (g + self.weight_decay * self.params[k])


class TensorsHeld:
    """No torch.optim.Optimizer, but with its tensors."""

    def __init__(self, params, lr):
        self.params, self.lr = list(params), lr
        self.avg = [torch.zeros_like(p) for p in self.params]

    def step(self):
        for p, a in zip(self.params, self.avg):
            a.mul_(0.99).addcmul_(p.grad, p.grad, value=0.01)
            p.data.addcdiv_(p.grad, a.sqrt() + 1e-8, value=-self.lr)


class Transformed:
    """A pure pair of init and update, which gives what is to be added."""

    def __init__(self, learning_rate, decay):
        self.learning_rate, self.decay = learning_rate, decay

    def init(self, params):
        return np.zeros_like(params)

    def update(self, grads, state, params=None):
        state = self.decay * state + grads
        return -self.learning_rate * state, state


class OverParameters:
    """It is given its parameters at every step, each with data and grad."""

    def __init__(self, lr):
        self.lr = lr

    def update(self, params):
        for p in params:
            p.data = p.data - self.lr * p.grad


class RootOfDim(torch.optim.Optimizer):
    """Matrices and vectors only: rows by their norms."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p -= group["lr"] * p.grad / (p.grad.norm(dim=1, keepdim=True) + 1e-6)


class OneState:
    """One velocity for all arrays, made for the first one."""

    def __init__(self, lr, momentum):
        self.lr, self.momentum, self.v = lr, momentum, 0.0

    def update(self, params, grads):
        for k in params:
            self.v = self.momentum * self.v + grads[k]
            params[k] = params[k] - self.lr * self.v


class OverLayer:
    """A layer at a time, with what is counted once for all of them."""

    def __init__(self, learning_rate=0.001, counted_late=False):
        self.learning_rate, self.iterations, self.counted_late = learning_rate, 0, counted_late

    def pre_update_params(self):
        pass

    def update_params(self, layer):
        if not hasattr(layer, "weight_cache"):
            layer.weight_momentums, layer.weight_cache = np.zeros_like(layer.weights), np.zeros_like(layer.weights)
        layer.weight_momentums = 0.9 * layer.weight_momentums + 0.1 * layer.dweights
        layer.weight_cache = 0.999 * layer.weight_cache + 0.001 * layer.dweights**2
        t = self.iterations + (2 if self.counted_late else 1)
        mean, square = layer.weight_momentums / (1 - 0.9**t), layer.weight_cache / (1 - 0.999**t)
        layer.weights += -self.learning_rate * mean / (np.sqrt(square) + 1e-8)

    def post_update_params(self):
        self.iterations += 1


class OverShortLayer:
    def __init__(self, lr):
        self.lr = lr

    def update(self, layer):
        layer.W = layer.W - self.lr * layer.dW
        layer.b = layer.b - self.lr * layer.db


class OverPairs:
    def __init__(self, lr):
        self.lr = lr

    def apply_gradients(self, grads_and_vars):
        for grad, var in grads_and_vars:
            var -= self.lr * grad


class Static:
    @staticmethod
    def update(param, grad):
        return param - 1e-3 * grad


class VelocityByShape(torch.optim.Optimizer):
    """It finds the velocity of a tensor by its shape."""

    def __init__(self, params, lr, momentum):
        super().__init__(params, {"lr": lr, "momentum": momentum})
        self.velocities = {}

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for w in group["params"]:
                if w.grad is not None:
                    v = self.velocities.setdefault(w.shape, torch.zeros_like(w))
                    v.mul_(group["momentum"]).add_(w.grad)
                    w.sub_(group["lr"] * v)


class RateInside(torch.optim.Optimizer):
    """Its learning rate is a number in the code: its groups promise none."""

    def __init__(self, params):
        super().__init__(params, {})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for w in group["params"]:
                if w.grad is not None:
                    w -= 0.2 * w.grad


class NormClipped(SGD):
    """All gradients are shortened together."""

    def step(self, closure=None):
        torch.nn.utils.clip_grad_norm_([w for group in self.param_groups for w in group["params"]], 1.0)
        return super().step(closure)
