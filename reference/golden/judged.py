"""Where what is there now is not what was recorded: which of the two is wrong, and what the mistake looks like."""

from collections.abc import Mapping
from functools import partial

from manualbp.base import options_of, registry

from ..compare.coarse import Coarse, coarse
from ..compare.comparison import Comparison
from ..diagnose import replays
from ..diagnose.evidence import Suspect
from ..judge import judge_numbers
from ..judge_evidence import Judged
from ..sides.module import twin_of
from ..sides.run import Run
from .now import ByHand, Now
from .recording import Recorded, RecordedRun, Recording, beside


def explained(
    recording: Recording, now: Now, node: str | None, run: Run
) -> tuple[str | None, tuple[Suspect, ...]]:  # fmt: skip
    """Which of the two is wrong in a node, or in the whole, by a third side; and what the mistake looks like."""
    part = recording.whole if node is None else recording.nodes[node]
    if part.trial is None:
        return None, ()
    third = third_side(recording, now, node)
    side = None
    if third is not None:
        third = {n: a for n, a in third.items() if n in part.run}
        like_then = not beside(part, third, recording.dtype).wrong
        like_now = not beside(RecordedRun(third, part.limits), {n: run.get(n) for n in third}, recording.dtype).wrong
        side = {(True, False): "now", (False, True): "recording"}.get((like_then, like_now))
    return side, () if side == "recording" else suspected(recording, node, part, run)


def rough_in(recording: Recording, found: Comparison, nodes: Mapping[str, Comparison]) -> Coarse | None:
    """How coarse all that is wrong is; None if one of it is wrong by more than the rounding of a shorter format."""
    told = [(recording.whole, found), *((recording.nodes[n], c) for n, c in nodes.items())]
    each = [_coarse(part, c) for part, c in told if c.wrong]
    return min((r for r in each if r), key=lambda r: r.digits) if each and all(each) else None


def _coarse(part: RecordedRun, found: Comparison) -> Coarse | None:
    if part.trial is None:
        return None
    return coarse(Recorded(found.runs[0]), Recorded(found.runs[1]), [(part.trial, found)])


def third_side(recording: Recording, now: Now, node: str | None) -> Run | None:
    """The code by hand; where that is what is judged, a node's twin in torch."""
    if not isinstance(now, ByHand):
        by_hand = ByHand(recording)
        return by_hand.whole() if node is None else by_hand.node(node, recording.nodes[node])
    if node is None:
        return None
    try:
        return twin_of(recording.layers[node], recording.seed).run(recording.nodes[node].trial)
    except (TypeError, ValueError, RuntimeError):  # a class without a twin
        return None


def suspected(recording: Recording, node: str | None, part: RecordedRun, run: Run) -> tuple[Suspect, ...]:
    """The mistakes that make the numbers of today out of those recorded."""
    layer = recording.graph if node is None else recording.layers[node]
    options = {k: float(v) for k, v in options_of(layer).items() if isinstance(v, (int, float))}
    known = node is not None and type(layer).__name__ in registry()
    again = partial(replays.of_layer, layer, recording.seed) if known else None
    judged = Judged(Recorded(run), None, Recorded(dict(part.run)), options, again)
    return judge_numbers(node or recording.model, judged, part.trial).suspects
