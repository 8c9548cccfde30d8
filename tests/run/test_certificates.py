"""Runs that certify kernel predictors, from spec to record."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ntkbench.store import arrays, lookup
from ntkbench.store.store import Store
from tests.examples import tiny

SPEC = """
ntkbench: 1
name: certified
data: {dataset: {kind: two_gaussians, dim: 6}, n_train: 12, n_test: 10}
architecture: {kind: fc, depth: 1, b_std: 0.1}
training: {mode: none}
kernels:
  limit: {kind: infinite, ridge: 0.1}
  robust: {kind: infinite, fit: {kind: rkhs_adversarial, delta: 0.01}}
  timed: {kind: infinite, fit: {kind: adv_ntk, n_validation: 4, steps: 3, attack: {kind: fgsm, eps: 0.1}}}
attacks:
  own: {kind: fgsm, source: timed, eps: 0.1}
  white: {kind: fgsm, source: limit, norm: l2, eps: [0.01, 0.1]}
analyses:
  radius: {kind: certificate, target: limit, norm: l2, eps: [0.01, 0.1], attack: white}
  alone: {kind: certificate, target: limit, norm: l2, eps: [0.1, 0.5]}
  fitted: {kind: certificate, target: robust, norm: l2, eps: [0.1, 0.5]}
  robust: {kind: accuracy, target: robust}
  timed: {kind: accuracy, target: timed, attacks: [own]}
  labels: {kind: label_flips, target: limit, flips: [1, 2, 5]}
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder: Path = tmp_path_factory.mktemp("certified")
    planned, store = tiny.planned(folder, text=SPEC), Store(folder / "runs")
    told = tiny.run(planned, store)
    assert told.lines == [(planned.runs[0].id, "ok")], told.notes
    (record,) = lookup.records(store, planned.runs)
    return record, arrays.read_samples(store.records, record), store


def test_a_record_says_what_flipped_labels_change(done):
    record, samples, _ = done
    clean, flips = samples["labels.clean"], samples["labels.label_flips"]
    rows = [row for row in record.metrics if row.analysis == "labels"]
    certified = {row.where["flips"]: row for row in rows if row.metric == "certified_accuracy"}
    assert list(certified) == [1, 2, 5]
    for r, row in certified.items():
        assert (row.k, row.n) == (int(np.sum(clean & (flips >= r))), 10)
        assert row.ci_method == "wilson"
    number = {row.where["statistic"]: row.value for row in rows if row.metric == "certified_label_flips"}
    assert number == {"median": np.median(flips), "mean": flips.mean()}
    assert 0 < flips.max() <= 12
    assert not flips[~clean].any()


def test_a_record_has_what_is_certain_and_what_an_attack_leaves(done):
    record, samples, _ = done
    rows = [row for row in record.metrics if row.analysis == "radius"]
    for eps in ("1/100", "1/10"):
        sure, robust = samples[f"radius.certified@{eps}"], samples[f"radius.white@{eps}"]
        assert not np.any(sure & ~robust)
        of = {(row.metric, row.where.get("bound")): row.k for row in rows if row.where.get("eps") == eps}
        assert of["certified_accuracy", "best"] == sure.sum()
        assert of["certified_accuracy", "linear"] <= sure.sum()
        assert of["robust_accuracy", None] == robust.sum()
        assert of["certified_gap", None] == robust.sum() - sure.sum()
        radius = samples["radius.certified_radius"]
        assert np.all(sure[radius >= float(Fraction(eps))])
        assert np.all(1.003 * radius[sure] >= float(Fraction(eps)))
    number = {
        (row.where["bound"], row.where["statistic"]): row.value for row in rows if row.metric == "certified_radius"
    }
    radius = samples["radius.certified_radius"]
    assert number["best", "median"] == np.median(radius)
    assert number["best", "mean"] == pytest.approx(radius.mean())
    assert number["best", "mean"] >= number["linear", "mean"] > number["intervals", "mean"]
    (check,) = [check for check in record.checks if check.code == "certified_not_broken"]
    assert check.ok
    assert "alone.certified@1/2" in samples


def test_another_fit_is_kept_and_certified_as_what_it_is(done):
    record, samples, _ = done
    np.testing.assert_array_equal(samples["fitted.clean"], samples["robust.clean"])
    assert np.any(samples["fitted.certified_radius"] != samples["alone.certified_radius"])
    assert all(record.stages[f"kernel.{name}"].key.startswith("s") for name in ("robust", "timed"))
    assert "timed.own@1/10" in samples


def test_examples_that_are_held_out_have_no_coefficient(done):
    record, _, store = done
    stored = store.load("solve", record.stages["kernel.timed"].key)
    assert stored is not None
    alpha = stored.arrays["alpha"]
    assert np.all(alpha[:8] != 0)
    assert not np.any(alpha[8:])
