"""torch modules for the containers that torch.nn has no class for, with the parameter names of `manualbp.container`."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from .parametrized import Orthogonal as Orthogonal
from .parametrized import SpectralNorm as SpectralNorm
from .parametrized import WeightNorm as WeightNorm


def call(module: nn.Module, x: Any) -> Any:
    """module of x: a tuple is spread over the arguments of a torch module, by name and without the options that
    were bound to it (`bind`); the modules of this file take x whole."""
    if isinstance(module, Whole):
        return module(x)
    options = getattr(module, "call_options", {})
    if not isinstance(x, tuple):
        return module(x, **options)
    if not options:
        return module(*x)
    names = [name for name in inspect.signature(module.forward).parameters if name not in options]
    return module(**dict(zip(names, x, strict=False)), **options)


def as_tuple(y: Any) -> Any:
    """Named tuples and lists as tuples."""
    return tuple(map(as_tuple, y)) if isinstance(y, (tuple, list)) else y


class TakingTuple(nn.Module):
    """A module that takes its inputs as a layer does: a tuple of several."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Any) -> Any:
        return call(self.inner, x)


def bind(module: nn.Module, options: dict[str, Any]) -> nn.Module:
    """The module, called with these arguments from now on (`need_weights`, `is_causal`, …)."""
    if options:
        module.call_options = options
    return module


class Whole(nn.Module):
    """A module that takes a tuple of inputs as one argument."""


class Many(Whole):
    def __init__(self, *modules: nn.Module) -> None:
        super().__init__()
        for i, module in enumerate(modules):
            self.add_module(str(i), module)


class Sequential(Many):
    def forward(self, x: Any) -> Any:
        for module in self.children():
            x = call(module, x)
        return x


class Parallel(Many):
    def forward(self, x: Any) -> Any:
        return tuple(call(module, x) for module in self.children())


class Sum(Many):
    def forward(self, x: Any) -> Any:
        first, *rest = (call(module, x) for module in self.children())
        return sum(rest, first)


class Concat(Many):
    def __init__(self, *modules: nn.Module, dim: int = -1) -> None:
        super().__init__(*modules)
        self.dim = dim

    def forward(self, x: Any) -> Any:
        return torch.cat([call(module, x) for module in self.children()], self.dim)


class Residual(Whole):
    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Any) -> Any:
        return x + call(self.body, x)


class Repeat(Whole):
    def __init__(self, body: nn.Module, times: int = 2) -> None:
        super().__init__()
        self.body, self.times = body, times

    def forward(self, x: Any) -> Any:
        for _ in range(self.times):
            x = call(self.body, x)
        return x


class Select(Whole):
    def __init__(self, index: int = 0) -> None:
        super().__init__()
        self.index = index

    def forward(self, x: Any) -> Any:
        return x[self.index]


class Objective(Whole):
    def __init__(self, model: nn.Module, loss: nn.Module) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, x: Any) -> Any:
        return call(self.loss, (call(self.model, x[0]), *x[1:]))


def in_plain_strides(module: nn.Module) -> nn.Module:
    """The module, with its input and its upstream gradient laid out anew.

    torch's batch norm on the CPU takes the strides of one for those of the other where an axis of length 1 leaves
    the memory format open: wrong gradients by input, weight and bias, silently (torch 2.13). Its NLLLoss of images has
    no backward for an input that is transposed, and MaxPool3d none, nor for such an upstream gradient; and a transposed
    convolution none where the strides of an axis of length 1 are odd."""
    module.register_forward_pre_hook(plain_input)
    module.register_forward_hook(_plain_gradient)
    return module


def _plain(t: torch.Tensor | None) -> torch.Tensor | None:
    return None if t is None else t.clone(memory_format=torch.contiguous_format)


def plain_input(module: nn.Module, x: tuple) -> tuple:
    return tuple(map(_plain, x))


def _plain_gradient(module: nn.Module, x: tuple, y: torch.Tensor | tuple) -> None:
    for t in y if isinstance(y, tuple) else (y,):
        if t.requires_grad:
            t.register_hook(_plain)


def plain(t: torch.Tensor) -> torch.Tensor:
    """The same numbers in plain strides, and its gradient, too."""
    t = t.clone(memory_format=torch.contiguous_format)
    if t.requires_grad:
        t.register_hook(_plain)
    return t


PLAIN = (plain_input, _plain_gradient)


@contextmanager
def keeping_activations() -> Iterator[None]:
    """Within it a copy of a TransformerDecoderLayer keeps an activation that is a module. torch's own copies, so all
    layers of its TransformerDecoder and Transformer, fall back to relu silently (torch 2.13)."""
    with mock.patch.object(nn.TransformerDecoderLayer, "__setstate__", nn.Module.__setstate__):
        yield


