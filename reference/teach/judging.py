"""One solution judged, in a process of its own: python -m reference.teach.judging EXERCISE.py SOLUTION.py ANSWER.json

The functions are tried by themselves first, so that what is missing is said in a sentence; then the checks decide, and
what was not derived by hand is no solution.
"""

import ast
import importlib.util
import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..draw.plans import FAR, Inputs
from ..draw.specs import Indices
from ..draw.trial import Trial
from .exercise import FUNCTIONS, Exercise, read
from .judgement import BORROWED, ERROR, UNFINISHED, Judgement, Mistake, Unusable
from .raising import blamed, said
from .shortcuts import borrowed, watched

BEGUN = "begun"  # the file that says that all is imported

SINGLE = re.compile(r"float(?:16|32)|single|half|[\"'][<>=]?[ef][24]?[\"']")  # how a lower precision is asked for
RIGHT_SLOPE = " where it is "  # what follows in the name of a mistake says what should stand there
SURE = 0.5  # score of a suspect below which no name is given
QUOTIENT = "differences of the forward pass, as (f(x + h) − f(x − h))/2h. Here the derivative is written as a formula."


@np.errstate(all="ignore")  # what overflows on numbers that are tried is no concern of a learner's
def judge(exercise: Exercise, solution: Path) -> Judgement:
    """The judgement of this file. It runs what is in the file."""
    from .clashes import explained
    from .sound import sound

    try:
        sound(exercise)
        module = loaded(solution)
        for given in exercise.checks.values():
            tried(module, given, solution)
        found = [checked(module, name, given, exercise.path) for name, given in exercise.checks.items()]
    except Unusable as e:
        return explained(e, exercise, solution)
    return next((j for j in found if not j.good), found[0])


