"""What an exercise is: a short file of text, hints, a stub to fill in, and checks.

    \"""Doubling

    y = 2x, for x of any shape. Give the gradient of x.
    \"""

    HINTS = ("By how much does y change as x changes by a little?", "Every unit of y counts dy.")
    FITTING = {"A07": 2, "sign": "Does y grow or fall as x grows?"}  # may be left out
    STUB = '''
    import numpy as np


    def forward(x):
        return 2 * x, ()


    def backward(dy, cache):
        \"""The gradient of x.\"""
    '''
    CHECKS = {
        "doubling": {
            "forward": "forward", "backward": "backward", "truth": lambda x: 2 * x, "inputs": {"x": ("N", "D")},
        },
    }

`manualbp learn --new own/doubling.py` writes this file, `manualbp learn own/doubling.py` hands it out. What STUB and
CHECKS use, as NumPy or manualbp, each imports itself. FITTING says which hint comes first for a mistake that is named:
by its id, or by words of its sentence, the number of a hint or another one. A check names the functions of the solution
in quotes, and says what they must equal:

    "truth"      a formula of the inputs, in operators alone, so that it takes arrays and tensors
    "layer"      or a manualbp layer for f and df; for forward and backward a function of the inputs that gives the
                 layer, its parameters, and its input: lambda x, W: (m.Linear(3, 2, bias=False), {"weight": W}, x)
    "optimizer"  for a step: an optimizer of manualbp
    "inputs"     their shapes by name; sizes are drawn. reference.draw.specs has Indices, Positive and others
    "large"      may be left out: with inputs of ± this size nothing may overflow
"""

import itertools
import re
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ..draw.expression import nearest

OURS = Path(__file__).parent / "exercises"
FORM = __doc__ or ""  # what a teacher is shown whose file is no exercise
KINDS = ({"f", "df"}, {"forward", "backward", "inputs"}, {"step", "optimizer"})
FUNCTIONS = ("f", "df", "forward", "backward", "step")  # keys of a check that name functions of the solution
TAKEN = (*FUNCTIONS, "inputs", "layer", "truth", "optimizer", "large", "options", "where", "accumulates", "dtype")


@dataclass(frozen=True)
class Exercise:
    """One exercise; `path` is the file that it was read from."""

    name: str
    title: str
    text: str
    hints: tuple[str, ...]
    fitting: Mapping[str, int | str]
    stub: str
    checks: Mapping[str, Mapping[str, Any]]
    path: Path

    def hint(self, tries: int, mistakes: Iterable[tuple[str | None, str]] = ()) -> str:
        """The hint that fits the first mistake, an id and a sentence, if there is one; else the next one."""
        of = len(self.hints)
        for fault, text in mistakes:
            key = next((k for k in self.fitting if matches(k, fault, text)), None)
            found = self.fitting.get(key or "")
            if isinstance(found, str):
                return f"Hint, for this mistake: {found}"
            if found is not None:
                return f"Hint {found} of {of}, for this mistake: {self.hints[found - 1]}"
        number = max(1, min(tries, of))
        return f"Hint {number} of {of}: {self.hints[number - 1]}"

    @property
    def call(self) -> str:
        """What it is called by in a command."""
        return self.name if self.path.parent == OURS else str(self.path)

    def sheet(self, file: str) -> str:
        """The file that a learner fills in."""
        hints = "\n".join(f"#   {i}. {hint}" for i, hint in enumerate(self.hints, 1))
        what_next = f"Fill in what is missing, then run: manualbp learn {self.call} {file}"
        return (
            f'"""{self.title}\n\n{self.text}\n\n{what_next}\n"""\n'
            f"{self.stub.rstrip()}\n\n\n# Hints, in steps. Read one, try, read the next.\n{hints}\n"
        )


def matches(key: str, fault: str | None, text: str) -> bool:
    """Is this the mistake? key: an id, as B04, which stands for B04.last, too, or words of the sentence."""
    return (fault or "").split(".")[0] == key or (not key[:1].isupper() and key in text)


