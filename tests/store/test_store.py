import errno
import io
import json
import multiprocessing
import os
import stat
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from ntkbench import files
from ntkbench.errors import StorageError, UsageError
from ntkbench.store.folder import ListedFolder
from ntkbench.store.store import Store, StoreWarning, _manifest
from tests.examples import tiny

ARRAYS = {"a": np.arange(12.0).reshape(3, 4), "b": np.array([True, False]), "c": np.float32(1) / np.arange(1, 4)}
FACTS = {"seeds": [0, 1], "learning_rate": [0.1, 1 / 3], "eigenvalue": None}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


@pytest.fixture
def place(store: Store) -> Path:
    """Of an object that was saved."""
    store.save("kernel", "k1", ARRAYS, FACTS)
    return store.root / "objects" / "kernel" / "k1"


@pytest.mark.usefixtures("place")
def test_an_object_comes_back_as_it_was(store: Store):
    stored = store.load("kernel", "k1")
    assert stored is not None
    assert stored.facts == FACTS
    assert stored.arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert stored.arrays[name].dtype == np.asarray(array).dtype
        np.testing.assert_array_equal(stored.arrays[name], array)
    assert store.has("kernel", "k1")
    assert store.keys("kernel", "k") == ["k1"]


def test_nothing_is_there_before_it_is_saved(store: Store):
    assert store.load("kernel", "k1") is None
    assert not store.has("kernel", "k1")
    assert store.keys("kernel", "k") == []
    store.discard("kernel", "k1")


def test_a_writer_that_fails_leaves_nothing(store: Store):
    with pytest.raises(ValueError, match="allow_pickle"):
        store.save("kernel", "k1", {**ARRAYS, "objects": np.array([object()])})
    with pytest.raises(TypeError, match="JSON"):
        store.save("kernel", "k1", ARRAYS, {"what": object()})
    assert store.load("kernel", "k1") is None
    assert list((store.root / "objects" / "kernel").iterdir()) == []


def test_a_writer_that_fails_leaves_the_object_there_was(store: Store, place: Path):
    before = (place / "arrays.npz").read_bytes()
    with pytest.raises(TypeError, match="JSON"):
        store.save("kernel", "k1", {"a": np.zeros(1)}, {"what": object()})
    assert store.load("kernel", "k1") is not None
    assert (place / "arrays.npz").read_bytes() == before


def test_what_another_writer_is_at_is_no_object_and_stays(store: Store, place: Path):
    """It may be alive: on a file system without locks nobody knows but by its age, which `gc` looks at."""
    draft = place.rename(place.with_name(".k1.0123456789abcdef"))
    assert store.load("kernel", "k1") is None
    assert store.keys("kernel", "k") == []
    store.save("kernel", "k1", ARRAYS, FACTS)
    assert sorted(path.name for path in place.parent.iterdir()) == [draft.name, "k1"]


def test_the_same_arrays_give_the_same_bytes(store: Store, place: Path):
    first = (place / "arrays.npz").read_bytes(), (place / "manifest.json").read_bytes()
    store.discard("kernel", "k1")
    store.save("kernel", "k1", ARRAYS, FACTS)
    assert ((place / "arrays.npz").read_bytes(), (place / "manifest.json").read_bytes()) == first


@pytest.mark.parametrize("name", ["arrays.npz", "manifest.json"])
def test_no_bit_can_flip_unnoticed(name: str, store: Store, place: Path):
    whole = (place / name).read_bytes()
    for position in range(0, len(whole), 1 if name == "manifest.json" else 37):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << position % 8
        (place / name).write_bytes(flipped)
        with pytest.warns(StoreWarning, match="k1 is damaged .* it is made again"):
            assert store.load("kernel", "k1") is None, f"bit {position % 8} of byte {position}"
    (place / name).write_bytes(whole)
    assert store.load("kernel", "k1") is not None


@pytest.mark.parametrize("name", ["arrays.npz", "manifest.json"])
@pytest.mark.parametrize("length", [0, 1, 0.5, -1])
def test_no_file_can_be_cut_unnoticed(name: str, length: float, store: Store, place: Path):
    whole = (place / name).read_bytes()
    (place / name).write_bytes(whole[: int(length * len(whole)) if length == 0.5 else int(length)])
    with pytest.warns(StoreWarning, match="is damaged"):
        assert store.load("kernel", "k1") is None
    store.save("kernel", "k1", ARRAYS, FACTS)
    assert (place / name).read_bytes() == whole


def test_arrays_that_are_gone_are_damage(store: Store, place: Path):
    (place / "arrays.npz").unlink()
    with pytest.warns(StoreWarning, match="its arrays are gone"):
        assert store.load("kernel", "k1") is None


def test_an_object_in_the_place_of_another_is_damage(store: Store, place: Path):
    place.rename(place.with_name("k2"))
    with pytest.warns(StoreWarning, match="it is not what its manifest says"):
        assert store.load("kernel", "k2") is None


