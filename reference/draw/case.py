"""A case: everything that one comparison depends on, as a value whose text rebuilds it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from manualbp.base import Array, Layer, Params, Tree, as_call, run, tree_map
from manualbp.optim.base import Optimizer
from manualbp.sampling import Values

from .trial import Trial, cast


@dataclass(frozen=True, repr=False)
class Case:
    """A layer (a whole network and its loss are one), the shape of its first input, and a seed for every number.

    exact      small integers and dyadic fractions, to be compared with ==
    dtype      "float64" or "float32"
    scale      standard deviation of the real numbers drawn
    optimizer  whose updates are compared too
    """

    layer: Layer
    shape: tuple[int, ...]
    seed: int = 0
    exact: bool = False
    dtype: str = "float64"
    scale: float = 1.0
    optimizer: Optimizer | None = None

    def trial(self, running: Layer | None = None) -> Trial:
        """Parameters, inputs and an upstream gradient, all random: never zeros or ones alone. `running`: the same
        layer, made to note what is given to what is inside it."""
        rng = np.random.default_rng(self.seed)
        values = Values(rng, self.exact, self.scale)
        # What float32 is given, float64 is given too: so a difference is arithmetic, not data.
        params, x = (
            cast(tree, self.dtype) for tree in (self.layer.sample_params(values), self.layer.sample(values, self.shape))
        )
        with np.errstate(all="ignore"):
            y, _ = run(running or self.layer, params, x, np.random.default_rng(self.seed))
        dy = tree_map(partial(upstream, Values(rng, self.exact).real), y)
        return Trial(x, integers=self.exact, seed=self.seed, params=params, dy=cast(dy, self.dtype))

    def data(self) -> tuple[Params, Tree, Tree]:
        """The numbers of its trial: parameters, inputs, upstream gradient."""
        trial = self.trial()
        return trial.params, trial.x, trial.dy

    def __repr__(self) -> str:
        return as_call(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))


def upstream(draw: Callable[[tuple[int, ...]], Array], y: Any) -> Array | None:
    """A random upstream gradient for an output, complex where that is; None where it has none."""
    kind = np.asarray(y).dtype.kind
    return draw(np.shape(y)) if kind == "f" else draw(np.shape(y)) + 1j * draw(np.shape(y)) if kind == "c" else None
