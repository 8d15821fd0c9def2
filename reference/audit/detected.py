"""Which check sees which mistake, and after how many random cases.

`python -m reference.audit.detected [ID …]` prints the matrix: mistakes of the catalogue × checks.
"""

import functools
import itertools
import random
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import hypothesis
import numpy as np
import torch
from hypothesis import HealthCheck, Phase, given, settings
from rich.console import Console
from rich.progress import track
from rich.table import Table

from manualbp.base import registry
from manualbp.optim.base import Optimizer

from .. import laws
from ..compare.comparison import compare_case
from ..compare.updates import lockstep
from ..draw.case import Case
from ..draw.strategies import cases
from ..faults import LEFT_OUT, Fault, corrupt, faults
from ..sides.hand import by_hand

BATCH = 20  # cases drawn at a time

Check = Callable[[Case], bool]  # does the case pass?


def examples(name: str, count: int) -> Iterator[Case]:
    """Random cases of the class of this name, always the same."""
    batches = (_batch(name, seed) for seed in itertools.count())
    return itertools.islice(itertools.chain.from_iterable(batches), count)


@functools.cache
def _batch(name: str, seed: int) -> tuple[Case, ...]:
    drawn: list[Case] = []

    @hypothesis.seed(seed)
    @settings(
        max_examples=BATCH, deadline=None, database=None, phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(cases(registry()[name]))
    def collect(case: Case) -> None:
        drawn.append(case)

    collect()
    return tuple(drawn)


def pairs(fault: Fault, count: int, cls: str | None = None) -> Iterator[tuple[Case, Case]]:
    """Random cases on which the mistake could show: as they are, and with it."""
    for case in examples(fault.on or cls or next(iter(fault.classes())), count):
        case = fault.at(case)
        yield case, replace(case, layer=corrupt(case.layer, fault))


def holds(law: Callable[[Case], None], case: Case) -> bool:
    """Is the law kept? Whoever writes to an array that may only be read breaks it; any other crash says nothing."""
    try:
        law(case)
    except AssertionError:
        return False
    except ValueError as crash:
        return "read-only" not in str(crash)
    return True


def _on_integers(case: Case) -> None:
    """Equal to torch on small integers: with ==, where no operation rounds."""
    assert not case.exact or not compare_case(case).wrong


def _on_reals(case: Case) -> None:
    """Equal to torch within the bound."""
    assert not compare_case(replace(case, exact=False)).wrong


CHECKS: dict[str, Check] = {
    "integers": functools.partial(holds, _on_integers),
    "reals": functools.partial(holds, _on_reals),
    "float32": functools.partial(holds, lambda case: _on_reals(replace(case, dtype="float32"))),
    "differences": functools.partial(holds, laws.check_equals_differences),
    "linear": functools.partial(holds, laws.check_linear_in_dy),
    "pure": functools.partial(holds, laws.check_pure),
    "dtype": functools.partial(holds, laws.check_dtype_kept),
    "shapes": functools.partial(holds, laws.check_shapes),
}

UPDATES = "updates"  # of an optimizer, in lock-step with torch's


@dataclass(frozen=True)
class Detection:
    """A mistake, and for every check the number of the first random case that shows it; None if none does."""

    fault: Fault
    name: str
    seen: dict[str, int | None]

    @property
    def detected(self) -> bool:
        return any(n is not None for n in self.seen.values())


def row(fault: Fault, count: int = 40, name: str | None = None) -> Detection:
    """One mistake, in the class of this name, against every check."""
    name = name or next(iter(fault.classes()))
    if name in registry(Optimizer):
        return Detection(fault, name, {UPDATES: _first_update(fault, count, registry(Optimizer)[name])})
    return Detection(fault, name, {check: _first(CHECKS[check], fault, count, name) for check in CHECKS})


def kill_matrix(count: int = 40, ids: Sequence[str] = ()) -> Iterator[Detection]:
    """Every mistake of the catalogue, each in one class; what needs rare options gets more cases."""
    for fault in sorted(faults().values(), key=lambda fault: fault.id):
        if not ids or fault.id in ids:
            found = row(fault, count)
            yield found if found.detected else row(fault, 5 * count)


def _first(check: Check, fault: Fault, count: int, name: str) -> int | None:
    for i, (_, faulty) in enumerate(pairs(fault, count, name), 1):
        if not check(faulty):
            return i
    return None


def _first_update(fault: Fault, count: int, cls: type[Optimizer]) -> int | None:
    draws = random.Random(fault.id)
    for i in range(1, count + 1):
        wrong = corrupt(cls.example(lambda *values: draws.choice(values)), fault)
        if lockstep(wrong, i).wrong:
            return i
    return None


def runs(case: Case) -> bool:
    """Do forward and backward come to an end? A mistake that crashes needs no check to be found."""
    params, x, dy = case.data()
    by_hand(case.layer, params, x, dy, case.seed)
    return True


def table(rows: list[Detection]) -> Table:
    """What was found: the number of the random case that shows a mistake, or a dot."""
    printed = Table(header_style="dim", title="The first random case that shows the mistake", title_justify="left")
    printed.add_column("id", no_wrap=True)
    printed.add_column("class", no_wrap=True)
    printed.add_column("mistake", overflow="fold", min_width=30)
    for check in (*CHECKS, UPDATES):
        printed.add_column(check, justify="right")
    for found in rows:
        style = "" if found.detected else "red"
        seen = (str(found.seen.get(check) or "·") for check in (*CHECKS, UPDATES))
        printed.add_row(found.fault.id, found.name, found.fault.text, *seen, style=style)
    return printed


def gathered(ids: list[str], matrix: Callable[[list[str]], Iterator]) -> tuple[Console, list]:
    """The rows of a matrix, with a bar while they come; exit code 2 for a mistake that is unknown."""
    torch.set_num_threads(1)
    if unknown := set(ids) - faults().keys():
        print(f"no mistake is called {', '.join(sorted(unknown))}; known are {', '.join(faults())}", file=sys.stderr)
        sys.exit(2)
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(width=150, highlight=False)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # torch's advice, and what a mistake makes of numbers
        return console, list(track(matrix(ids), "mistakes", len(ids) or len(faults()), console=console, transient=True))


def main(ids: list[str]) -> int:
    console, rows = gathered(ids, lambda ids: kill_matrix(ids=ids))
    console.print(table(rows))
    for id, reason in {} if ids else LEFT_OUT.items():
        console.print(f"{id} is left out: {reason}")
    missed = [found.fault.id for found in rows if not found.detected]
    print(f"{len(rows) - len(missed)} of {len(rows)} mistakes seen" + (f"; not: {', '.join(missed)}" if missed else ""))
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
