import pickle
from fractions import Fraction
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from ntkbench.budgets import Budget, column
from ntkbench.spec import identity, notation

EIGHT = Budget(8, 255)


@pytest.mark.parametrize(
    ("written", "label", "radius"),
    [
        ("8/255", "8/255", 8 / 255),
        ("16/510", "8/255", 8 / 255),
        (Fraction(8, 255), "8/255", 8 / 255),
        (0.1, "1/10", 0.1),
        (1e-3, "1/1000", 1e-3),
        (0, "0", 0.0),
    ],
)
def test_every_notation_of_a_budget_has_one_label_and_one_radius(written: Any, label: str, radius: float):
    found = TypeAdapter(notation.Budget).validate_python(written)
    assert (found.label, str(found), found.radius) == (label, label, radius)
    assert TypeAdapter(notation.Budget).validate_python(label) == found


def test_a_budget_survives_the_way_to_another_process():
    found = pickle.loads(pickle.dumps(EIGHT))
    assert (type(found), found, found.label) == (Budget, EIGHT, "8/255")


def test_budgets_are_ordered_by_their_size_and_written_as_labels():
    several = TypeAdapter(notation.Budgets)
    found = several.validate_python(["8/255", 0.03])
    assert found == (Budget(3, 100), EIGHT)
    assert several.dump_python(found) == ("3/100", "8/255")
    assert several.dump_json(found) == b'["3/100","8/255"]'
    assert identity.canonical(found) == ["3/100", "8/255"]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (-0.1, "greater than or equal to 0"),
        ("8%", "not a valid fraction"),
        (float("inf"), "not a valid fraction"),
        (["8/255", "16/510"], "8/255 stands here twice"),
    ],
)
def test_what_is_no_budget_is_refused(written: Any, message: str):
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(notation.Budgets).validate_python(written)


def test_the_names_of_outcomes():
    assert column("ntk", EIGHT) == column("ntk", "8/255") == "ntk@8/255"
    assert column("ntk", EIGHT, "grid") == "grid.ntk@8/255"
    assert (column("clean"), column("clean", part="k90")) == ("clean", "k90.clean")
