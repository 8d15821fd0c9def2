"""Solutions of the exercises as learners write them: a right one of each, and wrong ones with the name of the mistake.

A solution is what stands below the stub: its functions take the place of those in it.
"""

RIGHT = {
    "chain_rule": "def df(x): return 2 * (3 * x + 1) * 3",
    "sigmoid": """
def f(x): return 1 / (1 + np.exp(-x))
def df(x):
    y = f(x)
    return y * (1 - y)""",
    "tanh": "def df(x): return 1 - np.tanh(x) ** 2",
    "relu": "def df(x): return (x > 0).astype(x.dtype)",
    "leaky_relu": "def df(x): return np.where(x > 0, 1, 0.1)",
    "silu": """
def df(x):
    s = 1 / (1 + np.exp(-x))
    return s + x * s * (1 - s)""",
    "gelu": """
def df(x):
    t = np.tanh(C * (x + 0.044715 * x**3))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t**2) * C * (1 + 3 * 0.044715 * x**2)""",
    "product": """
def backward(dy, cache):
    a, b = cache
    return dy * b, dy * a""",
    "bias": "def backward(dy, cache): return dy, dy.sum(axis=0)",
    "matmul": """
def backward(dY, cache):
    A, B = cache
    return dY @ B.T, A.T @ dY""",
    "affine": """
def forward(x, W, b): return x @ W.T + b, (x, W)
def backward(dy, cache):
    x, W = cache
    return dy @ W, dy.T @ x, dy.sum(axis=0)""",
    "mean": """
def backward(dy, cache):
    (x,) = cache
    return np.ones_like(x) * dy / len(x)""",
    "residual": """
def backward(dy, cache):
    (x,) = cache
    return dy + dy * (1 - np.tanh(x) ** 2)""",
    "mse": """
def backward(dL, cache):
    x, t = cache
    g = dL * 2 * (x - t) / x.size
    return g, -g""",
    "bce": """
def backward(dL, cache):
    x, t = cache
    return dL * (1 / (1 + np.exp(-x)) - t) / len(x)""",
    "softmax": """
def forward(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    y = e / e.sum(axis=-1, keepdims=True)
    return y, (y,)
def backward(dy, cache):
    (y,) = cache
    return y * (dy - (y * dy).sum(axis=-1, keepdims=True))""",
    "log_softmax": """
def backward(dy, cache):
    (y,) = cache
    return dy - np.exp(y) * dy.sum(axis=-1, keepdims=True)""",
    "cross_entropy": """
def backward(dL, cache):
    logp, t = cache
    g = np.exp(logp)
    g[np.arange(len(t)), t] -= 1
    return dL * g / len(t)""",
    "mlp": """
def backward(dy, cache):
    x, W, V, h = cache
    dz = (dy @ V) * (1 - h**2)
    return dz @ W, dz.T @ x, dz.sum(0), dy.T @ h, dy.sum(0)""",
    "layernorm": """
def backward(dy, cache):
    xhat, inv, gamma = cache
    d = dy * gamma
    dx = inv * (d - d.mean(-1, keepdims=True) - xhat * (d * xhat).mean(-1, keepdims=True))
    return dx, (dy * xhat).sum(0), dy.sum(0)""",
    "batchnorm": """
def backward(dy, cache):
    xhat, inv, gamma = cache
    d = dy * gamma
    dx = inv * (d - d.mean(0) - xhat * (d * xhat).mean(0))
    return dx, (dy * xhat).sum(0), dy.sum(0)""",
    "dropout": """
def backward(dy, cache):
    (mask,) = cache
    return dy * mask / 0.75""",
    "embedding": """
def backward(dy, cache):
    t, shape = cache
    dW = np.zeros(shape, dy.dtype)
    np.add.at(dW, t, dy)
    return dW""",
    "maxpool": """
def backward(dy, cache):
    (x,) = cache
    N, C, T = x.shape
    w = x.reshape(N, C, T // 2, 2)
    dx = np.zeros_like(w)
    np.put_along_axis(dx, w.argmax(-1)[..., None], dy[..., None], -1)
    return dx.reshape(x.shape)""",
    "conv1d": """
def backward(dy, cache):
    x, W = cache
    S = dy.shape[2]
    dx, dW = np.zeros_like(x), np.zeros_like(W)
    for k in range(W.shape[2]):
        dW[:, :, k] = np.einsum("nos,ncs->oc", dy, x[:, :, k : k + S])
        dx[:, :, k : k + S] += np.einsum("nos,oc->ncs", dy, W[:, :, k])
    return dx, dW, dy.sum((0, 2))""",
    "rnn": """
def backward(dh, cache):
    x, W, U, hs = cache
    dx, dW, dU = np.zeros_like(x), np.zeros_like(W), np.zeros_like(U)
    for t in reversed(range(len(x))):
        dz = dh * (1 - hs[t + 1] ** 2)
        dx[t], dh = dz @ W, dz @ U
        dW += dz.T @ x[t]
        dU += dz.T @ hs[t]
    return dx, dW, dU""",
    "lstm_cell": """
def backward(dy, cache):
    dh, dc = dy
    x, h, c, W, U, i, f, g, o, new = cache
    dc = dc + dh * o * (1 - np.tanh(new) ** 2)
    do = dh * np.tanh(new) * o * (1 - o)
    di, df, dg = dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g**2)
    dz = np.concatenate([di, df, dg, do], axis=1)
    return dz @ W, dz @ U, dc * f, dz.T @ x, dz.T @ h""",
    "attention": """
def backward(dY, cache):
    Q, K, V, P = cache
    dP = dY @ V.T
    dS = P * (dP - (P * dP).sum(1, keepdims=True)) / np.sqrt(Q.shape[1])
    return dS @ K, dS.T @ Q, P.T @ dY""",
    "momentum": """
def step(p, g, state):
    m = g.copy() if state is None else 0.9 * state + g
    return p - 0.1 * m, m""",
    "adam": """
def step(p, g, state):
    m, v, t = state or (0, 0, 0)
    m, v, t = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g, t + 1
    return p - 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8), (m, v, t)""",
}


