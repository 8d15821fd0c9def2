"""More mistakes that the catalogue has not, or has in another form, as strangers made them; as in `mistakes`."""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from reference import Constant, Indices, OneHot, Positive

from .corpus import LABELS, ND, PAIR, coarse, convention, right, wrong
from .mistakes import pair, sigmoid, softmax, wrongly

SERIES = {"x": ("N", "T")}
MLP = {"x": ("N", "D"), "W1": ("D", "H"), "W2": ("H", "M")}


def huber(x, t, delta=1.0):
    d = np.abs(x - t)
    return np.where(d <= delta, 0.5 * d * d, delta * (d - 0.5 * delta)).mean()


def running_mean(x):
    return np.cumsum(x, 1) / np.arange(1, x.shape[1] + 1)


def torch_running_mean(x):
    return torch.cumsum(x, 1) / torch.arange(1, x.shape[1] + 1)


def top_two(x):
    i = np.argsort(-x, -1, kind="stable")[:, :2]
    return np.take_along_axis(x, i, -1), (i, x.shape)


def top_two_back(dy, cache):
    i, shape = cache
    dx = np.zeros(shape)
    np.put_along_axis(dx, i, dy, -1)
    return dx


def rms(x):
    return np.sqrt((x * x).mean(-1, keepdims=True) + np.float32(1e-6))


def from_behind(a):
    return np.cumsum(a[:, ::-1], 1)[:, ::-1]


def smoothed(x, keep=0.75):
    y = x.copy()
    for t in range(1, x.shape[1]):
        y[:, t] = keep * y[:, t - 1] + (1 - keep) * x[:, t]
    return y


def torch_smoothed(x):
    each = [x[:, 0]]
    for t in range(1, x.shape[1]):
        each.append(0.75 * each[-1] + 0.25 * x[:, t])
    return torch.stack(each, 1)


def smoothed_back(dy, keep=0.75, weight=0.25, first=1.0):
    dx, carried = np.zeros_like(dy), np.zeros(len(dy))
    for t in reversed(range(dy.shape[1])):
        carried = carried + dy[:, t]
        dx[:, t] = (weight if t else first) * carried
        carried = keep * carried
    return dx


def mlp_back(dy, x, W1, W2, f, slope):
    h = f(x @ W1)
    dz = dy @ W2.T * slope(h)
    return dz @ W1.T, x.T @ dz, h.T @ dy


def nll(x, t):
    return -np.log(softmax(x)[np.arange(len(t)), t]).mean()


def nll_back(dy, x, t):
    return dy * (np.eye(x.shape[1])[t] - softmax(x)) / len(t), None


def in_tiles(dy, x, size=32):
    tiles = x.shape[1] // size
    dx = np.zeros_like(x)
    dx[:, : size * tiles if tiles else x.shape[1]] = dy[:, None]
    return dx


def largest_two(x):
    return np.take_along_axis(x, np.argsort(-x, 1)[:, :2], 1)


def in_front(dy, x):
    dx = np.zeros_like(x)
    dx[:, :2] = dy
    return dx


def length(x):
    return np.sqrt((x * x).sum(1))


def length_back(dy, x):
    return dy[:, None] * x / length(x)[:, None]


def safe_length_back(dy, x):
    n = length(x)[:, None]
    return dy[:, None] * x / np.where(n == 0, 1, n)


def ridge(w, b, X, y):
    r = X @ w + b - y
    return (r * r).mean() + 0.1 * (w * w).sum(), 2 * X.T @ r / r.size + 0.2 * w, 2 * r.mean() + 0.2 * b


def torch_ridge(w, b, X, y):
    return ((X @ w + b - y) ** 2).mean() + 0.1 * (w * w).sum()


def least_squares(theta, X, y):
    r = X @ theta[:-1] + theta[-1] - y
    return 0.5 * (r * r).sum(), np.append(X.T @ r, 0.0)


def torch_least_squares(theta, X, y):
    return 0.5 * ((X @ theta[:-1] + theta[-1] - y) ** 2).sum()


def centred_in_place(x):
    x -= x.mean(0)
    return x * x, x.copy()


