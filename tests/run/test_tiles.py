"""Kernel matrices in tiles that the store keeps: the same numbers, nothing computed twice, damage made good."""

import errno
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ntkbench import files
from ntkbench.errors import NumericsError, StorageError, UsageError
from ntkbench.plan import keys, memory
from ntkbench.plan.cost import kernels as cost
from ntkbench.plan.cost.tiles import of_others, tiled
from ntkbench.plan.runs import Plan, Shard
from ntkbench.render import size
from ntkbench.run.job import Job, Options
from ntkbench.run.shared import SharedStages
from ntkbench.run.worker import Worker
from ntkbench.spec.cell import Cell, RunOptions
from ntkbench.status.forecast import check_resources, cost_forecast, forecast
from ntkbench.store.folder import StoreWarning
from ntkbench.store.store import Store
from ntkbench.store.upkeep.merge import merge
from tests.examples import tiny

N, ROWS = 40, 7
TILES = 21
"""in the lower half of 6 x 6 tiles"""
BYTES = TILES * ROWS**2 * 8
RIDGES = tiny.SPEC + "\nmatrix: {kernels.limit.ridge: [0, 0.5]}\n"


def planned(folder: Path, *overrides: str, text: str = tiny.SPEC) -> Plan:
    return tiny.planned(folder, f"data.n_train={N}", *overrides, text=text)


def cell(folder: Path, *overrides: str) -> Cell:
    return planned(folder, *overrides).runs[0].cell


def shared(folder: Path, tell: Callable[[str], None] = lambda what: None) -> SharedStages:
    return SharedStages(Store(folder), (), 1e6, tell=tell)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


@pytest.fixture
def solving(monkeypatch: pytest.MonkeyPatch):
    """Few examples are enough for a solve."""
    monkeypatch.setattr(keys, "SOLVED_FROM", 1)
    monkeypatch.setattr(keys.kernels, "is_cheaper_than_its_spectrum", lambda cell, kernel: True)
    monkeypatch.setattr(cost, "TILE_ROWS", ROWS)


@pytest.fixture
def larger(solving: None, monkeypatch: pytest.MonkeyPatch):
    """Every matrix is larger than memory."""
    monkeypatch.setattr(memory, "matrix_bytes", lambda accelerator_bytes=None: 8 * N**2 - 1)


@pytest.fixture
def longer(solving: None, monkeypatch: pytest.MonkeyPatch):
    """Every matrix fits into memory, and takes long."""
    monkeypatch.setattr(cost, "LONG", 0)


def alpha(folder: Path, of: Cell) -> np.ndarray:
    return np.asarray(shared(folder).regression(of, "limit").value.alpha)


