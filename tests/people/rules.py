"""Update rules as people write them, each with what it is beside and whether it is right.

RIGHT  name: (rule, against, options);  WRONG  the same, and a piece of the sentence that says what is wrong, or ""
"""

import functools

import numpy as np
import torch
from torch.optim import SGD, Adagrad, Adam, AdamW, RMSprop

from .rule_classes import (
    CopiesParams,
    Counting,
    DictMomentum,
    FirstGroupOnly,
    GradsFirst,
    HeavyBall,
    HoldsGrad,
    Lion,
    ListSGD,
    NormClipped,
    OneState,
    OverLayer,
    OverPairs,
    OverParameters,
    OverShortLayer,
    PerArrayAdam,
    PlainDescent,
    RateAlone,
    RateAtBirth,
    RateInside,
    RootMeanSquare,
    RootOfDim,
    Static,
    TensorsHeld,
    TinyFramework,
    Transformed,
    VelocityByShape,
    WithGrads,
)


def lion(lr, near, far, decay=0.0, direction=np.sign):
    def step(p, g, m):
        m = np.zeros_like(p) if m is None else m
        return p - lr * (direction(near * m + (1 - near) * g) + decay * p), far * m + (1 - far) * g

    return step


def sgd_in_place(p, g, state):
    p -= 0.1 * g


def velocity_of_0(w, g, v=0.0):
    v = 0.9 * v + g
    return w - 0.1 * v, v


def velocity_given(w, g, v):
    return velocity_of_0(w, g, v)


def moments_of_0(w, g, lr=0.001, m=0, v=0, t=0):
    t, m, v = t + 1, 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    return w - lr * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8), m, v, t


def course_momentum(w, dw, config=None):
    """Options and velocity in one dict that goes round."""
    config = {} if config is None else config
    config.setdefault("learning_rate", 0.1)
    v = config.get("velocity", np.zeros_like(w))
    v = 0.9 * v - config["learning_rate"] * dw
    config["velocity"] = v
    return w + v, config


def course_adam(w, dw, config):
    config = config or {"m": np.zeros_like(w), "v": np.zeros_like(w), "t": 0}
    config["t"] += 1
    config["m"] = 0.9 * config["m"] + 0.1 * dw
    config["v"] = 0.999 * config["v"] + 0.001 * dw**2
    mt, vt = config["m"] / (1 - 0.9 ** config["t"]), config["v"] / (1 - 0.999 ** config["t"])
    return w - 0.001 * mt / (np.sqrt(vt) + 1e-8), config


def dict_state(p, g, state):
    """A state that is only written into."""
    state["sum"] = state.get("sum", np.zeros_like(p)) + g * g
    return p - 0.05 * g / (np.sqrt(state["sum"]) + 1e-10)


def over_lists(params, grads, state):
    velocity = state or [np.zeros_like(p) for p in params]
    velocity = [0.5 * v + g for v, g in zip(velocity, grads)]
    return [p - 0.2 * v for p, v in zip(params, velocity)], velocity


def over_dicts(params, grads, state):
    for name, w in params.items():
        w -= 0.1 * grads[name]


def with_options(p, g, state, lr, momentum=0.0):
    v = g if state is None else momentum * state + g
    return p - lr * v, v.copy()


def gradient_first(grad, param):
    return param - 0.1 * grad


def rms(p, g, s):
    s = 0.01 * g * g if s is None else 0.99 * s + 0.01 * g * g
    return p - 0.01 * g / (np.sqrt(s) + 1e-8), s


def sums(s, g):
    return s + g * g, 1e-10


def means(s, g):
    return 0.99 * s + 0.01 * g * g, 1e-8


def without_root(squares):
    def step(p, g, s):
        s, eps = squares(np.zeros_like(p) if s is None else s, g)
        return p - 0.01 * g / (s + eps), s

    return step


def nesterov(p, g, v):
    v = g.copy() if v is None else 0.9 * v + g
    return p - 0.1 * (g + 0.9 * v), v


