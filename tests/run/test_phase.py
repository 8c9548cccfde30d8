"""Steps that fit into a few seconds, and states that are worth keeping."""

import time

import pytest

from ntkbench.run import phase


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


def test_steps_become_as_many_as_fit(clock: list[float]):
    most, step, seen = phase.CheckpointPace(), 0, []
    for _ in range(8):
        seen.append(most(step))
        step += seen[-1]
        clock[0] += seen[-1] / 128
    assert seen == [1, 4, 16, 64, 256, 256, 256, 256]


def test_slow_steps_are_taken_one_at_a_time(clock: list[float]):
    most = phase.CheckpointPace()
    for step in range(3):
        assert most(step) == 1
        clock[0] += 30


def test_compilation_counts_for_no_step_but_the_first(clock: list[float]):
    most = phase.CheckpointPace()
    assert most(0) == 1
    clock[0] += 20
    assert most(1) == 1
    clock[0] += 0.5
    assert most(2) == 4


def test_states_are_kept_for_a_small_share_of_the_time(clock: list[float]):
    keeping = phase.CheckpointSchedule()
    clock[0] = 4.0
    assert not keeping.is_due
    clock[0] = 6.0
    assert keeping.is_due
    clock[0] = 7.0
    keeping.kept(1.0)
    clock[0] = 26.0
    assert not keeping.is_due
    clock[0] = 28.0
    assert keeping.is_due
