"""Shapes that do not go together, in words: the operands of the expression that raised, and what probably was meant.

Needs neither torch nor a side: exercises are judged with it, too.
"""

import ast
import functools
import itertools
import linecache
import re
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from traceback import FrameSummary
from types import FrameType, ModuleType
from typing import Any, NamedTuple

Shape = tuple[int, ...]
EXPRESSIONS = (ast.BinOp, ast.AugAssign, ast.Call)
PRODUCTS = ("dot", "matmul", "mm")  # functions and methods that are @
ENTRYWISE = ("add", "divide", "maximum", "minimum", "mul", "multiply", "power", "sub", "subtract", "where")
OF_EINSUM = "broadcast|dimension|size"  # what libraries say where the lengths of a letter differ
REPEATED = (
    "T", "astype", "conj", "dot", "flatten", "matmul", "max", "mean", "min", "permute", "ravel", "reshape", "squeeze",
    "std", "sum", "swapaxes", "t", "transpose", "unsqueeze", "var", "view",
)  # fmt: skip


class Clash(NamedTuple):
    """Where it is (the function and its line), and a sentence."""

    function: str
    line: int
    text: str


def clash(error: BaseException, own: Callable[[str], bool], sizes: Mapping[str, int] | None = None) -> Clash | None:
    """The operands, in the words of who wrote it, of the expression that failed, with their shapes and the likely
    cause; None where it is not the shapes.

    own    is it a file of theirs?
    sizes  by name, so that a shape is read as (N, D)
    """
    if (found := failed(error, own)) is None:
        return None
    frame, at, node = found
    operands = [(ast.unparse(n), shape) for n in parts(node, frame) if (shape := shape_of(n, frame)) is not None]
    if len(operands) < 2 or not disagree(node, [shape for _, shape in operands], str(error)):
        return None
    told = " and ".join(f"{text} has the shape {lettered(shape, sizes or {})}" for text, shape in operands)
    text = f"{ast.unparse(node)} does not fit together: {told}.{cause(node, *operands)}"
    return Clash(at.name, at.lineno or 0, text)


def failed(error: BaseException, own: Callable[[str], bool]) -> tuple[FrameType, FrameSummary, ast.AST] | None:
    """The frame, the line and the expression of theirs that raised; None where it cannot be the shapes."""
    each = zip(traceback.walk_tb(error.__traceback__), traceback.extract_tb(error.__traceback__))
    frames = [(frame, summary) for (frame, _), summary in each if own(summary.filename)]
    if not frames or not isinstance(error, (ValueError, IndexError, RuntimeError)):
        return None
    frame, at = frames[-1]
    node = expression(frame, (at.lineno, at.colno, at.end_lineno, at.end_colno))
    return None if node is None else (frame, at, node)


def expression(frame: FrameType, place: tuple[Any, ...]) -> ast.AST | None:
    """The operation or call that stands at a place of the frame's file, if there is one."""
    return next((n for n in ast.walk(parsed_of(frame)) if span(n) == place and isinstance(n, EXPRESSIONS)), None)


def parsed_of(frame: FrameType) -> ast.AST:
    """The file that a frame runs."""
    return parsed("".join(linecache.getlines(frame.f_code.co_filename, frame.f_globals)))


@functools.lru_cache(maxsize=4)
def parsed(text: str) -> ast.AST:
    try:
        return ast.parse(text)
    except SyntaxError:  # a cell with lines that are no Python
        return ast.Pass()


def span(node: ast.AST) -> tuple[Any, ...]:
    return tuple(getattr(node, n, None) for n in ("lineno", "col_offset", "end_lineno", "end_col_offset"))


def parts(node: ast.AST, frame: FrameType) -> Sequence[ast.expr]:
    """Its operands, or the arguments of a call, behind the array whose method it is."""
    if isinstance(node, ast.BinOp):
        return node.left, node.right
    if isinstance(node, ast.AugAssign):
        return node.target, node.value
    if not isinstance(node, ast.Call):
        return ()
    of = node.func.value if isinstance(node.func, ast.Attribute) and not in_module(node.func, frame) else None
    return (*([of] if of else []), *node.args)


def in_module(f: ast.expr, frame: FrameType) -> bool:
    """Is it np.exp, torch.linalg.norm?"""
    while isinstance(f, ast.Attribute):
        f = f.value
    name = f.id if isinstance(f, ast.Name) else ""
    return isinstance(frame.f_locals.get(name, frame.f_globals.get(name)), ModuleType)


def shape_of(node: ast.expr, frame: FrameType) -> Shape | None:
    """The shape of what stands there; None if it is no array, or if to look would do something again."""
    if isinstance(node, ast.Starred) or not all(harmless(n, frame) for n in ast.walk(node)):
        return None
    read = ast.copy_location(ast.parse(ast.unparse(node), mode="eval"), node)
    try:
        value = eval(compile(read, "<operand>", "eval"), frame.f_globals, frame.f_locals)
    except Exception:
        return None
    shape = getattr(value, "shape", None)
    return tuple(shape) if isinstance(shape, tuple) else None


def harmless(node: ast.AST, frame: FrameType) -> bool:
    """Does it change nothing, however often it is run?"""
    if isinstance(node, ast.Call):
        f = node.func
        return isinstance(f, ast.Attribute) and (f.attr in REPEATED or in_module(f, frame))
    return not isinstance(node, (ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom))


def disagree(node: ast.AST, shapes: Sequence[Shape], said: str) -> bool:
    """Is it the shapes that the operation cannot take?"""
    a, b = shapes[:2]
    if is_product(node):
        return not a or not b or a[-1] != b[-2 if len(b) > 1 else 0] or not together(a[:-2], b[:-2])
    if isinstance(node, ast.AugAssign):
        return not together(a, b) or len(b) > len(a) or any(m == 1 < n for m, n in zip(a[::-1], b[::-1]))
    if isinstance(node, ast.BinOp) or called(node) in ENTRYWISE:
        return not all(together(m, n) for m, n in itertools.combinations(shapes, 2))
    return called(node) == "einsum" and re.search(OF_EINSUM, said) is not None


def called(node: ast.AST) -> str:
    """The name of the function or method that is called; "" if that is something else."""
    return node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else ""


def is_product(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return called(node) in PRODUCTS
    return isinstance(node, (ast.BinOp, ast.AugAssign)) and isinstance(node.op, ast.MatMult)


def together(a: Shape, b: Shape) -> bool:
    """Can they be broadcast?"""
    return all(m == n or 1 in (m, n) for m, n in zip(a[::-1], b[::-1]))


def cause(node: ast.AST, *operands: tuple[str, Shape]) -> str:
    """What probably was meant."""
    (left, a), (right, b) = operands[:2]
    if is_product(node):
        if len(b) < 2 or not a:
            return ""
        return (
            f" A product of matrices needs the last axis of {left} and the last but one of {right} of one length; they "
            f"are {a[-1]} and {b[-2]}. Is a transpose missing, or one too many?"
        )
    if not isinstance(node, (ast.BinOp, ast.AugAssign)):
        return ""
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


def lettered(shape: Shape, sizes: Mapping[str, int]) -> str:
    """(3, 5) = (N, D), where the sizes say which is which."""
    letters = {v: n for n, v in sizes.items()}
    known = bool(shape) and len(letters) == len(sizes) and all(n in letters for n in shape)
    plain = str(tuple(map(int, shape)))
    return f"{plain} = ({', '.join(letters[n] for n in shape)}{',' * (len(shape) == 1)})" if known else plain