def adam(lr=0.01, first=True, second=True, decay=0.0, coupled=0.0, sign=1.0, inside=False, lag=0, keep=None,
         root=np.sqrt):  # fmt: skip
    """Adam with room for mistakes."""

    def step(p, g, s):
        g = g + coupled * p
        t, m, v = s or (0, np.zeros_like(p, dtype=keep), np.zeros_like(p, dtype=keep))
        t, m, v = t + 1, 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        if keep:
            m, v = m.astype(keep), v.astype(keep)
        a = m / (1 - 0.9 ** (t + lag)) if first else m
        b = v / (1 - 0.999 ** (t + lag)) if second else v
        divisor = np.sqrt(b + 1e-8) if inside else root(b) + 1e-8
        return p - lr * decay * p - sign * lr * a / divisor, (t, m, v)

    return step


def signed(p, g, s):
    return p - 0.1 * np.sign(g), s


def frozen(p, g, s):
    return p, s


def of_tensors(w, grad, buf):
    """Written with torch, for one tensor."""
    buf = torch.zeros_like(w) if buf is None else buf
    buf = 0.6 * buf + grad
    return w - 0.3 * torch.clone(buf), buf


def of_tensors_in_place(w, grad):
    w.sub_(grad, alpha=0.3)


def adagrad(inside=False, eps=1e-10):
    def step(p, g, s):
        s = g**2 if s is None else s + g**2
        return [p - 0.05 * g / (np.sqrt(s + eps) if inside else np.sqrt(s) + eps), s]

    return step


def make_adadelta(rho=0.9, eps=1e-6):
    """A closure with its own memory, for one array."""
    square, moved = 0.0, 0.0

    def step(p, g):
        nonlocal square, moved
        square = rho * square + (1 - rho) * g**2
        delta = np.sqrt((moved + eps) / (square + eps)) * g
        moved = rho * moved + (1 - rho) * delta**2
        return p - delta

    return step


def book_sgd(params, lr):
    """The parameters are tensors with their gradients."""
    with torch.no_grad():
        for param in params:
            param -= lr * param.grad
            param.grad.zero_()


def rows_by_norms(p, g):
    return p - 0.1 * g / (np.sqrt((g**2).sum(1, keepdims=True)) + 1e-6)


def muon(p, g, m, orthogonal=None):
    """Momentum, orthogonalised by five Newton-Schulz steps."""
    m = 0.05 * g if m is None else 0.95 * m + 0.05 * g
    u = 0.05 * g + 0.95 * m
    x = (orthogonal or in_numpy)(u.T).T if u.shape[0] > u.shape[1] else (orthogonal or in_numpy)(u)
    return p * (1 - 0.01 * 0.1) - 0.01 * max(1, p.shape[0] / p.shape[1]) ** 0.5 * x, m


def in_numpy(x):
    x = x / max(np.linalg.norm(x), 1e-7)
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * (a @ a)) @ x
    return x


def in_bfloat16(u):
    x = torch.from_numpy(np.ascontiguousarray(u)).bfloat16()
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(5):
        a = x @ x.T
        x = torch.addmm(x, torch.addmm(a, a, a, beta=-4.7750, alpha=2.0315), x, beta=3.4445)
    return x.double().numpy()


SHARED: dict = {}


def module_state(p, g, s):
    """One velocity for everything, in a global."""
    SHARED["v"] = 0.9 * SHARED.get("v", 0.0) + np.mean(g)
    return p - 0.1 * SHARED["v"], None


def by_size(params, grads):
    """The gradients go through a dict by their sizes."""
    found = {g.size: g for g in grads}
    return [p - 0.1 * found[p.size] for p in params]


def other_way_round(params, grads):
    """Gradients of one shape, taken from a stack: the last in is the first out."""
    stacks = {}
    for g in grads:
        stacks.setdefault(g.shape, []).append(g)
    return [p - 0.1 * stacks[p.shape].pop() for p in params]


def unrectified(p, g, s):
    t, m = s or (1, np.zeros_like(p))
    m = 0.9 * m + 0.1 * g
    return p - 0.05 * m / (1 - 0.9**t), (t + 1, m)


def maximizing(p, g, s):
    return p - 0.1 * (-g - 0.2 * p), s


def each_clipped(params, grads):
    return [p - 0.1 * g * min(1.0, 1 / (np.linalg.norm(g) + 1e-6)) for p, g in zip(params, grads)]


