"""A softmax over many classes that is cheap for the frequent ones. Beside torch/nn/modules/adaptive.py."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from .base import INTEGER, Array, Params, describe, shape
from .composite import Backward, Composite, Forward
from .container import Sequential
from .elementary import log_softmax
from .linear import Linear
from .loss import Loss, is_real
from .loss_class import check_classes


class AdaptiveLogSoftmaxWithLoss(Composite, Loss):
    """The log-probability of the target's class, where rare classes stand in clusters that the head treats as one
    class each; and its negative mean.

    Forward   classes 0 … c₁ − 1 (cutoffs c₁ < c₂ < …) are the head's own, c_k … c_(k+1) − 1 are those of cluster k
              h = log_softmax of the head over c₁ classes and then the clusters,  f_k = log_softmax of cluster k's tail
              o = h_t for t < c₁,    o = h_(c₁ + k − 1) + f_k,(t − c_k) for t in cluster k = 1, 2, …
              y = (o, −⟨o⟩)
    Backward  both outputs depend on o:   do = dy₀ − dy₁/N
              ∂log_softmax(z)_j/∂zᵢ = [i = j] − pᵢ:   dzᵢ = −do pᵢ for i ≠ j,  dzⱼ = −do (pⱼ − 1) = −do expm1(log pⱼ);
              j = t or c₁ + k − 1 for the head, t − c_k for cluster k, and there only the rows whose target is in it;
              then dx and the weights' gradients by the backward of Linear, dx added up over head and clusters
    Shapes    x: (N, in_features) with t: (N,) integers, or (in_features,) with ();  y: (t's shape, ());
              head.weight: (c₁ + clusters, in_features), head.bias: (c₁ + clusters,);
              tail.k.0.weight: (dₖ, in_features), tail.k.1.weight: (classes of the cluster, dₖ) for k = 0, 1, …,
              dₖ = ⌊in_features / div_value^(k+1)⌋
    Errors    ValueError if shapes do not fit; with the place, if a target is no class; unless cutoffs are integers that
              rise from 1 or more to n_classes − 1 or less
    Source    Grave et al. 2016, arXiv:1609.04309; torch.nn.AdaptiveLogSoftmaxWithLoss
    """

    in_features: int
    n_classes: int
    cutoffs: tuple[int, ...]
    div_value: float = 4.0
    head_bias: bool = False

    arity = 1
    cancels = True
    ranks = (1, 2)

    def __post_init__(self) -> None:
        super().__post_init__()
        bounds = (0, *self.cutoffs, self.n_classes)
        if not self.cutoffs or any(int(c) != c for c in bounds) or any(a >= b for a, b in pairwise(bounds)):
            raise ValueError(f"{self}: cutoffs are integers that rise from 1 or more to at most n_classes − 1")

    def parts(self):
        """The head, and cluster k's scores by way of fewer features the rarer its classes."""
        D, parts = self.in_features, {}
        parts["head"] = Linear(D, self.cutoffs[0] + len(self.cutoffs), self.head_bias)
        for k, (low, high) in enumerate(pairwise((*self.cutoffs, self.n_classes))):
            d = int(D // self.div_value ** (k + 1))
            parts[f"tail.{k}"] = Sequential(Linear(D, d, False), Linear(d, high - low, False))
        return parts

    def forward(self, params, x):
        x, t = self.unpack(x, "input target")
        self.takes(shape(x)[-1:] == (self.in_features,) and x.ndim < 3, x, "(N, in_features) or (in_features,)")
        if shape(t) != x.shape[:-1] or is_real(t) or t.dtype.char not in INTEGER:
            raise ValueError(f"{self} takes class indices of shape {x.shape[:-1]} as target; it got {describe(t)}")
        check_classes(self, t, self.n_classes, None)
        o, f, logs = np.zeros(t.size, x.dtype), Forward(self, params), {}
        for name, rows, j in self.wanted(t.reshape(-1)):
            logs[name] = log_softmax(f(name, x.reshape(-1, self.in_features)[rows]), 1)
            o[rows] += logs[name][np.arange(len(j)), j]
        loss = -o.mean() if o.size else o.sum() * np.nan
        return (o.reshape(t.shape), loss), (f.caches, x, t, logs)

    def backward(self, params, cache, dy):
        caches, x, t, logs = cache
        b = Backward(self, params, caches)
        do = np.broadcast_to(dy[0], t.shape).reshape(-1) - dy[1] / max(t.size, 1)
        dx = np.zeros((t.size, self.in_features), x.dtype)
        for name, rows, j in self.wanted(t.reshape(-1)):
            is_j = j[:, None] == np.arange(logs[name].shape[1])
            dx[rows] += b(name, -do[rows][:, None] * np.where(is_j, np.expm1(logs[name]), np.exp(logs[name])))
        return (dx.reshape(x.shape), None), b.grads

    def wanted(self, t: Array) -> Iterator[tuple[str, Array, Array]]:
        """Of head and clusters: the name, the rows that it works on, and which of its classes they want."""
        cluster = np.searchsorted(self.cutoffs, t, "right")  # 0 for the head's own classes
        own = np.where(cluster == 0, t, self.cutoffs[0] + cluster - 1)
        yield "head", np.arange(t.size), own
        for k, first in enumerate(self.cutoffs):
            rows = np.flatnonzero(cluster == k + 1)
            yield f"tail.{k}", rows, t[rows] - first

    def log_prob(self, params: Params, x: Array) -> Array:
        """The log-probabilities of all classes, (N, n_classes), for x: (N, in_features)."""
        f = Forward(self, params)
        head, *tails = (log_softmax(f(name, x), 1) for name in self.children())
        own, clusters = np.split(head, self.cutoffs[:1], 1)
        return np.concatenate([own, *(clusters[:, k, None] + tail for k, tail in enumerate(tails))], 1)

    def predict(self, params: Params, x: Array) -> Array:
        """The most probable class of every row, (N,)."""
        return self.log_prob(params, x).argmax(1)

    @classmethod
    def example(cls, choose, shape):
        cutoffs = choose((2,), (1, 3), (3, 4), (1, 2, 5))
        return cls(shape[-1], cutoffs[-1] + choose(1, 3), cutoffs, choose(4.0, 2.0, 1.0, 1.5), choose(False, True))

    def sample(self, values, shape):
        return values.real(shape), values.integers(0, self.n_classes, shape[:-1])
