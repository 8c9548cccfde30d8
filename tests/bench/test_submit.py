import json

import numpy as np
import pytest

from ntkbench.bench import arrays, record, submit, track
from ntkbench.bench.entry import read_entry, recompute, slug
from ntkbench.bench.record import Record
from ntkbench.errors import NtkbenchError, UsageError
from tests.bench.factory import a_record, cell, failed, planned, store
from tests.bench.test_track import TEXT, written

RUNS = planned(cell(), range(3), width="32")


@pytest.fixture
def rules(tmp_path):
    return track.read(written(tmp_path / "leaderboards"))


def test_an_entry_holds_what_the_records_hold(tmp_path, rules):
    records = store(tmp_path, RUNS)
    entry = submit.make(
        rules, RUNS, records[::-1], tmp_path, name=" My entry ", authors=["A. Person"], links=["https://example.org/x"]
    )
    assert (entry.name, entry.seeds, entry.run_ids) == ("My entry", (0, 1, 2), tuple(run.id for run in RUNS))
    for place, column in enumerate((rules.rank, *rules.columns)):
        rows = [column.row(each.metrics, "") for each in records]
        result = entry.results[place]
        assert [(run.value, run.k, run.n) for run in result.runs] == [(row.value, row.k, row.n) for row in rows]
        assert result.mean == pytest.approx(np.mean([row.value for row in rows]))
    assert entry.outcomes
    matrix = entry.outcomes.matrix()
    assert matrix.shape == (3, 20)
    assert np.nanmean(matrix, axis=1).tolist() == pytest.approx([run.value for run in entry.results[0].runs])


def test_an_entry_reads_back_as_it_was_written(tmp_path, rules):
    entry = submit.make(rules, RUNS, store(tmp_path, RUNS), tmp_path, name="Größe & Co.")
    path = submit.save(entry, tmp_path / "leaderboards")
    assert path == tmp_path / "leaderboards" / "small@1" / "entries" / "gr-e-co.json"
    assert read_entry(path) == entry
    with pytest.raises(UsageError, match="is there already"):
        submit.save(entry, tmp_path / "leaderboards")
    assert submit.save(entry, tmp_path / "leaderboards", replace=True) == path


def refused(rules, folder, runs, records: list[Record], **arguments) -> str:
    with pytest.raises(UsageError) as caught:
        submit.make(rules, runs, records, folder, **{"name": "x", **arguments})
    return str(caught.value)


def test_incomplete_cells_are_refused(tmp_path, rules):
    records = store(tmp_path, RUNS)
    assert "2 seeds; the track asks for 3 or more" in refused(rules, tmp_path, RUNS[:2], records)
    assert f"seed 1 (run {RUNS[1].id}) is missing" in refused(rules, tmp_path, RUNS, [records[0], records[2]])
    broken = [records[0], record.validate(failed(RUNS[1], "timeout")), records[2]]
    assert f"seed 1 (run {RUNS[1].id}) is timeout" in refused(rules, tmp_path, RUNS, broken)
    assert "an entry needs a name" in refused(rules, tmp_path, RUNS, records, name=" ")


def test_smoke_runs_and_uncommitted_code_are_refused(tmp_path, rules):
    smoke = store(tmp_path / "smoke", RUNS, execution={"smoke": True})
    assert "these are smoke runs" in refused(rules, tmp_path / "smoke", RUNS, smoke)
    dirty = store(tmp_path / "dirty", RUNS, software={"dirty": True})
    assert "uncommitted changes" in refused(rules, tmp_path / "dirty", RUNS, dirty)
    assert submit.make(rules, RUNS, dirty, tmp_path / "dirty", name="x", allow_dirty=True).software == (
        {"dirty": True},
    )


def test_frozen_fields_that_differ_are_refused_by_name(tmp_path, rules):
    data = {
        "dataset": "fashion_mnist_mini",
        "classes": ["sneaker", "ankle_boot"],
        "n_train": 60,
        "n_test": 20,
        "seed": 5,
    }
    runs = planned(cell(data=data), range(3))
    told = refused(rules, tmp_path, runs, store(tmp_path, runs))
    assert "data.n_train: the track has 100, the runs have 60" in told
    assert "data.seed: the track has 0, the runs have 5" in told


