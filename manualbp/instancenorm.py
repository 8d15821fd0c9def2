"""Channels of every sample standardised by themselves. Beside torch/nn/modules/instancenorm.py."""

from .batchnorm import _NormBase


class _InstanceNorm(_NormBase, family=True):
    """⟨⟩ over the axes after the channels, so for every sample by itself; the batch's average of μ and σ² is tracked,
    with m = momentum, and not at all where it is None."""

    affine: bool = False
    track_running_stats: bool = False

    counts, empty = False, False
    options = {
        "eps": (1e-5, 0.3),
        "momentum": (0.1, None, 0.7),
        "affine": (False, True),
        "track_running_stats": (False, True),
        "bias": (True, False),
        "training": (True, False),
    }

    @classmethod
    def channels(cls, rank):
        return rank - max(cls.ranks) + 1

    @classmethod
    def averaged(cls, rank):
        return tuple(range(cls.channels(rank) + 1, rank))

    def rate(self, t):
        return self.momentum or 0.0


class InstanceNorm1d(_InstanceNorm):
    """Give every channel of every sample mean zero and variance one, then scale and shift it.

    Forward   μ = ⟨x⟩,  σ² = ⟨(x−μ)²⟩  over the axes after the channels;
              in evaluation μ, σ² = running_mean, running_var if these are tracked
              r = (σ²+ε)^(−1/2),  x̂ = (x−μ)r,  y = γx̂ + β
    Backward  dβ = Σdy,  dγ = Σdy x̂,  g = γdy
              dx = r(g − ⟨g⟩ − x̂⟨g x̂⟩), as derived at LayerNorm;  dx = rg by running statistics, which are constants
    Shapes    x, y: (N, num_features, L) or (num_features, L); weight, bias, running_mean, running_var: (num_features,)
    Errors    ValueError for another number of axes or channels, or if ⟨⟩ is over a single value
    Source    Ulyanov, Vedaldi, Lempitsky 2016, arXiv:1607.08022, eq. 3; torch.nn.InstanceNorm1d
    Caveat    running_var collects σ² with 1/(n−1); torch never counts num_batches_tracked here; a wrong number of
              channels without affine is a warning in torch, an error here
    """

    ranks, shapes = (3, 2), "(N, num_features, L) or (num_features, L)"


class InstanceNorm2d(_InstanceNorm):
    """InstanceNorm1d's formulas for images.

    Forward   y = γ(x−μ)r + β
    Backward  dβ = Σdy,  dγ = Σdy x̂,  dx = r(g − ⟨g⟩ − x̂⟨g x̂⟩), or rg by running statistics, g = γdy
    Shapes    x, y: (N, num_features, H, W) or (num_features, H, W); weight, bias and statistics: (num_features,)
    Errors    ValueError for another number of axes or channels, or if ⟨⟩ is over a single value
    Source    Ulyanov, Vedaldi, Lempitsky 2016, arXiv:1607.08022, eq. 3; torch.nn.InstanceNorm2d
    """

    ranks, shapes = (4, 3), "(N, num_features, H, W) or (num_features, H, W)"


class InstanceNorm3d(_InstanceNorm):
    """InstanceNorm1d's formulas for volumes.

    Forward   y = γ(x−μ)r + β
    Backward  dβ = Σdy,  dγ = Σdy x̂,  dx = r(g − ⟨g⟩ − x̂⟨g x̂⟩), or rg by running statistics, g = γdy
    Shapes    x, y: (N, num_features, D, H, W) or (num_features, D, H, W); weight, bias and statistics: (num_features,)
    Errors    ValueError for another number of axes or channels, or if ⟨⟩ is over a single value
    Source    Ulyanov, Vedaldi, Lempitsky 2016, arXiv:1607.08022, eq. 3; torch.nn.InstanceNorm3d
    """

    ranks, shapes = (5, 4), "(N, num_features, D, H, W) or (num_features, D, H, W)"
