import json
import math

import pandas as pd
import pytest

from ntkbench.boards import frame as boards_frame
from ntkbench.boards import submit
from ntkbench.boards.tracks import track
from ntkbench.errors import UsageError, VerificationError
from ntkbench.plan.read import read
from ntkbench.results import frame
from ntkbench.store import record
from ntkbench.store.store import Store, StoreWarning
from tests.boards.test_track import written
from tests.examples import tiny
from tests.examples.factory import a_record, cell, failed, planned, store, valid


@pytest.fixture
def kept(tmp_path) -> Store:
    """Three seeds, of which the last has failed."""
    found = Store(tmp_path / "runs")
    runs = planned(cell(), range(3), width="32")
    store(found.records, runs[:2])
    record.write(valid(failed(runs[2])), found.record(runs[2].id))
    return found


def test_every_number_of_a_record_is_a_row_with_all_that_it_is_about(kept):
    rows = frame.records(kept.root)
    first = record.read_all(kept.records)[0][0]
    mine = rows[rows["run_id"] == first.run_id]
    assert len(mine) == len(first.metrics)
    for (_, row), original in zip(mine.iterrows(), first.metrics, strict=True):
        assert (row["analysis"], row["metric"], row["value"]) == (original.analysis, original.metric, original.value)
        assert (row["low"], row["high"]) == (original.ci95 or (pytest.approx(math.nan, nan_ok=True),) * 2)
        assert {name: row[name] for name in original.where} == {n: str(v) for n, v in original.where.items()}
        assert (row["seed"], row["spec"], row["width"]) == (first.spec.seed, "synthetic", "32")
        assert (row["software.ntkbench"], row["jax.backend"], row["attempt"]) == ("0.1.0", "cpu", 1)


def test_types_hold_where_values_are_missing(kept):
    rows = frame.records(kept.root)
    kinds = {name: str(rows[name].dtype) for name in ("value", "k", "n", "revision", "higher_is_better", "seed")}
    assert kinds == {"value": "float64", "k": "Int64", "n": "Int64", "revision": "Int64"} | {
        "higher_is_better": "boolean",
        "seed": "int64",
    }
    assert str(rows["software.dirty"].dtype) == "boolean"
    labels = rows[["analysis", "metric", "ci_method", "unit", "reason", "attack", "eps", "denominator"]]
    assert not labels.isna().to_numpy().any()
    assert "" in set(labels["denominator"])


def test_a_run_without_numbers_tells_its_status(kept):
    rows = frame.records(kept.root)
    assert rows["status"].tolist().count("failed") == 1
    row = rows.loc[rows["status"] == "failed"].iloc[0]
    assert (row["seed"], row["metric"], row["eps"]) == (2, "", "")
    assert math.isnan(row["value"])
    assert pd.isna(row["k"])


def test_a_spec_asks_for_runs_that_are_not_there(tmp_path):
    of = tiny.planned(tmp_path)
    kept = Store(tmp_path / "runs")
    nothing = frame.records(kept.root, tmp_path / "tiny.yaml")
    assert nothing[["spec", "status", "seed"]].to_numpy().tolist() == [["tiny", "missing", 0], ["tiny", "missing", 1]]
    record.write(valid(a_record(of.runs[0])), kept.record(of.runs[0].id))
    assert frame.records(kept.root, tmp_path / "tiny.yaml")["status"].tolist() == ["ok", "missing"]
    other = frame.records(kept.root, tmp_path / "tiny.yaml", overrides=["width=9"])
    assert other["status"].tolist() == ["missing", "missing"]


def test_a_run_of_two_specs_is_a_row_of_each(tmp_path):
    tiny.spec(tmp_path)
    again = tiny.SPEC.replace("name: tiny", "name: again").replace("seeds: 2", "matrix: {width: [8, 9]}\nseeds: 1")
    (tmp_path / "again.yaml").write_text(again)
    rows = frame.records(tmp_path, tmp_path / "tiny.yaml", tmp_path / "again.yaml")
    assert rows["spec"].tolist() == ["tiny", "tiny", "again", "again"]
    assert rows["width"].tolist() == ["", "", "8", "9"]
    assert rows["run_id"].tolist()[0] == rows["run_id"].tolist()[2]
    assert read(tmp_path / "again.yaml").runs[0].id == rows["run_id"].tolist()[0]


def test_axes_with_a_column_s_name_keep_apart(tmp_path):
    kept = Store(tmp_path)
    store(kept.records, planned(cell(), [0], attack="mine", value="7"))
    rows = frame.records(tmp_path)
    assert set(rows["cell.value"]) == {"7"}
    assert set(rows["attack"]) == {"mine"}
    assert "ntk" in set(rows["where.attack"])


def test_a_damaged_record_is_left_out_with_a_warning(kept):
    path = next(iter(kept.records.glob("*.json")))
    path.write_text(json.dumps({**json.loads(path.read_text()), "attempt": 0}))
    with pytest.warns(StoreWarning, match=f"{path.name}.*it is left out"):
        rows = frame.records(kept.root)
    assert path.stem not in set(rows["run_id"])


def test_nothing_to_show_is_said(tmp_path):
    with pytest.raises(UsageError, match="has no records; `ntkbench run SPEC` makes some"):
        frame.records(tmp_path)


@pytest.fixture
def board(tmp_path):
    """A leaderboard with an entry of four seeds."""
    runs = planned(cell(width=512), range(4), width="512")
    rules = track.read(written(tmp_path / "leaderboards"))
    entry = submit.make(rules, runs, store(tmp_path / "records", runs), tmp_path / "records", name="wide")
    return submit.save(entry, tmp_path / "leaderboards")


def test_every_number_of_an_entry_is_a_row(board):
    entry = json.loads(board.read_text())
    rows = boards_frame.track(board.parent.parent)
    assert len(rows) == sum(len(result["runs"]) for result in entry["results"])
    assert set(rows["of_target"]) == {"cell"}
    first = rows.loc[(rows["column"] == "transfer rate") & (rows["seed"] == 2)].iloc[0]
    number = entry["results"][0]["runs"][2]
    assert [first[name] for name in ("value", "k", "n")] == [number["value"], number["k"], number["n"]]
    assert [first[name] for name in ("entry", "run_id", "width")] == ["wide", entry["cells"][0]["run_ids"][2], "512"]
    assert (first["software.ntkbench"], first["eps"], first["architecture.kind"]) == ("0.1.0", "8/255", "fc")
    assert "data.n_train" not in rows, "what is frozen is the track's"


def test_an_entry_that_is_not_what_it_claims_is_no_row(board):
    value = json.loads(board.read_text())
    value["results"][0]["mean"] = 1.0
    board.write_text(json.dumps(value))
    with pytest.raises(VerificationError, match=r"results\.0\.mean"):
        boards_frame.track(board.parent.parent)


def test_a_track_without_entries_says_so(tmp_path):
    with pytest.raises(UsageError, match="no entries; `ntkbench submit` makes one"):
        boards_frame.track(written(tmp_path))
