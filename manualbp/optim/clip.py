"""Gradients kept from being too large. Beside torch/nn/utils/clip_grad.py, whose functions write in place; these give
the clipped gradients back.
"""

import math
from typing import Any

import numpy as np

from ..base import Params, flatten, tree_map


def get_total_norm(grads: Params, norm_type: float = 2.0, error_if_nonfinite: bool = False) -> Any:
    """The p-norm of all gradients together: of each array first, then of these norms.

    Rule      ‖x‖ = (Σ|xᵢ|ᵖ)^(1/p),  p: norm_type;  p = ±∞: the largest, the smallest |xᵢ|;  p = 0: the number of xᵢ ≠ 0
              For p > 0 the norm of the norms is that of all entries in a row: (Σⱼ ((Σᵢ|xᵢⱼ|ᵖ)^(1/p))ᵖ)^(1/p)
    Errors    ValueError if the norm is not finite and error_if_nonfinite
    Source    torch.nn.utils.get_total_norm
    Caveat    not so for p = 0, where the norm of norms counts the arrays that are not all 0, as in torch
    """
    norms = [_norm(g, norm_type) for g in flatten(grads).values() if g is not None]
    total = _norm(np.stack(norms), norm_type) if norms else np.float32(0)
    if error_if_nonfinite and not np.isfinite(total):
        raise ValueError(f"the {norm_type}-norm of all gradients is {total}, so they cannot be clipped to a norm")
    return total


def clip_grad_norm(
    grads: Params, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> tuple[Params, Any]:
    """All gradients scaled by one factor, so that together their norm is max_norm at most; and the norm that they had.

    Rule      n = ‖all g‖,  c = min(1, max_norm/(n + 10⁻⁶)),  g ← cg
    Errors    ValueError unless max_norm ≥ 0; if n is not finite and error_if_nonfinite
    Source    Pascanu, Mikolov, Bengio 2012, arXiv:1211.5063, algorithm 1; torch.nn.utils.clip_grad_norm_
    Caveat    10⁻⁶ keeps the divisor from 0, so the clipped norm stays below max_norm by as much. A nan anywhere makes
              every gradient nan, an infinity makes the finite ones 0
    """
    if not max_norm >= 0:
        raise ValueError(f"clip_grad_norm takes max_norm ≥ 0; it got {max_norm}")
    n = get_total_norm(grads, norm_type, error_if_nonfinite)
    with np.errstate(all="ignore"):
        c = np.minimum(max_norm / (n + 1e-6), 1)
        return tree_map(lambda g: np.asarray(g * c.astype(g.dtype)), grads), n


def clip_grad_value(grads: Params, clip_value: float) -> Params:
    """Every entry of every gradient by itself put between two bounds.

    Rule      gᵢ ← max(−b, min(b, gᵢ)),  b: clip_value
    Errors    ValueError unless clip_value ≥ 0
    Source    torch.nn.utils.clip_grad_value_
    Caveat    this turns the direction of the whole, clip_grad_norm does not
    """
    if not clip_value >= 0:
        raise ValueError(f"clip_grad_value takes clip_value ≥ 0; it got {clip_value}")
    return tree_map(lambda g: np.asarray(np.clip(g, -clip_value, clip_value)), grads)


def _norm(x: Any, p: float) -> Any:
    size = np.abs(x)
    if math.isinf(p):
        return size.max(initial=0) if p > 0 else size.min()
    with np.errstate(all="ignore"):
        if p == 0:
            return (size != 0).sum().astype(x.dtype)
        return (size**p).sum() ** (1 / p) if p != 2 else np.sqrt((x * x).sum())
