import json

import numpy as np
import pytest

from ntkbench.boards import submit
from ntkbench.boards.entry import read_entry
from ntkbench.boards.recompute import recompute
from ntkbench.boards.tracks import track
from ntkbench.errors import NtkbenchError, UsageError
from ntkbench.plan.seeding import for_seed
from ntkbench.spec.identity import resolved
from ntkbench.store import arrays
from ntkbench.store.record import Record
from ntkbench.text import slug
from tests.boards.test_track import TARGETS, TEXT, written
from tests.examples.factory import a_record, cell, failed, planned, store, valid

RUNS = planned(cell(), range(3), width="32")
WIDE = {"width": 64, "training": {"mode": "standard", "epochs": 20}}
BOTH = [*planned(cell(), range(3), network="small"), *planned(cell(**WIDE), range(3), network="wide")]


@pytest.fixture
def rules(tmp_path):
    return track.read(written(tmp_path / "leaderboards"))


@pytest.fixture
def targets(tmp_path):
    """A track of two networks."""
    return track.read(written(tmp_path / "leaderboards", TARGETS, "two@1"))


def test_an_entry_holds_what_the_records_hold(tmp_path, rules):
    records = store(tmp_path, RUNS)
    entry = submit.make(
        rules, RUNS, records[::-1], tmp_path, name=" My entry ", authors=["A. Person"], links=["https://example.org/x"]
    )
    assert (entry.name, entry.seeds, entry.run_ids) == ("My entry", (0, 1, 2), [run.id for run in RUNS])
    for place, column in enumerate((rules.rank, *rules.columns)):
        rows = [column.row(each.metrics, "") for each in records]
        for result in (entry.results[place], entry.cells[0].results[place]):
            assert [(run.value, run.k, run.n) for run in result.runs] == [(row.value, row.k, row.n) for row in rows]
        assert entry.results[place].mean == pytest.approx(np.mean([row.value for row in rows]))


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
    broken = [records[0], valid(failed(RUNS[1], "timeout")), records[2]]
    assert f"seed 1 (run {RUNS[1].id}) is timeout" in refused(rules, tmp_path, RUNS, broken)
    assert "an entry needs a name" in refused(rules, tmp_path, RUNS, records, name=" ")


def test_uncommitted_code_is_refused(tmp_path, rules):
    dirty = store(tmp_path / "dirty", RUNS, software={"dirty": True})
    assert "uncommitted changes" in refused(rules, tmp_path / "dirty", RUNS, dirty)
    assert submit.make(rules, RUNS, dirty, tmp_path / "dirty", name="x", allow_dirty=True).software == (
        {"dirty": True},
    )


def test_smoke_runs_are_judged_by_what_was_run(tmp_path, rules):
    """The same experiment is no other for having been called a smoke run."""
    smoke = store(tmp_path / "same", RUNS, execution={"smoke": True})
    assert submit.make(rules, RUNS, smoke, tmp_path / "same", name="x").seeds == (0, 1, 2)
    data = {"dataset": "fashion_mnist_mini", "classes": ["sneaker", "ankle_boot"], "n_train": 60, "n_test": 20}
    small = planned(cell(data=data), range(3))
    told = refused(rules, tmp_path / "small", small, store(tmp_path / "small", small, execution={"smoke": True}))
    assert told.splitlines()[1:] == ["  data.n_train: the track has 100, the runs have 60"]


def test_frozen_fields_that_differ_are_refused_by_name(tmp_path, rules):
    data = {"dataset": "fashion_mnist_mini", "classes": ["sneaker", "ankle_boot"], "n_train": 60, "n_test": 20}
    runs = planned(cell(data=data | {"seed": 5}), range(3))
    told = refused(rules, tmp_path, runs, store(tmp_path, runs))
    assert "data.n_train: the track has 100, the runs have 60" in told
    assert "data.seed: the track has 0, the runs have 5" in told


def test_several_cells_that_could_be_the_entry_are_named(tmp_path, rules):
    runs = [*RUNS, *planned(cell(width=64), range(3), width="64")]
    told = refused(rules, tmp_path, runs, [])
    assert told.splitlines() == ["2 cells for an entry; choose one by its coordinates:", "  width=32", "  width=64"]


