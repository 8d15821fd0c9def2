"""Classic mistakes in the backward of one call, deep inside of somebody's function; as in `mistakes`.

NOT_THESE: other mistakes at the same places, which must not get these names (`never`).
"""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from reference import Constant, Indices, Positive

from .corpus import wrong
from .mistakes import pair, sigmoid, softmax, wrongly

BIGRAMS = {"a": Indices(("N",), below="V"), "E": ("V", "D"), "W": ("D", "V"), "t": Indices(("N",), below="V")}
DEEP = {"x": ("N", "D"), "W": ("D", "H"), "V": ("H", "K"), "U": ("K", "C")}
TOKENS = {"x": ("N", "T", "D"), "W": ("D", "V"), "t": Indices(("N", "T"), below="V")}
MEMORY = {"x": ("N", "T", "D"), "A": ("H", "D"), "B": ("H", "H"), "s": ("N", "H")}
PATCHES = {"x": ("N", "H", "W"), "w": (2, 2, "K")}
HEADS = {"x": ("N", "T", "D"), "Q": ("D", "H"), "K": ("D", "H"), "V": ("D", "H")}


def bigram(a, E, W, t):
    return -np.log(softmax(np.tanh(E[a]) @ W))[np.arange(len(t)), t].sum()


def bigram_of(name, add, says="", never="", ids=""):
    def back(dy, a, E, W, t):
        h = np.tanh(E[a])
        d = dy * (softmax(h @ W) - np.eye(W.shape[1])[t])
        dE = np.zeros_like(E)
        add(dE, a, (d @ W.T) * (1 - h * h))
        return dE, h.T @ d

    def against(a, E, W, t):
        return F.cross_entropy(torch.tanh(F.embedding(a, E)) @ W, t, reduction="sum")

    return wrong(
        f"bigrams: {name}", *pair(bigram, back), against=against, inputs=BIGRAMS, says=says, never=never, ids=ids
    )


def once(dE, a, g):
    dE[a] += g


def halved(dE, a, g):
    np.add.at(dE, a, g / 2)


def averaged_rows(dE, a, g):
    np.add.at(dE, a, g / np.bincount(a, minlength=len(dE))[a][:, None])


def deep(x, W, V, U):
    return np.maximum(np.maximum(x @ W, 0) @ V, 0) @ U


def deep_of(name, mask, says="", never=""):
    def back(dy, x, W, V, U):
        h = np.maximum(x @ W, 0)
        k = np.maximum(h @ V, 0)
        dk = mask(dy @ U.T, k)
        dh = mask(dk @ V.T, h)
        return dh @ W.T, x.T @ dh, h.T @ dk, k.T @ dy

    def against(x, W, V, U):
        return F.relu(F.relu(x @ W) @ V) @ U

    return wrong(f"two hidden layers: {name}", *pair(deep, back), against=against, inputs=DEEP, says=says, never=never)


def of_tokens(name, less, says="", never=""):
    def front(x, W, t):
        return -np.log(np.take_along_axis(softmax(x @ W), t[..., None], -1)).mean()

    def back(dy, x, W, t):
        d = softmax(x @ W)
        less(d, t)
        d *= dy / t.size
        return d @ W.T, np.einsum("ntd,ntv->dv", x, d)

    def against(x, W, t):
        return F.nll_loss(F.log_softmax(x @ W, -1).flatten(0, 1), t.flatten())

    return wrong(f"tokens: {name}", *pair(front, back), against=against, inputs=TOKENS, says=says, never=never)


def all_columns(d, t):
    d.reshape(-1, d.shape[-1])[:, t.ravel()] -= 1


def twice(d, t):
    np.put_along_axis(d, t[..., None], np.take_along_axis(d, t[..., None], -1) - 2, -1)


def memory(x, A, B, s):
    states = []
    for t in range(x.shape[1]):
        s = sigmoid(x[:, t] @ A.T + s @ B.T) * s + x[:, t] @ A.T
        states.append(s)
    return np.stack(states, 1)


def torch_memory(x, A, B, s):
    states = []
    for t in range(x.shape[1]):
        s = torch.sigmoid(x[:, t] @ A.T + s @ B.T) * s + x[:, t] @ A.T
        states.append(s)
    return torch.stack(states, 1)


def memory_of(name, before, says="", never=""):
    def back(dy, x, A, B, s):
        states, grads, ds = memory(x, A, B, s), [np.zeros_like(a) for a in (x, A, B)], np.zeros_like(s)
        for t in reversed(range(x.shape[1])):
            old = before(states, s, t)
            g = sigmoid(x[:, t] @ A.T + (states[:, t - 1] if t else s) @ B.T)
            d = dy[:, t] + ds
            dz = d * old * g * (1 - g)
            grads[0][:, t] = (dz + d) @ A
            grads[1] += (dz + d).T @ x[:, t]
            grads[2] += dz.T @ old
            ds = d * g + dz @ B
        return *grads, ds

    return wrong(f"memory: {name}", *pair(memory, back), against=torch_memory, inputs=MEMORY, says=says, never=never)


