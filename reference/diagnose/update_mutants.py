"""Mistakes of a rule that is given as a function: the rule intended with one change in its own code.

Its code is read, and one operation, name or line is made otherwise: a term left out, a sign turned, one mean for the
other, ε on the other side of the root, a line before another. What gives your numbers at every step is said in the
rule's own words.
"""

import ast
import copy
import inspect
import itertools
import textwrap
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np

from ..draw.steps import Steps
from ..sides.rule_truth import truth_of
from .evidence import Suspect
from .update_wrong import Wrong, near

MOST = 2500  # changes that are tried
FIRST = 2  # steps that all changes are run on
TURNED = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}


class Mutant(NamedTuple):
    """The rule's code with one change, and the change in words: what stands there, what stood there, and where."""

    tree: ast.FunctionDef
    now: str
    before: str
    line: str = ""


def of_mutants(against: Any, options: Mapping[str, Any], w: Wrong) -> Iterator[Suspect]:
    """The first change that gives these very numbers at every step."""
    if not isinstance(against, FunctionType) or not np.isfinite(w.error) or (tree := _read(against)) is None:
        return
    few = Steps(w.steps.params, w.steps.grads[:FIRST], w.steps.rates[:FIRST])
    for mutant in itertools.islice(mutants(tree, _numbers(against)), MOST):
        try:
            rule = truth_of(_made(against, mutant.tree), options)
            with np.errstate(all="ignore"):
                told = rule.updates.run(few, np.float64)
                if not all(near(a[n], b[n], k) for k, (a, b) in enumerate(zip(w.yours, told)) for n in few.params):
                    continue
                holds = w.explained(rule.updates.run(w.steps, np.float64))
        except Exception:  # a change may end in an error
            continue
        if holds:
            evidence = "changed so, the rule intended gives your numbers at every step"
            line = f", in `{mutant.line}`" * bool(mutant.line)
            text = f"Yours is the rule with {mutant.now} where it has {mutant.before}{line}."
            relation = f"yours = the rule with {mutant.now} for {mutant.before}"
            yield Suspect(None, text, relation, f"write {mutant.before}", "", evidence, 0.95)
            return


def _read(rule: FunctionType) -> ast.FunctionDef | None:
    try:
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(rule))).body
    except (OSError, TypeError, ValueError, SyntaxError):
        return None
    return tree if isinstance(tree, ast.FunctionDef) else None


def _numbers(rule: FunctionType) -> tuple[str, ...]:
    """The numbers that the rule takes from outside of it."""
    found = inspect.getclosurevars(rule)
    return tuple(n for n, v in {**found.globals, **found.nonlocals}.items() if isinstance(v, float))


def _made(rule: FunctionType, tree: ast.FunctionDef) -> FunctionType:
    """The function of this code, in the place of another, with what that one has around it."""
    tree = copy.deepcopy(tree)
    tree.decorator_list = []
    free = rule.__code__.co_freevars
    around = ast.parse(f"def around({', '.join(free)}):\n    return {tree.name}")
    outer = around.body[0]
    assert isinstance(outer, ast.FunctionDef)
    outer.body.insert(0, tree)
    space: dict[str, Any] = {}
    exec(compile(ast.fix_missing_locations(around), "<a changed rule>", "exec"), rule.__globals__, space)
    made = space["around"](*(cell.cell_contents for cell in rule.__closure__ or ()))
    made.__defaults__, made.__kwdefaults__ = rule.__defaults__, rule.__kwdefaults__
    return made


def mutants(tree: ast.FunctionDef, numbers: tuple[str, ...]) -> Iterator[Mutant]:
    """The plainest changes first."""
    yield from _replaced(tree, _operations)
    yield from _in_order(tree)
    yield from _exchanged(tree, numbers)
    values = _values(tree, numbers)
    yield from _replaced(tree, lambda node: _other_values(node, values))
    yield from _replaced(tree, lambda node: _with_factors(node, numbers))


def _replaced(tree: ast.FunctionDef, others: Callable[[ast.expr], Iterator[ast.expr]]) -> Iterator[Mutant]:
    """One expression in the place of another."""
    for at, node in enumerate(ast.walk(tree)):
        if not isinstance(node, ast.expr) or isinstance(getattr(node, "ctx", None), (ast.Store, ast.Del)):
            continue
        for other in others(node):
            changed = copy.deepcopy(tree)
            target = next(itertools.islice(ast.walk(changed), at, None))
            now, before = ast.unparse(other), ast.unparse(node)
            yield Mutant(_Instead(target, other).visit(changed), now, before, _line(tree, node))


