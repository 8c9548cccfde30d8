"""Finished runs are logged once each, and the log holds what the record does; what fails costs a warning."""

import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ntkbench.errors import StorageError, UsageError
from ntkbench.plan.runs import Run
from ntkbench.run.tracking.run_log import RunLog, run_log
from ntkbench.run.tracking.tracked import TRACKERS, Tracked, Tracker, opened
from ntkbench.store import arrays, record
from ntkbench.store.record import Record, Status
from ntkbench.store.store import Store
from tests.examples import factory
from tests.examples.events import EventFile
from tests.examples.tiny import Listener

RUNS = factory.planned(factory.cell(), range(3), width="32", eps="8/255", seed="of the data")
RUN = RUNS[0]
LOSSES = (0.7, 0.25, 0.1)
RATE = "transfer_rate/transfer target=self attack=ntk source=limit eps=8/255 denominator=all"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def keep(store: Store, run: Run, **changes: Any) -> Record:
    """Write the record of a run whose numbers, losses and checks are known."""
    metrics = factory.a_record(run, factory.outcomes(np.random.default_rng(run.seed)))["metrics"]
    metrics.append(
        {**metrics[0], "metric": "k90", "value": None, "k": None, "n": None, "reason": "too few", "where": {}}
    )
    metrics[-1].update(ci95=None, ci_method=None)
    checks = [
        {"code": "eps0_equals_clean", "ok": True, "analysis": "transfer"},
        {"code": "not_converged", "ok": False, "analysis": "transfer", "detail": {"loss": 0.1}},
    ]
    _, series = arrays.write(store.arrays(run.id), {}, {"training.loss": np.array(LOSSES)})
    made = factory.a_record(run, metrics=metrics, checks=checks, series=series, **changes)
    record.write(factory.valid(made), store.record(run.id))
    return record.read(store.record(run.id))


def log_of(store: Store, run: Run = RUN) -> tuple[RunLog, Record]:
    kept = keep(store, run)
    return run_log(run, kept, store.records), kept


def test_a_run_is_logged_with_all_its_numbers(store: Store):
    log, kept = log_of(store)
    assert (log.id, log.spec, log.title) == (RUN.id, "synthetic", "width=32 eps=8/255 seed=of the data seed=0")
    params = {"run_id": RUN.id, "spec": "synthetic", "seed": 0, "width": 32, "eps": "8/255", "cell.seed": "of the data"}
    assert log.params == params
    assert log.curves == {"training/loss": LOSSES}
    values = [row.value for row in kept.metrics if row.value is not None]
    assert list(log.scalars.values()) == values
    assert len(values) == len(kept.metrics) - 1, "names are different"
    [rate] = [
        row
        for row in kept.metrics
        if row.metric == "transfer_rate"
        and row.where.items() >= {"attack": "ntk", "eps": "8/255", "denominator": "all"}.items()
    ]
    assert log.scalars[RATE] == rate.value
    assert log.texts == {
        "failed checks": ("not_converged (transfer): {'loss': 0.1}",),
        "numbers without a value": ("k90/transfer: too few",),
    }
    assert (log.ended - log.began).total_seconds() == 71.3


@pytest.mark.parametrize(("label", "param"), [("0.1", 0.1), ("64", 64), ("1/10", "1/10"), ("inf", "inf"), ("on", "on")])
def test_labels_that_are_numbers_are_numbers(label: str, param: object, store: Store):
    log, _ = log_of(store, factory.planned(factory.cell(), [0], axis=label)[0])
    assert log.params["axis"] == param
    assert type(log.params["axis"]) is type(param)


