"""What a run of random cases must have met before its silence means anything.

A goal is a name, the classes that it speaks of, and a predicate of one layer and its input. A goal counts only where
one of its classes was asked for. The suite fails if a goal is never reached.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from manualbp.base import Layer
from manualbp.graph import Graph, leaves_of

from ..sides import record
from .case import Case
from .trial import Trial


@dataclass(frozen=True)
class Goal:
    name: str
    classes: tuple[str, ...]
    reached: Callable[[Any, Any], bool]


CONV = ("Conv1d", "Conv2d", "Conv3d")
POOL = ("MaxPool1d", "MaxPool2d", "MaxPool3d", "AvgPool1d", "AvgPool2d", "AvgPool3d")
TRANSPOSED = ("ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d")
ADAPTIVE_MAX = ("AdaptiveMaxPool1d", "AdaptiveMaxPool2d", "AdaptiveMaxPool3d")
ADAPTIVE = ("AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d", *ADAPTIVE_MAX)
FRACTIONAL = ("FractionalMaxPool2d", "FractionalMaxPool3d")
POWER = ("LPPool1d", "LPPool2d", "LPPool3d")
UNPOOL = ("MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d")
RESIZED = ("Upsample", "UpsamplingNearest2d", "UpsamplingBilinear2d")
KINKED = ("ReLU", "LeakyReLU", "ReLU6", "Hardtanh", "PReLU", "ELU", "Threshold")
ARITHMETIC = ("Add", "Sub", "Mul", "Div")
RECURRENT = ("LSTM", "RNN", "GRU")
TRANSFORMER = ("TransformerEncoderLayer", "TransformerDecoderLayer")


def _first(x: Any) -> Any:
    return np.asarray(x[0] if isinstance(x, tuple) else x)


def _many(option: Any) -> bool:
    return option not in (1, 0) and (not isinstance(option, tuple) or any(o not in (0, 1) for o in option))


def _remainder(layer: Any, x: Any) -> bool:
    """Does a stride leave entries at the end that no window reaches?"""
    x = _first(x)
    axes = int(type(layer).__name__[-2])
    stride = layer.stride if layer.stride is not None else layer.kernel_size
    if isinstance(layer.padding, str):
        return False
    each = [v if isinstance(v, tuple) else (v,) * axes for v in (layer.kernel_size, stride, layer.padding)]
    return any((n + 2 * p - k) % s for n, k, s, p in zip(x.shape[-axes:], *each) if n + 2 * p >= k)


def _ties(layer: Any, x: Any) -> bool:
    """Equal neighbours under a maximum."""
    x = _first(x)
    return layer.kernel_size not in (1, (1,)) and x.shape[-1] > 1 and bool((x[..., 1:] == x[..., :-1]).any())


def _lengths(x: Any) -> Any:
    return x[2] if isinstance(x, tuple) and len(x) == 3 else ()


def _masks(x: Any) -> tuple[Any, Any]:
    """key_padding_mask and attn_mask of attention."""
    padding, mask, *_ = (*x[3:], None, None)
    return padding, mask


def _kind(mask: Any) -> str:
    return "" if mask is None else mask.dtype.kind


def _time(layer: Any, x: Any) -> int:
    x = _first(x)
    return x.shape[1 if layer.batch_first and x.ndim == 3 else 0]


def _windows(layer: Any, x: Any) -> list[tuple[int, int]]:
    """Entries and windows of adaptive pooling, along each axis."""
    sizes, out = layer.sizes(_first(x))
    return list(zip(sizes, out))


def _resized(layer: Any, x: Any) -> list[tuple[int, int]]:
    """Entries along each axis before and after interpolation."""
    return [(At[0], A[0]) for A, At in layer.maps(_first(x))]


def _smooth(layer: Any) -> bool:
    return layer.mode in ("linear", "bilinear", "bicubic", "trilinear")


def _fraction(option: Any) -> bool:
    return option is not None and any(o % 1 for o in (option if isinstance(option, tuple) else (option,)))


def _overlap(layer: Any) -> bool:
    """Is a window longer than the step to the next one?"""
    kernel, stride, dilation = layer.kernel()
    return any(d * (k - 1) >= s for k, s, d in zip(kernel, stride, dilation))


GOALS: tuple[Goal, ...] = (
    Goal("a square matrix", ("Linear",), lambda f, x: f.in_features == f.out_features > 1),
    Goal("an oblong matrix", ("Linear",), lambda f, x: f.in_features != f.out_features),
    Goal("a batch of one", ("Linear",), lambda f, x: x.ndim == 2 and x.shape[0] == 1),
    Goal("a batch of many", ("Linear",), lambda f, x: x.ndim == 2 and x.shape[0] > 1),
    Goal("an exact zero at a kink", KINKED, lambda f, x: bool((_first(x) == 0).any())),
    Goal("a negative entry before a kink", KINKED, lambda f, x: bool((_first(x) < 0).any())),
    Goal("a repeated index", ("Embedding",), lambda f, x: np.unique(x).size < np.size(x)),
    Goal("the padding index", ("Embedding",), lambda f, x: f.padding_idx is not None and f.padding_idx in x),
    Goal("an ignored target", ("CrossEntropyLoss", "NLLLoss"), lambda f, x: f.ignore_index in np.asarray(x[1])),
    Goal("soft targets", ("CrossEntropyLoss",), lambda f, x: x[1].dtype.kind == "f"),
    Goal("class weights", ("CrossEntropyLoss",), lambda f, x: f.weight is not None),
    Goal("label smoothing", ("CrossEntropyLoss",), lambda f, x: f.label_smoothing > 0),
    Goal("extra axes in a loss", ("CrossEntropyLoss",), lambda f, x: x[0].ndim > 2),
    Goal("a stride that leaves a remainder", CONV + POOL, _remainder),
    Goal("padding", CONV + POOL, lambda f, x: _many((f.padding, 0)) or f.padding in (1, "same")),
    Goal("dilation", CONV, lambda f, x: _many(f.dilation)),
    Goal("groups", CONV, lambda f, x: f.groups > 1),
    Goal("padding that is not zeros", CONV, lambda f, x: f.padding_mode != "zeros"),
    Goal("an input without batch", CONV, lambda f, x: x.ndim == int(type(f).__name__[-2]) + 1),
    Goal("ties under a maximum", POOL[:3], _ties),
    Goal("output_padding", TRANSPOSED, lambda f, x: _many((f.output_padding, 0)) or f.output_padding in (1, 2)),
    Goal("a given output size", TRANSPOSED + UNPOOL, lambda f, x: f.output_size is not None),
    Goal("dilation going back", TRANSPOSED, lambda f, x: _many(f.dilation)),
    Goal("groups going back", TRANSPOSED, lambda f, x: f.groups > 1),
    Goal("a stride and padding going back", TRANSPOSED, lambda f, x: _many(f.stride) and f.padding != 0),
    Goal("adaptive windows that overlap", ADAPTIVE, lambda f, x: any(o and n % o for n, o in _windows(f, x))),
    Goal(
        "adaptive windows that do not", ADAPTIVE, lambda f, x: any(1 < o < n and n % o == 0 for n, o in _windows(f, x))
    ),
    Goal("more windows than entries", ADAPTIVE, lambda f, x: any(o > n for n, o in _windows(f, x))),
    Goal("one window for all", ADAPTIVE, lambda f, x: all(o == 1 < n for n, o in _windows(f, x))),
    Goal(
        "an axis left as it is", ADAPTIVE[1:3], lambda f, x: isinstance(f.output_size, tuple) and None in f.output_size
    ),
    Goal("the places of maxima", ADAPTIVE_MAX + FRACTIONAL, lambda f, x: f.return_indices),
    Goal("a ratio of sizes", FRACTIONAL, lambda f, x: f.output_ratio is not None),
    Goal("the largest magnitude", POWER, lambda f, x: f.norm_type == np.inf),
    Goal("a power of negative numbers", POWER, lambda f, x: f.norm_type in (2, 4) and bool((_first(x) < 0).any())),
    Goal("places in several planes", UNPOOL, lambda f, x: int(np.prod(_first(x).shape[: -f.axes])) > 1),
    Goal("fewer entries than before", RESIZED, lambda f, x: any(o < n for n, o in _resized(f, x))),
    Goal("an odd number of entries", RESIZED, lambda f, x: any(o % n for n, o in _resized(f, x) if o > n)),
    Goal("a scale that is no integer", RESIZED, lambda f, x: _fraction(f.scale_factor)),
    Goal("aligned corners", ("Upsample",), lambda f, x: bool(f.align_corners)),
    Goal("half pixels", ("Upsample",), lambda f, x: _smooth(f) and not f.align_corners),
    Goal("a cubic kernel", ("Upsample",), lambda f, x: f.mode == "bicubic"),
    Goal("a kernel as wide as the step", ("Upsample",), lambda f, x: f.antialias),
    Goal("windows that overlap", ("Fold", "Unfold"), lambda f, x: _overlap(f)),
    Goal("pixels out of channels", ("PixelShuffle",), lambda f, x: f.upscale_factor > 1),
    Goal("several groups of channels dealt", ("ChannelShuffle",), lambda f, x: f.groups > 1),
    Goal("one step of time", RECURRENT, lambda f, x: _time(f, x) == 1),
    Goal("several steps of time", RECURRENT, lambda f, x: _time(f, x) > 1),
    Goal("two directions", RECURRENT, lambda f, x: f.bidirectional),
    Goal("several recurrent layers", RECURRENT, lambda f, x: f.num_layers > 1),
    Goal("a given initial state", RECURRENT, lambda f, x: isinstance(x, tuple)),
    Goal("lengths that differ", RECURRENT, lambda f, x: len(np.unique(_lengths(x))) > 1),
    Goal("lengths in two directions", RECURRENT, lambda f, x: f.bidirectional and len(_lengths(x)) > 0),
    Goal("a projection", ("LSTM",), lambda f, x: f.proj_size > 0),
    Goal("a mask", ("MultiheadAttention",), lambda f, x: any(m is not None for m in x[3:])),
    Goal("several heads", ("MultiheadAttention",), lambda f, x: f.num_heads > 1),
    Goal("keys left out", ("MultiheadAttention",), lambda f, x: _masks(x)[0] is not None),
    Goal("a mask of True and False", ("MultiheadAttention",), lambda f, x: any(_kind(m) == "b" for m in _masks(x))),
    Goal("a real mask", ("MultiheadAttention",), lambda f, x: any(_kind(m) == "f" for m in _masks(x))),
    Goal("a mask for every head", ("MultiheadAttention",), lambda f, x: np.ndim(_masks(x)[1]) == 3),
    Goal("a causal mask", ("MultiheadAttention",), lambda f, x: f.is_causal),
    Goal("a memory of another length", TRANSFORMER[1:], lambda f, x: x[0].shape != x[1].shape),
    Goal("a norm before its sublayer", TRANSFORMER, lambda f, x: f.norm_first),
    Goal("a norm after the sum", TRANSFORMER, lambda f, x: not f.norm_first),
    Goal("an activation that is a layer", TRANSFORMER, lambda f, x: not isinstance(f.activation, str)),
    Goal("vectors that move", ("SpectralNorm",), lambda f, x: f.iterates),
    Goal("vectors that stay", ("SpectralNorm",), lambda f, x: not f.iterates),
    Goal("a weight made in a hook", ("WeightNorm", "SpectralNorm"), lambda f, x: f.hook),
    Goal("an exponential of a matrix", ("Orthogonal",), lambda f, x: f.orthogonal_map == "matrix_exp"),
    Goal("a Cayley map", ("Orthogonal",), lambda f, x: f.orthogonal_map == "cayley"),
    Goal("reflections", ("Orthogonal",), lambda f, x: f.orthogonal_map == "householder"),
    Goal("batch statistics", ("BatchNorm1d", "BatchNorm2d"), lambda f, x: f.training),
    Goal("running statistics", ("BatchNorm1d", "BatchNorm2d"), lambda f, x: not f.training and f.track_running_stats),
    Goal("operands of different shapes", ARITHMETIC, lambda f, x: isinstance(x, tuple) and x[0].shape != x[1].shape),
    Goal("a number beside an array", ARITHMETIC, lambda f, x: not isinstance(x, tuple)),
    Goal("a batch of matrices", ("Matmul",), lambda f, x: x[0].ndim > 2),
    Goal(
        "an index that takes an entry twice", ("Gather", "IndexSelect"), lambda f, x: np.unique(x[1]).size < x[1].size
    ),
    Goal("equal largest entries", ("Amax",), lambda f, x: np.size(x) > np.unique(x).size and f.dim is None),
    Goal("equal operands of a maximum", ("Maximum",), lambda f, x: isinstance(x, tuple) and bool((x[0] == x[1]).any())),
    Goal("a mask over attention", ("ScaledDotProductAttention",), lambda f, x: len(x) > 3 or f.is_causal),
    Goal("entries dropped", ("Dropout",), lambda f, x: f.training and 0 < f.p < 1),
)


def reached(case: Case) -> tuple[Trial, set[str]]:
    """The numbers of a case, and the goals that it reaches with them: of the layers inside it that have one, and of its
    architecture."""
    layers = list(record.walk(case.layer))
    classes = {type(layer).__name__ for layer in layers}
    found = {goal for goal, cls in ARCHITECTURE.items() if cls in classes}
    graphs = [layer for layer in layers if isinstance(layer, Graph)]
    found |= {goal for goal, has in GRAPHS.items() if any(map(has, graphs))}
    here, seen = [g for g in GOALS if classes & set(g.classes)], list[record.Record]()
    spied = {name for g in here for name in g.classes}
    trial = case.trial(record.spied(case.layer, seen.append, spied) if here else None)
    for _, layer, x, _ in seen:
        name = type(layer).__name__
        found |= {g.name for g in here if name in g.classes and g.reached(layer, x)}
    return trial, found


def _fans_out(graph: Graph) -> bool:
    uses = Counter(name for node in graph.layers for name in {*leaves_of(node.inputs)})
    return any(uses[node.name] > 1 for node in graph.layers)


def _diamond(graph: Graph) -> bool:
    """Do two different inputs of a step follow from one earlier value?"""
    before: dict[str, set[str]] = {name: set() for name in graph.inputs}
    for node in graph.layers:
        each = [{name, *before.get(name, ())} & before.keys() for name in {*leaves_of(node.inputs)}]
        if any(a & b for i, a in enumerate(each) for b in each[:i]):
            return True
        before[node.name] = set().union(*each)
    return False


def _takes_twice(graph: Graph) -> bool:
    given = [leaves_of(node.inputs) for node in graph.layers]
    return any(len(set(names)) < len(names) for names in given)


GRAPHS: dict[str, Callable[[Graph], bool]] = {
    "a step that several others take": _fans_out,
    "paths that part and meet again": _diamond,
    "one value twice into one step": _takes_twice,
    "a module used again": lambda graph: any(isinstance(node.params, str) for node in graph.layers),
    "a weight that another step computes": lambda graph: any(isinstance(node.params, tuple) for node in graph.layers),
    "a parameter that belongs to no layer": lambda graph: bool(graph.parameters),
    "several outputs of a graph": lambda graph: isinstance(graph.outputs, tuple),
}


ARCHITECTURE = {
    "a layer used several times": "Repeat",
    "paths that meet in a residual": "Residual",
    "one value used by several branches": "Sum",
    "branches side by side": "Concat",
}


def wanted(classes: Iterable[type[Layer]]) -> set[str]:
    """The goals that a run over these classes has to reach."""
    names = {c.__name__ for c in classes}
    found = {g.name for g in GOALS if names & set(g.classes)} | {n for n, cls in ARCHITECTURE.items() if cls in names}
    return found | (GRAPHS.keys() if "Graph" in names else set())
