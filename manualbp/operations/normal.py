"""What belongs to the normal distribution and to the factorials: erfc and its kin, log Φ, log Γ."""

import math

import numpy as np

from ..elementary import erfc, erfcx, erfinv, log_normal_cdf
from ..gamma import digamma, log_gamma
from .exponentials import SQUEEZED
from .functions import Function
from .hyperbolic import INSIDE

BETWEEN = "Sequential(Hardtanh(-4.0, 4.0), Softplus(), Add(other=0.5))"  # above 0, and below what log Γ grows fast from


class Erfc(Function):
    """What the error function lacks to 1.

    Forward   y = 1 − erf x = (2/√π) ∫ₓ^∞ e^(−s²) ds
    Backward  the integrand at its lower end, which takes away:  dx = −(2/√π) e^(−x²) dy
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.erfc; `manualbp.elementary.erfc` says how it is computed
    """

    calls = ("torch.erfc", "torch.special.erfc", "Tensor.erfc")

    def f(self, x):
        return erfc(x)

    def df(self, x, y):
        return -2 / math.sqrt(math.pi) * np.exp(-x * x)


class Erfcx(Function):
    """The complementary error function without its fast decay.

    Forward   y = e^(x²) erfc x
    Backward  y′ = 2x e^(x²) erfc x − e^(x²) (2/√π) e^(−x²):  dx = (2xy − 2/√π) dy
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.special.erfcx; `manualbp.elementary.erfcx` says how it is computed
    Caveat    for large x the two terms of the slope cancel, in torch, too
    """

    calls = ("torch.special.erfcx",)
    guards = (SQUEEZED,)
    cancels = True

    def f(self, x):
        return erfcx(x)

    def df(self, x, y):
        return 2 * x * y - 2 / math.sqrt(math.pi)


class Erfinv(Function):
    """The number of which x is the error function: what makes normal numbers of uniform ones.

    Forward   erf y = x
    Backward  (2/√π) e^(−y²) y′ = 1:  dx = ½√π e^(y²) dy
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.erfinv; `manualbp.elementary.erfinv` says how it is computed
    Caveat    ±∞ at x = ±1 with slope ∞; NaN beyond
    """

    calls = ("torch.erfinv", "torch.special.erfinv", "Tensor.erfinv")
    guards = (INSIDE,)

    def f(self, x):
        return erfinv(x)

    def df(self, x, y):
        return math.sqrt(math.pi) / 2 * np.exp(y * y)

    def sample(self, values, shape):
        return 0.9 * np.sin(values.real(shape))


class LogNdtr(Function):
    """The logarithm of the probability that a standard normal number is smaller.

    Forward   y = log Φ(x),  Φ(x) = ½(1 + erf(x/√2))
    Backward  Φ′ = e^(−x²/2)/√(2π) and Φ = eʸ, so  y′ = Φ′/Φ:  dx = e^(−x²/2 − y)/√(2π) dy
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.special.log_ndtr; `manualbp.elementary.log_normal_cdf` says how it is computed
    Caveat    y is near −x²/2 at large negative x, where dx loses digits, in torch, too
    """

    calls = ("torch.special.log_ndtr",)
    guards = (SQUEEZED,)
    cancels = True

    def f(self, x):
        return log_normal_cdf(x)

    def df(self, x, y):
        return np.exp(-x * x / 2 - y) / math.sqrt(2 * math.pi)


class Lgamma(Function):
    """The logarithm of the gamma function's size: of factorials, in the densities of many distributions.

    Forward   y = log |Γ(x)|;  Γ(n + 1) = n!
    Backward  y′ = Γ′(x)/Γ(x) = ψ(x), the digamma function:  dx = ψ(x) dy
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of numbers
    Source    torch.lgamma; `manualbp.gamma` says how both are computed
    Caveat    ∞ at 0, −1, −2, …, with the slope −∞ at 0 and NaN at the others, as in torch
    """

    calls = ("torch.lgamma", "torch.special.gammaln", "Tensor.lgamma")
    positive = True
    guards = (BETWEEN,)

    def f(self, x):
        return log_gamma(x)

    def df(self, x, y):
        return digamma(x)
