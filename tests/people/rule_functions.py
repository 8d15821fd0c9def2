"""Update rules as people write them who write functions, right ones and wrong ones."""

import numpy as np
import torch


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


def clipped_by_norm(p, g):
    return p - 0.1 * g / max(1.0, np.sqrt((g * g).sum()))
