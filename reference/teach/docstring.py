"""The sections of a docstring by their headings: Forward, Backward, Rule, Shapes, Errors, Source, Caveat."""

import inspect
import re
from dataclasses import dataclass

HEADINGS = ("Forward", "Backward", "Rule", "Shapes", "Errors", "Source", "Caveat")
DERIVATION = ("Forward", "Backward", "Rule")
HEAD = re.compile(rf"^({'|'.join(HEADINGS)})( +|$)")


@dataclass(frozen=True)
class Line:
    """One line of a section; `indent`: how far it is set in."""

    text: str
    indent: int = 0


@dataclass(frozen=True)
class Section:
    heading: str
    lines: tuple[Line, ...]

    @property
    def text(self) -> str:
        return " ".join(line.text for line in self.lines)


@dataclass(frozen=True)
class Doc:
    """A docstring: its first sentence, the prose before the headings, the sections."""

    summary: str
    prose: str
    sections: tuple[Section, ...]

    def get(self, heading: str) -> Section | None:
        return next((s for s in self.sections if s.heading == heading), None)


def read(of: type) -> Doc:
    """The docstring of a class, its own and not that of a base."""
    text = inspect.cleandoc(of.__dict__.get("__doc__") or "")
    before: list[str] = []
    sections: list[tuple[str, list[Line]]] = []
    for line in text.splitlines():
        match = HEAD.match(line)
        if match:
            sections.append((match[1], [Line(line[match.end() :].rstrip())]))
        elif sections and line.strip():
            rest = line.lstrip()
            sections[-1][1].append(Line(rest.rstrip(), max(0, len(line) - len(rest) - 10)))
        elif not sections:
            before.append(line)
    summary, _, prose = "\n".join(before).strip().partition("\n\n")
    made = tuple(Section(h, tuple(x for x in lines if x.text)) for h, lines in sections)
    return Doc(" ".join(summary.split()), " ".join(prose.split()), made)
