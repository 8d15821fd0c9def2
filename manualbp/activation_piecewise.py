"""Activations made of straight pieces, or nearly so. Beside torch/nn/modules/activation.py."""

from typing import Any

import numpy as np

from .activation import Elementwise
from .base import Layer, Params, needs_rng, shape, unbroadcast


class Hardshrink(Elementwise):
    """Set small values to 0.

    Forward   y = 0 for |x| ≤ λ,  x elsewhere
    Backward  dx = 0 for |x| ≤ λ,  dy elsewhere
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of real numbers
    Source    torch.nn.Hardshrink
    Caveat    jumps at ±λ; torch counts both to the inside, forward and back
    """

    lambd: float = 0.5

    flat = True
    dyadic = True
    options = {"lambd": (0.5, 1.0, 0.3)}

    def f(self, x):
        return np.where(np.abs(np.real(x)) <= self.lambd, 0, x)

    def df(self, x, y):
        return np.abs(x) > self.lambd


class Hardsigmoid(Elementwise):
    """The sigmoid as three straight lines.

    Forward   y = min(max(x + 3, 0), 6)/6
    Backward  dx = dy/6 for −3 < x < 3,  0 elsewhere
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of real numbers
    Source    torch.nn.Hardsigmoid
    Caveat    kinks at ±3; torch takes 0 there. Its slope is 1/6 rounded to float32 even in float64 (3·10⁻⁸ off)
    """

    flat = True

    def f(self, x):
        return np.clip(x + 3, 0, 6) / 6

    def df(self, x, y):
        return ((x > -3) & (x < 3)).astype(x.dtype) / 6


class Hardswish(Elementwise):
    """x times its hard sigmoid.

    Forward   y = x min(max(x + 3, 0), 6)/6
    Backward  dx = 0 for x ≤ −3,  dy for x ≥ 3,  (x/3 + ½) dy between
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of real numbers
    Source    Howard et al. 2019, arXiv:1905.02244, §5.2; torch.nn.Hardswish
    Caveat    kinks at ±3; torch takes the outer slopes there, 0 and 1
    """

    flat = True

    def f(self, x):
        return x * np.clip(x + 3, 0, 6) / 6

    def df(self, x, y):
        return np.where(x <= -3, 0, np.where(x < 3, x / 3 + 0.5, 1))


class Hardtanh(Elementwise):
    """Clip to an interval.

    Forward   y = min(max(x, a), b)                           (a: min_val, b: max_val)
    Backward  dx = dy for a < x < b,  0 elsewhere
    Shapes    x, y: (*)
    Errors    ValueError unless min_val < max_val, or if x is no array of real numbers
    Source    torch.nn.Hardtanh
    Caveat    kinks at a and b; torch takes 0 at both
    """

    min_val: float = -1.0
    max_val: float = 1.0

    flat = True
    dyadic = True
    options = {"min_val": (-1.0, -0.5, -0.3), "max_val": (1.0, 2.0, 0.7)}

    def __post_init__(self):
        super().__post_init__()
        if not self.min_val < self.max_val:
            raise ValueError(f"{self} clips to nothing; give min_val < max_val")

    def f(self, x):
        return np.clip(x, self.min_val, self.max_val)

    def df(self, x, y):
        return (x > self.min_val) & (x < self.max_val)


class LeakyReLU(Elementwise):
    """Let a little of the negative values through.

    Forward   y = x for x > 0,  ax for x ≤ 0                  (a: negative_slope)
    Backward  dx = dy for x > 0,  a dy for x ≤ 0
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of real numbers
    Source    torch.nn.LeakyReLU
    Caveat    a kink at 0; torch takes the left slope a there
    """

    negative_slope: float = 0.01

    dyadic = True
    options = {"negative_slope": (0.25, 0.01, -0.5)}

    def f(self, x):
        return np.where(np.real(x) > 0, x, self.negative_slope * x)

    def df(self, x, y):
        return np.where(x > 0, 1, self.negative_slope)


