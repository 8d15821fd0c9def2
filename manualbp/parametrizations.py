"""A layer whose weight is made of other parameters. Beside torch/nn/utils/parametrizations.py, weight_norm.py,
spectral_norm.py."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from .base import Array, Layer, Params, flatten, needs_rng, run, unflatten
from .conv import Conv1d
from .conv_transpose import ConvTranspose1d
from .linear import Linear

Own = dict[str, Array]  # what the weight is made of, by the letters of the derivation


class Parametrized(Layer, family=True):
    """A layer, one of whose parameters, W, is made of others: x runs through it as ever, and dW goes on to these.

    A subclass says under which `names` torch has them, what they are at the start, how W is made and dW taken apart.
    """

    layer: Layer
    name: str = "weight"

    constants: ClassVar[tuple[str, ...]] = ()  # letters of those that have no gradient

    def __post_init__(self) -> None:
        super().__post_init__()
        weight = self.layer.init(np.random.default_rng(0)).get(self.name)
        if weight is None or not self.fits(weight):
            raise ValueError(f"{self}: the layer has no parameter {self.name!r} {self.needs()}")
        vars(self)["_axes"] = np.ndim(weight)

    def fits(self, weight: Array) -> bool:
        """Can a weight of this shape be made so?"""
        raise NotImplementedError

    def needs(self) -> str:
        """What a weight must have, in an error message."""
        raise NotImplementedError

    def names(self) -> Mapping[str, str]:
        """The name in torch's state_dict of every letter."""
        raise NotImplementedError

    def apart(self, W: Array, rng: np.random.Generator) -> Own:
        """What W is made of at the start."""
        raise NotImplementedError

    def sampled(self, W: Array, values: Any) -> Own:
        """The same at random, for a weight of W's shape."""
        return {letter: values.real(a.shape) for letter, a in self.apart(W, values.rng).items()}

    def weight(self, own: Own) -> tuple[Array, tuple]:
        """W, and what is kept for the way back."""
        raise NotImplementedError

    def weight_backward(self, own: Own, cache: tuple, dW: Array) -> Own:
        """The gradients of what W is made of."""
        raise NotImplementedError

    def moved(self, own: Own, cache: tuple) -> Own:
        """Its constants after a forward pass."""
        return own

    @property
    def random(self) -> bool:
        return bool(self.layer.random)

    @property
    def training(self) -> bool:
        return getattr(self.layer, "training", True)

    @property
    def buffers(self) -> tuple[str, ...]:
        return tuple(path for letter, path in self.names().items() if letter in self.constants)

    def walk(self, path=""):
        """The layer inside has the path of this one: its parameters stand here."""
        yield path, self
        yield from self.layer.walk(path)

    def init(self, rng, dtype=np.float64):
        params = self.layer.init(rng, dtype)
        own = self.apart(params[self.name], rng)
        return self._parted(params, {letter: a.astype(dtype) for letter, a in own.items()})

    def sample_params(self, values):
        params = self.layer.sample_params(values)
        return self._parted(params, self.sampled(params[self.name], values))

    def forward(self, params, x, rng=None):
        own = self._own(params)
        W, made = self.weight(own)
        inner = self._inner(params, W)
        y, cache = run(self.layer, inner, x, needs_rng(self, rng) if self.random else None)
        return y, (cache, inner, own, made)

    def backward(self, params, cache, dy):
        inner_cache, inner, own, made = cache
        dx, grads = self.layer.backward(inner, inner_cache, dy)
        return dx, self._parted(grads, self.weight_backward(own, made, grads[self.name]))

    def track(self, params, cache):
        inner_cache, inner, own, made = cache
        return self._parted(self.layer.track(inner, inner_cache), self.moved(own, made))

    def _own(self, params: Params) -> Own:
        flat = flatten(params)
        return {letter: flat[path] for letter, path in self.names().items()}

    def _parted(self, params: Params, own: Own) -> Params:
        """The layer's parameters, or gradients, with what W is made of in the place of W."""
        flat, names = flatten(params), self.names()
        del flat[self.name]
        return unflatten(flat | {names[letter]: a for letter, a in own.items()})

    def _inner(self, params: Params, W: Array) -> Params:
        made_of = set(self.names().values())
        return unflatten({path: p for path, p in flatten(params).items() if path not in made_of} | {self.name: W})

    def sample(self, values, shape):
        return self.layer.sample(values, shape)


