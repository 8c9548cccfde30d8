"""Weights of a network in a safetensors file: arrays by name, and nothing that could run.

WeightsFile(Path("net.safetensors")).load()      # {"1.weight": array, "1.bias": array, ...}
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, numpy, safe_open

from ntkbench import files
from ntkbench.data.user.examples import UserFileError, opened
from ntkbench.text import one_line

SUFFIX = ".safetensors"
_PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle", ".npz", ".npy", ".joblib")
"""suffixes of files that hold pickles, or can"""
_MAGIC = (b"\x80", b"PK", b"\x93NUMPY")
"""how pickles, archives with pickles (PyTorch, NumPy) and single arrays begin"""
_FLOATS = ("float16", "float32", "float64")
_TOLD = 4
"""names of arrays in a message, at most"""


@dataclass(frozen=True)
class WeightsFile:
    """A safetensors file."""

    path: Path
    limit: int = files.LIMIT
    """most bytes that the file may have"""

    @property
    def digest(self) -> str:
        """The SHA-256 of the file. Raise UserFileError if it cannot be read."""
        with opened(self.path, "weights") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def load(self) -> dict[str, np.ndarray]:
        """Return the arrays by name; UserFileError unless it is a safetensors file of finite floating-point numbers."""
        content = self._read()
        try:
            found = numpy.load(content)
        except (SafetensorError, KeyError, ValueError) as error:
            raise UserFileError(f"{self.path.name}: {_reason(content, error)}", "weights") from None
        for name, array in found.items():
            if array.dtype.name not in _FLOATS:
                why = f"is of the type {array.dtype}; weights are {', '.join(_FLOATS)}"
                raise UserFileError(f"{self.path.name}: {one_line(name)} {why}", "weights")
            if not np.isfinite(array).all():
                why = "holds values that are not finite: a network that diverged has no accuracy"
                raise UserFileError(f"{self.path.name}: {one_line(name)} {why}", "weights")
        return found

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the arrays by name, which stand at the beginning of the file."""
        try:
            with safe_open(self.path, framework="np") as file:
                return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise UserFileError(f"{self.path.name}: {_reason(b'', error)}", "weights") from None

    def misfit(self, expected: Mapping[str, tuple[int, ...]]) -> str | None:
        """Return what the file lacks of a network's weights, has too much of, or has in another shape.

        Return None if it fits. Raise UserFileError if it cannot be read. `expected`: shapes of the weights by name.
        """
        found, parts = self.shapes(), []
        if missing := [name for name in expected if name not in found]:
            parts.append(f"it lacks {_listed(missing)}")
        if extra := [name for name in found if name not in expected]:
            parts.append(f"it has {_listed(extra)}, which the network has not")
        for name, shape in expected.items():
            if name in found and found[name] != shape:
                parts.append(f"{name} has the shape {found[name]}, and in the network {shape}")
        more = len(parts) - _TOLD
        return "; ".join((*parts[:_TOLD], *([f"and {more} more"] if more > 0 else []))) or None

    def _read(self) -> bytes:
        """Return the content; UserFileError if the file is not there, too large, or of a kind that may run code."""
        if self.path.suffix != SUFFIX:
            kind = "no safetensors file"
            if self.path.suffix in _PICKLES:
                kind = "of a kind that can hold a pickle, which runs code when it is read"
            raise UserFileError(f"{self.path.name} is {kind}; {_INSTEAD}", "weights")
        with opened(self.path, "weights") as file:
            content = file.read(self.limit + 1)
        if len(content) > self.limit:
            raise UserFileError(f"{self.path.name} has more than {self.limit} bytes", "weights")
        return content


_INSTEAD = "weights are read from safetensors files alone (safetensors.numpy.save_file writes them)"


def _reason(content: bytes, error: Exception) -> str:
    """Return why a content cannot be read, as a message says it."""
    if isinstance(error, KeyError):
        return f"numbers of the type {error.args[0]} are not read; save them as {_FLOATS[1]}"
    if content.startswith(_MAGIC):
        return f"it is no safetensors file, but looks like a pickle or an archive; {_INSTEAD}"
    return f"it is no whole safetensors file: {one_line(str(error))}"


def write(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays by name as a safetensors file. Raise StorageError if the file system refuses."""
    files.write(path, numpy.save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


def _listed(names: list[str]) -> str:
    """Return the first names, and how many there are besides."""
    shown = ", ".join(map(one_line, names[:_TOLD]))
    return shown if len(names) <= _TOLD else f"{shown} and {len(names) - _TOLD} more"
