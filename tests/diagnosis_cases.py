"""Functions as people write them, in torch, and mistakes in their gradients, in plain NumPy.

(fault, function, wrong): `wrong` takes the arrays by name, dy, y, the sizes and the right gradients (g.x), and gives
the wrong gradients by name. The fault is None where the catalogue has no such mistake.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace as Space

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from manualbp.elementary import erf, sigmoid, softmax

SIZES = "N", "D", "M", "C", "T", "H", "K"


@dataclass
class Function:
    """Inputs by name: the letters of a shape, or a function of (rng, sizes). `fix`: sizes that are not free."""

    truth: Callable
    inputs: Mapping
    options: Mapping = field(default_factory=dict)
    small: bool = False  # small integers, so that zeros and ties occur
    fix: Callable = lambda k: {}

    def draw(self, rng):
        k = (
            dict(zip(SIZES, map(int, rng.permutation([2, 3, 4, 5, 6, 7, 8]))))
            if not self.small
            else {n: int(v) for n, v in zip(SIZES, rng.integers(3, 8, 7))}
        )
        k |= self.fix(Space(**k))
        arrays = {}
        for name, spec in self.inputs.items():
            if isinstance(spec, str):
                shape = tuple(k[c] for c in spec)
                arrays[name] = (
                    rng.integers(-3, 4, shape) * 1.0 if self.small else np.asarray(rng.standard_normal(shape))
                )
            else:
                arrays[name] = spec(rng, Space(**k))
        used = {c for spec in self.inputs.values() if isinstance(spec, str) for c in spec} or set("NC")
        return arrays, k, {n: float(k[n]) for n in SIZES if n in used} | dict(self.options)


def below(shape, most):
    """Indices below a size."""
    return lambda rng, k: rng.integers(0, getattr(k, most), tuple(getattr(k, c) for c in shape))


def some_ignored(shape, most):
    def draw(rng, k):
        t = below(shape, most)(rng, k)
        t.reshape(-1)[rng.permutation(t.size)[: max(1, t.size // 3)]] = -100
        return t

    return draw


def repeated(shape, most):
    def draw(rng, k):
        t = below(shape, most)(rng, k)
        t.reshape(-1)[-1] = t.reshape(-1)[0]
        return t

    return draw


def positive(shape):
    return lambda rng, k: np.exp(rng.standard_normal(tuple(getattr(k, c) for c in shape)))


def unit(shape):
    return lambda rng, k: rng.random(tuple(getattr(k, c) for c in shape))


def bits(shape):
    def draw(rng, k):
        t = (rng.random(tuple(getattr(k, c) for c in shape)) < 0.5) * 1.0
        t.reshape(-1)[:2] = 0, 1
        return t

    return draw


def square(*names):
    return lambda k: {n: getattr(k, names[0]) for n in names}


def even(name):
    return lambda k: {name: 2 * max(getattr(k, name) // 2, 1) + 2}


def onehot(t, n):
    return (np.asarray(t)[..., None] == np.arange(n)) * 1.0


def mean(a, axis):
    return a.mean(axis, keepdims=True)


def total(a, axis=-1):
    return a.sum(axis, keepdims=True)


def rows(a):
    return a.reshape(-1, a.shape[-1])


# — losses ——————————————————————————————————————————————————————————————————————————————————————————————————————
mse = Function(F.mse_loss, {"x": "ND", "t": "ND"})
mse3 = Function(F.mse_loss, {"pred": "NTD", "target": "NTD"})
ce = Function(F.cross_entropy, {"x": "NC", "t": below("N", "C")})
ce_time = Function(lambda x, t: F.cross_entropy(x, t), {"x": "NCT", "t": below("NT", "C")})
smooth = Function(
    lambda x, t: F.cross_entropy(x, t, label_smoothing=0.1), {"x": "NC", "t": below("N", "C")}, {"eps": 0.1}
)
weighted = Function(
    lambda x, t, w: F.cross_entropy(x, t, w.detach()), {"x": "NC", "t": below("N", "C"), "w": positive("C")}
)
ignoring = Function(F.cross_entropy, {"x": "NC", "t": some_ignored("N", "C")}, {"ignore_index": -100})
smooth_ignoring = Function(
    lambda x, t: F.cross_entropy(x, t, label_smoothing=0.1), ignoring.inputs, {"ignore_index": -100}
)
bce = Function(F.binary_cross_entropy_with_logits, {"z": "ND", "t": bits("ND")})
bce_pos = Function(
    lambda z, t, w: F.binary_cross_entropy_with_logits(z, t, pos_weight=w.detach()),
    {"z": "ND", "t": bits("ND"), "w": positive("D")},
)
huber = Function(lambda x, t: F.huber_loss(x, t, delta=0.3), {"x": "ND", "t": "ND"}, {"delta": 0.3})
smooth_l1 = Function(lambda x, t: F.smooth_l1_loss(x, t, beta=0.7), {"x": "ND", "t": "ND"}, {"beta": 0.7})
l1_small = Function(F.l1_loss, {"x": "ND", "t": "ND"}, small=True)
large_logits = Function(lambda x: F.log_softmax(x, -1), {"x": lambda rng, k: rng.standard_normal((k.N, k.C)) * 900})
linear_ce = Function(lambda x, W, t: F.cross_entropy(x @ W, t), {"x": "ND", "W": "DC", "t": below("N", "C")})


def ce_dx(a, q=None, n=None):
    """softmax(x) − q over n."""
    hot = onehot(a.t, a.x.shape[1])
    q = hot if q is None else q
    return a.dy * (softmax(a.x) * q.sum(-1, keepdims=True) - q) / (n or len(a.x))


def l1_sign(a):
    with np.errstate(all="ignore"):
        return a.dy * (a.x - a.t) / np.abs(a.x - a.t) / a.x.size


def overflown(a):
    with np.errstate(all="ignore"):
        e = np.exp(a.x)
        return {"x": a.dy - e / total(e) * total(a.dy)}


def linear_ce_dW(a, p):
    return a.x.T @ (a.dy * p / len(a.x))


def svm_once(a):
    """Every violated margin counts for its class, the target gets −1 once."""
    z = 1 + a.x - np.take_along_axis(a.x, a.t[:, None], 1)
    return a.dy / a.N * np.where(hot(a), -1.0, z > 0)


LOSSES = [
    (
        "A24",
        Function(lambda x, t: F.multi_margin_loss(x, t) * x.shape[1], {"x": "NC", "t": below("N", "C")}),
        lambda a: {"x": svm_once(a)},
    ),
    ("A01", mse, lambda a: {"x": a.dy * 2 * (a.x - a.t), "t": -a.dy * 2 * (a.x - a.t)}),
    ("A01", ce, lambda a: {"x": a.dy * (softmax(a.x) - onehot(a.t, a.C))}),
    ("A01", linear_ce, lambda a: {n: g * a.N for n, g in vars(a.g).items()}),
    ("A02", mse, lambda a: {"x": a.dy * 2 * (a.x - a.t) / a.N}),
    ("A02", bce, lambda a: {"z": a.dy * (sigmoid(a.z) - a.t) / a.N}),
    ("A03", mse, lambda a: {"x": a.dy * 2 * (a.x - a.t) / a.x.size**2}),
    ("A03", ce, lambda a: {"x": ce_dx(a) / a.N}),
    ("A04", mse, lambda a: {"x": a.dy * (a.x - a.t) / a.x.size, "t": a.dy * (a.t - a.x) / a.x.size}),
    ("A04", huber, lambda a: {"x": 2 * a.g.x}),
    ("A05", mse, lambda a: {"x": a.dy * 2 * (a.t - a.x) / a.x.size}),
    ("A05", ce, lambda a: {"x": -ce_dx(a)}),
    ("A05", bce, lambda a: {"z": a.dy * (a.t - sigmoid(a.z)) / a.z.size}),
    ("A06", ce_time, lambda a: {"x": a.g.x * a.T}),
    ("A06", mse3, lambda a: {"pred": a.dy * 2 * (a.pred - a.target) / (a.N * a.D)}),
    ("A07", mse, lambda a: {"x": 2 * (a.x - a.t) / a.x.size}),
    ("A07", ce, lambda a: {"x": ce_dx(a) / a.dy}),
    ("A09", bce, lambda a: {"z": a.dy * (sigmoid(a.z) - a.t) * sigmoid(a.z) * (1 - sigmoid(a.z)) / a.z.size}),
    ("A10", smooth, lambda a: {"x": ce_dx(a, 0.9 * onehot(a.t, a.C) + 0.1 / (a.C - 1) * (1 - onehot(a.t, a.C)))}),
    ("A11", smooth, lambda a: {"x": ce_dx(a)}),
    ("A12", weighted, lambda a: {"x": a.dy * a.w[a.t][:, None] * (softmax(a.x) - onehot(a.t, a.C)) / a.N}),
    ("A14", ignoring, lambda a: {"x": ce_dx(a)}),
    ("A15", ignoring, lambda a: {"x": ce_dx(a, onehot(np.where(a.t < 0, 0, a.t), a.C), (a.t >= 0).sum())}),
    ("A15", ignoring, lambda a: {"x": a.dy * (softmax(a.x) - onehot(a.t, a.C)) / (a.t >= 0).sum()}),
    ("A16", smooth_ignoring, lambda a: {"x": ce_dx(a, 0.9 * onehot(a.t, a.C) + 0.1 / a.C, (a.t >= 0).sum())}),
    ("A18", huber, lambda a: {"x": a.g.x / 0.3}),
    ("A18", smooth_l1, lambda a: {"x": a.g.x * 0.7}),
    ("A20", large_logits, overflown),
    ("A22", bce_pos, lambda a: {"z": a.dy * a.w * (sigmoid(a.z) - a.t) / a.z.size}),
    ("A23", mse, lambda a: {"t": None}),
    ("C18", l1_small, lambda a: {"x": a.dy * np.where(a.x >= a.t, 1, -1) / a.x.size}),
    ("F16", l1_small, lambda a: {"x": l1_sign(a)}),
]

# — linear ——————————————————————————————————————————————————————————————————————————————————————————————————————
affine = Function(lambda x, w, b: x @ w + b, {"x": "ND", "w": "DM", "b": "M"})
affine_square = Function(affine.truth, affine.inputs, fix=square("D", "M"))
torch_linear = Function(F.linear, {"x": "NTD", "weight": "MD", "bias": "M"})
torch_linear_square = Function(F.linear, torch_linear.inputs, fix=square("D", "M"))
conv = Function(
    lambda x, w, b: F.conv2d(x, w, b),
    {"x": "NCHT", "w": "MCKK", "b": "M"},
    fix=lambda k: {"K": 2, "C": 3, "H": k.H + 2, "T": k.T + 3},
)
tied = Function(lambda x, w: x @ w @ w, {"x": "ND", "w": "DD"})
decayed = Function(
    lambda x, w, b, t: ((x @ w + b - t) ** 2).mean() + 0.05 * (w**2).sum(),
    {"x": "ND", "w": "DM", "b": "M", "t": "NM"},
    {"λ": 0.05},
)
regression = Function(lambda x, w, b, t: ((x @ w + b - t) ** 2).mean(), {"x": "ND", "w": "DM", "b": "M", "t": "NM"})
two_layers = Function(lambda x, W1, W2: torch.tanh(x @ W1) @ W2, {"x": "ND", "W1": "DH", "W2": "HM"})
dense = Function(lambda x, w, b: torch.tanh(x @ w + b), {"x": "ND", "w": "DM", "b": "M"})


def single_precision(a):
    return {"x": (a.dy.astype(np.float32) @ a.w.T.astype(np.float32)).astype(float)}


def updated_first(a):
    """W2 moves before the error goes through it."""
    h, rate = np.tanh(a.x @ a.W1), 0.1
    W2 = a.W2 - rate * h.T @ a.dy
    dz = a.dy @ W2.T * (1 - h * h)
    return {"W1": a.x.T @ dz, "x": dz @ a.W1.T}


LINEAR = [
    ("B01", affine_square, lambda a: {"x": a.dy @ a.w}),
    ("B01", torch_linear_square, lambda a: {"x": a.dy @ a.weight.T}),
    ("B03", affine, lambda a: {"b": a.dy}),
    ("B04", affine, lambda a: {"b": a.dy.mean(0)}),
    ("B04", torch_linear, lambda a: {"bias": rows(a.dy).mean(0)}),
    ("B05", affine, lambda a: {"b": a.dy[-1]}),
    ("B05", affine, lambda a: {"b": a.dy[0]}),
    ("B06", torch_linear, lambda a: {"bias": a.dy.sum(0)}),
    ("B06", conv, lambda a: {"b": a.dy[:, :, 0, 0].sum(0)}),
    ("B07", two_layers, updated_first),
    ("B09", tied, lambda a: {"w": a.x.T @ (a.dy @ a.w.T)}),
    ("F04", tied, lambda a: {"w": (a.x @ a.w).T @ a.dy}),
    ("B11", affine_square, lambda a: {"w": a.y.T @ a.dy}),
    ("B12", decayed, lambda a: {"w": a.g.w - 0.1 * a.w}),
    ("B14", regression, lambda a: {"b": a.g.b + 0.01 * a.b}),
    ("B15", regression, lambda a: {"w": a.g.w + 0.01 * a.w}),
    ("B15", decayed, lambda a: {"w": a.g.w - 0.1 * a.w + 0.1 / a.N * a.w}),
    ("F15", affine, single_precision),
]

# — activations —————————————————————————————————————————————————————————————————————————————————————————————————
tanh = Function(torch.tanh, {"x": "ND"})
sigm = Function(torch.sigmoid, {"z": "ND"})
relu_small = Function(F.relu, {"x": "ND"}, small=True)
leaky = Function(lambda x: F.leaky_relu(x, 0.1), {"x": "ND"}, {"slope": 0.1})
elu = Function(F.elu, {"x": "ND"})
silu = Function(F.silu, {"x": "ND"})
gelu = Function(F.gelu, {"x": "ND"})
softplus = Function(F.softplus, {"x": lambda rng, k: rng.standard_normal((k.N, k.D)) * 25})
softmax_rows = Function(lambda x: torch.softmax(x, -1), {"x": "NC"})
softmax_square = Function(softmax_rows.truth, {"x": "NC"}, fix=square("N", "C"))
log_softmax = Function(lambda x: torch.log_softmax(x, -1), {"x": "NC"})
hardtanh_small = Function(F.hardtanh, {"x": "ND"}, small=True)
relu6_small = Function(lambda x: F.relu6(2 * x), {"x": "ND"}, small=True)
prelu = Function(lambda x, a: F.prelu(x, a), {"x": "NCT", "a": "C"})
glu = Function(F.glu, {"x": "ND"}, fix=even("D"))
norm_small = Function(lambda x: x.norm(dim=-1), {"x": lambda rng, k: rng.integers(-1, 2, (k.N + 4, 1)) * 1.0})


def phi(x):
    return np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def gelu_tanh_slope(x):
    u, du = 0.7978845608028654 * (x + 0.044715 * x**3), 0.7978845608028654 * (1 + 3 * 0.044715 * x**2)
    return 0.5 * (1 + np.tanh(u)) + 0.5 * x * (1 - np.tanh(u) ** 2) * du


def halves_swapped(a):
    u, v = np.split(a.x, 2, -1)
    s = sigmoid(v)
    return {"x": np.concatenate([a.dy * u * s * (1 - s), a.dy * s], -1)}


def norm_at_zero(a):
    with np.errstate(all="ignore"):
        return {"x": a.dy[:, None] * a.x / np.abs(a.x)}


ACTIVATIONS = [
    ("C02", tanh, lambda a: {"x": a.dy * (1 - a.x**2)}),
    ("C03", sigm, lambda a: {"z": a.dy * a.z * (1 - a.z)}),
    ("C04", tanh, lambda a: {"x": a.dy * (1 - a.y)}),
    ("C05", relu_small, lambda a: {"x": a.dy * (a.x >= 0)}),
    ("C07", leaky, lambda a: {"x": a.dy * (a.x > 0)}),
    ("C08", elu, lambda a: {"x": a.dy * np.where(a.x > 0, 1, a.y)}),
    ("C09", silu, lambda a: {"x": a.dy * sigmoid(a.x)}),
    ("C10", gelu, lambda a: {"x": a.dy * gelu_tanh_slope(a.x)}),
    ("C10", gelu, lambda a: {"x": a.dy * 0.5 * (1 + erf(a.x / math.sqrt(2)))}),
    ("C11", softplus, lambda a: {"x": a.dy * sigmoid(a.x)}),
    ("C12", prelu, lambda a: {"a": a.dy * np.minimum(a.x, 0)}),
    ("C13", softmax_rows, lambda a: {"x": a.y * (1 - a.y) * a.dy}),
    ("C13", log_softmax, lambda a: {"x": (1 - softmax(a.x)) * a.dy}),
    ("C15", softmax_rows, lambda a: {"x": a.y * (a.dy - (a.y * a.dy).sum(0))}),
    ("C17", hardtanh_small, lambda a: {"x": a.dy * (np.abs(a.x) <= 1)}),
    ("C17", relu6_small, lambda a: {"x": 2 * a.dy * ((a.x >= 0) & (a.x <= 3))}),
    ("C19", glu, halves_swapped),
    ("C20", silu, lambda a: {"x": a.dy * (sigmoid(a.y) + a.y * sigmoid(a.y) * sigmoid(-a.y))}),
    ("B17", tanh, lambda a: {"x": a.dy * (1 - a.y**2) ** 2}),
    ("B17", sigm, lambda a: {"z": a.dy * (a.y * (1 - a.y)) ** 2}),
    ("F16", norm_small, norm_at_zero),
]

# — normalisation ———————————————————————————————————————————————————————————————————————————————————————————————
layernorm = Function(lambda x, γ, β: F.layer_norm(x, x.shape[-1:], γ, β), {"x": "ND", "γ": "D", "β": "D"})
batchnorm = Function(
    lambda x, gamma, beta: F.batch_norm(x, None, None, gamma, beta, True), {"x": "ND", "gamma": "D", "beta": "D"}
)
batchnorm2d = Function(
    lambda x, gamma, beta: F.batch_norm(x, None, None, gamma, beta, True), {"x": "NCHT", "gamma": "C", "beta": "C"}
)
running = Function(
    lambda x, w, b, m, v: F.batch_norm(x, m.detach(), v.detach(), w, b, False),
    {"x": "ND", "w": "D", "b": "D", "running_mean": "D", "running_var": positive("D")},
)
trained = Function(
    lambda x, w, b, v: F.batch_norm(x, None, None, w, b, True) + 0 * v.detach(),
    {"x": "ND", "w": "D", "b": "D", "running_var": positive("D")},
)
groupnorm = Function(
    lambda x, w, b: F.group_norm(x, 2, w, b),
    {"x": "NCH", "w": "C", "b": "C"},
    {"num_groups": 2},
    fix=lambda k: {"C": 6},
)
rmsnorm = Function(lambda x, w: F.rms_norm(x, x.shape[-1:], w, 1e-6), {"x": "ND", "w": "D"})
narrow = Function(lambda x, γ, β: F.layer_norm(0.01 * x, x.shape[-1:], γ, β), layernorm.inputs)


def norm(x, axis, eps=1e-5):
    r = 1 / np.sqrt(x.var(axis, keepdims=True) + eps)
    return (x - mean(x, axis)) * r, r


def ln(f, γ=True):
    """dx of LayerNorm by f(x̂, r, g)."""

    def wrong(a):
        h, r = norm(a.x, -1)
        return {"x": f(h, r, a.dy * (a.γ if γ else 1))}

    return wrong


def bn(f):
    def wrong(a):
        h, r = norm(a.x, 0)
        return {"x": f(h, r, a.dy * a.gamma)}

    return wrong


def eps_outside(a):
    d = a.x - mean(a.x, -1)
    r = 1 / (d.std(-1, keepdims=True) + 1e-5)
    h, g = d * r, a.dy * a.γ
    return {"x": r * (g - mean(g, -1) - h * mean(g * h, -1))}


def interleaved(a):
    def arranged(q):
        return q.reshape(a.N, a.C // 2, 2, a.H).swapaxes(1, 2)

    h, r = norm(arranged(a.x), (2, 3))
    g = arranged(a.dy * a.w[:, None])
    dx = r * (g - mean(g, (2, 3)) - h * mean(g * h, (2, 3)))
    return {"x": dx.swapaxes(1, 2).reshape(a.x.shape)}


NORMS = [
    ("D01", layernorm, ln(lambda h, r, g: r * (g - h * mean(g * h, -1)))),
    ("D01", batchnorm, bn(lambda h, r, g: r * (g - h * mean(g * h, 0)))),
    ("D02", layernorm, ln(lambda h, r, g: r * (g - mean(g, -1)))),
    ("D02", batchnorm, bn(lambda h, r, g: r * (g - mean(g, 0)))),
    ("D03", layernorm, ln(lambda h, r, g: r * g)),
    ("D03", batchnorm2d, lambda a: {"x": a.dy * a.gamma[:, None, None] * norm(a.x, (0, 2, 3))[1]}),
    ("D04", layernorm, ln(lambda h, r, g: r * (g - 2 * mean(g, -1) - h * mean(g * h, -1)))),
    ("D06", layernorm, eps_outside),
    ("D07", layernorm, ln(lambda h, r, g: r * (g - mean(g, -1) - h * mean(g * h, -1)), γ=False)),
    ("D09", layernorm, lambda a: {"γ": a.dy.sum(0), "β": (a.dy * norm(a.x, -1)[0]).sum(0)}),
    ("D10", layernorm, lambda a: {"γ": (a.dy * norm(a.x, -1)[0]).mean(0)}),
    ("D10", batchnorm, lambda a: {"gamma": (a.dy * norm(a.x, 0)[0]).mean(0)}),
    ("D11", batchnorm2d, lambda a: {"gamma": (a.dy * norm(a.x, (0, 2, 3))[0]).reshape(-1, a.C).sum(0)}),
    (
        "D14",
        running,
        lambda a: {"x": (lambda h, r, g: r * (g - mean(g, 0) - h * mean(g * h, 0)))(*norm(a.x, 0), a.dy * a.w)},
    ),
    ("D14", trained, lambda a: {"x": a.dy * a.w / np.sqrt(a.running_var + 1e-5)}),
    ("D17", groupnorm, interleaved),
    ("F06", layernorm, lambda a: {"γ": a.dy * norm(a.x, -1)[0]}),
    ("F13", layernorm, lambda a: {"x": np.zeros_like(a.x)}),
]

# — convolution, pooling ————————————————————————————————————————————————————————————————————————————————————————
conv_square = Function(
    lambda x, w: F.conv2d(x, w, padding=1),
    {"x": "NCHT", "w": "CCKK"},
    fix=lambda k: {"K": 3, "C": 3, "N": 2, "H": k.H + 2},
)
conv1d = Function(
    lambda x, w: F.conv1d(x, w, padding=1), {"x": "NCT", "w": "MCK"}, fix=lambda k: {"K": 3, "T": k.T + 3}
)
dilated = Function(
    lambda x, w: F.conv1d(x, w, dilation=2), {"x": "NCT", "w": "MCK"}, fix=lambda k: {"K": 2, "T": k.T + 4}
)
maxpool_small = Function(
    lambda x: F.max_pool2d(x, 2), {"x": "NCHT"}, small=True, fix=lambda k: {"N": 2, "C": 2, "H": 6, "T": 2 * k.T}
)
avgpool = Function(
    lambda x: F.avg_pool1d(x, 3, 2, padding=1, count_include_pad=False), {"x": "NCT"}, fix=lambda k: {"T": k.T + 4}
)
avgpool_ceil = Function(lambda x: F.avg_pool1d(x, 2, 2, ceil_mode=True), {"x": "NCT"}, fix=lambda k: {"T": 2 * k.T + 1})


def windows(a):
    """(window, rest) pairs of a (N, C, H, T) input for 2×2 pooling."""
    n, c, h, t = a.shape
    return a.reshape(n, c, h // 2, 2, t // 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(n, c, h // 2, t // 2, 4)


def unwindowed(w, shape):
    n, c, h, t = shape
    return w.reshape(n, c, h // 2, t // 2, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(shape)


def pooled(a, shares):
    w = windows(a.x)
    hit = w == w.max(-1, keepdims=True)
    return {"x": unwindowed(shares(hit) * a.dy[..., None], a.x.shape)}


def conv_dx(x, w, dy, **options):
    return torch.nn.grad.conv1d_input(x.shape, torch.as_tensor(w), torch.as_tensor(dy), **options).numpy()


def last(hit):
    return hit & (np.cumsum(hit[..., ::-1], -1)[..., ::-1] == 1)


def avg_dx(a, count_include_pad):
    x = torch.tensor(a.x, requires_grad=True)
    F.avg_pool1d(x, 3, 2, padding=1, count_include_pad=count_include_pad).backward(torch.as_tensor(a.dy))
    return x.grad.numpy()


def whole_divisor(a):
    dx = np.repeat(a.dy, 2, -1)[..., : a.x.shape[-1]] / 2
    return {"x": dx}


CONV = [
    ("E01", conv1d, lambda a: {"x": conv_dx(a.x, a.w[:, :, ::-1].copy(), a.dy, padding=1)}),
    ("E02", conv, lambda a: {"w": a.g.w[:, :, ::-1, ::-1]}),
    ("E02", conv1d, lambda a: {"w": a.g.w[:, :, ::-1]}),
    (
        "E03",
        Function(conv1d.truth, {"x": "NCT", "w": "CCK"}, fix=conv1d.fix),
        lambda a: {"x": conv_dx(a.x, a.w.swapaxes(0, 1).copy(), a.dy, padding=1)},
    ),
    ("E04", conv1d, lambda a: {"x": np.concatenate([np.zeros_like(a.x[..., :1]), a.g.x[..., :-1]], -1)}),
    ("E06", dilated, lambda a: {"x": np.pad(conv_dx(a.x[..., 1:], a.w, a.dy), ((0, 0), (0, 0), (0, 1)))}),
    ("E11", conv, lambda a: {"w": np.moveaxis(a.g.w, 1, -1).reshape(a.w.shape)}),
    ("E12", maxpool_small, lambda a: pooled(a, lambda hit: hit)),
    ("E13", maxpool_small, lambda a: pooled(a, lambda hit: hit / hit.sum(-1, keepdims=True))),
    ("E13", maxpool_small, lambda a: pooled(a, last)),
    ("E16", avgpool, lambda a: {"x": avg_dx(a, True)}),
    ("E17", avgpool_ceil, whole_divisor),
]

# — look-ups, shapes, paths —————————————————————————————————————————————————————————————————————————————————————
embedding = Function(lambda ids, w: F.embedding(ids, w), {"ids": repeated("NT", "K"), "w": "KD"})
padded = Function(
    lambda ids, w: F.embedding(ids, w, padding_idx=0),
    {"ids": lambda rng, k: np.append(rng.integers(0, k.K, k.N), 0), "w": "KD"},
    {"padding_idx": 0},
)
concat = Function(lambda u, v: torch.cat([u, v], -1), {"u": "ND", "v": "ND"})
transpose = Function(lambda x: x.transpose(1, 2), {"x": "NTD"})
heads = Function(lambda x: x.reshape(*x.shape[:2], 2, -1).transpose(1, 2), {"x": "NTD"}, fix=even("D"))
flatten = Function(lambda x: x.reshape(len(x), -1), {"x": "NCH"})
residual = Function(lambda x, w: x + torch.relu(x @ w), {"x": "ND", "w": "DD"})
broadcast = Function(lambda x, s: x * s, {"x": "ND", "s": "D"})
dropout = Function(lambda x, m: x * m / 0.7, {"x": "ND", "m": bits("ND")}, {"p": 0.3})
two_paths = Function(lambda x, u, v: x @ u + x @ v, {"x": "ND", "u": "DM", "v": "DM"})


def assigned(a):
    dw = np.zeros_like(a.w)
    dw[a.ids] = a.dy
    return {"w": dw}


def padding_learns(a):
    dw = np.zeros_like(a.w)
    np.add.at(dw, a.ids, a.dy)
    return {"w": dw}


def half_precision(a):
    dw = np.zeros(a.w.shape, np.float16)
    np.add.at(dw, a.ids, a.dy.astype(np.float16))
    return {"w": dw.astype(float)}


def other_mask(a):
    m = np.roll(a.m, 1)
    return {"x": a.dy * m / 0.7}


SHAPES = [
    ("F01", embedding, assigned),
    ("F02", padded, padding_learns),
    ("F05", embedding, half_precision),
    ("F06", broadcast, lambda a: {"s": a.dy * a.x}),
    ("F08", concat, lambda a: dict(zip("vu", np.split(a.dy, 2, -1)))),
    ("F09", transpose, lambda a: {"x": a.dy.reshape(a.x.shape)}),
    ("F09", heads, lambda a: {"x": a.dy.reshape(a.x.shape)}),
    ("F10", flatten, lambda a: {"x": a.dy.reshape(a.x.shape, order="F")}),
    ("F11", residual, lambda a: {"x": a.g.x - a.dy}),
    ("F11", residual, lambda a: {"x": a.dy}),
    ("F11", two_paths, lambda a: {"x": a.dy @ a.v.T}),
    ("F12", residual, lambda a: {"x": a.g.x + a.dy}),
    ("F13", two_layers, lambda a: {"x": np.zeros_like(a.x)}),
    ("G18", dropout, lambda a: {"x": a.dy * a.m}),
    ("G18", dropout, lambda a: {"x": a.dy * a.m / 0.7**2}),
    ("G19", dropout, other_mask),
]

# — recurrent ———————————————————————————————————————————————————————————————————————————————————————————————————


def lstm_step(x, h, c, Wx, Wh, b):
    i, f, o, g = (x @ Wx + h @ Wh + b).chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh()


def rnn(x, h0, Wx, Wh, b):
    h, out = h0, []
    for t in range(x.shape[1]):
        h = torch.tanh(x[:, t] @ Wx + h @ Wh + b)
        out.append(h)
    return torch.stack(out, 1)


gates = {
    "Wx": lambda rng, k: rng.standard_normal((k.D, 4 * k.H)),
    "Wh": lambda rng, k: rng.standard_normal((k.H, 4 * k.H)),
    "b": lambda rng, k: rng.standard_normal(4 * k.H),
}
lstm = Function(lstm_step, {"x": "ND", "h": "NH", "c": "NH", **gates})
recurrent = Function(rnn, {"x": "NTD", "h0": "NH", "Wx": "DH", "Wh": "HH", "b": "H"})


def lstm_backward(a, order=(0, 1, 2, 3), tanh_slope=lambda c: 1 - np.tanh(c) ** 2, new_cell=False):
    i, f, o, g = np.split(a.x @ a.Wx + a.h @ a.Wh + a.b, 4, -1)
    i, f, o, g = sigmoid(i), sigmoid(f), sigmoid(o), np.tanh(g)
    c = f * a.c + i * g
    do, dc = a.dy * np.tanh(c), a.dy * o * tanh_slope(c)
    df = dc * (c if new_cell else a.c)
    parts = [dc * g * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dc * i * (1 - g * g)]
    da = np.concatenate([parts[k] for k in order], -1)
    return {"x": da @ a.Wx.T, "h": da @ a.Wh.T, "c": dc * f, "Wx": a.x.T @ da, "Wh": a.h.T @ da, "b": da.sum(0)}


def rnn_backward(a, through_time=True, accumulate=True, state=True):
    hs = [a.h0, *np.moveaxis(a.y, 1, 0)]
    dx, dWx, dWh, db, dh = np.zeros_like(a.x), 0, 0, 0, np.zeros_like(a.h0)
    for t in reversed(range(a.T)):
        da = (a.dy[:, t] + dh) * (1 - hs[t + 1] ** 2)
        dx[:, t] = da @ a.Wx.T
        one = a.x[:, t].T @ da, hs[t].T @ da, da.sum(0)
        dWx, dWh, db = (p + q for p, q in zip((dWx, dWh, db), one)) if accumulate else one
        dh = da @ a.Wh.T if through_time else 0 * dh
    return {"x": dx, "h0": da @ a.Wh.T if state else None, "Wx": dWx, "Wh": dWh, "b": db}


RECURRENT = [
    ("G01", lstm, lambda a: lstm_backward(a, (0, 1, 3, 2))),
    ("G02", recurrent, lambda a: rnn_backward(a, through_time=False)),
    ("G04", recurrent, lambda a: rnn_backward(a, accumulate=False)),
    ("G07", lstm, lambda a: lstm_backward(a, tanh_slope=lambda c: 1 - c * c)),
    ("G08", lstm, lambda a: lstm_backward(a, new_cell=True)),
    ("G10", recurrent, lambda a: rnn_backward(a, state=False)),
]

# — attention ———————————————————————————————————————————————————————————————————————————————————————————————————
sdpa = Function(lambda q, k, v: F.scaled_dot_product_attention(q, k, v), {"q": "NTD", "k": "NMD", "v": "NMH"}, {"d": 0})
self_attention = Function(F.scaled_dot_product_attention, {"Q": "TD", "K": "TD", "V": "TD"})
causal = Function(
    lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), {"q": "NTD", "k": "NTD", "v": "NTD"}
)
masked = Function(
    lambda q, k, v, keep: F.scaled_dot_product_attention(q, k, v, attn_mask=keep.bool()),
    {
        "q": "TD",
        "k": "MD",
        "v": "MD",
        "keep": lambda rng, k: np.concatenate([np.ones((k.T, 1), bool), rng.random((k.T, k.M - 1)) < 0.5], 1),
    },
)


def attend(a, q, k, v, dy, hidden=None, c=None, dz=None, transposed=True, P=None):
    c = 1 / math.sqrt(q.shape[-1]) if c is None else c
    z = q @ k.swapaxes(-1, -2) / math.sqrt(q.shape[-1])
    P = softmax(np.where(hidden, -np.inf, z) if hidden is not None else z)
    dP = dy @ v.swapaxes(-1, -2)
    dz = P * (dP - total(P * dP)) if dz is None else dz(P, dP)
    return c * dz @ k, c * (dz.swapaxes(-1, -2) if transposed else dz) @ q, P.swapaxes(-1, -2) @ dy


def named(names, values):
    return dict(zip(names, values))


ATTENTION = [
    ("G12", sdpa, lambda a: named("qkv", attend(a, a.q, a.k, a.v, a.dy, c=1.0))),
    ("G12", self_attention, lambda a: named("QKV", attend(a, a.Q, a.K, a.V, a.dy, c=1.0))),
    ("G13", self_attention, lambda a: {"Q": a.g.K, "K": a.g.Q}),
    ("G13", self_attention, lambda a: named("QKV", attend(a, a.Q, a.K, a.V, a.dy, transposed=False))),
    ("G14", masked, lambda a: named("qkv", attend(a, a.q, a.k, a.v, a.dy))),
    ("G15", causal, lambda a: named("qkv", attend(a, a.q, a.k, a.v, a.dy, np.triu(np.ones((a.T, a.T), bool), 2)))),
    ("C13", self_attention, lambda a: named("QKV", attend(a, a.Q, a.K, a.V, a.dy, dz=lambda P, dP: P * (1 - P) * dP))),
]

KNOWN = [*LOSSES, *LINEAR, *ACTIVATIONS, *NORMS, *CONV, *SHAPES, *RECURRENT, *ATTENTION]

# — mistakes that the catalogue does not have, with words that an explanation must have ————————————————————————————
exponential = Function(torch.exp, {"x": "ND"})
root = Function(torch.sqrt, {"x": positive("ND")})
logarithm = Function(torch.log, {"x": positive("ND")})
cosine = Function(torch.cos, {"x": "ND"})
log2_loss = Function(lambda p, t: -(t.detach() * torch.log2(p)).sum(), {"p": unit("NC"), "t": unit("NC")})
batched = Function(lambda A, B: A @ B, {"A": "NTD", "B": "NDM"})
unit_rows = Function(lambda x: x / x.norm(dim=-1, keepdim=True), {"x": "ND"})
ce_linear = Function(
    lambda x, W, b, t: F.cross_entropy(x @ W + b, t), {"x": "ND", "W": "DC", "b": "C", "t": below("N", "C")}
)
relu_net = Function(
    lambda x, W1, b1, W2, b2, t: F.cross_entropy(torch.relu(x @ W1 + b1) @ W2 + b2, t),
    {"x": "ND", "W1": "DH", "b1": "H", "W2": "HC", "b2": "C", "t": below("N", "C")},
)


def relu_net_backward(a, mask=True):
    z = a.x @ a.W1 + a.b1
    ds = a.dy * (softmax(np.maximum(z, 0) @ a.W2 + a.b2) - onehot(a.t, a.C)) / a.N
    dz = ds @ a.W2.T * (z > 0 if mask else 1)
    return {"W1": a.x.T @ dz, "b1": dz.sum(0), "x": dz @ a.W1.T}


def hot(a):
    return onehot(a.t, a.C)


def counted(a):
    dw, k = np.zeros_like(a.w), np.bincount(a.ids.ravel(), minlength=len(a.w))
    np.add.at(dw, a.ids, a.dy)
    return {"w": dw / np.maximum(k, 1)[:, None]}


inverse = Function(torch.linalg.inv, {"A": "DD"})
quadratic = Function(lambda x, A: x @ A @ x, {"x": "D", "A": "DD"})
running_sum = Function(lambda x: x.cumsum(1), {"x": "ND"})
spread_of_rows = Function(lambda x: x.std(1, unbiased=False), {"x": "ND"})
steps = Function(lambda x: torch.diff(x, dim=1), {"x": "ND"})
length = Function(lambda x: x.norm(), {"x": "ND"})
one_slope = Function(lambda x, a: torch.where(x > 0, x, a * x), {"x": "ND", "a": ""})
mixed = Function(lambda z, p, q: z * p + (1 - z) * q, {"z": "ND", "p": "ND", "q": "ND"})
UNKNOWN = [
    ("y · dy|tanh x · dy", tanh, lambda a: {"x": a.dy * a.y}),
    ("\\(x\\) · right|y · dy", root, lambda a: {"x": a.dy * 0.5 * a.y}),
    ("x · dy", logarithm, lambda a: {"x": a.dy * a.x}),
    ("−1 · right|sign", cosine, lambda a: {"x": a.dy * np.sin(a.x)}),
    ("1 · dy", exponential, lambda a: {"x": a.dy}),
    ("ln 2", log2_loss, lambda a: {"p": -a.dy * a.t / a.p}),
    ("one-hot|onehot|1 at the target", ce, lambda a: {"x": a.dy * softmax(a.x) / a.N}),
    ("onehot|softmax", ce, lambda a: {"x": -a.dy * hot(a) / a.N}),
    ("W1.*z1|x.*dh|mask|activation|slope", relu_net, lambda a: relu_net_backward(a, mask=False)),
    ("activation|slope|dy", dense, lambda a: {"w": a.x.T @ a.dy, "b": a.dy.sum(0), "x": a.dy @ a.w.T}),
    ("without r", layernorm, ln(lambda h, r, g: g - mean(g, -1) - h * mean(g * h, -1))),
    ("n − 1", layernorm, ln(lambda h, r, g: r * (g - mean(g, -1) - h * total(g * h) / (g.shape[-1] - 1)))),
    ("Sums", layernorm, ln(lambda h, r, g: r * (g - total(g) - h * total(g * h)))),
    ("wrong sign", batchnorm, bn(lambda h, r, g: r * (g + mean(g, 0) - h * mean(g * h, 0)))),
    ("dy ⊙ x", layernorm, lambda a: {"γ": (a.dy * a.x).sum(0)}),
    ("transposed", self_attention, lambda a: {"V": softmax(a.Q @ a.K.T / math.sqrt(a.D)) @ a.dy}),
    ("count of ids", embedding, counted),
    (r"w\[t\]", weighted, lambda a: {"x": a.g.x * a.w[a.t][:, None]}),
    ("λ|0.05", decayed, lambda a: {"w": a.g.w - 0.05 * a.w}),
    ("sign w", regression, lambda a: {"w": a.g.w + 0.01 * np.sign(a.w)}),
    ("0.01", regression, lambda a: {n: 0.01 * g for n, g in vars(a.g).items()}),
    ("right dx|−torch", mse, lambda a: {"t": a.g.x}),
    ("backwards|flipped", recurrent, lambda a: {"x": a.g.x[:, ::-1]}),
    ("sum", softmax_square, lambda a: {"x": a.y * (a.dy - (a.y * a.dy).sum(-1))}),
    (r"1 − p|\(1 − p\)", dropout, lambda a: {"x": a.dy * a.m / 0.3}),
    ("transposed|rightᵀ", affine, lambda a: {"w": a.g.w.T}),
    ("end of axis", batched, lambda a: {"A": np.concatenate([a.g.A[:-1], 0 * a.g.A[-1:]])}),
    ("A|transpose", Function(batched.truth, {"A": "NDD", "B": "NDM"}), lambda a: {"B": a.A @ a.dy}),
    ("norm|x", unit_rows, lambda a: {"x": a.dy / np.sqrt(total(a.x**2))}),
    ("softmax|sum", softmax_rows, lambda a: {"x": a.y * a.dy}),
    ("permut|order", lstm, lambda a: {"b": a.g.b[np.random.default_rng(0).permutation(a.b.size)]}),
    ("last|sample", affine, lambda a: {"w": a.x[-1:].T @ a.dy[-1:]}),
    ("shifted|− 1", conv1d, lambda a: {"w": np.roll(a.g.w, 1, -1)}),
    (
        "W2|dh",
        relu_net,
        lambda a: {
            "W1": a.x.T @ (a.dy * (softmax(np.maximum(a.x @ a.W1 + a.b1, 0) @ a.W2 + a.b2) - hot(a)) / a.N @ a.W2.T)
        },
    ),
    (r"y dy y.*yᵀ dy yᵀ", inverse, lambda a: {"A": -a.y @ a.dy @ a.y}),
    (r"2 · A x.*A x \+ Aᵀ x", quadratic, lambda a: {"x": 2 * a.dy * a.A @ a.x}),
    ("Σ dy to each entry", running_sum, lambda a: {"x": np.cumsum(a.dy, 1)}),
    ("factor of its own, y|= y · right", spread_of_rows, lambda a: {"x": a.g.x * a.y[:, None]}),
    (
        r"proportional to \(x − t\)",
        huber,
        lambda a: {"x": a.dy * (a.x - a.t) / a.x.size, "t": a.dy * (a.t - a.x) / a.x.size},
    ),
    (r"σ\(x\)\(1 − σ\(x\)\)\) · dy.*xσ", silu, lambda a: {"x": a.dy * (sigmoid(a.x) + sigmoid(a.x) * sigmoid(-a.x))}),
    ("sign is wrong", cosine, lambda a: {"x": -a.g.x}),
    ("dy moved by 1 is missing", steps, lambda a: {"x": np.pad(-a.dy, ((0, 0), (0, 1)))}),
    ("2·y times", length, lambda a: {"x": 2 * a.dy * a.x}),
    (r"max\(x, 0\) where it is Σ dy ⊙ min\(x, 0\)", one_slope, lambda a: {"a": (a.dy * np.maximum(a.x, 0)).sum()}),
    ("of q is computed as that of p", mixed, lambda a: {"q": a.g.p}),
    (r"f′\(−x\)", silu, lambda a: {"x": a.dy * (sigmoid(-a.x) - a.x * sigmoid(a.x) * sigmoid(-a.x))}),
    ("over all axes, the same", affine, lambda a: {"b": np.full(a.b.shape, a.dy.sum())}),
    (r"softmax\(x\)", ce, lambda a: {"x": softmax(a.x) * a.g.x}),
    ("no gradient where the class is not t", ce, lambda a: {"x": np.where(a.g.x * a.dy < 0, a.g.x, 0)}),
]
