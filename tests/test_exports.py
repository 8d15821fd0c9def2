"""What is public is a curated list: every layer and optimizer, a few functions, and nothing that a file imports."""

import ast
import inspect
import json
import subprocess
import sys
from pathlib import Path

import manualbp
import reference
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


EXAMPLES = Path(__file__).parent.parent / "examples"
# The worked example: a file with its function's name, and numbers that are of use in that example alone.
OF_A_FILE = {"reference.explain": {"explain", "NET", "first_step", "given"}, "reference.teach": {"example"}}


def sources():
    """The code of every example: of a notebook, its cells."""
    yield from ((path.name, path.read_text()) for path in sorted(EXAMPLES.glob("*.py")))
    for path in sorted(EXAMPLES.rglob("*.ipynb")):
        cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
        yield path.name, "\n".join("".join(cell["source"]) for cell in cells)


def test_a_star_import_of_reference_gives_its_names():
    assert {*reference.__all__} == reference._PLACES.keys() == starred(reference) == {*dir(reference)}


def test_reference_is_imported_without_torch():
    """`manualbp --help` does not wait for it."""
    code = "import sys, reference; sys.exit('torch' in sys.modules or 'hypothesis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_examples_take_from_reference_what_is_public():
    public = {"reference": {*reference.__all__}} | OF_A_FILE
    for name, text in sources():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "reference":
                taken = {a.name for a in node.names}
                assert taken <= public.get(node.module or "", set()), f"{name} imports {taken} from {node.module}"
            if isinstance(node, ast.Import):
                assert not [a.name for a in node.names if a.name.startswith("reference.")], name
