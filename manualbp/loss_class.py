"""Losses of classification: yes or no for every entry, or one of C classes. Beside torch/nn/modules/loss.py."""

import math
from typing import Any

import numpy as np

from .base import INTEGER, REAL, Array, Layer, describe, shape
from .composite import Backward, Composite, Forward
from .elementary import log_softmax, sigmoid, softplus
from .linear import Linear
from .loss import Loss, cycle, is_real, reduce, unreduce

EPS = float(np.float32(1e-12))  # torch's constant, which it keeps in single precision
WEIGHTS = (0.5, 2.0, 1.0, 0.25), (0.3, 1.7, 2.2)


def weights(w: Any, x: Array) -> Any:
    """Class weights as an array of x's dtype; 1 where there are none."""
    return 1 if w is None else np.asarray(w, x.dtype)


class YesNo(Loss, family=True):
    """A loss of one answer p = P(yes) an entry, given as it is or as a logit, against the target t in [0, 1], which is
    v = −w (t log p + (1 − t) log(1 − p))."""

    weight: float | tuple | None = None
    reduction: str = "mean"

    def fits(self, x, t):
        self.takes(shape(t) == x.shape, t, f"{x.shape}, as its input is", REAL + INTEGER)
        for name in ("weight", "pos_weight"):
            w = np.ones(np.shape(getattr(self, name, None) or 1))
            try:
                np.broadcast_to(w, x.shape)
            except ValueError:
                raise ValueError(f"{self}: {name}, {describe(w)}, does not broadcast to {describe(x)}") from None

    @classmethod
    def example(cls, choose, shape):
        of_weight = (None, *(cycle(numbers, shape[-1:]) for numbers in WEIGHTS), cycle(WEIGHTS[1], shape))
        of_weight = of_weight if shape else (None,)
        names = [name for name in ("weight", "pos_weight") if name in cls.__dataclass_fields__]
        return cls(reduction=choose(*cls.reductions), **{name: choose(*of_weight) for name in names})

    def sample(self, values, shape):
        return values.real(shape), values.unit(shape)


class BCELoss(YesNo):
    """−log of the probability of t, where p = x is the probability of 1.

    Forward   v = −w (t log x + (1 − t) log(1 − x)),  each logarithm at least −100, so that v is finite
    Backward  ∂v/∂x = −w (t/x − (1 − t)/(1 − x)) = w (x − t) / (x(1 − x))
              ∂v/∂t = w (log(1 − x) − log x)
    Shapes    x, t: (*); y: () or (*); weight broadcasts to (*)
    Errors    ValueError unless two arrays of real numbers of one shape are given; if an x is not in [0, 1]; if weight
              does not broadcast to x
    Source    torch.nn.BCELoss
    Caveat    torch bounds the logarithms in v only: ∂v/∂x has max(x(1 − x), 10⁻¹²) as its denominator, and ∂v/∂t is
              infinite at x = 0 and 1
    """

    after = "Sequential(Hardtanh(-25.0, 25.0), Sigmoid())"  # beyond, torch and this hold logarithms and slopes

    def fits(self, x, t):
        super().fits(x, t)
        if (outside := ~((x.real >= 0) & (x.real <= 1))).any():
            i = tuple(map(int, np.argwhere(outside)[0]))
            raise ValueError(f"{self} takes probabilities, numbers in [0, 1]; its input{list(i) or ''} is {x[i]}")

    def value(self, x, t):
        with np.errstate(divide="ignore"):  # log 0
            no, yes = np.maximum(np.log1p(-x), -100), np.maximum(np.log(x), -100)
        return weights(self.weight, x) * ((t - 1) * no - t * yes)

    def slopes(self, x, t):
        w = weights(self.weight, x)
        with np.errstate(divide="ignore"):  # log 0
            return w * (x - t) / np.maximum((1 - x) * x, EPS), w * (np.log1p(-x) - np.log(x))

    def derives(self, x):
        return bool((x[0] * (1 - x[0]) > EPS).all())

    def sample(self, values, shape):
        return values.unit(shape), values.unit(shape)


