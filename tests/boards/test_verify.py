"""Levels follow from what was run again, and from nothing that an entry says."""

import json
from pathlib import Path

import numpy as np
import pytest

from ntkbench.boards import checks, pages, submit, verify
from ntkbench.boards.entry import Entry, read_entry
from ntkbench.boards.tracks import track
from ntkbench.errors import NtkbenchError, UsageError, VerificationError
from ntkbench.plan.runs import Run
from ntkbench.store import comparison, record
from tests.boards.test_track import TARGETS, TEXT, written
from tests.examples.factory import a_record, cell, failed, outcomes, planned, store, valid

RUNS = planned(cell(), range(3), width="32")
CHECK = "checks/sound.json"


@pytest.fixture
def board(tmp_path) -> Path:
    """A track with one entry that has a small run."""
    folder = written(tmp_path / "leaderboards")
    rules = track.read(folder)
    entry = submit.make(rules, RUNS, store(tmp_path, RUNS), tmp_path, name="Sound")
    entry = verify.with_mini(entry, rules, [again(run) for run in verify.small(rules, entry)])
    submit.save(entry, folder.parent)
    return folder


def again(run: Run, rate: float = 0.5) -> record.Record:
    """What running it gives; another rate stands for other numbers."""
    return valid(a_record(run, outcomes(np.random.default_rng(0), n=run.cell.data.n_test, rate=rate)))


def claimed(board: Path) -> tuple[track.Track, Entry]:
    _, rules, entry = verify.claim("small@1/sound", board.parent)
    return rules, entry


def level(board: Path) -> str:
    rules, entry = claimed(board)
    pages.build(board.parent)
    (line,) = [line for line in (board / "README.md").read_text().splitlines() if "entries/sound.json" in line]
    shown = line.strip("|").split("|")[-1].strip()
    assert shown == "claimed" or "](checks/sound.json)" in shown
    found = str(verify.judge(rules, entry, checks.read(board, entry), "x"))
    assert found in shown
    assert line.strip("| ").startswith("–") == (found == "claimed"), "what is claimed has no rank"
    return found


def rerun(board: Path, each: record.Record) -> checks.Rerun:
    rules, entry = claimed(board)
    return verify.rerun(rules, entry, each, board.parent.parent)


def conclude(board: Path, *records: record.Record) -> str:
    rules, entry = claimed(board)
    return verify.conclude(board, rules, entry, [rerun(board, each) for each in records])


def test_a_level_is_earned_by_running_again(board, tmp_path):
    rules, entry = claimed(board)
    assert level(board) == "claimed"
    assert "Sound is checked" in conclude(board, again(verify.mini_runs(rules, entry)[0]))
    assert level(board) == "checked"
    (seed,) = verify.seed_runs(rules, entry, [1])
    assert "Sound is reproduced (1 of 3 seeds)" in conclude(board, record.read(tmp_path / f"{seed.id}.json"))
    assert level(board) == "reproduced (1 of 3 seeds)"
    kinds = [run["kind"] for run in json.loads((board / CHECK).read_text())["reruns"]]
    assert kinds == ["mini", "seed"], "what was known stays"
    conclude(board, record.read(tmp_path / f"{RUNS[0].id}.json"), record.read(tmp_path / f"{RUNS[2].id}.json"))
    assert level(board) == "reproduced (3 of 3 seeds)"


def test_a_changed_entry_is_claimed_again(board):
    rules, entry = claimed(board)
    conclude(board, *map(again, verify.small(rules, entry)))
    submit.save(entry.model_copy(update={"authors": ("Somebody else",)}), board.parent, replace=True)
    assert level(board) == "claimed"


def test_other_numbers_are_told_and_nothing_is_written(board):
    rules, entry = claimed(board)
    (run,) = verify.small(rules, entry)
    different = rerun(board, again(run, rate=0.1))
    assert "DIFFERS" in verify.report(rules, entry, different)
    with pytest.raises(VerificationError, match=rf"Sound: run {run.id} \(seed 0\) does not give the entry's numbers"):
        conclude(board, again(run, rate=0.1))
    assert not (board / CHECK).exists()
    same = rerun(board, again(run))
    assert "DIFFERS" not in verify.report(rules, entry, same)
    assert len(verify.report(rules, entry, same).splitlines()) == 3 + len(rules.all_columns)


def test_outcomes_are_compared_point_by_point(board, tmp_path):
    """The same numbers on other points are other outcomes."""
    rules, entry = claimed(board)
    same = rerun(board, record.read(tmp_path / f"{RUNS[0].id}.json"))
    assert verify.agrees(rules, entry, same)
    assert "normalized: points that differ" in verify.report(rules, entry, same)
    turned = tuple(text and text[::-1] for text in same.outcomes)
    other = same.model_copy(update={"outcomes": turned})
    assert [each.what for each in verify.comparisons(rules, entry, other) if not each.ok] == [
        "normalized: points that differ"
    ]
    for lost in ((), (None, None, None), (None, None, "01")):
        with pytest.raises(VerificationError, match="outcomes"):
            verify.comparisons(rules, entry, same.model_copy(update={"outcomes": lost}))


@pytest.mark.parametrize(("off", "ok"), [(0.0, True), (0.01, True), (-0.01, True), (0.0101, False), (None, False)])
def test_numbers_may_be_off_by_the_tolerance(off: float | None, ok: bool):
    measured = None if off is None else 0.6 + off
    assert comparison.Comparison("x", 0.6, measured, 0.01).ok == ok
    assert comparison.Comparison("x", None, None, 0.01).ok


