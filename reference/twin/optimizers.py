"""The torch.optim twin of an optimizer, and both sides run on the same drawn gradients, in lock-step.

The twin is derived from the names: getattr(torch.optim, type(opt).__name__)(groups, **fields). EXCEPTIONS lists what
needs a line of its own, each with its reason.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.optim import lr_scheduler, swa_utils

from manualbp.base import flatten, options_of, registry, unflatten
from manualbp.optim import ChainedScheduler, Group, Optimizer, Rows, Schedule

from ..compare.bound import EPS, FACTOR, RATIO, distance, largest

SCALARS = ("step", "mu_product", "eta", "mu")  # numbers in a state, which torch keeps as tensors of rank 0

BY_GROUP = {"lr_lambda", "base_lr", "max_lr", "base_momentum", "max_momentum", "swa_lr", "min_lr"}  # may be lists

Flat = dict[str, np.ndarray]  # parameters by name, and their state as "name/slot"

EXCEPTIONS = {
    "Muon": "torch rounds its Newton-Schulz steps to bfloat16; the twin runs torch's own formula without rounding",
    "Adagrad": "torch reads initial_accumulator_value from the defaults even where a group gives its own; "
    "the twin fills in the group's",
    "NAdam, ASGD": "torch keeps mu_product, eta and mu in its default dtype; the twin makes that the parameters' own",
    "LBFGS": "takes a closure, and its state is one vector of all parameters, kept with the first",
    "SparseAdam": "its gradients are sparse tensors, Rows here",
}


def to_torch_optim(opt: Optimizer, params: Mapping[str, Any]) -> tuple[torch.optim.Optimizer, dict[str, torch.Tensor]]:
    """The torch optimizer of the same name and options, and the tensors that it moves, by name.

    `params` are (nested) arrays, of which it gets copies, or tensors, which it gets as they are.
    """
    tensors = {name: to_tensor(p) for name, p in flatten(dict(params)).items()}
    own = {name: opt.in_group(opt.group_of(name)).plain_options() for name in tensors}
    groups: list[dict[str, Any]] = []
    for i in sorted({opt.group_of(name) for name in tensors}):
        names = [name for name in tensors if opt.group_of(name) == i]
        groups.append({"params": [(name, tensors[name]) for name in names]} | own[names[0]])
    made = getattr(torch.optim, torch_name(opt))(groups, **opt.plain_options())
    if torch_name(opt) == "Adagrad":
        for name, p in tensors.items():
            made.state[p]["sum"].fill_(own[name]["initial_accumulator_value"])
    return made, tensors


def from_torch_optim(made: torch.optim.Optimizer, names: list[str] | None = None) -> tuple[Optimizer, dict]:
    """The optimizer by hand and its state, so that training begun in torch goes on. `names` are those of the
    parameters in the order of the groups, needed if the optimizer was not given names."""
    known = registry(Optimizer)
    if type(made).__name__ not in known:
        raise ValueError(f"no optimizer {type(made).__name__} by hand; there are {', '.join(known)}")
    return known[type(made).__name__]().load_state_dict(from_tensors(made.state_dict()), names or [])


def load_into_torch(made: torch.optim.Optimizer, opt: Optimizer, state: dict, names: list[str]) -> None:
    """Give the twin this state and these options, so that training begun by hand goes on in torch."""
    made.load_state_dict(to_tensors(opt.state_dict(state, names)))


def to_torch_schedule(schedule: Schedule, made: torch.optim.Optimizer, opt: Optimizer, t: Any = 0) -> Any:
    """The torch scheduler of the same name and options on the twin of `opt`, as it is after t steps (t: the state of
    ReduceLROnPlateau), with the rates and momenta that it has given to the groups by then."""
    groups = [opt.group_of(group["param_names"][0]) for group in made.param_groups]
    scheduler = _scheduler(schedule, made, groups)
    if t:
        scheduler.load_state_dict(schedule.state_dict(opt, t))
        for i, group in zip(groups, made.param_groups, strict=True):
            group.update(schedule.changes(opt.in_group(i), t, i))
    return scheduler


def _scheduler(schedule: Schedule, made: torch.optim.Optimizer, groups: list[int]) -> Any:
    options = options_of(schedule)
    for name in BY_GROUP & set(options):
        if isinstance(value := options[name], tuple):
            options[name] = [value[i] for i in groups]
    if "schedulers" in options:
        options["schedulers"] = [_scheduler(part, made, groups) for part in schedule.schedulers]
    if isinstance(schedule, ChainedScheduler):
        return lr_scheduler.ChainedScheduler(options["schedulers"], made)
    module = lr_scheduler if hasattr(lr_scheduler, type(schedule).__name__) else swa_utils
    return getattr(module, type(schedule).__name__)(made, **options)


def torch_name(opt: Optimizer) -> str:
    """The torch.optim class that an optimizer, or a faulty subclass of it, stands for."""
    return next(c.__name__ for c in type(opt).__mro__ if c.__name__ in torch.optim.__all__)


def to_tensor(p: Any) -> torch.Tensor:
    if isinstance(p, torch.Tensor):
        return p
    if isinstance(p, Rows):
        return torch.sparse_coo_tensor(np.array(p.indices)[None], np.array(p.values), p.shape, check_invariants=True)
    return torch.from_numpy(np.array(p)).requires_grad_()


def to_tensors(tree: Any) -> Any:
    """Torch's state_dict of the same structure made of arrays."""
    if isinstance(tree, dict):
        return {k: torch.tensor(v) if k in SCALARS and isinstance(v, float) else to_tensors(v) for k, v in tree.items()}
    if isinstance(tree, list):
        return [to_tensors(v) for v in tree]
    return torch.from_numpy(np.array(tree)) if isinstance(tree, np.ndarray) else tree


