"""Which layers that change sizes could have made an output of this shape: adaptive pooling, interpolation, shuffles,
windows, transposed convolution."""

import itertools
import math
from collections.abc import Iterator

import manualbp as m
from manualbp.base import Layer, registry
from manualbp.upsampling import MODES

Shape = tuple[int, ...]


def of_one(shape: Shape, y: Shape) -> Iterator[Layer]:
    """Layers without parameters."""
    axes = len(shape) - 2
    if 0 < axes < 4 and len(y) == len(shape):
        if y[:2] == shape[:2]:
            pools, maps = list(_pools(y[2:])), list(_interpolations(y[2:]))
            yield from pools + maps if y < shape else maps + pools  # both repeat entries where y is twice as long
        if y == shape:
            yield from (m.ChannelShuffle(g) for g in range(2, shape[1]) if shape[1] % g == 0)
        yield from _shuffled(shape, y)
    yield from _windows(shape, y)


def _pools(sizes: Shape) -> Iterator[Layer]:
    axes = len(sizes)
    for kind in ("Avg", "Max"):
        yield registry()[f"Adaptive{kind}Pool{axes}d"](sizes[0] if axes == 1 else sizes)


def _interpolations(sizes: Shape) -> Iterator[Layer]:
    axes = len(sizes)
    for mode, ranks in MODES.items():
        if axes + 2 in ranks and mode != "area":
            yield m.Upsample(sizes, mode=mode)
            if len(ranks) == 1:
                yield m.Upsample(sizes, mode=mode, align_corners=True)


def _shuffled(shape: Shape, y: Shape) -> Iterator[Layer]:
    for r in (2, 3, 4):
        if (shape[-3], y[-2], y[-1]) == (y[-3] * r * r, shape[-2] * r, shape[-1] * r):
            yield m.PixelShuffle(r)
        if (y[-3], shape[-2], shape[-1]) == (shape[-3] * r * r, y[-2] * r, y[-1] * r):
            yield m.PixelUnshuffle(r)


def _windows(shape: Shape, y: Shape) -> Iterator[Layer]:
    if len(shape) not in (3, 4) or len(y) != 7 - len(shape):
        return
    image, cut = (shape, y) if len(shape) == 4 else (y, shape)
    for k, stride, padding in itertools.product((1, 2, 3, 4), (1, 2, 3), (0, 1, 2)):
        out = [(n + 2 * padding - k) // stride + 1 for n in image[2:]]
        if cut[1:] == (image[1] * k * k, math.prod(out)):
            options = {"kernel_size": k, "padding": padding, "stride": stride}
            yield m.Unfold(**options) if image is shape else m.Fold(y[2:], **options)


def transposed(shape: Shape, y: Shape, rest: list[Shape]) -> Iterator[Layer]:
    """Transposed convolutions with one of the other arrays for their weight."""
    axes = len(shape) - 2
    for w in rest:
        if len(w) != len(shape) or not 0 < axes < 4 or len(y) != len(shape) or w[0] != shape[1] or y[1] % w[1]:
            continue
        groups = y[1] // w[1]
        for stride, padding, dilation in itertools.product((1, 2, 3), (0, 1, 2), (1, 2)):
            least = [stride * (n - 1) + dilation * (k - 1) + 1 - 2 * padding for n, k in zip(shape[2:], w[2:])]
            more = tuple(n - size for n, size in zip(y[2:], least))
            if all(0 <= q < max(stride, dilation) for q in more) and shape[1] % groups == 0:
                cls = registry()[f"ConvTranspose{axes}d"]
                yield cls(shape[1], y[1], w[2:], stride, padding, more, groups, dilation=dilation)