def centred_back(dy, x):
    d = 2 * x * dy
    return d - d.mean(0)


def of_smoothed_labels(x, y, e=0.1):
    p = softmax(x)
    q = np.full(x.shape, e / x.shape[1])
    q[np.arange(len(x)), y] += 1 - e
    return -(q * np.log(p)).sum() / len(x)


def nearly_smoothed(dy, x, y, e=0.1):
    q = np.full(x.shape, e / x.shape[1])
    q[np.arange(len(x)), y] = 1 - e
    return dy * (softmax(x) - q) / len(x), None


def divided_by_rms(x):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6)


def rms_of_sums(dy, x):
    r = 1 / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6)
    return r * dy - x * r**3 * (dy * x).sum(-1, keepdims=True)


MISTAKES = [
    wrongly(
        "a mean of sums, divided by all entries",
        lambda x, t: ((x - t) ** 2).sum(1).mean(),
        lambda dy, x, t: (dy * 2 * (x - t) / x.size, -dy * 2 * (x - t) / x.size),
        lambda x, t: ((x - t) ** 2).sum(1).mean(),
        PAIR,
        says="1/D times",
    ),
    wrongly(
        "labels smoothed, but for the target's own share",
        of_smoothed_labels,
        nearly_smoothed,
        lambda x, y: F.cross_entropy(x, y, label_smoothing=0.1),
        {"x": ("N", "C"), "y": Indices(("N",), "C")},
        never="one-hot vector",
    ),
    wrongly(
        "RMSNorm, the sum for the mean",
        divided_by_rms,
        rms_of_sums,
        lambda x: F.rms_norm(x, x.shape[-1:], eps=1e-6),
        ND,
        says=r"yours = r\(g − x̂Σ\(g x̂\)\)",
    ),
    wrongly(
        "Huber: the sign is lost on the straight part",
        huber,
        lambda dy, x, t: (dy * np.where(np.abs(x - t) <= 1, x - t, 1.0) / x.size, None),
        lambda x, t: F.huber_loss(x, t.detach()),
        PAIR,
        says="yours = −right where x − t is far below 0",
    ),
    wrongly(
        "Huber: delta is lost on the straight part",
        lambda x, t: huber(x, t, 0.75),
        lambda dy, x, t: (dy * np.where(np.abs(x - t) <= 0.75, x - t, np.sign(x - t)) / x.size, None),
        lambda x, t: F.huber_loss(x, t.detach(), delta=0.75),
        PAIR,
        says=r"1\.33333 · right where \|x − t\| is large",
    ),
    wrongly(
        "smooth L1: beta is lost on the round part",
        lambda x, t: np.where(np.abs(x - t) < 0.5, (x - t) ** 2, np.abs(x - t) - 0.25).mean(),
        lambda dy, x, t: (dy * np.where(np.abs(x - t) < 0.5, x - t, np.sign(x - t)) / x.size, None),
        lambda x, t: F.smooth_l1_loss(x, t.detach(), beta=0.5),
        PAIR,
        says=r"½ · right where \|x − t\| is small",
    ),
    wrongly(
        "network: tanh of what is tanh already",
        lambda x, W1, W2: np.tanh(x @ W1) @ W2,
        lambda dy, x, W1, W2: mlp_back(dy, x, W1, W2, np.tanh, lambda h: 1 - np.tanh(h) ** 2),
        lambda x, W1, W2: torch.tanh(x @ W1) @ W2,
        MLP,
        ids="C20",
        says="taken at the output",
    ),
    wrongly(
        "network: σ of what is σ already",
        lambda x, W1, W2: sigmoid(x @ W1) @ W2,
        lambda dy, x, W1, W2: mlp_back(dy, x, W1, W2, sigmoid, lambda h: sigmoid(h) * (1 - sigmoid(h))),
        lambda x, W1, W2: torch.sigmoid(x @ W1) @ W2,
        MLP,
        ids="C20",
        says="taken at the output",
    ),
    wrongly(
        "running mean: the weights of dx for those of dy",
        running_mean,
        lambda dy, x: from_behind(dy) / np.arange(1, x.shape[1] + 1),
        torch_running_mean,
        SERIES,
        says="depend on the place of dx alone, the right ones on that of dy",
    ),
    wrongly(
        "running mean: one too many",
        running_mean,
        lambda dy, x: from_behind(dy / np.arange(2, x.shape[1] + 2)),
        torch_running_mean,
        SERIES,
        says="the weight of dy at 0, 1, 2, 3, 4 is 0.5, 0.6667, 0.75, 0.8, 0.8333 times",
    ),
    wrongly(
        "running mean: no weights at all",
        running_mean,
        lambda dy, x: from_behind(dy),
        torch_running_mean,
        SERIES,
        says="Σ dy from each entry",
    ),
    wrongly(
        "smoothing: nothing comes back from later",
        smoothed,
        lambda dy, x: smoothed_back(dy, keep=0.0),
        torch_smoothed,
        SERIES,
        says="all later places along axis 1 does not reach dx",
    ),
    wrongly(
        "smoothing: too much is forgotten",
        smoothed,
        lambda dy, x: smoothed_back(dy, keep=0.5),
        torch_smoothed,
        SERIES,
        says="takes 0.5 of what comes from one place later, right is 0.75",
    ),
    wrongly(
        "smoothing: both weights change places",
        smoothed,
        lambda dy, x: smoothed_back(dy, keep=0.25, weight=0.75),
        torch_smoothed,
        SERIES,
        says="takes 0.25 of what comes from one place later, right is 0.75",
    ),
    wrongly(
        "smoothing: the first step as any other",
        smoothed,
        lambda dy, x: smoothed_back(dy, first=0.25),
        torch_smoothed,
        SERIES,
        says="in dx at 0, 1, 2, 3, 4 is 0.25, 1, 1, 1, 1 times",
    ),
    wrongly(
        "cross entropy: onehot − p",
        nll,
        nll_back,
        F.cross_entropy,
        LABELS,
        ids="A05",
        says="onehot − p for p − onehot",
    ),
    wrongly(
        "leaky: the branches change places",
        lambda x: np.where(x > 0, x, 0.125 * x),
        lambda dy, x: np.where(x > 0, 0.125 * dy, dy),
        lambda x: F.leaky_relu(x, 0.125),
        ND,
        says="Two slopes change places",
    ),
    wrongly(
        "clamp: the upper bound is not heeded",
        lambda x: np.clip(x, -1, 1),
        lambda dy, x: dy * (x >= -1),
        lambda x: x.clamp(-1, 1),
        ND,
        says="lets through what it should stop, where x is large",
    ),
    wrongly(
        "sum in blocks of 32: what is left over is forgotten",
        lambda x: x.sum(1),
        in_tiles,
        lambda x: x.sum(1),
        ND,
        says="no gradient at the end of axis 1",
    ),
    wrongly(
        "the two largest: dy is put in front",
        largest_two,
        in_front,
        lambda x: x.topk(2, 1).values,
        ND,
        says="another order",
        where=lambda s: s["D"] > 2,
    ),
    wrongly(
        "cube: an exponent off by one",
        lambda x: x**3,
        lambda dy, x: dy * 3 * x**3,
        lambda x: x**3,
        ND,
        says=r"yours = \(x\) · right",
    ),
    wrongly(
        "sigmoid: the other sign",
        sigmoid,
        lambda dy, x: -dy * sigmoid(x) * sigmoid(-x),
        torch.sigmoid,
        ND,
        says="The sign is wrong",
    ),
    wrongly(
        "a factor x/x",
        lambda x: x.sum(),
        lambda dy, x: dy * x / x,
        lambda x: x.sum(),
        ND,
        says="Something is divided by x",
    ),
    wrongly(
        "length of a vector: NaN at 0",
        length,
        length_back,
        lambda x: x.norm(dim=1),
        ND,
        ids="F16",
        says="divided by the norm of x, which is 0 there",
    ),
    wrongly(
        "divergence: probabilities where logarithms are given",
        lambda q, p: (p * (np.log(p) - q)).sum() / len(p),
        lambda dy, q, p: (dy * (np.exp(q) - p) / len(p), None),
        lambda q, p: F.kl_div(q, p, reduction="batchmean"),
        {"q": ("N", "D"), "p": Constant(Positive(("N", "D")))},
        says=r"1/N · e\^q · dy",
    ),
    wrong(
        "ridge: the bias is shrunk, too",
        ridge,
        against=torch_ridge,
        inputs={"w": ("D",), "b": (), "X": Constant(("N", "D")), "y": Constant(("N",))},
        ids="B14",
        says=r"yours − right = 0\.2 · b",
    ),
    wrong(
        "a vector of parameters: none for the last",
        least_squares,
        against=torch_least_squares,
        inputs={"theta": ("D + 1",), "X": Constant(("N", "D")), "y": Constant(("N",))},
        says="no gradient at the end of axis 0",
    ),
    wrongly(
        "squared error of probabilities: the gradient of the cross entropy",
        lambda x, t: 0.5 * ((softmax(x) - t) ** 2).sum() / len(x),
        lambda dy, x, t: (dy * (softmax(x) - t) / len(x), None),
        lambda x, t: 0.5 * ((torch.softmax(x, 1) - t) ** 2).sum() / len(x),
        {"x": ("N", "C"), "t": OneHot(("N", "C"))},
        says=r"proportional to softmax\(x\) − t, as that of the cross entropy",
    ),
    wrong(
        "centred in place",
        centred_in_place,
        centred_back,
        against=lambda x: (x - x.mean(0)) ** 2,
        inputs=ND,
        says="forward changes its input x in place",
    ),
]

