"""Merging stores: what one machine has found is never lost, and a stranger's store leads nowhere."""

import errno
import json
import os
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ntkbench.errors import StorageError, UsageError, VerificationError
from ntkbench.store import record
from ntkbench.store.store import Store
from ntkbench.store.upkeep import merge as upkeep_merge
from ntkbench.store.upkeep.merge import Merged
from tests.examples import factory, tiny

RUN, *_ = RUNS = factory.planned(factory.cell(), range(4), width="32")
KERNEL, TRAINING = "k0123456789ab", "t0123456789ab-0-2.7"


@pytest.fixture
def ours(tmp_path: Path) -> Store:
    store = Store(tmp_path / "runs")
    factory.store(store.records, RUNS[:2])
    return store


@pytest.fixture
def theirs(tmp_path: Path) -> Store:
    """Of another machine; one of its runs is ours, too."""
    store = Store(tmp_path / "node-7" / "runs")
    factory.store(store.records, RUNS[1:])
    for stage, key in {"kernel": KERNEL, "training": TRAINING, "snapshot": f"{TRAINING}@step5"}.items():
        store.save(stage, key, {"a": np.arange(5)}, {"seconds": 1})
    return store


def merge(ours: Store, theirs: Store, **options: bool) -> Merged:
    *_, last = upkeep_merge.merge(ours, theirs.root, **options)
    return last


def files(store: Store) -> dict[str, bytes]:
    return {name: content for name, (_, content) in tiny.files(store.root).items()}


def test_what_is_missing_is_brought_and_what_is_here_stays(ours: Store, theirs: Store):
    before = tiny.files(ours.root)
    merged = merge(ours, theirs)
    assert merged.counts == {
        "records as here": 1, "new records": 2, "training objects": 1, "snapshot objects": 1, "kernel objects": 1
    }  # fmt: skip
    assert (merged.conflicts, merged.skipped) == ([], [])
    after = tiny.files(ours.root)
    assert {name: after[name] for name in before} == before
    assert {name: content for name, content in files(ours).items() if name not in before} == {
        name: content for name, content in files(theirs).items() if name not in before
    }
    assert merge(ours, theirs).counts == {"records as here": 3}
    assert tiny.files(ours.root) == after, "once is enough"


def test_records_alone(ours: Store, theirs: Store):
    assert merge(ours, theirs, objects=False).counts == {"records as here": 1, "new records": 2}
    assert not (ours.root / "objects").exists()


def put(store: Store, run: Any, **changes: Any) -> None:
    document = factory.a_record(run, **changes)
    record.write(factory.valid(document), store.record(run.id))


FAILED = {"status": "failed", "error": {"type": "NumericsError", "message": "the loss is NaN"}}


def test_a_result_stands_before_a_failure_and_both_were_attempts(ours: Store, theirs: Store):
    put(ours, RUNS[2], attempt=2, **FAILED)
    merged = merge(ours, theirs, objects=False)
    assert merged.counts["results of runs that were not ok here"] == 1
    found = record.read(ours.record(RUNS[2].id))
    assert (found.status, found.attempt) == ("ok", 3)
    assert found.metrics == record.read(theirs.record(RUNS[2].id)).metrics
    assert ours.arrays(RUNS[2].id).read_bytes() == theirs.arrays(RUNS[2].id).read_bytes()
    merge(ours, theirs, objects=False)
    assert record.read(ours.record(RUNS[2].id)) == found


def test_a_failure_never_stands_before_a_result(ours: Store, theirs: Store):
    before = ours.record(RUNS[1].id).read_bytes()
    put(theirs, RUNS[1], attempt=9, **FAILED)
    merge(ours, theirs)
    assert ours.record(RUNS[1].id).read_bytes() == before


@pytest.mark.parametrize(("attempt", "kept"), [(1, 2), (2, 2), (3, 3)])
def test_of_two_failures_the_later_attempt_stands(attempt: int, kept: int, ours: Store, theirs: Store):
    put(ours, RUNS[2], attempt=2, **FAILED)
    put(theirs, RUNS[2], attempt=attempt, **FAILED)
    for _ in range(2):
        merge(ours, theirs)
        assert record.read(ours.record(RUNS[2].id)).attempt == kept


