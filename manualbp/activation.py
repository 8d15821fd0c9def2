"""Activations: one number in, one number out, each with its slope. Beside torch/nn/modules/activation.py.

Those made of straight pieces stand in activation_piecewise.py, all but ReLU.
"""

import math
from typing import ClassVar

import numpy as np

from .base import Array, Layer, shape
from .elementary import log_sigmoid, magnitude, normal_cdf, sigmoid, softplus, weighed


class Elementwise(Layer, family=True):
    """y = f(x) for every entry by itself, so the Jacobian is diagonal: dxᵢ = f′(xᵢ) dyᵢ.

    A subclass gives f(x) and its slope df(x, y), where y = f(x), or what `evaluate` keeps in its place, may save work.
    At a kink the slope is torch's choice. Where `flat` pieces have the slope 0, dx is 0 whatever dy is.
    f(NaN) is NaN. Its slope is left open, as in torch, where it depends on the entry's place in memory.
    """

    flat: ClassVar[bool] = False  # is f made of pieces, of which some are constant?

    ranks = (0, 1, 2, 3, 4)

    def f(self, x: Array) -> Array:
        raise NotImplementedError

    def df(self, x: Array, y: Array) -> Array:
        raise NotImplementedError

    def evaluate(self, x: Array) -> tuple[Array, Array]:
        """f(x), and what `df` takes beside x."""
        y = self.f(x)
        return y, y

    def forward(self, params, x):
        self.takes(True, x, "(*)")
        with np.errstate(invalid="ignore"):  # ∞·0 and ∞/∞ at x = ±∞ are NaN, as in torch
            y, kept = self.evaluate(x)
        return y, (x, kept)

    def backward(self, params, cache, dy):
        x, y = cache
        with np.errstate(invalid="ignore"):
            slope = np.asarray(self.df(x, y), x.dtype)  # a choice between Python numbers would be float64 or int64
            return (weighed(slope, dy) if self.flat else dy * slope), {}


class Weighted(Elementwise, family=True):
    """x, weighed by a function of it.

    Forward   y = xw
    Backward  dy/dx = w + xw′
    A subclass gives w(x), and w′ as dw(x, w): w is kept for the way back.
    """

    def w(self, x: Array) -> Array:
        raise NotImplementedError

    def dw(self, x: Array, w: Array) -> Array:
        raise NotImplementedError

    def f(self, x):
        return x * self.w(x)

    def evaluate(self, x):
        w = self.w(x)
        return x * w, w

    def df(self, x, w):
        return w + x * self.dw(x, w)


class CELU(Elementwise):
    """ELU with a smooth joint at 0 for every α.

    Forward   y = x for x > 0,  α(e^(x/α) − 1) for x ≤ 0
    Backward  dx = dy for x > 0,  e^(x/α) dy for x ≤ 0
    Shapes    x, y: (*)
    Errors    ValueError if alpha = 0, or if x is no array of real numbers
    Source    Barron 2017, arXiv:1704.07483; torch.nn.CELU
    Caveat    torch rounds α to float32 in its backward, in float64 too: 10⁻⁸ off unless α is short, like 0.5; not here
    """

    alpha: float = 1.0

    options = {"alpha": (1.0, 0.5, 0.3)}

    def __post_init__(self):
        super().__post_init__()
        if self.alpha == 0:
            raise ValueError(f"{self} divides by alpha; give one that is not 0")

    def f(self, x):
        return np.where(np.real(x) > 0, x, self.alpha * np.expm1(np.minimum(x, 0) / self.alpha))

    def df(self, x, y):
        return np.where(x > 0, 1, np.exp(np.minimum(x, 0) / self.alpha))


class ELU(Elementwise):
    """A line on the right, an exponential that levels off at −α on the left.

    Forward   y = x for x > 0,  α(eˣ − 1) for x ≤ 0
    Backward  dx = dy for x > 0,  αeˣ dy for x ≤ 0
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of real numbers
    Source    Clevert, Unterthiner, Hochreiter 2015, arXiv:1511.07289; torch.nn.ELU
    Caveat    a kink at 0 unless α = 1; torch takes the left slope α there
    """

    alpha: float = 1.0

    options = {"alpha": (1.0, 0.5, 2.3)}

    def f(self, x):
        return np.where(np.real(x) > 0, x, self.alpha * np.expm1(np.minimum(x, 0)))

    def df(self, x, y):
        return np.where(x > 0, 1, self.alpha * np.exp(np.minimum(x, 0)))


