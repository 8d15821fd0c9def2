"""Gradients that are not derived by hand: borrowed from a library, or taken from differences of the forward pass."""

import ast
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

LIBRARIES = {
    "torch", "jax", "autograd", "tensorflow", "mygrad", "tinygrad", "theano", "aesara", "casadi", "sympy",
    "numdifftools", "manualbp", "reference",
}  # fmt: skip
BESIDE = 0.02  # how far beside the point a step of a difference quotient leads at most
LEAST = 1e-13  # below this it is rounding


def borrowed(tree: ast.Module) -> str | None:
    """What the solution takes from elsewhere in place of deriving it, in a sentence."""
    for node in ast.walk(tree):
        for name in imported(node):
            library = name.split(".")[0]
            if library in LIBRARIES:
                return (
                    f"line {line_of(node)} imports {library}. Here everything is written by hand, with NumPy: "
                    f"take the import out."
                )
    return next((COMPLEX.format(line=line_of(node)) for node in ast.walk(tree) if is_complex(node)), None)


COMPLEX = (
    "line {line} works with complex numbers: f(x + ih)/h differentiates by running the forward pass. Here the "
    "derivative is written as a formula."
)


def imported(node: ast.AST) -> list[str]:
    """The modules that a statement or a call imports, also where the name is given as text."""
    if isinstance(node, ast.Import):
        return [a.name for a in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("__import__", "import_module"):
        return [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    return []


def is_complex(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, complex)


def line_of(node: ast.AST) -> int:
    return getattr(node, "lineno", 0)


def watched(path: Path, point: Sequence[Any], f: Callable, *arguments: Any) -> tuple[Any, str | None]:
    """f(*arguments), and the function of this file, if any, that it calls closely beside `point`: a difference
    quotient does so, a derivative reads the point alone."""
    steps: dict[str, float] = {}
    file = str(path.absolute())
    real = [np.array(p) for p in point if np.asarray(p).dtype.kind == "f"]

    def seen(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event != "call" or code.co_filename != file:
            return
        given = [frame.f_locals.get(n) for n in code.co_varnames[: code.co_argcount]]
        if any(beside(a, p) for a in given for p in real):
            steps[code.co_name] = steps.get(code.co_name, 0) + 1
        elif any(is_near_an_entry(a, p) for a in given for p in real):
            steps[code.co_name] = steps.get(code.co_name, 0) + 2 / min(p.size for p in real)

    before = sys.getprofile()
    sys.setprofile(seen)
    try:
        found = f(*arguments)
    finally:
        sys.setprofile(before)
    return found, next((name for name, times in steps.items() if times >= 1), None)


def beside(a: Any, p: np.ndarray) -> bool:
    """Is it the array p, moved by a little?"""
    if not isinstance(a, np.ndarray) or a.shape != p.shape or a.dtype.kind != "f":
        return False
    off = float(np.abs(a - p).max(initial=0.0))
    return LEAST < off <= BESIDE


def is_near_an_entry(a: Any, p: np.ndarray) -> bool:
    """Is it one number, beside an entry of p?"""
    if not isinstance(a, (float, np.floating)):
        return False
    off = np.abs(p - a).min(initial=np.inf)
    return LEAST < off <= BESIDE / 20
