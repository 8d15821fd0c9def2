"""Two sides that meet complex numbers, compared as pairs of real ones: in torch's convention the gradient by a + ib is
∂L/∂a + i ∂L/∂b, so that the gradient by a pair is its pair, and bounds are those of real numbers."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from manualbp.base import Layer, run, tree_map
from manualbp.tree import leaves

from ..draw.trial import Trial
from .around import joined, pairs
from .run import Run
from .side import Side


@dataclass(frozen=True)
class InPairs(Side):
    """A side of complex numbers as one of pairs. `form`: a trial that says which of its arrays are complex."""

    inner: Side
    form: Trial

    @property
    def precisions(self) -> tuple[Any, ...]:
        return self.inner.precisions

    def run(self, trial: Trial) -> Run:
        return as_real(self.inner.run(self.of_complex(trial)))

    def may_miss_kinks(self, trial: Trial, rounds: bool) -> bool:
        return self.inner.may_miss_kinks(self.of_complex(trial), rounds)

    def noise(self, trial: Trial, rng: np.random.Generator) -> Run | None:
        found = self.inner.noise(self.of_complex(trial), rng)
        return None if found is None else as_real(found)

    def of_complex(self, trial: Trial) -> Trial:
        """The trial with complex numbers where pairs stand for them."""
        given = {n: united(getattr(trial, n), getattr(self.form, n)) for n in ("x", "params", "dy")}
        return replace(trial, **given)


class LayerOfPairs(Layer, family=True):
    """A layer of complex numbers as one of pairs. `form`: a trial that says which of its arrays are complex."""

    layer: Layer
    form: Trial

    analytic = False

    @property
    def random(self) -> bool:
        return bool(self.layer.random)

    def forward(self, params, x, rng=None):
        y, cache = run(self.layer, united(params, self.form.params), united(x, self.form.x), rng)
        return tree_map(pairs, y), cache

    def backward(self, params, cache, dy):
        given = united(params, self.form.params), cache, united(dy, self.form.dy)
        return tree_map(pairs, self.layer.backward(*given))

    def track(self, params, cache):
        return tree_map(pairs, self.layer.track(united(params, self.form.params), cache))


def in_pairs(first: Side, second: Side, trial: Trial) -> tuple[Side, Side, Trial]:
    """Both sides and their trial in real numbers: as they are where none is complex."""
    if not has_complex(trial):
        return first, second, trial
    return InPairs(first, trial), InPairs(second, trial), trial.map(lambda tree: tree_map(pairs, tree))


def has_complex(trial: Trial) -> bool:
    """Is any of its numbers complex? Where an output is, its upstream gradient is."""
    return any(np.iscomplexobj(a) for _, a in leaves((trial.x, trial.params, trial.dy)))


def as_real(run: Run) -> Run:
    return {n: None if a is None else pairs(a) for n, a in run.items()}


def united(tree: Any, form: Any) -> Any:
    """A tree with complex numbers where those of `form` are."""
    if isinstance(tree, dict):
        return {n: united(part, form[n]) for n, part in tree.items()}
    if isinstance(tree, tuple):
        return tuple(map(united, tree, form))
    return joined(tree) if np.iscomplexobj(form) else tree
