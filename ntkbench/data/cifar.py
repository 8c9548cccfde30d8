"""Read CIFAR-10 in its own formats: binary records of a label byte and 3072 pixels, and pickles of the same.

A pickle is a program that could do anything. It is read only if all its instructions belong to arrays, lists and plain
values, by an unpickler that knows nothing else.
"""

import io
import pickle
import pickletools
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ntkbench.data.dataset import Split

_PIXELS = 3 * 32 * 32
"""numbers in an image"""
_TUPLES = 100
"""most tuples that a pickle may have"""
_CODES = (
    "PROTO FRAME STOP MARK MEMOIZE BINPUT LONG_BINPUT BINGET LONG_BINGET EMPTY_DICT DICT SETITEM SETITEMS EMPTY_LIST "
    "LIST APPEND APPENDS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 BINSTRING "
    "SHORT_BINSTRING BINBYTES SHORT_BINBYTES BINUNICODE SHORT_BINUNICODE GLOBAL STACK_GLOBAL REDUCE BUILD"
)
"""instructions that a pickle may have"""
Batch = tuple[np.ndarray, np.ndarray]
"""images (n, 3 * 32 * 32) of bytes, channels outermost, and labels (n,)"""


def binary_splits(contents: Sequence[bytes]) -> tuple[Split, Split]:
    """Return training and test split from the contents of `*.bin` batches, the last of which is the test batch."""
    return _splits(contents, _records)


def pickled_splits(contents: Sequence[bytes]) -> tuple[Split, Split]:
    """Return training and test split from the contents of pickled batches, the last of which is the test batch."""
    return _splits(contents, _unpickled)


def _splits(contents: Sequence[bytes], decode: Callable[[bytes], Batch]) -> tuple[Split, Split]:
    *train, test = map(decode, contents)
    return _split(train), _split([test])


def _split(batches: Sequence[Batch]) -> Split:
    """Return batches as one split, with channels as the last axis."""
    images = np.concatenate([images for images, _ in batches]).reshape(-1, 3, 32, 32)
    labels = np.concatenate([labels for _, labels in batches]).astype(np.int64)
    return Split(np.ascontiguousarray(images.transpose(0, 2, 3, 1)), labels, np.arange(len(labels)))


def _records(content: bytes) -> Batch:
    """Return the batch in a binary file; ValueError if it ends within a record."""
    if len(content) % (1 + _PIXELS):
        raise ValueError(f"{len(content)} bytes are no whole number of records of {1 + _PIXELS}")
    records = np.frombuffer(content, np.uint8).reshape(-1, 1 + _PIXELS)
    return records[:, 1:], records[:, 0]


def _unpickled(content: bytes) -> Batch:
    """Return the batch in a pickle. UnpicklingError if it is no plain data, ValueError if it is no batch."""
    _check(content)
    try:
        batch = _ArraysOnly(io.BytesIO(content), encoding="bytes").load()
        images, labels = batch[b"data"], np.asarray(batch[b"labels"])
    except Exception as error:  # a program that makes no sense can fail in any way
        raise pickle.UnpicklingError(f"{type(error).__name__}: {error}") from error
    if not isinstance(images, np.ndarray) or labels.ndim != 1 or labels.dtype != np.int64:
        raise ValueError("its images are no array, or its labels no list of whole numbers")
    if images.dtype != np.uint8 or images.shape != (len(labels), _PIXELS):
        raise ValueError(f"images are {images.dtype} {images.shape}, not uint8 ({len(labels)}, {_PIXELS})")
    return images, labels


def _check(content: bytes) -> None:
    """Raise an UnpicklingError if a pickle has an instruction that arrays, lists and plain values do not need.

    None of those that remain takes more memory than the pickle has bytes. Tuples are few, since tuples within tuples
    could be too deep to be compared.
    """
    found = Counter()
    try:
        with warnings.catch_warnings(action="error"):  # strings with invalid escapes, which no program writes
            for code, argument, _ in pickletools.genops(content):
                found[code.name] += 1
                far = code.name == "LONG_BINPUT" and int(argument or 0) > len(content)
                if far or code.name not in _CODES.split():
                    raise pickle.UnpicklingError(f"refused the pickle operation {code.name}, which no data set needs")
    except Warning as warning:
        raise pickle.UnpicklingError(str(warning)) from warning
    if sum(found[name] for name in ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3")) > _TUPLES:
        raise pickle.UnpicklingError("refused a pickle with more tuples than any data set needs")


def _empty(*_: Any) -> np.ndarray:
    """Return an empty array, which NumPy then fills: a pickle cannot ask for more memory than it has bytes."""
    return np.empty(0, np.uint8)


def _dtype(name: Any, align: Any = False, copy: Any = False) -> np.dtype:
    """Return the dtype that a pickle asks for; UnpicklingError if it is not one of numbers."""
    # The pickles are from Python 2 and hold 0 and 1, where NumPy now wants booleans.
    found = np.dtype(name, bool(align), bool(copy))  # type: ignore[call-overload]
    if found.kind not in "biuf":
        raise pickle.UnpicklingError(f"refused {found} in a pickle, which no data set needs")
    return found


class _ArraysOnly(pickle.Unpickler):
    """Unpickles arrays and plain values; anything else that a pickle asks for could run code, and is an error."""

    def find_class(self, module: str, name: str) -> Any:
        match module.replace("numpy.core.", "numpy._core."), name:
            case "numpy._core.multiarray", "_reconstruct":
                return _empty
            case "numpy", "ndarray":
                return np.ndarray
            case "numpy", "dtype":
                return _dtype
        raise pickle.UnpicklingError(f"refused {module}.{name} in a pickle, which no data set needs")
