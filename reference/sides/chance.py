"""Functions that draw random numbers: seeded, beside a function intended that draws the same, or compared by means."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from ..compare.bound import distance, largest
from ..draw.trial import Trial
from .accepted import without_values
from .around import pairs
from .gradients import array, as_tensor, plain
from .inputs import filled
from .run import flat
from .subject import Around, Subject

Truth = Callable[..., Any]
Held = Sequence[tuple[np.random.Generator, Mapping[str, Any]]]
DRAWS = 400
SIGMA = 7.0  # standard errors that two means may be apart: by chance once in 10¹²
NEAR = 1e-6  # relative: two functions that drew the same numbers, in whatever precision


@contextmanager
def seeded(seed: int, own: Held = ()) -> Iterator[None]:
    """With all generators set, those of NumPy, Python and torch, and others that are held; as they were afterwards."""
    before = np.random.get_state(), random.getstate()
    with torch.random.fork_rng(devices=[]):
        np.random.seed(seed)
        random.seed(seed)
        torch.manual_seed(seed)
        for rng, state in own:
            rng.bit_generator.state = state
            rng.random(101 * seed)  # elsewhere in its numbers
        try:
            yield
        finally:
            np.random.set_state(before[0])
            random.setstate(before[1])


class Seeded(Around):
    """A function that draws random numbers, the same in every call: the generators that it uses are set before it.
    Before a backward pass they are set to others: a mask that is drawn again there is not that of the forward."""

    def __init__(self, inner: Subject, own: Held = ()) -> None:
        super().__init__(inner)
        self.own, self.random = own, True

    def around(self, inner):
        return Seeded(inner, self.own)

    def forward(self, arrays):
        used = self.inner.fresh()  # an object may have a generator of its own, which is to begin anew
        with seeded(0, self.own):
            y, cache = used.forward(arrays)
        return y, (cache, used)

    def backward(self, dy, cache):
        inner, used = cache
        with seeded(1, self.own):
            return used.backward(dy, inner)

    def moved(self, cache):
        return self.inner.moved(cache[0])


def generators(*functions: Any) -> list[tuple[np.random.Generator, Mapping[str, Any]]]:
    """NumPy's generators that functions hold, in their module or around them, with their states."""
    found: dict[int, np.random.Generator] = {}
    for f in functions:
        code, around = getattr(f, "__code__", None), getattr(f, "__globals__", {})
        held = [c.cell_contents for c in getattr(f, "__closure__", None) or () if filled(c)]
        held += [around[n] for n in (code.co_names if code else ()) if n in around]
        found |= {id(g): g for g in held if isinstance(g, np.random.Generator)}
    return [(g, g.bit_generator.state) for g in found.values()]


def drawing_alike(subject: Seeded, truth: Truth, trial: Trial) -> Truth | None:
    """The function intended, seeded; None unless it draws the numbers that the subject draws."""

    def alike(*tensors: torch.Tensor) -> Any:
        with seeded(0):
            return truth(*tensors)

    y, right = _values(subject.forward(_inputs(trial))[0]), _values(without_values(alike(*_tensors(trial))))
    same = 0 < len(y) == len(right) and all(
        a.shape == b.shape and distance(a, b) <= NEAR * max(largest(b), 1e-300) for a, b in zip(y, right)
    )
    return alike if same else None


def means_apart(subject: Subject, truth: Truth, trial: Trial) -> str:
    """A sentence if the outputs, averaged over many draws, are not those of the function intended."""
    used = subject.fresh()
    with np.errstate(all="ignore"), seeded(0):
        yours = [_values(used.forward(_inputs(trial))[0]) for _ in range(DRAWS)]
        right = [_values(without_values(truth(*_tensors(trial)))) for _ in range(DRAWS)]
    if [a.shape for a in yours[0]] != [b.shape for b in right[0]]:
        shapes = [", ".join(str(a.shape) for a in ys[0]) for ys in (yours, right)]
        return f"y has the shape {shapes[0]}, and that of `against` is {shapes[1]}"
    for a, b in zip(zip(*yours), zip(*right)):
        if said := _apart(np.array(a).reshape(DRAWS, -1), np.array(b).reshape(DRAWS, -1)):
            return said
    return ""


def _apart(yours: np.ndarray, right: np.ndarray) -> str:
    """Draws of both, one a row: by their entries, and by how much of the mean of `right` there is in them."""
    if not (np.isfinite(yours).all() and np.isfinite(right).all()) or not np.ptp(yours, 0).any():
        return ""
    m = right.mean(0) + yours.mean(0)
    along = [ys @ m / max(float(m @ m), 1e-300) for ys in (yours, right)]
    for a, b in ((along[0][:, None], along[1][:, None]), (yours, right)):
        error = np.sqrt((a.var(0, ddof=1) + b.var(0, ddof=1)) / DRAWS)
        if (np.abs(a.mean(0) - b.mean(0)) > SIGMA * error + NEAR * np.abs(b.mean(0))).any():
            c = float(along[0].mean() / along[1].mean()) if along[1].mean() else np.inf
            of = f": it is about {c:.3g} times as large" if np.isfinite(c) and abs(c - 1) > 0.02 else ""
            return f"the mean of y over {DRAWS} draws is not that of `against`{of}"
    return ""


def _inputs(trial: Trial) -> dict[str, Any]:
    return {n: np.array(a) for n, a in trial.arrays.items()}


def _tensors(trial: Trial) -> list[torch.Tensor]:
    return [as_tensor(a).detach() for a in trial.arrays.values()]


def _values(y: Any) -> list[np.ndarray]:
    """The real outputs; complex ones as pairs."""
    each = [pairs(array(a)) for a in flat(plain(y)) if a is not None]
    return [a.astype(float) for a in each if a.dtype.kind == "f"]
