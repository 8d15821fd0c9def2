"""replay: what is there now beside a recording, array by array, and the first node that is wrong.

    report = replay("golden/", model)                              the model as it is here and now
    report = replay("golden/", by_hand=True)                       the code by hand, on the graph that was recorded
    report = replay("golden/", numbers="theirs.safetensors")       what another program wrote

Every bound is the recording's own. The nodes that were recorded are run alone on the numbers that they were given
then, so that the first wrong one has a name, and the code by hand says which of the two is wrong.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from manualbp.base import options_of, registry

from ..compare.comparison import Comparison
from ..compare.tensor import Tensor
from ..diagnose import replays
from ..diagnose.evidence import Suspect
from ..judge import Judged, judge_numbers
from ..models import ModelReport, first_wrong
from ..sides.module import twin_of
from ..sides.run import Run
from . import format
from .environment import changed
from .now import FEW, ByHand, ByTorch, Now, Written, of_layer
from .recording import Part, Recorded, Recording, beside

Track = Callable[[Sequence[str]], Iterable[str]]


def replay(
    folder: Any, model: nn.Module | None = None, /, *args: Any, numbers: Any = None, by_hand: bool = False,
    device: str = "cpu", track: Track = iter, **kwargs: Any,
) -> "Replayed":  # fmt: skip
    """What is there now beside the recording in a folder.

    model         the torch module that was recorded, as it is now
    args, kwargs  its sample, for a light recording only: a full one holds it
    numbers       in the place of a model a safetensors file, or another recording, with arrays of the same names
    by_hand       in the place of a model the code by hand
    device        where the module computes: "cpu", "cuda"
    """
    recording = format.read(folder)
    if sum((model is not None, numbers is not None, by_hand)) != 1:
        raise ValueError("replay takes one of a model, numbers=… and by_hand=True, as replay('golden/', model)")
    now: Now = ByHand(recording) if by_hand else Written(recording, numbers)
    if model is not None:
        now = ByTorch(recording, model, args, kwargs, device)
    return held_beside(f"{folder}", recording, now, track)


@dataclass(frozen=True, repr=False)
class Replayed(ModelReport):
    """A report on what is there now beside what was recorded."""

    def _worst(self) -> list[str]:
        t = next((t for t in self.tensors if not t.ok), None)
        return [] if t is None else [f"First culprit: {self.culprit}; {place_of(t)}"]


def place_of(t: Tensor) -> str:
    """Where the largest difference is, with both values; or what differs before any number does."""
    if t.what:
        return f"{t.name}: {t.what}"
    if (worst := t.worst()) is None:
        return f"{t.name} differs in its projections, by {t.error:.3g}"
    where, now, then = worst
    return f"{t.name} at {list(where)}: {now:.17g} now, {then:.17g} in the recording"


def held_beside(title: str, recording: Recording, now: Now, track: Track = iter) -> Replayed:
    """The report."""
    found = beside(recording.whole, now.whole(), recording.dtype)
    runs = {} if recording.light and not found.wrong else each_node(recording, now, track)
    nodes = {n: beside(recording.nodes[n], run, recording.dtype) for n, run in runs.items()}
    node, culprit, _ = first_wrong(found, nodes)
    if recording.light:  # a node runs on what the model computes now, so that all behind a wrong one is wrong
        nodes = {n: c for n, c in nodes.items() if n == node}
    side, suspects = (None, ()) if node is None else explained(recording, now, node, runs[node])
    wrong = bool(found.wrong) or any(c.wrong for c in nodes.values())
    return Replayed(
        f"{title}: {recording.model}", "wrong" if wrong else found.verdict, side, culprit, suspects, found.tensors, (),
        notes(recording, now, found, nodes, runs), 1, ", ".join(f"{n} {s}" for n, s in recording.inputs.items()),
        recording.dtype, graph=recording.graph, nodes=nodes,
    )  # fmt: skip


def each_node(recording: Recording, now: Now, track: Track) -> dict[str, Run]:
    """Every node of the recording that can be run alone now."""
    found = {name: now.node(name, recording.nodes[name]) for name in track([*recording.nodes])}
    return {name: run for name, run in found.items() if run is not None}


def explained(recording: Recording, now: Now, node: str, run: Run) -> tuple[str | None, tuple[Suspect, ...]]:
    """Which of the two is wrong in a node, by a third side, and what the mistake looks like."""
    part, layer = recording.nodes[node], recording.layers[node]
    if part.trial is None:
        return None, ()
    try:
        third = twin_of(layer, recording.seed).run(part.trial) if isinstance(now, ByHand) else None
    except (TypeError, ValueError, RuntimeError):  # a class without a twin
        return None, ()
    third = of_layer(layer, part, recording.seed) if third is None else third
    third = {n: a for n, a in third.items() if n in part.run}
    like_then = not beside(part, third, recording.dtype).wrong
    like_now = not beside(Part(third, part.limits), run, recording.dtype).wrong
    side = {(True, False): "now", (False, True): "recording"}.get((like_then, like_now))
    options = {k: float(v) for k, v in options_of(layer).items() if isinstance(v, (int, float))}
    known = type(layer).__name__ in registry()
    again = partial(replays.of_layer, layer, recording.seed) if known else None
    judged = Judged(Recorded(run), None, Recorded(dict(part.run)), options, again)
    return side, () if side == "recording" else judge_numbers(node, judged, part.trial).suspects


def notes(
    recording: Recording, now: Now, found: Comparison, nodes: Mapping[str, Comparison], runs: Mapping[str, Run]
) -> tuple[str, ...]:
    """What somebody has to know beside the figures."""
    told = []
    if isinstance(now, ByTorch | ByHand) and (
        other := changed(recording.environment, now.environment(recording.dtype))
    ):
        told.append(f"recorded elsewhere: {'; '.join(other)}")
    if recording.by_hand == "wrong":
        told.append("when it was recorded, the code by hand gave other numbers: the recording itself may be wrong")
    if found.wrong and nodes and not any(c.wrong for c in nodes.values()):
        told.append("every node alone is right: the fault is in how they are joined, or rounding piles up")
    missing = [n for n in recording.nodes if n not in runs]
    if missing and runs:
        more = f" and {len(missing) - FEW} more" * (len(missing) > FEW)
        told.append(f"not to be found in the model now, under these names: {', '.join(missing[:FEW])}{more}")
    for name, c in nodes.items():
        told += [f"{name}: {place_of(t)}" for t in c.wrong[:1]]
    return tuple(told)