def test_runs_of_several_cells_are_refused(tmp_path, rules):
    runs = [RUNS[0], *planned(cell(width=64), [1, 2])]
    assert "several cells" in refused(rules, tmp_path, runs, store(tmp_path, runs))


def test_outcomes_that_do_not_give_the_numbers_are_refused(tmp_path, rules):
    records = store(tmp_path, RUNS)
    samples = arrays.read_samples(tmp_path, records[0])
    samples["transfer.ntk@8/255"] = ~samples["transfer.ntk@8/255"]
    note, _ = arrays.write(tmp_path / f"{RUNS[0].id}.npz", samples, {})
    value = json.loads((tmp_path / f"{RUNS[0].id}.json").read_text()) | {"samples": note}
    with pytest.raises(NtkbenchError, match=r"outcomes.runs.0: .*, but the number is"):
        submit.make(rules, RUNS, [record.validate(value), *records[1:]], tmp_path, name="x")


def test_outcomes_that_are_not_there_are_named(tmp_path, rules):
    records = store(tmp_path, RUNS)
    for drop, message in (("index", "no column `index`"), ("transfer.clean", "no outcomes 'transfer.clean'")):
        changed = []
        for run, each in zip(RUNS, records, strict=True):
            samples = {name: v for name, v in arrays.read_samples(tmp_path, each).items() if name != drop}
            note, _ = arrays.write(tmp_path / drop / f"{run.id}.npz", samples, {})
            changed.append(record.validate(json.loads((tmp_path / f"{run.id}.json").read_text()) | {"samples": note}))
        with pytest.raises(NtkbenchError, match=message):
            submit.make(rules, RUNS, changed, tmp_path / drop, name="x")
    bare = [record.validate(a_record(run)) for run in RUNS]
    with pytest.raises(NtkbenchError, match="no transfer_rate with attack ntk"):
        submit.make(rules, RUNS, bare, tmp_path, name="x")


@pytest.mark.parametrize(
    ("metric", "where"),
    [
        ("robust_accuracy", "{attack: ntk, eps: 8/255}"),
        ("accuracy", "{target: self}"),
        ("transfer_rate", "{attack: ntk, eps: 8/255, denominator: all}"),
    ],
)
def test_tracks_may_rank_by_other_shares(tmp_path, metric, where):
    """Making an entry verifies that its outcomes give its numbers."""
    text = TEXT.replace("metric: transfer_rate\n", f"metric: {metric}\n").replace(
        "{attack: ntk, eps: 8/255, denominator: target_correct}", where
    )
    rules = track.read(written(tmp_path / "leaderboards", text))
    entry = submit.make(rules, RUNS, store(tmp_path, RUNS), tmp_path, name="x")
    assert entry.results[0].metric == metric
    recompute(entry, rules, "x")


def test_one_cell_is_chosen_by_its_coordinates():
    runs = [*RUNS, *planned(cell(width=128), range(3), width="128")]
    assert submit.one_cell(runs, {"width": "128"}) == runs[3:]
    assert submit.one_cell(RUNS, {}) == RUNS
    for where, message in (
        ({}, "2 cells.*\n  width=32\n  width=128"),
        ({"width": "64"}, "width=64: no cell; there are\n  width=32\n  width=128"),
        ({"widht": "1"}, "did you mean width"),
    ):
        with pytest.raises(UsageError, match=message):
            submit.one_cell(runs, where)


def test_file_names_are_plain_whatever_the_name():
    assert slug("../../etc/passwd") == "etc-passwd"
    assert slug("NTK, width 512 (linearized)") == "ntk-width-512-linearized"
    assert slug("网络") != slug("网") != ""
    assert slug("网络").startswith("entry-")
    assert len(slug("x" * 500)) == 60
