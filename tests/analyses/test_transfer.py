"""Transfer between two predictors whose every outcome is known; the table is in `subjects`."""

import dataclasses
import math

import numpy as np
import pytest

from ntkbench.analyses.measurement import Measurement, Scalar
from ntkbench.analyses.transfer import transfer
from ntkbench.ntk import attacks, balls
from tests.analyses.subjects import PIXELS, STEP, attacked, brighter, evaluator, source, target
from tests.conftest import EXACT

NAMES = "ABCDEFGH"


def rows(measurement: Measurement, metric: str, **where) -> list[Scalar]:
    return [s for s in measurement.scalars if s.metric == metric and where.items() <= dict(s.where).items()]


def row(measurement: Measurement, metric: str, **where) -> Scalar:
    (found,) = rows(measurement, metric, **where)
    return found


@pytest.fixture(scope="module")
def measured() -> Measurement:
    goal = target()
    return transfer(goal, attacked("step", source()), ceiling=attacked("white", goal), floor=brighter(goal))


def test_outcomes_of_each_point(measured):
    def points(name):
        return "".join(np.array([*NAMES])[measured.samples[name]])

    assert points("clean") == "ABCDFGH"
    assert points("source_clean") == "ABCDGH"
    assert points("step@1/10") == "BCG"
    assert points("white@1/10") == "B"
    assert points("brighter@1/10") == "ABCDEFG"


@pytest.mark.parametrize(
    ("attack", "denominator", "k", "n"),
    [
        ("step", "target_correct", 4, 7),  # A D F H of all but E
        ("step", "all", 4, 8),
        ("step", "source_fooled", 2, 4),  # A H of A B G H
        ("white", "target_correct", 6, 7),
        ("brighter", "target_correct", 1, 7),
    ],
)
def test_rates(measured, attack, denominator, k, n):
    found = row(measured, "transfer_rate", attack=attack, denominator=denominator)
    assert (found.k, found.n, found.value) == (k, n, k / n)
    origin = {"step": "source", "white": "target", "brighter": "target"}[attack]
    assert found.where == {
        "target": "target",
        "attack": attack,
        "source": origin,
        "eps": "1/10",
        "denominator": denominator,
    }


def test_accuracies(measured):
    assert [(s.metric, s.k, s.n) for s in measured.scalars if s.metric.endswith("accuracy")] == [
        ("accuracy", 7, 8),
        ("robust_accuracy", 3, 8),
        ("robust_accuracy", 1, 8),
        ("robust_accuracy", 7, 8),
    ]


def test_normalized_transfer(measured):
    """(4/7 - 1/7) / (6/7 - 1/7), with the spread of its linearization."""
    found = row(measured, "normalized_transfer")
    assert found.value == pytest.approx(0.6, rel=EXACT)
    assert found.n == 7
    above, below = np.array([1, 0, 0, 1, 1, 0, 0]), np.array([1, 0, 1, 1, 1, 1, 0])
    assert found.sd == pytest.approx(np.std((above - 0.6 * below) / below.mean(), ddof=1), rel=EXACT)


@pytest.mark.slow
def test_spread_of_normalized_transfer_is_that_of_resampling():
    rng = np.random.default_rng(0)
    pixels, labels = rng.uniform(0.25, 0.75, (500, 2)), rng.integers(0, 2, 500)
    goal, origin = (make(pixels=pixels, labels=labels) for make in (target, source))
    measured = transfer(goal, attacked("step", origin), ceiling=attacked("white", goal), floor=brighter(goal))
    found, clean = row(measured, "normalized_transfer"), measured.samples["clean"]
    fooled = [~measured.samples[name][clean] * 1.0 for name in ("step@1/10", "white@1/10", "brighter@1/10")]
    draws = rng.integers(0, clean.sum(), (2000, clean.sum()))
    a, c, f = (outcome[draws].mean(1) for outcome in fooled)
    assert found.sd is not None
    assert found.sd / math.sqrt(found.n or 0) == pytest.approx(np.std((a - f) / (c - f)), rel=0.1)


def test_gradients_of_two_directions(measured):
    """(1, 0) against (1, 1): half of the signs agree, since 0 is none."""
    assert row(measured, "gradient_cosine").value == pytest.approx(math.sqrt(0.5), rel=EXACT)
    assert row(measured, "sign_agreement").value == 0.5
    assert row(measured, "gradient_cosine").n == 8


