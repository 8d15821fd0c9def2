"""A model of somebody's own, as it is, beside the graph that was read from it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from manualbp.base import Tree, flatten, run, unflatten
from manualbp.optim import Rows

from ..compare.bound import WIDE
from ..draw.trial import Trial, cast
from ..twin import passes, randomness
from ..twin.layers import array, quiet, tensor
from ..twin.models import Read, named_arguments, refused
from . import record
from .raised import RefusedError
from .run import BUFFER, GRADIENT, OUTPUT, Run, named
from .side import Side

OF_INPUTS = "inplace operation", "is not implemented"  # said by torch of what it cannot go back through


class AskedError(ValueError):
    """An error of torch's in going back, which may be one only since a gradient by the inputs is asked for."""


class OfModel(Trial):
    """A trial of a model: x is a dict of its inputs by name, and its parameters count among what is compared.

    None is too large to be looked at twice: a model that is out of bounds is worth the time."""

    @property
    def large(self) -> bool:
        return False

    @property
    def arrays(self) -> dict[str, Any]:
        return self.x | {n: p for n, p in flatten(self.params).items() if n not in self.buffers}


def precision(trial: Trial) -> np.dtype:
    """The precision that a trial is given in."""
    return precision_of((*trial.x.values(), *flatten(trial.params).values()))


def precision_of(arrays: Iterable[Any]) -> np.dtype:
    """The real dtype of the first real array, or of the first complex one."""
    given = {a.dtype.kind: np.zeros((), a.dtype).real.dtype for a in reversed([*map(np.asarray, arrays)])}
    return given.get("f", given.get("c", np.dtype(float)))


@dataclass(frozen=True)
class Graphed(Side):
    """The graph, by hand. `reads`: as it was read in either precision, since a model's constants depend on it.
    `wide`: in longdouble, too, which has no fast product of matrices."""

    reads: Mapping[str, Read]
    seed: int
    wide: bool = True

    @property
    def precisions(self) -> tuple[Any, ...]:
        return (np.float32, np.float64, np.longdouble)[: 2 + (self.wide and WIDE)]

    def run(self, trial: Trial) -> Run:
        dtype = precision(trial)
        read = self.reads.get(dtype.name, self.reads["float64"])
        graph = read.graph
        params = unflatten(cast(flatten(read.params), dtype) | flatten(trial.params))
        x = tuple(trial.x[n] for n in graph.inputs)
        with np.errstate(all="ignore"):  # what overflows is compared, not warned of
            try:
                y, cache = run(graph, params, x if len(x) != 1 else x[0], np.random.default_rng(self.seed))
            except Exception as e:  # torch computes it, so this is no fault of the model
                raise RefusedError("forward", e) from e
            dy = dict(zip(graph.keys, trial.dy, strict=True)) if graph.keys else trial.dy
            try:
                dx, grads = graph.backward(params, cache, dy)
            except Exception as e:  # a node that gives a gradient of a wrong shape: alone it shows which
                raise RefusedError("backward", e) from e
            after = flatten(graph.track(params, cache))
        by_input = zip(graph.inputs, dx if len(x) != 1 else (dx,), strict=True)
        by_input = {n: g for n, g in by_input if trial.x[n].dtype.kind in "fc" and n not in read.still}
        learned = flatten(trial.params).keys() - {*trial.buffers}  # not a constant that is the weight of a layer
        by_param = {n: dense(g) for n, g in flatten(grads).items() if n in learned}
        buffers = {n: after[n] for n in trial.buffers}
        return named(OUTPUT, flatten(y, "y")) | named(GRADIENT, by_input | by_param) | named(BUFFER, buffers)

    def noise(self, trial: Trial, rng: np.random.Generator) -> Run | None:
        eps = float(np.finfo(precision(trial)).eps)
        noisy = {d: replace(r, graph=record.noisy(r.graph, rng, eps)) for d, r in self.reads.items()}
        return Graphed(noisy, self.seed, self.wide).run(trial)


@dataclass(frozen=True)
class Own(Side):
    """The user's module and autograd. `draws`: the random numbers that it drew when it was read, the same each time."""

    model: nn.Module
    args: tuple
    kwargs: Mapping[str, Any]
    seed: int | None
    draws: list[torch.Tensor]

    def run(self, trial: Trial) -> Run:
        y, given, left = self.forward(trial)
        leaves, keys = passes.outputs(y)
        pairs = pairs_of(leaves, trial.dy)
        try:
            if pairs:
                torch.autograd.backward([t for t, _ in pairs], [d for _, d in pairs])
        except RuntimeError as e:
            kind = AskedError if any(said in str(e) for said in OF_INPUTS) else ValueError
            raise kind(f"autograd itself cannot go back through this {type(self.model).__name__}: {e}") from e
        grads = {n: gradient(t) for n, t in (given.inputs | given.params).items() if t.requires_grad}
        after = {n: array(t) for n, t in left.items() if n in trial.buffers}
        return named(OUTPUT, flatten(keyed(leaves, keys), "y")) | named(GRADIENT, grads) | named(BUFFER, after)

    def outputs(self, trial: Trial) -> Tree:
        return keyed(passes.outputs(self.forward(trial)[0])[0], ())

    def forward(self, trial: Trial) -> tuple[Any, passes.PassInputs, dict[str, torch.Tensor]]:
        """What the model gives on the numbers of a trial."""
        dtype = getattr(torch, precision(trial).name)
        given, _ = self.given(trial, dtype)
        try:
            with quiet(), randomness.shared(self.seed):
                y, left = passes.run(self.model, given, passes.OwnRun(dtype, self.draws, False))
        except RuntimeError as e:
            raise refused(self.model, given, e) from e
        return y, given, left

    def given(self, trial: Trial, dtype: torch.dtype) -> tuple[passes.PassInputs, dict[str, torch.Tensor]]:
        """The sample and the state, with the numbers of a trial."""
        flat = {n: tensor(np.asarray(a)) for n, a in flatten(trial.params).items()}
        params = {n: t for n, t in flat.items() if n not in trial.buffers}
        buffers = {n: t for n, t in flat.items() if n in trial.buffers}
        positional, by_name = named_arguments(self.model, self.args, self.kwargs)
        return passes.given(dtype, params, buffers, positional, by_name, trial.x)


def pairs_of(y: Any, dy: Tree) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Outputs that have a gradient, each with its upstream one; dy is a tree of the same form, without None a leaf."""
    if isinstance(y, tuple):
        parts = dy.values() if isinstance(dy, dict) else dy
        return [pair for part in zip(y, parts, strict=True) for pair in pairs_of(*part)]
    if y is None or dy is None or not y.requires_grad:
        return []
    return [(y, tensor(np.asarray(dy)).to(y.dtype))]


def keyed(leaves: Any, keys: tuple[str, ...]) -> Tree:
    """Outputs as arrays, in a dict where they have keys."""

    def over(t: Any) -> Any:
        return tuple(map(over, t)) if isinstance(t, tuple) else None if t is None else array(t)

    return dict(zip(keys, map(over, leaves), strict=True)) if keys else over(leaves)


def gradient(t: torch.Tensor) -> np.ndarray:
    return array(torch.zeros_like(t) if t.grad is None else t.grad)


def dense(g: Any) -> np.ndarray:
    """A gradient given by some of its rows, as that of Embedding(sparse=True), as an array."""
    return g.dense() if isinstance(g, Rows) else g
