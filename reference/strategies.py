"""Hypothesis strategies for your own tests: networks(), cases(MyLayer), layers(Conv2d), shapes, optimizers."""

from .draw.strategies import cases as cases
from .draw.strategies import layers as layers
from .draw.strategies import networks as networks
from .draw.strategies import optimizers as optimizers
from .draw.strategies import shapes as shapes
