"""One run of a user's own module: with parameters and buffers given by name, in one floating dtype, with its random
numbers shared between runs. Whoever reads the model, or compares with it, runs it so."""

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812  (its name everywhere)
from torch.overrides import TorchFunctionMode
from torch.utils import checkpoint

from . import modules, parametrized
from .calls import name_of
from .expanded import grouped_mm
from .kept import kept
from .randomness import where_asked
from .step import continuous, in_precision, swapped, tensors_in

DRAWS = """torch.rand torch.randn torch.rand_like torch.randn_like torch.randint torch.randint_like torch.randperm
    torch.bernoulli Tensor.bernoulli torch.multinomial Tensor.multinomial torch.normal torch.poisson torch.binomial
    Tensor.bernoulli_ Tensor.uniform_ Tensor.normal_ Tensor.exponential_ Tensor.random_ Tensor.log_normal_
    Tensor.cauchy_ Tensor.geometric_ torch.nn.init.uniform_ torch.nn.init.normal_ torch.nn.init.kaiming_uniform_
    torch.nn.init.kaiming_normal_"""
REPARAMETRIZED = {"torch._standard_gamma", "torch._sample_dirichlet"}  # with a gradient by what says how to draw
RANDOM = {*DRAWS.split(), *REPARAMETRIZED}
PRECISIONS = torch.float32, torch.float64, torch.complex64, torch.complex128
OF_MODULES = vars(nn.Module()).keys()  # parameters, buffers, hooks
OF_A_DTYPE = type(torch.FloatTensor)
SHARED = {  # torch's functions that draw, which `randomness.shared` replaces where they are looked up
    f: f.__name__ for f in (
        F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout, F.rrelu,
        F.gumbel_softmax, F.scaled_dot_product_attention, torch.dropout, torch.alpha_dropout,
        torch.feature_alpha_dropout, torch.rrelu,
    )
}  # fmt: skip


# Functions that are off in torch's own float64: `modules` and `parametrized` say how, and tests/test_torch_limits.py
# shows it.
GROUPED = getattr(torch, "_grouped_mm", None), getattr(F, "grouped_mm", None)  # which takes no float64
MENDED: Mapping[Any, Any] = {
    F.hardsigmoid: lambda x: modules.Hardsigmoid()(x),
    torch.matrix_exp: parametrized.exponential,
    F.soft_margin_loss: lambda x, t, *rest, reduction="mean", **_: modules.SoftMarginLoss(reduction)(x, t),
    F.poisson_nll_loss: modules.poisson_nll_loss,
    F.celu: lambda x, alpha=1.0: modules.CELU(alpha)(x),
    **({f: grouped_mm for f in GROUPED if f is not None}),
    F.batch_norm: lambda x, *rest, **options: modules.plain(F.batch_norm(modules.plain(x), *rest, **options)),
}


def in_place(f: Any, x: torch.Tensor, *rest: Any, inplace: bool = False, **options: Any) -> torch.Tensor:
    """f of x, written into x where the caller wants it there."""
    return where_asked(f(x, *rest, **options), x, inplace)


def mended(func: Any, args: tuple, kwargs: Mapping[str, Any]) -> Any:
    """What a call gives, by the function in its place where there is one."""
    if func in SHARED:
        return getattr(F, SHARED[func])(*args, **kwargs)
    if func in MENDED:
        return in_place(MENDED[func], args[0], *args[1:], **kwargs)
    return func(*args, **kwargs)


@contextmanager
def straight() -> Iterator[None]:
    """A checkpoint is what it runs, once: it would run again in backward, then on the module's own parameters; a
    scripted function is that which it was made from; and inference_mode is no_grad."""
    with ExitStack() as stack:
        for place, name, replaced in STRAIGHT:
            stack.enter_context(mock.patch.object(place, name, replaced))
        yield


def _nothing(*args: Any, **kwargs: Any) -> Iterator[None]:
    """In the place of what stands around a checkpointed function."""
    yield


