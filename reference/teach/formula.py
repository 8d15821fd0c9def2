"""One formula, written once as a Python expression, as everything that a page needs of it.

f = Formula("δ_h1 * X1 + B1")
f(values)      the number            f.names     what stands in it
f.html         δ<sub>h1</sub> · X<sub>1</sub> + B<sub>1</sub>
f.filled       the same with a place {name} where each number goes
f.script       JavaScript that computes it from an object v
"""

import ast
import html
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

SIGN = {ast.Add: " + ", ast.Sub: " − ", ast.Mult: " · ", ast.Div: " / "}
RANK = {ast.Add: 1, ast.Sub: 1, ast.Mult: 2, ast.Div: 2}
SUFFIX = "_new"  # of a parameter after its update


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


@dataclass(frozen=True)
class Formula:
    """An expression of names, numbers, + − · / , squares and sigmoid(…)."""

    text: str

    @cached_property
    def tree(self) -> ast.expr:
        return ast.parse(self.text, mode="eval").body

    @cached_property
    def names(self) -> tuple[str, ...]:
        found = (n.id for n in ast.walk(self.tree) if isinstance(n, ast.Name) and n.id != "sigmoid")
        return tuple(dict.fromkeys(found))

    @cached_property
    def _code(self):
        return compile(self.text, "<formula>", "eval")

    def __call__(self, values: Mapping[str, float]) -> float:
        return eval(self._code, {"__builtins__": {}, "sigmoid": sigmoid}, dict(values))

    @cached_property
    def html(self) -> str:
        return written(self.tree, symbol)

    @cached_property
    def filled(self) -> str:
        return written(self.tree, lambda name: f"{{{name}}}")

    @cached_property
    def script(self) -> str:
        class OfValues(ast.NodeTransformer):
            def visit_Name(self, node):
                return node if node.id == "sigmoid" else ast.Name(f"v.{node.id}")

        return ast.unparse(OfValues().visit(ast.parse(self.text, mode="eval").body))


def written(node: ast.expr, name: Callable[[str], str], above: int = 0) -> str:
    """An expression as it is printed, parentheses only where they are needed. `above`: the rank of what it is in."""
    match node:
        case ast.Name(id=word):
            return name(word)
        case ast.Constant(value=number):
            return "½" if number == 0.5 else f"{number:g}"
        case ast.Call(args=[inner]):
            return f"σ({written(inner, name)})"
        case ast.UnaryOp(operand=inner):
            return enclosed(f"−{written(inner, name, 2)}", above > 1)
        case ast.BinOp(left=base, op=ast.Pow()):
            return f"{written(base, name, 3)}²"
        case ast.BinOp(left=left, op=op, right=right):
            rank = RANK[type(op)]
            after = rank + isinstance(op, (ast.Sub, ast.Div))
            return enclosed(written(left, name, rank) + SIGN[type(op)] + written(right, name, after), rank < above)
    raise ValueError(f"a formula has no {ast.unparse(node)}")


def enclosed(text: str, needed: bool) -> str:
    return f"({text})" if needed else text


def symbol(name: str) -> str:
    """A name as it is printed: dW31 is ∂L/∂W₃₁, W31_new the weight after the update."""
    if name.endswith(SUFFIX):
        return f'{symbol(name.removesuffix(SUFFIX))}<span class="new"> new</span>'
    if name.startswith("d"):
        return f"∂<var>L</var>/∂{symbol(name[1:])}"
    letter, index = name[0], name[1:].lstrip("_")
    return f"<var>{html.escape(letter)}</var>" + (f"<sub>{index}</sub>" if index else "")


def spoken(name: str) -> str:
    """A name as the tables of `explain` have it."""
    if name.endswith(SUFFIX):
        return f"{name.removesuffix(SUFFIX)} new"
    return f"∂L/∂{name[1:]}" if name.startswith("d") else name
