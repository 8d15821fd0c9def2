"""Losses of three vectors: an anchor is to be nearer to one than to the other. Beside torch/nn/modules/loss.py."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .base import Layer, add, unbroadcast
from .composite import Backward, Composite, Forward
from .distance import CosineSimilarity, PairwiseDistance
from .elementary import weighed
from .loss import Loss, reduce, unreduce
from .loss_margin import Hinged


class Triplet(Composite, Hinged, family=True):
    """How far the anchor is short of being nearer to the positive than to the negative by the margin.

    Forward   v = max(z, 0),   z = margin + D(a, p) − m,   m = D(a, n), or with swap min(D(a, n), D(p, n))
    Backward  dz = [z > 0] dv, and  dD(a, p) = dz,   dm = −dz;
              dm goes to the smaller of D(a, n) and D(p, n), half to each in a tie;
              a, p and n take part in two or three distances each, whose gradients add, as do those by D's parameters
    """

    if TYPE_CHECKING:  # each class has these options, in its own order
        margin: float
        swap: bool
        reduction: str

    arity = 3
    ranks = (1, 2, 3)
    inputs = "anchor positive negative"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.children()  # D's options are checked by making it
        if not self.margin > 0:
            raise ValueError(f"{self}: margin is a number above 0; it is {self.margin}")

    @np.errstate(invalid="ignore")  # ∞ − ∞ and ∞/∞ are NaN, as in torch
    def forward(self, params, x, rng=None):
        for array in (x := self.unpack(x, self.inputs)):
            self.takes(np.ndim(array) == np.ndim(x[0]), array, f"(*, D) with {np.ndim(x[0])} axes, as its anchor")
        a, p, n = (np.atleast_1d(array) for array in x)
        pairs = ((a, p), (a, n), (p, n)) if self.swap else ((a, p), (a, n))
        f = Forward(self, params, rng)
        near, far, *other = (f("distance_function", pair) for pair in pairs)
        z = self.margin + near - (np.minimum(far, other[0]) if self.swap else far)
        return reduce(np.maximum(z, 0), self.reduction, z.size), (f.caches, x, near, far, *other, z)

    @np.errstate(invalid="ignore")
    def backward(self, params, cache, dy):
        caches, x, near, far, *other, z = cache
        dz = weighed(self.above(z), unreduce(dy, z.shape, self.reduction, z.size))
        dd = (dz, -dz)
        if self.swap:
            to_far = ((far.real < other[0].real) + (far.real <= other[0].real).astype(dz.dtype)) / 2
            dd = (dz, -dz * to_far, -dz * (1 - to_far))
        dx: list[Any] = [None, None, None]
        b = Backward(self, params, caches)
        for (i, j), d, D in reversed([*zip(((0, 1), (0, 2), (1, 2)), dd, (near, far, *other))]):
            di, dj = b("distance_function", unbroadcast(d, D.shape))
            dx[i], dx[j] = add(dx[i], di), add(dx[j], dj)
        return tuple(d.reshape(a.shape) for d, a in zip(dx, x)), b.grads

    def sample(self, values, shape):
        fewer = tuple(1 if one else n for n, one in zip(shape, values.mask((len(shape),), 0.2)))
        return values.real(shape), values.real(shape), values.real(fewer)


class TripletMarginLoss(Triplet):
    """How far the anchor is short of being nearer to the positive than to the negative by the margin, in the p-norm.

    Forward   v = max(z, 0),   z = margin + D(a, p) − m,   m = D(a, n), or with swap min(D(a, n), D(p, n)),
              D(u, v) = ‖u − v + ε‖ₚ, that is PairwiseDistance
    Backward  dz = [z > 0] dv;   D(a, p) gets dz, m gets −dz, the smaller of its two distances;  then D's own backward
    Shapes    a, p, n: (*, D), equally many axes, broadcast against one another; y: () or (*)
    Errors    ValueError unless three such arrays of real numbers are given; if margin is not above 0, or p below 0
    Source    Balntas, Riba et al. 2016, BMVC (swap); torch.nn.TripletMarginLoss
    Caveat    no derivative at z = 0; torch takes dz = 0 there, until 2.13 dz = dv. Equal D(a, n) and D(p, n) get half
              each. Where u − v + ε = 0 the slope of ‖·‖ is taken as 0
    """

    margin: float = 1.0
    p: float = 2.0
    eps: float = 1e-6
    swap: bool = False
    reduction: str = "mean"

    dyadic = True
    options = {
        **Loss.options,
        "margin": (1.0, 0.5, 0.3, 4.0),
        "p": (2.0, 1.0, 3.0, 1.5, math.inf),
        "eps": (1e-6, 0.25, 0.0),
        "swap": (False, True),
    }

    def parts(self):
        return {"distance_function": PairwiseDistance(self.p, self.eps)}


class TripletMarginWithDistanceLoss(Triplet):
    """How far the anchor is short of being nearer to the positive than to the negative, by a distance of your own.

    Forward   v = max(z, 0),   z = margin + D(a, p) − m,   m = D(a, n), or with swap min(D(a, n), D(p, n))
              D = distance_function, a layer of two inputs; None is PairwiseDistance()
    Backward  dz = [z > 0] dv;   D(a, p) gets dz, m gets −dz, the smaller of its two distances;  then D's own backward,
              the gradients by its parameters added up over its uses
    Shapes    a, p, n: (*, D), equally many axes, as D takes them; y: () or the shape that D gives
    Errors    ValueError unless three such arrays of real numbers are given; if margin is not above 0; those of D
    Source    torch.nn.TripletMarginWithDistanceLoss
    Caveat    no derivative at z = 0; torch takes dz = 0 there, until 2.13 dz = dv. Equal D(a, n) and D(p, n) get half
              each
    """

    distance_function: Layer | None = None
    margin: float = 1.0
    swap: bool = False
    reduction: str = "mean"

    cancels = True
    dyadic = True

    def parts(self):
        return {"distance_function": PairwiseDistance() if self.distance_function is None else self.distance_function}

    @classmethod
    def example(cls, choose, shape):
        pairwise = PairwiseDistance(1.0, 0.25), PairwiseDistance(keepdim=True)
        distance = choose(None, *pairwise, CosineSimilarity(-1))
        margin, swap, reduction = choose(1.0, 0.5, 0.3, 4.0), choose(False, True), choose(*cls.reductions)
        return cls(distance_function=distance, margin=margin, swap=swap, reduction=reduction)
