"""Tables that are fitted into a terminal."""

import pytest

from ntkbench.results.terminal import fitted

HEADERS = ["network", "robust_accuracy"]
ROWS = [["fc-1 to loss .05", "0.61 ± 0.02 (5)"], ["[bold]fc-2[/bold]", "– (3/5)"]]


def test_no_line_is_wider_than_the_terminal_and_no_word_is_lost(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "24")
    lines = fitted(HEADERS, ROWS).splitlines()
    assert max(map(len, lines)) <= 24
    for word in ("fc-1", "loss", "0.61", "(5)", "(3/5)"):
        assert word in " ".join(lines)


def test_text_is_shown_as_it_is_without_colors(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")
    text = fitted(HEADERS, ROWS)
    assert "[bold]fc-2[/bold]" in text
    assert "robust_accuracy" in text
    assert "\x1b" not in text
