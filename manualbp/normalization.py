"""Mean and variance taken out of x, over its last axes or over groups of channels.
Beside torch/nn/modules/normalization.py."""

import math
from typing import Any

import numpy as np

from .base import Array, Layer, Params, shape, unbroadcast

Axes = tuple[int, ...]


@np.errstate(invalid="ignore")  # as in torch, NaN where x holds an infinity
def moments(x: Array, axes: Axes) -> tuple[Array, Array, Array]:
    """μ = ⟨x⟩, d = x−μ and σ² = ⟨d²⟩ over the axes, which stay with length 1. ⟨x²⟩ − μ² would cancel where |μ| ≫ σ."""
    mean = x.mean(axes, keepdims=True)
    d = x - mean
    return mean, d, (d * d).mean(axes, keepdims=True)


@np.errstate(invalid="ignore")
def standardize(d: Array, var: Array, eps: float) -> tuple[Array, Array]:
    """x̂ = dr of d = x−μ, and r = (σ²+ε)^(−1/2)."""
    r = 1 / np.sqrt(var + eps)
    return d * r, r


def standardize_backward(xhat: Array, r: Array, g: Array, axes: Axes) -> Array:
    """dx of g = dx̂ where μ and σ² are those of x itself; `LayerNorm` derives it."""
    return r * (g - g.mean(axes, keepdims=True) - xhat * (g * xhat).mean(axes, keepdims=True))


class Normalization(Layer, family=True):
    """A normalised x̂, scaled and shifted by γ (weight) and β (bias), which are repeated along the axes they lack.

    Forward   y = γx̂ + β
    Backward  ∂y/∂β = 1,  ∂y/∂γ = x̂,  ∂y/∂x̂ = γ;  with Σ over the axes along which γ and β are repeated
              dβ = Σdy,  dγ = Σdy x̂,  and on to x̂ goes  g = γdy
    A subclass gives learned(), makes x̂, and takes g back to x.
    """

    cancels = True  # x − μ where all x are equal, and g − ⟨g⟩ − x̂⟨g x̂⟩

    def learned(self) -> dict[str, tuple[int, ...]]:
        """The names and shapes of those of γ and β that the options ask for."""
        raise NotImplementedError

    def init(self, rng: np.random.Generator, dtype: Any = np.float64) -> Params:
        return {name: np.full(size, 1 if name == "weight" else 0, dtype) for name, size in self.learned().items()}

    def scale(self, params: Params, xhat: Array, to: tuple[int, ...]) -> Array:
        """y of x̂; `to` is the shape in which γ and β stand beside x̂."""
        learned = self.learned()
        y = xhat * params["weight"].reshape(to) if "weight" in learned else xhat
        return y + params["bias"].reshape(to) if "bias" in learned else y

    def scale_backward(self, params: Params, xhat: Array, dy: Array, to: tuple[int, ...]) -> tuple[Array, Params]:
        """g and the gradients by γ and β."""
        terms, learned = {"weight": dy * xhat, "bias": dy}, self.learned()
        grads = {name: unbroadcast(terms[name], to).reshape(size) for name, size in learned.items()}
        return dy * params["weight"].reshape(to) if "weight" in learned else dy, grads


