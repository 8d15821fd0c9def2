"""Pictures as SVG: a function with its slope, curves, and what flows through a layer and back."""

import html
import re
from collections.abc import Mapping, Sequence

import numpy as np

TIPS = (
    '<defs><marker id="to-{0}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path class="tip" d="M0 0L8 4L0 8z"/></marker><marker id="fro-{0}" viewBox="0 0 8 8" refX="7" refY="4" '
    'markerWidth="7" markerHeight="7" orient="auto"><path class="tip back" d="M0 0L8 4L0 8z"/></marker></defs>'
)
LEFT, TOP, WIDE, HIGH = 46.0, 12.0, 500.0, 250.0


def curves(
    title: str, x: Sequence[float], lines: Mapping[str, Sequence[float]], caption: str = "", log: bool = False
) -> str:
    """Several curves over one axis, each with its own dash, so that colour is not all."""
    xs = np.asarray(x, float)
    ys = {
        n: np.log10(np.maximum(np.asarray(y, float), 1e-16)) if log else np.asarray(y, float) for n, y in lines.items()
    }
    finite = np.concatenate([y[np.isfinite(y)] for y in ys.values()])
    low, high = float(finite.min()), float(finite.max())
    if not log:
        low, high = max(low, -4.0), min(high, 4.0)
    high = high if high > low else low + 1

    def place(i: float, y: float) -> tuple[float, float]:
        y = min(max(y, low - 1), high + 1)
        share = (i - xs[0]) / (xs[-1] - xs[0])
        return LEFT + share * (WIDE - LEFT - 10), TOP + (high - y) / (high - low) * (HIGH - TOP - 30)

    out = [f'<svg class="plot" viewBox="0 0 {WIDE + 14:g} {HIGH:g}" role="img"><title>{html.escape(title)}</title>']
    area = f'<rect x="{LEFT}" y="{TOP - 3}" width="{WIDE}" height="{HIGH - TOP - 24}"/>'
    out.append(f'<clipPath id="area-{tag(title)}">{area}</clipPath>')
    for v in ticks(low, high):
        y = place(xs[0], v)[1]
        label = f"10<tspan dy='-5' font-size='9'>{v:g}</tspan>" if log else f"{v:g}".replace("-", "−")
        out.append(f'<line class="grid" x1="{LEFT}" x2="{WIDE - 10}" y1="{y:.1f}" y2="{y:.1f}"/>')
        out.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    for v in ticks(float(xs[0]), float(xs[-1])):
        i = place(v, low)[0]
        out.append(f'<text x="{i:.1f}" y="{HIGH - 10}" text-anchor="middle">{v:g}</text>'.replace(">-", ">−"))
    for number, (_, y) in enumerate(ys.items()):
        out.append(f'<g clip-path="url(#area-{tag(title)})">{path(xs, y, place, number)}</g>')
    keys = "".join(
        f'<li><svg width="34" height="10" aria-hidden="true"><line class="curve c{k}" x1="0" x2="34" y1="5" y2="5"/>'
        f"</svg> {n}</li>"
        for k, n in enumerate(lines)
    )
    return f'<figure>{"".join(out)}</svg><figcaption>{caption}<ul class="legend">{keys}</ul></figcaption></figure>'


def path(xs: np.ndarray, ys: np.ndarray, place, number: int) -> str:
    """A curve, broken where it jumps or has no value."""
    jump = np.nanmax(np.abs(np.diff(ys))) if len(ys) > 1 else 0
    step = np.nanmedian(np.abs(np.diff(ys))) if len(ys) > 1 else 0
    parts, current = [], []
    for i in range(len(xs)):
        broken = i and (not np.isfinite(ys[i]) or (jump > 0.2 and abs(ys[i] - ys[i - 1]) > max(20 * step, 0.2)))
        if broken and current:
            parts.append(current)
            current = []
        if np.isfinite(ys[i]):
            current.append("{:.1f},{:.1f}".format(*place(xs[i], ys[i])))
    parts.append(current)
    return "".join(f'<polyline class="curve c{number}" points="{" ".join(p)}"/>' for p in parts if p)


def arrow(kind: str, title: str, a: tuple[float, float], b: tuple[float, float]) -> str:
    """An arrow forward ("to") or back ("fro"), or a line."""
    tip = f' marker-end="url(#{kind}-{tag(title)})"' if kind else ""
    return f'<line class="{kind or "grid"}" x1="{a[0]:.0f}" y1="{a[1]:.0f}" x2="{b[0]:.0f}" y2="{b[1]:.0f}"{tip}/>'