PEOPLE = [
    convention(
        "hinge: the margin belongs to the slope",
        *pair(lambda x, t: np.maximum(0, 1 - t * x).mean(), lambda dy, x, t: -dy * t * (t * x <= 1) / x.size),
        against=lambda x, t: F.relu(1 - t * x).mean(),
        inputs={"x": ("N",), "t": Constant(("N",))},
        never="surrogate|factor",
    ),
    convention(
        "topk: the first of equal entries, where torch takes a later one",
        top_two,
        top_two_back,
        against=lambda x: x.topk(2, -1).values,
        inputs=ND,
        where=lambda s: s["D"] >= 2,
        never="last maximum",
    ),
    coarse(
        "rms norm: ε of eight digits",
        lambda x: (x / rms(x), x),
        lambda dy, x: dy / rms(x) - x * (dy * x).mean(-1, keepdims=True) / rms(x) ** 3,
        against=lambda x: F.rms_norm(x, x.shape[-1:], eps=1e-6),
        inputs=ND,
        never="1 times|1 \\+",
    ),
    convention(
        "clamp: 0 at one end",
        *pair(lambda x: np.clip(x, -1, 1), lambda dy, x: dy * ((x >= -1) & (x < 1))),
        against=lambda x: x.clamp(-1, 1),
        inputs=ND,
        never="taken as 1|strictly between",
    ),
    wrong(
        "minimum: two equal operands get all of dy, both of them",
        *pair(np.minimum, lambda dy, a, b: (dy * (a <= b), dy * (b <= a))),
        against=torch.minimum,
        inputs={"a": ("N", "D"), "b": ("N", "D")},
        says="only where a = b",
    ),
    right("length of a vector, 0 at 0", *pair(length, safe_length_back), against=lambda x: x.norm(dim=1), inputs=ND),
    right("length, without a function intended", *pair(length, safe_length_back), inputs=ND),
    wrong("length, NaN at 0, without a function intended", *pair(length, length_back), inputs=ND, says="NaN"),
    right(
        "direction of a vector, which has none at 0",
        lambda x: (x / length(x)[:, None], x),
        lambda dy, x: (dy - x * (dy * x).sum(1, keepdims=True) / (x * x).sum(1, keepdims=True)) / length(x)[:, None],
        against=lambda x: F.normalize(x, dim=1),
        inputs=ND,
    ),
    right(
        "a row of a table, and its length",
        lambda W, i: (length(W[i]), (W, i)),
        lambda dy, c: np.eye(len(c[0]))[:, c[1]] @ safe_length_back(dy, c[0][c[1]]),
        against=lambda W, i: W[i].norm(dim=1),
        inputs={"W": ("V", "D"), "i": Indices(("N",), below="V")},
    ),
]
