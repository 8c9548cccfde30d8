"""Outcomes per test point, encoded as one digit each, and the numbers that follow from them exactly.

Entries of a leaderboard carry these digits, so that anybody can recompute their numbers and compare two entries point
by point. Every number that digits can carry is a ratio of two sums over the test points of one seed,

    value = sum_i above(d_i) / sum_i below(d_i),

and a `Code` says what each digit adds to either sum. A point that is not counted, `-`, adds to neither.

- A share of test points: d is 0 or 1; d above, 1 below.
- The mean over a grid of G truncations (`eigenspace_robustness`): d of the G are right; d / G above, 1 below.
- The transfer rate between its floor and its ceiling (`normalized_transfer`): d = a + 2 c + 4 f, where a, c and f are 1
  if the attack, the ceiling and the floor turn the target wrong; a - f above, c - f below.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import isclose
from string import ascii_lowercase, digits
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from ntkbench.budgets import column
from ntkbench.errors import NtkbenchError
from ntkbench.spec.analyses import Transfer, TransferMatrix
from ntkbench.spec.cell import Cell
from ntkbench.store import arrays
from ntkbench.store.record import Measured, MetricRow
from ntkbench.vocabulary import grid

NOT_COUNTED = "-"
"""letter of a point that does not count, such as one that the target has wrong without an attack"""
_DIGITS = digits + ascii_lowercase
"""letters of the digits 0 to 35"""
Where = Mapping[str, str]
"""what a number is about, by name: target, attack, eps, part, split, denominator"""
Digits = Annotated[str, Field(pattern=r"^[0-9a-z-]+$", max_length=100_000)]
"""the outcomes of one seed: one letter for each test point"""


@dataclass(frozen=True)
class Code:
    """The numerator and denominator terms of each digit; the digit is the index into both sequences."""

    above: Sequence[int | float]
    below: Sequence[int | float]
    everywhere: bool = False
    """whether a point without a digit still adds 1 to the denominator"""


@dataclass(frozen=True)
class SeedValues:
    """A number of every seed, computed from its outcomes."""

    values: np.ndarray
    """(seeds,): the number of each seed; NaN where its denominator is not positive"""
    counted: np.ndarray
    """(seeds,): how many test points count"""
    influence: np.ndarray
    """(seeds, points): N times the first-order change of the value with each of the N points"""
    points: str
    """digest of the positions of the test points in their file, see `points`"""

    def gives(self, runs: Sequence[Measured]) -> Iterator[bool]:
        """Yield for each seed whether its entry in `runs` has the value and the count that its outcomes give."""
        for value, counted, run in zip(self.values, self.counted, runs, strict=True):
            same = np.isnan(value) if run.value is None else isclose(value, run.value, rel_tol=1e-9, abs_tol=1e-12)
            yield bool(same) and run.n == counted


def is_share(metric: str, where: Where) -> bool:
    """Return whether a number is a share of test points for which records keep outcomes."""
    if metric == "transfer_rate":
        return where.get("denominator") in ("target_correct", "all")
    kept = where.get("part", "all") in ("all", "k90") and where.get("split", "test") == "test"
    return metric in ("accuracy", "robust_accuracy") and kept


def is_coded(metric: str, where: Where) -> bool:
    """Return whether a number follows from digits, so that two entries can be compared on it point by point."""
    return metric in ("normalized_transfer", "eigenspace_robustness") or is_share(metric, where)


def counts_correct_only(metric: str, where: Where) -> bool:
    """Return whether a number counts only the points that its target has right without an attack."""
    return metric == "normalized_transfer" or where.get("denominator") == "target_correct"


def code(metric: str, where: Where, cell: Cell) -> Code | None:
    """Return the code of a number that a cell's runs measure, or None where no digits carry it."""
    if metric == "normalized_transfer":
        bits = [(d & 1, d >> 1 & 1, d >> 2 & 1) for d in range(8)]
        return Code([a - f for a, _, f in bits], [c - f for _, c, f in bits])
    if metric == "eigenspace_robustness":
        size = len(grid(cell.data.n_train))
        return Code([d / size for d in range(size + 1)], [1] * (size + 1))
    return Code([0, 1], [1, 1]) if is_share(metric, where) else None


def implied(metric: str, where: Where, analysis: str, cell: Cell) -> Iterator[tuple[str, Where, Code]]:
    """Yield the other shares that the digits of a number determine: metric, what it is about, code.

    Args:
        metric: name of the number that has digits.
        where: what this number is about.
        analysis: id of the analysis that measured it.
        cell: the cell of the runs.
    """
    target = where.get("target", "")
    if counts_correct_only(metric, where):
        ones = [1] * (8 if metric == "normalized_transfer" else 2)
        yield "accuracy", {"target": target}, Code(ones, ones, everywhere=True)
    if metric == "normalized_transfer":
        about = {"target": target, "eps": where.get("eps", ""), "denominator": "target_correct"}
        for bit, attack in enumerate(roles(analysis, where, cell) or ()):
            yield "transfer_rate", {**about, "attack": attack}, Code([d >> bit & 1 for d in range(8)], [1] * 8)


