"""Pictures as SVG: a function with its slope, curves, and what flows through a layer and back."""

import html
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

TIPS = (
    '<defs><marker id="to-{0}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path class="tip" d="M0 0L8 4L0 8z"/></marker><marker id="fro-{0}" viewBox="0 0 8 8" refX="7" refY="4" '
    'markerWidth="7" markerHeight="7" orient="auto"><path class="tip back" d="M0 0L8 4L0 8z"/></marker></defs>'
)
LEFT, TOP, RIGHT, BOTTOM = 58.0, 12.0, 500.0, 220.0  # of the area in which curves are drawn
SMALLEST = 1e-16  # on a logarithmic scale
JUMP = 0.2  # from one point to the next at least, and more than a curve does anywhere else


@dataclass(frozen=True)
class Frame:
    """The part of the plane that a plot shows."""

    first: float
    last: float
    low: float
    high: float

    @staticmethod
    def around(xs: np.ndarray, ys: Iterable[np.ndarray], most: float) -> "Frame":
        finite = np.concatenate([y[np.isfinite(y)] for y in ys])
        low, high = max(float(finite.min()), -most), min(float(finite.max()), most)
        return Frame(float(xs[0]), float(xs[-1]), low, high if high > low else low + 1)

    def place(self, x: float, y: float) -> tuple[float, float]:
        y = min(max(y, self.low - 1), self.high + 1)
        down = (self.high - y) / (self.high - self.low)
        return LEFT + (x - self.first) / (self.last - self.first) * (RIGHT - LEFT), TOP + down * (BOTTOM - TOP)


def curves(
    title: str, x: Sequence[float], lines: Mapping[str, Sequence[float]], caption: str = "", log: bool = False,
    most: float = np.inf,
) -> str:  # fmt: skip
    """Several curves over one axis, each with its own dash, so that colour is not all. What is beyond `most` on either
    side of 0 is cut off."""
    xs, ys = np.asarray(x, float), [np.asarray(y, float) for y in lines.values()]
    if log:
        ys = [np.log10(np.maximum(y, SMALLEST)) for y in ys]
    frame = Frame.around(xs, ys, most)
    area = f'<rect x="{LEFT}" y="{TOP - 3}" width="{RIGHT - LEFT + 4}" height="{BOTTOM - TOP + 6}"/>'
    svg = [
        f'<svg class="plot" viewBox="0 0 {RIGHT + 14:g} {BOTTOM + 34:g}" role="img">',
        f'<title>{html.escape(title)}</title><clipPath id="area-{tag(title)}">{area}</clipPath>', *axes(frame, log),
        *(f'<g clip-path="url(#area-{tag(title)})">{path(xs, y, frame, k)}</g>' for k, y in enumerate(ys)), "</svg>",
    ]  # fmt: skip
    return f"<figure>{''.join(svg)}<figcaption>{caption}{legend(lines)}</figcaption></figure>"


def axes(frame: Frame, log: bool) -> Iterator[str]:
    """Round numbers at both axes, and lines across at those of y."""
    for v in ticks(frame.low, frame.high):
        _, y = frame.place(frame.first, v)
        label = f"10<tspan dy='-0.4em' font-size='0.7em'>{minus(v)}</tspan>" if log else minus(v)
        yield f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{LEFT - 6}" y="{y:.1f}" dy="0.3em" text-anchor="end">{label}</text>'
    for v in ticks(frame.first, frame.last):
        x, _ = frame.place(v, frame.low)
        yield f'<text x="{x:.1f}" y="{BOTTOM + 22}" text-anchor="middle">{minus(v)}</text>'


def minus(v: float) -> str:
    return f"{v:g}".replace("-", "−")


def legend(names: Iterable[str]) -> str:
    """Which line is which."""
    line = '<svg width="34" height="10" aria-hidden="true"><line class="curve c{}" x1="0" x2="34" y1="5" y2="5"/></svg>'
    return f'<ul class="legend">{"".join(f"<li>{line.format(k)} {n}</li>" for k, n in enumerate(names))}</ul>'


def path(xs: np.ndarray, ys: np.ndarray, frame: Frame, number: int) -> str:
    """A curve, broken where it jumps or has no value."""
    steps = np.abs(np.diff(ys))
    most = max(20 * np.nanmedian(steps), JUMP)
    parts, current = [], []
    for i in range(len(xs)):
        if current and (not np.isfinite(ys[i]) or steps[i - 1] > most):
            parts.append(current)
            current = []
        if np.isfinite(ys[i]):
            current.append("{:.1f},{:.1f}".format(*frame.place(xs[i], ys[i])))
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


