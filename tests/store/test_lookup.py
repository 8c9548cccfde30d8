from pathlib import Path

import pytest

from ntkbench.store import lookup, record
from ntkbench.store.store import Store, StoreWarning
from tests.examples import factory

RUN, *_ = RUNS = factory.planned(factory.cell(), range(3), width="32")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_where_there_is_nothing_nothing_is_found(store: Store):
    assert lookup.find(store, RUN) is None
    assert lookup.records(store, RUNS) == []
    assert lookup.attempts(store, RUN) == 0
    assert lookup.is_pending(store, RUN, retry=False)


@pytest.mark.parametrize(
    ("status", "retried", "kept"),
    [
        ("ok", False, False),
        ("interrupted", True, True),
        *((status, True, False) for status in ("failed", "diverged", "timeout", "oom")),
    ],
)
def test_what_is_still_to_be_done(status: str, retried: bool, kept: bool, store: Store):
    document = factory.a_record(RUN) if status == "ok" else factory.failed(RUN, status)
    record.write(factory.valid({**document, "attempt": 3}), store.record(RUN.id))
    assert lookup.is_pending(store, RUN) == retried
    assert lookup.is_pending(store, RUN, retry=False) == kept
    assert lookup.attempts(store, RUN) == 3


def test_a_record_that_cannot_be_read_counts_as_none(store: Store):
    factory.store(store.records, RUNS)
    store.record(RUN.id).write_text("{}")
    with pytest.warns(StoreWarning, match="the run counts as not done"):
        assert [found.run_id for found in lookup.records(store, RUNS)] == [run.id for run in RUNS[1:]]


@pytest.mark.parametrize("damage", ["gone", "cut"])
@pytest.mark.parametrize("retry", [True, False])
def test_a_record_without_its_arrays_is_to_be_done_again(damage: str, retry: bool, store: Store):
    factory.store(store.records, RUNS)
    assert not lookup.is_pending(store, RUN, retry)
    content = store.arrays(RUN.id).read_bytes()
    store.arrays(RUN.id).unlink()
    if damage == "cut":
        store.arrays(RUN.id).write_bytes(content[:-1])
    with pytest.warns(StoreWarning, match=f"{RUN.id}.npz is damaged or gone"):
        assert lookup.is_pending(store, RUN, retry)
