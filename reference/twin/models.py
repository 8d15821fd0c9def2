"""from_torch: a model as a layer with its parameters, as it is where its classes say all, else by running it once."""

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin

from manualbp.base import Layer, Params, unflatten
from manualbp.container import Container
from manualbp.graph import Graph, Node

from . import parametrized, passes
from .layers import array, hooked, identities, read_as_it_is, to_torch, unreadable
from .reading import Reader
from .refusals import INFERENCE
from .step import UnreadableError, continuous, located

HERE = str(Path(__file__).resolve().parents[1])
Sample = tuple[list[tuple[str, Any]], dict[str, Any]]  # named positional arguments, and those by name


@dataclass(frozen=True)
class Read:
    """A model as a graph, in one floating dtype: `x` is the sample in the order of its inputs, `sizes` how many numbers
    every node gives, `still` the real inputs by which no gradient is asked for."""

    graph: Graph
    params: Params
    x: Any
    notes: tuple[str, ...]
    sizes: Mapping[str, int] = field(default_factory=dict)
    still: frozenset[str] = frozenset()


def read(model: nn.Module, args: tuple, kwargs: Mapping[str, Any]) -> tuple[Layer, Params]:
    """What `from_torch` gives."""
    check(model)
    if as_is(model):
        params = unflatten({name: array(t) for name, t in model.state_dict().items()})
        return read_as_it_is(model), params
    if (chain := sequence(model)) is not None:
        held = {n: array(t) for state in passes.state_of(model) for n, t in state.items()}
        return chain, unflatten(held)
    if not args and not kwargs:
        read_as_it_is(model)  # says why not, or
        raise TypeError(
            f"from_torch reads this {type(model).__name__} by running it: give it a sample, from_torch(model, x)"
        )
    found = read_by_running(model, args, kwargs, dtype_of(model, args, kwargs), [], True)
    return found.graph, found.params


def check(model: nn.Module) -> None:
    """TypeError, with the way on, for a model that no run can be trusted to show."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"from_torch takes a torch.nn.Module, as in from_torch(nn.Linear(2, 3)); it got {model!r:.60}")
    if torch.is_inference_mode_enabled():
        raise TypeError(INFERENCE)
    for path, m in model.named_modules():
        at = f"{path or 'the model'} ({type(m).__name__})"
        if isinstance(m, torch.jit.ScriptModule):
            raise TypeError(f"{at} is compiled by torch.jit: give the module that it was made from")
        if hasattr(m, "_orig_mod"):
            raise TypeError(
                f"{at} is made by torch.compile: give the module inside, {path + '.' * bool(path)}_orig_mod"
            )
        if isinstance(m, LazyModuleMixin) and m.has_uninitialized_params():
            raise TypeError(f"{at} does not know its sizes yet: call it once on an input")
        if m._backward_hooks or m._backward_pre_hooks:
            raise TypeError(
                f"{at} has a backward hook, which may change gradients: remove it (handle.remove()) and ask again"
            )
    for name, t in (*model.named_parameters(), *model.named_buffers()):
        if t.device.type != "cpu":
            raise TypeError(
                f"{name} is on {t.device}: the run by hand is on the CPU, so give model.cpu(). Its run on a device is "
                f"held beside that by `manualbp record` and `manualbp replay … --device {t.device.type}`"
            )
        if continuous(t) and t.dtype not in passes.PRECISIONS:
            raise TypeError(f"{name} is {t.dtype}, which NumPy does not compute in: give model.float()")
        if t._backward_hooks or getattr(t, "_post_accumulate_grad_hooks", None):
            raise TypeError(f"{name} has a hook on its gradient: remove it and ask again")


def as_is(model: nn.Module) -> bool:
    """Do the classes say all: known ones throughout, none changed, no parameter in two places?"""
    names = [n for n, _ in model.named_parameters(remove_duplicate=False)]
    if len(names) > len([*model.parameters()]):
        return False
    try:
        layer = read_as_it_is(model)
    except TypeError:
        return False
    return isinstance(layer, Container) or like_its_twin(model, layer)


def like_its_twin(module: nn.Module, layer: Layer) -> bool:
    """Are the modules inside of the classes that torch makes them of, without hooks?"""
    if not any(True for _ in module.children()):
        return True
    twin = {name: parametrized.own_class(m) for name, m in to_torch(layer).named_modules() if name}
    own = dict(module.named_modules()) | {"": parametrized.bare(module)}
    changed = any(hooked(m) or "forward" in vars(m) for m in own.values())
    return {name: parametrized.own_class(m) for name, m in own.items() if name} == twin and not changed


def sequence(model: nn.Module) -> Graph | None:
    """A Sequential of known classes in which a module or parameter occurs twice, as a graph; None for any other."""
    first = {id(t): name for name, t in (*model.named_parameters(), *model.named_buffers())}
    nodes: list[Node] = []

    def add(module: nn.Module, path: str) -> bool:
        if type(module) is nn.Sequential and not unreadable(module):
            return all(add(m, f"{path}.{name}".strip(".")) for name, m in module._modules.items())
        if (layer := whole(module)) is None or layer.arity > 1 or not path:
            return False
        own = (*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False))
        pairs = tuple((local, first[id(t)]) for local, t in own)
        nodes.append(Node(path, layer, nodes[-1].name if nodes else "x", located(pairs, path)))
        return True

    return Graph(*nodes) if type(model) is nn.Sequential and add(model, "") and nodes else None


GLOBAL_HOOKS = (
    "_global_backward_pre_hooks", "_global_backward_hooks", "_global_forward_pre_hooks", "_global_forward_hooks",
)  # fmt: skip


def whole(module: nn.Module) -> Layer | None:
    """The layer of a module that is taken whole: of a class that is here, itself and inside; None for any other."""
    if (
        unreadable(module)
        or issubclass(identities()[type(parametrized.bare(module))], Container)
        or any(getattr(nn.modules.module, hooks) for hooks in GLOBAL_HOOKS)
    ):
        return None
    try:
        layer = read_as_it_is(module)
    except TypeError:
        return None
    return layer if like_its_twin(module, layer) else None


def dtype_of(model: nn.Module, args: tuple, kwargs: Mapping[str, Any]) -> torch.dtype:
    """The one floating dtype of a model: that of its parameters, or of the sample where it has none."""
    held = (*model.named_parameters(), *model.named_buffers())
    dtypes = {t.dtype: n for n, t in held if t.is_floating_point()}
    if len(dtypes) > 1:
        told = ", ".join(f"{n} is {dtype}" for dtype, n in dtypes.items())
        raise TypeError(f"a graph has one floating dtype, but {told}: give model.float() or model.double()")
    given = [t.dtype.to_real() for t in passes.tensors_in((args, dict(kwargs))) if continuous(t)]
    of_complex = [t.dtype.to_real() for _, t in held if t.is_complex()]  # which model.double() leaves as they are
    return next(iter(dtypes), next(iter((*given, *of_complex)), torch.get_default_dtype()))


def named_arguments(model: nn.Module, args: tuple, kwargs: Mapping[str, Any]) -> Sample:
    """Positional arguments under the names that the model's forward has for them."""
    try:
        taken = inspect.signature(model.forward).bind(*args, **kwargs)
    except TypeError as e:
        raise ValueError(
            f"{type(model).__name__}.forward{inspect.signature(model.forward)} takes no such sample: {e}"
        ) from None
    names: list[str] = []
    for p in taken.signature.parameters.values():
        if p.kind is p.VAR_POSITIONAL:
            names += [f"{p.name}[{i}]" for i in range(len(args) - len(names))]
        else:
            names.append(p.name)
    return list(zip(names, args)), dict(kwargs)


