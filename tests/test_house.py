"""The figures of `benchmarks.house`, on sources and frames that were made for them."""

from fractions import Fraction
from pathlib import Path

import pytest

from benchmarks import house
from ntkbench.budgets import Budget

FILES = {
    Path("__init__.py"): '"""A package."""\n',
    Path("ntk/long.py"): "a = 1\n" * 400,
    Path(
        "spec/one.py"
    ): '"""Of words."""\n\n\ndef f():\n    """Return."""\n    import json  # here\n    # why\n    return json\n',
    Path("spec/two.py"): 'LIMIT = 3\n"""what it is"""\n',
    Path("data/three.py"): "b = 2\n",
}


@pytest.mark.parametrize(
    "value",
    ["13/977", "ntk@13/977", Fraction(13, 977), Budget(Fraction(13, 977)), 13 / 977, ["13/977"], {"eps": 13 / 977}],
)
def test_a_budget_is_known_in_every_form(value: object):
    assert house.holds(value)


@pytest.mark.parametrize("value", ["8/255", 0.013, [["13/977"]], {"13/977": 1}, "x" * 80 + "13/977", None])
def test_what_is_no_budget_is_not(value: object):
    assert not house.holds(value)


def test_the_way_has_no_file_twice_in_a_row():
    found = house.Way()
    found.files = ["a", "b", "a", "c", "b"]
    assert found.returns == 2


def test_what_the_source_tells():
    assert house.largest_folder(FILES) == (2, "spec")
    assert house.largest_file(FILES) == (8, "spec/one.py")
    assert house.hidden_imports(FILES) == 1
    assert house.ledger(FILES) == 1 + 8 + 2
    assert [house.is_fragment(text) for text in house.docstrings(FILES)] == [False, True, False]


def test_no_docstring_of_the_package_begins_with_a_fragment():
    assert [text for text in house.docstrings(house.sources()) if house.is_fragment(text)] == []


def test_few_imports_are_hidden_in_functions():
    assert house.hidden_imports(house.sources()) <= 12


def test_documentation_is_counted_in_lines(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(house, "PACKAGE", tmp_path)
    text = FILES[Path("spec/one.py")]
    (tmp_path / "one.py").write_text(text)
    assert house.documentation({Path("one.py"): text}) == 3 / 8