def from_tensors(tree: Any) -> Any:
    """Torch's state_dict with arrays in the place of tensors."""
    if isinstance(tree, dict):
        return {k: from_tensors(v) for k, v in tree.items()}
    if isinstance(tree, list):
        return [from_tensors(v) for v in tree]
    return tree.detach().cpu().numpy().copy() if isinstance(tree, torch.Tensor) else tree


@contextmanager
def scalars_as(dtype: Any) -> Iterator[None]:
    """Torch keeps the scalars of a state (mu_product, eta, mu) in its default dtype: let that be the arrays' own."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64 if dtype == np.float64 else torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def unrounded_muon() -> Iterator[None]:
    """Torch's Muon by its own source, without the one call that rounds to bfloat16."""
    from torch.optim import _muon  # which older versions of torch do not have

    shipped = _muon._zeropower_via_newtonschulz
    source = inspect.getsource(shipped)
    if source.count("grad.bfloat16()") != 1:
        raise RuntimeError("torch's Muon has changed: the call that rounds to bfloat16 is not where it was")
    names = dict(vars(_muon))
    exec(source.replace("grad.bfloat16()", "grad.clone()"), names)
    _muon._zeropower_via_newtonschulz = names[shipped.__name__]
    try:
        yield
    finally:
        _muon._zeropower_via_newtonschulz = shipped


@dataclass(frozen=True)
class Case:
    """What both sides are run on: parameters, one dict of gradients a step (None where one is missing), and a factor
    of the learning rate for every step. For LBFGS, `grads` holds the coefficients of the function to minimise."""

    params: Flat
    grads: list[dict[str, Any]]
    rates: list[float]


def draw(opt: Optimizer, seed: int, steps: int = 6, exact: bool = False) -> Case:
    """A random case: a parameter of every rank, one without gradient, one whose first gradient comes late, one whose
    gradient is missing once; gradients from 1 down to 1e-8 in one array, zeros among them; a rate that changes."""
    rng = np.random.default_rng(seed)
    ranks = [r for r in opt.ranks for _ in range(1 if len(opt.ranks) > 2 else 3)]
    shapes = {f"{i}.{'bias' if i % 2 else 'weight'}": tuple(rng.integers(1, 5, r)) for i, r in enumerate(ranks)}
    shapes |= {f"{name}.weight": tuple(rng.integers(1, 5, max(opt.ranks[:3]))) for name in ("late", "unused", "once")}
    params = {name: _values(rng, shape, exact, span=0) for name, shape in shapes.items()}
    grads = []
    for k in range(steps):
        missing = {"unused.weight"} | ({"late.weight"} if k < 2 else set()) | ({"once.weight"} if k == 2 else set())
        grads.append({n: None if n in missing else _gradient(opt, rng, s, exact) for n, s in shapes.items()})
    rates = [1.0, 1.0] + [float(rng.choice([0.25, 0.5, 2.0])) for _ in range(steps - 2)]
    return Case(params, grads, rates)


