"""Signals, images and volumes in another size. Beside torch/nn/modules/upsampling.py.

Interpolation along an axis is one matrix, y[p] = Σⱼ A[p, j] x[j], with few entries in a row; a mode says which. So the
gradient is that of every linear map,  dx[j] = Σₚ A[p, j] dy[p],  whatever the mode, and axes do not know of each other.
"""

import functools
import math
from typing import Any, ClassVar

import numpy as np

from .base import Array, Layer, shape
from .conv import Ints
from .padding import each
from .pooling_adaptive import means
from .sparse_matrix import Rows, along, rows

MODES = {"nearest": (4, 3, 5), "nearest-exact": (4, 3, 5), "area": (4, 3, 5)}  # ranks of x
MODES |= {"linear": (3,), "bilinear": (4,), "bicubic": (4,), "trilinear": (5,)}
CUBIC = -0.75  # the slope of the cubic kernel at distance 1, as in torch


@functools.cache
def interpolation(
    mode: str, size: int, out: int, ratio: float, align_corners: bool, antialias: bool = False
) -> tuple[Rows, Rows]:
    """A and Aᵀ along an axis of this size. ratio: how far p and p + 1 are apart in x."""
    if mode == "area":
        return means(size, out)
    p = np.arange(out)
    if antialias:
        A = smoothed(p, (size - 1) / max(out - 1, 1) * (out > 1) if align_corners else ratio, mode, size)
        return rows(A), rows(A.T)
    if "nearest" in mode:
        j, w = nearest(p, ratio, half=mode == "nearest-exact")
    elif align_corners:
        j, w = neighbours(p * ((size - 1) / max(out - 1, 1)), mode, size)
    else:
        j, w = neighbours((p + 0.5) * ratio - 0.5, mode, size)
    A = np.zeros((out, size))
    np.add.at(A, (p, np.clip(j, 0, size - 1)), w)  # what lies beyond an end is what stands at the end
    return rows(A), rows(A.T)


def nearest(p: Array, ratio: float, half: bool) -> tuple[Array, Array]:
    """The entry that p falls into: ⌊p r⌋, or ⌊(p + ½) r⌋. torch rounds the product to float32 in every dtype."""
    j = np.floor(((p + 0.5 * half) * ratio).astype(np.float32))
    return j.astype(int)[None], np.ones((1, len(p)))


def neighbours(q: Array, mode: str, size: int) -> tuple[Array, Array]:
    """The entries beside position q of x, two or four of them, and their weights."""
    if mode != "bicubic":
        q = np.clip(q, 0, size - 1)
    j = np.floor(q).astype(int)
    beside = (0, 1) if mode != "bicubic" else (-1, 0, 1, 2)
    return np.stack([j + k for k in beside]), weights(q - j, mode)


def weights(t: Array, mode: str) -> Array:
    """Those of the two or four entries around a position that is t beyond one of them."""
    return np.stack([1 - t, t] if mode != "bicubic" else [outer(1 + t), inner(t), inner(1 - t), outer(2 - t)])


def inner(t: Array, a: float = CUBIC) -> Array:
    """The cubic kernel up to distance 1: (a + 2)t³ − (a + 3)t² + 1."""
    return ((a + 2) * t - (a + 3)) * t * t + 1


def outer(t: Array, a: float = CUBIC) -> Array:
    """The cubic kernel between the distances 1 and 2: a t³ − 5a t² + 8a t − 4a."""
    return a * (((t - 5) * t + 8) * t - 4)


def inner_slope(t: Array, a: float = CUBIC) -> Array:
    """3(a + 2)t² − 2(a + 3)t."""
    return (3 * (a + 2) * t - 2 * (a + 3)) * t


def outer_slope(t: Array, a: float = CUBIC) -> Array:
    """3a t² − 10a t + 8a."""
    return a * ((3 * t - 10) * t + 8)


def smoothed(p: Array, ratio: float, mode: str, size: int) -> Array:
    """A with antialias: the kernel around (p + ½)r, made wider by r where there are fewer entries than before, and in
    every row divided by the sum of what it has within x."""
    s, j = max(ratio, 1.0), np.arange(size)
    t = np.abs(j + 0.5 - (p[:, None] + 0.5) * ratio) / s
    if mode == "bilinear":
        A = np.maximum(1 - t, 0)
    else:
        A = np.where(t < 1, inner(t, -0.5), np.where(t < 2, outer(t, -0.5), 0))
    return A / A.sum(1, keepdims=True)


