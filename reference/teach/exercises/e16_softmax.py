"""Softmax: every output depends on every input

yᵢ = eˣⁱ/Σⱼ eˣʲ along the last axis. Its Jacobian is not diagonal. Take the largest x out before the exponential, so
that nothing overflows: it cancels.
"""

import manualbp as m

HINTS = (
    "log yᵢ = xᵢ − log Σⱼ eˣʲ. Differentiate that: ∂log yᵢ/∂xⱼ = δᵢⱼ − yⱼ, where δᵢⱼ is 1 if i = j, else 0.",
    "So ∂yᵢ/∂xⱼ = yᵢ(δᵢⱼ − yⱼ). Then dxⱼ = Σᵢ dyᵢ ∂yᵢ/∂xⱼ: the sum has two parts.",
    "One part is yⱼ dyⱼ. The other is yⱼ times one number for each row. If dy is the same everywhere, dx must be 0.",
)
FITTING = {
    "C13": 2,
    "C15": "The sum of the backward pass runs along the axis over which the forward pass divides.",
    "overflows": "Subtract the maximum of each row before the exponential: it cancels, and nothing exceeds e⁰ = 1.",
    "keepdims": "The sums of the rows have the shape (N,). To go with (N, C) they must be (N, 1).",
    "dim=0": "The sum runs along each row, over the last axis, forward and back.",
    "sum has": 2,
    "lacks the factor": 2,
    "before the bracket": 2,
}
STUB = '''
import numpy as np


def forward(x):
    """y, of x's shape, and a tuple of what backward needs."""


def backward(dy, cache):
    """The gradient of x."""
'''
CHECKS = {
    "softmax": {
        "forward": "forward",
        "backward": "backward",
        "layer": lambda x: (m.Softmax(-1), {}, x),
        "inputs": {"x": ("N", "C")},
        "large": 1000.0,
    }
}
