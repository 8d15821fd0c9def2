"""Calls that are several operations: torch code of the same meaning, which is read in their place."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from .expanded_matrices import MATRICES
from .expanded_places import PLACES
from .expanded_shapes import SHAPES, both
from .expanded_signal import SIGNAL
from .step import UnknownCallError


def with_mean(spread: Callable[..., Any]) -> Callable[..., Any]:
    """torch.var_mean and std_mean: the spread, and the mean over the same axes."""

    def both(x: Any, *rest: Any, **options: Any) -> Any:
        over = () if rest and isinstance(rest[0], bool) else rest[:1]  # a bool is `unbiased`
        keep = {k: v for k, v in options.items() if k in ("dim", "keepdim")} | dict(zip(("dim",), over))
        return spread(x, *rest, **options), torch.mean(x, **keep)

    return both


def logit(x: Any, eps: float | None = None) -> Any:
    x = x if eps is None else x.clamp(eps, 1 - eps)
    return torch.log(x / (1 - x))


def logcumsumexp(x: Any, dim: int) -> Any:
    """Of every entry the logarithm of the sum of exponentials up to it, each from its own largest, as torch has it."""
    x = x.movedim(dim, -1)
    later = torch.ones(x.shape[-1], x.shape[-1], dtype=torch.bool).triu(1)
    return x.unsqueeze(-2).masked_fill(later, -math.inf).logsumexp(-1).movedim(-1, dim)


def logaddexp(x: Any, other: Any) -> Any:
    return torch.logsumexp(torch.stack(torch.broadcast_tensors(x, other)), 0)


def logaddexp2(x: Any, other: Any) -> Any:
    """log₂(2ˣ + 2ᵒ)."""
    return logaddexp(x * math.log(2), other * math.log(2)) / math.log(2)


def float_power(x: Any, exponent: Any) -> Any:
    x, exponent = (t.to(torch.float64) if isinstance(t, torch.Tensor) else t for t in (x, exponent))
    return x**exponent


def mvlgamma(x: Any, p: int) -> Any:
    """The logarithm of the gamma function of p dimensions: a product of p of one."""
    apart = x.unsqueeze(-1) - torch.arange(p, dtype=x.dtype) / 2
    return torch.lgamma(apart).sum(-1) + p * (p - 1) / 4 * math.log(math.pi)


def isclose(x: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    near = (x == other) | ((x - other).abs() <= atol + (rtol * other).abs()) & torch.isfinite(other)
    return near | (torch.isnan(x) & torch.isnan(other)) if equal_nan else near


def without_nan(x: Any) -> Any:
    return x.masked_fill(torch.isnan(x), 0.0)


def nansum(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return without_nan(x).sum(dim, keepdim)


def nanmean(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The mean of what is no NaN."""
    return nansum(x, dim, keepdim) / (~torch.isnan(x)).sum(dim, keepdim)


