"""What is certain about a wrong tensor, in words: which entries are wrong, by how much, what is special about them."""

from collections.abc import Sequence

import numpy as np

from .evidence import Evidence
from .features.regions import covers, regions
from .features.seen import Seen
from .slices import of_slices

MOST = 4  # slices that are listed
SAME = 1e-9  # relative: two ratios that are one
NEARLY = 1e-3  # relative error below which a ratio says nothing


def facts(evidence: Sequence[Evidence]) -> tuple[str, ...]:
    """A sentence for every wrong tensor, from the first trial in which it was wrong."""
    each: dict[str, list[Seen]] = {}
    for e in evidence:
        each.setdefault(e.name, []).append(Seen(e))
    told = [_sentence(*of) for of in each.values()]
    if evidence and not any(s.is_real for of in each.values() for s in of):
        none = not any(a.any() for of in each.values() for s in of for a in s.inputs.values())
        told.append("only zeros show it" if none else "it is seen on small integers, which may lie on kinks and ties")
    return tuple(told)


def _sentence(s: Seen, *others: Seen) -> str:
    """others: the same tensor in other trials."""
    what = s.name if s.e.forward else f"d{s.name}"
    if not s.yours.size and s.right.size:
        return f"{what} is missing"
    if s.yours.shape != s.right.shape:
        whose = "that of the function intended is" if s.e.forward else "its input"
        return f"{what} has the shape {s.yours.shape}, and {whose} {s.right.shape}"
    with np.errstate(all="ignore"):
        sliced = of_slices((s, *others))
        return f"{what} is wrong {_place(s, others)}; {sliced or _values(s)}"


def _place(s: Seen, others: Sequence[Seen]) -> str:
    """Which entries. What is special about them must be so in the other trials, too."""
    wrong, n = int(s.wrong.sum()), s.right.size
    if wrong == n:
        return "in its one entry" if n == 1 else f"in all of its {n} entries"
    told = f"in {wrong} of {n} entries"
    named = regions(s) if s.comparable else ()
    special = next((r.name for r in named if covers(s, r) and _elsewhere(r.name, others)), "")
    if wrong == 1:
        at = np.unravel_index(int(np.argmax(s.wrong)), s.right.shape)
        told = f"in one of {n} entries, at [{', '.join(map(str, at))}]"
        special = "" if s.is_real else special  # of a single entry much is special
    if special:
        where = "" if special.startswith(("at ", "on ", "off ", "above", "below", "next")) else "where "
        return f"{told}, only {where}{special}"
    for axis, length in enumerate(s.right.shape if wrong > 1 else ()):
        slices = np.flatnonzero(np.moveaxis(s.wrong, axis, 0).reshape(length, -1).any(1))
        if slices.size <= min(MOST, length - 1):
            return f"{told}, at {', '.join(map(str, slices))} along axis {axis} only"
        right = np.setdiff1d(np.arange(length), slices)
        if 0 < right.size <= min(MOST, length - 2) and s.right.size > length:
            return f"{told}; right at {', '.join(map(str, right))} along axis {axis} only"
    return told


def _elsewhere(region: str, others: Sequence[Seen]) -> bool:
    """Is no trial against it? Where there is no such region, as in a tensor that is wrong throughout, none is."""
    for s in others:
        if s.comparable and not s.wrong.all() and any(r.name == region and not covers(s, r) for r in regions(s)):
            return False
    return True


def _values(s: Seen) -> str:
    """What is there."""
    yours, right = (a if s.wrong.all() else a[s.wrong] for a in (s.yours, s.right))
    if bad := int((~np.isfinite(yours)).sum()):
        return "NaN or infinite there" if bad == yours.size else f"NaN or infinite in {bad} of them"
    if bad := int((~np.isfinite(right)).sum()):
        return f"right is NaN or infinite {'there' if bad == right.size else f'in {bad} of them'}, yours is not"
    if not yours.any():
        return "yours is 0 there"
    if not right.any():
        return f"right is 0 there, yours up to {np.abs(yours).max():.3g}"
    told = f"off by up to {s.error:.3g}, where the largest entry is {np.abs(s.right).max():.3g}"
    if s.multiple is not None and abs(s.multiple - 1) >= NEARLY:
        return f"yours is {s.multiple:.6g} times right{' throughout' * (yours.size > 1)}"
    ratio = yours / right
    low, high = float(ratio.min()), float(ratio.max())
    if yours.size > 1 and right.all() and high - low <= SAME * abs(high) and abs(high - 1) >= NEARLY:
        return "yours is right with the other sign there" if high == -1 else f"yours is {high:.6g} times right there"
    if high < 0:
        told += ", and of the other sign throughout"
    elif right.all() and max(off := (1 - low, high - 1)) < NEARLY:
        told += f", {max(off):.2g} of what is right"
    elif right.all() and low > 0:
        least, most = f"{low:.4g}", f"{high:.4g}"
        told += f", yours/right from {least} to {most}" if least != most else f", yours/right about {least}"
    if yours.size > 1 and abs(s.residual.sum()) <= 1e-9 * np.abs(s.residual).sum() < np.abs(right.sum()):
        told += ", and both sum to the same"
    return told
