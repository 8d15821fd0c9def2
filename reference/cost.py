"""What it costs to compare a model, estimated when it has been read and before anything is compared."""

import math
from dataclasses import dataclass

from manualbp.base import Layer, flatten
from manualbp.conv import _ConvNd

from .twin.models import Read

WHOLE, NODES = 1.3, 3.0  # times what reading took; measured 1.0 to 2.5, and 2.7 to 3.8 more with every node alone
LONG, MUCH = 10.0, 2**30  # seconds, bytes: more is told


@dataclass(frozen=True)
class Cost:
    """Seconds in all, and the bytes that one pass by hand in float64 holds."""

    steps: int
    parameters: int
    seconds: float
    memory: float

    @property
    def large(self) -> bool:
        return self.seconds > LONG or self.memory > MUCH

    def __str__(self) -> str:
        return (
            f"{self.steps} steps, {self.parameters:,} parameters; about {duration(self.seconds)}, and "
            f"{self.memory / 2**30:.2g} GB for a pass by hand in float64"
        )


def cost_of(read: Read, parameters: int, seconds: float, alone: float) -> Cost:
    """`seconds`: what reading took; `alone`: the share of steps that are compared alone, too. A pass by hand keeps what
    every step gave, and the gradients of parameters."""
    held = sum(p.size for p in flatten(read.params).values())
    kept = sum(taps(node.layer) * read.sizes.get(node.name, 0) for node in read.graph.layers)
    return Cost(len(read.graph.layers), parameters, seconds * (WHOLE + NODES * alone), 8.0 * (held + kept))


def taps(layer: Layer) -> float:
    """How many numbers a step keeps for each that it gives: a convolution what every tap of its kernel sees."""
    if not isinstance(layer, _ConvNd):
        return 1.0
    seen = layer.in_channels * math.prod(layer.kernel()[0])
    return 1 + seen / layer.out_channels


def duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
