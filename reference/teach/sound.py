"""Is an exercise in order? What is wrong with it is no mistake of who solves it."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np

from manualbp.optim.base import Optimizer

from ..draw.specs import Indices
from ..draw.trial import Trial
from .by_hand import as_pair, leaves, meant, of_output
from .exercise import FUNCTIONS, Exercise
from .judgement import FAULTY, Judgement, Unusable
from .judging import trials
from .raising import raised

CLOSE = {"rtol": 1e-6, "atol": 1e-9}  # what is given in a STUB is plain code: it is right, or far off


def sound(exercise: Exercise) -> None:
    """Unusable, in a sentence, for an exercise that cannot judge anybody."""
    given = stub(exercise)
    for name, check in exercise.checks.items():
        for function in (check[key] for key in FUNCTIONS if isinstance(check.get(key), str)):
            if not callable(getattr(given, function, None)):
                raise faulty(f"CHECKS[{name!r}] asks for {function}, which the STUB does not define")
        if "step" in check:
            if not isinstance(check["optimizer"], Optimizer):
                raise faulty(f"CHECKS[{name!r}]: optimizer is {check['optimizer']!r:.60}, and no optimizer of manualbp")
            continue
        functions = {k: getattr(given, v) if isinstance(v, str) else v for k, v in check.items()}
        pair = tried(exercise, f"CHECKS[{name!r}]", as_pair, functions) if "df" in check else functions
        for trial in tried(exercise, f"inputs of CHECKS[{name!r}]", trials, pair["inputs"])[:2]:
            agrees(exercise, name, pair, trial, of_stub(functions, trial))


def faulty(text: str) -> Unusable:
    return Unusable(Judgement(FAULTY, said=(text,)))


def stub(exercise: Exercise) -> ModuleType:
    """The STUB as a module."""
    module = ModuleType(exercise.name)
    code = tried(exercise, "the STUB", compile, exercise.stub, "STUB", "exec")
    tried(exercise, "the STUB", exec, code, module.__dict__)
    return module


def tried(exercise: Exercise, doing: str, f: Any, *arguments: Any) -> Any:
    """f(*arguments); what it raises is the exercise's fault."""
    try:
        with np.errstate(all="ignore"):
            return f(*arguments)
    except Exception as e:
        raise faulty(raised(doing, e, exercise.path)) from e


def agrees(exercise: Exercise, name: str, check: Mapping[str, Any], trial: Trial, given: Mapping[str, Any]) -> None:
    """Is what is meant a function of these inputs, with a gradient for each, and what the STUB gives of it the same?"""
    of = f"the {'layer' if 'layer' in check else 'truth'} of CHECKS[{name!r}]"
    right = tried(exercise, of, meant, check, trial.arrays, trial.seed)[0]
    for n, spec in check["inputs"].items():
        if not isinstance(spec, Indices) and f"d{n}" not in right:
            raise faulty(f"{of} does not use {n}, or a copy of it, so that there is no gradient to compare")
    if bad := [n for n, a in right.items() if not np.isfinite(a).all()]:
        raise faulty(f"{of} gives {bad[0]} that is infinite or NaN on the numbers drawn for inputs ({trial})")
    for n, a in given.items():
        if n not in right or a.shape != right[n].shape or not np.allclose(a, right[n], **CLOSE):
            raise faulty(f"{of} gives another {n} than the forward pass in the STUB ({trial})")


def of_stub(given: Mapping[str, Any], trial: Trial) -> dict[str, Any]:
    """The outputs of a forward pass that the STUB gives, if a backward pass is left to write beside it: where all is
    written, something in it may be there to be mended."""
    inputs = [np.array(a) for a in trial.arrays.values()]
    try:
        with np.errstate(all="ignore"):
            y, cache = (given["f"](*inputs), None) if "df" in given else given["forward"](*inputs)
            left = given["df"](*inputs) if "df" in given else given["backward"](np.ones_like(leaves(y)[0]), cache)
    except Exception:
        return {}
    return of_output(y) if left is None and y is not None else {}
