"""Whether the order of boards holds in other seeds: of entries that differ, and of those that differ by seed."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.board_order import MARKS, SPLITS, order, rows, text
from ntkbench.boards.ranking.pairs import Scores
from ntkbench.boards.tracks.track import read

BOARDS = Path(__file__).parents[2] / "leaderboards"
TRACK = read(BOARDS / "transfer-fashion@2")


def entry(*values: float) -> Scores:
    return Scores(np.array(values), tuple(range(len(values))), None)


def test_what_differs_in_every_seed_is_told_and_holds():
    found = order([entry(0.81, 0.8, 0.79, 0.82), entry(0.2, 0.21, 0.19, 0.2)], range(4), TRACK, 20)
    assert (found.told, found.reversals, found.worst) == (1, 0, 0)


def test_what_half_of_the_seeds_have_the_other_way_round_is_found():
    one, other = entry(0.9, 0.9, 0.9, 0.1, 0.1, 0.1), entry(0.1, 0.1, 0.1, 0.9, 0.9, 0.9)
    found = order([one, other], range(6), TRACK, 200)
    assert found.worst == 1
    assert 0 < found.reversals <= found.told < 1


@pytest.mark.slow
def test_the_table_in_the_docs_is_what_the_entries_give():
    page = (BOARDS.parent / "docs" / "statistics.md").read_text(encoding="utf-8")
    assert page.partition(MARKS[0])[2].partition(MARKS[1])[0].strip() == text(BOARDS, SPLITS).strip()


def test_every_board_with_entries_has_a_row():
    found = rows(BOARDS, 2)
    assert [row[0] for row in found] == sorted(path.parent.name for path in BOARDS.glob("*/entries"))
    assert all(int(row[1]) >= 12 for row in found)