def _values(rng: np.random.Generator, shape: tuple[int, ...], exact: bool, span: float = 8) -> np.ndarray:
    """Numbers of either sign and sizes 10^−span to 1 with zeros among them, exact in float32; or small integers."""
    if exact:
        return rng.integers(-3, 4, shape).astype(float)
    sizes = 10.0 ** rng.uniform(-span, 0, shape) if span else np.abs(rng.standard_normal(shape))
    drawn = sizes * rng.choice([-1.0, 1.0], shape) * (rng.random(shape) > 0.1)
    return np.asarray(drawn, np.float32).astype(float)


def _gradient(opt: Optimizer, rng: np.random.Generator, shape: tuple[int, ...], exact: bool) -> Any:
    if torch_name(opt) != "SparseAdam":
        return _values(rng, shape, exact, span=0 if opt.by_closure else 8)
    indices = rng.integers(0, shape[0], rng.integers(0, 5))  # some rows twice, some never, at times none at all
    return Rows(indices, _values(rng, (len(indices), *shape[1:]), exact), shape)


def in_two_groups(opt: Optimizer) -> Optimizer:
    """The optimizer with a second group that has half the learning rate and another weight decay."""
    if "groups" not in options_of(opt) or opt.groups:
        return opt
    decay = {"weight_decay": 0.25} if "weight_decay" in options_of(opt) else {}
    return opt.replace(groups=(Group("*.bias", lr=opt.lr / 2, **decay),))


def scaled(opt: Optimizer, rate: float) -> Optimizer:
    """The optimizer with all of its learning rates multiplied."""

    def with_rate(g: Group) -> Group:
        return Group(g.names, **{k: v * rate if k == "lr" else v for k, v in g.options.items()})

    groups = {"groups": tuple(map(with_rate, opt.groups))} if "groups" in options_of(opt) else {}
    return opt.replace(lr=opt.lr * rate, **groups)


def _cast(grads: Mapping[str, Any], dtype: Any) -> dict[str, Any]:
    """Gradients in another precision; what it cannot hold becomes infinite."""
    with np.errstate(over="ignore"):
        return {n: None if g is None else g.astype(dtype) for n, g in grads.items()}


def run_hand(opt: Optimizer, case: Case, dtype: Any) -> list[Flat]:
    """Parameters and state after every step, by hand in this precision."""
    params, state, history = unflatten({n: p.astype(dtype) for n, p in case.params.items()}), {}, []
    for grads, rate in zip(case.grads, case.rates, strict=True):
        given = _cast(grads, dtype)
        asked = quartic(given) if opt.by_closure else unflatten(given)
        params, state = scaled(opt, rate).step(params, asked, state)
        slots = {f"{n}/{k}": v for n, s in state.items() for k, v in opt.to_slots(s).items()}
        history.append(_arrays(flatten(params) | slots))
    return history


def run_torch(opt: Optimizer, case: Case, dtype: Any) -> list[Flat]:
    """Parameters and state after every step, by torch in this precision."""
    history = []
    with scalars_as(dtype):
        made, tensors = to_torch_optim(opt, {n: p.astype(dtype) for n, p in case.params.items()})
        rates = [group["lr"] for group in made.param_groups]
        for grads, rate in zip(case.grads, case.rates, strict=True):
            for group, lr in zip(made.param_groups, rates, strict=True):
                group["lr"] = lr * rate
            torch_step(opt, made, tensors, _cast(grads, dtype))
            history.append(_arrays({**tensors, **torch_slots(made, tensors)}))
    return history


