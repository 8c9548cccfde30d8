"""Training survives its end at any checkpoint, bit for bit."""

from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.errors import NumericsError
from ntkbench.ntk import batch_norm
from ntkbench.plan import timeline
from ntkbench.plan.keys import group_key, training_key
from ntkbench.run import phase
from ntkbench.run.build.data import examples
from ntkbench.run.group import TrainedGroup, train
from ntkbench.run.shared import SharedStages
from ntkbench.spec.cell import Cell
from ntkbench.store.groups import groups, kept_steps
from ntkbench.store.store import Store, StoreWarning
from tests.examples.networks import NORMALIZED

EPOCHS = 6
MOMENTUM = {"kind": "sgd", "learning_rate": 0.1, "momentum": 0.9}
ADAM = {"kind": "adam", "learning_rate": 0.01}
ADVERSARIAL = {
    "mode": "adversarial",
    "attack": {"kind": "pgd", "eps": "1/10", "steps": 3, "start": "uniform"},
    "warm_up": 1,
    "optimizer": {**ADAM, "schedule": {"kind": "cosine"}},
    "batch_size": 5,
}
REGIMES: dict[str, dict[str, Any]] = {
    "descent": {},
    "momentum, batches": {"optimizer": MOMENTUM, "batch_size": 5},
    "adam, batches": {"optimizer": ADAM, "batch_size": 5},
    "linearized": {"linearize_at": 0},
    "linearized, adam": {"linearize_at": 0, "optimizer": ADAM},
    "linearized later": {"linearize_at": 3, "optimizer": MOMENTUM, "batch_size": 5},
    "adversarial": ADVERSARIAL,
    "adversarial, linearized later": {**ADVERSARIAL, "linearize_at": 3},
    "trades": {**ADVERSARIAL, "loss": "cross_entropy", "trades": 2.0},
    "batch norm": {"architecture": NORMALIZED, "optimizer": MOMENTUM, "batch_size": 5},
    "batch norm, adversarial, linearized later": {"architecture": NORMALIZED, **ADVERSARIAL, "linearize_at": 3},
}


class Killed(BaseException):
    """Ends a training on the spot."""


def cell(architecture: Any = MappingProxyType({"kind": "fc"}), **training: Any) -> Cell:
    return Cell.model_validate(
        {
            "data": {"dataset": {"kind": "two_gaussians", "dim": 6}, "n_train": 12, "n_test": 2},
            "architecture": dict(architecture),
            "width": 8,
            "training": {"mode": "standard", "epochs": EPOCHS, **training},
            "analyses": {"accuracy": {"kind": "accuracy"}},
        }
    )


def fit(
    store: Store, of: Cell, seeds: tuple[int, ...] = (0, 1), *moments: str, every: int = 50, kill: str = ""
) -> TrainedGroup:
    def tick(what: str) -> None:
        if kill and what.startswith(kill):
            raise Killed

    at = [Fraction(moment) for moment in moments]
    return train(SharedStages(store, (), 1e8), of, seeds, at, every=every, tick=tick)


def epochs(told: list[str]) -> list[Fraction]:
    """The epochs that a training said it had reached: "epoch 8/3 of 6, loss 0.2"."""
    return [Fraction(text.removeprefix("epoch ").partition(" ")[0]) for text in told]


def bits(group: TrainedGroup) -> list[bytes]:
    return [np.asarray(leaf).tobytes() for leaf in (*jax.tree.leaves(group.trained.weights), group.losses)]


@pytest.mark.parametrize(
    "regime",
    [
        pytest.param(name, marks=() if name in ("linearized later", "adversarial", "batch norm") else pytest.mark.slow)
        for name in REGIMES
    ],
)
def test_resumed_is_uninterrupted(regime: str, tmp_path: Path):
    of = cell(**REGIMES[regime])
    whole, cut = Store(tmp_path / "whole"), Store(tmp_path / "cut")
    expected = bits(fit(whole, of))
    for epoch in (1, 2):  # a phase before the linearization has its own epochs
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


