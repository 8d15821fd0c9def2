"""Channels standardised by the statistics of a batch, or by running ones. Beside torch/nn/modules/batchnorm.py."""

import math
from typing import Any, ClassVar

import numpy as np

from .base import Array, Params, describe, shape
from .normalization import Axes, Normalization, moments, standardize, standardize_backward, weight_and_bias


class _NormBase(Normalization, family=True):
    """Give every channel mean zero and variance one, then scale and shift it.

    Forward   μ = ⟨x⟩,  σ² = ⟨(x−μ)²⟩;  in evaluation μ, σ² = running_mean, running_var if these are tracked
              r = (σ²+ε)^(−1/2),  x̂ = (x−μ)r,  y = γx̂ + β
    Backward  dβ = Σdy,  dγ = Σdy x̂,  g = γdy
              dx = r(g − ⟨g⟩ − x̂⟨g x̂⟩)  where μ and σ² are those of x (see LayerNorm)
              dx = rg                    where they are running ones, so constants
    Track     in training  running ← (1−m) running + m·(μ, σ² n/(n−1)),  n the number of values under ⟨⟩
    A subclass says which axes ⟨⟩ is over and what m is.
    """

    num_features: int
    eps: float = 1e-5
    momentum: float | None = 0.1
    affine: bool = True
    track_running_stats: bool = True
    bias: bool = True
    training: bool = True

    buffers = ("running_mean", "running_var", "num_batches_tracked")  # where they are tracked
    shapes: ClassVar[str]  # of x, for messages; `ranks` are its numbers of axes
    counts: ClassVar[bool]  # does num_batches_tracked count?
    empty: ClassVar[bool]  # is a batch without values taken?
    options = {
        "eps": (1e-5, 0.3),
        "momentum": (0.1, None, 0.7),
        "affine": (True, False),
        "track_running_stats": (True, False),
        "bias": (True, False),
        "training": (True, False),
    }

    @classmethod
    def channels(cls, rank: int) -> int:
        """The axis of the channels in an x of so many axes."""
        raise NotImplementedError

    @classmethod
    def averaged(cls, rank: int) -> Axes:
        """The axes that ⟨⟩ is over."""
        raise NotImplementedError

    def rate(self, t: int) -> float:
        """m, the weight of the t-th batch in the running statistics."""
        raise NotImplementedError

    @property
    def by_batch(self) -> bool:
        """Are μ and σ² those of x, rather than running ones?"""
        return self.training or not self.track_running_stats

    def learned(self):
        return weight_and_bias(self.affine, self.bias, (self.num_features,))

    def init(self, rng: np.random.Generator, dtype: Any = np.float64) -> Params:
        running = {
            "running_mean": np.zeros(self.num_features, dtype),
            "running_var": np.ones(self.num_features, dtype),
            "num_batches_tracked": np.array(0),
        }
        return super().init(rng, dtype) | (running if self.track_running_stats else {})

    def sample_params(self, values):
        params = super().sample_params(values)
        if not self.track_running_stats:
            return params
        return params | {
            "running_var": values.positive((self.num_features,)),
            "num_batches_tracked": np.array(values.integers(0, 5, ())),
        }

    def check(self, x: Array) -> None:
        rank = len(shape(x))
        ok = rank in self.ranks and x.shape[self.channels(rank)] == self.num_features
        self.takes(ok, x, self.shapes)
        n = math.prod(x.shape[a] for a in self.averaged(rank))
        if self.by_batch and n < 2 and not (self.empty and n == 0):
            raise ValueError(
                f"{self} needs more than one value per channel, since one has the variance 0; it got {describe(x)}. "
                f"Give it more, or let it use running statistics: track_running_stats=True, and layer.eval()"
            )

    def forward(self, params, x):
        self.check(x)
        to = (self.num_features,) + (1,) * (x.ndim - 1 - self.channels(x.ndim))
        if self.by_batch and x.size:
            mean, d, var = moments(x, self.averaged(x.ndim))
        elif self.by_batch:
            mean, d, var = np.zeros(to, x.dtype), x, np.zeros(to, x.dtype)  # of an empty batch: there is nothing to do
        else:
            mean, var = params["running_mean"].reshape(to), params["running_var"].reshape(to)
            with np.errstate(invalid="ignore"):
                d = x - mean
        xhat, r = standardize(d, var, self.eps)
        return self.scale(params, xhat, to), (xhat, r, to, mean, var)

    def backward(self, params, cache, dy):
        xhat, r, to, *_ = cache
        g, grads = self.scale_backward(params, xhat, dy, to)
        own = self.by_batch and dy.size
        return standardize_backward(xhat, r, g, self.averaged(dy.ndim)) if own else r * g, grads

    def track(self, params, cache):
        if not (self.training and self.track_running_stats):
            return params
        xhat, _, _, mean, var = cache
        n = xhat.size // mean.size
        t = int(params["num_batches_tracked"]) + self.counts
        moved = {"num_batches_tracked": np.array(t)}
        if not xhat.size:
            return params | moved
        m = self.rate(t)
        for name, found in (("running_mean", mean), ("running_var", var * (n / (n - 1)))):
            found = found.reshape(-1, self.num_features).mean(0)
            moved[name] = (1 - m) * params[name] + m * found
        return params | moved

    @classmethod
    def example(cls, choose, shape):
        options = {name: choose(*values) for name, values in cls.options.items()}
        layer = cls(shape[cls.channels(len(shape))], **options)
        if layer.by_batch and math.prod(shape[a] for a in cls.averaged(len(shape))) < 2:
            return layer.replace(track_running_stats=True, training=False)
        return layer


