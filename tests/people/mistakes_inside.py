"""Mistakes deep inside of a function, in one call of many; as in `mistakes`."""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from .corpus import ND
from .mistakes import sigmoid, softmax, wrongly

RNN = {"x": ("N", "T", "D"), "W": ("D", "H"), "U": ("H", "H"), "b": ("H",)}
LSTM = {"x": ("N", "T", "D"), "W": ("D + H", "4*H"), "b": ("4*H",)}
GATED = {"x": ("N", "D"), "W": ("D", "H"), "V": ("D", "H"), "O": ("H", "D")}
SELF = {"x": ("N", "T", "D"), "Q": ("D", "H"), "K": ("D", "H"), "V": ("D", "H")}
QKV = {"q": ("N", "T", "D"), "k": ("N", "T", "D"), "v": ("N", "T", "D")}
MLP = {"x": ("N", "D"), "W": ("D", "H"), "V": ("H", "D")}
ROOT = (2 / np.pi) ** 0.5


def rnn(x, W, U, b):
    h, states = np.zeros((len(x), len(U))), []
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ W + h @ U + b)
        states.append(h)
    return np.stack(states, 1)


def torch_rnn(x, W, U, b):
    h, states = torch.zeros(len(x), len(U), dtype=x.dtype), []
    for t in range(x.shape[1]):
        h = torch.tanh(x[:, t] @ W + h @ U + b)
        states.append(h)
    return torch.stack(states, 1)


def rnn_of(name, slope, says, ids=""):
    def back(dy, x, W, U, b):
        h = rnn(x, W, U, b)
        dx, dW, dU, db = map(np.zeros_like, (x, W, U, b))
        dh = np.zeros_like(h[:, 0])
        for t in reversed(range(x.shape[1])):
            dz = (dy[:, t] + dh) * slope(h[:, t])
            dx[:, t], dh = dz @ W.T, dz @ U.T
            dW += x[:, t].T @ dz
            dU += (h[:, t - 1] if t else 0 * dh).T @ dz
            db += dz.sum(0)
        return dx, dW, dU, db

    return wrongly(f"RNN: {name}", rnn, back, torch_rnn, RNN, ids=ids, says=says)


def lstm_step(x, h, c, W, b):
    z = np.concatenate([x, h], 1) @ W + b
    i, f, o, g = np.split(z, 4, 1)
    i, f, o, g = sigmoid(i), sigmoid(f), sigmoid(o), np.tanh(g)
    return i, f, o, g, f * c + i * g


