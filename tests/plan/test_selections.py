from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkbench.plan import selections
from ntkbench.spec.analyses import Drift
from tests.examples.cells import cell


def test_a_number_means_even_distances_of_the_logarithm():
    assert selections.spaced(4, 1000) == (1, 10, 100, 1000)
    assert selections.spaced(6, 12) == (1, 2, 3, 4, 7, 12)
    assert selections.spaced(1, 12) == (1,)
    assert selections.features(4, 1000) == (0, 9, 99, 999)
    assert selections.truncations(4, 1000) == (1, 10, 100, 1000)


@given(count=st.integers(1, 300), last=st.integers(1, 3000))
def test_as_many_as_asked_for_if_there_are_as_many(count: int, last: int):
    found = selections.spaced(count, last)
    assert len(found) == min(count, last)
    assert list(found) == sorted(set(found))
    assert found[0] == 1
    assert found[-1] == (1 if count == 1 else last)


def test_all_and_lists():
    assert tuple(selections.features("all", 3)) == (0, 1, 2)
    assert tuple(selections.truncations("all", 3)) == (1, 2, 3)
    assert selections.features((5, 7), 10) == selections.truncations((5, 7), 10) == (5, 7)


@pytest.mark.parametrize(("count", "size"), [(3, 2000), (1, 5), (7, 7), (4, 10)])
def test_groups_are_equal_and_cover_all(count: int, size: int):
    found = selections.groups(count, size)
    assert [start for start, _ in found] == [0, *(stop for _, stop in found[:-1])]
    assert found[-1][1] == size
    lengths = {stop - start for start, stop in found}
    assert max(lengths) - min(lengths) <= 1
    assert selections.groups(3, 2000)[0] == (0, 666)
    assert selections.groups(((0, 20), (20, 60)), 60) == ((0, 20), (20, 60))


def test_an_empirical_kernel_has_a_feature_for_each_output():
    assert selections.size(cell(), "limit") == 60
    assert selections.size(cell(), "first") == 180


@pytest.mark.parametrize(
    ("words", "epochs", "expected"),
    [
        (4, 20, "0 5 10 15 20"),
        (1, 20, "0 20"),
        (20, 3, "0 1 2 3"),
        (3, 10, "0 3 7 10"),
        ((Fraction(1, 4), Fraction(1)), 5, "0 1/4 1 5"),
        ((Fraction(0), Fraction(5)), 5, "0 5"),
    ],
)
def test_snapshots_have_both_ends(words: int | tuple[Fraction, ...], epochs: int, expected: str):
    assert selections.snapshots(words, epochs) == tuple(map(Fraction, expected.split()))


@given(count=st.integers(1, 300), epochs=st.integers(1, 300))
def test_a_number_of_snapshots_are_whole_epochs_at_even_distances(count: int, epochs: int):
    found = selections.snapshots(count, epochs)
    assert len(found) == 1 + min(count, epochs)
    assert (found[0], found[-1]) == (0, epochs)
    assert all(moment.denominator == 1 for moment in found)
    steps = {later - one for one, later in pairwise(found)}
    assert max(steps) - min(steps) <= 1


def test_a_kernel_on_a_probe_has_a_row_for_each_output_and_leaves_a_rest():
    drift = cell().analyses["drift"]
    assert isinstance(drift, Drift)
    trace = drift.model_copy(update={"layout": "trace", "top": (10, 29, 30)})
    assert (selections.rows(cell(), drift), selections.rows(cell(), trace)) == (90, 30)
    assert (selections.tops(cell(), drift), selections.tops(cell(), trace)) == ((10, 20), (10, 29))


def test_all_features_of_a_billion_take_no_memory():
    assert len(selections.features("all", 10**9)) == len(selections.truncations("all", 10**9)) == 10**9
