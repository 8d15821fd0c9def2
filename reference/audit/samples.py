"""Does every sample of PyTorch's own module database pass `check_model`?

`python -m reference.audit.samples [CLASS …]` runs them in float64, in training and in evaluation. They stand in
torch.testing._internal, which needs `pip install expecttest`.
"""

import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import nn

from ..models import check_model

PASS, VACUOUS, REFUSED = "pass", "vacuous", "refused"
NOTHING = "agree in nothing but zeros, NaN or no entry at all"


@dataclass(frozen=True)
class Sample:
    """A module of torch's with the arguments of one call; `training`: its mode."""

    name: str
    module: nn.Module
    args: tuple
    kwargs: dict[str, Any]
    training: bool


def samples(names: Sequence[str] = ()) -> Iterator[Sample]:
    """Every sample of the database, or those of these classes."""
    from torch.testing._internal.common_modules import module_db  # not without expecttest

    for info in module_db:
        name = info.name.removeprefix("nn.")
        if names and name not in names:
            continue
        for training in (True, False):
            torch.manual_seed(0)
            options = {"device": "cpu", "dtype": torch.float64, "requires_grad": True, "training": training}
            for given in info.module_inputs_func(info, **options):
                if given.forward_input is None:
                    continue  # made to be constructed only
                made, call = given.constructor_input, given.forward_input
                module = info.module_cls(*made.args, **made.kwargs).to(torch.float64).train(training)
                if isinstance(module, nn.modules.lazy.LazyModuleMixin):
                    module(*call.args, **call.kwargs)  # which makes it what it becomes
                yield Sample(name, module, tuple(call.args), dict(call.kwargs), training)


def verdict(sample: Sample) -> tuple[str, str]:
    """PASS, VACUOUS, REFUSED or the verdict of a report that does not stand, and what is to be said of it."""
    try:
        report = check_model(sample.module, *sample.args, **sample.kwargs)
    except (TypeError, ValueError, NotImplementedError) as refusal:
        return REFUSED, str(refusal).partition("\n")[0]
    if report:
        return PASS, ""
    told = ", ".join(f"{t.name} {t.error:.2g} > {t.bound:.2g}" for t in report.tensors if t.ratio > 1)
    return report.verdict, told


def main(names: list[str]) -> int:
    torch.set_num_threads(1)
    console, found, others = Console(highlight=False), Counter[str](), list[tuple[Sample, str, str]]()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # torch's advice on its own samples
        for sample in track([*samples(names)], "samples", console=console, transient=True):
            kind, told = verdict(sample)
            found[kind] += 1
            if kind not in (PASS, VACUOUS):
                others.append((sample, kind, told))
    table = Table("class", "mode", "sample", "verdict", "", header_style="dim")
    for sample, kind, told in others:
        shapes = ", ".join(str(tuple(a.shape)) for a in sample.args if isinstance(a, torch.Tensor))
        mode = "training" if sample.training else "evaluation"
        table.add_row(sample.name, mode, f"{sample.module} of {shapes}", kind, told)
    if others:
        console.print(table)
    named = {VACUOUS: NOTHING}
    rest = "".join(f", {n} {named.get(kind, kind)}" for kind, n in sorted(found.items()) if kind != PASS)
    print(f"{found[PASS]} of {found.total()} samples of PyTorch's module database pass{rest}")
    return int(found[PASS] + found[VACUOUS] < found.total())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