def new(path: Path) -> str:
    """Write the exercise that FORM shows, to begin with; what to do with it, in a sentence."""
    if path.suffix != ".py" or path.exists():
        what = "is there already" if path.exists() else "is no .py"
        raise ValueError(f"--new takes a file to be made, as own/doubling.py; {path} {what}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(example(), encoding="utf-8")
    return f"{path} is an exercise: change it. To hand it out, in another folder: manualbp learn {path}"


def example() -> str:
    """The exercise that stands in FORM."""
    lines = itertools.takewhile(lambda line: not line or line[:1] == " ", FORM.splitlines()[2:])
    return textwrap.dedent("\n".join(lines)).strip() + "\n"


def _whole(path: Path, found: Mapping[str, Any]) -> None:
    """ValueError for a file that lacks a part; what has the text alone is a solution, as every sheet has one."""
    lacking = [name for name in ("__doc__", "HINTS", "STUB", "CHECKS") if not found.get(name)]
    if lacking:
        told = ", ".join(lacking).replace("__doc__", "text at its beginning")
        judged = f"A solution is judged by: manualbp learn {path.stem} {path}. "
        solution = lacking == ["HINTS", "STUB", "CHECKS"]
        raise ValueError(f"the exercise {path} has no {told}. {judged * solution}{FORM}")


def _checked(path: Path, checks: Any) -> None:
    """ValueError for checks that are none, or have keys that mean nothing."""
    if not isinstance(checks, dict):
        raise ValueError(f"the exercise {path}: CHECKS is {checks!r:.60}, and no dict by name. {FORM}")
    for check, given in checks.items():
        if not any(kind <= given.keys() for kind in KINDS):
            raise ValueError(
                f"the exercise {path}: check {check!r} has {', '.join(given)}; it needs f and df, or forward, backward "
                f"and inputs, or step and optimizer"
            )
        if strange := [n for n in given if n not in TAKEN]:
            raise ValueError(f"the exercise {path}: check {check!r} has {strange[0]}, none of {', '.join(TAKEN)}")


def _hints(path: Path, hints: Any) -> tuple[str, ...]:
    if isinstance(hints, str):
        raise ValueError(f"the exercise {path}: HINTS is one text; one hint is HINTS = ({hints!r:.40},)")
    return tuple(hints)


def read(path: Path) -> Exercise:
    """The exercise in a file; a ValueError that says what the file lacks."""
    found: dict[str, Any] = {"__name__": path.stem, "__file__": str(path)}
    try:
        exec(compile(path.read_text(encoding="utf-8-sig"), str(path), "exec"), found)
    except (Exception, SystemExit) as e:
        raise ValueError(f"the exercise {path} cannot be read: {type(e).__name__}: {e}") from e
    _whole(path, found)
    _checked(path, found["CHECKS"])
    fitting, hints = found.get("FITTING", {}), _hints(path, found["HINTS"])
    if wrong := [
        n for n in fitting.values() if not isinstance(n, str) and not (isinstance(n, int) and 0 < n <= len(hints))
    ]:
        raise ValueError(
            f"the exercise {path}: FITTING has {wrong[0]!r}; it takes a hint in quotes, or the number of one, 1 to "
            f"{len(hints)}"
        )
    title, _, text = found["__doc__"].strip().partition("\n")
    name = re.sub(r"^e\d\d_(?=.)", "", path.stem)
    return Exercise(name, title, text.strip(), hints, fitting, found["STUB"], found["CHECKS"], path)


@cache
def known(folder: Path | None = None) -> dict[str, Exercise]:
    """The exercises of the package by name, in order; those of another folder after them."""
    files = sorted(OURS.glob("e*.py")) + (sorted(folder.glob("[!_]*.py")) if folder else [])
    return {e.name: e for e in map(read, files)}


def find(name: str, folder: Path | None = None) -> Exercise:
    """The exercise of this name, or the one in this file."""
    if name.endswith(".py"):
        if not Path(name).exists():
            raise ValueError(f"there is no exercise file {name}")
        return read(Path(name))
    exercises, key = known(folder), name.replace("-", "_")
    if key not in exercises:
        raise ValueError(f"no exercise is called {name}{nearest(key, exercises)}; `manualbp learn` lists them")
    return exercises[key]
