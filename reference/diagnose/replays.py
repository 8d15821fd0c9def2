"""The catalogue's mistakes, made in a layer of which all is known, on the very numbers that failed."""

from collections.abc import Mapping

import numpy as np

from manualbp.base import Layer, registry, tree_map

from ..compare.tensor import same
from ..draw.trial import Trial
from ..faults import corrupt, faults
from ..sides.hand import Hand
from ..sides.record import walk
from ..sides.run import Run


def of_layer(layer: Layer, seed: int, trial: Trial) -> Mapping[str, Run]:
    """The arrays of a trial that every mistake which the layer, or one inside it, can have makes others, by its id."""
    found: dict[str, Run] = {}
    known, right = registry(), Hand(layer, seed).run(_fresh(trial))
    for name in dict.fromkeys(type(part).__name__ for part in walk(layer) if type(part).__name__ in known):
        for fault in faults(name).values():
            try:
                run = Hand(corrupt(layer, fault), seed).run(_fresh(trial))
            except Exception:  # a mistake may make shapes that fit nowhere
                continue
            found[fault.id] = {n: a for n, a in run.items() if not same(a, right.get(n))}
    return found


def _fresh(trial: Trial) -> Trial:
    """Copies: some mistakes write in place."""
    return trial.map(lambda tree: tree_map(np.array, tree))