def test_all_is_well(measured):
    assert all(check.ok for check in measured.checks)
    assert measured.warnings == ()


def test_source_and_target_the_same_is_white_box():
    goal = target()
    found = transfer(goal, attacked("step", goal), ceiling=attacked("white", goal), floor=brighter(goal))
    assert row(found, "normalized_transfer").value == 1
    assert row(found, "normalized_transfer").sd == 0
    assert row(found, "gradient_cosine").value == pytest.approx(1, rel=EXACT)
    assert row(found, "sign_agreement").value == 1
    for denominator in ("target_correct", "source_fooled"):
        one = row(found, "transfer_rate", attack="step", denominator=denominator)
        assert (one.k, one.n) == ((6, 7) if denominator == "target_correct" else (6, 6))
    assert found.warnings == ()


def test_several_budgets_are_rows_of_their_own():
    goal, eps = target(), ("0.01", "0.1")
    found = transfer(goal, attacked("step", source(), eps=eps), ceiling=attacked("white", goal, eps=eps))
    assert [
        (s.where["eps"], s.k) for s in rows(found, "transfer_rate", attack="step", denominator="target_correct")
    ] == [("1/100", 0), ("1/10", 4)]
    assert not rows(found, "normalized_transfer"), "there is no floor"


def test_a_random_attack_has_no_source():
    goal = target()
    found = transfer(goal, attacked("signs", goal, attacks.RandomSigns(balls.Linf()), None))
    assert not rows(found, "gradient_cosine")
    assert row(found, "transfer_rate", denominator="target_correct").n == 7
    nobody = row(found, "transfer_rate", denominator="source_fooled")
    assert (nobody.value, nobody.n, nobody.reason) == (None, 0, "no test point to count")
    assert {check.code for check in found.checks} == {"eps0_equals_clean", "ball_respected", "box_respected"}


def test_a_target_that_is_always_wrong():
    goal = evaluator("target", [-1.0, -1.0], pixels=PIXELS[:4], labels=np.ones(4, int))
    origin = source(pixels=PIXELS[:4], labels=np.ones(4, int))
    found = transfer(goal, attacked("step", origin), ceiling=attacked("white", goal), floor=brighter(goal))
    for undefined in (
        row(found, "transfer_rate", attack="step", denominator="target_correct"),
        row(found, "normalized_transfer"),
    ):
        assert (undefined.value, undefined.n, undefined.reason) == (None, 0, "no test point to count")
    assert row(found, "transfer_rate", attack="step", denominator="all").value == 0


def test_a_ceiling_that_is_not_above_the_floor():
    goal = target()
    found = row(
        transfer(goal, attacked("step", source()), ceiling=brighter(goal), floor=attacked("white", goal)),
        "normalized_transfer",
    )
    assert (found.value, found.n, found.reason) == (None, 7, "the ceiling is not above the floor")


def test_warns_where_the_attack_beats_the_ceiling():
    goal = target()
    found = transfer(goal, attacked("white", goal), ceiling=attacked("step", source()))
    (warning,) = found.warnings
    assert "white fools more than the white-box step at eps 1/10 (6 of 7 against 4)" in warning


@pytest.mark.slow
def test_examples_in_double_are_judged_in_single():
    """Rounding must not push them out of the target's own ball."""
    rng = np.random.default_rng(0)
    pixels, labels = rng.random((400, 2)), rng.integers(0, 2, 400)
    origin = source(pixels=pixels, labels=labels)
    for ball in (balls.Linf(), balls.L2()):
        threat, crafted = attacked("step", origin, dataclasses.replace(STEP, ball=ball), eps=("0.03",))
        assert crafted.images.dtype == np.float64
        single = target(pixels=pixels, labels=labels, dtype=np.float32)
        double = target(pixels=pixels, labels=labels)
        one, two = (transfer(goal, (threat, crafted)) for goal in (single, double))
        assert all(check.ok for check in (*one.checks, *two.checks))
        np.testing.assert_array_equal(one.samples["step@3/100"], two.samples["step@3/100"])
        assert row(one, "gradient_cosine").value == pytest.approx(math.sqrt(0.5), rel=1e-6)