def patches(x, w):
    n, h, v = x.shape
    return np.array([[[np.tensordot(x[k, i : i + 2, j : j + 2], w) for j in range(v - 1)] for i in range(h - 1)]
                     for k in range(n)])  # fmt: skip


def torch_patches(x, w):
    rows = [[torch.einsum("nij,ijk->nk", x[:, i : i + 2, j : j + 2], w) for j in range(x.shape[2] - 1)]
            for i in range(x.shape[1] - 1)]  # fmt: skip
    return torch.stack([torch.stack(row, 1) for row in rows], 1)


def patches_of(name, write, against, says="", never=""):
    def back(dy, x, w):
        dx, dw = np.zeros_like(x), np.zeros_like(w)
        for i in range(dy.shape[1]):
            for j in range(dy.shape[2]):
                at = np.s_[:, i : i + 2, j : j + 2]
                write(dx, at, np.einsum("nk,ijk->nij", dy[:, i, j], w))
                dw += np.einsum("nk,nij->ijk", dy[:, i, j], x[at])
        return dx, dw

    return wrong(f"patches: {name}", *pair(patches, back), against=against, inputs=PATCHES, says=says, never=never,
                 where=lambda s: s["H"] > 2 and s["W"] > 2)  # fmt: skip


def assigned(dx, at, g):
    dx[at] = g


def averaged(dx, at, g):
    dx[at] += g / 4


def by_conv2d(x, w):
    return F.conv2d(x[:, None], w.permute(2, 0, 1)[:, None]).permute(0, 2, 3, 1)


def heads_of(name, scaled=(1, 1), paths=(1, 1, 1), says="", never="", ids=""):
    def weights(x, Q, K):
        q, k = x @ Q, x @ K
        return q, k, softmax(q @ k.swapaxes(1, 2) * q.shape[-1] ** -0.5)

    def front(x, Q, K, V):
        return weights(x, Q, K)[2] @ (x @ V)

    def back(dy, x, Q, K, V):
        q, k, P = weights(x, Q, K)
        dP = dy @ (x @ V).swapaxes(1, 2)
        dz, c = P * (dP - (P * dP).sum(-1, keepdims=True)), q.shape[-1] ** -0.5
        each = (c ** scaled[0]) * dz @ k, (c ** scaled[1]) * dz.swapaxes(1, 2) @ q, P.swapaxes(1, 2) @ dy
        dx = sum(on * d @ W.T for on, d, W in zip(paths, each, (Q, K, V)))
        return dx, *(np.einsum("ntd,nth->dh", x, d) for d in each)

    def against(x, Q, K, V):
        q, k, v = x @ Q, x @ K, x @ V
        return torch.softmax(q @ k.transpose(1, 2) * q.shape[-1] ** -0.5, 2) @ v

    return wrong(f"head: {name}", *pair(front, back), against=against, inputs=HEADS, says=says, never=never, ids=ids)


def kept_mean(name, count, says="", never=""):
    """The mean of squares of what is observed, as in matrix completion."""
    inputs = {"U": ("N", "R"), "V": ("M", "R"), "X": Constant(("N", "M")), "seen": Constant(Positive(("N", "M")))}

    def front(U, V, X, seen):
        return (seen * (U @ V.T - X) ** 2).sum() / seen.sum()

    def back(dy, U, V, X, seen):
        e = 2 * dy * seen * (U @ V.T - X) / count(seen)
        return e @ V, e.T @ U

    def against(U, V, X, seen):
        return (seen * (U @ V.T - X).square()).sum() / seen.sum()

    return wrong(f"completion: {name}", *pair(front, back), against=against, inputs=inputs, says=says, never=never)


def gated_sum(x, m, w):
    return (np.tanh(x * w) * m / 0.8).sum(1)


def gated_of(name, factor, says="", never=""):
    def back(dy, x, m, w):
        d = factor(dy[:, None], m) * (1 - np.tanh(x * w) ** 2)
        return d * w, (d * x).sum(0)

    def against(x, m, w):
        return (torch.tanh(x * w) * m / 0.8).sum(1)

    inputs = {"x": ("N", "D"), "m": Constant(Positive(("N", "D"))), "w": ("D",)}
    return wrong(f"gated sum: {name}", *pair(gated_sum, back), against=against, inputs=inputs, says=says, never=never)


