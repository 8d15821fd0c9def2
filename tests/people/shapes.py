"""Sizes, domains, layouts, several outputs, and functions that take not everything."""

from collections import namedtuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import strategies as st

from reference import SPD, Between, Complex, Constant, Indices, Orthogonal, Positive, Sorted

from .corpus import ND, convention, error, right, wrong

SCALE = np.float32(0.5)
Out = namedtuple("Out", "plus twice")


# — several outputs ———————————————————————————————————————————————————————————————————————————————————————————————
def both(x):
    return x + 1, 2 * x


def lstm_step(x, h, c, Wx, Wh):
    a = x @ Wx + h @ Wh
    i, f, o, g = np.split(a, 4, axis=1)
    i, f, o, g = 1 / (1 + np.exp(-i)), 1 / (1 + np.exp(-f)), 1 / (1 + np.exp(-o)), np.tanh(g)
    next_c = f * c + i * g
    next_h = o * np.tanh(next_c)
    return next_h, next_c, (x, h, c, Wx, Wh, i, f, o, g, next_c)


def lstm_step_backward(dnext_h, dnext_c, cache):
    x, h, c, Wx, Wh, i, f, o, g, next_c = cache
    t = np.tanh(next_c)
    dc = dnext_c + dnext_h * o * (1 - t * t)
    da = np.hstack([dc * g * i * (1 - i), dc * c * f * (1 - f), dnext_h * t * o * (1 - o), dc * i * (1 - g * g)])
    return da @ Wx.T, da @ Wh.T, dc * f, x.T @ da, h.T @ da


def torch_lstm(x, h, c, Wx, Wh):
    i, f, o, g = (x @ Wx + h @ Wh).chunk(4, 1)
    n = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * n.tanh(), n


LSTM = {"x": ("N", "D"), "h": ("N", "H"), "c": ("N", "H"), "Wx": ("D", "4*H"), "Wh": ("H", "4*H")}
OUTPUTS = [
    right("two outputs in a tuple", lambda x: (both(x), None), lambda dy, c: dy[0] + 2 * dy[1], against=both,
          inputs=ND),
    right("two outputs in a list", lambda x: (list(both(x)), None), lambda dy, c: dy[0] + 2 * dy[1], against=both,
          inputs=ND),
    right("a list, no cache", lambda x: list(both(x)), lambda dy: dy[0] + 2 * dy[1], against=both, inputs=ND),
    right("two outputs in a dict", lambda x: (dict(zip("ab", both(x))), None), lambda dy, c: dy["a"] + 2 * dy["b"],
          against=lambda x: dict(zip("ab", both(x))), inputs=ND),
    right("a named tuple", lambda x: (Out(*both(x)), None), lambda dy, c: dy.plus + 2 * dy.twice, against=both,
          inputs=ND),
    right("backward(da, db, cache)", lambda x: (both(x), None), lambda da, db, cache: da + 2 * db, against=both,
          inputs=ND),
    right("y1, y2, cache", lambda a, b: (a * b, a + b, (a, b)),
          lambda dp, ds, cache: (dp * cache[1] + ds, dp * cache[0] + ds), against=lambda a, b: (a * b, a + b),
          inputs={"a": ("N",), "b": ("N",)}),
    right("two outputs, no cache", both, lambda dy: dy[0] + 2 * dy[1], against=both, inputs=ND),
    right("two outputs, no cache, two upstream gradients", both, lambda da, db: da + 2 * db, against=both, inputs=ND),
    right("two outputs, no truth", lambda x: (both(x), x), lambda dy, c: dy[0] + 2 * dy[1], inputs=ND),
    right("y, cache1, cache2", lambda x: (x * x, x, None), lambda dy, x, _: 2 * dy * x, against=torch.square,
          inputs=ND),
    right("lstm step of dh and dc", lstm_step, lstm_step_backward, against=torch_lstm, inputs=LSTM),
    right("intermediates by name", lambda x: (np.tanh(2 * x), {"z": 2 * x}),
          lambda dy, c: {"dz": (d := dy * (1 - np.tanh(c["z"]) ** 2)), "dx": 2 * d},
          against=lambda x: (torch.tanh(z := 2 * x), {"z": z}), inputs=ND),
    right("counts beside the output", lambda x: ((np.maximum(x, 0), (x > 0).sum(1)), x),
          lambda dy, x: dy[0] * (x > 0), against=lambda x: (torch.relu(x), (x > 0).sum(1)), inputs=ND),
    wrong("two outputs, one gradient forgotten", lambda x: (both(x), None), lambda dy, c: dy[0], against=both,
          inputs=ND, side="backward"),
    wrong("lstm step without the path of dh into c", lstm_step,
          lambda dh, dc, c: lstm_step_backward(0 * dh, dc, c), against=torch_lstm, inputs=LSTM, side="backward"),
]  # fmt: skip


