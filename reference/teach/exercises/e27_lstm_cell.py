"""One step of an LSTM

z = x Wᵀ + h Uᵀ is cut into four: i, f, g, o, in this order. c′ = σ(f) c + σ(i) tanh(g), h′ = σ(o) tanh(c′).
x is (N, D), h and c are (N, H), W is (4H, D), U is (4H, H).
"""

import manualbp as m

HINTS = (
    "c′ reaches the loss along two paths: as an output, and through h′. Add them before you go on.",
    "For each gate: the gradient that reaches it, times the slope of its own σ or tanh. Then put the four "
    "together as dz.",
    "From dz it is an affine layer with two inputs. The old c gets what passes the forget gate.",
)
FITTING = {
    "G08": "c′ = f c + i g: which cell does the forget gate multiply, the old one or the new one?",
    "G26": 2,
    "G27": 2,
    "G28": 3,
    "transposed": "Test each product by the shapes: dz is (N, 4H), and every gradient has the shape of its input.",
    "G03": 1,
    "G01": "The four parts of dz stand in the order in which z was cut: i, f, g, o.",
}
STUB = '''
import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def forward(x, h, c, W, U):
    i, f, g, o = np.split(x @ W.T + h @ U.T, 4, axis=1)
    i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
    new = f * c + i * g
    return (o * np.tanh(new), new), (x, h, c, W, U, i, f, g, o, new)


def backward(dy, cache):
    """The gradients of x, h, c, W and U."""
    dh, dc = dy
    x, h, c, W, U, i, f, g, o, new = cache
'''
CHECKS = {
    "lstm cell": {
        "forward": "forward", "backward": "backward",
        "layer": lambda x, h, c, W, U: (
            m.LSTMCell(W.shape[1], U.shape[1], bias=False), {"weight_ih": W, "weight_hh": U}, (x, (h, c))
        ),
        "inputs": {"x": ("N", "D"), "h": ("N", 2), "c": ("N", 2), "W": (8, "D"), "U": (8, 2)},
    }
}  # fmt: skip