def weight_and_bias(affine: bool, bias: bool, size: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """What is learned: no bias without affine, whatever `bias` says."""
    return ({"weight": size} if affine else {}) | ({"bias": size} if affine and bias else {})


class _LastAxes(Normalization, family=True):
    """What normalises over the axes that normalized_shape names."""

    normalized_shape: int | tuple[int, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        given = self.normalized_shape
        sizes = tuple(map(int, given)) if isinstance(given, tuple) else (int(given),)
        if not sizes or min(sizes) < 1:
            raise ValueError(f"normalized_shape is a positive int or a tuple of them, not {given}")
        object.__setattr__(self, "normalized_shape", sizes)  # as torch does

    @property
    def sizes(self) -> tuple[int, ...]:
        return self.normalized_shape  # type: ignore[return-value]

    @property
    def axes(self) -> Axes:
        return tuple(range(-len(self.sizes), 0))

    @classmethod
    def example(cls, choose, shape):
        last = choose(*range(1, min(len(shape), 3) + 1))
        if math.prod(shape[-last:]) == 1:  # dx = 0 here, rounding errors alone in torch: nothing to compare
            return None
        return cls(shape[-last:], **{name: choose(*values) for name, values in cls.options.items()})


class LayerNorm(_LastAxes):
    """Give the last axes of x mean zero and variance one, then scale and shift.

    Forward   μ = ⟨x⟩,  r = (⟨(x−μ)²⟩+ε)^(−1/2),  x̂ = (x−μ)r,  y = γx̂ + β
    Backward  dβ = Σdy,  dγ = Σdy x̂,  g = γdy.  With n entries under ⟨⟩, of which (x−μ) have the sum 0,
              ∂μ/∂xⱼ = 1/n
              ∂r/∂xⱼ = −½r³ · 2(xⱼ−μ)/n = −r²x̂ⱼ/n
              ∂x̂ᵢ/∂xⱼ = r(δᵢⱼ − 1/n) + (xᵢ−μ) ∂r/∂xⱼ = r(δᵢⱼ − 1/n − x̂ᵢx̂ⱼ/n)
              dxⱼ = Σᵢ gᵢ ∂x̂ᵢ/∂xⱼ = r(gⱼ − ⟨g⟩ − x̂ⱼ⟨g x̂⟩)
    Shapes    x, y: (*, *normalized_shape); weight, bias: normalized_shape
    Errors    ValueError if x does not end in normalized_shape
    Source    Ba, Kiros, Hinton 2016, arXiv:1607.06450, eqs. 3–4; torch.nn.LayerNorm
    Caveat    ε stands under the root, and σ² divides by n, not n − 1; without elementwise_affine there is no bias.
              Over one entry x̂ = 0 and dx = 0
    """

    eps: float = 1e-5
    elementwise_affine: bool = True
    bias: bool = True

    options = {"eps": (1e-5, 0.3), "elementwise_affine": (True, False), "bias": (True, False)}

    def learned(self):
        return weight_and_bias(self.elementwise_affine, self.bias, self.sizes)

    def forward(self, params, x):
        self.takes(shape(x)[-len(self.sizes) :] == self.sizes, x, "(*, *normalized_shape)")
        _, d, var = moments(x, self.axes)
        xhat, r = standardize(d, var, self.eps)
        return self.scale(params, xhat, self.sizes), (xhat, r)

    def backward(self, params, cache, dy):
        xhat, r = cache
        g, grads = self.scale_backward(params, xhat, dy, self.sizes)
        return standardize_backward(xhat, r, g, self.axes), grads


class RMSNorm(_LastAxes):
    """Give the last axes of x the mean square one, then scale. Nothing is subtracted.

    Forward   r = (⟨x²⟩+ε)^(−1/2),  x̂ = xr,  y = γx̂
    Backward  dγ = Σdy x̂,  g = γdy.  With n entries under ⟨⟩
              ∂r/∂xⱼ = −½r³ · 2xⱼ/n = −r²x̂ⱼ/n
              ∂x̂ᵢ/∂xⱼ = rδᵢⱼ + xᵢ ∂r/∂xⱼ = r(δᵢⱼ − x̂ᵢx̂ⱼ/n)
              dxⱼ = Σᵢ gᵢ ∂x̂ᵢ/∂xⱼ = r(gⱼ − x̂ⱼ⟨g x̂⟩)
    Shapes    x, y: (*, *normalized_shape); weight: normalized_shape
    Errors    ValueError if x does not end in normalized_shape
    Source    Zhang, Sennrich 2019, arXiv:1910.07467, eq. 4, which has no ε; torch.nn.RMSNorm
    Caveat    eps=None is the machine epsilon: 2⁻²³ in float32 and 2⁻⁵² beyond, longdouble included
    """

    eps: float | None = None
    elementwise_affine: bool = True

    options = {"eps": (1e-5, None, 0.3), "elementwise_affine": (True, False)}

    def learned(self):
        return {"weight": self.sizes} if self.elementwise_affine else {}

    def forward(self, params, x):
        self.takes(shape(x)[-len(self.sizes) :] == self.sizes, x, "(*, *normalized_shape)")
        # longdouble measures the rounding of float64, so it has the ε of float64, not one of its own.
        eps = max(float(np.finfo(x.dtype).eps), 2.0**-52) if self.eps is None else self.eps
        xhat, r = standardize(x, (x * x).mean(self.axes, keepdims=True), eps)
        return self.scale(params, xhat, self.sizes), (xhat, r)

    def backward(self, params, cache, dy):
        xhat, r = cache
        g, grads = self.scale_backward(params, xhat, dy, self.sizes)
        return r * (g - xhat * (g * xhat).mean(self.axes, keepdims=True)), grads


class GroupNorm(Normalization):
    """Give every group of neighbouring channels mean zero and variance one, then scale and shift each channel.

    Forward   x split along C into num_groups runs of C/num_groups channels; x̂ of each as in LayerNorm;  y = γx̂ + β
    Backward  dβ, dγ and g = γdy channel by channel;  within each group  dx = r(g − ⟨g⟩ − x̂⟨g x̂⟩)  (see LayerNorm)
    Shapes    x, y: (N, num_channels, *); weight, bias: (num_channels,)
    Errors    ValueError if num_groups does not divide num_channels, or x has another number of channels
    Source    Wu, He 2018, arXiv:1803.08494, eqs. 2–5, 7; torch.nn.GroupNorm
    Caveat    a group of a single value gives y = β, and dx = 0; torch refuses it where the batch is 1
    """

    num_groups: int
    num_channels: int
    eps: float = 1e-5
    affine: bool = True
    bias: bool = True

    ranks = (2, 3, 4, 5)
    options = {"eps": (1e-5, 0.3), "affine": (True, False), "bias": (True, False)}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_groups < 1 or self.num_channels < 1 or self.num_channels % self.num_groups:
            raise ValueError(f"num_groups = {self.num_groups} does not divide num_channels = {self.num_channels}")

    def learned(self):
        return weight_and_bias(self.affine, self.bias, (self.num_channels,))

    def grouped(self, x: Array) -> Array:
        """x with its channels as (num_groups, C/num_groups)."""
        n, c, *rest = x.shape
        return x.reshape(n, self.num_groups, c // self.num_groups, *rest)

    def forward(self, params, x):
        self.takes(len(shape(x)) > 1 and x.shape[1] == self.num_channels, x, "(N, num_channels, *)")
        groups, to = self.grouped(x), (self.num_channels,) + (1,) * (x.ndim - 2)
        axes = tuple(range(2, groups.ndim))
        _, d, var = moments(groups, axes)
        xhat, r = standardize(d, var, self.eps)
        return self.scale(params, xhat.reshape(x.shape), to), (xhat, r, axes, to)

    def backward(self, params, cache, dy):
        xhat, r, axes, to = cache
        g, grads = self.scale_backward(params, xhat.reshape(dy.shape), dy, to)
        return standardize_backward(xhat, r, self.grouped(g), axes).reshape(dy.shape), grads

    @classmethod
    def example(cls, choose, shape):
        _, c, *rest = shape
        groups = choose(*(g for g in range(1, c + 1) if c % g == 0))
        if c // groups * math.prod(rest) == 1:
            return None
        return cls(groups, c, **{name: choose(*values) for name, values in cls.options.items()})


class LocalResponseNorm(Layer):
    """Divide every channel by a power of the mean square of its neighbours.

    Forward   n = size,  W(c) = {c − ⌊n/2⌋, …, c + ⌊(n−1)/2⌋}, cut off at the ends
              d_c = k + α/n Σ_{i∈W(c)} xᵢ²,   y_c = x_c d_c^(−β)
    Backward  ∂d_c/∂xᵢ = (2α/n) xᵢ [i∈W(c)]
              ∂y_c/∂xᵢ = δ_cᵢ d_c^(−β) − β x_c d_c^(−β−1) ∂d_c/∂xᵢ = δ_cᵢ d_c^(−β) − (2αβ/n) xᵢ [i∈W(c)] y_c/d_c
              i∈W(c) is  i − ⌊(n−1)/2⌋ ≤ c ≤ i + ⌊n/2⌋,  the window turned round: c∈V(i), so
              dxᵢ = dyᵢ dᵢ^(−β) − (2αβ/n) xᵢ Σ_{c∈V(i)} dy_c y_c/d_c
    Shapes    x, y: (N, C, *), with one axis at least after C
    Errors    ValueError for another number of axes, or size < 1
    Source    Krizhevsky, Sutskever, Hinton 2012, section 3.3, with α/n for their α; torch.nn.LocalResponseNorm
    Caveat    an even size takes one more channel below than above
    """

    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0

    ranks = (3, 4, 5)
    options = {"size": (2, 1, 3, 4), "alpha": (1e-4, 0.3, 2.0), "beta": (0.75, 0.5, 1.3), "k": (1.0, 2.0, 0.6)}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size < 1:
            raise ValueError(f"LocalResponseNorm looks at size ≥ 1 channels, not {self.size}")

    def forward(self, params, x):
        self.takes(len(shape(x)) > 2, x, "(N, C, *), with one axis at least after C")
        d = self.k + self.alpha / self.size * _windows(x * x, self.size // 2, (self.size - 1) // 2)
        y = x * d**-self.beta
        return y, (x, d, y)

    def backward(self, params, cache, dy):
        x, d, y = cache
        reached = _windows(dy * y / d, (self.size - 1) // 2, self.size // 2)
        return dy * d**-self.beta - 2 * self.alpha * self.beta / self.size * x * reached, {}


class CrossMapLRN2d(Layer):
    """LocalResponseNorm as Lua Torch had it, with a window of its own, and a backward that is not its gradient.

    Forward   n = size,  p = ⌊(n+1)/2⌋;  A_ci = 1 if |i − c| < p or i = 0, else 0
              d_c = k + α/n Σᵢ A_ci xᵢ²,   y_c = x_c d_c^(−β)
    Backward  as for LocalResponseNorm  ∂y_c/∂xᵢ = δ_cᵢ d_c^(−β) − (2αβ/n) xᵢ A_ci y_c/d_c,  so the gradient is
              dxᵢ = dyᵢ dᵢ^(−β) − (2αβ/n) xᵢ Σ_c B_ic dy_c y_c/d_c,   B = Aᵀ
              torch has B_ic = 1 if i − p ≤ c < i − p + n, else 0, and this has it too where as_torch is True
    Shapes    x, y: (N, C, H, W)
    Errors    ValueError for another number of axes, or size < 1, or size < 2 where as_torch is True
    Source    torch.nn.CrossMapLRN2d
    Caveat    the window slides, and channel 0 is never taken out of it again: `c > pre_pad` in torch means `>=`. Its
              backward forgets that, and lies a channel too low. as_torch=False gives the gradient of this forward;
              LocalResponseNorm is the function that was meant
    """

    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1
    as_torch: bool = True

    ranks = (4,)
    cancels = True
    options = {
        "size": (3, 2, 4, 5),
        "alpha": (1e-4, 0.3, 2.0),
        "beta": (0.75, 0.5),
        "k": (1.0, 2.0),
        "as_torch": (False, True),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size < 1 + self.as_torch:
            raise ValueError(f"{self}: size is 1 or more, and 2 or more with as_torch, since torch's backward needs it")

    @property
    def is_gradient(self) -> bool:
        return not self.as_torch

    def forward(self, params, x):
        self.takes(np.ndim(x) == 4, x, "(N, C, H, W)")
        c, i = np.indices((x.shape[1],) * 2)
        A = ((np.abs(i - c) < (self.size + 1) // 2) | (i == 0)).astype(x.dtype)
        d = self.k + self.alpha / self.size * _mixed(A, x * x)
        y = x * d**-self.beta
        return y, (x, d, y, A)

    def backward(self, params, cache, dy):
        x, d, y, A = cache
        i, c = np.indices(A.shape)
        p = (self.size + 1) // 2
        B = ((i - p <= c) & (c < i - p + self.size)).astype(x.dtype) if self.as_torch else A.T
        return dy * d**-self.beta - 2 * self.alpha * self.beta / self.size * x * _mixed(B, dy * y / d), {}


def _mixed(A: Array, q: Array) -> Array:
    """Σᵢ A_ci qᵢ for every channel c, at every place."""
    return (A @ q.reshape(*q.shape[:2], math.prod(q.shape[2:]))).reshape(q.shape)


def _windows(q: Array, below: int, above: int) -> Array:
    """For every channel c the sum of q over the channels c − below, …, c + above that there are."""
    channels = q.shape[1]
    padded = np.pad(q, [(0, 0), (below, above)] + [(0, 0)] * (q.ndim - 2))
    return sum(padded[:, i : i + channels] for i in range(1, below + above + 1)) + padded[:, :channels]
