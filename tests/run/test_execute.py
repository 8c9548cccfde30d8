"""Runs: one record each, once; whatever happens in between, the same numbers."""

import errno
import json
import re
from pathlib import Path

import jax
import numpy as np
import pytest

from ntkbench.errors import DivergedError, NumericsError, StorageError, TimeoutReached, UsageError
from ntkbench.plan import memory
from ntkbench.plan.cost.estimate import estimate
from ntkbench.plan.runs import Run
from ntkbench.run import measure
from ntkbench.run.environment import status_of
from ntkbench.run.job import Options
from ntkbench.store import lookup
from ntkbench.store.record import read, write
from ntkbench.store.store import Store, StoreWarning
from tests.examples import tiny
from tests.examples.factory import valid
from tests.examples.tiny import Listener


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Store:
    """A store where the tiny experiment ran in one go."""
    folder = tmp_path_factory.mktemp("finished")
    store = Store(folder / "runs")
    tiny.run(tiny.planned(folder), store)
    return store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def interrupt(run: Run, what: str) -> None:
    raise KeyboardInterrupt


def test_each_run_has_a_record(tmp_path: Path, finished: Store):
    planned = tiny.planned(tmp_path)
    records = lookup.records(finished, planned.runs)
    assert [(r.run_id, r.status, r.attempt, r.spec.seed) for r in records] == [
        (run.id, "ok", 1, run.seed) for run in planned.runs
    ]
    for r in records:
        assert {row.metric for row in r.metrics} >= {
            "accuracy",
            "robust_accuracy",
            "transfer_rate",
            "normalized_transfer",
        }
        # After three epochs the network is not where the kernel is at infinite time.
        assert {check.code for check in r.checks if not check.ok} == {"source_and_target_at_equal_time"}
        assert r.execution["trained_together"] == [0, 1]
        assert r.stages["training"].key.startswith("t")
        assert r.stages["kernel.limit"].key.startswith("k")
        assert r.series["training.loss"].shape == (3,)
        assert r.jax["x64"] is True
        assert finished.log(r.run_id).read_text().endswith(" ok\n")
    assert [record.stages["kernel.limit"].cached for record in records] == [False, True]


def test_the_same_call_again_repeats_nothing(tmp_path: Path, finished: Store):
    before = tiny.files(finished.root)
    told = tiny.run(tiny.planned(tmp_path), finished)
    assert told.begun == (2, 2)
    assert told.lines == []
    assert tiny.files(finished.root) == before


def test_another_store_gets_the_same_bits(tmp_path: Path, store: Store, finished: Store):
    planned = tiny.planned(tmp_path)
    told = tiny.run(planned, store)
    assert told.lines == [(run.id, "ok") for run in planned.runs]
    assert tiny.results(store, planned.runs) == tiny.results(finished, planned.runs)


@pytest.mark.slow
def test_more_seeds_leave_the_first_records_alone(tmp_path: Path, store: Store):
    tiny.run(tiny.planned(tmp_path), store)
    before = tiny.files(store.records)
    more = tiny.planned(tmp_path, "seeds=4")
    told = tiny.run(more, store)
    after = tiny.files(store.records)
    assert told.begun == (4, 2)
    assert [run_id for run_id, _ in told.lines] == [run.id for run in more.runs[2:]]
    assert after.keys() > before.keys()
    assert {name: after[name] for name in before} == before
    assert read(store.record(more.runs[3].id)).execution["trained_together"] == [2, 3]


def test_fewer_seeds_are_a_part_of_the_plan(tmp_path: Path, finished: Store):
    assert tiny.run(tiny.planned(tmp_path, "seeds=[1]"), finished).begun == (1, 1)


@pytest.mark.parametrize(
    ("overrides", "status", "message"),
    [
        (["training.optimizer={kind: sgd, learning_rate: 1e30}"], "diverged", "not finite from epoch .* smaller"),
        pytest.param(
            ["data.dataset={kind: two_gaussians, dim: 6, sd: 1e-15}"], "failed", "singular", marks=pytest.mark.slow
        ),
        (["run.timeout=1e-6"], "timeout", r"longer than run\.timeout"),
    ],
)
def test_what_goes_wrong_is_recorded(overrides: list[str], status: str, message: str, tmp_path: Path, store: Store):
    planned = tiny.planned(tmp_path, *overrides)
    told = tiny.run(planned, store)
    assert told.lines == [(run.id, status) for run in planned.runs]
    for found in lookup.records(store, planned.runs):
        assert found.status == status
        assert found.metrics == ()
        assert found.error is not None
        assert re.search(message, found.error.message)
        assert "Traceback" in store.log(found.run_id).read_text()


@pytest.mark.slow
def test_bad_ends_are_tried_again_unless_asked_not_to(tmp_path: Path, store: Store, finished: Store):
    timed_out, planned = tiny.planned(tmp_path, "run.timeout=1e-6"), tiny.planned(tmp_path)
    tiny.run(timed_out, store)
    assert tiny.run(planned, store, Options(retry=False)).lines == []
    tiny.run(planned, store)
    assert [found.attempt for found in lookup.records(store, planned.runs)] == [2, 2]
    assert tiny.results(store, planned.runs) == tiny.results(finished, planned.runs)