LETTER = 8.2  # the width of a bold one, at most on average
ROW, LEAST = 62.0, 60.0  # the height of what one array needs; the width of a side at least
TIP = 18.0  # what the tip of an arrow takes


def flow(
    name: str, into: Mapping[str, tuple[int, ...]], out: Mapping[str, tuple[int, ...]], back: Sequence[str]
) -> str:
    """What goes into a layer and comes out, and the gradients that come back, each written at its arrow. Box and sides
    are as wide as what is written, and the whole as narrow as a phone where it can be."""
    high = 40 + ROW * max(len(into), len(out), 1)
    left, right = side(into), side(out)
    wide, title = len(name) * LETTER + 20, f"What flows through {name} and back"
    svg = [
        opening("flow", title, left + wide + right, high),
        f'<rect class="box" x="{left:g}" y="14" width="{wide:g}" height="{high - 28:g}" rx="10"/>'
        f'<text class="name" x="{left + wide / 2:g}" y="{high / 2 + 5:g}" text-anchor="middle">{name}</text>',
    ]
    for start, end, named in ((0, left - 2, into), (left + wide + 2, left + wide + right, out)):
        at = f'x="{end - TIP:g}" text-anchor="end"' if named is into else f'x="{start + TIP:g}"'
        for k, (n, shape) in enumerate(named.items()):
            y = 14 + (high - 28) * (k + 0.5) / len(named)
            svg.append(f'<text {at} y="{y - 11:g}"><tspan class="name">{html.escape(n)}</tspan> {sizes(shape)}</text>')
            svg.append(arrow("to", title, (start, y - 5), (end, y - 5)))
            if named is out or n in back:
                svg.append(f'<text class="back" {at} y="{y + 22:g}">∂L/∂{html.escape(n)}</text>')
                svg.append(arrow("fro", title, (end, y + 6), (start, y + 6)))
    says = "Forward in blue, back in orange; the shapes are those of the example below."
    return f"<figure>{''.join(svg)}</svg><figcaption>{says}</figcaption></figure>"


def opening(kind: str, title: str, wide: float, high: float) -> str:
    """The beginning of a picture, which shrinks with the window as long as its letters can be read."""
    return (
        f'<svg class="{kind}" viewBox="0 0 {wide:g} {high:g}" width="{wide:g}" style="min-width: {0.85 * wide:.0f}px" '
        f'role="img"><title>{html.escape(title)}</title>{TIPS.format(tag(title))}'
    )


def side(named: Mapping[str, tuple[int, ...]]) -> float:
    """The width that these names with their shapes need."""
    return max([LEAST, *(LETTER * len(f"{n} {sizes(shape)}") + TIP for n, shape in named.items())])


def sizes(shape: tuple[int, ...]) -> str:
    """A shape as Python writes it."""
    return f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"


def graph(
    title: str, nodes: Mapping[str, tuple[float, float]], edges: Sequence[tuple[str, str, str]], caption: str = "",
    high: float = 200, labels: Sequence[tuple[float, float, str]] = (),
) -> str:  # fmt: skip
    """Nodes by name and place, edges (from, to, kind): kind "to" forward, "fro" back, "" without a role here."""
    svg = [
        f'<svg class="graph" viewBox="0 0 600 {high:g}" role="img"><title>{html.escape(title)}</title>',
        TIPS.format(tag(title)),
    ]
    for a, b, kind in edges:
        (x1, y1), (x2, y2) = nodes[a], nodes[b]
        length = float(np.hypot(x2 - x1, y2 - y1))
        ux, uy = (x2 - x1) / length * 27, (y2 - y1) / length * 27
        svg.append(arrow(kind, title, (x1 + ux, y1 + uy), (x2 - ux, y2 - uy)))
    for n, (x, y) in nodes.items():
        svg.append(
            f'<circle class="box" cx="{x}" cy="{y}" r="24"/>'
            f'<text x="{x}" y="{y}" dy="0.35em" text-anchor="middle">{n}</text>'
        )
    svg += [f'<text x="{x}" y="{y}" text-anchor="middle">{text}</text>' for x, y, text in labels]
    return f"<figure>{''.join(svg)}</svg><figcaption>{caption}</figcaption></figure>"
