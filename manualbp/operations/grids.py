"""Places between pixels: an image sampled where a grid says, as a spatial transformer does, and the grid of a map."""

import itertools

import numpy as np

from ..base import Array, shape
from ..upsampling import inner_slope, outer_slope, weights
from .base import Operation

TAPS = {"nearest": 1, "bilinear": 2, "bicubic": 4}  # pixels along an axis that a place is between


class GridSample(Operation):
    """An image, or a volume, at the places that a grid names.

    Forward   gₐ ∈ [−1, 1] names a place along axis a, the grid's first number the last axis:
              qₐ = ((gₐ + 1) Sₐ − 1)/2 of Sₐ pixels, with align_corners qₐ = (gₐ + 1)(Sₐ − 1)/2;
              y[n, c, p] = Σₖ Πₐ w(qₐ − kₐ) x[n, c, k]  over the pixels k around q(p), 0 beyond the ends
              bilinear: w(t) = 1 − |t|;  bicubic: the cubic kernel;  nearest: w = 1 for the pixel nearest to q;
              padding_mode border holds q between the ends, reflection turns it round there; of bicubic, each k
    Backward  dx[n, c, k] = Σₚ Πₐ w(qₐ − kₐ) dy[n, c, p]:  a pixel collects from all places that it is near to
              dqₐ = Σ_c dy Σₖ w′(qₐ − kₐ) Π_{b≠a} w(q_b − k_b) x[n, c, k],
              dgₐ = dqₐ ∂qₐ/∂gₐ:  Sₐ/2, or (Sₐ − 1)/2, times −1 where q was turned round, times 0 where it was held
    Shapes    inputs: (x, grid);  x: (N, C, *S), S of 2 or 3 axes, grid: (N, *P, 2 or 3), y: (N, C, *P)
    Errors    ValueError if shapes or dtypes differ from these, or bicubic is asked of volumes
    Source    torch.nn.functional.grid_sample; Jaderberg et al. 2015, arXiv:1506.02025, eqs. 3–7
    Caveat    at a pixel bilinear has the slope of its right side; half-way between two, nearest takes the even one
    """

    mode: str = "bilinear"
    padding_mode: str = "zeros"
    align_corners: bool = False

    arity = 2
    in_networks = False  # a grid is no image
    ranks = (4, 5)
    options = {
        "mode": ("bilinear", "nearest", "bicubic"), "padding_mode": ("zeros", "border", "reflection"),
        "align_corners": (False, True),
    }  # fmt: skip
    calls = ("torch.nn.functional.grid_sample",)

    def __post_init__(self):
        super().__post_init__()
        for name, known in (("mode", TAPS), ("padding_mode", self.options["padding_mode"])):
            if getattr(self, name) not in known:
                raise ValueError(f"{self}: {name} is one of {', '.join(known)}")
        object.__setattr__(self, "align_corners", bool(self.align_corners))

    def forward(self, params, x):
        x, grid = self.unpack(x, "input grid")
        axes = len(shape(x)) - 2
        self.takes(axes == 2 or (axes == 3 and self.mode != "bicubic"), x, "(N, C, H, W), or (N, C, D, H, W)")
        fits = shape(grid)[:1] == x.shape[:1] and shape(grid)[-1:] == (axes,) and len(shape(grid)) == axes + 2
        fits = fits and grid.dtype == x.dtype and min(x.shape[2:]) > 0
        self.takes(fits, grid, f"(N, *, {axes}) as grid, beside an input of {x.dtype} and shape {x.shape}")
        each = [self.around(grid[..., axes - 1 - a], S) for a, S in enumerate(x.shape[2:])]
        pixels = np.moveaxis(x, 1, -1)
        y = sum(w[..., None] * pixels[at] for at, w, _ in self.corners(each))
        return np.moveaxis(np.asarray(y), -1, 1), (pixels, each)

    def backward(self, params, cache, dy):
        pixels, each = cache
        dy = np.moveaxis(dy, 1, -1)
        dpixels, dq = np.zeros_like(pixels), np.zeros((*dy.shape[:-1], len(each)), dy.dtype)
        for at, w, slopes in self.corners(each):
            np.add.at(dpixels, at, w[..., None] * dy)
            dq += slopes * (dy * pixels[at]).sum(-1, keepdims=True)
        return (np.moveaxis(dpixels, -1, 1), dq[..., ::-1]), {}

    def corners(self, each):
        """(their places, Πw, ∂Πw/∂g by axis) of each of the pixels around every place."""
        n = np.arange(len(each[0][0][0])).reshape(-1, *[1] * (each[0][0].ndim - 2))
        for taps in itertools.product(range(TAPS[self.mode]), repeat=len(each)):
            k, w, slope = zip(*((k[i], w[i], slope[i]) for i, (k, w, slope) in zip(taps, each)))
            by_axis = [np.prod([*w[:a], slope[a], *w[a + 1 :]], axis=0) for a in range(len(each))]
            yield (n, *k), np.prod(w, axis=0), np.stack(by_axis, -1)

    def around(self, g: Array, S: int) -> tuple[Array, Array, Array]:
        """Along an axis of S pixels: those around each place, their w, and ∂w/∂g; w is 0 beyond the ends."""
        q, dq = ((g + 1) * (S - 1) / 2, (S - 1) / 2) if self.align_corners else (((g + 1) * S - 1) / 2, S / 2)
        if self.mode != "bicubic":
            q, turned = self.brought_in(q, S)
            dq = dq * turned
        low = np.rint(q.real) if self.mode == "nearest" else np.floor(q.real)
        w, slope = weighted(q - low, self.mode)
        k = low + np.arange(len(w)).reshape(-1, *[1] * low.ndim) - (self.mode == "bicubic")
        k = self.brought_in(k, S)[0] if self.mode == "bicubic" else k
        there = (k >= 0) & (k <= S - 1)
        return np.where(there, k, 0).astype(int), np.where(there, w, 0), np.where(there, slope * dq, 0)

    def brought_in(self, q: Array, S: int) -> tuple[Array, Array]:
        """Places brought between the ends, and what their slope is multiplied by."""
        if self.padding_mode == "zeros":
            return q, np.ones_like(q)
        turned = np.ones_like(q)
        if self.padding_mode == "reflection":
            first, last = (0, S - 1) if self.align_corners else (-0.5, S - 0.5)
            q, turned = reflected(q, first, last)
        held = (q.real <= 0) | (q.real >= S - 1)
        return np.where(q.real <= 0, 0, np.where(q.real >= S - 1, S - 1, q)), np.where(held, 0, turned)

    def sample(self, values, shape):
        places = tuple(int(n) for n in values.rng.integers(1, 5, len(shape) - 2))
        grid = values.rng.uniform(-1.5, 1.5, (shape[0], *places, len(shape) - 2))
        return values.real(shape), np.asarray(grid, np.float32).astype(float)

    @classmethod
    def example(cls, choose, shape):
        modes = cls.options["mode"] if len(shape) == 4 else ("bilinear", "nearest")
        return cls(choose(*modes), choose(*cls.options["padding_mode"]), choose(False, True))


