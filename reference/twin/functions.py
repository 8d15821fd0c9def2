"""Functions of torch.nn.functional that take parameters: the layer of the same meaning, whose sizes are those of the
weights, and where its parameters are."""

from collections.abc import Callable
from typing import Any

import torch

from .step import Step, UnknownCallError, held, make


def _linear(input: Any, weight: Any, bias: Any = None) -> Step:
    if weight.ndim == 1 and bias is None:
        return Step(make("Matmul"), (input, weight))
    if weight.ndim != 2:
        raise UnknownCallError(f"F.linear with a weight of {weight.ndim} axes has no class here")
    layer = make("Linear", in_features=weight.shape[1], out_features=weight.shape[0], bias=bias is not None)
    return Step(layer, input, held(weight=weight, bias=bias))


def _conv(n: int) -> Callable[..., Step]:
    def rule(
        input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
    ) -> Step:
        layer = make(
            f"Conv{n}d", in_channels=weight.shape[1] * groups, out_channels=weight.shape[0],
            kernel_size=tuple(weight.shape[2:]), stride=stride, padding=padding, dilation=dilation, groups=groups,
            bias=bias is not None,
        )  # fmt: skip
        return Step(layer, input, held(weight=weight, bias=bias))

    return rule


def _conv_transpose(n: int) -> Callable[..., Step]:
    def rule(
        input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
        groups: int = 1, dilation: Any = 1,
    ) -> Step:  # fmt: skip
        layer = make(
            f"ConvTranspose{n}d", in_channels=weight.shape[0], out_channels=weight.shape[1] * groups,
            kernel_size=tuple(weight.shape[2:]), stride=stride, padding=padding, output_padding=output_padding,
            groups=groups, bias=bias is not None, dilation=dilation,
        )  # fmt: skip
        return Step(layer, input, held(weight=weight, bias=bias))

    return rule


def _layer_norm(input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Step:
    _weight_first(weight, bias)
    options = {"elementwise_affine": weight is not None, "bias": bias is not None or weight is None}
    layer = make("LayerNorm", normalized_shape=tuple(normalized_shape), eps=eps, **options)
    return Step(layer, input, held(weight=weight, bias=bias))


def _rms_norm(input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Step:
    layer = make("RMSNorm", normalized_shape=tuple(normalized_shape), eps=eps, elementwise_affine=weight is not None)
    return Step(layer, input, held(weight=weight))


def _group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Step:
    _weight_first(weight, bias)
    if weight is not None and bias is None:
        raise UnknownCallError("F.group_norm with a weight and no bias has no class here")
    layer = make("GroupNorm", num_groups=num_groups, num_channels=input.shape[1], eps=eps, affine=weight is not None)
    return Step(layer, input, held(weight=weight, bias=bias))


def _weight_first(weight: Any, bias: Any) -> None:
    if weight is None and bias is not None:
        raise UnknownCallError("a norm with a bias and no weight has no class here")


def _batch_norm(
    input: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None, training: bool = False,
    momentum: float = 0.1, eps: float = 1e-5,
) -> Step:  # fmt: skip
    return _of_statistics("BatchNorm", input, running_mean, running_var, weight, bias, training, momentum, eps)


def _instance_norm(
    input: Any, running_mean: Any = None, running_var: Any = None, weight: Any = None, bias: Any = None,
    use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5,
) -> Step:  # fmt: skip
    given = running_mean, running_var, weight, bias, use_input_stats, momentum, eps
    return _of_statistics("InstanceNorm", input, *given)


def _of_statistics(
    name: str, input: Any, running_mean: Any, running_var: Any, weight: Any, bias: Any, training: bool,
    momentum: float, eps: float,
) -> Step:  # fmt: skip
    """A norm that may keep running statistics, by the class of so many axes."""
    _weight_first(weight, bias)
    tracked = running_mean is not None
    layer = make(
        f"{name}{max(input.ndim - 2, 1)}d", num_features=input.shape[1], eps=eps, momentum=momentum,
        affine=weight is not None, track_running_stats=tracked, training=training,
        **({"bias": False} if weight is not None and bias is None else {}),
    )  # fmt: skip
    counted = torch.tensor(0) if tracked else None  # the function has no such count, and with a momentum no use for it
    params = held(
        weight=weight, bias=bias, running_mean=running_mean, running_var=running_var, num_batches_tracked=counted
    )
    return Step(layer, input, params)


def _embedding_bag(
    input: Any, weight: Any, offsets: Any = None, max_norm: Any = None, norm_type: float = 2,
    scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False, per_sample_weights: Any = None,
    include_last_offset: bool = False, padding_idx: int | None = None,
) -> Step:  # fmt: skip
    if max_norm is not None:
        raise UnknownCallError(
            "F.embedding_bag with max_norm changes its weight in the forward pass, and has no class here"
        )
    layer = make(
        "EmbeddingBag", num_embeddings=weight.shape[0], embedding_dim=weight.shape[1], mode=mode, sparse=sparse,
        scale_grad_by_freq=scale_grad_by_freq, include_last_offset=include_last_offset, padding_idx=padding_idx,
    )  # fmt: skip
    inputs = [input, offsets, per_sample_weights]
    while inputs[-1] is None:
        inputs.pop()
    return Step(layer, tuple(inputs) if len(inputs) > 1 else input, held(weight=weight))


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
    layer = make(
        "Embedding", num_embeddings=weight.shape[0], embedding_dim=weight.shape[1], padding_idx=padding_idx,
        scale_grad_by_freq=scale_grad_by_freq,
    )  # fmt: skip
    return Step(layer, input, held(weight=weight))


def _prelu(input: Any, weight: Any) -> Step:
    return Step(make("PReLU", num_parameters=weight.numel()), input, held(weight=weight))


def _bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Step:
    out, n, m = weight.shape
    layer = make("Bilinear", in1_features=n, in2_features=m, out_features=out, bias=bias is not None)
    return Step(layer, (input1, input2), held(weight=weight, bias=bias))


FUNCTIONS: dict[str, Callable[..., Step]] = {
    "linear": _linear, "conv1d": _conv(1), "conv2d": _conv(2), "conv3d": _conv(3), "embedding": _embedding,
    "conv_transpose1d": _conv_transpose(1), "conv_transpose2d": _conv_transpose(2), "prelu": _prelu,
    "conv_transpose3d": _conv_transpose(3), "layer_norm": _layer_norm, "rms_norm": _rms_norm,
    "instance_norm": _instance_norm, "embedding_bag": _embedding_bag,
    "group_norm": _group_norm, "batch_norm": _batch_norm, "bilinear": _bilinear,
}  # fmt: skip
