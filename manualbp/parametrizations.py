"""A layer whose weight is made of other parameters. Beside torch/nn/utils/parametrizations.py."""

from typing import Any

import numpy as np

from .base import Array, Layer, Params, needs_rng, run
from .conv import Conv1d
from .linear import Linear


class WeightNorm(Layer):
    """A layer whose weight is a direction and a length, each learned by itself.

    Forward   n = ‖v‖, one for each place along dim, or one in all with dim = None;   W = g v/n;
              y = layer(x; W, …)
    Backward  dW from the layer's backward, as dx and the other gradients are.  With v̂ = v/n, ∂n/∂v = v̂,  Σ as in n
              dg = Σ dW v̂
              dv = (g/n) dW − (g/n²) v̂ Σ(dW v) = (g/n) (dW − v̂ Σ(dW v̂)):  what of dW is along v changes no direction
    Shapes    x, y: those of the layer;  its parameter `name` is replaced by parametrizations.name.original0, g, with
              length 1 along every axis but dim, or (), and parametrizations.name.original1, v, of W's shape
    Errors    those of the layer; ValueError if it has no parameter of this name, or W no axis dim
    Source    Salimans, Kingma 2016, arXiv:1602.07868, eqs. 2–3; torch.nn.utils.parametrizations.weight_norm
    Caveat    dim = −1 is None, as in torch. Where v = 0 there is no direction: NaN
    """

    layer: Layer
    name: str = "weight"
    dim: int | None = 0

    cancels = True
    options = {"dim": (0, 1, None)}

    def __post_init__(self) -> None:
        super().__post_init__()
        weight = self.layer.init(np.random.default_rng(0)).get(self.name)
        if weight is None or not -1 <= (-1 if self.dim is None else self.dim) < np.ndim(weight):
            raise ValueError(f"{self}: the layer has no parameter {self.name!r} with an axis {self.dim}")

    @property
    def random(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return bool(self.layer.random)

    @property
    def training(self) -> bool:
        return getattr(self.layer, "training", True)

    def walk(self, path=""):
        """The layer inside has the path of this one: its parameters stand here."""
        yield path, self
        yield from self.layer.walk(path)

    def init(self, rng, dtype=np.float64):
        params = self.layer.init(rng, dtype)
        return self._parted(params, self._norm(params[self.name]))

    def sample_params(self, values):
        params = self.layer.sample_params(values)
        return self._parted(params, values.real(self._norm(params[self.name]).shape))

    def forward(self, params, x, rng=None):
        g, v = self._parts(params)
        n = self._norm(v)
        inner = self._inner(params, g * (v / n))
        y, cache = run(self.layer, inner, x, needs_rng(self, rng) if self.random else None)
        return y, (cache, inner, g, v / n, n)

    def backward(self, params, cache, dy):
        inner_cache, inner, g, direction, n = cache
        dx, grads = self.layer.backward(inner, inner_cache, dy)
        dW = grads[self.name]
        dg = self._sum(dW * direction)
        dv = g / n * (dW - direction * dg)
        return dx, self._parted({**grads, self.name: dv}, dg)

    def track(self, params, cache):
        inner_cache, inner, *_ = cache
        moved = self.layer.track(inner, inner_cache)
        return {name: moved.get(name, p) for name, p in params.items()}

    def _sum(self, q: Array) -> Array:
        """Over all axes but dim, which stay with length 1; over all of them without dim."""
        if self.dim in (None, -1):
            return np.asarray(q.sum())
        return q.sum(tuple(i for i in range(q.ndim) if i != self.dim), keepdims=True)

    def _norm(self, v: Array) -> Array:
        return np.sqrt(self._sum(v * v))

    def _parted(self, params: Params, g: Array) -> Params:
        """The layer's parameters with g and v in the place of the weight."""
        own = {"original0": g, "original1": params[self.name]}
        return {n: p for n, p in params.items() if n != self.name} | {"parametrizations": {self.name: own}}

    def _parts(self, params: Params) -> tuple[Array, Array]:
        own: Any = params["parametrizations"][self.name]
        return own["original0"], own["original1"]

    def _inner(self, params: Params, W: Array) -> Params:
        return {n: p for n, p in params.items() if n != "parametrizations"} | {self.name: W}

    @classmethod
    def example(cls, choose, shape):
        layer = choose(Linear, Conv1d if len(shape) == 3 else Linear).example(choose, shape)
        return layer and cls(layer, dim=choose(*cls.options["dim"]))

    def sample(self, values, shape):
        return self.layer.sample(values, shape)
