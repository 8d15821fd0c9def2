"""The hand-written side: a layer's own forward, backward and track."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from manualbp.base import Array, Layer, Tree, flatten, options_of, run

from ..compare.bound import EPS, WIDE
from ..compare.certificate import coarse_grained, dyadic, plain
from ..compare.tensor import same
from ..draw.trial import Trial
from . import record
from .run import BUFFER, GRADIENT, OUTPUT, Run, leaves, named
from .side import Side


@dataclass(frozen=True)
class Hand(Side):
    """A layer; `seed` is of its random numbers (None: it draws none)."""

    layer: Layer
    seed: int | None = None

    precisions = (np.float32, np.float64, np.longdouble) if WIDE else (np.float32, np.float64)

    def run(self, trial: Trial) -> Run:
        with np.errstate(all="ignore"):  # what overflows is compared, not warned of
            y, cache = run(self.layer, trial.params, trial.x, self._rng())
            dx, grads = self.layer.backward(trial.params, cache, trial.dy)
            of_params = flatten(grads)
            after = {n: a for n, a in flatten(self.layer.track(trial.params, cache)).items() if n not in of_params}
        gradients = leaves(dx, "x") | of_params
        return named(OUTPUT, leaves(y, "y")) | named(GRADIENT, gradients) | named(BUFFER, after)

    def outputs(self, trial: Trial) -> Tree:
        with np.errstate(all="ignore"):
            return run(self.layer, trial.params, trial.x, self._rng())[0]

    def proves_exact(self, trial: Trial) -> bool:
        """By the certificate: the same code on numbers that know when they would be rounded. None for a layer whose
        twin may round where the code by hand does not."""
        if not all(part.dyadic or part.inside() for _, part in self.layer.walk()):
            return False
        if not all(coarse_grained(options_of(part)) for _, part in self.layer.walk()):
            return False  # put in the place of an entry, as a bound is, such a number carries no certificate
        try:
            found = self.run(trial.map(lambda tree: dyadic(tree, trial.dtype)))
        except (ArithmeticError, TypeError, AttributeError, ValueError):
            return False  # an exp, a root: no method of a dyadic number; and NumPy makes no array of a single object
        except SystemError:  # NumPy's matmul of objects goes on after the first of these, and trips over it
            return False
        told = self.run(trial)
        return all(a is None or np.array_equal(plain(a), np.asarray(told[n], dtype=float)) for n, a in found.items())

    def may_miss_kinks(self, trial: Trial, rounds: bool) -> bool:
        """Where what any layer inside it gives is rounded: a sign or a step would hide it from the output."""
        narrow, wide = (self._inside(trial.cast(dtype)) for dtype in (np.float32, np.float64))
        return rounds or not all(map(same, narrow, wide))

    def noise(self, trial: Trial, rng: np.random.Generator) -> Run | None:
        return Hand(record.noisy(self.layer, rng, EPS[trial.dtype]), self.seed).run(trial)

    def _inside(self, trial: Trial) -> list[Array]:
        """What every layer gives."""
        with np.errstate(all="ignore"):
            seen = record.inputs(self.layer, trial.params, trial.x, self.seed)
        return [a for *_, y in seen for a in leaves(y, "y").values()]

    def _rng(self) -> Any:
        return None if self.seed is None else np.random.default_rng(self.seed)


def by_hand(layer: Layer, params: Any, x: Tree, dy: Tree, seed: int | None = None) -> Run:
    """One pass of a layer on data given."""
    return Hand(layer, seed).run(Trial(x, params=params, dy=dy))
