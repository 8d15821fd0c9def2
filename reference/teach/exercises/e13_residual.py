"""Two paths: gradients add where they meet

y = x + tanh x: x reaches y by a bridge and through the body.
"""

import manualbp as m

HINTS = (
    "Take the two paths one by one: y₁ = x and y₂ = tanh x, with y = y₁ + y₂. Each gets the whole dy.",
    "The gradient over the bridge is dy. The one through the body is dy times the slope of tanh.",
    "x is one variable: how do its two gradients become one?",
)
FITTING = {
    "F11": 3,
    "F12": 1,
    "slope": 2,
    "goes back": 3,
}
STUB = '''
import numpy as np


def forward(x):
    return x + np.tanh(x), (x,)


def backward(dy, cache):
    """The gradient of x."""
    (x,) = cache
'''
CHECKS = {
    "residual": {
        "forward": "forward",
        "backward": "backward",
        "layer": lambda x: (m.Residual(m.Tanh()), {}, x),
        "inputs": {"x": ("N", "D")},
    }
}
