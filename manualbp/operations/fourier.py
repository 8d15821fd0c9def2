"""Discrete Fourier transforms over any axes, of complex numbers and of real ones.

The transform of N numbers is linear, y = Fx with F_kn = c ω^(kn), ω = e^(−2πi/N), where `norm` says c:

    norm        forward transform c   inverse transform c
    "backward"  1                     1/N
    "ortho"     1/√N                  1/√N
    "forward"   1/N                   1

The gradient of a linear map is its adjoint, dx = Fᴴ dy: dxₙ = c Σₖ ω^(−kn) dyₖ. That is an inverse transform with the
factor c of the forward one, so the inverse with the norms exchanged: "backward" for "forward", "forward" for
"backward", "ortho" as it is. Over several axes one transform follows another, each along its own.

The transform of real numbers has y₍N₋ₖ₎ = ȳₖ, so half of it, k = 0, …, ⌊N/2⌋ along the last axis, says all:

    k           in the whole transform
    0           once
    N/2, N even once
    others      twice: as yₖ, and conjugated as y₍N₋ₖ₎

What takes a whole spectrum from a half counts these twice, what gives the half from real numbers counts each once. So
each is the adjoint of the other but for this factor 2.

Cut to s entries, x passes no gradient where it was cut off; padded with zeros to s, the zeros get what nobody needs.
"""

from typing import Any

import numpy as np

from ..base import Array, shape
from .base import NUMBER, Axes, axes_of, possible
from .complex import Complexes, complex_numbers

Sizes = tuple[int, ...]
EXCHANGED = {None: "forward", "backward": "forward", "forward": "backward", "ortho": "ortho"}


class Fourier(Complexes, family=True):
    """A transform over the axes `dim`, all for None, or the last ones that `s` has a length for. A subclass says which.

    Its input is cut or padded to `s` along these axes, −1 for as long as it is. `half`: has it the half along the last?
    """

    s: Sizes | None = None
    dim: Axes = None
    norm: str | None = None

    ranks = (1, 2, 3, 4)

    def __post_init__(self):
        super().__post_init__()
        if self.norm not in EXCHANGED:
            raise ValueError(f'{self}: norm is None, "backward", "forward" or "ortho"')
        if isinstance(self.dim, tuple) and self.s is not None and len(self.s) != len(self.dim):
            raise ValueError(f"{self}: s has a length for each axis in dim, or is None")

    def axes(self, x: Any) -> Sizes:
        """The axes that are transformed, none of them negative."""
        dim = self.dim
        if dim is None and self.s is not None:
            dim = tuple(range(-len(self.s), 0))
        return axes_of(self, dim, x)

    def sizes(self, x: Array, axes: Sizes) -> Sizes:
        """How many numbers are transformed along each axis."""
        return tuple(x.shape[d] if n == -1 else n for d, n in zip(axes, self.s or (-1,) * len(axes)))

    @property
    def exchanged(self) -> str:
        """The norm by which the inverse transform has the factor of this one."""
        return EXCHANGED[self.norm]

    def checked(self, x: Any) -> tuple[Sizes, Sizes]:
        """The axes, and how many numbers are transformed along each."""
        self.takes(len(shape(x)) > 0, x, "(*, S), a number or more along each axis that is transformed", NUMBER)
        axes = self.axes(x)
        sizes = self.sizes(x, axes)
        self.takes(0 not in (*sizes, *(x.shape[d] for d in axes)), x, "(*, S), none of them 0 long", NUMBER)
        return axes, sizes

    @classmethod
    def example(cls, choose, shape):
        axes = list(range(-len(shape), 0))
        first = choose(*axes)
        others = [d for d in axes if d != first]
        dim = choose(None, (first,), (first, choose(*others)) if others else (first,))
        count = len(dim) if dim else choose(1, len(shape))
        s = choose(None, tuple(choose(4, 3, 5, 2, 6) for _ in range(count)))
        return cls(s, dim, choose(*EXCHANGED))

    def sample(self, values, shape):
        return complex_numbers(values, shape)


def fitted(d: Array, like: Array, axes: Sizes) -> Array:
    """d with the lengths of `like` along these axes: what is longer is cut, what is shorter gets zeros."""
    for axis in axes:
        more = like.shape[axis] - d.shape[axis]
        if more > 0:
            d = np.pad(d, [(0, more if i == axis else 0) for i in range(d.ndim)])
        elif more < 0:
            d = d[(*(slice(None),) * axis, slice(like.shape[axis]))]
    return d