def failing(monkeypatch, *failures: Exception) -> None:
    """The first analyses fail like this, one each."""
    from ntkbench.analyses.transfer import transfer

    left = list(failures)

    def fails(*arguments, **options):
        if left:
            raise left.pop(0)
        return transfer(*arguments, **options)

    monkeypatch.setattr(measure, "transfer", fails)


@pytest.mark.parametrize(
    "failure", [RuntimeError("who knows"), pytest.param(NumericsError("no"), marks=pytest.mark.slow)]
)
def test_a_failure_of_one_run_stops_no_other(failure: Exception, tmp_path: Path, store: Store, monkeypatch):
    planned = tiny.planned(tmp_path)
    failing(monkeypatch, failure)
    told = tiny.run(planned, store)
    assert [end for _, end in told.lines] == ["failed", "ok"]
    first = read(store.record(planned.runs[0].id))
    assert first.error is not None
    assert first.error.message == str(failure)
    assert first.samples is None


EXHAUSTED = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 8000000000000 bytes.")


@pytest.mark.parametrize("failure", [MemoryError(), EXHAUSTED])
def test_what_runs_out_of_memory_is_tried_once_more_with_half_the_tiles(
    failure: Exception, tmp_path: Path, store: Store, finished: Store, monkeypatch
):
    planned = tiny.planned(tmp_path, "run.tile_bytes=1MB")
    failing(monkeypatch, failure)
    told = tiny.run(planned, store)
    assert [end for _, end in told.lines] == ["ok", "ok"]
    assert len(told.warnings) == 1
    assert told.warnings[0].startswith("out of memory")
    found = lookup.records(store, planned.runs)
    assert [each.execution["tile_bytes"] for each in found] == [5e5, 1e6]
    assert [each.attempt for each in found] == [1, 1]


@pytest.mark.parametrize("failure", [MemoryError(), pytest.param(EXHAUSTED, marks=pytest.mark.slow)])
def test_what_runs_out_of_memory_twice_is_recorded_so(failure: Exception, tmp_path: Path, store: Store, monkeypatch):
    planned = tiny.planned(tmp_path, "run.tile_bytes=1MB")
    failing(monkeypatch, failure, failure)
    told = tiny.run(planned, store)
    assert [end for _, end in told.lines] == ["oom", "ok"]
    first = read(store.record(planned.runs[0].id))
    assert first.error is not None
    assert "also with tiles of 500 kB; a smaller run.tile_bytes" in first.error.message


def test_memory_that_is_not_there_is_recognized():
    with pytest.raises(jax.errors.JaxRuntimeError) as caught:
        jax.numpy.zeros(2**50, jax.numpy.uint8).block_until_ready()
    assert status_of(caught.value) == "oom"
    with pytest.raises(MemoryError) as missing:
        np.zeros(2**60, np.uint8)
    assert status_of(missing.value) == "oom"


def test_a_store_that_cannot_be_written_ends_the_call_and_no_run(tmp_path: Path, store: Store, monkeypatch):
    planned = tiny.planned(tmp_path)
    failing(monkeypatch, StorageError("objects: cannot be written: No space left on device"))
    with pytest.raises(StorageError, match="No space left"):
        tiny.run(planned, store)
    assert lookup.records(store, planned.runs) == []


@pytest.mark.parametrize(
    "moment", ["epoch", *(pytest.param(name, marks=pytest.mark.slow) for name in ("kernel", "analysis", "attack"))]
)
def test_an_interrupted_call_is_resumed(moment: str, tmp_path: Path, store: Store, finished: Store):
    planned = tiny.planned(tmp_path, "run.checkpoint_every=1")
    with pytest.raises(KeyboardInterrupt):
        tiny.run(planned, store, listener=Listener(**{moment: interrupt}))
    assert tiny.statuses(lookup.records(store, planned.runs)) == ["interrupted"]
    tiny.run(planned, store, Options(retry=False))
    assert [found.attempt for found in lookup.records(store, planned.runs)] == [2, 1]
    assert tiny.results(store, planned.runs) == tiny.results(finished, planned.runs)


@pytest.mark.slow
def test_a_damaged_record_is_made_again(tmp_path: Path, store: Store, finished: Store):
    planned = tiny.planned(tmp_path)
    tiny.run(planned, store)
    for damage in (b"", b"{", store.record(planned.runs[0].id).read_bytes()):
        store.record(planned.runs[1].id).write_bytes(damage)
        with pytest.warns(StoreWarning, match="the run counts as not done"):
            told = tiny.run(planned, store)
        assert told.begun == (2, 1)
        assert told.lines == [(planned.runs[1].id, "ok")]
        assert tiny.results(store, planned.runs) == tiny.results(finished, planned.runs)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda path: path.unlink(), marks=pytest.mark.slow),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
    ],
)
def test_damaged_arrays_of_a_record_are_made_again(damage, tmp_path: Path, store: Store, finished: Store):
    planned = tiny.planned(tmp_path)
    tiny.run(planned, store)
    damage(store.arrays(planned.runs[1].id))
    with pytest.warns(StoreWarning, match="the run counts as not done"):
        told = tiny.run(planned, store)
    assert told.lines == [(planned.runs[1].id, "ok")]
    assert tiny.results(store, planned.runs) == tiny.results(finished, planned.runs)


