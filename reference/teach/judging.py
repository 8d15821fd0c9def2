"""One solution judged, in a process of its own: python -m reference.teach.judging EXERCISE.py SOLUTION.py ANSWER.json

The functions are tried by themselves first, so that what is missing is said in a sentence; then the checks decide.
"""

import ast
import importlib.util
import json
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..draw.plans import Inputs
from ..draw.specs import Indices
from ..draw.trial import Trial
from .exercise import FUNCTIONS, Exercise, read

BEGUN = "begun"  # the file that says that all is imported

RIGHT, WRONG, CONVENTION, UNFINISHED, ERROR = "right", "wrong", "convention", "unfinished", "error"
SURE = 0.5  # score of a suspect below which no name is given


@dataclass(frozen=True)
class Mistake:
    """The name of a mistake: its id in the catalogue, if it is there, and a sentence."""

    id: str | None
    text: str
    relation: str = ""


@dataclass(frozen=True)
class Judgement:
    """What is said of a solution.

    outcome    "right" "wrong" "convention" "unfinished" "error"
    side       which pass is wrong: "forward" "output" "backward" "both" "contract", or None
    where      the first wrong number: which, and on which sizes
    mistakes   what it looks like, the likeliest first
    said       sentences: an error, what the functions do that they must not, what was printed
    """

    outcome: str
    side: str | None = None
    where: str = ""
    mistakes: tuple[Mistake, ...] = ()
    said: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        return self.outcome == RIGHT

    @staticmethod
    def of(plain: Mapping[str, Any]) -> "Judgement":
        """The inverse of dataclasses.asdict."""
        mistakes = tuple(Mistake(**m) for m in plain["mistakes"])
        return Judgement(**dict(plain) | {"mistakes": mistakes, "said": tuple(plain["said"])})


@dataclass(frozen=True)
class Unusable(Exception):  # noqa: N818
    """The solution cannot be checked, and why."""

    outcome: str
    text: str
    cause: BaseException | None = field(default=None, compare=False)


def judge(exercise: Exercise, solution: Path) -> Judgement:
    """The judgement of this file. It runs what is in the file."""
    try:
        module = loaded(solution)
        for given in exercise.checks.values():
            tried(module, given, solution)
        found = [checked(module, name, given) for name, given in exercise.checks.items()]
    except Unusable as e:
        return Judgement(e.outcome, said=(e.text,))
    return next((j for j in found if not j.good), found[0])


