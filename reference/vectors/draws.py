"""The random numbers that a layer draws, written down: another language is to compute with the same."""

from manualbp.base import Array, Layer, run

from ..draw.trial import Trial
from ..twin.randomness import RecordingGenerator


def drawn(layer: Layer, trial: Trial, seed: int) -> dict[str, Array]:
    """The arrays that a forward pass draws, in their order, under "0", "1", …"""
    noted = RecordingGenerator(seed)
    run(layer, trial.params, trial.x, noted)
    return {str(i): a for i, a in enumerate(noted.draws)}