SCRIPTED = torch.jit.ScriptFunction.__call__


def _unscripted(scripted: Any, *args: Any, **kwargs: Any) -> Any:
    """The Python function that a scripted one was made from; itself where there is none, as in one from a file."""
    made_from = getattr(scripted, "_torchdynamo_inline", None)
    return SCRIPTED(scripted, *args, **kwargs) if made_from is None else made_from(*args, **kwargs)


def _without_gradient(mode: Any) -> None:
    """In the place of inference_mode's start: no_grad, since its tensors count no changes."""
    mode._before = torch.set_grad_enabled(not mode.mode)


STRAIGHT: tuple[tuple[Any, str, Any], ...] = (
    (torch.inference_mode, "__enter__", _without_gradient),
    (torch.inference_mode, "__exit__", lambda mode, *error: mode._before.__exit__(*error)),
    (checkpoint, "_checkpoint_without_reentrant_generator", _nothing),
    (checkpoint.CheckpointFunction, "apply", lambda run, preserve, *args: run(*args)),
    (torch.jit.ScriptFunction, "__call__", _unscripted),
)


class WithBuffers(nn.Module):
    """A module that keeps what its buffers are when it returns: `functional_call` puts the old ones back."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.left: dict[str, torch.Tensor] = {}

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        y = self.inner(*args, **kwargs)
        self.left = dict(self.inner.named_buffers())
        return y


class OwnRun(TorchFunctionMode):
    """A run in one floating dtype. `draws`: the random numbers of the first run, which later ones get again."""

    def __init__(self, dtype: torch.dtype, draws: list[torch.Tensor], first: bool) -> None:
        super().__init__()
        self.dtype, self.draws, self.first, self.drawn = dtype, draws, first, 0
        self.converted: dict[int, tuple[torch.Tensor, int, torch.Tensor]] = {}  # one, its version, it in the dtype

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        name = name_of(func)
        if name == "Tensor.type" and len(args) == 2 and isinstance(args[1], str):
            args = (args[0], getattr(torch, args[1].removeprefix("torch.")))
        args, kwargs = self.in_dtype(args), self.in_dtype(kwargs or {})
        if name == "Tensor.requires_grad.__set__" and args[0].requires_grad and args[1]:
            return None  # it has one already: what is a leaf for the user was made of an input that gathers gradients
        if name in ("Tensor.float", "Tensor.double", "Tensor.cfloat", "Tensor.cdouble"):
            to = self.dtype.to_complex() if name[7] == "c" else self.dtype
            name, func, args, kwargs = "Tensor.to", torch.Tensor.to, (args[0], to), {}
        if name in RANDOM:
            return self.draw(name, func, args, kwargs)
        return self.compute(name, func, args, kwargs)

    def compute(self, name: str, func: Any, args: tuple, kwargs: Mapping[str, Any]) -> Any:
        """Any other call."""
        return mended(func, args, kwargs)

    def in_dtype(self, value: Any) -> Any:
        """An argument in the run's precision, whichever a model names, and whichever a tensor was made in that is no
        parameter, buffer or input: a plain attribute, a global, an array of NumPy."""
        if isinstance(value, torch.Tensor):
            other = id(value) in self.converted or self.other_precision(value)
            return self.tensor(value) if other else value
        if isinstance(value, (torch.dtype, OF_A_DTYPE)):
            dtype = value if isinstance(value, torch.dtype) else value.dtype  # of torch.FloatTensor
            return in_precision(dtype, self.dtype) if dtype in PRECISIONS else dtype
        if isinstance(value, dict):
            return {n: self.in_dtype(v) for n, v in value.items()}
        return type(value)(map(self.in_dtype, value)) if type(value) in (tuple, list) else value

    def other_precision(self, t: torch.Tensor) -> bool:
        return t.dtype in PRECISIONS and t.dtype != in_precision(t.dtype, self.dtype)

    def tensor(self, t: torch.Tensor) -> torch.Tensor:
        """The one copy of a tensor in the run's precision; what is written to it stays in it."""
        known, version, copy = self.converted.get(id(t), (None, 0, t))
        if known is None or version != t._version:
            copy = t.to(in_precision(t.dtype, self.dtype) if t.dtype in PRECISIONS else t.dtype, copy=True)
            self.converted[id(t)] = t, t._version, copy
        return copy

    def stand_in(self, model: nn.Module, given: "PassInputs") -> None:
        """For a parameter or buffer that is kept in another place, too, as in a list, the run's own; for a tensor in a
        plain attribute a copy: the run may change it."""
        for name, t in (*model.named_parameters(), *model.named_buffers()):
            self.converted[id(t)] = t, t._version, (given.params | given.buffers).get(name, t)
        for own in map(plain_attributes, model.modules()):
            for _, t in held_in(own, ""):
                self.tensor(t)

    def as_given(self, t: torch.Tensor) -> torch.Tensor:
        """What a tensor is the copy of in the run's precision, or itself."""
        return next((other for other, _, copy in self.converted.values() if copy is t), t)

    def draw(self, name: str, func: Any, args: tuple, kwargs: Mapping[str, Any]) -> torch.Tensor:
        """Random numbers: noted in the first run, the same in every other. No gradient goes back to what they are drawn
        by, as to p of torch.bernoulli(p), where torch's is 0."""
        target = next(tensors_in((args, kwargs))) if name.endswith("_") else None
        if self.first:
            given, named = swapped((args, kwargs), lambda t: t if t is target else t.detach())
            found = func(*given, **named)
            self.draws.append(found.detach().clone())
            return found
        if self.drawn == len(self.draws):
            raise ValueError("the model draws more random numbers in one run than in another: seed its own decisions")
        saved = self.draws[self.drawn]
        self.drawn += 1
        saved = saved.to(in_precision(saved.dtype, self.dtype), copy=True)
        return saved if target is None else target.copy_(saved)


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """torch.zeros(3) and its like in this dtype."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@dataclasses.dataclass
class PassInputs:
    """What a run is given: parameters and buffers by name, the arguments, and the leaves that gather gradients."""

    params: dict[str, torch.Tensor]
    buffers: dict[str, torch.Tensor]
    args: tuple
    kwargs: dict[str, Any]
    inputs: dict[str, torch.Tensor]  # by name, the leaves; the model sees copies, which it may change in place


def state_of(model: nn.Module) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Parameters and buffers by name, one that is shared under its first name."""
    return dict(model.named_parameters()), dict(model.named_buffers())


