from math import inf

import pytest

from ntkbench.plan.cost import work
from ntkbench.plan.cost.work import Program, Work

ONE, OTHER = Program("one", 2, 5), Program("other", 1, 3)


def test_work_adds_up_and_memory_is_used_again():
    one, other = Work(1, 2, 3, 4, 5, 6, 7, bytes=30), Work(10, 20, 30, 40, 50, 60, 70, bytes=3)
    assert one + other == Work(11, 22, 33, 44, 55, 66, 77, bytes=30)
    assert Work(dense=1, calls=2, bytes=30).times(3, at_once=2) == Work(dense=3, calls=6, bytes=60)
    assert Work(dense=1, calls=2, bytes=30).times(2) == Work(dense=2, calls=4, bytes=30)
    assert Work(bytes=30).times(1, at_once=16) == Work(bytes=30)


def test_a_total_is_what_adding_one_by_one_gives():
    several = [Work(1, 2, 3, 4, 5, 6, 7, bytes=30, programs=frozenset({ONE})), Work(dense=5, bytes=40), Work(calls=2)]
    several.append(Work(bytes=1, programs=frozenset({ONE, OTHER})))
    assert work.total(iter(several)) == sum(several, Work()) == Work(6, 2, 3, 4, 5, 6, 9, 40, frozenset({ONE, OTHER}))
    assert work.total(()) == Work()


def test_every_kind_of_work_has_its_rate():
    assert Work(dense=int(work.DENSE)).running(1) == 1
    assert Work(convolved=int(work.CONVOLVED)).running(1) == 1
    assert Work(double=int(work.DOUBLE), entrywise=int(work.ENTRYWISE)).running(1) == 2
    assert Work(moved=int(work.BANDWIDTH)).running(4) == 1, "cores share the memory"
    assert Work(steps=1000, calls=10).running(4) == pytest.approx(1000 * work.STEP + 10 * work.CALL)
    assert Work(double=int(work.DOUBLE)).running(4) == 0.25


def test_a_program_is_compiled_once():
    one, both = Work(programs=frozenset({ONE})), Work(programs=frozenset({ONE, OTHER}))
    assert one.compiling(1) == pytest.approx(2 * work.COMPILE + 5 * work.PASS)
    assert (one + both + one).programs == {ONE, OTHER}
    assert one.times(5).compiling() == one.compiling()
    assert both.seconds(1) == pytest.approx(3 * work.COMPILE + 8 * work.PASS)


def test_work_without_end_takes_endless_time():
    assert Work(double=10**400).seconds() == inf
    assert (Work(double=10**400, bytes=10**400) + Work(dense=1)).seconds() == inf