def reflected(q: Array, first: float, last: float) -> tuple[Array, Array]:
    """Turned round at both ends until it lies between them, and ±1: 1 after an even number of turns."""
    if first == last:
        return np.full_like(q, first), np.zeros_like(q)
    sign = np.where(q.real < first, -np.ones_like(q), 1)
    off = (q - first) * sign
    turns = np.floor(off.real / (last - first))
    rest, even = off - turns * (last - first), turns % 2 == 0
    return np.where(even, first + rest, last - rest), np.where(even, sign, -sign)


def weighted(t: Array, mode: str) -> tuple[Array, Array]:
    """w of the pixels around a place that is t beyond one of them, and ∂w/∂t."""
    if mode == "nearest":
        return np.ones((1, *t.shape), t.dtype), np.zeros((1, *t.shape), t.dtype)
    slopes = [-np.ones_like(t), np.ones_like(t)]
    if mode == "bicubic":
        slopes = [outer_slope(1 + t), inner_slope(t), -inner_slope(1 - t), -outer_slope(2 - t)]
    return weights(t, mode), np.stack(slopes)


class AffineGrid(Operation):
    """The places where an affine map takes the pixels of an image, or of a volume.

    Forward   b(p) = (b₁, …, 1): the pixel's place, last axis first, each from −1 to 1 over the pixels of its axis,
              with align_corners from the middle of the first to the middle of the last;  y[n, p] = θₙ b(p)
    Backward  dθₙ = Σₚ dy[n, p] b(p)ᵀ
    Shapes    theta: (N, D, D + 1) with D = 2 or 3, y: (N, *S, D) for size = (N, C, *S)
    Errors    ValueError if theta's shape does not fit size
    Source    torch.nn.functional.affine_grid; Jaderberg et al. 2015, arXiv:1506.02025, eq. 1
    """

    size: tuple[int, ...]
    align_corners: bool = False

    in_networks = False  # its input is a map of few numbers
    ranks = (3,)
    calls = ("torch.nn.functional.affine_grid",)

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "align_corners", bool(self.align_corners))

    def forward(self, params, x):
        N, _, *S = self.size
        self.takes(shape(x) == (N, len(S), len(S) + 1) and len(S) in (2, 3), x, f"({N}, {len(S)}, {len(S) + 1})")
        along = [self.line(n, x.dtype) for n in reversed(S)]
        b = np.stack([*np.meshgrid(*along[::-1], indexing="ij")[::-1], np.ones(S, x.dtype)], -1).reshape(-1, len(S) + 1)
        return (b @ x.swapaxes(1, 2)).reshape(N, *S, len(S)), b

    def backward(self, params, cache, dy):
        b = cache
        return dy.reshape(len(dy), len(b), -1).swapaxes(1, 2) @ b, {}

    def line(self, n: int, dtype: object) -> Array:
        """The places of n pixels along an axis."""
        b = np.linspace(-1, 1, n, dtype=dtype) if n > 1 else np.zeros(n, dtype)
        return b if self.align_corners else b * ((n - 1) / n)

    @classmethod
    def example(cls, choose, shape):
        n, d = shape[:2]
        sizes = tuple(choose(2, 1, 3, 4) for _ in range(d))
        return cls((n, 2, *sizes), choose(False, True)) if shape == (n, d, d + 1) and d in (2, 3) else None
