"""The vector of an optimizer: parameters, gradients of several steps, and parameters and state after each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from manualbp.optim.base import Optimizer
from manualbp.optim.sparse_adam import Rows

from ..compare.bound import FACTOR, largest, strict
from ..compare.certificate import Rounds, dyadic, plain
from ..compare.updates import Lockstep, choices
from ..draw.steps import Flat, Steps, draw, is_dyadic
from ..faults import KNOWN, corrupt
from ..sides.steps import HandUpdates, History, TorchUpdates
from .of_layers import GUESS, MismatchError, seen
from .options import plain as as_json
from .read import WRONG, Entry, Vector, judged, verdict

STEPS = 4
COUNTS = ("/step", "/n_iter", "/func_evals")  # whole numbers in a state
CLOSURE = (
    "the gradients of a step are the coefficients c of the function that is minimised in it, "
    "f = Σ z²/2 + z⁴/4 + k z² with z = p − c and k = 0, 1, 2, … along each array"
)


@dataclass(frozen=True)
class Update:
    """Steps to be made: everything that a vector of an optimizer depends on."""

    opt: Optimizer
    seed: int
    exact: bool = False


def numbers(update: Update) -> Steps:
    """The numbers of all steps, always the same."""
    return draw(update.opt, update.seed, STEPS, update.exact)


def met(update: Update) -> set[str]:
    """The goals of random networks that it reaches: none speaks of optimizers."""
    return set()


def sketch(update: Update) -> Vector:
    """The vector as far as it can be made by hand alone, with bounds that are but a guess: what it shows."""
    steps = numbers(update)
    history = HandUpdates(update.opt).run(steps, np.float64)
    exact = update.exact and is_dyadic(update.opt) and proved(update.opt, steps)
    guess = [
        {n: 0.0 if exact else GUESS * strict(largest(a), "float64") for n, a in after.items()} for after in history
    ]
    made = _vector(update, "", exact, given(steps) | expected(history, guess, guess, steps), steps.rates)
    return replace(made, flags=flags(made, update.opt, steps))


def vector(update: Update, id: str) -> Vector:
    """All of it; the steps end where rounding alone decides how the next one goes on."""
    opt, steps = update.opt, numbers(update)
    exact = update.exact and is_dyadic(opt) and proved(opt, steps)
    pairs = [Lockstep(HandUpdates(opt), TorchUpdates(opt), steps, dtype) for dtype in ("float64", "float32")]
    history, theirs = pairs[0].runs
    count = decided(pairs[0]) or len(history)
    zero = [dict.fromkeys(after, 0.0) for after in history]
    wide, narrow = (zero if exact else bounds(pair, history) for pair in pairs)
    steps = Steps(steps.params, steps.grads[:count], steps.rates[:count])
    sections = given(steps) | expected(history[:count], wide, narrow, steps)
    made = _vector(update, id, exact, sections, steps.rates)
    if off := [o for o in judged(made, by_section(theirs, steps)) if o.verdict == WRONG]:
        raise MismatchError(f"by hand and torch differ in {opt} with seed {update.seed}: {off[0]}")
    return replace(made, flags=flags(made, opt, steps))


def _vector(
    update: Update, id: str, exact: bool, sections: dict[str, dict[str, Entry]], rates: Sequence[float]
) -> Vector:
    opt = update.opt
    options = as_json(opt)["options"]
    told = comment(update, exact)
    return Vector(id, type(opt).__name__, repr(opt), options, told, exact, sections, rates=tuple(rates))


def size(update: Update) -> int:
    """How many numbers are moved."""
    return sum(p.size for p in numbers(update).params.values())


def comment(update: Update, exact: bool) -> str:
    what = "small integers" if update.exact else "gradients of sizes 10⁻⁸ to 1, zeros among them"
    told = [what + (": nothing rounds, compare with ==" if exact else "")]
    told += ["a missing gradient leaves its parameter and state as they are; a step's rate multiplies lr"]
    return "; ".join([*told, *([CLOSURE] if update.opt.by_closure else [])])


def given(steps: Steps) -> dict[str, dict[str, Entry]]:
    """What goes in: parameters, and gradients of every step; of rows their indices and values."""
    found = {"parameters": {n: Entry(p) for n, p in steps.params.items()}}
    for k, grads in enumerate(steps.grads):
        found[f"steps[{k}]/gradients"] = {
            n: Entry(np.asarray(a)) for name, g in grads.items() for n, a in _parts(name, g)
        }
    return found


def _parts(name: str, g: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(g, Rows):
        yield from ((f"{name}/indices", g.indices), (f"{name}/values", g.values))
    elif g is not None:
        yield name, g


def expected(history: History, wide: Any, narrow: Any, steps: Steps) -> dict[str, dict[str, Entry]]:
    """Parameters and state after every step."""
    found: dict[str, dict[str, Entry]] = {}
    for k, after in enumerate(history):
        entries = {n: Entry(np.asarray(a), (wide[k].get(n), narrow[k].get(n))) for n, a in after.items()}
        found |= split(k, entries, steps)
    return found


def split(k: int, after: dict[str, Any], steps: Steps) -> dict[str, dict[str, Any]]:
    """What a step leaves, as vectors have it."""
    return {
        f"steps[{k}]/parameters": {n: a for n, a in after.items() if n in steps.params},
        f"steps[{k}]/state": {n: a for n, a in after.items() if n not in steps.params},
    }


def by_section(history: History, steps: Steps) -> dict[str, dict[str, Any]]:
    """A run as vectors have it."""
    return {section: part for k, after in enumerate(history) for section, part in split(k, after, steps).items()}


def bounds(pair: Lockstep, expected: History) -> list[dict[str, float | None]]:
    """For every array of every step, what rounding explains: measured, and on parameters moved by their last bits."""
    count, spread = decided(pair), pair.moves()
    return [
        {n: None if moves is None or k >= count else _bound(pair, k, n, a, moves.get(n, 0.0)) for n, a in after.items()}
        for k, (after, moves) in enumerate(zip(expected, spread, strict=True))
    ]


def _bound(pair: Lockstep, k: int, name: str, a: np.ndarray, spread: float) -> float | None:
    return 0.0 if name.endswith(COUNTS) else seen(a, pair.bound(k, name) + FACTOR * spread)


def decided(pair: Lockstep) -> int:
    """How many steps go on alike in every precision: behind them a line search may stop elsewhere by rounding."""
    runs = [run for side in pair.precise for run in side.values()]
    for k, steps in enumerate(zip(*runs)):
        if any(choices(after) != choices(steps[0]) for after in steps):
            return k
    return len(runs[0])


def proved(opt: Optimizer, steps: Steps) -> bool:
    """Is it certain that no operation of the steps rounds? The same rule on numbers that know when they would be."""
    lifted = Steps(dyadic(steps.params), [dyadic(grads) for grads in steps.grads], steps.rates)
    try:
        found = HandUpdates(opt).run(lifted, object)
    except (Rounds, TypeError, AttributeError, ValueError):
        return False
    told = HandUpdates(opt).run(steps, np.float64)
    return all(np.array_equal(plain(a), told[k][n]) for k, after in enumerate(found) for n, a in after.items())


def flags(made: Vector, opt: Optimizer, steps: Steps) -> tuple[str, ...]:
    """The mistakes of the catalogue that these steps show."""
    return tuple(id for id, f in sorted(KNOWN.items()) if f.applies(type(opt)) and _fails(f, made, opt, steps))


def _fails(fault: Any, made: Vector, opt: Optimizer, steps: Steps) -> bool:
    """Does a rule with this mistake give numbers that the vector calls wrong? What crashes gives none."""
    again = Steps(_copied(steps.params), [_copied(grads) for grads in steps.grads], steps.rates)
    try:
        history = HandUpdates(corrupt(opt, fault)).run(again, np.float64)
    except Exception:
        return False
    return verdict(made, by_section(history, steps)) == WRONG


def _copied(arrays: Flat) -> Flat:
    return {n: np.array(a) if isinstance(a, np.ndarray) else a for n, a in arrays.items()}
