"""replay: what is there now beside a recording, array by array, and the first node that is wrong.

    report = replay("golden/", model)                              the model as it is here and now
    report = replay("golden/", by_hand=True)                       the code by hand, on the graph that was recorded
    report = replay("golden/", numbers="theirs.safetensors")       what another program wrote

Every bound is the recording's own. The nodes that were recorded are run alone on the numbers that they were given
then, so that the first wrong one has a name, and the code by hand says which of the two is wrong.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import nn

from ..compare.comparison import Comparison
from ..compare.tensor import Tensor
from ..models import ModelReport, first_wrong
from ..report.report import Report
from ..sides.backends import EAGER
from ..sides.compiled import LIMIT
from ..sides.numbers import by_name
from ..sides.run import GRADIENT, Run
from . import format
from .environment import changed
from .judged import explained, rough_in
from .now import FEW, ByHand, ByTorch, Now, Written
from .recording import NOW, Recording, beside
from .torch_side import Way
from .written import in_dtype, run_of

Track = Callable[[Sequence[str]], Iterable[str]]


def replay(
    folder: Any, model: nn.Module | None = None, /, *args: Any, numbers: Any = None, by_hand: bool = False,
    device: str = "cpu", torch: str = EAGER, limit: float = LIMIT, track: Track = iter, **kwargs: Any,
) -> "ReplayReport":  # fmt: skip
    """What is there now beside the recording in a folder.

    model         the torch module that was recorded, as it is now
    args, kwargs  its sample, for a light recording only: a full one holds it
    numbers       in the place of a model a safetensors file, or another recording, with arrays of the same names
    by_hand       in the place of a model the code by hand
    device        where the module computes: "cpu", "cuda"
    torch         how torch runs it: "eager", "export", or a backend of torch.compile; limit: seconds that it may take
    """
    recording = format.read(folder)
    if sum((model is not None, numbers is not None, by_hand)) != 1:
        raise ValueError("replay takes one of a model, numbers=… and by_hand=True, as replay('golden/', model)")
    if model is not None:
        now: Now = ByTorch(recording, model, args, kwargs, Way(device, torch, limit))
    else:
        now = ByHand(recording) if by_hand else Written(run_of(recording, numbers))
    return held_beside(f"{folder}", recording, now, track)


@dataclass(frozen=True, repr=False)
class ReplayReport(ModelReport):
    """A report on what is there now beside what was recorded."""

    def _worst(self) -> list[str]:
        t = next((t for t in self.tensors if t.name == self.culprit and not t.ok), None)
        return [] if t is None else [f"First to differ: {place_of(t)}"]


def place_of(t: Tensor) -> str:
    """Where the largest difference is, with both values; or what differs before any number does."""
    if t.what:
        return f"{t.name}: {t.what}"
    if (worst := t.worst()) is None:
        return f"{t.name} differs in its projections, by {t.error:.3g}"
    where, now, then = worst
    return f"{t.name} at {list(where)}: {now:.17g} now, {then:.17g} in the recording"


def held_beside(title: str, recording: Recording, now: Now, track: Track = iter) -> ReplayReport:
    """The report."""
    found = beside(recording.whole, now.whole(), recording.dtype)
    runs = {} if recording.light and not found.wrong else each_node(recording, now, track)
    nodes = {n: beside(recording.nodes[n], run, recording.dtype) for n, run in runs.items()}
    node, culprit, _ = first_wrong(found, nodes)
    if recording.light:  # a node runs on what the model computes now, so that all behind a wrong one is wrong
        nodes = {n: c for n, c in nodes.items() if n == node}
    wrong = bool(found.wrong) or any(c.wrong for c in nodes.values())
    run = found.runs[0] if node is None else runs[node]
    side, suspects = explained(recording, now, node, run) if wrong else (None, ())
    may_be_rough = wrong and side != "recording" and all(s.rounding for s in suspects)
    rough = rough_in(recording, found, nodes) if may_be_rough else None
    verdict = found.verdict if not wrong else "coarse" if rough else "wrong"
    told = (str(rough),) if rough else ()
    return ReplayReport(
        f"{title}: {recording.model}", verdict, None if rough else side, culprit, suspects, found.tensors, (),
        told + notes(recording, now, found, nodes, runs), 1, ", ".join(f"{n} {s}" for n, s in recording.inputs.items()),
        recording.dtype, rough.digits if rough else None, graph=recording.graph, nodes=nodes, names=NOW,
    )  # fmt: skip


def each_node(recording: Recording, now: Now, track: Track) -> dict[str, Run]:
    """Every node of the recording that can be run alone now."""
    found = {name: now.node(name, recording.nodes[name]) for name in track([*recording.nodes])}
    return {name: run for name, run in found.items() if run is not None}


def notes(
    recording: Recording, now: Now, found: Comparison, nodes: Mapping[str, Comparison], runs: Mapping[str, Run]
) -> tuple[str, ...]:
    """What somebody has to know beside the figures."""
    told = [*now.notes(recording.dtype)] if found.wrong else []
    if isinstance(now, ByTorch | ByHand) and (
        other := changed(recording.environment, now.environment(recording.dtype))
    ):
        told.append(f"recorded elsewhere: {'; '.join(other)}")
    if isinstance(now, ByTorch) and (others := now.other_weights()):
        more = f" and {len(others) - FEW} more" * (len(others) > FEW)
        told.append(
            f"run with the weights of the recording; the model's own are others: {', '.join(others[:FEW])}{more}"
        )
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


def gradients_beside(gradients: Mapping[str, Any], folder: Any, title: str) -> Report:
    """Gradients, under the names of the recording or as people call them, beside those of a recording."""
    recording = format.read(folder)
    kept = {n.path: (n, a) for n, a in recording.whole.run.items() if n.role == GRADIENT and a is not None}
    given, zeros = by_name(gradients, {path: np.zeros(a.shape, recording.dtype) for path, (_, a) in kept.items()})
    run = in_dtype(recording, {kept[path][0]: zeros[path] if a is None else a for path, a in given.items()})
    whole = replace(recording.whole, run={n: recording.whole.run[n] for n in run})
    return held_beside(title, replace(recording, whole=whole, nodes={}), Written(run))
