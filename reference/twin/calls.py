"""What a call of torch is: the layer or operation of the same meaning, what it takes, and where its parameters are.

An `Operation` says itself which calls it is. The layers of torch.nn that are functions, too (F.relu, F.conv2d), stand
in a table here, with the order of the function's arguments where it is another than the class's. A tensor is an input;
any other argument is an option under torch's name. What is neither known here nor harmless is refused.
"""

import ast
import inspect
from collections.abc import Iterator, Mapping
from functools import cache, reduce
from types import FunctionType
from typing import Any

import torch

from manualbp.base import Layer, options_of, registry
from manualbp.operations import Operation

from .functions import FUNCTIONS
from .rules import RULES
from .step import Step, UnknownCallError, has_tensor, plain_value

SAYS = """shape size dim ndim numel nelement dtype device layout is_cuda is_cpu is_meta is_sparse is_quantized
    is_mkldnn requires_grad requires_grad_ is_leaf grad_fn grad stride is_contiguous storage_offset _version names
    itemsize element_size __len__ get_device is_floating_point is_complex is_signed is_inference output_nr retains_grad
    retain_grad _backward_hooks is_nested is_mps is_xpu is_vulkan __repr__ __format__ __hash__ untyped_storage data_ptr
    is_pinned has_names _is_view is_shared name volatile is_conj is_neg nbytes is_set_to is_xla is_ipu"""
SAYS_OF = """is_tensor is_floating_point numel is_complex result_type is_grad_enabled broadcast_shapes is_same_size
    _assert _check _is_functional_tensor"""
FACTORIES = "zeros_like ones_like full_like empty_like new_zeros new_ones new_full new_empty new_tensor"
METADATA = {f"Tensor.{n}" for n in SAYS.split()} | {f"torch.{n}" for n in SAYS_OF.split()}  # computes with no entry
METADATA |= {f"{of}.{n}" for n in FACTORIES.split() for of in ("Tensor", "torch")}

VALUES = """item tolist __bool__ __int__ __float__ __index__ __complex__ numpy __array__ __contains__ is_nonzero"""
VALUES_OF = """equal allclose is_nonzero nonzero argwhere count_nonzero bucketize searchsorted unique unique_consecutive
    bincount histc isin matrix_rank"""  # whole numbers, or none that has a gradient
SIZED = "arange zeros ones full empty eye linspace logspace range"  # take a tensor as a size or a value
READS_A_VALUE = {f"Tensor.{n}" for n in (VALUES + " " + VALUES_OF).split()}  # the graph holds for the sample's value
READS_A_VALUE |= {f"torch.{n}" for n in f"{VALUES_OF} {SIZED}".split()} | {"torch.linalg.matrix_rank"}

SAME = {  # gives back the numbers it is given
    "Tensor.contiguous", "Tensor.clone", "torch.clone", "Tensor.cpu", "Tensor.alias", "torch.alias", "Tensor.cuda",
    "Tensor.resolve_conj", "torch.positive", "Tensor.positive", "Tensor.__pos__",
}  # fmt: skip

TABLES = FUNCTIONS.keys() | RULES.keys()
TURNED = {"torch.embedding", "torch.embedding_bag", "torch.batch_norm", "torch.instance_norm"}  # than F's of the name

IGNORED = {  # arguments that change no number
    "inplace", "out", "memory_format", "layout", "device", "non_blocking", "copy", "requires_grad", "pin_memory",
    "_stacklevel", "sorted", "stable", "generator",
}  # fmt: skip

HARMLESS = {
    ("mode", "constant"), ("_stacklevel", 3), ("_stacklevel", 5), ("eps", 1e-10),
    ("compute_mode", "use_mm_for_euclid_dist_if_necessary"),
}  # fmt: skip
ALIASES = {"axis": "dim", "keepdims": "keepdim"}  # NumPy's names, which torch takes, too

VARARGS = {  # the last argument, where it may be spread: x.view(2, 3)
    "Flip": "dims",
}  # fmt: skip

