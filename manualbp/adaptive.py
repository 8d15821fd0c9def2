"""A softmax over many classes that is cheap for the frequent ones. Beside torch/nn/modules/adaptive.py."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from .base import INTEGER, Array, Params, describe, shape
from .container import Sequential
from .elementary import log_softmax
from .linear import Linear
from .loss import Loss, is_real
from .loss_class import check_classes


class AdaptiveLogSoftmaxWithLoss(Loss):
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

    @property
    def head(self) -> Linear:
        return Linear(self.in_features, self.cutoffs[0] + len(self.cutoffs), self.head_bias)

    @property
    def tail(self) -> dict[str, Sequential]:
        """Cluster k's scores, by way of fewer features the rarer its classes."""
        widths = [int(self.in_features // self.div_value ** (k + 1)) for k in range(len(self.cutoffs))]
        ends = pairwise((*self.cutoffs, self.n_classes))
        return {
            str(k): Sequential(Linear(self.in_features, d, False), Linear(d, high - low, False))  # pyright: ignore
            for k, (d, (low, high)) in enumerate(zip(widths, ends))
        }

    def init(self, rng: np.random.Generator, dtype: Any = np.float64) -> Params:
        tail = {k: cluster.init(rng, dtype) for k, cluster in self.tail.items()}
        return {"head": self.head.init(rng, dtype), "tail": tail}

    def forward(self, params, x):
        x, t = self.unpack(x, "input target")
        self.takes(shape(x)[-1:] == (self.in_features,) and x.ndim < 3, x, "(N, in_features) or (in_features,)")
        if shape(t) != x.shape[:-1] or is_real(t) or t.dtype.char not in INTEGER:
            raise ValueError(f"{self} takes class indices of shape {x.shape[:-1]} as target; it got {describe(t)}")
        check_classes(self, t, self.n_classes, None)
        o, caches = np.zeros(t.size, x.dtype), []
        for layer, p, rows, j in self.parts(params, t.reshape(-1)):
            z, cache = layer.forward(p, x.reshape(-1, self.in_features)[rows])
            logs = log_softmax(z, 1)
            o[rows] += logs[np.arange(len(j)), j]
            caches.append((cache, logs))
        loss = -o.mean() if o.size else o.sum() * np.nan
        return (o.reshape(t.shape), loss), (x, t, tuple(caches))

    def backward(self, params, cache, dy):
        x, t, caches = cache
        do = np.broadcast_to(dy[0], t.shape).reshape(-1) - dy[1] / max(t.size, 1)
        dx = np.zeros((t.size, self.in_features), x.dtype)
        grads = []
        for (layer, p, rows, j), (c, logs) in zip(self.parts(params, t.reshape(-1)), caches):
            is_j = j[:, None] == np.arange(logs.shape[1])
            dz = -do[rows][:, None] * np.where(is_j, np.expm1(logs), np.exp(logs))
            dx_rows, g = layer.backward(p, c, dz)
            dx[rows] += dx_rows
            grads.append(g)
        tail = {str(k): g for k, g in enumerate(grads[1:])}
        return (dx.reshape(x.shape), None), {"head": grads[0], "tail": tail}

    def parts(self, params: Params, t: Array) -> Iterator[tuple[Any, Params, Array, Array]]:
        """Head and clusters: the layer, its parameters, the rows it works on, and which of its classes they want."""
        cluster = np.searchsorted(self.cutoffs, t, "right")  # 0 for the head's own classes
        own = np.where(cluster == 0, t, self.cutoffs[0] + cluster - 1)
        yield self.head, params["head"], np.arange(t.size), own
        for k, (name, layer) in enumerate(self.tail.items()):
            rows = np.flatnonzero(cluster == k + 1)
            yield layer, params["tail"][name], rows, t[rows] - self.cutoffs[k]

    def log_prob(self, params: Params, x: Array) -> Array:
        """The log-probabilities of all classes, (N, n_classes), for x: (N, in_features)."""
        own, *clusters = np.split(log_softmax(self.head.forward(params["head"], x)[0], 1), self.cutoffs[:1], 1)
        tails = [log_softmax(f.forward(params["tail"][k], x)[0], 1) for k, f in self.tail.items()]
        return np.concatenate([own, *(clusters[0][:, k, None] + f for k, f in enumerate(tails))], 1)

    def predict(self, params: Params, x: Array) -> Array:
        """The most probable class of every row, (N,)."""
        return self.log_prob(params, x).argmax(1)

    @classmethod
    def example(cls, choose, shape):
        cutoffs = choose((2,), (1, 3), (3, 4), (1, 2, 5))
        return cls(shape[-1], cutoffs[-1] + choose(1, 3), cutoffs, choose(4.0, 2.0, 1.0, 1.5), choose(False, True))

    def sample(self, values, shape):
        return values.real(shape), values.integers(0, self.n_classes, shape[:-1])
