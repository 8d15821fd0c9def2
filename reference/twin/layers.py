"""The torch twin of a layer, and the layer of a torch module. Both derived: names and options coincide.

Where they do not, the exception stands in a table here, with its reason.
"""

import inspect
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin

from manualbp.base import Array, Layer, Params, flatten, options_of, registry
from manualbp.composite import Composite
from manualbp.graph import Graph
from manualbp.parametrizations import Parametrized

from ..twin import graphs, modules, operations, parametrized
from .conventions import known_options

RENAMED = {("PReLU", "init_value"): "init"}  # `init` is what every layer here has: its initialisation
RATIOS = ("scale_factor", "output_ratio")  # tuples of float that are no weights
DTYPES = {"float32": torch.float32, "float64": torch.float64}
IN_PLAIN_STRIDES = (  # batch and instance norm are the first
    nn.modules.batchnorm._NormBase, nn.modules.conv._ConvTransposeNd, nn.NLLLoss, nn.MaxPool3d,
)  # fmt: skip


def to_torch(layer: Layer, params: Params | None = None, dtype: str = "float64", device: str = "cpu") -> nn.Module:
    """The torch.nn module that computes the same, with the same parameters under the same names.

    TypeError if a layer has no class of its name in torch.nn; RuntimeError (torch's, strict) if the names differ.
    """
    with quiet(), modules.keeping_activations():
        module = _build(layer).to(device=device, dtype=DTYPES[dtype])
    if params is not None:
        module.load_state_dict({name: tensor(p, device) for name, p in flatten(params).items()}, strict=True)
    return module


def _build(layer: Layer) -> nn.Module:
    if isinstance(layer, Graph):
        return graphs.Graph(layer, _build)
    name = type(layer).__name__
    if name in operations.TABLE:
        return operations.Operation(name, known_options(layer))
    cls = getattr(modules, name, None) or getattr(nn, name, None)
    if cls is None or cls is nn.Module:
        raise TypeError(f"torch.nn has no {name}; compare {layer} with a module of your own, or by its differences")
    children, options, at_call = for_torch(layer, cls)
    module = cls(*map(_build, children), **{k: v if k in RATIOS else _argument(v) for k, v in options.items()})
    # torch keeps a loss's class weights as a buffer in state_dict; here they are an option, so part of the expression.
    module._non_persistent_buffers_set |= set(options) & set(module._buffers)
    if isinstance(module, IN_PLAIN_STRIDES):
        modules.in_plain_strides(module)
    _set_modes(module, layer)
    return modules.bind(module, at_call)


def for_torch(layer: Layer, cls: type[nn.Module]) -> tuple[tuple[Layer, ...], dict[str, Any], dict[str, Any]]:
    """What a torch class takes of a layer: the layers that it is made of, its options by torch's names, and those that
    torch takes at the call."""
    options = known_options(layer)
    options.pop("training", None)
    layers = options.pop("layers", ())
    at_call = {k: options.pop(k) for k in list(options) if k in _of_call(cls)}
    return layers, {RENAMED.get((type(layer).__name__, k), k): v for k, v in options.items()}, at_call


def _set_modes(module: nn.Module, layer: Layer) -> None:
    """The layer's mode, and those of what it is made of: train() would give all of them one."""
    module.training = getattr(layer, "training", True)
    if isinstance(layer, Parametrized):
        parametrized.set_modes(module, layer)
    for name, child in layer.children().items() if isinstance(layer, Composite) else ():
        inside = dict(module.named_modules())
        if name in inside:
            _set_modes(inside[name], child)


@contextmanager
def quiet() -> Iterator[None]:
    """Without torch's advice on options that are drawn at random: a parameter of size 0, padding that costs a copy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


@cache
def _of_call(cls: type[nn.Module]) -> frozenset[str]:
    """The names of forward's arguments that are no arguments of the class: call-time options, and inputs."""
    own = {name for base in cls.__mro__ for name in inspect.signature(base.__init__).parameters}
    return frozenset(inspect.signature(cls.forward).parameters.keys() - own)


def _argument(value: Any) -> Any:
    """A layer's option as torch takes it: layers as modules, numbers in a tuple as they are unless they are weights."""
    if isinstance(value, Layer):
        return _build(value)
    if isinstance(value, tuple) and _is_numeric_array(value):
        return torch.tensor(value, dtype=torch.float64)
    return value


def _is_numeric_array(value: tuple) -> bool:
    """Sizes and paddings are tuples of int (or pairs of them); class weights are tuples of float."""
    return (
        all(isinstance(v, float) or (isinstance(v, tuple) and _is_numeric_array(v)) for v in value) and len(value) > 0
    )


