"""PyTorch's layers, losses and optimizers with every backward pass derived and written by hand in NumPy.

    from manualbp import Linear, Sequential, Tanh

Each file is named as the one in torch/nn/modules that it can be read beside.
"""

from . import base, optim
from .activation import *
from .activation_piecewise import *
from .base import Layer as Layer
from .base import flatten as flatten
from .base import registry as registry
from .base import unflatten as unflatten
from .batchnorm import *
from .container import *
from .conv import *
from .distance import *
from .dropout import *
from .flatten import *
from .instancenorm import *
from .linear import *
from .loss import *
from .loss_class import *
from .normalization import *
from .padding import *
from .pooling import *
from .rnn import *
from .softmax import *
from .sparse import *

__version__ = "0.1.0"
__all__ = ["Layer", "base", "flatten", "optim", "registry", "unflatten", *registry()]
