"""Somebody's forward and backward as a side: one clean call a run, on copies."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from manualbp.base import Array, Tree, tree_map

from ..compare.bound import WIDE
from ..draw.trial import Trial
from .formats import widened
from .run import BUFFER, GRADIENT, OUTPUT, VALUE, Run, leaves, named
from .side import Side
from .yours import Subject


@dataclass(frozen=True)
class Candidate(Side):
    """What is checked, brought by a `Subject` into the form forward(arrays), backward(dy, cache)."""

    subject: Subject

    @property
    def precisions(self) -> tuple[Any, ...]:
        return (np.float32, np.float64, np.longdouble) if WIDE and not self.subject.of_torch else (
            np.float32, np.float64
        )  # fmt: skip

    def run(self, trial: Trial) -> Run:
        subject = self.subject.fresh()
        arrays = trial.arrays
        y, cache = subject.forward({n: np.array(a) for n, a in arrays.items()})
        grads = subject.backward(tree_map(np.array, trial.dy), cache)
        real = {n for n, a in arrays.items() if np.asarray(a).dtype.kind == "f"}
        wanted = {n: None if grads.get(n) is None else np.asarray(grads[n]) for n in subject.names if n in real}
        kept = _kept(cache)
        more = {n if kept(n) is not None else n.removeprefix("d"): g for n, g in grads.items() if n not in arrays}
        extra = {n: np.asarray(g) for n, g in more.items() if g is not None}
        values = {n: widened(kept(n)) for n in extra if kept(n) is not None}
        outputs = leaves(tree_map(np.asarray, y), "y")
        return (
            named(OUTPUT, outputs) | named(VALUE, values) | named(GRADIENT, extra | wanted)
            | named(BUFFER, subject.moved(cache))
        )  # fmt: skip

    def outputs(self, trial: Trial) -> Tree:
        return self.subject.fresh().forward({n: np.array(a) for n, a in trial.arrays.items()})[0]


@dataclass(frozen=True)
class Numbers(Side):
    """Gradients that are numbers already, from any language, in the precision that they came in."""

    gradients: Mapping[str, Array]
    dtype: str

    @property
    def precisions(self) -> tuple[Any, ...]:
        return ()

    def run(self, trial: Trial) -> Run:
        return named(GRADIENT, {n: g.astype(self.dtype) for n, g in self.gradients.items()})


def _kept(cache: Any) -> Any:
    """Where intermediates are looked up by name: a dict that is the cache, or its first part."""
    if hasattr(cache, "get"):
        return cache.get
    return cache[0].get if isinstance(cache, tuple) and cache and isinstance(cache[0], dict) else lambda name: None
