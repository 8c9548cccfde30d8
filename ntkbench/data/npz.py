"""Arrays of an npz file. All that it promises is held against what is there before a byte is decompressed."""

import io
import math
import os
import re
import zipfile
import zlib
from collections.abc import Collection

import numpy as np

_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00(..)"
    rb"\{'descr': '([<>|]?[biufcSU]\d{1,6})', 'fortran_order': (?:True|False), "
    rb"'shape': \(((?:\d+, )*(?:\d+,?)?)\), \} *\n",
    re.DOTALL,
)
"""As NumPy writes it for numbers and texts: no objects, which are pickles, and no records."""
_LONGEST = 1000
_END = 22
"""bytes of the end of an archive"""
_MEMBERS = 2**20
"""bytes of the list of members before it"""
_FAULTS = (ValueError, TypeError, SyntaxError, OverflowError, EOFError, NotImplementedError)
"""of what is in a file. A disk that fails and memory that runs out say nothing about it."""
_PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Damaged(ValueError):  # noqa: N818 (what the file is)
    """No npz file of plain arrays, or one that holds more than it may."""


def read(file: bytes | io.BufferedIOBase, limit: int, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays of these names, or all; Damaged if they are not there, or take more than `limit` bytes together."""
    stream = io.BytesIO(file) if isinstance(file, bytes) else file
    try:
        _check_size(stream)
        with zipfile.ZipFile(stream) as archive:
            members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
            wanted = list(members if names is None else names)
            if absent := [name for name in wanted if name not in members]:
                raise Damaged(f"there is no array {', '.join(absent)}")
            if sum(members[name].file_size for name in wanted) > limit:
                raise Damaged(f"its arrays take more than {limit} bytes")
            return {name: _array(archive, members[name]) for name in wanted}
    except Damaged:
        raise
    except (*_FAULTS, zipfile.BadZipFile, zlib.error) as error:
        raise Damaged(f"{type(error).__name__}: {error}") from error


def _check_size(stream: io.BufferedIOBase) -> None:
    """The list of members is read whole, into ten times its bytes of memory. Sizes of 64 bits are for large files."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - 20 - _END))
    end = stream.read()
    if end[-_END : -_END + 4] != b"PK\5\6" or (end[:4] == b"PK\6\7" and size < 2**32):
        raise Damaged("it does not end as an npz file does")
    listed = int.from_bytes(end[12 - _END : 16 - _END], "little")
    if listed > _MEMBERS and size < 2**32:
        raise Damaged(f"a list of members of {listed} bytes")


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    if member.flag_bits & 1 or member.compress_type not in _PLAIN:
        raise Damaged(f"{member.filename} is encrypted, or compressed in a way that NumPy does not write")
    with archive.open(member) as stream:
        header = _HEADER.match(stream.read(_LONGEST))
    if header is None or header.end() != 10 + int.from_bytes(header[1], "little"):
        raise Damaged(f"{member.filename} is no array of numbers or texts")
    dtype, shape = np.dtype(header[2].decode()), tuple(map(int, header[3].replace(b",", b" ").split()))
    if not dtype.itemsize or header.end() + dtype.itemsize * math.prod(shape) != member.file_size:
        raise Damaged(f"{member.filename} does not hold the {dtype} {shape} that it promises")
    with archive.open(member) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)