def off(row: dict[str, Any], by: float) -> dict[str, Any]:
    """A mean that came out a little different on another machine."""
    return {**row, "value": row["value"] - by}


def test_numbers_within_the_tolerance_are_the_same(ours: Store, theirs: Store):
    document = json.loads(theirs.record(RUNS[1].id).read_bytes())
    document["metrics"] = [off(row, 0.009) if row["k"] is None else row for row in document["metrics"]]
    record.write(factory.valid(document), theirs.record(RUNS[1].id))
    before = tiny.files(ours.root)
    merged = merge(ours, theirs, objects=False)
    assert merged.counts["records as here"] == 1
    assert merged.conflicts == []
    assert {name: file for name, file in tiny.files(ours.root).items() if name in before} == before


def test_other_numbers_are_told_and_both_are_kept(ours: Store, theirs: Store):
    document = json.loads(theirs.record(RUNS[1].id).read_bytes())
    document["metrics"] = [off(row, 0.05) if row["k"] is None else row for row in document["metrics"]][1:]
    record.write(factory.valid(document), theirs.record(RUNS[1].id))
    before = files(ours)
    merged = merge(ours, theirs)
    kept = Store(ours.root / "conflicts" / "node-7-runs")
    assert {name: content for name, content in files(ours).items() if name in before} == before
    assert kept.record(RUNS[1].id).read_bytes() == theirs.record(RUNS[1].id).read_bytes()
    assert kept.arrays(RUNS[1].id).read_bytes() == theirs.arrays(RUNS[1].id).read_bytes()
    assert merged.counts["new records"] == 2, "everything else is brought"
    with pytest.raises(VerificationError) as told:
        upkeep_merge.conclude(ours, {theirs.root: merged})
    lines = str(told.value).splitlines()
    values = {row["value"] for row in json.loads(ours.record(RUNS[1].id).read_bytes())["metrics"] if row["k"] is None}
    assert values
    for value in values:
        assert any(f"{value:.6g} here, {value - 0.05:.6g} there" in line and RUNS[1].id in line for line in lines)
    assert any("accuracy/1 target=self" in line and line.endswith("here, nothing there") for line in lines)
    assert "1 runs have other numbers" in lines[-1]


def test_a_record_of_ours_that_is_damaged_is_replaced(ours: Store, theirs: Store):
    ours.arrays(RUNS[1].id).unlink()
    assert merge(ours, theirs).counts["new records"] == 3
    assert ours.arrays(RUNS[1].id).read_bytes() == theirs.arrays(RUNS[1].id).read_bytes()


def damaged_arrays(store: Store) -> None:
    store.arrays(RUNS[2].id).write_bytes(b"")


def half_a_record(store: Store) -> None:
    store.record(RUNS[2].id).write_text("{")


def another_seed(store: Store) -> None:
    document = json.loads(store.record(RUNS[2].id).read_bytes())
    document["spec"]["seed"] = 77
    store.record(RUNS[2].id).write_text(json.dumps(document))


def linked_record(store: Store) -> None:
    secret = store.record(RUNS[2].id).rename(store.root.parent / "secret.json")
    store.record(RUNS[2].id).symlink_to(secret)


def linked_arrays(store: Store) -> None:
    secret = store.arrays(RUNS[2].id).rename(store.root.parent / "secret.npz")
    store.arrays(RUNS[2].id).symlink_to(secret)


def pipe(store: Store) -> None:
    store.record(RUNS[2].id).unlink()
    os.mkfifo(store.record(RUNS[2].id))


def odd_name(store: Store) -> None:
    store.record(RUNS[2].id).rename(store.records / "R.json")


BAD_RECORDS = (damaged_arrays, half_a_record, another_seed, linked_record, linked_arrays, pipe, odd_name)


