"""Files that are cut, flipped, emptied or gone, the computer's fault or a person's; then the same command."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ntkbench.store import lookup
from ntkbench.store.store import Store
from tests.examples import tiny
from tests.faults import stages
from tests.faults.conftest import One

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ntkbench.store.store.StoreWarning")]

Damage = Callable[[bytes, np.random.Generator], bytes | None]


def flipped(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    changed[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


DAMAGES: dict[str, Damage] = {
    "flipped": flipped,
    "flipped elsewhere": flipped,
    "cut": lambda content, rng: content[: rng.integers(1, len(content))],
    "emptied": lambda content, rng: b"",
    "zeroed": lambda content, rng: bytes(len(content)),
    "longer": lambda content, rng: content + b"\0",
    "gone": lambda content, rng: None,
}


def hit(path: Path, damage: str, rng: np.random.Generator) -> None:
    content = DAMAGES[damage](path.read_bytes(), rng)
    path.unlink() if content is None else path.write_bytes(content)


def copied(one: One, folder: Path) -> Store:
    shutil.copytree(one.store.root, folder)
    return Store(folder)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_object_is_made_again(damage: str, one: One, tmp_path: Path):
    """Each of them, where a run needs it: its record is gone."""
    rng = np.random.default_rng([*damage.encode()])
    objects = [path.relative_to(one.store.root) for path in sorted((one.store.root / "objects").glob("*/*/*"))]
    assert {path.parts[1] for path in objects} == {"training", "snapshot", "kernel", "craft"}
    for number, path in enumerate(objects):
        store = copied(one, tmp_path / str(number))
        for run in one.plan.runs:
            store.record(run.id).unlink()
        hit(store.root / path, damage, rng)
        tiny.run(one.plan, store)
        assert tiny.results(store, one.plan.runs) == one.results, path
        assert (store.root / path).parent.is_dir()


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_not_gone_on_from(damage: str, one: One, tmp_path: Path):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    rng = np.random.default_rng([*damage.encode()])
    for name in ("arrays.npz", "manifest.json"):
        store = Store(tmp_path / name)
        with pytest.raises(KeyboardInterrupt):
            tiny.run(one.plan, store, listener=tiny.Listener(epoch=interrupt))
        (checkpoint,) = (store.root / "objects").glob(f"checkpoint/*/{name}")
        hit(checkpoint, damage, rng)
        tiny.run(one.plan, store)
        assert tiny.results(store, one.plan.runs) == one.results


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_counts_as_none(damage: str, one: One, tmp_path: Path):
    rng = np.random.default_rng([*damage.encode()])
    (run,) = one.plan.runs
    for number, name in enumerate((one.store.record(run.id).name, one.store.arrays(run.id).name)):
        store = copied(one, tmp_path / str(number))
        hit(store.records / name, damage, rng)
        assert lookup.is_pending(store, run)
        assert tiny.run(one.plan, store).lines == [(run.id, "ok")]
        assert tiny.results(store, one.plan.runs) == one.results
        assert stages.finished(store, one.plan.runs) == [run]


def test_no_bit_of_a_record_or_its_arrays_flips_unnoticed(one: One, tmp_path: Path):
    """At hundreds of places. A digit beyond those of a double changes nothing."""
    rng, (run,) = np.random.default_rng(0), one.plan.runs
    store = copied(one, tmp_path / "runs")
    found = lookup.find(store, run)
    for path in (store.record(run.id), store.arrays(run.id)):
        content = path.read_bytes()
        for _ in range(300):
            path.write_bytes(flipped(content, rng))
            assert lookup.is_pending(store, run) or lookup.find(store, run) == found
        path.write_bytes(content)
        assert not lookup.is_pending(store, run)
