"""Compiled programs on disk: what is returned is what was kept, and nobody else's."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ntkbench.errors import StorageError
from ntkbench.store import programs
from ntkbench.store.programs import Programs, opened

KEY, PROGRAM = f"jit_{'very_long_name' * 40}-0123", b"machine code" * 100


@pytest.fixture
def kept(tmp_path: Path) -> Programs:
    found = opened(tmp_path / "cache" / "programs")
    found.put(KEY, PROGRAM)
    return found


def entry(kept: Programs) -> Path:
    (path,) = kept.folder.iterdir()
    return path


def test_a_program_is_returned_as_it_was_kept(kept: Programs):
    assert kept.get(KEY) == PROGRAM
    assert kept.get("another") is None
    assert opened(kept.folder).get(KEY) == PROGRAM


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    return content[:500] + bytes([content[500] ^ 1]) + content[501:]


def flipped_checksum(content: bytes) -> bytes:
    return bytes([content[0] ^ 128]) + content[1:]


@pytest.mark.parametrize(
    "damage",
    [
        cut,
        flipped,
        flipped_checksum,
        lambda _: b"",
        lambda _: b"12",
        lambda each: each + b"0",
        lambda each: b"\0" * len(each),
    ],
    ids=["cut", "flipped", "flipped checksum", "empty", "shorter than a checksum", "longer", "zeroed"],
)
def test_a_damaged_program_counts_as_absent_and_is_written_anew(damage: Callable[[bytes], bytes], kept: Programs):
    path = entry(kept)
    path.write_bytes(damage(path.read_bytes()))
    assert kept.get(KEY) is None
    kept.put(KEY, PROGRAM)
    assert kept.get(KEY) == PROGRAM


def test_a_program_under_another_s_name_counts_as_absent(kept: Programs):
    of_key = entry(kept)
    kept.put("other", b"other program")
    (of_other,) = set(kept.folder.iterdir()) - {of_key}
    of_other.replace(of_key)
    assert kept.get(KEY) is None


def test_a_folder_or_a_pipe_in_the_place_of_a_program_is_not_read(kept: Programs):
    path = entry(kept)
    path.unlink()
    os.mkfifo(path)
    assert kept.get(KEY) is None
    kept.put(KEY, PROGRAM)
    assert kept.get(KEY) == PROGRAM
    path.unlink()
    path.mkdir()
    assert kept.get(KEY) is None
    with pytest.warns(UserWarning, match="programs are not kept: .*directory"):
        kept.put(KEY, PROGRAM)


def test_a_machine_of_another_kind_has_other_programs(kept: Programs, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(programs, "_machine", lambda: "a processor without AVX")
    assert kept.get(KEY) is None


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path):
    kept = Programs(opened(tmp_path / "programs").folder, most_bytes=3 * 132)
    for age, key in enumerate("abc"):
        kept.put(key, b"x" * 100)
        for path in kept.folder.iterdir():
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 60))
        assert kept.get(key) is not None, age
    for path in kept.folder.iterdir():
        os.utime(path, (0, path.stat().st_mtime - 60))
    assert kept.get("a") is not None
    kept.put("d", b"x" * 100)
    assert [key for key in "abcd" if kept.get(key) is not None] == ["a", "c", "d"]


def test_what_a_killed_writer_left_is_deleted_in_its_turn(tmp_path: Path):
    kept = Programs(opened(tmp_path / "programs").folder, most_bytes=400)
    left = kept.folder / ".some.12345678.tmp"
    left.write_bytes(b"x" * 300)
    os.utime(left, (0, 0))
    kept.put("a", b"x" * 100)
    assert not left.exists()
    assert kept.get("a") is not None


def test_a_folder_is_closed_to_others(tmp_path: Path):
    assert opened(tmp_path / "new" / "programs").folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o702])
def test_a_folder_that_is_open_to_others_is_refused(mode: int, tmp_path: Path):
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs").chmod(mode)
    with pytest.raises(StorageError, match="open to other users; `chmod 700`"):
        opened(tmp_path / "programs")


def test_a_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    opened(tmp_path / "programs")
    monkeypatch.setattr(os, "geteuid", lambda: (tmp_path / "programs").stat().st_uid + 1)
    with pytest.raises(StorageError, match="belongs to another user"):
        opened(tmp_path / "programs")


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    opened(tmp_path / "programs")
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    with pytest.raises(StorageError, match="cannot be written"):
        opened(tmp_path / "programs")


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path):
    (tmp_path / "programs").write_text("")
    with pytest.raises(StorageError, match="programs: "):
        opened(tmp_path / "programs")


def test_the_folder_is_in_the_user_s_cache_or_where_a_variable_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("NTKBENCH_CACHE", raising=False)
    assert tmp_path in programs.default_folder().parents
    monkeypatch.setenv("NTKBENCH_CACHE", "~/mine")
    assert programs.default_folder() == tmp_path / "mine" / "programs"


def test_without_a_home_there_is_no_folder(monkeypatch: pytest.MonkeyPatch):
    def unknown(*_: object) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("NTKBENCH_CACHE", raising=False)
    monkeypatch.setattr(programs.platformdirs, "user_cache_path", unknown)
    with pytest.raises(StorageError, match="NTKBENCH_CACHE"):
        programs.default_folder()
    monkeypatch.setattr(programs.platformdirs, "user_cache_path", lambda _: Path("~/.cache/ntkbench"))
    with pytest.raises(StorageError, match="NTKBENCH_CACHE"):
        programs.default_folder()