def given(
    dtype: torch.dtype, params: Mapping[str, Any], buffers: Mapping[str, Any], args: Any, kwargs: Mapping[str, Any],
    instead: Mapping[str, Any] | None = None,
) -> tuple[PassInputs, dict[str, torch.Tensor]]:  # fmt: skip
    """Fresh leaves of all that is real, and the copies of inputs that the model sees, by name. `instead`: other arrays
    in the place of the sample's, by name."""

    leaves: dict[str, torch.Tensor] = {}
    seen: dict[str, torch.Tensor] = {}

    def copied(value: Any, name: str) -> Any:
        learned = not getattr(value, "still", False)
        if instead is not None and name in instead:
            value = np.array(instead[name])
        if isinstance(value, np.ndarray):
            value = torch.from_numpy(value)
        if isinstance(value, torch.Tensor):
            leaves[name] = leaf(value, dtype, learned)
            seen[name] = leaves[name].clone()
            return seen[name]
        if isinstance(value, dict):
            return {k: copied(v, f"{name}[{k!r}]") for k, v in value.items()}
        if isinstance(value, (tuple, list)):
            parts = [copied(v, f"{name}[{i}]") for i, v in enumerate(value)]
            return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
        return value

    made = tuple(copied(v, n) for n, v in args)
    named = {n: copied(v, n) for n, v in kwargs.items()}
    held = {n: t.detach().to(in_precision(t.dtype, dtype), copy=True) for n, t in buffers.items()}
    return PassInputs({n: leaf(t, dtype) for n, t in params.items()}, held, made, named, leaves), seen


