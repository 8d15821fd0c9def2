"""torch's random layers, drawing from a NumPy generator in the order in which the layers by hand do.

So both sides of a comparison see the same masks without passing them, and torch's modules stay torch's own: only the
functions in which they draw are replaced, within a `with` statement.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from inspect import signature
from types import FunctionType
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import _VF
from torch.nn import functional as F  # noqa: N812  (its name everywhere)

ALPHA = -1.7580993408473766  # −λα of SELU


class RecordingGenerator:
    """A generator that keeps what it draws."""

    def __init__(self, seed: int) -> None:
        self.rng, self.draws = np.random.default_rng(seed), []

    def random(self, shape: tuple[int, ...]) -> Any:
        self.draws.append(np.asarray(self.rng.random(shape)))
        return self.draws[-1]

    def uniform(self, low: float, high: float, shape: tuple[int, ...]) -> Any:
        self.draws.append(np.asarray(self.rng.uniform(low, high, shape)))
        return self.draws[-1]


class ReplayingGenerator:
    """What was noted, once more: a compiler sees arrays where it cannot look into a generator."""

    def __init__(self, draws: list[Any]) -> None:
        self.draws, self.at = draws, 0

    def random(self, shape: tuple[int, ...]) -> Any:
        self.at += 1
        return self.draws[self.at - 1]

    def uniform(self, low: float, high: float, shape: tuple[int, ...]) -> Any:
        return self.random(shape)


@contextmanager
def shared(source: Any) -> Iterator[None]:
    """Within it torch draws from default_rng(source), goes on with a generator, or draws what was noted; None: torch
    draws as it does."""
    if source is None:
        yield
        return
    rng = source if isinstance(source, (RecordingGenerator, ReplayingGenerator)) else np.random.default_rng(source)
    with ExitStack() as stack:
        for place, name, replaced in REPLACED:
            if (original := getattr(place, name, None)) is not None:
                stack.enter_context(mock.patch.object(place, name, _bound(replaced, rng, original)))
        yield


def _bound(replaced: Callable, rng: np.random.Generator, original: Callable) -> Callable:
    return lambda *args, **options: replaced(rng, original, *args, **options)


def _uniform(rng: np.random.Generator, shape: tuple[int, ...], like: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(np.asarray(rng.random(shape))).to(like.device)


def _kept(rng: np.random.Generator, x: torch.Tensor, p: float, shared_axes: int = 0) -> torch.Tensor:
    """1 where an entry, or all entries along the last axes, are kept."""
    shape = tuple(x.shape)
    shape = shape[: len(shape) - shared_axes] + (1,) * shared_axes
    return (_uniform(rng, shape, x) >= p).to(x.dtype)


def where_asked(y: torch.Tensor, x: torch.Tensor, inplace: bool) -> torch.Tensor:
    """y, in the place of x where that is asked for."""
    return x.copy_(y) if inplace else y


def _dropout(shared: Callable[[int], int]) -> Callable:
    """`shared`: of so many axes, how many have one draw for all their entries."""

    def dropout(rng: Any, original: Any, x: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
        if not training or not 0 < p < 1:
            return original(x, p, training, inplace)
        return where_asked(x * _kept(rng, x, p, shared(x.ndim)) / (1 - p), x, inplace)

    return dropout


def _alpha_dropout(features: bool) -> Callable:
    def dropout(rng: Any, original: Any, x: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
        if not training or not 0 < p < 1:
            return original(x, p, training, inplace)
        kept = _kept(rng, x, p, x.ndim - 2 if features else 0)
        a = 1 / math.sqrt((1 - p) * (1 + p * ALPHA**2))
        return where_asked(a * (x * kept + ALPHA * (1 - kept)) - a * ALPHA * p, x, inplace)

    return dropout


def _rrelu(
    rng: Any, original: Any, x: Any, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False,
    inplace: bool = False,
) -> Any:  # fmt: skip
    if not training:
        return original(x, lower, upper, training, inplace)
    slope = torch.from_numpy(np.asarray(rng.uniform(lower, upper, tuple(x.shape)))).to(x)
    return where_asked(torch.where(x > 0, x, x * slope), x, inplace)


def _gumbel(
    rng: Any, original: Any, x: Any, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Any:
    """As torch's own, which draws exponential numbers."""
    e = -torch.log1p(-_uniform(rng, tuple(x.shape), x).to(x.dtype))
    s = ((x - e.log()) / tau).softmax(dim)
    if not hard:
        return s
    chosen = torch.zeros_like(x).scatter_(dim, s.argmax(dim, keepdim=True), 1.0)
    return chosen - s.detach() + s


def _packed(
    rng: Any, original: Any, x: Any, sizes: Any, hx: Any, weights: Any, bias: bool, num_layers: int, p: float,
    training: bool, bidirectional: bool,
) -> Any:  # fmt: skip
    """`_recurrent` of packed sequences: x has a row for every step."""

    def scan(x: Any, hx: Any, weights: Any, bias: bool, num_layers: int, p: float, training: bool, *rest: Any) -> Any:
        return original(x, sizes, hx, weights, bias, num_layers, p, training, bidirectional)

    return _recurrent(rng, scan, x, hx, weights, bias, num_layers, p, training, bidirectional, False)