def test_what_a_training_left_that_was_killed_at_its_very_end_goes(tmp_path: Path):
    store, of = Store(tmp_path), cell()
    with pytest.raises(Killed):
        fit(store, of, every=2, kill="epoch 4 of")
    (key,) = store.keys("checkpoint", "t")
    left = store.load("checkpoint", key)
    assert left is not None
    expected = bits(fit(store, of))
    store.save("checkpoint", key, left.arrays)  # as after a kill between the end's rename and the checkpoint's removal
    assert bits(fit(store, of)) == expected
    assert store.keys("checkpoint", "t") == []


@pytest.mark.slow
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


@pytest.mark.parametrize("eigenvalue", [0.0, *(pytest.param(v, marks=pytest.mark.slow) for v in (np.nan, np.inf))])
def test_a_kernel_without_a_largest_eigenvalue_gives_no_learning_rate(eigenvalue: float, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(phase, "_largest_eigenvalues", lambda *_: jnp.array([1.0, eigenvalue]))
    with pytest.raises(NumericsError, match=r"set training\.optimizer\.learning_rate to a number"):
        fit(Store(tmp_path), cell())


def test_an_untrained_network_is_the_one_that_was_drawn(tmp_path: Path):
    store = Store(tmp_path)
    of = Cell.model_validate({**cell().model_dump(mode="json"), "training": {"mode": "none"}})
    group = fit(store, of)
    assert group.trained is group.initial
    assert group.losses.shape == (2, 0)
    assert not (tmp_path / "objects").exists()


def saved(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Stage and number of steps of what is put into the store from now on."""
    found: list[tuple[str, str]] = []
    save = Store.save

    def noted(self: Store, stage: str, key: str, *rest: Any) -> None:
        found.append((stage, key.partition("@")[2]))
        save(self, stage, key, *rest)

    monkeypatch.setattr(Store, "save", noted)
    return found


def weights(group: TrainedGroup, moment: str) -> list[bytes]:
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(group.at(Fraction(moment)).weights)]


@pytest.mark.slow
def test_killed_within_an_adversarial_epoch(tmp_path: Path):
    """Its snapshot is there, whole, and training goes on from it."""
    of = cell(**ADVERSARIAL)
    whole, cut = Store(tmp_path / "whole"), Store(tmp_path / "cut")
    expected = fit(whole, of)
    with pytest.raises(Killed):
        fit(cut, of, (0, 1), "7/3", kill="epoch 7/3 of")
    assert cut.keys("snapshot", "t") == [f"{group_key(of, (0, 1))}@step7"]
    assert groups(cut, of, {1, 2}) == [(0, 1), (2,)], "what was begun stays together"
    assert bits(fit(cut, of)) == bits(expected)


def test_a_snapshot_is_a_training_that_stops_there(tmp_path: Path):
    store, of = Store(tmp_path / "whole"), cell(**REGIMES["momentum, batches"])
    group = fit(store, of, (0, 1), "0", "1/4", "1/3", "2", "6")
    shorter = fit(Store(tmp_path / "short"), cell(**{**REGIMES["momentum, batches"], "epochs": 2}))
    assert weights(group, "2") == weights(shorter, "2")
    assert weights(group, "1/3") == weights(group, "1/4"), "both are the first of three steps"
    assert len({*map(tuple, (weights(group, at) for at in ("0", "1/3", "2", "6")))}) == 4
    assert weights(group, "0") == [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(group.initial.weights)]
    assert store.keys("snapshot", "t") == [f"{group_key(of, (0, 1))}@step{n}" for n in (1, 6)]
    assert store.keys("checkpoint", "t") == []
    one = group.of(1).at(Fraction(2))
    both = jax.tree.leaves(group.at(Fraction(2)))
    assert all(np.array_equal(a[1], b) for a, b in zip(both, jax.tree.leaves(one), strict=True))


@pytest.mark.slow
def test_moments_of_a_training_that_is_linearized(tmp_path: Path):
    """Epochs count from the start of all; up to the linearization there is a network."""
    store, of = Store(tmp_path), cell(**{**ADVERSARIAL, "linearize_at": 3})
    group = fit(store, of, (0, 1), "2", "3", "10/3", "5", "6")
    linear = {at: hasattr(group.at(Fraction(at)), "anchor") for at in ("0", "2", "3", "10/3", "5", "6")}
    assert [at for at in linear if linear[at]] == ["10/3", "5", "6"]
    assert group.trained is group.at(Fraction(6))
    early, late = (np.abs(jax.tree.leaves(group.at(Fraction(at)).weights)[0]).max() for at in ("10/3", "5"))
    assert 0 < early < late, "the displacement grows"
    steps = {
        key.partition("-")[0]: kept_steps(store, "snapshot", key.partition("@")[0])
        for key in store.keys("snapshot", "")
    }
    assert steps == {training_key(timeline.before_last_phase(of)): {6}, training_key(of): {1, 6}}  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_moment_that_is_asked_for_later_is_trained_for_from_the_one_before(tmp_path: Path, monkeypatch):
    store, of = Store(tmp_path / "a"), cell(**ADVERSARIAL)
    at_once = fit(Store(tmp_path / "b"), of, (0, 1), "1", "2", "8/3", "5")
    first = fit(store, of, (0, 1), "2")
    told: list[str] = []
    found = saved(store, monkeypatch)
    moments = [Fraction(at) for at in ("1", "2", "8/3", "5")]
    later = train(SharedStages(store, (), 1e8), of, (0, 1), moments, every=50, tick=told.append)
    assert found == [("snapshot", "step3"), ("snapshot", "step8"), ("snapshot", "step15")]
    reached = epochs(told)
    assert {1, Fraction(8, 3), 5} <= set(reached)
    assert not [at for at in reached if 1 < at <= 2], "the moments after epoch 2 are reached from epoch 2"
    once = len(told)
    assert later.cached
    assert bits(later) == bits(first) == bits(at_once)
    assert all(weights(later, str(at)) == weights(at_once, str(at)) for at in moments)
    again = train(SharedStages(store, (), 1e8), of, (0, 1), moments, every=50, tick=told.append)
    assert (len(told), len(found)) == (once, 3), "nothing is done twice"
    assert weights(again, "8/3") == weights(at_once, "8/3")


@pytest.mark.slow
def test_a_moment_before_the_checkpoint_does_not_cost_it(tmp_path: Path):
    store, of, told = Store(tmp_path), cell(**ADVERSARIAL), list[str]()
    with pytest.raises(Killed):
        fit(store, of, every=4, kill="epoch 4 of")
    train(SharedStages(store, (), 1e8), of, (0, 1), [Fraction(2)], every=50, tick=told.append)
    reached = epochs(told)
    assert 2 in reached
    assert not [at for at in reached if 2 < at <= 4], "from epoch 4 on to the end"
    longer = cell(**{**ADVERSARIAL, "epochs": 7})
    with pytest.raises(Killed):
        fit(store, longer, every=4, kill="epoch 4 of")
    train(SharedStages(store, (), 1e8), longer, (0, 1), [Fraction(4)], every=50, tick=told.append)
    assert 4 in epochs(told[len(reached) :])
    assert min(epochs(told[len(reached) :])) == 4, "the checkpoint is the snapshot"


@pytest.mark.slow
def test_a_damaged_snapshot_is_made_again(tmp_path: Path):
    store, of = Store(tmp_path), cell(**ADVERSARIAL)
    expected = weights(fit(store, of, (0, 1), "2"), "2")
    path = store.root / "objects" / "snapshot" / f"{group_key(of, (0, 1))}@step6" / "arrays.npz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.warns(StoreWarning, match="is damaged"):
        again = fit(store, of, (0, 1), "2")
    assert weights(again, "2") == expected


def test_nobody_looks_back_at_a_training_that_diverged(tmp_path: Path, monkeypatch):
    store, of = Store(tmp_path), cell(optimizer={"kind": "sgd", "learning_rate": 1e30})
    group = fit(store, of, (0, 1), "5")
    assert not np.isfinite(group.losses).all(axis=1).any()
    found = saved(store, monkeypatch)
    fit(store, of, (0, 1), "5", kill="epoch")
    assert found == []


@pytest.mark.slow
def test_adversarial_training_without_a_budget_is_standard(tmp_path: Path):
    one = fit(Store(tmp_path / "1"), cell(**{**ADVERSARIAL, "attack": {"kind": "fgsm", "eps": 0}}))
    two = fit(Store(tmp_path / "2"), cell(**{name: ADVERSARIAL[name] for name in ("optimizer", "batch_size")}))
    np.testing.assert_allclose(one.losses, two.losses, rtol=1e-5)


@pytest.mark.slow
def test_the_warm_up_counts_on_the_whole_time_line(tmp_path: Path):
    """Linearized after 3 of 6 epochs, attacked from the fifth on."""
    how = {**ADVERSARIAL, "warm_up": 4, "linearize_at": 3}
    standard = {name: value for name, value in how.items() if name not in ("attack", "warm_up")} | {"mode": "standard"}
    one, two = fit(Store(tmp_path / "1"), cell(**how)), fit(Store(tmp_path / "2"), cell(**standard))
    np.testing.assert_allclose(one.losses[:, :4], two.losses[:, :4], rtol=1e-5)
    assert np.all(np.abs(one.losses[:, 4:] / two.losses[:, 4:] - 1) > 1e-3)


def test_facts_of_the_time_line(tmp_path: Path):
    facts = fit(Store(tmp_path), cell(batch_size=5, linearize_at=2)).facts
    assert (facts["epochs"], facts["steps_per_epoch"], facts["steps"]) == (4, 3, 12)
    assert len(facts["learning_rate"]) == 2


def outputs(group: TrainedGroup, of: Cell, moment: str) -> np.ndarray:
    """Of each seed's evaluated network, on the training examples."""
    X = jnp.asarray(examples(of.data, ()).train.unit(np.float32))
    return np.asarray(eqx.filter_vmap(lambda net: jax.vmap(net)(X))(group.at(Fraction(moment))))[..., 0]


def test_batch_norm_is_judged_by_what_it_has_seen_in_training(tmp_path: Path):
    of = cell(NORMALIZED, epochs=60, optimizer={"kind": "adam", "learning_rate": 0.05})
    signs = 2 * examples(of.data, ()).train.labels - 1
    group = fit(Store(tmp_path / "two"), of)
    first = np.mean((outputs(group, of, "0") - signs) ** 2, axis=1) / 2
    np.testing.assert_allclose(
        first, group.losses[:, 0], rtol=1e-5, err_msg="it begins with these examples' statistics"
    )
    assert np.all(group.losses[:, -1] < 0.1 * group.losses[:, 0])
    assert np.all(np.sign(outputs(group, of, "60")) == signs)
    drawn, moved = (batch_norm.statistics(group.at(Fraction(at)).weights) for at in ("0", "60"))
    assert min(np.abs(a.variance / b.variance - 1).max() for a, b in zip(drawn, moved, strict=True)) > 0.1
    alone = fit(Store(tmp_path / "one"), of, (1,))
    np.testing.assert_allclose(alone.losses[0], group.losses[1], rtol=1e-3)


def test_a_linearized_network_keeps_its_statistics(tmp_path: Path):
    group = fit(Store(tmp_path), cell(NORMALIZED, linearize_at=0, optimizer=ADAM, batch_size=5))
    for moved in batch_norm.statistics(group.trained.weights):
        jax.tree.map(lambda leaf: np.testing.assert_array_equal(leaf, 0), moved)
    assert np.all(group.losses[:, -1] < group.losses[:, 0])