class _BatchNorm(_NormBase, family=True):
    """⟨⟩ over every axis but that of the channels, so over the batch too; m = momentum, or 1/t, which makes the running
    statistics the plain average of all batches, where momentum is None."""

    counts, empty = True, True

    @classmethod
    def channels(cls, rank):
        return 1

    @classmethod
    def averaged(cls, rank):
        return (0, *range(2, rank))

    def rate(self, t):
        return 1 / t if self.momentum is None else self.momentum


class BatchNorm1d(_BatchNorm):
    """Give every channel mean zero and variance one over the batch, then scale and shift it.

    Forward   training    μ = ⟨x⟩,  σ² = ⟨(x−μ)²⟩  over all axes but that of the channels
              evaluation  μ, σ² = running_mean, running_var if these are tracked, else as in training
              r = (σ²+ε)^(−1/2),  x̂ = (x−μ)r,  y = γx̂ + β
    Backward  dβ = Σdy,  dγ = Σdy x̂,  g = γdy
              training    dx = r(g − ⟨g⟩ − x̂⟨g x̂⟩), as derived at LayerNorm
              evaluation  μ and σ² are constants: dx = rg
    Shapes    x, y: (N, num_features) or (N, num_features, L); weight, bias, running_mean, running_var: (num_features,)
    Errors    ValueError for another number of axes or channels, or if by the batch a channel has a single value
    Source    Ioffe, Szegedy 2015, arXiv:1502.03167, algorithms 1–2; torch.nn.BatchNorm1d
    Caveat    x̂ uses σ² with 1/n, running_var collects σ² with 1/(n−1); torch's momentum is the weight of the new value;
              an empty batch gives an empty y and moves nothing but num_batches_tracked, as in torch
    """

    ranks, shapes = (2, 3), "(N, num_features) or (N, num_features, L)"


class BatchNorm2d(_BatchNorm):
    """BatchNorm1d's formulas for images.

    Forward   y = γ(x−μ)r + β
    Backward  dβ = Σdy,  dγ = Σdy x̂,  dx = r(g − ⟨g⟩ − x̂⟨g x̂⟩) in training, rg in evaluation, g = γdy
    Shapes    x, y: (N, num_features, H, W); weight, bias, running_mean, running_var: (num_features,)
    Errors    ValueError for another number of axes or channels, or if by the batch a channel has a single value
    Source    Ioffe, Szegedy 2015, arXiv:1502.03167, section 3.2; torch.nn.BatchNorm2d
    """

    ranks, shapes = (4,), "(N, num_features, H, W)"


class BatchNorm3d(_BatchNorm):
    """BatchNorm1d's formulas for volumes.

    Forward   y = γ(x−μ)r + β
    Backward  dβ = Σdy,  dγ = Σdy x̂,  dx = r(g − ⟨g⟩ − x̂⟨g x̂⟩) in training, rg in evaluation, g = γdy
    Shapes    x, y: (N, num_features, D, H, W); weight, bias, running_mean, running_var: (num_features,)
    Errors    ValueError for another number of axes or channels, or if by the batch a channel has a single value
    Source    Ioffe, Szegedy 2015, arXiv:1502.03167; torch.nn.BatchNorm3d
    """

    ranks, shapes = (5,), "(N, num_features, D, H, W)"


class SyncBatchNorm(_BatchNorm):
    """BatchNorm1d's formulas for any number of axes; in torch over the batches of several processes at once.

    Forward   y = γ(x−μ)r + β
    Backward  dβ = Σdy,  dγ = Σdy x̂,  dx = r(g − ⟨g⟩ − x̂⟨g x̂⟩) in training, rg in evaluation, g = γdy
    Shapes    x, y: (N, num_features, *); weight, bias, running_mean, running_var: (num_features,)
    Errors    ValueError for another number of channels, or if by the batch a channel has a single value
    Source    Ioffe, Szegedy 2015, arXiv:1502.03167; torch.nn.SyncBatchNorm on one process, where it is BatchNorm
    Caveat    the mean over all processes is that of one process that has all their samples: torch's process_group
              says who shares, and is not here
    """

    ranks, shapes = (2, 3, 4, 5), "(N, num_features, *)"