class GELU(Weighted):
    """Weigh x by the probability that a standard normal number is smaller.

    Forward   y = xw,  w = Φ
              "none"  Φ = ½(1 + erf(x/√2)), the distribution of the normal density φ = e^(−x²/2)/√(2π)
              "tanh"  Φ ≈ ½(1 + tanh u) = σ(2u),  u = c(x + ax³),  c = √(2/π),  a = 0.044715
    Backward  dy/dx = w + xw′,  w′ = Φ′
              "none"  Φ′ = φ
              "tanh"  Φ′ = 2σ′(2u) u′ = 2σ(2u)σ(−2u) u′ = 2Φσ(−2u) u′,  u′ = c(1 + 3ax²)
    Shapes    x, y: (*)
    Errors    ValueError if approximate is neither "none" nor "tanh", or if x is no array of real numbers
    Source    Hendrycks, Gimpel 2016, arXiv:1606.08415; torch.nn.GELU
    Caveat    far left 1 + erf and 1 + tanh cancel: in torch Φ < 10⁻¹⁶ is 0, here it keeps its digits
    """

    approximate: str = "none"

    cancels = True
    options = {"approximate": ("none", "tanh")}

    def __post_init__(self):
        super().__post_init__()
        if self.approximate not in ("none", "tanh"):
            raise ValueError(f'{self}: approximate is "none" or "tanh"')

    def u(self, x: Array) -> Array:
        return math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)

    def w(self, x):
        return normal_cdf(x) if self.approximate == "none" else sigmoid(2 * self.u(x))

    def dw(self, x, w):
        if self.approximate == "none":
            return np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
        return 2 * w * sigmoid(-2 * self.u(x)) * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x**2)


class GLU(Layer):
    """One half of the input gates the other.

    Forward   x = (a, b) along dim,  y = aσ(b)
    Backward  ∂y/∂a = σ(b),  ∂y/∂b = aσ(b)(1 − σ(b)),  so with s = σ(b):  da = dy s,  db = dy a s(1 − s)
    Shapes    x: (*, 2n, *),  y: (*, n, *) along dim
    Errors    ValueError if the axis dim of x is missing or its length odd
    Source    Dauphin, Fan, Auli, Grangier 2016, arXiv:1612.08083, eq. 1; torch.nn.GLU
    """

    dim: int = -1

    def forward(self, params, x):
        rank = len(shape(x))
        self.takes(-rank <= self.dim < rank and shape(x)[self.dim] % 2 == 0, x, "(*, 2n, *), 2n along dim")
        a, b = np.split(x, 2, self.dim)
        s = sigmoid(b)
        return a * s, (a, s)

    def backward(self, params, cache, dy):
        a, s = cache
        return np.concatenate([dy * s, dy * a * s * (1 - s)], self.dim), {}

    @classmethod
    def example(cls, choose, shape):
        even = [dim for dim in range(-len(shape), len(shape)) if shape[dim] % 2 == 0]
        return cls(choose(*even)) if even else None


class LogSigmoid(Elementwise):
    """The logarithm of the sigmoid.

    Forward   y = log σ(x) = −log(1 + e⁻ˣ)
    Backward  dy/dx = e⁻ˣ/(1 + e⁻ˣ) = σ(−x)
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of real numbers
    Source    torch.nn.LogSigmoid
    """

    def f(self, x):
        return log_sigmoid(x)

    def df(self, x, y):
        return sigmoid(-x)


class Mish(Weighted):
    """Weigh x by the tanh of its softplus.

    Forward   y = xw,  w = tanh s,  s = log(1 + eˣ)
    Backward  ds/dx = σ(x),  dw/ds = 1 − w²,  so  w′ = σ(x)(1 − w²)  and  dy/dx = w + xw′
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of real numbers
    Source    Misra 2019, arXiv:1908.08681; torch.nn.Mish
    """

    def w(self, x):
        return np.tanh(softplus(x))

    def dw(self, x, w):
        return sigmoid(x) * (1 - w * w)


class ReLU(Elementwise):
    """Cut negative values off.

    Forward   y = max(x, 0)
    Backward  dx = 0 for x ≤ 0,  dy elsewhere
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of real numbers
    Source    torch.nn.ReLU
    Caveat    no derivative at 0; torch takes 0 there, and dy where x is NaN
    """

    flat = True
    dyadic = True

    def f(self, x):
        return np.maximum(x, 0)

    def df(self, x, y):
        return ~(x <= 0)


SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


