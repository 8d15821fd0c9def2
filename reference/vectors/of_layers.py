"""The vector of a case: a layer, loss or operation with its numbers, bounds, kinks, and the mistakes that it shows."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from manualbp.base import Array, Layer, flatten, tree_map

from ..compare import nudge
from ..compare.bound import largest, measured, strict
from ..compare.comparison import precisions
from ..draw.case import Case
from ..draw.goals import reached
from ..draw.trial import Trial
from ..faults import KNOWN, Fault, corrupt
from ..sides.hand import Hand
from ..sides.module import twin_of
from ..sides.run import BUFFER, GRADIENT, OUTPUT, Name, Run, leaves, of_role
from ..sides.side import Side
from ..twin.conventions import at_stake
from . import kinks
from .draws import drawn
from .options import plain
from .read import WRONG, Entry, Vector, judged, verdict

GUESS = 256.0  # times the strict bound, before the bound is known
FIRST = "0.0"  # a version of torch before every change of a convention
SECTIONS = {OUTPUT: "outputs", GRADIENT: "gradients", BUFFER: "buffers"}
Bounds = Mapping[Name, float | None]


class MismatchError(AssertionError):
    """By hand and torch differ: there is nothing to expect."""


class UnboundedError(ValueError):
    """The data lie at the edge of where the function is defined: they cannot be moved to see what rounding does."""


def sketch(case: Case) -> Vector:
    """The vector of a case as far as it can be made by hand alone, with bounds that are but a guess: what it shows."""
    trial, hand = numbers(case), Hand(case.layer, case.seed)
    run, exact = hand.run(trial), certified(hand, trial)
    guess = {n: 0.0 if exact or a is None else GUESS * strict(largest(a), trial.dtype) for n, a in run.items()}
    made = _vector(case, trial, "", exact, expected(run, guess, guess, kinks.ends(hand, trial, run, exact)))
    return replace(made, flags=flags(made, case, trial))


def vector(case: Case, id: str) -> Vector:
    """All of it. The numbers are such as float32 has, so that one vector serves both precisions."""
    trial, hand, torch = numbers(case), Hand(case.layer, case.seed), twin_of(case.layer, case.seed)
    run, theirs, narrow = hand.run(trial), torch.run(trial), trial.cast("float32")
    exact, exact32 = (certified(hand, t) for t in (trial, narrow))
    wide = dict.fromkeys(run, 0.0) if exact else bounds(hand, torch, trial, run)
    small = dict.fromkeys(run, 0.0) if exact32 else bounds(hand, torch, narrow, run)
    made = _vector(case, trial, id, exact, expected(run, wide, small, kinks.ends(hand, trial, run, exact)))
    agreed(made, theirs, case)
    made = replace(made, flags=flags(made, case, trial))
    return replace(made, conventions=followers(made, theirs, case)) if made.result == "acceptable" else made


def _vector(case: Case, trial: Trial, id: str, exact: bool, found: dict[str, dict[str, Entry]]) -> Vector:
    layer = case.layer
    return Vector(
        id, type(layer).__name__, repr(layer), plain(layer)["options"], comment(case, exact), exact,
        given(case, trial) | found,
    )  # fmt: skip


def certified(hand: Hand, trial: Trial) -> bool:
    """Is it certain that nothing rounds, so that == is to be asked for?"""
    return trial.integers and hand.proves_exact(trial)


def comment(case: Case, exact: bool) -> str:
    """What the numbers are, and what there is to be met."""
    what = f"real numbers of standard deviation {case.scale:g}"
    if case.exact:
        what = "small integers and halves" + (": nothing rounds, compare with ==" if exact else "")
    if not all(part.is_gradient for _, part in case.layer.walk()):
        what += "; as in torch, the gradient is on purpose not the derivative of the output everywhere"
    return "; with ".join([what, *sorted(met(case))])


def met(case: Case) -> set[str]:
    """What there is to be met in these numbers."""
    return reached(replace(case, dtype="float32"))[1]


def numbers(case: Case) -> Trial:
    """The numbers of a case in float64, each of them such as float32 has."""
    return replace(case, dtype="float32").trial().cast("float64")


def size(case: Case) -> int:
    """How many numbers go in."""
    trial = numbers(case)
    return trial.size + sum(np.size(d) for d in leaves(trial.dy, "y").values() if d is not None)


def given(case: Case, trial: Trial) -> dict[str, dict[str, Entry]]:
    """What goes in."""
    parts = {
        "inputs": leaves(trial.x, "x"), "parameters": flatten(trial.params),
        "draws": drawn(case.layer, trial, case.seed) if case.layer.random else {}, "dy": leaves(trial.dy, "y"),
    }  # fmt: skip
    return {section: {n: Entry(np.asarray(a)) for n, a in arrays.items() if a is not None}
            for section, arrays in parts.items()}  # fmt: skip


def expected(run: Run, wide: Bounds, narrow: Bounds, ends: kinks.Ends) -> dict[str, dict[str, Entry]]:
    """What must come out."""
    found: dict[str, dict[str, Entry]] = {section: {} for section in SECTIONS.values()}
    for name, a in run.items():
        if a is not None:
            entry = Entry(np.asarray(a), (wide[name], narrow[name]), *ends.get(name, ()))
            found[SECTIONS[name.role]][name.path] = entry
    return found


def bounds(hand: Side, torch: Side, trial: Trial, expected: Run) -> dict[Name, float | None]:
    """For every tensor how far from the expected numbers rounding can take a right implementation in the precision of
    the trial: what both sides show in several precisions, and on data moved by their last bits."""
    runs = hand.run(trial), torch.run(trial)
    mine, theirs = precisions(hand, trial, runs[0]), precisions(torch, trial, runs[1])
    try:
        room = nudge.room(hand, torch, trial, runs, nudge.LOOKS, jumps=False)
    except (ValueError, RuntimeError) as e:
        raise UnboundedError(str(e)) from e
    found: dict[Name, float | None] = {}
    for name, a in expected.items():
        if a is None or a.dtype.kind != "f":
            found[name] = 0.0
            continue
        five = [mine[d].get(name) for d in (np.float32, np.float64, np.longdouble)]
        five += [theirs[d].get(name) for d in (np.float32, np.float64)]
        rounding = 0.0 if any(r is None for r in five) else measured(largest(a), trial.dtype, *five)
        found[name] = seen(a, rounding + float(np.max(room.get(name, 0.0), initial=0.0)))
    return found


def seen(a: Array, bound: float) -> float | None:
    """The bound, or None where nothing but noise would be compared: it is above numbers that are not 0."""
    return None if 0 < largest(a) <= bound else bound


def agreed(made: Vector, run: Run, case: Case) -> None:
    """MismatchError unless what torch gives is as the vector says, or another convention."""
    off = [o for o in judged(made, by_section(run)) if o.verdict == WRONG]
    if off:
        raise MismatchError(f"by hand and torch differ in {case}: {off[0]}")


def by_section(run: Run) -> dict[str, dict[str, Any]]:
    """A run as vectors have it."""
    return {section: of_role(run, role) for role, section in SECTIONS.items()}


def followers(made: Vector, run: Run, case: Case) -> tuple[str, ...]:
    """Who makes which choice at this kink, as far as it was run or is known."""
    import torch

    other = verdict(made, by_section(run)) == "convention"
    told = "manualbp has the numbers expected, torch {} {}".format(
        torch.__version__, "others, which are acceptable" if other else "too"
    )
    return (told, *map(str, at_stake(case, FIRST)))


def flags(made: Vector, case: Case, trial: Trial) -> tuple[str, ...]:
    """The mistakes of the catalogue that this vector shows: with one in the layer its numbers are wrong."""
    return tuple(fault.id for fault in possible(case.layer) if fails(fault, made, case, trial))


def possible(layer: Layer) -> list[Fault]:
    """The mistakes that can be made in a layer, or in those inside it."""
    classes = {type(part) for _, part in layer.walk()}
    return [fault for _, fault in sorted(KNOWN.items()) if any(map(fault.applies, classes))]


def fails(fault: Fault, made: Vector, case: Case, trial: Trial) -> bool:
    """Does a layer with this mistake give numbers that the vector calls wrong? What crashes gives none."""
    try:
        run = Hand(corrupt(case.layer, fault), case.seed).run(trial.map(copied))
    except Exception:
        return False
    return verdict(made, by_section(run)) == WRONG


def copied(tree: Any) -> Any:
    """The same arrays again, for a mistake that writes into them."""
    return tree_map(lambda a: np.array(a) if isinstance(a, np.ndarray) else a, tree)