def test_outcomes_that_do_not_give_the_numbers_are_refused(tmp_path, rules):
    records = store(tmp_path, RUNS)
    samples = arrays.read_samples(tmp_path, records[0])
    samples["transfer.ntk@8/255"] = ~samples["transfer.ntk@8/255"]
    note, _ = arrays.write(tmp_path / f"{RUNS[0].id}.npz", samples, {})
    value = json.loads((tmp_path / f"{RUNS[0].id}.json").read_text()) | {"samples": note}
    with pytest.raises(NtkbenchError, match=r"results.0.outcomes: seed 0: they give .*, but the number is"):
        submit.make(rules, RUNS, [valid(value), *records[1:]], tmp_path, name="x")


def test_outcomes_that_are_not_there_are_named(tmp_path, rules):
    records = store(tmp_path, RUNS)
    for drop, message in (("index", "no column `index`"), ("transfer.clean", "no outcomes 'transfer.clean'")):
        changed = []
        for run, each in zip(RUNS, records, strict=True):
            samples = {name: v for name, v in arrays.read_samples(tmp_path, each).items() if name != drop}
            note, _ = arrays.write(tmp_path / drop / f"{run.id}.npz", samples, {})
            changed.append(valid(json.loads((tmp_path / f"{run.id}.json").read_text()) | {"samples": note}))
        with pytest.raises(NtkbenchError, match=message):
            submit.make(rules, RUNS, changed, tmp_path / drop, name="x")
    bare = [valid(a_record(run)) for run in RUNS]
    with pytest.raises(NtkbenchError, match="no transfer_rate with attack ntk"):
        submit.make(rules, RUNS, bare, tmp_path, name="x")


@pytest.mark.parametrize(
    ("metric", "where"),
    [
        ("robust_accuracy", "{attack: ntk, eps: 8/255}"),
        ("accuracy", "{target: self}"),
        ("transfer_rate", "{attack: ntk, eps: 8/255, denominator: all}"),
        ("normalized_transfer", "{attack: ntk, eps: 8/255}"),
    ],
)
def test_tracks_may_rank_by_other_numbers(tmp_path, metric, where):
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
        ({"width": "64"}, "width=64: no cell; there are:\n  width=32\n  width=128"),
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


# ---- several cells -------------------------------------------------------------------------------


def test_each_target_is_found_among_the_cells(tmp_path, targets):
    """Cells that are no target are no part of the entry; their order does not matter."""
    other = planned(cell(width=16), range(3), network="narrow")
    entry = submit.make(targets, [*other, *BOTH[::-1]], store(tmp_path, BOTH), tmp_path, name="x")
    assert [each.label for each in entry.cells] == ["small", "wide"]
    assert [list(each.run_ids) for each in entry.cells] == [[run.id for run in BOTH[:3]], [run.id for run in BOTH[3:]]]
    assert entry.cells[1].cell["width"] == 64


def test_a_target_without_a_cell_is_told_by_the_nearest(tmp_path, targets):
    runs = [*BOTH[:3], *planned(cell(**WIDE | {"width": 65}), range(3), network="wide")]
    told = refused(targets, tmp_path, runs, store(tmp_path, runs))
    assert "wide: width: the track has 64, the runs have 65" in told


def test_all_cells_have_the_same_seeds(tmp_path, targets):
    runs = [*BOTH[:3], *planned(cell(**WIDE), range(1, 4), network="wide")]
    told = refused(targets, tmp_path, runs, store(tmp_path, runs))
    assert "all cells of an entry have the same seeds; here small: [0, 1, 2]; wide: [1, 2, 3]" in told


def test_all_cells_have_the_same_of_what_is_free(tmp_path, targets):
    kernels = {"limit": {"kind": "infinite", "ridge": 0.5}}
    runs = [*BOTH[:3], *planned(cell(**WIDE, kernels=kernels), range(3), network="wide")]
    told = refused(targets, tmp_path, runs, store(tmp_path, runs))
    assert "kernels.limit.ridge: what is free is the same in all cells of an entry, here it is 0.0, 0.5" in told


# ---- rules ---------------------------------------------------------------------------------------


def kernel(of: dict) -> list:
    """Both cells with another kernel."""
    kernels = {"limit": of}
    return [*planned(cell(kernels=kernels), range(3), n="1"), *planned(cell(**WIDE, kernels=kernels), range(3), n="2")]


