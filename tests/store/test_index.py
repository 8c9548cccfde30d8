"""The index: as fast as it can be, and never a run done that is not."""

import json
import os
import time
from pathlib import Path

import pytest

from ntkbench.store import index, lookup, record
from ntkbench.store.index import Index
from ntkbench.store.store import Store, StoreWarning
from tests.examples import factory

RUN, *_ = RUNS = factory.planned(factory.cell(), range(4), width="32")


@pytest.fixture
def store(tmp_path: Path, monkeypatch) -> Store:
    """Records that are all right and one that failed, long settled, in an index."""
    monkeypatch.setattr(index, "_SETTLED", -1e18)
    store = Store(tmp_path / "runs")
    factory.store(store.records, RUNS[:3])
    record.write(factory.valid(factory.failed(RUNS[3])), store.record(RUNS[3].id))
    built, damaged = index.build(store)
    assert damaged == []
    built.save()
    return store


def never(*_: object) -> None:
    raise AssertionError("this is in the index")


def test_what_is_in_it_is_not_read_again(store: Store, monkeypatch):
    expected = {run.id: Index(store).summary(run.id) for run in RUNS}
    monkeypatch.setattr(record, "read", never)
    monkeypatch.setattr(index, "checksum", never)
    assert lookup.summaries(store, RUNS) == expected
    assert lookup.pending(store, RUNS) == [RUNS[3]]
    assert lookup.pending(store, RUNS, retry=False) == []


def test_an_end_says_what_its_record_says(store: Store):
    ok, failed = (Index(store).summary(run.id) for run in (RUN, RUNS[3]))
    assert ok is not None
    assert failed is not None
    assert (ok.status, ok.attempt, ok.error, ok.spec) == ("ok", 1, None, "synthetic")
    assert ok.stages == {"training": "t0"}
    assert ok.arrays == (index.checksum(store.arrays(RUN.id)),)
    assert (failed.status, failed.error, failed.arrays) == ("failed", "the loss is NaN", ())


def test_another_record_is_read(store: Store):
    record.write(factory.valid(factory.failed(RUN, "oom")), store.record(RUN.id))
    assert lookup.summaries(store, RUNS)[RUN.id].status == "oom"
    assert lookup.pending(store, RUNS) == [RUN, RUNS[3]]


def test_a_record_that_is_gone_is_gone(store: Store):
    store.record(RUN.id).unlink()
    assert RUN.id not in lookup.summaries(store, RUNS)
    assert lookup.pending(store, RUNS, retry=False) == [RUN]


@pytest.mark.parametrize("name", ["record", "arrays"])
def test_a_byte_that_is_changed_in_place_is_noticed_though_its_time_is_set_back(name: str, store: Store):
    path = getattr(store, name)(RUN.id)
    content, before = bytearray(path.read_bytes()), path.stat()
    content[-3] ^= 1
    time.sleep(0.02)  # a tick of the file system's clock
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_ino, after.st_mtime_ns) == (before.st_size, before.st_ino, before.st_mtime_ns)
    with pytest.warns(StoreWarning, match="the run counts as not done"):
        assert RUN in lookup.pending(store, RUNS)


def test_the_index_of_another_machine_counts_for_nothing(store: Store, tmp_path: Path):
    other = Store(tmp_path / "other")
    factory.store(other.records, RUNS[:1])
    other.record(RUN.id).write_text("{}")
    (other.root / index.FILE).write_bytes((store.root / index.FILE).read_bytes())
    with pytest.warns(StoreWarning, match="the run counts as not done"):
        assert lookup.pending(other, RUNS[:1]) == [RUN]


def test_what_was_changed_a_moment_ago_is_kept_out(store: Store, monkeypatch):
    monkeypatch.setattr(index, "_SETTLED", 2e9)
    time.sleep(0.02)
    factory.store(store.records, RUNS[:1])
    built, _ = index.build(store)
    built.save()
    assert RUN.id not in Index.open(store).entries


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": "ntkbench.index/2", "entries": {}}', "[" * 100_000])
def test_an_index_that_is_none_is_made_again(content: str, store: Store):
    (store.root / index.FILE).write_text(content)
    assert lookup.pending(store, RUNS) == [RUNS[3]]
    assert Index.open(store).entries == {}


def test_it_is_kept_where_it_is_worth_it_and_can_be(store: Store, monkeypatch):
    path = store.root / index.FILE
    path.unlink()
    lookup.pending(store, RUNS)
    assert not path.exists(), "these are read in no time"
    monkeypatch.setattr(index, "_WORTH", 3)
    lookup.pending(store, RUNS)
    assert len(json.loads(path.read_bytes())["entries"]) == len(RUNS)
    path.unlink()
    path.mkdir()
    assert lookup.pending(store, RUNS) == [RUNS[3]], "nothing can be written there"


def test_a_record_that_is_damaged_is_told(store: Store):
    store.record(RUN.id).write_text("{}")
    built, damaged = index.build(store)
    assert len(damaged) == 1
    assert sorted(built.entries) == sorted(run.id for run in RUNS[1:])
