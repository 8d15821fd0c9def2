"""PyTorch's layers, losses and optimizers with every backward pass derived and written by hand in NumPy.

    from manualbp import Linear, Sequential, Tanh

Each file is named as the one in torch/nn/modules that it can be read beside.
"""

from . import base, checkpoint, operations, optim, training
from .activation import *
from .activation_piecewise import *
from .adaptive import *
from .attention import *
from .batchnorm import *
from .container import *
from .conv import *
from .distance import *
from .dropout import *
from .flatten import *
from .graph import Graph as Graph
from .graph import Node as Node
from .instancenorm import *
from .linear import *
from .loss import *
from .loss_class import *
from .loss_ctc import *
from .loss_margin import *
from .normalization import *
from .padding import *
from .pooling import *
from .rnn import *
from .rnn_cell import *
from .softmax import *
from .sparse import *

# Last, since `flatten` is the name of a file, too.
from .base import Layer as Layer  # isort: skip
from .base import flatten as flatten  # isort: skip
from .base import registry as registry  # isort: skip
from .base import unflatten as unflatten  # isort: skip

__version__ = "0.1.0"
__all__ = [  # pyright: ignore[reportUnsupportedDunderAll]
    "Layer",
    "Node",
    "base",
    "checkpoint",
    "flatten",
    "operations",
    "optim",
    "registry",
    "training",
    "unflatten",
    *(name for name in registry() if name in globals()),  # operations stay in their package: Max, Mean, … would confuse
]
