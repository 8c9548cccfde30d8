"""Keep in columns what tables, exports and reports need of many records, in memory and as one file.

Equal parts of records, such as their software, are kept once, and numbers are arrays: 10,000 records with 68 numbers
each take 34 MB.

    columns = Columns.read(path)
    place = columns.add(record, signature)
    columns.part("software", place), columns.numbers([place]).values
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from io import BytesIO
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import TypeAdapter
from pydantic_core import from_json, to_json

from ntkbench import __version__, documents, files
from ntkbench.data import npz
from ntkbench.errors import NtkbenchError
from ntkbench.store.record import MetricRow, Record, Request

_FORMAT = f"ntkbench.tables/1, ntkbench.record/1, ntkbench {__version__}"
"""what a file says of itself; the first number changes whenever what is kept of a record does"""
_LIMIT = 2**32
"""bytes; a larger file is ignored"""
OF_REQUEST = ("name", "cell", "seed", "resolved")
"""fields of a record's request"""
_ELSEWHERE = ("schema_", "run_id", "spec", "metrics", "checks", "sha256")
PARTS = (*(name for name in Record.model_fields if name not in _ELSEWHERE), "failed_checks")
"""fields of a record that are kept as they are, and the checks that did not hold"""
_OF_KIND = tuple(name for name in MetricRow.model_fields if name not in ("value", "k", "n", "ci95"))
"""fields of a number that are the same in many runs"""
_of_kind = attrgetter(*_OF_KIND)


class Foreign(ValueError):  # noqa: N818 (what the file is)
    """A file that holds no columns of this version."""


@dataclass
class _Texts:
    """A column of JSON texts, of which equal ones are kept once."""

    places: list[int] = field(default_factory=list)
    """place of each row's text among the texts"""
    texts: list[bytes] = field(default_factory=list)

    @cached_property
    def _known(self) -> dict[bytes, int]:
        return {text: place for place, text in enumerate(self.texts)}

    def add(self, text: bytes) -> None:
        """Append a row."""
        place = self._known.setdefault(text, len(self.texts))
        if place == len(self.texts):
            self.texts.append(text)
        self.places.append(place)

    def arrays(self, name: str, kept: np.ndarray) -> dict[str, np.ndarray]:
        """Return some rows as arrays for a file, without texts that no row has."""
        used, places = np.unique(np.array(self.places, np.int32)[kept], return_inverse=True)
        texts = [self.texts[place] for place in used.tolist()]
        return _packed(name, texts) | {f"{name}.place": places.astype(np.int32)}

    @classmethod
    def of(cls, name: str, arrays: Mapping[str, np.ndarray], rows: int) -> "_Texts":
        """Return the column in the arrays of a file; Foreign where they do not fit together."""
        texts, places = _unpacked(name, arrays), arrays[f"{name}.place"]
        if places.dtype.kind != "i" or places.shape != (rows,) or not _among(places, texts):
            raise Foreign(f"{name}: a row has no text")
        return cls(places.tolist(), texts)


def _among(places: np.ndarray, of: Sequence[Any]) -> bool:
    """Return whether all places are those of items."""
    return bool(((places >= 0) & (places < len(of))).all())


def _packed(name: str, texts: Sequence[bytes]) -> dict[str, np.ndarray]:
    """Return texts as two arrays, of all bytes and of the ends of the texts."""
    ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
    return {f"{name}.text": np.frombuffer(b"".join(texts), np.uint8), f"{name}.end": ends}


def _unpacked(name: str, arrays: Mapping[str, np.ndarray]) -> list[bytes]:
    """Return the texts in the arrays that `_packed` made."""
    content, ends = arrays[f"{name}.text"].tobytes(), arrays[f"{name}.end"].tolist()
    begins = [0, *ends[:-1]]
    if (ends or [0])[-1] != len(content) or begins != sorted(begins):
        raise Foreign(f"{name}: its texts do not fill its bytes")
    return [content[begin:end] for begin, end in zip(begins, ends, strict=False)]


