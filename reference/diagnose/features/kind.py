"""Wrong before any number is compared: missing, zero, not finite; and right but for noise."""

import itertools
import re
from collections.abc import Iterator

import numpy as np

from manualbp.base import Array

from ...sides.formats import rounded
from .seen import Finding, Found, Seen, spread

TINY = 1e-6  # times dy: less is no gradient that somebody chose
STATE = re.compile(
    r"^(prev_?)?(h|c|s|hx|cx|hidden|cell|state)(_?(0|x|prev|init|t|last))?$|prev|state|^x\[1\]", re.IGNORECASE
)


def missing(s: Seen) -> Found:
    """Nothing was given, or zeros throughout."""
    nothing = not s.yours.size and s.right.size
    if s.e.forward or not s.right.any() or not (nothing or (s.comparable and not s.yours.any())):
        return
    told = "missing" if nothing else "0"
    if not nothing and s.right.size > np.count_nonzero(s.right) and s.dy is not None and s.dy.all():
        text = "The gradient is 0 throughout, as behind a mask that is never true."
        yield Finding("yours is 0", None, 0.85, "", text, "look at the mask, and at what it is compared with")
        return
    targets = [n for n, a in s.inputs.items() if s.own is not None and a.shape == s.own.shape]
    if s.loss and s.own is not None and s.name in targets[1:]:
        yield Finding(f"yours is {told}", "A23", 0.95)
    if STATE.search(s.name) and _recurrent(s):
        yield Finding(f"yours is {told}", "G10", 0.94)
    if nothing:
        text = f"No gradient is given for {s.name}."
        yield Finding("yours is missing", None, 0.9, "", text, f"return d{s.name}, too")
    elif s.y is None or s.right.shape[:1] == s.y.shape[:1] or s.loss:
        yield Finding("yours is 0", "F13", 0.9)
    else:  # a parameter has no batch
        yield Finding("yours is 0", None, 0.9, "", f"The gradient of {s.name} is 0 throughout.", "nothing reaches it")


def _recurrent(s: Seen) -> bool:
    """Is there a matrix that a state of this size could go through to the next?"""
    width = s.right.shape[-1] if s.right.ndim else 0
    return any(a.ndim == 2 and width > 1 and width in a.shape and not (a.shape[0] % width or a.shape[1] % width)
               for n, a in s.inputs.items() if n != s.name)  # fmt: skip


def through(s: Seen) -> Found:
    """A gradient where the function intended has none anywhere: straight through, or that of a surrogate."""
    if s.e.forward or not s.comparable or s.right.any() or not s.yours.any() or s.dy is None or not s.dy.any():
        return
    if not s.is_real or s.error <= TINY * np.abs(s.dy).max():  # all may lie on kinks; an ε somewhere leaves a little
        return
    straight = s.dy.shape == s.right.shape and s.alike(s.dy)
    what = "dy passes straight through" if straight else "The gradient is not 0, as that of a surrogate"
    text = f"{what}, where forward is constant around these inputs, so that its derivative is 0."
    remedy = "is a mask forgotten? If it is intended, say so with detach: against=lambda x: x + (f(x) - x).detach()"
    yield Finding(f"yours = {'dy' if straight else 'another function'}, right = 0", None, 0.9, "", text, remedy)


def not_finite(s: Seen) -> Found:
    """NaN or infinity where the right gradient is finite."""
    if s.yours.shape != s.right.shape or not s.right.size:
        return
    bad = ~np.isfinite(s.yours) & np.isfinite(s.right)
    if not bad.any():
        return
    shown = f"{bad.sum()} of {bad.size} entries are not finite"
    for zeros in (_zeros(s), _equals(s)):
        there = [(n, d) for n, hit, d in zeros if np.array_equal(hit & np.isfinite(s.right), bad)]
        for n, d in there:
            yield _of_zero(s, n, d, ~bad, shown)
        if there:
            break
        if bad.all():
            break  # that all are 1, or equal, says nothing where there is no other
    large = any(a.size and np.abs(a).max() > 80 for a in s.inputs.values())
    if large and not s.loss and not _of_softmax(s):
        yield Finding("yours is not finite where the input is large", "C11", 0.9, shown)
    if large:
        yield Finding("yours is not finite beside a large input", "A20", 0.88, shown)
    if not large and not s.loss and any(v == 1 for v in s.e.numbers.values()) and bad.all():
        yield Finding("yours is not finite where there is one entry to average over", "D18", 0.8, shown)


