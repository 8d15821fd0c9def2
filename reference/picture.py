"""A model drawn: its steps in the modules that they are in, what flows forward, and what comes back.

Graphviz lays it out, through pygraphviz, whose wheels bring it along. The SVG is light or dark as its reader is.
"""

import html
import re
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any

from manualbp.graph import leaves_of

from .chain import Chain, figure, gives, lengths, meeting
from .folding import FoldedModule, folded, parts_of

MOST = 60  # boxes in a picture of a model that is not unfolded
STYLE = """<style>
.node path { fill: #ffffff; stroke: #56605c; } .given ellipse { fill: #f3f4f1; stroke: #56605c; }
.folded path { fill: #e9eeea; } .meets path { stroke: #a8400f; stroke-width: 2; } .wrong path { stroke: #b3141f; }
.cluster path { fill: #f6f7f4; stroke: #c9cfca; } text { fill: #1c1f1e; }
@media (prefers-color-scheme: dark) {
svg { background: #14181a; } text { fill: #e6e9e7; } .node path { fill: #1e2427; stroke: #a5afab; }
.folded path, .given ellipse { fill: #2a3337; } .given ellipse { stroke: #a5afab; } .meets path { stroke: #f0a070; }
.cluster path { fill: #191e20; stroke: #3a4447; }
[stroke="#0b5d8a"] { stroke: #7cc4ee; } [fill="#0b5d8a"] { fill: #7cc4ee; }
[stroke="#a8400f"] { stroke: #f0a070; } [fill="#a8400f"] { fill: #f0a070; } .wrong path { stroke: #ff8f8f; }
}</style>"""
LEGEND = (
    "blue: forward; orange: the gradient that comes back\\n‖∂‖: its length by hand | by PyTorch, by what the step gives"
    "\\norange frame: gradients meet and add; grey box: a module with its steps folded"
)
HEAD = f"""digraph {{
graph [fontname="Helvetica", fontsize=10, ranksep=0.35, nodesep=0.3, bgcolor=transparent, label="{LEGEND}", labelloc=b]
node [shape=box, style="rounded,filled", fontname="Helvetica", fontsize=11, margin="0.14,0.07", height=0.3]
edge [penwidth=1.2, arrowsize=0.6]"""
FORWARD, BOTH = 'color="#0b5d8a"', 'color="#0b5d8a:#a8400f", dir=both'  # what comes back is the second of two lines


def layout() -> Any:
    """The library; a ValueError with the way on where it is not installed."""
    try:
        import pygraphviz
    except ImportError:
        raise ValueError(
            "a picture is laid out by graphviz, through pygraphviz, which is not installed: "
            "pip install 'manualbp[picture]', or pip install pygraphviz"
        ) from None
    return pygraphviz


def svg(chain: Chain, only: str = "*") -> str:
    """The picture of a chain rule. `only`: a pattern that unfolded it already."""
    pygraphviz = layout()
    rows = folded(chain.parts, MOST) if only == "*" else list(chain.lines)
    drawn = pygraphviz.AGraph(string=dot(chain, rows)).draw(format="svg", prog="dot").decode()
    start = drawn.index("<svg")
    end = drawn.index(">", start) + 1
    return drawn[start:end] + STYLE + BOX.sub(centred, drawn[end:])


BOX = re.compile(r'<g id="node.*?</g>', re.DOTALL)


def centred(match: re.Match[str]) -> str:
    """A box whose lines stand in its middle, whatever the letters of the reader's font are wide: graphviz writes each
    from where it would begin in a font of its own."""
    path = re.search(r'<path [^>]*d="([^"]+)"', match[0])
    if path is None:
        return match[0]
    across = [float(pair.split(",")[0]) for pair in re.findall(r"[-\d.]+,[-\d.]+", path[1])]
    middle = (min(across) + max(across)) / 2
    return re.sub(r'text-anchor="start" x="[-\d.]+"', f'text-anchor="middle" x="{middle:g}"', match[0])


def dot(chain: Chain, rows: list[Any]) -> str:
    """The picture in graphviz's language."""
    holder = {name: row.name for row in rows for name in names_in(row)}
    folded_ones = {id(row) for row in rows if isinstance(row, FoldedModule)}
    lines = [HEAD, *boxes(chain, parts_of(rows), folded_ones, count()), *given(chain, holder), *outputs(chain, holder)]
    return "\n".join([*lines, *edges(chain, rows, holder), "}"])