def tag(title: str) -> str:
    """An id that no other picture of a page has."""
    return re.sub(r"\W+", "-", title.lower())


def ticks(low: float, high: float) -> list[float]:
    """Round numbers between."""
    span = high - low
    unit = 10.0 ** np.floor(np.log10(span))
    unit = next(unit * f for f in (0.1, 0.2, 0.5, 1, 2, 5) if span / (unit * f) <= 7)
    return [float(np.round(v, 10)) + 0.0 for v in np.arange(np.ceil(low / unit) * unit, high + unit / 1e6, unit)]


LETTER = 8.0  # the width of a bold one, at most on average
CENTRE, ARROW = 310.0, 78.0


def flow(
    name: str, into: Mapping[str, tuple[int, ...]], out: Mapping[str, tuple[int, ...]], back: Sequence[str]
) -> str:
    """What goes into a layer and comes out, and the gradients that come back. Nothing is cut: box and margins grow
    with what is written."""
    high = 40 + 62 * max(len(into), len(out), 1)
    half = max(80.0, (len(name) * LETTER + 20) / 2)
    reach = half + ARROW + 12 + LETTER * max(16, *(len(f"{n} {shape}") for n, shape in [*into.items(), *out.items()]))
    svg = [
        f'<svg class="flow" viewBox="{CENTRE - reach:g} 0 {2 * reach:g} {high}" role="img">'
        f"<title>What flows through {name} and back</title>{TIPS.format(tag(name))}"
        f'<rect class="box" x="{CENTRE - half:g}" y="14" width="{2 * half:g}" height="{high - 28}" rx="10"/>'
        f'<text class="name" x="{CENTRE:g}" y="{high / 2 + 5}" text-anchor="middle">{name}</text>'
    ]
    for side, anchor, named in ((-1, "end", into), (1, "start", out)):
        near, far = CENTRE + side * (half + ARROW + 2), CENTRE + side * (half + 2)
        at = f'x="{near + side * 10:g}" text-anchor="{anchor}"'
        a, b = (near, far) if side < 0 else (far, near)
        for k, (n, shape) in enumerate(named.items()):
            y = 14 + (high - 28) * (k + 0.5) / len(named)
            label = f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"
            svg.append(f'<text {at} y="{y - 2}"><tspan class="name">{html.escape(n)}</tspan> {label}</text>')
            svg.append(arrow("to", name, (a, y - 5), (b, y - 5)))
            if side > 0 or n in back:
                svg.append(f'<text class="back" {at} y="{y + 17}">∂L/∂{html.escape(n)}</text>')
                svg.append(arrow("fro", name, (b, y + 12), (a, y + 12)))
    svg.append("</svg>")
    says = "Forward in blue, back in orange; the shapes are those of the example below."
    return f"<figure>{''.join(svg)}<figcaption>{says}</figcaption></figure>"


def graph(
    title: str, nodes: Mapping[str, tuple[float, float]], edges: Sequence[tuple[str, str, str]], caption: str = "",
    high: float = 200, labels: Sequence[tuple[float, float, str]] = (),
) -> str:  # fmt: skip
    """Nodes by name and place, edges (from, to, kind): kind "to" forward, "fro" back, "" without a role here."""
    svg = [
        f'<svg class="flow" viewBox="0 0 600 {high:g}" role="img"><title>{html.escape(title)}</title>',
        TIPS.format(tag(title)),
    ]
    for a, b, kind in edges:
        (x1, y1), (x2, y2) = nodes[a], nodes[b]
        length = float(np.hypot(x2 - x1, y2 - y1))
        ux, uy = (x2 - x1) / length * 27, (y2 - y1) / length * 27
        svg.append(arrow(kind, title, (x1 + ux, y1 + uy), (x2 - ux, y2 - uy)))
    for n, (x, y) in nodes.items():
        svg.append(
            f'<circle class="box" cx="{x}" cy="{y}" r="24"/><text x="{x}" y="{y + 5}" text-anchor="middle">{n}</text>'
        )
    svg += [f'<text x="{x}" y="{y}" text-anchor="middle">{text}</text>' for x, y, text in labels]
    return f"<figure>{''.join(svg)}</svg><figcaption>{caption}</figcaption></figure>"
