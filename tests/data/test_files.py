import gzip
import os
import tracemalloc

import pytest

from ntkbench.data.files import File
from ntkbench.errors import DataError
from tests.data.conftest import sha256

CONTENT = bytes(range(256)) * 4
FILE = File("numbers", sha256(CONTENT), len(CONTENT))


def test_plain_or_gzipped(tmp_path):
    assert FILE.locate(tmp_path) is None
    (tmp_path / "numbers.gz").write_bytes(gzip.compress(CONTENT))
    assert FILE.locate(tmp_path) == tmp_path / "numbers.gz"
    assert FILE.read(tmp_path / "numbers.gz") == CONTENT
    (tmp_path / "numbers").write_bytes(CONTENT)
    assert FILE.locate(tmp_path) == tmp_path / "numbers"
    assert FILE.read(tmp_path / "numbers") == CONTENT


def test_flipped_byte(tmp_path):
    damaged = bytearray(CONTENT)
    damaged[77] ^= 1
    path = tmp_path / "numbers"
    path.write_bytes(damaged)
    with pytest.raises(DataError) as caught:
        FILE.read(path)
    assert str(caught.value) == (
        f"{path} is damaged or not the original: sha256 of its uncompressed bytes\n"
        f"  expected {FILE.checksum.removeprefix('sha256:')}\n"
        f"  found    {sha256(bytes(damaged)).removeprefix('sha256:')}\n"
        "Replace it with an intact copy: delete it, and fetch or install it again."
    )


def test_md5(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    assert File("x", "md5:900150983cd24fb0d6963f7d28e17f72", 3).read(path) == b"abc"


@pytest.mark.parametrize("content", [CONTENT[:-1], b"", CONTENT + b"x"])
def test_another_length(tmp_path, content):
    path = tmp_path / "numbers"
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged or not the original"):
        FILE.read(path)


@pytest.mark.parametrize(
    "content",
    [gzip.compress(CONTENT)[:-9], b"no gzip at all", gzip.compress(CONTENT)[:12] + b"??"],
    ids=["cut off", "not gzip", "damaged"],
)
def test_broken_gzip(tmp_path, content):
    path = tmp_path / "numbers.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"numbers\.gz cannot be read: .*; replace it with an intact copy"):
        FILE.read(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable(tmp_path):
    path = tmp_path / "numbers"
    path.write_bytes(CONTENT)
    path.chmod(0)
    with pytest.raises(DataError, match="Permission denied"):
        FILE.read(path)


def test_a_gzip_bomb_takes_no_memory(tmp_path):
    path = tmp_path / "numbers.gz"
    with gzip.GzipFile(path, "wb", compresslevel=1) as stream:
        for _ in range(100):
            stream.write(bytes(10**6))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="found    more than the 1024 bytes it should have"):
            FILE.read(path)
        assert tracemalloc.get_traced_memory()[1] < 10**6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["t-idx3-ubyte", "t.idx3-ubyte", "t.idx3-ubyte.gz"])
def test_idx_files_have_two_names(name, tmp_path):
    (tmp_path / name).write_bytes(b"")
    assert File("t-idx3-ubyte", "sha256:0", 1).locate(tmp_path) == tmp_path / name