class SELU(Elementwise):
    """ELU scaled so that layers of it keep mean 0 and variance 1.

    Forward   y = λx for x > 0,  λα(eˣ − 1) for x ≤ 0
              α, λ solve  ⟨y⟩ = 0, ⟨y²⟩ = 1  for standard normal x:  α = 1.67326…, λ = 1.05070…
    Backward  dx = λ dy for x > 0,  λαeˣ dy for x ≤ 0
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of real numbers
    Source    Klambauer, Unterthiner, Mayr, Hochreiter 2017, arXiv:1706.02515, eqs. 2, 14; torch.nn.SELU
    Caveat    a kink at 0; torch takes the left slope λα there
    """

    def f(self, x):
        return SELU_SCALE * np.where(np.real(x) > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0)))

    def df(self, x, y):
        return SELU_SCALE * np.where(x > 0, 1, SELU_ALPHA * np.exp(np.minimum(x, 0)))


class Sigmoid(Elementwise):
    """Squash to (0, 1).

    Forward   y = σ(x) = 1/(1 + e⁻ˣ)
    Backward  dy/dx = e⁻ˣ/(1 + e⁻ˣ)² = y(1 − y)
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of real numbers
    Source    torch.nn.Sigmoid
    """

    cancels = True  # 1 − y near y = 1

    def f(self, x):
        return sigmoid(x)

    def df(self, x, y):
        return y * (1 - y)


class SiLU(Weighted):
    """Weigh x by its sigmoid; also called swish.

    Forward   y = xw,  w = σ(x)
    Backward  σ′ = σ(1 − σ), so  w′ = w(1 − w)  and  dy/dx = w + xw′
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of real numbers
    Source    Elfwing, Uchibe, Doya 2017, arXiv:1702.03118; torch.nn.SiLU
    """

    def w(self, x):
        return sigmoid(x)

    def dw(self, x, w):
        return w * (1 - w)


class Softplus(Elementwise):
    """ReLU with a round corner.

    Forward   z = βx;  y = log(1 + eᶻ)/β for z ≤ threshold,  x beyond
    Backward  dx = σ(z) dy for z ≤ threshold,  dy beyond
    Shapes    x, y: (*)
    Errors    ValueError if beta = 0, or if x is no array of real numbers
    Source    torch.nn.Softplus
    Caveat    the step at the threshold is torch's: log(1 + e⁻ᶻ)/β, 2·10⁻⁹ at the default 20
    """

    beta: float = 1.0
    threshold: float = 20.0

    options = {"beta": (1.0, 2.0, 0.3), "threshold": (20.0, 1.0)}

    def __post_init__(self):
        super().__post_init__()
        if self.beta == 0:
            raise ValueError(f"{self} divides by beta; give one that is not 0")

    def f(self, x):
        z = self.beta * x
        return np.where(np.real(z) > self.threshold, x, softplus(z) / self.beta)

    def df(self, x, y):
        z = self.beta * x
        return np.where(z > self.threshold, 1, sigmoid(z))


class Softsign(Elementwise):
    """Squash to (−1, 1), slowly.

    Forward   y = x/(1 + |x|)
    Backward  dy/dx = ((1 + |x|) − x sgn x)/(1 + |x|)² = 1/(1 + |x|)²
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of real numbers
    Source    torch.nn.Softsign
    """

    def f(self, x):
        return x / (1 + magnitude(x))

    def df(self, x, y):
        return (1 + np.abs(x)) ** -2


class Tanh(Elementwise):
    """Squash to (−1, 1).

    Forward   y = tanh x = (eˣ − e⁻ˣ)/(eˣ + e⁻ˣ)
    Backward  dy/dx = 1 − tanh²x, so  dx = (1 − y²) dy
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of real numbers
    Source    torch.nn.Tanh
    """

    cancels = True  # 1 − y² near |y| = 1

    def f(self, x):
        return np.tanh(x)

    def df(self, x, y):
        return 1 - y * y


class Tanhshrink(Elementwise):
    """What tanh leaves over.

    Forward   y = x − t,  t = tanh x
    Backward  ∂t/∂x = 1 − t², so  dy/dx = 1 − (1 − t²) = t²
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of real numbers
    Source    torch.nn.Tanhshrink
    Caveat    near 0 y ≈ x³/3 is a difference of which few digits are left, here as in torch; torch loses those of the
              slope, too
    """

    cancels = True

    def f(self, x):
        return x - np.tanh(x)

    def df(self, x, y):
        t = np.tanh(x)
        return t * t
