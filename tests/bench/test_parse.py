import math
import os
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkbench.bench import parse
from ntkbench.bench.document import plain
from ntkbench.errors import SpecError


def value(text: str) -> object:
    return plain(parse.parse_value(text, "spec.yaml"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1e-2", 0.01),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("-3", -3),
        ("+3", 3),
        ("inf", math.inf),
        ("-inf", -math.inf),
        (".inf", math.inf),
        ("8/255", Fraction(8, 255)),
        ("-8/255", Fraction(-8, 255)),
        ("true", True),
        ("null", None),
        ("~", None),
        ("", None),
    ],
)
def test_what_is_a_number_or_a_word_of_yaml(text: str, expected: object):
    assert value(text) == expected
    assert type(value(text)) is type(expected)


@pytest.mark.parametrize(
    "text",
    ["on", "off", "yes", "no", "True", "NULL", "2024-01-31", "010", "1_000", "0x1f", "1:30", "8 / 255", "1e", "+", "."],
)
def test_what_stays_text(text: str):
    assert value(text) == text


def test_quoted_scalars_are_text():
    assert value("['1', \"8/255\", 'null', 'inf']") == ["1", "8/255", "null", "inf"]


def test_nan_is_read_so_that_a_field_can_refuse_it():
    number = value("nan")
    assert isinstance(number, float)
    assert math.isnan(number)


def test_keys_are_text_as_written():
    assert value("{1: a, null: b, on: c, 8/255: d}") == {"1": "a", "null": "b", "on": "c", "8/255": "d"}


def test_places_of_keys_and_values():
    root = parse.parse("a:\n  b: [1, 2]\n  'c':   text\n", "spec.yaml")
    assert str(root.at(("a",)).key) == "spec.yaml:1:1"
    assert str(root.at(("a", "b")).key) == "spec.yaml:2:3"
    assert str(root.at(("a", "b")).place) == "spec.yaml:2:6"
    assert str(root.at(("a", "b", 1)).place) == "spec.yaml:2:10"
    assert str(root.at(("a", "c")).place) == "spec.yaml:3:10"
    assert root.at(("a", "b", 7, "x")) is root.at(("a", "b"))


def test_an_alias_is_the_value_where_the_anchor_stands():
    root = parse.parse("a: &x [1]\nb: *x\n", "spec.yaml")
    assert plain(root) == {"a": [1], "b": [1]}
    assert str(root.at(("b", 0)).place) == "spec.yaml:1:8"
    assert str(root.at(("b",)).key) == "spec.yaml:2:1"


def test_places_inside_another_text():
    with pytest.raises(SpecError, match=r"^--set:3:12: 8/0 divides by zero$"):
        parse.parse_value("[1, 8/0]", "--set", 3, 8)


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path):
    file = tmp_path / "spec.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\r\nb:\r\n  - 2\r\n")
    root = parse.read(str(file))
    assert plain(root) == {"a": 1, "b": [2]}
    assert root.at(("a",)).key.column == 1


def test_all_structural_mistakes_at_once():
    with pytest.raises(SpecError) as error:
        parse.parse("a: 1\na: 2\nb: !x 3\nc: 1/0\nd: *y\n", "s.yaml")
    assert [problem.line for problem in error.value.problems] == [2, 3, 4, 5]


def test_a_file_that_is_not_there_a_folder_or_huge(tmp_path):
    with pytest.raises(SpecError, match="there is no such file"):
        parse.read(str(tmp_path / "none.yaml"))
    with pytest.raises(SpecError, match="a folder, not a file"):
        parse.read(str(tmp_path))
    with pytest.raises(SpecError, match="cannot be read"):
        parse.read("a\0b")
    huge = tmp_path / "huge.yaml"
    huge.write_text("a: " + "x" * parse.MAX_BYTES)
    with pytest.raises(SpecError, match="larger than 200 kB"):
        parse.read(str(huge))


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_may_not_be_read(tmp_path):
    file = tmp_path / "secret.yaml"
    file.write_text("a: 1")
    file.chmod(0)
    with pytest.raises(SpecError, match="cannot be read: Permission denied"):
        parse.read(str(file))


@given(st.text(st.sampled_from("ab:[]{},-&*!|>'\"%@`#? \n\t0/1"), max_size=60))
def test_any_text_is_read_or_refused_in_plain_words(text: str):
    try:
        problems = ()
        parse.parse_value(text, "s.yaml")
    except SpecError as error:
        problems = error.problems
    assert all(problem.line >= 1 and problem.column >= 1 and problem.message for problem in problems)


@given(st.fractions(min_value=0, max_denominator=10**6))
def test_fractions_are_exact(number: Fraction):
    assert value(f"{number.numerator}/{number.denominator}") == number


@given(st.floats(allow_nan=False))
def test_floats_are_read_as_python_writes_them(number: float):
    assert value(repr(number)) == number
