"""Whether torch code meets its kinks exactly: whatever comes after, what it clips and compares may not be rounded."""

from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from .gradients import array

KINKED = {
    "abs", "sgn", "sign", "relu", "relu_", "threshold", "leaky_relu", "prelu", "_prelu_kernel",
    "rrelu_with_noise", "hardtanh", "hardswish", "hardsigmoid", "hardshrink", "softshrink", "elu", "clamp",
    "clamp_", "clamp_min", "clamp_min_", "clamp_max", "clamp_max_", "max", "min", "amax", "amin", "maximum",
    "minimum", "fmax", "fmin", "aminmax", "argmax", "argmin", "argsort", "sort", "topk", "median", "nanmedian",
    "kthvalue", "mode", "cummax", "cummin", "round", "floor", "ceil", "trunc", "frac", "remainder", "fmod",
    "heaviside", "gt", "lt", "ge", "le", "eq", "ne", "isclose", "bucketize", "searchsorted", "unique",
    "_unique2", "smooth_l1_loss", "huber_loss", "multi_margin_loss", "multilabel_margin_loss_forward",
    "max_pool2d_with_indices", "max_pool3d_with_indices", "adaptive_max_pool2d", "adaptive_max_pool3d",
    "linalg_vector_norm", "norm", "_cdist_forward", "_pdist_forward", "angle", "atan2", "nan_to_num",
}  # fmt: skip


class AtKinks(TorchDispatchMode):
    """Notes the numbers that go into every operation with a kink or a jump."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[np.ndarray] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func._schema.name.removeprefix("aten::") in KINKED:
            given = torch.utils._pytree.tree_leaves((args, kwargs))
            self.seen += [np.array(array(t)) for t in given if isinstance(t, torch.Tensor) and t.is_floating_point()]
        return func(*args, **(kwargs or {}))
