"""The random numbers that a layer draws, written down: another language is to compute with the same."""

from typing import Any

import numpy as np

from manualbp.base import Array, Layer, run

from ..draw.trial import Trial


class Recorder(np.random.Generator):
    """A generator that keeps what was drawn from it."""

    def __init__(self, seed: int) -> None:
        super().__init__(np.random.PCG64(seed))
        self.drawn: list[Array] = []

    def random(self, *args: Any, **options: Any) -> Any:
        return self._kept(super().random(*args, **options))

    def uniform(self, *args: Any, **options: Any) -> Any:
        return self._kept(super().uniform(*args, **options))

    def _kept(self, a: Any) -> Any:
        self.drawn.append(np.asarray(a))
        return a


def drawn(layer: Layer, trial: Trial, seed: int) -> dict[str, Array]:
    """The arrays that a forward pass draws, in their order, under "0", "1", …"""
    recorder = Recorder(seed)
    run(layer, trial.params, trial.x, recorder)
    return {str(i): a for i, a in enumerate(recorder.drawn)}
