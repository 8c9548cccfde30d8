import math

import pytest
import yaml
from jinja2 import UndefinedError

from ntkbench.results.web import as_yaml, interval, number, webpage


@pytest.mark.parametrize(
    ("value", "metric", "text"),
    [
        (0.61234, "accuracy", "0.612"),
        (-0.0001, "gradient_cosine", "0.000"),
        (6.0, "k90", "6"),
        (12345.678, "k90", "1.235e+04"),
        (None, "accuracy", "–"),
        (0.5, "a metric of another version", "0.500"),
    ],
)
def test_digits_suit_the_unit(value, metric, text):
    assert number(value, metric) == text


def test_an_interval_without_ends_is_not_shown():
    assert interval((0.1, 0.25), "accuracy") == "[0.100, 0.250]"
    assert interval((-math.inf, math.inf), "accuracy") == interval(None, "accuracy") == ""


def test_what_a_template_asks_for_and_nobody_gave_is_a_mistake():
    with pytest.raises(UndefinedError, match="boards"):
        webpage("index.html.j2")


def test_yaml_reads_back_in_its_order():
    value = {"b": {"eps": ["8/255", "inf"], "c": True}, "a": None, "text": "a: b # c", "x": "no"}
    text = as_yaml(value)
    assert yaml.safe_load(text) == value
    assert list(yaml.safe_load(text)) == list(value)
    assert "eps: [8/255, inf]" in text
