"""A small kernel that slides over the input: y[o, p] = Σ W[o, c, k] x[c, s·p + d·k]. Beside torch/nn/modules/conv.py.

The kernel slides along the last 1, 2 or 3 axes: p is a position in the output, k one in the kernel, s the stride and d
the dilation, each with one entry an axis. `taps` shows what every k sees; pooling uses it, too. `_Kernel` is the linear
map that a kernel makes, and its adjoint: convolution goes forward with the one and back with the other, transposed
convolution the other way round.
"""

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .base import Array, Layer, Params, shape, uniform
from .padding import MAPS, Sides, can_pad, check_ints, each, grown, letters, pad, unpad

Ints = tuple[int, ...]


def taps(x: Array, out: Ints, kernel: Ints, stride: Ints, dilation: Ints) -> Iterator[Array]:
    """For every k of the kernel, in row-major order, the view x[…, s·p + d·k] over all p of the output.

    Forward reads through these views. The adjoint of reading is adding: backward does += to the views of dx.
    """
    for k in np.ndindex(*kernel):
        along = zip(k, out, stride, dilation)
        yield x[(..., *(slice(d * i, d * i + s * (n - 1) + 1, s) for i, n, s, d in along))]


def output_sizes(padded: Ints, kernel: Ints, stride: Ints, dilation: Ints) -> Ints:
    """How many positions p there are: s·p + d·(k − 1) stays within the padded axis. 0 or less if it is too short."""
    return tuple((n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(padded, kernel, stride, dilation))


def columns(z: Array, out: Ints, kernel: Ints, stride: Ints, dilation: Ints) -> Array:
    """What every tap sees, beside each other: X[…, c, k, p] = z[…, c, s·p + d·k], the p of all axes in one."""
    X = np.stack(list(taps(z, out, kernel, stride, dilation)), -len(out) - 1)
    return X.reshape(*X.shape[: -len(out)], math.prod(out))


def collect(pieces: Iterable[Array], z: Array, out: Ints, kernel: Ints, stride: Ints, dilation: Ints) -> Array:
    """The adjoint of `columns`: z[…, c, s·p + d·k] += pieces[k][…, c, p], for every k and all p; z is written to."""
    for z_k, piece in zip(taps(z, out, kernel, stride, dilation), pieces):
        z_k += piece.reshape(z_k.shape)  # through a view of z
    return z


def few(g: Array) -> bool:
    """Are there fewer windows p than channels o? Then W is larger than what it is multiplied by."""
    return g.shape[3] < g.shape[2]


class _Kernel(Layer, family=True):
    """A kernel W between two kinds of channels, o and c, with p a position beside o and s·p + d·k one beside c.

    K z    the map from c to o     (K z)[n, o, p] = Σ W[o, c, k] z[n, c, s·p + d·k]  over all c, k
    Kᵀ g   its adjoint             (Kᵀ g)[n, c, s·p + d·k] += Σ W[o, c, k] g[n, o, p]  over o,  for every k and all p
    """

    in_channels: int
    out_channels: int
    kernel_size: int | Ints
    stride: int | Ints = 1
    padding: int | Ints | str = 0

    axes: ClassVar[int]
    dyadic = True
    if TYPE_CHECKING:  # fields of every subclass, in two orders
        dilation: int | Ints
        groups: int
        bias: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in {"kernel_size": 1, "stride": 1, "dilation": 1}.items():
            check_ints(self, name, self.axes, least)
        if min(self.groups, self.in_channels, self.out_channels) < 1:
            raise ValueError(f"{self}: groups and channels take ints of at least 1")
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise ValueError(f"{self}: groups takes a divisor of in_channels and of out_channels")

    def kernel(self) -> tuple[Ints, Ints, Ints]:
        """Kernel size, stride and dilation along every axis."""
        return each(self.kernel_size, self.axes), each(self.stride, self.axes), each(self.dilation, self.axes)

    def channels(self) -> tuple[int, int]:
        """How many o and how many c there are."""
        raise NotImplementedError

    def init(self, rng: np.random.Generator, dtype: Any = np.float64) -> Params:
        o, c = self.channels()
        size = o, c // self.groups, *self.kernel()[0]
        bound = 1 / math.sqrt(math.prod(size[1:]))
        weight = uniform(rng, bound, size, dtype)
        return {"weight": weight} | ({"bias": uniform(rng, bound, (self.out_channels,), dtype)} if self.bias else {})

    def matrix(self, params: Params) -> Array:
        """W as (g, o, ck)."""
        return params["weight"].reshape(self.groups, self.channels()[0] // self.groups, -1)

    def rows(self, a: Array) -> Array:
        """An array of o and p as (N, g, o, p)."""
        lead = math.prod(a.shape[: -self.axes - 1])
        return a.reshape(lead, self.groups, self.channels()[0] // self.groups, math.prod(a.shape[-self.axes :]))

    def columns(self, z: Array, out: Ints) -> Array:
        """What every tap (c, k) sees, as (N, g, ck, p)."""
        X = columns(z, out, *self.kernel())
        seen = self.channels()[1] // self.groups * math.prod(self.kernel()[0])
        return X.reshape(math.prod(z.shape[: -self.axes - 1]), self.groups, seen, math.prod(out))

    def of_weight(self, g: Array, X: Array) -> Array:
        """dW = Σₙ g[n] X[n]ᵀ in the shape of W, where g is the upstream gradient of K z."""
        o, c = self.channels()
        if few(g):  # those of all n beside each other, in one product, instead of a sum of n matrices
            g, X = (np.moveaxis(a, 0, 2).reshape(1, self.groups, a.shape[2], -1) for a in (g, X))
        return (g @ X.swapaxes(2, 3)).sum(0).reshape(o, c // self.groups, *self.kernel()[0])

    def adjoint(self, params: Params, g: Array, z_shape: Ints, out: Ints) -> Array:
        """Kᵀ g, where z has this shape and g is (N, g, o, p)."""
        W, taps = self.matrix(params), math.prod(self.kernel()[0])  # Conv's (4), the rows of X that each tap k has:
        if few(g):
            X = W.swapaxes(1, 2) @ g
            pieces = np.moveaxis(X.reshape(*X.shape[:2], -1, taps, X.shape[3]), 3, 0)
        else:
            WT = W.reshape(*W.shape[:2], -1, taps).transpose(3, 0, 2, 1)  # of every k: (g, c, o)
            pieces = (WT_k @ g for WT_k in np.ascontiguousarray(WT))  # one after another, none kept
        return collect(pieces, np.zeros(z_shape, g.dtype), out, *self.kernel())


class _ConvNd(_Kernel, family=True):
    """Correlate the last axes of x with a kernel for every pair of an input and an output channel.

    Forward   z = x padded as padding_mode says;  b = 0 if there is no bias                                 (0)
              y[n, o, p] = b[o] + Σ W[o, c, k] z[n, c, s·p + d·k]  over all c, k                            (1)
              Write beside each other what every tap (c, k) sees,  X[n, ck, p] = z[n, c, s·p + d·k]:        (2)
              y[n] = W X[n] + b,  a Linear layer with ck for its inputs and p among its rows                (3)
    Backward  so, as of Linear,  dW = Σₙ dy[n] X[n]ᵀ,  db = Σ dy over n and p,  dX[n] = Wᵀ dy[n]             (4)
              z[q] is in X once for every pair (k, p) with s·p + d·k = q, and there its gradients meet:
              dz[n, c, s·p + d·k] += dX[n, ck, p] = Σ W[o, c, k] dy[n, o, p] over o,  for every k and all p  (5)
              and padding is an index map:  dx[j] = Σ dz[q]  over all q that are filled from j              (6)
              With groups, c and o fall into so many blocks that know nothing of each other: one more axis g of the
              matrices in (2) to (5), which matmul runs through.
    Shapes    x: (N, in_channels, L), (…, H, W) or (…, D, H, W) for 1d, 2d, 3d, or without N; y: likewise with
              out_channels;  L of y = ⌊(L + padding before and after − d (k − 1) − 1)/s⌋ + 1;
              weight: (out_channels, in_channels/groups, *kernel_size), bias: (out_channels,)
    Errors    ValueError if x has other channels or axes, or is shorter than the kernel; if groups does not divide both
              channels, padding = "same" goes with a stride, or a reflection or ring is longer than x
    Source    torch.nn.Conv1d, Conv2d, Conv3d; Dumoulin, Visin 2016, arXiv:1603.07285 (sizes); Chellapilla, Puri,
              Simard 2006 for (2), "im2col"; init U(±1/√fan_in), fan_in = in_channels/groups times the kernel's entries
    Caveat    the kernel is not flipped: this is a correlation. Where padding = "same" adds an odd number of entries,
              the odd one stands behind x
    """

    dilation: int | Ints = 1
    groups: int = 1
    bias: bool = True
    padding_mode: str = "zeros"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.padding, str):
            check_ints(self, "padding", self.axes, 0)
        elif self.padding not in ("same", "valid"):
            raise ValueError(f'{self}: padding takes "same", "valid", an int or {self.axes} ints')
        if self.padding == "same" and self.stride != 1:
            raise ValueError(f'{self}: padding="same" keeps sizes, so it takes stride=1')
        if self.padding_mode not in ("zeros", *MAPS):
            raise ValueError(f"{self}: padding_mode takes one of zeros, {', '.join(MAPS)}")

    def channels(self) -> tuple[int, int]:
        return self.out_channels, self.in_channels

    def sides(self) -> Sides:
        """How much to pad every axis before and after."""
        if isinstance(self.padding, str):
            kernel, _, dilation = self.kernel()
            total = [d * (k - 1) if self.padding == "same" else 0 for k, d in zip(kernel, dilation)]
            return [(t // 2, t - t // 2) for t in total]
        return [(p, p) for p in each(self.padding, self.axes)]

    def forward(self, params, x):
        n, sides = self.axes, self.sides()
        sizes = shape(x)[-n:]
        out = output_sizes(grown(sizes, sides), *self.kernel())
        ok = len(shape(x)) in (n + 1, n + 2) and shape(x)[-n - 1] == self.in_channels and min(out) > 0
        ok = ok and can_pad(sizes, sides, self.padding_mode)
        self.takes(ok, x, f"(N, in_channels, {letters(n)}), or without N, with room for kernel_size and padding")
        z = pad(x, sides, self.padding_mode)  # (0)
        X = self.columns(z, out)  # (2)
        y = (self.matrix(params) @ X).reshape(*x.shape[: -n - 1], self.out_channels, *out)  # (3)
        if self.bias:
            y += params["bias"].reshape(-1, *(1,) * n)  # (3)
        return y, (X, x.shape)

    def gradients(self, params, cache, dy):
        X, _ = cache
        dy = self.rows(dy)
        dW, db = self.of_weight(dy, X), dy.sum((0, 3)).reshape(-1)  # (4)
        return {"weight": dW} | ({"bias": db} if self.bias else {})

    def backward(self, params, cache, dy):
        _, x_shape = cache
        sides, sizes = self.sides(), x_shape[-self.axes :]
        z_shape = x_shape[: -self.axes] + grown(sizes, sides)
        dz = self.adjoint(params, self.rows(dy), z_shape, dy.shape[-self.axes :])  # (5)
        return unpad(dz, sizes, sides, self.padding_mode), self.gradients(params, cache, dy)  # (6)

    @classmethod
    def example(cls, choose, shape):
        n, channels, sizes = cls.axes, shape[-cls.axes - 1], shape[-cls.axes :]
        mode = choose("zeros", *MAPS)
        most = [min(2, {"reflect": size - 1, "circular": size}.get(mode, 2)) for size in sizes]
        padding = choose("valid", "same", *[tuple(choose(*range(m + 1)) for m in most)] * 3)
        dilation = tuple(choose(1, 2) for _ in range(n))
        stride = 1 if padding == "same" else tuple(choose(1, 2, 3) for _ in range(n))
        room = [size + 2 * p for size, p in zip(sizes, padding)] if isinstance(padding, tuple) else sizes
        kernel = tuple(choose(*(k for k in (1, 2, 3, 4) if d * (k - 1) < r)) for d, r in zip(dilation, room))
        groups = choose(*(g for g in range(1, channels + 1) if channels % g == 0))
        return cls(
            channels, groups * choose(1, 2, 3), kernel, stride, padding, dilation, groups, choose(True, False), mode
        )


class Conv1d(_ConvNd):
    axes, ranks, __doc__ = 1, (2, 3), _ConvNd.__doc__


class Conv2d(_ConvNd):
    axes, ranks, __doc__ = 2, (3, 4), _ConvNd.__doc__


class Conv3d(_ConvNd):
    axes, ranks, __doc__ = 3, (4, 5), _ConvNd.__doc__