def test_tensorboard_reads_what_the_record_says(store: Store, tmp_path: Path):
    log, _ = log_of(store)
    opened("tensorboard", tmp_path / "logs")(log)
    [path] = (tmp_path / "logs").rglob("*tfevents*")
    assert path.parent.relative_to(tmp_path / "logs").parts == (
        "synthetic", f"width-32-eps-8-255-seed-of-the-data-seed-0-{RUN.id}",
    )  # fmt: skip
    read = EventFile(path)
    assert read.scalars == {
        **{name: [(0, np.float32(value))] for name, value in log.scalars.items()},
        "training/loss": [(i, np.float32(loss)) for i, loss in enumerate(LOSSES, 1)],
    }
    assert read.params == log.params
    assert read.texts["failed checks/text_summary"] == "- not\\_converged (transfer): {'loss': 0.1}"
    assert read.times == {log.ended.timestamp()}


def test_tensorboard_itself_reads_the_file(store: Store, tmp_path: Path):
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="TensorBoard itself is not installed",
        exc_type=ImportError,
    )  # fmt: skip
    log, _ = log_of(store)
    opened("tensorboard", tmp_path / "logs")(log)
    [path] = (tmp_path / "logs").rglob("*tfevents*")
    read = accumulator.EventAccumulator(str(path)).Reload()
    assert set(read.Tags()["scalars"]) == {*log.scalars, "training/loss"}
    assert [event.value for event in read.Scalars(RATE)] == [np.float32(log.scalars[RATE])]
    assert [event.step for event in read.Scalars("training/loss")] == [1, 2, 3]


def _wandb_records(path: Path) -> Iterator[Any]:
    """Yield the records of a run that wandb kept offline: a header of 7 bytes, then records as in a LevelDB log."""
    from wandb.proto.wandb_internal_pb2 import Record as WandbRecord  # pyright: ignore

    content, at, part = path.read_bytes(), 7, b""
    while at + 7 <= len(content):
        _, length, kind = struct.unpack("<IHB", content[at : at + 7])
        part += content[at + 7 : at + 7 + length]
        at += 7 + length
        if 2**15 - at % 2**15 < 7:  # no header fits into the rest of a block
            at += 2**15 - at % 2**15
        if kind in (1, 4):  # whole, or the last part
            yield WandbRecord.FromString(part)
            part = b""


def test_wandb_keeps_a_run_offline(store: Store, tmp_path: Path, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="wandb is not installed", exc_type=ImportError)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    log, _ = log_of(store)
    opened("wandb", tmp_path / "logs" / "wandb")(log)
    wandb.teardown()  # its service may still be writing
    [path] = (tmp_path / "logs").rglob("*.wandb")
    records = list(_wandb_records(path))
    [run] = [each.run for each in records if each.WhichOneof("record_type") == "run"]
    assert (run.run_id, run.project, run.run_group, run.display_name) == (log.id, "ntkbench", log.spec, log.title)
    params = {each.key: each.value_json for each in run.config.update}
    assert params["width"] == "32"
    assert params["eps"] == '"8/255"'
    rows = [_items(each.history.item) for each in records if each.WhichOneof("record_type") == "history"]
    assert [(row["epoch"], row["training/loss"]) for row in rows if "epoch" in row] == [
        (str(i), str(loss)) for i, loss in enumerate(LOSSES, 1)
    ]
    assert {name: float(rows[-1][name]) for name in log.scalars} == log.scalars


def _items(items: Any) -> dict[str, str]:
    return {each.key or "/".join(each.nested_key): each.value_json for each in items}


