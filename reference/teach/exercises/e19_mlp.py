"""A network of two layers

h = tanh(x Wᵀ + b), y = h Vᵀ + c. Go back through it layer by layer: the gradient of what a layer gave comes in, that of
what it took goes out.
"""

import manualbp as m

HINTS = (
    "Name what lies between: z = xWᵀ + b, h = tanh z, y = hVᵀ + c. You need dh, then dz, then the rest.",
    "dV and dc are those of an affine layer with input h. dh = dy V.",
    "dz = dh times the slope of tanh at z, written with h. From there it is an affine layer with input x.",
)
FITTING = {
    "was given for": "The gradients come in the order of what forward takes: x, W, b, V, c.",
    "C02": 3,
    "C03": 3,
    "C04": 3,
    "slope": 3,
    "transposed": "Test each product by the shapes: dh has the shape of h, dz that of z, dV and dW those of V and W.",
    "is 0": 2,
    "B04": "A bias is added to every row: what reaches it along N paths adds up.",
}
STUB = '''
import numpy as np


def forward(x, W, b, V, c):
    h = np.tanh(x @ W.T + b)
    return h @ V.T + c, (x, W, V, h)


def backward(dy, cache):
    """The gradients of x, W, b, V and c."""
    x, W, V, h = cache
'''
CHECKS = {
    "mlp": {
        "forward": "forward", "backward": "backward",
        "layer": lambda x, W, b, V, c: (
            m.Sequential(m.Linear(W.shape[1], W.shape[0]), m.Tanh(), m.Linear(V.shape[1], V.shape[0])),
            {"0": {"weight": W, "bias": b}, "2": {"weight": V, "bias": c}}, x,
        ),
        "inputs": {"x": ("N", "D"), "W": ("H", "D"), "b": ("H",), "V": ("M", "H"), "c": ("M",)},
    }
}  # fmt: skip
