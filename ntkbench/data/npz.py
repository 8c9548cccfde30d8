"""Read arrays of an npz file that may come from anywhere.

All that the file promises (sizes, shapes, types) is compared with what is there before an array is decompressed, so
that no file can take more memory than it is allowed to, or run code.
"""

import io
import math
import os
import re
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00(..)"
    rb"\{'descr': '([<>|]?[biufcSU]\d{1,6})', 'fortran_order': (?:True|False), "
    rb"'shape': \(((?:\d+, )*(?:\d+,?)?)\), \} *\n",
    re.DOTALL,
)
"""header of an array as NumPy writes it for numbers and texts; arrays of objects, which are pickles, and of records
do not match"""
_LONGEST = 1000
"""most bytes of a header"""
_END = 22
"""bytes of the record at the end of an archive"""
_MEMBERS = 2**20
"""most bytes of the list of members, which stands before that record"""
_FAULTS = (ValueError, TypeError, SyntaxError, OverflowError, EOFError, NotImplementedError)
"""errors that the content of a file causes; a failing disk or lack of memory says nothing about the file"""
_PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""compressions that NumPy writes"""


class Damaged(ValueError):  # noqa: N818 (what the file is)
    """A file that is no npz file of plain arrays, or that holds more than it may."""


@dataclass(frozen=True)
class ArrayHeader:
    """Hold what an npz file says of one of its arrays: its type and its shape."""

    dtype: np.dtype
    shape: tuple[int, ...]


def headers(file: bytes | io.BufferedIOBase, names: Collection[str]) -> dict[str, ArrayHeader]:
    """Return type and shape of those arrays of `names` that an npz file has, without decompressing them.

    Damaged if one of them is not plain, or the file is no npz file.
    """
    with _opened(file) as archive:
        members = _members(archive)
        return {name: _header(archive, members[name]) for name in names if name in members}


def read(file: bytes | io.BufferedIOBase, limit: int, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Return arrays of an npz file by their names.

    Args:
        file: the content, or an open file.
        limit: the most bytes that the arrays may take together.
        names: the arrays that are wanted; None for all.

    Raises:
        Damaged: an array is missing, damaged or not plain, or they take more than `limit`.
    """
    with _opened(file) as archive:
        members = _members(archive)
        wanted = list(members if names is None else names)
        if absent := [name for name in wanted if name not in members]:
            raise Damaged(f"there is no array {', '.join(absent)}")
        if sum(members[name].file_size for name in wanted) > limit:
            raise Damaged(f"its arrays take more than {limit} bytes")
        return {name: _array(archive, members[name]) for name in wanted}


@contextmanager
def _opened(file: bytes | io.BufferedIOBase) -> Iterator[zipfile.ZipFile]:
    """Yield the archive; whatever its content makes zipfile or NumPy raise inside this context is raised as Damaged."""
    stream = io.BytesIO(file) if isinstance(file, bytes) else file
    try:
        _check_size(stream)
        with zipfile.ZipFile(stream) as archive:
            yield archive
    except Damaged:
        raise
    except (*_FAULTS, zipfile.BadZipFile, zlib.error) as error:
        raise Damaged(f"{type(error).__name__}: {error}") from error


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the members of an archive by the names of their arrays."""
    return {member.filename.removesuffix(".npy"): member for member in archive.infolist()}


def _check_size(stream: io.BufferedIOBase) -> None:
    """Raise Damaged if the archive's end is not as NumPy writes it, or its list of members is too long.

    zipfile reads the list as a whole, into ten times its bytes of memory. Sizes of 64 bits are for large files alone.
    """
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - 20 - _END))
    end = stream.read()
    if end[-_END : -_END + 4] != b"PK\5\6" or (end[:4] == b"PK\6\7" and size < 2**32):
        raise Damaged("it does not end as an npz file does")
    listed = int.from_bytes(end[12 - _END : 16 - _END], "little")
    if listed > _MEMBERS and size < 2**32:
        raise Damaged(f"a list of members of {listed} bytes")


def _header(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> ArrayHeader:
    """Return the header of one member; Damaged if it is not NumPy's or promises another number of bytes."""
    if member.flag_bits & 1 or member.compress_type not in _PLAIN:
        raise Damaged(f"{member.filename} is encrypted, or compressed in a way that NumPy does not write")
    with archive.open(member) as stream:
        header = _HEADER.match(stream.read(_LONGEST))
    if header is None or header.end() != 10 + int.from_bytes(header[1], "little"):
        raise Damaged(f"{member.filename} is no array of numbers or texts (arrays of objects are not read)")
    dtype, shape = np.dtype(header[2].decode()), tuple(map(int, header[3].replace(b",", b" ").split()))
    if not dtype.itemsize or header.end() + dtype.itemsize * math.prod(shape) != member.file_size:
        raise Damaged(f"{member.filename} does not hold the {dtype} {shape} that it promises")
    return ArrayHeader(dtype, shape)


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """Return the array of one member; Damaged if its header is not NumPy's or promises another number of bytes."""
    _header(archive, member)
    with archive.open(member) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)
