import json
from pathlib import Path

import numpy as np
import pytest

from ntkbench.spec import identity
from ntkbench.store import lookup
from ntkbench.store.store import Store
from ntkbench.store.upkeep import audit, inventory
from tests.examples import factory, tiny

RUN, OTHER = RUNS = factory.planned(factory.cell(), range(2), width="32")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "runs")
    factory.store(store.records, RUNS)
    store.save("kernel", "k0123456789ab", {"a": np.arange(9)})
    return store


def examine(store: Store) -> list[audit.Damage]:
    items = audit.examinable(inventory.items(store))
    assert len(items) == len(RUNS) + 1
    return [found for item in items if (found := audit.examine(store, item)) is not None]


def test_what_is_whole_is_whole(store: Store):
    assert examine(store) == []
    assert audit.report([], 3, []) == "3 objects and records, of which 0 are damaged"


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def change(store: Store, section: str, **fields: object) -> None:
    document = json.loads(store.record(RUN.id).read_bytes())
    document[section].update(fields)
    del document["sha256"]  # as in records that were written before there was one
    store.record(RUN.id).write_text(json.dumps(document))


def swap(store: Store) -> None:
    store.record(RUN.id).write_bytes(store.record(OTHER.id).read_bytes())


def kernel(store: Store) -> Path:
    return store.root / "objects" / "kernel" / "k0123456789ab"


DAMAGE = {
    "an object's arrays": (lambda store: flip(kernel(store) / "arrays.npz"), "not what its manifest says"),
    "an object's manifest": (lambda store: (kernel(store) / "manifest.json").unlink(), "cannot be read"),
    "a record's arrays": (lambda store: flip(store.arrays(RUN.id)), "its checksum is not the record's"),
    "no arrays": (lambda store: store.arrays(RUN.id).unlink(), "cannot be read: No such file"),
    "half a record": (lambda store: store.record(RUN.id).write_text("{"), "Invalid JSON"),
    "another's record": (swap, "does not belong in a file of this name"),
    "another seed": (lambda store: change(store, "spec", seed=7), "what it says was run is r"),
    "another cell": (
        lambda store: change(store, "spec", resolved={**identity.resolved(RUN.cell), "width": 33}),
        "what it says was run is r",
    ),
    "no cell": (lambda store: change(store, "spec", resolved={}), "spec.resolved.*extensions"),
    "another file": (lambda store: change(store, "samples", file="x.npz"), "says x.npz"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_found_told_and_moved_away(case: str, store: Store):
    damage, message = DAMAGE[case]
    damage(store)
    there = tiny.files(store.root)
    (finding,) = examine(store)
    with pytest.raises(AssertionError, match=f"{message}.*again"):
        raise AssertionError(str(finding))
    moved = list(audit.quarantine(store, finding))
    assert moved
    assert len(tiny.files(store.root)) == len(there), "nothing is deleted"
    assert all(path.relative_to(store.root).parts[0] == "damaged" for path in moved)
    left = audit.examinable(inventory.items(store))
    assert [audit.examine(store, item) for item in left] == [None] * len(RUNS)
    assert (RUN in lookup.pending(store, RUNS)) == ("object" not in case)


def test_what_is_moved_away_twice_is_kept_twice(store: Store):
    for _ in range(2):
        factory.store(store.records, RUNS)
        store.record(RUN.id).write_text("{}")
        (finding,) = examine(store)
        list(audit.quarantine(store, finding))
    assert sorted(path.name for path in (store.root / "damaged" / "records").iterdir()) == [
        f"{RUN.id}.json", f"{RUN.id}.json.1", f"{RUN.id}.npz", f"{RUN.id}.npz.1"
    ]  # fmt: skip


def test_an_object_that_is_a_link_is_damage(store: Store, tmp_path: Path):
    place = kernel(store)
    place.symlink_to(place.rename(tmp_path / "elsewhere"))
    assert [finding.what for finding in examine(store)] == [f"{place}: damaged: it is a link, and may lead anywhere"]
