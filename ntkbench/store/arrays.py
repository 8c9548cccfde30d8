"""Write and read the arrays beside a record: samples, one entry a test point, and series of any shape.

Both lie in one npz file, whose SHA-256 the record holds and every reader verifies:

    outcomes = read_samples(store.records, record)["robustness.clean"]
"""

import io
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import numpy as np

from ntkbench import documents, files
from ntkbench.data import npz
from ntkbench.errors import NtkbenchError
from ntkbench.store.record import Record, Samples, Series
from ntkbench.text import one_line


def write(
    path: Path, samples: Mapping[str, np.ndarray], series: Mapping[str, np.ndarray]
) -> tuple[Samples | None, dict[str, Series]]:
    """Write samples and series to the npz file at `path`, and return the record's fields `samples` and `series`.

    Without any array no file is written. ValueError if the samples differ in length.
    """
    if not samples and not series:
        return None, {}
    if len({len(column) for column in samples.values()}) > 1:
        raise ValueError("the columns of the samples differ in length")
    named = {f"samples/{name}": column for name, column in samples.items()}
    named |= {f"series/{name}": values for name, values in series.items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **named)  # type: ignore[arg-type]
    content = buffer.getvalue()
    files.write(path, content)
    digest = sha256(content).hexdigest()
    return (
        Samples(file=path.name, columns=tuple(samples), sha256=digest) if samples else None,
        {name: Series(file=path.name, shape=values.shape, sha256=digest) for name, values in series.items()},
    )


def column(analysis: str, name: str) -> str:
    """Return the name of an analysis's outcomes among a run's samples; only `index` and `label` have no prefix."""
    return f"{analysis}.{name}"


def read_samples(folder: Path, record: Record) -> dict[str, np.ndarray]:
    """Return the samples of a record whose file lies in `folder`; NtkbenchError if there are none, or damaged ones."""
    if record.samples is None:
        raise NtkbenchError(f"run {record.run_id} kept no outcomes per test point")
    note = record.samples
    return _load(folder / note.file, note.sha256, {name: f"samples/{name}" for name in note.columns})


def read_series(folder: Path, record: Record, name: str) -> np.ndarray:
    """Return one series of a record whose file lies in `folder`; NtkbenchError if there is none or it is damaged."""
    if name not in record.series:
        raise NtkbenchError(f"run {record.run_id} has no series {name!r}; it has {', '.join(record.series) or 'none'}")
    note = record.series[name]
    return _load(folder / note.file, note.sha256, {name: f"series/{name}"})[name]


def read_analysis(folder: Path, record: Record, analysis: str) -> dict[str, np.ndarray]:
    """Return all series of one analysis of a record whose file lies in `folder`, named without the analysis."""
    names = [name for name in record.series if name.startswith(f"{analysis}.")]
    if not names:
        return {}
    note = record.series[names[0]]
    members = {name.removeprefix(f"{analysis}."): f"series/{name}" for name in names}
    return _load(folder / note.file, note.sha256, members)


def _load(path: Path, expected: str, members: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Return the arrays `members`, npz members by the name to give them, of a file with the SHA-256 `expected`."""
    content = documents.read(path, files.LIMIT)
    if sha256(content).hexdigest() != expected:
        raise NtkbenchError(f"{path}: its checksum is not the record's; run the spec again to write it anew")
    try:
        arrays = npz.read(content, files.LIMIT, members.values())
    except npz.Damaged as error:
        raise NtkbenchError(f"{path}: damaged: {one_line(error, 200)}") from None
    return {name: arrays[member] for name, member in members.items()}