def at_once(folder: Path, of: Cell, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Return the coefficients from a matrix in memory."""
    with monkeypatch.context() as patched:
        patched.setattr(memory, "matrix_bytes", lambda accelerator_bytes=None: 1e9)
        patched.setattr(cost, "LONG", 600)
        return alpha(folder, of)


@pytest.mark.parametrize("way", ["larger", "longer"])
@pytest.mark.parametrize("change", ["kernels.limit.ridge=0", "kernels.limit.ridge=0.5", "numerics.kernel=float32"])
def test_a_regression_in_tiles_is_that_at_once(
    change: str, way: str, store: Store, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
):
    request.getfixturevalue(way)
    of = cell(tmp_path, change)
    expected = at_once(tmp_path / "once", of, monkeypatch)
    agreed = 1e-3 if "float32" in change else 1e-8
    np.testing.assert_allclose(alpha(store.root, of), expected, rtol=agreed, atol=agreed * np.abs(expected).max())
    assert len(store.keys("tile", "k")) == TILES
    assert store.keys("solve", "s") == [keys.solve_key(of, "limit")], "the key is that of the same solve at once"
    assert (store.keys("factor", ""), Store(tmp_path / "once").keys("tile", "")) == ([], [])
    (dtype,) = {store.load("tile", key).arrays["tile"].dtype.name for key in store.keys("tile", "k")}  # type: ignore[union-attr]
    assert dtype == of.numerics.kernel


def test_another_ridge_takes_the_tiles_that_are_there(larger: None, store: Store, tmp_path: Path):
    told: list[str] = []
    shared(store.root).regression(cell(tmp_path), "limit")
    shared(store.root, told.append).regression(cell(tmp_path, "kernels.limit.ridge=0.5"), "limit")
    assert [each for each in told if "tile" in each] == []
    assert told == [f"limit: factor {i} of {TILES}" for i in range(1, TILES + 1)]


def test_a_spectrum_from_tiles_is_that_at_once_and_stands_for_them(
    longer: None, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    of = cell(tmp_path, "kernels.limit.time=3.0")
    expected = at_once(tmp_path / "once", of, monkeypatch)
    told: list[str] = []
    found = shared(store.root, told.append).regression(of, "limit").value.alpha
    np.testing.assert_allclose(found, expected, rtol=1e-8)
    assert told == [f"limit: tile {i} of {TILES}" for i in range(1, TILES + 1)]
    assert (store.keys("tile", ""), len(store.keys("kernel", "k"))) == ([], 1)


class Interrupted:
    """Raises KeyboardInterrupt before the tile with this number of those that are computed."""

    def __init__(self, stage: str, number: int):
        self.stage, self.left = stage, number

    def __call__(self, what: str) -> None:
        self.left -= self.stage in what
        if not self.left:
            raise KeyboardInterrupt


@pytest.mark.parametrize(("stage", "number"), [("tile", 1), ("tile", 9), ("factor", 1), ("factor", 20)])
def test_what_was_computed_before_an_interrupt_is_not_computed_again(
    stage: str, number: int, larger: None, store: Store, tmp_path: Path
):
    of = cell(tmp_path)
    expected = alpha(tmp_path / "whole", of)
    with pytest.raises(KeyboardInterrupt):
        shared(store.root, Interrupted(stage, number)).regression(of, "limit")
    before = tiny.files(store.root / "objects" / "tile") if number > 1 or stage == "factor" else {}
    kept = {"tile": len(store.keys("tile", "k")), "factor": len(store.keys("factor", "s"))}
    assert kept == {"tile": number - 1 if stage == "tile" else TILES, "factor": number - 1 if stage == "factor" else 0}
    told: list[str] = []
    found = shared(store.root, told.append).regression(of, "limit").value.alpha
    np.testing.assert_array_equal(found, expected)
    assert len(told) == 2 * TILES - sum(kept.values())
    after = tiny.files(store.root / "objects" / "tile")
    assert {name: after[name] for name in before} == before


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-40])


def flipped(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))


@pytest.mark.parametrize("damage", [cut_short, flipped, Path.unlink])
def test_a_damaged_tile_is_made_again(damage: Callable, larger: None, store: Store, tmp_path: Path):
    of = cell(tmp_path)
    expected = alpha(tmp_path / "whole", of)
    shared(store.root).fill(of, "limit")
    damage(store.root / "objects" / "tile" / store.keys("tile", "k")[9] / "arrays.npz")
    told: list[str] = []
    with pytest.warns(StoreWarning, match="it is made again"):
        found = shared(store.root, told.append).regression(of, "limit").value.alpha
    np.testing.assert_array_equal(found, expected)
    assert len([each for each in told if "tile" in each]) == 1


def test_tiles_of_another_kernel_are_not_taken(larger: None, store: Store, tmp_path: Path):
    of, other = cell(tmp_path), cell(tmp_path, "architecture.W_std=2")
    expected = alpha(tmp_path / "whole", of)
    shared(store.root).fill(other, "limit")
    folder = store.root / "objects" / "tile"
    for key in store.keys("tile", "k"):
        (folder / key).rename(folder / key.replace(keys.kernel_key(other, "limit"), keys.kernel_key(of, "limit")))
    with pytest.warns(StoreWarning, match="is damaged"):
        np.testing.assert_array_equal(alpha(store.root, of), expected)


@pytest.mark.parametrize(
    "arrays", [{"tile": np.zeros((3, 3))}, {"tile": np.full((ROWS, ROWS), "x")}, {"other": np.zeros(3)}]
)
def test_an_object_that_cannot_be_the_tile_is_made_again(arrays: dict, larger: None, store: Store, tmp_path: Path):
    of = cell(tmp_path)
    expected = alpha(tmp_path / "whole", of)
    store.save("tile", f"{keys.kernel_key(of, 'limit')}@{ROWS}-1-0", arrays)
    with pytest.warns(StoreWarning, match=r"is no tile of \(7, 7\)"):
        np.testing.assert_array_equal(alpha(store.root, of), expected)


def test_a_full_disk_ends_the_command_and_leaves_whole_tiles(
    larger: None, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    of, savez, left = cell(tmp_path), np.savez, [5]

    def full(file, **arrays):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        savez(file, **arrays)

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(StorageError):
        shared(store.root).regression(of, "limit")
    monkeypatch.undo()
    assert len(store.keys("tile", "k")) == 5
    assert [path for path in (store.root / "objects" / "tile").iterdir() if path.name.startswith(".")] == []


def test_a_tile_that_another_process_computes_is_waited_for_at_the_end(larger: None, store: Store, tmp_path: Path):
    of, told = cell(tmp_path), list[str]()
    first = f"tile-{keys.kernel_key(of, 'limit')}@{ROWS}-0-0"
    filling = threading.Thread(target=lambda: shared(store.root, told.append).fill(of, "limit"))
    with store.lock(first):
        filling.start()
        while len(store.keys("tile", "k")) < TILES - 1:
            assert filling.is_alive()
        assert filling.is_alive(), "it waits for the one that is left"
    filling.join(60)
    assert not filling.is_alive()
    assert told[-1] == f"limit: tile 1 of {TILES}"
    assert len(told) == TILES


def test_parts_divide_the_tiles(larger: None, store: Store, tmp_path: Path):
    of, there = cell(tmp_path), set[str]()
    for number in (1, 2, 3):
        shared(store.root).fill(of, "limit", Shard(number, 3))
        new = set(store.keys("tile", "k")) - there
        assert len(new) == TILES // 3
        there |= new


def test_a_part_of_a_plan_helps_with_matrices_of_others_alone(larger: None, store: Store, tmp_path: Path):
    plan = planned(tmp_path, "seeds=1")
    (key,) = tiled(plan.runs)
    shards = [Shard(number, 3) for number in (1, 2, 3)]
    owners = [shard for shard in shards if shard.part(plan).runs]
    found = {shard.number: of_others(plan, shard) for shard in shards}
    assert {number: [matrix.part for matrix in helps] for number, helps in found.items()} == {
        shard.number: [] if shard in owners else [shard] for shard in shards
    }
    assert tiled(plan.runs, {key}) == tiled(plan.runs), "the matrix is needed until what is made of it is there"
    assert tiled(plan.runs, {keys.solve_key(plan.runs[0].cell, "limit")}) == {}


def test_a_kernel_that_may_be_singular_and_is_too_large_to_tell_is_refused(larger: None, store: Store, tmp_path: Path):
    corners = "data.dataset={kind: two_gaussians, dim: 1, distance: 4, sd: 0.001}"
    for dtype, advice in (("float64", "Remove duplicate"), ("float32", "Compute it with numerics.kernel: float64")):
        said = f"kernel limit: the kernel may be singular.*64 kB of memory. {advice}"
        with pytest.raises(NumericsError, match=said):
            shared(store.root).regression(cell(tmp_path, corners, f"numerics.kernel={dtype}"), "limit")
    assert store.keys("factor", "") == []


def test_a_plan_says_what_is_computed_in_tiles(
    larger: None, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    plan = planned(tmp_path, text=RIDGES)
    said = f"tiles     {TILES} for 1 kernel, {size(BYTES)} in the store, and {size(BYTES)} more while"
    assert said in cost_forecast(plan, store)
    with monkeypatch.context() as full:
        full.setattr(files, "free_bytes", lambda folder: 10_000)
        assert f"; only {size(10_000)} are free" in cost_forecast(plan, store)
        listener = tiny.run(plan, Store(tmp_path / "almost"))
        told = (
            f"tiles of kernels take about {size(2 * BYTES)} of the disk of the store, and {size(10_000)} are free there"
        )
        assert any(each.startswith(told) for each in listener.warnings)
        full.setattr(files, "free_bytes", lambda folder: 1000)
        refused = rf"and {size(1000)} are free there; what helps is .*--force begins all the same"
        with pytest.raises(UsageError, match=refused):
            tiny.run(plan, store)
        with pytest.raises(UsageError, match="the disk of the store"):
            check_resources(forecast(plan, store), force=False)
        check_resources(forecast(plan, store), force=True)
    tiny.run(plan, store)
    assert "tiles" not in cost_forecast(plan, store)


def test_runs_in_tiles_have_the_records_of_runs_at_once(
    larger: None, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    plan = planned(tmp_path)
    tiny.run(plan, store)
    monkeypatch.undo()
    once = Store(tmp_path / "once")
    tiny.run(plan, once)
    one, two = (tiny.results(each, plan.runs) for each in (store, once))
    assert one.keys() == two.keys()
    for run_id, found in one.items():
        pairs = list(zip(found["metrics"], two[run_id]["metrics"], strict=True))
        assert pairs
        for mine, theirs in pairs:
            assert mine.keys() == theirs.keys()
            for name in mine:
                if name in ("value", "ci95") and mine[name] is not None:
                    assert mine[name] == pytest.approx(theirs[name], rel=1e-8, abs=1e-10)
                else:
                    assert mine[name] == theirs[name]


def test_tiles_come_with_a_store_that_is_merged(larger: None, store: Store, tmp_path: Path):
    of, other = cell(tmp_path), Store(tmp_path / "other")
    shared(other.root).fill(of, "limit")
    store.prepare()
    *_, merged = merge(store, other.root)
    assert str(merged) == f"{TILES} tile objects"
    assert store.keys("tile", "k") == other.keys("tile", "k")
    told: list[str] = []
    shared(store.root, told.append).fill(of, "limit")
    assert told == []


def test_nobody_fills_a_kernel_whose_eigenpairs_are_there(longer: None, store: Store, tmp_path: Path):
    shared(store.root).regression(cell(tmp_path, "kernels.limit.time=3.0"), "limit")
    shared(store.root).fill(cell(tmp_path), "limit")
    assert store.keys("tile", "") == []


@pytest.mark.parametrize("part", [None, Shard(1, 2)])
def test_what_ends_a_fill_for_another_part_ends_the_command(
    part: Shard | None, larger: None, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    matrix = replace(next(iter(tiled(planned(tmp_path).runs).values())), part=part)
    worker, listener = Worker(Job(store, (), RunOptions(), Options(), 0)), tiny.Listener()

    def broken(*_: object, **__: object) -> None:
        raise NumericsError("no tile")

    monkeypatch.setattr(SharedStages, "fill", broken)
    if part:
        with pytest.raises(NumericsError):
            worker.fill(matrix, listener)
    else:
        worker.fill(matrix, listener)
    assert listener.warnings == ([] if part else ["tiles of kernel limit: no tile"])
