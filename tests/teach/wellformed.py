"""HTML read strictly: every element closed in order, no id twice, every reference to an id met, headings in order, and
a name for everything that a screen reader announces."""

import itertools
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "hr", "img", "input", "wbr", "source"}
NAMED = {"a", "button", "input", "select", "textarea", "summary", "table", "svg"}
TITLES = {"title", "caption"}  # the name of what they stand in
SELF_CLOSED = {"line", "circle", "rect", "polyline", "path", "polygon", "ellipse", "mspace"}


class Read(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.faults: list[str] = []
        self.ids: list[str] = []
        self.wanted: set[str] = set()
        self.links: list[str] = []
        self.outside: list[str] = []
        self.texts: list[str] = []
        self.levels: list[int] = []
        self.labels: set[str] = set()
        self.around: list[dict] = []  # the open elements that need a name, from the outermost in
        self.inputs: list[dict] = []
        self.nameless: list[str] = []

    def handle_starttag(self, tag, attrs):
        self._note(tag, dict(attrs))
        if tag not in VOID:
            self.open.append(tag)
            self.around.append({"tag": tag, "named": named(tag, dict(attrs)), "text": ""})

    def handle_startendtag(self, tag, attrs):
        self._note(tag, dict(attrs))
        if tag not in VOID | SELF_CLOSED:
            self.faults.append(f"<{tag}/> is not closed by its slash")

    def _note(self, tag, attrs):
        self.ids += [attrs["id"]] if "id" in attrs else []
        for name in ("for", "aria-labelledby", "aria-describedby", "aria-controls"):
            self.wanted |= set((attrs.get(name) or "").split())
        if tag == "a" and "href" in attrs:
            self.links.append(attrs["href"])
        if tag == "label":
            self.labels.add(attrs.get("for", ""))
        if tag in ("input", "select") and "label" not in self.open and not named(tag, attrs):
            self.inputs.append(attrs)
        if len(tag) == 2 and tag[0] == "h" and tag[1].isdigit():
            self.levels.append(int(tag[1]))
        if tag in ("link", "script", "img"):
            self.outside += [u for u in (attrs.get("href"), attrs.get("src")) if u and not u.startswith("data:")]

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes another element")
            return
        done = self.around.pop()
        if self.around and done["text"].strip() and (tag in TITLES or self.around[-1]["tag"] not in ("table", "svg")):
            self.around[-1]["text"] += done["text"]
        if not done["named"] and not done["text"].strip():
            self.nameless.append(tag)

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("script", "style"):
            self.texts.append(data)
            if self.around and self.around[-1]["tag"] not in ("table", "svg"):
                self.around[-1]["text"] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def named(tag: str, attrs: dict) -> bool:
    """Does it need no name, or have one already? What is in it may be another."""
    needs = tag in NAMED or attrs.get("role") in ("img", "group", "region") or attrs.get("tabindex") == "0"
    hidden = attrs.get("aria-hidden") == "true" or attrs.get("type") == "hidden"
    return not needs or hidden or bool(attrs.get("aria-label") or attrs.get("aria-labelledby"))


def read(page: str) -> Read:
    """The page, read; an AssertionError that names what is wrong with it."""
    found = Read()
    found.feed(page)
    found.close()
    assert found.faults + found.open == []
    assert len(found.ids) == len(set(found.ids)), "an id occurs twice"
    assert found.wanted <= set(found.ids), found.wanted - set(found.ids)
    assert found.nameless + [a for a in found.inputs if a.get("id") not in found.labels] == []
    assert found.levels[:1] == [1]
    assert found.levels.count(1) == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(found.levels)), found.levels
    return found
