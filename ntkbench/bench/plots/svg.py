"""A picture inside a page: SVG that a strict page accepts and that takes the page's own color for black."""

import io
import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from matplotlib.figure import Figure

_BLACK = "#000000"
_DROPPED = ("metadata", "style")


def inline(figure: Figure, name: str, label: str) -> str:
    """The figure as an `svg` element of HTML. `name` tells its parts from those of other pictures of the page."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    root = ElementTree.fromstring(buffer.getvalue())
    for element in root.iter():
        for child in [child for child in element if _plain(child.tag) in _DROPPED]:
            element.remove(child)
    for element in root.iter():
        _rewrite(element, name)
    view = {"viewBox": root.attrib["viewBox"], "role": "img", "aria-label": label}
    root.attrib = view | {"fill": "currentColor", "stroke-linejoin": "round", "stroke-linecap": "butt"}
    return ElementTree.tostring(root, "unicode")


def _rewrite(element: Element, name: str) -> None:
    """HTML knows no prefixes, and a strict page no `style` attributes: what they say are attributes of SVG, too."""
    element.tag = _plain(element.tag)
    found = {_plain(key): value for key, value in element.attrib.items()}
    for rule in filter(None, found.pop("style", "").split(";")):
        key, value = (part.strip() for part in rule.split(":", 1))
        found |= _font(value) if key == "font" else {key: value}
    element.attrib = {key: _named(key, value, name) for key, value in found.items()}


def _font(value: str) -> dict[str, str]:
    """Size and weight of the shorthand; the family is the page's."""
    size = re.search(r"([\d.]+)px", value)
    weight = re.match(r"(?:italic |oblique )?(bold|[1-9]00)\b", value)
    return ({"font-size": size[1]} if size else {}) | ({"font-weight": weight[1]} if weight else {})


def _named(key: str, value: str, name: str) -> str:
    if key == "id":
        return f"{name}-{value}"
    if key == "href" and value.startswith("#"):
        return f"#{name}-{value[1:]}"
    if value == _BLACK:
        return "currentColor"
    return re.sub(r"url\(#([^)]*)\)", rf"url(#{name}-\1)", value)


def _plain(tag: str) -> str:
    return tag.rpartition("}")[2]
