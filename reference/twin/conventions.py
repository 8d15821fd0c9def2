"""Where versions of torch differ: another convention at a kink, or a class or an option that older ones have not.

By hand stands what the newest torch does. A torch that is older is no less right: beside it, `as_in(layer)` is the
same network with its convention, `at_stake(case)` says which conventions a case depends on, and what differs from
torch only by these is no mistake.

    convention              since   until then            from then on
    clamp at its bounds     2.14    slope 1               slope 0, the subgradient of least norm

    class or option                           since
    LinearCrossEntropyLoss                    2.13
    bias of batch, group and instance norm    2.12
    maximize of LBFGS                         2.14
"""

import functools
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from manualbp.base import Array, Layer, options_of
from manualbp.optim import Optimizer

from ..draw.case import Case
from ..sides.hand import by_hand


@dataclass(frozen=True)
class Convention:
    """A choice that torch has changed.

    since         the first version that makes today's choice
    before, now   the two choices, in words
    source        where torch made it
    classes       the layers that it moves
    older         a class whose methods, before those of the layer, make the older choice by hand
    """

    name: str
    since: str
    before: str
    now: str
    source: str
    classes: tuple[str, ...]
    older: type

    def holds(self, version: str) -> bool:
        """Does torch of this version make today's choice?"""
        return release(version) >= release(self.since)

    def __str__(self) -> str:
        return f"{self.name}: {self.now} since torch {self.since} ({self.source}), before that {self.before}"

    def inside(self, layer: Layer) -> bool:
        """Does it move this network?"""
        return any(_moves(self, type(part)) for _, part in layer.walk())


class SlopesAtBounds:
    def above(self, z: Array) -> Array:
        """Of a loss with a hinge."""
        return z.real >= 0

    def shares(self, x: Any, lower: Any, upper: Any) -> tuple[Array, ...]:
        """Of Clamp."""
        below, above = np.less(x, lower), np.greater(x, upper)
        return ~(below | above), below & np.less(lower, upper), above | np.less(upper, lower)


CLAMP = Convention(
    name="clamp at its bounds",
    since="2.14",
    before="slope 1 at a bound",
    now="slope 0 at a bound, the subgradient of least norm",
    source="pytorch/pytorch issue 184572, pull request 191142",
    classes=(
        "Clamp", "CosineEmbeddingLoss", "HingeEmbeddingLoss", "MarginRankingLoss", "TripletMarginLoss",
        "TripletMarginWithDistanceLoss",
    ),
    older=SlopesAtBounds,
)  # fmt: skip
CONVENTIONS = (CLAMP,)

# What came later, with the version that brought it.
CLASSES_SINCE = {"LinearCrossEntropyLoss": "2.13", "Muon": "2.9"}
WITH_BIAS = ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm", "GroupNorm", "InstanceNorm1d",
             "InstanceNorm2d", "InstanceNorm3d")  # fmt: skip
OPTIONS_SINCE = {("LBFGS", "maximize"): "2.14", ("Adam", "decoupled_weight_decay"): "2.7"} | {
    (name, "bias"): "2.12" for name in WITH_BIAS
}


def differing(version: str = torch.__version__) -> tuple[Convention, ...]:
    """The conventions that torch of this version has otherwise than by hand."""
    return tuple(c for c in CONVENTIONS if not c.holds(version))


def as_in(layer: Layer, version: str = torch.__version__, of: tuple[Convention, ...] | None = None) -> Layer:
    """The same network, by hand, with the conventions of this version of torch (of those alone, if some are given)."""
    for convention in differing(version) if of is None else of:
        layer = _with(convention, layer) if convention.inside(layer) else layer
    return layer


def at_stake(case: Case, version: str = torch.__version__) -> tuple[Convention, ...]:
    """The conventions that this case depends on, of those that torch of this version has otherwise: its gradients by
    hand are others with it. Where there are none, a difference from torch is none of convention."""
    differ = [c for c in differing(version) if c.inside(case.layer)]
    return tuple(c for c in differ if not _same(case, as_in(case.layer, version, (c,))))


def known_options(value: Layer | Optimizer, version: str = torch.__version__) -> dict[str, Any]:
    """The options of a layer or optimizer without those, at their defaults, that torch of this version has not yet."""
    options = value.plain_options() if isinstance(value, Optimizer) else options_of(value)
    later = _later(type(value).__name__, version)
    return {n: v for n, v in options.items() if n not in later or v != getattr(type(value), n)}


def has(value: Layer | Optimizer, version: str = torch.__version__) -> bool:
    """Does torch of this version have all classes and options that a network is made of, or an optimizer?"""
    parts = [minimising(value, version)] if isinstance(value, Optimizer) else [part for _, part in value.walk()]
    return all(
        here(type(part).__name__, version)
        and all(getattr(part, n) == getattr(type(part), n) for n in _later(type(part).__name__, version))
        for part in parts
    )


def here(name: str, version: str = torch.__version__) -> bool:
    """Does torch of this version have the class, if torch has it at all?"""
    return release(version) >= release(CLASSES_SINCE.get(name, "0.0"))


def _later(name: str, version: str) -> set[str]:
    """The options of the class that came after this version."""
    return {n for (of, n), since in OPTIONS_SINCE.items() if of == name and release(version) < release(since)}


def minimising(opt: Optimizer, version: str = torch.__version__) -> Optimizer:
    """What maximises −f where torch of this version can only minimise f, which is the same."""
    since = OPTIONS_SINCE.get((type(opt).__name__, "maximize"))
    return opt if since is None or release(version) >= release(since) else opt.replace(maximize=False)


def _with(convention: Convention, layer: Layer) -> Layer:
    other = layer.map(functools.partial(_with, convention))
    if _moves(convention, type(layer)):
        object.__setattr__(other, "__class__", _older(convention, type(layer)))
    return other


@functools.cache
def _moves(convention: Convention, cls: type) -> bool:
    return bool({c.__name__ for c in cls.__mro__} & {*convention.classes})


@functools.cache
def _older(convention: Convention, cls: type) -> type:
    """The class with the older choice, under the same name."""
    return type(cls.__name__, (convention.older, cls), {"__doc__": cls.__doc__})


def _same(case: Case, layer: Layer) -> bool:
    params, x, dy = case.data()
    one, other = (by_hand(each, params, x, dy, case.seed) for each in (case.layer, layer))
    return all(np.array_equal(*map(np.asarray, (one[n], other[n])), equal_nan=True) for n in one if one[n] is not None)


def release(version: str) -> tuple[int, ...]:
    """(2, 14, 1) of "2.14.1+cpu"."""
    return tuple(map(int, re.findall(r"\d+", version.partition("+")[0])))
