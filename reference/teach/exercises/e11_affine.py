"""The affine layer, as nn.Linear has it

y = x Wᵀ + b, with x (N, D), W (M, D), b (M,). PyTorch stores W with the outputs first. Write the forward pass, too, and
keep in the cache what the backward pass reads.
"""

import manualbp as m

HINTS = (
    "One entry: yₙₒ = Σᵢ xₙᵢ Wₒᵢ + bₒ. Write down ∂yₙₒ/∂xₙᵢ, ∂yₙₒ/∂Wₒᵢ and ∂yₙₒ/∂bₒ.",
    "Multiply each by dyₙₒ and sum over the index that the result does not have.",
    "dW has the shape of W, (M, D), not of its transpose. db has no axis of the batch.",
)
FITTING = {
    "B01": 3,
    "B03": 3,
    "B04": "b is added to each of the N rows. Does what reaches it along N paths add up, or is it averaged?",
    "B05": 2,
    "A03": 2,
    "A07": 2,
    "transposed": 3,
    "summed": 3,
    "axis": 3,
    "times what": "dx has a row for each row of y: what does N do there?",
    "without a bias": 1,
    "was given for": "The gradients come in the order of what forward takes: x, W, b.",
}
STUB = '''
import numpy as np


def forward(x, W, b):
    """y and a tuple of what backward needs."""


def backward(dy, cache):
    """The gradients of x, W and b."""
'''
CHECKS = {
    "affine": {
        "forward": "forward", "backward": "backward",
        "layer": lambda x, W, b: (m.Linear(W.shape[1], W.shape[0]), {"weight": W, "bias": b}, x),
        "inputs": {"x": ("N", "D"), "W": ("M", "D"), "b": ("M",)},
    }
}  # fmt: skip
