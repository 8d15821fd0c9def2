"""A layer of your own is one class: forward, backward, and what a random example of it looks like.

Every law that this package's own layers obey then applies to it. Here to Snake, which torch.nn does not have, and to
a Snake with a mistake in it.
"""

import numpy as np

from manualbp.base import Layer, shape
from reference import LAWS, OF_TORCH, on_examples


class Snake(Layer):
    """A wave on a line; every channel has a frequency of its own.

    Forward   y = x + sin²(αx)/α
    Backward  dx = (1 + sin 2αx) dy,   dα = Σₙ (x sin(2αx)/α − sin²(αx)/α²) dy
    Shapes    x, y: (*, channels); alpha: (channels,); n runs over all axes but the last
    Errors    ValueError if the last axis of x is not channels long
    Source    Ziyin, Hartwig, Ueda 2020, arXiv:2006.08195
    """

    channels: int

    def init(self, rng, dtype=np.float64):
        return {"alpha": np.ones(self.channels, dtype)}

    def forward(self, params, x):
        self.takes(shape(x)[-1:] == (self.channels,), x, "(*, channels)")
        α = params["alpha"]
        return x + np.sin(α * x) ** 2 / α, (x,)

    def backward(self, params, cache, dy):
        (x,), α = cache, params["alpha"]
        wave = np.sin(2 * α * x)
        dα = (x * wave / α - np.sin(α * x) ** 2 / α**2) * dy
        return (1 + wave) * dy, {"alpha": dα.reshape(-1, self.channels).sum(0)}

    def sample_params(self, values):
        return {"alpha": values.positive((self.channels,))}

    @classmethod
    def example(cls, choose, shape):
        return cls(shape[-1])


class WrongSnake(Snake):
    """The same with a factor forgotten: (sin²u)′ = 2 sin u cos u = sin 2u, not sin u cos u."""

    def backward(self, params, cache, dy):
        (x,) = cache
        _, grads = super().backward(params, cache, dy)
        return (1 + np.sin(2 * params["alpha"] * x) / 2) * dy, grads


if __name__ == "__main__":
    for cls in (Snake, WrongSnake):
        print(cls.__name__)
        for law in (law for law in LAWS if law not in OF_TORCH):
            try:
                on_examples(cls, law)
                print(f"  holds   {law.__name__}")
            except AssertionError as error:
                print(f"  BROKEN  {law.__name__}\n          " + str(error).replace("\n", "\n          "))
