"""Log-softmax

yᵢ = xᵢ − log Σⱼ eˣʲ along the last axis.
"""

import manualbp as m

HINTS = (
    "xᵢ enters its own yᵢ directly, and every yⱼ through the sum.",
    "The slope of log Σⱼ eˣʲ by xᵢ is eˣⁱ/Σⱼ eˣʲ. How is that written with yᵢ?",
    "The second part subtracts softmax times the sum of dy along the row.",
)
FITTING = {
    "C13": 1,
    "C15": 3,
    "keepdims": "The sums of the rows have the shape (N,). To go with (N, C) they must be (N, 1).",
    "sum has": 1,
    "stands in the place": 2,
    "factor": 3,
    "mean stands": 3,
}
STUB = '''
import numpy as np


def forward(x):
    z = x - x.max(axis=-1, keepdims=True)
    y = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
    return y, (y,)


def backward(dy, cache):
    """The gradient of x."""
    (y,) = cache
'''
CHECKS = {
    "log-softmax": {
        "forward": "forward",
        "backward": "backward",
        "layer": lambda x: (m.LogSoftmax(-1), {}, x),
        "inputs": {"x": ("N", "C")},
    }
}
