"""Expressions that rebuild a case, a network or an optimizer, read without running any code but their classes'."""

import ast
import difflib
from typing import Any

from manualbp.base import registry
from manualbp.graph import Node
from manualbp.optim.base import Group, Optimizer


def names() -> dict[str, type]:
    """Every class that may stand in an expression."""
    from .case import Case

    return registry() | registry(Optimizer) | {"Group": Group, "Node": Node, "Case": Case, "float": float}


def parse(text: str) -> Any:
    """The value of an expression such as "Sequential(Linear(2, 3), Tanh())".

    ValueError if it is not made of calls of known classes, numbers, strings, True, False, None and tuples.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as e:
        raise ValueError(f"{text!r} is no expression: {e.msg} at column {e.offset}") from None
    return _value(tree, names())


def _value(node: ast.expr, known: dict[str, type]) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.func.id not in known:
            raise ValueError(f"no layer, loss or optimizer is called {node.func.id}{nearest(node.func.id, known)}")
        options = {k.arg: _value(k.value, known) for k in node.keywords if k.arg}
        return known[node.func.id](*(_value(a, known) for a in node.args), **options)
    if isinstance(node, (ast.Tuple, ast.List)):
        return tuple(_value(e, known) for e in node.elts)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand, known)
    if isinstance(node, ast.Constant):
        return node.value
    raise ValueError(f"{ast.unparse(node)!r} is no call of a layer, number, string or tuple")


def nearest(name: str, known: Any) -> str:
    """ "; did you mean ReLU?" where a known name is near, else the empty string."""
    by_lower = {k.lower(): k for k in known}
    found = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(by_lower[f] for f in found)}?" if found else ""
