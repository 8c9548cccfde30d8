from pathlib import Path

import numpy as np
import pytest

from ntkbench.errors import UsageError
from ntkbench.store import index
from ntkbench.store.kept import KeptRecords
from ntkbench.store.store import Store
from ntkbench.store.upkeep import inventory
from tests.examples import factory

RUNS = factory.planned(factory.cell(), range(2), width="32")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Something of everything."""
    store = Store(tmp_path / "runs")
    factory.store(store.records, RUNS, stages={"training": {"key": "t0123456789ab-0", "cached": False}})
    for stage, key in {"training": "t0123456789ab-0", "checkpoint": "t1123456789ab-0@step5"}.items():
        store.save(stage, key, {"a": np.zeros(len(stage) ** 5)})
    (store.root / "objects" / "kernel" / ".k0.1234").mkdir(parents=True)
    (store.records / ".r.json.1234.tmp").write_text("half")
    (store.root / "notes.txt").write_text("mine")
    with store.lock("unit"):
        index.build(store)[0].save()
    KeptRecords.open(store).save()
    return store


def test_every_file_is_of_some_use(store: Store):
    found = list(inventory.items(store))
    kinds = {kind: [each.name for each in found if each.kind == kind] for kind in inventory.KINDS}
    assert {kind: len(names) for kind, names in kinds.items() if names} == {
        "training": 1, "checkpoint": 1, "records": 2, "arrays": 2, "locks": 1, "drafts": 2, "index": 2, "other": 1,
    }  # fmt: skip
    assert kinds["other"] == ["notes.txt"]
    assert kinds["records"] == kinds["arrays"] == index.run_ids(store)
    assert sum(each.bytes for each in found) == sum(p.stat().st_size for p in store.root.rglob("*") if p.is_file())


def test_the_whole_is_told(store: Store):
    kinds, largest, specs = inventory.usage(inventory.items(store), index.summaries(store)).split("\n\n")
    assert "checkpoint  1         800 kB" in kinds
    assert largest.splitlines()[2].split() == ["checkpoint", "t1123456789ab-0@step5", "800", "kB"]
    name, runs, number, unit = specs.splitlines()[2].split()
    assert (name, runs, unit) == ("synthetic", "2", "kB")
    assert 262 < int(number) < 400, "records, and what they rest on; not that checkpoint"


def test_no_store_is_none(tmp_path: Path):
    with pytest.raises(UsageError, match="there is no store"):
        list(inventory.items(Store(tmp_path / "runs")))
