"""Convert a figure into SVG that can stand inside an HTML page.

Pages forbid inline styles by their security policy, and take the page's own text color for black.
"""

import io
import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from matplotlib.figure import Figure

_BLACK = "#000000"
_DROPPED = ("metadata", "style")
"""elements that the page has no use for"""


def inline(figure: Figure, name: str, label: str) -> str:
    """Return a figure as the text of an `svg` element.

    Args:
        figure: what is drawn.
        name: prefix of all ids, which must differ between the pictures of a page.
        label: description for screen readers.
    """
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
    """Turn an element into HTML's SVG: no XML prefixes, `style` rules as attributes, ids with the prefix `name`."""
    element.tag = _plain(element.tag)
    found = {_plain(key): value for key, value in element.attrib.items()}
    for rule in filter(None, found.pop("style", "").split(";")):
        key, value = (part.strip() for part in rule.split(":", 1))
        found |= _font(value) if key == "font" else {key: value}
    element.attrib = {key: _named(key, value, name) for key, value in found.items()}


def _font(value: str) -> dict[str, str]:
    """Return size and weight of the shorthand `font`; the family is left to the page."""
    size = re.search(r"([\d.]+)px", value)
    weight = re.match(r"(?:italic |oblique )?(bold|[1-9]00)\b", value)
    return ({"font-size": size[1]} if size else {}) | ({"font-weight": weight[1]} if weight else {})


def _named(key: str, value: str, name: str) -> str:
    """Return the value of an attribute, with ids and references to them prefixed and black as `currentColor`."""
    if key == "id":
        return f"{name}-{value}"
    if key == "href" and value.startswith("#"):
        return f"#{name}-{value[1:]}"
    if value == _BLACK:
        return "currentColor"
    return re.sub(r"url\(#([^)]*)\)", rf"url(#{name}-\1)", value)


def _plain(tag: str) -> str:
    """Return a name without its XML namespace."""
    return tag.rpartition("}")[2]