class WeightNorm(Parametrized):
    """A layer whose weight is a direction and a length, each learned by itself.

    Forward   n = ‖v‖, one for each place along dim, or one in all with dim = None;   W = g v/n;
              y = layer(x; W, …)
    Backward  dW from the layer's backward, as dx and the other gradients are.  With v̂ = v/n, ∂n/∂v = v̂,  Σ as in n
              dg = Σ dW v̂
              dv = (g/n) dW − (g/n²) v̂ Σ(dW v) = (g/n) (dW − v̂ Σ(dW v̂)):  what of dW is along v changes no direction
    Shapes    x, y: those of the layer;  its parameter `name` is replaced by parametrizations.name.original0, g, with
              length 1 along every axis but dim, or (), and parametrizations.name.original1, v, of W's shape;
              with hook=True they are called name_g and name_v
    Errors    those of the layer; ValueError if it has no parameter of this name, or W no axis dim
    Source    Salimans, Kingma 2016, arXiv:1602.07868, eqs. 2–3; torch.nn.utils.parametrizations.weight_norm, and with
              hook=True the older torch.nn.utils.weight_norm
    Caveat    dim = −1 is None, as in torch. Where v = 0 there is no direction: NaN
    """

    dim: int | None = 0
    hook: bool = False

    cancels = True
    options = {"dim": (0, 1, None), "hook": (False, True)}

    def fits(self, weight):
        return self.dim is None or -1 <= self.dim < np.ndim(weight)

    def needs(self):
        return f"with an axis {self.dim}"

    def names(self):
        if self.hook:
            return {"g": f"{self.name}_g", "v": f"{self.name}_v"}
        return {"g": f"parametrizations.{self.name}.original0", "v": f"parametrizations.{self.name}.original1"}

    def apart(self, W, rng):
        return {"g": self._norm(W), "v": W}

    def weight(self, own):
        n = self._norm(own["v"])
        return own["g"] * (own["v"] / n), (own["v"] / n, n)

    def weight_backward(self, own, cache, dW):
        direction, n = cache
        dg = self._sum(dW * direction)
        return {"g": dg, "v": own["g"] / n * (dW - direction * dg)}

    def _sum(self, q: Array) -> Array:
        """Over all axes but dim, which stay with length 1; over all of them without dim."""
        if self.dim in (None, -1):
            return np.asarray(q.sum())
        return q.sum(tuple(i for i in range(q.ndim) if i != self.dim), keepdims=True)

    def _norm(self, v: Array) -> Array:
        return np.sqrt(self._sum(v * v))

    @classmethod
    def example(cls, choose, shape):
        layer = choose(Linear, Conv1d if len(shape) == 3 else Linear).example(choose, shape)
        return layer and cls(layer, **{name: choose(*values) for name, values in cls.options.items()})


