"""L-BFGS and its strong Wolfe line search. Beside torch/optim/lbfgs.py."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..base import Array, Params, flatten, tree_map, unflatten
from .base import Optimizer, Slots, State

Closure = Callable[[Params], tuple[Any, Params]]  # parameters -> loss, gradients


class LBFGS(Optimizer):
    """Newton's method with an inverse Hessian guessed from the last few steps. params, state = step(params, closure,
    state), where closure(params) -> (loss, grads) is asked as often as a step needs.

    Rule      0. f ← −f if maximize
              1. x is the vector of all parameters, g the gradient. A step s = x′ − x changed g by y = g′ − g, so the
                 inverse Hessian H should have Hy = s. Of the matrices that do, the one nearest to the H before is
                 H ← (1 − ρsyᵀ) H (1 − ρysᵀ) + ρssᵀ,  ρ = 1/yᵀs     (check: (1 − ρysᵀ)y = 0, and ρssᵀy = s)
              2. H itself is never made: −Hg from the history_size last pairs, from H = γ,  γ = yᵀs/yᵀy of the last:
                 q = −g;  newest to oldest:  αᵢ = ρᵢ sᵢᵀq,  q ← q − αᵢyᵢ
                 d = γq;  oldest to newest:  d ← d + (αᵢ − ρᵢ yᵢᵀd) sᵢ
                 A pair with yᵀs ≤ 10⁻¹⁰ is left out, since H would not stay positive; at first d = −g
              3. x ← x + td with t = lr, at the very first min(1, 1/Σ|g|) lr; or t found from there by strong_wolfe
              4. max_iter times, ended by max_eval evaluations (None: 5/4 max_iter), max|g| ≤ tolerance_grad,
                 a slope gᵀd > −tolerance_change, max|td| ≤ tolerance_change, a change of loss < tolerance_change
    Shapes    the parameters may have any; d, y, s and prev_flat_grad are vectors of all their entries
    Errors    ValueError unless line_search_fn is None or "strong_wolfe", or if parameters with gradient come or go
    Source    Liu, Nocedal 1989, algorithm 2.1; Nocedal, Wright 2006, algorithm 7.4 and eq. 7.20 for γ;
              torch.optim.LBFGS, after minFunc by M. Schmidt
    Caveat    torch's names: old_dirs are the y, old_stps the s. All parameters are one, so there are no groups, and the
              state is kept with the first
    """

    lr: float = 1
    max_iter: int = 20
    max_eval: int | None = None
    tolerance_grad: float = 1e-7
    tolerance_change: float = 1e-9
    history_size: int = 100
    line_search_fn: str | None = None
    maximize: bool = False

    by_closure = True
    counted = False
    options = {
        "lr": (1, 0.1),
        "max_iter": (4, 1, 6),
        "max_eval": (None, 3),
        "tolerance_grad": (1e-7, 1e-2),
        "tolerance_change": (1e-9, 1e-3),
        "history_size": (100, 1, 2),
        "line_search_fn": (None, "strong_wolfe"),
        "maximize": (False, True),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        self.needs(self.line_search_fn in (None, "strong_wolfe"), 'line_search_fn None or "strong_wolfe"')
        self.needs(self.history_size >= 1, "history_size ≥ 1")

    @property
    def most(self) -> int:
        """Evaluations in a step."""
        return self.max_iter * 5 // 4 if self.max_eval is None else self.max_eval

    def plain_options(self):
        return super().plain_options() | {"max_eval": self.most}

    def step(self, params, grads, state):
        with np.errstate(all="ignore"):
            return self._minimise(params, Function(negated(grads) if self.maximize else grads, params), state)

    def _minimise(self, params: Params, f: "Function", state: State) -> tuple[Params, State]:
        s = dict(state.get(f.names[0]) or {"func_evals": 0, "n_iter": 0})
        x, now = f.x, f.first
        self._fits(now.g, s)
        for n in range(1, self.max_iter + 1):
            if np.abs(now.g).max() <= self.tolerance_grad:
                break
            s["n_iter"] += 1
            s |= self.direction(now.g, s) | {"prev_flat_grad": now.g, "prev_loss": now.f}
            s["t"] = (min(1.0, 1.0 / np.abs(now.g).sum()) if s["n_iter"] == 1 else 1.0) * self.lr
            if now.g @ s["d"] > -self.tolerance_change:
                break
            s["t"], now = self._move(f, x, s, now, n == self.max_iter)
            x = x + s["t"] * s["d"]
            if f.calls >= self.most or np.abs(s["t"] * s["d"]).max() <= self.tolerance_change:
                break
            if abs(now.f - s["prev_loss"]) < self.tolerance_change:
                break
        s["func_evals"] += f.calls
        return f.put(x), state | {f.names[0]: s}

    def _move(self, f: "Function", x: Array, s: Slots, now: "Trial", last: bool) -> tuple[Any, "Trial"]:
        """3. How far to go along d, and loss and gradient there."""
        at = f.along(x, s["d"])
        if self.line_search_fn is None:
            return s["t"], now if last else at(s["t"])  # of a last point nobody asks the loss
        start = now._replace(t=0, slope=now.g @ s["d"])
        found = strong_wolfe(at, start, s["t"], np.abs(s["d"]).max(), self.most - f.calls, self.tolerance_change)
        return found.t, found

    def direction(self, g: Array, s: Slots) -> Slots:
        """2. d = −Hg, and the pairs that H is made of."""
        if s["n_iter"] == 1:
            return {"d": -g, "old_dirs": [], "old_stps": [], "ro": [], "H_diag": 1}
        ys, ss, ro, scale = [*s["old_dirs"]], [*s["old_stps"]], [*s["ro"]], s["H_diag"]
        y, step = g - s["prev_flat_grad"], s["t"] * s["d"]
        if (curvature := y @ step) > 1e-10:
            ys, ss, ro = [*ys, y], [*ss, step], [*ro, 1.0 / curvature]
            ys, ss, ro = (kept[-self.history_size :] for kept in (ys, ss, ro))
            scale = curvature / (y @ y)
        q, a = -g, [g.dtype.type(0)] * len(ys)
        for i in reversed(range(len(ys))):
            a[i] = ss[i] @ q * ro[i]
            q = q - a[i] * ys[i]
        d = scale * q
        for i in range(len(ys)):
            d = d + (a[i] - ys[i] @ d * ro[i]) * ss[i]
        return {"d": d, "old_dirs": ys, "old_stps": ss, "ro": ro, "H_diag": scale}

    def _fits(self, g: Array, s: Slots) -> None:
        known = s.get("d")
        same = known is None or known.shape == g.shape
        self.needs(same, f"the same parameters at every step; it had {np.size(known)} entries, now {g.size}")

    def to_slots(self, s):
        return {k: np.asarray(v) if isinstance(v, np.generic) else list(map(np.asarray, v)) if k == "ro" else v
                for k, v in s.items()}  # fmt: skip

    def from_slots(self, s):
        return {k: v for k, v in s.items() if k != "al"}  # torch's room for αᵢ


def negated(closure: Closure) -> Closure:
    """0. That of −f."""

    def of_minus_f(params: Params) -> tuple[Any, Params]:
        loss, grads = closure(params)
        return -loss, tree_map(np.negative, grads)

    return of_minus_f


class Trial(NamedTuple):
    """A point x + td on a line, with loss f, gradient g and slope gᵀd there."""

    t: Any
    f: Any
    g: Array
    slope: Any = None


class Function:
    """Loss and gradient as functions of one vector: the entries of all parameters named among the gradients. A
    gradient of None is 0."""

    def __init__(self, closure: Closure, params: Params) -> None:
        self.closure, self.params, self.calls = closure, flatten(params), 1
        loss, grads = closure(params)
        given = flatten(grads)
        self.names = [name for name in self.params if name in given]
        if not self.names:
            known = ", ".join(self.params)
            raise ValueError(f"LBFGS takes closure(params) -> (loss, grads); grads has none of {known}")
        self.x = np.concatenate([self.params[name].reshape(-1) for name in self.names])
        self.first = Trial(0, self.x.dtype.type(loss), self.vector(given))

    def put(self, x: Array) -> Params:
        """The parameters with the entries of x."""
        ends = np.cumsum([self.params[name].size for name in self.names])[:-1]
        parts = zip(self.names, np.split(x, ends), strict=True)
        return unflatten(self.params | {name: part.reshape(self.params[name].shape).copy() for name, part in parts})

    def vector(self, grads: dict[str, Any]) -> Array:
        parts = [grads.get(name) for name in self.names]
        zeros = (np.zeros(self.params[name].size, self.x.dtype) for name in self.names)
        return np.concatenate([z if g is None else g.reshape(-1) for g, z in zip(parts, zeros, strict=True)])

    def along(self, x: Array, d: Array) -> Callable[[Any], Trial]:
        def at(t: Any) -> Trial:
            self.calls += 1
            loss, grads = self.closure(self.put(x + t * d))
            g = self.vector(flatten(grads))
            return Trial(t, x.dtype.type(loss), g, g @ d)

        return at


def strong_wolfe(at: Callable[[Any], Trial], start: Trial, t: Any, size: Any, most: int, tolerance: float) -> Trial:
    """A point far enough down the line and flat enough:

        f(t) ≤ f(0) + c₁ t f′(0)          (1)  it fell by a share of what the slope promised
        |f′(t)| ≤ c₂ |f′(0)|              (2)  and the slope is spent

    with c₁ = 10⁻⁴, c₂ = 0.9 and f′ the slope. First t grows until an interval is sure to hold such a point, then the
    interval is narrowed; both by the minimum of a cubic. `size` is max|d|; an interval shorter than tolerance in all
    entries, or `most` evaluations after the first, end the search with the lowest point found.
    Nocedal, Wright 2006, algorithms 3.5 and 3.6.
    """
    pair, found, used = bracket(at, start, t, most)
    low = 0 if pair[0].f <= pair[1].f else 1
    stuck = False
    while not found and used < most and not abs(pair[1].t - pair[0].t) * size < tolerance:
        t, stuck = kept_inside(minimum_of_cubic(*pair), pair, stuck)
        now, used = at(t), used + 1
        if not_lower(now, start) or now.f >= pair[low].f:
            pair[1 - low] = now
            low = 0 if pair[0].f <= pair[1].f else 1
            continue
        found = flat(now, start)
        if not found and now.slope * (pair[1 - low].t - pair[low].t) >= 0:
            pair[1 - low] = pair[low]
        pair[low] = now
    return pair[low]


def bracket(at: Callable[[Any], Trial], start: Trial, t: Any, most: int) -> tuple[list[Trial], bool, int]:
    """Two points with one between them that meets (1) and (2); or twice one that meets them itself, and True. It is
    between them if the second fails (1), is no lower than the first, or is past a minimum: there the slope is ≥ 0."""
    before, now = start, at(t)
    for used in range(most):
        if not_lower(now, start) or (used > 1 and now.f >= before.f):
            return [before, now], False, used
        if flat(now, start):
            return [now, now], True, used
        if now.slope >= 0:
            return [before, now], False, used
        within = now.t + 0.01 * (now.t - before.t), now.t * 10
        before, now = now, at(minimum_of_cubic(before, now, within))
    return [start, now], False, most


def not_lower(now: Trial, start: Trial) -> bool:
    """Not (1)."""
    return now.f > start.f + 1e-4 * now.t * start.slope


def flat(now: Trial, start: Trial) -> bool:
    """(2)"""
    return abs(now.slope) <= -0.9 * start.slope


def minimum_of_cubic(p: Trial, q: Trial, within: tuple[Any, Any] | None = None) -> Any:
    """Where the cubic that has the losses and slopes of two points is lowest, or the middle if it has no minimum.

    Let a < b be their places, u = (b − t)/(b − a). A quadratic slope with the values g₁ at a, g₂ at b is
        f′ = g₁u² − 2ku(1 − u) + g₂(1 − u)²,  and (f₂ − f₁)/(b − a) = ∫₀¹f′du = (g₁ − k + g₂)/3  gives k
    f′ = 0 is (g₁ + 2k + g₂)u² − 2(k + g₂)u + g₂ = 0. With r² = k² − g₁g₂ its root where f′ rises with t is
        u = (g₂ + k − r)/(g₁ + 2k + g₂) = (g₂ + r − k)/(g₂ − g₁ + 2r)          Nocedal, Wright 2006, eq. 3.59
    """
    a, b = (p, q) if p.t <= q.t else (q, p)
    low, high = within or (a.t, b.t)
    k = a.slope + b.slope - 3 * (a.f - b.f) / (a.t - b.t)
    square = k * k - a.slope * b.slope
    if not square >= 0:
        return (low + high) / 2.0
    r = np.sqrt(square)
    t = b.t - (b.t - a.t) * ((b.slope + r - k) / (b.slope - a.slope + 2 * r))
    return min(max(t, low), high)


def kept_inside(t: Any, pair: list[Trial], stuck: bool) -> tuple[Any, bool]:
    """A t that came within a tenth of an end of the interval, for the second time or at the very end, is moved to
    that tenth; with it, whether it came so near this time."""
    low, high = min(pair[0].t, pair[1].t), max(pair[0].t, pair[1].t)
    tenth = 0.1 * (high - low)
    if not min(high - t, t - low) < tenth:
        return t, False
    if stuck or t >= high or t <= low:
        return (high - tenth if abs(t - high) < abs(t - low) else low + tenth), False
    return t, True