def roles(analysis: str, where: Mapping[str, Any], cell: Cell) -> tuple[str, str, str] | None:
    """Return the ids of attack, ceiling and floor of the transfer analysis that measures what `where` is about.

    Return None where that analysis is no transfer, lacks a ceiling or a floor, or has another attack or target.
    """
    found = cell.analyses.get(analysis)
    if not isinstance(found, Transfer) or found.ceiling is None or found.floor is None:
        return None
    same = (found.attack, found.target) == (where.get("attack"), where.get("target"))
    return (found.attack, found.ceiling, found.floor) if same else None


def judge(runs: Sequence[str], code: Code, points: str) -> SeedValues:
    """Compute the number of every seed from its outcomes.

    Raise ValueError where seeds have different numbers of points, a digit has no place in the code, or no point counts.

    Args:
        runs: one text for each seed, all of one length.
        code: what each digit adds to numerator and denominator.
        points: digest of the test points, see `points`; it is passed on.
    """
    if len({len(run) for run in runs}) != 1:
        raise ValueError("the seeds have different numbers of test points")
    table = np.full((128, 2), np.nan)
    table[ord(NOT_COUNTED)] = 0, code.everywhere
    table[[ord(digit) for digit in _DIGITS[: len(code.above)]]] = np.transpose([code.above, code.below])
    letters = np.frombuffer("".join(runs).encode(), np.uint8).reshape(len(runs), -1)
    above, below = np.moveaxis(table[letters], -1, 0)
    if np.isnan(above).any():
        raise ValueError(f"a digit above {_DIGITS[len(code.above) - 1]}")
    counted = (code.everywhere | (letters != ord(NOT_COUNTED))).sum(axis=1)
    if not counted.all():
        raise ValueError("a seed of which no test point counts")
    width = below.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.where(width > 0, above.sum(axis=1) / width, np.nan)
        influence = (above - values[:, None] * below) * (letters.shape[1] / width)[:, None]
    return SeedValues(values, counted, influence, points)


def outcome_string(row: MetricRow, samples: Mapping[str, np.ndarray], cell: Cell) -> str:
    """Return the outcomes that a row of a record follows from, as a text of one letter for each test point.

    Raise NtkbenchError where the run kept no such outcomes. `samples`: the outcomes of the run, (points,) each, by
    name.
    """
    found, counted = _outcomes(row, samples, cell)
    letters = np.frombuffer(_DIGITS.encode(), np.uint8)[found.astype(int)]
    return np.where(counted, letters, np.uint8(ord(NOT_COUNTED))).tobytes().decode()


def _outcomes(row: MetricRow, samples: Mapping[str, np.ndarray], cell: Cell) -> tuple[np.ndarray, np.ndarray]:
    """Return the digit of each point and whether the point counts, (points,) each."""

    def kept(name: str) -> np.ndarray:
        whole = arrays.column(row.analysis, name)
        if whole not in samples:
            raise NtkbenchError(f"the runs kept no outcomes {whole!r}; they kept {', '.join(samples)}")
        return samples[whole]

    def right(attack: object) -> np.ndarray:
        return kept(column(str(attack), str(row.where["eps"]), attacked_part)).astype(bool)

    part, attacked_part = _parts(row, cell)
    if row.metric == "eigenspace_robustness":
        found = kept(column(str(row.where["attack"]), str(row.where["eps"]), "grid"))
        return found, np.ones(found.shape, bool)
    clean = kept(column("clean", part=part)).astype(bool)
    everywhere = np.ones_like(clean)
    match row.metric:
        case "accuracy":
            return clean, everywhere
        case "robust_accuracy":
            return right(row.where["attack"]), everywhere
        case "transfer_rate":
            of_correct = row.where["denominator"] == "target_correct"
            return clean & ~right(row.where["attack"]), clean if of_correct else everywhere
    attacks = roles(row.analysis, row.where, cell)
    if attacks is None:
        raise NtkbenchError(f"analyses.{row.analysis}: no transfer with a ceiling and a floor")
    a, c, f = (~right(attack) for attack in attacks)
    return a + 2 * c + 4 * f, clean


def _parts(row: MetricRow, cell: Cell) -> tuple[str, str]:
    """Return the parts of a run whose clean and whose attacked outcomes a row counts, as names of outcomes have them.

    Those of a transfer matrix are a target, and a source with a target; others are parts of one predictor.
    """
    if isinstance(cell.analyses.get(row.analysis), TransferMatrix):
        target = str(row.where["target"])
        return target, f"{row.where.get('source', '')}:{target}"
    part = str(row.where.get("part", ""))
    return part, part


def points_digest(samples: Sequence[Mapping[str, np.ndarray]]) -> str:
    """Return the SHA-256 of the positions of the test points in their file, which all runs must share.

    Raise NtkbenchError where `samples`, one mapping for each run, lack their positions or differ in them.
    """
    if not all("index" in each for each in samples):
        raise NtkbenchError("the runs do not say on which test points they were judged (no column `index`)")
    found = {np.ascontiguousarray(each["index"], "<i8").tobytes() for each in samples}
    if len(found) != 1:
        raise NtkbenchError("the runs were judged on different test points and cannot be compared point by point")
    return sha256(found.pop()).hexdigest()