def _line(tree: ast.FunctionDef, node: ast.expr) -> str:
    """The line of the rule in which an expression stands; "" where that says no more than the expression."""
    lines = (n for n in ast.walk(tree) if isinstance(n, (ast.Assign, ast.AugAssign, ast.Return)))
    found = next((n for n in lines if any(inner is node for inner in ast.walk(n))), None)
    return ast.unparse(found) if found is not None and isinstance(node, (ast.Name, ast.Constant)) else ""


class _Instead(ast.NodeTransformer):
    def __init__(self, node: ast.AST, other: ast.expr) -> None:
        self.node, self.other = node, other

    def visit(self, node: ast.AST) -> Any:
        return copy.deepcopy(self.other) if node is self.node else super().visit(node)


def _operations(node: ast.expr) -> Iterator[ast.expr]:
    """An operation that is left out, or turned; an ε on the other side of a root."""
    if isinstance(node, ast.BinOp):
        yield node.left
        yield from [node.right] if isinstance(node.op, (ast.Add, ast.Mult)) else []
        if type(node.op) in TURNED:
            yield ast.BinOp(node.left, TURNED[type(node.op)](), node.right)
        if isinstance(node.op, ast.Add) and isinstance(node.left, ast.Call) and len(node.left.args) == 1:
            inner = ast.BinOp(node.left.args[0], ast.Add(), node.right)
            yield ast.Call(node.left.func, [inner], node.left.keywords)
    elif isinstance(node, ast.Call) and node.args:
        yield from node.args
        inner = node.args[0]
        if len(node.args) == 1 and isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Add):
            yield ast.BinOp(ast.Call(node.func, [inner.left], node.keywords), ast.Add(), inner.right)
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        yield from (ast.Constant(node.value + 1), ast.Constant(node.value - 1))
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif isinstance(node, ast.IfExp):
        yield from (node.body, node.orelse)


def _in_order(tree: ast.FunctionDef) -> Iterator[Mutant]:
    """A line that comes before others."""
    lines = [i for i, line in enumerate(tree.body) if isinstance(line, (ast.Assign, ast.AugAssign))]
    for to, of in sorted(itertools.combinations(lines, 2), key=lambda pair: pair[1] - pair[0]):
        changed = copy.deepcopy(tree)
        changed.body.insert(to, changed.body.pop(of))
        first, last = ast.unparse(tree.body[of]), ast.unparse(tree.body[to])
        yield Mutant(changed, f"`{first}` before `{last}`", f"`{last}` before `{first}`")


def _exchanged(tree: ast.FunctionDef, numbers: tuple[str, ...]) -> Iterator[Mutant]:
    """Two numbers, each where the other belongs, or one for both."""
    for a, b in itertools.combinations(numbers, 2):
        changed = copy.deepcopy(tree)
        for node in ast.walk(changed):
            if isinstance(node, ast.Name) and node.id in (a, b):
                node.id = b if node.id == a else a
        yield Mutant(changed, f"{b} and {a} in each other's place", f"{a} and {b}")
    for a, b in itertools.permutations(numbers, 2):
        changed = copy.deepcopy(tree)
        for node in ast.walk(changed):
            if isinstance(node, ast.Name) and node.id == a:
                node.id = b
        yield Mutant(changed, f"{b} throughout", a)


def _values(tree: ast.FunctionDef, numbers: tuple[str, ...]) -> list[ast.expr]:
    """What may stand for another: every name of the rule, what is returned as its state, and parts of what is added."""
    own = {n.arg for n in tree.args.args} | {n.id for n in ast.walk(tree) if _is_stored(n)}
    found: list[ast.expr] = [ast.Name(n, ast.Load()) for n in sorted(own | {*numbers})]
    for node in ast.walk(tree):
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
            found += [e for e in node.value.elts[1:] if isinstance(e, ast.BinOp)]
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp):
            found += [e for e in (node.value.left, node.value.right) if isinstance(e, ast.BinOp)]
    return found


def _is_stored(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


def _other_values(node: ast.expr, values: list[ast.expr]) -> Iterator[ast.expr]:
    if isinstance(node, ast.Name):
        yield from (v for v in values if ast.unparse(v) != node.id)
        yield from (ast.BinOp(node, op, ast.Constant(1)) for op in (ast.Add(), ast.Sub()))


def _with_factors(node: ast.expr, numbers: tuple[str, ...]) -> Iterator[ast.expr]:
    """A number more, as a factor or a divisor."""
    if isinstance(node, (ast.BinOp, ast.Name)):
        names = [ast.Name(n, ast.Load()) for n in numbers]
        yield from (ast.BinOp(node, op, n) for n in names for op in (ast.Mult(), ast.Div()))