def test_the_kernel_of_a_trained_network_is_none_without_training(tmp_path, targets):
    late = kernel({"kind": "empirical", "at": "final"})
    told = refused(targets, tmp_path, late, store(tmp_path, late))
    assert "small: kernels.limit.kind: the track asks for infinite, the runs have empirical" in told
    assert "wide: kernels.limit.kind: the track asks for infinite, the runs have empirical" in told
    entry = submit.make(targets, late, store(tmp_path, late), tmp_path, name="late")
    assert targets.is_reference(entry.name), "as a reference it may"
    with pytest.raises(NtkbenchError, match="the track asks for infinite, the runs have empirical"):
        recompute(entry.model_copy(update={"name": "another"}), targets, "x")


def test_a_network_that_is_linearized_cannot_be_on_a_board_of_moving_kernels(tmp_path):
    text = TEXT + "constrain: {training.linearize_at: null}\n"
    rules = track.read(written(tmp_path / "leaderboards", text))
    lazy = planned(cell(training={"mode": "linearized", "epochs": 10}), range(3))
    told = refused(rules, tmp_path, lazy, store(tmp_path, lazy))
    assert told.splitlines()[1:] == ["  training.linearize_at: the track asks for null, the runs have 0"]


def test_runs_that_do_not_qualify_are_refused(tmp_path, targets):
    strict = targets.model_copy(update={"qualify": (targets.qualify[0].model_copy(update={"min": 1.0}),)})
    told = refused(strict, tmp_path, BOTH, store(tmp_path, BOTH))
    assert "small: accuracy with target self is 0.95 in seed 0; the track asks for at least 1" in told
    exempt = targets.references["late"].model_copy(update={"exempt": ("qualify",)})
    easy = strict.model_copy(update={"references": {"late": exempt}})
    assert submit.make(easy, BOTH, store(tmp_path, BOTH), tmp_path, name="late")


def test_numbers_that_no_run_has_cannot_qualify_and_references_need_none(tmp_path):
    text = TEXT + "qualify: [{title: q, metric: kernel_drift, where: {}, max: 1}]\n"
    text += "references: {kernel: {about: no network, exempt: [qualify]}}\n"
    rules = track.read(written(tmp_path, text.replace("tolerance: {", "tolerance: {distance: 0.01, ")))
    records = store(tmp_path, RUNS)
    with pytest.raises(NtkbenchError, match=f"run {RUNS[0].id}: no kernel_drift"):
        submit.make(rules, RUNS, records, tmp_path, name="x")
    entry = submit.make(rules, RUNS, records, tmp_path, name="kernel")
    assert [run.value for run in entry.cells[0].results[-1].runs] == [None] * 3


def test_checks_that_failed_are_refused_by_their_code(tmp_path, rules, targets):
    row = {"code": "gradients_not_zero", "ok": False, "analysis": "transfer", "detail": {"zero": 40, "of": 50}}
    records = store(tmp_path, RUNS, checks=[row])
    told = refused(rules, tmp_path, RUNS, records)
    assert "check gradients_not_zero failed in seed 2 (zero 40, of 50)" in told
    allowed = rules.model_copy(update={"allow_failed": ("gradients_not_zero",)})
    entry = submit.make(allowed, RUNS, records, tmp_path, name="x")
    assert [check.seed for check in entry.cells[0].failed] == [0, 1, 2], "what failed stands in the entry"
    with pytest.raises(NtkbenchError, match="check gradients_not_zero failed in seed 0"):
        recompute(entry, rules, "x")


# ---- training subsets ----------------------------------------------------------------------------


def test_seeds_of_subsets_make_one_cell(tmp_path):
    rules = track.read(written(tmp_path / "leaderboards", TEXT + "seed_of: data\n"))
    runs = [run for seed in range(3) for run in planned(for_seed(cell(), seed, "data"), [seed], width="32")]
    entry = submit.make(rules, runs, store(tmp_path, runs), tmp_path, name="x")
    assert entry.cells[0].cell == resolved(cell())
    assert entry.run_ids == [run.id for run in runs]
    told = refused(rules, tmp_path, RUNS, store(tmp_path, RUNS))
    assert "seed 1: the track asks for seed_of: data, a training subset for each seed" in told
    plain = track.read(written(tmp_path / "leaderboards", TEXT, "plain@1"))
    told = refused(plain, tmp_path, runs, store(tmp_path, runs))
    assert "data.test_seed: the track has None, the runs have 0" in told
