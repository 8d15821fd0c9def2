"""The torch.optim twin of an optimizer.

The twin is derived from the names: getattr(torch.optim, type(opt).__name__)(groups, **fields). EXCEPTIONS lists what
needs a line of its own, each with its reason.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import torch
from torch.optim import lr_scheduler, swa_utils

from manualbp.base import flatten, options_of, registry
from manualbp.optim import ChainedScheduler, Optimizer, Rows, Schedule

from .conventions import known_options

SCALARS = ("step", "mu_product", "eta", "mu")  # numbers in a state, which torch keeps as tensors of rank 0

BY_GROUP = {"lr_lambda", "base_lr", "max_lr", "base_momentum", "max_momentum", "swa_lr", "min_lr"}  # may be lists

EXCEPTIONS = {
    "Muon": "torch rounds its Newton-Schulz steps to bfloat16; the twin runs torch's own formula without rounding",
    "Adagrad": "torch reads initial_accumulator_value from the defaults even where a group gives its own; "
    "the twin fills in the group's",
    "NAdam, ASGD": "torch keeps mu_product, eta and mu in its default dtype; the twin makes that the parameters' own",
    "LBFGS": "takes a closure, and its state is one vector of all parameters, kept with the first; "
    "before 2.14 it only minimises",
    "SparseAdam": "its gradients are sparse tensors, Rows here",
}


def to_torch_optim(opt: Optimizer, params: Mapping[str, Any]) -> tuple[torch.optim.Optimizer, dict[str, torch.Tensor]]:
    """The torch optimizer of the same name and options, and the tensors that it moves, by name.

    `params` are (nested) arrays, of which it gets copies, or tensors, which it gets as they are.
    """
    tensors = {name: to_tensor(p) for name, p in flatten(dict(params)).items()}
    own = {name: known_options(opt.in_group(opt.group_of(name))) for name in tensors}
    groups: list[dict[str, Any]] = []
    for i in sorted({opt.group_of(name) for name in tensors}):
        names = [name for name in tensors if opt.group_of(name) == i]
        groups.append({"params": [(name, tensors[name]) for name in names]} | own[names[0]])
    made = getattr(torch.optim, torch_name(opt))(groups, **known_options(opt))
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


@cache
def _without_rounding(shipped: Callable) -> Callable:
    source = inspect.getsource(shipped)
    if source.count("grad.bfloat16()") != 1:
        raise RuntimeError("torch's Muon has changed: the call that rounds to bfloat16 is not where it was")
    names = dict(shipped.__globals__)
    exec(source.replace("grad.bfloat16()", "grad.clone()"), names)
    return names[shipped.__name__]


@contextmanager
def unrounded_muon() -> Iterator[None]:
    """Torch's Muon by its own source, without the one call that rounds to bfloat16."""
    from torch.optim import _muon  # which older versions of torch do not have

    shipped = _muon._zeropower_via_newtonschulz
    _muon._zeropower_via_newtonschulz = _without_rounding(shipped)
    try:
        yield
    finally:
        _muon._zeropower_via_newtonschulz = shipped


def torch_slots(made: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
    """The twin's state by name, without what holds nothing: Adagrad makes a state for every parameter at once."""
    kept = {n: s for n, p in tensors.items() if (s := made.state.get(p)) and s.get("step", 1) > 0}
    slots = {f"{n}/{k}": v for n, s in kept.items() for k, v in s.items()}
    return {k: v for k, v in slots.items() if v is not None and not k.endswith("/al")}
