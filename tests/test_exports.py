"""What is public is a curated list: every layer and optimizer, a few functions, and nothing that a file imports."""

import inspect

import manualbp
from manualbp import optim, registry
from manualbp.operations import Operation
from manualbp.optim.schedule import Schedule

LAYERS = {"Layer", "Node", "flatten", "registry", "tree_map", "unflatten"}
OPTIMIZERS = {"Group", "Optimizer", "Rows", "Schedule"}
AROUND = {"EMA", "SWA", "clip_grad_norm", "clip_grad_value", "get_total_norm", "update_bn"}


def layers():
    """The classes of the package; operations have names that would confuse, as Max and Mean, and stay in theirs."""
    return {name for name, cls in registry().items() if not issubclass(cls, Operation)}


def public(package):
    """Names without an underscore, but for the package's own files."""
    inner = {n for n, v in vars(package).items() if inspect.ismodule(v) and v.__name__.startswith(package.__name__)}
    return {name for name in vars(package) if not name.startswith("_")} - inner


def starred(package):
    names: dict = {}
    exec(f"from {package.__name__} import *", names)
    return names.keys() - {"__builtins__"}


def test_manualbp_exports_its_layers_and_a_few_functions():
    wanted, found = LAYERS | layers(), public(manualbp)
    missing, leaked = wanted - found, found - wanted
    assert not missing, f"add a line to manualbp/__init__.py for each of {sorted(missing)}"
    assert not leaked, f"no layers: {sorted(leaked)}"


def test_optim_exports_its_optimizers_and_schedules():
    optimizers, schedules = registry(optim.Optimizer).keys(), registry(Schedule).keys()
    assert public(optim) == OPTIMIZERS | AROUND | optimizers | schedules


def test_a_star_import_gives_what_is_public():
    assert starred(manualbp) == LAYERS | layers() | {"base", "checkpoint", "operations", "optim", "training"}