@pytest.mark.parametrize("manifest", ["null", "[]", '"text"', "1", "{}", '{"sha256": 1}', "[" * 100_000])
def test_a_manifest_that_is_none_is_damage(manifest: str, store: Store, place: Path):
    (place / "manifest.json").write_text(manifest)
    with pytest.warns(StoreWarning, match="is damaged"):
        assert store.load("kernel", "k1") is None


def test_a_discarded_object_is_gone(store: Store, place: Path):
    store.discard("kernel", "k1")
    assert store.load("kernel", "k1") is None
    assert not place.exists()


def test_without_its_manifest_an_object_does_not_exist(store: Store, place: Path):
    (place / "manifest.json").unlink()
    assert store.load("kernel", "k1") is None
    assert not store.has("kernel", "k1")


def _hold(root: Path, held, release) -> None:
    with Store(root).lock("unit") as got:
        held.put(got)
        release.wait(30)


def test_a_lock_is_held_by_one_process(store: Store):
    context = multiprocessing.get_context("spawn")
    held, release = context.Queue(), context.Event()
    other = context.Process(target=_hold, args=(store.root, held, release))
    other.start()
    assert held.get(timeout=30)
    with store.lock("unit", wait=False) as got:
        assert not got
    with store.lock("another", wait=False) as got:
        assert got
    other.kill()
    other.join(30)
    with store.lock("unit") as got:
        assert got, "a killed process holds nothing"


def test_who_saves_second_leaves_what_is_there(store: Store, place: Path):
    store.save("kernel", "k1", {"a": np.zeros(1)}, {"another": True})
    stored = store.load("kernel", "k1")
    assert stored is not None
    assert stored.facts == FACTS
    assert [path.name for path in place.parent.iterdir()] == ["k1"]


@pytest.mark.parametrize("left", ["a folder without a manifest", "a file"])
def test_a_place_that_is_taken_by_what_is_no_object_is_made_free(left: str, store: Store, place: Path):
    store.discard("kernel", "k1")
    if left == "a file":
        place.write_text("")
    else:
        (place / "below").mkdir(parents=True)
    store.save("kernel", "k1", ARRAYS, FACTS)
    assert store.damage("kernel", "k1") is None


def _save(root: Path, begin, times: int) -> None:
    store, os.fsync = Store(root), lambda _: None
    begin.wait(30)
    for _ in range(times):
        store.save("kernel", "k1", ARRAYS, FACTS)
        store.load("kernel", "k1")
        store.discard("kernel", "k1")
    store.save("kernel", "k1", ARRAYS, FACTS)


def test_many_may_save_and_discard_the_same_object_without_a_lock(store: Store):
    context = multiprocessing.get_context("spawn")
    begin = context.Event()
    processes = [context.Process(target=_save, args=(store.root, begin, 30)) for _ in range(3)]
    for process in processes:
        process.start()
    begin.set()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 3
    assert store.damage("kernel", "k1") is None
    assert [path.name for path in (store.root / "objects" / "kernel").iterdir()] == ["k1"]


def _refuse(number: int):
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


@pytest.mark.usefixtures("place")
def test_a_full_disk_is_told_and_leaves_nothing_half_written(store: Store, monkeypatch):
    before = tiny.files(store.root)
    monkeypatch.setattr("os.fsync", _refuse(errno.ENOSPC))
    with pytest.raises(StorageError, match=r"k2: cannot be written: No space left on device; make room \(`ntkbench"):
        store.save("kernel", "k2", ARRAYS)
    with pytest.raises(StorageError, match=r"r1\.json: cannot be written"):
        files.write(store.record("r1"), b"{}")
    assert tiny.files(store.root) == before


def test_a_store_that_cannot_be_written_is_told_of_before_any_work(store: Store, monkeypatch):
    store.prepare()
    assert [path.name for path in store.root.iterdir() if path.is_file()] == []

    for refusal, advice in ((errno.EROFS, "name another place"), (errno.ENOSPC, "make room")):
        monkeypatch.setattr("os.fsync", _refuse(refusal))
        with pytest.raises(StorageError, match=f"runs: cannot be written: .*; {advice}"):
            store.prepare()