@pytest.mark.parametrize(
    "stage", ["kernel", *(pytest.param(name, marks=pytest.mark.slow) for name in ("craft", "training"))]
)
def test_a_damaged_stage_is_made_again(stage: str, tmp_path: Path, store: Store, finished: Store):
    planned = tiny.planned(tmp_path)
    tiny.run(planned, store)
    (damaged,) = (store.root / "objects" / stage).glob("*/arrays.npz")
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[: len(whole) // 3])
    for run in planned.runs:
        store.record(run.id).unlink()
    told = tiny.run(planned, store)
    assert any("is damaged" in warning for warning in told.warnings)
    assert damaged.read_bytes() == whole
    assert tiny.results(store, planned.runs) == tiny.results(finished, planned.runs)


@pytest.mark.slow
def test_what_another_process_tried_meanwhile_is_left_to_it(tmp_path: Path, store: Store):
    planned = tiny.planned(tmp_path)

    class Late(Listener):
        def begin(self, runs: int, done: int) -> None:
            """Between the look at what is there and the first run, the other one is at work."""
            tiny.run(planned, store, Options())
            failed = json.loads(store.record(planned.runs[1].id).read_bytes())
            failed |= {"status": "failed", "error": {"type": "NumericsError", "message": "no"}}
            write(valid(failed), store.record(planned.runs[1].id))

    assert tiny.run(planned, store, listener=Late()).lines == []
    assert [found.attempt for found in lookup.records(store, planned.runs)] == [1, 1]


def test_the_end_of_a_run_has_a_name():
    ends = {
        "ok": None,
        "interrupted": KeyboardInterrupt(),
        "timeout": TimeoutReached("x"),
        "diverged": DivergedError("x"),
        "oom": jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate"),
        "failed": jax.errors.JaxRuntimeError("INTERNAL: x"),
    }
    assert {name: status_of(failure) for name, failure in ends.items()} == {name: name for name in ends}


def test_too_little_memory_is_told_before_it_runs_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    planned, store = tiny.planned(tmp_path, "run.timeout=1e-6"), Store(tmp_path / "runs")
    needed = estimate(planned).peak_bytes
    monkeypatch.setattr(memory, "host_bytes", lambda: int(0.9 * needed))
    (told,) = tiny.run(planned, store).warnings
    assert "may run out of memory; what helps is " in told


def test_what_takes_far_more_memory_than_there_is_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory, "host_bytes", lambda: 10**6)
    planned, store = tiny.planned(tmp_path, "run.timeout=1e-6"), Store(tmp_path / "runs")
    with pytest.raises(UsageError, match=r"there are 1\.0 MB; what helps is .* --force begins all the same"):
        tiny.run(planned, store)
    assert lookup.records(store, planned.runs) == []
    assert len(tiny.run(planned, store, Options(force=True)).lines) == 2


def test_what_helps_is_of_the_stage_that_takes_most(tmp_path: Path):
    wide = tiny.planned(tmp_path, "width=100000", "architecture.depth=3")
    assert estimate(wide).advice == "a smaller width or training.batch_size"
    large = tiny.planned(tmp_path, "data.n_train=30000")
    assert estimate(large).advice == "fewer training examples"


def test_tiles_are_a_share_of_the_memory_unless_told():
    assert memory.tile_bytes(1e6, 80 * 10**9) == 1e6
    assert memory.tile_bytes(None, 80 * 10**9) == 5e9
    assert 0 < memory.tile_bytes(None) <= 512e6


def test_a_full_disk_ends_the_sweep_and_is_no_result(tmp_path: Path, store: Store, monkeypatch):
    planned = tiny.planned(tmp_path)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as at_first:
        at_first.setattr("numpy.savez", full)
        with pytest.raises(StorageError, match="No space left on device; make room"):
            tiny.run(planned, store)
    assert lookup.records(store, planned.runs) == []
    assert [path for path in store.root.rglob("*") if path.name.startswith(".")] == []
    tiny.run(planned, store)
    assert [(each.status, each.attempt) for each in lookup.records(store, planned.runs)] == [("ok", 1)] * 2


def test_a_log_that_is_a_link_is_replaced(tmp_path: Path):
    planned, store = tiny.planned(tmp_path), Store(tmp_path / "runs")
    (tmp_path / "secret").write_text("kept")
    log = store.log(planned.runs[0].id)
    log.parent.mkdir(parents=True)
    log.symlink_to(tmp_path / "secret")
    tiny.run(planned, store)
    assert (tmp_path / "secret").read_text() == "kept"
    assert "ok" in log.read_text()