def from_torch(model: nn.Module, /, *args: Any, **kwargs: Any) -> tuple[Layer, Params]:
    """The layer, with its parameters, that computes what a torch module does.

    A module of a class that is here, or a Sequential of such, needs no more. Any other model is read by running it
    once: from_torch(model, x, mask=mask) gives a `Graph` of what it called on this sample. TypeError, with the place,
    if something in it cannot be read.
    """
    from .models import read  # it builds on this file

    return read(model, args, kwargs)


def read_as_it_is(module: nn.Module) -> Layer:
    """The layer of a module that need not be run: TypeError, with the reason, for any other. A twin keeps what it is
    called with, as an `output_size`, which torch's own module does not know."""
    if parametrized.made(module):
        return parametrized.read(module, read_as_it_is)
    layer, at_call = _read(module), getattr(module, "call_options", {})
    return layer.replace(**at_call) if at_call else layer


def _read(module: nn.Module) -> Layer:
    if isinstance(module, operations.Operation):
        return registry()[module.name](**module.options)
    if isinstance(module, LazyModuleMixin):
        becomes = getattr(module.cls_to_become, "__name__", "what it stands for")
        told = f"{type(module).__name__} does not know its sizes yet"
        raise TypeError(f"{told}: call it once on an input, and it is a {becomes}")
    if why := unreadable(module):
        raise TypeError(
            f"from_torch reads {type(module).__module__}.{type(module).__name__} by running it, since {why}: give it a "
            f"sample, from_torch(model, x). Without one it reads torch.nn's own classes, alone or in an nn.Sequential"
        )
    cls = identities()[type(module)]
    if cls.__name__ in READ:
        return READ[cls.__name__](module)
    if cls.variadic:
        extra = {k: getattr(module, k) for k in _fields(cls) if k != "layers"}
        return cls(*map(read_as_it_is, module._modules.values()), **extra)
    read = {k: (RENAMED.get((cls.__name__, k), k), default) for k, default in _fields(cls).items()}
    return cls(**{k: _option(module, theirs, d) for k, (theirs, d) in read.items() if hasattr(module, theirs)})


@cache
def identities() -> dict[type, type[Layer]]:
    """The layer of every class of torch.nn, and of the twins, that has one: by the class, not by its name."""
    places = [(place, name, cls) for place in (nn, modules, graphs) for name, cls in registry().items()]
    return {getattr(place, name): cls for place, name, cls in places if isinstance(getattr(place, name, None), type)}


def hooked(module: nn.Module) -> bool:
    """Has it forward hooks of its own, which may change what it computes?"""
    hooks = [*module._forward_pre_hooks.values(), *module._forward_hooks.values()]
    return any(hook not in modules.PLAIN for hook in hooks)


def unreadable(module: nn.Module) -> str | None:
    """Why a module is not what its class says, or None."""
    module = parametrized.bare(module)
    if type(module) not in identities():
        return "that is a class of its own, or without a layer here"
    if hooked(module) or module._backward_hooks or module._backward_pre_hooks:
        return "it has hooks, which change what it computes"
    return "its forward was replaced" if "forward" in vars(module) else None


def _fields(cls: type) -> dict[str, Any]:
    return {f.name: f.default for f in cls.__dataclass_fields__.values() if f._field_type.name == "_FIELD"}


def _option(module: nn.Module, name: str, default: Any) -> Any:
    value = getattr(module, name)
    if isinstance(value, nn.Module):
        return read_as_it_is(value)
    if inspect.isfunction(value):
        raise TypeError(f"{type(module).__name__} has a function of your own as its {name}")
    if isinstance(default, bool):  # torch replaces the option `bias` by the parameter, or by None
        return value if isinstance(value, bool) else value is not None
    return _tuples(value.tolist()) if isinstance(value, torch.Tensor) else value


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _read_attention(m: Any) -> Layer:
    """torch keeps the presence of biases only, as parameters or None, and for a width of None what it means."""
    kdim, vdim = (None if width == m.embed_dim else width for width in (m.kdim, m.vdim))
    return registry()["MultiheadAttention"](
        m.embed_dim, m.num_heads, m.dropout, m.in_proj_bias is not None, m.bias_k is not None, m.add_zero_attn,
        kdim, vdim, m.batch_first, training=m.training,
    )  # fmt: skip


def _read_adaptive(m: Any) -> Layer:
    """torch appends n_classes to cutoffs."""
    return registry()["AdaptiveLogSoftmaxWithLoss"](
        m.in_features, m.n_classes, tuple(m.cutoffs[:-1]), m.div_value, m.head_bias
    )


