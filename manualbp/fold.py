"""The windows of an image beside each other, and added up again. Beside torch/nn/modules/fold.py.

The two are adjoints, so each one's backward pass is the other's forward: `columns` and `collect` of `conv.py`.
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from .base import Array, Layer, shape
from .conv import Ints, collect, columns, output_sizes
from .padding import Sides, check_ints, each, grown, pad, unpad
from .sampling import Choose


class _Windows(Layer, family=True):
    """Windows of an image: kernel position k of window p lies at s·p + d·k of the padded image."""

    dyadic = True
    if TYPE_CHECKING:  # fields of both, in Fold behind another
        kernel_size: int | Ints
        dilation: int | Ints
        padding: int | Ints
        stride: int | Ints

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in {"kernel_size": 1, "dilation": 1, "padding": 0, "stride": 1}.items():
            check_ints(self, name, 2, least)

    def kernel(self) -> tuple[Ints, Ints, Ints]:
        """Kernel size, stride and dilation along both axes."""
        return each(self.kernel_size, 2), each(self.stride, 2), each(self.dilation, 2)

    def taps(self) -> int:
        """How many entries a window has."""
        return math.prod(self.kernel()[0])

    def sides(self) -> Sides:
        return [(p, p) for p in each(self.padding, 2)]

    def out(self, sizes: Ints) -> Ints:
        """How many windows there are along both axes of an image of these sizes; (0, 0) if it is smaller than one."""
        out = output_sizes(grown(sizes, self.sides()), *self.kernel()) if min(sizes, default=0) > 0 else (0, 0)
        return out if min(out) > 0 else (0, 0)

    def unfold(self, x: Array) -> Array:
        """y[n, ck, p] = z[n, c, s·p + d·k], z the padded x."""
        X = columns(pad(x, self.sides()), self.out(x.shape[-2:]), *self.kernel())
        return X.reshape(*X.shape[:-3], X.shape[-3] * X.shape[-2], X.shape[-1])

    def fold(self, y: Array, sizes: Ints) -> Array:
        """Its adjoint: z[n, c, s·p + d·k] += y[n, ck, p] for every k and all p, and x = what is inside the padding."""
        lead = *y.shape[:-2], y.shape[-2] // self.taps()
        pieces = np.moveaxis(y.reshape(*lead, self.taps(), y.shape[-1]), -2, 0)
        z = np.zeros(lead + grown(sizes, self.sides()), y.dtype)
        return unpad(collect(pieces, z, self.out(sizes), *self.kernel()), sizes, self.sides())


class Unfold(_Windows):
    """What every window of an image sees, window beside window: the matrix that convolution multiplies by its weight.

    Forward   z = x between zeros;  y[n, ck, p] = z[n, c, s·p + d·k]  for every channel c, kernel position k, window p
    Backward  z[q] is in y once for every pair (k, p) with s·p + d·k = q, and there its gradients meet:
              dz[n, c, s·p + d·k] += dy[n, ck, p]  for every k and all p;  dx = the part of dz where x lies: Fold of dy
    Shapes    x: (N, C, H, W) or (C, H, W); y: (N, C kₕ k_w, P) or without N, P = Pₕ P_w windows,
              Pₕ = ⌊(H + 2 padding − d (kₕ − 1) − 1)/s⌋ + 1
    Errors    ValueError if x has other axes, or is smaller than the window
    Source    torch.nn.Unfold; Chellapilla, Puri, Simard 2006, "im2col"
    """

    kernel_size: int | Ints
    dilation: int | Ints = 1
    padding: int | Ints = 0
    stride: int | Ints = 1

    ranks = (4, 3)

    def forward(self, params, x):
        ok = len(shape(x)) in self.ranks and min(self.out(shape(x)[-2:])) > 0
        self.takes(ok, x, "(N, C, H, W), or without N, with room for kernel_size and padding")
        return self.unfold(x), (x.shape[-2:],)

    def backward(self, params, cache, dy):
        (sizes,) = cache
        return self.fold(dy, sizes), {}

    @classmethod
    def example(cls, choose, shape):
        return cls(*_windows(choose, shape[-2:]))


class Fold(_Windows):
    """Windows added up to an image, each at its place.

    Forward   z[n, c, s·p + d·k] += x[n, ck, p]  for every channel c, kernel position k, and all windows p;
              y = the part of z inside the padding
    Backward  ∂z[s·p + d·k]/∂x[k, p] = 1:  dz = dy between zeros,  dx[n, ck, p] = dz[n, c, s·p + d·k]: Unfold of dy
    Shapes    x: (N, C kₕ k_w, P) or without N, P = Pₕ P_w windows as of Unfold; y: (N, C, *output_size) or without N
    Errors    ValueError if x has other axes, its channels are no multiple of the kernel's entries, or its windows are
              not those of an image of output_size
    Source    torch.nn.Fold
    Caveat    no inverse of Unfold where windows overlap: what several of them see comes back as often
    """

    output_size: int | Ints
    kernel_size: int | Ints
    dilation: int | Ints = 1
    padding: int | Ints = 0
    stride: int | Ints = 1

    ranks = (3, 2)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ints(self, "output_size", 2, 1)

    def forward(self, params, x):
        sizes, (channels, windows) = each(self.output_size, 2), shape(x)[-2:] if len(shape(x)) in self.ranks else (0, 0)
        ok = channels > 0 and channels % self.taps() == 0 and 0 < windows == math.prod(self.out(sizes))
        known = f"(N, C·{self.taps()}, {math.prod(self.out(sizes))})"
        self.takes(ok, x, f"{known}, or without N, as output_size, kernel_size, … have it")
        return self.fold(x, sizes), ()

    def backward(self, params, cache, dy):
        return self.unfold(dy), {}

    @classmethod
    def example(cls, choose, shape):
        """The windows, P = Pₕ P_w, and the entries of one, divide the sizes of x."""
        channels, windows = shape[-2:]
        down = choose(*(n for n in range(1, windows + 1) if windows % n == 0))
        entries = choose(*(n for n in range(1, channels + 1) if channels % n == 0))
        tall = choose(*(n for n in range(1, entries + 1) if entries % n == 0))
        made = []
        for k, out in ((tall, down), (entries // tall, windows // down)):
            d, s = choose(1, 2), choose(1, 2, 3)
            whole = s * (out - 1) + d * (k - 1) + 1 + choose(*range(s))
            p = choose(*(p for p in (0, 1, 2) if whole > 2 * p))
            made.append((whole - 2 * p, k, d, p, s))
        return cls(*zip(*made))


def _windows(choose: Choose, sizes: Ints) -> Iterator[Ints]:
    """Kernel size, dilation, padding and stride with room in an image of these sizes."""
    made = []
    for size in sizes:
        p, d, s = choose(0, 1, 2), choose(1, 2), choose(1, 2, 3)
        made.append((choose(*(k for k in (2, 3, 1, 4) if d * (k - 1) < size + 2 * p)), d, p, s))
    return zip(*made)
