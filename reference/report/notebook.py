"""A report in a notebook: its verdict, a coloured table of all tensors, and what the mistake looks like, to unfold."""

from typing import Any

from jinja2 import Environment

GREEN, AMBER, RED = "#1a7f37", "#9a6700", "#cf222e"

REPORT = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string("""\
<div style="border-left: 4px solid {{ color }}; padding-left: 1em">
<b>{{ r.title }}</b>: <b style="color: {{ color }}">{{ says }}</b>
{% for line in lines %}
<br/>{{ line }}
{% endfor %}
{% if r.tensors %}
<details{% if not r.stands %} open=""{% endif %}>
<summary>{{ r.tensors|length }} tensors{{ ', ' + r.shown if r.shown }}</summary>
<table>
<tr><th>tensor</th><th>err</th><th>bound</th><th>err/bound</th><th>power</th><th></th></tr>
{% for t in r.tensors %}
<tr{% if not t.ok %} style="color: {{ red }}"{% endif %}>
<td style="text-align: left">{{ '' if t.ok else '✗ ' }}{{ t.name }}</td><td>{{ '%.2g'|format(t.error) }}</td>
<td>{{ '%.2g'|format(t.bound) }}</td><td>{{ 'identical' if t.identical else '%.3g'|format(t.ratio) }}</td>
<td>{{ '–' if t.power is none else '%.0e'|format(t.power) }}</td><td style="text-align: left">{{ t.what }}</td>
</tr>
{% endfor %}
</table>
</details>
{% endif %}
{% for s in r.suspects[:3] %}
<details{% if loop.first %} open=""{% endif %}>
<summary>{{ s.text }}{{ ' [' + s.fault + ']' if s.fault }}</summary>
<ul>
{% for word, told in (('relation', s.relation), ('evidence', s.evidence), ('change', s.remedy)) if told %}
<li>{{ word }}: {{ told }}</li>
{% endfor %}
</ul>
</details>
{% endfor %}
{% for note in r.notes %}
<div>Note: {{ note }}</div>
{% endfor %}
</div>
""")


def of_report(report: Any, says: str, lines: list[str]) -> str:
    """The report as HTML. `lines`: what is said of it before the table."""
    color = GREEN if report.stands else AMBER if report.verdict in ("convention", "coarse") else RED
    return REPORT.render(r=report, says=says, lines=lines, color=color, red=RED)
