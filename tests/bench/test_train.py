"""Training survives its end at any checkpoint, bit for bit."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.bench import build
from ntkbench.bench.groups import group_key, groups
from ntkbench.bench.spec import Cell
from ntkbench.bench.store import Store, StoreWarning
from ntkbench.bench.train import Group, train
from ntkbench.errors import NumericsError

EPOCHS = 6
MOMENTUM = {"kind": "sgd", "learning_rate": 0.1, "momentum": 0.9}
ADAM = {"kind": "adam", "learning_rate": 0.01}
REGIMES: dict[str, dict[str, Any]] = {
    "descent": {},
    "momentum, batches": {"optimizer": MOMENTUM, "batch_size": 5},
    "adam, batches": {"optimizer": ADAM, "batch_size": 5},
    "linearized": {"linearize_at": 0},
    "linearized, adam": {"linearize_at": 0, "optimizer": ADAM},
    "linearized later": {"linearize_at": 3, "optimizer": MOMENTUM, "batch_size": 5},
}


class Killed(BaseException):
    """Ends a training on the spot."""


def cell(**training: Any) -> Cell:
    return Cell.model_validate(
        {
            "data": {"dataset": {"kind": "two_gaussians", "dim": 6}, "n_train": 12, "n_test": 2},
            "architecture": {"kind": "fc"},
            "width": 8,
            "training": {"mode": "standard", "epochs": EPOCHS, **training},
            "analyses": {"accuracy": {"kind": "accuracy"}},
        }
    )


def fit(store: Store, of: Cell, seeds: tuple[int, ...] = (0, 1), *, every: int = 50, kill: str = "") -> Group:
    def tick(what: str) -> None:
        if kill and what.startswith(kill):
            raise Killed

    return train(store, of, seeds, build.examples(of.data, ()), every=every, tick=tick)


def bits(group: Group) -> list[bytes]:
    return [np.asarray(leaf).tobytes() for leaf in (*jax.tree.leaves(group.trained.weights), group.losses)]


@pytest.mark.parametrize(
    "regime",
    [
        "descent",
        "adam, batches",
        "linearized later",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("momentum, batches", "linearized", "linearized, adam")
        ),
    ],
)
def test_resumed_is_uninterrupted(regime: str, tmp_path: Path):
    of = cell(**REGIMES[regime])
    whole, cut = Store(tmp_path / "whole"), Store(tmp_path / "cut")
    expected = bits(fit(whole, of))
    for epoch in (1, 2):  # a stretch before the linearization has its own epochs
        with pytest.raises(Killed):
            fit(cut, of, every=1, kill=f"epoch {epoch} of")
    if of.training.linearize_at:  # type: ignore[union-attr]
        with pytest.raises(Killed):
            fit(cut, of, every=1, kill="epoch 1 of 3")
    assert bits(fit(cut, of, every=2)) == expected
    assert cut.keys("checkpoint", "t") == []
    (key,) = [key for key in whole.keys("training", "t") if key == group_key(of, (0, 1))]
    one, two = whole.load("training", key), cut.load("training", key)
    assert one is not None
    assert two is not None
    assert {name: a.tobytes() for name, a in one.arrays.items()} == {
        name: a.tobytes() for name, a in two.arrays.items()
    }


def test_a_killed_training_leaves_one_checkpoint(tmp_path: Path):
    store, of = Store(tmp_path), cell()
    with pytest.raises(Killed):
        fit(store, of, every=2, kill="epoch 4 of")
    assert store.keys("checkpoint", "t") == [f"{group_key(of, (0, 1))}@step4"]
    assert groups(store, of, {1, 2}) == [(0, 1), (2,)]


def test_checkpoints_change_no_bit(tmp_path: Path):
    of = cell(**REGIMES["momentum, batches"])
    found = {tuple(bits(fit(Store(tmp_path / str(every)), of, every=every))) for every in (1, 4, 50)}
    assert len(found) == 1


def test_a_damaged_checkpoint_falls_back(tmp_path: Path):
    store, of = Store(tmp_path / "cut"), cell()
    with pytest.raises(Killed):
        fit(store, of, every=2, kill="epoch 2 of")
    (key,) = store.keys("checkpoint", "t")
    earlier = store.load("checkpoint", key)
    with pytest.raises(Killed):
        fit(store, of, every=2, kill="epoch 4 of")
    (damaged,) = store.keys("checkpoint", "t")
    assert earlier is not None
    store.save("checkpoint", key, earlier.arrays)
    path = store.root / "objects" / "checkpoint" / damaged / "arrays.npz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.warns(StoreWarning, match="is damaged"):
        resumed = fit(store, of, every=2)
    assert bits(resumed) == bits(fit(Store(tmp_path / "whole"), of))


def test_what_is_stored_is_not_trained_again(tmp_path: Path):
    store, of = Store(tmp_path), cell()
    first = fit(store, of)
    again = fit(store, of, kill="epoch")
    assert (first.cached, again.cached) == (False, True)
    assert bits(first) == bits(again)


def test_a_damaged_network_is_trained_again(tmp_path: Path):
    store, of = Store(tmp_path), cell()
    first = fit(store, of)
    path = store.root / "objects" / "training" / first.key / "arrays.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.warns(StoreWarning, match="is damaged"):
        again = fit(store, of)
    assert not again.cached
    assert path.read_bytes() == whole


def test_cells_share_their_beginning_up_to_the_linearization(tmp_path: Path):
    store = Store(tmp_path)
    beginning = fit(store, cell(epochs=3))
    later = fit(store, cell(linearize_at=3), kill="epoch 1 of 6")
    assert len(store.keys("training", "t")) == 2
    assert later.losses.shape == (2, EPOCHS), "the history is whole"
    np.testing.assert_array_equal(later.losses[:, :3], beginning.losses)
    before = jax.tree.leaves(beginning.trained.weights)
    anchor = jax.tree.leaves(later.trained.anchor.weights)  # type: ignore[attr-defined]
    assert [np.asarray(a).tobytes() for a in before] == [np.asarray(a).tobytes() for a in anchor]


def test_one_seed_of_a_group(tmp_path: Path):
    group = fit(Store(tmp_path), cell(), (3, 5))
    one = group.of(5)
    assert one.seeds == (5,)
    assert one.facts["seeds"] == [3, 5], "which seeds trained together"
    assert one.facts["learning_rate"] == group.facts["learning_rate"][1]
    assert one.facts["largest_eigenvalue"] == group.facts["largest_eigenvalue"][1]
    np.testing.assert_array_equal(one.losses, group.losses[1])
    whole, own = jax.tree.leaves(group.trained.weights), jax.tree.leaves(one.trained.weights)
    assert all(np.array_equal(a[1], b) for a, b in zip(whole, own, strict=True))


def test_the_learning_rate_is_taken_from_the_kernel_or_from_the_spec(tmp_path: Path):
    store = Store(tmp_path)
    auto, given = fit(store, cell()), fit(store, cell(optimizer=MOMENTUM))
    for rate, eigenvalue in zip(auto.facts["learning_rate"], auto.facts["largest_eigenvalue"], strict=True):
        assert rate == pytest.approx(12 / eigenvalue, rel=1e-6)
    assert given.facts["learning_rate"] == pytest.approx([0.1, 0.1])
    assert given.of(0).facts["largest_eigenvalue"] is None


@pytest.mark.parametrize("eigenvalue", [0.0, np.nan, np.inf])
def test_a_kernel_without_a_largest_eigenvalue_gives_no_learning_rate(eigenvalue: float, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("ntkbench.bench.stretch._largest_eigenvalues", lambda *_: jnp.array([1.0, eigenvalue]))
    with pytest.raises(NumericsError, match=r"set training\.optimizer\.learning_rate to a number"):
        fit(Store(tmp_path), cell())


def test_an_untrained_network_is_the_one_that_was_drawn(tmp_path: Path):
    store = Store(tmp_path)
    of = Cell.model_validate({**cell().model_dump(mode="json"), "training": {"mode": "none"}})
    group = fit(store, of)
    assert group.trained is group.initial
    assert group.losses.shape == (2, 0)
    assert not (tmp_path / "objects").exists()
