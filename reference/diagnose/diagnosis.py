"""From wrong gradients to the name of the mistake.

Each of the `features` looks at one wrong tensor of one trial and yields relations that give the wrong numbers
back. Here they are joined: a relation is worth the more, the more of the wrong tensors follow it in every trial.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..faults import KNOWN
from .evidence import Evidence, Suspect
from .facts import facts
from .features import CHEAP, FEATURES, OF_ROUNDING
from .features.replay import replay, with_replays
from .features.seen import Finding, Found, Seen

if TYPE_CHECKING:  # contracts know torch, which a diagnosis does not need
    from .contracts import Broken

LEAST = 0.25  # score below which nothing is said
SHOWN = 6  # suspects at most
SURE, PLAIN = 0.9, 0.6  # from where on a mistake that has a name needs no relation beside it, unless that is as good
FAINT = ("F15", "C10", "C11", "D06", "D18")  # mistakes that may be as small as rounding in a shorter format
ROUNDING = "F15"
LEAKS = ("B08", "B10")  # what passes from one call to the next makes numbers wrong, too
LARGE = 20_000  # entries of a tensor above which only the cheap features are tried


def diagnose(evidence: Sequence[Evidence]) -> tuple[Suspect, ...]:
    """The mistakes that explain what was seen, the likeliest first; none where nothing does."""
    pairs = [(Seen(e), told) for e, told in with_replays(evidence)]
    seen = [s for s, _ in pairs]
    replayed = [[f for f in replay(s, told) if not s.faint or f.fault in FAINT] for s, told in pairs]
    sure = bool(set.intersection(*({f.fault for f in each} for each in replayed))) if replayed else False
    found: dict[tuple[str | None, str], dict[int, Finding]] = defaultdict(dict)
    for i, s in enumerate(seen):
        for f in (*findings(s, sure), *replayed[i]):
            best = found[f.fault, f.relation].get(i)
            if best is None or best.score < f.score:
                found[f.fault, f.relation][i] = f
    groups = sorted(_by_fault(found).values(), key=len, reverse=True)  # among equals the one with more signs first
    suspects = [s for group in groups if (s := _joined(group, seen)) and s.score >= LEAST]
    suspects.sort(key=lambda s: (-s.score, _breadth(s)))
    sure = bool(suspects) and suspects[0].fault is not None and suspects[0].score >= SURE
    return tuple([s for s in suspects if s.fault or not sure or s.score >= PLAIN][:SHOWN])


def _breadth(s: Suspect) -> int:
    """How many classes can have the mistake: among equals, the one that few can have is the likelier."""
    return len(KNOWN[s.fault].classes()) if s.fault in KNOWN else 0


def explain(small: Sequence[Evidence], whole: Sequence[Evidence]) -> tuple[tuple[Suspect, ...], tuple[str, ...]]:
    """The suspects, sought in `small`, and the facts of `whole`. A verdict is never lost with an explanation of it."""
    suspects, notes = (), ()
    try:
        suspects = diagnose(small)
    except Exception as e:
        notes = (f"the diagnosis failed with {type(e).__name__}: {e}; the verdict does not depend on it",)
    try:
        return suspects, (*notes, *facts(whole))
    except Exception as e:
        return suspects, (*notes, f"the facts could not be found: {type(e).__name__}: {e}")


def of_side(suspects: Sequence[Suspect], side: str | None) -> tuple[Suspect, ...]:
    """Where the backward is right and the forward is not, what would explain a wrong backward is no mistake."""
    return tuple(s for s in suspects if s.forward or side != "forward")


def of_contracts(broken: "Sequence[Broken]", alone: bool) -> tuple[Suspect, ...]:
    """The mistakes that broken contracts are. What leaks from call to call is also why numbers are wrong."""
    known = [(b, KNOWN[b.fault]) for b in broken if b.fault]
    return tuple(
        Suspect(
            f.id,
            f.text,
            f.relation,
            f.remedy,
            f.needs.replace("–", ""),
            b.text,
            0.98 if alone or f.id in LEAKS else 0.5,
        )
        for b, f in known
    )


def findings(s: Seen, sure: bool = False) -> Found:
    """What the features find in one wrong tensor; only the cheap ones where a replay gives every number back."""
    tried = OF_ROUNDING if s.faint else FEATURES if s.right.size <= LARGE and not sure else CHEAP
    for feature in tried:
        with np.errstate(all="ignore"):
            try:
                yield from feature(s)
            except (ValueError, IndexError, ZeroDivisionError, np.linalg.LinAlgError, ImportError):
                # it says nothing, or not without the library of a format; others may
                continue


@dataclass(frozen=True)
class _Explained:
    """A relation, and the tensors (by their number) that follow it."""

    relation: str
    of: Mapping[int, Finding]


def _by_fault(found: Mapping[tuple[str | None, str], dict[int, Finding]]) -> dict[str, list[_Explained]]:
    """Relations under the mistake that they are signs of; those that are signs of none by themselves."""
    groups: dict[str, list[_Explained]] = defaultdict(list)
    for (fault, relation), of in found.items():
        groups[fault.split(".")[0] if fault else relation].append(_Explained(relation, of))
    return groups


def _joined(group: list[_Explained], seen: Sequence[Seen]) -> Suspect | None:
    """One suspect of all relations that are signs of it: for every tensor the relation that holds most often."""
    names = dict.fromkeys(s.name for s in seen)
    told: dict[str, tuple[float, _Explained]] = {}
    for name in names:
        of_name = [i for i, s in enumerate(seen) if s.name == name]
        for explained in group:
            if len(of_name) == 1 and any(f.chance for f in explained.of.values()):
                continue
            hits = [explained.of[i].score for i in of_name if i in explained.of]
            worth = sum(hits) / len(of_name) * len(hits) / len(of_name)
            least = 1.0 if any(f.everywhere for f in explained.of.values()) else 0.5
            if len(hits) >= least * len(of_name) and worth > told.get(name, (0.0,))[0]:
                told[name] = worth, explained
    if not told or _accident(told, seen):
        return None
    breadth = sum(s.name in told for s in seen) / len(seen)
    score = max(worth for worth, _ in told.values()) * (0.8 + 0.2 * breadth)
    return _suspect(told, seen, score)


def _accident(told: Mapping[str, tuple[float, _Explained]], seen: Sequence[Seen]) -> bool:
    """Could it be chance? Not if what is given back takes more bits to say than there are relations to try.

    k wrong entries among n: log₂ (n over k) bits for where they are, and for each what it is, 3 for a small integer.
    """
    follow = {i: x.of[i].score for _, x in told.values() for i in x.of}
    bits = 0.0
    for s in (seen[i] for i in follow):
        n, k = s.right.size, int(s.wrong.sum()) if s.yours.shape == s.right.shape else s.right.size
        bits += math.log2(math.comb(n, k)) if n < 1000 else 40.0
        bits += k * (40 if s.is_real or not s.comparable else 3)
    return bits < (6 if max(follow.values()) > 0.9 else 11)


def _suspect(told: Mapping[str, tuple[float, _Explained]], seen: Sequence[Seen], score: float) -> Suspect:
    """In words: what the catalogue says, the relation, and how many tensors follow it."""
    _, best = max(told.values(), key=lambda t: t[0])
    finding = next(iter(best.of.values()))
    fault = KNOWN.get(finding.fault or "")
    hits = sum(1 for i, s in enumerate(seen) if s.name in told and i in told[s.name][1].of)
    names = ", ".join(f"d{n}" if not any(s.e.forward for s in seen if s.name == n) else n for n in told)
    of_all = f"{names}: it gives {hits} of {sum(s.name in told for s in seen)} wrong tensors within the bound"
    relation = best.relation + (f", {finding.shown}" if finding.shown else "")
    return Suspect(
        finding.fault,
        finding.text or (fault.text if fault else f"A mistake of the kind {finding.fault}."),
        relation,
        finding.remedy or (fault.remedy if fault else ""),
        finding.shown_by or (fault.needs.replace("–", "") if fault else ""),
        of_all,
        round(score, 3),
        any(s.e.forward for s in seen if s.name in told),
        finding.rounding or finding.fault == ROUNDING,
    )
