"""torch as a compiler runs it: the twin of a layer, or a module of somebody's, by `torch.compile` or exported.

A module is made anew for every run, as in `module`; what was compiled for the first of one precision is kept, and takes
the numbers of each that follows. What a compiler does with a network is an outcome of its own (`Outcome`): one graph,
several with Python between them, or none; and what it cannot do at all is raised as NotCompiledError, if torch as it is
can run the same.
"""

import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch._dynamo.utils import counters

from manualbp.base import Tree

from ..draw.trial import Trial
from ..twin import modules, randomness
from . import exported
from .backends import EAGER, EXPORT, compiled, first_line, silent
from .function import Function
from .module import Module, to_tensors
from .run import Run, leaves
from .side import Side

LIMIT = 120.0  # seconds that one network may take, its compilation included
VARIANTS = 64  # of one network: every run with other random functions is one


class NotCompiledError(Exception):
    """A compiler failed where torch as it is does not. kind: "crash", "too slow", or "random" numbers of its own."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class _TooSlow(BaseException):  # no Exception, which a compiler would take for a reason to fall back
    pass


@dataclass
class Outcome:
    """What became of a network: graphs that were compiled, and why there is more than one."""

    graphs: int = 0
    breaks: Counter[str] = field(default_factory=Counter)

    @property
    def kind(self) -> str:
        return "in parts" if self.breaks and self.graphs else "whole" if self.graphs else "not at all"


@dataclass(frozen=True)
class Compiled(Module):
    """backend: of torch.compile, or "export". by: the same by hand, which proves what cannot round.

    limit    seconds for one run with its compilation
    around   a context in which it runs, as one that works around a known fault
    """

    backend: str = "aot_eager"
    by: Side = field(default_factory=Side)
    limit: float = LIMIT
    around: Callable[[], AbstractContextManager] = nullcontext
    outcome: Outcome = field(default_factory=Outcome, compare=False, repr=False)
    networks: dict[Any, tuple[nn.Module, Callable]] = field(default_factory=dict, compare=False, repr=False)

    def may_miss_kinks(self, trial: Trial, rounds: bool) -> bool:
        return rounds

    def run(self, trial: Trial) -> Run:
        return self._guarded(partial(Module.run, self, trial), trial)

    def outputs(self, trial: Trial) -> Tree:
        return self._guarded(partial(Module.outputs, self, trial), trial)

    def proves_exact(self, trial: Trial) -> bool:
        return self.by.proves_exact(trial)

    def _guarded(self, run: Callable[[], Any], trial: Trial) -> Any:
        plain = partial(Module(self.make, self.seed, self.device).run, trial)
        with self.around():
            return guarded(run, plain, self.outcome, self.limit)

    def _forward(self, trial: Trial, requires_grad: bool) -> tuple[nn.Module, Any, Any]:
        module, inputs = self.make(trial), to_tensors(trial.x, self.device, requires_grad)
        with randomness.shared(self._draws(trial)):
            network, call = self._network(module, inputs, trial)
            return network, inputs, modules.as_tuple(call(inputs))

    def _draws(self, trial: Trial) -> randomness.ReplayingGenerator | None:
        """The random numbers of a run, drawn before: a compiler cannot look into NumPy's generator."""
        if self.seed is None:
            return None
        noted = randomness.RecordingGenerator(self.seed)
        with randomness.shared(noted), torch.no_grad():
            modules.call(self.make(trial), to_tensors(trial.x, self.device))
        return randomness.ReplayingGenerator(noted.draws)

    def _network(self, module: nn.Module, inputs: Any, trial: Trial) -> tuple[nn.Module, Callable]:
        """The module that was compiled, with the numbers of this one, and how it is called."""
        key = tuple((np.shape(a), str(getattr(a, "dtype", a))) for a in leaves(trial.x, "x").values()), trial.dtype
        if key not in self.networks:
            if not self.networks:
                torch._dynamo.reset()  # what was compiled of other networks is of no use to this one
            made = self._exported(module, inputs) if self.backend == EXPORT else self._compiled(module)
            self.networks[key] = module, made
        kept, call = self.networks[key]
        if kept is not module:
            kept.load_state_dict(module.state_dict())
            kept.zero_grad(set_to_none=True)
        return kept, call

    def _exported(self, module: nn.Module, inputs: Any) -> Callable:
        call = exported.network(modules.TakingTuple(module), (inputs,))
        self.outcome.graphs += 1
        return call

    def _compiled(self, module: nn.Module) -> Callable:
        def network(x: Any) -> Any:
            return modules.call(module, x)

        return compiled(network, self.backend)


@dataclass(frozen=True)
class CompiledFunction(Function):
    """The function intended, by torch.compile."""

    backend: str = "aot_eager"
    outcome: Outcome = field(default_factory=Outcome, compare=False, repr=False)

    def run(self, trial: Trial) -> Run:
        fast = replace(self, f=compiled(self.f, self.backend))
        plain = partial(Function(self.f, self.only).run, trial)
        return guarded(partial(Function.run, fast, trial), plain, self.outcome, LIMIT)


def function_side(f: Callable[..., Any], way: str) -> Function:
    """The function intended, as torch runs it in this way."""
    if way == EXPORT:
        raise ValueError(
            'torch.export takes a module: check_function takes torch="eager" or a backend of torch.compile'
        )
    return Function(f) if way == EAGER else CompiledFunction(f, backend=way)


def guarded(run: Callable[[], Any], plain: Callable[[], Any], outcome: Outcome, limit: float) -> Any:
    """What `run` gives. NotCompiledError where it takes too long, or fails, and `plain`, uncompiled, does not."""
    try:
        with limited(limit), watched(outcome):
            return run()
    except NotCompiledError:
        raise
    except Exception as e:
        plain()
        raise NotCompiledError("crash", first_line(e)) from e
    except _TooSlow:
        raise NotCompiledError("too slow", f"not compiled and run within {limit:g} s") from None


@contextmanager
def watched(outcome: Outcome) -> Iterator[None]:
    """Within it, graphs and the reasons for breaks between them are noted."""
    counters.clear()
    try:
        with torch._dynamo.config.patch(recompile_limit=VARIANTS), silent():
            yield
    finally:
        outcome.graphs += counters["stats"]["unique_graphs"]
        outcome.breaks.update({_short(reason): n for reason, n in counters["graph_break"].items()})


def _short(reason: str) -> str:
    """The reason for a break, without the advice that follows it."""
    return next((line.strip() for line in reason.splitlines() if line.strip()), reason)[:200]


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Within it, time is up after so many seconds; only in a main thread, and where there are signals for it."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: Any) -> None:
        raise _TooSlow

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