def test_mlflow_keeps_a_run_in_a_folder(store: Store, tmp_path: Path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed", exc_type=ImportError)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    log, _ = log_of(store)
    write = opened("mlflow", tmp_path / "logs")
    write(log)
    client = mlflow.MlflowClient((tmp_path / "logs" / "mlruns").as_uri())
    experiment = client.get_experiment_by_name("synthetic")
    [run] = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == (log.title, "FINISHED")
    assert run.data.params == {name: str(value) for name, value in log.params.items()}
    named = {name.replace("=", ":").replace("8/255", "8_255").replace("2/255", "2_255") for name in log.scalars}
    assert set(run.data.metrics) == {*named, "training/loss"}
    assert run.data.metrics[RATE.replace("=", ":").replace("8/255", "8_255")] == log.scalars[RATE]
    history = client.get_metric_history(run.info.run_id, "training/loss")
    assert [(each.step, each.value) for each in history] == list(enumerate(LOSSES, 1))
    text = Path(run.info.artifact_uri.removeprefix("file://")) / "failed checks.txt"
    assert text.read_text() == "not_converged (transfer): {'loss': 0.1}\n"
    monkeypatch.setattr(mlflow.MlflowClient, "set_terminated", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write(log)
    assert len(client.search_runs([experiment.experiment_id])) == 1, "what was logged in part is deleted"


@pytest.mark.parametrize(
    ("tracker", "library"), [("tensorboard", "tensorboardX"), ("wandb", "wandb"), ("mlflow", "mlflow")]
)
def test_a_missing_library_is_told_with_the_command_that_installs_it(tracker: Tracker, library: str, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, f"ntkbench.run.tracking.to_{tracker}", raising=False)
    with pytest.raises(UsageError, match=rf"--log {tracker}: .*{library}.*; pip install 'ntkbench\[{tracker}\]'"):
        opened(tracker, Path("nowhere"))


def test_a_link_is_not_followed(store: Store, tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="is a link"):
        opened(TRACKERS[0], tmp_path / "link")
    log, _ = log_of(store)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "synthetic").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="is a link"):
        opened("tensorboard", tmp_path / "logs")(log)
    assert list((tmp_path / "elsewhere").iterdir()) == []


class Tool:
    """A tracker that keeps the ids of what it is given, and fails as often as it is told to."""

    def __init__(self, failures: int = 0):
        self.ids: list[str] = []
        self._failures = failures

    def __call__(self, log: RunLog) -> None:
        self._failures -= 1
        if self._failures >= 0:
            raise OSError(28, "No space left on device")
        self.ids.append(log.id)


def watched(store: Store, tool: Tool, *ends: tuple[Run, Status]) -> Listener:
    """Return what was heard by the receiver behind a `Tracked` while these runs ended."""
    heard = Listener()
    tracked = Tracked(heard, tool, store.root / "logs" / "tool", store, RUNS)
    tracked.begin(3, 0)
    tracked.working(RUN, "epoch 1")
    for run, status in ends:
        tracked.ended(run, status, 1.0, "")
    tracked.warn("a warning")
    tracked.close()
    return heard


def test_every_run_is_logged_once(store: Store):
    one, other, third = RUNS
    tool = Tool()
    keep(store, one)
    record.write(factory.valid(factory.failed(other)), store.record(other.id))
    heard = watched(store, tool, (other, "failed"))
    assert tool.ids == [one.id], "it was done before"
    assert (heard.begun, heard.lines, heard.warnings) == ((3, 0), [(other.id, "failed")], ["a warning"])
    keep(store, other)
    keep(store, third)
    watched(store, tool, (other, "ok"), (third, "ok"))
    assert tool.ids == [one.id, other.id, third.id]
    watched(store, tool)
    watched(store, tool, (one, "ok"))
    assert tool.ids == [one.id, other.id, third.id]


def test_an_error_of_the_log_is_one_warning_and_the_same_command_logs_the_rest(store: Store):
    for run in RUNS:
        keep(store, run)
    tool = Tool(failures=2)
    heard = watched(store, tool)
    assert tool.ids == [RUNS[2].id]
    assert heard.warnings == [
        "width=32 eps=8/255 seed=of the data seed=0 is not logged: [Errno 28] No space left on device",
        "a warning",
        "2 runs are not logged; the same command tries them again",
    ]
    watched(store, tool)
    assert tool.ids == [RUNS[2].id, RUNS[0].id, RUNS[1].id]


def test_a_full_disk_leaves_no_half_of_a_file(store: Store, tmp_path: Path, monkeypatch):
    log, _ = log_of(store)
    write = opened("tensorboard", tmp_path / "logs")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ntkbench.files.flush", full)
    with pytest.raises(StorageError, match="No space left on device; make room"):
        write(log)
    assert [path for path in (tmp_path / "logs").rglob("*") if path.is_file()] == []
