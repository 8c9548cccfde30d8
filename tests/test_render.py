import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkbench import render


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (render.mean_sd(0.614, 0.0249, 5), "0.61 ± 0.02 (5)"),
        (render.mean_sd(0.614, None, 1), "0.61 (1)"),
        (render.mean_sd(0.614, 0.0, 3, 3), "0.614 ± 0.000 (3)"),
        (render.missing(3, 5), "– (3/5)"),
        (render.undefined(3, 5), "undefined (2/5)"),
        (render.with_interval(0.614, (0.58, 0.642), 3), "0.614 [0.580, 0.642]"),
        (render.decimal(-0.001, 2), "0.00"),
        (render.decimal(-1e300, 2), "-1.00e+300"),
    ],
)
def test_numbers_read_as_designed(text, expected):
    assert text == expected


@given(st.text(max_size=60))
def test_markdown_of_any_text_is_one_line_that_does_nothing(text):
    shown = render.markdown(text)
    assert "\n" not in shown
    assert shown.isprintable()
    assert not re.search(r"<|>|(?<!\\)[|`*\[\]_~#]", re.sub(r"\\\\", "", shown))


def test_markdown_shows_the_text():
    assert render.markdown("a|b <script> & `c`\n[d](e) \u202e") == r"a\|b &lt;script&gt; &amp; \`c\` \[d\](e)  "


@pytest.mark.parametrize("form", render.FORMATS)
def test_tables_keep_their_strings(form):
    text = render.table(["width", "x"], [["32", "0.10"], ["1e3", "0.5 ± 0.1 (3)"]], form)
    assert all(cell in text for cell in ("32", "0.10", "1e3", "0.5 ± 0.1 (3)"))


def test_latex_is_escaped():
    assert r"50\% \& a\_b" in render.table(["x"], [["50% & a_b"]], "latex")
