"""Between rounding and wrong: right to so many digits, as a shorter format or constants of eight digits leave it.

A gradient of float64 is coarse if it is right in a shorter format: on the same trials in float32, beside torch's own
float32; or in that format in which all its numbers are, by the bounds of `low`. Where neither is so, at least DIGITS
digits must be right, and entries be off all over. A relation that explains what is off is no rounding: whoever asks
looks for one first.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from manualbp.base import Array

from ..diagnose.evidence import Evidence
from ..draw.plans import ONE
from ..draw.trial import Trial
from ..sides.accumulating import Accumulating
from ..sides.eager import Eager, Rounding
from ..sides.formats import LOW, TF32, UNIT, rounded
from ..sides.function import Function
from ..sides.run import GRADIENT, OUTPUT, Run, flat
from ..sides.side import Side
from .bound import difference, distance, largest
from .comparison import Comparison, compare
from .differences import ON_A_LINE
from .low import Low, compare_low, compare_medians
from .tensor import Tensor

DIGITS = 5
FEWER = 10  # digits that are right where numbers are of a shorter format inside
THROUGHOUT = 0.25  # of the entries other than 0 that are off
ROUNDED = 24.0  # units that numbers of a short format may be off, of the largest one
NEAR = 8.0  # units that a factor may be off, over many of them
FACTORS = (2.0, 0.5, -1.0, -2.0, 3.0, 4.0, 0.25)
FEW = 2  # trials on which medians are compared
NOISE = 1.5  # times eager's, where sums are kept in few bits
ORDER = 2.0  # times the bound of a median, where terms are added in an order of its own
SHORT = ("bfloat16", "float16", "float32")  # the shorter first


_OF_TF32 = (
    "the error is that of TF32, of 10 bits, in which GPUs multiply matrices unless they are told otherwise: "
    'tl.dot(…, input_precision="ieee"), torch.backends.cuda.matmul.allow_tf32 = False, '
    "torch.backends.cudnn.allow_tf32 = False"
)


_OF_SUMS = (
    "the error is that of sums with products or totals kept in {}: multiply and add in float32 and round once, as "
    "(a.float() * b.float()).sum(0).to(a.dtype) does, or tl.zeros(…, dtype=tl.float32)"
)


@dataclass(frozen=True)
class Coarse:
    """Right to so many digits. format: in which it is right; inside: are all of its numbers of this format? sums: is
    it that sums are kept in it?"""

    digits: int
    format: str | None
    inside: bool = False
    sums: bool = False

    def __str__(self) -> str:
        if self.sums:
            return f"right to {_digits(self.digits)}; {_OF_SUMS.format(self.format)}"
        if self.format == TF32:
            return f"right to {_digits(self.digits)}; {_OF_TF32}"
        if self.inside:
            cause = f"all its numbers are of {self.format}, in which it is computed inside"
        elif self.format:
            inside = f", or {self.format} inside" if self.digits < FEWER else ""
            cause = f"the error is below {self.format}'s last digit: constants of so many digits, a small ε{inside}"
        else:
            cause = "constants of so many digits, or a tolerance of a solver, leave such an error"
        cure = f'; dtype="{self.format}" has it judged as that' if self.format else ""
        return f"right to {_digits(self.digits)}; {cause}{cure}"


def _digits(n: int) -> str:
    return f"{n} digit{'s' * (n != 1)}"


def coarse(hand: Side, torch: Side, tried: Sequence[tuple[Trial, Comparison]]) -> Coarse | None:
    """How coarse a side is that is not right in float64, or float32; None if it is wrong."""
    failed = [(trial, found) for trial, found in tried if found.wrong and trial.kind != ONE]
    odd = [(trial, found) for trial, found in tried if found.wrong and trial.kind == ONE]
    off = max((_relative(t) for _, found in failed for t in found.wrong), default=math.inf)
    dtypes = {found.dtype for _, found in failed}
    if off >= 1 or not dtypes <= {"float64", "float32"} or not _throughout([f for _, f in failed]):
        return None
    if all(trial.integers for trial, _ in failed):  # where little rounds: it is another choice at a kink, or wrong
        return None
    digits, of = math.floor(-math.log10(off)), format_of([found for _, found in failed])
    in_float32 = "float32" in dtypes
    for name in filter(None, (of, TF32) if in_float32 else dict.fromkeys((of or "float32", "float32"))):
        near = all(_as_near(UNIT[name], *each) for each in odd)
        if near and all(_right_in(name, hand, torch, trial) for trial, _ in failed):
            return Coarse(digits, name, name == of)
    near = all(_as_near(off, *each) for each in odd) and not in_float32
    return Coarse(digits, None) if digits >= DIGITS and near else None


def coarse_in_few_bits(hand: Side, torch: Side, low: Low, tried: Sequence[tuple[Trial, Comparison]]) -> Coarse | None:
    """How coarse a side of few bits is that is not as right as eager: of fewer bits inside, or with its sums kept in
    few; None if it is wrong."""
    failed = [(trial, found) for trial, found in tried if found.wrong]
    off = max((_relative(t) for _, found in failed for t in found.wrong), default=math.inf)
    if off >= 1 or not isinstance(torch, Function):
        return None
    digits, of = math.floor(-math.log10(off)), format_of([found for _, found in failed])
    if of in LOW and of != low.dtype:
        return Coarse(digits, of, True) if all(_right_in(of, hand, torch, trial) for trial, _ in failed) else None
    if not all(_noisier(low, *each) for each in failed):
        return None
    adding = replace(low, eager=(Accumulating(torch.f, format=low.dtype),))
    real = [trial for trial, _ in failed if not trial.integers]
    once = all(not compare_low(hand, torch, adding, trial).wrong for trial, _ in failed)
    medians = [compare_medians(hand, torch, adding, trial) for trial in real[:FEW]] if once else []
    near = all(t.ratio <= ORDER for found in medians for t in found.wrong)
    return Coarse(digits, low.dtype, sums=True) if once and near else None


def coarse_alone(tried: Sequence[tuple[Trial, Comparison]]) -> Coarse | None:
    """How coarse a side is where differences decide: all that is wrong is of a shorter format, and off by its last
    digits."""
    failed = [found for trial, found in tried if found.wrong and not trial.integers]
    wrong = [t for found in failed for t in found.wrong if t.what != ON_A_LINE]
    off = max(map(_relative, wrong), default=math.inf)
    format = shorter([t.hand for t in wrong], [t.torch for t in wrong]) if wrong else None
    if format is None or not off <= ROUNDED * UNIT[format]:
        return None
    return Coarse(math.floor(-math.log10(off)), format, True)


def _noisier(low: Low, trial: Trial, found: Comparison) -> bool:
    """Is half of what is wrong further off than eager is, as rounding leaves it, or a part only?"""
    eager = [side.run(trial) for side in low.eager]

    def typical(run: Run, t: Tensor) -> float:
        return float(np.median(difference(run[t.of], t.torch)))

    return all(typical(found.runs[0], t) > NOISE * max(typical(run, t) for run in eager) for t in found.wrong)


def inside(tried: Sequence[tuple[Trial, Comparison]]) -> Coarse | None:
    """How coarse what passes is, where differences, which see less than autograd, decide: are all of its numbers of a
    shorter format, although the data and dy are not?"""
    given = [a for trial, _ in tried for a in trial.real]
    runs = [a for _, found in tried for n, a in found.runs[0].items() if n.role in (OUTPUT, GRADIENT)]
    arrays = [a for a in runs if a is not None and a.dtype.kind == "f" and a.any()]
    format = shorter(arrays, given) if arrays else None
    off = max((_relative(t) for _, found in tried for t in found.tensors), default=0.0)
    return None if format is None or not 0 < off < 1 else Coarse(math.floor(-math.log10(off)), format, True)


def _as_near(unit: float, trial: Trial, found: Comparison) -> bool:
    """Where a size is 1, gradients cancel, as those of a softmax over one column: is it off by roundings of what is
    about, its outputs, dy and gradients?"""
    right = [a for a in (*found.runs[1].values(), *flat(trial.dy)) if a is not None]
    about = max((largest(np.asarray(a)) for a in right), default=0.0)
    return all(t.error <= ROUNDED * unit * about for t in found.wrong)


def _throughout(tried: Sequence[Comparison]) -> bool:
    """Are entries off all over the wrong tensors, as rounding leaves them, and not at some places only?"""
    wrong = [t for found in tried for t in found.wrong if t.hand is not None and t.torch is not None]
    off = sum(int(np.count_nonzero(difference(t.hand, t.torch) > t.bound)) for t in wrong)
    return off >= THROUGHOUT * sum(int(np.count_nonzero(t.torch)) for t in wrong)


def format_of(tried: Sequence[Comparison]) -> str | None:
    """The shortest format that holds all numbers of the wrong tensors, if it is none of what is right, too."""
    wrong = [t for found in tried for t in found.wrong if t.hand is not None and t.torch is not None]
    return shorter([t.hand for t in wrong], [t.torch for t in wrong]) if wrong else None


def shorter(arrays: Collection[Array | None], given: Collection[Array | None]) -> str | None:
    """The shortest format that holds all numbers of the first, if it does not hold those of the second, too."""
    held = (n for n in SHORT if all(_held(a, n) for a in arrays) and not all(_held(a, n) for a in given))
    return next(held, None)


def _held(a: Array | None, name: str) -> bool:
    return a is not None and a.dtype.kind == "f" and np.array_equal(rounded(a, name), a, equal_nan=True)


def _relative(t: Tensor) -> float:
    s = largest(t.torch) if t.torch is not None else 0.0
    return t.error / s if s else math.inf


def _right_in(name: str, hand: Side, torch: Side, trial: Trial) -> bool:
    """Is what it gives in float64 right on these numbers, as seen in a shorter format?"""
    try:
        with np.errstate(all="ignore"):
            if name not in (*LOW, TF32):
                found = compare(_Cast(hand, "float64"), torch, trial.cast(name))
            elif isinstance(torch, Function):
                eager = () if name == TF32 else (Eager(torch.f, format=name),)
                low = Low(name, (*eager, Rounding(torch.f, format=name)))
                found = compare_low(_Cast(hand, trial.dtype), torch, low, low.rounded(trial.cast("float64")))
            else:
                return False
    except Exception:  # it does not take such numbers
        return False
    return not found.wrong and any(t.power is not None for t in found.gradients)


@dataclass(frozen=True)
class _Cast(Side):
    """A side as it is in another dtype, its results in that of the trial."""

    of: Side
    dtype: str

    def run(self, trial: Trial) -> Run:
        found = self.of.run(trial.cast(self.dtype))
        return {n: a.astype(trial.dtype) if a is not None and a.dtype.kind == "f" else a for n, a in found.items()}


def behind(e: Evidence, format: str, numbers: Sequence[float] = ()) -> Evidence | None:
    """Evidence without the rounding of a shorter format, where what is wrong is a factor behind it; None if nothing but
    rounding is there. numbers: what a factor may be, as 1/N."""
    yours, right, u = np.asarray(e.yours), np.asarray(e.right), UNIT[format]
    if yours.shape != right.shape or not right.any() or right.dtype.kind != "f":
        return e
    c = float(np.vdot(right, yours) / np.vdot(right, right))
    if not np.isfinite(c):  # of what is infinite, or too large for a square
        return e
    room = ROUNDED * u * largest(right)
    if distance(yours, c * right) > room * max(1.0, abs(c)) or abs(c) <= ROUNDED * u:
        return e
    if abs(c - 1) <= room / largest(right):
        return None
    near = [k for k in (*FACTORS, *numbers, *(1 / n for n in numbers if n)) if abs(c - k) <= NEAR * u * abs(k)]
    return replace(e, yours=(near[0] if len({*near}) == 1 else c) * right)


def in_short(evidence: Sequence[Evidence], format: str) -> list[Evidence]:
    """Evidence with the rounding of a shorter format taken out of it, where that can be told."""
    found = [behind(e, format, tuple(e.numbers.values())) for e in evidence]
    return [e for e in found if e is not None]
