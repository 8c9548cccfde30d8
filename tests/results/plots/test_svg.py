import re
from xml.etree import ElementTree

import pytest

from ntkbench.results.plots import style, svg


@pytest.fixture
def drawn() -> str:
    with style.applied():
        figure, (axes,) = style.panels(1, columns=1, height=1.0)
        axes.plot([0, 1], [0, 1], color=style.BLUE, marker="o", clip_on=True)
        axes.plot([0, 1], [1, 0], color=style.BLACK, linestyle="dashed")
        axes.set_xlabel("<x> & y")
        return svg.inline(figure, "one", 'a "label" <b>')


def test_no_style_is_left_and_what_it_said_is(drawn: str):
    root = ElementTree.fromstring(drawn)
    assert not [element for element in root.iter() if element.tag in ("style", "metadata") or "style" in element.attrib]
    assert {style.BLUE.lower(), "currentColor"} <= {each.get("stroke") for each in root.iter()}
    assert [each.get("stroke-dasharray") for each in root.iter() if each.get("stroke-dasharray")]


def test_black_is_the_page_s_own_color_and_the_ground_is_clear(drawn: str):
    assert "#000000" not in drawn
    assert "#ffffff" not in drawn
    assert 'fill="currentColor"' in drawn.split(">")[0]


def test_its_parts_are_named_apart_from_those_of_others(drawn: str):
    root = ElementTree.fromstring(drawn)
    ids = [each.attrib["id"] for each in root.iter() if "id" in each.attrib]
    assert len(set(ids)) == len(ids)
    assert all(id.startswith("one-") for id in ids)
    used = [each.attrib["href"].removeprefix("#") for each in root.iter() if "href" in each.attrib]
    assert used
    assert {*used, *re.findall(r"url\(#([^)]*)\)", drawn)} <= set(ids)


def test_it_is_an_image_with_words(drawn: str):
    root = ElementTree.fromstring(drawn)
    assert (root.tag, root.get("role"), root.get("aria-label")) == ("svg", "img", 'a "label" <b>')
    assert root.get("viewBox")
    assert "xlink" not in drawn
    assert "xmlns" not in drawn


def test_letters_keep_their_size_and_weight():
    assert svg._font("bold 7px 'DejaVu Sans', sans-serif") == {"font-size": "7", "font-weight": "bold"}
    assert svg._font("7.5px 'DejaVu Sans'") == {"font-size": "7.5"}