class SpectralNorm(Parametrized):
    """A layer whose weight is divided by an estimate of its largest singular value.

    Forward   M is W with axis dim in front, as a matrix;  N(q) = q/max(‖q‖, ε)
              in training, for every power iteration:  u ← N(M v),  v ← N(Mᵀ u)                                    (1)
              σ = uᵀ M v,   W̄ = W/σ,   y = layer(x; W̄, …)                                                          (2)
    Backward  dW̄ from the layer's backward, as dx and the other gradients are.  u and v are constants, so
              ∂σ/∂W = S = u vᵀ, laid out as W is;   with dσ = −Σ dW̄ W/σ² = −Σ(dW̄ W̄)/σ
              dW = dW̄/σ + S dσ = (dW̄ − S Σ(dW̄ W̄))/σ                                                               (3)
              where W has one axis, it is a vector and needs no u and v: σ = max(‖W‖, ε), S = W/‖W‖, or 0 if ‖W‖ < ε
    Shapes    x, y: those of the layer;  its parameter `name` is replaced by parametrizations.name.original, W, and the
              buffers parametrizations.name.0._u, one entry a row of M, and parametrizations.name.0._v, one a column;
              with hook=True they are called name_orig, name_u, name_v
    Errors    those of the layer; ValueError if it has no parameter of this name, or W no axis dim
    Source    Miyato, Kataoka, Koyama, Yoshida 2018, arXiv:1802.05957, eqs. 8, 12, algorithm 1;
              torch.nn.utils.parametrizations.spectral_norm, and with hook=True the older torch.nn.utils.spectral_norm
    Caveat    dim = None is 0, and 1 for a transposed convolution. In training u and v do depend on W, so (3) is the
              gradient of forward only where they have converged: torch and the paper take them for constants. torch
              moves them whenever it reads the weight, which RNNs and attention do several times a pass; here, once.
              With hook=True v moves before u, a vector is a matrix of one column, and the mode is that of a layer
              which has one
    """

    n_power_iterations: int = 1
    eps: float = 1e-12
    dim: int | None = None
    hook: bool = False
    training: bool = True

    constants = ("u", "v")
    cancels = True
    options = {
        "n_power_iterations": (1, 2, 3),
        "eps": (1e-12, 0.6),
        "dim": (None, 0, 1),
        "hook": (False, True),
        "training": (True, False),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_power_iterations < 1:
            raise ValueError(f"{self}: n_power_iterations takes an int of at least 1")

    @property
    def iterates(self) -> bool:
        """Do u and v move?"""
        training = getattr(self.layer, "training", self.training) if self.hook else self.training
        return bool(training) and not self._is_vector()

    @property
    def is_gradient(self) -> bool:
        return not self.iterates

    @property
    def axis(self) -> int:
        return int(type(self.layer).__name__.startswith("ConvTranspose")) if self.dim is None else self.dim

    def fits(self, weight):
        return -np.ndim(weight) * (not self.hook) <= self.axis < np.ndim(weight)

    def needs(self):
        return f"with an axis {self.axis}"

    def names(self):
        if self.hook:
            return {"W": f"{self.name}_orig", "u": f"{self.name}_u", "v": f"{self.name}_v"}
        at = f"parametrizations.{self.name}"
        names = {"W": f"{at}.original", "u": f"{at}.0._u", "v": f"{at}.0._v"}
        return {"W": names["W"]} if self._is_vector() else names

    def _is_vector(self) -> bool:
        return not self.hook and vars(self)["_axes"] == 1

    def matrix(self, W: Array) -> Array:
        return np.moveaxis(W, self.axis, 0).reshape(W.shape[self.axis], -1)

    def apart(self, W, rng):
        if self._is_vector():
            return {"W": W}
        M = self.matrix(W)
        u, v = (self._unit(rng.standard_normal(n)) for n in M.shape)
        return {"W": W} | dict(zip("uv", (u, v) if self.hook else self._power(M, u, v, 15)))

    def weight(self, own):
        W = own["W"]
        if self._is_vector():
            n = np.sqrt((W * W).sum())
            sigma, S = (n, W / n) if n.real >= self.eps else (np.asarray(self.eps, W.dtype), np.zeros_like(W))
            return W / sigma, (W / sigma, sigma, S, own)
        M, u, v = self.matrix(W), own["u"], own["v"]
        if self.iterates:
            u, v = self._power(M, u, v, self.n_power_iterations)
        sigma = u @ M @ v
        rest = W.shape[: self.axis % W.ndim] + W.shape[self.axis % W.ndim + 1 :]
        S = np.moveaxis(np.outer(u, v).reshape(len(u), *rest), 0, self.axis)
        return W / sigma, (W / sigma, sigma, S, {"W": W, "u": u, "v": v})

    def weight_backward(self, own, cache, dW):
        normed, sigma, S, _ = cache
        return {"W": (dW - S * (dW * normed).sum()) / sigma}  # (3)

    def moved(self, own, cache):
        return cache[-1]

    def _power(self, M: Array, u: Array, v: Array, times: int) -> tuple[Array, Array]:
        for _ in range(times):  # (1)
            if self.hook:
                v = self._unit(M.T @ u)
            u = self._unit(M @ v)
            if not self.hook:
                v = self._unit(M.T @ u)
        return u, v

    def _unit(self, q: Array) -> Array:
        return q / np.maximum(np.sqrt((q * q).sum()), self.eps)

    @classmethod
    def example(cls, choose, shape):
        kinds = (Linear, Conv1d, ConvTranspose1d) if len(shape) == 3 else (Linear,)
        layer = choose(*kinds).example(choose, shape)
        if layer is None or layer.init(np.random.default_rng(0))["weight"].size == 1:
            return None  # W̄ is ±1 whatever W is: dW = 0, and both sides leave rounding errors alone
        return cls(layer, **{name: choose(*values) for name, values in cls.options.items()})
