"""`manualbp verify FILE.py:model`: a model of the user, back-propagated by hand beside itself, node by node."""

import inspect
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from . import picture
from .chain import chain_of, pattern, told
from .compare.tensor import Tensor
from .declared import code_of, loaded
from .draw.expression import nearest
from .models import ModelReport, examine_model, prepared, watched
from .report import files
from .teach import model_page
from .torches import PLAIN, Torches


def run(
    target: str, shapes: Iterable[str], seed: int, console: Console, json_file: str | None, junit_file: str | None,
    only: str = "*", dtype: str = "float64", ways: Torches = PLAIN,
) -> int:  # fmt: skip
    """The report on the screen and in files; the exit code."""
    module, model = model_of(target)
    sample = sample_of(module, model, list(shapes), seed)
    report = examine_model(model, *sample, seed, by_layer=True, only=only, dtype=dtype, ways=ways)
    return show(target, report, console, json_file, junit_file)


def show(target: str, report: ModelReport, console: Console, json_file: str | None, junit_file: str | None) -> int:
    """A report on the screen and in files; the exit code."""
    console.print(table(report))
    if shown := str(report) if not report.stands else "\n".join(report.notes):
        console.print(shown, markup=False, soft_wrap=True)
    print(f"{target}: {report.verdict}, worst err/bound {report.ratio:.2g}")
    layers = report.graph.children()
    told: dict[str, Any] = {"the whole model": report.to_dict()}
    for n, c in report.nodes.items():
        told[f"{n}: {layers[n]}"] = {"verdict": c.verdict, "tensors": list(map(files.of_tensor, c.tensors))}
    files.write(json_file, junit_file, told, junit(report))
    return code_of([report])


def explained(
    target: str, shapes: Iterable[str], node: str | None, only: str, picture_file: str | None = None,
    page_file: str | None = None,
) -> str:  # fmt: skip
    """The chain rule of the model, or one step of it with its derivation; where a file is asked for, what is in it."""
    files.check_writable({"--picture": picture_file, "--html": page_file})
    if picture_file:
        picture.layout()
    module, model = model_of(target)
    given = prepared(model, *sample_of(module, model, list(shapes), 0))
    only = pattern(given, node, only)
    with watched(given, True, only) as tell:
        chain = chain_of(given, only, tell)
    said = []
    if picture_file:
        Path(picture_file).write_text(picture.svg(chain, only), encoding="utf-8")
        said.append(f"{picture_file}: the {len(chain.lines)} steps drawn")
    if page_file:
        model_page.write(page_file, chain)
        said.append(f"{page_file}: {len(chain.lines)} steps as a page; open it in a browser")
    return "\n".join(said) or told(chain, only)


def model_of(target: str) -> tuple[Any, nn.Module]:
    """The module, and the model in it: FILE.py:model, FILE.py:make_model(), package.module:Class."""
    module, name = loaded(target if ":" in target else f"{target}:model")
    bare = (name or "").removesuffix("()")
    known = {n: v for n, v in vars(module).items() if isinstance(v, nn.Module) or (callable(v) and n[:1] != "_")}
    if bare not in known:
        models = {n: v for n, v in known.items() if isinstance(v, nn.Module)}
        raise ValueError(f"{target}: no torch.nn model is called {name}{nearest(bare, models)}")
    found = known[bare]
    if not isinstance(found, nn.Module):
        found = found()
    if not isinstance(found, nn.Module):
        raise ValueError(f"{target} gives {type(found).__name__}, where a torch.nn.Module is wanted")
    return module, found


Sample = tuple[tuple[Any, ...], dict[str, Any]]  # positional arguments, and those by name


def sample_of(module: Any, model: nn.Module, shapes: list[str], seed: int) -> Sample:
    """The inputs: drawn of the shapes given, or `sample` of the file: a tensor, a tuple of arguments, a dict of those
    by name, or a function that gives one of these."""
    rng = np.random.default_rng(seed)
    try:
        sizes = [tuple(int(n) for n in shape.split(",")) for shape in shapes]
    except ValueError:
        told = ", ".join(shapes)
        raise ValueError(f"--shape takes numbers with commas between, as 8,3,32,32; it got {told}") from None
    if sizes:
        return tuple(torch.from_numpy(rng.standard_normal(size)) for size in sizes), {}
    if not hasattr(module, "sample"):
        raise ValueError(
            "the shape of the model's input is not known: give --shape 8,3,32,32 (once for each input), "
            "or a `sample` in the file: a tensor, a tuple of arguments, or a dict of those by name"
        )
    sample = module.sample() if inspect.isfunction(module.sample) else module.sample
    if isinstance(sample, Mapping) and by_name(model, sample):
        return (), dict(sample)
    return tuple(sample) if isinstance(sample, (tuple, list)) else (sample,), {}


def by_name(model: nn.Module, sample: Mapping[Any, Any]) -> bool:
    """Does the model's forward take these as arguments, and not the dict as one?"""
    try:
        inspect.signature(model.forward).bind(**sample)
    except TypeError:
        return False
    return True


def table(report: ModelReport) -> Table:
    """Every gradient, output and buffer of the model and of every node: its size on both sides, and how far apart."""
    found = Table(header_style="dim")
    found.add_column("layer by layer", overflow="fold")
    for heading in ("shape", *(f"‖{side}‖" for side in report.names), "err", "err/bound", "power"):
        found.add_column(heading, justify="right", overflow="fold")
    layers = report.graph.children()
    _section(found, "the whole model", report.tensors)
    for name, comparison in report.nodes.items():
        _section(found, f"{name}: {layers[name]}", comparison.tensors)
    return found


def _section(found: Table, title: str, tensors: Iterable[Tensor]) -> None:
    found.add_section()
    found.add_row(title, style="bold")
    for t in tensors:
        sizes = [f"{np.linalg.norm(np.asarray(a, float)):.6g}" if a is not None else "–" for a in (t.hand, t.torch)]
        ratio = "identical" if t.identical else f"{t.ratio:.2g}"
        power = f"{t.power:.0e}" if t.power else "–"
        found.add_row(f"  {t.name}", str(np.shape(t.hand)), *sizes, f"{t.error:.2g}", ratio, power,
                      style="" if t.ok else "red")  # fmt: skip


def junit(report: ModelReport) -> Any:
    """A suite for the model, and one for each node."""
    suites = [report.junit_suite()]
    for name, comparison in report.nodes.items():
        wrong = {t.name: f"err {t.error:.3g}, bound {t.bound:.3g} {t.what}" for t in comparison.wrong}
        cases = [files.TestCase(name, t.name, (wrong[t.name], str(report)) if t.name in wrong else None)
                 for t in comparison.tensors]  # fmt: skip
        suites.append(files.junit_suite(name, cases))
    return files.junit(suites)