class PReLU(Layer):
    """LeakyReLU whose slope is learned: one for all, or one for each channel.

    Forward   y = x for x > 0,  wx for x ≤ 0
    Backward  dx = dy for x > 0,  w dy for x ≤ 0;  ∂y/∂w = 0 for x > 0,  x for x ≤ 0, so
              dw = Σ dy x  over all x ≤ 0 that share w
    Shapes    x, y: (N, num_parameters, *), or (*) if num_parameters = 1; weight: (num_parameters,)
    Errors    ValueError if axis 1 of x is not num_parameters long (and that is not 1)
    Source    He, Zhang, Ren, Sun 2015, arXiv:1502.01852, eq. 1; torch.nn.PReLU
    Caveat    a kink at 0; torch takes the left slope w there. torch's option `init` is `init_value` here, since
              `init` makes a layer's parameters
    """

    num_parameters: int = 1
    init_value: float = 0.25

    ranks = (0, 1, 2, 3, 4)
    dyadic = True

    def init(self, rng: np.random.Generator, dtype: Any = np.float64) -> Params:
        return {"weight": np.full(self.num_parameters, self.init_value, dtype)}

    def forward(self, params, x):
        one, n, rank = self.num_parameters == 1, (self.num_parameters,), len(shape(x))
        self.takes(one or shape(x)[1:2] == n, x, "(*)" if one else "(N, num_parameters, *)")
        w = params["weight"].reshape((1,) * rank if one else (1, *n) + (1,) * (rank - 2))
        return np.where(np.real(x) > 0, x, w * x), (x, w)

    def backward(self, params, cache, dy):
        x, w = cache
        dx = np.where(x > 0, dy, w * dy)
        dw = unbroadcast(np.where(x > 0, 0, dy * x), w.shape)
        return dx, {"weight": np.reshape(dw, params["weight"].shape)}

    @classmethod
    def example(cls, choose, shape):
        return cls(choose(1, *shape[1:2]), choose(0.25, -0.3))


class ReLU6(Elementwise):
    """ReLU that ends at 6.

    Forward   y = min(max(x, 0), 6)
    Backward  dx = dy for 0 < x < 6,  0 elsewhere
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of real numbers
    Source    torch.nn.ReLU6
    Caveat    kinks at 0 and 6; torch takes 0 at both
    """

    flat = True
    dyadic = True

    def f(self, x):
        return np.clip(x, 0, 6)

    def df(self, x, y):
        return (x > 0) & (x < 6)


class RReLU(Layer):
    """LeakyReLU whose slope is drawn for every entry in training, and is the mean one in evaluation.

    Forward   r ~ U(lower, upper) in training,  r = (lower + upper)/2 otherwise
              y = x for x > 0,  rx for x ≤ 0
    Backward  dx = dy for x > 0,  r dy for x ≤ 0
    Shapes    x, y, r: (*)
    Errors    ValueError if lower > upper, if x is no array of real numbers, or in training without a generator
    Source    Xu, Wang, Chen, Li 2015, arXiv:1505.00853; torch.nn.RReLU
    Caveat    a kink at 0; torch takes the left slope r there. r is drawn for every entry, also where x > 0
    """

    lower: float = 1 / 8
    upper: float = 1 / 3
    training: bool = True

    ranks = (0, 1, 2, 3, 4)
    dyadic = True
    options = {"lower": (0.25, 1 / 8, -0.3), "upper": (0.25, 0.5, 1 / 3), "training": (False, True)}

    def __post_init__(self):
        super().__post_init__()
        if self.lower > self.upper:
            raise ValueError(f"{self} draws between lower and upper; give lower ≤ upper")

    @property
    def random(self):
        return self.training

    def forward(self, params, x, rng=None):
        self.takes(True, x, "(*)")
        mean = (self.lower + self.upper) / 2
        r = needs_rng(self, rng).uniform(self.lower, self.upper, x.shape) if self.training else mean
        slope = np.asarray(np.where(np.real(x) > 0, 1, r), x.dtype)
        return slope * x, (slope,)

    def backward(self, params, cache, dy):
        (slope,) = cache
        return slope * dy, {}


class Softshrink(Elementwise):
    """Move every value towards 0 by λ, small ones to 0.

    Forward   y = x − min(max(x, −λ), λ)
    Backward  dx = 0 for |x| ≤ λ,  dy elsewhere
    Shapes    x, y: (*)
    Errors    ValueError if lambd < 0, or if x is no array of real numbers
    Source    torch.nn.Softshrink
    Caveat    kinks at ±λ; torch takes 0 there
    """

    lambd: float = 0.5

    flat = True
    dyadic = True
    options = {"lambd": (0.5, 1.0, 0.3)}

    def __post_init__(self):
        super().__post_init__()
        if self.lambd < 0:
            raise ValueError(f"{self}: lambd is a width and cannot be negative")

    def f(self, x):
        return x - np.clip(x, -self.lambd, self.lambd)

    def df(self, x, y):
        return np.abs(x) > self.lambd


class Threshold(Elementwise):
    """Replace what does not exceed a threshold.

    Forward   y = x for x > threshold,  value elsewhere
    Backward  dx = 0 for x ≤ threshold,  dy elsewhere
    Shapes    x, y: (*)
    Errors    ValueError if x is no array of real numbers
    Source    torch.nn.Threshold
    Caveat    x = threshold is replaced and gets no gradient; where x is NaN it passes
    """

    threshold: float
    value: float

    flat = True
    dyadic = True
    options = {"threshold": (0.5, -1.0, 0.3), "value": (2.0, 0.25, -0.7)}

    def f(self, x):
        return np.where(np.real(x) <= self.threshold, self.value, x)

    def df(self, x, y):
        return ~(x <= self.threshold)
