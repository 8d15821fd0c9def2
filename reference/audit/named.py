"""Which mistake of the catalogue a check names, on random shapes of one class that can have it.

`python -m reference.audit.named [ID …]` prints the matrix: mistakes × random cases that show them, and what was named
first.
"""

import itertools
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from rich.table import Table

from manualbp.base import registry
from manualbp.optim.base import Optimizer

from ..check import check_optimizer, on_case
from ..faults import Fault, corrupt, faults
from ..report.report import Report
from ..sides.module import twin_of
from .detected import gathered, pairs

SHAPES, MOST = 5, 200  # cases that show a mistake, among so many at most
LEAST = 0.95  # of the mistakes must be named first


@dataclass(frozen=True)
class Naming:
    """A mistake, the class that it is made in, and what was named first in each case that shows it."""

    fault: Fault
    name: str
    told: tuple[str | None, ...]

    @property
    def right(self) -> int:
        return sum(_number(id) == _number(self.fault.id) for id in self.told)

    @property
    def named(self) -> bool:
        """Is it named first in most cases? True where no check of one function can see it: an optimizer's groups."""
        return 2 * self.right > len(self.told) or not self.told


def _number(id: str | None) -> str | None:
    """The entry of the catalogue, without the name of a variant."""
    return id and id.split(".")[0]


def rows(ids: Sequence[str] = ()) -> Iterator[Naming]:
    for fault in sorted(faults().values(), key=lambda f: f.id):
        if not ids or fault.id in ids:
            name = next(iter(fault.classes()))
            reports = _of_updates(fault, name) if name in registry(Optimizer) else _of_layers(fault)
            told = (
                r.suspects[0].fault if r.suspects else None
                for r in reports
                if r.verdict in ("wrong", "coarse", "convention")
            )
            yield Naming(fault, name, tuple(itertools.islice(told, SHAPES)))


def _of_layers(fault: Fault) -> Iterator[Report]:
    """Reports on cases of other shapes each, with the mistake in them."""
    seen: set[str] = set()
    for case, faulty in pairs(fault, MOST):
        if (shape := f"{case.shape} {case.layer}") not in seen:
            seen.add(shape)
            yield on_case(case, faulty.layer, twin_of(case.layer, case.seed))


def _of_updates(fault: Fault, name: str) -> Iterator[Report]:
    """Reports on steps of an optimizer with other options each, with the mistake in it."""
    draws, cls = random.Random(fault.id), registry(Optimizer)[name]
    for seed in range(MOST):
        opt = cls.example(lambda *values: draws.choice(values))
        wrong = corrupt(opt, fault)

        def step(p, g, state, wrong=wrong):
            params = {"p": p}
            params, state = wrong.step(params, {"p": g}, wrong.init(params) if state is None else state)
            return params["p"], state

        yield check_optimizer(step, against=getattr(torch.optim, name), seed=seed, **vars(opt))


def table(found: list[Naming]) -> Table:
    """A line for every mistake; red where another, or none, is named in most cases."""
    printed = Table("id", "class", "named", "where not", header_style="dim")
    for row in found:
        others = ", ".join(sorted({id or "none" for id in row.told if _number(id) != _number(row.fault.id)}))
        style = "" if row.named else "red"
        printed.add_row(row.fault.id, row.name, f"{row.right} of {len(row.told)}", others, style=style)
    return printed


def main(ids: list[str]) -> int:
    console, found = gathered(ids, rows)
    console.print(table(found))
    right, cases = sum(row.right for row in found), sum(len(row.told) for row in found)
    named = sum(row.named for row in found)
    print(f"{named} of {len(found)} mistakes named first in most cases; {right} of {cases} cases ({right / cases:.1%})")
    return int(named < LEAST * len(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
