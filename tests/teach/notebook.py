"""A notebook run cell by cell without jupyter, as the tests do. `python tests/teach/notebook.py FILE.ipynb …` runs
notebooks and keeps what they give in them."""

import ast
import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any


def cells(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def run(path: Path) -> list[list[dict[str, Any]]]:
    """The outputs of every code cell: what it prints, and what its last expression gives."""
    space: dict[str, Any] = {"__name__": "__main__"}
    return [outputs("".join(c["source"]), space, n) for n, c in enumerate(codes(path), 1)]


def codes(path: Path) -> list[dict[str, Any]]:
    return [c for c in cells(path) if c["cell_type"] == "code"]


def outputs(source: str, space: dict[str, Any], number: int) -> list[dict[str, Any]]:
    tree, last = ast.parse(source), None
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        last = ast.Expression(tree.body.pop().value)  # type: ignore[attr-defined]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, f"<cell {number}>", "exec"), space)
        value = eval(compile(last, f"<cell {number}>", "eval"), space) if last else None
    found: list[dict[str, Any]] = []
    if printed.getvalue():
        found.append({"output_type": "stream", "name": "stdout", "text": printed.getvalue().splitlines(keepends=True)})
    if value is not None:
        data: dict[str, Any] = {"text/plain": repr(value).splitlines(keepends=True)}
        if hasattr(value, "_repr_html_"):
            data["text/html"] = value._repr_html_().splitlines(keepends=True)
        found.append({"output_type": "execute_result", "execution_count": number, "metadata": {}, "data": data})
    return found


def keep(path: Path) -> None:
    """Run it, and write its outputs into it."""
    notebook, found = json.loads(path.read_text(encoding="utf-8")), run(path)
    for number, (cell, out) in enumerate(zip((c for c in notebook["cells"] if c["cell_type"] == "code"), found), 1):
        cell |= {"outputs": out, "execution_count": number}
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        keep(Path(name))
