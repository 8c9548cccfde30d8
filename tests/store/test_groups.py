from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkbench.plan import keys
from ntkbench.store.groups import groups, kept_steps, snapshots, trained
from ntkbench.store.store import Store
from tests.examples.cells import cell

CELL = cell()
SEEDS = st.lists(st.integers(0, 2**63), min_size=1, max_size=20, unique=True).map(lambda seeds: tuple(sorted(seeds)))
NEAR = st.lists(st.integers(0, 12), min_size=1, max_size=9, unique=True).map(lambda seeds: tuple(sorted(seeds)))


@given(SEEDS | NEAR)
def test_the_seeds_can_be_read_off_a_key(seeds: tuple[int, ...]):
    tag = keys.group_key(CELL, seeds).partition("-")[2]
    assert keys.seeds_of(tag) == seeds


@pytest.mark.parametrize(
    ("seeds", "tag"), [((0, 1, 2, 7), "0-2.7"), ((5,), "5"), ((0, 2, 4), "0.2.4"), ((0, 1), "0-1")]
)
def test_tags_are_short(seeds: tuple[int, ...], tag: str):
    assert keys.group_key(CELL, seeds).endswith(f"-{tag}")


@given(NEAR | st.sets(st.integers(0, 99), min_size=1).map(lambda seeds: tuple(sorted(seeds))))
def test_new_groups_cover_each_seed_once(seeds: tuple[int, ...]):
    found = groups(Store(Path("nowhere")), CELL, seeds)
    assert sorted(seed for group in found for seed in group) == list(seeds)
    assert all(len(group) <= 16 for group in found)


def begin(store: Store, stage: str, seeds: tuple[int, ...], suffix: str = "") -> None:
    store.save(stage, keys.group_key(CELL, seeds) + suffix, {"a": np.zeros(1)})


@pytest.mark.parametrize(("stage", "suffix"), [("training", ""), ("checkpoint", "@000000050")])
def test_a_group_that_was_begun_is_finished_as_it_was(stage: str, suffix: str, tmp_path: Path):
    store = Store(tmp_path)
    begin(store, stage, (0, 1, 2), suffix)
    assert groups(store, CELL, {1}) == [(0, 1, 2)]
    assert groups(store, CELL, {0, 1, 2, 3, 4}) == [(0, 1, 2), (3, 4)]
    assert groups(store, CELL, {5}) == [(5,)]


def test_of_groups_that_overlap_the_larger_one_serves(tmp_path: Path):
    store = Store(tmp_path)
    for seeds in ((0,), (0, 1), (1, 2)):
        begin(store, "training", seeds)
    assert groups(store, CELL, {0, 1}) == [(0, 1)]
    assert groups(store, CELL, {0, 1, 2}) == [(0, 1), (1, 2)]


def test_wide_networks_train_in_small_groups():
    wide = cell(width=20_000)
    found = groups(Store(Path("nowhere")), wide, range(8))
    assert max(map(len, found)) < 8
    assert sorted(seed for group in found for seed in group) == list(range(8))


def test_a_seed_is_trained_with_its_group(tmp_path: Path):
    store = Store(tmp_path)
    begin(store, "training", (0, 1))
    begin(store, "checkpoint", (2, 3), "@000000050")
    assert trained(store, CELL) == {0, 1}


def test_states_of_a_group_are_found_by_their_steps(tmp_path: Path):
    store, key = Store(tmp_path), keys.group_key(CELL, (0, 1, 5))
    for step in (7, 12):
        store.save("snapshot", keys.state_key(key, step), {"a": np.zeros(1)})
    assert kept_steps(store, "snapshot", key) == {7, 12}
    assert kept_steps(store, "checkpoint", key) == set()
    assert snapshots(store, CELL) == {(seed, step) for seed in (0, 1, 5) for step in (7, 12)}
    assert groups(store, CELL, {1, 2}) == [(0, 1, 5), (2,)]


@pytest.mark.parametrize("tag", ["0-99999999999", "x", "", "1-", "5-1-3", "0-1000", "1.2-3.", "0" * 30, "\u0661"])
def test_a_name_that_is_no_tag_stands_for_no_seeds(tag: str):
    assert keys.seeds_of(tag) == ()


def test_a_name_that_ends_in_no_step_is_none(tmp_path):
    for name in ("k@step3", "k@step", "k@stepx", "k@step-1"):
        (tmp_path / "objects" / "snapshot" / name).mkdir(parents=True)
        (tmp_path / "objects" / "snapshot" / name / "manifest.json").touch()
    assert kept_steps(Store(tmp_path), "snapshot", "k") == {3}