def loaded(path: Path) -> ModuleType:
    """The solution as a module."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8-sig"), str(path))
    except (SyntaxError, UnicodeDecodeError) as e:
        line = f"line {e.lineno}: " if isinstance(e, SyntaxError) else ""
        raise Unusable.since(ERROR, f"{path.name} is not Python: {line}{getattr(e, 'msg', e)}") from e
    if told := borrowed(tree):
        raise Unusable.since(BORROWED, told)
    spec = importlib.util.spec_from_file_location("solution", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    said(path, "reading the file", spec.loader.exec_module, module)
    return module


def tried(module: ModuleType, given: Mapping[str, Any], path: Path) -> None:
    """One call of each function of a check, on small numbers."""
    named = {key: given[key] for key in FUNCTIONS if isinstance(given.get(key), str)}
    for name in named.values():
        if not callable(getattr(module, name, None)):
            raise Unusable.since(
                UNFINISHED, f"{path.name} defines no function {name}: keep the names that the sheet has"
            )
    f = {key: getattr(module, name) for key, name in named.items()}
    if "step" in f:
        found = said(path, "step", f["step"], np.ones(3), np.ones(3), None)
        present("step", found)
        if not isinstance(found, tuple) or len(found) != 2:
            raise Unusable.since(
                ERROR, f"step must return two things, the new p and the new state; it returns {kind(found)}"
            )
    elif "df" in f:
        for key in ("f", "df"):
            x = np.linspace(-2, 2, 6).reshape(2, 3)
            present(key, found := by_formula(path, key, (x,), f[key], x))
            if np.shape(found) != x.shape:
                raise Unusable.since(ERROR, f"{key} must give an array of x's shape {x.shape}; it gives {kind(found)}")
    else:
        pair(f, given["inputs"], path)


def pair(f: Mapping[str, Callable], inputs: Mapping[str, Any], path: Path) -> None:
    """A forward and a backward call."""
    arrays = trials(inputs)[0].arrays
    found = said(path, "forward", f["forward"], *(np.array(a) for a in arrays.values()))
    present("forward", found)
    if not isinstance(found, tuple) or len(found) != 2:
        raise Unusable.since(ERROR, f"forward must return two things, y and the cache; it returns {kind(found)}")
    y, cache = found
    dy = tuple(map(np.ones_like, y)) if isinstance(y, tuple) else np.ones_like(y)
    grads = by_formula(path, "backward", tuple(arrays.values()), f["backward"], dy, cache)
    present("backward", grads)
    wanted = [n for n, spec in inputs.items() if not isinstance(spec, Indices)]
    each = grads if isinstance(grads, (tuple, list)) else (grads,)
    if not isinstance(grads, Mapping) and len(each) not in (len(wanted), len(inputs)):
        names = ", ".join(f"d{n}" for n in wanted)
        raise Unusable.since(ERROR, f"backward must return {names}, in this order; it returns {kind(grads)}")
    for name, g in zip(wanted, each):
        if len(each) == len(wanted) and g is None:
            raise Unusable.since(UNFINISHED, f"backward gives None for d{name}: it is still to be written")


def by_formula(path: Path, doing: str, point: tuple[Any, ...], f: Callable, *arguments: Any) -> Any:
    """f(*arguments), unless it takes differences of a function of the solution about this point."""
    found, quotient = said(path, doing, watched, path, point, f, *arguments)
    if quotient:
        raise Unusable.since(BORROWED, f"{doing} calls {quotient} again, close beside the point: it takes {QUOTIENT}")
    return found


def trials(inputs: Mapping[str, Any]) -> list[Trial]:
    """What a pair of functions is tried on: several sizes, real numbers and such as lie on kinks and ties; none far
    from 0, where few digits would have to be told from a mistake."""
    drawn = Inputs(inputs)
    return [t for plan in drawn.plans(seed=0) if plan.kind != FAR and (t := drawn.trial(plan)) is not None]


def present(name: str, found: Any) -> None:
    if found is None or found is ...:
        raise Unusable.since(UNFINISHED, f"{name} returns nothing: is it filled in, and does it end with a return?")


def apart(a: float, b: float) -> tuple[str, str]:
    """Two numbers in as many digits as show that they are two."""
    texts = [(f"{a:.{n}g}", f"{b:.{n}g}") for n in range(6, 18)]
    return next(((x, y) for x, y in texts if x != y), texts[-1])


def kind(value: Any) -> str:
    """A value in a message."""
    if isinstance(value, (tuple, list)):
        return f"{len(value)} thing{'s' * (len(value) != 1)} ({', '.join(map(kind, value))})"
    return f"an array of shape {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__


def checked(module: ModuleType, name: str, given: Mapping[str, Any], exercise: Path) -> Judgement:
    """The judgement of one check."""
    functions = {k: getattr(module, v) if isinstance(v, str) else v for k, v in given.items()}
    path = Path(module.__file__ or "")
    from .overflow import at_large

    try:
        found = judge_of_checks()(name, functions)
        if found.good and "large" in given:
            found = at_large(functions, given["large"])
        single = SINGLE.search(path.read_text(encoding="utf-8-sig"))
        return found if "step" in given else of_digits(found, functions, single)
    except Exception as e:
        raise Unusable(blamed(e, path, exercise, f"CHECKS[{name!r}]")) from e


def of_digits(found: Judgement, functions: Mapping[str, Any], single: Any) -> Judgement:
    """The same, or what it means that the numbers are right to some digits only. single: does the solution use a
    precision that leaves no more?"""
    from .digits import noisy, rough

    few = rough(functions)
    if few is None or few.float32 or any(m.id for m in found.mistakes):
        return found
    if few.everywhere and not single and noisy(functions):
        told = f"The numbers are right to about {few.digits} digits, with noise behind: they come from {QUOTIENT}"
        return Judgement(BORROWED, said=(told,))
    if found.good:
        return found
    told = (
        f"The numbers are right to about {few.digits} digits, no further: is it a difference quotient, a constant cut "
    )
    return replace(found, mistakes=(Mistake(None, told + "short, or float32 inside?"),))


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
