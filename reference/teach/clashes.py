"""Shapes that do not go together in a solution: which side is wrong, and which transpose or axis, if the solution is
right with that mended."""

import ast
import copy
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..sides.clash import failed, is_product, span
from . import by_hand
from .exercise import Exercise
from .judgement import WRONG, Judgement, Mistake, Unusable
from .judging import trials

SITES = 3  # places in one solution that are mended together
SUMS = ("sum", "mean", "max", "min", "std", "var")
TRIALS = 3  # of real numbers on which a mended solution must be right
Place = tuple[Any, ...]  # in the text of the solution
Functions = Mapping[str, Any]


@dataclass(frozen=True)
class Turned:
    """What is done to a product of two factors: which is transposed, or no longer, and are they exchanged?"""

    left: bool
    right: bool
    exchanged: bool

    def __call__(self, product: ast.expr) -> None:
        a, b = factors(product)
        a, b = (turned(a) if self.left else a), (turned(b) if self.right else b)
        a, b = (b, a) if self.exchanged else (a, b)
        if isinstance(product, ast.BinOp):
            product.left, product.right = a, b
        elif isinstance(product, ast.Call):
            if len(product.args) == 1 and isinstance(product.func, ast.Attribute):
                product.func.value, product.args = a, [b]
            else:
                product.args = [a, b]

    def said(self, product: ast.expr) -> str:
        """What is wrong with the product."""
        turn = [n for n, mended in zip(factors(product), (self.left, self.right)) if mended]
        if self.exchanged:
            what = "order of the factors is wrong" + ", and so is what is transposed" * bool(turn)
            return f"In {ast.unparse(product)} the {what}."
        if len(turn) == 2 and is_turned(turn[0]) != is_turned(turn[1]):
            return f"In {ast.unparse(product)} the wrong factor is transposed."
        what = "is transposed that must not be" if is_turned(turn[0]) else "has to be transposed"
        return f"In {ast.unparse(product)} {'a factor' if len(turn) == 1 else 'each factor'} {what}."


@dataclass(frozen=True)
class Kept:
    """A sum keeps its axis."""

    def __call__(self, call: ast.expr) -> None:
        assert isinstance(call, ast.Call)
        call.keywords.append(ast.keyword("keepdims", ast.Constant(True)))

    def said(self, call: ast.expr) -> str:
        return f"{ast.unparse(call)} loses the axis, which is needed to spread it again; keepdims=True keeps it."


Edit = Turned | Kept
TURNS = [Turned(*each) for each in sorted(itertools.product((False, True), repeat=3), key=lambda e: (e[2], sum(e)))][1:]


def explained(error: Unusable, exercise: Exercise, solution: Path) -> Judgement:
    """The judgement, with the side and the mistake where a solution is wrong because shapes do not go together."""
    found, check = error.judgement, next(iter(exercise.checks.values()))
    if found.outcome != WRONG or "inputs" not in check:
        return found
    tree = ast.parse(solution.read_text(encoding="utf-8-sig"))
    made = next(mending(tree, check, solution, error.__cause__, {}), {})
    named = [Mistake(None, edit.said(node)) for node, edit in at(tree, made)]
    side = "backward" if forward_is_right(tree, check, solution) else None
    return replace(found, side=side, mistakes=tuple(named[:1]))


def mending(
    tree: ast.Module, check: Functions, path: Path, error: BaseException | None, made: Mapping[Place, Edit]
) -> Iterator[dict[Place, Edit]]:
    """Every way to change the products and sums that raise so that the solution is right."""
    found = failed(error, lambda file: file == str(path.absolute())) if error else None
    if found is None or len(made) == SITES:
        return
    for place, edit in possible(found[2]):
        if place in made:
            continue
        edits = {**made, place: edit}
        try:
            if is_right(functions_of(edited(tree, edits), check, path)):
                yield edits
        except Exception as e:
            yield from mending(tree, check, path, e, edits)


def possible(node: ast.AST) -> Iterator[tuple[Place, Edit]]:
    """What may be wrong in an expression whose shapes do not go together."""
    if isinstance(node, (ast.BinOp, ast.Call)) and is_product(node):
        yield from ((span(node), edit) for edit in TURNS if factors(node))
    else:
        yield from ((span(call), Kept()) for call in ast.walk(node) if is_sum(call))


def edited(tree: ast.Module, edits: Mapping[Place, Edit]) -> ast.Module:
    """The solution with this changed, at the places at which it stands in its text."""
    new = copy.deepcopy(tree)
    for node, edit in [*at(new, edits)]:
        edit(node)
    return ast.fix_missing_locations(new)


def at(tree: ast.Module, edits: Mapping[Place, Edit]) -> Iterator[tuple[ast.expr, Edit]]:
    """What stands at these places, the first to be mended first."""
    nodes = {span(n): n for n in ast.walk(tree) if isinstance(n, (ast.BinOp, ast.Call))}
    yield from ((nodes[place], edit) for place, edit in edits.items())


def is_sum(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SUMS
        and all(k.arg != "keepdims" for k in node.keywords)
    )  # fmt: skip


def factors(node: ast.expr) -> tuple[ast.expr, ...]:
    """The two of a product; none where the call takes more."""
    if isinstance(node, ast.BinOp):
        return node.left, node.right
    if not isinstance(node, ast.Call) or node.keywords:
        return ()
    of = [node.func.value] if isinstance(node.func, ast.Attribute) and len(node.args) == 1 else []
    each = (*of, *node.args)
    return each if len(each) == 2 else ()


def turned(a: ast.expr) -> ast.expr:
    """Transposed; as it was where it is transposed already."""
    return a.value if isinstance(a, ast.Attribute) and a.attr == "T" else ast.Attribute(a, "T", ast.Load())


def is_turned(a: ast.expr) -> bool:
    return isinstance(a, ast.Attribute) and a.attr == "T"


def functions_of(tree: ast.Module, check: Functions, path: Path) -> dict[str, Any]:
    """The check with the functions of this solution."""
    module = ModuleType("solution")
    exec(compile(tree, str(path.absolute()), "exec"), module.__dict__)
    return {k: getattr(module, v) if isinstance(v, str) else v for k, v in check.items()}


def is_right(given: Functions) -> bool:
    real = [t for t in trials(given["inputs"]) if not t.integers][:TRIALS]
    return not any(by_hand.compared(given, t) for t in real)


def forward_is_right(tree: ast.Module, check: Functions, path: Path) -> bool:
    try:
        given, trial = functions_of(tree, check, path), trials(check["inputs"])[0]
        y = by_hand.of_output(given["forward"](*(np.array(a) for a in trial.arrays.values()))[0])
        right = by_hand.meant(given, trial.arrays, trial.seed)[0]
        return all(by_hand.alike(a, right.get(n)) for n, a in y.items())
    except Exception:
        return False
