"""A gradient tried on inputs: the verdict, which side is wrong, where it first goes wrong, what the mistake is.

`check.py` and `verify.py` bring what is judged into the form that is judged here: two sides and the trials.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from manualbp.base import Tree, tree_map

from .compare.bound import largest
from .compare.coarse import Coarse, coarse, coarse_alone, coarse_in_few_bits, format_of, in_short, inside, shorter
from .compare.comparison import compare
from .compare.differences import ON_A_LINE, is_own_derivative
from .compare.kinks import is_between
from .compare.low import compare_low
from .diagnose.backwards import of_backwards
from .diagnose.calls import of_calls
from .diagnose.contracts import broken_contracts
from .diagnose.diagnosis import PLAIN, SURE, explain, of_contracts, of_side
from .diagnose.evidence import Evidence, Suspect
from .diagnose.features.seen import Seen
from .diagnose.paths import of_paths
from .diagnose.probes import further_facts, overflow, without_conjugates
from .draw.plans import ALIKE, FAR, PAST, ZEROS
from .draw.trial import Trial, corner
from .judge_alone import by_itself, on_kinks
from .judge_evidence import ComparedTrial, Judged, choices, evidence_of, pieces_of
from .judge_good import is_nan_in_torch, passed, right_to, torch_wrong
from .judge_intended import as_intended
from .report.report import Report
from .sides.formats import TF32, UNIT
from .sides.raised import in_words, is_ours, line_of
from .sides.run import GRADIENT, Run, of_role
from .sides.side import Side

GRID = 2.0**10  # the size of numbers that are few enough of their unit
FAINT = 16.0  # last places of the largest gradient that may be noise where gradients cancel
AS_FLOAT32 = 'as that, as by dtype="float32"'


def judge(title: str, judged: Judged, trials: Sequence[Trial]) -> Report:
    """The report on what was tried."""
    tried, refused = _each(judged, trials)
    tried = [t for t in tried if not t.wrong or not _few_digits(judged, t)]
    judged, tried, said = as_intended(judged, tried, one)
    found = broken_contracts(judged.subject, [t.trial for t in tried])
    broken, refused = [b for b in found if not b.note], (*said, *refused, *(b.text for b in found if b.note))
    contracts = tuple(b.text for b in broken)
    shown = next((t for t in tried if t.wrong), None)
    if shown is None:
        real = [(t.trial, t.found) for t in tried if not t.trial.integers and t.trial.kind != ZEROS]
        if judged.torch is None and not contracts and (rough := inside(real)) is not None:
            return right_to(title, rough, tried, tried[0], (), refused)
        refused = (*refused, *(overflow(judged.hand, judged.torch, tried[0].trial) if judged.low is None else ()))
        return passed(title, tried, contracts, of_contracts(broken, alone=True), refused)
    small = [_in_small(judged, t) for t in tried]
    if _torch_is_wrong(judged, small):
        return torch_wrong(title, tried)
    if (short := _in_float32(judged, tried)) is not None:
        refused = (
            f"its numbers are of float32, in which it is computed inside: so it is judged {AS_FLOAT32}",
            *refused,
        )
        tried, small = short, [_in_small(judged, t) for t in short]
    return _wrong(title, judged, tried, small, broken, refused)


def _in_float32(judged: Judged, tried: Sequence[ComparedTrial]) -> Sequence[ComparedTrial] | None:
    """The trials in float32, of a side that computes in it inside and is wrong even so: its rounding would hide what is
    wrong. None where nothing is, or where it is of another format."""
    real = [each for each in tried if not each.trial.integers]
    wrong = [t for each in real for t in each.wrong if t.hand is not None and t.torch is not None]
    inside = any(shorter([t.hand], [t.torch]) == "float32" for t in wrong)
    if not inside or judged.low or judged.torch is None or _coarse(judged, tried, ()) is not None:
        return None
    try:
        with np.errstate(all="ignore"):
            found = [one(judged, t.trial.cast("float32")) for t in tried]
    except Exception:  # it takes float64 alone
        return None
    return found if any(t.wrong and not t.trial.integers for t in found) else None


def judge_numbers(title: str, judged: Judged, trial: Trial) -> Report:
    """The report on gradients that are numbers: there is no function to run again."""
    if _on_a_grid(trial):
        trial = replace(trial, integers=True, kind="on a grid")
    tried = ComparedTrial(trial, compare(judged.hand, judged.torch, trial))
    if not tried.wrong:
        return passed(title, [tried], (), (), ())
    evidence = evidence_of(judged, tried, 0, judged.replay)
    suspects, notes = _explained(evidence, evidence, format_of([tried.found]))
    suspects = _with_calls(judged, suspects, [tried], evidence)
    rough = _coarse(judged, [tried], suspects)
    if rough is not None:
        return right_to(title, rough, [tried], tried, suspects, ())
    conventional = trial.integers and _is_convention(judged, tried)
    verdict, side = ("convention", None) if conventional else ("wrong", "backward")
    return Report(title, verdict, side, tried.wrong[0].name, suspects, tried.found.tensors, (), notes, 1, str(trial))


def _wrong(
    title: str, judged: Judged, tried: Sequence[ComparedTrial], small: Sequence[ComparedTrial], broken: Sequence[Any],
    refused: tuple[str, ...],
) -> Report:  # fmt: skip
    tried, small, jumps = _telling(judged, tried, small)
    shown = next(t for t in tried if t.wrong)
    chosen = choices(judged, tried)
    whole, pieces = (pieces_of(judged, *of, chosen) for of in ((tried, None), (small, judged.replay)))
    format = format_of([t.found for t in tried]) or (judged.low.dtype if judged.low else None)
    suspects, notes = _explained(pieces, whole, format)
    suspects = _with_calls(judged, suspects, small, pieces)
    rough = None if broken else _coarse(judged, tried, suspects)
    if rough is not None:
        return right_to(title, rough, tried, shown, suspects, refused)
    suspects = tuple(sorted((*suspects, *of_contracts(broken, alone=False)), key=lambda s: -s.score))
    conventional = all(not t.wrong or (t.trial.integers and _is_convention(judged, t)) for t in tried)
    suspects = () if conventional and jumps else suspects
    side = None if conventional else _side(judged, small)
    if format and side in ("forward", "both") and not any(e.forward for e in in_short(whole, format)):
        side = "backward"
    known = [(t.trial, {x.of.path: x.ok for x in t.found.gradients if not x.ok or x.power}) for t in tried]
    failed = [(t.trial, [x.of.path for x in t.wrong if x.is_gradient]) for t in tried if t.wrong]
    told = () if suspects else of_paths(judged.hand, judged.torch, failed)
    told = (
        *told,
        *further_facts(judged.subject, known, bool(suspects)),
        *without_conjugates(judged.subject, shown.trial, shown.found),
    )
    told = (*told, *(f"d{n} differs only at kinks and ties, where it is another choice" for n in sorted(chosen)))
    refused = (*_of_cuts(judged, tried, side), *told, *refused)
    return Report(
        title, "convention" if conventional else "wrong", side, shown.wrong[0].name, of_side(suspects, side),
        shown.found.tensors, tuple(b.text for b in broken), (*notes, *refused), len(tried), str(shown.trial),
        shown.found.dtype,
    )  # fmt: skip


def _telling(
    judged: Judged, tried: Sequence[ComparedTrial], small: Sequence[ComparedTrial]
) -> tuple[Sequence[ComparedTrial], Sequence[ComparedTrial], bool]:
    """The trials without those where an output jumps, if others are wrong; and is there such a one?"""
    tells = [not _jumps(judged, t) for t in tried]
    if any(t.wrong and of_all for t, of_all in zip(tried, tells)):
        tried, small = ([t for t, of_all in zip(ts, tells) if of_all] for ts in (tried, small))
    return tried, small, not all(tells)


def _of_cuts(judged: Judged, tried: Sequence[ComparedTrial], side: str | None) -> tuple[str, ...]:
    """Is what is missing in yours a gradient that is cut on purpose?"""
    shown = next(t for t in tried if t.wrong)
    if side != "backward" or judged.torch is None or judged.torch.cuts(shown.trial) is False:
        return ()
    if _is_derivative(judged, shown, shown.found.runs[0]) is not True:
        return ()
    return (
        "yours is the derivative of its forward; `against` cuts a gradient on purpose (detach, no_grad, padding_idx), "
        "and yours does not",
    )


def _explained(
    pieces: Sequence[Evidence], whole: Sequence[Evidence], format: str | None
) -> tuple[tuple[Suspect, ...], tuple[str, ...]]:
    """As `explain`, behind the rounding of a shorter format if all is in that, or if nothing else explains it."""
    plain = explain(pieces, whole) if format is None else ((), ())
    if plain[0]:
        return plain
    short = [in_short(e, format or "float32") for e in (pieces, whole)]
    changed = format is not None or [e.yours is f.yours for e, f in zip(pieces, short[0])] != [True] * len(pieces)
    behind = explain(*short) if short[0] and changed else ((), ())
    if behind[0] or format is None:
        return behind if behind[0] else plain
    suspects, notes = explain(pieces, whole)
    return suspects if short[0] else tuple(s for s in suspects if s.rounding or s.fault), notes


def _with_calls(
    judged: Judged, suspects: tuple[Suspect, ...], tried: Sequence[ComparedTrial], evidence: Sequence[Evidence]
) -> tuple[Suspect, ...]:
    """With a mistake inside of the function intended, unless another is sure: then what has no name says less."""
    turned = evidence and all(Seen(e).multiple == -1 for e in evidence)  # nothing is plainer than a sign
    if any(s.score >= SURE for s in suspects) or judged.low is not None or (suspects and turned):
        return suspects
    each = [(t.trial, [e for e in evidence if e.trial == i]) for i, t in enumerate(tried)]
    if inside := of_calls(judged.torch, each):
        return *inside, *(s for s in suspects if s.fault)
    told = any(s.score >= PLAIN for s in suspects) or len({e.trial for e in evidence}) < 2
    factor = told and all(Seen(e).multiple is not None for e in evidence)  # which is one of many, by chance
    return suspects if factor else (*of_backwards(judged.torch, each), *suspects)


def _few_digits(judged: Judged, tried: ComparedTrial) -> bool:
    """May what is off far from 0 be rounding: where a softmax is saturated, gradients cancel? Or, in few bits, what is
    off on a grid, on which eager, by which rounding is measured, does not round?"""
    if tried.trial.kind not in (FAR, PAST) and not (judged.low and tried.trial.integers):
        return False
    unit = FAINT * UNIT[judged.low.dtype] if judged.low else UNIT[TF32] if tried.found.dtype == "float32" else 0.0
    top = max((largest(np.asarray(x.torch)) for x in tried.found.gradients if x.torch is not None), default=0.0)
    small = all(x.error <= unit * top for x in tried.wrong)
    return small or (tried.trial.kind == FAR and _coarse(judged, [tried], ()) is not None)


def _coarse(judged: Judged, tried: Sequence[ComparedTrial], suspects: Sequence[Suspect]) -> Coarse | None:
    """How coarse it is, unless something else than rounding explains it."""
    if any(not s.rounding for s in suspects):
        return None
    found = [(t.trial, t.found) for t in tried]
    if judged.torch is None:
        return coarse_alone(found)
    if judged.low is not None:
        return coarse_in_few_bits(judged.hand, judged.torch, judged.low, found)
    return coarse(judged.hand, judged.torch, found)


def _each(judged: Judged, trials: Sequence[Trial]) -> tuple[list[ComparedTrial], tuple[str, ...]]:
    """Every trial that both sides can be run on, and a sentence for each that ends in an error."""
    tried, errors = [], {}
    for trial in trials:
        try:
            tried.append(one(judged, trial))
        except Exception as e:
            errors[str(trial)] = e
    if not tried:
        trial, e = next(iter(errors.items()))
        raise e if is_ours(e) else ValueError(f"{in_words(e)}{line_of(e)}\non inputs {trial}") from e
    return tried, tuple(f"{in_words(e)}, for {trial}" for trial, e in errors.items())


def one(judged: Judged, trial: Trial) -> ComparedTrial:
    """One trial, with an upstream gradient drawn where it has none."""
    if judged.torch is not None and not trial.large and trial.kind != ZEROS and _on_a_grid(trial):
        trial = replace(trial, integers=True, kind="on a grid")  # so a kink that is met is met on purpose
    trial = trial if trial.dy is not None else replace(trial, dy=_upstream(judged, trial))
    if trial.kind == ZEROS or (trial.kind == ALIKE and not _has_slopes(judged.torch, trial)):
        # a kink in every entry at once: what is chosen at one is seen on small integers
        return ComparedTrial(trial, on_kinks(judged.hand, judged.torch, trial))
    if judged.torch is None:
        return ComparedTrial(*by_itself(judged.hand, judged.subject, trial))
    if judged.low is not None:
        trial = judged.low.rounded(trial)
        return ComparedTrial(trial, compare_low(judged.hand, judged.torch, judged.low, trial))
    return ComparedTrial(trial, compare(judged.hand, judged.torch, trial))


def _has_slopes(torch: Side | None, trial: Trial) -> bool:
    """Are all gradients of the function intended numbers, where a norm or a distance is 0?"""
    return torch is None or all(np.isfinite(g).all() for g in of_role(torch.run(trial), GRADIENT).values())


def _on_a_grid(trial: Trial) -> bool:
    """Are all real inputs small multiples of 1/64, as integers and halves are?"""
    return all(np.array_equal(64 * a, np.round(64 * a)) and largest(a) < GRID for a in trial.real)


def _upstream(judged: Judged, trial: Trial) -> Tree:
    """A random upstream gradient of the shape of the output, never ones; 1 where backward takes none."""
    y = (judged.torch or judged.hand).outputs(trial)
    if judged.subject is not None and judged.subject.no_upstream:
        return tree_map(lambda a: np.ones(np.shape(a)), y)
    rng = np.random.default_rng(trial.seed + 1)
    if trial.integers:
        signs = np.array([-1, 1], trial.dtype)
        return tree_map(
            lambda a: rng.integers(1, 4, np.shape(a)).astype(trial.dtype) * rng.choice(signs, np.shape(a)), y
        )
    draw = rng.standard_normal if not trial.large else partial(rng.uniform, -2, 2)  # three times as fast
    return tree_map(lambda a: np.asarray(draw(size=np.shape(a)), trial.dtype), y)


def _torch_is_wrong(judged: Judged, tried: Sequence[ComparedTrial]) -> bool:
    """Are the judged gradients the derivatives of a forward that both sides share, and torch's are not? Or are they
    right but where torch's are NaN, although the output is finite?"""
    failed = [t for t in tried if t.wrong]
    if judged.torch is None or judged.low or any(not x.is_gradient for t in failed for x in t.wrong):
        return False
    if failed and all(is_nan_in_torch(t) for t in failed):
        return True
    if failed and judged.torch.cuts(failed[0].trial):
        return False
    told = [t for t in failed if not t.trial.integers]
    if not told or not all(_is_derivative(judged, t, t.found.runs[0]) is True for t in told):
        return False
    denied = [_is_derivative(judged, t, t.found.runs[1]) is False for t in told]
    return sum(denied) > len(told) / 2  # far out differences may be too coarse to deny it


