"""Units of work, and the parts that array jobs take."""

from pathlib import Path

import pytest

from ntkbench.errors import UsageError
from ntkbench.plan import runs as plan_runs
from ntkbench.plan.runs import Shard
from tests.examples import tiny

WIDTHS = "matrix={width: [8, 12, 16, 20, 24, 28, 32, 36]}"


def test_runs_that_share_their_training_are_one_unit(tmp_path: Path):
    text = tiny.SPEC + "\nmatrix: {width: [8, 12], kernels.limit.ridge: [0, 0.1]}\n"
    runs = tiny.planned(tmp_path, text=text).runs
    units = plan_runs.units([(run, i) for i, run in enumerate(runs)])
    assert [{run.cell.width for run in each.runs} for each in units] == [{8}, {12}]
    assert [run for each in units for run in each.runs] == list(runs)
    assert [tried for each in units for tried in each.tried] == list(range(len(runs)))


def test_runs_without_a_network_are_units_of_their_own(tmp_path: Path):
    text = tiny.SPEC.replace("width: 8\n", "").replace("{mode: standard, epochs: 3}", "{mode: none}")
    text = text.replace("  own: {kind: fgsm, source: self, eps: 8/255}\n", "")
    text = text.replace(
        "{kind: transfer, attack: ntk, ceiling: own, floor: noise}", "{kind: accuracy, target: limit, attacks: [ntk]}"
    )
    runs = tiny.planned(tmp_path, text=text).runs
    assert [each.key for each in plan_runs.units([(run, 0) for run in runs])] == [run.id for run in runs]


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_shards_are_a_partition_and_keep_units_whole(count: int, tmp_path: Path):
    whole = tiny.planned(tmp_path, WIDTHS)
    parts = [Shard(i + 1, count).part(whole) for i in range(count)]
    assert sorted(run.id for part in parts for run in part.runs) == sorted(run.id for run in whole.runs)
    for part in parts:
        assert list(part.runs) == [run for run in whole.runs if run in part.runs], "the plan's order"
        assert len({plan_runs.key(run) for run in part.runs}) * len(whole.header.seed_values) == len(part.runs)


def test_more_cells_and_seeds_move_none(tmp_path: Path):
    few = {run.id for run in Shard(2, 3).part(tiny.planned(tmp_path, "matrix={width: [8, 16, 24]}")).runs}
    many = {run.id for run in Shard(2, 3).part(tiny.planned(tmp_path, WIDTHS, "seeds=4")).runs}
    rest = {run.id for i in (1, 3) for run in Shard(i, 3).part(tiny.planned(tmp_path, WIDTHS, "seeds=4")).runs}
    assert few <= many
    assert not few & rest


def test_shards_are_named(tmp_path: Path):
    assert Shard.parse("2/8") == Shard(2, 8)
    for text in ("0/8", "9/8", "1", "a/b", "1/0", "-1/2", "1/2/3", ""):
        with pytest.raises(UsageError, match="write i/n"):
            Shard.parse(text)
