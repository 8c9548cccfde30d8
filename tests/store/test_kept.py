"""Columns of records: what tables need is not read twice, and nothing that has changed is taken from them."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter

from ntkbench.results import show, tables
from ntkbench.store import columns, index, kept, record
from ntkbench.store.columns import Columns
from ntkbench.store.kept import KeptRecords
from ntkbench.store.record import Record
from ntkbench.store.store import Store, StoreWarning
from tests.examples import factory

RUN, *_ = RUNS = factory.planned(factory.cell(), range(4), width="32")
FAILED = {"code": "gradients_not_zero", "ok": False, "analysis": "transfer", "detail": {"zero": 40, "n": 50}}
PASSED = {"code": "eps0_equals_clean", "ok": True}


@pytest.fixture
def store(tmp_path: Path, monkeypatch) -> Store:
    """Records that are all right, one that failed a check, and one of a run that failed, long settled, in columns."""
    monkeypatch.setattr(index, "_SETTLED", -1e18)
    store = Store(tmp_path / "runs")
    factory.store(store.records, RUNS[:2])
    factory.store(store.records, RUNS[2:3], checks=[PASSED, FAILED], warnings=["it was hot"], device={"kind": "gpu"})
    record.write(factory.valid(factory.failed(RUNS[3])), store.record(RUNS[3].id))
    saved(store)
    return store


def saved(store: Store) -> Path:
    """Read all records, and write the file."""
    made = KeptRecords(store)
    for run_id in index.run_ids(store):
        made.find(run_id)
    made.save()
    return store.root / kept.FILE


def whole(store: Store) -> list[Record]:
    return [record.read(store.record(run.id)) for run in RUNS]


def never(*_: object) -> None:
    raise AssertionError("this is in the columns")


def same(found: list[Record], expected: list[Record]) -> bool:
    """Whether every field of some records is that of others."""
    names = (*Record.model_fields, "failed_checks")
    pairs = zip(found, expected, strict=True)
    return all(getattr(mine, name) == getattr(other, name) for mine, other in pairs for name in names)


def test_a_kept_record_says_what_its_file_says(store: Store):
    assert same([one(KeptRecords(store), run.id) for run in RUNS], whole(store)), "as it was read"
    (found,) = kept.records(store, RUNS)
    assert same(found, whole(store)), "from the columns"
    assert found[2].failed_checks[0].detail == {"zero": 40, "n": 50}
    assert found[2].device == {"kind": "gpu"}


def one(records: KeptRecords, run_id: str) -> Record:
    found = records.find(run_id)
    assert found is not None
    return found


def test_tables_of_kept_records_are_those_of_records(store: Store, monkeypatch):
    expected = whole(store)
    monkeypatch.setattr(record, "read", never)
    (found,) = kept.records(store, RUNS)
    for form in ("md", "csv"):
        assert show.show(found, form=form) == show.show(expected, form=form)
    assert "†" in show.show(found, planned=RUNS[:3])
    frames = [tables.numbers(each, tables.runs(each, RUNS), keep_empty=True) for each in (found, expected)]
    pd.testing.assert_frame_equal(frames[0], frames[1])
    assert len(frames[0]) == sum(len(each.metrics) for each in expected) + 1
    some = [tables.numbers(each[1:2], tables.runs(each[1:3])) for each in (found, expected)]
    pd.testing.assert_frame_equal(some[0], some[1])
    assert set(some[0]["run_id"]) == {RUNS[1].id}


def test_all_of_a_store_are_found_and_damaged_ones_told(store: Store):
    expected = record.read_all(store.records)[0]
    store.record(RUN.id).write_text("{}")
    found, damaged = kept.every_record(store)
    assert same(found, [each for each in expected if each.run_id != RUN.id])
    assert len(damaged) == 1
    assert str(store.record(RUN.id)) in str(damaged[0])


def test_another_record_is_read(store: Store):
    factory.store(store.records, [RUN], rate=1.0)
    (found,) = kept.records(store, RUNS)
    assert same(found, whole(store))
    record.write(factory.valid(factory.failed(RUN, "oom")), store.record(RUN.id))
    assert kept.records(store, [RUN])[0][0].status == "oom"


def test_a_record_that_is_gone_is_gone(store: Store):
    store.record(RUN.id).unlink()
    (found,) = kept.records(store, RUNS)
    assert [each.run_id for each in found] == [run.id for run in RUNS[1:]]
    opened = KeptRecords.open(store)
    opened.save()
    assert RUN.id not in Columns.read(store.root / kept.FILE).runs


def test_a_byte_that_is_changed_in_place_is_noticed_though_its_time_is_set_back(store: Store):
    path = store.record(RUN.id)
    content, before = path.read_bytes(), path.stat()
    place = content.index(b'"attempt": 1') + len(b'"attempt": ')
    time.sleep(0.02)  # a tick of the file system's clock
    with path.open("r+b") as file:
        file.write(content[:place] + b"2" + content[place + 1 :])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_ino, after.st_mtime_ns) == (before.st_size, before.st_ino, before.st_mtime_ns)
    with pytest.warns(StoreWarning, match="a bit has flipped, or somebody changed it; the run counts as not done"):
        (found,) = kept.records(store, RUNS)
    assert RUN.id not in {each.run_id for each in found}


def test_what_was_changed_a_moment_ago_is_kept_out(store: Store, monkeypatch):
    monkeypatch.setattr(index, "_SETTLED", 2e9)
    factory.store(store.records, RUNS[:1])
    assert RUN.id not in Columns.read(saved(store)).runs


def test_the_columns_of_another_store_count_for_nothing(store: Store, tmp_path: Path):
    other = Store(tmp_path / "other")
    factory.store(other.records, RUNS[:1], rate=1.0)
    (other.root / kept.FILE).write_bytes((store.root / kept.FILE).read_bytes())
    assert same(kept.records(other, RUNS[:1])[0], [record.read(other.record(RUN.id))])


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    """A bit of a number."""
    place = content.index(b"number.value") + 200
    return content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :]


@pytest.mark.parametrize("damage", [lambda _: b"", lambda _: b"PK\3\4", lambda _: b"{}" * 999, half, flipped])
def test_columns_that_are_none_are_made_again(damage: Callable[[bytes], bytes], store: Store):
    path = store.root / kept.FILE
    path.write_bytes(damage(path.read_bytes()))
    assert Columns.read(path).runs == []
    (found,) = kept.records(store, RUNS)
    assert same(found, whole(store))


def test_an_array_that_does_not_fit_the_others_is_refused(store: Store):
    path = store.root / kept.FILE
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    for name, wrong in {
        "number.kind": arrays["number.kind"] + 1000,
        "number.count": arrays["number.count"] + 1,
        "number.value": arrays["number.value"][:, :4],
        "status.place": arrays["status.place"][:-1],
        "runs.end": arrays["runs.end"] + 1,
        "kinds.text": arrays["kinds.text"] ^ 1,
        "signature.text": arrays["signature.text"] ^ 1,
    }.items():
        np.savez(path, **(arrays | {name: wrong}))  # type: ignore[arg-type]
        assert Columns.read(path).runs == [], name
    np.savez(path, **{name: array for name, array in arrays.items() if name != "device.text"})  # type: ignore[arg-type]
    assert Columns.read(path).runs == []


def test_columns_of_another_version_are_made_again(store: Store, monkeypatch):
    monkeypatch.setattr(columns, "_FORMAT", "ntkbench.tables/0")
    assert Columns.read(store.root / kept.FILE).runs == []
    assert Columns.read(saved(store)).runs == sorted(run.id for run in RUNS)


def test_a_part_that_can_no_longer_be_read_is_taken_from_the_record(store: Store, monkeypatch):
    monkeypatch.setattr(columns, "_adapter", lambda _: TypeAdapter(Literal["something else"]))
    (found,) = kept.records(store, RUNS)
    assert same(found, whole(store))


def test_they_are_kept_where_it_is_worth_it_and_can_be(store: Store, monkeypatch):
    path = store.root / kept.FILE
    path.unlink()
    kept.records(store, RUNS)
    assert not path.exists(), "these are read in no time"
    monkeypatch.setattr(index, "_WORTH", 3)
    kept.records(store, RUNS)
    assert sorted(Columns.read(path).runs) == sorted(run.id for run in RUNS)
    path.unlink()
    path.mkdir()
    assert same(kept.records(store, RUNS)[0], whole(store)), "nothing can be written there"


def test_more_records_come_beside_those_there_are(store: Store, monkeypatch):
    monkeypatch.setattr(index, "_WORTH", 1)
    more = factory.planned(factory.cell(width=16), range(2), width="16")
    factory.store(store.records, more)
    kept.records(store, more)
    monkeypatch.setattr(record, "read", never)
    (found,) = kept.records(store, [*RUNS, *more])
    assert len(found) == len(RUNS) + 2
    kinds = [repr(kind) for kind in kept.numbers(found).kinds]
    assert len(kinds) == len(set(kinds)) == len(found[0].metrics)


def test_labels_of_other_types_keep_apart():
    rows = [
        {**factory.a_record(RUN, factory.outcomes(np.random.default_rng(0)))["metrics"][0], "where": {"at": at}}
        for at in (1, True, 1.0, "1")
    ]
    found = columns.numbers_of([factory.valid(factory.a_record(RUN, metrics=rows))])
    assert [repr(kind["where"]["at"]) for kind in found.kinds] == ["1", "True", "1.0", "'1'"]


WRITER = """
import sys
from pathlib import Path
from ntkbench.store import index, kept
from ntkbench.store.store import Store
index._SETTLED = -1e18
records = kept.KeptRecords(Store(Path(sys.argv[1])))
for run_id in sys.argv[2:]:
    records.find(run_id)
for _ in range(10):
    records.save()
"""


@pytest.mark.slow
def test_two_processes_that_write_at_once_leave_the_columns_of_one(store: Store):
    halves = [run.id for run in RUNS[:2]], [run.id for run in RUNS[2:]]
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, store.root, *ids]) for ids in halves]
    while any(writer.poll() is None for writer in writers):
        assert set(Columns.read(store.root / kept.FILE).runs) in ({*halves[0]}, {*halves[1]}, {*halves[0], *halves[1]})
        assert len(kept.records(store, RUNS)[0]) == len(RUNS)
    assert [writer.returncode for writer in writers] == [0, 0]
    assert set(Columns.read(store.root / kept.FILE).runs) in map(set, halves)
    assert same(kept.records(store, RUNS)[0], whole(store))
    assert [path.name for path in store.root.iterdir() if path.name.endswith(".tmp")] == []
