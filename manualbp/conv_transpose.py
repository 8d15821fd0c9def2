"""The adjoint of a convolution as a layer: y = Kᵀ x + b. Beside torch/nn/modules/conv.py.

Nothing is derived twice: forward here is the backward pass of `conv.py`, and backward its forward.
"""

from typing import Any

import numpy as np

from .base import Array, Params, shape
from .conv import Ints, _Kernel
from .padding import Sides, check_ints, each, grown, letters, pad, unpad


class _ConvTransposeNd(_Kernel, family=True):
    """Put a kernel, times the entry, around every entry of x: a convolution the other way round.

    Forward   K: the convolution with kernel W that takes arrays of y's shape to arrays of x's shape, Conv1d's (1)
              z = Kᵀ x,  Conv1d's (5):  z[n, o, s·p + d·k] += Σ W[i, o, k] x[n, i, p] over i, for every k, all p  (1)
              y = C z + b,  where C takes the padding off z                                                   (2)
    Backward  x ↦ C Kᵀ x + b has the adjoint K Cᵀ:  dz = Cᵀ dy, which is dy with zeros around it,             (3)
              X: what every tap sees of dz,  dx = K dz = W X,  Conv1d's (2), (3)                              (4)
              dW is the gradient of ⟨dz, Kᵀ x⟩ = ⟨K dz, x⟩, so that of a convolution of dz whose upstream gradient
              is x:  dW = Σₙ x[n] X[n]ᵀ,  Conv1d's (4);  db = Σ dy over n and p                               (5)
    Shapes    x: (N, in_channels, L), (…, H, W) or (…, D, H, W) for 1d, 2d, 3d, or without N; y: likewise with
              out_channels;  L of y = s (L − 1) + d (k − 1) + 1 − 2 padding + output_padding, or output_size;
              weight: (in_channels, out_channels/groups, *kernel_size), bias: (out_channels,)
    Errors    ValueError if x has other channels or axes, nothing is left of y, output_padding reaches both stride and
              dilation, or output_size is no size that a convolution with this stride takes to that of x
    Source    torch.nn.ConvTranspose1d, ConvTranspose2d, ConvTranspose3d; Dumoulin, Visin 2016, arXiv:1603.07285, ch. 4;
              init U(±1/√fan_in), fan_in = out_channels/groups times the kernel's entries, as torch counts it
    Caveat    a convolution with stride s takes s different lengths to one; output_padding, 0 to s − 1, says which of
              them y has. What it adds lies behind y and holds b alone where no kernel reaches. output_size, which torch
              takes at the call, is an option here: the sizes of the last axes, or y's whole shape
    """

    output_padding: int | Ints = 0
    groups: int = 1
    bias: bool = True
    dilation: int | Ints = 1
    padding_mode: str = "zeros"
    output_size: Ints | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("padding", "output_padding"):
            check_ints(self, name, self.axes, 0)
        _, stride, dilation = self.kernel()
        if any(q >= max(s, d) for q, s, d in zip(each(self.output_padding, self.axes), stride, dilation)):
            raise ValueError(f"{self}: output_padding takes ints less than stride or dilation")
        if self.padding_mode != "zeros":
            raise ValueError(f'{self}: padding_mode takes "zeros" alone, as torch\'s')
        if self.output_size is not None and len(self.output_size) not in range(self.axes, self.axes + 3):
            raise ValueError(f"{self}: output_size takes the {self.axes} last sizes of y, or its whole shape")

    def channels(self) -> tuple[int, int]:
        return self.in_channels, self.out_channels

    def sides(self) -> Sides:
        """What is taken off z before and after y, along every axis."""
        return [(p, p) for p in each(self.padding, self.axes)]

    def sizes(self, x: Any) -> Ints:
        """The sizes of y along the last axes."""
        n, along = self.axes, list(zip(shape(x)[-self.axes :], *self.kernel(), each(self.padding, self.axes)))
        least = tuple(s * (size - 1) + d * (k - 1) + 1 - 2 * p for size, k, s, d, p in along)
        sizes = tuple(size + q for size, q in zip(least, each(self.output_padding, n)))
        if self.output_size is not None:
            sizes = self.output_size[-n:]
        ok = len(shape(x)) in (n + 1, n + 2) and shape(x)[-n - 1] == self.in_channels and min(shape(x)[-n:]) > 0
        ok = ok and min(sizes) > 0
        self.takes(ok, x, f"(N, in_channels, {letters(n)}), or without N, with entries left by padding")
        if self.output_size and any(not 0 <= size - m < s for size, m, s in zip(sizes, least, self.kernel()[1])):
            most = tuple(m + s - 1 for m, s in zip(least, self.kernel()[1]))
            raise ValueError(f"{self}: output_size takes sizes from {least} to {most} where x has {shape(x)}")
        return sizes

    def forward(self, params, x):
        sizes, out = self.sizes(x), x.shape[-self.axes :]
        z_shape = (*x.shape[: -self.axes - 1], self.out_channels, *grown(sizes, self.sides()))
        z = self.adjoint(params, self.rows(x), z_shape, out)  # (1)
        y = unpad(z, sizes, self.sides())  # (2)
        if self.bias:
            y += params["bias"].reshape(-1, *(1,) * self.axes)  # (2)
        return y, (x,)

    def seen(self, x: Array, dy: Array) -> Array:
        """X."""
        dz = pad(dy, self.sides())  # (3)
        return self.columns(dz, x.shape[-self.axes :])  # (4)

    def of_params(self, x: Array, X: Array, dy: Array) -> Params:
        over = tuple(a for a in range(dy.ndim) if a != dy.ndim - self.axes - 1)
        return {"weight": self.of_weight(self.rows(x), X)} | ({"bias": dy.sum(over)} if self.bias else {})  # (5)

    def gradients(self, params, cache, dy):
        (x,) = cache
        return self.of_params(x, self.seen(x, dy), dy)

    def backward(self, params, cache, dy):
        (x,) = cache
        X = self.seen(x, dy)
        dx = (self.matrix(params) @ X).reshape(x.shape)  # (4)
        return dx, self.of_params(x, X, dy)

    @classmethod
    def example(cls, choose, shape):
        channels, kernel, stride, dilation, padding, output_padding = shape[-cls.axes - 1], [], [], [], [], []
        for size in shape[-cls.axes :]:
            room = (20, 12, 8)[cls.axes - 1]
            s = choose(*(s for s in (2, 1, 3) if s * (size - 1) < room or s == 1))
            d = choose(1, 2)
            k = choose(*(k for k in (2, 3, 1, 4) if s * (size - 1) + d * (k - 1) < room or k == 1))
            whole, q = s * (size - 1) + d * (k - 1) + 1, choose(*range(max(s, d)))
            for values, value in ((kernel, k), (stride, s), (dilation, d), (output_padding, q)):
                values.append(value)
            padding.append(choose(*(p for p in (0, 1, 2) if whole - 2 * p > 0)))
        groups = choose(*(g for g in range(1, channels + 1) if channels % g == 0))
        layer = cls(
            channels, groups * choose(1, 2, 3), tuple(kernel), tuple(stride), tuple(padding), tuple(output_padding),
            groups, choose(True, False), tuple(dilation),
        )  # fmt: skip
        if not choose(False, False, True):
            return layer
        least = layer.replace(output_padding=0).sizes(np.empty(shape))
        return layer.replace(output_size=tuple(m + choose(*range(s)) for m, s in zip(least, stride)))


class ConvTranspose1d(_ConvTransposeNd):
    axes, ranks, __doc__ = 1, (2, 3), _ConvTransposeNd.__doc__


class ConvTranspose2d(_ConvTransposeNd):
    axes, ranks, __doc__ = 2, (3, 4), _ConvTransposeNd.__doc__


class ConvTranspose3d(_ConvTransposeNd):
    axes, ranks, __doc__ = 3, (4, 5), _ConvTransposeNd.__doc__
