"""Rows of a table looked up by number. Beside torch/nn/modules/sparse.py."""

# pyright: reportAttributeAccessIssue=false
# (the options that _Table reads stand in its subclasses, since torch orders them differently there)

from typing import Any

import numpy as np

from .base import INTEGER, Array, Layer, Params, shape, tree_map
from .optim.sparse_adam import Rows


class _Table(Layer, family=True):
    """A weight W whose rows are looked up: what Embedding and EmbeddingBag have in common."""

    num_embeddings: int
    embedding_dim: int

    integer = True
    dyadic = True

    def __post_init__(self) -> None:
        super().__post_init__()
        n, pad = self.num_embeddings, self.padding_idx
        if self.max_norm is not None:
            raise ValueError(
                f"{type(self).__name__} takes max_norm=None only: with another torch rewrites the weight inside "
                f"forward. Rescale the rows after the optimizer's step instead"
            )
        if pad is not None and not -n <= pad < n:
            raise ValueError(f"padding_idx = {pad} is no row of a table of {n} rows")
        if self.scale_grad_by_freq and self.sparse:
            raise ValueError(f"{type(self).__name__} takes scale_grad_by_freq or sparse, not both, as in torch")
        object.__setattr__(self, "padding_idx", None if pad is None else pad % n)  # as torch does

    @property
    def is_gradient(self) -> bool:
        """Is dW the derivative of forward? Frequencies make it something else on purpose."""
        return not self.scale_grad_by_freq

    def init(self, rng: np.random.Generator, dtype: Any = np.float64) -> Params:
        weight = rng.standard_normal((self.num_embeddings, self.embedding_dim)).astype(dtype)
        if self.padding_idx is not None:
            weight[self.padding_idx] = 0
        return {"weight": weight}

    def indices(self, x: Any, ok: bool, shape: str) -> Array:
        """x as int64, or a ValueError that names the first index that is no row, and its place."""
        self.takes(ok and getattr(x, "dtype", None) != np.bool_, x, shape, INTEGER)
        if (outside := (x < 0) | (x >= self.num_embeddings)).any():
            place = tuple(map(int, np.argwhere(outside)[0]))
            index, where = x[place], f"x{list(place) or ''}"
            raise ValueError(f"{self} has the rows 0 to {self.num_embeddings - 1}; it got the index {index} at {where}")
        return x.astype(np.int64)

    def collect(self, v: Array, g: Array, every: Array) -> Params:
        """dW, to whose row vₙ each gₙ is added; `every` holds all the indices that count for their frequency."""
        if self.scale_grad_by_freq:
            g = g / np.bincount(every)[v].astype(g.dtype)[:, None]
        learns = v != self.padding_idx
        rows = Rows(v[learns], g[learns], (self.num_embeddings, self.embedding_dim))
        return {"weight": rows if self.sparse else rows.dense()}

    @classmethod
    def example(cls, choose, shape):
        options = {name: choose(*values) for name, values in cls.options.items()}
        return cls(choose(3, 2, 7), choose(2, 1, 4), **options)


class Embedding(_Table):
    """Look up a row of the weight for every index.

    Forward   yₙ = W[xₙ], which is the product of W with a one-hot row:  yₙd = Σᵥ [xₙ = v] Wᵥd
    Backward  ∂yₙd/∂Wᵥd = [xₙ = v], so  dWᵥ = Σₙ [xₙ = v] dyₙ: dyₙ is added to row xₙ, and an index that occurs
              twice collects both. An index has no gradient:  dx = None
    Shapes    x: (*) of integers, y: (*, embedding_dim); weight: (num_embeddings, embedding_dim)
    Errors    ValueError naming index and place if one is not in 0 … num_embeddings − 1; if padding_idx is no row; for
              max_norm, and for scale_grad_by_freq with sparse, which torch has not either
    Source    torch.nn.Embedding
    Caveat    two options make dW another thing than the gradient of L, as in torch: row padding_idx gets 0, so that
              it never learns, and scale_grad_by_freq divides dWᵥ by the number of times that v occurs in x.
              max_norm is refused: torch rescales W itself inside forward, which a pure function cannot, and leaves
              that out of the gradient; norm_type goes with it. With sparse dW is given as Rows, for SparseAdam
    """

    padding_idx: int | None = None
    max_norm: float | None = None
    norm_type: float = 2.0
    scale_grad_by_freq: bool = False
    sparse: bool = False

    ranks = (0, 1, 2, 3)
    options = {"padding_idx": (None, 0, -1), "scale_grad_by_freq": (False, True)}

    @property
    def is_gradient(self):
        return super().is_gradient and self.padding_idx is None  # a padding row has a derivative, but must not learn

    def forward(self, params, x):
        v = self.indices(x, True, "(*)")
        return params["weight"][v], (v.reshape(-1),)

    def backward(self, params, cache, dy):
        (v,) = cache
        return None, self.collect(v, dy.reshape(-1, self.embedding_dim), v)

    def sample(self, values, shape):
        return values.integers(0, self.num_embeddings, shape)