class BCEWithLogitsLoss(YesNo):
    """−log of the probability of t, where p = σ(x) is the probability of 1, and where t = 1 counts pos_weight times.

    Forward   with  ς(x) = log(1 + eˣ):   log σ(x) = −ς(−x),   log(1 − σ(x)) = −ς(x),   so
              v = w (b t ς(−x) + (1 − t) ς(x)),   b = pos_weight;  both terms are ≥ 0, so nothing cancels
    Backward  ς′(x) = σ(x), so  ∂v/∂x = w ((1 − t) σ(x) − b t σ(−x))
              ∂v/∂t = w (b ς(−x) − ς(x)),   which without b is −w x
    Shapes    x, t: (*); y: () or (*); weight and pos_weight broadcast to (*)
    Errors    ValueError unless two arrays of real numbers of one shape are given; if a weight does not broadcast to x
    Source    torch.nn.BCEWithLogitsLoss
    """

    pos_weight: float | tuple | None = None

    def value(self, x, t):
        return weights(self.weight, x) * logistic(x, t, weights(self.pos_weight, x))

    def slopes(self, x, t):
        w, b = weights(self.weight, x), weights(self.pos_weight, x)
        dt = -x if self.pos_weight is None else b * softplus(-x) - softplus(x)
        return w * ((1 - t) * sigmoid(x) - b * t * sigmoid(-x)), w * dt


def logistic(x: Array, t: Array, b: Any = 1) -> Array:
    """b t ς(−x) + (1 − t) ς(x)."""
    return b * t * softplus(-x) + (1 - t) * softplus(x)


class MultiLabelSoftMarginLoss(Loss):
    """The mean over C classes of −log of the probability of tᵢ, where σ(xᵢ) is the probability of 1.

    Forward   v = 1/C Σᵢ wᵢ (tᵢ ς(−xᵢ) + (1 − tᵢ) ς(xᵢ)),   ς(x) = log(1 + eˣ):   BCEWithLogitsLoss, a value a row
    Backward  ∂v/∂xᵢ = wᵢ/C ((1 − tᵢ) σ(xᵢ) − tᵢ σ(−xᵢ)),   ∂v/∂tᵢ = −wᵢ xᵢ/C
    Shapes    x, t: (*, C), broadcast against one another and against weight; y: () or (*)
    Errors    ValueError unless two arrays of real numbers are given that broadcast, or if x is a single number
    Source    torch.nn.MultiLabelSoftMarginLoss
    """

    weight: float | tuple | None = None
    reduction: str = "mean"

    ranks = (1, 2, 3, 4)
    cancels = True  # torch takes −x, the gradient by t, as a difference of two logarithms

    def fits(self, x, t):
        self.takes(x.shape[-1:] > (0,), x, "(*, C)")
        super().fits(x, t, np.zeros(np.shape(self.weight or 0.0)))

    def spread(self, dv, x):
        return np.expand_dims(dv, x.ndim - 1)

    def value(self, x, t):
        return (weights(self.weight, x) * logistic(x, t)).sum(x.ndim - 1) / x.shape[-1]

    def slopes(self, x, t):
        w = weights(self.weight, x) / x.shape[-1]
        return w * ((1 - t) * sigmoid(x) - t * sigmoid(-x)), w * (np.zeros_like(t) - x)

    @classmethod
    def example(cls, choose, shape):
        of_weight = (None, *(cycle(numbers, shape[-1:]) for numbers in WEIGHTS))
        return cls(weight=choose(*of_weight), reduction=choose(*cls.reductions))

    def sample(self, values, shape):
        return values.real(shape), values.unit(shape)


def check_classes(layer: Layer, t: Array, classes: int, besides: int | None) -> None:
    """Raise a ValueError, with the place, if a target is no class and not the number allowed besides."""
    bad = ((t < 0) | (t >= classes)) & (True if besides is None else t != besides)
    if bad.any():
        i = tuple(map(int, np.argwhere(bad)[0]))
        or_that = "" if besides is None else f", or {besides}"
        raise ValueError(f"{layer}: target{list(i) or ''} is {t[i]}, but its classes are 0 to {classes - 1}{or_that}")


