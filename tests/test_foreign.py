import os
import subprocess
import sys

import pytest

from ntkbench import foreign


def test_a_file_is_read_up_to_its_limit(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert foreign.content(tmp_path / "a", 5) == b"12345"
    with pytest.raises(foreign.TooLarge, match="larger than 4 bytes"):
        foreign.content(tmp_path / "a", 4)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names")
def test_a_pipe_that_nobody_writes_to_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    code = f"from ntkbench import foreign; foreign.content({str(tmp_path / 'pipe')!r}, 9)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "OSError: [Errno 0] no regular file" in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="devices")
def test_a_device_without_an_end_is_not_read(tmp_path):
    (tmp_path / "link").symlink_to("/dev/zero")
    for path in ("/dev/zero", tmp_path / "link"):
        with pytest.raises(OSError, match="no regular file"):
            foreign.content(path, 2**60)


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\r", "\x7f", "\x9b", "\u202e", "\u2066", "\ud800", "\ufeff"])
def test_what_moves_a_cursor_or_turns_the_writing_is_tamed(character: str):
    assert foreign.tamed(f"a{character}[31mb") == "a\ufffd[31mb"
    assert foreign.printable(f"a{character}b\n") == "a\ufffdb\ufffd"


def test_words_of_any_language_stay():
    text = "Zürich – λ ≥ ½, 日本語, עברית, 👩\u200d🔬\n\tend"
    assert foreign.tamed(text) == text


def test_what_is_printed_has_an_end():
    assert len(foreign.printable("x" * 10**6)) == 80
