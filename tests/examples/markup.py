"""What a page says, read by a parser that is not ours."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "input"}


@dataclass
class Page:
    """Tags with their attributes, the text of styles and scripts, and all other text."""

    tags: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    styles: list[str] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)
    text: str = ""

    def named(self, name: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.tags if tag == name]

    def values(self, name: str) -> list[str]:
        """Of an attribute, wherever it stands."""
        return [attributes[name] for _, attributes in self.tags if name in attributes]


class _Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.page, self.open = Page(), []

    def handle_starttag(self, tag, attrs):
        self.page.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.page.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"{tag} ends where another is open"

    def handle_data(self, data):
        within = self.open[-1] if self.open else ""
        if within == "style":
            self.page.styles.append(data)
        elif within == "script":
            self.page.scripts.append(data)
        else:
            self.page.text += data


def read(text: str) -> Page:
    """A whole page; what is opened is closed, in its order."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader.page
