"""What a call of torch is: the layer or operation of the same meaning, what it takes, and where its parameters are.

An `Operation` says itself which calls it is. The layers of torch.nn that are functions, too (F.relu, F.conv2d), stand
in a table here, with the order of the function's arguments where it is another than the class's. A tensor is an input;
any other argument is an option under torch's name. What is neither known here nor harmless is refused.
"""

import ast
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch.nn.utils.rnn import PackedSequence

from manualbp.base import Layer, options_of, registry

Tensors = Any  # a tensor, None, or a (nested) tuple of these


@dataclass(frozen=True)
class Step:
    """One call as a layer: what it takes, and tensors that are its parameters, under the layer's own names."""

    layer: Layer
    inputs: Tensors
    params: Mapping[str, Any] = field(default_factory=dict)


class UnknownCallError(Exception):
    """A call, or an argument of one, that no class here has."""


SAYS = """shape size dim ndim numel nelement dtype device layout is_cuda is_cpu is_meta is_sparse is_quantized
    is_mkldnn requires_grad requires_grad_ is_leaf grad_fn grad stride is_contiguous storage_offset _version names
    itemsize element_size __len__ get_device is_floating_point is_complex is_signed is_inference output_nr retains_grad
    retain_grad _backward_hooks is_nested is_mps is_xpu is_vulkan __repr__ __format__ __hash__ untyped_storage data_ptr
    is_pinned has_names _is_view is_shared name volatile is_conj is_neg nbytes is_set_to is_xla is_ipu"""
SAYS_OF = """is_tensor is_floating_point numel is_complex result_type is_grad_enabled broadcast_shapes is_same_size
    _assert _check _is_functional_tensor"""
METADATA = {f"Tensor.{n}" for n in SAYS.split()} | {f"torch.{n}" for n in SAYS_OF.split()}  # computes with no entry

VALUES = "item tolist __bool__ __int__ __float__ __index__ __complex__ numpy __array__ __contains__ equal allclose"
READS_A_VALUE = {f"Tensor.{n}" for n in f"{VALUES} is_nonzero".split()} | {  # the graph holds for the sample's value
    "torch.equal", "torch.allclose", "torch.is_nonzero",
}  # fmt: skip

SAME = {  # gives back the numbers it is given
    "Tensor.contiguous", "Tensor.clone", "torch.clone", "Tensor.cpu", "Tensor.alias", "torch.alias", "Tensor.cuda",
    "Tensor.resolve_conj", "torch.positive", "Tensor.positive", "Tensor.__pos__",
}  # fmt: skip

IGNORED = {  # arguments that change no number
    "inplace", "out", "memory_format", "layout", "device", "non_blocking", "copy", "requires_grad", "pin_memory",
    "_stacklevel", "sorted", "stable", "generator", "half_to_float", "size_average", "reduce",
}  # fmt: skip

VARARGS = {  # the last argument, where it may be spread: x.view(2, 3)
    "Reshape": "shape", "Permute": "dims", "Expand": "size", "Tile": "repeats", "Flip": "dims",
}  # fmt: skip

SIGNATURES = {  # of operations, where tensors and options do not simply come in the order of the class
    "Add": "input other", "Sub": "input other", "Mul": "input other", "Div": "input other", "Pow": "input exponent",
    "FloorDivide": "input other", "Remainder": "input other", "Einsum": "equation", "Pad": "input pad mode value",
    "Maximum": "input other", "Minimum": "input other", "Compare": "input other", "Atan2": "input other",
    "Where": "condition input other", "ScaledDotProductAttention": "query key value attn_mask dropout_p is_causal",
    "Affine": "input weight bias",
}  # fmt: skip

OPTIONS = {  # what the name of a call says by itself
    "Tensor.mT": {"kind": "mT"}, "torch.adjoint": {"kind": "mT"},
}  # fmt: skip

