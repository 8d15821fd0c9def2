"""A product of matrices: why the transpose

Y = A B, with A of shape (N, K) and B of shape (K, M). Give ∂L/∂A and ∂L/∂B.
"""

HINTS = (
    "With indices: Yₙₘ = Σₖ Aₙₖ Bₖₘ. Which entries of Y contain Aₙₖ, and with which factor?",
    "∂L/∂Aₙₖ = Σₘ dYₙₘ Bₖₘ. The sum runs over the second index of both: that is a product with a transpose.",
    "Check with the shapes: dA is (N, K), dY is (N, M), B is (K, M). With square matrices the shapes cannot help you.",
)
FITTING = {
    "B01": 2,
    "transposed": 3,
    "another length": 3,
    "was given for": 3,
    "A07": 2,
    "A03": 2,
}
STUB = '''
import numpy as np


def forward(A, B):
    return A @ B, (A, B)


def backward(dY, cache):
    """The gradients of A and of B."""
    A, B = cache
'''
CHECKS = {
    "matmul": {
        "forward": "forward",
        "backward": "backward",
        "truth": lambda A, B: A @ B,
        "inputs": {"A": ("N", "K"), "B": ("K", "M")},
    }
}
