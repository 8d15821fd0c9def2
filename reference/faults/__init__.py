"""The catalogue of executable mistakes; `base` says how one is written.

net = corrupt(Sequential(Linear(3, 3), Tanh()), faults()["B01"])     the same network with that mistake in it
"""

from . import (  # noqa: F401  (they enter theirs)
    activation,
    attention,
    conv,
    index,
    linear,
    loss,
    norm,
    operations,
    optim,
    parametrizations,
    recurrent,
    resize,
    spatial,
    transformer,
)  # fmt: skip
from .base import KNOWN, Fault, Right, corrupt, fault, faults, right

# Entries of the catalogue that are no class here, each with the reason.
LEFT_OUT = {
    "G17": "no mistake: the gradient of the keys' bias is 0 in exact arithmetic, and both sides leave rounding noise",
    "H24": "clipping is a function here; tests/test_optim_faults.py makes the mistake",
    "H25": "a mistake in the order of two calls, no class; tests/test_optim_faults.py makes it",
}

__all__ = ["KNOWN", "LEFT_OUT", "Fault", "Right", "corrupt", "fault", "faults", "right"]
