"""One trial where differences of the own forward decide, and one where there may be no slope at all."""

from dataclasses import replace

import numpy as np

from manualbp.base import Array

from .compare.comparison import Comparison, overflown, precisions
from .compare.differences import by_differences, by_sides, own_rounding
from .compare.tensor import different, exactly
from .draw.trial import Trial
from .sides.run import GRADIENT, OUTPUT, Run, named, of_role
from .sides.side import Side
from .sides.yours import Subject


def by_itself(hand: Side, subject: Subject, trial: Trial) -> tuple[Trial, Comparison]:
    """No function to compare with: the differences of the own forward decide."""
    if trial.integers:
        found = on_kinks(hand, None, trial)
        return trial, found if found.wrong else _beside_kinks(subject, trial, found)
    trial = trial.cast("float64")  # float32 is too coarse for differences
    yours = hand.run(trial)
    rounding = {} if trial.large else own_rounding(precisions(hand, trial, yours))
    tensors, right = by_differences(subject, trial, _real_gradients(trial, yours), rounding)
    outputs = [exactly(n, a, a) for n, a in yours.items() if n.role == OUTPUT and a is not None]
    tensors = overflown([*outputs, *tensors])[len(outputs) :]
    return trial, Comparison(tensors, dtype="float64", runs=(yours, yours | named(GRADIENT, right)))


def _real_gradients(trial: Trial, run: Run) -> dict[str, Array | None]:
    real = {n for n, a in trial.arrays.items() if np.asarray(a).dtype.kind == "f"}
    return {n.path: g for n, g in run.items() if n.role == GRADIENT and n.path in real}


def _beside_kinks(subject: Subject, trial: Trial, found: Comparison) -> Comparison:
    """A gradient on small integers is to lie between the slopes of the own forward on both sides."""
    with np.errstate(all="ignore"):
        off = by_sides(subject, trial, _real_gradients(trial, found.runs[0]))
    return replace(found, tensors=off) if off else found


def on_kinks(hand: Side, torch: Side | None, trial: Trial) -> Comparison:
    """Where there may be no slope, a gradient must be a number all the same wherever the output is one, and torch's."""
    with np.errstate(all="ignore"):
        yours = hand.run(trial)
        right = torch.run(trial) if torch is not None else {}
    finite = all(np.isfinite(np.asarray(a)).all() for a in of_role(yours, OUTPUT).values())
    lost = [(n, g) for n, g in yours.items() if n.role == GRADIENT and g is not None and np.isnan(g).any()]
    lost = [(n, g) for n, g in lost if (a := right.get(n)) is None or np.isfinite(a).all()]
    tensors = tuple(different(n, g, right.get(n), "NaN where the output is finite") for n, g in lost if finite)
    return Comparison(tensors, dtype=trial.dtype, runs=(yours, right or yours))
