"""Functions that draw random numbers: seeded, beside a function intended that draws the same, or by many draws."""

import contextlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from manualbp.base import tree_map

from ..compare.bound import distance, largest
from ..compare.tensor import near
from ..draw.trial import Trial
from .accepted import without_values
from .around import pairs
from .formats import UNIT
from .gradients import array, as_tensor, plain
from .inputs import filled
from .run import flat
from .subject import Around, Subject

Truth = Callable[..., Any]
Held = Sequence[tuple[np.random.Generator, Mapping[str, Any]]]
DRAWS = 1600
REORDERED = 16.0  # last places that two equal calls may be apart
SIGMA = 7.0  # standard errors that two means may be apart: by chance once in 10¹²
SPREAD = (28.3 / DRAWS) ** 0.5  # that two distributions may be apart (Kolmogorov and Smirnov): as seldom
NEAR = 1e-6  # relative: two functions that drew the same numbers, in whatever precision


@contextlib.contextmanager
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


class Anew(Around):
    """A function that keeps something from call to call: every forward begins with it as it was given."""

    def around(self, inner):
        return Anew(inner)

    def forward(self, arrays):
        used = self.inner.fresh()
        y, cache = used.forward(arrays)
        return y, (cache, used)

    def backward(self, dy, cache):
        inner, used = cache
        return used.backward(dy, inner)

    def moved(self, cache):
        return self.inner.moved(cache[0])


class Seeded(Anew):
    """A function that draws random numbers, the same in every call: the generators that it uses are set before it, and
    an object begins anew, since it may have one of its own. Before a backward pass they are set to others: a mask that
    is drawn again there is not that of the forward."""

    def __init__(self, inner: Subject, own: Held = ()) -> None:
        super().__init__(inner)
        self.own, self.random = own, True

    def around(self, inner):
        return Seeded(inner, self.own)

    def forward(self, arrays):
        with seeded(0, self.own):
            return super().forward(arrays)

    def backward(self, dy, cache):
        with seeded(1, self.own):
            return super().backward(dy, cache)


def draws(subject: Subject, trial: Trial, own: Held) -> bool:
    """Does a forward pass use up numbers of a generator? Of two calls alone, one may draw what the other has drawn."""
    used = subject.fresh()
    with seeded(0, own), contextlib.suppress(Exception), np.errstate(all="ignore"):
        used.forward(_inputs(trial))  # an object is made by its first call, perhaps with random weights
        before = _states(own)
        used.forward(_inputs(trial))
        return _states(own) != before
    return False


def _states(own: Held) -> tuple[str, ...]:
    there = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    told = np.random.get_state(), random.getstate(), *(t.tolist() for t in (torch.get_rng_state(), *there))
    return tuple(map(repr, (*told, *(g.bit_generator.state for g, _ in own))))


GENERATORS = np.random.Generator, np.random.RandomState, random.Random, torch.Generator


def keeps_generator(subject: Subject, trial: Trial) -> bool:
    """Is a generator among what an object keeps, or what that keeps?"""
    used = subject.fresh()
    with np.errstate(all="ignore"):
        used.forward(_inputs(trial))
    return _holds(used, 5)


def _holds(value: Any, depth: int) -> bool:
    if isinstance(value, GENERATORS):
        return True
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    kept = [*inside, *getattr(value, "__dict__", {}).values()]
    return depth > 0 and any(_holds(v, depth - 1) for v in kept)


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


def draws_apart(subject: Subject, truth: Truth, trial: Trial) -> str:
    """A sentence if many draws of the outputs are not distributed as those of the function intended."""
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
    along = [ys @ m / max(float(m @ m), 1e-300) for ys in (yours, right)]  # entries may depend on one another
    for a, b in ((along[0][:, None], along[1][:, None]), (yours, right)):
        error = np.sqrt((a.var(0, ddof=1) + b.var(0, ddof=1)) / DRAWS)
        if (np.abs(a.mean(0) - b.mean(0)) > SIGMA * error + NEAR * np.abs(b.mean(0))).any():
            c = float(along[0].mean() / along[1].mean()) if along[1].mean() else np.inf
            of = f": it is about {c:.3g} times as large" if np.isfinite(c) and abs(c - 1) > 0.02 else ""
            return f"the mean of y over {DRAWS} draws is not that of `against`{of}"
        if any(_distributions_apart(*column) > SPREAD for column in zip(a.T, b.T)):
            return f"over {DRAWS} draws y has the mean of that of `against`, but its values are spread otherwise"
    return ""


def _distributions_apart(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference of two empirical distributions, where equal values may be off by rounding."""
    a, b = np.sort(a), np.sort(b)
    room = NEAR * max(largest(a), largest(b))
    ranks = ((np.searchsorted(y, y, "right"), np.searchsorted(z, y + room, "right")) for y, z in ((a, b), (b, a)))
    return max(float((own - other).max()) / DRAWS for own, other in ranks)


def _inputs(trial: Trial) -> dict[str, Any]:
    return {n: np.array(a) for n, a in trial.arrays.items()}


def _tensors(trial: Trial) -> list[torch.Tensor]:
    return [as_tensor(a).detach() for a in trial.arrays.values()]


def _values(y: Any) -> list[np.ndarray]:
    """The real outputs; complex ones as pairs."""
    each = [pairs(array(a)) for a in flat(plain(y)) if a is not None]
    return [a.astype(float) for a in each if a.dtype.kind == "f"]


def same_twice(subject: Subject, trial: Trial) -> bool:
    """Do equal calls give equal outputs?"""
    used = subject.fresh()
    try:
        with np.errstate(all="ignore"):
            once, again, new = (
                flat(tree_map(np.array, s.forward(_inputs(trial))[0])) for s in (used, used, subject.fresh())
            )
    except Exception:
        return True
    return all(_but_for_rounding(a, b, subject.format) for o in (again, new) for a, b in zip(once, o))


def _but_for_rounding(a: Any, b: Any, format: str | None) -> bool:
    """The same numbers, or sums of the same in another order, as atomic additions make them."""
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype.kind not in "fc" or a.shape != b.shape:
        return np.array_equal(a, b)
    unit = UNIT[format] if format else float(np.finfo(a.dtype).eps)
    return near(a, b, REORDERED * unit * max(1.0, largest(b)))