def torch_step(opt: Optimizer, made: torch.optim.Optimizer, tensors: dict[str, torch.Tensor], grads: dict) -> None:
    """One step of the twin with these gradients, or to minimise the function that they are the coefficients of."""
    if opt.by_closure:
        made.step(lambda: _torch_closure(tensors, grads))
        return
    for name, p in tensors.items():
        g = grads.get(name)
        p.grad = None if g is None else to_tensor(g).detach()
    with unrounded_muon() if torch_name(opt) == "Muon" else nullcontext():
        made.step()


def quartic(c: dict[str, Any]) -> Callable:
    """The closure of a function whose minimum lies at c and whose curvature differs from entry to entry:
    f = Σ h(x − c),  h(z) = ½z² + z⁴/4 + k z²,  k = 0, 1, 2, … along each array. Arrays whose c is None have no part."""

    def closure(params: dict) -> tuple[Any, dict]:
        z = {n: p - c[n] for n, p in flatten(params).items() if c[n] is not None}
        k = {n: np.arange(a.size, dtype=a.dtype).reshape(a.shape) for n, a in z.items()}
        grads = {n: _slope(z[n], k[n]) if n in z else None for n in c}
        return sum(_height(z[n], k[n]).sum() for n in z), unflatten(grads)

    return closure


def _torch_closure(tensors: dict[str, torch.Tensor], c: dict[str, Any]) -> torch.Tensor:
    f = torch.zeros(())
    for name, p in tensors.items():
        p.grad = None
        if c[name] is not None:
            z = p.detach() - torch.from_numpy(np.array(c[name]))
            k = torch.arange(z.numel(), dtype=z.dtype).reshape(z.shape)
            p.grad = _slope(z, k)
            f = f + _height(z, k).sum()
    return f


def _height(z: Any, k: Any) -> Any:
    return z * z / 2 + z * z * z * z / 4 + k * z * z


def _slope(z: Any, k: Any) -> Any:
    return z + z * z * z + 2 * k * z