def constant_eta(p, g, s):
    """ASGD with a rate that is kept, and never changed."""
    eta = 0.05 if s is None else s["eta"]
    return p - eta * (g + 1e-4 * p), {"eta": eta}


def averaged(p, g, s, result=1):
    """The mean of the points of plain descent, kept beside the last of them."""
    count, point, mean = s or (0, p, p)
    point, count = point - 0.1 * g, count + 1
    mean = mean + (point - mean) / count
    return (point, mean)[result], (count, point, mean)


def noisy(p, g, s):
    return p - 0.1 * g + 0.01 * np.random.default_rng().standard_normal(p.shape), s


def noisy_torch(w, g):
    return w - 0.1 * g + 0.01 * torch.randn(w.shape)


def rms_mean(p, g, s):
    """Momentum as a mean."""
    v, m = s or (np.zeros_like(p), np.zeros_like(p))
    v = 0.99 * v + 0.01 * g * g
    m = 0.8 * m + 0.2 * g / (np.sqrt(v) + 1e-8)
    return p - 0.05 * m, (v, m)


def adamax_uncorrected(p, g, s):
    m, u = s or (np.zeros_like(p), np.zeros_like(p))
    m, u = 0.9 * m + 0.1 * g, np.maximum(0.999 * u, np.abs(g) + 1e-8)
    return p - 0.02 * m / u, (m, u)


def in_float16(rate, decay=0.0):
    def step(p, g, s):
        p, g = p.astype(np.float16), g.astype(np.float16)
        return p - np.float16(rate) * (g + np.float16(decay) * p), s

    return step


def float32_velocity(p, g, v):
    v = (g if v is None else 0.9 * v + g).astype(np.float32)
    return p - 0.1 * v, v