def read_by_running(
    model: nn.Module, args: tuple, kwargs: Mapping[str, Any], dtype: torch.dtype, draws: list, first: bool
) -> Read:
    """The graph of what a model calls on this sample."""
    positional, by_name = named_arguments(model, args, kwargs)
    given, seen = passes.given(dtype, *passes.state_of(model), positional, by_name)
    clash = {n for n in seen if n in given.params or n in given.buffers}
    if clash:
        raise TypeError(f"an argument and a parameter of this model are both called {', '.join(clash)}: rename one")
    reader = Reader(model, whole, dtype, draws, first)
    reader.give(given, seen)
    with reader.reading():
        try:
            y, left = passes.run(model, given, reader)
        except UnreadableError as e:
            raise TypeError(str(e)) from None
        except (TypeError, ValueError, RuntimeError, IndexError, AssertionError, AttributeError, KeyError) as e:
            raise refused(model, given, e) from e
    graph = reader.graph(y, left, given)
    held = given.params | given.buffers | reader.constants
    fresh = passes.given(dtype, *passes.state_of(model), positional, by_name)[0]  # before the pass moved its buffers
    params = {n: array((fresh.params | fresh.buffers).get(n, t)) for n, t in held.items()}
    x = tuple(array(t) for t in fresh.inputs.values())
    still = frozenset(n for n, t in fresh.inputs.items() if t.is_floating_point() and not t.requires_grad)
    return Read(graph, unflatten(params), x if len(x) != 1 else x[0], tuple(reader.notes), reader.sizes, still)


def refused(model: nn.Module, given: passes.PassInputs, e: Exception) -> ValueError:
    """A sentence for a model that ends in an error."""
    shown = ", ".join(
        f"{n}: {str(t.dtype).removeprefix('torch.')} of shape {tuple(t.shape)}" for n, t in given.inputs.items()
    )
    advice = "A sample is what you call the model with: from_torch(model, x)"
    if "read-only" in str(e):
        advice = (
            "x.numpy() shares its memory with x, and what is written to it shows in no call of torch: change x itself, "
            "or the copy x.numpy().copy()"
        )
    elif "not differentiable with respect to" in str(e):
        advice = (
            "Every real input of a sample is given a gradient: where torch has none by an argument, call it in forward "
            "with that one detached, as in weight.detach()"
        )
    elif re.search(r"\b(dtype|double|float)\b", str(e), re.IGNORECASE):
        advice = (
            "It is run in float64 and float32, whichever of them its tensors have; another dtype stays, so make such a "
            "tensor float32, or a buffer (register_buffer) of a model.float()"
        )
    elif "expected np.ndarray" in str(e):
        advice = (
            "An array of NumPy in a sample is handed over as a tensor: make a tensor of it outside of forward, and "
            "give that"
        )
    elif of_ours(e):
        advice = ""
    said = str(e)[:300].rstrip(".")
    told = f"{type(model).__name__} ends in {type(e).__name__} on this sample ({shown}): {said}. {advice}"
    return ValueError(told.rstrip())


def of_ours(e: Exception) -> bool:
    """Is it a sentence of this project's own, which says what to do?"""
    tb = e.__traceback__
    while tb is not None and tb.tb_next is not None:
        tb = tb.tb_next
    file = "" if tb is None else tb.tb_frame.f_code.co_filename
    return isinstance(e, ValueError) and file.startswith(HERE)
