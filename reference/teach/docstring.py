"""The sections of a docstring by their headings: Forward, Backward, Rule, Track, Shapes, Errors, Source, Caveat."""

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass

HEADINGS = ("Forward", "Backward", "Rule", "Track", "Shapes", "Errors", "Source", "Caveat")
DERIVATION = ("Forward", "Backward", "Rule", "Track")
HEAD = re.compile(rf"^({'|'.join(HEADINGS)})( +|$)")
FULL = 110  # columns, without the margin: a line so long may have been broken for want of room
WORD = re.compile(r"(?!d[a-z]\b)[a-z][a-z_]+(?= \S|[,.;]|$)")  # no gradient, and no label, after which a gap comes
TO_AUTHORS = re.compile(r"(?:^|(?<=[.:] ))A subclass .*?\.(?: |$)")
ENDS = re.compile(r"([:;.]|\(\d+′?\))$")


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
    """A docstring: its first sentence, the prose before and after the sections, the sections."""

    summary: str
    prose: str
    sections: tuple[Section, ...]

    def get(self, heading: str) -> Section | None:
        return next((s for s in self.sections if s.heading == heading), None)


def read(of: type) -> Doc:
    """The docstring of a class, its own and not that of a base."""
    prose: list[str] = []
    sections: list[tuple[str, list[str]]] = []
    inside = False
    for line in inspect.cleandoc(of.__dict__.get("__doc__") or "").splitlines():
        match = HEAD.match(line)
        if match:
            sections.append((match[1], [line.replace(match[1], " " * len(match[1]), 1)]))
        inside = bool(match) or (inside and not line[:1].strip())  # what begins at the margin is prose again
        if not inside:
            prose.append(line)
        elif line.strip() and not match:
            sections[-1][1].append(line)
    summary, _, rest = "\n".join(prose).strip().partition("\n\n")
    made = tuple(Section(h, tuple(joined(lines))) for h, lines in sections)
    return Doc(for_readers(summary), for_readers(rest), made)


def for_readers(text: str) -> str:
    """On one line, without what a family says to those who write a class of it."""
    return TO_AUTHORS.sub("", " ".join(text.split())).strip()


def joined(lines: list[str]) -> Iterator[Line]:
    """Each thing that is said as one line, also where it was broken for want of room."""
    text, indent = "", 0
    for before, line in zip(["", *lines], lines):
        rest = line.strip()
        if text and goes_on(before, rest):
            text += f" {rest}"
            continue
        if text:
            yield Line(text, indent)
        text, indent = rest, max(0, len(line) - len(line.lstrip()) - 10)
    if text:
        yield Line(text, indent)


def goes_on(before: str, rest: str) -> bool:
    """Does a sentence that began on the line before go on here?"""
    word = WORD.match(rest)
    if not word or ENDS.search(before):
        return False
    return before.endswith(",") or len(before) + 1 + len(word[0]) > FULL