RIGHT = {
    "a rate inside": (lambda ps: RateInside(ps), SGD, {"lr": 0.2}),
    "clipped together": (NormClipped, NormClipped, {"lr": 0.1}),
    "averaged": (averaged, averaged, {}),
    "decay, to maximize": (lambda p, g: p - 0.1 * (0.2 * p - g), SGD,
                           {"lr": 0.1, "weight_decay": 0.2, "maximize": True}),
    "a velocity that begins at 0": (velocity_of_0, SGD, {"lr": 0.1, "momentum": 0.9}),
    "a velocity without a first one": (velocity_given, SGD, {"lr": 0.1, "momentum": 0.9}),
    "moments that begin at 0": (moments_of_0, Adam, {"lr": 0.001}),
    "one line": (lambda p, g, s: (p - 0.1 * g, s), SGD, {"lr": 0.1}),
    "no weight decay in its groups": (RateAlone, SGD, {"lr": 0.1}),
    "without state": (lambda w, dw: w - 0.1 * dw, SGD, {"lr": 0.1}),
    "in place": (sgd_in_place, SGD, {"lr": 0.1}),
    "gradient first": (gradient_first, SGD, {"lr": 0.1}),
    "momentum in a config": (course_momentum, SGD, {"lr": 0.1, "momentum": 0.9}),
    "adam in a config": (course_adam, Adam, {"lr": 0.001}),
    "a dict as state": (dict_state, Adagrad, {"lr": 0.05}),
    "lists": (over_lists, SGD, {"lr": 0.2, "momentum": 0.5}),
    "dicts in place": (over_dicts, SGD, {"lr": 0.1}),
    "options by name": (with_options, SGD, {"lr": 0.3, "momentum": 0.8}),
    "an object with dicts": (DictMomentum, SGD, {"lr": 0.02, "momentum": 0.9}),
    "an instance": (DictMomentum(0.02, 0.9), SGD, {"lr": 0.02, "momentum": 0.9}),
    "an object per array": (lambda: PerArrayAdam(0.01), Adam, {"lr": 0.01}),
    "a list of parameters": (ListSGD, SGD, {"lr": 0.3}),
    "grads as an attribute": (WithGrads, SGD, {"lr": 0.3}),
    "data and grad": (TinyFramework, SGD, {"lr": 0.05, "momentum": 0.7}),
    "made of the parameters": (lambda ps: TinyFramework(ps, 0.2), SGD, {"lr": 0.2}),
    "rmsprop": (rms, RMSprop, {"lr": 0.01}),
    "nesterov": (nesterov, SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "adamw": (adam(decay=0.1), AdamW, {"lr": 0.01, "weight_decay": 0.1}),
    "adam, coupled decay": (adam(coupled=0.1), Adam, {"lr": 0.01, "weight_decay": 0.1}),
    "torch itself": (torch.optim.NAdam, torch.optim.NAdam, {"lr": 0.01, "weight_decay": 0.1}),
    "Muon itself": (torch.optim.Muon, torch.optim.Muon, {"lr": 0.01}),
    "Lion itself": (Lion, Lion, {"lr": 0.01}),
    "Lion in NumPy": (lion(0.01, 0.9, 0.99, 0.1), Lion, {"lr": 0.01, "weight_decay": 0.1}),
    "a subclass as against": (with_options, HeavyBall, {"lr": 0.1, "momentum": 0.9}),
    "torch optimizer of one's own": (PlainDescent, SGD, {"lr": 0.1, "weight_decay": 0.1}),
    "torch optimizer made by a function": (lambda ps: PlainDescent(ps, 0.1), SGD, {"lr": 0.1}),
    "tensors": (of_tensors, SGD, {"lr": 0.3, "momentum": 0.6}),
    "tensors in place": (of_tensors_in_place, SGD, {"lr": 0.3}),
    "a list as the pair": (adagrad(), Adagrad, {"lr": 0.05}),
    "a closure made anew": (lambda: make_adadelta(), torch.optim.Adadelta, {}),
    "gradients first": (lambda: GradsFirst(0.3), SGD, {"lr": 0.3}),
    "a callable": (RootMeanSquare, RMSprop, {"lr": 0.01}),
    "copies of the parameters": (CopiesParams, SGD, {"lr": 0.2, "weight_decay": 0.5}),
    "matrices only": (rows_by_norms, RootOfDim, {"lr": 0.1}),
    "Muon in NumPy": (muon, torch.optim.Muon, {"lr": 0.01}),
    "Muon in bfloat16": (lambda p, g, m: muon(p, g, m, in_bfloat16), torch.optim.Muon, {"lr": 0.01}),
    "tensors with gradients": (book_sgd, SGD, {"lr": 0.3}),
    "an object with tensors": (TensorsHeld, RMSprop, {"lr": 0.01}),
    "init and update": (Transformed(0.1, 0.9), SGD, {"lr": 0.1, "momentum": 0.9}),
    "parameters at every step": (OverParameters, SGD, {"lr": 0.2}),
    "a partial of a class": (functools.partial(PerArrayAdam, learning_rate=0.02, b1=0.8), Adam,
                             {"lr": 0.02, "betas": (0.8, 0.999)}),
    "a partial of torch's": (functools.partial(PlainDescent, lr=0.2), SGD, {"lr": 0.2}),
    "a partial of a function": (functools.partial(with_options, momentum=0.4), SGD, {"lr": 0.2, "momentum": 0.4}),
    "a callable instance": (RootMeanSquare(0.01), RMSprop, {"lr": 0.01}),
    "layer by layer": (OverLayer(0.01), Adam, {"lr": 0.01}),
    "layers of W and b": (OverShortLayer, SGD, {"lr": 0.3}),
    "pairs": (OverPairs, SGD, {"lr": 0.3}),
    "any options": (lambda w, g, **options: w - options["lr"] * g, SGD, {"lr": 0.3}),
    "a static method": (Static, SGD, {}),
    "whole numbers": (lambda p, g: p - g, SGD, {"lr": 1}),
    "a rule as against": (lambda: PerArrayAdam(0.01), adam(), {}),
    "an object as against": (course_momentum, DictMomentum(0.1), {}),
}  # fmt: skip
MOMENTUM = {"lr": 0.1, "momentum": 0.9}
ADAM, ADAMW = {"lr": 0.01}, {"lr": 0.01, "weight_decay": 0.1}


def clipped_by_norm(p, g):
    return p - 0.1 * g / max(1.0, np.sqrt((g * g).sum()))


WRONG = {
    "a velocity for every shape": (VelocityByShape, SGD, MOMENTUM, "one shape share one state"),
    "gradients by size": (by_size, SGD, {"lr": 0.1}, "given the same gradient"),
    "gradients in reverse": (other_way_round, SGD, {"lr": 0.1}, "each other's gradients"),
    "flat": (lambda p, g: (p - 0.1 * g).ravel(), SGD, {"lr": 0.1}, "another shape"),
    "an axis too many": (lambda p, g, s: (p[..., None] - 0.1 * g[..., None], s), SGD, {"lr": 0.1}, "another shape"),
    "RAdam without rectification": (unrectified, torch.optim.RAdam, {"lr": 0.05}, "rectification is missing"),
    "decay upward, to maximize": (maximizing, SGD, {"lr": 0.1, "weight_decay": 0.2, "maximize": True},
                                  "decay has the other sign"),
    "clipped one by one": (each_clipped, NormClipped, {"lr": 0.1}, "moved by itself"),
    "ASGD, a constant rate": (constant_eta, torch.optim.ASGD, {"lr": 0.05}, "is kept makes no difference"),
    "not averaged": (functools.partial(averaged, result=0), averaged, {}, "is kept makes no difference"),
    "noise": (noisy, SGD, {"lr": 0.1}, "draws random numbers"),
    "noise of torch": (noisy_torch, SGD, {"lr": 0.1}, "draws random numbers"),
    "RMSprop, momentum as a mean": (rms_mean, RMSprop, {"lr": 0.05, "momentum": 0.8}, "is a mean of what is added"),
    "Adamax uncorrected": (adamax_uncorrected, torch.optim.Adamax, {"lr": 0.02}, "bias correction is missing"),
    "decay forgotten in float16": (in_float16(0.1), SGD, {"lr": 0.1, "weight_decay": 0.05}, "decay is forgotten"),
    "ascent": (lambda p, g, s: (p + 0.1 * g, s), SGD, {"lr": 0.1}, "other sign"),
    "adam upward": (adam(sign=-1.0), Adam, ADAM, "other sign"),
    "twice": (lambda p, g, s: (p - 0.2 * g, s), SGD, {"lr": 0.1}, "2 times"),
    "mean of eight": (lambda p, g, s: (p - 0.1 * g / 8, s), SGD, {"lr": 0.1}, "0.125 times"),
    "adam, lr of its own": (adam(lr=0.003), Adam, ADAM, "0.3 times"),
    "the default lr": (adam(lr=0.001), Adam, ADAM, "the default"),
    "decay forgotten": (adam(), AdamW, ADAMW, "decay is forgotten"),
    "decay coupled": (adam(coupled=0.1), AdamW, ADAMW, "coupled"),
    "decay decoupled": (adam(decay=0.1), Adam, ADAMW, "decoupled"),
    "decay without lr": (adam(decay=10.0), AdamW, ADAMW, "not multiplied by lr"),
    "decay upward": (adam(decay=-0.1), AdamW, ADAMW, "decay has the other sign"),
    "decay upward, coupled": (adam(coupled=-0.1), Adam, ADAMW, "decay has the other sign"),
    "decay doubled": (adam(coupled=0.2), Adam, ADAMW, "twice as large"),
    "no first correction": (adam(first=False), Adam, ADAM, "first moment"),
    "no second correction": (adam(second=False), Adam, ADAM, "second moment"),
    "neither correction": (adam(first=False, second=False), Adam, ADAM, "taken as they are"),
    "a step ahead": (adam(lag=1), Adam, ADAM, "one more"),
    "eps in the root": (adam(inside=True), Adam, ADAM, "inside the root"),
    "eps in Adagrad's root": (adagrad(True, 1e-4), Adagrad, {"lr": 0.05, "eps": 1e-4}, "inside the root"),
    "Adagrad without the root": (without_root(sums), Adagrad, {"lr": 0.01}, "root is left out"),
    "RMSprop without the root": (without_root(means), RMSprop, {"lr": 0.01}, "root is left out"),
    "Adam without the root": (adam(root=lambda v: v), Adam, ADAM, "root is left out"),
    "AdamW without the root": (adam(root=lambda v: v, decay=0.1), AdamW, ADAMW, "root is left out"),
    "another eps": (adagrad(eps=1e-6), Adagrad, {"lr": 0.05}, "1e-06"),
    "rows by columns": (lambda p, g: rows_by_norms(p.T, g.T).T, RootOfDim, {"lr": 0.1}, ""),
    "clipped by entries": (lambda p, g: p - 0.1 * np.clip(g, -1, 1), clipped_by_norm, {}, ""),
    "Muon without look-ahead": (muon, torch.optim.Muon, {"lr": 0.01, "nesterov": False}, "look-ahead"),
    "Muon, four rounds": (muon, torch.optim.Muon, {"lr": 0.01, "ns_steps": 4}, "ns_steps"),
    "tensors with gradients, halved": (lambda ps: book_sgd(ps, 0.05), SGD, {"lr": 0.1}, "0.5 times"),
    "an object with tensors": (lambda ps: TensorsHeld(ps, 0.01), RMSprop, {"lr": 0.01, "alpha": 0.9}, "alpha"),
    "init and update without memory": (Transformed(0.1, 0.0), SGD, {"lr": 0.1, "momentum": 0.9}, "No state is kept"),
    "layer by layer, a step ahead": (OverLayer(0.01, True), Adam, {"lr": 0.01}, "one more"),
    "tensors upward": (lambda w, g: w.add(g, alpha=0.3), SGD, {"lr": 0.3}, "other sign"),
    "momentum not kept": (lambda p, g, s: (p - 0.1 * g, g), SGD, MOMENTUM, "No state is kept"),
    "adam not kept": (lambda p, g, s: (adam()(p, g, None)[0], s), Adam, ADAM, "No state is kept"),
    "no look-ahead, from 0": (velocity_of_0, SGD, MOMENTUM | {"nesterov": True}, "Nesterov"),
    "no look-ahead": (course_momentum, SGD, MOMENTUM | {"nesterov": True}, "Nesterov"),
    "unasked look-ahead": (nesterov, SGD, MOMENTUM, "look-ahead"),
    "keeps g": (lambda p, g, b: (p - 0.1 * (g if b is None else 0.9 * b + g), g if b is None else 0.9 * b + g), SGD,
                MOMENTUM, "own array"),
    "keeps g, in torch": (HoldsGrad, SGD, MOMENTUM, "own array"),
    "one state": (OneState, SGD, MOMENTUM, "share one state"),
    "a global": (module_state, SGD, MOMENTUM, "outside of what the rule returns"),
    "Lion upward": (lion(-0.01, 0.9, 0.99), Lion, {"lr": 0.01}, "other sign"),
    "Lion without decay": (lion(0.01, 0.9, 0.99), Lion, {"lr": 0.01, "weight_decay": 0.1}, "decay is forgotten"),
    "Lion, betas swapped": (lion(0.01, 0.99, 0.9), Lion, {"lr": 0.01}, "(0.99, 0.9)"),
    "Lion without the sign": (lion(0.01, 0.9, 0.99, direction=np.array), Lion, {"lr": 0.01}, ""),
    "Adam for Lion": (adam(), Lion, {"lr": 0.01}, ""),
    "the sign alone": (signed, SGD, {"lr": 0.1}, ""),
    "nothing moves": (frozen, SGD, {"lr": 0.1}, ""),
    "a clock per array": (Counting, Adam, {"lr": 0.001}, "counted anew for every array"),
    "a rate at birth": (RateAtBirth, SGD, {"lr": 0.1}, ""),
    "one group for all": (FirstGroupOnly, SGD, {"lr": 0.1}, "same options"),
    "against a rule": (lambda p, g, s: (p + 0.1 * g, s), lambda p, g, s: (p - 0.1 * g, s), {}, "other sign"),
}  # fmt: skip


COARSE = {
    "float32 moments": (adam(keep=np.float32), Adam, ADAM, "float32"),
    "float32 parameters": (lambda p, g, s: (np.float32(p) - np.float32(0.1) * np.float32(g), s), SGD, {"lr": 0.1},
                           "float32"),
    "parameters through float32": (lambda p, g: p.astype(np.float32) - 0.1 * g, SGD, {"lr": 0.1}, "rounded to float32"),
    "a float32 velocity": (float32_velocity, SGD, MOMENTUM, "float32"),
    "float16": (in_float16(0.1), SGD, {"lr": 0.1}, "float16"),
}  # fmt: skip
