"""The worked example as one page that needs nothing else: `manualbp explain --html example.html`."""

import html
import json
import re
from pathlib import Path
from typing import Any

from ..explain import LR, NET, NumberRow, first_step, notes, number
from ..explain import losses as on_both_sides
from . import example
from .drawing import LYING, UPRIGHT
from .example import MISTAKES, PARAMETERS, Line, Mistake
from .formula import Formula, symbol
from .render import plain, rendered

UPDATES, EVERY = 1000, 50
RANGES = {"X": (-1, 1), "Y": (0, 1), "α": (0, 5), "W": (-2, 2), "B": (-2, 2)}


def write(path: str) -> None:
    """The page into this file."""
    Path(path).write_text(page(), encoding="utf-8")


def page() -> str:
    """The page. PyTorch's column is computed here and now; the page itself computes by hand only."""
    start, rows = example.start(), first_step()
    lines = example.lines()
    history = list(on_both_sides(UPDATES))
    right = example.step(start)
    return rendered(
        "example.html", net=str(NET), lr=LR, start=start, lines=[_line(*pair, right) for pair in zip(lines, rows)],
        inputs=[_input(name, value) for name, value in start.items()], mistakes=[_mistake(m, right) for m in MISTAKES],
        notes=[noted(text) for text in notes()], curve=[at.by_hand for at in history],
        dots=[at.pytorch for at in history][::EVERY],
        updates=UPDATES, every=EVERY, drawings=[LYING.drawing(), UPRIGHT.drawing()], script=_script(lines),
        data=_data(start, lines, rows, history),
        off=max(abs(r.by_hand - r.pytorch) for r in rows),
    )  # fmt: skip


def _line(line: Line, row: NumberRow, right: dict[str, float]) -> dict[str, Any]:
    """A row of the table."""
    return {
        "name": line.quantity, "symbol": symbol(line.quantity), "formula": line.formula.html, "stage": line.stage,
        "filled": filled(line.formula, right), "by_hand": plain(row.by_hand), "pytorch": plain(row.pytorch),
        "text": row.text.replace("-", "−"), "rounded": row.rounded, "why": line.why,
    }  # fmt: skip


def filled(formula: Formula, values: dict[str, float]) -> str:
    """The formula with its numbers in it, those below 0 in parentheses."""

    def put(match: re.Match) -> str:
        text = plain(values[match[1]])
        return f"({text})" if text.startswith("−") else text

    return re.sub(r"\{(\w+)\}", put, formula.filled)


NAMED = re.compile(r"(∂L/∂)?(?:\b[XYZABW](?:_[a-z]+|\d+)|δ_\w+)\b")
CODE = re.compile(r"nn\.\w+|\bMSELoss(?:\.\w+)?|\d\.weight\[[\d, ]+\]")


def noted(text: str) -> str:
    """A note with its quantities as the page prints them, and what is code as code."""
    coded = CODE.sub(lambda match: f"<code>{match[0]}</code>", html.escape(text, quote=False).replace("-0", "−0"))
    return NAMED.sub(lambda match: symbol(match[0].replace("∂L/∂", "d")), coded)


def _input(name: str, value: float) -> dict[str, Any]:
    low, high = RANGES[name[0]]
    return {"name": name, "symbol": symbol(name), "value": number(value), "low": low, "high": high}


def _mistake(m: Mistake, right: dict[str, float]) -> dict[str, Any]:
    """A mistake, how many numbers of the first step it changes, and where it leads."""
    start = {name: right[name] for name in example.start()}
    wrong, losses = example.step(start, m), list(example.losses(start, m, UPDATES))
    changed = [n for n in example.FORMULAS if wrong[n] != right[n]]
    first = {n: f.html for n, f in m.changes.items()}
    written = [f"{symbol(n)} = {f}" for n, f in list(first.items())[:2]]
    return {"id": m.id, "title": m.title, "shows": m.shows, "changed": len(changed), "last": losses[-1],
            "written": ", &nbsp;".join(written) + (", …" if len(first) > 2 else "")}  # fmt: skip


def _script(lines: list[Line]) -> str:
    """The formulas in JavaScript: the right ones, and those of each mistake."""

    def of(formulas: dict[str, Formula]) -> str:
        return "{" + ", ".join(f'"{n}": v => {f.script}' for n, f in formulas.items()) + "}"

    right = of({line.quantity: line.formula for line in lines})
    wrong = ",\n".join(f'"{m.id}": {of(m.changes)}' for m in MISTAKES)
    return f"const FORMULAS = {right};\nconst WRONG = {{{wrong}}};"


def _data(start: dict[str, float], lines: list[Line], rows: list[NumberRow], history: list) -> str:
    """What the page's JavaScript reads. `<` cannot end the element that it stands in."""

    def shown(f: Formula) -> dict[str, Any]:
        return {"html": f.html, "filled": f.filled, "names": f.names}

    data = {
        "start": start, "parameters": PARAMETERS, "updates": UPDATES, "every": EVERY,
        "lines": [
            {"name": a.quantity, "symbol": symbol(a.quantity), "stage": a.stage, "why": a.why,
             "pytorch": b.pytorch, "text": b.text.replace("-", "−"), "rounded": b.rounded} | shown(a.formula)
            for a, b in zip(lines, rows)
        ],
        "mistakes": {m.id: {"title": m.title, "shows": m.shows, "lines": {n: shown(f) for n, f in m.changes.items()}}
                     for m in MISTAKES},
        "pytorch": [at.pytorch for at in history][::EVERY],
    }  # fmt: skip
    return json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
