"""The loss of a sequence of labels whose places in a longer sequence are not known. Beside torch/nn/modules/loss.py."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from .base import INTEGER, Array, Tree, describe, shape, tree_map
from .elementary import log_softmax, logsumexp
from .loss import Loss, reduce, unreduce
from .loss_class import check_classes


class CTCLoss(Loss):
    """−log of the probability that T steps, each a choice among C classes, read as the labels t₁ … t_L. What a path
    through the classes reads as is found by making every run of one class one, then leaving out blanks.

    Forward   1. l = (blank, t₁, blank, t₂, …, t_L, blank), states s = 0 … 2L. At every step a path stays at l_s, goes
                 on to l_(s+1), or jumps to l_(s+2) if that differs from l_s (so never from blank to blank).
              2. α_τs = log of the probability of all paths that are in s after τ steps:   α₀ = (0, −∞, −∞, …),
                 α_τs = x_τ(l_s) + log Σ_r e^α_(τ−1, r)   over the r = s, s − 1, s − 2 from which s can be reached
              3. a path ends in the last blank or the last label:   v = −log (e^α_(T, 2L) + e^α_(T, 2L−1)).
                 y is Σv ("sum"), v ("none"), or the mean of v/max(L, 1); zero_infinity puts 0 for v = ∞
    Backward  with γ_τs = −∂v/∂α_τs, the probability to be in s at τ given that the labels are read:
              4. from 3:   γ_Ts = e^(α_Ts + v) for the two last s, else 0
              5. from 2:   ∂α_τs/∂α_(τ−1, r) = e^α_(τ−1, r) / Σ_r′ e^α_(τ−1, r′) =: p_τ(r | s), so
                 γ_(τ−1, r) = Σ_s γ_τs p_τ(r | s)
              6. ∂α_τs/∂x_τ(l_s) = 1:   ∂v/∂x_τ(c) = −Σ_s γ_τs [l_s = c]
              7. torch adds e^x_τ(c):   dx_τ(c) = (e^x_τ(c) − Σ_s γ_τs [l_s = c]) dv  for τ < T, 0 after it
    Shapes    x: (T, N, C), logarithms of probabilities;   t: (N, L), padded, or all labels in one row, (ΣL,), integers;
              T and L of each sequence: (N,) integers, or a tuple of them;   y: () or (N,).
              Without a batch x: (T, C), t: (L,) or (1, L), lengths: () or (1,), y: ()
    Errors    ValueError if shapes or lengths do not fit, or x is empty; with the place, if a label is no class
    Source    Graves et al. 2006, ICML, eqs. 5–16 (whose αβ/p is γ); torch.nn.CTCLoss
    Caveat    7 makes dx the gradient by logits whose log_softmax x is. As that by x alone it has e^x dv too much, which
              the backward of log_softmax takes to 0: logits get the true gradient either way.
              Where v = ∞ dx is NaN, as in torch, for τ < T, but 0 with zero_infinity. Labels may be blank, as in torch
    """

    blank: int = 0
    reduction: str = "mean"
    zero_infinity: bool = False

    arity = 1
    ranks = (2, 3)
    inputs = "log_probs targets input_lengths target_lengths"
    after = "LogSoftmax(-1)"
    is_gradient = False  # by the logits before a log-softmax it is: see Caveat

    def forward(self, params, x):
        given = x, t, T, L = self.unpack(x, self.inputs)
        self.takes(len(shape(x)) in (2, 3) and 0 not in x.shape, x, "(T, N, C) or (T, C)")
        if not 0 <= self.blank < x.shape[-1]:
            raise ValueError(f"{self}: blank is no class, since its input has shape {x.shape}")
        x = x if x.ndim == 3 else x[:, None]
        T, L = self.lengths(T, x.shape[1], len(x)), self.lengths(L, x.shape[1])
        labels = np.full((len(L), 2 * max(L) + 1), self.blank)  # 1
        labels[:, 1::2] = self.padded(t, L, x.shape[2])
        alpha = self.alphas(x, labels, T)
        ends, v = self.read(alpha[-1], L)
        y = np.where((v == np.inf) & self.zero_infinity, 0, v) / self.shares(L, x.dtype)
        y = reduce(y.reshape(given[0].shape[1:-1]), self.reduction, len(L))
        return y, (given, x, labels, T, L, alpha, ends, v)

    def backward(self, params, cache, dy):
        given, x, labels, T, L, alpha, ends, v = cache
        dv = unreduce(dy, given[0].shape[1:-1], self.reduction, len(L)).reshape(-1) / self.shares(L, x.dtype)
        dv = np.where(v == np.inf, 0 if self.zero_infinity else np.nan, dv)
        read = np.zeros_like(x)
        for step, gamma in self.gammas(alpha, ends, v, labels, T):
            np.add.at(read[step], (np.arange(len(L))[:, None], labels), gamma)  # 6
        within = np.arange(len(x))[:, None, None] < T[:, None]
        with np.errstate(over="ignore", invalid="ignore"):  # e^x for x that is no logarithm of a probability
            dx = np.where(within, (np.exp(x) - read) * dv[:, None], 0)  # 7
        return (dx.reshape(given[0].shape), *tree_map(lambda _: None, given[1:])), {}

    def shares(self, L: Array, dtype: Any) -> Any:
        """What v is divided by before a mean is taken."""
        return np.maximum(L, 1).astype(dtype) if self.reduction == "mean" else 1

    def alphas(self, x: Array, labels: Array, T: Array) -> Array:
        """α of every step. After its own T a sequence stays as it is."""
        emitted = np.take_along_axis(x, labels[None], 2)
        alpha = [np.full(labels.shape, -np.inf, x.dtype)]
        alpha[0][:, 0] = 0
        for step, e in enumerate(emitted):
            total = logsumexp(self.before(alpha[-1], labels), 0)
            moved = np.where(total == -np.inf, total, e + total)  # 2; what is not reached stays so beside NaN, too
            alpha.append(np.where((step < T)[:, None], moved, alpha[-1]))
        return np.stack(alpha)

    def before(self, alpha: Array, labels: Array) -> Array:
        """α_(τ−1, r) for r = s, s − 1, s − 2; −∞ where s cannot be reached from r."""
        n, s = labels.shape
        a = np.concatenate([np.full((n, 2), -np.inf, alpha.dtype), alpha], 1)
        jump = np.zeros((n, s), bool)
        jump[:, 2:] = labels[:, 2:] != labels[:, :-2]
        return np.stack([a[:, 2:], a[:, 1:-1], np.where(jump, a[:, :-2], -np.inf)])

    def read(self, alpha: Array, L: Array) -> tuple[Array, Array]:
        """Where a path may end (the same place twice for L = 0), and v."""
        ends = np.stack([2 * L, np.maximum(2 * L - 1, 0)], 1)
        last = np.take_along_axis(alpha, ends, 1)
        last[:, 1] = np.where(L == 0, -np.inf, last[:, 1])
        return ends, -logsumexp(last, 1)  # 3

    def gammas(self, alpha: Array, ends: Array, v: Array, labels: Array, T: Array) -> Iterator[tuple[int, Array]]:
        """γ of every step, from the last to the first; 0 beyond a sequence's T."""
        gamma = np.zeros_like(alpha[0])
        last = np.take_along_axis(alpha[-1], ends, 1)
        np.put_along_axis(gamma, ends[:, ::-1], np.exp(last + np.where(v == np.inf, 0, v)[:, None])[:, ::-1], 1)  # 4
        for step in range(len(alpha) - 2, -1, -1):
            within = (step < T)[:, None]
            yield step, np.where(within, gamma, 0)
            a = self.before(alpha[step], labels)
            total = logsumexp(a, 0)
            flow = gamma * np.exp(a - np.where(total == -np.inf, 0, total))
            back = np.zeros((len(gamma), gamma.shape[1] + 2), gamma.dtype)
            for r, part in enumerate(flow):
                back[:, 2 - r : back.shape[1] - r] += part  # 5
            gamma = np.where(within, back[:, 2:], gamma)

    def lengths(self, given: Tree, n: int, most: int | None = None) -> Array:
        """The lengths of n sequences as an array."""
        found = np.asarray(given).reshape(-1)
        top = found.max(initial=0) if most is None else most
        if found.dtype.char not in INTEGER or found.size != n or not ((found >= 0) & (found <= top)).all():
            limits = "≥ 0" if most is None else f"from 0 to {most}"
            raise ValueError(f"{self} takes {n} integers {limits} as lengths; it got {given}")
        return found.astype(np.int64)

    def padded(self, t: Array, L: Array, classes: int) -> Array:
        """The labels as (N, max L), blank beyond each sequence's length."""
        n, ok = len(L), isinstance(t, np.ndarray) and t.dtype.char in INTEGER
        if not ok or not (t.shape == (L.sum(),) or (t.ndim == 2 and len(t) == n and t.shape[1] >= max(L))):
            told = f"({n}, {max(L)}) or more, or in one row, ({L.sum()},)"
            raise ValueError(
                f"{self} takes labels, integers, of shape {told}, for its target_lengths; it got {describe(t)}"
            )
        counts = np.arange(t.shape[-1] if t.ndim == 2 else max(L)) < L[:, None]
        check_classes(self, np.where(counts, t, self.blank) if t.ndim == 2 else t, classes, None)
        found = np.full(counts.shape, self.blank)
        found[counts] = t[counts] if t.ndim == 2 else t
        return found[:, : max(L)]

    @classmethod
    def example(cls, choose, shape):
        return cls(choose(0, shape[-1] - 1), choose(*cls.reductions), choose(False, True))

    def sample(self, values, shape):
        """Labels that can be read in the time there is; with zero_infinity also some that cannot."""
        steps, n, classes = shape[0], shape[1] if len(shape) == 3 else 1, shape[-1]
        T = values.integers((steps + 1) // 2, steps + 1, (n,))
        most = T + 1 if self.zero_infinity else (T + 1) // 2
        L = values.rng.integers(0, most + 1) if classes > 1 else np.zeros(n, np.int64)
        longest = int(L.max())
        t = values.integers(0, max(classes - 1, 1), (n, longest))
        t = np.where(t >= self.blank, t + 1, t) if classes > 1 else t
        t = t if values.rng.random() < 0.5 else t[np.arange(longest) < L[:, None]]
        batch = () if len(shape) == 2 else (n,)
        return log_softmax(values.real(shape), -1), t, T.reshape(batch), L.reshape(batch)
