"""SECURITY.md promises nothing that no test holds, and nothing comes in whose next major version nobody has seen."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.house import read

ROOT = Path(__file__).parent.parent
PROMISES = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "SECURITY.md").read_text("utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
REQUIREMENTS = [
    *PROJECT["build-system"]["requires"],
    *PROJECT["project"]["dependencies"],
    *(each for extra in PROJECT["project"]["optional-dependencies"].values() for each in extra),
]


def test_every_row_of_promises_names_its_tests():
    rows = [line for line in (ROOT / "SECURITY.md").read_text("utf-8").splitlines() if line.startswith("| ")]
    promises = [row for row in rows if "::" in row]
    assert len(promises) > 15
    assert len(PROMISES) >= len(promises)


@pytest.mark.parametrize(("file", "name"), PROMISES)
def test_the_tests_that_are_named_exist(file: str, name: str):
    assert f"\ndef {name}(" in (ROOT / file).read_text("utf-8")


@pytest.mark.parametrize("requirement", REQUIREMENTS)
def test_a_dependency_has_a_floor_and_an_upper_bound(requirement: str):
    found = Requirement(requirement)
    operators = {each.operator for each in found.specifier}
    assert found.name == "ntkbench" or operators == {"=="} or (">=" in operators and "<" in operators)


def test_nothing_evaluates_text_or_starts_a_shell():
    """Numbers of a file are read as numbers, and what it names is looked up among what is installed."""
    for name, module in read(ROOT / "ntkbench").items():
        calls = set(module.calls())
        assert not calls & {"eval", "exec", "compile", "os.system", "pickle.load", "pickle.loads", "yaml.load"}, name
        assert not any("unsafe_load" in call or "full_load" in call for call in calls), name
