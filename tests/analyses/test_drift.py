from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.analyses.drift import drift
from ntkbench.analyses.measurement import Measurement
from ntkbench.ntk import linearize, metrics, network
from ntkbench.run.recording import metric_row
from tests.analyses.courses import MOMENTS, TESTS, N, clouds, seeded_attack, trajectory, view, way

SPLITS = {"test": view(TESTS, 3, 1), "train": view(N, 3, 0)}
ADVERSARY = seeded_attack("probe", ("0.1",))


@pytest.fixture(scope="module")
def done() -> Measurement:
    return drift(trajectory(kept=frozenset({0, 4})), SPLITS, attack=seeded_attack(), adversary=ADVERSARY)


def values(of: Measurement, metric: str, **where: object) -> list[Any]:
    return [s.value for s in of.scalars if s.metric == metric and where.items() <= s.where.items()]


def test_series_have_their_shapes(done: Measurement):
    t, k, r = len(MOMENTS), 2, 3 * N
    of_kernels = {
        "distance": (t, t),
        **dict.fromkeys(("velocity", "onset_by_horizon", "nearness_by_horizon"), (t - 1,)),
        **{
            f"{part}{name}": (t,) if not part else (k, t)
            for part in ("", "top_", "rest_")
            for name in ("radius", "angle")
        },
        "top_mass": (k, t),
        **dict.fromkeys(("participation_rank", "entropy_rank", "stable_rank", "label_alignment"), (t,)),
        "class_specialization": (t,),
        "kernel": (2, r, r),
        "kernel_epoch": (2,),
    }
    assert {name: values.shape for name, values in done.series.items()} == {
        **of_kernels,
        **{f"adversarial_{name}": shape for name, shape in of_kernels.items()},
        "epoch": (t,),
        "horizon": (t - 1,),
        "top": (k,),
        "weight_distance": (t,),
        "eps": (2,),
        "accuracy_epoch": (t,),
        **dict.fromkeys(("n_test", "n_train"), ()),
        **dict.fromkeys(("test_clean", "train_clean"), (t,)),
        **dict.fromkeys(("test_robust", "train_robust"), (2, t)),
    }


@pytest.mark.parametrize(("probe", "prefix"), [("clean", ""), ("adversarial", "adversarial_")])
def test_numbers_are_the_ends_of_the_series(done: Measurement, probe: str, prefix: str):
    def series(name: str) -> np.ndarray:
        return done.series[prefix + name]

    D = series("distance")
    assert values(done, "kernel_drift", probe=probe) == [D[0, -1]]
    assert D[0, -1] > 1e-3, "nothing moved"
    np.testing.assert_allclose(values(done, "path_length", probe=probe), [np.diagonal(D, 1).sum()])
    (onset,) = [each for each in done.scalars if each.metric == "lazy_onset" and each.where["probe"] == probe]
    slow = series("velocity") < 0.1 * series("velocity").max()
    starts = [float(m) for i, m in enumerate(MOMENTS[:-1]) if slow[i:].all()]
    assert onset.value == (starts[0] if starts else None)
    assert starts or "still fast at the end, epoch 5" in (onset.reason or "")
    np.testing.assert_array_equal(series("onset_by_horizon")[-1], starts[0] if starts else np.nan)
    near = [next(m for m in MOMENTS[:t] if D[MOMENTS.index(m), t - 1] <= 0.1 * D[0, t - 1]) for t in range(2, 6)]
    np.testing.assert_array_equal(series("nearness_by_horizon"), list(map(float, near)))
    np.testing.assert_array_equal(done.series["horizon"], list(map(float, MOMENTS[1:])))
    for at, place in (("init", 0), ("final", -1)):
        for row, k in enumerate((2, 5)):
            assert values(done, "top_mass", probe=probe, at=at, top=k) == [series("top_mass")[row, place]]
        for name in ("participation_rank", "entropy_rank", "stable_rank", "label_alignment", "class_specialization"):
            assert values(done, name, probe=probe, at=at) == [series(name)[place]]


def test_the_two_probes_stand_apart(done: Measurement):
    assert not np.allclose(done.series["distance"], done.series["adversarial_distance"], rtol=1e-3)


def test_curves_start_at_zero_and_end_at_one(done: Measurement):
    for part in ("", "top_", "rest_"):
        radius, angle = done.series[f"{part}radius"], done.series[f"{part}angle"]
        np.testing.assert_allclose(radius[..., [0, -1]] - [0, 1], 0, atol=1e-6)
        np.testing.assert_allclose(angle[..., 0], 0, atol=1e-6)
        assert (angle[..., 1:] > 0).all()


