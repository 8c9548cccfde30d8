"""Data sets in two CSV files with the same columns: training and test examples, their labels in one of the columns."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from pathlib import Path, PurePath

import numpy as np

from ntkbench.data.catalog import DatasetInfo
from ntkbench.data.dataset import Dataset
from ntkbench.data.user.examples import UserFileError, described, named_classes, opened, split
from ntkbench.files import LIMIT
from ntkbench.text import did_you_mean, one_line


@dataclass(frozen=True)
class _Rows:
    """The rows of one file: its features, numbered as in its header, and the texts of its labels."""

    columns: tuple[str, ...]
    features: np.ndarray
    """(n, d), in [0, 1]"""
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Tables:
    """Two CSV files, each with a first line of names; `label` is the column of labels, all others are features.

    Features are numbers from `low` to `high`, which become 0 and 1.
    """

    train: Path
    test: Path
    label: str
    low: float
    high: float

    @property
    def files(self) -> Sequence[tuple[Path, PurePath]]:
        """The files of training and test examples."""
        return ((self.train, PurePath("train")), (self.test, PurePath("test")))

    def describe(self) -> DatasetInfo:
        """Return classes, shape and counts."""
        classes, labels = self._labels()
        return described(self.train, classes, (1, 1, len(self._rows[0].columns)), *labels)

    def load(self) -> Dataset:
        """Return all examples."""
        classes, labels = self._labels()
        train, test = (split(rows.features[:, None, None], each) for rows, each in zip(self._rows, labels, strict=True))
        return Dataset(train, test, classes)

    def _labels(self) -> tuple[tuple[str, ...], list[np.ndarray]]:
        """Return the classes, sorted by number where all are numbers and else by name, and the labels of both files."""
        names = {name for rows in self._rows for name in rows.labels}
        numbers = all(name.isascii() and name.isdecimal() for name in names)
        classes = sorted(names, key=lambda name: (int(name) if numbers and len(name) < 20 else 0, name))
        places = {name: number for number, name in enumerate(classes)}
        labels = [np.array([places[name] for name in rows.labels], np.int64) for rows in self._rows]
        try:
            return named_classes(classes, *labels), labels
        except UserFileError as error:
            raise UserFileError(str(error), "label") from None

    @cached_property
    def _rows(self) -> tuple[_Rows, _Rows]:
        """The rows of both files; UserFileError if they do not have the same columns."""
        train, test = self._read(self.train, "train"), self._read(self.test, "test")
        if train.columns != test.columns:
            raise UserFileError(f"{self.test.name} has other columns than {self.train.name}", "test")
        return train, test

    def _read(self, path: Path, field: str) -> _Rows:
        with opened(path, field) as file:
            content = file.read(LIMIT + 1)
        try:
            text = content.decode("utf-8-sig")
            if len(content) > LIMIT:
                raise ValueError(f"more than {LIMIT} bytes")
            lines = csv.reader(StringIO(text, newline=""), strict=True)
            return self._parsed(path, field, lines)
        except (ValueError, csv.Error) as error:
            raise UserFileError(f"{path.name} is no table of numbers: {error}", field) from None

    def _parsed(self, path: Path, field: str, lines: Iterator[list[str]]) -> _Rows:
        header = next(lines, [])
        if header.count(self.label) != 1:
            why = f"{path.name} has no column {self.label}" if self.label not in header else "two columns are called so"
            raise UserFileError(f"{why}{did_you_mean(self.label, map(one_line, header))}", "label")
        place = header.index(self.label)
        columns = tuple(header[:place] + header[place + 1 :])
        if not columns:
            raise UserFileError(f"{path.name} has no column beside {self.label}", field)
        features, labels = [], []
        for number, line in enumerate(lines, 2):
            if len(line) != len(header):
                raise ValueError(f"row {number} has {len(line)} values, and the first row {len(header)}")
            labels.append(line.pop(place))
            features.append(self._scaled(path, number, columns, line))
        return _Rows(columns, np.array(features).reshape(len(features), len(columns)), tuple(labels))

    def _scaled(self, path: Path, number: int, columns: Sequence[str], values: Sequence[str]) -> np.ndarray:
        """Return the features of one row in [0, 1]; UserFileError, with row and column, for one outside of the range.

        ValueError if one is no number.
        """
        found = np.array([_number(value, number, column) for value, column in zip(values, columns, strict=True)])
        outside = np.flatnonzero(~((found >= self.low) & (found <= self.high)))
        if len(outside):
            column, value = one_line(columns[outside[0]]), found[outside[0]]
            raise UserFileError(
                f"{path.name}: row {number}, column {column}: {value:g} is outside of [{self.low:g}, {self.high:g}]; "
                "range says between which values all features lie",
                "range",
            )
        return (found - self.low) / (self.high - self.low)


def _number(value: str, row: int, column: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise ValueError(f"row {row}, column {one_line(column)}: {one_line(value)!r} is no number") from None