def torch_slots(made: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
    """The twin's state by name, without what holds nothing: Adagrad makes a state for every parameter at once."""
    kept = {n: s for n, p in tensors.items() if (s := made.state.get(p)) and s.get("step", 1) > 0}
    slots = {f"{n}/{k}": v for n, s in kept.items() for k, v in s.items()}
    return {k: v for k, v in slots.items() if v is not None and not k.endswith("/al")}


def _arrays(found: dict[str, Any]) -> Flat:
    """Copies as arrays; a list of vectors becomes an entry for each."""
    flat: Flat = {}
    for name, v in found.items():
        for key, a in {f"{name}[{i}]": a for i, a in enumerate(v)}.items() if isinstance(v, list) else [(name, v)]:
            flat[key] = np.array(a.detach().numpy() if isinstance(a, torch.Tensor) else a)
    return flat


@dataclass(frozen=True)
class Lockstep:
    """Both sides on the same case: after every step, parameters and state in every precision."""

    opt: Optimizer
    case: Case
    h32: list[Flat]
    h64: list[Flat]
    h80: list[Flat]
    t32: list[Flat]
    t64: list[Flat]

    def compared(self, dtype: str = "float64") -> Iterator[tuple[int, str, float, float]]:
        """Step, name, largest |by hand − by torch|, and its bound; what only one side has differs by inf.

        It ends where a choice (a line search's, to go on or not) falls otherwise in another precision of the same
        side: then rounding makes it, and either is right."""
        for k, (hand, other) in enumerate(zip(*self.sides(dtype), strict=True)):
            pairs = ((self.h32, self.h64), (self.t32, self.t64)) if dtype == "float32" else ((self.h64, self.h80),)
            if any(choices(a[k]) != choices(b[k]) for a, b in pairs):
                return
            for name in hand | other:
                if name in hand and name in other:
                    yield k + 1, name, differ(hand[name], other[name]), self.bound(k, name, dtype)
                else:
                    yield k + 1, name, float("inf"), 0.0

    def sides(self, dtype: str) -> tuple[list[Flat], list[Flat]]:
        return (self.h32, self.t32) if dtype == "float32" else (self.h64, self.t64)

    def bound(self, k: int, name: str, dtype: str = "float64") -> float:
        """The derived bound of `compare.bound`, with `scale` as S."""
        runs = [run[k].get(name) for run in (self.h32, self.h64, self.h80, self.t32, self.t64)]
        h32, h64, h80, t32, t64 = (np.zeros(()) if a is None else a for a in runs)
        s = self.scale(k, name)
        own = distance(h32, h64) + distance(t32, t64)
        if dtype == "float32":
            return FACTOR * (own + EPS[dtype] * s)
        return FACTOR * (distance(h64, h80) + RATIO * own + EPS[dtype] * s)

    def scale(self, k: int, name: str) -> float:
        """The largest entry of a parameter, before and after, its gradient and state: an update subtracts these."""
        whole = name.split("/")[0]
        s = max(largest(a) for n, a in self.h64[k].items() if n.split("/")[0] == whole and n.rsplit("/")[-1] != "step")
        before = [run[whole] for run in (self.case.params, *self.h64[:k]) if whole in run]  # what was off then still is
        s = max([s, *map(largest, before)])
        g = self.case.grads[k].get(whole)
        return s if g is None else max(s, largest(g.values if isinstance(g, Rows) else g))

    def worst(self, dtype: str = "float64") -> tuple[float, int, str]:
        """The largest err/bound, with step and name."""
        ratios = [
            (err / b if b else float(err > 0) * np.inf if err else 0.0, k, n) for k, n, err, b in self.compared(dtype)
        ]
        return max(ratios, default=(0.0, 0, ""))

    def identical(self, dtype: str = "float64") -> bool:
        """Both sides bit for bit the same."""
        return all(err == 0 for _, _, err, _ in self.compared(dtype))

    def power(self) -> float:
        """The smallest fault in a parameter that would have been seen at every step, relative to `scale`."""
        names = self.case.params
        return max(self.bound(k, n) / s for k in range(len(self.h64)) for n in names if (s := self.scale(k, n)))


def choices(run: Flat) -> dict[str, int]:
    """What was counted up to a step, and of which arrays there is how much."""
    return {n: int(a) if n.endswith(("/step", "/n_iter", "/func_evals")) else a.size for n, a in run.items()}


def differ(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference; inf if shapes or dtypes or the places of nan and infinity differ."""
    if a.shape != b.shape or (a.ndim and a.dtype != b.dtype) or not np.array_equal(np.isfinite(a), np.isfinite(b)):
        return float("inf")
    odd = ~np.isfinite(a)
    return distance(a, b) if np.array_equal(a[odd], b[odd], equal_nan=True) else float("inf")


def lockstep(opt: Optimizer, seed: int = 0, steps: int = 8, exact: bool = False, case: Case | None = None) -> Lockstep:
    """Both sides fed with the same gradients, step by step, in every precision. A second group is added if there is
    none. Torch's side is that of a faulty subclass's parent, so that faults can be shown."""
    opt = in_two_groups(opt)
    case = case or draw(opt, seed, steps, exact)
    fixed = same_epsilon(opt)
    hand = {d: run_hand(opt if d is np.float64 else fixed, case, d) for d in (np.float32, np.float64, np.longdouble)}
    made = {d: run_torch(opt if d is np.float64 else fixed, case, d) for d in (np.float32, np.float64)}
    return Lockstep(
        opt, case, hand[np.float32], hand[np.float64], hand[np.longdouble], made[np.float32], made[np.float64]
    )


def same_epsilon(opt: Optimizer) -> Optimizer:
    """Adafactor's eps of None is the epsilon of the dtype: another constant in every precision. What measures rounding
    has to compute the same thing, so all take float64's."""
    if torch_name(opt) != "Adafactor" or opt.eps[0] is not None:
        return opt
    return opt.replace(eps=(float(np.finfo(np.float64).eps), opt.eps[1]))