@dataclass(frozen=True)
class NumberColumns:
    """Numbers of some records, one row a number, in the order of the records."""

    counts: np.ndarray
    """(records,): how many numbers each record has"""
    kind: np.ndarray
    """(numbers,): place of each number's kind among `kinds`"""
    values: np.ndarray
    """(numbers, 5): value, k, n, and the ends of the interval; NaN for what is null"""
    kinds: Sequence[Mapping[str, Any]]
    """what numbers are about: the fields of a metric's row without what was measured"""

    @property
    def metrics(self) -> set[str]:
        """The names of the metrics."""
        return {self.kinds[kind]["metric"] for kind in np.unique(self.kind).tolist()}

    def of(self, metric: str) -> list[float]:
        """Return the different values of a metric, without those that are null."""
        kinds = [place for place, kind in enumerate(self.kinds) if kind["metric"] == metric]
        values = self.values[np.isin(self.kind, kinds), 0]
        return np.unique(values[~np.isnan(values)]).tolist()

    def rows(self) -> Iterator[MetricRow]:
        """Yield the numbers as rows of a record."""
        for kind, (value, k, n, low, high) in zip(self.kind.tolist(), self.values.tolist(), strict=True):
            yield MetricRow.model_construct(
                **self.kinds[kind],
                value=value if value == value else None,
                k=int(k) if k == k else None,
                n=int(n) if n == n else None,
                ci95=(low, high) if low == low else None,
            )