class OneOfC(Loss, family=True):
    """A loss of the logarithms ℓ of the probabilities of C classes against a target, which is turned into masses q.

    Forward   with s the label smoothing, for a class k
              q_c = w_k (1 − s) [c = k] + w_c s/C,   n = Σ w_k;    q = 0 and no part in n if k = ignore_index
              and for probabilities t
              q_c = w_c ((1 − s) t_c + s/C),         n = the number of targets                                   (1)
              v = −Σ_c q_c ℓ_c, with 0 · ∞ = 0;  y = Σv/n, Σv or v                                               (2)
    Backward  dt_c = ∂q_c/∂t_c · (−ℓ_c) dv = −w_c (1 − s) ℓ_c dv                                                 (3)

    A subclass gives ℓ and, in `slope`, dx of ℓ, q and dv.
    """

    weight: tuple[float, ...] | None = None
    ignore_index: int = -100
    reduction: str = "mean"

    ranks = (1, 2, 3, 4)
    smoothing = 0.0

    def logs(self, x: Array, axis: int) -> Array:
        raise NotImplementedError

    def slope(self, logs: Array, q: Array, dv: Array, axis: int) -> Array:
        raise NotImplementedError

    def forward(self, params, x):
        x, t = self.unpack(x, "input target")
        self.takes(shape(x)[:2][-1:] > (0,), x, "(C,) or (N, C, *)")
        axis = min(x.ndim - 1, 1)
        self.fits(x, t)
        q, n = self.masses(x, t, axis)  # (1)
        logs = self.logs(x, axis)
        v = -(q * np.where(q == 0, 0, logs)).sum(axis)  # (2)
        return reduce(v, self.reduction, n), (logs, q, n, axis, t)

    def backward(self, params, cache, dy):
        logs, q, n, axis, t = cache
        v_shape = q.shape[:axis] + q.shape[axis + 1 :]
        dv = np.asarray(unreduce(dy, v_shape, self.reduction, n)).reshape(_kept(v_shape, axis))
        dt = -self.along(logs, axis) * (1 - self.smoothing) * logs * dv if is_real(t) else None  # (3)
        return (self.slope(logs, q, dv, axis), dt), {}

    def along(self, x: Array, axis: int) -> Array:
        """The class weights, broadcast beside x."""
        w = np.ones(x.shape[axis], x.dtype) if self.weight is None else np.asarray(self.weight, x.dtype)
        return w.reshape(-1, *(1,) * (x.ndim - 1 - axis))

    def masses(self, x: Array, t: Array, axis: int) -> tuple[Array, Any]:
        """q and n."""
        w, s, classes = self.along(x, axis), self.smoothing, x.shape[axis]
        if is_real(t):
            return w * ((1 - s) * t + s / classes), t.size // classes
        k = t.reshape(_kept(t.shape, axis))
        kept = k != self.ignore_index
        w_k = w * (kept & (np.arange(classes).reshape(w.shape) == k))  # w_k [c = k]
        return (1 - s) * w_k + s / classes * w * kept if s else w_k, w_k.sum()

    def fits(self, x, t):
        axis = min(x.ndim - 1, 1)
        classes, places = x.shape[axis], x.shape[:axis] + x.shape[axis + 1 :]
        if self.weight is not None and np.shape(self.weight) != (classes,):
            raise ValueError(f"{self} has weights of shape {np.shape(self.weight)} for {classes} classes")
        if shape(t) == x.shape and is_real(t):
            self.takes_probabilities(t)
        elif shape(t) != places or not hasattr(t, "dtype") or t.dtype.char not in INTEGER:
            raise ValueError(f"{self} takes {self.targets(x.shape, places)}; it got {describe(t)}")
        else:
            check_classes(self, t, classes, self.ignore_index)

    def targets(self, whole: tuple[int, ...], places: tuple[int, ...]) -> str:
        """What it takes as target, in words."""
        return f"class indices of shape {places} as target of an input of shape {whole}"

    def takes_probabilities(self, t: Array) -> None:
        """Raise a ValueError if probabilities are no target for this loss."""
        raise ValueError(f"{self} takes class indices, integers, as target; it got {describe(t)}")

    @classmethod
    def example(cls, choose, shape):
        classes = shape[min(len(shape) - 1, 1)]
        facts: dict[str, Any] = {"weight": choose(None, *(cycle(numbers, (classes,)) for numbers in WEIGHTS))}
        facts["ignore_index"] = choose(-100, -1, *[classes - 1] * (classes > 1))
        if "label_smoothing" in cls.__dataclass_fields__:
            facts["label_smoothing"] = choose(0.0, 0.25, 0.3)
        return cls(reduction=choose(*cls.reductions), **facts)

    def sample(self, values, shape):
        axis = min(len(shape) - 1, 1)
        classes, places = shape[axis], shape[:axis] + shape[axis + 1 :]
        t = values.integers(0, classes, places)
        ignored = values.mask(places, 0.2)
        ignored.reshape(-1)[:1] = False  # one target counts at least, or the mean is that of nothing
        t = np.where(~ignored & (t == self.ignore_index), 0, t)
        return values.real(shape), np.where(ignored, self.ignore_index, t)