class _Interpolation(Layer, family=True):
    """x in another size. A subclass says in which mode."""

    size: int | Ints | None = None
    scale_factor: float | tuple[float, ...] | None = None

    mode: ClassVar[str]
    align_corners: ClassVar[bool | None] = None
    recompute_scale_factor: ClassVar[bool | None] = None
    antialias: ClassVar[bool] = False
    cancels = True  # the weights of a pixel sum to 1 but for rounding: a tie of equal pixels may be none, either way
    # No `dyadic`: torch rounds where it takes a pixel from, also where the weights that come of it have few bits.

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.size is None) == (self.scale_factor is None):
            raise ValueError(f"{self}: takes one of size and scale_factor")
        if self.scale_factor is not None:
            factor = self.scale_factor
            factor = tuple(map(float, factor)) if isinstance(factor, tuple) else float(factor)
            object.__setattr__(self, "scale_factor", factor)

    def maps(self, x: Any) -> list[tuple[Rows, Rows]]:
        """A and Aᵀ along every axis but the first two."""
        sizes, n = shape(x)[2:], len(shape(x)) - 2
        given = each(self.size if self.scale_factor is None else self.scale_factor, n)
        ok = n + 2 in MODES[self.mode] and len(given) == n and min(sizes) > 0
        self.takes(ok, x, f"{self.shapes()} with as many of the last axes as size or scale_factor has entries")
        out = given if self.scale_factor is None else [math.floor(size * s) for size, s in zip(sizes, given)]
        self.takes(min(out) > 0, x, f"{self.shapes()} of which size or scale_factor leaves something")
        return [
            interpolation(self.mode, size, int(o), self.ratio(size, o, s), bool(self.align_corners), self.antialias)
            for size, o, s in zip(sizes, out, given)
        ]

    def ratio(self, size: int, out: int, factor: float) -> float:
        """How far p and p + 1 are apart in x."""
        return size / out if self.scale_factor is None or self.recompute_scale_factor else 1 / factor

    def shapes(self) -> str:
        return {3: "(N, C, L)", 4: "(N, C, H, W)", 5: "(N, C, D, H, W)"}[MODES[self.mode][0]]

    def forward(self, params, x):
        maps = self.maps(x)
        for axis, (A, _) in enumerate(maps, -len(maps)):
            x = along(A, x, axis)
        return x, (maps,)

    def backward(self, params, cache, dy):
        (maps,) = cache
        for axis, (_, At) in reversed([*enumerate(maps, -len(maps))]):
            dy = along(At, dy, axis)
        return dy, {}

    @classmethod
    def example(cls, choose, shape):
        sizes = shape[2:]
        if choose(False, True):
            size = tuple(choose(*range(1, 2 * n + 2)) for n in sizes)
            return cls(size if len(set(size)) > 1 or choose(False, True) else size[0])
        factors = tuple(choose(2.0, 1.5, 3.0, 2.5, *([0.5, 0.75] if n > 1 else [])) for n in sizes)
        return cls(scale_factor=factors if len(set(factors)) > 1 or choose(False, True) else factors[0])