SIGNATURES = {  # of operations, where tensors and options do not simply come in the order of the class
    "Add": "input other", "Sub": "input other", "Mul": "input other", "Div": "input other", "Pow": "input exponent",
    "FloorDivide": "input other", "Remainder": "input other", "Einsum": "equation", "Eq": "input other",
    "Ne": "input other", "Lt": "input other", "Le": "input other", "Gt": "input other", "Ge": "input other",
    "Maximum": "input other", "Minimum": "input other", "Matmul": "input other", "MaskedFill": "input mask value",
    "Atan2": "input other", "Hypot": "input other", "Xlogy": "input other", "Xlog1py": "input other",
    "CopySign": "input other", "Fmod": "input other", "Fmax": "input other", "Fmin": "input other",
    "ScaledDotProductAttention": "query key value attn_mask dropout_p is_causal",
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
    unfold Unfold | fold Fold
    flatten Flatten input start_dim=0 end_dim=-1 | local_response_norm LocalResponseNorm
    cosine_similarity CosineSimilarity | pairwise_distance PairwiseDistance
"""

NAMED = {"binary_cross_entropy": "BCELoss", "binary_cross_entropy_with_logits": "BCEWithLogitsLoss"}
IN_PAIRS = "_with_indices"  # what torch calls F.max_pool2d by where return_indices is True


def name_of(function: Any) -> str:
    """The name of a torch function or method as users write it: "torch.add", "Tensor.add", "F.relu" in full."""
    own = getattr(function, "__name__", str(function))
    of_torch = getattr(torch, own, None) is function  # torch.mm is torch.spmm, too
    name = f"torch.{own}" if of_torch else torch.overrides.resolve_name(function) or f"torch.{own}"
    name = (
        name.removesuffix(".__get__")
        .replace("torch.functional.", "torch.")
        .replace("torch._C._nn.", "torch.nn.functional.")
    )
    return name.removeprefix("torch.") if name.startswith("torch.Tensor.") else name


def operations() -> dict[str, type[Layer]]:
    """The operation of every call that one says it is; classes of your own among them.

    A class that only inherits `calls` (a wrong variant of Add, say) is not what a call is: it has to say so itself.
    """

    def below(cls: type) -> Iterator[type]:
        for sub in cls.__subclasses__():
            yield from ([sub] if not sub.family else [])
            yield from below(sub)

    return {call: cls for cls in below(Operation) for call in vars(cls).get("calls", ())}


def options_names(cls: type[Layer]) -> Mapping[str, Any]:
    """The options of a class, by name."""
    return inspect.signature(cls).parameters


@cache
def layers() -> dict[str, tuple[type[Layer], tuple[str, ...], dict[str, Any]]]:
    """By the last part of a call's name: the layer, the order of arguments, and their defaults. A function of the name
    of a layer has them in its signature."""
    found = {}
    classes = {name.lower(): cls for name, cls in registry().items()}
    for name, function in vars(torch.nn.functional).items():
        plain = NAMED.get(name, name.replace("_", "")).lower()
        if (cls := classes.get(plain) or classes.get(f"{plain}loss")) and inspect.isfunction(function):
            given = {n: p for n, p in inspect.signature(function).parameters.items() if n not in IGNORED}
            own = {n: p.default for n, p in given.items() if n in options_names(cls) and p.default is not p.empty}
            if "kwargs" not in given:
                found[name] = cls, tuple(given), own
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
    known = operations()
    if name.endswith(IN_PAIRS):
        name, kwargs = name.removesuffix(IN_PAIRS), {**kwargs, "return_indices": True}
    plain = next((n for n in (name, in_place_of(name)) if n in known or last(n) in TABLES | layers().keys()), name)
    order = argument_names(plain)
    given = sorted(kwargs.items(), key=lambda pair: order.index(pair[0]) if pair[0] in order else len(order))
    kwargs = {ALIASES.get(k, k): v for k, v in given if k not in IGNORED}
    if kwargs.get("dtype", dtype) in (None, dtype) and last(plain) != "to":
        kwargs.pop("dtype", None)  # the one that all have
    try:
        if last(plain) in FUNCTIONS and plain not in TURNED:
            return FUNCTIONS[last(plain)](*args, **kwargs)
        if last(plain) in RULES and (plain not in known or known[plain].__module__.startswith("manualbp.")):
            return RULES[last(plain)](plain, dtype, *args, **kwargs)
    except TypeError as e:
        raise UnknownCallError(f"with these arguments it has no class here: {e}") from e
    if plain in known:
        cls = known[plain]
        order = tuple(SIGNATURES.get(cls.__name__, "").split())
        order = (order[1], order[0], *order[2:]) if last(plain) in REFLECTED and order else order
        return bound(cls, order, OPTIONS.get(plain, {}), args, kwargs, dtype)
    if last(plain) in layers():
        return bound(*layers()[last(plain)], args, kwargs, dtype)
    raise UnknownCallError("no class here")


@cache
def argument_names(name: str) -> tuple[str, ...]:
    """The arguments of a function of torch's, in its order: of those that C++ wrote, torch keeps a list for tests."""
    *path, own = name.split(".")
    holder = reduce(
        lambda place, part: getattr(place, part, None), path[1:], torch.Tensor if path == ["Tensor"] else torch
    )
    watched = torch.overrides.get_testing_overrides().get(getattr(holder, own, None))
    return () if watched is None else tuple(inspect.signature(watched).parameters)


def in_place_of(name: str) -> str:
    """The name without the underscore of an in-place call: Tensor.relu_, Tensor.__iadd__."""
    if last(name) in CHANGING:
        return name.replace("__i", "__")
    return name.removesuffix("_") if not name.endswith("__") else name


def is_in_place(name: str, kwargs: Mapping[str, Any]) -> bool:
    """Does the call change a tensor that it is given?"""
    out, changes = kwargs.get("out") is not None, bool(kwargs.get("inplace"))
    return in_place_of(name) != name or changes or out or last(name) == "__setitem__"


def bound(
    cls: type[Layer], order: tuple[str, ...], defaults: Mapping[str, Any], args: tuple, kwargs: Mapping[str, Any],
    dtype: torch.dtype,
) -> Step:  # fmt: skip
    """Arguments sorted into inputs and options. `order`: the names of the first positional ones; after them the fields
    of the class, in their order, for what is no tensor."""
    fields = [f for f in options_names(cls) if f not in order]
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
        _put(cls, name, value, inputs, options)
    if order:
        inputs = {n: inputs[n] for n in sorted(inputs, key=lambda n: _place(cls, n))}
    given = [v for v in inputs.values() if v is not None]
    tree = given[0] if len(given) == 1 else tuple(given)
    tree = tuple(tree) if isinstance(tree, list) else tree
    if isinstance(reduction := options.get("reduction"), int):  # as what F calls has it
        options["reduction"] = ("none", "mean", "sum")[reduction]
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
    known, taken = options_names(cls), forward_names(cls)
    if name not in known and name in taken and _counts(value):
        value = torch.tensor(value)
    if has_tensor(value):
        if name in known and name in ("weight", "pos_weight"):
            options[name] = plain_value(value.tolist())  # of a loss: an option, so part of the expression
        elif taken and name in ("weight", "pos_weight"):
            raise UnknownCallError(f"{cls.__name__} has no {name}")
        else:
            inputs[name] = value
    elif name in known and not callable(value):
        options[name] = value
    elif value is not None and (name, value) not in HARMLESS and name not in IGNORED:
        raise UnknownCallError(f"{cls.__name__} has no option {name} = {value!r:.40}")


@cache
def forward_names(cls: type[Layer]) -> tuple[str, ...]:
    """The inputs of torch's class of the same name; none where there is no such class."""
    of_torch = getattr(torch.nn, cls.__name__, None)
    return () if of_torch is None else tuple(inspect.signature(of_torch.forward).parameters)[1:]


def body_of(function: Any) -> Any:
    """A function that torch wrote in Python, without its detour by way of who watches calls: what it calls is read in
    its place. None for any other."""
    of_torch = inspect.isfunction(function) and function.__module__ in ("torch.nn.functional", "torch.functional")
    if not of_torch or function.__closure__ or function.__name__ in TABLES:
        return None
    watched = dict.fromkeys((n for n in function.__globals__ if n.startswith("has_torch_function")), lambda *_: False)
    copy = FunctionType(function.__code__, function.__globals__ | watched, function.__name__, function.__defaults__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


def shown(name: str) -> str:
    return name.replace("torch.nn.functional.", "F.")


def last(name: str) -> str:
    return name.rsplit(".")[-1]


def _counts(value: Any) -> bool:
    """Integers in a tuple or list, as lengths may be given in the place of a tensor."""
    return isinstance(value, (tuple, list)) and len(value) > 0 and all(type(v) is int for v in value)


def call_arguments(layer: Layer, module: torch.nn.Module, args: tuple, kwargs: Mapping[str, Any]) -> Step:
    """A module's call as inputs in the order of its forward, and options of the call, as `need_weights`."""
    given = inspect.signature(module.forward).bind(*args, **kwargs).arguments
    options = {n: v for n, v in given.items() if n in options_of(layer) and not has_tensor(v)}
    given = {n: torch.tensor(v) if n not in options and _counts(v) else v for n, v in given.items()}
    inputs = [v for n, v in given.items() if n not in options]
    unfit = next((v for v in inputs if v is not None and not has_tensor(v)), None)
    if unfit is not None:
        raise UnknownCallError(
            f"nn.{type(module).__name__} called with {type(unfit).__name__} {unfit!r:.40} has no class here"
        )
    names = [n for n in inspect.signature(module.forward).parameters if n not in options_of(layer) or n in given]
    inputs = [given.get(n) for n in names if n not in options]
    while inputs and inputs[-1] is None:
        inputs.pop()
    return Step(layer.replace(**options), inputs[0] if len(inputs) == 1 else tuple(inputs))
