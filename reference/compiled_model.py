"""A model of somebody's own as a compiler runs it, beside its back-propagation by hand; and every node of it alone,
compiled, with its true input and upstream gradient, so that the first one that diverges has a name."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import torch
from torch import nn

from .compare.coarse import Coarse, coarse
from .compare.comparison import GOOD, Comparison, compare
from .draw.trial import Trial
from .nodes import Alone, Call, first_wrong
from .sides import exported
from .sides.backends import EAGER, EXPORT, compiled
from .sides.compiled import LIMIT, NotCompiledError, Outcome, guarded
from .sides.model import Own, precision
from .sides.run import Run
from .sides.side import Side
from .torches import Torches, in_words
from .twin import known, passes, randomness


@dataclass(frozen=True)
class CompiledOwn(Own):
    """The user's module, copied, with the numbers of a trial in it, compiled as a user would."""

    way: str = "aot_eager"
    limit: float = LIMIT
    outcome: Outcome = field(default_factory=Outcome, compare=False, repr=False)
    made: dict[Any, tuple[nn.Module, Callable]] = field(default_factory=dict, compare=False, repr=False)

    def may_miss_kinks(self, trial: Trial, rounds: bool) -> bool:
        return rounds

    @property
    def plain(self) -> Own:
        """The same without a compiler."""
        return Own(self.model, self.args, self.kwargs, self.seed, self.draws)

    def run(self, trial: Trial) -> Run:
        return guarded(partial(Own.run, self, trial), partial(self.plain.run, trial), self.outcome, self.limit)

    def forward(self, trial: Trial) -> tuple[Any, passes.PassInputs, dict[str, torch.Tensor]]:
        dtype = getattr(torch, precision(trial).name)
        given, _ = self.given(trial, dtype)
        noted = None if self.seed is None else self._noted(trial)
        with randomness.shared(noted):
            module, call = self._copy(dtype, given)
        for name, t in (given.params | given.buffers).items():
            (module.get_parameter(name).data if name in given.params else module.get_buffer(name)).copy_(t.detach())
        module.zero_grad(set_to_none=True)
        with torch.enable_grad(), passes.default_dtype(dtype), randomness.shared(noted):
            y = call(*given.args, **given.kwargs)
        if noted is not None and noted.at != len(noted.draws) and self.way != EXPORT:  # which draws while it is read
            raise NotCompiledError("random", f"{type(self.model).__name__} {UNSEEN}")
        return y, replace(given, params=dict(module.named_parameters())), dict(module.named_buffers())

    def _noted(self, trial: Trial) -> randomness.ReplayingGenerator:
        """The random numbers of torch as it is: a compiler cannot look into a generator of NumPy."""
        noted = randomness.RecordingGenerator(self.seed or 0)
        replace(self.plain, seed=noted).forward(trial)
        return randomness.ReplayingGenerator(noted.draws)

    def _copy(self, dtype: torch.dtype, given: passes.PassInputs) -> tuple[nn.Module, Callable]:
        """The module in a precision, every parameter with a gradient, as the side by hand has it; and its call."""
        if dtype not in self.made:
            if not self.made:
                torch._dynamo.reset()  # what was compiled of other networks is of no use to this one
            module = passes.converted(copy.deepcopy(self.model), dtype).requires_grad_()
            if self.way == EXPORT:
                self.made[dtype] = module, exported.network(module, given.args, given.kwargs)
                self.outcome.graphs += 1
            else:
                self.made[dtype] = module, compiled(module, self.way)
        return self.made[dtype]


UNSEEN = (
    "draws random numbers that are not seeded where it is compiled, as torch.rand does, or a function imported by its "
    "name: it is compared compiled with torch.nn.functional.dropout, or in eval mode"
)


TOGETHER = "every node alone is right {}: the fault is in what it makes of several together"
UNDIVIDED = (
    "torch.export takes a whole module, so no node was judged alone: --torch aot_eager judges each, and names the "
    "first that is wrong"
)