def test_accuracies_along_the_way_and_at_the_end(done: Measurement):
    (X, labels), at = clouds(TESTS, 3, 1), way(3)
    right = [np.asarray(metrics.correct(jax.vmap(at[moment])(X), jnp.asarray(labels))) for moment in MOMENTS]
    np.testing.assert_array_equal(done.series["test_clean"], [each.sum() for each in right])
    np.testing.assert_array_equal(done.samples["clean"], right[-1])
    assert values(done, "accuracy", split="test") == [right[-1].mean()]
    assert values(done, "accuracy", split="train") == [done.series["train_clean"][-1] / N]
    for e, eps in enumerate(("1/50", "1/10")):
        assert values(done, "robust_accuracy", split="test", eps=eps) == [done.series["test_robust"][e, -1] / TESTS]
        assert done.samples[f"own@{eps}"].sum() == done.series["test_robust"][e, -1]
    assert (done.series["test_robust"] <= done.series["test_clean"]).all()
    assert done.series["weight_distance"][0] == 0
    assert np.all(np.diff(done.series["weight_distance"]) > 0)


def test_accuracies_of_some_snapshots(done: Measurement):
    some = drift(trajectory(), {"test": SPLITS["test"]}, attack=seeded_attack(), at=[0, 4])
    np.testing.assert_array_equal(some.series["accuracy_epoch"], [0, 5])
    np.testing.assert_array_equal(some.series["test_clean"], done.series["test_clean"][[0, 4]])
    np.testing.assert_array_equal(some.series["test_robust"], done.series["test_robust"][:, [0, 4]])


def test_checks_are_told_once_a_property(done: Measurement):
    found = [(check.code, check.detail.get("probe") or check.detail.get("split")) for check in done.checks]
    budgets = [check.detail.get("eps") for check in done.checks]
    assert len(found) == len(set(zip(found, budgets, strict=True)))
    assert {("kernel_finite", "clean"), ("kernel_finite", "adversarial"), ("ball_respected", "adversarial")} <= set(
        found
    )
    assert {("gradients_finite", "test"), ("gradients_finite", "train"), ("probe_balanced", None)} <= set(found)
    assert all(check.ok for check in done.checks)


def test_every_number_has_its_word(done: Measurement):
    for scalar in done.scalars:
        row = metric_row("drift", scalar)
        assert row.value is not None or row.metric == "lazy_onset", row


def test_a_linearized_network_stays_and_its_onset_has_a_reason():
    found = drift(trajectory(at=way(3, linear=True).__getitem__, linear_from=MOMENTS[0]), {})
    (check,) = [check for check in found.checks if check.code == "kernel_constant"]
    assert check.ok
    assert check.detail["snapshots"] == 5
    assert np.isnan(found.series["radius"]).all()
    (onset,) = [scalar for scalar in found.scalars if scalar.metric == "lazy_onset"]
    assert onset.value is None
    assert "does not move" in (onset.reason or "")


def test_a_kernel_that_should_stay_and_does_not_fails_its_check():
    """From epoch 2 on alone: what came before does not count."""
    at, late = way(3), way(3)[MOMENTS[3]]
    still = drift(trajectory(at=lambda m: at[min(m, MOMENTS[3])], linear_from=MOMENTS[3]), {})
    assert [check.ok for check in still.checks if check.code == "kernel_constant"] == [True]
    moving = drift(trajectory(at=lambda m: at[m], linear_from=MOMENTS[3]), {})
    assert [check.ok for check in moving.checks if check.code == "kernel_constant"] == [False]
    linear = drift(trajectory(at=lambda m: at[m] if m < 2 else linearize.linearize(late), linear_from=MOMENTS[3]), {})
    assert [check.ok for check in linear.checks if check.code == "kernel_constant"] == [True]


def test_two_classes_have_one_output_and_nothing_to_specialize():
    found = drift(trajectory(2), {})
    assert "class_specialization" not in found.series
    assert 0 < values(found, "label_alignment", at="final")[0] <= 1


def test_without_directions_to_tell_apart_there_are_no_masses():
    found = drift(trajectory(2, top=()), {})
    assert found.series["top_mass"].shape == found.series["top_radius"].shape == (0, len(MOMENTS))
    assert values(found, "top_mass") == []


def test_an_unbalanced_probe_is_told():
    of = trajectory()
    targets = of.targets.copy()
    targets[0] = targets[1]
    (check,) = [check for check in drift(replace(of, targets=targets), {}).checks if check.code == "probe_balanced"]
    assert not check.ok


def test_alignments_of_units_that_are_dead_are_undefined_and_say_why():
    """All features but those of the last biases are 0 then: the kernel is finite, and the same for all examples."""
    start = way(3)[MOMENTS[0]]
    dead = network.with_weights(start, jax.tree.map(lambda w: w - 1e3 * (w.shape == (6,)), start.weights))
    found = drift(trajectory(at=lambda m: dead if m == MOMENTS[-1] else way(3)[m], top=()), {})
    for metric in ("label_alignment", "class_specialization"):
        assert values(found, metric, at="init")[0] is not None
        assert values(found, metric, at="final") == [None]
        (told,) = [s for s in found.scalars if s.metric == metric and s.where["at"] == "final"]
        assert told.reason == "the kernel of an output is constant over the probe"
        assert metric_row("drift", told).value is None
    found.require_finite("drift")
