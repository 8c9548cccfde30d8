"""What a store has, spec by spec."""

from pathlib import Path

from ntkbench.status.contents import contents
from ntkbench.store import record
from ntkbench.store.folder import StoreFolder
from tests.examples import factory

CHECK = {"code": "loss_reached", "ok": False, "analysis": None, "detail": {}}


def test_specs_are_listed_with_the_newest_first(tmp_path: Path):
    store = StoreFolder(tmp_path)
    runs = factory.planned(factory.cell(), range(3), width="32")
    request = factory.a_record(runs[2])["spec"] | {"name": "newer"}
    late = {"started": "2026-02-01T00:00:00Z", "ended": "2026-02-01T00:01:00Z"}
    for run, value in zip(
        runs,
        (
            factory.a_record(runs[0], checks=[CHECK]),
            factory.failed(runs[1]),
            factory.a_record(runs[2], spec=request, time=late),
        ),
        strict=True,
    ):
        record.write(factory.valid(value), store.record(run.id))
    header, _, newer, older, *_ = contents(store).splitlines()
    assert header.split("  ")[0] == "spec"
    assert [cell.strip() for cell in newer.split("  ") if cell] == ["newer", "1", "1 ok", "2026-02-01 00:01"]
    assert [cell.strip() for cell in older.split("  ") if cell] == [
        "synthetic", "2", "1 ok, 1 failed", "in 1 runs", "2025-01-01 00:01",
    ]  # fmt: skip


def test_an_empty_store_says_what_to_do_and_is_not_made(tmp_path: Path):
    assert "`ntkbench run SPEC` makes some" in contents(StoreFolder(tmp_path / "none"))
    assert not (tmp_path / "none").exists()