OPERATORS = ("add", "sub", "mul", "div", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor")
CHANGING = {f"__i{op}__" for op in OPERATORS}
REFLECTED = {f"__r{op}__" for op in OPERATORS} | {"rsub"}

LAYERS = """
    relu ReLU | relu6 ReLU6 | leaky_relu LeakyReLU | elu ELU | selu SELU | celu CELU | gelu GELU | silu SiLU | mish Mish
    hardswish Hardswish | hardsigmoid Hardsigmoid | hardtanh Hardtanh | sigmoid Sigmoid | expit Sigmoid | tanh Tanh
    softplus Softplus | softsign Softsign | tanhshrink Tanhshrink | hardshrink Hardshrink | softshrink Softshrink
    logsigmoid LogSigmoid | threshold Threshold | glu GLU | rrelu RReLU input lower upper training=False
    softmax Softmax input dim | softmin Softmin input dim | log_softmax LogSoftmax input dim
    dropout Dropout input p=0.5 training=True | dropout1d Dropout1d input p=0.5 training=True
    dropout2d Dropout2d input p=0.5 training=True | dropout3d Dropout3d input p=0.5 training=True
    alpha_dropout AlphaDropout input p=0.5 training=False
    feature_alpha_dropout FeatureAlphaDropout input p=0.5 training=False
    max_pool1d MaxPool1d input kernel_size stride padding dilation ceil_mode return_indices
    max_pool2d MaxPool2d input kernel_size stride padding dilation ceil_mode return_indices
    max_pool3d MaxPool3d input kernel_size stride padding dilation ceil_mode return_indices
    avg_pool1d AvgPool1d | avg_pool2d AvgPool2d | avg_pool3d AvgPool3d
    adaptive_avg_pool1d AdaptiveAvgPool1d | adaptive_avg_pool2d AdaptiveAvgPool2d
    adaptive_avg_pool3d AdaptiveAvgPool3d | adaptive_max_pool1d AdaptiveMaxPool1d
    adaptive_max_pool2d AdaptiveMaxPool2d | adaptive_max_pool3d AdaptiveMaxPool3d
    lp_pool1d LPPool1d | lp_pool2d LPPool2d | lp_pool3d LPPool3d
    pixel_shuffle PixelShuffle | pixel_unshuffle PixelUnshuffle | channel_shuffle ChannelShuffle
    interpolate Upsample input size scale_factor mode align_corners | unfold Unfold | fold Fold
    flatten Flatten input start_dim=0 end_dim=-1 | local_response_norm LocalResponseNorm
    cosine_similarity CosineSimilarity | pairwise_distance PairwiseDistance
    mse_loss MSELoss input target size_average reduce reduction
    l1_loss L1Loss input target size_average reduce reduction
    smooth_l1_loss SmoothL1Loss input target size_average reduce reduction beta
    huber_loss HuberLoss input target reduction delta
    cross_entropy CrossEntropyLoss input target weight size_average ignore_index reduce reduction label_smoothing
    nll_loss NLLLoss input target weight size_average ignore_index reduce reduction
    binary_cross_entropy BCELoss input target weight size_average reduce reduction
    binary_cross_entropy_with_logits BCEWithLogitsLoss input target weight size_average reduce reduction pos_weight
    kl_div KLDivLoss input target size_average reduce reduction log_target
    soft_margin_loss SoftMarginLoss input target size_average reduce reduction
    gaussian_nll_loss GaussianNLLLoss input target var full eps reduction
    poisson_nll_loss PoissonNLLLoss input target log_input full size_average eps reduce reduction
"""


def name_of(function: Any) -> str:
    """The name of a torch function or method as users write it: "torch.add", "Tensor.add", "F.relu" in full."""
    name = torch.overrides.resolve_name(function) or f"torch.{getattr(function, '__name__', function)}"
    name = (
        name.removesuffix(".__get__")
        .replace("torch.functional.", "torch.")
        .replace("torch._C._nn.", "torch.nn.functional.")
    )
    return name.removeprefix("torch.") if name.startswith("torch.Tensor.") else name


@cache
def operations() -> dict[str, type[Layer]]:
    """The operation of every call that one says it is."""
    return {call: cls for cls in registry().values() for call in getattr(cls, "calls", ())}


@cache
def layers() -> dict[str, tuple[type[Layer], tuple[str, ...], dict[str, Any]]]:
    """By the last part of a call's name: the layer, the order of arguments, and their defaults."""
    found = {}
    for entry in LAYERS.replace("\n", "|").split("|"):
        if not entry.strip():
            continue
        name, cls, *arguments = entry.split()
        if cls in registry():
            pairs = [a.partition("=") for a in arguments]
            defaults = {n: ast.literal_eval(value) for n, equals, value in pairs if equals}
            found[name] = registry()[cls], tuple(n for n, _, _ in pairs), defaults
    return found


def step_of(name: str, args: tuple, kwargs: Mapping[str, Any], dtype: torch.dtype) -> Step:
    """The layer that a call is. UnknownCallError if there is none, or an argument has no meaning in it."""
    plain = next((n for n in (name, in_place_of(name)) if n in operations() or _last(n) in (RULES | layers())), name)
    last = _last(plain)
    if last in RULES and plain not in operations():
        return RULES[last](*args, **{k: v for k, v in kwargs.items() if k not in IGNORED})
    if plain in operations():
        cls = operations()[plain]
        if cls.__name__ in SPECIAL:
            return SPECIAL[cls.__name__](cls, plain, args, kwargs, dtype)
        order = tuple(SIGNATURES.get(cls.__name__, "").split())
        order = (order[1], order[0], *order[2:]) if last in REFLECTED and order else order
        return bound(cls, order, OPTIONS.get(plain, {}), args, kwargs, dtype)
    if last in layers():
        return bound(*layers()[last], args, kwargs, dtype)
    raise UnknownCallError(f"{shown(name)} has no class here")


def in_place_of(name: str) -> str:
    """The name without the underscore of an in-place call: Tensor.relu_, Tensor.__iadd__."""
    if _last(name) in CHANGING:
        return name.replace("__i", "__")
    return name.removesuffix("_") if not name.endswith("__") else name


def is_in_place(name: str, kwargs: Mapping[str, Any]) -> bool:
    """Does the call change a tensor that it is given?"""
    return in_place_of(name) != name or bool(kwargs.get("inplace")) or "out" in kwargs or _last(name) == "__setitem__"


def bound(
    cls: type[Layer], order: tuple[str, ...], defaults: Mapping[str, Any], args: tuple, kwargs: Mapping[str, Any],
    dtype: torch.dtype,
) -> Step:  # fmt: skip
    """Arguments sorted into inputs and options. `order`: the names of the first positional ones; after them the fields
    of the class, in their order, for what is no tensor."""
    fields = [f for f in inspect.signature(cls).parameters if f not in order]
    spread, options, inputs = VARARGS.get(cls.__name__), dict(defaults), {}
    left = list(args)
    for name in order[: len(left)]:
        _put(cls, name, left.pop(0), inputs, options)
    while left:
        value = left.pop(0)
        if has_tensor(value):
            inputs[f"#{len(inputs)}"] = value
        elif spread in fields and isinstance(value, int):
            options[spread], left = (value, *left), []
        elif fields:
            options[fields.pop(0)] = value
        elif value is not None:
            raise UnknownCallError(f"{cls.__name__} has no option for the argument {value!r:.40}")
    for name, value in kwargs.items():
        if name == "dtype" and name not in inspect.signature(cls).parameters and value in (None, dtype):
            continue
        if name not in IGNORED:
            _put(cls, name, value, inputs, options)
    if order:
        inputs = {n: inputs[n] for n in sorted(inputs, key=lambda n: _place(cls, n))}
    given = [v for v in inputs.values() if v is not None]
    tree = given[0] if len(given) == 1 else tuple(given)
    tree = tuple(tree) if isinstance(tree, list) else tree
    try:
        return Step(cls(**{n: plain_value(v) for n, v in options.items()}), tree)
    except (TypeError, ValueError) as e:
        raise UnknownCallError(str(e)) from e


def _place(cls: type[Layer], name: str) -> int:
    """Where an input stands among those of its class, whatever the order of the call."""
    order = SIGNATURES.get(cls.__name__, "").split() or list(layers_order(cls))
    return order.index(name) if name in order else len(order)


@cache
def layers_order(cls: type[Layer]) -> tuple[str, ...]:
    return next((order for other, order, _ in layers().values() if other is cls), ())


def _put(cls: type[Layer], name: str, value: Any, inputs: dict[str, Any], options: dict[str, Any]) -> None:
    """One named argument into the inputs or the options."""
    known = inspect.signature(cls).parameters
    if has_tensor(value):
        if name in known and name in ("weight", "pos_weight"):
            options[name] = plain_value(value.tolist())  # of a loss: an option, so part of the expression
        else:
            inputs[name] = value
    elif name in known:
        options[name] = value
    elif value is not None and name not in IGNORED and name not in ("input", "mode", "dtype"):
        raise UnknownCallError(f"{cls.__name__} has no option {name} = {value!r:.40}")
    elif name == "mode" and value not in (None, "constant"):
        raise UnknownCallError(f"{cls.__name__} has no mode {value!r}")


def plain_value(value: Any) -> Any:
    """torch.Size, lists and dtypes as an option has them."""
    if isinstance(value, (tuple, list)):
        return tuple(map(plain_value, value))
    return str(value).removeprefix("torch.") if isinstance(value, torch.dtype) else value


def has_tensor(value: Any) -> bool:
    """Is it a tensor, or a list or tuple with one in it?"""
    return isinstance(value, torch.Tensor) or (isinstance(value, (tuple, list)) and any(map(has_tensor, value)))


def tensors_in(value: Any) -> Iterator[torch.Tensor]:
    """The tensors of nested lists, tuples, dicts and slices."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from tensors_in(part)
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from tensors_in(part)
    elif isinstance(value, slice):
        yield from tensors_in((value.start, value.stop, value.step))


def shown(name: str) -> str:
    return name.replace("torch.nn.functional.", "F.")


def _last(name: str) -> str:
    return name.rsplit(".")[-1]


def _make(name: str, **options: Any) -> Layer:
    """A layer by its class's name; UnknownCallError where there is none yet."""
    if name not in registry():
        raise UnknownCallError(f"nn.{name} has no class here")
    return registry()[name](**{n: plain_value(v) for n, v in options.items()})


def _held(**params: Any) -> dict[str, Any]:
    """The parameters that are given."""
    return {n: p for n, p in params.items() if p is not None}


# Functions of torch.nn.functional that take parameters: the layer, whose sizes are those of the weights.


def _linear(input: Any, weight: Any, bias: Any = None) -> Step:
    if weight.ndim != 2:
        raise UnknownCallError(f"F.linear with a weight of {weight.ndim} axes has no class here")
    layer = _make("Linear", in_features=weight.shape[1], out_features=weight.shape[0], bias=bias is not None)
    return Step(layer, input, _held(weight=weight, bias=bias))


def _conv(n: int) -> Callable[..., Step]:
    def rule(
        input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
    ) -> Step:
        layer = _make(
            f"Conv{n}d", in_channels=weight.shape[1] * groups, out_channels=weight.shape[0],
            kernel_size=tuple(weight.shape[2:]), stride=stride, padding=padding, dilation=dilation, groups=groups,
            bias=bias is not None,
        )  # fmt: skip
        return Step(layer, input, _held(weight=weight, bias=bias))

    return rule


def _conv_transpose(n: int) -> Callable[..., Step]:
    def rule(
        input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
        groups: int = 1, dilation: Any = 1,
    ) -> Step:  # fmt: skip
        layer = _make(
            f"ConvTranspose{n}d", in_channels=weight.shape[0], out_channels=weight.shape[1] * groups,
            kernel_size=tuple(weight.shape[2:]), stride=stride, padding=padding, output_padding=output_padding,
            groups=groups, bias=bias is not None, dilation=dilation,
        )  # fmt: skip
        return Step(layer, input, _held(weight=weight, bias=bias))

    return rule


def _layer_norm(input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Step:
    _weight_first(weight, bias)
    options = {"elementwise_affine": weight is not None, "bias": bias is not None or weight is None}
    layer = _make("LayerNorm", normalized_shape=tuple(normalized_shape), eps=eps, **options)
    return Step(layer, input, _held(weight=weight, bias=bias))


def _rms_norm(input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Step:
    layer = _make("RMSNorm", normalized_shape=tuple(normalized_shape), eps=eps, elementwise_affine=weight is not None)
    return Step(layer, input, _held(weight=weight))


def _group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Step:
    _weight_first(weight, bias)
    if weight is not None and bias is None:
        raise UnknownCallError("F.group_norm with a weight and no bias has no class here")
    layer = _make("GroupNorm", num_groups=num_groups, num_channels=input.shape[1], eps=eps, affine=weight is not None)
    return Step(layer, input, _held(weight=weight, bias=bias))


def _weight_first(weight: Any, bias: Any) -> None:
    if weight is None and bias is not None:
        raise UnknownCallError("a norm with a bias and no weight has no class here")


def _batch_norm(
    input: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None, training: bool = False,
    momentum: float = 0.1, eps: float = 1e-5,
) -> Step:  # fmt: skip
    _weight_first(weight, bias)
    tracked = running_mean is not None
    layer = _make(
        f"BatchNorm{max(input.ndim - 2, 1)}d", num_features=input.shape[1], eps=eps, momentum=momentum,
        affine=weight is not None, track_running_stats=tracked, training=training,
        **({"bias": False} if weight is not None and bias is None else {}),
    )  # fmt: skip
    counted = torch.tensor(0) if tracked else None  # the function has no such count, and with a momentum no use for it
    params = _held(
        weight=weight, bias=bias, running_mean=running_mean, running_var=running_var, num_batches_tracked=counted
    )
    return Step(layer, input, params)


def _embedding(
    input: Any, weight: Any, padding_idx: int | None = None, max_norm: Any = None, norm_type: float = 2.0,
    scale_grad_by_freq: bool = False, sparse: bool = False,
) -> Step:  # fmt: skip
    if max_norm is not None:
        raise UnknownCallError(
            "F.embedding with max_norm changes its weight in the forward pass, and has no class here"
        )
    if padding_idx is not None and padding_idx < 0:
        padding_idx += weight.shape[0]
    layer = _make(
        "Embedding", num_embeddings=weight.shape[0], embedding_dim=weight.shape[1], padding_idx=padding_idx,
        scale_grad_by_freq=scale_grad_by_freq,
    )  # fmt: skip
    return Step(layer, input, _held(weight=weight))


def _prelu(input: Any, weight: Any) -> Step:
    return Step(_make("PReLU", num_parameters=weight.numel()), input, _held(weight=weight))


def _bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Step:
    out, n, m = weight.shape
    layer = _make("Bilinear", in1_features=n, in2_features=m, out_features=out, bias=bias is not None)
    return Step(layer, (input1, input2), _held(weight=weight, bias=bias))


RULES: dict[str, Callable[..., Step]] = {
    "linear": _linear, "conv1d": _conv(1), "conv2d": _conv(2), "conv3d": _conv(3), "embedding": _embedding,
    "conv_transpose1d": _conv_transpose(1), "conv_transpose2d": _conv_transpose(2), "prelu": _prelu,
    "conv_transpose3d": _conv_transpose(3), "layer_norm": _layer_norm, "rms_norm": _rms_norm,
    "group_norm": _group_norm, "batch_norm": _batch_norm, "bilinear": _bilinear,
}  # fmt: skip


# Operations whose arguments need a look: dtypes, another tensor's shape, an index.


def _to(cls: type[Layer], name: str, args: tuple, kwargs: Mapping[str, Any], dtype: torch.dtype) -> Step:
    """x.to(dtype), x.float(), x.type_as(other): a floating dtype is that of the whole graph."""
    x, *rest = args
    wanted = {"float": torch.float32, "double": torch.float64, "long": torch.int64, "int": torch.int32,
              "bool": torch.bool, "half": torch.float16, "bfloat16": torch.bfloat16}.get(_last(name))  # fmt: skip
    for value in (*rest, *kwargs.values()):
        wanted = value if isinstance(value, torch.dtype) else value.dtype if isinstance(value, torch.Tensor) else wanted
    if wanted is None or wanted == x.dtype:
        return Step(registry()["Identity"]() if x.is_floating_point() else cls(), x)
    if wanted.is_floating_point and wanted != dtype:
        raise UnknownCallError(
            f"{shown(name)} to {wanted} has no class here: a graph has one floating dtype, here {dtype}"
        )
    return Step(cls(str(wanted).removeprefix("torch.")), x)


def _shaped(option: str) -> Callable[..., Step]:
    """Operations that take a shape, spread, as a tuple, or as another tensor's."""

    def rule(cls: type[Layer], name: str, args: tuple, kwargs: Mapping[str, Any], dtype: torch.dtype) -> Step:
        x, *rest = args
        given = rest or [v for k, v in kwargs.items() if k not in IGNORED]
        shape = given[0] if len(given) == 1 and not isinstance(given[0], int) else given
        if isinstance(shape, torch.dtype):
            raise UnknownCallError(f"{shown(name)} with a dtype has no class here")
        shape = shape.shape if isinstance(shape, torch.Tensor) else shape
        return Step(cls(**{option: tuple(int(n) for n in shape)}), x)

    return rule


SPECIAL: dict[str, Callable[..., Step]] = {
    "To": _to, "Reshape": _shaped("shape"), "Expand": _shaped("size"), "Tile": _shaped("repeats"),
    "Permute": _shaped("dims"),
}  # fmt: skip


def call_arguments(layer: Layer, module: torch.nn.Module, args: tuple, kwargs: Mapping[str, Any]) -> Step:
    """A module's call as inputs in the order of its forward, and options of the call, as `need_weights`."""
    given = inspect.signature(module.forward).bind(*args, **kwargs).arguments
    options = {n: v for n, v in given.items() if n in options_of(layer) and not has_tensor(v)}
    inputs = [v for n, v in given.items() if n not in options]
    unfit = next((v for v in inputs if v is not None and (not has_tensor(v) or isinstance(v, PackedSequence))), None)
    if unfit is not None:
        raise UnknownCallError(
            f"nn.{type(module).__name__} called with {type(unfit).__name__} {unfit!r:.40} has no class here"
        )
    names = [n for n in inspect.signature(module.forward).parameters if n not in options_of(layer) or n in given]
    inputs = [given.get(n) for n in names if n not in options]
    while inputs and inputs[-1] is None:
        inputs.pop()
    return Step(layer.replace(**options), inputs[0] if len(inputs) == 1 else tuple(inputs))
