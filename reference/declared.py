"""Checks declared in a file of the user: found, run, printed. Behind `manualbp check` and `verify FILE.py:model`."""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import nn

from manualbp.base import Layer

from .check import check_function, check_gradients, check_layer, check_model, check_optimizer, check_pointwise
from .compare.comparison import GOOD
from .draw.expression import nearest
from .report import files
from .report.report import Report

IDENTICAL, MISMATCH, ERROR, VACUOUS = 0, 1, 2, 3


def gradient_of(forward: Any, **options: Any) -> Callable[[Callable], Callable]:
    """Declare the decorated function to be the backward pass of `forward`:

    @gradient_of(affine_forward, against=F.linear, inputs={"x": ("N", "D"), "w": ("M", "D"), "b": ("M",)})
    def affine_backward(dy, cache): ...
    """

    def mark(backward: Callable) -> Callable:
        backward.checked = {"forward": forward, "backward": backward} | options  # type: ignore[attr-defined]
        return backward

    return mark


def run(target: str, json_file: str | None, junit_file: str | None, console: Console, quiet: bool = False) -> int:
    """Every check that the target declares; the exit code."""
    declared = dict(_declared(target))
    reports: dict[str, Report] = {}
    for name in track(declared, description="checks", console=console, transient=True, disable=not console.is_terminal):
        reports[name] = declared[name]()
    for name, report in reports.items():
        text = f"{name}: {report.verdict}" if quiet else str(report).replace(report.title, name, 1)
        console.print(
            text, markup=False, soft_wrap=True, style="" if report.verdict in GOOD else "red" if quiet else ""
        )
    good = sum(r.verdict in GOOD for r in reports.values())
    console.print(f"{good} of {len(reports)} checks passed", style="bold")
    _write(reports, json_file, junit_file)
    return _code(reports.values())


def _write(reports: Mapping[str, Report], json_file: str | None, junit_file: str | None) -> None:
    told = {name: report.to_dict() for name, report in reports.items()}
    files.write(json_file, junit_file, told, files.junit(report.junit_suite() for report in reports.values()))


def _code(reports: Any) -> int:
    verdicts = {r.verdict for r in reports}
    if verdicts - {*GOOD, "vacuous"}:
        return MISMATCH
    return VACUOUS if "vacuous" in verdicts else IDENTICAL


def loaded(target: str) -> tuple[Any, str | None]:
    """The module, and the name in it, of FILE.py, FILE.py:name or package.module:name."""
    place, _, name = target.partition(":")
    if not place.endswith(".py"):
        return importlib.import_module(place), name or None
    path = Path(place)
    if not path.exists():
        raise ValueError(f"there is no file {place}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    sys.path.insert(0, str(path.parent.resolve()))
    spec.loader.exec_module(module)
    return module, name or None


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


def of_model(
    target: str, shape: str | None, seed: int, console: Console, json_file: str | None, junit_file: str | None
) -> int:
    """A model in a user's file, by hand and by autograd, layer by layer."""
    module, name = loaded(target if ":" in target else f"{target}:model")
    models = {n: v for n, v in vars(module).items() if isinstance(v, nn.Module)}
    if name not in models:
        raise ValueError(f"{target}: no torch.nn model is called {name}{nearest(name or '', models)}")
    reports = check_model(models[name], _sample(module, shape, seed), seed)
    wide = console if console.is_terminal or console.quiet else Console(width=120, highlight=False)
    wide.print(_by_layer(reports))
    for report in reports:
        if report.verdict not in GOOD:
            console.print(str(report), markup=False, soft_wrap=True)
    told = reports[0].verdict
    print(f"{target}: {told}, worst err/bound {max(r.ratio for r in reports):.2g}")
    _write({report.title: report for report in reports}, json_file, junit_file)
    return _code(reports[:1])


def _by_layer(reports: list[Report]) -> Table:
    """Every gradient, output and buffer of every layer: its size on both sides, and how far they are apart."""
    table = Table(header_style="dim")
    table.add_column("layer by layer", no_wrap=True)
    for heading in ("shape", "‖by hand‖", "‖PyTorch‖", "err", "err/bound", "power"):
        table.add_column(heading, justify="right", no_wrap=True)
    for report in reports:
        table.add_section()
        table.add_row(report.title, style="bold")
        for t in report.tensors:
            sizes = [f"{np.linalg.norm(np.asarray(a, float)):.6g}" if a is not None else "–" for a in (t.hand, t.torch)]
            ratio = "identical" if t.identical else f"{t.ratio:.2g}"
            power = f"{t.power:.0e}" if t.power else "–"
            table.add_row(f"  {t.name}", str(np.shape(t.hand)), *sizes, f"{t.error:.2g}", ratio, power,
                          style="" if t.ok else "red")  # fmt: skip
    return table


def _sample(module: Any, shape: str | None, seed: int) -> Any:
    """The input: drawn of the shape given, or `sample` of the file."""
    if shape is not None:
        try:
            sizes = tuple(int(n) for n in shape.split(","))
        except ValueError:
            raise ValueError(f"--shape takes numbers with commas between, as 8,3,32,32; it got {shape}") from None
        return np.random.default_rng(seed).standard_normal(sizes)
    if not hasattr(module, "sample"):
        raise ValueError(
            "the shape of the model's input is not known: give --shape 8,3,32,32, or a `sample` in the file"
        )
    sample = module.sample
    return sample.detach().double().numpy() if isinstance(sample, torch.Tensor) else np.asarray(sample)