class _Packed(nn.RNNBase):
    """A recurrent module that takes lengths beside its input, which it packs and unpacks."""

    def forward(self, x: torch.Tensor, hx: Any = None, lengths: torch.Tensor | None = None) -> Any:
        if x.is_cuda and not self.training:  # cuDNN has no backward then, torch's own kernels have
            with torch.backends.cudnn.flags(enabled=False):
                return self._run(x, hx, lengths)
        return self._run(x, hx, lengths)

    def _run(self, x: torch.Tensor, hx: Any, lengths: torch.Tensor | None) -> Any:
        if lengths is None:
            return super().forward(x, hx)
        time = 1 if self.batch_first else 0
        sorted_lengths, longest = lengths.sort(descending=True, stable=True)
        longest = longest.to(x.device)
        packed = pack_padded_sequence(x.index_select(1 - time, longest), sorted_lengths.cpu(), self.batch_first)
        y, state = super().forward(packed, _batch(hx, longest))
        y, _ = pad_packed_sequence(y, self.batch_first, total_length=x.shape[time])
        back = longest.argsort()
        return y.index_select(1 - time, back), _batch(state, back)


def _batch(state: Any, order: torch.Tensor) -> Any:
    """A state, or a pair of them, with the batch in another order."""
    if isinstance(state, tuple):
        return tuple(_batch(q, order) for q in state)
    return None if state is None else state.index_select(1, order)


class RNN(_Packed, nn.RNN):
    pass


class LSTM(_Packed, nn.LSTM):
    pass


class GRU(_Packed, nn.GRU):
    pass


class CrossMapLRN2d(nn.CrossMapLRN2d):
    """torch's own, or its forward with autograd's gradient."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1, as_torch: bool = True) -> None:
        super().__init__(size, alpha, beta, k)
        self.as_torch = as_torch

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.as_torch:
            return super().forward(x)
        i = torch.arange(x.shape[1])
        A = ((i - i[:, None]).abs() < (self.size + 1) // 2) | (i == 0)
        d = self.k + self.alpha / self.size * torch.einsum("ci,nihw->nchw", A.to(x), x**2)
        return x * d**-self.beta


class Upsample(nn.Upsample):
    """torch's own, with the antialias that its function has. That gives one row for all where y has a width of 1 and
    another height than x (torch 2.13); with height and width exchanged it does not."""

    def __init__(self, *args: Any, antialias: bool = False, **options: Any) -> None:
        super().__init__(*args, **options)
        self.antialias = antialias

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # torch's name for it
        if not self.antialias:
            return super().forward(input)
        y = self._smoothed(input, self.size, self.scale_factor)
        if y.shape[-1] > 1:
            return y
        turned = (v[::-1] if isinstance(v, tuple) else v for v in (self.size, self.scale_factor))
        return self._smoothed(input.mT, *turned).mT

    def _smoothed(self, x: torch.Tensor, size: Any, factor: Any) -> torch.Tensor:
        options: Any = {"align_corners": self.align_corners, "recompute_scale_factor": self.recompute_scale_factor}
        return nn.functional.interpolate(x, size, factor, self.mode, antialias=True, **options)


class Hardsigmoid(nn.Module):
    """torch's own hardsigmoid multiplies by 1.0f/6.0f in its backward, in float64 too: off by 3·10⁻⁸ (torch 2.13).
    The same function from parts that are right; `tests/test_torch_limits.py` shows the difference."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.relu6(x + 3) / 6


class CELU(nn.Module):
    """torch's own celu rounds α to float32 in its backward, in float64 too: off by 10⁻⁸ (torch 2.13)."""

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = torch.where(x > 0, 0, x) / self.alpha
        e = self.alpha * torch.exp(z)  # its slope keeps all digits; the value's are those of expm1
        return nn.functional.relu(x) + (self.alpha * torch.expm1(z)).detach() + (e - e.detach())


class SoftMarginLoss(nn.Module):
    """torch's own soft_margin_loss takes e^(−tx), which is infinite from −tx = 710 on (from 89 in float32)."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return _reduced(-nn.functional.logsigmoid(t * x), self.reduction)


def poisson_nll_loss(
    x: torch.Tensor, t: torch.Tensor, log_input: bool = True, full: bool = False, size_average: Any = None,
    eps: float = 1e-8, reduce: Any = None, reduction: str = "mean",
) -> torch.Tensor:  # fmt: skip
    """torch's own, whose gradient by a target of 0 or less is NaN with `full`, although Stirling's term is left out."""
    v = nn.functional.poisson_nll_loss(x, t, log_input, eps=eps, reduction="none")
    s = torch.where(t > 1, t, 2)
    stirling = s * torch.log(s) - s + 0.5 * torch.log(2 * torch.pi * s)
    return _reduced(v + torch.where(t > 1, stirling, 0) if full else v, reduction)


def _reduced(v: torch.Tensor, reduction: str) -> torch.Tensor:
    return v.mean() if reduction == "mean" else v.sum() if reduction == "sum" else v