def lstm(x, W, b):
    h = c = np.zeros((len(x), len(b) // 4))
    kept = []
    for t in range(x.shape[1]):
        kept.append((h, c))
        _, _, o, _, c = lstm_step(x[:, t], h, c, W, b)
        h = o * np.tanh(c)
    return np.stack([h for h, _ in [*kept[1:], (h, c)]], 1), kept


def torch_lstm(x, W, b):
    h = c = torch.zeros(len(x), len(b) // 4, dtype=x.dtype)
    states = []
    for t in range(x.shape[1]):
        i, f, o, g = (torch.cat([x[:, t], h], 1) @ W + b).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * torch.tanh(c)
        states.append(h)
    return torch.stack(states, 1)


def lstm_of(name, slope, says, ids=""):
    def back(dy, x, W, b):
        dx, dW, db = map(np.zeros_like, (x, W, b))
        dh = dc = np.zeros((len(x), len(b) // 4))
        for t, (h, c) in reversed(list(enumerate(lstm(x, W, b)[1]))):
            i, f, o, g, new = lstm_step(x[:, t], h, c, W, b)
            d, r = dy[:, t] + dh, np.tanh(new)
            dn = dc + d * o * slope(r)
            dz = np.concatenate(
                [dn * g * i * (1 - i), dn * c * f * (1 - f), d * r * o * (1 - o), dn * i * (1 - g * g)], 1
            )
            dx[:, t], dh = np.split(dz @ W.T, [x.shape[2]], 1)
            dc = dn * f
            dW += np.concatenate([x[:, t], h], 1).T @ dz
            db += dz.sum(0)
        return dx, dW, db

    return wrongly(f"LSTM: {name}", lambda *a: lstm(*a)[0], back, torch_lstm, LSTM, ids=ids, says=says)


def silu(a):
    return a * sigmoid(a)


def gated_of(name, slope, says, ids=""):
    def back(dy, x, W, V, O):
        a, b, dh = x @ W, x @ V, dy @ O.T
        da, db = dh * b * slope(a), dh * silu(a)
        return da @ W.T + db @ V.T, x.T @ da, x.T @ db, (silu(a) * b).T @ dy

    return wrongly(
        f"SwiGLU: {name}", lambda x, W, V, O: (silu(x @ W) * (x @ V)) @ O, back,
        lambda x, W, V, O: (F.silu(x @ W) * (x @ V)) @ O, GATED, ids=ids, says=says,
    )  # fmt: skip


def gelu_of(name, inner, says, ids=""):
    def tanh(x):
        return np.tanh(ROOT * (x + 0.044715 * x**3))

    return wrongly(
        f"GELU: {name}", lambda x: 0.5 * x * (1 + tanh(x)),
        lambda dy, x: dy * (0.5 * (1 + tanh(x)) + 0.5 * x * (1 - tanh(x) ** 2) * inner(x)),
        lambda x: F.gelu(x, approximate="tanh"), ND, ids=ids, says=says,
    )  # fmt: skip


def block(x, W, V):
    return x + np.maximum(x @ W, 0) @ V


def block_of(name, mask, says, ids=""):
    def back(dy, x, W, V):
        z = x @ W
        dz = dy @ V.T * mask(z)
        return dy + dz @ W.T, x.T @ dz, np.maximum(z, 0).T @ dy

    def against(x, W, V):
        return x + torch.relu(x @ W) @ V

    return wrongly(f"block: {name}", block, back, against, MLP, ids=ids, says=says)


def attending(x, Q, K, V, diagonal=0):
    q, k, v = x @ Q, x @ K, x @ V
    scores = q @ k.swapaxes(1, 2) / q.shape[2] ** 0.5
    shown = np.tril(np.ones(scores.shape[1:]), diagonal) > 0
    return softmax(np.where(shown, scores, -1e30)), q, k, v


def attention_of(name, against, says, forward=0, backward=0, ids="G15"):
    def front(x, Q, K, V):
        P, _, _, v = attending(x, Q, K, V, forward)
        return P @ v

    def back(dy, x, Q, K, V):
        P, q, k, v = attending(x, Q, K, V, backward)
        dP = dy @ v.swapaxes(1, 2)
        dz = P * (dP - (P * dP).sum(-1, keepdims=True)) / q.shape[2] ** 0.5
        dq, dk, dv = dz @ k, dz.swapaxes(1, 2) @ q, P.swapaxes(1, 2) @ dy
        dQ, dK, dV = (np.einsum("ntd,nth->dh", x, d) for d in (dq, dk, dv))
        return dq @ Q.T + dk @ K.T + dv @ V.T, dQ, dK, dV

    return wrongly(f"self-attention: {name}", front, back, against, SELF, ids=ids, says=says)


def by_a_triangle(x, Q, K, V):
    q, k, v = x @ Q, x @ K, x @ V
    scores = q @ k.transpose(1, 2) / q.shape[2] ** 0.5
    shown = torch.tril(torch.ones(scores.shape[1:]))
    return torch.softmax(scores.masked_fill(shown == 0, float("-inf")), -1) @ v


def by_one_call(x, Q, K, V):
    return F.scaled_dot_product_attention(x @ Q, x @ K, x @ V, is_causal=True)


def cross_of(name, says, forward=0, backward=0, ids="G15"):
    """Queries, keys and values that are given."""

    def weights(q, k, diagonal):
        scores = q @ k.swapaxes(1, 2) / q.shape[2] ** 0.5
        return softmax(np.where(np.tril(np.ones(scores.shape[1:]), diagonal) > 0, scores, -1e30))

    def back(dy, q, k, v):
        P, dP = weights(q, k, backward), dy @ v.swapaxes(1, 2)
        dz = P * (dP - (P * dP).sum(-1, keepdims=True)) / q.shape[2] ** 0.5
        return dz @ k, dz.swapaxes(1, 2) @ q, P.swapaxes(1, 2) @ dy

    return wrongly(
        f"attention: {name}", lambda q, k, v: weights(q, k, forward) @ v, back,
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), QKV, ids=ids, says=says,
    )  # fmt: skip


def windows(n, size=3, stride=2):
    return [slice(i, i + size) for i in range(0, n - size + 1, stride)]


def mean_assigned(dy, x):
    dx = np.zeros_like(x)
    for i, window in enumerate(windows(x.shape[1])):
        dx[:, window] = dy[:, i, None] / 3
    return dx


def largest_assigned(dy, x):
    dx = np.zeros_like(x)
    for i, window in enumerate(windows(x.shape[1])):
        for n in range(len(x)):
            dx[n, window.start + x[n, window].argmax()] = dy[n, i]
    return dx


def mean_of_squares_assigned(dy, x):
    dx = np.zeros_like(x)
    for i, rows in enumerate(windows(x.shape[2])):
        for j, columns in enumerate(windows(x.shape[3])):
            dx[:, :, rows, columns] = dy[:, :, i, j, None, None] / 9
    return dx


def pool_of(name, pool, back, against, ids, shape=("N", "T")):
    return wrongly(
        f"pooling: {name}", pool, back, against, {"x": shape}, ids=ids, says="Where windows overlap|several windows",
        where=lambda s: s.get("T", 3) > 2 and s.get("H", 3) > 2 and s.get("W", 3) > 2,
    )  # fmt: skip


def weighted_back(dy, q, k, v):
    P = softmax(q @ k.T)
    dz, dA = P * (dy @ v @ v.T), P.T @ dy
    return dz @ k, dz.T @ q, (dA + dA.T) @ v


MISTAKES = [
    rnn_of("tanh of what is tanh already", lambda h: 1 - np.tanh(h) ** 2, r"taken at the output.*torch.tanh\(x", "C20"),
    rnn_of("the square is forgotten", lambda h: 1 - h, r"slope of torch.tanh\(x.*\) is taken to be 1 − tanh x"),
    lstm_of("the cell's tanh has no slope", lambda r: 1.0, r"The slope of torch.tanh\(c\) is left out"),
    lstm_of("the cell's tanh twice", lambda r: 1 - np.tanh(r) ** 2, r"at the output.*in torch.tanh\(c\)", "C20"),
    gated_of("σ for the slope", sigmoid, r"\(xσ\)′ is taken for σ. So it is in F.silu\(x @ W\)", "C09"),
    gated_of("the gate has no slope", lambda a: 1.0, r"The slope of F.silu\(x @ W\) is left out"),
    gelu_of("the inner derivative is forgotten", lambda x: 1.0, "with 1 for the inner √"),
    gelu_of("the cube is not derived", lambda x: ROOT, r"GELU′.* with √\(2/π\) for the inner √"),
    gelu_of("the exponent is not multiplied", lambda x: ROOT * (1 + 0.044715 * x * x), r"\(1 \+ 0.0447.*for the inner"),
    gelu_of("one term of two", lambda x: 0.0, "second term of the product rule", "C10"),
    block_of("no mask", lambda z: 1.0, r"The slope of torch.relu\(x @ W\) is left out"),
    wrongly(
        "shares: the sum is a constant", lambda x: x / x.sum(1, keepdims=True),
        lambda dy, x: dy / x.sum(1, keepdims=True), lambda x: x / x.sum(1, keepdim=True), ND,
        says=r"Nothing goes back through x.sum\(1, keepdim=True\)",
    ),
    wrongly(
        "quadratic form: one x of two", lambda x, W: ((x @ W) * x).sum(1),
        lambda dy, x, W: (dy[:, None] * (x @ W), x.T @ (dy[:, None] * x)), lambda x, W: ((x @ W) * x).sum(1),
        {"x": ("N", "D"), "W": ("D", "D")}, says="In x @ W nothing goes back to x",
    ),
    attention_of("one step ahead", by_a_triangle, r"torch.tril\(.*\) is off by one, to the right", backward=1),
    attention_of("one step ahead, both ways", by_one_call, r"attention\(.* is off by one, to the right", 1, 1),
    attention_of("no mask in backward", by_a_triangle, r"mask of torch.tril\(.*\) is left out", backward=99),
    cross_of("one step ahead, both ways", "see one step ahead", 1, 1),
    cross_of("not itself, in backward", "hides every position from itself", 0, -1),
    cross_of("no mask", "The mask is left out", 99, 99, ids="G14"),
    pool_of(
        "means are assigned", lambda x: np.stack([x[:, w].mean(1) for w in windows(x.shape[1])], 1), mean_assigned,
        lambda x: F.avg_pool1d(x, 3, 2), "E33",
    ),
    pool_of(
        "maxima are assigned", lambda x: np.stack([x[:, w].max(1) for w in windows(x.shape[1])], 1), largest_assigned,
        lambda x: F.max_pool1d(x, 3, 2), "E36",
    ),
    pool_of(
        "means of squares are assigned",
        lambda x: np.array(
            [[x[:, :, r, c].mean((2, 3)) for c in windows(x.shape[3])] for r in windows(x.shape[2])]
        ).transpose(2, 3, 0, 1),
        mean_of_squares_assigned, lambda x: F.avg_pool2d(x, 3, 2), "E33", ("N", "C", "H", "W"),
    ),
    wrongly(
        "attention: P dP for its Jacobian", lambda q, k, v: softmax(q @ k.T) @ (v @ v.T),
        lambda dy, q, k, v: weighted_back(dy, q, k, v), lambda q, k, v: torch.softmax(q @ k.T, 1) @ (v @ v.T),
        {"q": ("N", "D"), "k": ("M", "D"), "v": ("M", "E")}, says=r"Jacobian of torch.softmax\(.*\) is taken to be y",
    ),
]  # fmt: skip