@dataclass(frozen=True)
class CompiledCall(Call):
    """One call of torch, compiled alone."""

    way: str = "aot_eager"
    limit: float = LIMIT
    outcome: Outcome = field(default_factory=Outcome, compare=False, repr=False)

    def may_miss_kinks(self, trial: Trial, rounds: bool) -> bool:
        return rounds

    def run(self, trial: Trial) -> Run:
        plain = Call(self.step, self.again, self.values, self.seed, self.device)
        return guarded(partial(Call.run, self, trial), partial(plain.run, trial), self.outcome, self.limit)

    def made(self, call: Callable[[], Any], dtype: torch.dtype, source: Any) -> Any:
        if source is not None:
            noted = randomness.RecordingGenerator(source)
            super().made(call, dtype, noted)
            source = randomness.ReplayingGenerator(noted.draws)
        with torch.enable_grad(), passes.default_dtype(dtype), randomness.shared(source):
            return compiled(call, self.way)()


def examined(
    report: Any, own: Own, hand: Side, trial: Trial, alone: Callable[[bool], Mapping[str, Alone]], ways: Torches
) -> Any:
    """A report on a model as a compiler runs it, made of that on torch as it is. `alone`: its nodes, asked for or, if
    True, needed."""
    if report.verdict not in (*GOOD, "vacuous"):
        told = f"torch as it is and the side by hand differ already: it was not run {in_words(ways.torch)}"
        return replace(report, notes=(*report.notes, told))
    side = CompiledOwn(own.model, own.args, own.kwargs, own.seed, own.draws, way=ways.torch, limit=ways.limit)
    whole = CompiledPair(side, own if ways.against == EAGER else hand, trial)
    try:
        found = whole.found
    except NotCompiledError as e:
        raise ValueError(
            f"{in_words(ways.torch)} {report.title} could not be run ({e.kind}: {e}); torch as it is runs it, and "
            f"agrees with the side by hand"
        ) from e
    tried, failed = each_compiled(alone(bool(found.wrong)) if ways.torch != EXPORT else {}, ways)
    nodes = {n: each.found for n, each in tried.items()}
    _, culprit, _ = first_wrong(found, nodes)
    wrong = [each for each in (whole, *tried.values()) if each.found.wrong]
    rough = all_coarse(wrong)
    notes = (*report.notes, *what_became(side.outcome, ways.torch), *failed, *map(str, rough[:1]))
    faults = known.of(ways.torch, report.graph) if wrong else ()
    notes += tuple(f"known to be wrong in this torch: {k.name} ({k.source})" for k in faults)
    notes += (TOGETHER.format(in_words(ways.torch)),) * bool(nodes and found.wrong and len(wrong) == 1)
    notes += (UNDIVIDED,) * (ways.torch == EXPORT)
    verdict = found.verdict if not wrong else "coarse" if rough else "wrong"
    return replace(
        report, verdict=verdict, wrong_side="compiled" if verdict == "wrong" else None, culprit=culprit, suspects=(),
        tensors=found.tensors, notes=notes, nodes=nodes, names=ways.names, digits=rough[0].digits if rough else None,
    )  # fmt: skip


@dataclass(frozen=True)
class CompiledPair:
    """A compiled side, and the one beside it, on a trial."""

    compiled: Side
    other: Side
    trial: Trial

    @cached_property
    def found(self) -> Comparison:
        return compare(self.compiled, self.other, self.trial)


def each_compiled(alone: Mapping[str, Alone], ways: Torches) -> tuple[dict[str, CompiledPair], tuple[str, ...]]:
    """Every node, compiled alone; and a sentence for each that a compiler fails at."""
    tried, failed = {}, []
    for name, node in alone.items():
        hand, call = node.sides
        of_call = call.step, call.again, call.values, call.seed, call.device
        side = CompiledCall(*of_call, way=ways.torch, limit=ways.limit)
        each = CompiledPair(side, call if ways.against == EAGER else hand, node.trial)
        try:
            torch._dynamo.reset()
            each.found  # noqa: B018  (it is run here)
            tried[name] = each
        except NotCompiledError as e:
            failed.append(f"{name} alone could not be run {in_words(ways.torch)} ({e.kind}: {e})")
    return tried, tuple(failed)


def all_coarse(wrong: Sequence[CompiledPair]) -> tuple[Coarse, ...]:
    """How coarse they are, the worst first; nothing if one of them is wrong."""
    found = []
    for each in wrong:
        rough = coarse(each.compiled, each.other, [(each.trial, each.found)])
        if rough is None:
            return ()
        found.append(rough)
    return tuple(sorted(found, key=lambda rough: rough.digits))


def what_became(outcome: Outcome, way: str) -> tuple[str, ...]:
    """What a compiler made of the whole model."""
    told = f"{in_words(way)}: compiled {outcome.kind}"
    return (told, *(f"graph break: {reason}" for reason in outcome.breaks))