@pytest.mark.parametrize(
    ("path", "new", "message"),
    [
        (("reruns", 0, "numbers", 1), {"value": 0.0, "k": 0, "n": 20}, "0 measured; no check, delete it"),
        (("reruns", 0, "run_id"), "r000000000000", "no numbers of the run r000000000000"),
        (("reruns", 0, "kind"), "seed", "no numbers of the run"),
        (("reruns", 0, "seed"), 2, "no numbers of the run"),
        (("reruns", 0, "numbers"), [], "no numbers of the run"),
        (("reruns",), [], "reruns: Tuple should have at least 1"),
        (("level",), "reproduced", "level: Extra inputs"),
        (("schema",), "ntkbench.check/1", "schema: "),
    ],
)
def test_a_check_that_does_not_hold_is_refused(board, path, new, message):
    rules, entry = claimed(board)
    conclude(board, *map(again, verify.small(rules, entry)))
    value = json.loads((board / CHECK).read_text())
    place = value
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = new
    (board / CHECK).write_text(json.dumps(value))
    with pytest.raises(VerificationError, match=message):
        pages.build(board.parent)


def test_a_check_of_nothing_is_refused(board):
    (board / "checks").mkdir()
    (board / "checks" / "gone.json").write_text("{}")
    with pytest.raises(VerificationError, match=r"gone.json: there is no such entry; delete it"):
        pages.build(board.parent)


def test_what_cannot_be_run_again_is_told(board, tmp_path):
    rules, entry = claimed(board)
    with pytest.raises(UsageError, match="seed 7: Sound has the seeds 0, 1, 2"):
        verify.seed_runs(rules, entry, [7])
    assert [run.seed for run in verify.seed_runs(rules, entry, [])] == [0]
    with pytest.raises(UsageError, match="no numbers of a small run"):
        verify.mini_runs(rules, entry.model_copy(update={"mini": None}))
    (run,) = verify.small(rules, entry)
    with pytest.raises(NtkbenchError, match=f"run {run.id} is timeout: the loss is NaN"):
        rerun(board, valid(failed(run, "timeout")))
    with pytest.raises(NtkbenchError, match=r"nowhere.json: cannot be read"):
        verify.claim("nowhere.json", tmp_path)


def test_a_seed_is_drawn_by_the_entry_and_a_text(board):
    _, entry = claimed(board)
    lots = [verify.drawn(entry, str(lot)) for lot in range(50)]
    assert set(lots) == {0, 1, 2}
    assert lots == [verify.drawn(entry, str(lot)) for lot in range(50)]
    other = entry.model_copy(update={"authors": ("Somebody else",)})
    assert lots != [verify.drawn(other, str(lot)) for lot in range(50)]


def test_the_small_run_overrides_what_an_entry_has(tmp_path):
    text = TEXT.replace("mini: {training", "mini: {width: 4, data: {n_train: 50}, training")
    rules = track.read(written(tmp_path, text))
    small = rules.small(cell(width=512))
    assert (small.width, small.data.n_train, small.data.n_test) == (4, 50, 20)
    kernel = cell(width=None, training={"mode": "none"}, analyses={"clean": {"kind": "accuracy", "target": "limit"}})
    assert rules.small(kernel).width is None
    assert rules.small(kernel).training == kernel.training


def test_an_experiment_that_the_small_run_does_not_fit_is_told(tmp_path):
    rules = track.read(written(tmp_path / "leaderboards"))
    runs = planned(cell(training={"mode": "standard", "epochs": 10, "linearize_at": 5}), range(3))
    entry = submit.make(rules, runs, store(tmp_path, runs), tmp_path, name="Late")
    with pytest.raises(NtkbenchError, match=r"small run of small@1 does not fit Late.*training.linearize_at"):
        verify.small(rules, entry)
    with pytest.raises(NtkbenchError, match="small@1: mini does not fit this experiment: width"):
        rules.model_copy(update={"mini": {"width": "wide"}}).small(cell())


def test_an_entry_is_found_by_path_or_by_name(board):
    path = board / "entries" / "sound.json"
    for name in (str(path), "small@1/sound", "small@1/sound.json"):
        assert verify.claim(name, board.parent)[2] == read_entry(path)


# ---- several cells -------------------------------------------------------------------------------


def test_a_seed_is_reproduced_when_all_its_cells_are(tmp_path):
    folder = written(tmp_path / "leaderboards", TARGETS)
    rules = track.read(folder)
    wide = cell(width=64, training={"mode": "standard", "epochs": 20})
    runs = [*planned(cell(), range(3), network="small"), *planned(wide, range(3), network="wide")]
    entry = submit.make(rules, runs, store(tmp_path, runs), tmp_path, name="Sound")
    small = verify.small(rules, entry)
    assert [(run.coordinates["target"], run.cell.width) for run in small] == [("small", 32), ("wide", 64)]
    entry = verify.with_mini(entry, rules, [again(run) for run in small])
    submit.save(entry, folder.parent)

    def judged(*records: record.Record) -> str:
        checks.save(folder, entry, [verify.rerun(rules, entry, each, tmp_path) for each in records])
        return str(verify.judge(rules, entry, checks.read(folder, entry), "x"))

    assert judged(again(small[0])) == "claimed"
    assert judged(again(small[1])) == "checked"
    one, two = verify.seed_runs(rules, entry, [2])
    assert judged(record.read(tmp_path / f"{one.id}.json")) == "checked"
    assert judged(record.read(tmp_path / f"{two.id}.json")) == "reproduced (1 of 3 seeds)"
    assert f"run {two.id} of wide, seed 2" in verify.report(
        rules, entry, verify.rerun(rules, entry, record.read(tmp_path / f"{two.id}.json"), tmp_path)
    )
