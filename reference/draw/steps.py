"""What optimizers are tried on: parameters, gradients for every step, a learning rate that changes."""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from manualbp.base import flatten, options_of
from manualbp.optim import Group, Optimizer, Rows

from .trial import Trial

DRAWN = 3  # steps on drawn gradients, after the one on the network's own
POOL = 200  # numbers that these are chosen from: 1 down to 10⁻⁸, and zeros

Flat = dict[str, np.ndarray]  # parameters by name, and their state as "name/slot"


@dataclass(frozen=True)
class Steps:
    """What both sides are run on: parameters, one dict of gradients a step (None where one is missing), and a factor
    of the learning rate for every step. For LBFGS, `grads` holds the coefficients of the function to minimise."""

    params: Flat
    grads: list[dict[str, Any]]
    rates: list[float]


def draw(opt: Optimizer, seed: int, steps: int = 6, exact: bool = False) -> Steps:
    """A random case: a parameter of every rank, one without gradient, one whose first gradient comes late, one whose
    gradient is missing once; gradients from 1 down to 1e-8 in one array, zeros among them; a rate that changes."""
    rng = np.random.default_rng(seed)
    ranks = [r for r in opt.ranks for _ in range(1 if len(opt.ranks) > 2 else 3)]
    shapes = _shapes(rng, {f"{i}.{'bias' if i % 2 else 'weight'}": rank for i, rank in enumerate(ranks)})
    shapes |= _shapes(rng, dict.fromkeys(("late.weight", "unused.weight", "once.weight"), max(opt.ranks[:3])))
    params = _split(_values(rng, _total(shapes), exact, span=0), shapes)
    grads = _gradients(opt, rng, shapes, steps, exact)
    for k, given in enumerate(grads):
        given["unused.weight"] = None
        if k < 2:
            given["late.weight"] = None
        if k == 2:
            given["once.weight"] = None
    return Steps(params, grads, [1.0, 1.0, *_rates(rng, steps - 2)])


def with_twins(steps: Steps, ranks: tuple[int, ...], seed: int) -> Steps:
    """With a second array of the shape of the first of each of these ranks: state kept by shape, or gradients mixed up
    among arrays of one shape, can be seen in no other way."""
    rng = np.random.default_rng((seed, 2))
    alike = [next((p for p in steps.params.values() if p.ndim == rank), None) for rank in ranks]
    shapes = {f"{len(steps.params) + i}.twin": p.shape for i, p in enumerate(p for p in alike if p is not None)}
    twins = _split(_values(rng, _total(shapes), False, span=0), shapes)
    given = _values(rng, len(steps.grads) * _total(shapes), False).reshape(len(steps.grads), -1)
    grads = [{**own, **_split(of_step, shapes)} for own, of_step in zip(steps.grads, given, strict=True)]
    return Steps({**steps.params, **twins}, grads, steps.rates)


def _shapes(rng: np.random.Generator, ranks: dict[str, int]) -> dict[str, tuple[int, ...]]:
    """A small shape of every rank."""
    sizes = iter(rng.integers(1, 5, sum(ranks.values())).tolist())
    return {name: tuple(itertools.islice(sizes, rank)) for name, rank in ranks.items()}


def _rates(rng: np.random.Generator, count: int) -> list[float]:
    return rng.choice([0.25, 0.5, 2.0], count).tolist()


def _values(rng: np.random.Generator, count: int, exact: bool, span: float = 8) -> np.ndarray:
    """Numbers of either sign and sizes 10^−span to 1 with zeros among them, exact in float32; or small integers."""
    if exact:
        return rng.integers(-3, 4, count).astype(float)
    sizes = 10.0 ** rng.uniform(-span, 0, count) if span else np.abs(rng.standard_normal(count))
    drawn = sizes * rng.choice([-1.0, 1.0], count) * (rng.random(count) > 0.1)
    return np.asarray(drawn, np.float32).astype(float)


def _total(shapes: dict[str, tuple[int, ...]]) -> int:
    return sum(map(math.prod, shapes.values()))


def _split(numbers: np.ndarray, shapes: dict[str, tuple[int, ...]]) -> Flat:
    """Arrays of these shapes out of as many numbers."""
    ends = [0, *itertools.accumulate(map(math.prod, shapes.values()))]
    return {n: numbers[i:j].reshape(shape) for (n, shape), i, j in zip(shapes.items(), ends, ends[1:])}


def _gradients(
    opt: Optimizer, rng: np.random.Generator, shapes: dict[str, tuple[int, ...]], steps: int, exact: bool
) -> list[dict[str, Any]]:
    """Of every step."""
    if opt.by_rows:
        return [{n: _rows(rng, shape, exact) for n, shape in shapes.items()} for _ in range(steps)]
    drawn = _values(rng, steps * _total(shapes), exact, span=0 if opt.by_closure else 8)
    return [dict(_split(of_step, shapes)) for of_step in drawn.reshape(steps, -1)]


def _rows(rng: np.random.Generator, shape: tuple[int, ...], exact: bool) -> Rows:
    """Some rows twice, some never, at times none at all."""
    indices = rng.integers(0, shape[0], rng.integers(0, 5))
    values = _values(rng, len(indices) * math.prod(shape[1:]), exact)
    return Rows(indices, values.reshape(len(indices), *shape[1:]), shape)


def of_network(trial: Trial, grads: dict[str, Any], opt: Optimizer, exact: bool) -> Steps:
    """The network's parameters and its own gradients, then drawn ones; drawn ones alone for an optimizer that takes
    other gradients, or none of these parameters, and where one of the network's own is so large that a product of two
    second moments overflows: then the order of operations decides between ∞ and NaN."""
    own = {n: p for n, p in flatten(trial.params).items() if p.dtype.kind == "f" and p.size and p.ndim in opt.ranks}
    given = {n: grads.get(n) for n in own}
    there = [g for g in given.values() if g is not None]
    with np.errstate(over="ignore"):
        small = all(np.isfinite(np.square(np.square(g))).all() for g in there)
    if opt.by_closure or opt.by_rows or not there or not small:
        return draw(opt, trial.seed, DRAWN + 1, exact)
    rng = np.random.default_rng(trial.seed)
    pool = _values(rng, POOL, exact)
    later = [{n: None if g is None else rng.choice(pool, g.shape) for n, g in given.items()} for _ in range(DRAWN)]
    return Steps(own, [given, *later], [1.0, 1.0, *_rates(rng, DRAWN - 1)])


def is_dyadic(opt: Optimizer) -> bool:
    """Do small integers stay without rounding under this rule and these options?"""
    numbers = [v for v in options_of(opt).values() if isinstance(v, float)]
    return opt.dyadic and all((v * 64).is_integer() for v in numbers)


def in_two_groups(opt: Optimizer) -> Optimizer:
    """The optimizer with a second group that has half the learning rate and another weight decay."""
    if "groups" not in options_of(opt) or opt.groups:
        return opt
    decay = {"weight_decay": 0.25} if "weight_decay" in options_of(opt) else {}
    return opt.replace(groups=(Group("*.bias", lr=opt.lr / 2, **decay),))


def scaled(opt: Optimizer, rate: float) -> Optimizer:
    """The optimizer with all of its learning rates multiplied."""
    if rate == 1:
        return opt

    def with_rate(g: Group) -> Group:
        return Group(g.names, **{k: v * rate if k == "lr" else v for k, v in g.options.items()})

    groups = {"groups": tuple(map(with_rate, opt.groups))} if "groups" in options_of(opt) else {}
    return opt.replace(lr=opt.lr * rate, **groups)