def names_in(row: Any) -> list[str]:
    return [line.name for line in row.lines] if isinstance(row, FoldedModule) else [row.name]


def boxes(chain: Chain, parts: Iterable[Any], folded_ones: set[int], number: Any, path: str = "") -> Iterable[str]:
    """A box for every step and folded module, a frame around the steps of every other module."""
    for part in parts:
        if isinstance(part, FoldedModule) and id(part) not in folded_ones:
            label = f"{part.path.removeprefix(path + '.')}  {chain.modules.get(part.path, '')}".strip()
            yield f"subgraph cluster_{next(number)} {{ label={quoted(label)}; labeljust=l; labelloc=t"
            yield 'style="rounded,filled"'
            yield from boxes(chain, part.inside, folded_ones, number, part.path)
            yield "}"
        else:
            yield box(chain, part, path)


def box(chain: Chain, row: Any, path: str) -> str:
    """What a step is called and what it is; the shape that it gives, and the gradient that comes back to that."""
    name = html.escape(row.name.removeprefix(f"{path}."))
    folds = isinstance(row, FoldedModule)
    what = f"{chain.modules.get(row.path, '')}, {len(row.lines)} steps" if folds else str(row.node.layer)
    what = html.escape(what if len(what) < 46 else f"{what[:44]}…")
    shape = ", ".join(line.shape for line in gives(chain, row)) or row.shape
    by_hand, by_torch = map(figure, lengths(chain, row))
    back = f'<br/><font point-size="9" color="#a8400f">‖∂‖ {by_hand} | {by_torch}</font>' if by_hand != "–" else ""
    found = [line.found for line in (row.lines if folds else [row]) if line.found]
    kind = "wrong" if any(c.wrong for c in found) else "meets" if meeting(chain, row) else ""
    kind = f"{kind} folded" if folds else kind
    small = f'<font point-size="9">{html.escape(shape)}</font>'
    return f'{quoted(row.name)} [label=<<b>{name}</b><br/>{what}<br/>{small}{back}>, class="{kind}"]'


def given(chain: Chain, holder: Mapping[str, str]) -> Iterable[str]:
    """What no step gives: the model's inputs, and parameters, buffers and constants that steps take as inputs."""
    taken = {n for line in chain.lines for n in leaves_of(line.node.inputs)} - holder.keys()
    known = dict(chain.graph.parameters + chain.graph.constants)
    for name in sorted(taken):
        shape = f"\n{'×'.join(map(str, known[name]))}" if name in known else ""
        if name in known or name in chain.graph.inputs:
            yield f'{quoted(name)} [label={quoted(name + shape)}, shape=ellipse, style=filled, class="given"]'


def outputs(chain: Chain, holder: Mapping[str, str]) -> Iterable[str]:
    names = leaves_of(chain.graph.outputs)
    for i, (name, label) in enumerate(zip(names, chain.graph.keys or labels(len(names)), strict=False)):
        if name in holder:
            yield f'"output {i}" [label={quoted(label)}, shape=ellipse, style=filled, class="given"]'
            yield f'{quoted(holder[name])} -> "output {i}" [{BOTH}]'


def labels(n: int) -> list[str]:
    return ["y"] if n == 1 else [f"y[{i}]" for i in range(n)]


def edges(chain: Chain, rows: list[Any], holder: Mapping[str, str]) -> Iterable[str]:
    """From what is taken to who takes it; two lines where a gradient comes back."""
    back = {line.name for line in chain.lines if line.hand is not None}
    learned = {n for n, _ in chain.graph.parameters}
    drawn: dict[tuple[str, str], str] = {}
    known = {*holder, *chain.graph.inputs, *dict(chain.graph.parameters + chain.graph.constants)}
    for line in chain.lines:
        for name in leaves_of(line.node.inputs):
            pair = holder.get(name, name), holder[line.name]
            if pair[0] != pair[1] and name in known:
                way = BOTH if line.name in back and (name in back | learned | chain.real) else FORWARD
                drawn[pair] = max(drawn.get(pair, ""), way, key=len)
    yield from (f"{quoted(a)} -> {quoted(b)} [{way}]" for (a, b), way in drawn.items())


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
