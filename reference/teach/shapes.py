"""Shapes that do not go together, in words: in an expression of the solution, and of a gradient that it gives."""

import ast
import re
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

Shape = tuple[int, ...]
EXPRESSIONS = (ast.BinOp, ast.AugAssign, ast.Call)


def clash(error: BaseException, path: Path) -> str | None:
    """The operands, in the learner's words, of the expression that failed, with their shapes and the likely cause."""
    frames = [
        (frame, summary)
        for (frame, _), summary in zip(
            traceback.walk_tb(error.__traceback__), traceback.extract_tb(error.__traceback__)
        )
        if frame.f_code.co_filename == str(path.absolute())
    ]
    if not frames or not isinstance(error, (ValueError, IndexError)):
        return None
    frame, at = frames[-1]
    place = (at.lineno, at.colno, at.end_lineno, at.end_colno)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    node = next((n for n in ast.walk(tree) if span(n) == place and isinstance(n, EXPRESSIONS)), None)
    if node is None:
        return None
    operands = [(ast.unparse(n), shape) for n in parts(node) if (shape := shape_of(n, frame)) is not None]
    if len(operands) < 2:
        return None
    told = " and ".join(f"{text} has the shape {shape}" for text, shape in operands)
    return f"{at.name}, line {at.lineno}: {ast.unparse(node)} does not fit together: {told}.{cause(node, *operands)}"


def span(node: ast.AST) -> tuple[Any, ...]:
    return tuple(getattr(node, n, None) for n in ("lineno", "col_offset", "end_lineno", "end_col_offset"))


def parts(node: ast.AST) -> Sequence[ast.expr]:
    if isinstance(node, ast.BinOp):
        return node.left, node.right
    if isinstance(node, ast.AugAssign):
        return node.target, node.value
    return node.args if isinstance(node, ast.Call) else ()


def shape_of(node: ast.expr, frame: FrameType) -> Shape | None:
    """The shape of what stands there; None if it is no array."""
    read = ast.copy_location(ast.parse(ast.unparse(node), mode="eval"), node)
    try:
        value = eval(compile(read, "<operand>", "eval"), frame.f_globals, frame.f_locals)
    except Exception:
        return None
    return np.shape(value) if isinstance(value, (np.ndarray, np.generic)) else None


def cause(node: ast.AST, *operands: tuple[str, Shape]) -> str:
    """What probably was meant."""
    (left, a), (right, b) = operands[:2]
    if not isinstance(node, (ast.BinOp, ast.AugAssign)):
        return ""
    if isinstance(node.op, ast.MatMult):
        if len(b) < 2 or not a:
            return ""
        return (
            f" A product of matrices needs the last axis of {left} and the last but one of {right} of one length; they "
            f"are {a[-1]} and {b[-2]}. Is a transpose missing, or one too many?"
        )
    for text, less, more in ((right, b, a), (left, a, b)):
        if kept := next((k for k in with_an_axis(less) if fits(k, more)), None):
            return f" Did {text} lose an axis in a sum or a mean? With keepdims=True it is {kept}."
    return " Entry by entry, axes must be of one length, or of length 1, from the last axis on."


def with_an_axis(shape: Shape) -> Iterator[Shape]:
    """The shape with an axis of length 1 put in, the last place first."""
    yield from ((*shape[:i], 1, *shape[i:]) for i in range(len(shape), 0, -1))


def fits(a: Shape, b: Shape) -> bool:
    """Of as many axes, each as long as the other's or of length 1?"""
    return len(a) == len(b) and all(m == n or m == 1 for m, n in zip(a, b))


def of_gradient(name: str, shape: Shape, wanted: Shape, sizes: str) -> str:
    """Which shape a result has, dW or y, and which it should have. sizes: as "N = 3, D = 5"."""
    of = f", that of {name[1:]}" if name[:1] == "d" else ""
    return f"{name} has the shape {lettered(shape, sizes)}, wanted is {lettered(wanted, sizes)}{of} ({sizes})"


def lettered(shape: Shape, text: str) -> str:
    """(3, 5) = (N, D), where the sizes say which is which."""
    sizes = {n: int(v) for n, v in re.findall(r"(\w+) = (\d+)", text)}
    letters = {v: n for n, v in sizes.items()}
    known = bool(shape) and len(letters) == len(sizes) and all(n in letters for n in shape)
    plain = str(tuple(map(int, shape)))
    return f"{plain} = ({', '.join(letters[n] for n in shape)}{',' * (len(shape) == 1)})" if known else plain


def likely(name: str, shape: Shape, wanted: Shape) -> str | None:
    """The likely mistake behind a shape, in a sentence; None where it is the one wanted."""
    if shape == wanted:
        return None
    if [n for n in shape if n != 1] == [n for n in wanted if n != 1]:
        if len(shape) > len(wanted):
            return f"An axis of length 1 is left in {name}, as keepdims=True leaves it, and has to go."
        return f"{name} has lost an axis of length 1; keepdims=True keeps it."
    if shape == wanted[::-1]:
        return f"{name} is transposed."
    if not shape:
        return f"{name} is one number: everything is summed up, where one number for each entry is wanted."
    if len(shape) > len(wanted):
        return f"{name} has an axis too many: what is used along it several times collects a sum over it."
    if len(shape) < len(wanted):
        return f"{name} lacks an axis: a sum or mean was taken over it, or it was not spread along it again."
    return f"{name} has an axis of another length: a sum over the wrong axis, or factors in the wrong order."