def _read_linear_cross_entropy(m: Any) -> Layer:
    """torch keeps a Linear; its `options` choose an implementation."""
    weight = None if m.weight is None else _tuples(m.weight.tolist())
    return registry()["LinearCrossEntropyLoss"](
        m.linear.in_features, m.num_classes, tuple(m.out_features), m.linear.bias is not None, reduction=m.reduction,
        weight=weight, ignore_index=m.ignore_index, label_smoothing=m.label_smoothing,
    )  # fmt: skip


def _read_pairwise_distance(m: Any) -> Layer:
    """torch keeps p as `norm`."""
    return registry()["PairwiseDistance"](m.norm, m.eps, m.keepdim)


def _read_activation(f: Any) -> Any:
    """torch keeps the function of a name, or what it was given."""
    names = {nn.functional.relu: "relu", nn.functional.gelu: "gelu"}
    return names[f] if f in names else read_as_it_is(f)


def _read_transformer_layer(m: Any) -> Layer:
    """torch keeps the options in the parts."""
    attention = m.self_attn
    layer = registry()[type(m).__name__](
        attention.embed_dim, attention.num_heads, m.linear1.out_features, m.dropout.p, _read_activation(m.activation),
        m.norm1.eps, attention.batch_first, m.norm_first, m.linear1.bias is not None, training=m.training,
    )  # fmt: skip
    return _made_of(m, layer)


def _read_transformer_stack(m: Any) -> Layer:
    """torch copies one layer."""
    norm = None if m.norm is None else read_as_it_is(m.norm)
    return _made_of(m, registry()[type(m).__name__](read_as_it_is(m.layers[0]), m.num_layers, norm))


def _read_transformer(m: Any) -> Layer:
    """torch keeps an encoder and a decoder: the usual ones, if they are what the options of a layer of one make."""
    made = {"encoder": read_as_it_is(m.encoder), "decoder": read_as_it_is(m.decoder)}
    told = [getattr(made[name], f"{name}_layer", None) for name in ("decoder", "encoder")]
    found = [_usual_transformer(m, options_of(layer), made) for layer in told if layer is not None]
    found = found or [_usual_transformer(m, {}, made)]
    return min(found, key=lambda layer: sum(getattr(layer, f"custom_{name}") is not None for name in made))


def _usual_transformer(m: Any, options: dict[str, Any], made: dict[str, Layer]) -> Any:
    """A Transformer of these options; what it does not make of them is `custom`."""
    own = {"d_model": m.d_model, "nhead": m.nhead, "batch_first": m.batch_first, "training": m.training}
    counts = {f"num_{name}_layers": getattr(layer, "num_layers", 6) for name, layer in made.items()}
    options = {k: v for k, v in options.items() if k not in CALL_OPTIONS} | own | counts
    layer: Any = registry()["Transformer"](**options)
    usual = layer.children()
    return layer.replace(**{f"custom_{name}": layer for name, layer in made.items() if usual[name] != layer})


CALL_OPTIONS = (  # of torch's forward: a module does not know them
    "need_weights", "average_attn_weights", "is_causal", "src_is_causal", "tgt_is_causal", "memory_is_causal",
    "output_size",
)  # fmt: skip


def _made_of(m: nn.Module, layer: Any) -> Layer:
    """The layer, if its parts are those of the module. TypeError if one has been changed."""
    inside = dict(m.named_modules())
    for name, part in layer.children().items():
        if name not in inside:
            continue
        found = read_as_it_is(inside[name])
        found = found.replace(**{k: v for k, v in options_of(part).items() if k in CALL_OPTIONS})
        if found != part:
            raise TypeError(f"{type(m).__name__} has {found} as its {name}, where {layer} has {part}")
    return layer


READ: dict[str, Callable[[Any], Layer]] = {
    "Graph": lambda m: m.graph,
    "MultiheadAttention": _read_attention,
    "AdaptiveLogSoftmaxWithLoss": _read_adaptive,
    "LinearCrossEntropyLoss": _read_linear_cross_entropy,
    "PairwiseDistance": _read_pairwise_distance,
    "TransformerEncoderLayer": _read_transformer_layer,
    "TransformerDecoderLayer": _read_transformer_layer,
    "TransformerEncoder": _read_transformer_stack,
    "TransformerDecoder": _read_transformer_stack,
    "Transformer": _read_transformer,
}


def tensor(a: Array, device: str = "cpu") -> torch.Tensor:
    """A copy of an array as a tensor: what one side does to it, the other does not see."""
    return torch.from_numpy(np.array(a, copy=True, order="K")).to(device)


def array(t: torch.Tensor) -> Array:
    """A copy of a tensor as an array. TypeError for a dtype NumPy has not (bfloat16)."""
    return t.detach().to_dense().cpu().numpy(force=True).copy()  # a gradient of 0 may be of no memory