def test_folders_that_cannot_be_flushed_are_no_fault(store: Store, monkeypatch):
    flush = os.fsync

    def of_files_only(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        flush(descriptor)

    monkeypatch.setattr("os.fsync", of_files_only)
    store.save("kernel", "k1", ARRAYS, FACTS)
    assert store.damage("kernel", "k1") is None


@pytest.mark.parametrize("refusal", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_where_there_are_no_locks_leases_stand_in(refusal: int, store: Store, monkeypatch):
    monkeypatch.setattr("fcntl.flock", _refuse(refusal))
    with pytest.warns(StoreWarning, match="has no locks"):
        store.prepare()
    with store.lock("unit") as held, store.lock("another", wait=False) as other:
        assert held
        assert other
        assert store.is_held("unit")
        with store.lock("unit", wait=False) as again:
            assert not again
    with store.lock("unit", wait=False) as held:
        assert held
    assert list((store.root / "locks").iterdir()) == []


def test_the_manifest_says_what_it_is_of(place: Path):
    manifest = json.loads((place / "manifest.json").read_bytes())
    assert (manifest["stage"], manifest["key"], manifest["facts"]) == ("kernel", "k1", FACTS)


@pytest.mark.parametrize("folder", ["objects", "records", "logs", "locks", "objects/kernel"])
def test_a_folder_that_is_a_link_is_refused(folder: str, tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "runs" / folder).parent.mkdir(parents=True)
    (tmp_path / "runs" / folder).symlink_to(elsewhere)
    with pytest.raises(UsageError, match=f"{folder} is a link"):
        Store(tmp_path / "runs")


def test_a_store_may_be_a_link_as_a_whole(tmp_path: Path):
    (tmp_path / "scratch").mkdir()
    (tmp_path / "runs").symlink_to(tmp_path / "scratch")
    Store(tmp_path / "runs").save("kernel", "k1", ARRAYS)
    assert (tmp_path / "scratch" / "objects" / "kernel" / "k1").is_dir()


def test_nothing_is_read_or_written_through_an_object_that_is_a_link(store: Store, place: Path, tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    place.rename(elsewhere)
    place.symlink_to(elsewhere)
    before = {path.name: path.read_bytes() for path in elsewhere.iterdir()}
    with pytest.warns(StoreWarning, match="it is a link"):
        assert store.load("kernel", "k1") is None
    store.save("kernel", "k1", {"a": np.zeros(1)})
    assert {path.name: path.read_bytes() for path in elsewhere.iterdir()} == before
    assert not place.is_symlink()
    stored = store.load("kernel", "k1")
    assert stored is not None
    assert stored.arrays.keys() == {"a"}


def signed(place: Path, arrays: bytes) -> None:
    """Put other arrays into an object, with a manifest that is right."""
    place.mkdir(exist_ok=True)
    (place / "arrays.npz").write_bytes(arrays)
    with (place / "arrays.npz").open("rb") as file:
        (place / "manifest.json").write_text(json.dumps(_manifest("kernel", "k1", file, {})))


def test_pickles_and_bombs_of_another_store_are_damaged_objects(store: Store, place: Path):
    for save, array in ((np.savez, np.array([{}], dtype=object)), (np.savez_compressed, np.zeros(10**6))):
        buffer = io.BytesIO()
        save(buffer, a=array)
        signed(place, buffer.getvalue())
        with pytest.warns(StoreWarning, match="no array of numbers|take more than"):
            assert store.load("kernel", "k1") is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names")
@pytest.mark.parametrize("name", ["arrays.npz", "manifest.json"])
def test_a_pipe_in_an_object_is_not_waited_for(name: str, store: Store, place: Path):
    (place / name).unlink()
    os.mkfifo(place / name)
    with pytest.warns(StoreWarning, match="no regular file"):
        assert store.load("kernel", "k1") is None


def test_a_lock_that_is_a_link_writes_nothing_elsewhere(store: Store, tmp_path: Path):
    (tmp_path / "secret").write_text("kept")
    (store.root / "locks").mkdir(parents=True)
    (store.root / "locks" / "x.lock").symlink_to(tmp_path / "secret")
    with suppress(StorageError), store.lock("x"):
        pass
    assert (tmp_path / "secret").read_text() == "kept"


@pytest.mark.parametrize("failure", [MemoryError(), OSError(errno.EIO, "Input/output error")])
def test_what_keeps_an_object_from_being_read_is_no_reason_to_throw_it_away(
    failure: Exception, store: Store, place: Path, monkeypatch
):
    def fails(*_: object, **__: object) -> None:
        raise failure

    with monkeypatch.context() as broken:
        broken.setattr("numpy.lib.format.read_array", fails)
        if isinstance(failure, MemoryError):
            with pytest.raises(MemoryError):
                store.load("kernel", "k1")
        else:
            with pytest.warns(StoreWarning, match="it cannot be read"):
                assert store.load("kernel", "k1") is None
    assert (found := store.load("kernel", "k1")) is not None
    assert found.facts == FACTS


def test_a_listed_folder_answers_as_the_folder_did_when_it_was_first_asked(store: Store):
    for key in ("k1", "k10", "k1@step2", "l1", "j9"):
        store.save("kernel", key, ARRAYS, FACTS)
    listed = ListedFolder(store.root)
    prefixes = ("", "j", "k", "k1", "k10", "k1@", "k2", "l", "m")
    for prefix in prefixes:
        assert listed.keys("kernel", prefix) == store.keys("kernel", prefix)
        assert listed.has("kernel", prefix) == store.has("kernel", prefix)
    assert listed.keys("craft", "") == []
    assert not listed.has("craft", "k1")
    store.save("kernel", "k2", ARRAYS, FACTS)
    store.save("craft", "k1", ARRAYS, FACTS)
    assert (listed.has("kernel", "k2"), listed.has("craft", "k1")) == (False, False)
    assert ListedFolder(store.root).has("kernel", "k2")