class _NumbersSoFar:
    """The numbers of all records, appended record by record."""

    def __init__(self) -> None:
        self.counts: list[int] = []
        self.kinds: list[dict[str, Any]] = []
        self._known: dict[str, int] = {}
        self._settled = (np.empty(0, np.int32), np.empty((0, 5)))
        self._ends = np.empty(0, np.int64)
        self._kind: list[int] = []
        self._values: list[tuple[float | None, ...]] = []

    def add(self, rows: Sequence[MetricRow]) -> None:
        """Append the numbers of a record."""
        self.counts.append(len(rows))
        for row in rows:
            about = _of_kind(row)
            place = self._known.setdefault(repr(about), len(self.kinds))  # not the values: True == 1, another label
            if place == len(self.kinds):
                self.kinds.append(dict(zip(_OF_KIND, about, strict=True)))
            self._kind.append(place)
            self._values.append((row.value, row.k, row.n, *(row.ci95 or (None, None))))

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Kinds and values of all numbers."""
        if self._kind:
            kind, values = self._settled
            new = np.array(self._kind, np.int32), np.array(self._values, float)
            self._settled = np.concatenate([kind, new[0]]), np.concatenate([values, new[1]])
            self._kind, self._values = [], []
        return self._settled

    def take(self, places: Sequence[int]) -> NumberColumns:
        """Return the numbers of some records."""
        kind, values = self.arrays
        if len(self._ends) != len(self.counts):
            self._ends = np.cumsum(self.counts, dtype=np.int64)
        chosen = np.array(places, np.int64)
        if len(chosen) == len(self.counts) and (chosen == np.arange(len(chosen))).all():
            return NumberColumns(np.array(self.counts, np.int64), kind, values, self.kinds)
        counts = np.array([self.counts[place] for place in places], np.int64)
        where = np.repeat(self._ends[chosen] - np.cumsum(counts), counts) + np.arange(counts.sum())
        return NumberColumns(counts, kind[where], values[where], self.kinds)

    def packed(self, kept: Sequence[int]) -> dict[str, np.ndarray]:
        """Return the numbers of some records as arrays for a file."""
        found = self.take(kept)
        kinds = _packed("kinds", [to_json(kind) for kind in self.kinds])
        return kinds | {"number.count": found.counts, "number.kind": found.kind, "number.value": found.values}

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray], rows: int) -> "_NumbersSoFar":
        """Return the numbers in the arrays of a file; Foreign where they do not fit together."""
        made = cls()
        kind, values, counts = arrays["number.kind"], arrays["number.value"], arrays["number.count"]
        made.kinds = [from_json(text) for text in _unpacked("kinds", arrays)]
        if counts.shape != (rows,) or (counts < 0).any() or counts.sum() != len(kind) or not _among(kind, made.kinds):
            raise Foreign("numbers have no record, or are about nothing")
        if {kind.dtype.kind, counts.dtype.kind} != {"i"} or values.shape != (*kind.shape, 5) or values.dtype != float:
            raise Foreign("numbers are not five columns")
        made.counts, made._settled = counts.tolist(), (kind, values)
        made._known = {repr(tuple([each[name] for name in _OF_KIND])): at for at, each in enumerate(made.kinds)}
        return made


class Columns:
    """The parts and numbers of records, one row a record, with the signatures of the files that they were read from."""

    def __init__(self) -> None:
        self.runs: list[str] = []
        self.signatures: list[tuple[int, ...]] = []
        self._parts = {name: _Texts() for name in (*PARTS, *OF_REQUEST)}
        self._numbers = _NumbersSoFar()
        self._read: dict[tuple[str, int], Any] = {}

    def add(self, record: Record, signature: tuple[int, ...]) -> int:
        """Append a record and return its place."""
        for names, of in ((PARTS, record), (OF_REQUEST, record.spec)):
            for name in names:
                self._parts[name].add(to_json(getattr(of, name)))
        self._numbers.add(record.metrics)
        self.runs.append(record.run_id)
        self.signatures.append(signature)
        return len(self.runs) - 1

    def part(self, name: str, place: int) -> Any:
        """Return a part of a record; equal parts are one object, which nobody may change."""
        column = self._parts[name]
        key = name, column.places[place]
        if key not in self._read:
            self._read[key] = _adapter(name).validate_json(column.texts[key[1]])
        return self._read[key]

    def numbers(self, places: Sequence[int]) -> NumberColumns:
        """Return the numbers of some records."""
        return self._numbers.take(places)

    def write(self, path: Path, kept: Sequence[int]) -> None:
        """Write the rows of these records as one file, at once; StorageError if that is refused."""
        rows = np.array(kept, np.int64)
        arrays = _packed("format", [_FORMAT.encode()]) | _packed("runs", [self.runs[place].encode() for place in kept])
        arrays |= _packed("signature", [to_json(self.signatures[place]) for place in kept])
        for name, column in self._parts.items():
            arrays |= column.arrays(name, rows)
        buffer = BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays, **self._numbers.packed(kept))  # type: ignore[arg-type]
        files.write(path, buffer.getvalue())

    @classmethod
    def read(cls, path: Path) -> "Columns":
        """Return the columns of a file; without any row where it is not there, damaged, or of another version."""
        try:
            return cls._of(npz.read(documents.read(path, _LIMIT), _LIMIT))
        except (NtkbenchError, ValueError, KeyError, TypeError):  # whatever a damaged or foreign file leads to
            return cls()

    @classmethod
    def _of(cls, arrays: Mapping[str, np.ndarray]) -> "Columns":
        if _unpacked("format", arrays) != [_FORMAT.encode()]:
            raise Foreign("another version wrote it")
        made = cls()
        made.runs = [name.decode() for name in _unpacked("runs", arrays)]
        made.signatures = [tuple(from_json(text)) for text in _unpacked("signature", arrays)]
        if len(made.signatures) != len(made.runs):
            raise Foreign("a record has no signature")
        made._parts = {name: _Texts.of(name, arrays, len(made.runs)) for name in made._parts}
        made._numbers = _NumbersSoFar.of(arrays, len(made.runs))
        return made


def numbers_of(records: Iterable[Record]) -> NumberColumns:
    """Return the numbers of records that were read from their files."""
    made = _NumbersSoFar()
    for record in records:
        made.add(record.metrics)
    return made.take(range(len(made.counts)))


@cache
def _adapter(name: str) -> Any:
    """Return what reads a part of a record from JSON, and refuses anything else."""
    fields = Record.model_fields | Request.model_fields
    info = fields["checks" if name == "failed_checks" else name]
    found: Any = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation  # type: ignore[valid-type]
    return TypeAdapter(found)
