import pytest

from ntkbench.spec.document import dotted, found, text
from ntkbench.spec.reading.parse import parse_value


@pytest.mark.parametrize(
    ("written", "short", "called"),
    [
        ("1e-2", "0.01", "0.01"),
        ("2.0", "2", "2.0"),
        ("16/510", "8/255", "the fraction 8/255"),
        ("128/2", "64", "the fraction 64/1"),
        ("-inf", "-inf", "-inf"),
        ("null", "null", "nothing"),
        ("true", "true", "true"),
        ("'512'", "512", "the text '512'"),
        ("[1, a]", "[1, a]", "a list of 2"),
        ("[]", "[]", "an empty list"),
        ("{kind: fc, depth: 3}", "{kind: fc, depth: 3}", "a mapping"),
        ("1" * 50, "1" * 50, "a number of 50 digits"),
    ],
)
def test_what_values_are_called(written: str, short: str, called: str):
    node = parse_value(written, "s.yaml")
    assert text(node) == short
    assert found(node) == called


def test_paths():
    assert dotted(("attacks", "ntk", "eps", 1)) == "attacks.ntk.eps[1]"
    assert dotted(()) == ""