def normed_of(name, inner, says="", never=""):
    """What is normed is scaled, and goes through a tanh."""

    def normed(x):
        return x / np.sqrt((x * x).mean(1, keepdims=True) + 1e-6)

    def back(dy, x, g, W):
        h = normed(x)
        y = np.tanh(h * g)
        dz = (dy @ W.T) * (1 - y * y)
        r = np.sqrt((x * x).mean(1, keepdims=True) + 1e-6)
        dh = dz * g
        of_g, of_W = inner(x, h, h * g, y)
        return (dh - h * (dh * h).mean(1, keepdims=True)) / r, (dz * of_g).sum(0), of_W.T @ dy

    def against(x, g, W):
        h = x / torch.sqrt((x * x).mean(1, keepdim=True) + 1e-6)
        return torch.tanh(h * g) @ W

    inputs = {"x": ("N", "D"), "g": ("D",), "W": ("D", "C")}
    front = lambda x, g, W: np.tanh(normed(x) * g) @ W  # noqa: E731
    return wrong(f"normed: {name}", *pair(front, back), against=against, inputs=inputs, says=says, never=never)


def scores_of(name, jacobian, says="", never="", ids=""):
    def back(dy, x, W):
        p = softmax(x @ W)
        d = jacobian(p, dy)
        return d @ W.T, x.T @ d

    front = lambda x, W: np.log(softmax(x @ W))  # noqa: E731
    against = lambda x, W: F.log_softmax(x @ W, dim=1)  # noqa: E731
    inputs = {"x": ("N", "D"), "W": ("D", "C")}
    return wrong(f"scores: {name}", *pair(front, back), against=against, inputs=inputs, says=says, never=never, ids=ids)


def smooth_largest(dy, x, w):
    z = x * w
    d = dy[:, None] * (softmax(z) + (z == z.max(1, keepdims=True)))
    return d * w, (d * x).sum(0)


MISTAKES = [
    bigram_of("written once", once, r"occurs several times.*So it is in F.embedding\(a, E\)", ids="F01"),
    deep_of("masks of dy", lambda d, h: d * (d > 0), r"The mask of F.relu\(.*taken from the gradient that arrives"),
    of_tokens("columns", all_columns, "takes the columns of all targets"),
    memory_of("h[-1] at first", lambda states, s, t: states[:, t - 1], r"takes the last state, h\[−1\]"),
    patches_of("assigned, by slices", assigned, torch_patches, "windows of x.* overlap"),
    patches_of("assigned, by one call", assigned, by_conv2d, r"windows of F.conv2d\(.* overlap"),
    heads_of("no scale", (0, 0), says=r"leaves q.shape\[-1\] \*\* \(-0.5\) out", ids="G12"),
    heads_of("no scale for q", (0, 1), says="of q, and of no other operand, comes without the factor", ids="G12"),
    heads_of("one path of three", paths=(0, 0, 1), says="Of the 3 places that take x only x @ V gives it a gradient"),
    kept_mean("of all entries", np.size, r"divides by the number of all entries .* divides by seen.sum\(\)"),
    gated_of("no mask", lambda d, m: d / 0.8, "backward leaves m out"),
    gated_of("no 1/keep", lambda d, m: d * m, "backward leaves 0.8 out"),
    normed_of("x for what is normed", lambda x, h, z, y: (x, y), r"In h \* g backward takes x where forward has h"),
    normed_of("before tanh", lambda x, h, z, y: (h, z), r"takes h \* g where forward has torch.tanh\(h \* g\)"),
    scores_of("Σ dy is 1", lambda p, dy: dy - p, r"The factor Σ dy of softmax\(x\) is missing"),
    scores_of("other axis", lambda p, dy: dy - p * dy.sum(0), r"another axis.*in F.log_softmax\(x @ W", ids="C15"),
    wrongly(
        "log Σ exp: the maximum counts, too", lambda x, w: np.log(np.exp(x * w).sum(1)), smooth_largest,
        lambda x, w: torch.logsumexp(x * w, dim=1), {"x": ("N", "D"), "w": ("D",)}, says="maximum that is taken out",
    ),
]  # fmt: skip

NOT_THESE = [
    bigram_of("halved", halved, never="occurs several times"),
    bigram_of("averaged", averaged_rows, never="occurs several times"),
    deep_of("no mask", lambda d, h: d, never="gradient that arrives"),
    deep_of("the other side", lambda d, h: d * (h <= 0), never="gradient that arrives"),
    of_tokens("twice", twice, never="columns"),
    memory_of("the new state", lambda states, s, t: states[:, t], never=r"h\[−1\]"),
    memory_of("0 at first", lambda states, s, t: states[:, t - 1] if t else 0 * s, never=r"h\[−1\]"),
    patches_of("averaged", averaged, torch_patches, never="overlap"),
    heads_of("scale twice for k", (1, 2), never="without the factor"),
    heads_of("two paths of three", paths=(0, 1, 1), never="Of the 3 places"),
    kept_mean("rows", lambda seen: 3.0, never="number of all entries"),
    gated_of("both twice", lambda d, m: d * (m / 0.8) ** 2, never="leaves"),
    normed_of("squares", lambda x, h, z, y: (h * h, y), never="takes x where"),
    scores_of("no sum", lambda p, dy: dy * (1 - p), never="another axis|is missing, as if", ids="C13"),
]