class Upsample(_Interpolation):
    """Interpolate between the entries of x, so that its last axes get another size: larger, or smaller.

    Forward   along each axis  y[p] = Σⱼ A[p, j] x[j].  r: the step in x from p to p + 1, which is 1/scale_factor if
              that is given and not recomputed, else (L of x)/(L of y).  q: where p lies in x,
              q = (p + ½)r − ½,  as pixels are squares with centres at ½;  or, with align_corners, where the centres
              of the first and last pixels meet,  q = p (L of x − 1)/(L of y − 1)
              nearest                      y[p] = x[⌊pr⌋];   nearest-exact:  x[⌊(p + ½)r⌋]
              linear, bilinear, trilinear  y[p] = (1 − t) x[j] + t x[j+1],  j = ⌊q⌋,  t = q − j,  q held within x
              bicubic                      y[p] = Σ w(|q − m|) x[m]  over m = j−1, …, j+2,  beyond an end x is as at it;
                                           w(t) = (a+2)t³ − (a+3)t² + 1 for t ≤ 1, a(t³ − 5t² + 8t − 4) beyond, a = −¾
              area                         the means of AdaptiveAvgPool1d
              with antialias               y[p] = Σ w(d/s) x[j] / Σ w(d/s),  d = |j + ½ − (p + ½)r|,  s = max(r, 1),
                                           w(t) = max(1 − t, 0) for bilinear, as above with a = −½ for bicubic
    Backward  ∂y[p]/∂x[j] = A[p, j], so  dx[j] = Σₚ A[p, j] dy[p]  along each axis, in any order
    Shapes    x: (N, C, L) for linear, (N, C, H, W) for bilinear and bicubic, (N, C, D, H, W) for trilinear, any of them
              for the others; y: likewise, with size along the last axes, or ⌊L scale_factor⌋
    Errors    ValueError if both or neither of size and scale_factor are given, mode is none of these, x has other axes,
              or nothing is left of one; if align_corners goes with nearest or area, or antialias with another mode
              than bilinear and bicubic
    Source    torch.nn.Upsample, torch.nn.functional.interpolate (antialias); Keys 1981, IEEE Trans. ASSP 29, 1153 (the
              cubic kernel, there with a = −½)
    Caveat    nearest: torch rounds pr to float32, and so it is here; but its backward does not use this index where a
              scale_factor that is not recomputed leaves L as it is, or doubles it, by rounding down (torch 2.13)
    """

    mode: str = "nearest"
    align_corners: bool | None = None
    recompute_scale_factor: bool | None = None
    antialias: bool = False

    ranks = (4, 4, 3, 5)  # images twice as often: they have the most modes

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mode not in MODES:
            raise ValueError(f"{self}: mode takes one of {', '.join(MODES)}")
        if self.align_corners is not None and len(MODES[self.mode]) > 1:
            raise ValueError(f"{self}: align_corners goes with linear, bilinear, bicubic and trilinear")
        if self.antialias and MODES[self.mode] != (4,):
            raise ValueError(f"{self}: antialias goes with bilinear and bicubic")
        if self.recompute_scale_factor and self.scale_factor is None:
            raise ValueError(f"{self}: recompute_scale_factor goes with scale_factor")

    @classmethod
    def example(cls, choose, shape):
        of_rank = [mode for mode, ranks in MODES.items() if len(shape) in ranks]
        mode = choose(*of_rank, *of_rank[3:], *of_rank[3:], *of_rank[4:])  # most often those that interpolate
        options = {"mode": mode} | ({} if len(MODES[mode]) > 1 else {"align_corners": choose(None, True)})
        options |= {"antialias": choose(False, True)} if mode in ("bilinear", "bicubic") else {}
        layer = super().example(choose, shape).replace(**options)
        return layer.replace(recompute_scale_factor=choose(None, True)) if layer.scale_factor else layer


class UpsamplingNearest2d(_Interpolation):
    """Repeat the nearest entry: Upsample in the mode nearest.

    Forward   y[p] = x[⌊pr⌋] along each axis, r as in Upsample
    Backward  dx[j] = Σ dy[p] over all p with ⌊pr⌋ = j
    Shapes    x: (N, C, H, W), or (N, C, L), (N, C, D, H, W); y: likewise, with size or ⌊L scale_factor⌋
    Errors    ValueError if both or neither of size and scale_factor are given, or x has other axes
    Source    torch.nn.UpsamplingNearest2d
    """

    mode, ranks = "nearest", (4, 3, 5)


class UpsamplingBilinear2d(_Interpolation):
    """Interpolate linearly, the corners of both images one on the other: Upsample, bilinear with align_corners.

    Forward   q = p (L of x − 1)/(L of y − 1),  y[p] = (1 − t) x[j] + t x[j+1],  j = ⌊q⌋,  t = q − j,  along each axis
    Backward  dx[j] = Σₚ A[p, j] dy[p],  where A[p, j] is 1 − t or t, as of Upsample
    Shapes    x: (N, C, H, W); y: likewise, with size or ⌊L scale_factor⌋
    Errors    ValueError if both or neither of size and scale_factor are given, or x has other axes
    Source    torch.nn.UpsamplingBilinear2d
    """

    mode, align_corners, ranks = "bilinear", True, (4,)
