import pytest

from ntkbench.text import one_line, without_control_characters


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\r", "\x7f", "\x9b", "\u202e", "\u2066", "\ud800", "\ufeff"])
def test_what_moves_a_cursor_or_turns_the_writing_is_tamed(character: str):
    assert without_control_characters(f"a{character}[31mb") == "a\ufffd[31mb"
    assert one_line(f"a{character}b\n") == "a\ufffdb\ufffd"


def test_words_of_any_language_stay():
    text = "Zürich – λ ≥ ½, 日本語, עברית, 👩\u200d🔬\n\tend"
    assert without_control_characters(text) == text


def test_what_is_printed_has_an_end():
    assert len(one_line("x" * 10**6)) == 80