@pytest.mark.parametrize("damage", BAD_RECORDS)
def test_a_record_that_is_not_sound_is_left_out(damage, ours: Store, theirs: Store):
    damage(theirs)
    merged = merge(ours, theirs, objects=False)
    assert merged.counts == {"records as here": 1, "new records": 1}
    assert len(merged.skipped) == 1
    assert merged.skipped[0].endswith("left out")
    assert str(theirs.records) in merged.skipped[0]
    assert ".merge." not in merged.skipped[0]
    assert sorted(path.name for path in ours.root.iterdir()) == ["records"]


def flipped_object(store: Store) -> None:
    path = store.root / "objects" / "kernel" / KERNEL / "arrays.npz"
    path.write_bytes(path.read_bytes()[:-1])


def object_of_another(store: Store) -> None:
    place = store.root / "objects" / "kernel" / KERNEL
    place.rename(place.with_name("k1123456789ab"))


def linked_object(store: Store) -> None:
    place = store.root / "objects" / "kernel" / KERNEL
    place.symlink_to(place.rename(store.root.parent / "elsewhere"))


def linked_file(store: Store) -> None:
    path = store.root / "objects" / "kernel" / KERNEL / "arrays.npz"
    path.symlink_to(path.rename(store.root.parent / "elsewhere"))


def linked_stage(store: Store) -> None:
    stage = store.root / "objects" / "kernel"
    stage.symlink_to(stage.rename(store.root.parent / "elsewhere"))


def odd_key(store: Store) -> None:
    place = store.root / "objects" / "kernel" / KERNEL
    place.rename(place.with_name("k0\x1b[2J"))


@pytest.mark.parametrize(
    "damage", [flipped_object, object_of_another, linked_object, linked_file, linked_stage, odd_key]
)
def test_an_object_that_is_not_sound_is_left_out(damage, ours: Store, theirs: Store):
    damage(theirs)
    merged = merge(ours, theirs)
    assert merged.counts["kernel objects"] == 0
    assert merged.counts["training objects"] == 1
    assert len(merged.skipped) == 1
    assert merged.skipped[0].isprintable()
    assert list((ours.root / "objects").glob("kernel/*")) == []


def test_a_merge_that_was_interrupted_goes_on(ours: Store, theirs: Store, tmp_path: Path):
    whole = Store(tmp_path / "whole")
    merge(whole, ours)
    merge(whole, theirs)
    for moment in range(1, 6):
        list(islice(upkeep_merge.merge(ours, theirs.root), moment))
    merge(ours, theirs)
    assert files(ours) == files(whole)


def test_a_full_disk_leaves_nothing_half_copied(ours: Store, theirs: Store, monkeypatch):
    before = files(ours)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as now:
        now.setattr("os.fsync", full)
        with pytest.raises(StorageError, match="No space left"):
            merge(ours, theirs)
    assert files(ours) == before
    assert merge(ours, theirs).counts["new records"] == 2


def test_a_checkpoint_of_a_training_that_is_finished_here_is_of_no_use(ours: Store, theirs: Store):
    for key in (TRAINING, "t1123456789ab-0"):
        theirs.save("checkpoint", f"{key}@step3", {"a": np.zeros(2)})
    merge(ours, theirs)
    assert ours.keys("checkpoint", "t") == ["t1123456789ab-0@step3"]


@pytest.mark.parametrize("other", [".", "objects", "..", "nowhere"])
def test_what_is_no_other_store_is_told(other: str, ours: Store):
    ours.save("kernel", KERNEL, {"a": np.zeros(1)})
    (ours.root.parent / "records").mkdir()
    with pytest.raises(UsageError, match=r"there is no store|cannot be merged with itself"):
        list(upkeep_merge.merge(ours, ours.root / other))


def test_stores_of_many_shards_are_one(tmp_path: Path):
    shards = [Store(tmp_path / f"shard-{i}") for i in range(4)]
    for shard, run in zip(shards, RUNS, strict=True):
        factory.store(shard.records, [run])
    together = Store(tmp_path / "runs")
    found = {shard.root: merge(together, shard) for shard in shards}
    assert upkeep_merge.conclude(together, found).count("1 new records") == 4
    assert [record.read(together.record(run.id)).run_id for run in RUNS] == [run.id for run in RUNS]