def _is_derivative(judged: Judged, tried: ComparedTrial, run: Run) -> bool | None:
    """Are a run's wrong gradients the derivatives of the own forward? None where that cannot tell."""
    return is_own_derivative(judged.subject, tried.trial, of_role(run, GRADIENT), [x.of.path for x in tried.wrong])


def _side(judged: Judged, tried: Sequence[ComparedTrial]) -> str | None:
    """Which side is wrong: by the outputs, and by the differences of the own forward."""
    failed = [t for t in tried if t.wrong]
    if all(x.is_gradient for t in failed for x in t.wrong):
        return "backward"
    if judged.low is not None:
        return None  # differences see nothing in so few bits
    own = (is_own_derivative(judged.subject, t.trial, of_role(t.found.runs[0], GRADIENT)) for t in failed)
    return "both" if any(holds is False for holds in own) else "forward"


def _is_convention(judged: Judged, tried: ComparedTrial) -> bool:
    """Is it only another choice at a kink, or at a tie, where an output may jump?"""
    if judged.torch is None:
        return False
    return is_between(judged.torch, tried.trial, tried.wrong, judged.room) or _jumps(judged, tried)


def _jumps(judged: Judged, tried: ComparedTrial) -> bool:
    """Is an output off at a tie alone, where it jumps? Then its gradients are of another value, and tell nothing."""
    off = [x for x in tried.wrong if not x.is_gradient]
    there = judged.torch is not None and tried.trial.integers and bool(off)
    return there and is_between(judged.torch, tried.trial, off, judged.room)


def _in_small(judged: Judged, tried: ComparedTrial) -> ComparedTrial:
    """The same mistake on a corner of the data, where it is cheap to name; as it is where that does not show it."""
    if not tried.wrong or not (tried.trial.large or any(x.what == ON_A_LINE for x in tried.wrong)):
        return tried
    try:
        found = one(judged, corner(tried.trial))
    except Exception:  # a function of one size only
        return tried
    return found if {x.of for x in tried.wrong} <= {x.of for x in found.wrong} else tried
