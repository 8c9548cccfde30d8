import math
import os
from fractions import Fraction

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ntkbench.errors import Problem, SpecError
from ntkbench.spec.document import plain
from ntkbench.spec.reading import parse


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


@pytest.mark.parametrize("escape", [r"\e[31m", r"\0", r"\r", r"\x9b", r"\u202e", r"\ud800", r"\u2066"])
def test_no_quotes_hide_a_control_character(escape: str):
    for text in (f'"{escape}"', f'{{"{escape}": 1}}'):
        with pytest.raises(SpecError, match=r"the control character U\+[0-9A-F]{4}; delete it"):
            value(text)
    assert value(r'"a\tb\nc"') == "a\tb\nc"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("'" + "x" * 10_001 + "'", "a text of 10001 characters; 10000 are the most"),
        (f"{{{'k' * 201}: 1}}", "a key of 201 characters; 200 are the most"),
        ("{" + ", ".join(f"k{i}: 1" for i in range(300)) + "}", "more than 200 keys in one mapping"),
        ("[" + "x, " * 30_000 + "]", "more than 20000 values"),
        ("[" * 100_000, "nested deeper than 30 levels|exceeded maximum nesting depth"),
        ("- " * 50_000, "nested deeper than 30 levels"),
        ("%YAML " + "9" * 10_000 + ".1\n---\na: 1", "not YAML"),
        ("a: 1\n" + "[" * 25_000, "not YAML"),
    ],
    ids=lambda value: value[:30],
)
def test_nothing_is_endless(text: str, message: str):
    with pytest.raises(SpecError, match=message) as error:
        value(text)
    assert len(str(error.value)) < 3000


def test_of_many_mistakes_the_first_are_told():
    with pytest.raises(SpecError) as error:
        value("[" + ", ".join(f"*x{i}" for i in range(5000)) + "]")
    lines = str(error.value).splitlines()
    assert len(lines) == 101
    assert lines[-1] == "... and more; mend these first"


def test_what_a_message_repeats_is_tamed():
    problem = Problem("a\x1b.yaml", 1, 1, "data\n", "no \u202edata" + "x" * 10**5)
    assert str(problem).startswith("a\ufffd.yaml:1:1: data\ufffd: no \ufffddata")
    assert len(str(problem)) == 2000


@pytest.mark.parametrize("text", ["a: é\nb: 'ü': 1", "{a: [1, 2}", "a:\n\t- b", "'", "a: *b: c", "? a\n- b", "%TAG x"])
def test_without_libyaml_the_mistakes_are_the_same(text: str, monkeypatch: pytest.MonkeyPatch):
    told = []
    for loader in (parse.Fast, yaml.SafeLoader):
        monkeypatch.setattr(parse, "Fast", loader)
        with pytest.raises(SpecError) as error:
            value(text)
        told.append(str(error.value))
    assert told[0] == told[1]