def loaded(path: Path) -> ModuleType:
    """The solution as a module."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    except (SyntaxError, UnicodeDecodeError) as e:
        line = f"line {e.lineno}: " if isinstance(e, SyntaxError) else ""
        raise Unusable(ERROR, f"{path.name} is not Python: {line}{getattr(e, 'msg', e)}") from e
    if line := imports_torch(tree):
        raise Unusable(
            ERROR, f"line {line} imports torch. Here everything is written by hand, with NumPy: take the import out."
        )
    spec = importlib.util.spec_from_file_location("solution", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    said(path, "reading the file", spec.loader.exec_module, module)
    return module


def imports_torch(tree: ast.Module) -> int | None:
    """The line that imports torch, also where the name is given as text."""
    for node in ast.walk(tree):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("__import__", "import_module"):
            names += [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        if any(name.split(".")[0] == "torch" for name in names):
            return node.lineno  # type: ignore[attr-defined]
    return None


def said(path: Path, doing: str, f: Callable, *arguments: Any) -> Any:
    """f(*arguments); what it raises, as a sentence with the line of the solution."""
    try:
        with np.errstate(all="ignore"):
            return f(*arguments)
    except (Exception, SystemExit) as e:
        frames = [fr for fr in traceback.extract_tb(e.__traceback__) if Path(fr.filename).name == path.name]
        line = f", line {frames[-1].lineno}: {frames[-1].line}" if frames else ""
        text = f"{doing} raises {type(e).__name__}: {e}{line}"
        raise Unusable(ERROR, text, e) from e


def tried(module: ModuleType, given: Mapping[str, Any], path: Path) -> None:
    """One call of each function of a check, on small numbers."""
    named = {key: given[key] for key in FUNCTIONS if isinstance(given.get(key), str)}
    for name in named.values():
        if not callable(getattr(module, name, None)):
            raise Unusable(UNFINISHED, f"{path.name} defines no function {name}: keep the names that the sheet has")
    f = {key: getattr(module, name) for key, name in named.items()}
    if "step" in f:
        found = said(path, "step", f["step"], np.ones(3), np.ones(3), None)
        present("step", found)
        if not isinstance(found, tuple) or len(found) != 2:
            raise Unusable(ERROR, f"step must return two things, the new p and the new state; it returns {kind(found)}")
    elif "df" in f:
        for key in ("f", "df"):
            x = np.linspace(-2, 2, 6).reshape(2, 3)
            present(key, found := said(path, key, f[key], x))
            if np.shape(found) != x.shape:
                raise Unusable(ERROR, f"{key} must give an array of x's shape {x.shape}; it gives {kind(found)}")
    else:
        pair(f, given["inputs"], path)


def pair(f: Mapping[str, Callable], inputs: Mapping[str, Any], path: Path) -> None:
    """A forward and a backward call."""
    arrays = trials(inputs)[0].arrays
    found = said(path, "forward", f["forward"], *(np.array(a) for a in arrays.values()))
    present("forward", found)
    if not isinstance(found, tuple) or len(found) != 2:
        raise Unusable(ERROR, f"forward must return two things, y and the cache; it returns {kind(found)}")
    y, cache = found
    dy = tuple(map(np.ones_like, y)) if isinstance(y, tuple) else np.ones_like(y)
    grads = said(path, "backward", f["backward"], dy, cache)
    present("backward", grads)
    wanted = [n for n, spec in inputs.items() if not isinstance(spec, Indices)]
    each = grads if isinstance(grads, (tuple, list)) else (grads,)
    if not isinstance(grads, Mapping) and len(each) not in (len(wanted), len(inputs)):
        names = ", ".join(f"d{n}" for n in wanted)
        raise Unusable(ERROR, f"backward must return {names}, in this order; it returns {kind(grads)}")
    for name, g in zip(wanted, each):
        if len(each) == len(wanted) and g is None:
            raise Unusable(UNFINISHED, f"backward gives None for d{name}: it is still to be written")


def trials(inputs: Mapping[str, Any]) -> list[Trial]:
    """What a pair of functions is tried on: several sizes, real numbers and such as lie on kinks and ties."""
    drawn = Inputs(inputs)
    return [trial for plan in drawn.plans(seed=0) if (trial := drawn.trial(plan)) is not None]


def present(name: str, found: Any) -> None:
    if found is None or found is ...:
        raise Unusable(UNFINISHED, f"{name} returns nothing: is it filled in, and does it end with a return?")


def kind(value: Any) -> str:
    """A value in a message."""
    if isinstance(value, (tuple, list)):
        return f"{len(value)} thing{'s' * (len(value) != 1)} ({', '.join(map(kind, value))})"
    return f"an array of shape {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__


def checked(module: ModuleType, name: str, given: Mapping[str, Any]) -> Judgement:
    """The judgement of one check."""
    return judge_of_checks()(name, {k: getattr(module, v) if isinstance(v, str) else v for k, v in given.items()})


def judge_of_checks() -> Callable[[str, Mapping[str, Any]], Judgement]:
    """With torch as the third party where it is installed, else by hand alone."""
    if importlib.util.find_spec("torch") is None:
        from .by_hand import judged
    else:
        from .by_engine import judged
    return judged


def main(exercise: str, solution: str, answer: str) -> None:
    asked, _ = read(Path(exercise)), judge_of_checks()
    Path(answer).with_name(BEGUN).touch()
    found = judge(asked, Path(solution))
    Path(answer).write_text(json.dumps(asdict(found), default=str), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