def twice(d: Array, axis: int, n: int, factor: float) -> Array:
    """d, the half of a spectrum of n numbers along an axis, times a factor where a number stands for two of the whole:
    at 0 < k < n/2."""
    d = d.copy()
    d[(*(slice(None),) * axis, slice(1, (n + 1) // 2))] *= factor
    return d


class Fftn(Fourier):
    """The Fourier transform.

    Forward   yₖ = c Σₙ xₙ e^(−2πi kn/N)  along each axis of dim, x cut or padded to N = s
    Backward  ∂yₖ/∂xₙ = c e^(−2πi kn/N), and its conjugate counts:  dxₙ = c Σₖ dyₖ e^(+2πi kn/N), the inverse transform
              of dy with the norms exchanged;  0 where x was cut off;  the real part if x is real
    Shapes    x: (*, S), y: (*, N), complex
    Errors    ValueError if x has no axes dim, or s another number of lengths
    Source    torch.fft.fftn; fft and fft2 are cases of it. Cooley, Tukey 1965, Math. Comp. 19, p. 297 computes it
    """

    calls = ("torch.fft.fftn", "torch.fft.fft", "torch.fft.fft2")

    def forward(self, params, x):
        axes, sizes = self.checked(x)
        return np.fft.fftn(x, sizes, axes, self.norm), (x, axes)

    def backward(self, params, cache, dy):
        x, axes = cache
        dx = np.fft.ifftn(dy, None, axes, self.exchanged)
        return possible(fitted(dx, x, axes), x), {}


class Ifftn(Fourier):
    """The inverse Fourier transform.

    Forward   yₙ = c Σₖ xₖ e^(+2πi kn/N)  along each axis of dim, x cut or padded to N = s
    Backward  ∂yₙ/∂xₖ = c e^(+2πi kn/N), and its conjugate counts:  dxₖ = c Σₙ dyₙ e^(−2πi kn/N), the forward transform
              of dy with the norms exchanged;  0 where x was cut off;  the real part if x is real
    Shapes    x: (*, S), y: (*, N), complex
    Errors    ValueError if x has no axes dim, or s another number of lengths
    Source    torch.fft.ifftn; ifft and ifft2 are cases of it
    """

    calls = ("torch.fft.ifftn", "torch.fft.ifft", "torch.fft.ifft2")

    def forward(self, params, x):
        axes, sizes = self.checked(x)
        return np.fft.ifftn(x, sizes, axes, self.norm), (x, axes)

    def backward(self, params, cache, dy):
        x, axes = cache
        dx = np.fft.fftn(dy, None, axes, self.exchanged)
        return possible(fitted(dx, x, axes), x), {}


class Rfftn(Fourier):
    """The half of the Fourier transform of real numbers that says all.

    Forward   yₖ = c Σₙ xₙ e^(−2πi kn/N)  for k ≤ N/2 along the last axis of dim, for all k along the others
    Backward  as of Fftn, over the k that are there:  dxₙ = Re c Σₖ dyₖ e^(+2πi kn/N) for k = 0, …, ⌊N/2⌋.
              Irfftn, which sums over all k from that half, counts 0 < k < N/2 twice:  dx = irfftn(dy/2 there, dy
              elsewhere), with the norms exchanged;  0 where x was cut off
    Shapes    x: (*, S), real, y: (*, ⌊N/2⌋ + 1), complex, with N = s
    Errors    ValueError if x is not real, has no axes dim, or s another number of lengths
    Source    torch.fft.rfftn; rfft and rfft2 are cases of it
    """

    calls = ("torch.fft.rfftn", "torch.fft.rfft", "torch.fft.rfft2")

    def forward(self, params, x):
        self.takes(not np.iscomplexobj(x), x, "(*, S)", NUMBER)
        axes, sizes = self.checked(x)
        return np.fft.rfftn(x, sizes, axes, self.norm), (x, axes, sizes)

    def backward(self, params, cache, dy):
        x, axes, sizes = cache
        once = twice(dy, axes[-1], sizes[-1], 0.5)
        return fitted(np.fft.irfftn(once, sizes, axes, self.exchanged), x, axes), {}

    def sample(self, values, shape):
        return values.real(shape)


class Irfftn(Fourier):
    """Real numbers from the half of their Fourier transform.

    Forward   yₙ = c Σₖ xₖ e^(+2πi kn/N)  along each axis of dim, along the last with x₍N₋ₖ₎ = x̄ₖ for k < N/2:
              yₙ = c (Re x₀ + Σ₀<ₖ<N/2 2 Re xₖ e^(+2πi kn/N) + (−1)ⁿ Re x_N/2), the last term for even N
    Backward  by both parts of xₖ:  dxₖ = wₖ c Σₙ dyₙ e^(−2πi kn/N), w = 2 for 0 < k < N/2, else 1:  rfftn of dy with
              the norms exchanged, doubled where a number stands for two;  0 where x was cut off
    Shapes    x: (*, ⌊N/2⌋ + 1), y: (*, N), real; N = s, or 2(S − 1) along the last axis
    Errors    ValueError if x has no axes dim, or s another number of lengths
    Source    torch.fft.irfftn; irfft and irfft2 are cases of it
    Caveat    after the other axes, the imaginary parts of x₀ and x_N/2 along the last count nothing
    """

    calls = ("torch.fft.irfftn", "torch.fft.irfft", "torch.fft.irfft2")

    @classmethod
    def example(cls, choose, shape):
        found = super().example(choose, shape)
        last = shape[found.dim[-1] if isinstance(found.dim, tuple) else -1]
        return found if found.s or last > 1 else None  # of one number alone there is no 2(S − 1)

    def sizes(self, x, axes):
        *others, last = super().sizes(x, axes)
        return (*others, last if self.s and self.s[-1] != -1 else 2 * (last - 1))

    def forward(self, params, x):
        axes, sizes = self.checked(x)
        return np.fft.irfftn(x, sizes, axes, self.norm), (x, axes, sizes)

    def backward(self, params, cache, dy):
        x, axes, sizes = cache
        dx = twice(np.fft.rfftn(dy, sizes, axes, self.exchanged), axes[-1], sizes[-1], 2)
        return possible(fitted(dx, x, axes), x), {}