def changed(name: str, *pairs: tuple[str, str]) -> str:
    """The right solution with some text replaced."""
    text = RIGHT[name]
    for old, new in pairs:
        assert old in text, f"{old!r} is not in the solution of {name}"
        text = text.replace(old, new)
    return text


# exercise, what is written, and the names that say it: ids of the catalogue, or words of a sentence in lower case.
WRONG = [
    ("chain_rule", "def df(x): return 2 * (3 * x + 1)", "times what it should be"),
    ("chain_rule", "def df(x): return 2 * 3 * x * 3", "const|term"),
    ("sigmoid", changed("sigmoid", ("return y * (1 - y)", "return x * (1 - x)")), "C03"),
    ("sigmoid", changed("sigmoid", ("return y * (1 - y)", "return y")), "slope|C|B17"),
    ("sigmoid", changed("sigmoid", ("return y * (1 - y)", "return 1 - y")), "C|slope"),
    ("tanh", "def df(x): return 1 - np.tanh(x)", "C04"),
    ("tanh", "def df(x): return 1 - x**2", "C02"),
    ("relu", "def df(x): return np.ones_like(x)", "slope|C"),
    ("leaky_relu", "def df(x): return np.where(x > 0, 1.0, 0.0)", "C07"),
    ("silu", "def df(x): return 1 / (1 + np.exp(-x))", "C09"),
    ("gelu", "def df(x): return 0.5 * (1 + np.tanh(C * (x + 0.044715 * x**3)))", "C10|C09|product rule"),
    ("product", changed("product", ("dy * b, dy * a", "dy * a, dy * b")), "change places"),
    ("product", changed("product", ("dy * b, dy * a", "b, a")), "A07|upstream|arrives from above"),
    ("bias", "def backward(dy, cache): return dy, dy.mean(axis=0)", "B04"),
    ("bias", "def backward(dy, cache): return dy, dy", "B03|F06|gradient of x|axis too many"),
    ("bias", "def backward(dy, cache): return dy, dy[-1]", "B05"),
    (
        "matmul",
        changed("matmul", ("dY @ B.T, A.T @ dY", "dY @ B.T, A @ dY if A.shape[0] == A.shape[1] else A.T @ dY")),
        "B01|transpos",
    ),
    ("affine", changed("affine", ("dy.T @ x", "(dy.T @ x).T")), "transpos|B01|shape"),
    ("affine", changed("affine", ("dy.T @ x", "dy.T @ x / len(x)")), "A03|1/N|N|batch"),
    ("affine", changed("affine", ("dy.sum(axis=0)", "dy.mean(axis=0)")), "B04"),
    ("affine", changed("affine", ("dy.sum(axis=0)", "dy.sum()")), "sum|axis|B0"),
    ("affine", changed("affine", ("dy.sum(axis=0)", "np.ones(len(W))")), "A07|upstream|arrives"),
    ("mean", changed("mean", (" / len(x)", "")), "A01|1/N|N"),
    ("residual", changed("residual", ("dy + dy *", "dy *")), "F11"),
    ("residual", changed("residual", ("dy + dy * (1 - np.tanh(x) ** 2)", "dy + dy * np.tanh(x)")), "slope|C"),
    ("mse", changed("mse", ("dL * 2 * (x - t) / x.size", "2 * (x - t) / x.size")), "A07"),
    ("mse", changed("mse", (" / x.size", "")), "A01"),
    ("mse", changed("mse", (" / x.size", " / len(x)")), "A02"),
    ("mse", changed("mse", ("2 * (x - t)", "(x - t)")), "A04"),
    ("mse", changed("mse", ("(x - t)", "(t - x)")), "A05|sign"),
    ("mse", changed("mse", ("return g, -g", "return g, 0 * g")), "A23"),
    (
        "bce",
        changed("bce", ("np.exp(-x)) - t)", "np.exp(-x)) - t) * (lambda p: p * (1 - p))(1 / (1 + np.exp(-x)))")),
        "A09",
    ),
    ("bce", changed("bce", (" / len(x)", "")), "A01"),
    ("bce", changed("bce", ("(1 / (1 + np.exp(-x)) - t)", "(t - 1 / (1 + np.exp(-x)))")), "A05|sign"),
    ("softmax", changed("softmax", ("y * (dy - (y * dy).sum(axis=-1, keepdims=True))", "dy * y * (1 - y)")), "C13"),
    ("softmax", changed("softmax", ("(y * dy).sum(axis=-1", "(y * dy).sum(axis=0")), "C15"),
    ("softmax", changed("softmax", ("e.sum(axis=-1, keepdims=True)", "e.sum()")), "sum|axis|forward|constant"),
    ("log_softmax", changed("log_softmax", (" * dy.sum(axis=-1, keepdims=True)", " * dy")), "C13|C15|sum"),
    ("cross_entropy", changed("cross_entropy", ("dL * g / len(t)", "dL * g")), "A01"),
    ("cross_entropy", changed("cross_entropy", ("dL * g / len(t)", "g / len(t)")), "A07"),
    ("cross_entropy", changed("cross_entropy", ("g[np.arange(len(t)), t] -= 1\n", "pass\n")), "one-hot|target|t"),
    ("mlp", changed("mlp", (" * (1 - h**2)", "")), "slope|activation|C"),
    ("mlp", changed("mlp", (" * (1 - h**2)", " * (1 - h)")), "C04"),
    ("mlp", changed("mlp", ("dz.sum(0)", "dz.mean(0)")), "B04|mean over the batch"),
    ("layernorm", changed("layernorm", ("d - d.mean(-1, keepdims=True) -", "d -")), "D01"),
    ("layernorm", changed("layernorm", (" - xhat * (d * xhat).mean(-1, keepdims=True)", "")), "D02"),
    ("layernorm", changed("layernorm", ("d = dy * gamma", "d = dy")), "D07"),
    ("layernorm", changed("layernorm", ("(dy * xhat).sum(0), dy.sum(0)", "dy.sum(0), (dy * xhat).sum(0)")), "D09"),
    ("batchnorm", changed("batchnorm", ("inv * (d - d.mean(0) - xhat * (d * xhat).mean(0))", "inv * d")), "D03|D14"),
    ("batchnorm", changed("batchnorm", ("(dy * xhat).sum(0), dy", "(dy * xhat).mean(0), dy")), "D10"),
    ("dropout", changed("dropout", (" / 0.75", "")), "G18"),
    ("dropout", changed("dropout", (" / 0.75", " / 0.75**2")), "G18.twice"),
    ("embedding", changed("embedding", ("np.add.at(dW, t, dy)", "dW[t] += dy")), "F01"),
    (
        "maxpool",
        """
def backward(dy, cache):
    (x,) = cache
    return np.repeat(dy, 2, axis=-1) / 2""",
        "E21",
    ),
    ("maxpool", "def backward(dy, cache): return np.repeat(dy, 2, axis=-1)", "E22"),
    (
        "conv1d",
        changed(
            "conv1d",
            (
                'dx[:, :, k : k + S] += np.einsum("nos,oc->ncs", dy, W[:, :, k])',
                'dx[:, :, k : k + S] += np.einsum("nos,oc->ncs", dy, W[:, :, 2 - k])',
            ),
        ),
        "E01",
    ),
    ("conv1d", changed("conv1d", ("dW[:, :, k] =", "dW[:, :, 2 - k] =")), "E02"),
    ("conv1d", changed("conv1d", ("dy.sum((0, 2))", "dy.sum(0)[:, 0]")), "B06"),
    ("rnn", changed("rnn", ("dx[t], dh = dz @ W, dz @ U", "dx[t], dh = dz @ W, 0 * dh")), "G02"),
    ("rnn", changed("rnn", ("dW += dz.T", "dW = dz.T"), ("dU += dz.T", "dU = dz.T")), "G04"),
    ("rnn", changed("rnn", ("dU += dz.T @ hs[t]", "dU += dz.T @ hs[t + 1]")), "G20"),
    ("lstm_cell", changed("lstm_cell", ("dc * c * f", "dc * new * f")), "G08"),
    ("lstm_cell", changed("lstm_cell", ("dc * i * (1 - g**2)", "dc * i * g * (1 - g)")), "G26"),
    ("lstm_cell", changed("lstm_cell", ("tanh(new) * o * (1 - o)", "tanh(new)")), "G27"),
    ("lstm_cell", changed("lstm_cell", ("dc * f, dz.T", "dc * i, dz.T")), "G28"),
    ("attention", changed("attention", (" / np.sqrt(Q.shape[1])", "")), "G12"),
    ("attention", changed("attention", ("P * (dP - (P * dP).sum(1, keepdims=True))", "P * (1 - P) * dP")), "C13"),
    ("attention", changed("attention", ("dS @ K, dS.T @ Q", "dS.T @ Q, dS @ K")), "G13|gradient of k|another length"),
    ("momentum", changed("momentum", ("0.9 * state + g", "0.9 * state + 0.1 * g")), "H11|H13"),
    (
        "momentum",
        """
def step(p, g, state):
    m = 0.9 * (0 if state is None else state) + 0.1 * g
    return p - 0.1 * m, m""",
        "H11",
    ),
    ("momentum", changed("momentum", ("p - 0.1 * m, m", "p - 0.1 * g, m")), "momentum|never used|begun anew"),
    ("adam", changed("adam", ("m / (1 - 0.9**t)", "m"), ("v / (1 - 0.999**t)", "v")), "H01"),
    ("adam", changed("adam", ("(0, 0, 0)", "(0, 0, 1)")), "H02"),
    ("adam", changed("adam", ("(np.sqrt(v / (1 - 0.999**t)) + 1e-8)", "np.sqrt(v / (1 - 0.999**t) + 1e-8)")), "H04"),
    (
        "adam",
        changed(
            "adam",
            ("0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g", "0.999 * m + 0.001 * g, 0.9 * v + 0.1 * g * g"),
            ("0.9**t", "B1**t"),
            ("0.999**t", "0.9**t"),
            ("B1**t", "0.999**t"),
        ),
        "H06",
    ),
    ("silu", changed("silu", ("x * s * (1 - s)", "x * s * (1 - x * s)")), "slope"),
    (
        "batchnorm",
        changed("batchnorm", ("(dy * xhat).sum(0), dy.sum(0)", "(dy * xhat).sum(1), dy.sum(1)")),
        "another length",
    ),
    ("attention", changed("attention", ("P.T @ dY", "(dY.T @ P)")), "transposed"),
    ("rnn", changed("rnn", ("dz = dh * (1 - hs[t + 1] ** 2)", "dz = dh")), "G23"),
    (
        "mlp",
        changed(
            "mlp",
            ("dz @ W, dz.T @ x, dz.sum(0), dy.T @ h, dy.sum(0)", "dz.T @ x, dz.sum(0), dy.T @ h, dy.sum(0), dz @ W"),
        ),
        "was given for|another length",
    ),
    ("affine", changed("affine", ("dy.sum(axis=0)", "dy.sum(axis=0, keepdims=True)")), "axis of length 1"),
    ("adam", changed("adam", ("v / (1 - 0.999**t)", "v")), "H01|bias correction of the second"),
    ("mean", changed("mean", (" / len(x)", " / x.size")), "1/d times|A02"),
]
