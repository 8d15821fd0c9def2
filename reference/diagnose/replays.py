"""The catalogue's mistakes, made in a layer of which all is known, on the very numbers that failed."""

from collections.abc import Mapping

import numpy as np

from manualbp.base import Layer, registry, tree_map

from ..draw.trial import Trial
from ..faults import corrupt, faults
from ..sides.hand import Hand
from ..sides.record import walk
from ..sides.run import Run


def of_layer(layer: Layer, seed: int, trial: Trial) -> Mapping[str, Run]:
    """What every mistake that the layer, or one inside it, can have makes of a trial, by the mistake's id."""
    found: dict[str, Run] = {}
    known = registry()
    for name in dict.fromkeys(type(part).__name__ for part in walk(layer) if type(part).__name__ in known):
        for fault in faults(name).values():
            fresh = trial.map(lambda tree: tree_map(np.array, tree))  # some write in place
            try:
                found[fault.id] = Hand(corrupt(layer, fault), seed).run(fresh)
            except Exception:  # a mistake may make shapes that fit nowhere
                continue
    return found