# — sizes —————————————————————————————————————————————————————————————————————————————————————————————————————————
def heads(x):
    n, t, d = x.shape
    return x.reshape(n, t, 2, d // 2).transpose(0, 2, 1, 3), None


def heads_back(dy, c):
    n, h, t, e = dy.shape
    return dy.transpose(0, 2, 1, 3).reshape(n, t, h * e)


def glu(x):
    a, b = np.split(x, 2, axis=-1)
    s = 1 / (1 + np.exp(-b))
    return a * s, (a, s)


def glu_back(dy, c):
    a, s = c
    return np.concatenate([dy * s, dy * a * s * (1 - s)], axis=-1)


def bn_forward(x, gamma, beta):
    mu, var = x.mean(0), x.var(0)
    xhat = (x - mu) / np.sqrt(var + 1e-5)
    return gamma * xhat + beta, (xhat, gamma, var)


def bn_backward(dy, cache):
    xhat, gamma, var = cache
    n = len(dy)
    dx = gamma / np.sqrt(var + 1e-5) / n * (n * dy - dy.sum(0) - xhat * (dy * xhat).sum(0))
    return dx, (dy * xhat).sum(0), dy.sum(0)


def torch_bn(x, g, b):
    return F.batch_norm(x, None, None, g, b, True)


def refuses_one(x):
    if len(x) < 2:
        raise ValueError("a batch of at least 2 is needed")
    return x - x.mean(0), None


BN = {"x": ("N", "D"), "gamma": ("D",), "beta": ("D",)}
SIZES = [
    right("heads that the truth refuses", heads, heads_back, against=lambda x: x.unflatten(-1, (2, -1)).transpose(1, 2),
          inputs={"x": ("N", "T", "D")}, says="against.*raised"),
    right("heads of an expression", heads, heads_back, against=lambda x: x.unflatten(-1, (2, -1)).transpose(1, 2),
          inputs={"x": ("N", "T", "2*D")}),
    right("heads where D is even", heads, heads_back, against=lambda x: x.unflatten(-1, (2, -1)).transpose(1, 2),
          inputs={"x": ("N", "T", "D")}, where=lambda s: s["D"] % 2 == 0),
    right("halves that forward refuses", glu, glu_back, inputs=ND, says="your forward raised ValueError.*shapes"),
    right("batch norm that torch refuses", bn_forward, bn_backward, against=torch_bn, inputs=BN),
    right("a batch of one refused", refuses_one, lambda dy, c: dy - dy.mean(0), against=lambda x: x - x.mean(0),
          inputs=ND, says="for N = 1"),
    right("a batch of one that fails in backward", lambda x, W: (x @ W, (x, W)),
          lambda dy, c: (np.squeeze(dy, 0) if len(dy) == 99 else dy @ c[1].T, c[0].T @ dy), against=torch.matmul,
          inputs={"x": ("N", "D"), "W": ("D", "M")}),
    right("N + 1 rows", lambda x: (np.diff(x, axis=0), None),
          lambda dy, c: np.concatenate([-dy[:1], dy[:-1] - dy[1:], dy[-1:]]), against=lambda x: torch.diff(x, dim=0),
          inputs={"x": ("N+1", "D")}),
    wrong("batch norm, N held fixed", bn_forward, lambda dy, c: (*bn_backward(dy, c)[:2], dy.mean(0)),
          against=torch_bn, inputs=BN, side="backward", says="B04|1/N"),
    wrong("right only where N = 2", lambda x: (x.mean(0), x), lambda dy, x: np.broadcast_to(dy / 2, x.shape).copy(),
          against=lambda x: x.mean(0), inputs=ND, side="backward"),
    error("sizes that cannot be", heads, heads_back, against=lambda x: x, inputs={"x": ("N", "T", "D")},
          where=lambda s: s["D"] > 100, says="no sizes N, T, D from 1 to 8"),
    error("a size that is no size", heads, heads_back, inputs={"x": ("N", "T", "D**2")}, says=r"'D\*\*2' is no size"),
    error("shapes that do not go together", lambda x, W: (x @ W, (x, W)), lambda dy, c: (dy @ c[1].T, c[0].T @ dy),
          against=torch.matmul, inputs={"x": ("N", "D"), "W": ("M", "D")}, says="raised.*only where D = M"),
    error("inputs that are no dict", heads, heads_back, inputs=("N", "D"), says="takes shapes by name"),
    error("an input that is no spec", heads, heads_back, inputs={"x": {"N", 3}}, says=r"inputs\['x'\].*Indices"),
    error("a dict for an array", heads, heads_back, inputs={"x": {"N": 3}}, says="no input is an array.*give shapes"),
]  # fmt: skip


# — domains ———————————————————————————————————————————————————————————————————————————————————————————————————————
def inverse(A):
    B = np.linalg.inv(A)
    return B, B


def logdet(A):
    return np.linalg.slogdet(A)[1], A


def quantile_loss(x, t, q):
    d = t - x
    return np.maximum(q * d, (q - 1) * d).mean(), (x, t, q)


def quantile_back(dy, c):
    x, t, q = c
    return dy * np.where(t > x, -q, 1 - q) / x.size


def torch_quantile(x, t, q):
    d = t.detach() - x
    return torch.maximum(q * d, (q - 1) * d).mean()


def interpolate(p, knots):
    """Piecewise linear through sorted knots: where p falls among them."""
    i = np.clip(np.searchsorted(knots, p) - 1, 0, len(knots) - 2)
    width = knots[i + 1] - knots[i]
    return (p - knots[i]) / width, width


DOMAINS = [
    right("inverse of a positive definite matrix", inverse, lambda dy, B: -B.T @ dy @ B.T, against=torch.linalg.inv,
          inputs={"A": SPD(("D", "D"))}),
    right("log determinant", logdet, lambda dy, A: dy * np.linalg.inv(A).T, against=torch.logdet,
          inputs={"A": SPD(("D", "D"))}),
    right("inverse of what is drawn anew if singular", inverse, lambda dy, B: -B.T @ dy @ B.T, against=torch.linalg.inv,
          inputs={"A": ("D", "D")}),
    right("rotation", lambda x, R: (x @ R, (x, R)), lambda dy, c: (dy @ c[1].T, c[0].T @ dy), against=torch.matmul,
          inputs={"x": ("N", "D"), "R": Orthogonal(("D", "D"))}),
    right("arcsin in its range", lambda x: (np.arcsin(x), x), lambda dy, x: dy / np.sqrt(1 - x * x),
          against=torch.asin, inputs={"x": Between(-0.9, 0.9, ("N", "D"))}),
    right("gamma of rates", lambda r: (r * np.log(r) - r, r), lambda dy, r: dy * np.log(r),
          against=lambda r: r * r.log() - r, inputs={"r": Positive(("N",))}),
    right("differences of sorted numbers", lambda x: (np.log(np.diff(x) + 0.1), np.diff(x)),
          lambda dy, d: np.concatenate([-dy / (d + 0.1), [0]]) + np.concatenate([[0], dy / (d + 0.1)]),
          against=lambda x: torch.log(torch.diff(x) + 0.1), inputs={"x": Sorted(("N + 1",))}),
    convention("quantile loss, q a number", quantile_loss, quantile_back, against=torch_quantile,
          inputs={"x": ("N", "D"), "t": ("N", "D"), "q": 0.25}),
    right("a strategy", lambda x: (x * x, x), lambda dy, x: 2 * dy * x, against=torch.square,
          inputs={"x": st.integers(1, 4).map(lambda n: np.random.default_rng(n).standard_normal((n, 3)))}),
    right("knots that are constant", interpolate, lambda dy, width: dy / width,
          inputs={"p": Between(0.1, 0.9, ("N",)), "knots": Constant(np.array([0.0, 0.3, 0.35, 1.0]))},
          against=lambda p, knots: (lambda i: (p - knots[i]) / (knots[i + 1] - knots[i]))(
              (torch.searchsorted(knots, p.detach()) - 1).clip(0, 2))),
    right("complex product", lambda a, b: (a @ b, (a, b)), lambda dy, c: (dy @ c[1].conj().T, c[0].conj().T @ dy),
          against=torch.matmul, inputs={"a": Complex(("N", "D")), "b": Complex(("D", "M"))}),
    right("complex to a real number", lambda a: ((a * a.conj()).real.sum(), a), lambda dy, a: 2 * dy * a,
          against=lambda a: (a * a.conj()).real.sum(), inputs={"a": Complex(("N", "D"))}),
    right("complex without a truth", lambda a: (np.abs(a) ** 2, a), lambda dy, a: 2 * dy * a,
          inputs={"a": Complex(("N",))}),
    right("a spectrum of real numbers", lambda x: (np.abs(np.fft.fft(x)) ** 2, np.fft.fft(x)),
          lambda dy, X: 2 * np.fft.fft(dy * X.conj()).real, against=lambda x: torch.fft.fft(x).abs() ** 2,
          inputs={"x": ("N", "D")}),
    wrong("complex product, conjugates forgotten", lambda a, b: (a @ b, (a, b)),
          lambda dy, c: (dy @ c[1].T, c[0].T @ dy), against=torch.matmul,
          inputs={"a": Complex(("N", "D")), "b": Complex(("D", "M"))}, side="backward",
          says="da, db would be right with conjugates"),
    wrong("complex square, its conjugate forgotten", lambda z: (z * z, z), lambda dy, z: 2 * z * dy,
          against=torch.square, inputs={"z": Complex(("N",))}, says="dz would be right with conjugates"),
    wrong("complex square, its factor forgotten", lambda z: (z * z, z), lambda dy, z: z.conj() * dy,
          against=torch.square, inputs={"z": Complex(("N",))}, never="conjugates"),
    wrong("inverse, without its transpose", inverse, lambda dy, B: -B @ dy @ B, against=torch.linalg.inv,
          inputs={"A": ("D", "D")}, side="backward", says="yours = −y dy y, right = −yᵀ dy yᵀ"),
]  # fmt: skip


# — layouts, memory, precision, other truths ——————————————————————————————————————————————————————————————————————
BUFFER = {}


def buffered(dy, x):
    """The result lies in memory that the next call uses again."""
    out = BUFFER.setdefault(x.shape, np.empty(x.shape))
    np.multiply(2 * x, dy, out=out)
    return out


def global_cache(x):
    BUFFER["x"] = x
    return x * x


MEMORY = [
    right("Fortran array given", lambda x: (x * x, x), lambda dy, x: 2 * dy * x, against=torch.square,
          inputs={"x": np.asfortranarray(np.arange(12.0).reshape(3, 4))}),
    right("transposed array given", lambda x: (x @ x.T, x), lambda dy, x: (dy + dy.T) @ x,
          against=lambda x: x @ x.mT, inputs={"x": np.arange(12.0).reshape(3, 4).T}),
    right("every second row given", lambda x: (x.sum(0), x.shape), lambda dy, s: np.broadcast_to(dy, s),
          against=lambda x: x.sum(0), inputs={"x": np.arange(24.0).reshape(6, 4)[::2]}),
    right("backwards array given", lambda x: (np.cumsum(x), None), lambda dy, c: np.cumsum(dy[::-1])[::-1],
          against=lambda x: x.cumsum(0), inputs={"x": np.arange(5.0)[::-1]}),
    right("a float32 constant", lambda x: (x * SCALE, None), lambda dy, c: dy * SCALE, against=lambda x: x * 0.5,
          inputs=ND),
    right("float32 arrays", lambda x: (np.tanh(x), np.tanh(x)), lambda dy, y: dy * (1 - y * y), against=torch.tanh,
          inputs={"x": np.linspace(-2, 2, 12, dtype=np.float32).reshape(3, 4)}),
    right("dy is returned as it is", lambda a, b: (a + b, None), lambda dy, c: (dy, dy), against=torch.add,
          inputs={"a": ("N", "D"), "b": ("N", "D")}),
    right("the saved input is the gradient", lambda x: ((x * x).sum() / 2, x), lambda x: x,
          against=lambda x: (x * x).sum() / 2, inputs=ND, says="shares memory"),
    right("a truth of NumPy", lambda x: (np.tanh(x), np.tanh(x)), lambda dy, y: dy * (1 - y * y), against=np.tanh,
          inputs=ND, says="no torch code"),
    right("a truth of NumPy, two inputs", lambda x, W: (x @ W, (x, W)), lambda dy, c: (dy @ c[1].T, c[0].T @ dy),
          against=lambda x, W: np.einsum("nd,dm->nm", x, W), inputs={"x": ("N", "D"), "W": ("D", "M")}),
    right("indices into rows", lambda x, i: (x[i], (x.shape, i)),
          lambda dy, c: (lambda d: (np.add.at(d, c[1], dy), d)[1])(np.zeros(c[0])), against=lambda x, i: x[i],
          inputs={"x": ("V", "D"), "i": Indices(("N",), below="V")}),
    right("where of a mask of booleans", lambda x, m: (np.where(m, x, 0.0), m), lambda dy, m: np.where(m, dy, 0.0),
          against=lambda x, m: torch.where(m, x, 0.0),
          inputs={"x": np.arange(6.0).reshape(2, 3), "m": np.arange(6).reshape(2, 3) % 2 == 0}),
    wrong("a truth of NumPy, another function", lambda x: (np.tanh(x), np.tanh(x)), lambda dy, y: dy * (1 - y * y),
          against=np.sin, inputs=ND, side="both", says="differs from `against`"),
    wrong("a truth of NumPy, a constant apart", lambda x: (np.tanh(x) + 1, np.tanh(x)), lambda dy, y: dy * (1 - y * y),
          against=np.tanh, inputs=ND, side="forward", says="differs from `against`"),
    wrong("a gradient in a buffer that is used again", lambda x: (x * x, x), buffered, against=torch.square, inputs=ND,
          side="contract", says="writes over dx"),
    right("a cache that is global", global_cache, lambda dy: 2 * dy * BUFFER["x"], against=torch.square, inputs=ND),
    wrong("a cache that is global, and one beside it", lambda x: (global_cache(x), x),
          lambda dy, cache: dy * (BUFFER["x"] + cache), against=torch.square, inputs=ND, says="B10"),
    wrong("rows, repeated indices lost", lambda x, i: (x[i], (x.shape, i)),
          lambda dy, c: (lambda d: (d.__setitem__(c[1], dy), d)[1])(np.zeros(c[0])), against=lambda x, i: x[i],
          inputs={"x": ("V", "D"), "i": Indices(("N",), below="V")}, says="F01"),
]  # fmt: skip
PEOPLE = OUTPUTS + SIZES + DOMAINS + MEMORY
