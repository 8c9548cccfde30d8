from fractions import Fraction
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from ntkbench.budgets import Budget, column
from ntkbench.spec import attacks, identity

EIGHT = Budget(Fraction(8, 255))


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
    found = TypeAdapter(attacks.Budget).validate_python(written)
    assert (found.label, str(found), found.radius) == (label, label, radius)
    assert TypeAdapter(attacks.Budget).validate_python(label) == found


def test_budgets_are_ordered_by_their_size_and_written_as_labels():
    several = TypeAdapter(attacks.Budgets)
    found = several.validate_python(["8/255", 0.03])
    assert found == (Budget(Fraction(3, 100)), EIGHT)
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
        ({"in": "inverse_sqrt_dim", "value": ["1/2", 0.5]}, r"1/2/sqrt\(d\) stands here twice"),
        (["1/2/sqrt(d)", 0.5], "some of these budgets are relative"),
        ("x/sqrt(d)", "not a valid fraction"),
    ],
)
def test_what_is_no_budget_is_refused(written: Any, message: str):
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(attacks.Budgets).validate_python(written)


@pytest.mark.parametrize("c", [0.5, "1/2"])
def test_a_budget_may_be_relative_to_the_dimension(c: Any):
    found = TypeAdapter(attacks.Budget).validate_python({"in": "inverse_sqrt_dim", "value": c})
    assert (found.label, found.on(784).label, found.on(784).radius) == ("1/2/sqrt(d)", "1/2/sqrt(d)", 0.5 / 28)
    assert TypeAdapter(attacks.Budget).validate_python(found.label) == found == found.on(6)
    assert found != Budget(Fraction(1, 2))
    with pytest.raises(AssertionError, match="on some data alone"):
        _ = found.radius


def test_several_relative_budgets_share_their_mapping():
    several = TypeAdapter(attacks.Budgets)
    found = several.validate_python({"in": "inverse_sqrt_dim", "value": [2, "1/2"]})
    assert several.dump_json(found) == b'["1/2/sqrt(d)","2/sqrt(d)"]'
    assert several.validate_json(several.dump_json(found)) == found
    assert identity.canonical(found) == ["1/2/sqrt(d)", "2/sqrt(d)"]


def test_the_names_of_outcomes():
    assert column("ntk", EIGHT) == column("ntk", "8/255") == "ntk@8/255"
    assert column("ntk", EIGHT, "grid") == "grid.ntk@8/255"
    assert (column("clean"), column("clean", part="k90")) == ("clean", "k90.clean")