def _scanned(rng: Any, original: Any, x: Any, second: Any, third: Any, *rest: Any) -> Any:
    """Either, by what torch hands over: the weights are a list."""
    return (_recurrent if isinstance(third, list) else _packed)(rng, original, x, second, third, *rest)


def _recurrent(
    rng: Any, original: Any, x: Any, hx: Any, weights: Any, bias: bool, num_layers: int, p: float, training: bool,
    bidirectional: bool, batch_first: bool,
) -> Any:  # fmt: skip
    """One layer after another, each by torch's own function, and dropout between them."""
    if not training or not 0 < p < 1 or num_layers == 1:
        return original(x, hx, weights, bias, num_layers, p, training, bidirectional, batch_first)
    directions, each, ends = 1 + bidirectional, len(weights) // num_layers, []
    for layer in range(num_layers):
        if layer:
            turned = x.transpose(0, 1) if batch_first else x
            kept = _kept(rng, turned, p)
            x = x * (kept.transpose(0, 1) if batch_first else kept) / (1 - p)
        of_layer = slice(layer * directions, (layer + 1) * directions)
        state = hx[of_layer] if isinstance(hx, torch.Tensor) else tuple(q[of_layer] for q in hx)
        # cuDNN takes weights that share memory for those of a whole network, and finds others in their place.
        mine = [w.clone() for w in weights[layer * each : (layer + 1) * each]]
        x, *end = original(x, state, mine, bias, 1, 0.0, training, bidirectional, batch_first)
        ends.append(end)
    return (x, *(torch.cat(q) for q in zip(*ends, strict=True)))


def _attention(
    rng: Any, original: Any, q: Any, k: Any, v: Any, attn_mask: Any = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> Any:  # fmt: skip
    """softmax(qkᵀ/√d + mask) v with the weights dropped; torch's own does both in one kernel."""
    if not 0 < dropout_p < 1:
        return original(q, k, v, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa)
    if enable_gqa:
        k, v = (t.repeat_interleave(q.shape[-3] // t.shape[-3], -3) for t in (k, v))
    scores = q @ k.transpose(-2, -1) * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    if is_causal:
        scores = scores + torch.full_like(scores, -math.inf).triu(1)
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -math.inf) if attn_mask.dtype == torch.bool else scores + attn_mask
    unseen = (scores == -math.inf).all(-1, keepdim=True)  # a query whose keys are all masked: 0, as in torch
    weights = scores.masked_fill(unseen, 0.0).softmax(-1).masked_fill(unseen, 0.0)
    return weights * _kept(rng, weights, dropout_p) / (1 - dropout_p) @ v


def _copied(f: Any) -> Any:
    """The same function as another object, which a compiler reads through."""
    copy = FunctionType(f.__code__, f.__globals__, f.__name__, f.__defaults__, f.__closure__)
    copy.__kwdefaults__ = f.__kwdefaults__
    return copy


READ_THROUGH = _copied(F.multi_head_attention_forward)
DROPOUT = [*signature(F.multi_head_attention_forward).parameters].index("dropout_p")


def _heads(rng: Any, original: Any, *args: Any, **options: Any) -> Any:
    """torch's own, by a copy where it draws: a compiler takes this function whole, and runs it several times."""
    p = args[DROPOUT] if len(args) > DROPOUT else options["dropout_p"]
    draws = options.get("training", True) and 0 < p < 1
    return (READ_THROUGH if draws else original)(*args, **options)


def _fractional(
    rng: Any, original: Any, x: Any, kernel_size: Any, output_size: Any = None, output_ratio: Any = None,
    return_indices: bool = False, _random_samples: Any = None,
) -> Any:  # fmt: skip
    """Where windows begin is drawn once a sample, channel and axis; a module may have been given its numbers."""
    if _random_samples is None:
        axes = len(kernel_size)
        lead = (1,) * (axes + 2 - x.ndim) + tuple(x.shape[:-axes])
        _random_samples = _uniform(rng, (*lead, axes), x).to(x.dtype)
    return original(x, kernel_size, output_size, output_ratio, return_indices, _random_samples)


REPLACED: tuple[tuple[Any, str, Callable], ...] = (
    (F, "dropout", _dropout(lambda axes: 0)),
    (F, "dropout1d", _dropout(lambda axes: 1)),
    (F, "dropout2d", _dropout(lambda axes: axes - 2)),
    (F, "dropout3d", _dropout(lambda axes: 3 if axes == 5 else axes - 1)),
    (F, "alpha_dropout", _alpha_dropout(features=False)),
    (F, "feature_alpha_dropout", _alpha_dropout(features=True)),
    (F, "fractional_max_pool2d", _fractional),
    (F, "fractional_max_pool3d", _fractional),
    (F, "rrelu", _rrelu),
    (F, "gumbel_softmax", _gumbel),
    (F, "multi_head_attention_forward", _heads),
    (F, "scaled_dot_product_attention", _attention),
    (_VF, "lstm", _scanned),
    (_VF, "gru", _scanned),
    (_VF, "rnn_tanh", _scanned),
    (_VF, "rnn_relu", _scanned),
)
