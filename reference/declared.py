"""Checks declared in a file of the user: found, run, printed. Behind `manualbp check` and `verify FILE.py:model`."""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from manualbp.base import Layer

from .check import check_function, check_gradients, check_layer, check_optimizer, check_pointwise
from .compare.comparison import GOOD
from .draw.expression import nearest
from .report import files
from .report.report import Report
from .sides.raised import RefusedError, line_of

IDENTICAL, MISMATCH, ERROR, VACUOUS = 0, 1, 2, 3


def gradient_of(forward: Any, **options: Any) -> Callable[[Callable], Callable]:
    """Declare the decorated function to be the backward pass of `forward`:

    @gradient_of(affine_forward, against=F.linear, inputs={"x": ("N", "D"), "w": ("M", "D"), "b": ("M",)})
    def affine_backward(dy, cache): ...
    """

    def mark(backward: Callable) -> Callable:
        backward.checked = {"forward": forward, "backward": backward} | options
        return backward

    return mark


def run(target: str, json_file: str | None, junit_file: str | None, console: Console, quiet: bool = False) -> int:
    """Every check that the target declares; the exit code."""
    declared = dict(_declared(target))
    reports: dict[str, Report] = {}
    for name in track(declared, description="checks", console=console, transient=True, disable=not console.is_terminal):
        reports[name] = report_of(name, declared[name])
    for name, report in reports.items():
        text = f"{name}: {report.verdict}" if quiet else str(report).replace(report.title, name, 1)
        console.print(
            text, markup=False, soft_wrap=True, style="" if report.verdict in GOOD else "red" if quiet else ""
        )
    good = sum(r.verdict in GOOD for r in reports.values())
    console.print(f"{good} of {len(reports)} checks passed", style="bold")
    _write(reports, json_file, junit_file)
    return code_of(reports.values())


def report_of(name: str, check: Callable[[], Report]) -> Report:
    """What a check gives; an error of its own, with the user's line, where it raises, so that the others run."""
    try:
        return check()
    except Exception as e:
        told = str(e).strip() or type(e).__name__
        line = "" if isinstance(e, RefusedError) or ", line " in told else line_of(e)
        return Report(name, "error", notes=(f"{told}{line}",))


def _write(reports: Mapping[str, Report], json_file: str | None, junit_file: str | None) -> None:
    told = {name: report.to_dict() for name, report in reports.items()}
    files.write(json_file, junit_file, told, files.junit(report.junit_suite() for report in reports.values()))


def code_of(reports: Any) -> int:
    """The worst of them: 1 if a gradient is wrong or coarse, 2 if a check could not be run, 3 if one saw nothing."""
    verdicts = {r.verdict for r in reports}
    if verdicts - {*GOOD, "vacuous", "error"}:
        return MISMATCH
    if "error" in verdicts:
        return ERROR
    return VACUOUS if "vacuous" in verdicts else IDENTICAL


def loaded(target: str) -> tuple[Any, str | None]:
    """The module, and the name in it, of FILE.py, FILE.py:name or package.module:name."""
    place, _, name = target.partition(":")
    if not place.endswith(".py"):
        return importlib.import_module(place), name or None
    path = Path(place).resolve()
    if not path.exists():
        raise ValueError(f"there is no file {place}")
    sys.path.insert(0, str(path.parent))
    if (path.parent / "__init__.py").exists():
        return _in_its_package(path), name or None
    try:
        return _by_itself(path), name or None
    except ImportError as e:
        if "no known parent package" not in str(e):
            raise
        raise ValueError(
            f"{place} imports from its own folder (from .other import …), which is no package: put an empty "
            f"__init__.py beside it, or write from other import …"
        ) from e


def _by_itself(path: Path) -> Any:
    """The module of a file that is in no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _in_its_package(path: Path) -> Any:
    """The module of a file by its name in the package that its folder is, so that it may import relatively."""
    parts, folder = [path.stem] * (path.stem != "__init__"), path.parent
    while (folder / "__init__.py").exists():
        parts, folder = [folder.name, *parts], folder.parent
    sys.path.insert(0, str(folder))
    module = importlib.import_module(".".join(parts))
    if Path(module.__file__ or "").resolve() != path:
        raise ValueError(
            f"{path} is {'.'.join(parts)}, but that is imported from {module.__file__}: rename the folder {parts[0]}"
        )
    return module


def _declared(target: str) -> Iterator[tuple[str, Callable[[], Report]]]:
    """Names and checks: the entries of CHECKS, marked functions, layers, in the order of the file."""
    module, wanted = loaded(target)
    found = dict(_all(module))
    if wanted is not None:
        if wanted not in found:
            raise ValueError(f"{target}: no check is called {wanted}{nearest(wanted, found)}")
        found = {wanted: found[wanted]}
    if not found:
        raise ValueError(
            f"{target} declares nothing to check. List it: CHECKS = {{'affine': dict(forward=f, backward=b, "
            f"against=torch.nn.functional.linear, inputs={{'x': ('N', 'D'), 'w': ('M', 'D')}})}}, or mark a backward "
            f"with @reference.gradient_of(forward, against=…, inputs=…), or define a manualbp.Layer"
        )
    yield from found.items()


def _all(module: Any) -> Iterator[tuple[str, Callable[[], Report]]]:
    for name, given in getattr(module, "CHECKS", {}).items():
        yield name, _check(name, given)
    for name, value in vars(module).items():
        if isinstance(getattr(value, "checked", None), Mapping):
            yield name, _check(name, value.checked)
        elif inspect.isclass(value) and issubclass(value, Layer) and value.__module__ == module.__name__:
            yield name, lambda cls=value: check_layer(cls)


def _check(name: str, given: Any) -> Callable[[], Report]:
    """The check that an entry of CHECKS asks for, by what it names."""
    if isinstance(given, Report):
        return lambda: given
    if not isinstance(given, Mapping):
        call: Any = given
        return call if callable(given) and not isinstance(given, type) else lambda: check_layer(given)
    kinds = {"gradients": check_gradients, "f": check_pointwise, "step": check_optimizer, "layer": check_layer}
    check = next((f for key, f in kinds.items() if key in given), check_function)
    return lambda: check(**given)