def quantile(passes_nan: bool) -> Callable[..., Any]:
    """torch.quantile, and nanquantile, which passes over NaN: between neighbours in order, by the place q(n − 1)."""

    def call(x: Any, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear") -> Any:
        axes = x.ndim
        x, along = (x.reshape(-1), 0) if dim is None else (x, dim % axes)
        x = x.movedim(along, -1).sort(-1).values
        q = q if isinstance(q, torch.Tensor) else torch.tensor(q, dtype=x.dtype)
        n = (~torch.isnan(x)).sum(-1, keepdim=True) - 1
        rank = q.reshape(-1) * (n.clamp(min=0) if passes_nan else x.shape[-1] - 1)
        rank = rank if passes_nan else torch.where(n < x.shape[-1] - 1, x.shape[-1] - 1.0, rank)
        y = between(x, rank, interpolation)
        y = y.movedim(-1, 0) if q.ndim else y.squeeze(-1)
        if keepdim:
            y = y.unsqueeze(-1)
            return y.movedim(-1, along - axes) if dim is not None else y.reshape(*y.shape, *[1] * (axes - 1))
        return y

    return call


def between(x: Any, rank: Any, interpolation: str) -> Any:
    """The entries at places that may lie between two of them."""
    if interpolation in ("lower", "higher", "nearest"):
        rank = {"lower": torch.floor, "higher": torch.ceil, "nearest": torch.round}[interpolation](rank)
    below, above = torch.floor(rank), torch.ceil(rank)
    part = 0.5 if interpolation == "midpoint" else rank - below
    low, high = (x.gather(-1, i.long().expand(*x.shape[:-1], i.shape[-1])) for i in (below, above))
    return low if interpolation in ("lower", "higher", "nearest") else torch.lerp(low, high, part)


def written(f: Callable[..., Any]) -> Callable[..., Any]:
    """The same, into the first tensor."""

    def call(x: Any, *args: Any, **options: Any) -> Any:
        x[...] = f(x, *args, **options)
        return x

    return call


def expansion(name: str) -> Callable[..., Any] | None:
    """What is read in the place of a call; of a method in place, too. None where the call has a class or none."""
    plain = name.removesuffix("_")
    if name in EXPANDED or name == plain or name.endswith("__") or not name.startswith("Tensor."):
        return EXPANDED.get(name)
    return written(EXPANDED[plain]) if plain in EXPANDED else None


def extremes(x: Any, *, dim: int | None = None, keepdim: bool = False) -> Any:
    axes = () if dim is None else dim
    return torch.return_types.aminmax((torch.amin(x, axes, keepdim), torch.amax(x, axes, keepdim)))


def grouped_mm(x: Any, w: Any, *, offs: Any = None, bias: Any = None, out_dtype: Any = None) -> Any:
    """Rows of x up to each of `offs`, by the matrix of their own."""
    if x.ndim != 2 or w.ndim != 3 or offs is None or bias is not None:
        raise UnknownCallError("grouped_mm has a class here for rows and one matrix for each group of them, no bias")
    ends = offs.tolist()
    parts = [x[start:end] @ w[i] for i, (start, end) in enumerate(zip([0, *ends], ends, strict=False))]
    return torch.cat([*parts, torch.zeros(len(x) - ends[-1], w.shape[2])])


def pad_sequence(
    sequences: Any, batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Any:
    """All as long as the longest, side by side."""
    longest = max(len(s) for s in sequences)
    ends = [(0, longest - len(s)) if padding_side == "right" else (longest - len(s), 0) for s in sequences]
    padded = [
        torch.nn.functional.pad(s, ((0, 0) * (s.ndim - 1)) + end, value=padding_value)
        for s, end in zip(sequences, ends, strict=True)
    ]
    return torch.stack(padded, 0 if batch_first else 1)


EXPANDED: Mapping[str, Callable[..., Any]] = {
    **SHAPES, **PLACES, **MATRICES, **SIGNAL,
    "torch.pad_sequence": pad_sequence,
    **dict.fromkeys(("torch._grouped_mm", "torch.nn.functional.grouped_mm"), grouped_mm),
    "torch.polar": lambda abs, angle: torch.complex(abs * torch.cos(angle), abs * torch.sin(angle)),
    **both(addcmul=lambda input, tensor1, tensor2, value=1: input + value * (tensor1 * tensor2)),
    **both(addcdiv=lambda input, tensor1, tensor2, value=1: input + value * (tensor1 / tensor2)),
    **both(lerp=lambda input, end, weight: input + weight * (end - input), frac=lambda x: x - x.trunc()),
    **both(deg2rad=lambda x: x * (math.pi / 180), rad2deg=lambda x: x * (180 / math.pi)),
    **both(ldexp=lambda x, other: x * torch.pow(2.0, other), float_power=float_power),
    **both(logit=logit, logcumsumexp=logcumsumexp, logaddexp=logaddexp, logaddexp2=logaddexp2, mvlgamma=mvlgamma),
    **both(isclose=isclose, isfinite=lambda x: ~(torch.isnan(x) | torch.isinf(x))),
    **both(isreal=lambda x: torch.ones_like(x, dtype=torch.bool)),
    **both(isneginf=lambda x: x == -math.inf, isposinf=lambda x: x == math.inf),
    **both(signbit=lambda x: torch.copysign(torch.ones_like(x), x) < 0),
    **both(nansum=nansum, nanmean=nanmean, quantile=quantile(False), nanquantile=quantile(True), aminmax=extremes),
    **both(msort=lambda x: x.sort(0).values),
    "torch.var_mean": with_mean(torch.var), "torch.std_mean": with_mean(torch.std), "torch.special.logit": logit,
    "torch.special.ndtr": lambda x: (1 + torch.erf(x / math.sqrt(2))) * 0.5, "torch.special.multigammaln": mvlgamma,
}  # fmt: skip

OF_COMPLEX: Mapping[str, Callable[..., Any]] = {  # calls that are of several operations where numbers are complex
    **dict.fromkeys(("mH", "H", "adjoint"), lambda x: x.mT.conj()),
    **dict.fromkeys(("norm", "vector_norm"), lambda x, *rest, **over: torch.linalg.vector_norm(x.abs(), *rest, **over)),
    "linear": lambda input, weight, bias=None: input @ weight.mT if bias is None else input @ weight.mT + bias,
    "vdot": lambda input, other: torch.dot(input.conj(), other),
}  # fmt: skip