def leaf(t: torch.Tensor, dtype: torch.dtype, learned: bool = True) -> torch.Tensor:
    t = t.detach()
    return t.to(in_precision(t.dtype, dtype), copy=True).requires_grad_(learned) if continuous(t) else t.clone()


def still(t: torch.Tensor) -> torch.Tensor:
    """The same input, by which no gradient is asked for."""
    t = t.detach().clone()
    t.still = True  # type: ignore[attr-defined]
    return t


def run(model: nn.Module, given: PassInputs, mode: OwnRun) -> tuple[Any, dict[str, torch.Tensor]]:
    """What the user's own module gives, and its buffers after the pass."""
    called = WithBuffers(model)
    mode.stand_in(model, given)
    state = {f"inner.{n}": t for n, t in in_every_place(model, given.params | given.buffers).items()}
    with torch.enable_grad(), default_dtype(mode.dtype), straight(), kept(model), mode:
        y = torch.func.functional_call(called, state, given.args, given.kwargs, tie_weights=False)
    return y, called.left


def plain_attributes(m: nn.Module) -> dict[str, Any]:
    """Those that are no parameters, buffers, modules or hooks."""
    return {n: v for n, v in vars(m).items() if n not in OF_MODULES}


def held_in(value: Any, path: str) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors in lists, dicts and modules that are kept there, each with its place."""
    if isinstance(value, torch.Tensor):
        yield path, value
    elif isinstance(value, nn.Module):
        yield from ((f"{path}.{n}", t) for n, t in (*value.named_parameters(), *value.named_buffers()))
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from held_in(part, f"{path}[{key!r}]")
    elif isinstance(value, (tuple, list)):
        for i, part in enumerate(value):
            yield from held_in(part, f"{path}[{i}]")


def converted(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """The model itself, and what is real in its plain attributes, in a precision: where no run of its own converts."""

    def other(t: torch.Tensor) -> torch.Tensor:
        return t.to(in_precision(t.dtype, dtype)) if t.dtype in PRECISIONS else t

    for m in model._apply(other).modules():
        for name, value in plain_attributes(m).items():
            if any(other(t) is not t for t in tensors_in(value)):
                vars(m)[name] = swapped(value, other)
    return model


def in_every_place(model: nn.Module, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """`state` under all names of tensors that several modules hold, but one name of a module that has several:
    `functional_call` with tie_weights writes to such a module twice, and leaves the second in it."""
    names = {id(t): n for n, t in (*model.named_parameters(), *model.named_buffers())}
    found = {}
    for path, m in model.named_modules():
        for local, t in (*m._parameters.items(), *m._buffers.items()):
            if t is not None and names[id(t)] in state:
                found[f"{path}.{local}" if path else local] = state[names[id(t)]]
    return found


def outputs(y: Any) -> tuple[Any, tuple[str, ...]]:
    """An output as nested tuples of tensors, and the keys of a dict or dataclass; what is no tensor is None."""
    if dataclasses.is_dataclass(y) and not isinstance(y, (Mapping, torch.Tensor)):
        y = {f.name: getattr(y, f.name) for f in dataclasses.fields(y)}
    if isinstance(y, Mapping):
        kept = {str(k): tree(v) for k, v in y.items() if any(True for _ in tensors_in(v))}
        return tuple(kept.values()), tuple(kept)
    return tree(y), ()


def tree(y: Any) -> Any:
    """Lists and dicts inside an output as tuples; None for what is no tensor."""
    if isinstance(y, Mapping):
        return tuple(map(tree, y.values()))
    if isinstance(y, (tuple, list)):
        return tuple(map(tree, y))
    return y if isinstance(y, torch.Tensor) else None
