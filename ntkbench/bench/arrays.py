"""The arrays beside a record: outcomes per test point and series, in one npz file with its checksum."""

import io
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from ntkbench.bench import jsonfile
from ntkbench.bench.record import Record
from ntkbench.data import npz
from ntkbench.errors import NtkbenchError
from ntkbench.foreign import printable

LIMIT = 2 * 2**30
"""bytes, of the file and of all its arrays together"""


def write(
    path: Path, samples: Mapping[str, np.ndarray], series: Mapping[str, np.ndarray]
) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Write both; returns what the record says of them: its fields `samples` and `series`."""
    if not samples and not series:
        return None, {}
    if len({len(column) for column in samples.values()}) > 1:
        raise ValueError("the columns of the samples differ in length")
    named = {f"samples/{name}": column for name, column in samples.items()}
    named |= {f"series/{name}": values for name, values in series.items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **named)  # type: ignore[arg-type]
    content = buffer.getvalue()
    jsonfile.write(path, content)
    note = {"file": path.name, "sha256": sha256(content).hexdigest()}
    return (
        {**note, "columns": list(samples)} if samples else None,
        {name: {**note, "shape": list(values.shape)} for name, values in series.items()},
    )


def column(analysis: str, name: str) -> str:
    """The name of an analysis's outcomes among the samples of a run; `index` and `label` are the run's own."""
    return f"{analysis}.{name}"


def read_samples(folder: Path, record: Record) -> dict[str, np.ndarray]:
    """The outcomes per test point of a record that lies in `folder`."""
    if record.samples is None:
        raise NtkbenchError(f"run {record.run_id} kept no outcomes per test point")
    note = record.samples
    return _load(folder / note.file, note.sha256, {name: f"samples/{name}" for name in note.columns})


def read_series(folder: Path, record: Record, name: str) -> np.ndarray:
    """One series of a record that lies in `folder`."""
    if name not in record.series:
        raise NtkbenchError(f"run {record.run_id} has no series {name!r}; it has {', '.join(record.series) or 'none'}")
    note = record.series[name]
    return _load(folder / note.file, note.sha256, {name: f"series/{name}"})[name]


def read_analysis(folder: Path, record: Record, analysis: str) -> dict[str, np.ndarray]:
    """All series of one analysis of a record that lies in `folder`, without the name of the analysis before theirs."""
    names = [name for name in record.series if name.startswith(f"{analysis}.")]
    if not names:
        return {}
    note = record.series[names[0]]
    members = {name.removeprefix(f"{analysis}."): f"series/{name}" for name in names}
    return _load(folder / note.file, note.sha256, members)


def _load(path: Path, expected: str, members: Mapping[str, str]) -> dict[str, np.ndarray]:
    content = jsonfile.read(path, LIMIT)
    if sha256(content).hexdigest() != expected:
        raise NtkbenchError(f"{path}: its checksum is not the record's; run the spec again to write it anew")
    try:
        arrays = npz.read(content, LIMIT, members.values())
    except npz.Damaged as error:
        raise NtkbenchError(f"{path}: damaged: {printable(error, 200)}") from None
    return {name: arrays[member] for name, member in members.items()}
