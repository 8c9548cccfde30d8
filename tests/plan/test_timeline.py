from fractions import Fraction
from typing import Any

import pytest

from ntkbench.plan import timeline
from ntkbench.plan.keys import training_key
from ntkbench.spec.cell import Cell
from ntkbench.spec.training import Standard
from tests.examples.cells import FULL, cell


def of(at: tuple[Any, ...] = (), **training: Any) -> Cell:
    """60 examples; `at`: the moments of its empirical kernels."""
    kernels = {f"k{i}": {"kind": "empirical", "at": moment} for i, moment in enumerate(at)}
    words = {"mode": "standard", "epochs": 20, "batch_size": 16, **training}
    analyses = {name: analysis for name, analysis in FULL["analyses"].items() if name != "drift"}
    return cell(training=words, kernels={**FULL["kernels"], **kernels}, analyses=analyses)


@pytest.mark.parametrize(("batch_size", "steps"), [(None, 1), (60, 1), (59, 2), (16, 4), (15, 4), (1, 60)])
def test_steps_of_an_epoch(batch_size: int | None, steps: int):
    assert timeline.steps(of(batch_size=batch_size)) == steps


@pytest.mark.parametrize(("batch_size", "steps"), [(None, 1), (60, 1), (59, 1), (16, 4), (15, 4)])
def test_batch_normalization_leaves_out_a_batch_of_one(batch_size: int | None, steps: int):
    layers = [{"op": op} for op in ("flatten", "dense", "batch_norm", "relu", "dense")]
    training = {"mode": "standard", "epochs": 20, "batch_size": batch_size}
    assert timeline.steps(cell(architecture={"kind": "layers", "layers": layers}, training=training)) == steps


def test_the_beginning_is_the_training_that_stops_there():
    assert timeline.before_last_phase(of()) is None
    assert timeline.before_last_phase(of(linearize_at=0)) is None
    before = timeline.before_last_phase(of(linearize_at=5, centered=True))
    assert before is not None
    assert before.training == Standard(mode="standard", epochs=5, batch_size=16)
    assert training_key(before) == training_key(of(epochs=5))


@pytest.mark.parametrize(
    ("moment", "in_the_beginning", "step"),
    [("0", True, 0), ("1/4", True, 1), ("1/3", True, 1), ("5", True, 20), ("21/4", False, 1), ("20", False, 60)],
)
def test_moments_fall_on_steps_of_a_stretch(moment: str, in_the_beginning: bool, step: int):
    later = of(linearize_at=5)
    place = timeline.before_last_phase(later) if in_the_beginning else later
    assert timeline.phase_and_step(later, Fraction(moment)) == (place, step)
    assert timeline.last_phase(later).words.epochs == 15


def test_a_cell_wants_the_moments_that_it_names():
    assert timeline.moments_needed(of()) == (0,), "that of the kernel of the full cell, at init"
    asked = of(("final", "1/2", 3, "init"), linearize_at=3)
    assert timeline.moments_needed(asked) == (0, Fraction(1, 2), 3, 20)
    before = timeline.before_last_phase(asked)
    assert list(timeline.snapshots_kept(asked)) == [(before, 2)], "ends of a phase are stored as trainings"
    assert list(timeline.snapshots_kept(of(("1/1000",)))) == [], "that is before the first step"
    assert timeline.moments_needed(cell(training={"mode": "none"})) == (0,)
    assert timeline.moments_needed(cell()) == tuple(range(21)), "those of its drift"