def _of_zero(s: Seen, n: str, d: Array, finite: Array, shown: str) -> Finding:
    """Not finite where d is 0, in words n."""
    relation = f"yours is not finite where {n}"
    zero = n.partition(" along")[0].removesuffix(" = 0").replace(" = ", " − ")
    if "along" in n or _of_sign(s, finite, d):
        text = f"The gradient is divided by the norm of {zero}, which is 0 there." * ("along" in n)
        return Finding(relation, "F16", 0.96, shown, text)
    if n.endswith(" = 1"):
        other = f"1 − {n.removesuffix(' = 1')}"
        text = f"Not finite where {n}: is something divided by what is 0 there, as {other} is, or its logarithm taken?"
    else:
        text = f"Something is divided by {zero}, or its logarithm taken, and it is 0 there."
    remedy = "derive it without that division: from the factors themselves, or with a limit of its own"
    return Finding(relation, None, 0.9, shown, text, remedy)


def _of_sign(s: Seen, finite: Array, d: Array) -> bool:
    """Is right a multiple of the sign of d, or of dy times that, wherever it is not 0, as the slope of |d| is?"""
    slope = s.right[finite]
    if s.dy is not None and s.dy.shape == s.right.shape:
        slope = slope / np.where(s.dy[finite] == 0, np.nan, s.dy[finite])
    slope = (slope * np.sign(np.broadcast_to(d, s.right.shape)[finite])).ravel()
    slope = slope[np.isfinite(slope) & (slope != 0)]
    return bool(slope.size and np.ptp(slope) <= 1e-9 * np.abs(slope).max())


def _of_softmax(s: Seen) -> bool:
    """Does dx sum to 0 along an axis, as where only differences of x count?"""
    size = np.abs(s.right).max()
    return any(np.abs(s.right.sum(i)).max() <= 1e-9 * size for i, n in enumerate(s.right.shape) if n > 1)


def _zeros(s: Seen) -> Iterator[tuple[str, Array, Array]]:
    """Where something is 0, in words and as a mask, and what that is."""
    for n, a in (s.inputs if s.e.forward or s.loss else s.known).items():
        for u in spread(a, s.right.shape):
            yield f"{n} = 0", np.broadcast_to(u == 0, s.right.shape), u
    if s.own is not None and s.own.ndim:
        rows = np.broadcast_to((s.own == 0).all(-1, keepdims=True), s.own.shape)
        yield f"{s.name} = 0 along the last axis", rows, s.own


def _equals(s: Seen) -> Iterator[tuple[str, Array, Array]]:
    """Where something is 1, or equal to another, as `_zeros`."""
    for n, a in s.inputs.items():
        for u in spread(a, s.right.shape):
            yield f"{n} = 1", np.broadcast_to(u == 1, s.right.shape), u - 1
    for (n, a), (m, b) in itertools.combinations(s.inputs.items(), 2):
        if a.shape == b.shape == s.right.shape:
            yield f"{n} = {m}", a == b, a - b
            rows = (a == b).all(-1, keepdims=True) if a.ndim else a == b
            yield f"{n} = {m} along the last axis", np.broadcast_to(rows, a.shape), a - b


def noise(s: Seen) -> Found:
    """Right but for the rounding of a shorter format."""
    if not s.comparable or s.eps > 1e-10 or not s.right.any():
        return
    error = s.error / np.abs(s.right).max()
    rows = any(a.dtype.kind in "iu" and a.size for a in s.whole.values())
    product = sum(a.ndim > 1 for a in s.inputs.values()) > 1
    formats = (
        ("float32", 1e-10, 1e-4, "F15" * product),
        ("bfloat16", 1e-5, 0.1, ""),
        ("float16", 1e-6, 0.1, "F05" * rows),
    )
    for name, least, most, fault in formats:
        if s.e.format and (s.e.format, name) != ("float16", "bfloat16"):  # what is judged in it is of it, and of longer
            continue
        kept = np.array_equal(rounded(s.yours, name), s.yours)
        if kept and least < error < most and not _short(s, name):
            text = "" if fault else f"It is computed in {name}, although the data are {s.e.format or 'float64'}."
            remedy = "" if fault else f'keep the dtype of the input, or check it as what it is: dtype="{name}"'
            shown = f"relative error {error:.0e}"
            yield Finding(f"yours = right rounded to {name}", fault or None, 0.95, shown, text, remedy,
                          rounding=fault != "F05")  # fmt: skip
            return
        if name == "float32" and 1e-9 < error < 1e-6 and _scattered(s):
            relation = "yours agrees with right to 6 digits, without a pattern"
            causes = (
                "It is computed in float32 inside, its constants have as few digits, or an ε stands in one place only."
            )
            text = "" if fault else causes
            yield Finding(relation, fault or None, 0.7, f"relative error {error:.0e}", text, rounding=True)


def _short(s: Seen, name: str) -> bool:
    """Are the data themselves such that this format holds them?"""
    return all(np.array_equal(rounded(a, name), a) for a in s.inputs.values())


def _scattered(s: Seen) -> bool:
    """Errors of both signs that do not follow the size of what is right."""
    d = s.residual[s.wrong]
    return d.size > 3 and 0.15 < float((d > 0).mean()) < 0.85


FEATURES = (missing, through, not_finite, noise)
