"""Characters that look like those of YAML: each is named, at its place."""

from pathlib import Path

import pytest

from ntkbench.errors import SpecError
from ntkbench.plan.read import read
from ntkbench.spec.document import plain
from ntkbench.spec.reading.parse import parse

SPECS = Path(__file__).parent.parent / "faults" / "specs"


def told(text: str) -> list[str]:
    with pytest.raises(SpecError) as error:
        parse(text, "s.yaml")
    return [str(problem) for problem in error.value.problems]


@pytest.mark.parametrize(("name", "place"), [("nbsp_colon", "5:7"), ("nbsp_in_flow", "4:21")])
def test_the_first_one_is_told_at_its_place(name: str, place: str):
    with pytest.raises(SpecError) as error:
        read(SPECS / f"{name}.yaml")
    (problem,) = error.value.problems
    said = f"{SPECS / name}.yaml:{place}: "
    assert str(problem).removeprefix(said).removeprefix("not YAML: ") == (
        "the character U+00A0 (no-break space) is not YAML's own; write a plain space in its place"
    )


@pytest.mark.parametrize(
    ("text", "place", "name", "instead"),
    [
        ("a: \u201cx\u201d", "1:4", "U+201C (left double quotation mark)", '"'),
        ("a: \u2018x\u2019", "1:4", "U+2018 (left single quotation mark)", "'"),
        ("a: \u22120.5", "1:4", "U+2212 (minus sign)", "-"),
        ("a: 1e\u22123", "1:6", "U+2212 (minus sign)", "-"),
        ("a: {b:\u00a01}", "1:7", "U+00A0 (no-break space)", "a plain space"),
        ("a: x\u00a0", "1:5", "U+00A0 (no-break space)", "a plain space"),
        ("a:\n\u3000\u3000b: 1", "2:1", "U+3000 (ideographic space)", "a plain space"),
        ("a: 1\nwidth\uff1a16\n", "2:6", "U+FF1A (fullwidth colon)", "':' and a space"),
    ],
)
def test_each_is_named(text: str, place: str, name: str, instead: str):
    first = told(text)[0]
    assert first.startswith(f"s.yaml:{place}: ")
    assert first.endswith(f"the character {name} is not YAML's own; write {instead} in its place")


def test_inside_of_a_text_they_are_letters_like_others():
    text = "a: the \u201cbest\u201d kernel \u2013 so far\nb: '\u00a0x'\nc: \"\u2212 1\"\nd: caf\u00e9\u00a0noir\n"
    assert plain(parse(text, "s.yaml")) == {
        "a": "the \u201cbest\u201d kernel \u2013 so far",
        "b": "\u00a0x",
        "c": "\u2212 1",
        "d": "caf\u00e9\u00a0noir",
    }
