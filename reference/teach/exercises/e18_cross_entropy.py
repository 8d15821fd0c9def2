"""Cross entropy of scores: p − t

L = the mean over the batch of −log pₜ, where p = softmax(x) along the last axis and t (N,) holds the index of the right
class. Give the gradient of x.
"""

import manualbp as m
from reference.draw.specs import Indices

HINTS = (
    "Take one row: L = −xₜ + log Σⱼ eˣʲ. The first term contains one x only, the second all of them.",
    "The gradient is p with something subtracted in one column of each row.",
    "Every row's loss is divided by N. And dL multiplies everything.",
)
FITTING = {
    "A01": 3,
    "A05": "Raise the score of the right class: does L grow or fall? That is the sign of dx in its column.",
    "A07": 3,
    "one-hot": 2,
    "at the target": 2,
    "times what": 3,
}
STUB = '''
import numpy as np


def forward(x, t):
    z = x - x.max(axis=1, keepdims=True)
    logp = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    return -logp[np.arange(len(t)), t].mean(), (logp, t)


def backward(dL, cache):
    """The gradient of x."""
    logp, t = cache
'''
CHECKS = {
    "cross entropy": {
        "forward": "forward", "backward": "backward", "layer": lambda x, t: (m.CrossEntropyLoss(), {}, (x, t)),
        "inputs": {"x": ("N", "C"), "t": Indices(("N",), "C")},
    }
}  # fmt: skip
