import json
import os

import pytest

from ntkbench import documents, files, text
from ntkbench.documents import Document, Facts, Natural
from ntkbench.errors import NtkbenchError, StorageError


class Example(Document):
    number: float
    count: Natural = 0
    facts: Facts = {}  # noqa: RUF012


def test_a_document_reads_back_as_it_was_written(tmp_path):
    path = tmp_path / "deep" / "a.json"
    example = Example(number=0.1, count=3, facts={"a": [1, None, {"b": "é😀"}]})
    files.write(path, documents.dump(example))
    assert documents.parse(Example, documents.read(path), path) == example
    assert documents.dump(documents.parse(Example, documents.read(path), path)) == path.read_bytes()


def test_writing_leaves_nothing_behind_and_a_failed_write_leaves_the_old(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    files.write(path, b"old")

    def no_space(_descriptor):
        raise OSError("no space left")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(StorageError, match="no space"):
        files.write(path, b"new")
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Invalid JSON"),
        (b"\x00\xff", "Invalid JSON"),
        (b"[" * 100_000, "Invalid JSON"),
        (b"[]", "a.json: Input should be an object"),
        (b'{"number": "1"}', "a.json: number: Input should be a valid number"),
        (b'{"number": NaN}', "a.json: number: Input should be a finite number"),
        (b'{"number": 1e999}', "a.json: number: Input should be a finite number"),
        (b'{"number": true}', "a.json: number: Input should be a valid number"),
        (b'{"number": 1, "count": -1}', "a.json: count: Input should be greater than or equal to 0"),
        (b'{"number": 1, "count": ' + b"9" * 5000 + b"}", "number out of range"),
        (b'{"number": 1, "facts": {"a": NaN}}', "a.json: facts: "),
        (b'{"number": 1, "facts": {"a": ' + b"9" * 5000 + b"}}", "a.json: "),
        (b'{"number": 1, "facts": {"a": "\\ud800"}}', "a.json: "),
        (b'{"number": 1, "oth\\u001b[31mer": 1}', "a.json: oth\N{REPLACEMENT CHARACTER}\\[31mer: Extra inputs"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_damaged_document_is_an_error_that_names_the_field(content, message):
    with pytest.raises(NtkbenchError, match=message):
        documents.parse(Example, content, "a.json")


def test_many_problems_are_few_lines():
    content = json.dumps({f"field{i}": 0 for i in range(50)} | {"number": 0})
    with pytest.raises(NtkbenchError) as caught:
        documents.parse(Example, content, "a.json")
    assert len(str(caught.value).splitlines()) == 6
    assert "and 45 more problems" in str(caught.value)


@pytest.mark.parametrize("value", [{"number": float("nan")}, {"number": object()}, {"number": 10**5000}])
def test_what_json_cannot_carry_is_not_accepted(value):
    with pytest.raises(NtkbenchError, match=r"^here: "):
        documents.accept(Example, value, "here")


def test_files_are_bounded_and_missing_ones_named(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b" " * 11)
    with pytest.raises(NtkbenchError, match="larger than 10 bytes"):
        documents.read(path, 10)
    with pytest.raises(NtkbenchError, match=r"b.json: cannot be read: No such file"):
        documents.read(tmp_path / "b.json")
    with pytest.raises(NtkbenchError, match="cannot be read: Is a directory"):
        documents.read(tmp_path)


def test_foreign_text_is_tamed():
    assert text.one_line("a\x1b[0m\nb\u202e") == "a\ufffd[0m\ufffdb\ufffd"
    assert len(text.one_line("x" * 1000)) == 80


def test_what_others_wrote_is_tamed_on_its_way_in():
    content = json.dumps({"number": 1, "facts": {"\x1b[31m": ["\u202e", {"a": "b\n\x07"}]}})
    found = documents.parse(Example, content, "a.json")
    assert found.facts == {"\ufffd[31m": ["\ufffd", {"a": "b\n\ufffd"}]}
    assert documents.parse(Example, documents.dump(found), "a.json") == found


def test_writing_replaces_a_link_and_not_what_it_leads_to(tmp_path):
    (tmp_path / "secret").write_text("kept")
    (tmp_path / "a.json").symlink_to(tmp_path / "secret")
    files.write(tmp_path / "a.json", b"new")
    assert (tmp_path / "secret").read_text() == "kept"
    assert (tmp_path / "a.json").read_bytes() == b"new"


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="devices")
def test_a_record_that_leads_to_a_device_is_not_read(tmp_path):
    (tmp_path / "a.json").symlink_to("/dev/zero")
    with pytest.raises(NtkbenchError, match="cannot be read: no regular file"):
        documents.read(tmp_path / "a.json")
