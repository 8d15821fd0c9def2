"""The update half of a case: its optimizer by hand and in torch, in lock-step on the same gradients, state included."""

from dataclasses import replace

import numpy as np

from manualbp.base import flatten, options_of
from manualbp.optim import Rows
from manualbp.optim.base import Optimizer

from ..draw.case import Case
from ..twin.optimizers import Case as Steps
from ..twin.optimizers import Lockstep, draw, lockstep, run_hand, run_torch
from .bound import FACTOR, distance, largest, moved
from .comparison import LOOKS, Comparison, Tensor

DRAWN = 3  # steps on drawn gradients, after the one on the network's own


def compare_updates(case: Case, found: Comparison) -> Comparison:
    """`found`, and for every parameter and every array of the state the step at which the two sides differ most."""
    opt = case.optimizer
    assert opt is not None
    exact = case.exact and found.certified and case.dtype == "float64" and is_dyadic(opt)
    run = lockstep(opt, case.seed, case=steps_of(case, found, opt, exact))
    return replace(found, tensors=(*found.tensors, *_tensors(run, case.dtype, exact)))


def steps_of(case: Case, found: Comparison, opt: Optimizer, exact: bool) -> Steps:
    """The network's parameters and its own gradients, then drawn ones; drawn ones alone for an optimizer that takes
    other gradients, or none of these parameters."""
    grads = {t.name.removesuffix(".grad"): t.hand for t in found.tensors if t.name.endswith(".grad")}
    real = {n: p for n, p in flatten(case.data()[0]).items() if p.dtype.kind == "f" and p.size}
    params = {n: p for n, p in real.items() if p.ndim in opt.ranks}
    own = {n: grads.get(n) for n in params}
    drawn = draw(opt, case.seed, DRAWN + 3, exact)
    takes_rows = any(isinstance(g, Rows) for g in drawn.grads[0].values())
    if opt.by_closure or takes_rows or not any(g is not None and np.isfinite(g).all() for g in own.values()):
        return drawn
    rng = np.random.default_rng(case.seed)
    later = [
        {n: None if g is None else rng.choice(_pool(drawn), g.shape) for n, g in own.items()} for _ in range(DRAWN)
    ]
    return Steps(params, [own, *later], [1.0, 1.0, *drawn.rates[2 : DRAWN + 1]])


def _pool(drawn: Steps) -> np.ndarray:
    """All numbers that were drawn as gradients: 1 down to 10⁻⁸, and zeros."""
    return np.concatenate([g.ravel() for grads in drawn.grads for g in grads.values() if g is not None])


def is_dyadic(opt: Optimizer) -> bool:
    """Do small integers stay without rounding under this rule and these options?"""
    numbers = [v for v in options_of(opt).values() if isinstance(v, float)]
    return opt.dyadic and all((v * 64).is_integer() for v in numbers)


def _tensors(run: Lockstep, dtype: str, exact: bool) -> list[Tensor]:
    """The worst step of every array. Where a bound is exceeded, what both sides make of data moved by their last bits
    is added to it: a line search magnifies them by up to a billion."""
    found = _worst(run, dtype, exact, [])
    if exact or all(t.ok for t in found):
        return found
    return _worst(run, dtype, exact, second_look(run, dtype))


def _worst(run: Lockstep, dtype: str, exact: bool, spread: list[dict[str, float]]) -> list[Tensor]:
    worst: dict[str, Tensor] = {}
    last = _before_chaos(run, dtype, spread)
    for k, name, error, bound in run.compared(dtype):
        if k > last:
            break
        hand, torch = (side[k - 1].get(name) for side in run.sides(dtype))
        told = f"{name} after step {k}"
        bound = 0.0 if exact else bound + (FACTOR * spread[k - 1].get(name, 0.0) if spread else 0.0)
        t = Tensor(told, hand, torch, error, bound, error == 0, None, 0.0)
        if name not in worst or t.ratio > worst[name].ratio:
            worst[name] = t
    return list(worst.values())


def _before_chaos(run: Lockstep, dtype: str, spread: list[dict[str, float]]) -> int:
    """The last step that can be compared: after it, last bits move a parameter by more than a thousandth of itself.
    So ends a descent without line search that runs off to 10¹⁰⁰."""
    for k, (moves, hand) in enumerate(zip(spread, run.sides(dtype)[0])):
        if any(moves.get(n, 0.0) > 1e-3 * largest(hand[n]) for n in run.case.params if n in hand and hand[n].size):
            return k
    return len(run.case.grads)


def second_look(run: Lockstep, dtype: str) -> list[dict[str, float]]:
    """For every step, how far each array of either side moves when the parameters do by their last bits."""
    rng, kind = np.random.default_rng(0), np.dtype(dtype).type
    spread: list[dict[str, float]] = [{} for _ in run.case.grads]
    for _ in range(LOOKS):
        case = replace(run.case, params={n: moved(rng, p.astype(kind)) for n, p in run.case.params.items()})
        for side, before in zip((run_hand, run_torch), run.sides(dtype), strict=True):
            for of_step, after, start in zip(spread, side(run.opt, case, kind), before, strict=True):
                for n in after.keys() & start.keys():
                    of_step[n] = max(of_step.get(n, 0.0), distance(after[n], start[n]))
    return spread