class EmbeddingBag(_Table):
    """Look up rows of the weight, and add up, average, or take the largest entries of those of each bag.

    Forward   y_b = Σₙ [n∈b] sₙ ⊙ W[xₙ]
              mode = "sum": sₙ is the per_sample_weights of n, or 1
              mode = "mean": sₙ = 1/(entries of b)
              mode = "max": sₙ is 1 where W[xₙ] is b's (first) largest, else 0
              Entries that are padding_idx are in no bag. An empty bag gives 0
    Backward  ∂y_bd/∂Wᵥd = Σₙ [n∈b] [xₙ = v] sₙd, so  dWᵥ = Σₙ [xₙ = v] sₙ ⊙ dy_b(n):  sₙ ⊙ dy_b(n) is added to row xₙ
              ∂y_bd/∂sₙ = [n∈b] Wxₙd, so the gradient by a given weight is  dsₙ = Σ_d W[xₙ]_d dy_b(n)d
    Shapes    x: input (B, T) of integers, or a tuple (input[, offsets[, per_sample_weights]]) with input (B, T) and
              offsets None, or input (T,) and the places (B,) where bags begin; y: (B, embedding_dim);
              per_sample_weights: as input; weight: (num_embeddings, embedding_dim)
    Errors    ValueError as for Embedding; if offsets do not ascend from 0 to T; for per_sample_weights unless
              mode = "sum"; for scale_grad_by_freq or sparse with "max"
    Source    torch.nn.EmbeddingBag
    Caveat    as for Embedding, but with scale_grad_by_freq torch 2.13 divides by the frequency of another index where
              one is repeated (of [1, 2, 0, 1], row 2 by that of 1); here it is the row's own. With
              include_last_offset the last offset ends the last bag, and must be T: for a smaller one torch's float32
              and float64 give different sums
    """

    max_norm: float | None = None
    norm_type: float = 2.0
    scale_grad_by_freq: bool = False
    mode: str = "mean"
    sparse: bool = False
    include_last_offset: bool = False
    padding_idx: int | None = None

    ranks = (2, 1)
    options = {
        "mode": ("sum", "mean", "max"),
        "include_last_offset": (False, True),
        "padding_idx": (None, 0, -1),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mode not in ("sum", "mean", "max"):
            raise ValueError(f'EmbeddingBag takes mode "sum", "mean" or "max", not {self.mode!r}')
        if self.mode == "max" and (self.scale_grad_by_freq or self.sparse):
            raise ValueError('EmbeddingBag with mode="max" takes neither scale_grad_by_freq nor sparse, as in torch')

    def forward(self, params, x):
        whole = x if isinstance(x, tuple) else (x,)
        given, offsets, weights = self.unpack(whole, "input", "offsets per_sample_weights")
        kinds = "(B, T), or (T,) with offsets (B,) beside it"
        every = self.indices(given, len(shape(given)) == (2 if offsets is None else 1), kinds).reshape(-1)
        bag, bags = self.bags(given.shape, offsets)
        inside = every != self.padding_idx
        v, bag = every[inside], bag[inside]
        rows = params["weight"][v]
        if weights is None:
            s = self.shares(rows, bag, bags)
        else:
            ok = self.mode == "sum" and shape(weights) == given.shape
            self.takes(ok, weights, "(as input), for mode = 'sum' only")
            s = weights.reshape(-1)[inside, None]
        y = np.zeros((bags, self.embedding_dim), rows.dtype)
        np.add.at(y, bag, s * rows)
        return y, (x, every, inside, v, bag, s, rows)

    def backward(self, params, cache, dy):
        x, every, inside, v, bag, s, rows = cache
        grads = self.collect(v, s * dy[bag], every)
        if not isinstance(x, tuple) or len(x) < 3 or x[2] is None:
            return tree_map(lambda _: None, x), grads
        ds = np.zeros(every.shape, dy.dtype)
        ds[inside] = (rows * dy[bag]).sum(1)
        return (None, None, ds.reshape(x[2].shape)), grads

    def bags(self, size: tuple[int, ...], offsets: Any) -> tuple[Array, int]:
        """The bag of every entry of input, and the number of bags."""
        if offsets is None:
            return np.repeat(np.arange(size[0]), size[1]), size[0]
        self.takes(len(shape(offsets)) == 1 and len(offsets) > 0, offsets, "(B,)", INTEGER)
        edges = offsets.astype(np.int64)
        edges = edges if self.include_last_offset else np.append(edges, size[0])
        lengths = np.diff(edges)
        if edges[0] != 0 or edges[-1] != size[0] or (lengths < 0).any():
            raise ValueError(f"{self} takes offsets that ascend from 0 to {size[0]}; it got {offsets.tolist()}")
        return np.repeat(np.arange(len(lengths)), lengths), len(lengths)

    def shares(self, rows: Array, bag: Array, bags: int) -> Array:
        """s of every entry that is in a bag, for the three modes."""
        if self.mode == "sum":
            return np.ones((len(bag), 1), rows.dtype)
        if self.mode == "mean":
            return 1 / np.bincount(bag)[bag].astype(rows.dtype)[:, None]
        top = np.full((bags, self.embedding_dim), -np.inf, rows.dtype)
        np.maximum.at(top, bag, rows)
        n, d = np.nonzero(~(rows < top[bag]))  # so written, NaN has a place too
        first = np.full(top.shape, len(bag))
        np.minimum.at(first, (bag[n], d), n)
        return (first[bag] == np.arange(len(bag))[:, None]).astype(rows.dtype)

    def sample(self, values, shape):
        x, rng = values.integers(0, self.num_embeddings, shape), values.rng
        weights = values.real(shape) if self.mode == "sum" and rng.random() < 0.5 else None
        if len(shape) == 2:
            return x if weights is None else (x, None, weights)
        offsets = np.array([0, *np.sort(values.integers(0, shape[0] + 1, (int(rng.integers(0, 4)),)))])
        offsets = np.append(offsets, shape[0]) if self.include_last_offset else offsets
        return (x, offsets) if weights is None else (x, offsets, weights)
