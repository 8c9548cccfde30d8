import io
import struct
import tracemalloc
import zipfile
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from ntkbench.data import npz

HEADER = "{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }"


def written(save=np.savez, **named: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    save(buffer, **named)
    return buffer.getvalue()


def member(header: str, content: bytes = bytes(24), **archive) -> bytes:
    """An npz file of one array with that header."""
    text = header.encode() + b" " * 10 + b"\n"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **archive) as file:
        file.writestr("a.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + content)
    return buffer.getvalue()


@given(
    arrays(
        st.sampled_from(["<f8", ">f4", "|b1", "<i8", "|u1", "<c16", "<U3", "|S2"]), array_shapes(min_dims=0, max_side=4)
    ),
    st.sampled_from([np.savez, np.savez_compressed]),
    st.booleans(),
)
def test_what_numpy_writes_is_read(array: np.ndarray, save, fortran: bool):
    array = np.asfortranarray(array) if fortran else array
    found = npz.read(written(save, a=array, b=np.arange(3)), 10**4)
    assert found.keys() == {"a", "b"}
    assert found["a"].dtype == array.dtype
    np.testing.assert_array_equal(found["a"], array)


def test_some_of_the_arrays():
    content = written(a=np.zeros(3), b=np.arange(3), c=np.zeros(10**5))
    assert list(npz.read(content, 1000, ["b"])) == ["b"]
    with pytest.raises(npz.Damaged, match="there is no array d"):
        npz.read(content, 1000, ["d"])


def test_a_bomb_is_refused_before_it_is_unpacked():
    content = written(np.savez_compressed, a=np.zeros(10**6))
    tracemalloc.start()
    try:
        with pytest.raises(npz.Damaged, match="take more than 1000000 bytes"):
            npz.read(content, 10**6)
        assert tracemalloc.get_traced_memory()[1] < 10**6
    finally:
        tracemalloc.stop()


def test_an_archive_that_lies_about_a_size_gets_no_more_than_it_says():
    content = bytearray(written(np.savez_compressed, a=np.zeros(10**6)))
    for signature, place in ((b"PK\1\2", 24), (b"PK\3\4", 22)):
        at = content.index(signature) + place
        content[at : at + 4] = struct.pack("<I", 200)
    with pytest.raises(npz.Damaged):
        npz.read(bytes(content), 10**6)


@pytest.mark.parametrize(
    "content",
    [
        written(a=np.array([{}], dtype=object)),
        written(a=np.zeros(2, [("x", "<f8")])),
        member(HEADER.replace("3", "10" * 20)),
        member(HEADER.replace("3", "4")),
        member(HEADER.replace("<f8", "|S0").replace("3", "9" * 18), b""),
        member(HEADER.replace("<f8", "<f7")),
        member(HEADER.replace("(3,)", "(3)")),
        member(HEADER.replace("(3,)", "(003,)")),
        member(HEADER.replace("(3,)", f"(0, {10**30})"), b""),
        member(HEADER.replace("False", "__import__('os')")),
        member(HEADER, compression=zipfile.ZIP_BZIP2),
        b"",
        written(a=np.zeros(3)) + b"x",
        written(a=np.zeros(3))[:-30],
    ],
    ids=lambda content: str(len(content)),
)
def test_what_is_no_array_of_numbers_is_refused(content: bytes):
    with pytest.raises(npz.Damaged, match=r"."):
        npz.read(content, 10**6)


def test_a_list_of_a_million_members_is_not_read():
    content = bytearray(written(a=np.zeros(3)))
    content[-10:-6] = struct.pack("<I", 2**21)
    with pytest.raises(npz.Damaged, match="a list of members of 2097152 bytes"):
        npz.read(bytes(content), 10**6)


@settings(max_examples=200)
@given(st.data())
def test_a_damaged_file_is_read_or_refused(data):
    content = bytearray(written(np.savez_compressed, a=np.arange(20.0), b=np.array(["x", "yz"])))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with suppress(npz.Damaged):
        found = npz.read(bytes(content), 10**4)
        assert sum(array.nbytes for array in found.values()) <= 10**4
