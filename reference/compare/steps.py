"""Somebody's update rule beside one of torch.optim, in lock-step on the same gradients."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from manualbp.base import Array, registry
from manualbp.optim.base import Optimizer

from ..diagnose.evidence import Suspect
from ..faults import faults
from ..report.report import Report
from ..twin.optimizers import Case as Steps
from ..twin.optimizers import draw, run_hand, run_torch
from .bound import EPS, FACTOR, RATIO, distance, largest
from .comparison import Tensor


def check_step(
    step: Callable, against: type[torch.optim.Optimizer], steps: int, seed: int, options: Mapping[str, Any]
) -> Report:
    """The report on step(p, g, state) -> p, state."""
    if against.__name__ not in registry(Optimizer):
        raise ValueError(f"against={against.__name__}: known are {', '.join(registry(Optimizer))}")
    opt = registry(Optimizer)[against.__name__](**options)
    drawn = draw(opt, seed, steps)
    shown = {n: p for n, p in drawn.params.items() if n not in ("late.weight", "unused.weight", "once.weight")}
    case = Steps(shown, [{n: g[n] for n in shown} for g in drawn.grads], [1.0] * steps)
    runs = {d: run_torch(opt, case, d) for d in (np.float32, np.float64)}
    yours = run_step(step, case)
    tensors = tuple(_tensor(k, n, yours, case, runs) for k in range(steps) for n in shown)
    wrong = [t for t in tensors if not t.ok]
    title = getattr(step, "__name__", "step")
    if not wrong:
        verdict = "identical" if all(t.identical for t in tensors) else "rounding"
        return Report(title, verdict, None, None, (), _last(tensors), trials=steps, shown=str(opt))
    suspects = tuple(_replayed(opt, case, yours))
    return Report(
        title,
        "wrong",
        None,
        wrong[0].name,
        suspects,
        tuple(wrong[:6]),
        trials=steps,
        shown=str(opt),
        notes=(f"the first wrong step is {wrong[0].name.split()[-1]} of {steps}",),
    )


def run_step(step: Callable, case: Steps) -> list[dict[str, Array]]:
    """Parameters after every step; each parameter with a state of its own."""
    params, state, history = {n: np.array(p) for n, p in case.params.items()}, dict.fromkeys(case.params), []
    for grads in case.grads:
        for n, g in grads.items():
            if g is not None:
                moved, state[n] = step(params[n], np.array(g), state[n])  # in place if it likes: so steps are written
                params[n] = np.asarray(moved, float)
        history.append({n: p.copy() for n, p in params.items()})
    return history


def _tensor(k: int, n: str, yours: list[dict], case: Steps, runs: Mapping[Any, list[dict]]) -> Tensor:
    """A parameter after step k+1, against the bound of torch's own rounding."""
    p, t64, t32 = yours[k][n], runs[np.float64][k][n], runs[np.float32][k][n]
    g = case.grads[k][n]
    before = runs[np.float64][k - 1][n] if k else case.params[n]
    s = max(largest(t64), largest(before), largest(g) if isinstance(g, np.ndarray) else 0.0)
    bound = FACTOR * (RATIO * distance(t32, t64) + (k + 1) * EPS["float64"] * s)
    name = f"{n} after step {k + 1}"
    if p.shape != t64.shape:
        return Tensor(name, p, t64, float("inf"), bound, False, None, 1.0, f"shape {p.shape}, torch's {t64.shape}")
    error = distance(p, t64) if np.isfinite(p).all() else float("inf")
    return Tensor(name, p, t64, error, bound, bool(error == 0), bound / s if s > bound else None, 0.0)


def _last(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The last step of every parameter."""
    last = tensors[-1].name.split()[-1]
    return tuple(t for t in tensors if t.name.split()[-1] == last)


def _replayed(opt: Optimizer, case: Steps, yours: list[dict]) -> list[Suspect]:
    """The mistakes of the catalogue that give these very numbers at every step."""
    found = []
    for fault in faults(type(opt).__name__).values():
        try:
            with np.errstate(all="ignore"):
                wrong = fault.make(type(opt))(**vars(opt))
                told = run_hand(wrong, case, np.float64)
        except Exception:  # a mistake may end in an error
            continue
        if all(_near(yours[k][n], told[k][n], k) for k in range(len(yours)) for n in case.params):
            found.append(
                Suspect(
                    fault.id,
                    fault.text,
                    fault.relation,
                    fault.remedy,
                    fault.needs,
                    "it gives your numbers at every step",
                    1.0,
                )
            )
    return found


def _near(a: Array, b: Array, k: int) -> bool:
    room = FACTOR * 4 * (k + 1) * EPS["float64"] * max(largest(a), largest(b), 1.0)
    return a.shape == b.shape and np.array_equal(np.isfinite(a), np.isfinite(b)) and distance(a, b) <= room
