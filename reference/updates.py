"""The update half of a case: its optimizer by hand and in torch, in lock-step on the same gradients, state included."""

from dataclasses import replace

import numpy as np

from manualbp.base import flatten, options_of
from manualbp.optim import Rows
from manualbp.optim.base import Optimizer

from .case import Case
from .compare import Comparison, Tensor
from .optim_twin import Case as Steps
from .optim_twin import Lockstep, draw, lockstep

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
    """The worst step of every array."""
    worst: dict[str, Tensor] = {}
    for k, name, error, bound in run.compared(dtype):
        hand, torch = (side[k - 1].get(name) for side in run.sides(dtype))
        told = f"{name} after step {k}"
        t = Tensor(told, hand, torch, error, 0.0 if exact else bound, error == 0, None, 0.0)
        if name not in worst or t.ratio > worst[name].ratio:
            worst[name] = t
    return list(worst.values())