def _kept(v_shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    """A shape without the classes, with their axis 1 long."""
    return (*v_shape[:axis], 1, *v_shape[axis:])


class NLLLoss(OneOfC):
    """−x at the class that the target names: where x = log p, that class's −log p, for one target or many.

    Forward   v = −w_k x_k,  k = t the class; 0 where t = ignore_index.
              "mean": y = Σv/n,  n = Σ w_k over the targets that count
    Backward  v = −Σ_c q_c x_c  with the mass  q_c = w_k [c = k], so  ∂v/∂x_c = −q_c
    Shapes    x: (C,) with t: (), or x: (N, C, *) with t: (N, *), integers; y: () or t's shape; weight: (C,)
    Errors    ValueError, with the place, if a target is neither a class nor ignore_index; if shapes do not fit
    Source    torch.nn.NLLLoss
    Caveat    where no target counts the "mean" is NaN and dx is 0; if weights of 0 make n = 0, torch's dx is NaN
    """

    dyadic = True

    def logs(self, x, axis):
        return x

    def slope(self, logs, q, dv, axis):
        return -q * dv


class CrossEntropyLoss(OneOfC):
    """−log of the probability, by softmax, of the class that the target names; or the target is a distribution.

    Forward   p = softmax x,   ℓ_c = log p_c = x_c − log Σⱼ eˣʲ,    v = −Σ_c q_c ℓ_c,    with s = label_smoothing
              t a class k:        q_c = w_k (1 − s) [c = k] + w_c s/C;   q = 0 where k = ignore_index
              t probabilities:    q_c = w_c ((1 − s) t_c + s/C)
              "mean": y = Σv/n,   n = Σ w_k over the targets that count, for probabilities their number
    Backward  ∂ℓ_j/∂x_c = δ_jc − p_c, so with Q = Σ_c q_c
              ∂v/∂x_c = p_c Q − q_c,                     softmax − target for a target whose masses sum to 1
                      = p_c (Q − q_c) + q_c (p_c − 1),   where p_c − 1 = expm1 ℓ_c keeps its digits near p_c = 1
              ∂v/∂t_c = −w_c (1 − s) ℓ_c  for probabilities
    Shapes    x: (C,) or (N, C, *);  t: integers () or (N, *), or probabilities of x's shape;  y: () or x's shape
              without C;  weight: (C,)
    Errors    ValueError, with the place, if a target is neither a class nor ignore_index; if shapes do not fit; if
              ignore_index ≥ 0 is given with probabilities; unless 0 ≤ label_smoothing ≤ 1
    Source    Szegedy et al. 2015, arXiv:1512.00567, sect. 7 (smoothing); torch.nn.CrossEntropyLoss
    Caveat    where no target counts the "mean" is NaN and dx is 0; if weights of 0 make n = 0, torch's dx is NaN
    """

    label_smoothing: float = 0.0

    cancels = True  # where p is near 1, torch takes ℓ and p − 1 as differences; here neither is one

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.label_smoothing <= 1:
            raise ValueError(f"{self}: label_smoothing is a number from 0 to 1; it is {self.label_smoothing}")

    @property
    def smoothing(self) -> float:
        return self.label_smoothing

    def logs(self, x, axis):
        return log_softmax(x, axis)

    def slope(self, logs, q, dv, axis):
        p, p_less_1, Q = np.exp(logs), np.expm1(logs), q.sum(axis, keepdims=True)
        return (p * (Q - q) + q * p_less_1) * dv

    def targets(self, whole, places):
        return f"{super().targets(whole, places)}, or probabilities of shape {whole}"

    def takes_probabilities(self, t):
        if self.ignore_index >= 0:
            raise ValueError(f"{self} can ignore a class index, not probabilities; it got {describe(t)}")

    def sample(self, values, shape):
        x, t = super().sample(values, shape)
        soft = self.ignore_index < 0 and values.rng.random() < 0.3
        return (x, values.simplex(shape, min(len(shape) - 1, 1))) if soft else (x, t)


class LinearCrossEntropyLoss(Composite, Loss):
    """CrossEntropyLoss of what a Linear makes of x.

    Forward   z = xWᵀ + b, taken as (N, num_classes, *out_features);   y = CrossEntropyLoss(z, t)
    Backward  the chain rule: dz and dt from CrossEntropyLoss;  dx, dW, db from Linear
    Shapes    x: (in_features,) or (N, in_features);  t: integers () or (N, *out_features), or probabilities of z's
              shape;  y: () or z's shape without the classes;  weight: (num_classes,);
              linear.weight: (num_classes · Πout_features, in_features), linear.bias: (num_classes · Πout_features,)
    Errors    ValueError if shapes do not fit; if ignore_index is given with probabilities, or out_features without N
    Source    torch.nn.LinearCrossEntropyLoss. Its option `options` divides the work and changes no number: it is not
              here. ignore_index None is −100
    """

    in_features: int
    num_classes: int
    out_features: tuple[int, ...] = ()
    bias: bool = False
    reduction: str = "mean"
    weight: tuple[float, ...] | None = None
    ignore_index: int | None = None
    label_smoothing: float = 0.0

    cancels = True
    ranks = (1, 2)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.children()  # their options are checked by making them

    def parts(self):
        ignored = -100 if self.ignore_index is None else self.ignore_index
        return {
            "linear": Linear(self.in_features, self.num_classes * math.prod(self.out_features), self.bias),
            "cross_entropy": CrossEntropyLoss(self.weight, ignored, self.reduction, self.label_smoothing),
        }

    def forward(self, params, x):
        x, t = self.unpack(x, "input target")
        batched = len(shape(x)) == 2 or not self.out_features
        self.takes(batched and shape(x)[1:] in ((), shape(x)[-1:]), x, "(in_features,) or (N, in_features)")
        f = Forward(self, params)
        z = f("linear", x).reshape(*x.shape[:-1], self.num_classes, *self.out_features)
        if self.ignore_index is not None and shape(t) == z.shape:
            raise ValueError(f"{self} can ignore a class index, not probabilities; it got {describe(t)}")
        return f("cross_entropy", (z, t)), (f.caches, x.shape[:-1])

    def backward(self, params, cache, dy):
        caches, batch = cache
        b = Backward(self, params, caches)
        dz, dt = b("cross_entropy", dy)
        dx = b("linear", dz.reshape(*batch, self.num_classes * math.prod(self.out_features)))
        return (dx, dt), b.grads

    @classmethod
    def example(cls, choose, shape):
        classes, out = choose(3, 1, 2, 4), choose((), (2,), (2, 3)) if len(shape) == 2 else ()
        weight = choose(None, *(cycle(numbers, (classes,)) for numbers in WEIGHTS))
        facts = {"bias": choose(False, True), "reduction": choose(*cls.reductions), "weight": weight}
        facts["ignore_index"] = choose(None, *[classes - 1] * (classes > 1))
        return cls(shape[-1], classes, out, label_smoothing=choose(0.0, 0.25, 0.3), **facts)

    def sample(self, values, shape):
        places = (*shape[:-1], self.num_classes, *self.out_features)
        return values.real(shape), self.children()["cross_entropy"].sample(values, places)[1]
