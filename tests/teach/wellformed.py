"""HTML read strictly: every element closed in order, no id twice, every reference to an id met."""

from html.parser import HTMLParser

VOID = {"meta", "link", "br", "hr", "img", "input", "wbr", "source"}
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

    def handle_starttag(self, tag, attrs):
        self._note(tag, dict(attrs))
        if tag not in VOID:
            self.open.append(tag)

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
        if tag in ("link", "script", "img"):
            self.outside += [u for u in (attrs.get("href"), attrs.get("src")) if u and not u.startswith("data:")]

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes another element")

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("script", "style"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def read(page: str) -> Read:
    """The page, read; an AssertionError that names what is wrong with it."""
    found = Read()
    found.feed(page)
    found.close()
    assert found.faults + found.open == []
    assert len(found.ids) == len(set(found.ids)), "an id occurs twice"
    assert found.wanted <= set(found.ids), found.wanted - set(found.ids)
    return found
