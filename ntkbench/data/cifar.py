"""CIFAR-10's own formats: records of one label byte and 3072 pixels, and Python pickles of the same."""

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
_TUPLES = 100
_CODES = (
    "PROTO FRAME STOP MARK MEMOIZE BINPUT LONG_BINPUT BINGET LONG_BINGET EMPTY_DICT DICT SETITEM SETITEMS EMPTY_LIST "
    "LIST APPEND APPENDS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 BINSTRING "
    "SHORT_BINSTRING BINBYTES SHORT_BINBYTES BINUNICODE SHORT_BINUNICODE GLOBAL STACK_GLOBAL REDUCE BUILD"
)
Batch = tuple[np.ndarray, np.ndarray]
"""images (n, 3 * 32 * 32), channels outermost, and labels (n,)"""


def binary_splits(contents: Sequence[bytes]) -> tuple[Split, Split]:
    """Training and test split from `*.bin` batches, of which the last is the test batch."""
    return _splits(contents, _records)


def pickled_splits(contents: Sequence[bytes]) -> tuple[Split, Split]:
    """Training and test split from pickled batches, of which the last is the test batch."""
    return _splits(contents, _unpickled)


def _splits(contents: Sequence[bytes], decode: Callable[[bytes], Batch]) -> tuple[Split, Split]:
    *train, test = map(decode, contents)
    return _split(train), _split([test])


def _split(batches: Sequence[Batch]) -> Split:
    images = np.concatenate([images for images, _ in batches]).reshape(-1, 3, 32, 32)
    labels = np.concatenate([labels for _, labels in batches]).astype(np.int64)
    return Split(np.ascontiguousarray(images.transpose(0, 2, 3, 1)), labels, np.arange(len(labels)))


def _records(content: bytes) -> Batch:
    if len(content) % (1 + _PIXELS):
        raise ValueError(f"{len(content)} bytes are no whole number of records of {1 + _PIXELS}")
    records = np.frombuffer(content, np.uint8).reshape(-1, 1 + _PIXELS)
    return records[:, 1:], records[:, 0]


def _unpickled(content: bytes) -> Batch:
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
    """A pickle is a program. One of arrays and lists has few instructions, none of which takes more memory than it has
    bytes; tuples in tuples could be too deep to be compared."""
    found = Counter()
    try:
        with warnings.catch_warnings(action="error"):  # of texts that are written as no program writes them
            for code, argument, _ in pickletools.genops(content):
                found[code.name] += 1
                far = code.name == "LONG_BINPUT" and int(argument or 0) > len(content)
                if far or code.name not in _CODES.split():
                    raise pickle.UnpicklingError(f"a data set needs no {code.name}")
    except Warning as warning:
        raise pickle.UnpicklingError(str(warning)) from warning
    if sum(found[name] for name in ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3")) > _TUPLES:
        raise pickle.UnpicklingError("a data set needs fewer tuples")


def _empty(*_: Any) -> np.ndarray:
    """As NumPy begins an array that it unpickles, without the memory that a pickle may ask for."""
    return np.empty(0, np.uint8)


def _dtype(name: Any, align: Any = False, copy: Any = False) -> np.dtype:
    # The pickles are from Python 2 and hold 0 and 1, where NumPy now wants booleans.
    found = np.dtype(name, bool(align), bool(copy))  # type: ignore[call-overload]
    if found.kind not in "biuf":
        raise pickle.UnpicklingError(f"a data set needs no {found}")
    return found


class _ArraysOnly(pickle.Unpickler):
    """Unpickles arrays and plain values; whatever else a pickle asks for could run code."""

    def find_class(self, module: str, name: str) -> Any:
        match module.replace("numpy.core.", "numpy._core."), name:
            case "numpy._core.multiarray", "_reconstruct":
                return _empty
            case "numpy", "ndarray":
                return np.ndarray
            case "numpy", "dtype":
                return _dtype
        raise pickle.UnpicklingError(f"a data set needs no {module}.{name}")
